//! Checks: what must hold after every event (`S…`, `A…`, `D…`), each a small machine that sees the tape and the truth;
//! and what must hold in the end ([`liveness`]).
//!
//! A check believes nothing that the controller says of itself: it looks at what API servers hold, at what processes do,
//! and at what was sent. It is strict about what the controller could have known, and allows for what it could not
//! ([`look::HEARD`]).

mod budget;
mod damage;
mod durable;
mod exclusive;
mod fencing;
mod finalizer;
mod founding;
mod in_use;
pub mod liveness;
mod look;
mod marks;
mod namespaces;
mod ownership;
mod pace;
mod place;
mod record;
mod request;
mod right_cluster;
mod secrecy;
mod sight;
mod status;
mod takedown;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod together;
mod view;
mod volumes;

use std::{collections::BTreeMap, fmt, time::Duration};

use apiserver::ApiServer;

pub use look::condition_of;
pub use secrecy::leak;

use crate::{
    addresses::Addresses,
    etcd::Etcds,
    tape::{Event, Site},
};

/// What really is, which the controller can only ask for.
#[derive(Clone)]
pub struct Truth {
    /// The API server behind each address.
    pub servers: BTreeMap<Site, ApiServer>,
    /// Every etcd process and every data directory.
    pub etcds: Etcds,
    /// Texts that must never leave the process.
    pub canaries: Vec<String>,
    /// Which of them answers the controller at each address.
    pub addresses: Addresses,
}

/// Something that must never happen has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which check says so.
    pub check: &'static str,
    /// When.
    pub at: Duration,
    /// What.
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3} s: {}", self.check, self.at.as_secs_f64(), self.words)
    }
}

/// Looks at everything that happens.
pub trait Check: Send {
    /// Its name: `S4 volumes` …
    fn name(&self) -> &'static str;

    /// Looks at one event. The words of an error say what was violated.
    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String>;
}

/// Every check.
pub fn all() -> Vec<Box<dyn Check>> {
    let sight = sight::Sight::default();
    vec![
        Box::new(budget::Budget::default()),
        Box::new(founding::OneBootstrap::new(sight.clone())),
        Box::new(founding::NeverAgain),
        Box::new(exclusive::ExclusiveIdentity(sight.clone())),
        Box::new(exclusive::NoForce),
        Box::new(exclusive::OneDatabase(sight.clone())),
        Box::new(volumes::Volumes::default()),
        Box::new(volumes::RemovalOrder::default()),
        Box::new(takedown::Services::default()),
        Box::new(ownership::Ownership::default()),
        Box::new(right_cluster::RightCluster::default()),
        Box::new(fencing::Fencing::default()),
        Box::new(view::MonotoneView::default()),
        Box::new(namespaces::Namespaces),
        Box::new(status::HonestStatus::new(sight)),
        Box::new(status::HonestWorkers::default()),
        Box::new(secrecy::Secrecy::default()),
        Box::new(record::ActBeforeRecord),
        Box::new(record::RecordStays),
        Box::new(volumes::OwnVolume::default()),
        Box::new(finalizer::Finalizer::default()),
        Box::new(in_use::InUse::default()),
        Box::new(place::OnePlace),
        Box::new(pace::Pace::default()),
        Box::new(marks::Marks::default()),
    ]
}

/// The names of every check.
pub fn names() -> Vec<&'static str> {
    all().iter().map(|check| check.name()).collect()
}

/// What is checked when a run has ended, by name.
pub const AT_THE_END: [&str; 6] = ["D1 durability", "L0 end", "L1 settled", "L1 settles", "L1 stays", "S14 quiet"];

/// The names among these that are no check's, nor what checks' names begin with.
pub fn unknown(words: &[String]) -> Vec<&str> {
    let known: Vec<_> = names().into_iter().chain(AT_THE_END).chain(["P1 panic"]).collect();
    words.iter().map(String::as_str).filter(|word| known.iter().all(|check| !is_named(check, &[word]))).collect()
}

/// Every check but those that are named ([`is_named`]).
pub fn all_but(without: &[&str]) -> Vec<Box<dyn Check>> {
    all().into_iter().filter(|check| !is_named(check.name(), without)).collect()
}

/// Whether a check is named by one of these words, whole or by its letter and number: `S4` names all that begin with it.
pub fn is_named(check: &str, words: &[&str]) -> bool {
    words.iter().any(|word| check == *word || check.split(' ').next() == Some(*word))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own_and_can_be_switched_off_by_it() {
        let names = names();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        for name in &names {
            let left: Vec<_> = all_but(&[name]).iter().map(|check| check.name()).collect();
            assert_eq!(left.len(), names.len() - 1);
            assert!(!left.contains(name));
        }
        let left = all_but(&["S4"]);
        assert!(left.iter().all(|check| !check.name().starts_with("S4 ")) && left.len() < names.len());
        assert_eq!(unknown(&["S4".to_owned(), "L1 settles".to_owned(), "S99".to_owned()]), ["S99"]);
        assert!(is_named("S12 honest status", &["S12"]) && !is_named("S12 honest status", &["S1"]));
    }
}
