package catalogue

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

const job = 1000

// cluster is a catalogue and a clock.
type cluster struct {
	*State
	t   *testing.T
	now int64
}

func identity(zone, number int) Identity {
	return Identity{
		Address: fmt.Sprintf("10.0.%d.%d:2882", zone, number), Zone: fmt.Sprintf("z%d", zone), Volume: fmt.Sprintf("v%d.%d", zone, number),
		ClusterID: 1, ClusterName: "test", Version: "4.2.1.7-1",
	}
}

func founded(t *testing.T, zones int) *cluster {
	c := &cluster{State: &State{}, t: t}
	founding := &Founding{}
	for zone := 1; zone <= zones; zone++ {
		founding.Servers = append(founding.Servers, identity(zone, 1))
	}
	if _, err := c.apply(&Command{Founding: founding}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) apply(command *Command) (*sql.Result, error) {
	c.now++
	command.At, command.Timing.Job = c.now, job
	return c.State.Apply(command)
}

func (c *cluster) do(statement string, joining ...Identity) error {
	_, err := c.apply(&Command{SQL: statement, User: "root", Database: "test", Joining: joining})
	return err
}

func (c *cluster) must(statements ...string) {
	c.t.Helper()
	for _, statement := range statements {
		if err := c.do(statement); err != nil {
			c.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// add takes a server in and lets it be seen.
func (c *cluster) add(zone, number int) {
	c.t.Helper()
	one := identity(zone, number)
	if err := c.do("alter system add server '"+one.Address+"'", one); err != nil {
		c.t.Fatal(err)
	}
	c.see(c.at(one.Address).ID, true)
}

func (c *cluster) see(server int64, alive bool) {
	_, _ = c.apply(&Command{Seen: []Sighting{{Server: server, Alive: alive, Started: c.now, Version: "4.2.1.7-1"}}})
}

// settle lets time pass and the replication follow.
func (c *cluster) settle() {
	for range 3 {
		c.now += job
		tick := &Tick{}
		for volume, votes := range c.Roles() {
			if tick.Members = append(tick.Members, volume); votes {
				tick.Voters = append(tick.Voters, volume)
			}
		}
		_, _ = c.apply(&Command{Tick: tick})
	}
}

func (c *cluster) text() string {
	text, err := json.Marshal(c.State)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

func (c *cluster) voters() (list []string) {
	for volume, votes := range c.Roles() {
		if votes {
			list = append(list, volume)
		}
	}
	return without(sortedList(list), nil)
}

func sortedList(list []string) []string {
	set := map[string]bool{}
	for _, one := range list {
		set[one] = true
	}
	return sorted(set)
}

func TestWhatTheRealOneRefusesIsRefusedAndChangesNothing(t *testing.T) {
	dead := func(ids ...int64) func(*cluster) {
		return func(c *cluster) {
			for _, id := range ids {
				c.see(id, false)
			}
		}
	}
	sql := func(statements ...string) func(*cluster) { return func(c *cluster) { c.must(statements...) } }
	pool := "alter resource pool sys_pool zone_list=('z1','z2','z3','z4')"
	fourth := func(c *cluster) { c.must("alter system add zone z4"); c.add(4, 1); c.must(pool) }
	second := func(c *cluster) { c.add(1, 2) }
	for _, one := range []struct {
		why       string
		before    func(*cluster)
		statement string
		code      uint16
	}{
		{"a second bootstrap", nil, "alter system bootstrap zone 'z1' server '10.0.1.1:2882'", 4005},
		{"a zone twice", nil, "alter system add zone z1", 4017},
		{"to stop a second zone", sql("alter system stop zone z1"), "alter system stop zone z2", 4660},
		{"to stop a server beside a stopped zone", sql("alter system stop zone z1"), "alter system stop server '10.0.2.1:2882'", 4660},
		{"to stop a zone beside a stopped server", sql("alter system stop server '10.0.1.1:2882'"), "alter system stop zone z2", 4660},
		{"to stop a zone while another is down", dead(1), "alter system stop zone z2", 4179},
		{"to stop a server while another zone is down", dead(1), "alter system stop server '10.0.2.1:2882'", 4179},
		{"to stop a zone beside one that was never started", sql("alter system add zone z4"), "alter system stop zone z1", 4660},
		{"to stop an unknown zone", nil, "alter system stop zone z9", 4530},
		{"to delete a zone with servers", nil, "alter system delete zone z1", 4668},
		{"to delete an active zone", sql("alter system add zone z4", "alter system start zone z4"), "alter system delete zone z4", 4633},
		{"to delete the last server of a zone that votes", nil, "alter system delete server '10.0.1.1:2882'", 4733},
		{"to delete all servers of a zone that votes", second, "alter system delete server '10.0.1.1:2882', '10.0.1.2:2882'", 4733},
		{"to delete a server whose successor is down", func(c *cluster) { second(c); c.see(4, false) }, "alter system delete server '10.0.1.1:2882'", 4733},
		{"to move a vote while another zone is down", func(c *cluster) { second(c); c.see(2, false) }, "alter system delete server '10.0.1.1:2882'", 4179},
		{"to delete an unknown server", nil, "alter system delete server '10.0.9.9:2882'", 4018},
		{"to delete a server in another zone", nil, "alter system delete server '10.0.1.1:2882' zone 'z2'", 4631},
		{"to keep a server that is not leaving", nil, "alter system cancel delete server '10.0.1.1:2882'", 4629},
		{"an address that is none", nil, "alter system delete server 'host'", 4144},
		{"two zones to leave the locality of three", nil, "alter tenant sys locality = 'F@z1'", 4179},
		{"one to come and one to go", fourth, "alter tenant sys locality = 'F@z1,F@z2,F@z4'", 4179},
		{"a zone to leave while another is down", dead(1), "alter tenant sys locality = 'F@z1,F@z2'", 4179},
		{"a zone without a server in the locality", func(c *cluster) { fourth(c); c.see(4, false) }, "alter tenant sys locality = 'F@z1,F@z2,F@z3,F@z4'", 4733},
		{"an unknown zone in the locality", nil, "alter tenant sys locality = 'F@z1,F@z2,F@z3,F@z9'", 4530},
		{"a locality that nobody can read", nil, "alter tenant sys locality = 'z1'", 1210},
		{"a locality change during another", sql("alter tenant sys locality = 'F@z1,F@z2'"), "alter tenant sys locality = 'F@z1,F@z2,F@z3'", 4179},
		{"to delete a server that votes during a locality change", func(c *cluster) { second(c); c.must("alter tenant sys locality = 'F@z1,F@z2'") }, "alter system delete server '10.0.1.1:2882'", 4179},
		{"another tenant", nil, "alter tenant shop locality = 'F@z1'", 5160},
		{"a pool without a zone that votes", nil, "alter resource pool sys_pool zone_list=('z1','z2')", 4179},
		{"a pool with a zone without servers", sql("alter system add zone z4"), pool, 4733},
		{"a pool with an unknown zone", nil, pool, 4530},
		{"a pool with a zone twice", nil, "alter resource pool sys_pool zone_list=('z1','z1','z2','z3')", 4641},
		{"to drop the tenant's pool", nil, "drop resource pool sys_pool", 4626},
		{"to drop a unit in use", nil, "drop resource unit sys_unit_config", 4634},
		{"a unit without a size", nil, "create resource unit small max_cpu 1", 1210},
		{"an unknown unit", nil, "create resource pool p unit='none', unit_num=1, zone_list=('z1')", 4648},
		{"a rolling upgrade without an upgrade", nil, "alter system begin rolling upgrade", 4179},
		{"to end an upgrade that rolls", sql("alter system begin upgrade", "alter system begin rolling upgrade"), "alter system end upgrade", 4179},
		{"to drop root", nil, "drop user root", 4179},
		{"an unknown database", nil, "create table shop.t (id int primary key)", 1049},
		{"a table in a reserved database", nil, "create table oceanbase.t (id int primary key)", 1227},
		{"a table twice", sql("create table t (id int primary key)"), "create table t (id int primary key)", 1050},
		{"a table without a key", nil, "create table t (id int)", 1235},
		{"a row twice", sql("create table t (id varchar(9) primary key)", "insert into t values ('A')"), "insert into t values ('b'), ('a')", 1062},
		{"a text as a number", sql("create table t (id int primary key)"), "insert into t values ('1x')", 1366},
		{"nothing as a key", sql("create table t (id int primary key)"), "insert into t values (null)", 1048},
		{"a row without a needed value", sql("create table t (id int primary key, v int not null)"), "insert into t (id) values (1)", 1364},
		{"a row that is too long", sql("create table t (id int primary key)"), "insert into t values (1, 2)", 1136},
		{"another key for a row", sql("create table t (id int primary key)", "insert into t values (1)"), "update t set id = 2", 1235},
		{"an unknown column", sql("create table t (id int primary key)", "insert into t values (1)"), "update t set v = 2", 1054},
	} {
		c := founded(t, 3)
		if one.before != nil {
			one.before(c)
		}
		before := strings.Replace(c.text(), fmt.Sprintf(`"Now":%d,`, c.Now), "", 1)
		if err := c.do(one.statement); !fault.Is(err, one.code) {
			t.Errorf("%s: %s\n ends with %v and not with %d", one.why, one.statement, err, one.code)
		}
		if after := strings.Replace(c.text(), fmt.Sprintf(`"Now":%d,`, c.Now), "", 1); before != after {
			t.Errorf("%s: %s\n is refused and changes the catalogue", one.why, one.statement)
		}
	}
}

func TestServersThatCannotBeAdded(t *testing.T) {
	for why, spoil := range map[string]struct {
		by   func(*Identity)
		code uint16
	}{
		"one that belongs to a cluster": {func(i *Identity) { i.Member = true }, 4179},
		"one of another cluster's id":   {func(i *Identity) { i.ClusterID = 2 }, 4700},
		"one of another cluster's name": {func(i *Identity) { i.ClusterName = "other" }, 4666},
		"one of an unknown zone":        {func(i *Identity) { i.Zone = "z9" }, 4530},
		"one that is too old":           {func(i *Identity) { i.Version = "4.2.1.6-1" }, 4696},
	} {
		c, one := founded(t, 3), identity(1, 2)
		spoil.by(&one)
		if err := c.do("alter system add server '10.0.1.2:2882'", one); !fault.Is(err, spoil.code) {
			t.Errorf("%s: %v and not %d", why, err, spoil.code)
		}
	}
}

func TestVotesAreOfZones(t *testing.T) {
	c := founded(t, 3)
	c.add(1, 2)
	same := func(why string, want ...string) {
		t.Helper()
		if got := c.voters(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v vote and not %v", why, got, want)
		}
	}
	same("a second server of a zone does not vote", "v1.1", "v2.1", "v3.1")
	c.must("alter system delete server '10.0.1.1:2882'")
	same("a server that leaves votes until its time has come", "v1.1", "v2.1", "v3.1")
	c.must("alter system cancel delete server '10.0.1.1:2882'", "alter system delete server '10.0.1.1:2882'")
	c.settle()
	same("then the other one of its zone votes", "v1.2", "v2.1", "v3.1")
	if c.at("10.0.1.1:2882") != nil {
		t.Error("the server is still there")
	}
	c.must("alter tenant sys locality = 'F@z1,F@z2'")
	same("a zone that leaves votes until its time has come", "v1.2", "v2.1", "v3.1")
	c.settle()
	same("and not after", "v1.2", "v2.1")
	if err := c.do("alter tenant sys locality = 'F@z1'"); !fault.Is(err, 4179) {
		t.Errorf("two become one: %v", err)
	}
	c.must("alter tenant sys locality = 'F@z1,F@z2,F@z3'")
	same("a zone that comes does not vote before it has copied", "v1.2", "v2.1")
	c.settle()
	same("and then it does", "v1.2", "v2.1", "v3.1")
	if c.Tenant.Previous != nil || c.Working() {
		t.Error("the change goes on for ever")
	}
}
