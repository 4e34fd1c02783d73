//! What a decision comes to.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{act::Act, command::Command, debt::Entry, name::WorkerName, record::Record, report::Report};

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

impl Step {
    /// Write this record.
    #[must_use]
    pub fn record(record: Record) -> Self {
        Self::Record(Box::new(record))
    }

    /// Which, for a log: what it carries may hold what a manifest keeps to itself.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Record(_) => "record",
            Self::Book(_) => "book",
            Self::LookAgain(_) => "look again",
            Self::AskAgain(_) => "ask again",
            Self::Act(_) => "act",
            Self::Command(_) => "command",
            Self::Release => "release",
        }
    }
}

/// What is to be done next: one of these, never two. That a record is written *or* acted on, and never both at once,
/// is the order that makes a crash between any two writes harmless.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write this record, and do nothing else until it stands.
    Record(Box<Record>),
    /// Write this into the status of workers' registrations, and do nothing else until it stands.
    Book(Vec<Entry>),
    /// Decide again with live lists of these workers: something is about to be believed gone.
    LookAgain(BTreeSet<WorkerName>),
    /// Decide again with live lists of these workers and with answers that members give now: something that serves is
    /// about to be taken down, or who belongs to the database is about to be changed.
    AskAgain(BTreeSet<WorkerName>),
    /// Carry these out, in any order; often there are none.
    Act(Vec<Act>),
    /// Tell one member to do this.
    Command(Command),
    /// Let the resource go: take its finalizer off.
    Release,
}
