package sql

import (
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

func aggregate(expr Expr) (*call, bool) {
	call, is := expr.(*call)
	if !is {
		return nil, false
	}
	switch call.name {
	case "COUNT", "MAX", "MIN", "SUM":
		return call, true
	}
	return nil, false
}

// value of a function; those that a session answers are asked as if they were variables.
func (e *call) value(scope Scope) (Value, error) {
	if scope.Session != nil && len(e.args) == 0 {
		if value, found := scope.Session(strings.ToLower(e.name) + "()"); found {
			return value, nil
		}
	}
	args := make([]Value, len(e.args))
	for i, arg := range e.args {
		var err error
		if args[i], err = arg.value(scope); err != nil {
			return Null, err
		}
	}
	switch {
	case (e.name == "LOWER" || e.name == "LCASE") && len(args) == 1:
		return map1(args[0], strings.ToLower), nil
	case (e.name == "UPPER" || e.name == "UCASE") && len(args) == 1:
		return map1(args[0], strings.ToUpper), nil
	case (e.name == "COALESCE" || e.name == "IFNULL") && len(args) > 0:
		for _, arg := range args {
			if !arg.IsNull() {
				return arg, nil
			}
		}
		return Null, nil
	case e.name == "CONCAT":
		out := ""
		for _, arg := range args {
			if arg.IsNull() {
				return Null, nil
			}
			out += arg.String()
		}
		return Text(out), nil
	case (e.name == "LENGTH" || e.name == "CHAR_LENGTH") && len(args) == 1:
		return Number(int64(len(args[0].String()))), nil
	case e.name == "CHARSET" && len(args) == 1:
		return Text("utf8mb4"), nil
	}
	return Null, fault.New(1305, "42000", "FUNCTION %s does not exist", strings.ToLower(e.name))
}

func map1(value Value, by func(string) string) Value {
	if value.IsNull() {
		return value
	}
	return Text(by(value.String()))
}

// total is an aggregate's value over the rows that were found.
func (e *call) total(rows []Scope) (Value, error) {
	if len(e.args) != 1 {
		return Null, fault.Syntax("%s takes one argument", e.name)
	}
	count, sum, best := int64(0), int64(0), Null
	for _, scope := range rows {
		value, err := e.args[0].value(scope)
		if err != nil {
			return Null, err
		}
		if value.IsNull() {
			continue
		}
		if count == 0 || e.name == "MAX" && value.Compare(best) > 0 || e.name == "MIN" && value.Compare(best) < 0 {
			best = value
		}
		count++
		sum += value.Int()
	}
	switch {
	case e.name == "COUNT":
		return Number(count), nil
	case e.name == "SUM" && count > 0:
		return Number(sum), nil
	}
	return best, nil
}
