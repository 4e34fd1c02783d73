//! The network between workers: a listener in each, dialled from each of them on every way.

mod matrix;
mod objects;
mod site;
mod verdict;
mod way;

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

pub use objects::Run;
pub use site::Site;
pub use way::Way;

use super::finding::{Finding, Tally};
use crate::{
    cli::{probe::Met, stop},
    plan::name::Uid,
};
use matrix::{Cell, Outcomes};
use way::{Listening, target};

/// How long a dialler may take for its work, on top of what its image takes.
const DIALLING: Duration = Duration::from_secs(45);

/// What tells this run's objects from those of others.
#[must_use]
pub fn run_id() -> String {
    format!("{:06x}", Timestamp::now().as_millisecond() & 0xff_ffff)
}

/// Makes the pods, dials, prints, and cleans up: also when a person stops it.
pub async fn check(run: &Run, sites: &[Site], patience: Duration, tally: &mut Tally) {
    println!(
        "Network between workers: pods and services are made in namespace {} of {}, and deleted afterwards",
        run.namespace,
        names(sites),
    );
    let mut found = tokio::select! {
        found = dial(run, sites, patience) => found,
        () = stop::asked() => {
            println!("  stopped; cleaning up");
            vec![Finding::amiss("stopped before it was done")]
        }
    };
    found.extend(clean(&run.master, sites).await);
    print!("{}", tally.section("What that means for databases over these workers", &found));
}

async fn dial(run: &Run, sites: &[Site], patience: Duration) -> Vec<Finding> {
    // What an aborted run has left would be in the way of nobody, but it is nobody's either.
    let old: usize =
        join_all(sites.iter().map(|site| site.sweep(&run.master, false))).await.iter().map(|s| s.deleted).sum();
    if old > 0 {
        println!("  removed {old} objects that an earlier check had left");
    }
    let listening = join_all(sites.iter().map(|site| site.listen(run, sites.len(), patience))).await;
    let rows = join_all(sites.iter().map(|from| row(run, sites, from, &listening, patience))).await;
    let mut found: Vec<_> = sites
        .iter()
        .zip(&listening)
        .filter_map(|(site, there)| there.as_ref().err().map(|why| lacking(site, why)))
        .collect();
    let mut table = Vec::new();
    for (site, row) in sites.iter().zip(rows) {
        table.push(match row {
            Some(Ok(cells)) => cells,
            Some(Err(why)) => {
                found.push(lacking(site, &why));
                vec![Cell::Untold; sites.len() * run.ways.len()]
            }
            None => vec![Cell::Untold; sites.len() * run.ways.len()],
        });
    }
    let mut outcomes =
        Outcomes { workers: sites.iter().map(|site| site.worker.clone()).collect(), ..Outcomes::default() };
    for (at, way) in run.ways.iter().enumerate() {
        let cells = table.iter().map(|row| row.iter().skip(at).step_by(run.ways.len()).cloned().collect());
        outcomes.cells.insert(*way, cells.collect());
    }
    for way in &run.ways {
        print!("{}", outcomes.table(*way));
    }
    let domains: Vec<_> = sites.iter().map(|site| site.domain.clone()).collect();
    found.extend(verdict::verdicts(&outcomes, &domains));
    found
}

fn lacking(site: &Site, why: &str) -> Finding {
    Finding::amiss(format!("{}: {why}", site.worker)).remedy(
        "members would fare likewise there; if it is the image only, name one that the workers have with --image",
    )
}

/// Dials everybody from one worker. Answers a cell for each worker and, within it, for each way; none where this
/// worker's own listener did not come, because what keeps that from coming keeps a dialler as well.
async fn row(
    run: &Run,
    sites: &[Site],
    from: &Site,
    listening: &[Result<Listening, String>],
    patience: Duration,
) -> Option<Result<Vec<Cell>, String>> {
    listening.get(from.index)?.as_ref().ok()?;
    let mut targets = Vec::new();
    let mut cells = Vec::new();
    for (to, there) in sites.iter().zip(listening) {
        for &way in &run.ways {
            cells.push(match there.as_ref().map(|there| target(run, way, to.index, to.domain.as_deref(), there)) {
                Ok(Ok(target)) => {
                    targets.push(target);
                    None
                }
                Ok(Err(why)) => Some(Cell::NoTarget(why)),
                Err(_) => Some(Cell::Untold),
            });
        }
    }
    Some(from.dial(run, &targets, patience + DIALLING).await.map(|met| filled(cells, met)))
}

/// Puts the outcomes into the cells that were left open for them.
fn filled(cells: Vec<Option<Cell>>, met: Vec<Met>) -> Vec<Cell> {
    let mut met = met.into_iter().map(Cell::Met);
    cells.into_iter().map(|cell| cell.or_else(|| met.next()).unwrap_or(Cell::Untold)).collect()
}

async fn clean(master: &Uid, sites: &[Site]) -> Vec<Finding> {
    let swept = join_all(sites.iter().map(|site| site.sweep(master, true))).await;
    sites
        .iter()
        .zip(swept)
        .flat_map(|(site, swept)| swept.left.into_iter().map(move |left| (site, left)))
        .map(|(site, left)| {
            Finding::amiss(format!("left in {}: {left}", site.worker))
                .remedy(format!("delete what has the labels {}, or run this check again", objects::selector(master)))
        })
        .collect()
}

fn names(sites: &[Site]) -> String {
    sites.iter().map(|site| site.worker.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_go_to_the_targets_that_were_dialled() {
        let no_address = Cell::NoTarget("none".to_owned());
        let cells = filled(vec![None, Some(no_address.clone()), None, None], vec![Met::Refused, Met::Reached(1)]);
        assert_eq!(cells, [Cell::Met(Met::Refused), no_address, Cell::Met(Met::Reached(1)), Cell::Untold]);
    }
}
