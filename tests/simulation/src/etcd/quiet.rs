//! Time in which nothing happens costs nothing.
//!
//! When one tick has changed nothing but clocks, and nothing in the world changes, the next one will not either. Then
//! it is enough to remember the time, and to set the clocks when something happens again.

use std::time::Duration;

use super::{
    View,
    ids::ProcessId,
    node::{Node, Part},
    state::{Phase, State},
};

/// Nothing happens.
#[derive(Clone, Debug)]
pub(super) struct Quiet {
    /// What the network said of itself when it began.
    network: u64,
    began: Duration,
    /// What everybody sees all the time, once somebody has looked.
    views: Option<Vec<View>>,
}

impl State {
    /// Whether this tick would change nothing.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet.as_ref().is_some_and(|quiet| self.network.generation() == Some(quiet.network))
    }

    /// What everybody sees; remembered while nothing happens.
    pub(super) fn views(&mut self) -> Vec<View> {
        if !self.is_quiet() {
            return self.inspect();
        }
        if let Some(views) = self.quiet.as_ref().and_then(|quiet| quiet.views.clone()) {
            return views;
        }
        let views = self.inspect();
        if let Some(quiet) = &mut self.quiet {
            quiet.views = Some(views.clone());
        }
        views
    }

    /// Something happens: clocks are set as if every tick had been.
    pub(super) fn disturb(&mut self) {
        let Some(quiet) = self.quiet.take() else { return };
        let now = self.now;
        for process in self.processes.values_mut() {
            let Some(node) = process.node_mut() else { continue };
            if node.leader.is_some() && node.heard >= quiet.began {
                node.heard = now;
            }
            if let Part::Leader(leadership) = &mut node.part {
                leadership.since = now;
                for progress in leadership.progress.values_mut() {
                    if progress.answered.is_some_and(|at| at >= quiet.began) {
                        progress.answered = Some(now);
                    }
                }
            }
        }
    }

    /// After a tick: perhaps it is quiet from now on.
    pub(super) fn settle(&mut self) {
        let Some(network) = self.network.generation() else { return };
        let busy = self.processes.iter().any(|(id, process)| match &process.phase {
            Phase::Booting { .. } | Phase::Away => true,
            Phase::Running(node) => self.is_busy(*id, node),
            Phase::Exited(_) => false,
        });
        if !busy {
            self.quiet = Some(Quiet { network, began: self.now, views: None });
        }
    }

    fn is_busy(&self, id: ProcessId, node: &Node) -> bool {
        if node.end.is_some()
            || node.connections.values().any(|connection| connection.silent.is_some())
            || (node.leader.is_some() && !node.published)
            || node.machine.applied < node.disk.commit
        {
            return true;
        }
        if let Part::Leader(leadership) = &node.part {
            let answered = |progress: &super::node::Progress| progress.answered == Some(self.now);
            let behind = leadership.progress.values().filter(|p| answered(p)).any(|p| p.matched != node.disk.last());
            let voters = node
                .machine
                .voters()
                .filter(|voter| voter.id == node.id() || leadership.progress.get(&voter.id).is_some_and(answered));
            return behind || node.disk.commit < node.disk.last() || voters.count() < node.machine.majority();
        }
        if node.leader.is_some() {
            return node.heard != self.now;
        }
        // Without a leader: whoever can be elected will be.
        let voters = self.links(id, node).into_iter().filter(|(peer, _)| node.machine.is_voter(*peer));
        node.promotable() && voters.count() + 1 >= node.machine.majority()
    }
}
