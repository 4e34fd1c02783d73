//! What a process answers over HTTP: the JSON gateway, the peers' paths, probes and metrics.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    Reply,
    ids::{MemberId, ProcessId},
    json::{Fields, Header, KeyRequest, Listed, MemberRequest, Number, TransactionRequest, Unwanted},
    keys::{Answer, Request},
    log::{Ballot, Change},
    membership::Outcome,
    node::Node,
    raft::{At, Proposed},
    refusal::Refusal,
    state::State,
    version::Version,
};

/// A request, as it came.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) body: &'a str,
}

impl State {
    /// None if nobody listens at the port, or if no answer comes.
    pub(super) fn http(&mut self, id: ProcessId, port: u16, call: Call) -> Option<Reply> {
        let process = self.processes.get(&id)?;
        let (node, flags, version) = (process.node()?, process.flags.as_ref()?, process.version);
        let path = call.path.split('?').next().unwrap_or_default();
        if flags.client_ports.contains(&port) {
            // Until its name is published, a member accepts connections and answers nothing.
            if !node.published {
                return None;
            }
            return match path {
                "/health" | "/metrics" => self.probe(id, version, call),
                "/version" => Some(versions(version)),
                _ => self.gateway(id, version, path, call),
            };
        }
        if flags.metrics_ports.contains(&port) {
            return self.probe(id, version, call);
        }
        if flags.peer_ports.contains(&port) {
            return Some(match path {
                "/members" => ok(&node.members().values().map(Listed::from).collect::<Vec<_>>()),
                "/version" => versions(version),
                _ => not_found(),
            });
        }
        None
    }

    fn gateway(&mut self, id: ProcessId, version: Version, path: &str, call: Call) -> Option<Reply> {
        let answered = if call.method == "POST" {
            self.route(id, path, call.body)?
        } else if path.starts_with("/v3/") {
            return Some(Reply { status: 405, body: "Method Not Allowed\n".to_owned() });
        } else {
            return Some(not_found());
        };
        Some(answered.unwrap_or_else(|refusal| refused(&refusal, version)))
    }

    fn route(&mut self, id: ProcessId, path: &str, body: &str) -> Outcome<Reply> {
        let learner = self.node(id)?.machine.is_learner(self.node(id)?.id());
        match path {
            "/v3/maintenance/status" => return Some(Ok(self.status(id)?)),
            "/v3/kv/range" => return self.range(id, body),
            "/v3/kv/put"
            | "/v3/kv/deleterange"
            | "/v3/kv/txn"
            | "/v3/cluster/member/list"
            | "/v3/cluster/member/add"
            | "/v3/cluster/member/remove"
            | "/v3/cluster/member/promote"
            | "/v3/cluster/member/update"
            | "/v3/maintenance/alarm"
            | "/v3/maintenance/transfer-leadership" => {}
            _ if path.starts_with("/v3/") && MODELLED_ELSEWHERE.contains(&path) => {
                return Some(Err(Refusal::NotModelled));
            }
            _ => return Some(Ok(not_found())),
        }
        if learner {
            return Some(Err(Refusal::LearnerCannot));
        }
        match path {
            "/v3/kv/put" => {
                let request: KeyRequest = match parse(body) {
                    Ok(request) => request,
                    Err(refusal) => return Some(Err(refusal)),
                };
                if request.key.0.is_empty() {
                    return Some(Err(Refusal::NoKey));
                }
                let unwanted = Unwanted { previous: !request.prev_kv, ..Unwanted::default() };
                self.keys(id, request.put(), unwanted)
            }
            "/v3/kv/deleterange" => {
                let request: KeyRequest = match parse(body) {
                    Ok(request) => request,
                    Err(refusal) => return Some(Err(refusal)),
                };
                let unwanted = Unwanted { previous: !request.prev_kv, ..Unwanted::default() };
                self.keys(id, request.delete(), unwanted)
            }
            "/v3/kv/txn" => match parse::<TransactionRequest>(body) {
                Ok(request) => self.keys(id, request.into(), Unwanted::default()),
                Err(refusal) => Some(Err(refusal)),
            },
            _ => match parse(body) {
                Ok(request) => self.members_request(id, path, &request),
                Err(refusal) => Some(Err(refusal)),
            },
        }
    }

    fn members_request(&mut self, id: ProcessId, path: &str, request: &MemberRequest) -> Outcome<Reply> {
        let member = MemberId(request.id.0);
        let mut added = None;
        let result = match path {
            "/v3/cluster/member/list" => {
                if request.linearizable && !self.reads(id) {
                    return None;
                }
                Ok(())
            }
            "/v3/cluster/member/add" => {
                let ballot = if request.is_learner { Ballot::Learner } else { Ballot::Voter };
                self.add_member(id, &request.peer_urls, ballot)?.map(|member| added = Some(member))
            }
            "/v3/cluster/member/remove" => self.remove_member(id, member)?,
            "/v3/cluster/member/promote" => self.promote_member(id, member)?,
            "/v3/cluster/member/update" => self.update_member(id, member, &request.peer_urls)?,
            "/v3/maintenance/transfer-leadership" => {
                return Some(self.move_leader(id, MemberId(request.target_id.0))?.map(|()| ok(&json!({}))));
            }
            // No alarm is ever raised in the model.
            _ => return Some(Ok(ok(&json!({ "header": header(self.node(id)?, Revision::Shown) })))),
        };
        Some(match result {
            Ok(()) => {
                let node = self.node(id)?;
                let all: Vec<_> = node.machine.members.values().map(Listed::from).collect();
                let member = added.and_then(|id| node.machine.members.get(&id)).map(Listed::from);
                Ok(ok(&MemberReply { header: header(node, Revision::Hidden), member, all }))
            }
            Err(refusal) => Err(refusal),
        })
    }

    fn keys(&mut self, id: ProcessId, request: Request, unwanted: Unwanted) -> Outcome<Reply> {
        let answer = if request.only_reads() {
            self.reads(id).then(|| Some(self.node(id)?.machine.keys.look(&request)))??
        } else {
            match self.write(id, request)? {
                Ok((_, answer)) => answer,
                Err(refusal) => return Some(Err(refusal)),
            }
        };
        self.answer(id, answer, unwanted).map(Ok)
    }

    /// Writes through a member, which must not be a learner.
    pub(super) fn write(&mut self, id: ProcessId, request: Request) -> Outcome<(At, Answer)> {
        match self.propose(id, Change::Keys(request)) {
            Proposed::Applied(at, Ok(Some(answer))) => Some(Ok((at, answer))),
            Proposed::Applied(_, Ok(None)) | Proposed::Unknown => None,
            Proposed::Applied(_, Err(refusal)) => Some(Err(refusal)),
        }
    }

    fn range(&mut self, id: ProcessId, body: &str) -> Outcome<Reply> {
        let request: KeyRequest = match parse(body) {
            Ok(request) => request,
            Err(refusal) => return Some(Err(refusal)),
        };
        if request.key.0.is_empty() {
            return Some(Err(Refusal::NoKey));
        }
        if request.is_of_the_past() {
            return Some(Err(Refusal::NotModelled));
        }
        let node = self.node(id)?;
        if !request.serializable {
            if node.machine.is_learner(node.id()) {
                return Some(Err(Refusal::LearnerCannot));
            }
            if !self.reads(id) {
                return None;
            }
        }
        let unwanted = Unwanted { previous: true, values: request.keys_only, keys: request.count_only };
        let answer = node.machine.keys.look(&request.range());
        self.answer(id, answer, unwanted).map(Ok)
    }

    fn answer(&self, id: ProcessId, answer: Answer, unwanted: Unwanted) -> Option<Reply> {
        let mut header = header(self.node(id)?, Revision::Shown);
        header.revision = Number(answer.revision);
        Some(ok(&Fields::new(answer, header, unwanted)))
    }

    fn status(&self, id: ProcessId) -> Option<Reply> {
        let process = self.processes.get(&id)?;
        let node = process.node()?;
        let newer = process.version.is_3_6();
        let errors = if node.leader.is_none() { vec!["etcdserver: no leader"] } else { Vec::new() };
        Some(ok(&Status {
            header: header(node, Revision::Shown),
            version: process.version.to_string(),
            db_size: Number(20_480),
            leader: Number(node.leader.map_or(0, |leader| leader.0)),
            raft_index: Number(node.disk.commit),
            raft_term: Number(node.disk.term),
            raft_applied_index: Number(node.machine.applied),
            errors,
            db_size_in_use: Number(16_384),
            is_learner: node.machine.is_learner(node.id()),
            storage_version: newer.then_some("3.6.0"),
            db_size_quota: newer.then_some(Number(2_147_483_648)),
            downgrade_info: newer.then(|| json!({})),
        }))
    }
}

/// Paths that a real etcd answers and the model does not.
const MODELLED_ELSEWHERE: [&str; 10] = [
    "/v3/kv/compaction",
    "/v3/watch",
    "/v3/lease/grant",
    "/v3/lease/revoke",
    "/v3/auth/enable",
    "/v3/maintenance/defragment",
    "/v3/maintenance/hash",
    "/v3/maintenance/hashkv",
    "/v3/maintenance/snapshot",
    "/v3/maintenance/downgrade",
];

#[derive(Serialize)]
struct MemberReply {
    header: Header,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<Listed>,
    #[serde(rename = "members", skip_serializing_if = "Vec::is_empty")]
    all: Vec<Listed>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    header: Header,
    version: String,
    db_size: Number,
    #[serde(skip_serializing_if = "Number::is_zero")]
    leader: Number,
    #[serde(skip_serializing_if = "Number::is_zero")]
    raft_index: Number,
    #[serde(skip_serializing_if = "Number::is_zero")]
    raft_term: Number,
    #[serde(skip_serializing_if = "Number::is_zero")]
    raft_applied_index: Number,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<&'static str>,
    db_size_in_use: Number,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    db_size_quota: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    downgrade_info: Option<serde_json::Value>,
}

/// Whether a header says the keys' revision: the services for members do not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Revision {
    Shown,
    Hidden,
}

fn header(node: &Node, revision: Revision) -> Header {
    let shown = if revision == Revision::Shown { node.machine.keys.revision() } else { 0 };
    Header {
        cluster_id: Number(node.disk.cluster.0),
        member_id: Number(node.id().0),
        revision: Number(shown),
        raft_term: Number(node.disk.term),
    }
}

fn parse<T: DeserializeOwned + Default>(body: &str) -> Result<T, Refusal> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_str(body).map_err(|error| Refusal::Malformed(error.to_string()))
}

fn ok(body: &impl Serialize) -> Reply {
    match serde_json::to_string(body) {
        Ok(body) => Reply { status: 200, body },
        Err(error) => Reply { status: 500, body: error.to_string() },
    }
}

fn refused(refusal: &Refusal, version: Version) -> Reply {
    let (code, message) = (refusal.code(), refusal.message());
    let body = if version.names_error_twice() {
        json!({ "error": message, "code": code, "message": message })
    } else {
        json!({ "code": code, "message": message })
    };
    Reply { status: refusal.status(), body: body.to_string() }
}

fn not_found() -> Reply {
    Reply { status: 404, body: "404 page not found\n".to_owned() }
}

fn versions(version: Version) -> Reply {
    ok(&json!({ "etcdserver": version.to_string(), "etcdcluster": format!("{}.{}.0", version.0, version.1) }))
}
