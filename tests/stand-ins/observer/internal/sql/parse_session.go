package sql

import (
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

// setSession reads SET of anything but a password. Clients set a lot when they connect, and most of it changes nothing
// here, so the right-hand sides are kept as text and not evaluated.
func (p *parser) setSession() Statement {
	set := &SetSession{Variables: map[string]string{}}
	for {
		if p.words("GLOBAL") {
			panic(fault.NotSupported("SET GLOBAL is"))
		}
		p.words("SESSION")
		name := strings.ToLower(p.take(word, variable, quoted).text)
		if strings.HasPrefix(name, "@@global.") {
			panic(fault.NotSupported("SET GLOBAL is"))
		}
		name = strings.TrimPrefix(strings.TrimPrefix(strings.TrimLeft(name, "@"), "session."), "local.")
		if name != "names" && name != "transaction" && !p.words("=") {
			p.need(":=")
		}
		set.Variables[name] = p.skim()
		if !p.words(",") {
			return set
		}
	}
}

// skim passes an expression without looking at it.
func (p *parser) skim() string {
	var out []string
	depth := 0
	for p.at < len(p.tokens) && (depth > 0 || !p.peek(",")) {
		token := p.tokens[p.at]
		switch {
		case token.is("("):
			depth++
		case token.is(")"):
			depth--
		}
		out = append(out, token.text)
		p.at++
	}
	return strings.Join(out, " ")
}

func (p *parser) show() Statement {
	p.words("FULL")
	p.words("GLOBAL")
	p.words("SESSION")
	show := &Show{What: p.one("DATABASES", "TABLES", "PARAMETERS", "VARIABLES", "GRANTS", "WARNINGS")}
	if show.What == "GRANTS" && p.words("FOR") {
		show.User = p.account()
	}
	if show.What == "TABLES" && (p.words("FROM") || p.words("IN")) {
		show.Database = p.identifier()
	}
	if p.words("LIKE") {
		show.Like = p.take(literal).text
	} else if p.words("WHERE") {
		show.Where = p.expression()
	}
	return show
}
