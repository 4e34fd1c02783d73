//! S13: no credential appears in anything that the controller sends, logs or counts; not in base64 either.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use super::{Check, Truth};
use crate::tape::Event;

/// Shorter than this, the beginning that all canaries share does not tell them from ordinary text.
const TELLING: usize = 5;

/// See the module.
#[derive(Default)]
pub struct Secrecy {
    needles: Option<Needles>,
}

impl Check for Secrecy {
    fn name(&self) -> &'static str {
        "S13 secrecy"
    }

    fn see(&mut self, _: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        let texts: [&[u8]; 3] = match event {
            Event::Sent(call) => [&call.body, call.path.as_bytes(), call.query.as_bytes()],
            Event::Log(line) => [line.as_bytes(), b"", b""],
            _ => return Ok(()),
        };
        let needles = self.needles.get_or_insert_with(|| Needles::of(&truth.canaries));
        let Some(found) = texts.iter().find_map(|text| needles.find(text)) else { return Ok(()) };
        match event {
            Event::Sent(call) => Err(format!("{call}: it shows the credential {found}")),
            event => Err(format!("a log line shows the credential {found}: {event}")),
        }
    }
}

/// The credential that a text shows, if any: for whatever is looked at besides events (metrics, metadata of files).
pub fn leak(text: &str, truth: &Truth) -> Option<String> {
    Needles::of(&truth.canaries).find(text.as_bytes())
}

/// What to look for.
struct Needles(Vec<Group>);

/// Needles that begin alike, so that most texts are searched once for all of them.
struct Group {
    shared: Vec<u8>,
    /// What stands in a text, and what is told of it.
    needles: Vec<(Vec<u8>, String)>,
}

impl Needles {
    fn of(canaries: &[String]) -> Self {
        let plain = canaries.iter().map(|canary| (canary.clone().into_bytes(), canary.clone())).collect();
        let encoded = (0..3).map(|shift| {
            canaries.iter().map(|canary| (encoded(canary, shift), format!("{canary} (in base64)"))).collect()
        });
        let groups = std::iter::once(plain).chain(encoded);
        Self(groups.map(|needles: Vec<_>| Group { shared: shared(&needles), needles }).collect())
    }

    fn find(&self, text: &[u8]) -> Option<String> {
        self.0.iter().find_map(|group| {
            if group.shared.len() >= TELLING && !contains(text, &group.shared) {
                return None;
            }
            group.needles.iter().find(|(needle, _)| contains(text, needle)).map(|(_, canary)| canary.clone())
        })
    }
}

/// What stands in a base64 text for a canary that begins so many bytes after a group of three: without the characters
/// that depend on its neighbours.
fn encoded(canary: &str, shift: usize) -> Vec<u8> {
    let mut padded = vec![0; shift];
    padded.extend_from_slice(canary.as_bytes());
    let whole = padded.len() / 3 * 3;
    let text = STANDARD_NO_PAD.encode(&padded[..whole]);
    text.as_bytes()[[0, 2, 3][shift]..].to_vec()
}

fn shared(group: &[(Vec<u8>, String)]) -> Vec<u8> {
    let Some(((first, _), rest)) = group.split_first() else { return Vec::new() };
    let same = |other: &Vec<u8>| first.iter().zip(other).take_while(|(one, other)| one == other).count();
    let length = rest.iter().map(|(other, _)| same(other)).min().unwrap_or(first.len());
    first[..length].to_vec()
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| byte == first) {
        let at = from + at;
        if text[at..].starts_with(needle) {
            return true;
        }
        from = at + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;
    use crate::check::testing::Scene;

    #[test]
    fn a_credential_is_found_wherever_it_is_sent_or_logged() {
        let mut scene = Scene::new();
        scene.truth.canaries = vec!["canary-w1-token-0".to_owned(), "canary-master-token".to_owned()];
        let mut sends = |path: &str, body: &serde_json::Value| {
            let sent = scene.sends(1, "w1", "POST", path, body);
            scene.see(&mut Secrecy::default(), &sent)
        };
        sends("/api/v1/pods", &json!({ "message": "canary-w9-token is nobody's" })).expect("it shows none");
        sends("/api/v1/pods", &json!({ "message": "got canary-w1-token-0 back" })).expect_err("in the body");
        sends("/api/v1/pods/canary-master-token", &json!({})).expect_err("in the path");
        for before in ["", "a", "ab", "abc"] {
            let kubeconfig = STANDARD.encode(format!("{before}token: canary-w1-token-0\n"));
            sends("/api/v1/pods", &json!({ "data": kubeconfig })).expect_err("in base64");
        }
        for (line, fine) in [("connected to w1", true), ("401 for canary-w1-token-0", false)] {
            assert_eq!(scene.see(&mut Secrecy::default(), &Event::Log(line.to_owned())).is_ok(), fine, "{line}");
        }
        assert!(leak("atoll_up{token=\"canary-master-token\"} 1", &scene.truth).is_some());
        assert!(leak("atoll_up 1", &scene.truth).is_none());
    }
}
