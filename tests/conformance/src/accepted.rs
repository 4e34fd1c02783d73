//! The differences that are accepted: which, and why. Everything else is a bug of the simulated server.

use serde_json::Value;

use crate::compare::Difference;
use crate::step::{Step, Verb};

/// A difference that may be.
#[derive(Debug)]
pub struct Accepted {
    /// What it is, in a few words.
    pub name: &'static str,
    /// Why it may be.
    pub why: &'static str,
    covers: fn(&Context<'_>) -> bool,
}

/// What a difference is judged by.
#[derive(Debug)]
pub struct Context<'a> {
    /// The request.
    pub step: &'a Step,
    /// The difference.
    pub difference: &'a Difference,
    /// The real answer's HTTP status and body.
    pub real: (u16, &'a Value),
}

/// All of them.
pub const ACCEPTED: &[Accepted] = &[];

/// The place in the table of what covers it, if anything does.
pub fn covered(context: &Context<'_>) -> Option<usize> {
    ACCEPTED.iter().position(|accepted| (accepted.covers)(context))
}

/// Whether the request is of one of these kinds.
#[allow(dead_code)]
fn is(context: &Context<'_>, verbs: &[Verb]) -> bool {
    verbs.contains(&context.step.verb)
}
