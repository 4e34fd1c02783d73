//! Keys and values with their revisions, as a member has applied them.

use std::collections::BTreeMap;

/// What clients wrote.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    revision: u64,
    held: BTreeMap<Vec<u8>, Held>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) value: Vec<u8>,
    pub(super) created: u64,
    pub(super) modified: u64,
    pub(super) version: u64,
}

/// A part of the keys: one, those up to an end, or all from it on (an end of one zero byte).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) key: Vec<u8>,
    pub(super) end: Vec<u8>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Put { key: Vec<u8>, value: Vec<u8> },
    Range { span: Span, limit: usize },
    Delete { span: Span },
    Transaction { compare: Vec<Compare>, success: Vec<Request>, failure: Vec<Request> },
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compare {
    pub(super) key: Vec<u8>,
    pub(super) relation: Relation,
    pub(super) with: Operand,
}

/// How the two are to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Greater,
    Less,
    NotEqual,
}

/// What is compared with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Version(u64),
    Created(u64),
    Modified(u64),
    Value(Vec<u8>),
}

/// The answer to a request, and the revision at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) revision: u64,
    pub(super) given: Given,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Put { before: Option<(Vec<u8>, Held)> },
    Range { found: Vec<(Vec<u8>, Held)>, count: usize },
    Delete { before: Vec<(Vec<u8>, Held)> },
    Transaction { succeeded: bool, answers: Vec<Answer> },
}

impl Default for Keys {
    fn default() -> Self {
        Self { revision: 1, held: BTreeMap::new() }
    }
}

impl Request {
    /// Whether nothing can change by it, so that no log is needed.
    pub(super) fn only_reads(&self) -> bool {
        match self {
            Self::Put { .. } | Self::Delete { .. } => false,
            Self::Range { .. } => true,
            Self::Transaction { success, failure, .. } => success.iter().chain(failure).all(Self::only_reads),
        }
    }
}

impl Keys {
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Vec<u8>, &Held)> {
        self.held.iter()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.held.get(key).map(|held| held.value.as_slice())
    }

    /// Spoils what is held, as a bad disk does: nobody notices until it is compared.
    pub(super) fn spoil(&mut self) {
        for held in self.held.values_mut() {
            held.value.extend_from_slice(b" (spoilt)");
        }
    }

    /// Does it. All of a transaction is one revision.
    pub(super) fn apply(&mut self, request: &Request) -> Answer {
        let next = self.revision + 1;
        let mut written = false;
        let answer = self.apply_at(request, next, &mut written);
        if written {
            self.revision = next;
        }
        answer
    }

    /// Answers what does not change anything.
    pub(super) fn look(&self, request: &Request) -> Answer {
        // A clone, because reads are rare and small, and their code is then one with that of writes.
        self.clone().apply(request)
    }

    fn apply_at(&mut self, request: &Request, next: u64, written: &mut bool) -> Answer {
        let given = match request {
            Request::Put { key, value } => {
                let before = self.held.get(key).cloned();
                let (created, version) = before.as_ref().map_or((next, 1), |held| (held.created, held.version + 1));
                self.held.insert(key.clone(), Held { value: value.clone(), created, modified: next, version });
                *written = true;
                Given::Put { before: before.map(|held| (key.clone(), held)) }
            }
            Request::Range { span, limit } => {
                let mut found = self.within(span);
                let count = found.len();
                if *limit > 0 {
                    found.truncate(*limit);
                }
                Given::Range { found, count }
            }
            Request::Delete { span } => {
                let before = self.within(span);
                for (key, _) in &before {
                    self.held.remove(key);
                    *written = true;
                }
                Given::Delete { before }
            }
            Request::Transaction { compare, success, failure } => {
                let succeeded = compare.iter().all(|compare| self.holds(compare));
                let chosen = if succeeded { success } else { failure };
                let answers = chosen.iter().map(|request| self.apply_at(request, next, written)).collect();
                Given::Transaction { succeeded, answers }
            }
        };
        Answer { revision: if *written { next } else { self.revision }, given }
    }

    fn within(&self, span: &Span) -> Vec<(Vec<u8>, Held)> {
        let inside = |key: &Vec<u8>| match span.end.as_slice() {
            [] => *key == span.key,
            [0] => *key >= span.key,
            end => *key >= span.key && key.as_slice() < end,
        };
        self.held.iter().filter(|(key, _)| inside(key)).map(|(key, held)| (key.clone(), held.clone())).collect()
    }

    fn holds(&self, compare: &Compare) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let held = self.held.get(&compare.key);
        let ordering = match &compare.with {
            Operand::Version(with) => held.map_or(0, |held| held.version).cmp(with),
            Operand::Created(with) => held.map_or(0, |held| held.created).cmp(with),
            Operand::Modified(with) => held.map_or(0, |held| held.modified).cmp(with),
            // A key that is not there has no value to compare.
            Operand::Value(with) => match held {
                Some(held) => held.value.cmp(with),
                None => return false,
            },
        };
        match compare.relation {
            Relation::Equal => ordering == Equal,
            Relation::NotEqual => ordering != Equal,
            Relation::Greater => ordering == Greater,
            Relation::Less => ordering == Less,
        }
    }
}
