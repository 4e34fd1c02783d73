package main

import (
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// prepared is a client that lets the server prepare its statements.
func (s *server) prepared(t *testing.T) *sql.DB {
	conf := mysql.NewConfig()
	conf.User, conf.Net, conf.Addr, conf.DBName = "root", "tcp", s.ip+":2881", "test"
	connector, err := mysql.NewConnector(conf)
	must(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestTheProtocolHasTextAndPreparedStatements(t *testing.T) {
	t.Parallel()
	s := prepare(t, "127.0.18.1", "zone1").start().up("root", "")
	s.as("root", "", "").must("ALTER SYSTEM BOOTSTRAP ZONE ? SERVER ?", "zone1", s.address())
	db := s.prepared(t)
	do := func(statement string, args ...any) sql.Result {
		t.Helper()
		result, err := db.Exec(statement, args...)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		return result
	}
	do("CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20), n INT)")
	for i, v := range []any{"it's", nil, []byte("\\ ünï"), "", 3.5} {
		id, err := do("INSERT INTO t (v, n) VALUES (?, ?)", v, -i).LastInsertId()
		if err != nil || id != int64(i+1) {
			t.Fatalf("the row has number %d, %v", id, err)
		}
	}
	if changed, _ := do("UPDATE t SET n = n - ? WHERE id IN (?, ?)", 1, 1, 2).RowsAffected(); changed != 2 {
		t.Fatalf("%d rows were changed", changed)
	}
	rows, err := db.Query("SELECT id, v, n FROM t WHERE id <= ? ORDER BY id", 5)
	must(t, err)
	var got []string
	for rows.Next() {
		var id, n int64
		var v sql.NullString
		must(t, rows.Scan(&id, &v, &n))
		got = append(got, fmt.Sprintf("%d %t %s %d", id, v.Valid, v.String, n))
	}
	if want := "1 true it's -1|2 false  -2|3 true \\ ünï -2|4 true  -3|5 true 3.5 -4"; strings.Join(got, "|") != want {
		t.Fatalf("the rows are %s", strings.Join(got, "|"))
	}
	if _, err := db.Exec("INSERT INTO t (v, n) VALUES (?, ?)", nil, nil); err == nil {
		t.Fatal("arguments that are all NULL are stored")
	}

	// OceanBase's own statements can be prepared as well, and are checked then.
	do("ALTER SYSTEM ADD ZONE ?", "zone2")
	do("ALTER SYSTEM SET syslog_level = ? ZONE = ?", "INFO", "zone1")
	_, err = db.Prepare("ALTER SYSTEM FLY TO ?")
	refused(t, err, 1064, "FLY", "to prepare what is no statement")
	_, err = db.Prepare("SELECT nothing FROM oceanbase.DBA_OB_ZONES WHERE zone = ?")
	refused(t, err, 1054, "nothing", "to prepare a query of an unknown column")

	c := s.as("root", "", "test")
	c.shows("SELECT @@max_allowed_packet, @@wait_timeout, @@ob_query_timeout", "16777216 28800 8000000")
	c.shows("SELECT VERSION()", "5.7.25-OceanBase_CE-v4.2.1.7")
	c.shows("SELECT DATABASE(), 1", "test 1")
	c.shows("SHOW TABLES", "t")
	c.shows("SHOW DATABASES LIKE 't%'", "test")
	c.shows("SHOW GRANTS FOR 'root'", "GRANT ALL PRIVILEGES ON *.* TO 'root' WITH GRANT OPTION")
	c.must("SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, time_zone = '+00:00'")
	c.must("COMMIT")
	c.refused(1235, "transaction", "BEGIN")
	c.refused(1235, "autocommit", "SET autocommit = 0")
	c.refused(1235, "more than one statement", "SELECT 1; SELECT 2")
	c.refused(1049, "Unknown database", "USE nowhere")
	c.refused(1146, "test.nothing", "SELECT * FROM nothing")
	s.as("root", "", "").refused(1046, "No database selected", "SELECT * FROM t")
}

func TestManyClientsAtAllServersGetDifferentNumbers(t *testing.T) {
	t.Parallel()
	servers := founded(t, 19)
	servers[0].asRoot().must("CREATE TABLE test.n (id BIGINT AUTO_INCREMENT PRIMARY KEY, who INT)")
	var all sync.WaitGroup
	for i, s := range servers {
		db := s.prepared(t)
		for range 3 {
			all.Go(func() {
				for range 5 {
					if _, err := db.Exec("INSERT INTO n (who) VALUES (?)", i); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	servers[1].asRoot().shows("SELECT count(*), max(id) FROM test.n", "45 45")
}
