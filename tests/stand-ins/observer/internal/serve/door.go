package serve

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

// doorkeeper lets clients in. It looks passwords up at each login, so a change counts from the next one on.
type doorkeeper struct{ session *session }

// GetCredential reads OceanBase's user names: user, user@tenant, user@tenant#cluster. There is no tenant but sys.
func (d *doorkeeper) GetCredential(name string) (server.Credential, bool, error) {
	user, place, _ := strings.Cut(name, "@")
	tenant, cluster, named := strings.Cut(place, "#")
	if self := d.session.node.Identity(); named && cluster != self.ClusterName {
		return server.Credential{}, false, wire(fault.ClusterName(self.ClusterName))
	}
	password, found, err := d.session.node.Password(user)
	if err != nil {
		return server.Credential{}, false, wire(fault.Of(err))
	}
	if !found || tenant != "" && tenant != "sys" {
		// An unknown user is answered like a wrong password.
		random := make([]byte, 16)
		_, _ = rand.Read(random)
		password = hex.EncodeToString(random)
	}
	d.session.user, d.session.open = user, password == ""
	return server.Credential{Passwords: []string{password}, AuthPluginName: mysql.AUTH_NATIVE_PASSWORD}, true, nil
}

// OnAuthSuccess looks at the database only now: who may not come in need not know which there are.
func (d *doorkeeper) OnAuthSuccess(*server.Conn) error {
	d.session.inside = true
	if d.session.database == "" {
		return nil
	}
	return d.session.UseDB(d.session.database)
}

// OnAuthFailure lists a refused login, since a test wants to see that one was tried.
func (d *doorkeeper) OnAuthFailure(_ *server.Conn, err error) {
	if d.session.user != "" {
		d.session.journal.login(d.session.user, d.session.from, err)
	}
}

// wire makes a fault one of the protocol's library.
func wire(f *fault.Fault) error {
	return &mysql.MyError{Code: f.Code, State: f.State, Message: f.Message}
}

// latch compares passwords. A user without one is compared here, because the library's own comparison ends in a panic
// when a password is given where there is none.
type latch struct {
	server.DefaultAuthenticationProvider
	session *session
}

// Authenticate compares what a client has sent.
func (l *latch) Authenticate(conn *server.Conn, plugin string, sent []byte) error {
	if !l.session.open {
		return l.DefaultAuthenticationProvider.Authenticate(conn, plugin, sent)
	}
	if len(sent) == 0 || len(sent) == 1 && sent[0] == 0 {
		return nil
	}
	return server.ErrAccessDenied
}
