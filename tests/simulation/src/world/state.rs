//! What a world has in mind, and how a round goes.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{
    Goods, Shared,
    balancers::Balancers,
    classes, collect, endpoints,
    hand::Done,
    jobs,
    kubelet::{self, Ground, Kubelets},
    namespaces, nodes,
    objects::Objects,
    round::{Busy, Round, Timers, Work},
    schedule, volumes,
};

/// A round is made at least this often; there is no need for it.
const IDLE: Duration = Duration::from_mins(10);

/// What a world has in mind.
#[derive(Default)]
pub(super) struct State {
    pub(super) objects: Objects,
    pub(super) kubelets: Kubelets,
    pub(super) balancers: Balancers,
    pub(super) withheld: BTreeSet<Goods>,
    /// Claims whose volumes were taken away.
    pub(super) lost: BTreeSet<String>,
    /// Something has changed since the last round.
    pub(super) stale: bool,
    timers: Timers,
    busy: Busy,
    /// When something that was waited for is due.
    next: Option<Instant>,
}

impl State {
    /// Looks at everything that may need it. What is to be done, and when to look again.
    pub(super) fn round(&mut self, shared: &Shared) -> (Vec<Work>, Instant) {
        let ground = shared.ground_with(&self.withheld);
        self.stale |= self.kubelets.tick(&ground);
        let due = self.next.is_some_and(|next| next <= ground.now);
        let mut work = Vec::new();
        if self.objects.complete() && (self.stale || due) {
            work = self.look(shared, &ground);
        }
        let next = [self.next, self.kubelets.next()].into_iter().flatten().min();
        (work, next.unwrap_or(ground.now + IDLE))
    }

    fn look(&mut self, shared: &Shared, ground: &Ground) -> Vec<Work> {
        self.stale = false;
        self.timers.begin();
        self.busy.begin(ground.now);
        let mut round = Round {
            now: ground.now,
            wall: ground.wall,
            objects: &self.objects,
            settings: &shared.settings,
            withheld: &self.withheld,
            timers: &mut self.timers,
            busy: &mut self.busy,
            hand: &shared.hand,
            work: Vec::new(),
        };
        self.kubelets.sync(&mut round, ground);
        if shared.settings.nodes > 0 {
            classes::install(&mut round);
            nodes::look_after(&mut round, &self.kubelets);
            schedule::schedule(&mut round);
            volumes::provide(&mut round, &self.lost);
            self.balancers.serve(&mut round);
            jobs::run(&mut round);
        }
        collect::collect(&mut round);
        namespaces::look_after(&mut round);
        let work = round.work;
        self.next = [self.timers.end(), self.busy.next()].into_iter().flatten().min();
        shared.net.set_services(&shared.settings.cluster, endpoints::services(&self.objects));
        work
    }

    /// An act has ended.
    pub(super) fn settle(&mut self, what: String, done: Done) {
        self.busy.ended(what, &done, Instant::now());
        self.stale = true;
        if let Ok(Some(learned)) = done {
            learned(&mut self.objects);
        }
    }
}

impl Shared {
    /// What kubelets work with, where images do not matter.
    pub(super) fn ground(&self) -> Ground<'_> {
        self.ground_with(&BTreeSet::new())
    }

    pub(super) fn ground_with(&self, withheld: &BTreeSet<Goods>) -> Ground<'_> {
        Ground {
            now: Instant::now(),
            wall: kubelet::whole_seconds((self.settings.clock)()),
            settings: &self.settings,
            programs: &*self.programs,
            net: &self.net,
            images: kubelet::images(withheld),
        }
    }
}
