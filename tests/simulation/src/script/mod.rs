//! A script: everything that will happen to one run, as plain data. It is drawn from a seed ([`draw`]), played
//! ([`crate::play`]), shortened when it fails ([`crate::shrink`]), and kept as a file when it found a bug.

mod draw;

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

pub use draw::draw;

use crate::{kubeconfigs::Flaw, link::Shot};

/// Everything that will happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What latencies, and all else that is not said here, are drawn from.
    pub seed: u64,
    /// How many workers: `w1`, `w2` …
    pub workers: u8,
    /// How their pods reach each other.
    pub network: Network,
    /// The databases that are created at the beginning.
    pub databases: Vec<Base>,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
}

/// A version that nobody has: a manifest that asks for it must be refused ([`Act::Spoil`]).
pub const NO_VERSION: &str = "99.0.0";
/// The next minor version.
pub const NEXT_VERSION: &str = "3.6.16";

/// How pods of different clusters reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Directly.
    Flat,
    /// By load balancers and node ports only.
    Islands,
    /// The same, and every cluster gives its pods the same addresses.
    EqualIslands,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its name.
    pub name: String,
    /// How many members.
    pub replicas: u32,
    /// What its deletion leaves.
    pub policy: Policy,
}

/// What a deletion leaves: KubeBlocks' terminationPolicy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Everything: it does not take place.
    DoNotTerminate,
    /// The volumes.
    Halt,
    /// Nothing but backups.
    Delete,
    /// Nothing.
    WipeOut,
}

impl Policy {
    /// As manifests have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DoNotTerminate => "DoNotTerminate",
            Self::Halt => "Halt",
            Self::Delete => "Delete",
            Self::WipeOut => "WipeOut",
        }
    }
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, in milliseconds from the beginning.
    pub at: u64,
    /// For how long, in milliseconds; zero for what happens once.
    #[serde(default)]
    pub lasts: u64,
    /// What.
    pub act: Act,
}

/// What can happen. Sites are `master`, `w1`, `w2` …; members are numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Something befalls requests to a site.
    Request(String, Shot),
    /// The connection to a site is refused.
    Refuse(String),
    /// Packets to and from a site vanish.
    BlackHole(String),
    /// Answers of a site vanish.
    OneWay(String),
    /// A site answers every request with 429, and to come again in an hour.
    Overload(String),
    /// Each request to a site takes so many milliseconds longer.
    Slow(String, u64),
    /// A site's API server is paused: it carries out later what it was sent.
    Pause(String),
    /// A site's watches stall.
    StallWatches(String),
    /// A site's watches lag by so many milliseconds.
    LagWatches(String, u64),
    /// A site's watches all end.
    CloseWatches(String),
    /// A site forgets old resource versions.
    Compact(String),
    /// A site's watch cache stands still while its etcd goes on.
    Freeze(String),
    /// A site's API server does not run.
    Down(String),
    /// A site goes back to what it was so many milliseconds ago.
    Restore(String, u64),
    /// Another cluster answers at a site's address.
    Swap(String),
    /// A site's quota is used up.
    Quota(String),
    /// A site's admission webhook refuses pods, claims and services.
    Deny(String),
    /// A namespace of a site is emptied by force.
    Wipe(String),
    /// A member's process dies.
    CrashPod(String, u32),
    /// A person deletes a member's pod.
    DeletePod(String, u32),
    /// A person deletes a member's volume claim.
    DeleteClaim(String, u32),
    /// A person deletes a member's service.
    DeleteService(String, u32),
    /// The node of a member is cut off from its API server; what runs there runs on.
    CutNode(String, u32),
    /// A site makes no volumes.
    WithholdVolumes(String),
    /// A site gives no load balancer addresses.
    WithholdLoadBalancers(String),
    /// A site schedules nothing.
    WithholdScheduling(String),
    /// Pods of two sites do not reach each other.
    Partition(String, String),
    /// The controller is killed.
    Crash,
    /// The controller is paused: nothing happens in it, and it wakes up late.
    Suspend,
    /// The controller is killed right after so many more of its writes.
    CrashAfter(u64),
    /// A second replica of the controller runs, and is killed when that ends.
    Second,
    /// The controller is cut off from the master (its rivals are not).
    Isolate,
    /// The controller's clock is so many seconds ahead.
    Clock(i64),
    /// A database is created.
    Create(Base),
    /// A database is deleted.
    Delete(String),
    /// A database is deleted, and after that time a person lets go of the workers that cannot be seen.
    Release(String),
    /// A database is deleted, and created again as soon as it is gone.
    Recreate(String),
    /// The same, and the new one takes over what the former one leaves, as the person says in an annotation.
    HandOver(String),
    /// A database's members get other resources, and after that time the former ones again.
    Edit(String),
    /// A database's manifest asks for so many members.
    Scale(String, u32),
    /// A database's manifest asks for the next minor version.
    Upgrade(String),
    /// A database's manifest asks for a version that nobody has ([`NO_VERSION`]), and after that time for the former one
    /// again.
    Spoil(String),
    /// A worker's registration is deleted, and made again after that time.
    Unregister(String),
    /// A worker's registration is deleted and made again for another cluster, and after that time for the right one.
    Mistake(String),
    /// A worker is registered by a second name for that time.
    Twin(String),
    /// The master is registered as a worker.
    Home,
    /// A worker is marked unavailable, and after that time available again.
    Mark(String),
    /// A worker's Secret gets another token; the former one expires a little later.
    Rotate(String),
    /// A worker's Secret gets a client certificate that ends when that has lasted, then a token again.
    Certify(String),
    /// A worker's Secret gets a kubeconfig with a flaw, and after that time a good one again.
    SpoilSecret(String, Flaw),
    /// A worker's Secret is deleted, and made again after that time.
    DropSecret(String),
    /// A worker no longer accepts its token, and after that time it does again.
    Revoke(String),
}

impl Act {
    /// For figures: faults by kind. People's edits count as well.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Request(_, shot) => shot.how.kind(),
            Self::Refuse(_) => "connection refused",
            Self::BlackHole(_) => "black hole",
            Self::OneWay(_) => "one way",
            Self::Slow(..) => "slow",
            Self::Overload(_) => "overloaded (429)",
            Self::Pause(_) => "API server paused",
            Self::StallWatches(_) => "watch stalled",
            Self::LagWatches(..) => "watch lags",
            Self::CloseWatches(_) => "watch closed",
            Self::Compact(_) => "compacted (410)",
            Self::Freeze(_) => "stale cache",
            Self::Down(_) => "cluster down",
            Self::Restore(..) => "restored from backup",
            Self::Swap(_) => "identity swapped",
            Self::Quota(_) => "quota",
            Self::Deny(_) => "webhook denies",
            Self::Wipe(_) => "namespace wiped",
            Self::CrashPod(..) => "process crash",
            Self::DeletePod(..) | Self::DeleteClaim(..) | Self::DeleteService(..) => "manual delete",
            Self::CutNode(..) => "node cut",
            Self::WithholdVolumes(_) => "volume pending",
            Self::WithholdLoadBalancers(_) => "load balancer pending",
            Self::WithholdScheduling(_) => "unschedulable",
            Self::Partition(..) => "peers partitioned",
            Self::Crash | Self::CrashAfter(_) => "controller crash",
            Self::Suspend => "controller paused",
            Self::Second => "two leaders",
            Self::Isolate => "controller isolated",
            Self::Clock(_) => "clock jump",
            Self::Create(_) | Self::Delete(_) | Self::Release(_) | Self::Recreate(_) | Self::HandOver(_) => {
                "created and deleted"
            }
            Self::Edit(_) => "edited",
            Self::Scale(..) => "scaled",
            Self::Upgrade(_) => "upgraded",
            Self::Spoil(_) => "manifest spoilt",
            Self::Unregister(_) => "registration",
            Self::Mistake(_) => "registered for another cluster",
            Self::Twin(_) => "registered twice",
            Self::Home => "master registered",
            Self::Mark(_) => "marked unavailable",
            Self::Rotate(_) | Self::Certify(_) | Self::DropSecret(_) | Self::Revoke(_) => "credentials",
            Self::SpoilSecret(..) => "kubeconfig flawed",
        }
    }
}

impl Act {
    /// Whether it names this site or database.
    pub fn concerns(&self, name: &str) -> bool {
        self.names().contains(&name)
    }

    /// The sites and databases that it names.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Partition(one, other) => vec![one, other],
            Self::Request(site, _)
            | Self::Slow(site, _)
            | Self::LagWatches(site, _)
            | Self::Restore(site, _)
            | Self::SpoilSecret(site, _) => {
                vec![site]
            }
            Self::CrashPod(database, _)
            | Self::DeletePod(database, _)
            | Self::DeleteClaim(database, _)
            | Self::DeleteService(database, _)
            | Self::CutNode(database, _) => vec![database],
            Self::Create(base) => vec![&base.name],
            Self::Crash
            | Self::Suspend
            | Self::CrashAfter(_)
            | Self::Second
            | Self::Isolate
            | Self::Clock(_)
            | Self::Home => Vec::new(),
            Self::Refuse(word)
            | Self::BlackHole(word)
            | Self::OneWay(word)
            | Self::Overload(word)
            | Self::Pause(word)
            | Self::StallWatches(word)
            | Self::CloseWatches(word)
            | Self::Compact(word)
            | Self::Freeze(word)
            | Self::Down(word)
            | Self::Swap(word)
            | Self::Quota(word)
            | Self::Deny(word)
            | Self::Wipe(word)
            | Self::WithholdVolumes(word)
            | Self::WithholdLoadBalancers(word)
            | Self::WithholdScheduling(word)
            | Self::Delete(word)
            | Self::Release(word)
            | Self::Recreate(word)
            | Self::HandOver(word)
            | Self::Edit(word)
            | Self::Upgrade(word)
            | Self::Scale(word, _)
            | Self::Spoil(word)
            | Self::Unregister(word)
            | Self::Mark(word)
            | Self::Rotate(word)
            | Self::Certify(word)
            | Self::Mistake(word)
            | Self::Twin(word)
            | Self::DropSecret(word)
            | Self::Revoke(word) => vec![word],
        }
    }
}

impl Script {
    /// A script from a file, as [`crate::shrink`] writes it.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let script: Self =
            serde_json::from_str(&text).map_err(|error| format!("{} is no script: {error}", file.display()))?;
        script.judge().map_err(|why| format!("{}: {why}", file.display()))?;
        Ok(script)
    }

    /// Whether it speaks of nothing but what is there: a step that meets nobody would show nothing. The error says what
    /// is wrong.
    pub fn judge(&self) -> Result<(), String> {
        if self.workers == 0 {
            return Err("without a worker nothing can happen".to_owned());
        }
        let created = self.steps.iter().filter_map(|step| match &step.act {
            Act::Create(base) => Some(base.name.clone()),
            _ => None,
        });
        let mut known = self.sites();
        known.push("master".to_owned());
        known.extend(self.databases.iter().map(|base| base.name.clone()).chain(created));
        for (number, step) in (1..).zip(&self.steps) {
            if let Some(name) = step.act.names().into_iter().find(|name| known.iter().all(|known| known != name)) {
                return Err(format!("step {number} speaks of {name:?}; there are only {}", known.join(", ")));
            }
        }
        Ok(())
    }

    /// The names of the workers.
    pub fn sites(&self) -> Vec<String> {
        (1..=self.workers).map(|number| format!("w{number}")).collect()
    }

    /// When the last step has ended, in milliseconds.
    pub fn ends(&self) -> u64 {
        self.steps.iter().map(|step| step.at + step.lasts).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_speaks_of_what_is_not_there_is_refused_in_words() {
        let script = |act| Script { steps: vec![Step { at: 1, lasts: 0, act }], ..draw(1) };
        let database = draw(1).databases[0].name.clone();
        let late = Base { name: "late".to_owned(), replicas: 3, policy: Policy::Halt };
        for good in [Act::Down("master".to_owned()), Act::Delete(database), Act::Create(late), Act::Crash] {
            assert_eq!(script(good).judge(), Ok(()));
        }
        for bad in [Act::Down("w99".to_owned()), Act::Delete("nobody".to_owned())] {
            let why = script(bad).judge().expect_err("it meets nobody");
            assert!(why.starts_with("step 1 speaks of"), "{why}");
        }
        assert!(Script { workers: 0, ..draw(1) }.judge().is_err());
        for seed in 0..500 {
            assert_eq!(draw(seed).judge(), Ok(()), "{seed}");
        }
    }
}
