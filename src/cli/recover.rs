//! `atoll recover`: goes on from one member of a database that has lost its majority for good.

use std::{process::ExitCode, time::Duration};

use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::master;
use crate::{
    dialect::{Dialect, kubeblocks::Cluster},
    plan::{
        budget::majority,
        database::{DatabaseKind, RECOVER},
        record::{Part, Record},
        report::{MemberReport, MemberState, seconds},
    },
    worker::{failpoint::Failpoint, fault::call},
};

/// How often the outcome is looked at.
const GLANCE: Duration = Duration::from_millis(500);

/// Who goes on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database, of which no majority serves.
    database: String,
    /// Its namespace.
    #[arg(short = 'n', long = "database-namespace", value_name = "NAMESPACE", default_value = "default")]
    database_namespace: String,
    /// The member that goes on with what it has.
    #[arg(long, value_name = "MEMBER")]
    from: String,
    /// Only show what would be given up.
    #[arg(long)]
    dry_run: bool,
    /// How long to wait until it begins, in seconds; 0 to say so and not to wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    #[command(flatten)]
    master: master::Args,
}

/// Shows who is given up, says so to the controller, and waits until it has begun.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    let (client, _) = args.master.client(&Failpoint::default()).await?;
    let clusters: Api<Cluster> = Api::namespaced(client, &args.database_namespace);
    let called = format!("{}/{}", args.database_namespace, args.database);
    let read =
        async || call(clusters.get(&args.database)).await.map_err(|fault| master::unread_database(&called, &fault));
    let cluster = read().await?;
    let lost = given_up(&cluster, &args.from).map_err(|why| format!("{called} is not recovered: {why}"))?;
    println!(
        "{} goes on alone with what it has. Given up for good, with whatever only they have: {}.\n\
         They must never serve again: where Atoll sees their pods it deletes them, and keeps their volumes. A cluster that \
         cannot be seen now must stay cut off from clients until Atoll has seen it.",
        args.from,
        lost.join(", ")
    );
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let uid = cluster.uid().unwrap_or_default();
    let words = format!("{uid}/{}/{}", args.from, seconds(Timestamp::now()));
    let patch = json!({ "metadata": {
        // What was shown, and nothing that has changed since.
        "uid": uid, "resourceVersion": cluster.resource_version(),
        "annotations": { RECOVER: words },
    }});
    call(clusters.patch(&args.database, &PatchParams::default(), &Patch::Merge(&patch))).await.map_err(|fault| {
        format!("{called} cannot be changed: {fault}. If it has changed in the meantime, look at it and try again")
    })?;
    let watch = format!(
        "kubectl get {} -n {} {} -w",
        DatabaseKind::KubeBlocksCluster.plural(),
        args.database_namespace,
        args.database
    );
    let attempts = Duration::from_secs(args.wait).as_millis() / GLANCE.as_millis();
    for _ in 0..attempts {
        tokio::time::sleep(GLANCE).await;
        let cluster = read().await?;
        match cluster.record().map_or(Answer::None, |record| answer(record, &words, &args.from)) {
            Answer::None => {}
            Answer::Obeyed => {
                println!("{} goes on alone. Watch it: {watch}", args.from);
                return Ok(ExitCode::SUCCESS);
            }
            Answer::Refused => {
                return Err(format!(
                    "{called} is not recovered, and nobody is given up: the controller finds that a majority of the members \
                     answers, or that {} has no volume to go on with; `kubectl describe` shows which",
                    args.from
                ));
            }
        }
    }
    if args.wait == 0 {
        println!("Noted. Watch it: {watch}");
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = read().await?;
    let waits = cluster.status.as_ref().and_then(|status| status.operation.as_ref());
    let why = waits.and_then(|operation| operation.waiting_for.clone());
    Err(format!(
        "nothing was given up within {} s ({}). The word stands, and is obeyed or refused as soon as it can be; to take it back: \
         kubectl annotate {} -n {} {} {RECOVER}-",
        args.wait,
        why.unwrap_or_else(|| "is a controller running?".to_owned()),
        DatabaseKind::KubeBlocksCluster.plural(),
        args.database_namespace,
        args.database
    ))
}

/// What the controller made of a word.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Nothing yet.
    None,
    /// The others are given up.
    Obeyed,
    /// Nobody is.
    Refused,
}

fn answer(record: &Record, words: &str, from: &str) -> Answer {
    if record.recovered.as_deref() != Some(words) {
        return Answer::None;
    }
    // Whoever joins from now on has no vote for a while.
    let alone = record.voters().all(|voter| voter.name.as_str() == from);
    let began = record.recovering.as_ref().is_some_and(|name| name.as_str() == from);
    if alone || began { Answer::Obeyed } else { Answer::Refused }
}

/// Who is given up, as a status tells it.
fn given_up(cluster: &Cluster, from: &str) -> Result<Vec<String>, String> {
    let record = cluster.record().ok_or("it has no record of its members")?;
    let none = Vec::new();
    let told: &Vec<MemberReport> = cluster.status.as_ref().map_or(&none, |status| &status.members);
    let serves = |name: &str| told.iter().any(|told| told.name.as_str() == name && told.state == MemberState::Ready);
    let voters: Vec<_> = record.voters().collect();
    if let Some(alone) = &record.recovering
        && record.member(from).is_some_and(|member| member.part == Part::GivenUp)
    {
        if serves(alone.as_str()) {
            return Err(format!("{alone} goes on alone already, and serves"));
        }
        return Ok(voters.iter().map(|voter| format!("{} in {}", voter.name, voter.worker)).collect());
    }
    if voters.iter().all(|voter| voter.name.as_str() != from) {
        let names: Vec<_> = voters.iter().map(|voter| voter.name.as_str()).collect();
        return Err(format!("{from} is no voter of it; these are: {}", names.join(", ")));
    }
    let serving = voters.iter().filter(|voter| serves(voter.name.as_str())).count();
    if record.recovering.as_ref().is_some_and(|name| name.as_str() == from) {
        return Err(format!("{from} goes on alone already"));
    }
    if serving >= majority(voters.len()) {
        return Err(format!("{serving} of {} voters serve, which is a majority: it needs no recovery", voters.len()));
    }
    if voters.len() == 1 {
        return Err(format!("{from} is its only voter: there is nobody to give up"));
    }
    let others = voters.iter().filter(|voter| voter.name.as_str() != from);
    Ok(others.map(|voter| format!("{} in {}", voter.name, voter.worker)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of three, of whom these serve.
    fn cluster(serving: [bool; 3]) -> Cluster {
        let member = |n: usize| json!({ "name": format!("db-etcd-{n}"), "ordinal": n, "worker": format!("k8s-{n}") });
        let told = |n: usize| {
            let state = if serving[n] { "Ready" } else { "Unknown" };
            json!({ "name": format!("db-etcd-{n}"), "worker": format!("k8s-{n}"), "state": state })
        };
        let all = |f: &dyn Fn(usize) -> serde_json::Value| (0..3).map(f).collect::<Vec<_>>();
        serde_json::from_value(json!({
            "apiVersion": "apps.kubeblocks.io/v1alpha1", "kind": "Cluster", "metadata": { "name": "db", "namespace": "shop" },
            "spec": { "terminationPolicy": "Delete" },
            "status": { "members": all(&told), "atoll": {
                "uid": "u", "stage": { "phase": "placed", "attempt": 1 }, "network": "PodNames", "members": all(&member),
                "runs": { "version": "3.5.35", "image": "etcd" } } },
        }))
        .expect("a Cluster")
    }

    #[test]
    fn the_others_are_given_up_by_name_and_place() {
        let lost = given_up(&cluster([true, false, false]), "db-etcd-0").expect("two are lost");
        assert_eq!(lost, ["db-etcd-1 in k8s-1", "db-etcd-2 in k8s-2"]);
    }

    #[test]
    fn while_one_goes_on_alone_another_of_those_given_up_for_it_may_take_its_place_unless_it_serves() {
        let part = |mut cluster: Cluster| {
            let mut record = cluster.record().expect("a record").clone();
            record.recovering = Some("db-etcd-0".into());
            record.members[1].part = Part::GivenUp;
            record.members[2].part = Part::GivenUp;
            cluster.status.as_mut().expect("a status").atoll = Some(record);
            cluster
        };
        let lost = given_up(&part(cluster([false; 3])), "db-etcd-1").expect("the first survivor is lost as well");
        assert_eq!(lost, ["db-etcd-0 in k8s-0"]);
        let why = given_up(&part(cluster([true, false, false])), "db-etcd-1").expect_err("it serves");
        assert!(why.contains("db-etcd-0"), "{why}");
        let why = given_up(&part(cluster([false; 3])), "db-etcd-0").expect_err("it is under way");
        assert!(why.contains("already"), "{why}");
    }

    #[test]
    fn a_word_is_obeyed_or_refused() {
        let cluster = cluster([true, false, false]);
        let record = |recovered: Option<&str>, recovering: Option<&str>| Record {
            recovered: recovered.map(str::to_owned),
            recovering: recovering.map(Into::into),
            ..cluster.record().expect("a record").clone()
        };
        for (recovered, recovering, expected) in [
            (None, None, Answer::None),
            (Some("before"), None, Answer::None),
            (Some("word"), None, Answer::Refused),
            (Some("word"), Some("db-etcd-0"), Answer::Obeyed),
        ] {
            assert_eq!(answer(&record(recovered, recovering), "word", "db-etcd-0"), expected);
        }
    }

    #[test]
    fn while_a_majority_serves_nobody_is_given_up() {
        let why = given_up(&cluster([true, true, false]), "db-etcd-0").expect_err("two of three");
        assert!(why.contains("majority"), "{why}");
        let why = given_up(&cluster([false; 3]), "db-etcd-7").expect_err("nobody");
        assert!(why.contains("db-etcd-0, db-etcd-1, db-etcd-2"), "{why}");
    }
}
