//! What Atoll asks of the API servers, by their own audit logs, and how much memory it takes.

use std::time::Duration;

use e2e::audit::{self, Counts};
use e2e::runner::{Case, always, full};
use e2e::{Manifest, Outcome, World, ensure, until};
use jiff::Timestamp;

const UP: Duration = Duration::from_mins(1);

pub fn cases() -> Vec<Case> {
    vec![
        always("at rest, workers are only watched and seen alive, and the master is only watched", quiet),
        always("bringing a database up costs its objects and a few words in the master", coming_up),
        always("a restart of the operator writes nothing", restart),
        full("memory for 3 workers with 0 and with 20 databases", memory),
    ]
}

/// How long is listened: five minutes where there is time, one where there is not, or as `ATOLL_E2E_QUIET` (seconds) says.
fn span() -> Duration {
    let full = std::env::var("ATOLL_E2E").is_ok_and(|value| value == "full");
    let told = std::env::var("ATOLL_E2E_QUIET").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(told.unwrap_or(if full { 300 } else { 60 }))
}

fn quiet(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").text())?;
    database.wait_until_running(UP)?;
    database.wait_for_roles(UP)?;
    // The last words about how it came up.
    std::thread::sleep(Duration::from_secs(5));
    let (since, span) = (Timestamp::now(), span());
    std::thread::sleep(span);
    let most = usize::try_from(span.as_secs() / 10).unwrap_or(usize::MAX) + 1;
    for worker in world.workers() {
        let requests = audit::requests(world, &worker, since)?;
        println!("           {worker} in {} s: {}", span.as_secs(), audit::line(&audit::count(&requests)));
        let (alive, others): (Vec<_>, Vec<_>) =
            requests.into_iter().filter(|entry| entry.verb != "watch").partition(|entry| {
                entry.verb == "get" && entry.resource == "namespaces" && entry.name.as_deref() == Some("kube-system")
            });
        ensure!(others.is_empty(), "in {worker} there is more than watches: {}", audit::line(&audit::count(&others)));
        ensure!(alive.len() <= most, "in {worker} kube-system was read {} times in {} s", alive.len(), span.as_secs());
    }
    let requests = audit::requests(world, "master", since)?;
    println!("           master in {} s: {}", span.as_secs(), audit::line(&audit::count(&requests)));
    let others: Vec<_> =
        requests.into_iter().filter(|entry| entry.verb != "watch" && entry.resource != "leases").collect();
    ensure!(
        others.is_empty(),
        "in the master there is more than watches and the Lease: {}",
        audit::line(&audit::count(&others))
    );
    Ok(())
}

fn coming_up(world: &World) -> Outcome {
    std::thread::sleep(Duration::from_secs(3));
    let since = Timestamp::now();
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").text())?;
    database.wait_until_running(UP)?;
    database.wait_for_roles(UP)?;
    std::thread::sleep(Duration::from_secs(4));
    let (mut total, mut objects) = (0, Counts::new());
    for worker in world.workers() {
        let mut requests = audit::requests(world, &worker, since)?;
        requests.retain(|entry| entry.verb != "watch" && entry.name.as_deref() != Some("kube-system"));
        total += requests.len();
        for (kind, count) in audit::count(&requests) {
            *objects.entry(kind).or_default() += count;
        }
    }
    let mut master = audit::requests(world, "master", since)?;
    master.retain(|entry| entry.verb != "watch" && entry.resource != "leases");
    println!("           in the workers: {}", audit::line(&objects));
    println!("           in the master: {}", audit::line(&audit::count(&master)));
    println!("           {} in all", total + master.len());
    for kind in ["create pods", "create services", "create persistentvolumeclaims"] {
        ensure!(objects.get(kind) == Some(&3), "{kind}: {objects:?}");
    }
    let writes = objects.iter().filter(|(kind, _)| !kind.starts_with("get") && !kind.starts_with("list"));
    let writes: usize = writes.map(|(_, count)| count).sum();
    ensure!(writes == 9, "each object is written once: {}", audit::line(&objects));
    Ok(())
}

fn restart(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").text())?;
    database.wait_until_running(UP)?;
    database.wait_for_roles(UP)?;
    std::thread::sleep(Duration::from_secs(5));
    let before = database.resource()?;
    let since = Timestamp::now();
    world.operate(&[])?;
    world.wait_for_workers(UP)?;
    std::thread::sleep(Duration::from_secs(12));
    for cluster in world.workers().iter().map(String::as_str).chain(["master"]) {
        let mut writes = audit::requests(world, cluster, since)?;
        writes.retain(|entry| audit::is_write(entry) && entry.resource != "leases");
        // What it may do, it asks once for each connection.
        writes.retain(|entry| !entry.resource.ends_with("accessreviews") && !entry.resource.ends_with("rulesreviews"));
        ensure!(writes.is_empty(), "in {cluster}: {}", audit::line(&audit::count(&writes)));
    }
    ensure!(database.resource()? == before, "the resource has changed");
    Ok(())
}

const DATABASES: usize = 20;

fn memory(world: &World) -> Outcome {
    world.operate(&[])?;
    world.wait_for_workers(UP)?;
    std::thread::sleep(Duration::from_secs(5));
    let told = |what: &str| -> Outcome<u64> {
        let (resident, own) = world.with_operator(|operator| operator.memory())?;
        println!("           {what}: {resident} kB resident, {own} kB of it not from files");
        Ok(own)
    };
    let none = told("3 workers, no database")?;
    // Pods that no node takes cost Atoll the same as those that run, and this machine nothing.
    for _ in 0..DATABASES {
        world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").nowhere().text())?;
    }
    until("not all pods are made", Duration::from_mins(2), || {
        let objects = world.objects_of_atoll().map_err(|trouble| trouble.0)?;
        let pods = objects.iter().filter(|object| object.contains("/pods/")).count();
        if pods == DATABASES * 3 { Ok(()) } else { Err(format!("{pods} pods")) }
    })?;
    std::thread::sleep(Duration::from_secs(10));
    let many = told(&format!("3 workers, {DATABASES} databases of three members"))?;
    let each = many.saturating_sub(none) / u64::try_from(DATABASES).unwrap_or(1);
    println!("           {each} kB for each database, of {}", e2e::programs::atoll()?.display());
    Ok(())
}
