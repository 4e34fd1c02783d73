package sql

import (
	"strconv"
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

func (p *parser) query() Statement {
	query := &Select{Limit: -1}
	if p.peek("DISTINCT") {
		panic(fault.NotSupported("DISTINCT is"))
	}
	for {
		query.Items = append(query.Items, p.item())
		if !p.words(",") {
			break
		}
	}
	if p.words("FROM") {
		name := p.name()
		query.From = &name
		if p.peek(",") || p.peek("JOIN") || p.peek("LEFT") || p.peek("INNER") {
			panic(fault.NotSupported("a query of more than one table is"))
		}
		if p.words("AS") {
			p.identifier()
		}
	}
	if p.words("WHERE") {
		query.Where = p.expression()
	}
	if p.peek("GROUP") || p.peek("HAVING") || p.peek("UNION") || p.peek("EXCEPT") {
		panic(fault.NotSupported(strings.ToUpper(p.tokens[p.at].text) + " is"))
	}
	if p.words("ORDER", "BY") {
		for {
			order := Order{Expr: p.expression()}
			if order.Descending = p.words("DESC"); !order.Descending {
				p.words("ASC")
			}
			query.Order = append(query.Order, order)
			if !p.words(",") {
				break
			}
		}
	}
	if p.words("LIMIT") {
		limit, err := strconv.Atoi(p.take(digits, literal).text)
		if err == nil {
			query.Limit = limit
		}
	}
	if p.words("FOR", "UPDATE") {
		panic(fault.NotSupported("FOR UPDATE is"))
	}
	return query
}

func (p *parser) item() Item {
	if p.words("*") {
		return Item{Star: true}
	}
	from := p.at
	item := Item{Expr: p.expression()}
	for at := from; at < p.at; at++ {
		item.Label += p.tokens[at].text
	}
	if column, is := item.Expr.(*column); is {
		item.Label = column.label
	}
	if p.words("AS") {
		item.Label = p.take(word, quoted, literal).text
	} else if p.at < len(p.tokens) && !p.peek("FROM") && !p.peek("LIMIT") && !p.peek("WHERE") {
		if class := p.tokens[p.at].class; class == word || class == quoted {
			item.Label = p.identifier()
		}
	}
	return item
}

// expression reads by falling precedence: OR, AND, NOT, comparison, sum, product, atom.
func (p *parser) expression() Expr {
	left := p.conjunction()
	for p.words("OR") {
		left = &binary{"OR", left, p.conjunction()}
	}
	return left
}

func (p *parser) conjunction() Expr {
	left := p.negation()
	for p.words("AND") {
		left = &binary{"AND", left, p.negation()}
	}
	return left
}

func (p *parser) negation() Expr {
	if p.words("NOT") {
		return &negated{p.negation()}
	}
	return p.comparison()
}

func (p *parser) comparison() Expr {
	left := p.sum()
	for {
		negate := p.words("NOT")
		var made Expr
		switch {
		case p.words("LIKE"):
			made = &binary{"LIKE", left, p.sum()}
		case p.words("IN"):
			p.need("(")
			in := &oneOf{left, []Expr{p.expression()}}
			for p.words(",") {
				in.list = append(in.list, p.expression())
			}
			p.need(")")
			made = in
		case p.words("BETWEEN"):
			low := p.sum()
			p.need("AND")
			made = &binary{"AND", &binary{">=", left, low}, &binary{"<=", left, p.sum()}}
		case negate:
			p.fail()
		case p.words("IS"):
			not := p.words("NOT")
			p.need("NULL")
			if made = Expr(&isNull{left}); not {
				made = &negated{made}
			}
		default:
			for _, operator := range []string{"=", "<=", ">=", "<>", "!=", "<", ">"} {
				if p.words(operator) {
					made = &binary{operator, left, p.sum()}
					break
				}
			}
			if made == nil {
				return left
			}
		}
		if negate {
			made = &negated{made}
		}
		left = made
	}
}

func (p *parser) sum() Expr {
	left := p.product()
	for p.peek("+") || p.peek("-") {
		operator := p.one("+", "-")
		left = &binary{operator, left, p.product()}
	}
	return left
}

func (p *parser) product() Expr {
	left := p.atom()
	for p.words("*") {
		left = &binary{"*", left, p.atom()}
	}
	return left
}

func (p *parser) atom() Expr {
	if p.words("(") {
		inside := p.expression()
		p.need(")")
		return inside
	}
	if p.words("-") {
		return &binary{"-", &constant{Number(0)}, p.atom()}
	}
	if p.words("NULL") {
		return &constant{Null}
	}
	if p.words("TRUE") {
		return &constant{Number(1)}
	}
	if p.words("FALSE") {
		return &constant{Number(0)}
	}
	token := p.take(literal, digits, variable, word, quoted)
	switch token.class {
	case literal:
		return &constant{Text(token.text)}
	case digits:
		if n, err := strconv.ParseInt(token.text, 10, 64); err == nil {
			return &constant{Number(n)}
		}
		return &constant{Text(token.text)}
	case variable:
		return &system{strings.ToLower(token.text)}
	}
	if token.class == word && p.words("(") {
		call := &call{name: strings.ToUpper(token.text)}
		for !p.words(")") {
			if p.words("*") {
				call.args = append(call.args, &constant{Number(1)})
			} else {
				call.args = append(call.args, p.expression())
			}
			p.words(",")
		}
		return call
	}
	if p.words(".") { // table.column: there is but one table.
		token = p.take(word, quoted)
	}
	return &column{name: strings.ToLower(token.text), label: token.text}
}
