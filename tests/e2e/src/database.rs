//! One database: its resource in the master, and its objects in the workers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Outcome, Trouble, World, ensure, rest, until};

/// A `Cluster` of the master.
#[derive(Clone)]
pub struct Database<'w> {
    /// Where it is.
    pub world: &'w World,
    /// Its namespace, in the master and in the workers.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// A member, from the record and the status together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its pod's name.
    pub name: String,
    /// Its worker, which is also the lab's name of that cluster.
    pub worker: String,
    /// `leader`, `follower`, or empty.
    pub role: String,
    /// `Ready`, `NotReady`, …
    pub state: String,
    /// `host:port` for its peers.
    pub peer: String,
    /// `host:port` for its clients.
    pub client: String,
    /// The identity that the engine must report.
    pub engine_id: String,
}

/// A condition of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// `CamelCase`.
    pub reason: String,
    /// For people.
    pub message: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The condition of this type in an object's status.
#[must_use]
pub fn condition(object: &Value, kind: &str) -> Option<Condition> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    Some(Condition { status: text(&found["status"]), reason: text(&found["reason"]), message: text(&found["message"]) })
}

impl<'w> Database<'w> {
    /// The database that this resource describes.
    #[must_use]
    pub fn of(world: &'w World, resource: &Value) -> Self {
        Self {
            world,
            namespace: text(&resource["metadata"]["namespace"]),
            name: rest::name(resource).to_owned(),
            uid: rest::uid(resource).to_owned(),
        }
    }

    /// Its path in the master's API.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/apis/apps.kubeblocks.io/v1alpha1/namespaces/{}/clusters/{}", self.namespace, self.name)
    }

    /// The resource, if it is there.
    pub fn find(&self) -> Outcome<Option<Value>> {
        self.world.rest("master")?.find(&self.path())
    }

    /// The resource.
    pub fn resource(&self) -> Outcome<Value> {
        self.find()?.ok_or_else(|| Trouble::new(format!("Cluster {} is gone", self.name)))
    }

    /// Its phase; empty before there is one.
    pub fn phase(&self) -> Outcome<String> {
        Ok(text(&self.resource()?["status"]["phase"]))
    }

    /// The record.
    pub fn record(&self) -> Outcome<Value> {
        Ok(self.resource()?["status"]["atoll"].clone())
    }

    /// A condition, if it is told.
    pub fn condition(&self, kind: &str) -> Outcome<Option<Condition>> {
        Ok(condition(&self.resource()?, kind))
    }

    /// Waits for a phase.
    pub fn wait_for_phase(&self, phase: &str, limit: Duration) -> Outcome {
        until(&format!("{} is not {phase}", self.name), limit, || {
            let resource = self.resource().map_err(|trouble| trouble.0)?;
            let status = &resource["status"];
            if status["phase"] == phase { Ok(()) } else { Err(format!("{}: {}", status["phase"], status["message"])) }
        })
    }

    /// Waits until it runs with all members.
    pub fn wait_until_running(&self, limit: Duration) -> Outcome {
        self.wait_for_phase("Running", limit)
    }

    /// Waits until it runs and is what its manifest asks for, and nothing is left of members that have left.
    pub fn wait_until_up_to_date(&self, limit: Duration) -> Outcome {
        until(&format!("{} is not what its manifest asks for", self.name), limit, || {
            let resource = self.resource().map_err(|trouble| trouble.0)?;
            let status = &resource["status"];
            let told = condition(&resource, "UpToDate");
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

    /// Waits for a condition with this status and reason; gives it.
    pub fn wait_for_condition(&self, kind: &str, status: &str, reason: &str, limit: Duration) -> Outcome<Condition> {
        until(&format!("{} has no condition {kind}={status} {reason}", self.name), limit, || {
            let found = self.condition(kind).map_err(|trouble| trouble.0)?;
            let fits = |found: &Condition| found.status == status && (reason.is_empty() || found.reason == reason);
            found.clone().filter(fits).ok_or_else(|| format!("{found:?}"))
        })
    }

    /// Its members.
    pub fn members(&self) -> Outcome<Vec<Member>> {
        let resource = self.resource()?;
        let status = &resource["status"];
        let told = status["members"].as_array().cloned().unwrap_or_default();
        let recorded = status["atoll"]["members"].as_array().cloned().unwrap_or_default();
        let each = recorded.iter().map(|member| {
            let told = told.iter().find(|told| told["name"] == member["name"]).unwrap_or(&Value::Null);
            Member {
                name: text(&member["name"]),
                worker: text(&member["worker"]),
                role: text(&told["role"]),
                state: text(&told["state"]),
                peer: text(&member["peer"]),
                client: text(&member["client"]),
                engine_id: text(&member["engineId"]),
            }
        });
        Ok(each.collect())
    }

    /// Waits until its members' roles are known; gives the members, with exactly one leader among them.
    pub fn wait_for_roles(&self, limit: Duration) -> Outcome<Vec<Member>> {
        until(&format!("the roles of {}'s members are not known", self.name), limit, || {
            let members = self.members().map_err(|trouble| trouble.0)?;
            let leaders = members.iter().filter(|member| member.role == "leader").count();
            let known = members.iter().all(|member| !member.role.is_empty());
            if known && leaders == 1 { Ok(members) } else { Err(format!("{members:?}")) }
        })
    }

    /// Changes fields of the resource.
    pub fn patch(&self, change: &Value) -> Outcome<Value> {
        self.world.rest("master")?.patch(&self.path(), change)
    }

    /// Edits its only component.
    pub fn edit(&self, alter: impl Fn(&mut Value)) -> Outcome {
        let mut components = self.resource()?["spec"]["componentSpecs"].clone();
        alter(&mut components[0]);
        self.patch(&json!({ "spec": { "componentSpecs": components } })).map(drop)
    }

    /// Sets an annotation, or takes it away.
    pub fn annotate(&self, key: &str, value: Option<&str>) -> Outcome {
        self.patch(&json!({ "metadata": { "annotations": { key: value } } })).map(drop)
    }

    /// Asks for its deletion, and does not wait.
    pub fn delete(&self) -> Outcome {
        self.world.rest("master")?.delete(&self.path())
    }

    /// Waits until the resource is gone.
    pub fn wait_until_gone(&self, limit: Duration) -> Outcome {
        until(&format!("{} is not gone", self.name), limit, || match self.find().map_err(|trouble| trouble.0)? {
            None => Ok(()),
            Some(resource) => Err(format!("{:?}", condition(&resource, "Deletable"))),
        })
    }

    /// Where a worker's objects of a kind are, in this database's namespace.
    #[must_use]
    pub fn objects_path(&self, kind: &str) -> String {
        let group = if kind == "jobs" { "/apis/batch/v1" } else { "/api/v1" };
        format!("{group}/namespaces/{}/{kind}", self.namespace)
    }

    /// Its objects of a kind (`pods`, `services`, `persistentvolumeclaims`, `jobs`) in a worker, by label.
    pub fn objects(&self, worker: &str, kind: &str) -> Outcome<Vec<Value>> {
        let labels = format!("app.kubernetes.io%2Fmanaged-by%3Datoll%2Catoll.dev%2Fname%3D{}", self.name);
        self.world.rest(worker)?.list(&format!("{}?labelSelector={labels}", self.objects_path(kind)))
    }

    /// All its objects in all workers, as `worker/kind/name`, sorted.
    pub fn everything(&self) -> Outcome<Vec<String>> {
        let mut all = Vec::new();
        for worker in self.world.workers() {
            for kind in ["pods", "services", "persistentvolumeclaims", "jobs"] {
                let objects = self.objects(&worker, kind)?;
                all.extend(objects.iter().map(|object| format!("{worker}/{kind}/{}", rest::name(object))));
            }
        }
        all.sort();
        Ok(all)
    }

    /// A member's pod.
    pub fn pod(&self, member: &Member) -> Outcome<Value> {
        self.world.rest(&member.worker)?.get(&format!("{}/{}", self.objects_path("pods"), member.name))
    }

    /// A member's volume on this machine: the directory that the lab's provisioner made for its data.
    pub fn volume(&self, member: &Member) -> Outcome<std::path::PathBuf> {
        let rest = self.world.rest(&member.worker)?;
        let claim = rest.get(&format!("{}/data-{}", self.objects_path("persistentvolumeclaims"), member.name))?;
        let volume = rest.get(&format!("/api/v1/persistentvolumes/{}", text(&claim["spec"]["volumeName"])))?;
        let source = &volume["spec"];
        let path = source["hostPath"]["path"].as_str().or(source["local"]["path"].as_str());
        let path =
            path.ok_or_else(|| Trouble::new(format!("the volume of {} is no directory: {source}", member.name)))?;
        Ok(path.into())
    }

    /// Fails unless the record has one founding attempt, the first.
    pub fn one_attempt(&self) -> Outcome {
        let record = self.record()?;
        ensure!(record["stage"]["attempt"] == 1, "{} was founded more than once: {record}", self.name);
        Ok(())
    }
}
