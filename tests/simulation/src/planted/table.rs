//! What is told of planted bugs.

use std::{fmt, time::Duration};

use super::{Blind, list::Bug, trial::Caught};

/// One bug.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub bug: Bug,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of one bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was only built, which took so long.
    Built(Duration),
    /// It does not compile.
    NotBuilt(String),
    /// The simulation with the bug in it says nothing that can be read.
    Unplayable(String),
    /// No check saw it.
    Missed(String),
    /// A check saw it.
    Caught {
        /// Where, and which.
        caught: Caught,
        /// How long that took.
        took: Duration,
        /// What the others see.
        blind: Blind,
    },
}

impl Verdict {
    /// Whether all is as it should be.
    pub fn is_caught(&self) -> bool {
        matches!(self, Self::Built(_) | Self::Caught { .. })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<32} {:<9} ", self.bug.name, first_words(&self.bug.rule))?;
        match &self.verdict {
            Verdict::Built(took) => write!(f, "built in {:.0} s", took.as_secs_f64()),
            Verdict::NotBuilt(why) => write!(f, "DOES NOT COMPILE\n{why}"),
            Verdict::Unplayable(why) => write!(f, "CANNOT BE PLAYED: {why}"),
            Verdict::Missed(how) => write!(f, "MISSED, {how}"),
            Verdict::Caught { caught, took, blind } => {
                let checks: Vec<_> = caught.names().collect();
                write!(
                    f,
                    "caught by {} in {} ({} runs, {:.1} s); {blind}\n{:>42} {}",
                    checks.join(", "),
                    caught.run,
                    caught.runs,
                    took.as_secs_f64(),
                    "",
                    caught.checks.first().map_or("", |(_, words)| words),
                )?;
                if caught.names().any(|check| self.bug.expects(check)) {
                    Ok(())
                } else {
                    write!(f, "\n{:>42} (expected of {})", "", self.bug.caught_by.join(", "))
                }
            }
        }
    }
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off = self.off.join(", ");
        match (self.missed, self.off.as_slice()) {
            (true, _) => write!(f, "missed without {off}"),
            (false, []) => f.write_str("no check was switched off"),
            (false, _) => write!(f, "also seen without {off}"),
        }
    }
}

fn first_words(rule: &str) -> &str {
    rule.split(',').next().unwrap_or(rule)
}

/// One bug of the list.
pub fn listed(bug: &Bug) -> String {
    let files: Vec<_> = bug.edits.iter().map(|edit| edit.file.as_str()).collect();
    format!("{:<32} {:<24} {}\n{:>33}{}", bug.name, bug.rule, files.join(", "), "", bug.why)
}

/// The closing line.
pub fn totals(rows: &[Row], took: Duration) -> String {
    let count = |pick: fn(&Verdict) -> bool| rows.iter().filter(|row| pick(&row.verdict)).count();
    let caught = count(|verdict| matches!(verdict, Verdict::Caught { .. }));
    let alone = count(|verdict| matches!(verdict, Verdict::Caught { blind, .. } if blind.missed));
    let names: Vec<_> = rows.iter().filter(|row| !row.verdict.is_caught()).map(|row| row.bug.name.as_str()).collect();
    let rest = if names.is_empty() { String::new() } else { format!("; not caught: {}", names.join(", ")) };
    format!(
        "{} planted bugs, {caught} caught, {alone} of them missed without the checks that caught them, in {} s{rest}",
        rows.len(),
        took.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::Play;

    fn row(verdict: Verdict) -> Row {
        let bug = Bug {
            name: "halt-deletes-volumes".to_owned(),
            rule: "S4, DECISIONS 7".to_owned(),
            why: "w".to_owned(),
            caught_by: vec!["S4".to_owned()],
            play: Vec::new(),
            edits: Vec::new(),
        };
        Row { bug, verdict }
    }

    fn caught(check: &str) -> Verdict {
        let checks = vec![(check.to_owned(), "words".to_owned())];
        let caught = Caught { checks, run: "seed 3".to_owned(), runs: 3, again: Play::Seeds(1) };
        let blind = Blind { off: vec![check.to_owned()], missed: true };
        Verdict::Caught { caught, took: Duration::from_secs(1), blind }
    }

    #[test]
    fn a_catch_tells_who_where_and_that_nobody_else_would_have() {
        let text = row(caught("S4 volumes")).to_string();
        assert!(text.contains("caught by S4 volumes in seed 3 (3 runs, 1.0 s); missed without S4 volumes"), "{text}");
        assert!(!text.contains("expected of"), "{text}");
        assert!(row(caught("L1 settled")).to_string().contains("expected of S4"));
    }

    #[test]
    fn the_closing_line_names_what_was_not_caught() {
        let rows = [row(caught("S4 volumes")), row(Verdict::Missed("not in 60 runs".to_owned()))];
        assert_eq!(
            totals(&rows, Duration::from_secs(9)),
            "2 planted bugs, 1 caught, 1 of them missed without the checks that caught them, in 9 s; not caught: \
             halt-deletes-volumes"
        );
    }
}
