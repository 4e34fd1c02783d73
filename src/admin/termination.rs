//! How a job's result travels: as its container's termination message, of which Kubernetes keeps 4096 bytes.
//!
//! Replies are packed as they are, whatever the engine, so that nothing in the job needs to know what matters in them.

use std::io::{Read, Write};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What Kubernetes keeps of a message.
const MESSAGE_LIMIT: usize = 4096;

/// The most that a message is unpacked to: some replies of the greatest size.
const UNPACKED_LIMIT: u64 = 512 * 1024;

/// What a job says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Message {
    /// Replies: base64 of gzip of JSON.
    Replies(String),
    /// Why there are none.
    Failed(String),
}

/// Packs an outcome into a message that Kubernetes keeps whole.
pub fn pack<T: Serialize + ?Sized>(outcome: Result<&T, String>) -> String {
    let packed = outcome.and_then(|replies| {
        let packed = squeeze(replies).map_err(|error| format!("the replies cannot be packed: {error}"))?;
        let message = text(&Message::Replies(packed));
        if message.len() <= MESSAGE_LIMIT {
            Ok(message)
        } else {
            Err(format!("the replies take {} bytes when packed; a job can report {MESSAGE_LIMIT}", message.len()))
        }
    });
    packed.unwrap_or_else(|why| text(&Message::Failed(why.chars().take(500).collect())))
}

/// Unpacks a message.
pub fn unpack<T: DeserializeOwned>(message: &str) -> Result<T, String> {
    match serde_json::from_str(message) {
        Ok(Message::Replies(packed)) => {
            loosen(&packed).map_err(|error| format!("its message cannot be unpacked: {error}"))
        }
        Ok(Message::Failed(why)) => Err(why),
        Err(_) if message.trim().is_empty() => Err("it ended without a message".to_owned()),
        Err(_) => {
            Err("its message is not Atoll's; is its image Atoll's own, of this version (--job-image of atoll run, --image of atoll check)?".to_owned())
        }
    }
}

fn squeeze<T: Serialize + ?Sized>(replies: &T) -> std::io::Result<String> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&serde_json::to_vec(replies)?)?;
    Ok(STANDARD_NO_PAD.encode(packer.finish()?))
}

fn loosen<T: DeserializeOwned>(packed: &str) -> std::io::Result<T> {
    let bytes = STANDARD_NO_PAD.decode(packed).map_err(std::io::Error::other)?;
    let mut json = Vec::new();
    GzDecoder::new(bytes.as_slice()).take(UNPACKED_LIMIT).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// A message of strings only always has a JSON form; an empty one would read as a failure.
fn text(message: &Message) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::HttpReply;

    fn reply(body: impl Into<String>) -> HttpReply {
        HttpReply { status: 200, body: body.into() }
    }

    #[test]
    fn replies_come_back_as_they_were() {
        let replies = [reply(r#"{"header":{"cluster_id":"1"}}"#), reply("ü\n\0")];
        assert_eq!(unpack(&pack(Ok(&replies))), Ok(replies.to_vec()));
    }

    #[test]
    fn a_list_of_nine_members_fits() {
        let members: Vec<_> = (0..9_u64)
            .map(|n| {
                format!(
                    r#"{{"ID":"{}","name":"etcd-abcdef-etcd-{n}","peerURLs":["http://10.{n}.3.4:2380"],"clientURLs":["http://10.{n}.3.4:2379"]}}"#,
                    (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
                )
            })
            .collect();
        let replies = [reply(format!(r#"{{"members":[{}]}}"#, members.join(",")))];
        let message = pack(Ok(&replies));
        assert!(message.len() < MESSAGE_LIMIT / 2, "{}", message.len());
        assert_eq!(unpack(&message), Ok(replies.to_vec()));
    }

    #[test]
    fn what_does_not_fit_fails_in_words() {
        // Digits of a generator do not compress below half their size.
        let mut state = 1_u64;
        let noise: String = (0..20_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(b'!' + u8::try_from((state >> 33) % 90).expect("small"))
            })
            .collect();
        let message = pack(Ok(&[reply(noise)]));
        assert!(message.len() <= MESSAGE_LIMIT);
        assert!(unpack::<Vec<HttpReply>>(&message).expect_err("too large").contains("4096"));
    }

    #[test]
    fn a_failure_travels_as_one() {
        let message = pack::<[HttpReply]>(Err("cannot connect".to_owned()));
        assert_eq!(unpack::<Vec<HttpReply>>(&message), Err("cannot connect".to_owned()));
    }

    #[test]
    fn a_message_of_another_program_is_named_as_such() {
        assert!(unpack::<Vec<HttpReply>>("panic!").expect_err("foreign").contains("--job-image"));
        assert!(unpack::<Vec<HttpReply>>(" ").expect_err("empty").contains("without a message"));
        assert!(unpack::<Vec<HttpReply>>(r#"{"replies":"AAAA"}"#).expect_err("damaged").contains("unpacked"));
    }
}
