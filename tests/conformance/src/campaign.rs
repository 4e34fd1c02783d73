//! Many sequences, several at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, stream};

use crate::accepted::{ACCEPTED, Context, covered};
use crate::compare::{Difference, compare, subject};
use crate::generate::{Sequence, sequence};
use crate::run::{Transcript, play};
use crate::side::Side;
use crate::step::Verb;
use crate::{Trouble, show};

/// How often a sequence that differs is played again; on a busy machine a second ends in most of them.
const AGAIN: usize = 3;

/// Plays sequences to both sides.
#[derive(Debug)]
pub struct Judge<'a, R, S> {
    real: &'a R,
    simulated: &'a S,
    /// Namespaces are never used twice.
    played: AtomicUsize,
}

/// What came of one sequence.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The sequence.
    pub sequence: Sequence,
    /// What the real side said.
    pub real: Transcript,
    /// What the other one said.
    pub simulated: Transcript,
    /// The differences that nothing covers.
    pub differences: Vec<Difference>,
    /// How often each entry of the table of accepted differences was needed.
    pub accepted: BTreeMap<usize, usize>,
    /// Whether a side answered differently the first time.
    pub unsteady: bool,
}

impl Verdict {
    /// The signatures of the differences.
    pub fn signatures(&self) -> impl Iterator<Item = String> + '_ {
        self.differences.iter().filter_map(|difference| {
            let step = self.sequence.steps.iter().find(|step| step.id == difference.step)?;
            Some(difference.signature(step))
        })
    }
}

impl<'a, R: Side, S: Side> Judge<'a, R, S> {
    /// Between these two.
    pub fn new(real: &'a R, simulated: &'a S) -> Self {
        Self { real, simulated, played: AtomicUsize::new(0) }
    }

    /// Plays a sequence to both sides. If they differ, and do not when it is played again, then it is the real server
    /// that must differ from itself: it does when a second ends between two requests. Or it was about node ports only,
    /// of which there are so few that now and then a side gives the one again that it took before.
    pub async fn judge(&self, sequence: &Sequence) -> Result<Verdict, Trouble> {
        let first = self.once(sequence).await?;
        if first.differences.is_empty() {
            return Ok(first);
        }
        let ports = first.differences.iter().all(Difference::is_of_ports);
        for _ in 0..AGAIN {
            let again = self.once(sequence).await?;
            if again.differences.is_empty() && (ports || !compare(&first.real, &again.real).is_empty()) {
                return Ok(Verdict { unsteady: true, ..again });
            }
        }
        Ok(first)
    }

    /// Plays a sequence to both sides.
    pub async fn once(&self, sequence: &Sequence) -> Result<Verdict, Trouble> {
        let namespace = format!("ns{:05}q", self.played.fetch_add(1, Ordering::Relaxed));
        let simulated = play(self.simulated, sequence, &namespace, None).await?;
        let real = play(self.real, sequence, &namespace, Some(&simulated)).await?;
        let (mut differences, mut accepted) = (Vec::new(), BTreeMap::new());
        for difference in compare(&real, &simulated) {
            let step = sequence.steps.iter().find(|step| step.id == difference.step);
            let exchange = real.exchanges.iter().find(|exchange| exchange.id == difference.step);
            let place = step.zip(exchange).and_then(|(step, exchange)| {
                covered(&Context { step, difference: &difference, real: (exchange.status, &exchange.body) })
            });
            match place {
                Some(place) => *accepted.entry(place).or_default() += 1,
                None => differences.push(difference),
            }
        }
        Ok(Verdict { sequence: sequence.clone(), real, simulated, differences, accepted, unsteady: false })
    }
}

/// Differences of one kind.
#[derive(Clone, Debug)]
pub struct Group {
    /// How often.
    pub times: usize,
    /// The first sequence that shows it.
    pub sequence: u64,
    /// The request there, and what both sides say.
    pub example: String,
    /// The resources that show it.
    pub resources: BTreeSet<String>,
}

/// What came of many.
#[derive(Debug, Default)]
pub struct Report {
    /// How many sequences were played.
    pub sequences: usize,
    /// How many requests of each kind, and how many of them were accepted by the real server.
    pub verbs: BTreeMap<Verb, (usize, usize)>,
    /// The same by resource, and verb.
    pub resources: BTreeMap<(String, Verb), (usize, usize)>,
    /// How many answers of each HTTP status.
    pub statuses: BTreeMap<u16, usize>,
    /// How many events of watches.
    pub events: usize,
    /// How often each accepted difference was met.
    pub accepted: BTreeMap<usize, usize>,
    /// What nothing covers, by what both sides say, without what follows from an earlier difference.
    pub differences: BTreeMap<String, Group>,
    /// How many sequences show such a difference.
    pub failed: usize,
    /// How many sequences a side answered in two ways, of which one was that of the other side.
    pub unsteady: usize,
}

impl Report {
    fn count(&mut self, verdict: &Verdict) {
        self.sequences += 1;
        for exchange in &verdict.real.exchanges {
            let Some(step) = verdict.sequence.steps.iter().find(|step| step.id == exchange.id) else { continue };
            let (all, well) = self.verbs.entry(step.verb).or_default();
            *all += 1;
            *well += usize::from(exchange.status < 300);
            let (all, well) = self.resources.entry((subject(&step.path), step.verb)).or_default();
            *all += 1;
            *well += usize::from(exchange.status < 300);
            *self.statuses.entry(exchange.status).or_default() += 1;
        }
        self.events += verdict.real.events.values().map(|told| told.events.len()).sum::<usize>();
        for (place, times) in &verdict.accepted {
            *self.accepted.entry(*place).or_default() += times;
        }
        // What comes later most likely follows from it.
        let first = verdict.differences.first().map(|difference| difference.step);
        for difference in verdict.differences.iter().filter(|difference| Some(difference.step) == first) {
            let Some(step) = verdict.sequence.steps.iter().find(|step| step.id == difference.step) else { continue };
            let kind = format!("{:?} {}", step.verb, difference.kind());
            let group = self.differences.entry(kind).or_insert_with(|| Group {
                times: 0,
                sequence: verdict.sequence.number,
                example: show::brief(verdict, difference),
                resources: BTreeSet::new(),
            });
            group.times += 1;
            group.resources.insert(subject(&step.path));
        }
        self.unsteady += usize::from(verdict.unsteady);
        self.failed += usize::from(!verdict.differences.is_empty());
    }

    /// Requests by resource and verb.
    pub fn table(&self) -> String {
        let line = |((resource, verb), (all, well)): (&(String, Verb), &(usize, usize))| {
            format!("{resource:32} {:18} {all:6} {well:6} accepted\n", format!("{verb:?}"))
        };
        self.resources.iter().map(line).collect()
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.verbs.values().map(|(all, _)| all).sum()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} sequences, {} requests, {} events of watches", self.sequences, self.requests(), self.events)?;
        let verbs: Vec<_> =
            self.verbs.iter().map(|(verb, (all, well))| format!("{verb:?} {all} ({well} accepted)")).collect();
        writeln!(f, "requests: {}", verbs.join(", "))?;
        let statuses: Vec<_> = self.statuses.iter().map(|(status, times)| format!("{status}: {times}")).collect();
        writeln!(f, "answers: {}", statuses.join(", "))?;
        writeln!(f, "sequences that are answered differently from run to run: {}", self.unsteady)?;
        for (place, times) in &self.accepted {
            if let Some(accepted) = ACCEPTED.get(*place) {
                writeln!(f, "listed difference: {} ({times} times): {}", accepted.name, accepted.why)?;
            }
        }
        let mut differences: Vec<_> = self.differences.iter().collect();
        differences.sort_by_key(|(_, group)| std::cmp::Reverse(group.times));
        for (kind, group) in &differences {
            let resources: Vec<_> = group.resources.iter().map(String::as_str).collect();
            writeln!(f, "DIFFERENCE {} times ({}): {kind}", group.times, resources.join(", "))?;
            writeln!(f, "  sequence {}: {}", group.sequence, group.example)?;
        }
        write!(f, "differences that are not listed: {} in {} sequences", differences.len(), self.failed)
    }
}

/// Which sequences, and how many at a time.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// The first sequence's number.
    pub first: u64,
    /// How many.
    pub sequences: u64,
    /// How many at a time.
    pub together: usize,
}

/// Plays them all.
pub async fn campaign<R: Side, S: Side>(
    judge: &Judge<'_, R, S>,
    options: Options,
    mut each: impl FnMut(&Verdict),
) -> Result<Report, Trouble> {
    let numbers = options.first..options.first + options.sequences;
    let verdicts = stream::iter(numbers).map(async |number| judge.judge(&sequence(options.seed, number)).await);
    let mut verdicts = std::pin::pin!(verdicts.buffer_unordered(options.together));
    let mut report = Report::default();
    while let Some(verdict) = verdicts.next().await {
        let verdict = verdict?;
        report.count(&verdict);
        each(&verdict);
    }
    Ok(report)
}
