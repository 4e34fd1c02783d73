//! Workloads: what people do while nothing is wrong. Campaigns play each again and again, each time with one thing wrong.

use crate::script::{
    Act::{
        self, CrashPod, Create, Delete, DeleteClaim, DeletePod, DeleteService, Edit, HandOver, Recreate, Rotate, Scale,
        Unregister, Upgrade,
    },
    Base, Network, Policy, Script, Step,
};

/// A workload, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// What people do.
    pub script: Script,
}

/// All workloads.
pub fn workloads() -> Vec<Workload> {
    use Network::{EqualIslands, Flat, Islands};
    let (w1, w2, a) = (|| "w1".to_owned(), || "w2".to_owned(), || "a".to_owned());
    let one = || vec![base("a", 3, Policy::WipeOut)];
    vec![
        workload("create", Flat, one(), []),
        workload("create one and five", Islands, vec![base("a", 1, Policy::WipeOut), base("b", 5, Policy::Delete)], []),
        workload("create and delete", Flat, one(), [(30_000, 0, Delete(a()))]),
        workload("delete while it is founded", Islands, vec![base("a", 3, Policy::Delete)], [(4_000, 0, Delete(a()))]),
        workload("halt and adopt", Flat, vec![base("a", 3, Policy::Halt)], [(30_000, 0, HandOver(a()))]),
        workload(
            "delete and create again",
            Flat,
            vec![base("a", 3, Policy::WipeOut), base("b", 3, Policy::WipeOut)],
            [(25_000, 0, Recreate(a()))],
        ),
        workload(
            "pods and services come back",
            Flat,
            one(),
            [(25_000, 0, DeletePod(a(), 1)), (40_000, 0, CrashPod(a(), 2)), (50_000, 0, DeleteService(a(), 0))],
        ),
        workload("edit and revert", EqualIslands, one(), [(25_000, 20_000, Edit(a()))]),
        workload(
            "grow and shrink",
            Flat,
            vec![base("a", 1, Policy::WipeOut)],
            [(25_000, 0, Scale(a(), 2)), (60_000, 0, Scale(a(), 3)), (90_000, 0, Scale(a(), 1))],
        ),
        workload("upgrade", Flat, one(), [(25_000, 0, Upgrade(a()))]),
        workload(
            "lose a volume, alive and dead",
            Islands,
            vec![base("a", 3, Policy::Delete)],
            [(25_000, 0, DeleteClaim(a(), 1)), (60_000, 0, DeleteClaim(a(), 2)), (60_100, 0, DeletePod(a(), 2))],
        ),
        workload(
            "a worker is registered anew",
            Flat,
            one(),
            [(25_000, 15_000, Unregister(w2())), (60_000, 15_000, Rotate(w1()))],
        ),
        workload(
            "two at once",
            Flat,
            one(),
            [(20_000, 0, Create(base("b", 3, Policy::WipeOut))), (20_000, 0, Delete(a()))],
        ),
    ]
}

fn base(name: &str, replicas: u32, policy: Policy) -> Base {
    Base { name: name.to_owned(), replicas, policy }
}

/// Steps are given as when, for how long (both in milliseconds), and what.
fn workload<const N: usize>(
    name: &'static str,
    network: Network,
    databases: Vec<Base>,
    steps: [(u64, u64, Act); N],
) -> Workload {
    let steps = steps.into_iter().map(|(at, lasts, act)| Step { at, lasts, act }).collect();
    Workload { name, script: Script { seed: 1, workers: 3, network, databases, steps } }
}
