//! Every scenario of the catalogue, played in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use simulation::{
    for_every_scenario,
    scenario::{self, ALL, ROWS, Stages, WAITING},
};

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            if let Err(words) = scenario::play(stringify!($name), seed()) {
                panic!("{words}");
            }
        })*
    };
}

for_every_scenario!(tests);

/// Seed 1, unless `ATOLL_SEED` says otherwise.
fn seed() -> u64 {
    std::env::var("ATOLL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// One line of the table in the README.
struct Line {
    scenarios: Vec<(String, Stages)>,
    issue: Option<u8>,
}

/// The table: `| row | what happens | scenarios | where |`.
fn table() -> BTreeMap<u8, Line> {
    let mut lines = BTreeMap::new();
    for text in include_str!("../README.md").lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = text.trim_matches('|').split('|').map(str::trim).collect();
        let Ok(row) = cells[0].parse::<u8>() else { continue };
        assert_eq!(cells.len(), 4, "{text}");
        let issue = cells[3].strip_prefix("waits for issue ").map(|issue| issue.parse().expect("an issue"));
        let names = cells[2].split("<br>").filter_map(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`'));
        let stages = cells[3].split("<br>").map(|cell| match cell.trim() {
            "simulated, real" => Stages::Both,
            "simulated" => Stages::SimulatedOnly,
            other => panic!("row {row} is played {other:?}"),
        });
        let scenarios: Vec<_> = names.map(str::to_owned).zip(stages).collect();
        assert!(lines.insert(row, Line { scenarios, issue }).is_none(), "row {row} is there twice");
    }
    lines
}

#[test]
fn the_readme_has_every_row_once_and_says_what_the_code_says() {
    let table = table();
    assert_eq!(table.keys().copied().collect::<Vec<_>>(), (1..=ROWS).collect::<Vec<_>>());
    for (row, line) in &table {
        let scenarios = ALL.iter().filter(|entry| entry.row == *row);
        let in_code: Vec<_> = scenarios.map(|entry| (entry.name.to_owned(), entry.stages)).collect();
        assert_eq!(line.scenarios, in_code, "row {row}");
        let waits = WAITING.iter().find(|waiting| waiting.row == *row).map(|waiting| waiting.issue);
        assert_eq!(line.issue, waits, "row {row}");
        assert_ne!(in_code.is_empty(), waits.is_none(), "row {row} has a scenario, or an issue that it waits for");
    }
}

#[test]
fn at_least_thirty_rows_have_scenarios_and_at_least_twelve_of_them_on_real_api_servers_as_well() {
    let rows = |wanted: fn(Stages) -> bool| {
        let rows: BTreeSet<_> = ALL.iter().filter(|entry| wanted(entry.stages)).map(|entry| entry.row).collect();
        rows.len()
    };
    assert!(rows(|_| true) >= 30);
    assert!(rows(|stages| stages == Stages::Both) >= 12);
}
