package main

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// client is a connection pool with a user's credentials.
type client struct {
	t  *testing.T
	db *sql.DB
}

func (s *server) as(user, password, database string) client {
	conf := mysql.NewConfig()
	conf.User, conf.Passwd, conf.Net, conf.Addr, conf.DBName = user, password, "tcp", s.ip+":2881", database
	conf.InterpolateParams, conf.MultiStatements = true, true // As ob-operator connects.
	conf.Timeout = 2 * time.Second
	conf.Params = map[string]string{"ob_query_timeout": "8000000"}
	connector, err := mysql.NewConnector(conf)
	must(s.t, err)
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(0)
	s.t.Cleanup(func() { db.Close() })
	return client{s.t, db}
}

// root is root of a founded cluster, with the password that the tests give it.
func (s *server) asRoot() client { return s.as("root", "", "oceanbase") }

func (c client) do(statement string, args ...any) error {
	_, err := c.db.Exec(statement, args...)
	return err
}

// must carries a statement out.
func (c client) must(statement string, args ...any) {
	c.t.Helper()
	if err := c.do(statement, args...); err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
}

// rows are a query's rows, cells joined by blanks.
func (c client) query(statement string, args ...any) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	rows, err := c.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var list []string
	for rows.Next() {
		cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var texts []string
		for _, cell := range cells {
			if !cell.Valid {
				cell.String = "NULL"
			}
			texts = append(texts, cell.String)
		}
		list = append(list, strings.Join(texts, " "))
	}
	return list, rows.Err()
}

// shows checks a query's rows, at once.
func (c client) shows(statement string, want ...string) {
	c.t.Helper()
	got, err := c.query(statement)
	if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		c.t.Fatalf("%s\n gives  %v %v\n wanted %v", statement, got, err, want)
	}
}

// comes waits until a query has these rows.
func (c client) comes(statement string, want ...string) {
	c.t.Helper()
	var got []string
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got, err = c.query(statement); err == nil && strings.Join(got, "|") == strings.Join(want, "|") {
			return
		}
	}
	c.t.Fatalf("%s\n still gives %v %v\n wanted      %v", statement, got, err, want)
}

// refused checks that a statement is refused with this number and these words.
func (c client) refused(code uint16, words, statement string, args ...any) {
	c.t.Helper()
	refused(c.t, c.do(statement, args...), code, words, statement)
}

func refused(t *testing.T, err error, code uint16, words, what string) {
	t.Helper()
	said := (*mysql.MySQLError)(nil)
	if !errors.As(err, &said) || said.Number != code || !strings.Contains(said.Message, words) {
		t.Fatalf("%s\n ends with %v\n wanted    %d: …%s…", what, err, code, words)
	}
}

// short is root with little patience.
func (s *server) short() client {
	conf := mysql.NewConfig()
	conf.User, conf.Net, conf.Addr, conf.DBName = "root", "tcp", s.ip+":2881", "oceanbase"
	conf.Params = map[string]string{"ob_query_timeout": "1500000"}
	connector, err := mysql.NewConnector(conf)
	must(s.t, err)
	db := sql.OpenDB(connector)
	s.t.Cleanup(func() { db.Close() })
	return client{s.t, db}
}
