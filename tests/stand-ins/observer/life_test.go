package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

func TestAKilledServerComesBackWithItsStateAndALostVolumeMakesAStranger(t *testing.T) {
	t.Parallel()
	servers := founded(t, 12)
	c := servers[0].asRoot()
	c.must("CREATE DATABASE shop")
	c.must("CREATE TABLE shop.kept (id BIGINT PRIMARY KEY, what VARCHAR(20) NOT NULL)")
	c.must("INSERT INTO shop.kept VALUES (?, ?)", 1, "first")

	servers[1].kill()
	c.comes("select lower(status) as status, start_service_time from __all_server where id = 2", "inactive 0")
	c.must("INSERT INTO shop.kept VALUES (2, 'without zone2')")
	servers[1].start().up("root", "")
	c.comes("select lower(status) as status from __all_server where id = 2 and start_service_time > 0", "active")
	servers[1].asRoot().shows("SELECT id, what FROM shop.kept", "1 first", "2 without zone2")

	servers[2].kill()
	servers[2].lose()
	stranger := servers[2].start().up("root", "").as("root", "", "")
	stranger.refused(1146, "doesn't exist", "SELECT id FROM oceanbase.DBA_OB_SERVERS")
	c.comes("select status from DBA_OB_SERVERS where svr_ip = '127.0.12.3'", "INACTIVE")
	c.refused(4017, "exist", "ALTER SYSTEM ADD SERVER '127.0.12.3:2882'")
	c.refused(4733, "zone 'zone3' resource not enough", "ALTER SYSTEM DELETE SERVER '127.0.12.3:2882'")

	// The way back at the same address: the zone's vote goes, the server goes, and comes anew.
	c.must("ALTER TENANT sys LOCALITY = 'FULL{1}@zone1, FULL{1}@zone2'")
	c.comes("select count(*) from DBA_OB_TENANT_JOBS where job_status = 'INPROGRESS'", "0")
	c.must("ALTER SYSTEM DELETE SERVER '127.0.12.3:2882'")
	c.comes("select count(*) from __all_server", "2")
	c.must("ALTER SYSTEM ADD SERVER '127.0.12.3:2882'")
	c.comes("select lower(status) as status from __all_server where id = 4 and start_service_time > 0", "active")
	c.must("ALTER TENANT sys LOCALITY = 'FULL{1}@zone1, FULL{1}@zone2, FULL{1}@zone3'")
	c.comes("select count(*) from DBA_OB_LS_LOCATIONS", "3")
	servers[2].asRoot().shows("SELECT id, what FROM shop.kept", "1 first", "2 without zone2")

	// One of the two volumes alone is worse than none.
	servers[0].kill()
	must(t, removeAll(servers[0].root, "home/admin/data-log/clog"))
	<-servers[0].start().ended
	if said := servers[0].stderr.String(); !strings.Contains(said, "log volume was lost") || servers[0].process.ProcessState.ExitCode() == 0 {
		t.Fatalf("a server without its log ends with %d and says %s", servers[0].process.ProcessState.ExitCode(), said)
	}
}

func TestWithoutAMajorityNothingIsAcknowledgedAndNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	servers := founded(t, 13)
	c := servers[0].asRoot()
	c.must("CREATE TABLE test.log (id BIGINT PRIMARY KEY, v INT)")
	acknowledged, unknown := []string{}, 0
	next := 0
	write := func(c client) error {
		next++
		err := c.do("INSERT INTO test.log VALUES (?, 0)", next)
		if err == nil {
			acknowledged = append(acknowledged, fmt.Sprint(next))
		} else if said := (*mysql.MySQLError)(nil); !errors.As(err, &said) || said.Number != 4012 {
			unknown++
		}
		return err
	}
	for victim := range servers {
		for range 5 {
			must(t, write(c))
		}
		servers[victim].kill()
		alive := servers[(victim+1)%3].asRoot()
		for range 5 {
			_ = write(alive) // The one that was under way when a leader died may end as unknown.
		}
		servers[victim].start().up("root", "")
		c = servers[victim].asRoot()
		c.comes("select count(*) from __all_server where status = 'active'", "3")
	}
	if len(acknowledged) < 27 {
		t.Fatalf("only %d of %d writes were acknowledged, %d ended as unknown", len(acknowledged), next, unknown)
	}

	servers[0].kill()
	servers[1].kill()
	last := servers[2].as("root", "", "oceanbase")
	last.must("SET ob_query_timeout = 8000000")
	short := servers[2].short()
	for _, statement := range []string{"INSERT INTO test.log VALUES (999, 0)", "SELECT count(*) FROM test.log", "CREATE USER 'u'"} {
		err := short.do(statement)
		said := (*mysql.MySQLError)(nil)
		if !errors.As(err, &said) || said.Number != 4012 && said.Number != 4081 {
			t.Fatalf("without a majority %s ends with %v", statement, err)
		}
	}
	for _, s := range servers[:2] {
		s.start()
	}
	for _, s := range servers {
		s.up("root", "")
	}
	got, err := servers[0].asRoot().query("SELECT id FROM test.log ORDER BY id")
	must(t, err)
	kept := map[string]bool{}
	for _, id := range got {
		kept[id] = true
	}
	for _, id := range acknowledged {
		if !kept[id] {
			t.Fatalf("write %s was acknowledged and is lost", id)
		}
	}
}
