//! What people are told of a worker's health. Pure.
//!
//! Decisions have their own, faster clock: for them a worker is unseen from the first failure on. This one waits, so
//! that a hiccup pages nobody (DECISIONS 12).

use std::collections::BTreeMap;

use super::timing;
use crate::{
    dialect::k8scluster::status::{Health, Trouble},
    plan::{act::Kind, name::Uid},
};

/// What can fail in a worker, each with its own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Connecting and probing.
    Probe,
    /// The watch of one kind.
    Watch(Kind),
}

const PARTS: [Part; 5] =
    [Part::Probe, Part::Watch(Kind::Pod), Part::Watch(Kind::Claim), Part::Watch(Kind::Service), Part::Watch(Kind::Job)];

/// Counts failures and says what to tell.
#[derive(Debug)]
pub struct Gauge {
    told: Health,
    failures: BTreeMap<Part, u32>,
    contact: Option<(Uid, String)>,
    doubt: Option<Trouble>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self { told: Health::Connecting, failures: BTreeMap::new(), contact: None, doubt: None }
    }
}

impl Gauge {
    /// What is told now.
    #[must_use]
    pub fn told(&self) -> &Health {
        &self.told
    }

    /// How often this part has failed in a row.
    #[must_use]
    pub fn failures(&self, part: Part) -> u32 {
        self.failures.get(&part).copied().unwrap_or(0)
    }

    /// The worker was reached and is who it should be.
    pub fn reached(&mut self, identity: Uid, version: String) {
        self.contact = Some((identity, version));
        self.doubt = None;
        self.worked(Part::Probe);
    }

    /// A part works.
    pub fn worked(&mut self, part: Part) {
        self.failures.insert(part, 0);
        let all = PARTS.iter().all(|part| self.failures.get(part) == Some(&0));
        if let (true, Some((identity, version))) = (all, &self.contact) {
            let (identity, version, doubt) = (identity.clone(), version.clone(), self.doubt.clone());
            self.told = Health::Ready { identity, version, doubt };
        }
    }

    /// The connection works, but what it was made from has since become unusable for this reason; or no longer.
    pub fn doubt(&mut self, trouble: Option<Trouble>) {
        self.doubt = trouble;
        if let Health::Ready { doubt, .. } = &mut self.told {
            doubt.clone_from(&self.doubt);
        }
    }

    /// A part failed, perhaps only for a moment.
    pub fn failed(&mut self, part: Part, trouble: Trouble) {
        let failures = self.failures.entry(part).or_insert(0);
        *failures = failures.saturating_add(1);
        if *failures >= timing::FAILURES_TOLD || !matches!(self.told, Health::Ready { .. }) {
            self.told = Health::NotReady(trouble);
        }
    }

    /// Something is wrong that waiting will not mend.
    pub fn wrong(&mut self, trouble: Trouble) {
        let failures = self.failures.entry(Part::Probe).or_insert(0);
        *failures = (*failures).max(timing::FAILURES_TOLD).saturating_add(1);
        self.told = Health::NotReady(trouble);
    }

    /// A new connection: every watch must list again before all is told to be well.
    pub fn restart(&mut self) {
        self.failures.retain(|part, failures| *part == Part::Probe || *failures > 0);
    }
}
