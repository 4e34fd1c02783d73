package sql

import (
	"encoding/json"
	"strings"
	"testing"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

func TestPasswordsAreNotShown(t *testing.T) {
	for statement, shown := range map[string]string{
		"alter user 'root' identified by 'a''b\\'c'":                      "alter user 'root' identified by '***'",
		"CREATE USER 'a' IDENTIFIED BY \"x\", 'b' IDENTIFIED BY 'y'":      "CREATE USER 'a' IDENTIFIED BY '***', 'b' IDENTIFIED BY '***'",
		"SET PASSWORD FOR 'a' = PASSWORD('x')":                            "SET PASSWORD FOR '***' = PASSWORD('***')",
		"alter user 'root' identifyed by 'typo'":                          "alter user '***' identifyed by '***'",
		"alter user 'root' identified by 'never closed":                   "(unreadable, not shown)",
		"insert into t values ('shown')":                                  "insert into t values ('shown')",
		"alter system bootstrap zone 'z1' server '10.0.0.1:2882'":         "alter system bootstrap zone 'z1' server '10.0.0.1:2882'",
		"grant select on *.* to 'a'; alter user 'a' identified by 'both'": "grant select on *.* to '***'; alter user '***' identified by '***'",
	} {
		if got := Mask(statement); got != shown {
			t.Errorf("%s\n is shown as %s\n and not   %s", statement, got, shown)
		}
	}
}

func TestArgumentsAreWrittenIntoTheStatement(t *testing.T) {
	got, err := Bind("insert into t values (?, '?', ?) -- ?", []Value{Number(-7), Text(`it's a \ and a ?`)})
	if err != nil || got != `insert into t values (-7, '?', 'it\'s a \\ and a ?') -- ?` {
		t.Fatal(got, err)
	}
	if _, err := Bind("select ?", nil); !fault.Is(err, 1210) {
		t.Fatal(err)
	}
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	for statement, words := range map[string]string{
		"":                                "empty",
		"select 1; select 2":              "more than one statement",
		"alter system bootstrap":          "ends too early",
		"alter system bootstrap zone 'z'": "ends too early",
		"alter system begin":              "syntax",
		"alter tenant sys set variables ob_tcp_invited_nodes='%'":  "syntax",
		"create tenant t resource_pool_list=('p')":                 "not supported",
		"create user 'a'@'10.0.0.1'":                               "another host",
		"create user 'a' identified with 'sha256_password' by 'x'": "plugin",
		"grant fly on *.* to 'a'":                                  "privilege FLY",
		"create table t (id float primary key)":                    "the type FLOAT",
		"create table t (id int unsigned primary key)":             "option of a column",
		"insert into t select * from u":                            "INSERT without VALUES",
		"insert into t values (1) on duplicate key update v = 1":   "ON DUPLICATE",
		"select * from a, b":                                       "more than one table",
		"select a from t group by a":                               "GROUP",
		"select distinct a from t":                                 "DISTINCT",
		"set global x = 1":                                         "SET GLOBAL",
		"select 'a":                                                "never closed",
		"alter system set x":                                       "ends too early",
		"truncate table t":                                         "TRUNCATE",
		"kill 5":                                                   "syntax",
		"alter user 'a' account lock":                              "syntax",
	} {
		if _, err := Parse(statement); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q is answered with %v and not with %q", statement, err, words)
		}
	}
}

func TestQueriesFindWhatMySQLWouldFind(t *testing.T) {
	source := Source{
		Heads: []Head{{Label: "id", Numeric: true}, {Label: "Status"}, {Label: "note"}},
		Rows: [][]Value{
			{Number(1), Text("ACTIVE"), Null}, {Number(2), Text("inactive"), Text("a_b")}, {Number(10), Text("DELETING"), Text("axb")},
		},
	}
	for query, want := range map[string]string{
		"select id from v where status = 'active'":                             `[[1]]`,
		"select id from v where status in ('ACTIVE', 'DELETING') order by id":  `[[1],[10]]`,
		"select lower(status) as s from v where id between 1 and 2":            `[["active"],["inactive"]]`,
		"select id from v where note is null or note like 'a\\_b'":             `[[1],[2]]`,
		"select id from v where note like 'a_b' order by id desc limit 1":      `[[10]]`,
		"select count(*) from v where note <> 'x'":                             `[[2]]`,
		"select count(note), max(id), min(id), sum(id) from v":                 `[[2,10,1,13]]`,
		"select count(*) from v where id > '9'":                                `[[1]]`,
		"select coalesce(note, '') as n from v where not id >= 2":              `[[""]]`,
		"select id + 1 * 2 from v where id = 1":                                `[[3]]`,
		"select v.id from v where v.id in (1, 2) and (id = 2 or status = 'x')": `[[2]]`,
		"select * from v where id = 1":                                         `[[1,"ACTIVE",null]]`,
		"select max(id) from v where id > 100":                                 `[[null]]`,
	} {
		statement, err := Parse(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		result, err := statement.(*Select).Run(source, nil)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if text, _ := json.Marshal(result.Rows); string(text) != want {
			t.Errorf("%s finds %s and not %s", query, text, want)
		}
	}
	for query, code := range map[string]uint16{
		"select nothing from v": 1054, "select id from v where nothing = 1": 1054, "select id, count(*) from v": 1235,
		"select fly(id) from v": 1305,
	} {
		statement, err := Parse(query)
		if err == nil {
			_, err = statement.(*Select).Run(source, nil)
		}
		if !fault.Is(err, code) {
			t.Errorf("%s ends with %v and not with %d", query, err, code)
		}
	}
}
