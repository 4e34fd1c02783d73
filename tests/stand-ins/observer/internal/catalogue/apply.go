package catalogue

import (
	"net"
	"strconv"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// Command is one entry of the replicated log. Exactly one of Founding, SQL, Seen and Tick says what it is.
type Command struct {
	At       int64 // microseconds
	Timing   Timing
	Founding *Founding  `json:",omitempty"`
	SQL      string     `json:",omitempty"`
	User     string     `json:",omitempty"` // whose session it is
	Database string     `json:",omitempty"`
	Joining  []Identity `json:",omitempty"` // what the servers of an ADD SERVER said of themselves
	Seen     []Sighting `json:",omitempty"`
	Tick     *Tick      `json:",omitempty"`
}

// Identity is what a server says of itself.
type Identity struct {
	Address, Zone, Volume string
	ClusterID             int64
	ClusterName           string
	Version               string
	Member                bool // it belongs to a cluster, or did
	Cluster               string
	Started               int64
	Options               map[string]string
	Applied               uint64
}

// Sighting is that a server was seen to live, or was not seen for as long as the lease.
type Sighting struct {
	Server  int64
	Alive   bool
	Started int64
	Version string
	Options map[string]string
}

// Tick lets work go on whose time has come; it tells which volumes take part in the replication, and which vote.
type Tick struct{ Members, Voters []string }

// Apply carries out a command, or refuses it and changes nothing.
func (s *State) Apply(command *Command) (*sql.Result, error) {
	if command.At > s.Now {
		s.Now = command.At
	}
	switch {
	case command.Founding != nil:
		return &sql.Result{}, s.found(command.Founding)
	case command.Tick != nil:
		s.tick(command.Tick)
		return &sql.Result{}, nil
	case command.SQL == "":
		s.see(command.Seen)
		return &sql.Result{}, nil
	}
	statement, err := sql.Parse(command.SQL)
	if err != nil {
		return nil, err
	}
	if !s.Founded {
		return nil, fault.Inner()
	}
	if err := s.may(command.User, command.Database, statement); err != nil {
		return nil, err
	}
	return s.change(command, statement)
}

func (s *State) change(command *Command, statement sql.Statement) (*sql.Result, error) {
	done := &sql.Result{}
	switch statement := statement.(type) {
	case *sql.Bootstrap:
		return nil, fault.InitTwice()
	case *sql.ServerChange:
		return done, s.changeServers(command, statement)
	case *sql.ZoneChange:
		return done, s.changeZone(statement)
	case *sql.SetParameters:
		return done, s.setParameters(statement)
	case *sql.Upgrade:
		return done, s.upgrade(statement)
	case *sql.AlterTenant:
		return done, s.alterTenant(command, statement)
	case *sql.Unit:
		return done, s.changeUnit(statement)
	case *sql.Pool:
		return done, s.changePool(statement)
	case *sql.UserChange:
		return done, s.changeUsers(command.User, statement)
	case *sql.Grant:
		return done, s.grant(statement)
	case *sql.DatabaseChange:
		return s.changeDatabase(statement)
	case *sql.CreateTable:
		return done, s.createTable(command.Database, statement)
	case *sql.DropTable:
		return done, s.dropTable(command.Database, statement)
	case *sql.Insert:
		return s.insert(command.Database, statement)
	case *sql.Update:
		return s.update(command.Database, statement)
	case *sql.Delete:
		return s.remove(command.Database, statement)
	}
	return nil, fault.NotSupported("this statement is")
}

func address(ip string, port int64) string { return net.JoinHostPort(ip, strconv.FormatInt(port, 10)) }

// Split reads 'ip:port' as OceanBase's statements have it.
func Split(address string) (string, int64, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil || net.ParseIP(host) == nil {
		return "", 0, fault.New(4144, "42000", "Bad address '%s'", address)
	}
	port, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "", 0, fault.New(4144, "42000", "Bad address '%s'", address)
	}
	return host, port, nil
}
