package catalogue

import (
	"encoding/json"
	"testing"

	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

func TestASnapshotIsTheWholeCatalogue(t *testing.T) {
	c := founded(t, 3)
	c.must("create table t (id bigint auto_increment primary key, v varchar(9) default 'x')",
		"insert into t (v) values ('a'), (null)", "insert into t (id) values (9007199254740993)", "create user 'u' identified by 'p'")
	back := &State{}
	if err := json.Unmarshal([]byte(c.text()), back); err != nil {
		t.Fatal(err)
	}
	again, _ := json.Marshal(back)
	if string(again) != c.text() {
		t.Error("it does not come back as it was")
	}
	query, _ := sql.Parse("select id, v from t")
	result, err := back.Read("root", "test", query, Facts{}, nil)
	rows, _ := json.Marshal(result.Rows)
	if err != nil || string(rows) != `[[1,"a"],[2,null],[9007199254740993,"x"]]` {
		t.Errorf("the rows are %s, %v", rows, err)
	}
}

func TestRowsChangeAsMySQLsDo(t *testing.T) {
	c := founded(t, 3)
	c.must("create table t (id int primary key, v int)", "insert into t values (1, 1), (2, 2), (-3, 3)")
	for _, one := range []struct {
		statement string
		affected  uint64
	}{
		{"update t set v = v + 1 where id < 2", 2}, {"update t set v = 2 where id = 2", 0}, {"insert ignore into t values (1, 9), (4, 4)", 1},
		{"replace into t values (4, 5), (5, 5)", 3}, {"delete from t where v = 5", 2}, {"delete from t where id = 77", 0},
	} {
		result, err := c.apply(&Command{SQL: one.statement, User: "root", Database: "test"})
		if err != nil || result.Affected != one.affected {
			t.Errorf("%s: %v, %v and not %d rows", one.statement, result, err, one.affected)
		}
	}
	query, _ := sql.Parse("select id, v from t")
	result, err := c.Read("root", "test", query, Facts{}, nil)
	if rows, _ := json.Marshal(result.Rows); err != nil || string(rows) != `[[-3,4],[1,2],[2,2]]` {
		t.Errorf("the rows are %s, %v", rows, err)
	}
}

func TestEveryViewAnswersWithItsColumns(t *testing.T) {
	c := founded(t, 3)
	c.must("alter tenant sys locality = 'F@z1,F@z2'")
	for name, view := range views {
		query, err := sql.Parse("select * from " + name)
		if err != nil {
			t.Fatal(err)
		}
		result, err := c.Read("root", "", query, Facts{Leader: "v1.1", Voters: []string{"v1.1", "v2.1", "v3.1"}}, nil)
		if err != nil || len(result.Rows) == 0 && name != "oceanbase.dba_ob_server_jobs" {
			t.Errorf("%s: %v rows, %v", name, result, err)
			continue
		}
		for _, row := range result.Rows {
			if len(row) != len(view.heads()) {
				t.Fatalf("%s has %d columns and rows of %d", name, len(view.heads()), len(row))
			}
			for i, value := range row {
				if !value.IsNull() && value.IsNumber() != view.heads()[i].Numeric {
					t.Errorf("%s.%s is of the other type", name, view.heads()[i].Label)
				}
			}
		}
	}
}
