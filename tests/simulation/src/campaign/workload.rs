//! Workloads: what people do while nothing is wrong. Campaigns play each again and again, each time with one thing wrong.

use crate::script::{Act, Base, Network, Policy, Script, Step};

/// A workload by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    databases: &'static [(&'static str, u32, Policy)],
    network: Network,
    steps: &'static [(u64, u64, Deed)],
}

/// What a person does in a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Create(&'static str, u32, Policy),
    Delete(&'static str),
    Recreate(&'static str),
    DeletePod(&'static str, u32),
    CrashPod(&'static str, u32),
    DeleteService(&'static str, u32),
    Edit(&'static str),
    Unregister(&'static str),
    Rotate(&'static str),
}

/// All workloads.
pub const WORKLOADS: [Workload; 10] = [
    Workload { name: "create", databases: &[("a", 3, Policy::WipeOut)], network: Network::Flat, steps: &[] },
    Workload {
        name: "create one and five",
        databases: &[("a", 1, Policy::WipeOut), ("b", 5, Policy::Delete)],
        network: Network::Islands,
        steps: &[],
    },
    Workload {
        name: "create and delete",
        databases: &[("a", 3, Policy::WipeOut)],
        network: Network::Flat,
        steps: &[(30_000, 0, Deed::Delete("a"))],
    },
    Workload {
        name: "delete while it is founded",
        databases: &[("a", 3, Policy::Delete)],
        network: Network::Islands,
        steps: &[(4_000, 0, Deed::Delete("a"))],
    },
    Workload {
        name: "halt and adopt",
        databases: &[("a", 3, Policy::Halt)],
        network: Network::Flat,
        steps: &[(30_000, 0, Deed::Recreate("a"))],
    },
    Workload {
        name: "delete and create again",
        databases: &[("a", 3, Policy::WipeOut), ("b", 3, Policy::WipeOut)],
        network: Network::Flat,
        steps: &[(25_000, 0, Deed::Recreate("a"))],
    },
    Workload {
        name: "pods and services come back",
        databases: &[("a", 3, Policy::WipeOut)],
        network: Network::Flat,
        steps: &[
            (25_000, 0, Deed::DeletePod("a", 1)),
            (40_000, 0, Deed::CrashPod("a", 2)),
            (50_000, 0, Deed::DeleteService("a", 0)),
        ],
    },
    Workload {
        name: "edit and revert",
        databases: &[("a", 3, Policy::WipeOut)],
        network: Network::EqualIslands,
        steps: &[(25_000, 20_000, Deed::Edit("a"))],
    },
    Workload {
        name: "a worker is registered anew",
        databases: &[("a", 3, Policy::WipeOut)],
        network: Network::Flat,
        steps: &[(25_000, 15_000, Deed::Unregister("w2")), (60_000, 15_000, Deed::Rotate("w1"))],
    },
    Workload {
        name: "two at once",
        databases: &[("a", 3, Policy::WipeOut)],
        network: Network::Flat,
        steps: &[(20_000, 0, Deed::Create("b", 3, Policy::WipeOut)), (20_000, 0, Deed::Delete("a"))],
    },
];

/// The script of a workload.
pub fn workload(workload: &Workload) -> Script {
    let base = |(name, replicas, policy): (&str, u32, Policy)| Base { name: name.to_owned(), replicas, policy };
    let act = |deed: Deed| match deed {
        Deed::Create(name, replicas, policy) => Act::Create(base((name, replicas, policy))),
        Deed::Delete(name) => Act::Delete(name.to_owned()),
        Deed::Recreate(name) => Act::Recreate(name.to_owned()),
        Deed::DeletePod(name, member) => Act::DeletePod(name.to_owned(), member),
        Deed::CrashPod(name, member) => Act::CrashPod(name.to_owned(), member),
        Deed::DeleteService(name, member) => Act::DeleteService(name.to_owned(), member),
        Deed::Edit(name) => Act::Edit(name.to_owned()),
        Deed::Unregister(site) => Act::Unregister(site.to_owned()),
        Deed::Rotate(site) => Act::Rotate(site.to_owned()),
    };
    let steps = workload.steps.iter().map(|(at, lasts, deed)| Step { at: *at, lasts: *lasts, act: act(*deed) });
    Script {
        seed: 1,
        workers: 3,
        network: workload.network,
        databases: workload.databases.iter().copied().map(base).collect(),
        steps: steps.collect(),
    }
}
