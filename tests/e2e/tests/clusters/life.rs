//! The second half of a database's life, under clients that write in every cluster: it grows and shrinks, is changed and
//! upgraded, loses pods, volumes and nodes, and hands leadership over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use e2e::clients::{Clients, Judged, linearizable};
use e2e::etcd::{Canary, Etcd};
use e2e::runner::{Case, always, full};
use e2e::{Cut, Database, Manifest, Outcome, Trouble, World, ensure, rest, until};
use serde_json::{Value, json};

const UP: Duration = Duration::from_mins(1);
const LONG: Duration = Duration::from_mins(5);

/// Two elections, as DECISIONS 22 has them: twice twice etcd's election timeout.
const TWO_ELECTIONS: Duration = Duration::from_secs(4);
/// How long one worker is cut off in the middle of each change.
const CUT: Duration = Duration::from_mins(2);

pub fn cases() -> Vec<Case> {
    vec![
        always(
            "a database grows, shrinks, is changed and loses a volume under clients in every cluster, which miss nothing",
            a_short_life,
        ),
        always("a lost majority waits for a person, and goes on from the member that is named", recovered),
        full(
            "a whole life under clients in every cluster: every change, with one worker cut off in the middle of each",
            a_long_life,
        ),
    ]
}

/// A database behind load balancers, which clients of every cluster reach, and its clients.
struct Life<'w> {
    world: &'w World,
    database: Database<'w>,
    clients: Clients,
    rows: Vec<String>,
}

impl<'w> Life<'w> {
    fn begin(world: &'w World, pause: u64) -> Outcome<Self> {
        let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").load_balanced().text())?;
        database.wait_until_running(UP)?;
        let endpoints: Vec<_> = database.members()?.into_iter().map(|member| member.client).collect();
        let clients = Clients::start(world, &world.workers(), &endpoints, pause)?;
        Ok(Self { world, database, clients, rows: Vec::new() })
    }

    /// Changes something, waits until it is done, and notes what clients noticed of it.
    fn row(&mut self, what: &str, allowed: Duration, change: impl FnOnce(&Self) -> Outcome) -> Outcome {
        let (began, since) = (Instant::now(), SystemTime::now());
        let over = AtomicBool::new(false);
        let (done, most) = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| most_down(&self.database, &over));
            let done = change(self).and_then(|()| up_to_date(&self.database, LONG));
            over.store(true, Ordering::SeqCst);
            (done, watcher.join().unwrap_or_default())
        });
        done.map_err(|trouble| trouble.at(what.to_owned()))?;
        let (took, gap) = (began.elapsed(), self.clients.longest_gap(since));
        self.rows.push(format!("{what:<44} {:>7.1} s {:>14.2} s {most:>12}", took.as_secs_f64(), gap.as_secs_f64()));
        println!("           {}", self.rows.last().map(String::as_str).unwrap_or_default());
        ensure!(gap <= allowed, "{what}: no write was acknowledged for {:.1} s", gap.as_secs_f64());
        Ok(())
    }

    fn edit(&self, alter: impl Fn(&mut Value)) -> Outcome {
        edit(&self.database, alter)
    }

    fn end(self) -> Outcome<Judged> {
        let judged = linearizable(&self.clients.history())?;
        let healthy = |_: &_| Ok(());
        Etcd::of(&self.database)?.healthy(healthy)?;
        println!(
            "           {} writes acknowledged, {} not answered, {} reads: linearizable",
            judged.acknowledged, judged.unanswered, judged.reads
        );
        Ok(judged)
    }

    /// One member of the database that does not lead.
    fn follower(&self) -> Outcome<e2e::database::Member> {
        let members = self.database.wait_for_roles(UP)?;
        let follower = members.into_iter().find(|member| member.role == "follower");
        follower.ok_or_else(|| Trouble::new("nobody follows"))
    }
}

fn edit(database: &Database, alter: impl Fn(&mut Value)) -> Outcome {
    let mut components = database.resource()?["spec"]["componentSpecs"].clone();
    alter(&mut components[0]);
    database.patch(&json!({ "spec": { "componentSpecs": components } })).map(drop)
}

fn memory(memory: &str) -> impl Fn(&mut Value) {
    move |component| component["resources"]["limits"]["memory"] = memory.into()
}

/// Waits until a database runs and is what its manifest asks for, and nothing is left of members that have left.
fn up_to_date(database: &Database, limit: Duration) -> Outcome {
    until(&format!("{} is not what its manifest asks for", database.name), limit, || {
        let resource = database.resource().map_err(|trouble| trouble.0)?;
        let status = &resource["status"];
        let told = e2e::database::condition(&resource, "UpToDate");
        let observed = status["observedGeneration"] == resource["metadata"]["generation"];
        let members = status["atoll"]["members"].as_array().map_or(0, Vec::len);
        let wanted = &resource["spec"]["componentSpecs"][0]["replicas"];
        let whole = wanted.as_u64() == u64::try_from(members).ok();
        if status["phase"] == "Running" && told.is_none() && observed && whole {
            Ok(())
        } else {
            Err(format!("{} {}, {told:?}, {members} members", status["phase"], status["message"]))
        }
    })
}

/// The most voters that were seen not to be ready at the same time.
fn most_down(database: &Database, over: &AtomicBool) -> usize {
    let mut most = 0;
    while !over.load(Ordering::SeqCst) {
        if let Ok(resource) = database.resource() {
            let status = &resource["status"];
            let voter = |name: &Value| {
                let recorded = status["atoll"]["members"].as_array();
                let recorded = recorded.into_iter().flatten().find(|member| member["name"] == *name);
                recorded.is_some_and(|member| member["part"].is_null() || member["part"] == "leaving")
            };
            let members = status["members"].as_array().into_iter().flatten();
            let down = members.filter(|member| member["state"] != "Ready" && voter(&member["name"])).count();
            most = most.max(down);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    most
}

fn delete_pod(life: &Life, member: &e2e::database::Member) -> Outcome {
    let path = format!("{}/{}", life.database.objects_path("pods"), member.name);
    let before = life.database.pod(member)?;
    life.world.rest(&member.worker)?.delete(&path)?;
    until("the pod does not go", UP, || match life.world.rest(&member.worker).and_then(|rest| rest.find(&path)) {
        Ok(Some(pod)) if rest::uid(&pod) == rest::uid(&before) => Err("still there".to_owned()),
        _ => Ok(()),
    })
}

fn lose_volume(life: &Life) -> Outcome {
    let member = life.follower()?;
    let claim = format!("{}/data-{}", life.database.objects_path("persistentvolumeclaims"), member.name);
    life.world.rest(&member.worker)?.delete(&claim)?;
    // With or without its pod: whoever is quicker.
    let _ = delete_pod(life, &member);
    until("the member is not replaced", LONG, || {
        let members = life.database.members().map_err(|trouble| trouble.0)?;
        if members.iter().any(|other| other.name == member.name) { Err(format!("{members:?}")) } else { Ok(()) }
    })
}

fn switch_over(life: &Life) -> Outcome {
    let to = life.follower()?.name;
    let (said, code) = life.world.atoll(&["switchover", &life.database.name, "--to", &to])?;
    ensure!(code == 0, "atoll switchover: {said}");
    Ok(())
}

fn drained(life: &Life) -> Outcome {
    let node = "k8s-3-n1";
    life.world.kubectl("k8s-3", &["drain", node, "--ignore-daemonsets", "--timeout=60s"], None)?;
    std::thread::sleep(Duration::from_secs(5));
    life.world.kubectl("k8s-3", &["uncordon", node], None)?;
    Ok(())
}

fn a_short_life(world: &World) -> Outcome {
    let mut life = Life::begin(world, 50)?;
    println!("           {:<44} {:>9} {:>16} {:>12}", "what", "took", "longest gap", "voters down");
    life.row("3 → 5", TWO_ELECTIONS, |life| life.edit(|component| component["replicas"] = 5.into()))?;
    life.row("resources changed, one member at a time", TWO_ELECTIONS, |life| life.edit(memory("300Mi")))?;
    life.row("5 → 3", TWO_ELECTIONS, |life| life.edit(|component| component["replicas"] = 3.into()))?;
    life.row("a volume deleted, with its pod", TWO_ELECTIONS, lose_volume)?;
    life.row("leadership handed over", TWO_ELECTIONS, switch_over)?;
    life.end().map(drop)
}

/// A change of a database, by name.
type Step = (&'static str, fn(&Life) -> Outcome);

fn a_long_life(world: &World) -> Outcome {
    let steps: [Step; 8] = [
        ("3 → 5", |life| life.edit(|component| component["replicas"] = 5.into())),
        ("5 → 3", |life| life.edit(|component| component["replicas"] = 3.into())),
        ("resources changed, one member at a time", |life| life.edit(memory("300Mi"))),
        ("etcd 3.5 → 3.6", |life| life.edit(|component| component["serviceVersion"] = "3.6".into())),
        ("a pod deleted", |life| delete_pod(life, &life.follower()?)),
        ("a volume deleted, with its pod", lose_volume),
        ("a node drained", drained),
        ("leadership handed over", switch_over),
    ];
    let mut life = Life::begin(world, 40)?;
    println!("           {:<44} {:>9} {:>16} {:>12}", "what", "took", "longest gap", "voters down");
    for (what, change) in steps {
        // Cut off from the master and from its peers, shortly after the change has begun.
        let killed = what.len();
        life.row(&format!("{what}, k8s-2 cut off for 2 min"), CUT, |life| {
            std::thread::scope(|scope| {
                let cut = scope.spawn(|| -> Outcome {
                    std::thread::sleep(Duration::from_millis(u64::try_from(killed).unwrap_or(1) * 100));
                    life.world.lab().cut("k8s-2", Cut::All)?;
                    std::thread::sleep(CUT);
                    Ok(life.world.lab().heal("k8s-2")?)
                });
                let changed = change(life);
                let healed = cut.join().unwrap_or_else(|_| Err(Trouble::new("a thread ended")));
                changed.and(healed)
            })
        })?;
    }
    life.end().map(drop)
}

fn recovered(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().load_balanced().text())?;
    database.wait_until_running(UP)?;
    let etcd = Etcd::of(&database)?;
    let canary = Canary::start(&etcd, "here before")?;
    let survivor = etcd.in_worker("k8s-1")?.clone();
    let lost = ["k8s-2", "k8s-3"];
    for worker in lost {
        world.lab().cut(worker, Cut::All)?;
    }
    let told = database.wait_for_condition("MajorityServes", "False", "MajorityLost", UP)?;
    let command = format!("atoll recover {} -n default --from {}", database.name, survivor.name);
    ensure!(told.message.contains(&command), "the condition should name the command: {}", told.message);
    let (record, before) = (database.record()?, database.pod(&survivor)?);
    std::thread::sleep(patience());
    ensure!(database.record()? == record, "nothing is recorded without a person's word");
    ensure!(rest::uid(&database.pod(&survivor)?) == rest::uid(&before), "nobody is restarted without a person's word");
    let (said, code) = world.atoll(&["recover", &database.name, "-n", "default", "--from", &survivor.name])?;
    ensure!(code == 0, "atoll recover: {said}");
    let votes = |member: &Value| member["part"].is_null();
    until("three do not vote again", LONG, || {
        let record = database.record().map_err(|trouble| trouble.0)?;
        let voters = record["members"].as_array().into_iter().flatten().filter(|member| votes(member)).count();
        let whole = voters == 3 && record["recovering"].is_null() && database.phase().is_ok_and(|p| p == "Running");
        if whole { Ok(()) } else { Err(record["members"].to_string()) }
    })?;
    // Those who were given up come back: their pods go, what they had stays, and nobody hears of them.
    for worker in lost {
        world.lab().heal(worker)?;
    }
    up_to_date(&database, LONG)?;
    for worker in lost {
        ensure!(database.objects(worker, "pods")?.is_empty(), "a member that was given up runs in {worker}");
        ensure!(database.objects(worker, "persistentvolumeclaims")?.len() == 1, "its volume stays in {worker}");
    }
    let etcd = Etcd::of(&database)?;
    canary.alive(&etcd)?;
    etcd.healthy(|_| Ok(()))
}

/// For how long nothing moves without a person's word; ten minutes where there is time.
fn patience() -> Duration {
    let full = std::env::var("ATOLL_E2E").is_ok_and(|value| value == "full");
    if full { Duration::from_mins(10) } else { Duration::from_secs(15) }
}
