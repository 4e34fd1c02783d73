package replica

import (
	"time"

	"github.com/hashicorp/raft"

	"atoll.dev/tests/stand-ins/observer/internal/catalogue"
	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/peers"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
	"atoll.dev/tests/stand-ins/observer/internal/volume"
)

// bootstrap founds a cluster of the servers named; this server must be one of them. It goes on when the client is gone:
// an answer that was lost does not undo it. When it fails half-way the servers are not empty any more, and must be
// emptied by hand, which is what OceanBase's documentation says of a failed bootstrap.
func (n *Node) bootstrap(statement *sql.Bootstrap, request Request) Reply {
	failed := func(err error) Reply { return Reply{Fault: fault.Of(err)} }
	own := false
	found := map[string]catalogue.Identity{}
	for _, pair := range statement.Servers {
		own = own || pair.Server == n.options.Address
		if _, _, err := catalogue.Split(pair.Server); err != nil {
			return failed(err)
		}
		identity := catalogue.Identity{}
		if pair.Server == n.options.Address {
			identity = n.Identity()
		} else if peers.Ask(pair.Server, "", "identify", nil, &identity, 2*time.Second) != nil {
			continue
		}
		if identity.Address == pair.Server {
			found[pair.Server] = identity
		}
	}
	if !own {
		return failed(fault.New(1210, "HY000", "Incorrect arguments to bootstrap: this server is not in the list"))
	}
	founding, err := catalogue.CheckFounding(statement, n.Identity(), found)
	if err != nil {
		return failed(err)
	}
	if err := n.found(founding); err != nil {
		return failed(err)
	}
	end := time.Now().Add(30 * time.Second)
	for !n.leading() && time.Now().Before(end) {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(n.options.Bootstrap)
	return n.Execute(Request{Founding: founding, Timeout: time.Until(end)})
}

func (n *Node) found(founding *catalogue.Founding) error {
	cluster := volume.NewCluster()
	n.mutex.Lock()
	defer func() { n.mutex.Unlock() }()
	first := &raft.Configuration{}
	for _, identity := range founding.Servers {
		first.Servers = append(first.Servers, raft.Server{
			ID: raft.ServerID(identity.Volume), Address: raft.ServerAddress(peers.Join(identity.Address, identity.Volume)),
		})
	}
	if err := n.join(cluster); err != nil {
		return err
	}
	for _, identity := range founding.Servers {
		done := false
		if identity.Address == n.options.Address {
			continue
		}
		if err := peers.Ask(identity.Address, identity.Volume, "adopt", cluster, &done, 5*time.Second); err != nil {
			return fault.Root(4622, "wait all rs online timeout: %s: %v", identity.Address, err)
		}
	}
	n.mutex.Unlock()
	err := n.run(first)
	n.mutex.Lock()
	return err
}
