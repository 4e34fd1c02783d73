package sql

import (
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

// Marks counts the parameters of a prepared statement.
func Marks(tokens []Token) int {
	count := 0
	for _, token := range tokens {
		if token.class == mark {
			count++
		}
	}
	return count
}

// Bind writes the arguments into the text, so that what is parsed, replicated and listed is one and the same statement.
func Bind(sql string, args []Value) (string, error) {
	tokens, err := Lex(sql)
	if err != nil {
		return "", err
	}
	if want := Marks(tokens); want != len(args) {
		return "", fault.New(1210, "HY000", "Incorrect arguments number to EXECUTE, need %d arguments but give %d", want, len(args))
	}
	return splice(sql, tokens, func(at int) (string, bool) {
		if tokens[at].class != mark {
			return "", false
		}
		value := args[0]
		args = args[1:]
		return value.Literal(), true
	}), nil
}

// Mask replaces passwords by ***. What it cannot read could hold a password anywhere, so no text of it is shown.
func Mask(sql string) string {
	tokens, err := Lex(sql)
	if err != nil {
		return "(unreadable, not shown)"
	}
	_, err = Parse(sql)
	secret := err != nil
	return splice(sql, tokens, func(at int) (string, bool) {
		if tokens[at].is("PASSWORD") || tokens[at].is("IDENTIFIED") {
			secret = true
		}
		if tokens[at].is(",") {
			secret = err != nil
		}
		// `ALTER USER 'a' IDENTIFIED BY 'b'`: only what follows the word is secret, so the user is still told.
		return "'***'", secret && tokens[at].class == literal
	})
}

func splice(sql string, tokens []Token, replace func(int) (string, bool)) string {
	var out strings.Builder
	from := 0
	for at, token := range tokens {
		if by, yes := replace(at); yes {
			out.WriteString(sql[from:token.start])
			out.WriteString(by)
			from = token.end
		}
	}
	out.WriteString(sql[from:])
	return out.String()
}
