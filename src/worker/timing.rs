//! How long anything in a worker may take, and how often it is asked. One page, so that the bounds can be checked at a
//! glance: a worker that is cut off is Unknown to decisions after at most `PROBE_EVERY + PROBE_DEADLINE`, and told to
//! people after at most thirty seconds.

use std::time::Duration;

/// Deadline of every request that is not a watch and not a probe.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Deadline of a probe (and with it, of the identity check).
pub const PROBE_DEADLINE: Duration = Duration::from_secs(3);
/// How often a healthy worker is probed: one `get` of namespace kube-system.
pub const PROBE_EVERY: Duration = TOKEN_BELIEVED;
/// How long a kube-apiserver accepts a token that it has looked up before it looks again (`TokenSuccessCacheTTL`).
pub const TOKEN_BELIEVED: Duration = Duration::from_secs(10);
/// How often other credentials that have not proved themselves are tried again.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long a TCP and TLS connection may take to open.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long sent bytes may go without an acknowledgement before the kernel gives them up. Less than
/// [`CALL_DEADLINE`], so that a call which was given up is not delivered later; and less than a deletion waits for its
/// neighbours, so that nothing written before it arrives after it.
pub const UNACKNOWLEDGED: Duration = Duration::from_secs(8);
/// How often an HTTP/2 connection is asked whether it is still there, also while nothing else goes over it.
pub const PING_EVERY: Duration = Duration::from_secs(5);
/// How long the answer to that may take. Then the connection is dropped, and all that goes over it fails at once.
pub const PING_DEADLINE: Duration = Duration::from_secs(5);
/// The shortest time between two attempts to open a worker's connection, however often it breaks.
pub const CONNECT_EVERY: Duration = Duration::from_secs(1);
/// The longest time for which a worker that is overloaded is left alone, whatever it asks for.
pub const RETRY_AFTER_MOST: Duration = Duration::from_secs(15);
/// `timeoutSeconds` of a watch over HTTP/1.1: each watch has a connection of its own there, which can die alone and in
/// silence, and this bounds how long that goes unnoticed. So it is for the watches of databases in the master.
pub const WATCH_SECONDS_HTTP1: u32 = 30;
/// The same over HTTP/2, where [`PING_EVERY`] notices that. kube refuses 295 and more, since its stock client gives
/// up then.
pub const WATCH_SECONDS_HTTP2: u32 = 290;
/// How much longer than its `timeoutSeconds` a watch may be silent before its connection counts as dead.
pub const WATCH_GRACE: Duration = Duration::from_secs(5);
/// How long a watch must have served for its failure to be the first one of its kind.
pub const WATCH_PROVED: Duration = Duration::from_secs(10);
/// The shortest time between two watch requests of one stream, should a server end them at once.
pub const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Objects per page of a list.
pub const PAGE: u32 = 250;
/// Failures in a row after which a worker is told to be not ready.
pub const FAILURES_TOLD: u32 = 5;

/// Successes in a row after which one that was told to be down is told to be well again.
pub const SUCCESSES_TOLD: u32 = 2;
/// How soon the second success is looked for.
pub const PROBE_AGAIN: Duration = Duration::from_secs(2);
/// How often the worker is asked what our credentials may do there, while nothing speaks against them.
pub const REVIEW_EVERY: Duration = Duration::from_hours(1);

const SUSPICIOUS: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);

/// How long to wait before attempt `failures + 1`: quick until the failure is told to people, then longer, at most
/// fifteen seconds. The jitter is a function of the name and the attempt, so that many workers do not knock in step
/// and a simulation still repeats itself.
#[must_use]
pub fn backoff(name: &str, failures: u32) -> Duration {
    let base = if failures <= FAILURES_TOLD {
        SUSPICIOUS
    } else {
        SUSPICIOUS.saturating_mul(2u32.saturating_pow(failures.saturating_sub(FAILURES_TOLD).min(5)))
    };
    // Half of the longest wait is jitter too: many workers that have been away for long come back one by one.
    let base = base.min(LONGEST / 2);
    let jitter = spread(name, failures) % 1000;
    base + base.saturating_mul(jitter) / 1000
}

/// The same for a worker that wants to be left alone for so long: people hear of it as soon as of any other trouble,
/// and from then on it is.
#[must_use]
pub fn retry(name: &str, failures: u32, left_alone: Duration) -> Duration {
    let wait = backoff(name, failures);
    if failures < FAILURES_TOLD { wait } else { wait.max(left_alone).min(LONGEST) }
}

/// FNV-1a over a name and a number.
fn spread(name: &str, attempt: u32) -> u32 {
    let seed = 0x811c_9dc5_u32;
    name.bytes()
        .chain(attempt.to_le_bytes())
        .fold(seed, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failed_probes_are_told_within_thirty_seconds() {
        for name in ["a", "k8s-1", "eu-west"] {
            let waits: Duration = (1..FAILURES_TOLD).map(|failures| backoff(name, failures)).sum();
            let worst = PROBE_EVERY + PROBE_DEADLINE * FAILURES_TOLD + waits;
            assert!(worst <= Duration::from_secs(30), "{name}: {worst:?}");
        }
    }

    #[test]
    fn workers_that_have_been_away_for_long_do_not_knock_in_step() {
        let waits: std::collections::BTreeSet<_> =
            (0..100).map(|number| backoff(&format!("k8s-{number}"), 30).as_secs()).collect();
        assert_eq!(waits, (7..15).collect(), "spread over half of the longest wait");
    }

    #[test]
    fn a_token_that_was_revoked_is_told_within_fifteen_seconds() {
        assert!(TOKEN_BELIEVED + PROBE_DEADLINE < Duration::from_secs(15));
    }

    #[test]
    fn a_connection_that_died_is_noticed_within_fifteen_seconds() {
        assert!(PING_EVERY + PING_DEADLINE + PROBE_DEADLINE <= Duration::from_secs(15));
    }

    #[test]
    fn a_worker_that_wants_an_hour_is_told_in_time_and_then_left_alone_for_moments() {
        let hour = Duration::from_hours(1);
        for failures in 1..FAILURES_TOLD {
            assert_eq!(retry("k8s-1", failures, hour), backoff("k8s-1", failures));
        }
        assert_eq!(retry("k8s-1", FAILURES_TOLD, hour), LONGEST);
        assert_eq!(retry("k8s-1", FAILURES_TOLD, Duration::ZERO), backoff("k8s-1", FAILURES_TOLD));
    }

    #[test]
    fn no_wait_is_longer_than_fifteen_seconds_nor_ever_zero() {
        for failures in 0..100 {
            let wait = backoff("k8s-1", failures);
            assert!(wait >= SUSPICIOUS && wait <= LONGEST, "{failures}: {wait:?}");
        }
    }
}
