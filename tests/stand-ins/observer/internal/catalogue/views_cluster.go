package catalogue

import "strings"

var clusterViews = map[string]view{
	"oceanbase.__all_server": {
		"gmt_create gmt_modified svr_ip #svr_port #id zone #inner_port #with_rootserver status #block_migrate_in_time " +
			"build_version #stop_time #start_service_time #first_sessid #with_partition #last_offline_time",
		func(s *State, facts Facts) (rows [][]any) {
			for _, v := range s.Servers {
				rootserver, unit := 0, 0
				if s.leads(v, facts) {
					rootserver = 1
				}
				if zone := s.zone(v.Zone); zone.Unit == v.ID || zone.MovingFrom == v.ID {
					unit = 1
				}
				rows = append(rows, []any{
					when(v.Created), when(v.Modified), v.IP, v.Port, v.ID, v.Zone, sqlPort, rootserver, status(v), 0,
					build(v.Version), v.Stopped, v.Started, 0, unit, v.LastOffline,
				})
			}
			return rows
		},
	},
	"oceanbase.dba_ob_servers": {
		"SVR_IP #SVR_PORT #ID ZONE #SQL_PORT WITH_ROOTSERVER STATUS START_SERVICE_TIME STOP_TIME BLOCK_MIGRATE_IN_TIME " +
			"CREATE_TIME MODIFY_TIME BUILD_VERSION LAST_OFFLINE_TIME",
		func(s *State, facts Facts) (rows [][]any) {
			for _, v := range s.Servers {
				rows = append(rows, []any{
					v.IP, v.Port, v.ID, v.Zone, sqlPort, s.leads(v, facts), status(v), when(v.Started), when(v.Stopped), nil,
					when(v.Created), when(v.Modified), build(v.Version), when(v.LastOffline),
				})
			}
			return rows
		},
	},
	"oceanbase.dba_ob_zones": {
		"ZONE CREATE_TIME MODIFY_TIME STATUS IDC REGION TYPE",
		func(s *State, _ Facts) (rows [][]any) {
			for _, zone := range s.Zones {
				state := "INACTIVE"
				if zone.Active {
					state = "ACTIVE"
				}
				rows = append(rows, []any{
					zone.Name, when(zone.Created), when(zone.Modified), state, zone.IDC, zone.Region, "ReadWrite",
				})
			}
			return rows
		},
	},
	"oceanbase.gv$ob_servers": {
		"SVR_IP #SVR_PORT ZONE #SQL_PORT #CPU_CAPACITY #CPU_CAPACITY_MAX #CPU_ASSIGNED #CPU_ASSIGNED_MAX #MEM_CAPACITY " +
			"#MEM_ASSIGNED #LOG_DISK_CAPACITY #LOG_DISK_ASSIGNED #LOG_DISK_IN_USE #DATA_DISK_CAPACITY #DATA_DISK_ALLOCATED " +
			"#DATA_DISK_IN_USE DATA_DISK_HEALTH_STATUS #MEMORY_LIMIT DATA_DISK_ABNORMAL_TIME SSL_CERT_EXPIRED_TIME",
		capacities,
	},
	"oceanbase.dba_ob_server_jobs": {
		"#JOB_ID JOB_TYPE JOB_STATUS #PROGRESS START_TIME MODIFY_TIME SVR_IP #SVR_PORT SQL_TEXT EXTRA_INFO RESULT_CODE",
		func(s *State, _ Facts) (rows [][]any) {
			for _, job := range s.Jobs {
				if job.Type != "DELETE_SERVER" {
					continue
				}
				var ip, port any
				if server := s.Server(job.Server); server != nil {
					ip, port = server.IP, server.Port
				}
				rows = append(rows, []any{
					job.ID, job.Type, job.Status, job.progress(), when(job.Started), when(job.Modified), ip, port, job.Text, nil, job.code(),
				})
			}
			return rows
		},
	},
	"oceanbase.dba_ob_ls_locations": {
		"CREATE_TIME MODIFY_TIME #LS_ID SVR_IP #SVR_PORT #SQL_PORT ZONE ROLE MEMBER_LIST #PAXOS_REPLICA_NUMBER REPLICA_TYPE " +
			"LEARNER_LIST REBUILD",
		func(s *State, facts Facts) [][]any { return s.replicas(facts, false) },
	},
	"oceanbase.cdb_ob_ls_locations": {
		"CREATE_TIME MODIFY_TIME #TENANT_ID #LS_ID SVR_IP #SVR_PORT #SQL_PORT ZONE ROLE MEMBER_LIST #PAXOS_REPLICA_NUMBER " +
			"REPLICA_TYPE LEARNER_LIST REBUILD",
		func(s *State, facts Facts) [][]any { return s.replicas(facts, true) },
	},
	"oceanbase.gv$ob_log_stat": {
		"#TENANT_ID #LS_ID SVR_IP #SVR_PORT ROLE #PROPOSAL_ID ACCESS_MODE PAXOS_MEMBER_LIST #PAXOS_REPLICA_NUM IN_SYNC",
		func(s *State, facts Facts) (rows [][]any) {
			members, count := s.members(facts)
			for _, v := range s.voting(facts) {
				if !v.Alive {
					continue // The real view asks each server, and a dead one does not answer.
				}
				rows = append(rows, []any{1, 1, v.IP, v.Port, role(s.leads(v, facts)), 1, "APPEND", members, count, v.Alive})
			}
			return rows
		},
	},
}

func role(leads bool) string {
	if leads {
		return "LEADER"
	}
	return "FOLLOWER"
}

func (s *State) voting(facts Facts) (servers []*Server) {
	for _, server := range s.Servers {
		if has(facts.Voters, server.Volume) {
			servers = append(servers, server)
		}
	}
	return servers
}

func (s *State) members(facts Facts) (string, int) {
	var list []string
	for _, server := range s.voting(facts) {
		list = append(list, server.Address()+":1")
	}
	return strings.Join(list, ","), len(list)
}

// replicas are those of the system tenant's only log stream. A dead server keeps its row, as in the real view.
func (s *State) replicas(facts Facts, tenant bool) (rows [][]any) {
	members, count := s.members(facts)
	for _, v := range s.voting(facts) {
		row := []any{when(v.Created), when(v.Modified)}
		if tenant {
			row = append(row, 1)
		}
		row = append(row, 1, v.IP, v.Port, sqlPort, v.Zone, role(s.leads(v, facts)))
		if s.leads(v, facts) {
			row = append(row, members, count)
		} else {
			row = append(row, nil, nil)
		}
		rows = append(rows, append(row, "FULL", "", "FALSE"))
	}
	return rows
}

func capacities(s *State, _ Facts) (rows [][]any) {
	for _, v := range s.Servers {
		if !v.Alive {
			continue
		}
		config := func(name string) int64 { return Bytes(s.Effective(v, name)) }
		cpu, assigned := config("cpu_count"), int64(0)
		if zone := s.zone(v.Zone); zone.Unit == v.ID {
			assigned = 1
		}
		memory := config("memory_limit") - config("system_memory")
		rows = append(rows, []any{
			v.IP, v.Port, v.Zone, sqlPort, cpu, cpu, 3 * assigned, 3 * assigned, memory, assigned << 31,
			config("log_disk_size"), 3 * assigned << 31, 0, config("datafile_size"), config("datafile_size"), 0, "NORMAL",
			config("memory_limit"), nil, nil,
		})
	}
	return rows
}
