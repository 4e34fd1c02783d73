//! The second half of a database's life, under clients that write in every cluster: it grows and shrinks, is changed and
//! upgraded, loses pods, volumes and nodes, and hands leadership over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use e2e::clients::{Clients, Judged, linearizable};
use e2e::etcd::{Canary, Etcd};
use e2e::runner::{Case, always, full};
use e2e::{Cut, Database, Manifest, Outcome, Trouble, World, ensure, rest, until};
use serde_json::Value;

const UP: Duration = Duration::from_mins(1);
const LONG: Duration = Duration::from_mins(5);

/// Two elections, as DECISIONS 22 has them: twice twice etcd's election timeout.
const TWO_ELECTIONS: Duration = Duration::from_secs(4);
/// The worker that is cut off in the middle of each change of the long life, and for how long. Of five members it has one, so
/// that a majority is left when the cut meets a moment at which another one is started again: three members endure one loss,
/// five endure two.
const CUT_OFF: &str = "k8s-3";
const CUT: Duration = Duration::from_mins(2);
/// How often the controller is killed meanwhile, at least.
const LEAST_KILLS: u32 = 50;

pub fn cases() -> Vec<Case> {
    vec![
        always(
            "a database grows, shrinks, is changed and loses a volume under clients in every cluster, which miss nothing",
            a_short_life,
        ),
        always("a lost majority waits for a person, and goes on from the member that is named", recovered),
        full(
            "a whole life under clients in every cluster: every change, one worker cut off in each, the controller killed and killed",
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

    /// Changes something, waits until it is done, and notes what clients noticed of it. Not more than one voter may be down
    /// meanwhile in the workers that nobody cuts off.
    fn row(&mut self, what: &str, cut: Option<&str>, change: impl FnOnce(&Self) -> Outcome) -> Outcome {
        let (began, since) = (Instant::now(), SystemTime::now());
        let over = AtomicBool::new(false);
        let (done, most) = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| most_down(&self.database, cut, &over));
            let done = change(self).and_then(|()| self.database.wait_until_up_to_date(LONG));
            over.store(true, Ordering::SeqCst);
            (done, watcher.join().unwrap_or_default())
        });
        done.map_err(|trouble| trouble.at(what.to_owned()))?;
        let (took, gap) = (began.elapsed(), self.clients.longest_gap(since));
        self.rows.push(format!(
            "{what:<72} {:>7.1} s {:>14.2} s {most:>12}",
            took.as_secs_f64(),
            gap.lasts.as_secs_f64()
        ));
        println!("           {}", self.rows.last().map(String::as_str).unwrap_or_default());
        let (lasts, after) = (gap.lasts.as_secs_f64(), gap.after.as_secs_f64());
        ensure!(
            gap.lasts <= TWO_ELECTIONS,
            "{what}: no write was acknowledged for {lasts:.1} s, {after:.1} s after it began"
        );
        ensure!(most <= 1, "{what}: {most} voters were down together");
        Ok(())
    }

    fn edit(&self, alter: impl Fn(&mut Value)) -> Outcome {
        self.database.edit(alter)
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

    /// One member of the database that serves and does not lead.
    fn follower(&self) -> Outcome<e2e::database::Member> {
        self.follower_where(|_| true)
    }

    /// The same, of those that fit.
    fn follower_where(&self, fits: impl Fn(&e2e::database::Member) -> bool) -> Outcome<e2e::database::Member> {
        until("nobody follows", UP, || {
            let mut members = self.database.members().map_err(|trouble| trouble.0)?;
            let follows =
                |member: &e2e::database::Member| member.role == "follower" && member.state == "Ready" && fits(member);
            let found = members.iter().position(follows).map(|index| members.swap_remove(index));
            found.ok_or_else(|| format!("{members:?}"))
        })
    }
}

fn memory(memory: &str) -> impl Fn(&mut Value) {
    move |component| component["resources"]["limits"]["memory"] = memory.into()
}

/// The most voters that were seen not to be ready at the same time, but for those of a worker that is cut off.
fn most_down(database: &Database, cut: Option<&str>, over: &AtomicBool) -> usize {
    let mut most = 0;
    while !over.load(Ordering::SeqCst) {
        if let Ok(resource) = database.resource() {
            let status = &resource["status"];
            let voter = |name: &Value| {
                let recorded = status["atoll"]["members"].as_array();
                let recorded = recorded.into_iter().flatten().find(|member| member["name"] == *name);
                recorded.is_some_and(|member| {
                    let votes = member["part"].is_null() || member["part"] == "leaving";
                    votes && cut.is_none_or(|cut| member["worker"] != cut)
                })
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
    // Who is cut off cannot take over.
    let to = life.follower_where(|member| member.worker != CUT_OFF)?.name;
    let (said, code) = life.world.atoll(&["switchover", &life.database.name, "--to", &to])?;
    ensure!(code == 0, "atoll switchover: {said}");
    Ok(())
}

fn drained(life: &Life) -> Outcome {
    // The one worker of which a drain evicts one voter, not two.
    let node = format!("{CUT_OFF}-n1");
    life.world.kubectl(CUT_OFF, &["drain", &node, "--ignore-daemonsets", "--timeout=60s"], None)?;
    std::thread::sleep(Duration::from_secs(5));
    // Nobody reaches it while it is cut off.
    until("the node is not uncordoned", LONG, || {
        let uncordon = life.world.kubectl(CUT_OFF, &["uncordon", &node, "--request-timeout=5s"], None);
        uncordon.map(drop).map_err(|trouble| trouble.0)
    })
}

fn a_short_life(world: &World) -> Outcome {
    let mut life = Life::begin(world, 50)?;
    println!("           {:<72} {:>9} {:>16} {:>12}", "what", "took", "longest gap", "voters down");
    life.row("3 → 5", None, |life| life.edit(|component| component["replicas"] = 5.into()))?;
    life.row("resources changed, one member at a time", None, |life| life.edit(memory("300Mi")))?;
    life.row("5 → 3", None, |life| life.edit(|component| component["replicas"] = 3.into()))?;
    life.row("a volume deleted, with its pod", None, lose_volume)?;
    life.row("leadership handed over", None, switch_over)?;
    life.end().map(drop)
}

/// A change of a database, by name.
type Step = (&'static str, fn(&Life) -> Outcome);

fn a_long_life(world: &World) -> Outcome {
    let steps: [Step; 8] = [
        ("3 → 5", |life| life.edit(|component| component["replicas"] = 5.into())),
        ("resources changed, one member at a time", |life| life.edit(memory("300Mi"))),
        ("etcd 3.5 → 3.6", |life| life.edit(|component| component["serviceVersion"] = "3.6".into())),
        ("a pod deleted", |life| delete_pod(life, &life.follower()?)),
        ("a volume deleted, with its pod", lose_volume),
        ("a node drained", drained),
        ("leadership handed over", switch_over),
        ("5 → 3", |life| life.edit(|component| component["replicas"] = 3.into())),
    ];
    let mut life = Life::begin(world, 40)?;
    println!("           {:<72} {:>9} {:>16} {:>12}", "what", "took", "longest gap", "voters down");
    let over = AtomicBool::new(false);
    let kills = std::thread::scope(|scope| {
        let killer = scope.spawn(|| keep_killing(world, &over));
        let lived = steps.into_iter().enumerate().try_for_each(|(number, (what, change))| {
            let what = format!("{what}, {CUT_OFF} cut off for {} s", CUT.as_secs());
            life.row(&what, Some(CUT_OFF), |life| while_cut_off(life, number, change))
        });
        over.store(true, Ordering::SeqCst);
        let kills = killer.join().unwrap_or_else(|_| Err(Trouble::new("a thread ended")));
        lived.and(kills)
    })?;
    println!("           the controller was killed {kills} times meanwhile");
    ensure!(kills >= LEAST_KILLS, "the controller was killed {kills} times only");
    life.end().map(drop)
}

/// One worker is cut off from the master and from its peers, shortly after a change has begun.
fn while_cut_off(life: &Life, number: usize, change: fn(&Life) -> Outcome) -> Outcome {
    std::thread::scope(|scope| {
        let cut = scope.spawn(|| -> Outcome {
            std::thread::sleep(Duration::from_millis(1_000 + 700 * u64::try_from(number).unwrap_or(0)));
            life.world.lab().cut(CUT_OFF, Cut::All)?;
            std::thread::sleep(CUT);
            Ok(life.world.lab().heal(CUT_OFF)?)
        });
        let changed = change(life);
        let healed = cut.join().unwrap_or_else(|_| Err(Trouble::new("a thread ended")));
        changed.and(healed)
    })
}

/// Kills the controller at random moments, and starts it again; answers how often.
fn keep_killing(world: &World, over: &AtomicBool) -> Outcome<u32> {
    let mut kills = 0;
    while !over.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(fastrand::u64(500..30_000)));
        world.kill_operator()?;
        world.operate(&[])?;
        kills += 1;
    }
    Ok(kills)
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
    database.wait_until_up_to_date(LONG)?;
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
