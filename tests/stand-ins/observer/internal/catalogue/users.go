package catalogue

import (
	"sort"
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

func (s *State) changeUsers(session string, change *sql.UserChange) error {
	operation := change.Verb + " USER"
	for _, account := range change.Users {
		name := account.Name
		if name == "" {
			name = session
		}
		_, exists := s.Users[name]
		switch {
		case change.Verb == "CREATE" && exists && !change.Lenient, change.Verb != "CREATE" && !exists && !change.Lenient:
			return fault.UserFailed(operation, name)
		case change.Verb == "DROP" && name == "root":
			return fault.NotAllowed("drop user root")
		}
	}
	for _, account := range change.Users {
		name := account.Name
		if name == "" {
			name = session
		}
		user, exists := s.Users[name]
		switch {
		case change.Verb == "DROP":
			delete(s.Users, name)
		case change.Verb == "CREATE" && !exists:
			user = &User{Granted: map[string][]string{}, Created: s.Now}
			if account.Password != nil {
				user.Password = *account.Password
			}
			s.Users[name] = user
		case change.Verb == "ALTER" && exists:
			user.Password = *account.Password
		}
	}
	return nil
}

func (s *State) grant(grant *sql.Grant) error {
	for _, name := range grant.Users {
		if s.Users[name] == nil {
			return fault.NoUser()
		}
	}
	for _, name := range grant.Users {
		user := s.Users[name]
		granted := user.Granted[grant.On]
		for _, privilege := range grant.Privileges {
			switch {
			case grant.Revoke && privilege == "ALL":
				granted = nil
			case grant.Revoke:
				granted = without(granted, []string{privilege})
			case privilege != "USAGE" && !has(granted, privilege):
				granted = append(granted, privilege)
			}
		}
		sort.Strings(granted)
		if user.Granted[grant.On] = granted; len(granted) == 0 {
			delete(user.Granted, grant.On)
		}
		user.MayGrant = user.MayGrant || grant.WithGrant
	}
	return nil
}

// holds tells whether a user has a privilege on a table, its database or everything.
func (s *State) holds(name, privilege, database, table string) bool {
	user := s.Users[name]
	if user == nil {
		return false
	}
	for _, on := range []string{"*.*", strings.ToLower(database) + ".*", strings.ToLower(database + "." + table)} {
		if granted := user.Granted[on]; has(granted, "ALL") || has(granted, privilege) {
			return true
		}
	}
	return false
}

func (s *State) may(user, database string, statement sql.Statement) error {
	everywhere := func(privilege string) error {
		if s.holds(user, privilege, "", "") {
			return nil
		}
		return fault.Denied(privilege)
	}
	on := func(privilege string, name sql.Name) error {
		if name.Database == "" {
			name.Database = database
		}
		if s.holds(user, privilege, name.Database, name.Table) {
			return nil
		}
		return fault.New(1142, "42000", "%s command denied to user '%s'@'%%' for table '%s'", privilege, user, name.Table)
	}
	switch statement := statement.(type) {
	case *sql.UserChange:
		own := statement.Verb == "ALTER"
		for _, account := range statement.Users {
			own = own && (account.Name == "" || account.Name == user)
		}
		if own {
			return nil // Everybody may change the own password.
		}
		return everywhere("CREATE USER")
	case *sql.Grant:
		if s.Users[user] == nil || !s.Users[user].MayGrant {
			return fault.Denied("GRANT OPTION")
		}
		return nil
	case *sql.Unit, *sql.Pool:
		return everywhere("CREATE RESOURCE POOL")
	case *sql.AlterTenant:
		return everywhere("ALTER TENANT")
	case *sql.DatabaseChange:
		return on(statement.Verb, sql.Name{Database: statement.Name})
	case *sql.CreateTable:
		return on("CREATE", statement.Name)
	case *sql.DropTable:
		return on("DROP", statement.Name)
	case *sql.Insert:
		return on("INSERT", statement.Name)
	case *sql.Update:
		return on("UPDATE", statement.Name)
	case *sql.Delete:
		return on("DELETE", statement.Name)
	case *sql.Select:
		if statement.From == nil {
			return nil
		}
		return on("SELECT", *statement.From)
	case *sql.Show, *sql.Use, *sql.SetSession, *sql.Transaction:
		return nil
	}
	return everywhere("ALTER SYSTEM")
}
