package catalogue

import "strings"

var tenantViews = map[string]view{
	"oceanbase.dba_ob_tenants": {
		"#TENANT_ID TENANT_NAME TENANT_TYPE CREATE_TIME MODIFY_TIME PRIMARY_ZONE LOCALITY PREVIOUS_LOCALITY COMPATIBILITY_MODE " +
			"STATUS IN_RECYCLEBIN LOCKED TENANT_ROLE SWITCHOVER_STATUS #SWITCHOVER_EPOCH",
		func(s *State, _ Facts) [][]any {
			var previous any
			if s.Tenant.Previous != nil {
				previous = s.locality(s.Tenant.Previous)
			}
			made := when(s.pool("sys_pool").Created)
			return [][]any{{
				1, "sys", "SYS", made, made, s.Tenant.PrimaryZone, s.locality(s.Tenant.Locality), previous, "MYSQL", "NORMAL",
				false, false, "PRIMARY", "NORMAL", 0,
			}}
		},
	},
	"oceanbase.dba_ob_tenant_jobs": {
		"#JOB_ID JOB_TYPE JOB_STATUS #RESULT_CODE #PROGRESS START_TIME MODIFY_TIME #TENANT_ID SQL_TEXT EXTRA_INFO RS_SVR_IP " +
			"#RS_SVR_PORT",
		func(s *State, facts Facts) (rows [][]any) {
			var ip, port any
			if leader := s.Holder(facts.Leader); leader != nil {
				ip, port = leader.IP, leader.Port
			}
			for _, job := range s.Jobs {
				if job.Type != "DELETE_SERVER" {
					rows = append(rows, []any{
						job.ID, job.Type, job.Status, job.code(), job.progress(), when(job.Started), when(job.Modified), 1, job.Text,
						nil, ip, port,
					})
				}
			}
			return rows
		},
	},
	"oceanbase.dba_ob_resource_pools": {
		"#RESOURCE_POOL_ID NAME #TENANT_ID CREATE_TIME MODIFY_TIME #UNIT_COUNT #UNIT_CONFIG_ID ZONE_LIST REPLICA_TYPE",
		func(s *State, _ Facts) (rows [][]any) {
			for _, pool := range s.Pools {
				var tenant any
				if pool.Tenant != 0 {
					tenant = pool.Tenant
				}
				rows = append(rows, []any{
					pool.ID, pool.Name, tenant, when(pool.Created), when(pool.Modified), pool.UnitNum, s.unit(pool.Unit).ID,
					strings.Join(pool.Zones, ";"), "FULL",
				})
			}
			return rows
		},
	},
	"oceanbase.dba_ob_unit_configs": {
		"#UNIT_CONFIG_ID NAME CREATE_TIME MODIFY_TIME #MAX_CPU #MIN_CPU #MEMORY_SIZE #LOG_DISK_SIZE #MAX_IOPS #MIN_IOPS #IOPS_WEIGHT",
		func(s *State, _ Facts) (rows [][]any) {
			for _, unit := range s.Units {
				option := func(name string) any {
					if unit.Options[name] == "" {
						return nil
					}
					return Bytes(unit.Options[name])
				}
				rows = append(rows, []any{
					unit.ID, unit.Name, when(unit.Created), when(unit.Modified), option("MAX_CPU"), option("MIN_CPU"),
					option("MEMORY_SIZE"), option("LOG_DISK_SIZE"), option("MAX_IOPS"), option("MIN_IOPS"), option("IOPS_WEIGHT"),
				})
			}
			return rows
		},
	},
	"oceanbase.dba_ob_units": {
		"#UNIT_ID #TENANT_ID STATUS #RESOURCE_POOL_ID #UNIT_GROUP_ID CREATE_TIME MODIFY_TIME ZONE SVR_IP #SVR_PORT " +
			"MIGRATE_FROM_SVR_IP #MIGRATE_FROM_SVR_PORT MANUAL_MIGRATE #UNIT_CONFIG_ID",
		func(s *State, _ Facts) (rows [][]any) {
			pool := s.pool("sys_pool")
			for _, zone := range s.Zones {
				server := s.Server(zone.Unit)
				if server == nil {
					continue
				}
				state := "ACTIVE"
				if !has(s.Tenant.Locality, zone.Name) {
					state = "DELETING"
				}
				var fromIP, fromPort, manual any
				if from := s.Server(zone.MovingFrom); from != nil {
					fromIP, fromPort, manual = from.IP, from.Port, "NO"
				}
				rows = append(rows, []any{
					zone.UnitID, 1, state, pool.ID, 1, when(zone.Created), when(zone.Modified), zone.Name, server.IP, server.Port,
					fromIP, fromPort, manual, s.unit(pool.Unit).ID,
				})
			}
			return rows
		},
	},
	"oceanbase.dba_ob_access_point": {
		"#TENANT_ID TENANT_NAME SVR_IP #SQL_PORT",
		accessPoints,
	},
	"oceanbase.cdb_ob_access_point": {
		"#TENANT_ID TENANT_NAME SVR_IP #SQL_PORT",
		accessPoints,
	},
}

func accessPoints(s *State, _ Facts) (rows [][]any) {
	for _, server := range s.Servers {
		if server.Alive {
			rows = append(rows, []any{1, "sys", server.IP, sqlPort})
		}
	}
	return rows
}

func (j *Job) progress() int {
	if j.Status == Success {
		return 100
	}
	return 0
}

func (j *Job) code() any {
	switch j.Status {
	case Success:
		return 0
	case Failed:
		return -4072 // OB_CANCELED
	}
	return nil
}
