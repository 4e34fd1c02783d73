package catalogue

import (
	"fmt"
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// id is a row's key as one text that sorts as the key does, and is the same for texts that differ only in case.
func (t *Table) id(row []sql.Value) string {
	var parts []string
	for _, at := range t.Key {
		if t.Columns[at].Numeric {
			parts = append(parts, fmt.Sprintf("%020d", uint64(row[at].Int())+1<<63))
		} else {
			parts = append(parts, strings.ToLower(row[at].String()))
		}
	}
	return strings.Join(parts, "\x00")
}

// fit makes a value one of the column's type, and refuses what MySQL's strict mode refuses.
func (t *Table) fit(at int, value sql.Value) (sql.Value, error) {
	column := t.Columns[at]
	switch {
	case value.IsNull() && column.NotNull:
		return value, fault.New(1048, "23000", "Column '%s' cannot be null", column.Name)
	case value.IsNull(), value.IsNumber() == column.Numeric:
		return value, nil
	case !column.Numeric:
		return sql.Text(value.String()), nil
	}
	if number := sql.Number(value.Int()); number.String() == value.String() {
		return number, nil
	}
	return value, fault.New(1366, "HY000", "Incorrect integer value: '%s' for column '%s'", value, column.Name)
}

func (s *State) insert(database string, insert *sql.Insert) (*sql.Result, error) {
	table, err := s.table(database, insert.Name)
	if err != nil {
		return nil, err
	}
	positions := make([]int, 0, len(table.Columns))
	for at := range table.Columns {
		if insert.Columns == nil {
			positions = append(positions, at)
		}
	}
	for _, name := range insert.Columns {
		at := table.position(name)
		if at < 0 {
			return nil, fault.NoColumn(name)
		}
		positions = append(positions, at)
	}
	result, auto, fresh := &sql.Result{}, table.Auto, map[string][]sql.Value{}
	for _, exprs := range insert.Rows {
		row, err := table.row(positions, exprs, &auto, result)
		if err != nil {
			return nil, err
		}
		id := table.id(row)
		_, stands := table.Rows[id]
		if _, twice := fresh[id]; twice {
			stands = true
		}
		switch {
		case stands && insert.Ignore:
			continue
		case stands && !insert.Replace:
			return nil, fault.New(1062, "23000", "Duplicate entry '%s' for key 'PRIMARY'", table.shown(row))
		case stands:
			result.Affected++ // REPLACE counts the row that it takes away as well.
		}
		fresh[id] = row
		result.Affected++
	}
	table.Auto = auto
	for id, row := range fresh {
		table.Rows[id] = row
	}
	return result, nil
}

func (t *Table) row(positions []int, exprs []sql.Expr, auto *int64, result *sql.Result) ([]sql.Value, error) {
	if len(exprs) != len(positions) {
		return nil, fault.New(1136, "21S01", "Column count doesn't match value count at row 1")
	}
	row, given := make([]sql.Value, len(t.Columns)), map[int]bool{}
	for i, at := range positions {
		value, err := sql.Evaluate(exprs[i], sql.Scope{})
		if err != nil {
			return nil, err
		}
		row[at], given[at] = value, true
	}
	for at, column := range t.Columns {
		switch {
		case column.Auto && (row[at].IsNull() || row[at].IsNumber() && row[at].Int() == 0):
			*auto++
			row[at] = sql.Number(*auto)
			if result.InsertID == 0 {
				result.InsertID = uint64(*auto)
			}
		case !given[at] && column.Default != nil:
			row[at] = *column.Default
		case !given[at] && column.NotNull:
			return nil, fault.New(1364, "HY000", "Field '%s' doesn't have a default value", column.Name)
		}
		value, err := t.fit(at, row[at])
		if err != nil {
			return nil, err
		}
		if row[at] = value; column.Auto && value.Int() > *auto {
			*auto = value.Int()
		}
	}
	return row, nil
}

func (t *Table) shown(row []sql.Value) string {
	var parts []string
	for _, at := range t.Key {
		parts = append(parts, row[at].String())
	}
	return strings.Join(parts, "-")
}

// found are the keys of the rows that meet a condition.
func (t *Table) found(where sql.Expr) ([]string, error) {
	var ids []string
	for _, id := range sorted(t.Rows) {
		holds, err := sql.Holds(where, t.scope(t.Rows[id]))
		if err != nil {
			return nil, err
		}
		if holds {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (t *Table) scope(row []sql.Value) sql.Scope {
	return sql.Scope{Row: func(name string) (sql.Value, bool) {
		if at := t.position(name); at >= 0 {
			return row[at], true
		}
		return sql.Null, false
	}}
}

func (s *State) update(database string, update *sql.Update) (*sql.Result, error) {
	table, err := s.table(database, update.Name)
	if err != nil {
		return nil, err
	}
	ids, err := table.found(update.Where)
	if err != nil {
		return nil, err
	}
	changed := map[string][]sql.Value{}
	for _, id := range ids {
		row := append([]sql.Value(nil), table.Rows[id]...)
		different := false
		for _, set := range update.Set {
			at := table.position(set.Column)
			if at < 0 {
				return nil, fault.NoColumn(set.Column)
			}
			value, err := sql.Evaluate(set.To, table.scope(row))
			if err != nil {
				return nil, err
			}
			if value, err = table.fit(at, value); err != nil {
				return nil, err
			}
			different = different || value != row[at]
			row[at] = value
		}
		if table.id(row) != id {
			return nil, fault.NotSupported("an update of the primary key is")
		}
		if different {
			changed[id] = row
		}
	}
	for id, row := range changed {
		table.Rows[id] = row
	}
	return &sql.Result{Affected: uint64(len(changed))}, nil // Like MySQL: rows that changed, not rows that were found.
}

func (s *State) remove(database string, remove *sql.Delete) (*sql.Result, error) {
	table, err := s.table(database, remove.Name)
	if err != nil {
		return nil, err
	}
	ids, err := table.found(remove.Where)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		delete(table.Rows, id)
	}
	return &sql.Result{Affected: uint64(len(ids))}, nil
}
