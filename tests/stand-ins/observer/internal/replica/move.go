package replica

import (
	"time"

	"github.com/hashicorp/raft"

	"atoll.dev/tests/stand-ins/observer/internal/catalogue"
	"atoll.dev/tests/stand-ins/observer/internal/peers"
)

// member is one server as the replication has it, or should have it.
type member struct {
	volume, address string
	votes           bool
}

// step is one change of the replication's configuration.
type step struct {
	verb   string // learn, vote, demote, forget
	member member
}

// next finds the next change that is safe: after it the votes that live are a majority. A live vote that goes is
// replaced before, a dead one after; OceanBase replaces in one step, which this library does not know.
func next(have, want map[string]member, alive map[string]bool) (step, bool) {
	votes, living := 0, 0
	for volume, member := range have {
		if member.votes {
			votes++
			if alive[volume] {
				living++
			}
		}
	}
	one := func(volume string) int {
		if alive[volume] {
			return 1
		}
		return 0
	}
	leaves := func(dead bool) (step, bool) {
		for volume, member := range have {
			if member.votes && !want[volume].votes && alive[volume] != dead && living-one(volume) >= (votes-1)/2+1 {
				return step{"demote", member}, true
			}
		}
		return step{}, false
	}
	for volume, member := range want {
		if _, found := have[volume]; !found && alive[volume] {
			return step{"learn", member}, true
		}
	}
	if step, found := leaves(true); found {
		return step, true
	}
	for volume, member := range want {
		if member.votes && !have[volume].votes && alive[volume] && living+1 >= (votes+1)/2+1 {
			return step{"vote", member}, true
		}
	}
	for _, member := range want {
		if member.votes && !have[member.volume].votes {
			return step{}, false // A live vote goes only when what replaces it votes.
		}
	}
	if step, found := leaves(false); found {
		return step, true
	}
	for volume, member := range have {
		if _, wanted := want[volume]; !wanted && !member.votes {
			return step{"forget", member}, true
		}
	}
	return step{}, false
}

// move makes one change, and tells whether it did. It also hands the lead on from a server that must not have it: one
// whose vote goes, or one in a stopped zone, like OceanBase moves leaders out of a zone before it is stopped.
func (n *Node) move(running *raft.Raft, state *catalogue.State, seen map[int64]catalogue.Identity) bool {
	have, want, alive := map[string]member{}, map[string]member{}, map[string]bool{}
	for _, server := range n.configuration() {
		address, volume := peers.Part(string(server.Address))
		have[volume] = member{volume, address, server.Suffrage == raft.Voter}
	}
	for volume, votes := range state.Roles() {
		server := state.Holder(volume)
		want[volume] = member{volume, server.Address(), votes}
		identity, answers := seen[server.ID]
		alive[volume] = answers && identity.Member
	}
	for volume := range have {
		if server := state.Holder(volume); server != nil {
			_, alive[volume] = seen[server.ID]
		}
	}
	self := n.volume.Conf().Volume
	if n.handOn(running, state, have, alive, want[self].votes) {
		return true
	}
	step, found := next(have, want, alive)
	if !found {
		return false
	}
	id := raft.ServerID(step.member.volume)
	address := raft.ServerAddress(peers.Join(step.member.address, step.member.volume))
	var future raft.IndexFuture
	switch step.verb {
	case "learn":
		future = running.AddNonvoter(id, address, 0, 2*time.Second)
	case "vote":
		future = running.AddVoter(id, address, 0, 2*time.Second)
	case "demote":
		future = running.DemoteVoter(id, 0, 2*time.Second)
	default:
		future = running.RemoveServer(id, 0, 2*time.Second)
	}
	_ = future.Error()
	return true
}

func (n *Node) handOn(running *raft.Raft, state *catalogue.State, have map[string]member, alive map[string]bool, votes bool) bool {
	self := n.volume.Conf().Volume
	fit := func(volume string) bool {
		server := state.Holder(volume)
		if server == nil || server.Stopped != 0 || server.Deleting {
			return false
		}
		for _, zone := range state.Zones {
			if zone.Name == server.Zone {
				return zone.Active
			}
		}
		return false
	}
	if votes && fit(self) {
		return false
	}
	for volume, member := range have {
		if volume != self && member.votes && alive[volume] && fit(volume) {
			to := raft.ServerAddress(peers.Join(member.address, volume))
			return running.LeadershipTransferToServer(raft.ServerID(volume), to).Error() == nil
		}
	}
	return false
}
