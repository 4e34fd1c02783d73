package sql

import (
	"sort"
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

// Head is one column of a result.
type Head struct {
	Label   string
	Numeric bool
}

// Result is what a query finds.
type Result struct {
	Heads    []Head
	Rows     [][]Value
	Affected uint64
	InsertID uint64
}

// Source is what is selected from: a view, a table, or (without heads and with one empty row) nothing.
type Source struct {
	Heads []Head
	Rows  [][]Value
}

// Heads tells the columns that a query will have: clients want to know them when a statement is prepared.
func (s *Select) Heads(source Source) ([]Head, error) {
	index := source.index()
	var heads []Head
	for _, item := range s.Items {
		if item.Star {
			if len(source.Heads) == 0 {
				return nil, fault.New(1096, "HY000", "No tables used")
			}
			heads = append(heads, source.Heads...)
			continue
		}
		var missing error
		item.Expr.columns(func(name string) {
			if _, found := index[name]; !found {
				missing = fault.NoColumn(name)
			}
		})
		if missing != nil {
			return nil, missing
		}
		heads = append(heads, Head{Label: item.Label, Numeric: numericOf(item.Expr, source, index)})
	}
	return heads, nil
}

func (s Source) index() map[string]int {
	index := map[string]int{}
	for i, head := range s.Heads {
		index[strings.ToLower(head.Label)] = i
	}
	return index
}

func numericOf(expr Expr, source Source, index map[string]int) bool {
	switch e := expr.(type) {
	case *constant:
		return e.is.IsNumber()
	case *column:
		at, found := index[e.name]
		return found && source.Heads[at].Numeric
	case *call:
		switch e.name {
		case "COUNT", "SUM", "LENGTH", "CHAR_LENGTH", "CONNECTION_ID":
			return true
		case "MAX", "MIN", "COALESCE", "IFNULL":
			return len(e.args) > 0 && numericOf(e.args[0], source, index)
		}
		return false
	case *system:
		return numericVariables[strings.TrimLeft(e.name, "@")]
	}
	return true
}

var numericVariables = map[string]bool{
	"max_allowed_packet": true, "wait_timeout": true, "autocommit": true, "ob_query_timeout": true, "ob_trx_timeout": true,
	"session.autocommit": true, "lower_case_table_names": true, "auto_increment_increment": true, "net_write_timeout": true,
	"interactive_timeout": true, "session.auto_increment_increment": true,
}

// Run answers the query.
func (s *Select) Run(source Source, session func(string) (Value, bool)) (*Result, error) {
	heads, err := s.Heads(source)
	if err != nil {
		return nil, err
	}
	index := source.index()
	var found []Scope
	var whole [][]Value
	for _, row := range source.Rows {
		scope := Scope{Session: session, Row: func(name string) (Value, bool) {
			at, known := index[name]
			if !known {
				return Null, false
			}
			return row[at], true
		}}
		holds, err := Holds(s.Where, scope)
		if err != nil {
			return nil, err
		}
		if holds {
			found, whole = append(found, scope), append(whole, row)
		}
	}
	result := &Result{Heads: heads}
	if totals, err := s.totals(found); totals != nil || err != nil {
		result.Rows = [][]Value{totals}
		return result, err
	}
	if err := s.sort(found, whole); err != nil {
		return nil, err
	}
	for at, scope := range found {
		if s.Limit >= 0 && at >= s.Limit {
			break
		}
		var row []Value
		for _, item := range s.Items {
			if item.Star {
				row = append(row, whole[at]...)
				continue
			}
			value, err := item.Expr.value(scope)
			if err != nil {
				return nil, err
			}
			row = append(row, value)
		}
		result.Rows = append(result.Rows, row)
	}
	return result, nil
}

// totals is the one row of a query of aggregates, or nil for any other query.
func (s *Select) totals(found []Scope) ([]Value, error) {
	var row []Value
	for _, item := range s.Items {
		call, is := aggregate(item.Expr)
		if !is {
			if row != nil {
				return nil, fault.NotSupported("a mixture of totals and columns is")
			}
			continue
		}
		value, err := call.total(found)
		if err != nil {
			return nil, err
		}
		row = append(row, value)
	}
	if row != nil && len(row) != len(s.Items) {
		return nil, fault.NotSupported("a mixture of totals and columns is")
	}
	return row, nil
}

func (s *Select) sort(found []Scope, whole [][]Value) error {
	if len(s.Order) == 0 {
		return nil
	}
	type keyed struct {
		scope Scope
		row   []Value
		keys  []Value
	}
	rows := make([]keyed, len(found))
	for i := range found {
		rows[i] = keyed{scope: found[i], row: whole[i]}
		for _, order := range s.Order {
			value, err := order.Expr.value(found[i])
			if err != nil {
				return err
			}
			rows[i].keys = append(rows[i].keys, value)
		}
	}
	sort.SliceStable(rows, func(a, b int) bool {
		for i, order := range s.Order {
			if c := rows[a].keys[i].Compare(rows[b].keys[i]); c != 0 {
				return c < 0 != order.Descending
			}
		}
		return false
	})
	for i := range rows {
		found[i], whole[i] = rows[i].scope, rows[i].row
	}
	return nil
}
