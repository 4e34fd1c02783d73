package catalogue

import (
	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// changeZone is ADD, DELETE, START, STOP and ALTER ZONE. OceanBase's documentation: a zone that was added or stopped is
// inactive; a zone is deleted when it has no server and is inactive; no two zones are stopped at once.
func (s *State) changeZone(change *sql.ZoneChange) error {
	zone := s.zone(change.Zone)
	if change.Verb == "ADD" {
		if zone != nil {
			return fault.Exists("Entry already exist: zone %s", change.Zone)
		}
		zone = &Zone{Name: change.Zone, Region: "default_region", Created: s.Now, Modified: s.Now}
		if err := describe(zone, change); err != nil {
			return err
		}
		s.Zones = append(s.Zones, zone)
		return nil
	}
	if zone == nil {
		return fault.NoZone(change.Zone)
	}
	switch change.Verb {
	case "DELETE":
		return s.deleteZone(zone)
	case "STOP":
		return s.stopZone(zone)
	case "START":
		zone.Active = true
	default:
		if err := describe(zone, change); err != nil {
			return err
		}
	}
	zone.Modified = s.Now
	return nil
}

func describe(zone *Zone, change *sql.ZoneChange) error {
	if kind, given := change.Options["ZONE_TYPE"]; given && kind != "ReadWrite" {
		return fault.NotSupported("a zone of another type than ReadWrite is")
	}
	if region, given := change.Options["REGION"]; given {
		zone.Region = region
	}
	if idc, given := change.Options["IDC"]; given {
		zone.IDC = idc
	}
	return nil
}

func (s *State) deleteZone(zone *Zone) error {
	alive, dead := 0, 0
	for _, server := range s.in(zone.Name) {
		if server.Alive {
			alive++
		} else {
			dead++
		}
	}
	switch {
	case alive+dead > 0:
		return fault.ZoneNotEmpty(alive, dead)
	case zone.Active:
		return fault.ZoneStatus()
	}
	for _, pool := range s.Pools {
		if has(pool.Zones, zone.Name) {
			return fault.NotAllowed("delete zone %s, which is in the zone list of resource pool %s,", zone.Name, pool.Name)
		}
	}
	for at := range s.Zones {
		if s.Zones[at] == zone {
			s.Zones = append(s.Zones[:at], s.Zones[at+1:]...)
			break
		}
	}
	return nil
}

func (s *State) stopZone(zone *Zone) error {
	if s.otherStopped(zone.Name) {
		return fault.MultipleZones()
	}
	if zone.Unit != 0 && !s.survives(zone.Unit) {
		return fault.NotAllowed("Tenant(1) LS(1) has no enough valid paxos member after stop zone, stop zone")
	}
	zone.Active, zone.Modified = false, s.Now
	return nil
}

// otherStopped tells whether something is stopped in another zone. Like in the real one, a zone that was added and never
// started counts as well.
func (s *State) otherStopped(than string) bool {
	for _, zone := range s.Zones {
		if zone.Name != than && !zone.Active {
			return true
		}
	}
	for _, server := range s.Servers {
		if server.Zone != than && server.Stopped != 0 {
			return true
		}
	}
	return false
}
