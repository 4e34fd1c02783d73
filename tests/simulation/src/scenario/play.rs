//! Plays one scenario in virtual time, with every check looking on, and sees that nothing goes on after it.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;

use super::{Playable, both, simulated_only};
use crate::{
    check::{self, Violation},
    entropy,
    lives::Apart,
    play::{clients, ending},
    script::Network,
    stage::{MASTER, Simulated, simulated::Settings},
};

/// How many of the last lines a scenario that fails shows, unless `ATOLL_TAPE` says otherwise.
const SHOWN: usize = 120;
/// How the clusters' pods reach each other: seed 1 has the first of them.
const NETWORKS: [Network; 3] = [Network::Flat, Network::Islands, Network::EqualIslands];
/// How long the controller may go on writing when a scenario is over.
const PATIENCE: Duration = Duration::from_mins(10);

/// Scenarios that pause the controller.
const PAUSES: [&str; 1] = ["a_leader_that_was_paused_past_its_time_writes_nothing"];

/// What came of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// What was wrong: which check says so (the scenario's own expectations are called `scenario`), when it said it, and
    /// its words.
    pub wrong: Vec<Violation>,
    /// What happened last.
    pub lines: Vec<String>,
    /// What is told of everything at the end.
    pub told: String,
    /// How many writes of clients were acknowledged.
    pub acknowledged: u64,
}

/// Plays a scenario, with networks, latencies and all else drawn from a seed. The error says what was wrong, and what
/// happened last.
pub fn play(name: &str, seed: u64) -> Result<(), String> {
    let Played { wrong, lines, told, .. } = play_without(name, seed, &[])?;
    if wrong.is_empty() {
        return Ok(());
    }
    let shown = std::env::var("ATOLL_TAPE").ok().and_then(|lines| lines.parse().ok()).unwrap_or(SHOWN);
    let last = lines[lines.len().saturating_sub(shown)..].join("\n");
    let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    Err(format!("{last}\n\n{told}\n\n{name} fails:\n{}", wrong.join("\n")))
}

/// The same without these checks. The error says that there is no such scenario.
pub fn play_without(name: &str, seed: u64, without: &[&str]) -> Result<Played, String> {
    let mut plays = both::<Simulated>().into_iter().chain(simulated_only());
    let scenario =
        plays.find(|scenario| scenario.name == name).ok_or_else(|| format!("there is no scenario {name}"))?;
    Ok(play_this(&scenario, seed, without))
}

/// Plays it while clients write to every database, from every cluster.
fn play_this(scenario: &Playable<Simulated>, seed: u64, without: &[&str]) -> Played {
    entropy::simulate(seed, async || {
        let stage = Simulated::new(Settings {
            seed,
            workers: 3,
            network: NETWORKS[usize::try_from(seed.saturating_sub(1) % 3).unwrap_or(0)],
            checks: check::all_but(without),
            log: tracing::Level::INFO,
            apart: if PAUSES.contains(&scenario.name) { Apart::Yes } else { Apart::No },
        });
        let clients = clients::start(&stage);
        let played = async {
            (scenario.play)(&stage).await;
            // Whatever state it ends in: at rest the controller writes nothing.
            if let Err(words) = ending::calm(&stage, PATIENCE, || Ok(())).await {
                stage.tape.violate("L1 settles", words);
            }
            ending::silence(&stage).await;
            ending::keeps_and_hides(&stage);
        };
        let ended = tokio::time::timeout(Duration::from_hours(6), AssertUnwindSafe(played).catch_unwind()).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => {
                let words = words(&*panic);
                stage.tape.violate(rule(&words), words);
            }
            Err(_) => stage.tape.violate("L0 end", "it does not end within six virtual hours".to_owned()),
        }
        drop(clients);
        let mut wrong = stage.tape.violations();
        wrong.retain(|violation| without.iter().all(|off| *off != violation.check));
        let lines = stage.tape.lines().into_iter().filter(|line| !is_routine(line)).collect();
        Played { wrong, lines, told: told(&stage), acknowledged: stage.tape.figures().acknowledged }
    })
}

/// The rule that a scenario's end, or its own expectation, names.
fn rule(words: &str) -> &'static str {
    ["L1", "S14"].into_iter().find(|rule| words.starts_with(&format!("{rule}: "))).unwrap_or("scenario")
}

/// Looking, and what comes of it while all is well; and the lease.
fn is_routine(line: &str) -> bool {
    let looks = line.contains(" GET ") || line.contains(" WATCH ");
    let fine = line.contains(" s  sent ") || line.contains(" s  200 ");
    (looks && fine) || line.contains("/leases/") || line.contains("leases.coordination")
}

/// What the resources of the master say in the end.
fn told(stage: &Simulated) -> String {
    let server = stage.server(MASTER);
    let resources =
        server.list("k8sclusters.k8s.oceanbase.com").into_iter().chain(server.list("clusters.apps.kubeblocks.io"));
    let lines = resources.flat_map(|resource| {
        let conditions = resource["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let conditions = conditions.into_iter().map(|condition| {
            let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            format!("    {}={} {}: {}", text("type"), text("status"), text("reason"), text("message"))
        });
        let (name, phase) = (&resource["metadata"]["name"], &resource["status"]["phase"]);
        std::iter::once(format!("{name} {phase}")).chain(conditions).collect::<Vec<_>>()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What a scenario that panicked said.
pub fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panics").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        scenario::tools::begin,
        stage::people::{People as _, Wanted},
    };

    /// Every volume of a database is put back to what it held twenty seconds ago: Atoll cannot know.
    async fn all_volumes_go_back(stage: &Simulated) {
        begin(stage).await;
        stage.run(&Wanted::named("a")).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        let etcds = &stage.truth.etcds;
        let volumes: Vec<_> = etcds.inspect().into_iter().map(|view| view.volume).collect();
        let before: Vec<_> = volumes.iter().map(|volume| (volume, etcds.copy_volume(volume))).collect();
        tokio::time::sleep(Duration::from_secs(20)).await;
        for (volume, data) in before {
            etcds.put_volume(volume, data);
        }
        stage.until_phase("a", "Running").await;
    }

    #[test]
    fn a_scenario_in_which_acknowledged_writes_are_lost_fails() {
        let scenario = Playable { name: "lost", play: |stage| all_volumes_go_back(stage).boxed_local() };
        let played = play_this(&scenario, 1, &[]);
        assert!(played.acknowledged > 400, "clients write all the time: {}", played.acknowledged);
        assert!(!played.wrong.is_empty());
        for violation in &played.wrong {
            assert_eq!(violation.check, "D1 durability", "{violation}");
            assert!(violation.words.contains("was acknowledged"), "{violation}");
        }
    }

    #[test]
    fn what_a_person_deletes_with_its_data_is_not_lost() {
        let name = "a_namespace_deleted_with_its_data_is_not_made_again_by_itself";
        let played = play_without(name, 1, &[]).expect("a scenario");
        assert!(played.acknowledged > 0);
        assert_eq!(played.wrong, Vec::new());
    }
}
