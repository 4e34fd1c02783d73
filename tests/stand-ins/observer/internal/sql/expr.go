package sql

import (
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

// Expr is something with a value for a row.
type Expr interface {
	value(Scope) (Value, error)
	columns(func(name string))
}

// Scope is where names get their meaning.
type Scope struct {
	Row     func(column string) (Value, bool)
	Session func(name string) (Value, bool)
}

// Evaluate gives an expression's value where there is no row.
func Evaluate(expr Expr, scope Scope) (Value, error) { return expr.value(scope) }

// Holds tells whether a row meets a condition; no condition holds for all.
func Holds(where Expr, scope Scope) (bool, error) {
	if where == nil {
		return true, nil
	}
	value, err := where.value(scope)
	return err == nil && !value.IsNull() && value.Int() != 0, err
}

type (
	constant struct{ is Value }
	column   struct{ name, label string }
	system   struct{ name string }
	negated  struct{ of Expr }
	isNull   struct{ of Expr }
	oneOf    struct {
		of   Expr
		list []Expr
	}
	binary struct {
		operator    string
		left, right Expr
	}
	call struct {
		name string
		args []Expr
	}
)

func (e *constant) value(Scope) (Value, error) { return e.is, nil }

func (e *column) value(scope Scope) (Value, error) {
	if scope.Row != nil {
		if value, found := scope.Row(e.name); found {
			return value, nil
		}
	}
	return Null, fault.NoColumn(e.label)
}

func (e *system) value(scope Scope) (Value, error) {
	if scope.Session != nil {
		if value, found := scope.Session(e.name); found {
			return value, nil
		}
	}
	if !strings.HasPrefix(e.name, "@@") {
		return Null, nil // A user's variable that was never set.
	}
	return Null, fault.New(1193, "HY000", "Unknown system variable '%s'", strings.TrimLeft(e.name, "@"))
}

func (e *negated) value(scope Scope) (Value, error) {
	value, err := e.of.value(scope)
	if err != nil || value.IsNull() {
		return Null, err
	}
	return Bool(value.Int() == 0), nil
}

func (e *isNull) value(scope Scope) (Value, error) {
	value, err := e.of.value(scope)
	return Bool(value.IsNull()), err
}

func (e *oneOf) value(scope Scope) (Value, error) {
	of, err := e.of.value(scope)
	if err != nil || of.IsNull() {
		return Null, err
	}
	for _, candidate := range e.list {
		value, err := candidate.value(scope)
		if err != nil || !value.IsNull() && of.Compare(value) == 0 {
			return Bool(true), err
		}
	}
	return Bool(false), nil
}

func (e *binary) value(scope Scope) (Value, error) {
	left, err := e.left.value(scope)
	if err != nil {
		return Null, err
	}
	right, err := e.right.value(scope)
	if err != nil {
		return Null, err
	}
	yes := func(v Value) bool { return !v.IsNull() && v.Int() != 0 }
	switch e.operator {
	case "OR":
		return Bool(yes(left) || yes(right)), nil
	case "AND":
		return Bool(yes(left) && yes(right)), nil
	}
	if left.IsNull() || right.IsNull() {
		return Null, nil
	}
	order := left.Compare(right)
	switch e.operator {
	case "=":
		return Bool(order == 0), nil
	case "<>", "!=":
		return Bool(order != 0), nil
	case "<":
		return Bool(order < 0), nil
	case "<=":
		return Bool(order <= 0), nil
	case ">":
		return Bool(order > 0), nil
	case ">=":
		return Bool(order >= 0), nil
	case "LIKE":
		return Bool(Like(left.String(), right.String())), nil
	case "+":
		return Number(left.Int() + right.Int()), nil
	case "-":
		return Number(left.Int() - right.Int()), nil
	}
	return Number(left.Int() * right.Int()), nil
}

// Like is MySQL's pattern: % for any text, _ for one character, without case.
func Like(text, pattern string) bool { return like(strings.ToLower(text), strings.ToLower(pattern)) }

func like(text, pattern string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '%':
		return like(text, pattern[1:]) || text != "" && like(text[1:], pattern)
	case text == "":
		return false
	case pattern[0] == '\\' && len(pattern) > 1:
		return text[0] == pattern[1] && like(text[1:], pattern[2:])
	}
	return (pattern[0] == '_' || pattern[0] == text[0]) && like(text[1:], pattern[1:])
}

func (e *constant) columns(func(string))      {}
func (e *column) columns(see func(string))    { see(e.name) }
func (e *system) columns(func(string))        {}
func (e *negated) columns(see func(string))   { e.of.columns(see) }
func (e *isNull) columns(see func(string))    { e.of.columns(see) }
func (e *binary) columns(see func(string))    { e.left.columns(see); e.right.columns(see) }
func (e *call) columns(see func(name string)) { every(e.args, see) }
func (e *oneOf) columns(see func(string))     { e.of.columns(see); every(e.list, see) }

func every(list []Expr, see func(string)) {
	for _, one := range list {
		one.columns(see)
	}
}
