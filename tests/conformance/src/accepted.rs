//! The differences that are accepted: which, and why. Everything else is a bug of the simulated server.
//!
//! What must differ between any two servers (UIDs, addresses, times …) is not here but in [`normalise`](crate::normalise).

use serde_json::Value;

use crate::compare::Difference;
use crate::real::PANICKED;
use crate::step::Step;

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

impl Context<'_> {
    /// Whether both sides say something here, and one of them these words.
    fn words(&self, words: &str) -> bool {
        let texts = self.difference.real.as_str().zip(self.difference.simulated.as_str());
        texts.is_some_and(|(real, other)| real.contains(words) || other.contains(words)) && self.is_message()
    }

    /// Whether it is about a message for people.
    fn is_message(&self) -> bool {
        self.difference.place.ends_with("/message")
    }

    /// Whether both texts are the same but for what the real one shows as the difference of two values.
    fn same_without_diffs(&self) -> bool {
        let simulated = self.difference.simulated.as_str().map(str::to_owned);
        self.difference.real.as_str().map(without_diffs) == simulated
    }
}

/// A text without the lines of unified diffs in it.
fn without_diffs(text: &str) -> String {
    let mut inside = false;
    let outside = |line: &&str| {
        inside = line.starts_with("@@ ") || (inside && line.starts_with([' ', '+', '-']));
        !inside
    };
    text.split_inclusive('\n').filter(outside).collect()
}

/// All of them.
pub const ACCEPTED: &[Accepted] = &[
    Accepted {
        name: "a panic of kube-apiserver",
        why: "v1.34.4 panics where a dry run gives a cluster address to a service that had none (index out of range in \
              Allocators.updateClusterIPs) and closes the connection; a simulation gains nothing from that",
        covers: |context| context.real.0 == PANICKED,
    },
    Accepted {
        name: "the difference of two Go values in an error's words",
        why: "an update of an immutable spec is told with a diff of Go structs; nobody reads it but people",
        covers: |context| context.words("\n@@ ") && context.same_without_diffs(),
    },
    Accepted {
        name: "the rest of the bookmark that ends initial events",
        why: "its object is an empty one of its Go type, with whatever that writes; clients read only its metadata",
        covers: |context| {
            let place = context.difference.place.as_str();
            place.starts_with("events/")
                && ["/object/spec", "/object/status"].iter().any(|part| place.ends_with(part))
                && context.difference.simulated == crate::compare::NOTHING
        },
    },
    Accepted {
        name: "what Go's parsers say of nonsense",
        why: "the words name Go's types, and the byte or the type at which a parser of JSON or of patches stopped; of \
              two mistakes another is told",
        covers: |context| {
            let parsers = [
                "json: cannot unmarshal",
                "invalid character",
                "cannot be handled as a",
                "unexpected end of JSON",
                ": cannot restore slice from ",
            ];
            parsers.iter().any(|words| context.words(words))
        },
    },
];

/// The place in the table of what covers it, if anything does.
pub fn covered(context: &Context<'_>) -> Option<usize> {
    ACCEPTED.iter().position(|accepted| (accepted.covers)(context))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::step::{Body, Verb, Who};

    fn covers(place: &str, real: Value, simulated: Value) -> Option<&'static str> {
        let step = Step {
            id: 1,
            verb: Verb::Update,
            who: Who::Admin,
            method: "PUT",
            path: String::new(),
            query: vec![],
            content: None,
            body: Body::Nothing,
        };
        let difference = Difference { step: 1, place: place.into(), real, simulated };
        let body = Value::Null;
        covered(&Context { step: &step, difference: &difference, real: (422, &body) }).map(|place| ACCEPTED[place].name)
    }

    #[test]
    fn the_words_around_a_diff_must_agree() {
        let real = json!("spec is immutable\n@@ -1 +1 @@\n a\n-b\n+c\n, mode is wrong");
        let without = json!("spec is immutable\n, mode is wrong");
        assert!(covers("/message", real.clone(), without.clone()).is_some());
        assert_eq!(covers("/message", real.clone(), json!("spec is immutable\n")), None);
        assert_eq!(covers("/message", real.clone(), json!("spec cannot be changed\n, mode is wrong")), None);
        assert_eq!(covers("/reason", real, without), None);
    }

    #[test]
    fn what_is_not_listed_is_not_covered() {
        assert_eq!(covers("status", json!(200), json!(201)), None);
        assert_eq!(covers("/spec/replicas", json!(1), json!(2)), None);
    }

    #[test]
    fn every_entry_says_why() {
        assert!(ACCEPTED.iter().all(|accepted| !accepted.name.is_empty() && accepted.why.len() > 40));
    }
}
