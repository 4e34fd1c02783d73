//! Systematic campaigns: one thing goes wrong, at every place where it can.

use super::{Plan, Workload, workloads};
use crate::{
    link::{How, Shot, Which},
    play::{Options, play},
    script::{Act, Script, Step},
};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Campaign {
    /// The controller is killed right after its n-th write, for every n.
    Crash,
    /// The answer to its n-th write is lost, for every n.
    Lost,
    /// Every cluster's watches stand still before every delete.
    Lag,
    /// Each cluster is cut off at every write.
    Cut,
}

impl Campaign {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Crash, Self::Lost, Self::Lag, Self::Cut];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Crash => "crash after every write",
            Self::Lost => "lose every reply",
            Self::Lag => "lag every watch before every delete",
            Self::Cut => "cut every cluster at every step",
        }
    }
}

/// Every run of a campaign. Each workload is played once with nothing wrong, to learn where something can go wrong.
pub fn plans(campaign: Campaign, options: &Options) -> Vec<Plan> {
    let mut plans = Vec::new();
    for Workload { name, script } in workloads() {
        let fine = play(&script, options);
        let mut plan = |what: String, step: Step| {
            plans.push(Plan { name: format!("{what}, in \"{name}\""), script: with(&script, step) });
        };
        let sites = || std::iter::once("master".to_owned()).chain(script.sites());
        match campaign {
            Campaign::Crash => {
                for number in 1..=fine.figures.steps {
                    plan(format!("crash after write {number}"), once(0, Act::CrashAfter(number)));
                }
            }
            Campaign::Lost => {
                for number in 0..fine.figures.steps {
                    let shot = Shot { which: Which::Step, skip: number, times: 1, how: How::LoseReply };
                    plan(
                        format!("lose the reply to write {}", number + 1),
                        once(0, Act::Request("*".to_owned(), shot)),
                    );
                }
            }
            Campaign::Lag => {
                for at in &distinct(&fine.deletes, 50) {
                    for site in sites() {
                        let step = |act| Step { at: at.saturating_sub(3_000), lasts: 20_000, act };
                        plan(format!("{site}'s watches stall from {at} ms"), step(Act::StallWatches(site.clone())));
                        plan(format!("{site}'s cache stands still from {at} ms"), step(Act::Freeze(site)));
                    }
                }
            }
            Campaign::Cut => {
                for at in &distinct(&fine.steps, 20) {
                    for site in sites() {
                        let step = Step { at: at.saturating_sub(2), lasts: 20_000, act: Act::BlackHole(site.clone()) };
                        plan(format!("{site} is cut off at {at} ms"), step);
                    }
                }
            }
        }
    }
    plans
}

fn once(at: u64, act: Act) -> Step {
    Step { at, lasts: 0, act }
}

fn with(script: &Script, step: Step) -> Script {
    let mut script = script.clone();
    let at = script.steps.partition_point(|other| other.at <= step.at);
    script.steps.insert(at, step);
    script
}

/// Moments that are at least so many milliseconds apart.
fn distinct(moments: &[u64], apart: u64) -> Vec<u64> {
    let mut kept: Vec<u64> = Vec::new();
    for moment in moments {
        if kept.last().is_none_or(|last| moment.saturating_sub(*last) >= apart) {
            kept.push(*moment);
        }
    }
    kept
}
