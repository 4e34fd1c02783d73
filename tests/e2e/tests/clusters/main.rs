//! Atoll on real clusters. Needs root; `README.md` beside this crate says how to run it, and what each test shows.
#![allow(missing_docs)]

mod data;
mod deletion;
mod failure;
mod flat;
mod kills;
mod kinds;
mod ladder;
mod life;
mod modes;
mod nodes;
mod quiet;
mod ways;

use std::process::ExitCode;
use std::time::Duration;

use e2e::runner::Suite;
use e2e::{As, Network, Options, Outcome, World};

fn main() -> ExitCode {
    let flat = [
        flat::cases(),
        ladder::cases(),
        nodes::cases(),
        deletion::cases(),
        kills::cases(),
        quiet::cases(),
        kinds::cases(),
        failure::cases(),
    ]
    .concat();
    e2e::runner::main(&[
        Suite { name: "flat", options: Options::default, prepare, cases: flat },
        Suite {
            name: "islands",
            options: islands,
            prepare,
            cases: [modes::cases(), life::cases(), data::cases(), ways::cases()].concat(),
        },
    ])
}

fn islands() -> Options {
    Options { network: Network::Islands, etcd_36: true, ..Options::default() }
}

/// Workers registered by document 001's Secret, with no more permissions than document 000 lists.
fn prepare(world: &mut World) -> Outcome {
    world.install_kinds()?;
    world.register_workers(As::Document)?;
    world.operate(&[])?;
    world.name_domains()?;
    world.wait_for_workers(Duration::from_secs(30))
}
