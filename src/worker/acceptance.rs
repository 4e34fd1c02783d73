//! Until when an API server accepts our credentials without a look at them. Pure.
//!
//! kube-apiserver believes what it found out about a token for a while (`TokenSuccessCacheTTL`), and a token that is
//! revoked meanwhile is accepted. Whoever asks when that ends, and no later, hears of it as soon as it can be heard of,
//! without asking more often.

use tokio::time::{Duration, Instant};

use super::timing::TOKEN_BELIEVED;

/// When our credentials were last looked at, as far as can be known from here.
#[derive(Debug, Default)]
pub struct Acceptance(Option<Instant>);

impl Acceptance {
    /// A request was sent then, and accepted now.
    pub fn accepted(&mut self, sent: Instant, now: Instant) {
        // Sent earlier, it may have been believed; and what was believed then ends before the next one is sent.
        if self.0.is_none_or(|at| sent >= at + TOKEN_BELIEVED) {
            self.0 = Some(now);
        }
    }

    /// How long until they have to be looked at again.
    #[must_use]
    pub fn ends_in(&self, now: Instant) -> Duration {
        self.0.map_or(TOKEN_BELIEVED, |at| (at + TOKEN_BELIEVED).saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An API server that looks a token up when it does not remember that it did.
    struct Server {
        believes_until: Option<Instant>,
        revoked: Instant,
    }

    impl Server {
        fn accepts(&mut self, now: Instant) -> bool {
            if self.believes_until.is_some_and(|until| now < until) {
                return true;
            }
            self.believes_until = Some(now + TOKEN_BELIEVED);
            now < self.revoked
        }
    }

    /// How long after its end a token is still accepted by a server that is asked by others at these times, when probes
    /// come as they should. Everything in milliseconds.
    fn heard_after(others: &[u64], revoked: u64, takes: u64) -> u64 {
        let zero = Instant::now();
        let at = |time: u64| zero + Duration::from_millis(time);
        let mut server = Server { believes_until: None, revoked: at(revoked) };
        let (mut acceptance, mut others, mut now) = (Acceptance::default(), others.iter().copied().peekable(), 0);
        loop {
            let probe = now + u64::try_from(acceptance.ends_in(at(now)).as_millis()).unwrap();
            now = others.next_if(|other| *other <= probe).unwrap_or(probe).max(now);
            if !server.accepts(at(now + takes / 2)) {
                return now - revoked.min(now);
            }
            acceptance.accepted(at(now), at(now + takes));
            now += takes;
        }
    }

    #[test]
    fn a_token_that_is_revoked_is_found_out_within_its_time_whatever_else_is_asked() {
        let most = u64::try_from(TOKEN_BELIEVED.as_millis()).unwrap();
        let times = || (0..30_000).step_by(1_700);
        for (one, other, takes) in
            times().flat_map(|one| times().flat_map(move |other| [(one, other, 4), (one, other, 900)]))
        {
            let others = [one.min(other), one.max(other), one + other];
            for revoked in (8_000..40_000).step_by(430) {
                let heard = heard_after(&others, revoked, takes);
                assert!(
                    heard <= most + 3 * takes,
                    "{heard} ms: revoked at {revoked}, requests take {takes}: {others:?}"
                );
            }
        }
    }

    #[test]
    fn at_rest_nobody_asks_more_often() {
        let (mut acceptance, mut now) = (Acceptance::default(), Instant::now());
        for _ in 0..100 {
            acceptance.accepted(now, now + Duration::from_millis(5));
            assert_eq!(acceptance.ends_in(now + Duration::from_millis(5)), TOKEN_BELIEVED);
            now += Duration::from_millis(5) + TOKEN_BELIEVED;
        }
    }
}
