//! What people are told of a worker's health. Pure.
//!
//! Decisions have their own, faster clock: for them a worker is unseen from the first failure on. This one waits, so
//! that a hiccup pages nobody (DECISIONS 12).

use std::collections::BTreeMap;

use super::timing;
use crate::{
    dialect::k8scluster::health::{Contact, Health, Rights, Trouble},
    plan::act::Kind,
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

/// Counts failures and successes, and says what to tell.
#[derive(Debug)]
pub struct Gauge {
    told: Health,
    failures: BTreeMap<Part, u32>,
    /// Probes in a row that were answered.
    answered: u32,
    contact: Option<Contact>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self { told: Health::Connecting, failures: BTreeMap::new(), answered: 0, contact: None }
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

    /// Whether it answers again, but not often enough to be told so.
    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        matches!(self.told, Health::Down(_)) && (1..timing::SUCCESSES_TOLD).contains(&self.answered)
    }

    /// The worker was reached and is who it should be.
    pub fn reached(&mut self, contact: Contact) {
        self.contact = Some(contact);
        self.worked(Part::Probe);
    }

    /// A part works.
    pub fn worked(&mut self, part: Part) {
        self.failures.insert(part, 0);
        if part == Part::Probe {
            self.answered = self.answered.saturating_add(1);
            if let Some(contact) = &mut self.contact {
                contact.suspicion = None;
            }
        }
        let all = PARTS.iter().all(|part| self.failures.get(part) == Some(&0));
        if all && !self.is_on_trial() {
            self.tell();
        }
    }

    /// The credentials may do this much.
    pub fn rights(&mut self, rights: Rights) {
        self.change(|contact| contact.rights = rights);
    }

    /// The connection works, but what it was made from has since become unusable for this reason; or no longer.
    pub fn doubt(&mut self, trouble: Option<Trouble>) {
        self.change(|contact| contact.doubt = trouble);
    }

    fn change(&mut self, change: impl FnOnce(&mut Contact)) {
        if let Some(contact) = &mut self.contact {
            change(contact);
        }
        if matches!(self.told, Health::Up(_)) {
            self.tell();
        }
    }

    fn tell(&mut self) {
        if let Some(contact) = &self.contact {
            self.told = Health::Up(contact.clone());
        }
    }

    /// A part failed, perhaps only for a moment.
    pub fn failed(&mut self, part: Part, trouble: Trouble) {
        let failures = self.failures.entry(part).or_insert(0);
        *failures = failures.saturating_add(1);
        let often = *failures >= timing::FAILURES_TOLD;
        if part == Part::Probe {
            self.answered = 0;
        }
        if often || !matches!(self.told, Health::Up(_)) {
            self.told = Health::Down(trouble);
        } else if part == Part::Probe {
            self.change(|contact| contact.suspicion = Some(trouble));
        }
    }

    /// Something is wrong that waiting will not mend.
    pub fn wrong(&mut self, trouble: Trouble) {
        let failures = self.failures.entry(Part::Probe).or_insert(0);
        *failures = (*failures).max(timing::FAILURES_TOLD).saturating_add(1);
        self.answered = 0;
        self.told = Health::Down(trouble);
    }

    /// A new connection: every watch must list again before all is told to be well.
    pub fn restart(&mut self) {
        self.failures.retain(|part, failures| *part == Part::Probe || *failures > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::name::Uid;

    fn unreachable() -> Trouble {
        Trouble::Unreachable("no answer within 3 s".to_owned())
    }

    fn up() -> Gauge {
        let mut gauge = Gauge::default();
        reach(&mut gauge);
        gauge
    }

    fn reach(gauge: &mut Gauge) {
        gauge.reached(Contact::new(Uid::from("uid"), "v1.34.4"));
        for part in PARTS.into_iter().filter(|part| *part != Part::Probe) {
            gauge.worked(part);
        }
    }

    fn suspicion(gauge: &Gauge) -> Option<&Trouble> {
        match gauge.told() {
            Health::Up(contact) => contact.suspicion.as_ref(),
            told => panic!("{told:?}"),
        }
    }

    #[test]
    fn a_worker_is_told_to_be_up_at_first_contact() {
        assert!(matches!(up().told(), Health::Up(_)));
    }

    #[test]
    fn a_hiccup_is_told_as_a_suspicion_and_taken_back() {
        let mut gauge = up();
        gauge.failed(Part::Probe, unreachable());
        assert_eq!(suspicion(&gauge), Some(&unreachable()));
        gauge.worked(Part::Probe);
        assert_eq!(suspicion(&gauge), None);
    }

    #[test]
    fn five_failures_bring_it_down_and_two_successes_up() {
        let mut gauge = up();
        for failures in 1..=timing::FAILURES_TOLD {
            assert!(matches!(gauge.told(), Health::Up(_)), "before failure {failures}");
            gauge.failed(Part::Probe, unreachable());
        }
        assert_eq!(*gauge.told(), Health::Down(unreachable()));
        reach(&mut gauge);
        assert!(gauge.is_on_trial());
        assert_eq!(*gauge.told(), Health::Down(unreachable()));
        gauge.worked(Part::Probe);
        assert!(matches!(gauge.told(), Health::Up(_)) && !gauge.is_on_trial());
    }

    #[test]
    fn a_success_between_failures_begins_the_count_anew() {
        let mut gauge = up();
        gauge.wrong(unreachable());
        for _ in 0..3 {
            reach(&mut gauge);
            gauge.failed(Part::Probe, unreachable());
        }
        assert_eq!(*gauge.told(), Health::Down(unreachable()));
    }

    #[test]
    fn rights_and_doubts_are_told_of_a_worker_that_is_up() {
        let mut gauge = up();
        gauge.rights(Rights::Unchecked("404".to_owned()));
        gauge.doubt(Some(unreachable()));
        let Health::Up(contact) = gauge.told() else { panic!("{:?}", gauge.told()) };
        assert_eq!((&contact.rights, &contact.doubt), (&Rights::Unchecked("404".to_owned()), &Some(unreachable())));
    }
}
