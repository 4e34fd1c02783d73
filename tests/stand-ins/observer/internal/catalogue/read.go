package catalogue

import (
	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

func errNoGrant(name string) error {
	return fault.New(1141, "42000", "There is no such grant defined for user '%s' on host '%%'", name)
}

// Read answers a statement that changes nothing.
func (s *State) Read(user, database string, statement sql.Statement, facts Facts, session func(string) (sql.Value, bool)) (*sql.Result, error) {
	if err := s.reader(user, database, statement); err != nil {
		return nil, err
	}
	switch statement := statement.(type) {
	case *sql.Select:
		source, err := s.Source(database, statement, facts)
		if err != nil {
			return nil, err
		}
		return statement.Run(source, session)
	case *sql.Show:
		return s.Show(user, database, statement, facts)
	}
	return nil, fault.NotSupported("this statement is")
}

// reader lets nobody read where there is nothing yet: the answer then is that there is no such table.
func (s *State) reader(user, database string, statement sql.Statement) error {
	if !s.Founded {
		if query, is := statement.(*sql.Select); is {
			_, err := s.Source(database, query, Facts{})
			return err
		}
		return fault.Inner()
	}
	return s.may(user, database, statement)
}

// Heads tells the columns of a query before it is run.
func (s *State) Heads(database string, statement sql.Statement) ([]sql.Head, error) {
	switch statement := statement.(type) {
	case *sql.Select:
		source, err := s.Source(database, statement, Facts{})
		if err != nil {
			return nil, err
		}
		return statement.Heads(source)
	case *sql.Show:
		result, err := s.Show("root", database, statement, Facts{})
		if err != nil {
			return nil, err
		}
		return result.Heads, nil
	}
	return nil, nil
}
