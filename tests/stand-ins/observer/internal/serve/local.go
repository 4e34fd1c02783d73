package serve

import (
	"strconv"
	"strings"
	"time"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// local answers what concerns only this session; nil is for what does not.
func (s *session) local(statement sql.Statement) (*sql.Result, error) {
	switch statement := statement.(type) {
	case *sql.Use:
		if !s.node.HasDatabase(statement.Database) {
			return nil, fault.NoDatabase(statement.Database)
		}
		s.database = statement.Database
		return &sql.Result{}, nil
	case *sql.SetSession:
		return &sql.Result{}, s.set(statement.Variables)
	case *sql.Transaction:
		// Every statement is a transaction. Where none is open, ending one does nothing in MySQL either.
		if statement.Verb == "BEGIN" || statement.Verb == "START" {
			return nil, fault.NotSupported("a transaction of more than one statement is")
		}
		return &sql.Result{}, nil
	case *sql.Select:
		if statement.From == nil {
			return statement.Run(sql.Source{Rows: [][]sql.Value{nil}}, s.variable)
		}
	case *sql.Show:
		switch statement.What {
		case "WARNINGS":
			return &sql.Result{Heads: []sql.Head{{Label: "Level"}, {Label: "Code", Numeric: true}, {Label: "Message"}}}, nil
		case "VARIABLES":
			return s.variables(statement)
		}
	}
	return nil, nil
}

func (s *session) set(variables map[string]string) error {
	for name, value := range variables {
		switch name {
		case "ob_query_timeout":
			micros, err := strconv.ParseInt(value, 10, 64)
			if err != nil || micros <= 0 {
				return fault.New(1232, "42000", "Incorrect argument type to variable 'ob_query_timeout'")
			}
			s.timeout = time.Duration(micros) * time.Microsecond
		case "autocommit":
			if value != "1" && !strings.EqualFold(value, "on") && !strings.EqualFold(value, "true") {
				return fault.NotSupported("SET autocommit = 0 is")
			}
		}
	}
	return nil
}

// fixed are variables that clients ask for when they connect.
var fixed = map[string]sql.Value{
	"max_allowed_packet": sql.Number(16777216), "wait_timeout": sql.Number(28800), "interactive_timeout": sql.Number(28800),
	"net_write_timeout": sql.Number(60), "sql_mode": sql.Text("STRICT_ALL_TABLES"), "time_zone": sql.Text("+00:00"),
	"system_time_zone": sql.Text("UTC"), "character_set_client": sql.Text("utf8mb4"),
	"character_set_connection": sql.Text("utf8mb4"), "character_set_results": sql.Text("utf8mb4"),
	"character_set_server": sql.Text("utf8mb4"), "character_set_database": sql.Text("utf8mb4"),
	"collation_connection": sql.Text("utf8mb4_general_ci"), "collation_server": sql.Text("utf8mb4_general_ci"),
	"collation_database": sql.Text("utf8mb4_general_ci"), "tx_isolation": sql.Text("READ-COMMITTED"),
	"transaction_isolation": sql.Text("READ-COMMITTED"), "autocommit": sql.Number(1), "socket": sql.Null,
	"lower_case_table_names": sql.Number(1), "auto_increment_increment": sql.Number(1), "init_connect": sql.Text(""),
	"license": sql.Text(""), "ob_trx_timeout": sql.Number(86400000000), "performance_schema": sql.Number(0),
}

func (s *session) variable(name string) (sql.Value, bool) {
	version := s.node.Identity().Version
	number, revision, _ := strings.Cut(version, "-")
	name = strings.TrimPrefix(strings.TrimPrefix(strings.TrimLeft(name, "@"), "session."), "global.")
	switch name {
	case "version()", "version":
		return sql.Text(handshake + "-OceanBase_CE-v" + number), true
	case "version_comment":
		return sql.Text("OceanBase_CE " + number + " (r" + revision + ") (stand-in for tests)"), true
	case "ob_version()":
		return sql.Text(number), true
	case "database()", "schema()":
		if s.database == "" {
			return sql.Null, true
		}
		return sql.Text(s.database), true
	case "user()", "current_user()", "session_user()":
		return sql.Text(s.user + "@" + s.from), true
	case "connection_id()":
		return sql.Number(int64(s.id)), true
	case "now()", "current_timestamp()", "sysdate()":
		return sql.Text(time.Now().UTC().Format(time.DateTime)), true
	case "ob_query_timeout":
		return sql.Number(s.timeout.Microseconds()), true
	}
	value, found := fixed[name]
	return value, found
}

func (s *session) variables(show *sql.Show) (*sql.Result, error) {
	source := sql.Source{Heads: []sql.Head{{Label: "Variable_name"}, {Label: "Value"}}}
	names := []string{"version", "version_comment", "ob_query_timeout"}
	for name := range fixed {
		names = append(names, name)
	}
	for _, name := range names {
		value, _ := s.variable(name)
		if show.Like == "" || sql.Like(name, show.Like) {
			source.Rows = append(source.Rows, []sql.Value{sql.Text(name), sql.Text(value.String())})
		}
	}
	return (&sql.Select{Items: []sql.Item{{Star: true}}, Where: show.Where, Limit: -1}).Run(source, nil)
}
