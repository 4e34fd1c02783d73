//! Data that is no good: the member whose it is says so, and another one takes its place.

use std::path::Path;
use std::time::Duration;

use e2e::database::Member;
use e2e::etcd::{Canary, Etcd};
use e2e::runner::{Case, always, full};
use e2e::{Database, Manifest, Outcome, Trouble, World, ensure, until};

const UP: Duration = Duration::from_mins(1);
const LONG: Duration = Duration::from_mins(5);

pub fn cases() -> Vec<Case> {
    vec![
        always(
            "a volume that was put back to an old snapshot costs its member its identity, and nobody any data",
            put_back,
        ),
        full("a member whose database file is spoilt is replaced", spoilt),
    ]
}

fn put_back(world: &World) -> Outcome {
    loses_its_data(world, |database, member, etcd| {
        let volume = database.volume(member)?;
        let old = world.folder().join("old");
        copy(&volume, &old)?;
        for number in 0..50 {
            etcd.put(etcd.leader()?, "later", &number.to_string())?;
        }
        while_it_is_away(database, member, || copy(&old, &volume))
    })
}

fn spoilt(world: &World) -> Outcome {
    loses_its_data(world, |database, member, _| {
        let file = database.volume(member)?.join("default.etcd/member/snap/db");
        while_it_is_away(database, member, || {
            let length = std::fs::metadata(&file)?.len();
            Ok(std::fs::write(&file, vec![b'x'; usize::try_from(length).unwrap_or(4096)])?)
        })
    })
}

/// A follower's data is made useless, as this does it.
fn loses_its_data(world: &World, spoil: impl FnOnce(&Database, &Member, &Etcd) -> Outcome) -> Outcome {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").load_balanced().text())?;
    database.wait_until_running(UP)?;
    let etcd = Etcd::of(&database)?;
    let canary = Canary::start(&etcd, "here before")?;
    let roles = database.wait_for_roles(UP)?;
    let member = roles.iter().find(|member| member.role == "follower").ok_or_else(|| Trouble::new("nobody follows"))?;
    spoil(&database, member, &etcd)?;
    until("it is not replaced", LONG, || {
        let members = database.members().map_err(|trouble| trouble.0)?;
        if members.iter().any(|other| other.name == member.name) { Err(format!("{members:?}")) } else { Ok(()) }
    })?;
    database.wait_until_up_to_date(LONG)?;
    let members = database.members()?;
    let successor = members
        .iter()
        .find(|other| other.worker == member.worker)
        .ok_or_else(|| Trouble::new("nobody is where it was"))?;
    ensure!(successor.engine_id != member.engine_id, "{successor:?} is whoever lost its data");
    let etcd = Etcd::of(&database)?;
    canary.alive(&etcd)?;
    etcd.healthy(|_| Ok(()))
}

/// Does something to a member's volume while nothing uses it, as a person would.
fn while_it_is_away(database: &Database, member: &Member, change: impl FnOnce() -> Outcome) -> Outcome {
    database.annotate("atoll.dev/paused", Some("true"))?;
    until("the pause is not told", UP, || {
        let told = database.condition("Paused").map_err(|trouble| trouble.0)?;
        told.map(drop).ok_or_else(|| "no condition Paused".to_owned())
    })?;
    let path = format!("{}/{}", database.objects_path("pods"), member.name);
    let rest = database.world.rest(&member.worker)?;
    rest.delete(&path)?;
    until("its pod does not go", UP, || match rest.find(&path).map_err(|trouble| trouble.0)? {
        None => Ok(()),
        Some(_) => Err("still there".to_owned()),
    })?;
    change()?;
    database.annotate("atoll.dev/paused", None)
}

/// Makes one directory hold exactly what another one holds.
fn copy(from: &Path, to: &Path) -> Outcome {
    if to.exists() {
        for entry in std::fs::read_dir(to)? {
            std::fs::remove_dir_all(entry?.path())?;
        }
    }
    std::fs::create_dir_all(to)?;
    let copied = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status()?;
    ensure!(copied.success(), "cp: {copied}");
    Ok(())
}
