// Package serve is the port 2881: MySQL's protocol, as clients of OceanBase speak it.
package serve

import (
	"net"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"

	"atoll.dev/tests/stand-ins/observer/internal/catalogue"
	"atoll.dev/tests/stand-ins/observer/internal/replica"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// Node is what the sessions need of this server.
type Node interface {
	Execute(replica.Request) replica.Reply
	Password(user string) (string, bool, error)
	HasDatabase(name string) bool
	Heads(database string, statement sql.Statement) ([]sql.Head, error)
	Identity() catalogue.Identity
}

// handshake is what OceanBase 4 calls itself in the handshake, whichever release it is.
const handshake = "5.7.25"

// Listen serves clients until the listener ends.
func Listen(bind string, node Node, journal *Journal) (net.Listener, error) {
	listener, err := net.Listen("tcp", bind)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn, node, journal)
		}
	}()
	return listener, nil
}

func serve(conn net.Conn, node Node, journal *Journal) {
	defer conn.Close()
	session := &session{node: node, journal: journal, from: host(conn), timeout: 10 * time.Second, autocommit: true}
	// A client that connects and says nothing (a readiness probe that hangs) must not stay for ever.
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	conf := server.NewServerWithAuth(handshake, mysql.DEFAULT_COLLATION_ID, mysql.AUTH_NATIVE_PASSWORD, nil, nil, &latch{session: session})
	wire, err := conf.NewCustomizedConn(conn, &doorkeeper{session}, session)
	if err != nil {
		return
	}
	_ = conn.SetDeadline(time.Time{})
	wire.SetStatus(mysql.SERVER_STATUS_AUTOCOMMIT)
	session.id = wire.ConnectionID()
	for wire.HandleCommand() == nil && !wire.Closed() {
	}
}

func host(conn net.Conn) string {
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	return host
}
