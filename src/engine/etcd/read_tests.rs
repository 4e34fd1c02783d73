//! Replies as real etcd 3.5.35 processes gave them.

use super::*;
use crate::plan::{
    name::{Uid, WorkerName},
    record::{Identity, Stage},
};

const STATUS: &str = r#"{"header":{"cluster_id":"10234449434770277464","member_id":"7098693085177049521","revision":"1","raft_term":"2"},"version":"3.5.35","dbSize":"20480","leader":"7098693085177049521","raftIndex":"8","raftTerm":"2","raftAppliedIndex":"8","dbSizeInUse":"16384"}"#;
const STATUS_OF_A_FOLLOWER: &str = r#"{"header":{"cluster_id":"10234449434770277464","member_id":"7098693085177049521","revision":"1","raft_term":"3"},"version":"3.5.35","leader":"6099203764867749874"}"#;
const STATUS_WITHOUT_LEADER: &str = r#"{"header":{"cluster_id":"10234449434770277464","member_id":"7098693085177049521","revision":"1","raft_term":"2"},"version":"3.5.35","dbSize":"20480","raftIndex":"8","raftTerm":"2","raftAppliedIndex":"8","errors":["etcdserver: no leader"],"dbSizeInUse":"16384"}"#;
const STATUS_OF_A_LEARNER: &str = r#"{"header":{"cluster_id":"10234449434770277464","member_id":"7098693085177049521","raft_term":"2"},"leader":"6099203764867749874","isLearner":true}"#;
const STATUS_OF_ANOTHER_MEMBER: &str = r#"{"header":{"cluster_id":"10234449434770277464","member_id":"9655529026243555765","raft_term":"2"},"leader":"7098693085177049521"}"#;
const STATUS_OF_ANOTHER_CLUSTER: &str = r#"{"header":{"cluster_id":"2737998482876832676","member_id":"7098693085177049521","raft_term":"2"},"leader":"7098693085177049521"}"#;
const LIST: &str = r#"{"header":{"cluster_id":"10234449434770277464","member_id":"7098693085177049521","raft_term":"2"},"members":[{"ID":"6099203764867749874","name":"etcd-0","peerURLs":["http://127.0.0.1:23001"],"clientURLs":["http://127.0.0.1:23000"]},{"ID":"7098693085177049521","name":"etcd-1","peerURLs":["http://127.0.0.1:23011"],"clientURLs":["http://127.0.0.1:23010"]},{"ID":"9655529026243555765","name":"etcd-2","peerURLs":["http://127.0.0.1:23021"],"clientURLs":["http://127.0.0.1:23020"],"isLearner":true}]}"#;
const LIST_OF_ANOTHER_MEMBER: &str = r#"{"header":{"cluster_id":"10234449434770277464","member_id":"9655529026243555765","raft_term":"2"},"members":[]}"#;

fn member(engine_id: Option<&str>) -> Member {
    Member { engine_id: engine_id.map(str::to_owned), ..Member::placed("etcd-1".into(), 1, WorkerName::from("k8s-2")) }
}

fn record() -> Record {
    Record {
        uid: Uid::from("uid"),
        stage: Stage::Founding(Identity { attempt: 1, token: "atoll".into(), cluster: "8e081189572e0458".into() }),
        runs: crate::plan::record::Runs { version: "3.5.35".into(), image: "etcd".into() },
        ran: None,
        network: "PodNames".into(),
        held: None,
        members: vec![member(Some("62839fc01f7ff1b1"))],
        next: None,
        under_way: None,
        recovering: None,
        recovered: None,
        handed_over: None,
    }
}

fn ok(body: &str) -> HttpReply {
    HttpReply { status: 200, body: body.to_owned() }
}

fn heard(replies: &[HttpReply]) -> Result<Answer, Distrust> {
    read(&record(), &member(Some("62839fc01f7ff1b1")), Rung::Address, replies)
}

#[test]
fn a_leader_with_a_quorum_says_who_votes() {
    let answer = heard(&[ok(STATUS), ok(LIST)]).expect("believed");
    assert_eq!((answer.cluster.as_str(), answer.member.as_str()), ("8e081189572e0458", "62839fc01f7ff1b1"));
    assert_eq!((answer.rung, answer.role, answer.term), (Rung::Address, Role::Leader, 2));
    assert_eq!(answer.voters(), Some(vec![&"54a4b98259aad7f2".to_owned(), &"62839fc01f7ff1b1".to_owned()]));
    let learner = answer.listed.expect("a list").into_iter().find(|listed| listed.ballot == Ballot::Learner);
    assert_eq!(learner.expect("a learner").peers, ["127.0.0.1:23021"]);
}

#[test]
fn roles_are_read() {
    for (status, role) in [
        (STATUS, Role::Leader),
        (STATUS_OF_A_FOLLOWER, Role::Follower),
        (STATUS_WITHOUT_LEADER, Role::Follower),
        (STATUS_OF_A_LEARNER, Role::Learner),
    ] {
        assert_eq!(heard(&[ok(status), ok(LIST)]).expect("believed").role, role, "{status}");
    }
}

#[test]
fn without_a_quorum_a_member_is_believed_but_names_no_voters() {
    let refused = HttpReply { status: 503, body: r#"{"error":"etcdserver: request timed out","code":14}"#.into() };
    assert_eq!(heard(&[ok(STATUS_WITHOUT_LEADER), refused]).expect("believed").listed, None);
    assert_eq!(heard(&[ok(STATUS_WITHOUT_LEADER)]).expect("believed").listed, None);
}

#[test]
fn an_answer_of_another_member_or_cluster_is_not_believed() {
    for replies in [
        [ok(STATUS_OF_ANOTHER_MEMBER), ok(LIST)],
        [ok(STATUS_OF_ANOTHER_CLUSTER), ok(LIST)],
        [ok(STATUS), ok(LIST_OF_ANOTHER_MEMBER)],
    ] {
        assert!(matches!(heard(&replies), Err(Distrust::WrongIdentity { .. })), "{replies:?}");
    }
}

#[test]
fn what_is_not_etcd_is_not_believed_and_not_quoted() {
    for body in ["", "<html>secret</html>", "{}", r#"{"header":{"cluster_id":"secret","member_id":"1"}}"#] {
        let Err(distrust @ Distrust::Unreadable { .. }) = heard(&[ok(body)]) else { panic!("{body} was believed") };
        assert!(!distrust.to_string().contains("secret"), "{distrust}");
    }
    for replies in [vec![], vec![HttpReply { status: 404, body: String::new() }], vec![ok(STATUS), ok("{}")]] {
        assert!(matches!(heard(&replies), Err(Distrust::Unreadable { .. })), "{replies:?}");
    }
}

#[test]
fn before_an_identity_is_recorded_nothing_is_believed() {
    let replies = [ok(STATUS), ok(LIST)];
    assert!(read(&record(), &member(None), Rung::Address, &replies).is_err());
    let placed = Record { stage: Stage::Placed { attempt: 1 }, ..record() };
    assert!(read(&placed, &member(Some("62839fc01f7ff1b1")), Rung::Address, &replies).is_err());
}

#[test]
fn a_member_is_asked_for_its_status_before_what_needs_a_quorum() {
    let question = question(&member(None));
    assert_eq!((question.member.as_str(), question.port), ("etcd-1", 2379));
    let Exchange::Http(requests) = question.exchange;
    let paths: Vec<_> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/v3/maintenance/status", "/v3/cluster/member/list"]);
}
