package replica

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"atoll.dev/tests/stand-ins/observer/internal/catalogue"
	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/peers"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// Request is a statement on its way to the leader.
type Request struct {
	SQL, User, Database string
	From                string // the volume of the server that the client is connected to
	Timeout             time.Duration
	Founding            *catalogue.Founding `json:",omitempty"`
}

// Reply is what it came to. Retry means that nothing was done, because the server asked does not lead.
type Reply struct {
	Result *sql.Result
	Fault  *fault.Fault
	Index  uint64
	Retry  bool
}

// Execute carries out a statement wherever the leader is. It is never sent twice, unless it certainly was not done: a
// statement whose answer got lost ends as unknown, and the client has to look.
func (n *Node) Execute(request Request) Reply {
	request.From = n.volume.Conf().Volume
	end, limit := time.Now().Add(request.Timeout), request.Timeout.Microseconds()
	writes := true
	if request.Founding == nil {
		statement, err := sql.Parse(request.SQL)
		if err != nil {
			return Reply{Fault: fault.Of(err)}
		}
		writes = sql.Writes(statement)
		if n.replication() == nil {
			return n.alone(request, statement)
		}
		if _, is := statement.(*sql.Bootstrap); is {
			return Reply{Fault: fault.InitTwice()}
		}
	}
	for time.Now().Before(end) {
		request.Timeout = time.Until(end)
		reply, err := n.once(request)
		switch {
		case err == nil && !reply.Retry:
			return reply
		case err != nil && !errors.Is(err, peers.ErrNotSent) && writes:
			if time.Now().After(end) {
				return Reply{Fault: fault.Timeout(limit)}
			}
			return Reply{Fault: fault.Unknown()}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return Reply{Fault: fault.Timeout(limit)}
}

func (n *Node) once(request Request) (Reply, error) {
	if n.leading() {
		return n.execute(request), nil
	}
	leader, _ := n.replication().LeaderWithID()
	address, vol := peers.Part(string(leader))
	if leader == "" || vol == n.volume.Conf().Volume {
		return Reply{Retry: true}, nil
	}
	reply := Reply{}
	err := peers.Ask(address, vol, "execute", request, &reply, request.Timeout)
	return reply, err
}

// alone answers where there is no cluster yet: BOOTSTRAP is all that can be done.
func (n *Node) alone(request Request, statement sql.Statement) Reply {
	if bootstrap, is := statement.(*sql.Bootstrap); is {
		return n.bootstrap(bootstrap, request)
	}
	if sql.Writes(statement) {
		return Reply{Fault: fault.Inner()}
	}
	result, err := (&catalogue.State{}).Read(request.User, request.Database, statement, catalogue.Facts{}, nil)
	return Reply{Result: result, Fault: fault.Of(err)}
}

// execute is the leader's part.
func (n *Node) execute(request Request) Reply {
	if !n.leading() {
		return Reply{Retry: true}
	}
	command := &catalogue.Command{
		At: time.Now().UnixMicro(), Timing: catalogue.Timing{Job: n.options.Job.Microseconds()}, SQL: request.SQL,
		User: request.User, Database: request.Database, Founding: request.Founding,
	}
	if request.Founding != nil {
		command.SQL = ""
		return n.apply(command, request.Timeout)
	}
	known, founded := false, false
	n.machine.read(func(state *catalogue.State) {
		known, founded = state.Holder(request.From) != nil, state.Founded
	})
	if founded && !known {
		return Reply{Fault: fault.ServerNotActive()} // A server that was deleted serves nobody.
	}
	statement, err := sql.Parse(request.SQL)
	if err != nil {
		return Reply{Fault: fault.Of(err)}
	}
	if !sql.Writes(statement) {
		return n.look(request, statement)
	}
	if change, is := statement.(*sql.ServerChange); is && change.Verb == "ADD" {
		if command.Joining, err = n.identify(change.Servers); err != nil {
			return Reply{Fault: fault.Of(err)}
		}
	}
	return n.apply(command, request.Timeout)
}

// look reads what was agreed on up to now: only who is certain to lead still may answer.
func (n *Node) look(request Request, statement sql.Statement) Reply {
	if n.replication().VerifyLeader().Error() != nil || !n.leading() {
		return Reply{Retry: true}
	}
	reply := Reply{}
	facts := n.facts()
	n.machine.read(func(state *catalogue.State) {
		result, err := state.Read(request.User, request.Database, statement, facts, nil)
		reply = Reply{Result: result, Fault: fault.Of(err), Index: n.machine.applied}
	})
	return reply
}

func (n *Node) facts() catalogue.Facts {
	facts := catalogue.Facts{Leader: n.volume.Conf().Volume}
	for _, server := range n.configuration() {
		if server.Suffrage == raft.Voter {
			facts.Voters = append(facts.Voters, string(server.ID))
		}
	}
	return facts
}

func (n *Node) configuration() []raft.Server {
	future := n.replication().GetConfiguration()
	if future.Error() != nil {
		return nil
	}
	return future.Configuration().Servers
}

// apply writes a command into the log and waits until a majority has it.
func (n *Node) apply(command *catalogue.Command, timeout time.Duration) Reply {
	text, err := json.Marshal(command)
	if err != nil {
		return Reply{Fault: fault.Of(err)}
	}
	future := n.replication().Apply(text, timeout)
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	select {
	case err = <-done:
	case <-time.After(timeout):
		return Reply{Fault: fault.Timeout(timeout.Microseconds())}
	}
	switch {
	case err == nil:
		outcome := future.Response().(outcome)
		return Reply{Result: outcome.result, Fault: outcome.fault, Index: future.Index()}
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return Reply{Retry: true} // It never got into the log.
	}
	return Reply{Fault: fault.Unknown()}
}

// identify asks servers that are to be added who they are. One that does not answer cannot be added.
func (n *Node) identify(addresses []string) ([]catalogue.Identity, error) {
	var found []catalogue.Identity
	for _, address := range addresses {
		if _, _, err := catalogue.Split(address); err != nil {
			return nil, err
		}
		identity := catalogue.Identity{}
		if err := peers.Ask(address, "", "identify", nil, &identity, 2*time.Second); err != nil {
			return nil, fault.Root(4663, "server is not alive: %s", address)
		}
		if identity.Address != address {
			return nil, fault.New(4144, "42000", "Bad address '%s': the server there is %s", address, identity.Address)
		}
		found = append(found, identity)
	}
	return found, nil
}
