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
    let mut outcomes =
        Outcomes { workers: sites.iter().map(|site| site.worker.clone()).collect(), ..Outcomes::default() };
    for (at, way) in run.ways.iter().enumerate() {
        let cells = rows.iter().map(|row| row.iter().skip(at).step_by(run.ways.len()).cloned().collect());
        outcomes.cells.insert(*way, cells.collect());
    }
    for way in &run.ways {
        print!("{}", outcomes.table(*way));
    }
    let domains: Vec<_> = sites.iter().map(|site| site.domain.clone()).collect();
    verdict::verdicts(&outcomes, &domains)
}

/// Dials everybody from one worker. Answers a cell for each worker and, within it, for each way.
async fn row(
    run: &Run,
    sites: &[Site],
    from: &Site,
    listening: &[Result<Listening, String>],
    patience: Duration,
) -> Vec<Cell> {
    let targets: Vec<_> = sites
        .iter()
        .zip(listening)
        .flat_map(|(to, there)| {
            run.ways.iter().map(move |&way| match there {
                Ok(there) => target(run, way, to.index, to.domain.as_deref(), there),
                Err(why) => Err(why.clone()),
            })
        })
        .collect();
    let dialled: Vec<_> = targets.iter().filter_map(|target| target.as_ref().ok().cloned()).collect();
    let met = match &listening[from.index] {
        Ok(_) => from.dial(run, &dialled, patience + DIALLING).await,
        // What kept the listener from coming keeps the dialler as well.
        Err(why) => Err(why.clone()),
    };
    cells(&targets, met)
}

fn cells<T>(targets: &[Result<T, String>], met: Result<Vec<Met>, String>) -> Vec<Cell> {
    let mut met = met.map(Vec::into_iter);
    targets
        .iter()
        .map(|target| match (target, &mut met) {
            (Err(why), _) => Cell::NoTarget(why.clone()),
            (Ok(_), Err(why)) => Cell::NoDialler(why.clone()),
            (Ok(_), Ok(met)) => met.next().map_or_else(|| Cell::NoDialler("no outcome".to_owned()), Cell::Met),
        })
        .collect()
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
        let targets = [Ok(()), Err("no address".to_owned()), Ok(())];
        let cells_of = |met| cells(&targets, met);
        assert_eq!(
            cells_of(Ok(vec![Met::Refused, Met::Reached(1)])),
            [Cell::Met(Met::Refused), Cell::NoTarget("no address".to_owned()), Cell::Met(Met::Reached(1))]
        );
        let dead = Cell::NoDialler("dead".to_owned());
        assert_eq!(cells_of(Err("dead".to_owned())), [dead.clone(), Cell::NoTarget("no address".to_owned()), dead]);
    }
}
