//! A short digest of what an object was rendered from: drift is told by it, not by comparing with what API servers
//! and webhooks have added.

use serde::Serialize;
use sha1::{Digest, Sha1};

/// Sixteen hexadecimal digits over the JSON form, which is stable: the types keep their maps sorted.
pub fn digest(rendered: &impl Serialize) -> String {
    // These types cannot fail to serialise; were one to, an empty text would only ever make the object look changed.
    let text = serde_json::to_string(rendered).unwrap_or_default();
    Sha1::digest(text.as_bytes()).iter().take(8).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
