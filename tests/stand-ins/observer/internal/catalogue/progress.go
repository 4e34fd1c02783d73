package catalogue

// Roles is who should take part in the replication now: volumes, and whether each has a vote.
//
// One server of each zone of the locality votes, because OceanBase's majority is one of zones. The others learn, so that
// they can take a vote over at once.
func (s *State) Roles() map[string]bool {
	roles := map[string]bool{}
	for _, server := range s.Servers {
		if !server.Deleting || server.Due > s.Now {
			roles[server.Volume] = false
		}
	}
	for _, zone := range s.Zones {
		vote := zone.Unit
		for _, job := range s.Jobs {
			if job.Status != Inprogress || job.Type != "ALTER_TENANT_LOCALITY" {
				continue
			}
			early := job.Due > s.Now // A new replica copies first; a replica that goes still votes.
			if has(job.AddZones, zone.Name) && early || has(job.RemoveZones, zone.Name) && !early {
				vote = 0
			}
		}
		if zone.MovingFrom != 0 {
			if from := s.Server(zone.MovingFrom); from != nil && from.Due > s.Now {
				vote = from.ID
			}
		}
		if server := s.Server(vote); server != nil {
			roles[server.Volume] = true
		}
	}
	return roles
}

// Working tells whether there is work for a tick.
func (s *State) Working() bool {
	for _, job := range s.Jobs {
		if job.Status == Inprogress {
			return true
		}
	}
	return false
}

// tick finishes work whose time has come and whose effect on the votes is there.
func (s *State) tick(tick *Tick) {
	for _, job := range s.Jobs {
		if job.Status != Inprogress || job.Due > s.Now {
			continue
		}
		done := false
		if job.Type == "DELETE_SERVER" {
			done = s.drained(job, tick)
		} else {
			done = s.moved(job, tick)
		}
		if done {
			job.Status, job.Modified = Success, s.Now
		}
	}
}

func (s *State) drained(job *Job, tick *Tick) bool {
	server := s.Server(job.Server)
	if server == nil {
		return true
	}
	zone := s.zone(server.Zone)
	moved := zone.MovingFrom != server.ID || has(tick.Voters, s.Server(zone.Unit).Volume)
	if !moved || has(tick.Members, server.Volume) {
		return false
	}
	if zone.MovingFrom == server.ID {
		zone.MovingFrom = 0
	}
	for at := range s.Servers {
		if s.Servers[at] == server {
			s.Servers = append(s.Servers[:at], s.Servers[at+1:]...)
			break
		}
	}
	return true
}

func (s *State) moved(job *Job, tick *Tick) bool {
	for _, name := range job.AddZones {
		if holder := s.Server(s.zone(name).Unit); holder == nil || !has(tick.Voters, holder.Volume) {
			return false
		}
	}
	for _, name := range job.RemoveZones {
		if holder := s.Server(s.zone(name).Unit); holder != nil && has(tick.Voters, holder.Volume) {
			return false
		}
	}
	for _, name := range job.RemoveZones {
		zone := s.zone(name)
		zone.Unit, zone.UnitID = 0, 0
	}
	s.Tenant.Previous = nil
	return true
}
