//! The ladder to members, a test for each rung with those before it shut. (The first is where pods are
//! reached, among the tests of the flat network; the second where load balancers are, among those of the islands.)

use std::time::Duration;

use e2e::etcd::Etcd;
use e2e::runner::{Case, always};
use e2e::{As, Manifest, Outcome, World, ensure, programs};
use lab::{Image, ImageFile};

const UP: Duration = Duration::from_mins(1);
const IMAGE: &str = "ghcr.io/atoll-dev/atoll:e2e";

pub fn cases() -> Vec<Case> {
    vec![
        always("roles are read by port-forward where only API servers are reached", port_forward),
        always("roles are read by a job where not even port-forward is permitted", job),
    ]
}

fn port_forward(world: &World) -> Outcome {
    // Document 000's role has no pods/portforward; an administrator's has.
    world.put_secret(&world.lab().merged_kubeconfig(As::Cert)?)?;
    world.shut_the_way_to_pods(true)?;
    let shown = world.operate(&[]).and_then(|()| created(world, "PortForward", UP));
    world.shut_the_way_to_pods(false)?;
    world.put_secret(&world.lab().merged_kubeconfig(As::Document)?)?;
    world.operate(&[])?;
    shown
}

fn job(world: &World) -> Outcome {
    load_atoll(world)?;
    world.shut_the_way_to_pods(true)?;
    let shown = world.operate(&["--job-image", IMAGE]).and_then(|()| created(world, "Job", Duration::from_mins(2)));
    let jobs = world.objects_of_atoll()?.into_iter().filter(|object| object.contains("/jobs/")).count();
    world.shut_the_way_to_pods(false)?;
    world.operate(&[])?;
    shown?;
    ensure!(jobs == 0, "{jobs} jobs are left");
    Ok(())
}

/// Creates a database, and checks that its roles were read by this rung, and rightly.
fn created(world: &World, rung: &str, limit: Duration) -> Outcome {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").text())?;
    database.wait_until_running(UP)?;
    let told = database.wait_for_roles(limit)?;
    database.wait_for_condition("MembersReachable", "True", rung, limit)?;
    let etcd = Etcd::of(&database)?;
    let leader = etcd.leader()?;
    let says = told.iter().find(|member| member.role == "leader").map(|member| member.name.as_str());
    ensure!(says == Some(leader.name.as_str()), "the status says that {says:?} leads, etcd says {}", leader.name);
    let known = database.condition("IdentityVerified")?;
    ensure!(known.as_ref().is_some_and(|known| known.status == "True"), "identities: {known:?}");
    Ok(())
}

/// An image with atoll and the libraries that this build of it needs.
fn load_atoll(world: &World) -> Outcome {
    let program = programs::atoll()?;
    let output = std::process::Command::new("ldd").arg(&program).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let libraries = said.split_whitespace().filter(|word| word.starts_with('/'));
    let mut files: Vec<_> =
        libraries.map(|path| ImageFile { path: path.to_owned(), source: path.into(), mode: 0o755 }).collect();
    let path = "/usr/local/bin/atoll".to_owned();
    files.push(ImageFile { path: path.clone(), source: program, mode: 0o755 });
    let image = Image { names: vec![IMAGE.to_owned()], files, entrypoint: vec![path], ..Image::default() };
    world.lab().load_image(&image, &["k8s-1", "k8s-2", "k8s-3"])?;
    Ok(())
}
