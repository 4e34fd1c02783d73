package catalogue

import (
	"sort"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// Founding is the first command of a cluster: what BOOTSTRAP has put together.
type Founding struct{ Servers []Identity }

// CheckFounding is what OceanBase checks before a bootstrap: one server for each zone, all of them empty, of this zone
// and of this cluster. A server that is not empty is answered with OB_INIT_TWICE, which is how a second bootstrap ends.
func CheckFounding(statement *sql.Bootstrap, self Identity, found map[string]Identity) (*Founding, error) {
	founding, zones := &Founding{}, map[string]bool{}
	for _, wanted := range statement.Servers {
		if zones[wanted.Zone] {
			return nil, fault.Root(4640, "The chosen partition servers belong to same zone.")
		}
		zones[wanted.Zone] = true
		identity, answered := found[wanted.Server]
		switch {
		case !answered:
			return nil, fault.Root(4663, "server is not alive: %s", wanted.Server)
		case identity.Member:
			return nil, fault.InitTwice()
		case identity.Zone != wanted.Zone:
			return nil, fault.ServerZone()
		case identity.ClusterID != self.ClusterID:
			return nil, fault.ClusterID()
		case identity.ClusterName != self.ClusterName:
			return nil, fault.ClusterName(self.ClusterName)
		}
		founding.Servers = append(founding.Servers, identity)
	}
	return founding, nil
}

// found makes the first state: the zones and servers named, the system tenant in all of them, and root without password.
func (s *State) found(founding *Founding) error {
	if s.Founded {
		return fault.InitTwice()
	}
	s.Founded = true
	s.ClusterID, s.ClusterName = founding.Servers[0].ClusterID, founding.Servers[0].ClusterName
	s.NextID = 1000
	for _, identity := range founding.Servers {
		s.NextServerID++
		server := s.admit(identity)
		server.Alive, server.Started = true, s.Now
		s.Zones = append(s.Zones, &Zone{
			Name: identity.Zone, Region: "default_region", Active: true, Created: s.Now, Modified: s.Now,
			Unit: server.ID, UnitID: s.NextServerID,
		})
		s.Tenant.Locality = append(s.Tenant.Locality, identity.Zone)
	}
	s.Tenant.PrimaryZone = "RANDOM"
	s.Units = []*UnitConfig{{ID: 1, Name: "sys_unit_config", Created: s.Now, Modified: s.Now, Options: map[string]string{
		"MAX_CPU": "3", "MIN_CPU": "3", "MEMORY_SIZE": "2147483648", "LOG_DISK_SIZE": "6442450944",
		"MAX_IOPS": "9223372036854775807", "MIN_IOPS": "9223372036854775807", "IOPS_WEIGHT": "3",
	}}}
	s.Pools = []*ResourcePool{{
		ID: 1, Name: "sys_pool", Unit: "sys_unit_config", UnitNum: 1, Tenant: 1, Created: s.Now, Modified: s.Now,
		Zones: append([]string(nil), s.Tenant.Locality...),
	}}
	s.Users = map[string]*User{"root": {Granted: map[string][]string{"*.*": {"ALL"}}, MayGrant: true, Created: s.Now}}
	s.Databases = map[string]map[string]*Table{"test": {}}
	s.Upgrade.MinVersion = founding.Servers[0].Version
	return nil
}

func (s *State) admit(identity Identity) *Server {
	ip, port, _ := Split(identity.Address)
	server := &Server{
		ID: s.NextServerID, IP: ip, Port: port, Zone: identity.Zone, Volume: identity.Volume, Version: identity.Version,
		Options: identity.Options, Created: s.Now, Modified: s.Now,
	}
	s.Servers = append(s.Servers, server)
	return server
}

// see notes which servers live. A server that is not seen keeps its place and its vote: only a person, or an operator,
// removes it.
func (s *State) see(seen []Sighting) {
	for _, sighting := range seen {
		server := s.Server(sighting.Server)
		if server == nil {
			continue
		}
		server.Alive, server.Modified = sighting.Alive, s.Now
		if !sighting.Alive {
			server.Started, server.LastOffline = 0, s.Now
			continue
		}
		server.Started, server.Version, server.Options = sighting.Started, sighting.Version, sighting.Options
	}
}

// options are all names that any server was started with, in order.
func (s *State) options() []string {
	names := map[string]bool{}
	for _, server := range s.Servers {
		for name := range server.Options {
			names[name] = true
		}
	}
	var list []string
	for name := range names {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}
