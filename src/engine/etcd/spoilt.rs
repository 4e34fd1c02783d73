//! When etcd cannot go on with what is in its data directory.

/// What etcd 3.5 and 3.6 say as they end, each seen by spoiling a member's directory (restoring an older copy, deleting or
/// flipping bytes of logs and pages) and starting it beside its peers.
///
/// Not among them is "found data inconsistency with peers" (versions.rs, `CHECKED_…`): one peer that differs is enough for
/// it, and that peer may be the one that is wrong. To remove whoever says so could remove the last good copy.
const SPOILT: [&str; 8] = [
    // raft: it has acknowledged more than it has. An older copy of the volume was put back, or its log is gone.
    "Was the raft log corrupted, truncated, or lost?",
    // A record of the write-ahead log or of a snapshot.
    "crc mismatch",
    // bbolt: the head of the file, its list of pages, a page.
    "invalid database",
    "checksum error",
    "failed to get all reachable pages",
    "but self identifies as",
    // The same where the file is too short, which Go does not tell in a line.
    "created by go.etcd.io/bbolt.(*DB).freepages",
    "failed to recover v3 backend from snapshot",
];

/// Whether these are last words of a member that cannot go on with its data.
pub fn is_spoilt(last_words: &str) -> bool {
    SPOILT.iter().any(|words| last_words.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_data_is_told_from_all_other_ends() {
        for (words, spoilt) in [
            (
                "panic: tocommit(69) is out of range [lastIndex(28)]. Was the raft log corrupted, truncated, or lost?",
                true,
            ),
            (r#"{"level":"fatal","msg":"discovery failed","error":"walpb: crc mismatch"}"#, true),
            (r#"{"level":"panic","msg":"failed to open database","error":"invalid database"}"#, true),
            ("panic: freepages: failed to get all reachable pages (key[8]=(hex)00 on leaf page(2) needs to be >", true),
            ("panic: assertion failed: Page expected to be: 2, but self identifies as 6510615555426900568", true),
            (r#"{"level":"fatal","msg":"discovery failed","error":"c found data inconsistency with peers"}"#, false),
            ("runtime.goexit({})\ncreated by go.etcd.io/bbolt.(*DB).freepages in goroutine 109\n\tdb.go:1246", true),
            (r#"{"level":"panic","msg":"failed to open database","error":"timeout"}"#, false),
            (
                r#"{"level":"fatal","msg":"discovery failed","error":"listen tcp :2380: bind: address already in use"}"#,
                false,
            ),
            ("the member has been permanently removed from the cluster", false),
            ("no space left on device", false),
            ("", false),
        ] {
            assert_eq!(is_spoilt(words), spoilt, "{words}");
        }
    }
}
