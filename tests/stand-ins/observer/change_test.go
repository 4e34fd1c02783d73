package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

func TestZonesServersAndTheLocalityChangeWithoutLosingAMajority(t *testing.T) {
	t.Parallel()
	servers := founded(t, 14)
	c := servers[0].asRoot()
	c.must("CREATE TABLE test.kept (id INT PRIMARY KEY)")
	c.must("INSERT INTO test.kept VALUES (1), (2)")

	// A zone is added: the zone, its server, the pool, the locality.
	fourth := prepare(t, "127.0.14.4", "zone4").start().up("root", "")
	c.refused(4530, "Zone info 'zone4' not exist", "ALTER SYSTEM ADD SERVER '127.0.14.4:2882'")
	c.refused(4530, "Zone info 'zone4' not exist", "ALTER SYSTEM START ZONE 'zone4'")
	c.must("alter system add zone ?", "zone4")
	c.refused(4017, "exist", "alter system add zone ?", "zone4")
	c.shows("select lower(status) as status from DBA_OB_ZONES where zone = 'zone4'", "inactive")
	c.must("alter system start zone ?", "zone4")
	c.refused(4631, "zone not match", "ALTER SYSTEM ADD SERVER '127.0.14.4:2882' ZONE 'zone1'")
	c.refused(4663, "not alive", "ALTER SYSTEM ADD SERVER '127.0.14.9:2882'")
	c.must("alter system add server ?", "127.0.14.4:2882")
	c.comes("select lower(status) as status from __all_server where zone = 'zone4' and start_service_time > 0", "active")
	fourth.asRoot().shows("SELECT id FROM test.kept", "1", "2")
	five := "ALTER TENANT sys LOCALITY = 'FULL{1}@zone1, FULL{1}@zone2, FULL{1}@zone3, FULL{1}@zone4'"
	c.refused(4645, "not a subset", five)
	c.must("ALTER RESOURCE POOL sys_pool ZONE_LIST=('zone1', 'zone2', 'zone3', 'zone4')")
	began := time.Now()
	c.must(five)
	c.shows("select job_status, job_type, result_code from DBA_OB_TENANT_JOBS where job_status = 'INPROGRESS'",
		"INPROGRESS ALTER_TENANT_LOCALITY NULL")
	c.refused(4179, "locality is changing", "ALTER TENANT sys LOCALITY = 'F@zone1'")
	c.shows("select count(*) from DBA_OB_LS_LOCATIONS", "3")
	c.comes("select count(*) from DBA_OB_TENANT_JOBS where job_type = 'ALTER_TENANT_LOCALITY' and job_status = 'SUCCESS'", "1")
	if took := time.Since(began); took < 700*time.Millisecond {
		t.Fatalf("the locality changed in %s, and should have taken 700ms", took)
	}
	c.shows("select locality, coalesce(previous_locality, '') as p from DBA_OB_TENANTS",
		"FULL{1}@zone1, FULL{1}@zone2, FULL{1}@zone3, FULL{1}@zone4 ")
	c.shows("select count(*) from DBA_OB_LS_LOCATIONS", "4")

	// What would take too much away.
	c.refused(4179, "violate locality principal", "ALTER TENANT sys LOCALITY = 'F@zone1, F@zone2'")
	c.refused(4179, "violate locality principal", "ALTER TENANT sys LOCALITY = 'F@zone4'")
	c.refused(4733, "not enough", "ALTER SYSTEM DELETE SERVER '127.0.14.4:2882'")
	c.refused(4668, "1 servers alive and 0 not alive", "ALTER SYSTEM DELETE ZONE 'zone4'")
	c.refused(4179, "locality in use", "ALTER RESOURCE POOL sys_pool ZONE_LIST=('zone1', 'zone2', 'zone3')")

	// A zone is removed, in the order of ob-operator.
	c.must("ALTER TENANT sys LOCALITY = 'FULL{1}@zone2, FULL{1}@zone3, FULL{1}@zone4'")
	c.comes("select count(*) from DBA_OB_TENANT_JOBS where job_status = 'INPROGRESS'", "0")
	c = servers[1].asRoot()
	c.must("ALTER RESOURCE POOL sys_pool ZONE_LIST=('zone2', 'zone3', 'zone4')")
	c.must("alter system stop zone ?", "zone1")
	c.must("alter system delete server ?", "127.0.14.1:2882")
	c.shows("select lower(status) as status from __all_server where zone = 'zone1'", "deleting")
	c.refused(4628, "already been deleted", "alter system delete server ?", "127.0.14.1:2882")
	c.refused(4668, "not empty", "alter system delete zone ?", "zone1")
	c.comes("select count(*) from __all_server where zone = 'zone1'", "0")
	c.must("alter system delete zone ?", "zone1")
	c.refused(4530, "not exist", "alter system delete zone ?", "zone1")
	c.shows("select zone from DBA_OB_ZONES order by zone", "zone2", "zone3", "zone4")
	// The server that was deleted serves nobody: the leader sends it away, or it knows no leader any more.
	said := (*mysql.MySQLError)(nil)
	if err := servers[0].short().do("INSERT INTO test.kept VALUES (3)"); !errors.As(err, &said) || said.Number != 4637 && said.Number != 4012 {
		t.Fatalf("a deleted server answers %v", err)
	}
	c.refused(4179, "non-empty", "alter system add server ?", "127.0.14.1:2882")
}

func TestAServerOfAZoneIsReplacedByAnother(t *testing.T) {
	t.Parallel()
	servers := founded(t, 15)
	c := servers[0].asRoot()
	c.must("CREATE TABLE test.kept (id INT PRIMARY KEY)")
	c.must("INSERT INTO test.kept VALUES (1)")
	second := prepare(t, "127.0.15.22", "zone2").start().up("root", "")
	c.must("alter system add server ?", second.address())
	c.comes("select count(*) from __all_server where status = 'active' and start_service_time > 0", "4")
	c.shows("select count(*) from DBA_OB_LS_LOCATIONS", "3")

	servers[1].kill()
	servers[1].lose()
	c.comes("select status from DBA_OB_SERVERS where id = 2", "INACTIVE")
	c.must("alter system delete server ?", servers[1].address())
	c.shows("select migrate_from_svr_ip, svr_ip from DBA_OB_UNITS where zone = 'zone2'", "127.0.15.2 127.0.15.22")
	c.comes("select svr_ip from __all_server where zone = 'zone2'", "127.0.15.22")
	c.comes("select zone, svr_ip from DBA_OB_LS_LOCATIONS order by zone", "zone1 127.0.15.1", "zone2 127.0.15.22", "zone3 127.0.15.3")

	// The new one votes: without zone3, zones 1 and 2 are a majority.
	servers[2].kill()
	second.asRoot().must("INSERT INTO test.kept VALUES (2)")
	second.asRoot().shows("SELECT id FROM test.kept", "1", "2")
}

func TestZonesAreStoppedOneAtATimeAndAnUpgradeHasAnOrder(t *testing.T) {
	t.Parallel()
	servers := founded(t, 16)
	c := servers[0].asRoot()
	c.refused(4179, "without begin upgrade", "ALTER SYSTEM END ROLLING UPGRADE")
	script := func(name, words string) {
		t.Helper()
		said, err := servers[1].script(name, "")
		if (err == nil) != (words == "") || !strings.Contains(said, words) {
			t.Fatalf("%s ends with %v: %s", name, err, said)
		}
	}
	if said, err := servers[1].script("upgrade_checker.py", "wrong"); err == nil || !strings.Contains(said, "Access denied") {
		t.Fatalf("with a wrong password: %v: %s", err, said)
	}
	script("upgrade_checker.py", "")
	script("upgrade_pre.py", "")
	script("upgrade_checker.py", "an upgrade is under way")
	c.shows("select count(*) from gv$ob_parameters where name = 'enable_upgrade_mode' and value = 'True'", "3")
	for i, s := range servers {
		c = servers[(i+1)%3].asRoot()
		c.must("alter system stop zone ?", s.env["ZONE_NAME"])
		c.refused(4660, "multiple zones", "alter system stop zone ?", servers[(i+1)%3].env["ZONE_NAME"])
		c.comes("select count(*) from DBA_OB_SERVERS where with_rootserver = 'YES' and zone != '"+s.env["ZONE_NAME"]+"'", "1")
		s.kill()
		if i == 0 {
			c.comes("select count(*) from __all_server where status = 'active'", "2")
			script("upgrade_health_checker.py", "servers are not active")
		}
		s.env["STANDIN_VERSION"] = "4.2.1.8-108000022024072217"
		c.refused(4660, "multiple zones", "ALTER SYSTEM STOP SERVER '"+servers[(i+2)%3].address()+"'")
		s.start().up("root", "")
		c.comes("select count(*) from __all_server where status = 'active' and build_version like '4.2.1.8_1080%'", []string{"1", "2", "3"}[i])
		c.must("alter system start zone ?", s.env["ZONE_NAME"])
		if i < 2 {
			c.refused(4179, "2 versions", "ALTER SYSTEM END ROLLING UPGRADE")
			script("upgrade_post.py", "the servers' versions differ")
		}
		script("upgrade_health_checker.py", "")
	}
	script("upgrade_post.py", "")
	c.shows("select value from gv$ob_parameters where name = 'min_observer_version' limit 1", "4.2.1.8")
	c.shows("select ob_version() as version", "4.2.1.8")
}

func TestUsersTheirPasswordsAndParameters(t *testing.T) {
	t.Parallel()
	servers := founded(t, 17)
	c := servers[0].asRoot()
	c.must("create user if not exists ?", "operator")
	c.must("create user if not exists ?", "operator")
	c.must("alter user ? identified by ?", "operator", "it's secret")
	c.must("grant all on *.* to ?", "operator")
	c.must("create user 'monitor' identified by 'watching'")
	c.must("grant select on *.* to ?", "monitor")
	c.refused(1396, "CREATE USER failed", "create user 'operator'")
	c.refused(1396, "ALTER USER failed", "alter user 'nobody' identified by 'x'")
	c.refused(1133, "user table", "grant select on *.* to 'nobody'")

	for _, s := range servers {
		refused(t, s.as("operator", "", "").db.Ping(), 1045, "Access denied", "an old password")
		refused(t, s.as("operator", "wrong", "").db.Ping(), 1045, "Access denied", "a wrong password")
		refused(t, s.as("operator@other", "it's secret", "").db.Ping(), 1045, "Access denied", "another tenant")
		refused(t, s.as("operator@sys#other", "it's secret", "").db.Ping(), 4666, "cluster name", "another cluster")
		must(t, s.as("operator@sys#test", "it's secret", "oceanbase").db.Ping())
	}
	operator := servers[1].as("operator", "it's secret", "oceanbase")
	operator.must("alter user ? identified by ?", "root", "changed")
	refused(t, servers[2].as("root", "", "").db.Ping(), 1045, "Access denied", "root's old password")
	servers[2].as("root@sys", "changed", "oceanbase").must("SET PASSWORD FOR 'operator' = PASSWORD('new')")
	must(t, servers[0].as("operator", "new", "").db.Ping())
	operator = servers[0].as("operator", "new", "oceanbase")
	operator.refused(1227, "GRANT OPTION", "grant select on *.* to 'monitor'")

	monitor := servers[1].as("monitor", "watching", "oceanbase")
	monitor.shows("select count(*) from __all_server", "3")
	monitor.refused(1227, "ALTER SYSTEM", "ALTER SYSTEM STOP ZONE 'zone1'")
	monitor.refused(1227, "CREATE USER", "ALTER USER 'root' IDENTIFIED BY 'mine'")
	monitor.refused(1142, "INSERT command denied", "INSERT INTO test.t VALUES (1)")

	operator.must("alter system set system_memory = ?", "2G")
	operator.must("alter system set syslog_level = 'INFO' zone = 'zone1'")
	operator.comes("select svr_ip, value from gv$ob_parameters where name = 'syslog_level'", "127.0.17.1 INFO", "127.0.17.2 WDIAG", "127.0.17.3 WDIAG")
	operator.shows("select count(*) from gv$ob_parameters where name = 'system_memory' and value = '2G'", "3")
	operator.refused(5099, "unknown", "alter system set no_such_thing = 1")
	operator.refused(4147, "Invalid config", "alter system set system_memory = 'much'")
	operator.refused(4179, "read-only", "alter system set cluster_id = 2")
	operator.refused(4530, "zone9", "alter system set syslog_level = 'INFO' zone = 'zone9'")

	// Each statement once, in order, and no password.
	var list []string
	for _, statement := range servers[0].statements() {
		if strings.Contains(statement, "operator") && !strings.Contains(statement, "->") {
			list = append(list, statement)
		}
	}
	want := []string{
		"create user if not exists 'operator'", "create user if not exists 'operator'",
		"alter user 'operator' identified by '***'", "grant all on *.* to 'operator'",
	}
	if !slices.Equal(list, want) {
		t.Fatalf("the list has %q", list)
	}
	for _, s := range servers {
		for _, secret := range []string{"secret", "watching", "changed", "new'", "mine"} {
			if all := strings.Join(s.statements(), "\n"); strings.Contains(all, secret) {
				t.Fatalf("%s lists the password %s", s.ip, secret)
			}
		}
	}
}
