//! The controller killed at every moment, and a founder that has lost everything.

use std::time::{Duration, Instant, SystemTime};

use e2e::etcd::{Canary, Etcd};
use e2e::runner::{Case, always, full};
use e2e::{Cut, Database, Manifest, Operator, Outcome, World, ensure, rest, until};

const UP: Duration = Duration::from_mins(1);

pub fn cases() -> Vec<Case> {
    vec![
        always(
            "a controller that dies after every single write founds once, gets there, and deletes it all",
            dies_after_every_write,
        ),
        full(
            "a controller that dies after its n-th write, for every n, founds once, and its next life gets there",
            dies_once,
        ),
        always(
            "a controller killed at 30 random moments before Ready founds once, and the canary outlives each later kill",
            random,
        ),
        always("a founder that is cut off and has lost its volume never acknowledges a write", lonely_founder),
    ]
}

fn manifest() -> String {
    Manifest::new().placed("k8s-1,k8s-2,k8s-3").text()
}

/// A restored controller has nothing more to write than one that never died.
const MOST_LIVES: u32 = 60;

/// The database as it must be, whatever happened on the way.
fn founded_once(database: &Database) -> Outcome {
    database.one_attempt()?;
    let record = database.record()?;
    let first = record["members"][0]["volume"].as_str().unwrap_or_default();
    let token = format!("{}.1.{first}", database.uid);
    ensure!(record["stage"]["token"] == token.as_str(), "the token is {}, not {token}", record["stage"]["token"]);
    let mut expected = Vec::new();
    for member in database.members()? {
        expected.push(format!("{}/pods/{}", member.worker, member.name));
        expected.push(format!("{}/persistentvolumeclaims/data-{}", member.worker, member.name));
        expected.push(format!("{}/services/{}-etcd-headless", member.worker, database.name));
    }
    expected.sort();
    let there = database.world.objects_of_atoll()?;
    ensure!(there == expected, "in the workers are {there:?}, which should be {expected:?}");
    Etcd::of(database)?.healthy(super::flat::by_pod_name)
}

fn dies_after_every_write(world: &World) -> Outcome {
    world.kill_operator()?;
    let database = world.create(&manifest())?;
    let mut lives = 0;
    while database.phase()? != "Running" {
        lives += 1;
        ensure!(lives <= MOST_LIVES, "after {lives} lives it is {}", database.phase()?);
        world.start_operator(&["--crash-after-write", "1"])?;
        until("the operator neither dies nor gets there", UP, || {
            let dead = world.with_operator(Operator::ended).map_err(|trouble| trouble.0)?.is_some();
            let phase = database.phase().map_err(|trouble| trouble.0)?;
            if dead || phase == "Running" { Ok(()) } else { Err(phase) }
        })?;
    }
    // Writes that are under way together may end together: finalizer, placement, volumes and services, identity, pods
    // and the phase are the least that must be written one after another.
    ensure!(lives >= 6, "only {lives} lives: the fail-point did not fire");
    world.operate(&[])?;
    founded_once(&database)?;
    let ends = deleted_by_many(world, &database)?;
    println!("           {lives} lives to bring it up, {ends} to take it down");
    Ok(())
}

fn deleted_by_many(world: &World, database: &Database) -> Outcome<u32> {
    world.kill_operator()?;
    database.annotate("atoll.dev/confirm-delete", Some(&database.uid))?;
    database.delete()?;
    let mut lives = 0;
    while database.find()?.is_some() {
        lives += 1;
        ensure!(lives <= MOST_LIVES, "after {lives} lives it is still there");
        world.start_operator(&["--crash-after-write", "1"])?;
        until("the operator neither dies nor ends it", UP, || {
            let dead = world.with_operator(Operator::ended).map_err(|trouble| trouble.0)?.is_some();
            let gone = database.find().map_err(|trouble| trouble.0)?.is_none();
            if dead || gone { Ok(()) } else { Err("still there".to_owned()) }
        })?;
    }
    let left = world.objects_of_atoll()?;
    ensure!(left.is_empty(), "the resource is gone, but not {left:?}");
    world.operate(&[])?;
    Ok(lives)
}

fn dies_once(world: &World) -> Outcome {
    for n in 1..=MOST_LIVES {
        world.kill_operator()?;
        let database = world.create(&manifest())?;
        world.start_operator(&["--crash-after-write", &n.to_string()])?;
        until("the operator neither dies nor gets there", UP, || {
            let dead = world.with_operator(Operator::ended).map_err(|trouble| trouble.0)?.is_some();
            if dead { Ok(()) } else { database.wait_for_roles(Duration::ZERO).map(drop).map_err(|trouble| trouble.0) }
        })?;
        // What is told last is written once it has stood for a while.
        std::thread::sleep(Duration::from_secs(3));
        let died = world.with_operator(Operator::ended)?.is_some();
        world.operate(&[])?;
        database.wait_until_running(UP)?;
        founded_once(&database).map_err(|trouble| trouble.at(format!("killed after write {n}")))?;
        world.reset()?;
        if !died {
            println!("           {} writes bring a database up", n - 1);
            return Ok(());
        }
    }
    e2e::fail!("after {MOST_LIVES} writes a database is still not up")
}

/// Numbers that differ from run to run; the seed is printed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| u64::from(time.subsec_nanos()) | 1);
        println!("           seed {seed}");
        Self(seed)
    }

    fn up_to(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

const KILLS: u32 = 30;

fn random(world: &World) -> Outcome {
    let mut dice = Dice::new();
    let (mut kills, mut later, mut databases) = (0, 0, 0);
    while kills < KILLS {
        world.reset()?;
        world.kill_operator()?;
        let database = world.create(&manifest())?;
        databases += 1;
        let begun = Instant::now();
        loop {
            world.start_operator(&[])?;
            // From before its first write on; a database comes up within two seconds.
            std::thread::sleep(Duration::from_millis(50 + dice.up_to(550)));
            if database.phase()? == "Running" {
                break;
            }
            ensure!(begun.elapsed() < Duration::from_mins(2), "{} is not up after {kills} kills", database.name);
            world.kill_operator()?;
            kills += 1;
        }
        let etcd = Etcd::of(&database)?;
        let canary = Canary::start(&etcd, &format!("first ready of {}", database.name))?;
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(dice.up_to(1_000)));
            world.kill_operator()?;
            later += 1;
            canary.alive(&etcd)?;
            world.start_operator(&[])?;
        }
        founded_once(&database)?;
        canary.alive(&etcd)?;
    }
    println!("           {kills} kills before Ready and {later} after it, over {databases} databases");
    world.operate(&[])
}

fn lonely_founder(world: &World) -> Outcome {
    let database = world.create(&manifest())?;
    database.wait_until_running(UP)?;
    let etcd = Etcd::of(&database)?;
    let canary = Canary::start(&etcd, "written while it was whole")?;
    let founder = &etcd.members[0];
    let volume = database.volume(founder)?;
    let uid = rest::uid(&database.pod(founder)?).to_owned();
    world.lab().cut(&founder.worker, Cut::Peers)?;
    empty(&volume)?;
    // First the kubelet starts the same pod again, which still has the arguments that it founded with.
    end_process(&founder.name)?;
    until("the founder does not run again", Duration::from_secs(30), || {
        let pod = database.pod(founder).map_err(|trouble| trouble.0)?;
        let container = &pod["status"]["containerStatuses"][0];
        let again = container["restartCount"].as_u64() > Some(0) && container["state"]["running"].is_object();
        if again { Ok(()) } else { Err(container["state"].to_string()) }
    })?;
    silent(&etcd, Duration::from_secs(10))?;
    ensure!(rest::uid(&database.pod(founder)?) == uid, "it is still the pod that founded");
    // Then Atoll makes the pod anew.
    empty(&volume)?;
    let path = format!("{}/{}", database.objects_path("pods"), founder.name);
    world.rest(&founder.worker)?.delete_within(&path, 1)?;
    until("there is no new pod", UP, || {
        let pod = database.pod(founder).map_err(|trouble| trouble.0)?;
        if rest::uid(&pod) == uid { Err("still the old one".to_owned()) } else { Ok(()) }
    })?;
    silent(&etcd, Duration::from_secs(10))?;
    world.lab().heal(&founder.worker)?;
    database.one_attempt()?;
    for member in &etcd.members[1..] {
        let heard = etcd.get(member, "canary")?;
        ensure!(
            heard.as_deref() == Some("written while it was whole"),
            "{} has lost the canary: {heard:?}",
            member.name
        );
        let stray = etcd.get(member, STRAY)?;
        ensure!(stray.is_none(), "{} has a write of the founder that was alone: {stray:?}", member.name);
    }
    drop(canary);
    Ok(())
}

const STRAY: &str = "alone";

/// Tries all the time to write through the first member, which must never acknowledge.
fn silent(etcd: &Etcd, time: Duration) -> Outcome {
    let begun = Instant::now();
    let mut tries = 0;
    while begun.elapsed() < time {
        tries += 1;
        if etcd.put(&etcd.members[0], STRAY, "acknowledged").is_ok() {
            e2e::fail!("{} acknowledged a write at try {tries}", etcd.members[0].name);
        }
    }
    Ok(())
}

fn empty(folder: &std::path::Path) -> Outcome {
    for entry in std::fs::read_dir(folder)? {
        std::fs::remove_dir_all(entry?.path())?;
    }
    Ok(())
}

/// Ends the etcd of this member: its process is on this machine, and its name is among its arguments.
fn end_process(member: &str) -> Outcome {
    let name = format!("--name={member}");
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let arguments = std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        let mut arguments = arguments.split('\0');
        if arguments.next() == Some("/usr/local/bin/etcd") && arguments.any(|argument| argument == name) {
            let pid = path.file_name().unwrap_or_default();
            let status = std::process::Command::new("kill").arg("-9").arg(pid).status()?;
            ensure!(status.success(), "process {} could not be ended", path.display());
            return Ok(());
        }
    }
    e2e::fail!("no process of {member} was found")
}
