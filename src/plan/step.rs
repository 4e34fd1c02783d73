//! What a decision comes to.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{act::Act, debt::Entry, name::WorkerName, record::Record, report::Report};

/// What is to be done next, and what is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What is to be done.
    pub step: Step,
    /// What is to be told.
    pub report: Report,
    /// When to decide again although nothing has changed by then.
    pub again: Option<SignedDuration>,
}

/// What is to be done next: one of these, never two. That a record is written *or* acted on, and never both at once,
/// is the order that makes a crash between any two writes harmless.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write this record, and do nothing else until it stands.
    Record(Record),
    /// Write this into the status of workers' registrations, and do nothing else until it stands.
    Book(Vec<Entry>),
    /// Decide again with live lists of these workers: something is about to be believed gone.
    LookAgain(BTreeSet<WorkerName>),
    /// Carry these out, in any order; often there are none.
    Act(Vec<Act>),
    /// Let the resource go: take its finalizer off.
    Release,
}
