//! One etcd across three real Kubernetes clusters, from nothing, in about a minute.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use e2e::etcd::Etcd;
use e2e::picture::Picture;
use e2e::say::{elapsed, say, seconds};
use e2e::{As, Cut, Database, Manifest, Options, Outcome, World, ensure, eventually, programs, wait};

/// The phases so far, with the time that each took.
#[derive(Default)]
struct Phases(Vec<(&'static str, Duration)>);

impl Phases {
    fn run<T>(&mut self, name: &'static str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let begun = Instant::now();
        let done = work();
        self.0.push((name, begun.elapsed()));
        done
    }

    fn print(&self) {
        println!("\nHow long it took:");
        for (name, time) in &self.0 {
            println!("  {:>7}  {name}", seconds(*time));
        }
        println!("  {:>7}  in all", seconds(self.0.iter().map(|(_, time)| *time).sum()));
    }
}

fn main() -> ExitCode {
    wait::heed_interrupts();
    elapsed();
    println!("Atoll's demo: one etcd across three Kubernetes clusters on this machine.");
    println!("The first time, Kubernetes is built from source (6 to 10 minutes on two cores).\n");
    if let Err(trouble) = programs::build() {
        eprintln!("demo: {trouble}");
        return ExitCode::FAILURE;
    }
    let mut phases = Phases::default();
    match demo(&mut phases) {
        Ok(()) => {
            phases.print();
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("\ndemo: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn demo(phases: &mut Phases) -> Outcome {
    let mut world =
        phases.run("four Kubernetes clusters up: a master and three workers", || World::up(Options::default()))?;
    let shown = phases
        .run("Atoll started, workers registered and reached", || operate(&mut world))
        .and_then(|()| show(&world, phases));
    if shown.is_err() {
        eprintln!("{}", world.diagnosis());
    }
    phases.run("all taken down", || {
        drop(world);
        Ok(())
    })?;
    shown
}

fn operate(world: &mut World) -> Outcome {
    world.install_kinds()?;
    say("Secret kb-system/data-plane holds a kubeconfig with contexts k8s-1, k8s-2, k8s-3 (document 001)");
    world.register_workers(As::Document)?;
    world.operate(&[])?;
    world.name_domains()?;
    world.wait_for_workers(Duration::from_secs(30))?;
    print!("\n$ kubectl get k8scluster\n{}\n", world.kubectl("master", &["get", "k8scluster"], None)?);
    Ok(())
}

const KEY: &str = "color";

fn show(world: &World, phases: &mut Phases) -> Outcome {
    let manifest = Manifest::new().placed("k8s-1,k8s-2,k8s-3").text();
    let database = phases.run("kubectl create to Running: three members, founded once", || {
        let database = world.create(&manifest)?;
        say(format!("kubectl create: Cluster {}", database.name));
        database.wait_until_running(Duration::from_secs(90))?;
        Ok(database)
    })?;
    print!("\n$ kubectl get cluster\n{}\n", world.kubectl("master", &["get", "cluster"], None)?);
    let etcd = Etcd::of(&database)?;
    let leader = etcd.leader()?;
    let others: Vec<_> = etcd.members.iter().filter(|member| member.worker != leader.worker).collect();

    phases.run("a key written in one cluster, read in the other two", || {
        etcd.put(leader, KEY, "coral")?;
        say(format!("{KEY} = coral, written in {}", leader.worker));
        for member in &others {
            let read = etcd.get(member, KEY)?;
            ensure!(read.as_deref() == Some("coral"), "{} reads {read:?}", member.name);
            say(format!("{KEY} = coral, read in {}", member.worker));
        }
        Ok(())
    })?;
    phases.run("the leader's cluster cut off, and written again by the majority", || {
        world.lab().cut(&leader.worker, Cut::All)?;
        say(format!("all packets from and to {} are dropped; it held the leader", leader.worker));
        eventually("the majority does not write", Duration::from_secs(30), || etcd.put(others[0], KEY, "lagoon"))?;
        say(format!("{KEY} = lagoon, written in {}", others[0].worker));
        let read = etcd.get(others[1], KEY)?;
        ensure!(read.as_deref() == Some("lagoon"), "{} reads {read:?}", others[1].name);
        say(format!("{KEY} = lagoon, read in {}", others[1].worker));
        Ok(())
    })?;
    phases.run("Atoll has noticed, and changes nothing that it cannot see", || {
        database.wait_for_phase("Abnormal", Duration::from_secs(40))?;
        print!("\n$ atoll status\n{}\n", world.atoll(&["status"])?.0);
        Ok(())
    })?;
    phases.run("healed: the member that was cut off has caught up", || {
        world.lab().heal(&leader.worker)?;
        eventually("the healed member is behind", Duration::from_secs(30), || {
            let held = etcd.get_local(leader, KEY)?;
            ensure!(held.as_deref() == Some("lagoon"), "{} holds {held:?}", leader.name);
            Ok(())
        })?;
        say(format!("{KEY} = lagoon, in {}'s own copy", leader.worker));
        database.wait_until_running(Duration::from_secs(30))
    })?;
    phases.run("every member asked for the picture", || picture(&database, &etcd))
}

fn picture(database: &Database, etcd: &Etcd) -> Outcome {
    let now = etcd.leader()?;
    let mut workers = Vec::new();
    for member in &etcd.members {
        let pod = database.pod(member)?;
        let address = pod["status"]["podIP"].as_str().unwrap_or("?").to_owned();
        let role = if member.name == now.name { "leader" } else { "follower" };
        let held = etcd.get_local(member, KEY)?.unwrap_or_default();
        workers.push(vec![
            member.worker.clone(),
            String::new(),
            member.name.clone(),
            format!("{role} at {address}"),
            format!("{KEY} = {held}"),
        ]);
    }
    let resource = database.resource()?;
    let master = vec![
        "master: atoll".to_owned(),
        format!("Cluster {}: {}", database.name, resource["status"]["phase"].as_str().unwrap_or("?")),
    ];
    println!("\n{}\n", Picture { master, workers }.draw());
    println!("Addresses for clients:");
    for member in &etcd.members {
        println!("  {}", member.client);
    }
    println!();
    Ok(())
}
