package sql

import (
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

// account reads 'name'[@'%']. Other hosts are refused: a stand-in that ignored them would be less strict than it looks.
func (p *parser) account() string {
	name := p.text()
	if p.at < len(p.tokens) && p.tokens[p.at].class == variable {
		host := strings.TrimPrefix(p.take(variable).text, "@")
		if host == "" {
			host = p.at2()
		}
		if host != "%" {
			panic(fault.NotSupported("a user of another host than '%' is"))
		}
	}
	return name
}

func (p *parser) at2() string {
	if p.words("%") {
		return "%"
	}
	return p.text()
}

func (p *parser) user(verb string) Statement {
	change := &UserChange{Verb: verb, Lenient: p.words("IF", "NOT", "EXISTS") || p.words("IF", "EXISTS")}
	for {
		account := Account{Name: p.account()}
		if verb != "DROP" && p.words("IDENTIFIED") {
			if p.words("WITH") {
				if plugin := p.text(); !strings.EqualFold(plugin, "mysql_native_password") {
					panic(fault.NotSupported("the plugin " + plugin + " is"))
				}
			}
			p.need("BY")
			password := p.take(literal).text
			account.Password = &password
		} else if verb == "ALTER" {
			p.fail() // Nothing else of a user can be altered here.
		}
		change.Users = append(change.Users, account)
		if !p.words(",") {
			return change
		}
	}
}

// setPassword reads SET PASSWORD [FOR user] = PASSWORD('x') or = 'x'; without a user it is the session's own.
func (p *parser) setPassword() Statement {
	account := Account{}
	if p.words("FOR") {
		account.Name = p.account()
	}
	p.need("=")
	var password string
	if p.words("PASSWORD", "(") {
		password = p.take(literal).text
		p.need(")")
	} else {
		password = p.take(literal).text
	}
	account.Password = &password
	return &UserChange{Verb: "ALTER", Users: []Account{account}}
}

func (p *parser) grant(revoke bool) Statement {
	grant := &Grant{Revoke: revoke}
	for {
		privilege := strings.ToUpper(p.identifier())
		for p.at < len(p.tokens) && p.tokens[p.at].class == word && !p.peek("ON") {
			privilege += " " + strings.ToUpper(p.identifier())
		}
		if privilege == "ALL PRIVILEGES" {
			privilege = "ALL"
		}
		if !known[privilege] {
			panic(fault.NotSupported("the privilege " + privilege + " is"))
		}
		grant.Privileges = append(grant.Privileges, privilege)
		if !p.words(",") {
			break
		}
	}
	p.need("ON")
	part := func() string {
		if p.words("*") {
			return "*"
		}
		return strings.ToLower(p.identifier())
	}
	grant.On = part()
	p.need(".")
	grant.On += "." + part()
	if revoke {
		p.need("FROM")
	} else {
		p.need("TO")
	}
	grant.Users = []string{p.account()}
	for p.words(",") {
		grant.Users = append(grant.Users, p.account())
	}
	if !revoke {
		grant.WithGrant = p.words("WITH", "GRANT", "OPTION")
	}
	return grant
}

// known are the privileges that can be granted; those that this stand-in asks for are in the catalogue.
var known = map[string]bool{
	"ALL": true, "SELECT": true, "INSERT": true, "UPDATE": true, "DELETE": true, "CREATE": true, "DROP": true,
	"ALTER": true, "INDEX": true, "CREATE USER": true, "CREATE VIEW": true, "SHOW VIEW": true, "SHOW DATABASES": true,
	"PROCESS": true, "SUPER": true, "ALTER SYSTEM": true, "ALTER TENANT": true, "CREATE RESOURCE UNIT": true,
	"CREATE RESOURCE POOL": true, "USAGE": true, "FILE": true, "REPLICATION SLAVE": true, "REPLICATION CLIENT": true,
}
