//! Who reaches whom, by the addresses that members know of each other.

use std::time::Duration;

use super::{
    flags::authority,
    ids::{MemberId, ProcessId},
    log::Member,
    node::{Belief, Connection, Node},
    state::State,
};
use crate::place::Place;

/// How long nothing may come through a connection before etcd gives it up.
const PATIENCE: Duration = Duration::from_secs(5);

/// One connection in so many is taken for lost by who has the lower identity of the two.
const MISTAKEN: u64 = 8;

impl State {
    /// Whoever answers as a peer at this URL: a process that runs and listens there, whichever it is.
    pub(super) fn peer_at(&self, from: &Place, url: &str) -> Option<ProcessId> {
        let (process, port) = self.network.dial(from, authority(url)?)?;
        let listens = self.processes.get(&process)?;
        (listens.node().is_some() && listens.flags.as_ref()?.peer_ports.contains(&port)).then_some(process)
    }

    /// The process that a member exchanges messages with as this peer.
    ///
    /// Either side may have dialled: etcd sends its messages through connections that the receiver opened, and only
    /// for want of one opens its own. Whoever answers must be that member of that cluster, else it is refused.
    pub(super) fn link(&self, from: ProcessId, node: &Node, peer: &Member) -> Option<ProcessId> {
        let place = self.place(from)?;
        let by_address = peer.peer_urls.iter().find_map(|url| {
            let process = self.peer_at(place, url)?;
            (process != from && self.is(process, node, peer.id)).then_some(process)
        });
        let linked = by_address.or_else(|| {
            let own = node.id();
            self.running()
                .filter(|(process, ..)| *process != from && self.is(*process, node, peer.id))
                .find(|(_, process, other)| {
                    let known = other.members().get(&own);
                    known.is_some_and(|own| own.peer_urls.iter().any(|url| self.dials(&process.place, url, from)))
                })
                .map(|(process, ..)| process)
        })?;
        let there = self.place(linked)?;
        (self.network.passes(place, there) && self.network.passes(there, place)).then_some(linked)
    }

    /// Whether this process is that member of the node's cluster, and takes messages from the node.
    fn is(&self, process: ProcessId, node: &Node, member: MemberId) -> bool {
        self.node(process).is_some_and(|other| {
            other.disk.cluster == node.disk.cluster
                && other.id() == member
                && !other.machine.removed.contains(&node.id())
        })
    }

    /// Whether a URL leads from a place to this process; it may be the one that is worked on.
    fn dials(&self, from: &Place, url: &str, to: ProcessId) -> bool {
        let answers = authority(url).and_then(|address| self.network.dial(from, address));
        let flags = self.processes.get(&to).and_then(|process| process.flags.as_ref());
        answers
            .is_some_and(|(process, port)| process == to && flags.is_some_and(|flags| flags.peer_ports.contains(&port)))
    }

    /// Every peer that a member exchanges messages with now.
    pub(super) fn links(&self, from: ProcessId, node: &Node) -> Vec<(MemberId, ProcessId)> {
        node.peers().filter_map(|peer| Some((peer.id, self.link(from, node, peer)?))).collect()
    }

    /// Keeps up since when a member is connected with which others, and learns from them that it was removed.
    pub(super) fn connect(&mut self, id: ProcessId) {
        let now = self.now;
        self.with(id, |state, node| {
            let links = state.links(id, node);
            if node.machine.removed.contains(&node.id()) || state.is_told_of_its_removal(id, node) {
                node.removed(now);
            }
            let peers: Vec<_> = node.peers().map(|peer| peer.id).collect();
            node.connections.retain(|peer, _| peers.contains(peer));
            for (peer, _) in &links {
                let own = node.id();
                let connection = node.connections.entry(*peer).or_insert_with(|| {
                    // Of two, only one is ever mistaken: both would wait for a person.
                    let belief =
                        if own < *peer && node.dice.below(MISTAKEN) == 0 { Belief::Wrong } else { Belief::Right };
                    Connection { since: now, silent: None, belief }
                });
                connection.silent = None;
            }
            let linked = |peer: &MemberId| links.iter().any(|(linked, _)| linked == peer);
            // A process that is gone resets its connections; a network that is cut says nothing.
            let gone: Vec<_> = peers.into_iter().filter(|peer| !linked(peer) && !state.runs(node, *peer)).collect();
            node.connections.retain(|peer, connection| {
                linked(peer) || (!gone.contains(peer) && now < *connection.silent.get_or_insert(now) + PATIENCE)
            });
        });
    }

    fn runs(&self, node: &Node, member: MemberId) -> bool {
        self.running().any(|(_, _, other)| other.id() == member && other.disk.cluster == node.disk.cluster)
    }

    /// Another member of its cluster says that it was removed.
    fn is_told_of_its_removal(&self, id: ProcessId, node: &Node) -> bool {
        let Some(place) = self.place(id) else { return false };
        node.peers().flat_map(|peer| &peer.peer_urls).filter_map(|url| self.peer_at(place, url)).any(|process| {
            self.node(process).is_some_and(|other| {
                other.disk.cluster == node.disk.cluster && other.machine.removed.contains(&node.id())
            })
        })
    }
}
