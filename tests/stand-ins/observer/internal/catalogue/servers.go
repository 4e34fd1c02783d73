package catalogue

import (
	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

func (s *State) changeServers(command *Command, change *sql.ServerChange) error {
	if change.Verb == "ADD" {
		return s.addServers(command, change)
	}
	var servers []*Server
	for _, address := range change.Servers {
		if _, _, err := Split(address); err != nil {
			return err
		}
		server := s.at(address)
		if server == nil {
			return fault.Missing("Entry not exist: server %s", address)
		}
		if change.Zone != "" && server.Zone != change.Zone {
			return fault.ServerZone()
		}
		servers = append(servers, server)
	}
	switch change.Verb {
	case "DELETE":
		return s.deleteServers(command, servers)
	case "CANCEL DELETE":
		return s.keepServers(servers)
	case "STOP":
		return s.stopServers(servers)
	}
	for _, server := range servers { // START
		server.Stopped, server.Modified = 0, s.Now
	}
	return nil
}

// addServers refuses what OceanBase's documentation says that ADD SERVER refuses: a server that is there already, one
// that is not empty, one of another zone than the statement says, and a zone that does not exist.
func (s *State) addServers(command *Command, change *sql.ServerChange) error {
	for i, address := range change.Servers {
		if s.at(address) != nil {
			return fault.Exists("Entry already exist: server %s", address)
		}
		identity := command.Joining[i]
		switch {
		case identity.Member:
			return fault.NotAllowed("add non-empty server")
		case identity.ClusterID != s.ClusterID:
			return fault.ClusterID()
		case identity.ClusterName != s.ClusterName:
			return fault.ClusterName(s.ClusterName)
		case change.Zone != "" && change.Zone != identity.Zone:
			return fault.ServerZone()
		case s.zone(identity.Zone) == nil:
			return fault.NoZone(identity.Zone)
		case older(identity.Version, s.Upgrade.MinVersion):
			return fault.Root(4696, "cluster version not compatible")
		}
	}
	for _, identity := range command.Joining {
		s.NextServerID++
		s.admit(identity)
	}
	return nil
}

// deleteServers starts to drain servers. The unit of a zone must find another server of that zone, or the zone must
// have left the locality before: so a deletion never takes a vote away, and never a majority.
func (s *State) deleteServers(command *Command, servers []*Server) error {
	leaving := map[int64]bool{}
	for _, server := range servers {
		if server.Deleting {
			return fault.AlreadyDeleted()
		}
		leaving[server.ID] = true
	}
	targets := map[*Zone]*Server{}
	for _, server := range servers {
		zone := s.zone(server.Zone)
		if zone.Unit != server.ID {
			continue
		}
		if s.changing() {
			return fault.NotAllowed("Tenant(1) locality is changing, delete server")
		}
		if zone.MovingFrom != 0 {
			return fault.Root(4665, "Unit is migrating, can not migrate again")
		}
		for _, candidate := range s.in(server.Zone) {
			if !leaving[candidate.ID] && candidate.Alive && !candidate.Deleting && candidate.Stopped == 0 {
				targets[zone] = candidate
				break
			}
		}
		if targets[zone] == nil {
			return fault.ZoneFull(server.Zone)
		}
		if !s.survives(server.ID) {
			return fault.NotAllowed("Tenant(1) LS(1) has no enough valid paxos member after delete server, delete server")
		}
	}
	for zone, target := range targets {
		zone.MovingFrom, zone.Unit = zone.Unit, target.ID
	}
	for _, server := range servers {
		server.Deleting, server.Due, server.Modified = true, s.Now+command.Timing.Job, s.Now
		s.Jobs = append(s.Jobs, &Job{
			ID: s.next(), Type: "DELETE_SERVER", Status: Inprogress, Text: command.SQL, Server: server.ID,
			Started: s.Now, Modified: s.Now, Due: server.Due,
		})
	}
	return nil
}

// keepServers is CANCEL DELETE SERVER: a unit that has not moved yet stays where it is.
func (s *State) keepServers(servers []*Server) error {
	for _, server := range servers {
		if !server.Deleting {
			return fault.NotDeleting()
		}
	}
	for _, server := range servers {
		server.Deleting, server.Due, server.Modified = false, 0, s.Now
		if zone := s.zone(server.Zone); zone.MovingFrom == server.ID {
			zone.Unit, zone.MovingFrom = server.ID, 0
		}
		for _, job := range s.Jobs {
			if job.Server == server.ID && job.Status == Inprogress {
				job.Status, job.Modified = Failed, s.Now
			}
		}
	}
	return nil
}

func (s *State) stopServers(servers []*Server) error {
	for _, server := range servers {
		if s.otherStopped(server.Zone) || server.Zone != servers[0].Zone {
			return fault.MultipleZones()
		}
		if !s.survives(server.ID) {
			return fault.NotAllowed("Tenant(1) LS(1) has no enough valid paxos member after stop server, stop server")
		}
	}
	for _, server := range servers {
		server.Stopped, server.Modified = s.Now, s.Now
	}
	return nil
}

// survives tells whether the votes that live, less those of the given server, are a majority of all votes.
func (s *State) survives(less int64) bool {
	votes, alive := 0, 0
	for _, zone := range s.Zones {
		if zone.Unit == 0 {
			continue
		}
		holder := zone.Unit
		if zone.MovingFrom != 0 {
			holder = zone.MovingFrom
		}
		votes++
		if server := s.Server(holder); server != nil && server.Alive && holder != less {
			alive++
		}
	}
	return alive >= majority(votes)
}
