// Package catalogue is what the servers of one cluster agree on, and the rules by which it changes.
//
// It is a pure state machine: the same commands in the same order give the same state on every server, so nothing in
// here reads a clock, a file or the network. A refused command changes nothing.
package catalogue

import "atoll.dev/tests/stand-ins/observer/internal/sql"

// State is the whole catalogue. It is written as JSON into snapshots.
type State struct {
	Founded     bool
	ClusterID   int64
	ClusterName string
	Now         int64 // microseconds; the time of the last command

	Zones        []*Zone
	Servers      []*Server
	NextServerID int64

	Users      map[string]*User
	Parameters []sql.Setting // in the order in which they were set; a later one wins

	Tenant Tenant
	Units  []*UnitConfig
	Pools  []*ResourcePool
	Jobs   []*Job
	NextID int64 // of jobs, units and pools

	Upgrade   Upgrade
	Databases map[string]map[string]*Table
}

// Zone is one zone, and the server that holds the system tenant's unit there: the zone's vote.
type Zone struct {
	Name, Region, IDC string
	Active            bool
	Created, Modified int64
	Unit              int64 // server ID; 0: no unit in this zone
	UnitID            int64
	MovingFrom        int64 // server ID of a unit that is being moved away
}

// Server is one server that was added.
type Server struct {
	ID                int64
	IP, Zone          string
	Port              int64
	Volume            string // the volume that the server had when it was added: its identity
	Alive             bool
	Started           int64 // microseconds; 0 while it does not serve
	Stopped           int64
	LastOffline       int64
	Deleting          bool
	Due               int64 // when a deletion may be completed
	Version           string
	Options           map[string]string // what it was started with
	Created, Modified int64
}

// Tenant is the system tenant, the only one.
type Tenant struct {
	Locality, Previous []string // zones, in the order of the statement; one full replica in each
	PrimaryZone        string
}

// Job is work that takes time.
type Job struct {
	ID                            int64
	Type, Status                  string
	Text                          string
	Started, Modified, Due        int64
	AddZones, RemoveZones, Wanted []string
	Server                        int64
}

// UnitConfig is a resource unit's size.
type UnitConfig struct {
	ID                int64
	Name              string
	Options           map[string]string
	Created, Modified int64
}

// ResourcePool is a pool of units.
type ResourcePool struct {
	ID                int64
	Name, Unit        string
	UnitNum           int64
	Zones             []string
	Tenant            int64 // 0: none
	Created, Modified int64
}

// User is a user of the system tenant. The password is kept as it is: the protocol's library compares with it, and a
// stand-in guards nobody's secrets.
type User struct {
	Password string
	Granted  map[string][]string // `*.*` or `database.*` or `database.table` to privileges
	MayGrant bool
	Created  int64
}

// Upgrade is how far an upgrade is.
type Upgrade struct {
	Mode, Rolling bool
	MinVersion    string
	Jobs          []string
}

// Timing is how long work takes; the leader's settings travel with the command, so all servers agree.
type Timing struct{ Job int64 }

// Inprogress and Success are states of a job, in OceanBase's words.
const (
	Inprogress = "INPROGRESS"
	Success    = "SUCCESS"
	Failed     = "FAILED"
)

func (s *State) zone(name string) *Zone {
	for _, zone := range s.Zones {
		if zone.Name == name {
			return zone
		}
	}
	return nil
}

// Server finds a server by its ID.
func (s *State) Server(id int64) *Server {
	for _, server := range s.Servers {
		if server.ID == id {
			return server
		}
	}
	return nil
}

func (s *State) at(address string) *Server {
	for _, server := range s.Servers {
		if server.Address() == address {
			return server
		}
	}
	return nil
}

// Holder finds the server that has this volume.
func (s *State) Holder(volume string) *Server {
	for _, server := range s.Servers {
		if server.Volume == volume {
			return server
		}
	}
	return nil
}

// Address is where the other servers reach it.
func (s *Server) Address() string { return address(s.IP, s.Port) }

func (s *State) in(zone string) []*Server {
	var found []*Server
	for _, server := range s.Servers {
		if server.Zone == zone {
			found = append(found, server)
		}
	}
	return found
}

// usable is a server that could take a unit.
func (s *State) usable(zone string, except int64) *Server {
	for _, server := range s.in(zone) {
		if server.ID != except && server.Alive && !server.Deleting && server.Stopped == 0 {
			return server
		}
	}
	return nil
}

func (s *State) next() int64 {
	s.NextID++
	return s.NextID
}

func has(list []string, one string) bool {
	for _, candidate := range list {
		if candidate == one {
			return true
		}
	}
	return false
}

// without is what is in the one list and not in the other.
func without(list, less []string) []string {
	var rest []string
	for _, one := range list {
		if !has(less, one) {
			rest = append(rest, one)
		}
	}
	return rest
}

func majority(of int) int { return of/2 + 1 }
