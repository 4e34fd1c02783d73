// Package replica keeps one catalogue on all servers: what a majority of the zones has written is acknowledged, and
// nothing else is.
package replica

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"atoll.dev/tests/stand-ins/observer/internal/catalogue"
	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/peers"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
	"atoll.dev/tests/stand-ins/observer/internal/volume"
)

// Options are a server's own.
type Options struct {
	Address   string // ip:port, by which it is known
	Bind      string // what it listens on
	Version   string
	Bootstrap time.Duration // how long a bootstrap takes
	Job       time.Duration // how long a locality job or a deletion takes at least
	Lease     time.Duration // after which a server that is not seen is inactive
	Log       io.Writer
}

// Node is one server's part.
type Node struct {
	options  Options
	volume   *volume.Volume
	port     *peers.Port
	machine  *machine
	started  int64
	mutex    sync.Mutex // guards raft and ready, and lets one server be founded or adopted once
	raft     *raft.Raft
	ready    uint64 // the term in which this server leads and has applied all that was agreed before
	lastSeen map[int64]time.Time
	back     atomic.Bool // it was started as a member, and has not caught up since
}

// Start opens the port, and goes on as a member if the volume belongs to one.
func Start(options Options, vol *volume.Volume) (*Node, error) {
	n := &Node{
		options: options, volume: vol, machine: &machine{state: &catalogue.State{}}, started: time.Now().UnixMicro(),
		lastSeen: map[int64]time.Time{},
	}
	self := func() (string, string) { conf := vol.Conf(); return conf.Volume, conf.Cluster }
	var err error
	if n.port, err = peers.Listen(options.Bind, options.Address, self, n.answer); err != nil {
		return nil, err
	}
	if vol.Conf().Cluster != "" {
		n.back.Store(true)
		if err := n.run(nil); err != nil {
			return nil, err
		}
	}
	go n.lead()
	return n, nil
}

// run starts the replication. Whoever founds gives the first configuration.
func (n *Node) run(first *raft.Configuration) error {
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(n.volume.Conf().Volume)
	conf.HeartbeatTimeout, conf.ElectionTimeout = time.Second, time.Second
	conf.LeaderLeaseTimeout = 700 * time.Millisecond
	conf.SnapshotThreshold, conf.SnapshotInterval, conf.TrailingLogs = 4096, time.Minute, 4096
	conf.ShutdownOnRemove = false
	conf.Logger = hclog.New(&hclog.LoggerOptions{Name: "replication", Level: hclog.Info, Output: n.options.Log})
	logs, err := openStore(n.volume.Log())
	if err != nil {
		return err
	}
	shots, err := raft.NewFileSnapshotStoreWithLogger(n.volume.Snapshots(), 2, conf.Logger)
	if err != nil {
		return err
	}
	transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: n.port, MaxPool: 3, Timeout: 2 * time.Second, Logger: conf.Logger,
	})
	if first != nil {
		if err := raft.BootstrapCluster(conf, logs, logs, shots, transport, *first); err != nil {
			return err
		}
	}
	made, err := raft.NewRaft(conf, n.machine, logs, logs, shots, transport)
	if err != nil {
		return err
	}
	n.mutex.Lock()
	n.raft = made
	n.mutex.Unlock()
	return nil
}

func (n *Node) replication() *raft.Raft {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.raft
}

// leading tells whether this server leads now and knows all that was agreed.
func (n *Node) leading() bool {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.raft != nil && n.ready != 0 && n.raft.State() == raft.Leader && n.raft.CurrentTerm() == n.ready
}

// Identity is what this server says of itself.
func (n *Node) Identity() catalogue.Identity {
	conf := n.volume.Conf()
	return catalogue.Identity{
		Address: n.options.Address, Zone: conf.Zone, Volume: conf.Volume, ClusterID: conf.ClusterID, ClusterName: conf.ClusterName,
		Version: n.options.Version, Member: conf.Cluster != "", Cluster: conf.Cluster, Started: n.started, Options: maps.Clone(conf.Options),
		Applied: n.machine.position(),
	}
}

// Password finds a user's password in this server's copy of the catalogue, like the real one in its cached schema: so a
// login works without a majority. Before there is a cluster there is only root, without a password. A member that was
// started again lets nobody in before its copy is as new as the leader's: what it has could be of long ago.
func (n *Node) Password(user string) (password string, found bool, err error) {
	n.CatchUp()
	if n.back.Load() {
		return "", false, fault.Initializing()
	}
	n.machine.read(func(state *catalogue.State) {
		if !state.Founded {
			found = user == "root"
		} else if known := state.Users[user]; known != nil {
			password, found = known.Password, true
		}
	})
	return password, found, nil
}

// HasDatabase tells whether a session may use a database.
func (n *Node) HasDatabase(name string) (has bool) {
	n.CatchUp()
	n.machine.read(func(state *catalogue.State) { has = state.HasDatabase(name) })
	return has
}

// Heads tells the columns of a query.
func (n *Node) Heads(database string, statement sql.Statement) (heads []sql.Head, err error) {
	n.CatchUp()
	n.machine.read(func(state *catalogue.State) { heads, err = state.Heads(database, statement) })
	return heads, err
}

// CatchUp waits a moment until this server's copy is as new as the leader's, so that a password that was changed
// through one server counts at once at another. Where nobody leads, the copy has to do.
func (n *Node) CatchUp() {
	end := time.Now().Add(400 * time.Millisecond)
	running := n.replication()
	if running == nil {
		return
	}
	if n.leading() {
		n.back.Store(false)
		return
	}
	leader, _ := running.LeaderWithID()
	if leader == "" {
		return
	}
	var position uint64
	address, vol := peers.Part(string(leader))
	if peers.Ask(address, vol, "position", nil, &position, 300*time.Millisecond) != nil {
		return
	}
	for n.machine.position() < position && time.Now().Before(end) {
		time.Sleep(5 * time.Millisecond)
	}
	if n.machine.position() >= position {
		n.back.Store(false)
	}
}

// answer answers another server.
func (n *Node) answer(operation string, body json.RawMessage) (any, error) {
	switch operation {
	case "identify":
		return n.Identity(), nil
	case "position":
		return n.machine.position(), nil
	case "adopt":
		var cluster string
		if err := json.Unmarshal(body, &cluster); err != nil {
			return nil, err
		}
		return true, n.adopted(cluster)
	case "execute":
		request := Request{}
		if err := json.Unmarshal(body, &request); err != nil {
			return nil, err
		}
		return n.execute(request), nil
	}
	return nil, fmt.Errorf("unknown operation %s", operation)
}

// adopted makes this server a member. It copies the catalogue as soon as the leader adds it.
func (n *Node) adopted(cluster string) error {
	n.mutex.Lock()
	if n.volume.Conf().Cluster == cluster && n.raft != nil {
		n.mutex.Unlock()
		return nil
	}
	err := n.join(cluster)
	n.mutex.Unlock()
	if err != nil {
		return err
	}
	return n.run(nil)
}

// join makes the log before the record says that there is one: a crash in between must not look like a lost volume.
func (n *Node) join(cluster string) error {
	if n.volume.Conf().Cluster != "" {
		return fault.InitTwice()
	}
	logs, err := openStore(n.volume.Log())
	if err != nil {
		return err
	}
	if err := logs.db.Close(); err != nil {
		return err
	}
	return n.volume.Join(cluster)
}
