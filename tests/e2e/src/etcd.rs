//! etcd's members, spoken to from inside their clusters: `etcdctl` is run in a member's own pod.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::database::Member;
use crate::{Database, Outcome, Trouble, World, ensure};

/// Where a member is from within its own pod.
pub const ITSELF: &str = "127.0.0.1:2379";

/// Runs etcdctl in a member's pod, against this endpoint (`host:port`).
pub fn ctl(world: &World, namespace: &str, at: &Member, endpoint: &str, arguments: &[&str]) -> Outcome<String> {
    let endpoint = format!("--endpoints=http://{endpoint}");
    let mut command = vec!["-n", namespace, "exec", at.name.as_str(), "-c", "etcd", "--"];
    command.extend(["/usr/local/bin/etcdctl", &endpoint, "--command-timeout=4s", "--dial-timeout=2s"]);
    command.extend(arguments);
    world.kubectl(&at.worker, &command, None).map_err(|trouble| trouble.at(format!("in {}", at.name)))
}

/// One database's members, to be spoken to.
pub struct Etcd<'d, 'w> {
    database: &'d Database<'w>,
    /// Its members, as recorded when this was made.
    pub members: Vec<Member>,
}

impl<'d, 'w> Etcd<'d, 'w> {
    /// Reads who the members are.
    pub fn of(database: &'d Database<'w>) -> Outcome<Self> {
        Ok(Self { database, members: database.members()? })
    }

    fn ctl(&self, at: &Member, endpoint: &str, arguments: &[&str]) -> Outcome<String> {
        ctl(self.database.world, &self.database.namespace, at, endpoint, arguments)
    }

    /// Writes through a member, from its own pod.
    pub fn put(&self, at: &Member, key: &str, value: &str) -> Outcome {
        let said = self.ctl(at, ITSELF, &["put", key, value])?;
        ensure!(said.trim() == "OK", "{} did not acknowledge {key}={value}: {said}", at.name);
        Ok(())
    }

    /// Reads through a member, from its own pod, what a majority agrees on; nothing if the key is not there.
    pub fn get(&self, at: &Member, key: &str) -> Outcome<Option<String>> {
        self.read(at, ITSELF, key, "l")
    }

    /// What the member itself holds, up to date or not.
    pub fn get_local(&self, at: &Member, key: &str) -> Outcome<Option<String>> {
        self.read(at, ITSELF, key, "s")
    }

    fn read(&self, at: &Member, endpoint: &str, key: &str, consistency: &str) -> Outcome<Option<String>> {
        let consistency = format!("--consistency={consistency}");
        let said = self.ctl(at, endpoint, &["get", "--print-value-only", &consistency, key])?;
        let value = said.trim_end_matches('\n');
        Ok((!value.is_empty()).then(|| value.to_owned()))
    }

    /// The member in this worker.
    pub fn in_worker(&self, worker: &str) -> Outcome<&Member> {
        let found = self.members.iter().find(|member| member.worker == worker);
        found.ok_or_else(|| Trouble::new(format!("{} has no member in {worker}", self.database.name)))
    }

    /// The member that leads, by its own word.
    pub fn leader(&self) -> Outcome<&Member> {
        for member in &self.members {
            let status: Value =
                serde_json::from_str(&self.ctl(member, ITSELF, &["endpoint", "status", "-w", "json"])?)?;
            let status = &status[0]["Status"];
            if status["leader"] == status["header"]["member_id"] && status["leader"] != 0 {
                return Ok(member);
            }
        }
        Err(Trouble::new(format!("{} has no leader", self.database.name)))
    }

    /// Fails unless the database is healthy in the sense of DECISIONS 19: every member lists the same voters with the
    /// recorded identities and addresses, and a write through each is read through the others from another cluster.
    ///
    /// `address` says what a member's peer address must look like.
    pub fn healthy(&self, address: impl Fn(&Member) -> Result<(), String>) -> Outcome {
        let record = self.database.record()?;
        let cluster = record["stage"]["cluster"].as_str().unwrap_or_default();
        for member in &self.members {
            address(member)
                .map_err(|why| Trouble::new(format!("{} has peer address {}: {why}", member.name, member.peer)))?;
            self.lists_the_voters(member, cluster)?;
        }
        let stamp = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
        let results: Vec<Outcome> = std::thread::scope(|scope| {
            let writers = self.members.iter().enumerate();
            let threads: Vec<_> = writers
                .map(|(number, writer)| scope.spawn(move || self.written_and_read(number, writer, stamp)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(Trouble::new("a thread ended"))))
                .collect()
        });
        results.into_iter().collect()
    }

    fn lists_the_voters(&self, member: &Member, cluster: &str) -> Outcome {
        let said: Value = serde_json::from_str(&self.ctl(member, ITSELF, &["member", "list", "-w", "json"])?)?;
        let id = |value: &Value| value.as_u64().map(|id| format!("{id:x}")).unwrap_or_default();
        let header = &said["header"];
        ensure!(
            id(&header["cluster_id"]) == cluster,
            "{} is of cluster {}, recorded is {cluster}",
            member.name,
            id(&header["cluster_id"])
        );
        ensure!(
            id(&header["member_id"]) == member.engine_id,
            "{} is {}, recorded is {}",
            member.name,
            id(&header["member_id"]),
            member.engine_id
        );
        let listed: BTreeMap<_, _> = said["members"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|voter| {
                (
                    id(&voter["ID"]),
                    (
                        voter["name"].to_string(),
                        voter["peerURLs"].to_string(),
                        voter["clientURLs"].to_string(),
                        voter["isLearner"] == true,
                    ),
                )
            })
            .collect();
        let expected: BTreeMap<_, _> = self
            .members
            .iter()
            .map(|voter| {
                let urls = |address: &str| format!("[\"http://{address}\"]");
                (voter.engine_id.clone(), (format!("{:?}", voter.name), urls(&voter.peer), urls(&voter.client), false))
            })
            .collect();
        ensure!(listed == expected, "{} lists {listed:?}, recorded are {expected:?}", member.name);
        Ok(())
    }

    /// A write through one member, and reads of it through each other one, each from a pod in another cluster.
    fn written_and_read(&self, number: usize, writer: &Member, stamp: u128) -> Outcome {
        let (key, value) = (format!("e2e/{}", writer.name), format!("{stamp}-{number}"));
        self.put(writer, &key, &value)?;
        for (through, reader) in self.members.iter().enumerate().filter(|(through, _)| *through != number) {
            let elsewhere = self.members.iter().find(|other| other.worker != reader.worker).unwrap_or(writer);
            let read = self.read(elsewhere, &reader.client, &key, "l")?;
            ensure!(
                read.as_deref() == Some(&value),
                "{key}={value} was written through {}, but member {through} says {read:?} to {}",
                writer.name,
                elsewhere.name
            );
        }
        Ok(())
    }
}

/// A key that must never be lost once it was acknowledged.
pub struct Canary {
    value: String,
}

const CANARY: &str = "canary";

impl Canary {
    /// Lets it sing for the first time.
    pub fn start(etcd: &Etcd, value: &str) -> Outcome<Self> {
        let first = etcd.members.first().ok_or_else(|| Trouble::new("no members"))?;
        etcd.put(first, CANARY, value)?;
        Ok(Self { value: value.to_owned() })
    }

    /// Fails unless it still sings, through every member.
    pub fn alive(&self, etcd: &Etcd) -> Outcome {
        for member in &etcd.members {
            let limit = Duration::from_secs(20);
            crate::eventually("the canary is silent", limit, || {
                let heard = etcd.get(member, CANARY)?;
                ensure!(
                    heard.as_deref() == Some(&self.value),
                    "{} has canary {heard:?}, not {}",
                    member.name,
                    self.value
                );
                Ok(())
            })?;
        }
        Ok(())
    }
}
