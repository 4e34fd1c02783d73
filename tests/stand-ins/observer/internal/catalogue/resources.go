package catalogue

import (
	"sort"
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

func (s *State) unit(name string) *UnitConfig {
	for _, unit := range s.Units {
		if unit.Name == name {
			return unit
		}
	}
	return nil
}

func (s *State) pool(name string) *ResourcePool {
	for _, pool := range s.Pools {
		if pool.Name == name {
			return pool
		}
	}
	return nil
}

func (s *State) changeUnit(change *sql.Unit) error {
	unit := s.unit(change.Name)
	if change.Verb == "CREATE" {
		switch {
		case unit != nil && change.Lenient:
			return nil
		case unit != nil:
			return fault.Root(4649, "resource unit '%s' already exist", change.Name)
		case change.Options["MAX_CPU"] == "" || change.Options["MEMORY_SIZE"] == "":
			return fault.New(1210, "HY000", "Incorrect arguments to max_cpu and memory_size: both are needed")
		}
		s.Units = append(s.Units, &UnitConfig{
			ID: s.next(), Name: change.Name, Options: change.Options, Created: s.Now, Modified: s.Now,
		})
		return nil
	}
	if unit == nil {
		if change.Lenient {
			return nil
		}
		return fault.Root(4648, "resource unit '%s' not exist", change.Name)
	}
	if change.Verb == "ALTER" {
		for option, value := range change.Options {
			unit.Options[option] = value
		}
		unit.Modified = s.Now
		return nil
	}
	for _, pool := range s.Pools {
		if pool.Unit == change.Name {
			return fault.Root(4634, "resource unit '%s' is referenced by some resource pool", change.Name)
		}
	}
	for at := range s.Units {
		if s.Units[at] == unit {
			s.Units = append(s.Units[:at], s.Units[at+1:]...)
			break
		}
	}
	return nil
}

func (s *State) changePool(change *sql.Pool) error {
	pool := s.pool(change.Name)
	switch {
	case change.Verb == "CREATE" && pool != nil && change.Lenient, change.Verb != "CREATE" && pool == nil && change.Lenient:
		return nil
	case change.Verb == "CREATE" && pool != nil:
		return fault.Root(4651, "resource pool '%s' exist", change.Name)
	case change.Verb != "CREATE" && pool == nil:
		return fault.Root(4650, "resource pool '%s' not exist", change.Name)
	case change.Verb == "DROP":
		return s.dropPool(pool)
	}
	if change.Unit != "" && s.unit(change.Unit) == nil {
		return fault.Root(4648, "resource unit '%s' not exist", change.Unit)
	}
	if change.UnitNum > 1 {
		return fault.NotSupported("more than one unit in a zone is")
	}
	if change.Verb == "CREATE" {
		if change.Unit == "" || len(change.Zones) == 0 {
			return fault.New(1210, "HY000", "Incorrect arguments to unit and zone_list: both are needed")
		}
		if err := s.checkZones(nil, change.Zones); err != nil {
			return err
		}
		s.Pools = append(s.Pools, &ResourcePool{
			ID: s.next(), Name: change.Name, Unit: change.Unit, UnitNum: 1, Zones: change.Zones, Created: s.Now, Modified: s.Now,
		})
		return nil
	}
	if change.Zones != nil {
		if err := s.checkPool(pool, change.Zones); err != nil {
			return err
		}
		pool.Zones = change.Zones
	}
	if change.Unit != "" {
		pool.Unit = change.Unit
	}
	pool.Modified = s.Now
	return nil
}

// checkPool guards the zone list of a pool that a tenant has: a zone that is in the locality cannot leave it, and zones
// do not come and go in one statement.
func (s *State) checkPool(pool *ResourcePool, zones []string) error {
	add, remove := without(zones, pool.Zones), without(pool.Zones, zones)
	if len(add) > 0 && len(remove) > 0 {
		return fault.NotAllowed("add and remove zones of resource pool %s in one statement", pool.Name)
	}
	for _, zone := range remove {
		if pool.Tenant == 1 && (has(s.Tenant.Locality, zone) || has(s.Tenant.Previous, zone)) {
			return fault.NotAllowed("alter resource pool zone list with locality in use (zone %s)", zone)
		}
	}
	return s.checkZones(pool.Zones, zones)
}

func (s *State) checkZones(before, zones []string) error {
	seen := map[string]bool{}
	for _, zone := range zones {
		switch {
		case seen[zone]:
			return fault.Root(4641, "Duplicated zone '%s' in zone list [%s]", zone, strings.Join(zones, ", "))
		case s.zone(zone) == nil:
			return fault.NoZone(zone)
		case !has(before, zone) && s.usable(zone, 0) == nil:
			return fault.ZoneFull(zone)
		}
		seen[zone] = true
	}
	return nil
}

func (s *State) dropPool(pool *ResourcePool) error {
	if pool.Tenant != 0 {
		return fault.Root(4626, "resource pool '%s' has already been granted to a tenant", pool.Name)
	}
	for at := range s.Pools {
		if s.Pools[at] == pool {
			s.Pools = append(s.Pools[:at], s.Pools[at+1:]...)
			break
		}
	}
	return nil
}

func sorted[V any](of map[string]V) []string {
	var names []string
	for name := range of {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
