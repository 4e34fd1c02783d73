package catalogue

import (
	"regexp"
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

var replica = regexp.MustCompile(`(?i)^(?:F|FULL)(?:\{1\})?\s*@\s*(\S+)$`)

// alterTenant starts a change of the system tenant's locality: a job that takes time, shown in DBA_OB_TENANT_JOBS.
func (s *State) alterTenant(command *Command, alter *sql.AlterTenant) error {
	if !strings.EqualFold(alter.Tenant, "sys") {
		return fault.New(5160, "HY000", "Unknown tenant '%s'", alter.Tenant)
	}
	text, given := alter.Options["LOCALITY"]
	if !given {
		s.Tenant.PrimaryZone = alter.Options["PRIMARY_ZONE"]
		return nil
	}
	wanted, err := zonesOf(text)
	if err != nil {
		return err
	}
	if err := s.checkLocality(wanted); err != nil {
		return err
	}
	if primary, given := alter.Options["PRIMARY_ZONE"]; given {
		s.Tenant.PrimaryZone = primary
	}
	add, remove := without(wanted, s.Tenant.Locality), without(s.Tenant.Locality, wanted)
	if len(add)+len(remove) == 0 {
		return nil
	}
	for _, name := range add {
		zone := s.zone(name)
		zone.Unit, zone.UnitID = s.usable(name, 0).ID, s.next()
	}
	s.Tenant.Previous = s.Tenant.Locality
	s.Tenant.Locality = wanted
	s.Jobs = append(s.Jobs, &Job{
		ID: s.next(), Type: "ALTER_TENANT_LOCALITY", Status: Inprogress, Text: command.SQL, Started: s.Now, Modified: s.Now,
		Due: s.Now + command.Timing.Job, AddZones: add, RemoveZones: remove, Wanted: wanted,
	})
	return nil
}

func zonesOf(locality string) ([]string, error) {
	var zones []string
	for _, part := range strings.Split(locality, ",") {
		found := replica.FindStringSubmatch(strings.TrimSpace(part))
		if found == nil {
			return nil, fault.New(1210, "HY000", "Incorrect arguments to locality: %s", part)
		}
		if has(zones, found[1]) {
			return nil, fault.New(1210, "HY000", "Incorrect arguments to locality: zone %s twice", found[1])
		}
		zones = append(zones, found[1])
	}
	return zones, nil
}

// checkLocality has OceanBase's rule of how many full replicas may come or go in one statement: replicas are added when
// those before are a majority of those after (or one becomes two), and removed when those left are a majority of those
// before. Both at once are refused, and so is a change while another goes on.
func (s *State) checkLocality(wanted []string) error {
	if s.changing() {
		return fault.NotAllowed("Tenant(1) locality is changing, alter tenant locality")
	}
	add, remove := without(wanted, s.Tenant.Locality), without(s.Tenant.Locality, wanted)
	before, after := len(s.Tenant.Locality), len(wanted)
	switch {
	case len(add) > 0 && len(remove) > 0,
		len(add) > 0 && before < majority(after) && !(before == 1 && after == 2),
		len(remove) > 0 && after < majority(before):
		return fault.NotAllowed("violate locality principal")
	}
	for _, name := range wanted {
		if s.zone(name) == nil {
			return fault.NoZone(name)
		}
	}
	for _, name := range add {
		if pool := s.pool("sys_pool"); !has(pool.Zones, name) {
			return fault.Root(4645, "zone list [%s] not a subset of resource pool zone list [%s]",
				strings.Join(wanted, ", "), strings.Join(pool.Zones, ", "))
		}
		if s.usable(name, 0) == nil {
			return fault.ZoneFull(name)
		}
	}
	for _, name := range remove {
		if zone := s.zone(name); zone.MovingFrom != 0 {
			return fault.Root(4665, "Unit is migrating, can not migrate again")
		}
	}
	return s.checkLeft(remove)
}

// checkLeft refuses a removal after which the votes that live would be no majority: the change itself could then not be
// agreed on, and would hang for ever.
func (s *State) checkLeft(remove []string) error {
	if len(remove) == 0 {
		return nil
	}
	votes, alive := 0, 0
	for _, zone := range s.Zones {
		if zone.Unit == 0 || has(remove, zone.Name) {
			continue
		}
		votes++
		if server := s.Server(zone.Unit); server != nil && server.Alive {
			alive++
		}
	}
	if alive < majority(votes) {
		return fault.NotAllowed("Tenant(1) LS(1) has no enough valid paxos member after locality change, alter tenant locality")
	}
	return nil
}

// changing tells whether a change of the locality goes on.
func (s *State) changing() bool {
	for _, job := range s.Jobs {
		if job.Type == "ALTER_TENANT_LOCALITY" && job.Status == Inprogress {
			return true
		}
	}
	return false
}

func (s *State) locality(zones []string) string {
	parts := make([]string, len(zones))
	for i, zone := range zones {
		parts[i] = "FULL{1}@" + zone
	}
	return strings.Join(parts, ", ")
}
