//! Draws a script from a seed: swarm style. Each seed has its own few kinds of trouble, so that rare combinations are
//! not drowned by all the others.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::{Act, Base, Network, Policy, Script, Step};
use crate::kubeconfigs::Flaw;
use crate::link::{How, Shot, Which};

/// Within which the last trouble begins, in milliseconds.
const TROUBLE: u64 = 90_000;

/// Draws everything that will happen. A script has at least three workers, two databases, and five faults of three
/// kinds (DECISIONS 21).
pub fn draw(seed: u64) -> Script {
    let mut random = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5ce0);
    let workers = if random.u8(..) < 200 { 3 } else { random.u8(4..=5) };
    let network = [Network::Flat, Network::Flat, Network::Islands, Network::EqualIslands][random.usize(..4)];
    let databases = (0..random.usize(2..=3)).map(|number| base(&mut random, number)).collect();
    let mut script = Script { seed, workers, network, databases, steps: Vec::new() };
    let menu = menu(&mut random);
    let count = random.usize(6..=14);
    for number in 0..count {
        // The first few are of different kinds.
        let family = menu[if number < menu.len() { number } else { random.usize(..menu.len()) }];
        let at = random.u64(200..TROUBLE);
        let lasts = if random.bool() { random.u64(300..6_000) } else { random.u64(6_000..45_000) };
        let act = family.draw(&mut random, &script);
        script.steps.push(Step { at, lasts, act });
    }
    limit(&mut script);
    script.steps.sort_by_key(|step| step.at);
    script
}

fn base(random: &mut Rng, number: usize) -> Base {
    let replicas = [3, 3, 3, 1, 5][random.usize(..5)];
    let policy = [Policy::WipeOut, Policy::Delete, Policy::Halt][random.usize(..3)];
    Base { name: format!("db{number}"), replicas, policy }
}

/// A kind of trouble.
#[derive(Clone, Copy)]
enum Family {
    Requests,
    Writes,
    Connections,
    Watches,
    Clusters,
    Refusals,
    Pods,
    Storage,
    Peers,
    Controller,
    Databases,
    Edits,
    Changes,
    Credentials,
    Registrations,
}

const FAMILIES: [Family; 15] = [
    Family::Requests,
    Family::Writes,
    Family::Connections,
    Family::Watches,
    Family::Clusters,
    Family::Refusals,
    Family::Pods,
    Family::Storage,
    Family::Peers,
    Family::Controller,
    Family::Databases,
    Family::Edits,
    Family::Changes,
    Family::Credentials,
    Family::Registrations,
];

fn menu(random: &mut Rng) -> Vec<Family> {
    let mut families = FAMILIES.to_vec();
    random.shuffle(&mut families);
    families.truncate(random.usize(4..=6));
    families
}

impl Family {
    fn draw(self, random: &mut Rng, script: &Script) -> Act {
        let worker = script.sites()[random.usize(..usize::from(script.workers))].clone();
        let other = script.sites()[random.usize(..usize::from(script.workers))].clone();
        let site = if random.u8(..) < 64 { "master".to_owned() } else { worker.clone() };
        let base = &script.databases[random.usize(..script.databases.len())];
        // One more than there are at first: others may have joined by then.
        let (database, member) = (base.name.clone(), random.u32(..=base.replicas));
        match self {
            Self::Requests => Act::Request(site, shot(random, &[Which::Any, Which::Read, Which::List, Which::Watch])),
            Self::Writes => {
                let site = if random.bool() { "master".to_owned() } else { site };
                Act::Request(site, shot(random, &[Which::Step, Which::Create, Which::Delete, Which::Lease]))
            }
            Self::Connections => match random.u8(..7) {
                0 => Act::Refuse(site),
                1 => Act::BlackHole(site),
                2 => Act::OneWay(site),
                3 => Act::Pause(site),
                4 => Act::Overload(site),
                _ => Act::Slow(site, random.u64(200..12_000)),
            },
            Self::Watches => match random.u8(..5) {
                0 => Act::StallWatches(site),
                1 => Act::LagWatches(site, random.u64(100..15_000)),
                2 => Act::CloseWatches(site),
                3 => Act::Freeze(site),
                _ => Act::Compact(site),
            },
            Self::Clusters => match random.u8(..5) {
                0 | 1 => Act::Down(site),
                2 => Act::Swap(worker),
                3 => Act::Restore(worker, random.u64(100..8_000)),
                _ => Act::Pause(worker),
            },
            Self::Refusals => match random.u8(..3) {
                0 => Act::Quota(worker),
                _ => Act::Deny(worker),
            },
            Self::Pods => match random.u8(..5) {
                0 | 1 => Act::CrashPod(database, member),
                2 => Act::CutNode(database, member),
                3 => Act::DeleteService(database, member),
                _ => Act::DeletePod(database, member),
            },
            Self::Storage => match random.u8(..8) {
                0 => Act::DeleteClaim(database, member),
                1 => Act::Wipe(worker),
                2 | 3 => Act::WithholdScheduling(worker),
                4 | 5 => Act::WithholdVolumes(worker),
                _ => Act::WithholdLoadBalancers(worker),
            },
            Self::Peers => Act::Partition(worker, other),
            Self::Controller => match random.u8(..8) {
                0 => Act::Crash,
                1 => Act::Suspend,
                2..=4 => Act::CrashAfter(random.u64(1..25)),
                5 => Act::Second,
                6 => Act::Isolate,
                _ => Act::Clock(random.i64(-7_200..7_200)),
            },
            Self::Databases => match random.u8(..4) {
                0 => Act::Create(Base { name: format!("late{}", random.u8(..3)), ..super::Base::clone(base) }),
                1 if base.policy == Policy::Halt && random.bool() => Act::HandOver(database),
                1 => Act::Recreate(database),
                2 => Act::Release(database),
                _ => Act::Delete(database),
            },
            Self::Edits => {
                if random.bool() {
                    Act::Edit(database)
                } else {
                    Act::Spoil(database)
                }
            }
            Self::Changes => match random.u8(..4) {
                0 => Act::Upgrade(database),
                1 => Act::Edit(database),
                _ => Act::Scale(database, random.u32(1..=5)),
            },
            Self::Credentials => match random.u8(..6) {
                0 => Act::Rotate(worker),
                1 => Act::Certify(worker),
                2 => Act::DropSecret(worker),
                3 | 4 => Act::SpoilSecret(worker, Flaw::ALL[random.usize(..Flaw::ALL.len())]),
                _ => Act::Revoke(worker),
            },
            Self::Registrations => match random.u8(..7) {
                0 | 1 => Act::Mark(worker),
                2 => Act::Twin(worker),
                3 => Act::Home,
                4 => Act::Mistake(worker),
                _ => Act::Unregister(worker),
            },
        }
    }
}

fn shot(random: &mut Rng, which: &[Which]) -> Shot {
    let how = match random.u8(..10) {
        0 => How::Refuse,
        1 => How::Drop,
        2 => How::Delay(random.u64(500..20_000)),
        3 => How::Status([500, 503, 504, 409, 403, 401, 410][random.usize(..7)]),
        4 => How::TooMany,
        5 => How::Corrupt,
        6 | 7 => How::BreakReply,
        _ => How::LoseReply,
    };
    Shot { which: which[random.usize(..which.len())], skip: random.u64(..8), times: random.u64(1..4), how }
}

/// What destroys data is let happen once, to one member: a database that has lost its majority has nothing to show. And
/// a backup brings nothing back of a database that is gone by then: nobody sweeps that up in this version.
fn limit(script: &mut Script) {
    let goes = |step: &Step| matches!(step.act, Act::Delete(_) | Act::Release(_) | Act::Recreate(_) | Act::HandOver(_));
    let gone = script.steps.iter().any(goes);
    // And it brings back a quota that somebody has lifted.
    let held: BTreeSet<_> = script
        .steps
        .iter()
        .filter_map(|step| match &step.act {
            Act::Quota(site) => Some(site.clone()),
            _ => None,
        })
        .collect();
    for step in &mut script.steps {
        if let Act::Restore(site, _) = &step.act
            && (gone || held.contains(site))
        {
            step.act = Act::Down(site.clone());
        }
    }
    one_mistake_each(script);
    // Of two, none can replace the other.
    let destroys = |step: &Step| matches!(step.act, Act::DeleteClaim(..) | Act::Wipe(_) | Act::Restore(..));
    if script.steps.iter().any(destroys) {
        for step in &mut script.steps {
            if let Act::Scale(_, replicas) = &mut step.act {
                *replicas = (*replicas).max(3);
            }
        }
    }
    let mut destroyed = false;
    script.steps.retain(|step| {
        let keep = !destroys(step) || !destroyed;
        destroyed |= destroys(step);
        keep
    });
}

/// Whom a name belongs to is what people say who register it. Two such mistakes about one worker make the wrong cluster
/// the right one, and so does a database that is placed in the meantime.
fn one_mistake_each(script: &mut Script) {
    let places = |step: &Step| matches!(step.act, Act::Create(_) | Act::Recreate(_) | Act::HandOver(_));
    if script.steps.iter().any(places) {
        for step in &mut script.steps {
            if let Act::Mistake(site) = &step.act {
                step.act = Act::Unregister(site.clone());
            }
        }
    }
    let unregistered = |step: &Step| match &step.act {
        Act::Unregister(site) => Some(site.clone()),
        _ => None,
    };
    let mut mistaken: BTreeSet<_> = script.steps.iter().filter_map(unregistered).collect();
    for step in &mut script.steps {
        if let Act::Swap(site) | Act::Mistake(site) | Act::Twin(site) | Act::SpoilSecret(site, Flaw::Elsewhere) =
            &step.act
            && !mistaken.insert(site.clone())
        {
            step.act = Act::Down(site.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_rich_enough_to_count() {
        for seed in 0..2_000 {
            let script = draw(seed);
            let kinds: BTreeSet<_> = script.steps.iter().map(|step| step.act.kind()).collect();
            assert!(script.workers >= 3 && script.databases.len() >= 2, "{seed}");
            assert!(script.steps.len() >= 5, "{seed}: {:?}", script.steps);
            assert!(kinds.len() >= 3, "{seed}: {kinds:?}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_script_and_another_seed_another_one() {
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7).steps, draw(8).steps);
    }

    #[test]
    fn a_script_survives_being_written_and_read() {
        let script = draw(3);
        let text = serde_json::to_string(&script).expect("JSON");
        assert_eq!(serde_json::from_str::<Script>(&text).expect("a script"), script);
    }
}
