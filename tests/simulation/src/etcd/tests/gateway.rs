//! Replies, compared with what real processes of 3.5.35 and 3.6.16 replied.

use super::*;

/// Requests in order, each with what a real one answered.
const ALONE: [(&str, &str, u16, &str); 20] = [
    (
        "cluster/member/list",
        r#"{"linearizable":true}"#,
        200,
        r#"{HEADER,"raft_term":"2"},"members":[{"ID":"ME","name":"a","peerURLs":["http://a:2380"],"clientURLs":["http://a:2379"]}]}"#,
    ),
    (
        "cluster/member/list",
        "",
        200,
        r#"{HEADER,"raft_term":"2"},"members":[{"ID":"ME","name":"a","peerURLs":["http://a:2380"],"clientURLs":["http://a:2379"]}]}"#,
    ),
    ("kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#, 200, r#"{HEADER,"revision":"2","raft_term":"2"}}"#),
    (
        "kv/put",
        r#"{"key":"Zm9v","value":"YmF6","prev_kv":true}"#,
        200,
        r#"{HEADER,"revision":"3","raft_term":"2"},"prev_kv":{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}}"#,
    ),
    (
        "kv/put",
        r#"{"key":"","value":"YmF6"}"#,
        400,
        r#"{"error":"etcdserver: key is not provided","code":3,"message":"etcdserver: key is not provided"}"#,
    ),
    (
        "kv/range",
        r#"{"key":"Zm9v"}"#,
        200,
        r#"{HEADER,"revision":"3","raft_term":"2"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"3","version":"2","value":"YmF6"}],"count":"1"}"#,
    ),
    (
        "kv/range",
        r#"{"key":"AA==","range_end":"AA=="}"#,
        200,
        r#"{HEADER,"revision":"3","raft_term":"2"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"3","version":"2","value":"YmF6"}],"count":"1"}"#,
    ),
    (
        "kv/range",
        r#"{"key":"Zm9v","serializable":true,"count_only":true}"#,
        200,
        r#"{HEADER,"revision":"3","raft_term":"2"},"count":"1"}"#,
    ),
    ("kv/range", r#"{"key":"bm8="}"#, 200, r#"{HEADER,"revision":"3","raft_term":"2"}}"#),
    (
        "kv/txn",
        r#"{"compare":[{"target":"VERSION","key":"Zm9v","version":"2"}],"success":[{"requestPut":{"key":"Zm9v","value":"YQ=="}},{"requestRange":{"key":"Zm9v"}}],"failure":[]}"#,
        200,
        r#"{HEADER,"revision":"4","raft_term":"2"},"succeeded":true,"responses":[{"response_put":{"header":{"revision":"4"}}},{"response_range":{"header":{"revision":"4"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"4","version":"3","value":"YQ=="}],"count":"1"}}]}"#,
    ),
    (
        "kv/txn",
        r#"{"compare":[{"target":"CREATE","result":"GREATER","key":"Zm9v","create_revision":"0"}],"success":[],"failure":[{"requestPut":{"key":"Zm9v","value":"YQ=="}}]}"#,
        200,
        r#"{HEADER,"revision":"4","raft_term":"2"},"succeeded":true}"#,
    ),
    ("kv/deleterange", r#"{"key":"Zm9v"}"#, 200, r#"{HEADER,"revision":"5","raft_term":"2"},"deleted":"1"}"#),
    (
        "cluster/member/add",
        r#"{"peerURLs":["nonsense"],"isLearner":true}"#,
        400,
        r#"{"error":"etcdserver: given member URLs are invalid","code":3,"message":"etcdserver: given member URLs are invalid"}"#,
    ),
    (
        "cluster/member/add",
        r#"{"peerURLs":[]}"#,
        400,
        r#"{"error":"etcdserver: given member URLs are invalid","code":3,"message":"etcdserver: given member URLs are invalid"}"#,
    ),
    (
        "cluster/member/promote",
        r#"{"ID":17}"#,
        404,
        r#"{"error":"etcdserver: member not found","code":5,"message":"etcdserver: member not found"}"#,
    ),
    (
        "cluster/member/update",
        r#"{"ID":"17","peerURLs":["http://127.0.0.1:6"]}"#,
        404,
        r#"{"error":"etcdserver: member not found","code":5,"message":"etcdserver: member not found"}"#,
    ),
    (
        "cluster/member/remove",
        r#"{"ID":"ME"}"#,
        500,
        r#"{"error":"etcdserver: re-configuration failed due to not enough started members","code":2,"message":"etcdserver: re-configuration failed due to not enough started members"}"#,
    ),
    ("maintenance/alarm", r#"{"action":"GET"}"#, 200, r#"{HEADER,"revision":"5","raft_term":"2"}}"#),
    (
        "maintenance/transfer-leadership",
        r#"{"targetID":"17"}"#,
        400,
        r#"{"error":"etcdserver: bad leader transferee","code":9,"message":"etcdserver: bad leader transferee"}"#,
    ),
    (
        "cluster/member/remove",
        r#"{"ID":"17"}"#,
        404,
        r#"{"error":"etcdserver: member not found","code":5,"message":"etcdserver: member not found"}"#,
    ),
];

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn alone(version: &'static str) -> Town {
    let mut town = Town::new(1);
    town.version = version;
    town.start("a", "new", "a");
    town.run(1);
    town
}

#[test]
fn a_lone_member_replies_as_a_real_one() {
    for version in ["3.5.35", "3.6.16"] {
        let town = alone(version);
        let (cluster, me) = (town.view("a").cluster_id.expect("founded").0, town.member("a").0);
        let header = format!(r#""header":{{"cluster_id":"{cluster}","member_id":"{me}""#);
        for (path, body, status, expected) in ALONE {
            let reply = town.post("a", &format!("/v3/{path}"), &body.replace("ME", &me.to_string())).expect("a reply");
            let expected = expected.replace("HEADER", &header).replace("\"ME\"", &format!("\"{me}\""));
            let mut expected = json(&expected);
            if version == "3.6.16"
                && let Some(fields) = expected.as_object_mut()
            {
                fields.remove("error");
            }
            assert_eq!(reply.status, status, "{path} {body}: {}", reply.body);
            assert_eq!(json(&reply.body), expected, "{version} {path} {body}");
        }
    }
}

#[test]
fn a_status_is_as_a_real_one_gives_it() {
    let town = alone("3.5.35");
    let (cluster, me) = (town.view("a").cluster_id.expect("founded").0, town.member("a").0);
    let expected = format!(
        r#"{{"header":{{"cluster_id":"{cluster}","member_id":"{me}","revision":"1","raft_term":"2"}},"version":"3.5.35","dbSize":"20480","leader":"{me}","raftIndex":"3","raftTerm":"2","raftAppliedIndex":"3","dbSizeInUse":"16384"}}"#
    );
    assert_eq!(town.post("a", "/v3/maintenance/status", "{}").expect("a status").body, expected);
    let newer = alone("3.6.16").post("a", "/v3/maintenance/status", "{}").expect("a status").body;
    assert!(newer.ends_with(r#""storageVersion":"3.6.0","dbSizeQuota":"2147483648","downgradeInfo":{}}"#), "{newer}");
}

#[test]
fn without_a_majority_a_member_says_so_or_nothing() {
    let mut town = Town::founded(2);
    let (leader, followers) = (town.leader(), town.followers());
    for follower in &followers {
        town.stop(follower);
    }
    town.run(4);
    let status = town.post(&leader, "/v3/maintenance/status", "{}").expect("a status").body;
    assert!(status.contains(r#""errors":["etcdserver: no leader"]"#) && !status.contains(r#""leader""#), "{status}");
    assert_eq!(
        town.get(&leader, 2381, "/health").expect("an answer"),
        (503, "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n".to_owned())
    );
    assert_eq!(town.get(&leader, 2381, "/health?serializable=true").expect("an answer").0, 200);
    assert_eq!(town.get(&leader, 2381, "/livez").expect("an answer").0, 200);
    for path in ["/v3/kv/put", "/v3/kv/range"] {
        assert_eq!(town.post(&leader, path, r#"{"key":"Zm9v"}"#), None, "{path}");
    }
    // Restarted alone, it answers no client at all.
    town.stop(&leader);
    town.start(&leader, "existing", "abc");
    town.run(10);
    assert_eq!(town.post(&leader, "/v3/maintenance/status", "{}"), None);
    assert_eq!(town.get(&leader, 2381, "/health").expect("an answer").0, 503);
}

#[test]
fn probes_are_there_since_their_version_and_ports_are_their_own() {
    let mut town = Town::new(3);
    town.version = "3.5.6";
    town.start("a", "new", "a");
    town.run(1);
    for (port, path, status) in [
        (2381, "/health", Some(200)),
        (2381, "/readyz", Some(404)),
        (2381, "/metrics", Some(200)),
        (2379, "/health", Some(200)),
        (2379, "/version", Some(200)),
        (2379, "/v3/kv/put", Some(405)),
        (2380, "/members", Some(200)),
        (2380, "/nothing", Some(404)),
        (80, "/", None),
    ] {
        assert_eq!(town.get("a", port, path).map(|(status, _)| status), status, "{port}{path}");
    }
    refused(town.post("a", "/v3/maintenance/snapshot", "{}"), 501, "not in this model");
    refused(town.post("a", "/v3/kv/put", r#"{"key":"%%"}"#), 400, "base64");
    assert_eq!(town.post("a", "/v3/no/such", "{}").expect("an answer").status, 404);
}
