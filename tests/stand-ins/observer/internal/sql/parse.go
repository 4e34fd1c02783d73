package sql

import (
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

// Parse reads one statement.
func Parse(sql string) (statement Statement, err error) {
	tokens, err := Lex(sql)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return nil, fault.New(1065, "42000", "Query was empty")
	}
	p := &parser{tokens: tokens}
	defer func() {
		// The parser gives up by panic, so that each rule reads as the grammar does.
		if gave := recover(); gave != nil {
			given, ok := gave.(*fault.Fault)
			if !ok {
				panic(gave)
			}
			statement, err = nil, given
		}
	}()
	statement = p.statement()
	if p.at < len(tokens) {
		if p.peek(";") {
			panic(fault.NotSupported("more than one statement in one query is"))
		}
		p.fail()
	}
	return statement, nil
}

type parser struct {
	tokens []Token
	at     int
}

func (p *parser) statement() Statement {
	switch {
	case p.words("ALTER", "SYSTEM"):
		return p.system()
	case p.words("ALTER", "TENANT"):
		return p.tenant()
	case p.words("ALTER", "RESOURCE"), p.words("CREATE", "RESOURCE"), p.words("DROP", "RESOURCE"):
		return p.resource(strings.ToUpper(p.tokens[0].text))
	case p.words("CREATE", "USER"), p.words("ALTER", "USER"), p.words("DROP", "USER"):
		return p.user(strings.ToUpper(p.tokens[0].text))
	case p.words("SET", "PASSWORD"):
		return p.setPassword()
	case p.words("GRANT"):
		return p.grant(false)
	case p.words("REVOKE"):
		return p.grant(true)
	case p.words("CREATE", "DATABASE"), p.words("CREATE", "SCHEMA"), p.words("DROP", "DATABASE"), p.words("DROP", "SCHEMA"):
		return p.database(strings.ToUpper(p.tokens[0].text))
	case p.words("CREATE", "TABLE"):
		return p.createTable()
	case p.words("DROP", "TABLE"):
		return &DropTable{Lenient: p.words("IF", "EXISTS"), Name: p.name()}
	case p.words("INSERT"), p.words("REPLACE"):
		return p.insert()
	case p.words("UPDATE"):
		return p.update()
	case p.words("DELETE"):
		return p.remove()
	case p.words("SELECT"):
		return p.query()
	case p.words("SHOW"):
		return p.show()
	case p.words("USE"):
		return &Use{Database: p.identifier()}
	case p.words("SET"):
		return p.setSession()
	case p.words("START", "TRANSACTION"), p.words("BEGIN"), p.words("COMMIT"), p.words("ROLLBACK"):
		return &Transaction{Verb: strings.ToUpper(p.tokens[0].text)}
	}
	for _, known := range []string{"CREATE", "ALTER", "DROP", "TRUNCATE", "WITH", "LOCK", "RENAME", "CALL", "EXPLAIN"} {
		if p.peek(known) {
			panic(fault.NotSupported("this kind of " + known + " is"))
		}
	}
	p.fail()
	return nil
}

// fail gives up at the present token.
func (p *parser) fail() {
	if p.at >= len(p.tokens) {
		panic(fault.Syntax("it ends too early"))
	}
	near := p.tokens[p.at]
	if near.class == literal {
		panic(fault.Syntax("near a text that is not expected there")) // It could be a password.
	}
	panic(fault.Syntax("near '%s'", near.text))
}

func (p *parser) peek(what string) bool { return p.at < len(p.tokens) && p.tokens[p.at].is(what) }

// words passes these words if all of them come next.
func (p *parser) words(what ...string) bool {
	for i, one := range what {
		if p.at+i >= len(p.tokens) || !p.tokens[p.at+i].is(one) {
			return false
		}
	}
	p.at += len(what)
	return true
}

// one passes whichever of these words comes next, and tells which.
func (p *parser) one(what ...string) string {
	for _, candidate := range what {
		if p.words(candidate) {
			return candidate
		}
	}
	p.fail()
	return ""
}

func (p *parser) need(what ...string) {
	if !p.words(what...) {
		p.fail()
	}
}

func (p *parser) take(classes ...class) Token {
	if p.at < len(p.tokens) {
		for _, class := range classes {
			if token := p.tokens[p.at]; token.class == class {
				p.at++
				return token
			}
		}
	}
	p.fail()
	return Token{}
}

// identifier is a name without quotes, or in backticks.
func (p *parser) identifier() string { return p.take(word, quoted).text }

// text is a quoted text; OceanBase takes a bare word as well, for zones and users.
func (p *parser) text() string { return p.take(literal, word, quoted).text }

// value is what a parameter or an option is set to.
func (p *parser) value() string { return p.take(literal, word, digits, quoted).text }

// texts is a list of texts.
func (p *parser) texts() []string {
	list := []string{p.text()}
	for p.words(",") {
		list = append(list, p.text())
	}
	return list
}

// equals passes the sign that OceanBase leaves optional nearly everywhere.
func (p *parser) equals() { p.words("=") }

func (p *parser) name() Name {
	first := p.identifier()
	if p.words(".") {
		return Name{Database: first, Table: p.identifier()}
	}
	return Name{Table: first}
}
