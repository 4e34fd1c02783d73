package replica

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"atoll.dev/tests/stand-ins/observer/internal/catalogue"
	"atoll.dev/tests/stand-ins/observer/internal/peers"
)

const (
	beat     = 200 * time.Millisecond
	question = time.Second
)

// lead is what whoever leads does all the time: see who lives, take in who was added, move votes, finish work.
func (n *Node) lead() {
	for range time.Tick(beat) {
		running := n.replication()
		if running == nil || running.State() != raft.Leader {
			continue
		}
		if !n.leading() {
			n.begin(running)
			continue
		}
		var state catalogue.State
		n.machine.read(func(now *catalogue.State) { state = copied(now) })
		if !state.Founded {
			continue
		}
		seen := n.ask(&state)
		n.sight(&state, seen)
		if n.move(running, &state, seen) {
			continue
		}
		if state.Working() {
			n.apply(&catalogue.Command{At: time.Now().UnixMicro(), Tick: n.tick()}, 2*time.Second)
		}
	}
}

// begin makes a new leader wait until all that was agreed before is applied here. Every server counts as seen now, so a
// change of the leader makes nobody inactive.
func (n *Node) begin(running *raft.Raft) {
	term := running.CurrentTerm()
	if running.Barrier(5*time.Second).Error() != nil || running.CurrentTerm() != term {
		return
	}
	n.machine.read(func(state *catalogue.State) {
		for _, server := range state.Servers {
			n.lastSeen[server.ID] = time.Now()
		}
	})
	n.mutex.Lock()
	n.ready = term
	n.mutex.Unlock()
}

// copied takes what the leader's work looks at, so that the catalogue is not held while servers are asked.
func copied(now *catalogue.State) catalogue.State {
	state := *now
	state.Servers, state.Zones, state.Jobs = nil, nil, nil
	for _, server := range now.Servers {
		one := *server
		state.Servers = append(state.Servers, &one)
	}
	for _, zone := range now.Zones {
		one := *zone
		state.Zones = append(state.Zones, &one)
	}
	for _, job := range now.Jobs {
		one := *job
		state.Jobs = append(state.Jobs, &one)
	}
	return state
}

// ask asks every server who it is. Only the server of the volume that was added counts; a stranger at its address does
// not make it live.
func (n *Node) ask(state *catalogue.State) map[int64]catalogue.Identity {
	var mutex sync.Mutex
	var all sync.WaitGroup
	seen := map[int64]catalogue.Identity{}
	for _, server := range state.Servers {
		all.Add(1)
		go func() {
			defer all.Done()
			identity := catalogue.Identity{}
			if server.Volume == n.volume.Conf().Volume {
				identity = n.Identity()
			} else if peers.Ask(server.Address(), server.Volume, "identify", nil, &identity, question) != nil {
				return
			}
			mutex.Lock()
			defer mutex.Unlock()
			seen[server.ID] = identity
		}()
	}
	all.Wait()
	return seen
}

func (n *Node) sight(state *catalogue.State, seen map[int64]catalogue.Identity) {
	var news []catalogue.Sighting
	for _, server := range state.Servers {
		identity, answers := seen[server.ID]
		if answers && !identity.Member {
			done := false
			_ = peers.Ask(server.Address(), server.Volume, "adopt", n.volume.Conf().Cluster, &done, question)
			continue
		}
		if answers {
			n.lastSeen[server.ID] = time.Now()
		}
		switch {
		case answers && (!server.Alive || server.Version != identity.Version || identity.Started > server.Started):
			// A server that just started serves once its copy is there.
			if identity.Applied > 0 {
				news = append(news, catalogue.Sighting{
					Server: server.ID, Alive: true, Started: time.Now().UnixMicro(), Version: identity.Version, Options: identity.Options,
				})
			}
		case !answers && server.Alive && time.Since(n.lastSeen[server.ID]) > n.options.Lease:
			news = append(news, catalogue.Sighting{Server: server.ID})
		}
	}
	if len(news) > 0 {
		n.apply(&catalogue.Command{At: time.Now().UnixMicro(), Seen: news}, 2*time.Second)
	}
}

func (n *Node) tick() *catalogue.Tick {
	tick := &catalogue.Tick{}
	for _, server := range n.configuration() {
		tick.Members = append(tick.Members, string(server.ID))
		if server.Suffrage == raft.Voter {
			tick.Voters = append(tick.Voters, string(server.ID))
		}
	}
	return tick
}
