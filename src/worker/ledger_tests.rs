//! The ledger before a master in memory.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    gate::{Gate, LeaseLost, Open},
    ledger::{Ledger, LedgerError},
    pool::Notice,
    testing::Cluster,
};
use crate::{
    dialect::k8scluster::crd::K8sCluster,
    plan::{
        debt::{Due, Entry, Volumes},
        name::{Uid, WorkerName},
        testing,
    },
};

struct World {
    master: Cluster,
    ledger: Arc<Ledger>,
    _notices: mpsc::UnboundedReceiver<Notice>,
}

impl World {
    fn new(gate: Arc<dyn Gate>) -> Self {
        let master = Cluster::new("master-uid");
        let (notice, notices) = mpsc::unbounded_channel();
        let ledger = Arc::new(Ledger::new(master.client(), gate, notice));
        let world = Self { master, ledger, _notices: notices };
        let object = json!({ "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster",
            "metadata": {}, "spec": { "name": "b" }, "status": { "identity": "uid-b" } });
        world.master.put("k8sclusters", "", "b", object);
        world.hear();
        world
    }

    fn there(&self) -> Value {
        self.master.get("k8sclusters", "", "b").unwrap()
    }

    fn hear(&self) {
        let cluster: K8sCluster = serde_json::from_value(self.there()).unwrap();
        self.ledger.listed(&BTreeMap::from([(b(), cluster)]));
    }

    fn finalizers(&self) -> Vec<String> {
        let finalizers = self.there()["metadata"]["finalizers"].clone();
        serde_json::from_value(finalizers).unwrap_or_default()
    }
}

fn b() -> WorkerName {
    WorkerName::from("b")
}

fn owe(volumes: Volumes) -> Entry {
    let database = testing::database().id;
    Entry::Owe(b(), Due { database, members: vec!["db-etcd-1".into()], volumes, identity: Uid::from("uid-b") })
}

#[tokio::test]
async fn a_registration_is_kept_once_and_not_let_go_while_a_record_is_about_to_name_it() {
    let world = World::new(Arc::new(Open));
    let reserved = world.ledger.reserve(vec![b(), WorkerName::from("not-registered")]).await.unwrap();
    assert_eq!(world.finalizers(), ["atoll.dev/in-use"]);
    let before = world.there();
    drop(world.ledger.reserve(vec![b()]).await.unwrap());
    assert_eq!(world.there(), before, "it is there already");
    assert_eq!(world.ledger.let_go(&b()).await, Err(LedgerError::Busy(b())));
    drop(reserved);
    world.ledger.let_go(&b()).await.unwrap();
    assert_eq!(world.finalizers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_debt_is_written_beside_a_finalizer_changed_and_struck() {
    let world = World::new(Arc::new(Open));
    world.ledger.book(&[owe(Volumes::Delete)]).await.unwrap();
    assert_eq!(world.finalizers(), ["atoll.dev/in-use"]);
    world.ledger.book(&[owe(Volumes::Keep)]).await.unwrap();
    let debts = world.there()["status"]["debts"].clone();
    assert_eq!((debts.as_array().unwrap().len(), &debts[0]["volumes"]), (1, &json!("Keep")));
    let uid = testing::database().id.uid;
    let owed = world.ledger.accounts(&uid)[&b()].owed.clone();
    assert_eq!(owed.map(|owed| owed.uid.clone()), Some(uid.clone()));
    assert_eq!(world.ledger.accounts(&Uid::from("another"))[&b()].owed, None);
    world.ledger.book(&[Entry::Withdraw(b(), uid)]).await.unwrap();
    assert_eq!(world.there()["status"].get("debts"), None);
    assert_eq!(world.there()["status"]["identity"], "uid-b", "nothing else is touched");
}

#[tokio::test]
async fn what_has_changed_meanwhile_is_not_overwritten() {
    let world = World::new(Arc::new(Open));
    let mut changed = world.there();
    changed["metadata"]["labels"] = json!({ "by": "a person" });
    world.master.put("k8sclusters", "", "b", changed);
    let error = world.ledger.book(&[owe(Volumes::Delete)]).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    world.hear();
    world.ledger.book(&[owe(Volumes::Delete)]).await.unwrap();
}

#[tokio::test]
async fn a_registration_that_is_being_deleted_is_not_kept_for_anything_new() {
    let world = World::new(Arc::new(Open));
    let mut leaving = world.there();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    leaving["metadata"]["finalizers"] = json!(["example.com/other"]);
    world.master.put("k8sclusters", "", "b", leaving);
    world.hear();
    assert_eq!(world.ledger.reserve(vec![b()]).await.err(), Some(LedgerError::Leaving(b())));
}

struct Shut;

impl Gate for Shut {
    fn check(&self) -> Result<(), LeaseLost> {
        Err(LeaseLost)
    }
}

#[tokio::test]
async fn without_the_lease_nothing_is_written() {
    let world = World::new(Arc::new(Shut));
    let before = world.there();
    assert_eq!(world.ledger.book(&[owe(Volumes::Delete)]).await, Err(LedgerError::Lease(LeaseLost)));
    assert_eq!(world.there(), before);
}
