// Package sql reads the small part of OceanBase's SQL that the stand-in knows, and evaluates its queries.
//
// It is an own reader because the parsers that exist for MySQL refuse OceanBase's ALTER SYSTEM.
package sql

import (
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

type class byte

const (
	word     class = iota
	quoted         // `name`
	literal        // 'text' or "text"
	digits         // 12 or 1.5
	mark           // ? of a prepared statement
	variable       // @@name or @name
	symbol
)

// Token is a word of a statement, and where it stands.
type Token struct {
	class      class
	text       string
	start, end int
}

// Lex cuts a statement into tokens.
func Lex(sql string) ([]Token, error) {
	var tokens []Token
	for at := 0; at < len(sql); {
		rest := sql[at:]
		if skip := blank(rest); skip > 0 {
			at += skip
			continue
		}
		token, size, err := next(rest)
		if err != nil {
			return nil, err
		}
		token.start, token.end = at, at+size
		tokens = append(tokens, token)
		at += size
	}
	for len(tokens) > 0 && tokens[len(tokens)-1].is(";") {
		tokens = tokens[:len(tokens)-1]
	}
	return tokens, nil
}

// blank is how much white space or comment the text begins with.
func blank(rest string) int {
	ends := func(mark string, size int) int {
		if end := strings.Index(rest, mark); end >= 0 {
			return end + size
		}
		return len(rest)
	}
	switch {
	case strings.ContainsRune(" \t\r\n", rune(rest[0])):
		return 1
	case strings.HasPrefix(rest, "/*"):
		return ends("*/", 2)
	case strings.HasPrefix(rest, "-- "), rest[0] == '#':
		return ends("\n", 1)
	}
	return 0
}

func next(rest string) (Token, int, error) {
	switch c := rest[0]; {
	case c == '\'' || c == '"':
		return textual(rest, c, literal)
	case c == '`':
		return textual(rest, c, quoted)
	case c == '?':
		return Token{class: mark, text: "?"}, 1, nil
	case c == '@':
		size := 1 + span(rest[1:], "@.")
		return Token{class: variable, text: rest[:size]}, size, nil
	case c >= '0' && c <= '9':
		size := span(rest, ".")
		if strings.Trim(rest[:size], "0123456789.") != "" {
			return Token{class: word, text: rest[:size]}, size, nil
		}
		return Token{class: digits, text: rest[:size]}, size, nil
	case part(c):
		size := span(rest, "")
		return Token{class: word, text: rest[:size]}, size, nil
	}
	for _, pair := range []string{"<=", ">=", "<>", "!=", ":="} {
		if strings.HasPrefix(rest, pair) {
			return Token{class: symbol, text: pair}, 2, nil
		}
	}
	return Token{class: symbol, text: rest[:1]}, 1, nil
}

func part(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func span(rest, also string) int {
	size := 0
	for size < len(rest) && (part(rest[size]) || strings.IndexByte(also, rest[size]) >= 0) {
		size++
	}
	return size
}

// textual reads a quoted text with MySQL's escapes: a doubled quote, and a backslash where the quote is no backtick.
func textual(rest string, quote byte, as class) (Token, int, error) {
	var out strings.Builder
	for at := 1; at < len(rest); at++ {
		switch c := rest[at]; {
		case c == '\\' && quote != '`' && at+1 < len(rest):
			at++
			if to, known := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', '0': 0, 'b': 8, 'Z': 26}[rest[at]]; known {
				out.WriteByte(to)
			} else {
				if rest[at] == '_' || rest[at] == '%' {
					out.WriteByte('\\') // LIKE wants to see these two.
				}
				out.WriteByte(rest[at])
			}
		case c == quote && at+1 < len(rest) && rest[at+1] == quote:
			at++
			out.WriteByte(quote)
		case c == quote:
			return Token{class: as, text: out.String()}, at + 1, nil
		default:
			out.WriteByte(c)
		}
	}
	return Token{}, 0, fault.Syntax("a quote %c is never closed", quote)
}

// is compares without case with a word or a symbol, never with a text.
func (t Token) is(what string) bool {
	return (t.class == word || t.class == symbol) && strings.EqualFold(t.text, what)
}
