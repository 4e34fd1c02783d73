package sql

import (
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

func (p *parser) database(verb string) Statement {
	change := &DatabaseChange{Verb: verb, Lenient: p.words("IF", "NOT", "EXISTS") || p.words("IF", "EXISTS")}
	change.Name = p.identifier()
	for p.at < len(p.tokens) && verb == "CREATE" { // CHARACTER SET and COLLATE: there is one of each.
		p.words("DEFAULT")
		if !p.words("CHARACTER", "SET") && !p.words("CHARSET") {
			p.need("COLLATE")
		}
		p.equals()
		p.value()
	}
	return change
}

var numeric = map[string]bool{
	"TINYINT": true, "SMALLINT": true, "MEDIUMINT": true, "INT": true, "INTEGER": true, "BIGINT": true, "BOOL": true, "BOOLEAN": true,
}

var lettered = map[string]bool{
	"CHAR": true, "VARCHAR": true, "TINYTEXT": true, "TEXT": true, "MEDIUMTEXT": true, "LONGTEXT": true,
	"DATE": true, "DATETIME": true, "TIMESTAMP": true,
}

func (p *parser) createTable() Statement {
	create := &CreateTable{Lenient: p.words("IF", "NOT", "EXISTS"), Name: p.name()}
	p.need("(")
	for {
		if p.words("PRIMARY", "KEY") {
			p.need("(")
			create.Key = p.texts()
			p.need(")")
		} else {
			p.column(create)
		}
		if !p.words(",") {
			break
		}
	}
	p.need(")")
	for p.at < len(p.tokens) { // ENGINE, CHARSET, COMMENT …: nothing here depends on them.
		p.words("DEFAULT")
		p.take(word)
		p.words("SET")
		p.equals()
		p.value()
	}
	return create
}

func (p *parser) column(create *CreateTable) {
	column := Column{Name: strings.ToLower(p.identifier())}
	kind := strings.ToUpper(p.take(word).text)
	if column.Numeric = numeric[kind]; !column.Numeric && !lettered[kind] {
		panic(fault.NotSupported("the type " + kind + " is"))
	}
	if p.words("(") {
		p.take(digits)
		p.need(")")
	}
	for !p.peek(",") && !p.peek(")") {
		switch {
		case p.words("NOT", "NULL"):
			column.NotNull = true
		case p.words("NULL"), p.words("SIGNED"):
		case p.words("PRIMARY", "KEY"):
			create.Key = append(create.Key, column.Name)
		case p.words("AUTO_INCREMENT"):
			column.Auto = true
		case p.words("DEFAULT", "NULL"):
		case p.words("DEFAULT"):
			to := Text(p.take(literal, digits).text)
			if column.Numeric {
				to = Number(to.Int())
			}
			column.Default = &to
		case p.words("COMMENT"):
			p.take(literal)
		case p.peek("UNSIGNED"), p.peek("UNIQUE"), p.peek("REFERENCES"), p.peek("CHECK"), p.peek("ON"):
			panic(fault.NotSupported("this option of a column is"))
		default:
			p.fail()
		}
	}
	create.Columns = append(create.Columns, column)
}

func (p *parser) insert() Statement {
	insert := &Insert{Replace: p.tokens[0].is("REPLACE"), Ignore: p.words("IGNORE")}
	p.words("INTO")
	insert.Name = p.name()
	if p.words("(") {
		insert.Columns = p.texts()
		p.need(")")
	}
	if p.peek("SELECT") || p.peek("SET") {
		panic(fault.NotSupported("INSERT without VALUES is"))
	}
	if !p.words("VALUES") {
		p.need("VALUE")
	}
	for {
		p.need("(")
		row := []Expr{p.expression()}
		for p.words(",") {
			row = append(row, p.expression())
		}
		p.need(")")
		insert.Rows = append(insert.Rows, row)
		if !p.words(",") {
			break
		}
	}
	if p.peek("ON") {
		panic(fault.NotSupported("ON DUPLICATE KEY UPDATE is"))
	}
	return insert
}

func (p *parser) update() Statement {
	update := &Update{Name: p.name()}
	p.need("SET")
	for {
		set := Assignment{Column: strings.ToLower(p.identifier())}
		p.need("=")
		set.To = p.expression()
		update.Set = append(update.Set, set)
		if !p.words(",") {
			break
		}
	}
	if p.words("WHERE") {
		update.Where = p.expression()
	}
	return update
}

func (p *parser) remove() Statement {
	p.need("FROM")
	remove := &Delete{Name: p.name()}
	if p.words("WHERE") {
		remove.Where = p.expression()
	}
	return remove
}
