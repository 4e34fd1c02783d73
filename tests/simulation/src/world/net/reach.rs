//! Which clusters reach each other.

use std::collections::BTreeSet;

use super::Net;
use crate::place::{MASTER, Place};

/// What crosses between clusters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Addresses of pods and services; a service's name also leads to services of that name elsewhere.
    #[default]
    Flat,
    /// Only addresses of load balancers and node ports.
    Islands,
}

/// The networks between clusters.
#[derive(Default)]
pub(super) struct Reach {
    pub(super) mode: Mode,
    /// From where to where no packet arrives.
    blocked: BTreeSet<(Place, Place)>,
}

impl Reach {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, blocked: BTreeSet::new() }
    }

    fn arrives(&self, from: &Place, to: &Place) -> bool {
        from == to || !self.blocked.iter().any(|(blocked, end)| blocked == from && end == to)
    }

    pub(super) fn passes(&self, one: &Place, other: &Place) -> bool {
        self.arrives(one, other) && self.arrives(other, one)
    }
}

/// The master's cluster is the place of the controller, by whichever name.
pub(super) fn same(place: &Place) -> &Place {
    match place {
        Place::Cluster(name) if name == MASTER => &Place::Master,
        other => other,
    }
}

impl Net {
    /// Whether packets pass between two places, both ways.
    pub fn passes(&self, one: &Place, other: &Place) -> bool {
        self.with(|inner| inner.reach.passes(same(one), same(other)))
    }

    /// What crosses from now on.
    pub fn set_mode(&self, mode: Mode) {
        self.change(|inner| inner.reach.mode = mode);
    }

    /// Nothing passes between two places from now on.
    pub fn cut(&self, one: &Place, other: &Place) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Nothing arrives from one place in another from now on. A connection needs both ways.
    pub fn cut_one_way(&self, from: &Place, to: &Place) {
        self.change(|inner| {
            inner.reach.blocked.insert((same(from).clone(), same(to).clone()));
        });
    }

    /// A place is cut off from every other.
    pub fn isolate(&self, place: &Place) {
        let mut others = self.with(|inner| inner.clusters.keys().cloned().collect::<BTreeSet<_>>());
        others.insert(Place::Master);
        others.remove(same(place));
        for other in &others {
            self.cut(place, other);
        }
    }

    /// Everything passes between two places again.
    pub fn heal(&self, one: &Place, other: &Place) {
        let (one, other) = (same(one).clone(), same(other).clone());
        self.change(|inner| {
            inner.reach.blocked.remove(&(one.clone(), other.clone()));
            inner.reach.blocked.remove(&(other, one));
        });
    }

    /// Everything passes between all places again.
    pub fn heal_all(&self) {
        self.change(|inner| inner.reach.blocked.clear());
    }
}
