package catalogue

import (
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// Table is an ordinary table: small, with a primary key, and whole in memory.
type Table struct {
	Columns []sql.Column
	Key     []int // positions of the key's columns
	Auto    int64 // the last number given by AUTO_INCREMENT
	Rows    map[string][]sql.Value
}

// reserved are databases that are not made of tables.
var reserved = []string{"oceanbase", "mysql", "information_schema"}

func (s *State) changeDatabase(change *sql.DatabaseChange) (*sql.Result, error) {
	name := strings.ToLower(change.Name)
	_, exists := s.Databases[name]
	switch {
	case has(reserved, name):
		return nil, fault.NotAllowed("%s database %s", strings.ToLower(change.Verb), name)
	case change.Verb == "CREATE" && exists && !change.Lenient:
		return nil, fault.New(1007, "HY000", "Can't create database '%s'; database exists", name)
	case change.Verb == "DROP" && !exists && !change.Lenient:
		return nil, fault.New(1008, "HY000", "Can't drop database '%s'; database doesn't exist", name)
	case change.Verb == "CREATE" && !exists:
		s.Databases[name] = map[string]*Table{}
	case change.Verb == "DROP":
		delete(s.Databases, name)
	}
	return &sql.Result{Affected: 1}, nil
}

// HasDatabase tells whether a session may use a database.
func (s *State) HasDatabase(name string) bool {
	name = strings.ToLower(name)
	return s.Founded && (has(reserved, name) || s.Databases[name] != nil)
}

func (s *State) place(database string, name sql.Name) (map[string]*Table, string, string, error) {
	if name.Database != "" {
		database = name.Database
	}
	database, table := strings.ToLower(database), strings.ToLower(name.Table)
	switch {
	case database == "":
		return nil, "", "", fault.NoneSelected()
	case has(reserved, database):
		return nil, "", "", fault.Denied("SUPER")
	case s.Databases[database] == nil:
		return nil, "", "", fault.NoDatabase(database)
	}
	return s.Databases[database], database, table, nil
}

func (s *State) table(database string, name sql.Name) (*Table, error) {
	tables, database, table, err := s.place(database, name)
	if err != nil {
		return nil, err
	}
	if tables[table] == nil {
		return nil, fault.NoTable(database, table)
	}
	return tables[table], nil
}

func (s *State) createTable(database string, create *sql.CreateTable) error {
	tables, _, name, err := s.place(database, create.Name)
	if err != nil {
		return err
	}
	if tables[name] != nil {
		if create.Lenient {
			return nil
		}
		return fault.New(1050, "42S01", "Table '%s' already exists", name)
	}
	table := &Table{Columns: create.Columns, Rows: map[string][]sql.Value{}}
	for _, key := range create.Key {
		at := table.position(key)
		if at < 0 {
			return fault.New(1072, "42000", "Key column '%s' doesn't exist in table", key)
		}
		table.Key = append(table.Key, at)
		table.Columns[at].NotNull = true
	}
	seen := map[string]bool{}
	for at, column := range table.Columns {
		if seen[column.Name] {
			return fault.New(1060, "42S21", "Duplicate column name '%s'", column.Name)
		}
		seen[column.Name] = true
		if column.Auto && (len(table.Key) != 1 || table.Key[0] != at || !column.Numeric) {
			return fault.NotSupported("AUTO_INCREMENT of anything but the one key column is")
		}
	}
	if len(table.Key) == 0 {
		return fault.NotSupported("a table without a primary key is")
	}
	tables[name] = table
	return nil
}

func (s *State) dropTable(database string, drop *sql.DropTable) error {
	tables, database, name, err := s.place(database, drop.Name)
	if err != nil {
		return err
	}
	if tables[name] == nil && !drop.Lenient {
		return fault.New(1051, "42S02", "Unknown table '%s.%s'", database, name)
	}
	delete(tables, name)
	return nil
}

func (t *Table) position(column string) int {
	for at := range t.Columns {
		if strings.EqualFold(t.Columns[at].Name, column) {
			return at
		}
	}
	return -1
}

// source is the table as a query sees it, in the order of its key.
func (t *Table) source() sql.Source {
	source := sql.Source{}
	for _, column := range t.Columns {
		source.Heads = append(source.Heads, sql.Head{Label: column.Name, Numeric: column.Numeric})
	}
	for _, key := range sorted(t.Rows) {
		source.Rows = append(source.Rows, t.Rows[key])
	}
	return source
}
