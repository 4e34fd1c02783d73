//! etcd's JSON, as its gateway reads and writes it: 64-bit numbers are text, bytes are base64, and what is zero or
//! empty is left out.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{
    keys::{Answer, Compare, Given, Held, Operand, Relation, Request, Span},
    log::{Ballot, Member},
};

/// A 64-bit number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Number(pub(super) u64);

impl Number {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde wants it so
    pub(super) fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Number(u64),
        }
        match Either::deserialize(from)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(Error::custom),
        }
    }
}

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        BASE64_STANDARD.decode(text).map(Self).map_err(|error| Error::custom(format!("illegal base64 data: {error}")))
    }
}

/// What every answer begins with.
#[derive(Serialize)]
pub(super) struct Header {
    #[serde(skip_serializing_if = "Number::is_zero")]
    pub(super) cluster_id: Number,
    #[serde(skip_serializing_if = "Number::is_zero")]
    pub(super) member_id: Number,
    #[serde(skip_serializing_if = "Number::is_zero")]
    pub(super) revision: Number,
    #[serde(skip_serializing_if = "Number::is_zero")]
    pub(super) raft_term: Number,
}

/// A member, as it is listed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    #[serde(rename = "ID")]
    id: Number,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "peerURLs", skip_serializing_if = "Vec::is_empty")]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs", skip_serializing_if = "Vec::is_empty")]
    client_urls: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
}

impl From<&Member> for Listed {
    fn from(member: &Member) -> Self {
        Self {
            id: Number(member.id.0),
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
            is_learner: member.ballot == Ballot::Learner,
        }
    }
}

/// A request about members.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MemberRequest {
    #[serde(rename = "ID")]
    pub(super) id: Number,
    #[serde(rename = "targetID")]
    pub(super) target_id: Number,
    #[serde(rename = "peerURLs")]
    pub(super) peer_urls: Vec<String>,
    pub(super) is_learner: bool,
    pub(super) linearizable: bool,
}

/// A request about keys; what it is is said by the path, or by the field of a transaction that it stands in.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools)] // etcd's own fields
pub(super) struct KeyRequest {
    pub(super) key: Bytes,
    value: Bytes,
    #[serde(alias = "rangeEnd")]
    range_end: Bytes,
    limit: Number,
    revision: Number,
    pub(super) serializable: bool,
    #[serde(alias = "countOnly")]
    pub(super) count_only: bool,
    #[serde(alias = "keysOnly")]
    pub(super) keys_only: bool,
    #[serde(alias = "prevKv")]
    pub(super) prev_kv: bool,
}

impl KeyRequest {
    pub(super) fn put(self) -> Request {
        Request::Put { key: self.key.0, value: self.value.0 }
    }

    pub(super) fn range(self) -> Request {
        let limit = usize::try_from(self.limit.0).unwrap_or(usize::MAX);
        Request::Range { span: Span { key: self.key.0, end: self.range_end.0 }, limit }
    }

    pub(super) fn delete(self) -> Request {
        Request::Delete { span: Span { key: self.key.0, end: self.range_end.0 } }
    }

    /// Whether the past is asked for, which the model does not keep.
    pub(super) fn is_of_the_past(&self) -> bool {
        !self.revision.is_zero()
    }
}

/// A transaction.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TransactionRequest {
    compare: Vec<CompareRequest>,
    success: Vec<Operation>,
    failure: Vec<Operation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CompareRequest {
    result: RelationName,
    target: TargetName,
    key: Bytes,
    version: Number,
    #[serde(alias = "createRevision")]
    create_revision: Number,
    #[serde(alias = "modRevision")]
    mod_revision: Number,
    value: Bytes,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RelationName {
    #[default]
    Equal,
    Greater,
    Less,
    NotEqual,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum TargetName {
    #[default]
    Version,
    Create,
    Mod,
    Value,
}

#[derive(Deserialize)]
enum Operation {
    #[serde(rename = "request_range", alias = "requestRange")]
    Range(KeyRequest),
    #[serde(rename = "request_put", alias = "requestPut")]
    Put(KeyRequest),
    #[serde(rename = "request_delete_range", alias = "requestDeleteRange")]
    Delete(KeyRequest),
    #[serde(rename = "request_txn", alias = "requestTxn")]
    Transaction(TransactionRequest),
}

impl From<TransactionRequest> for Request {
    fn from(request: TransactionRequest) -> Self {
        let all = |operations: Vec<Operation>| operations.into_iter().map(Self::from).collect();
        Self::Transaction {
            compare: request.compare.into_iter().map(Compare::from).collect(),
            success: all(request.success),
            failure: all(request.failure),
        }
    }
}

impl From<Operation> for Request {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Range(request) => request.range(),
            Operation::Put(request) => request.put(),
            Operation::Delete(request) => request.delete(),
            Operation::Transaction(request) => request.into(),
        }
    }
}

impl From<CompareRequest> for Compare {
    fn from(request: CompareRequest) -> Self {
        let relation = match request.result {
            RelationName::Equal => Relation::Equal,
            RelationName::Greater => Relation::Greater,
            RelationName::Less => Relation::Less,
            RelationName::NotEqual => Relation::NotEqual,
        };
        let with = match request.target {
            TargetName::Version => Operand::Version(request.version.0),
            TargetName::Create => Operand::Created(request.create_revision.0),
            TargetName::Mod => Operand::Modified(request.mod_revision.0),
            TargetName::Value => Operand::Value(request.value.0),
        };
        Self { key: request.key.0, relation, with }
    }
}

/// A key with its value.
#[derive(Serialize)]
pub(super) struct KeyValue {
    key: Bytes,
    create_revision: Number,
    mod_revision: Number,
    version: Number,
    #[serde(skip_serializing_if = "Bytes::is_empty")]
    value: Bytes,
}

impl From<(Vec<u8>, Held)> for KeyValue {
    fn from((key, held): (Vec<u8>, Held)) -> Self {
        Self {
            key: Bytes(key),
            create_revision: Number(held.created),
            mod_revision: Number(held.modified),
            version: Number(held.version),
            value: Bytes(held.value),
        }
    }
}

/// The fields that answers about keys have.
#[derive(Default, Serialize)]
pub(super) struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_kv: Option<KeyValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kvs: Vec<KeyValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    #[serde(skip_serializing_if = "Number::is_zero")]
    count: Number,
    #[serde(skip_serializing_if = "Number::is_zero")]
    deleted: Number,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prev_kvs: Vec<KeyValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    succeeded: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responses: Vec<Part>,
}

#[derive(Serialize)]
enum Part {
    #[serde(rename = "response_put")]
    Put(Fields),
    #[serde(rename = "response_range")]
    Range(Fields),
    #[serde(rename = "response_delete_range")]
    Delete(Fields),
    #[serde(rename = "response_txn")]
    Transaction(Fields),
}

/// What of an answer was not asked for, and is therefore left out.
#[derive(Clone, Copy, Default)]
pub(super) struct Unwanted {
    pub(super) previous: bool,
    pub(super) values: bool,
    pub(super) keys: bool,
}

impl Fields {
    pub(super) fn new(answer: Answer, header: Header, unwanted: Unwanted) -> Self {
        let all = |found: Vec<(Vec<u8>, Held)>| found.into_iter().map(KeyValue::from).collect::<Vec<_>>();
        let mut fields = Self { header: Some(header), ..Self::default() };
        match answer.given {
            Given::Put { before } => fields.prev_kv = before.filter(|_| !unwanted.previous).map(KeyValue::from),
            Given::Range { mut found, count } => {
                fields.more = found.len() < count && !unwanted.keys;
                fields.count = Number(count as u64);
                if unwanted.values {
                    for (_, held) in &mut found {
                        held.value.clear();
                    }
                }
                if !unwanted.keys {
                    fields.kvs = all(found);
                }
            }
            Given::Delete { before } => {
                fields.deleted = Number(before.len() as u64);
                if !unwanted.previous {
                    fields.prev_kvs = all(before);
                }
            }
            Given::Transaction { succeeded, answers } => {
                fields.succeeded = succeeded;
                fields.responses = answers.into_iter().map(part).collect();
            }
        }
        fields
    }
}

fn part(answer: Answer) -> Part {
    let made = match answer.given {
        Given::Put { .. } => Part::Put,
        Given::Range { .. } => Part::Range,
        Given::Delete { .. } => Part::Delete,
        Given::Transaction { .. } => Part::Transaction,
    };
    let header =
        Header { cluster_id: Number(0), member_id: Number(0), revision: Number(answer.revision), raft_term: Number(0) };
    made(Fields::new(answer, header, Unwanted { previous: true, ..Unwanted::default() }))
}
