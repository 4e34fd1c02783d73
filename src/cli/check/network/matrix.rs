//! Who reached whom, as tables and in words. Pure.

use std::collections::BTreeMap;

use super::way::Way;
use crate::{
    cli::{probe::Met, table::grid},
    plan::name::WorkerName,
};

/// What became of one worker's dialling another on one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It was dialled.
    Met(Met),
    /// There was nobody to dial, for this reason.
    NoTarget(String),
    /// No pod could listen, or none dial: nothing can be told.
    Untold,
}

impl Cell {
    /// Whether it was reached.
    #[must_use]
    pub fn reached(&self) -> bool {
        matches!(self, Self::Met(Met::Reached(_)))
    }

    fn short(&self) -> String {
        match self {
            Self::Met(met) => match met {
                Met::Reached(after) => return format!("ok {after} ms"),
                Met::Stranger => "SOMEBODY ELSE",
                Met::Mute => "SILENT",
                Met::NoName(_) => "NO NAME",
                Met::Refused => "REFUSED",
                Met::TimedOut => "TIMED OUT",
                Met::NoRoute => "NO ROUTE",
                Met::Other(_) => "FAILED",
            },
            Self::NoTarget(_) => "NO ADDRESS",
            Self::Untold => "-",
        }
        .to_owned()
    }

    /// What went wrong, in words.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Met(Met::Reached(_)) | Self::Untold => None,
            Self::Met(Met::Stranger) => Some("somebody else answers at that address".to_owned()),
            Self::Met(Met::Mute) => Some("the connection opens, but nothing comes over it".to_owned()),
            Self::Met(Met::NoName(why)) => Some(format!("the name does not resolve ({why})")),
            Self::Met(Met::Refused) => Some("the connection is refused".to_owned()),
            Self::Met(Met::TimedOut) => Some("no answer: packets are dropped on the way".to_owned()),
            Self::Met(Met::NoRoute) => Some("no route leads there".to_owned()),
            Self::Met(Met::Other(why)) | Self::NoTarget(why) => Some(why.clone()),
        }
    }
}

/// All outcomes of a run: for each way, rows from, columns to, in the order of the workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// The workers.
    pub workers: Vec<WorkerName>,
    /// The cells.
    pub cells: BTreeMap<Way, Vec<Vec<Cell>>>,
}

/// Two workers, and the cell between them.
pub struct Pair<'a> {
    /// From.
    pub from: &'a WorkerName,
    /// To.
    pub to: &'a WorkerName,
    /// What happened.
    pub cell: &'a Cell,
}

impl Outcomes {
    /// All pairs of a way that count for it.
    pub fn pairs(&self, way: Way) -> impl Iterator<Item = Pair<'_>> {
        let rows = self.workers.iter().zip(self.cells.get(&way).into_iter().flatten());
        rows.flat_map(|(from, row)| self.workers.iter().zip(row).map(move |(to, cell)| Pair { from, to, cell }))
            .filter(move |pair| pair.from != pair.to || way.counts_own())
    }

    /// The table of a way, and below it what went wrong.
    #[must_use]
    pub fn table(&self, way: Way) -> String {
        let mut headings = vec!["FROM \\ TO"];
        headings.extend(self.workers.iter().map(WorkerName::as_str));
        let none = Vec::new();
        let rows: Vec<Vec<String>> = self
            .workers
            .iter()
            .zip(self.cells.get(&way).unwrap_or(&none))
            .map(|(from, row)| std::iter::once(from.to_string()).chain(row.iter().map(Cell::short)).collect())
            .collect();
        let mut text = format!("{}\n", way.heading());
        for line in grid(&headings, &rows).lines() {
            text += &format!("  {line}\n");
        }
        for (from, to, why) in self.troubles(way) {
            text += &format!("  {from} -> {}: {why}\n", to.join(", "));
        }
        text
    }

    /// What went wrong, one line for each worker and reason.
    fn troubles(&self, way: Way) -> Vec<(&str, Vec<&str>, String)> {
        let mut lines: Vec<(&str, Vec<&str>, String)> = Vec::new();
        for pair in self.pairs(way) {
            let Some(why) = pair.cell.trouble() else { continue };
            match lines.iter_mut().find(|(from, _, other)| *from == pair.from.as_str() && *other == why) {
                Some((_, to, _)) => to.push(pair.to.as_str()),
                None => lines.push((pair.from.as_str(), vec![pair.to.as_str()], why)),
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_who_reached_whom_and_says_below_what_went_wrong() {
        let ok = Cell::Met(Met::Reached(3));
        let no_name = || Cell::Met(Met::NoName("unknown".to_owned()));
        let outcomes = Outcomes {
            workers: ["a", "b", "c"].map(WorkerName::from).to_vec(),
            cells: BTreeMap::from([
                (
                    Way::Name,
                    vec![
                        vec![ok.clone(), no_name(), no_name()],
                        vec![ok.clone(), ok.clone(), Cell::Met(Met::TimedOut)],
                        vec![Cell::Untold; 3],
                    ],
                ),
                (Way::LoadBalancer, vec![vec![Cell::Met(Met::TimedOut), ok.clone(), ok.clone()]]),
            ]),
        };
        let expected = "\
Pod names (DNS, then the pod's address)
  FROM \\ TO  a        b        c
  a          ok 3 ms  NO NAME  NO NAME
  b          ok 3 ms  ok 3 ms  TIMED OUT
  c          -        -        -
  a -> b, c: the name does not resolve (unknown)
  b -> c: no answer: packets are dropped on the way
";
        assert_eq!(outcomes.table(Way::Name), expected);
        // A load balancer that does not lead back in harms nobody.
        let balancers = outcomes.table(Way::LoadBalancer);
        assert!(balancers.ends_with("a          TIMED OUT  ok 3 ms  ok 3 ms\n"), "{balancers}");
    }
}
