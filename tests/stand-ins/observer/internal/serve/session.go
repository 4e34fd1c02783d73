package serve

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/stmt"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/replica"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// session is one client's connection.
type session struct {
	node       Node
	journal    *Journal
	id         uint32
	user, from string
	database   string
	inside     bool
	open       bool          // the user has no password
	timeout    time.Duration // ob_query_timeout
	autocommit bool
}

// UseDB is the protocol's USE, and the database named at login.
func (s *session) UseDB(name string) error {
	if s.inside && !s.node.HasDatabase(name) {
		return wire(fault.NoDatabase(name))
	}
	s.database = name
	return nil
}

// HandleQuery carries out a statement of the text protocol.
func (s *session) HandleQuery(text string) (*mysql.Result, error) {
	result, err := s.run(strings.Clone(text)) // The library uses the bytes again.
	if err != nil {
		return nil, wire(fault.Of(err))
	}
	return encode(result, false)
}

// HandleStmtPrepare counts the parameters and tells the columns: some clients read results by what is said here.
func (s *session) HandleStmtPrepare(text string) (int, int, any, error) {
	text = strings.Clone(text)
	tokens, err := sql.Lex(text)
	if err != nil {
		return 0, 0, nil, wire(fault.Of(err))
	}
	marks := sql.Marks(tokens)
	trial, err := sql.Bind(text, empties(marks))
	if err != nil {
		return 0, 0, nil, wire(fault.Of(err))
	}
	statement, err := sql.Parse(trial)
	if err != nil {
		s.journal.statement(s.user, s.from, text, time.Now(), 0, err)
		return 0, 0, nil, wire(fault.Of(err))
	}
	heads, err := s.heads(statement)
	if err != nil {
		s.journal.statement(s.user, s.from, text, time.Now(), 0, err)
		return 0, 0, nil, wire(fault.Of(err))
	}
	prepared := &stmt.PreparedStmt{Params: marks, Columns: len(heads)}
	for range marks {
		prepared.RawParamFields = append(prepared.RawParamFields, field(sql.Head{Label: "?"}).Dump())
	}
	for _, head := range heads {
		prepared.RawColumnFields = append(prepared.RawColumnFields, field(head).Dump())
	}
	return marks, len(heads), prepared, nil
}

func (s *session) heads(statement sql.Statement) ([]sql.Head, error) {
	if local, err := s.local(statement); local != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return local.Heads, nil
	}
	return s.node.Heads(s.database, statement)
}

func empties(count int) []sql.Value {
	values := make([]sql.Value, count)
	for i := range values {
		values[i] = sql.Text("")
	}
	return values
}

// HandleStmtExecute carries out a prepared statement, with its arguments written into the text.
func (s *session) HandleStmtExecute(_ any, text string, args []any) (*mysql.Result, error) {
	values, err := arguments(args)
	if err == nil {
		text, err = sql.Bind(text, values)
	}
	if err != nil {
		return nil, wire(fault.Of(err))
	}
	result, err := s.run(text)
	if err != nil {
		return nil, wire(fault.Of(err))
	}
	return encode(result, true)
}

// arguments are the values of a prepared statement. The library forgets the types that a client sent the first time and
// leaves out later, and then gives nothing for every argument: that is refused, for it would store NULL.
func arguments(args []any) ([]sql.Value, error) {
	values, nothing := make([]sql.Value, len(args)), len(args) > 0
	for i, arg := range args {
		nothing = nothing && arg == nil
		switch arg := arg.(type) {
		case nil:
		case mysql.TypedBytes:
			switch arg.Type {
			case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_TIMESTAMP, mysql.MYSQL_TYPE_TIME:
				return nil, fault.NotSupported("a binary date as an argument is")
			}
			values[i] = sql.Text(string(arg.Bytes))
		case []byte:
			values[i] = sql.Text(string(arg))
		case float32, float64:
			values[i] = sql.Text(fmt.Sprint(arg))
		default:
			number, err := strconv.ParseInt(fmt.Sprint(arg), 10, 64)
			if err != nil {
				return nil, fault.NotSupported(fmt.Sprintf("an argument of type %T is", arg))
			}
			values[i] = sql.Number(number)
		}
	}
	if nothing {
		return nil, fault.NotSupported("a prepared statement whose arguments are all NULL is")
	}
	return values, nil
}

// HandleStmtClose, HandleFieldList and HandleOtherCommand are the rest of the protocol.
func (s *session) HandleStmtClose(any) error { return nil }

// HandleFieldList is for old command lines, which go on without it.
func (s *session) HandleFieldList(string, string) ([]*mysql.Field, error) {
	return nil, wire(fault.NotSupported("COM_FIELD_LIST is"))
}

// HandleOtherCommand answers COM_RESET_CONNECTION and refuses what is unknown.
func (s *session) HandleOtherCommand(command byte, _ []byte) error {
	if command == mysql.COM_RESET_CONNECTION {
		s.timeout, s.autocommit = 10*time.Second, true
		return nil
	}
	return wire(fault.NotSupported(fmt.Sprintf("command %d of the protocol is", command)))
}

// run carries out any statement and lists it.
func (s *session) run(text string) (result *sql.Result, err error) {
	began, index := time.Now(), uint64(0)
	defer func() { s.journal.statement(s.user, s.from, text, began, index, err) }()
	statement, err := sql.Parse(text)
	if err != nil {
		return nil, err
	}
	if result, err = s.local(statement); result != nil || err != nil {
		return result, err
	}
	reply := s.node.Execute(replica.Request{SQL: text, User: s.user, Database: s.database, Timeout: s.timeout})
	index = reply.Index
	if reply.Fault != nil {
		return nil, reply.Fault
	}
	return reply.Result, nil
}
