package catalogue

import (
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

var parameterView = view{
	"SVR_IP #SVR_PORT ZONE SCOPE #TENANT_ID NAME DATA_TYPE VALUE INFO SECTION EDIT_LEVEL DEFAULT_VALUE ISDEFAULT",
	func(s *State, _ Facts) (rows [][]any) {
		names := s.names()
		for _, server := range s.Servers {
			if !server.Alive {
				continue // The real view asks each server, so one that is down has no rows.
			}
			for _, name := range names {
				parameter, found := Parameters[name]
				if !found {
					parameter.Kind = "STRING"
				}
				level, value := "DYNAMIC_EFFECTIVE", s.Effective(server, name)
				if parameter.Fixed {
					level = "READONLY"
				}
				rows = append(rows, []any{
					server.IP, server.Port, server.Zone, "CLUSTER", nil, name, parameter.Kind, value, "", "OBSERVER", level,
					parameter.Default, value == parameter.Default,
				})
			}
		}
		return rows
	},
}

var configViews = map[string]view{
	"oceanbase.gv$ob_parameters": parameterView,
	"oceanbase.v$ob_parameters":  parameterView,
}

var userViews = map[string]view{
	"mysql.user": {
		"host user",
		func(s *State, _ Facts) (rows [][]any) {
			for _, name := range sorted(s.Users) {
				rows = append(rows, []any{"%", name})
			}
			return rows
		},
	},
	"oceanbase.dba_ob_users": {
		"USER_NAME HOST CREATE_TIME",
		func(s *State, _ Facts) (rows [][]any) {
			for _, name := range sorted(s.Users) {
				rows = append(rows, []any{name, "%", when(s.Users[name].Created)})
			}
			return rows
		},
	},
}

// Show answers SHOW.
func (s *State) Show(user, database string, show *sql.Show, facts Facts) (*sql.Result, error) {
	made := view{}
	switch show.What {
	case "DATABASES":
		made = view{"Database", func(s *State, _ Facts) (rows [][]any) {
			for _, name := range append(append([]string(nil), reserved...), sorted(s.Databases)...) {
				rows = append(rows, []any{name})
			}
			return rows
		}}
	case "TABLES":
		if show.Database != "" {
			database = show.Database
		}
		tables, _, _, err := s.place(database, sql.Name{})
		if err != nil {
			return nil, err
		}
		made = view{"Tables_in_" + database, func(*State, Facts) (rows [][]any) {
			for _, name := range sorted(tables) {
				rows = append(rows, []any{name})
			}
			return rows
		}}
	case "GRANTS":
		if show.User != "" {
			user = show.User
		}
		grants, err := s.grantsOf(user)
		if err != nil {
			return nil, err
		}
		made = view{"Grants", func(*State, Facts) [][]any { return grants }}
	case "PARAMETERS":
		made = view{
			"zone svr_type svr_ip #svr_port name data_type value info section scope source edit_level default_value isdefault",
			func(s *State, facts Facts) (rows [][]any) {
				for _, row := range parameterView.rows(s, facts) {
					rows = append(rows, []any{
						row[2], "observer", row[0], row[1], row[5], row[6], row[7], row[8], row[9], row[3], "DEFAULT", row[10], row[11], row[12],
					})
				}
				return rows
			},
		}
	}
	source, at := made.source(s, facts), 0
	if show.What == "PARAMETERS" {
		at = 4
	}
	kept := source.Rows[:0:0]
	for _, row := range source.Rows {
		if show.Like == "" || sql.Like(row[at].String(), show.Like) {
			kept = append(kept, row)
		}
	}
	source.Rows = kept
	all := &sql.Select{Items: []sql.Item{{Star: true}}, Where: show.Where, Limit: -1}
	return all.Run(source, nil)
}

func (s *State) grantsOf(name string) ([][]any, error) {
	user := s.Users[name]
	if user == nil {
		return nil, errNoGrant(name)
	}
	rows := [][]any{}
	for _, on := range sorted(user.Granted) {
		list := strings.Replace(strings.Join(user.Granted[on], ", "), "ALL", "ALL PRIVILEGES", 1)
		text := "GRANT " + list + " ON " + on + " TO '" + name + "'"
		if user.MayGrant {
			text += " WITH GRANT OPTION"
		}
		rows = append(rows, []any{text})
	}
	if len(rows) == 0 {
		rows = append(rows, []any{"GRANT USAGE ON *.* TO '" + name + "'"})
	}
	return rows, nil
}
