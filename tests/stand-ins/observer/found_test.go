package main

import (
	"strings"
	"syscall"
	"testing"
)

func TestAServerOfNoClusterKnowsNothing(t *testing.T) {
	t.Parallel()
	s := prepare(t, "127.0.10.1", "zone1").start().up("root", "")
	refused(t, s.as("root", "wrong", "").db.Ping(), 1045, "Access denied", "a password, where there is none yet")
	refused(t, s.as("operator", "", "").db.Ping(), 1045, "Access denied", "another user than root")
	refused(t, s.as("root", "", "oceanbase").db.Ping(), 1049, "Unknown database", "a database, where there is none yet")
	c := s.as("root", "", "")
	c.refused(1146, "doesn't exist", "SELECT count(*) FROM oceanbase.DBA_OB_SERVERS")
	c.refused(4014, "Inner state error", "ALTER SYSTEM ADD ZONE 'zone9'")
	c.refused(4014, "Inner state error", "CREATE USER 'operator'")

	must(t, s.process.Process.Signal(syscall.SIGTERM))
	<-s.ended
	if said := s.stderr.String(); !strings.Contains(said, "127.0.10.1 in zone zone1 of cluster test (1)") || !strings.Contains(said, "ends by terminated") {
		t.Fatalf("it says %s", said)
	}
}

func TestABootstrapHappensOnce(t *testing.T) {
	t.Parallel()
	servers := three(t, 11)
	c := servers[0].as("root", "", "")
	for _, wrong := range []struct {
		why, statement, words string
		code                  uint16
	}{
		{"another zone than the server was started with", strings.Replace(bootstrap(servers...), "zone2", "zone7", 1), "zone not match", 4631},
		{"two servers of one zone", strings.Replace(bootstrap(servers...), "zone2", "zone1", 1), "same zone", 4640},
		{"a server that does not answer", strings.Replace(bootstrap(servers...), "11.3:", "11.9:", 1), "not alive", 4663},
		{"a list without the server that is asked", bootstrap(servers[1:]...), "not in the list", 1210},
		{"an address without a port", strings.Replace(bootstrap(servers...), "11.3:2882", "11.3", 1), "Bad address", 4144},
	} {
		t.Run(wrong.why, func(t *testing.T) { client{t, c.db}.refused(wrong.code, wrong.words, wrong.statement) })
	}
	other := prepare(t, "127.0.11.4", "zone4")
	other.env["CLUSTER_ID"] = "2"
	other.start().up("root", "")
	c.refused(4700, "cluster id", bootstrap(append(servers, other)...))

	c.must(bootstrap(servers...))
	c = servers[2].asRoot()
	c.shows("select id, zone, svr_ip, svr_port, inner_port, with_partition, lower(status) as status from __all_server",
		"1 zone1 127.0.11.1 2882 2881 1 active", "2 zone2 127.0.11.2 2882 2881 1 active", "3 zone3 127.0.11.3 2882 2881 1 active")
	c.shows("select count(*) from __all_server where start_service_time > 0 and build_version like '4.2.1.7%'", "3")
	c.shows("select zone as name, lower(status) as status, idc, region, type from DBA_OB_ZONES where zone = 'zone1'",
		"zone1 active  default_region ReadWrite")
	c.shows("select count(*) from gv$ob_parameters where name = 'system_memory' and value = '1G'", "3")
	c.shows("select role, zone from DBA_OB_LS_LOCATIONS where role = 'LEADER' and paxos_replica_number = 3 limit 1",
		"LEADER "+leaderZone(t, servers))

	for _, s := range servers {
		s.as("root", "", "").refused(4005, "initialized twice", bootstrap(servers...))
	}
	fresh := prepare(t, "127.0.11.5", "zone5").start().up("root", "")
	fresh.as("root", "", "").refused(4005, "initialized twice", bootstrap(fresh, servers[1]))
}

func leaderZone(t *testing.T, servers []*server) string {
	t.Helper()
	rows, err := servers[0].asRoot().query("select zone from DBA_OB_SERVERS where with_rootserver = 'YES'")
	if err != nil || len(rows) != 1 {
		t.Fatalf("there are %v leaders, %v", rows, err)
	}
	return rows[0]
}
