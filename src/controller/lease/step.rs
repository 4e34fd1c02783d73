//! Who may lead, decided from what was seen and when: pure, and the tests below try every case.
//!
//! No wall clock takes part. Whether another holder is gone is counted on our own clock, from the moment at which we saw
//! its record change last: clocks of two machines may differ as they like.

use std::{fmt, time::Duration};

use k8s_openapi::api::coordination::v1 as coordination;

use crate::controller::queue::Moment;

/// Who holds, or wants, a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(pub String);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long each part of a lease's life takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How long others wait for a sign of life before they take over; written into the lease.
    pub duration: Duration,
    /// How long after its last renewal a holder still writes. Shorter than `duration`, so that writes which have begun
    /// come to their end before a successor starts.
    pub deadline: Duration,
    /// How often a holder renews.
    pub renew_every: Duration,
    /// How often a candidate looks, and how soon a renewal that failed is tried again.
    pub look_every: Duration,
    /// How long one request may take.
    pub call: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(20),
            deadline: Duration::from_secs(10),
            renew_every: Duration::from_secs(5),
            look_every: Duration::from_secs(1),
            call: Duration::from_secs(3),
        }
    }
}

/// What matters of a lease's record. Its times are for people and play no part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The holder; none after a release.
    pub holder: Option<Identity>,
    /// How long the holder asks others to wait; none if it does not say.
    pub duration: Option<Duration>,
    /// The resource version: any change of it is a sign of life.
    pub version: Option<String>,
}

impl From<&coordination::Lease> for Seen {
    fn from(lease: &coordination::Lease) -> Self {
        let spec = lease.spec.as_ref();
        Self {
            holder: spec
                .and_then(|spec| spec.holder_identity.clone())
                .filter(|holder| !holder.is_empty())
                .map(Identity),
            duration: spec
                .and_then(|spec| spec.lease_duration_seconds)
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            version: lease.metadata.resource_version.clone(),
        }
    }
}

/// The last look at a lease, and since when it has looked the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    seen: Option<Seen>,
    since: Moment,
}

impl Sight {
    /// A first look.
    #[must_use]
    pub fn new(seen: Option<Seen>, now: Moment) -> Self {
        Self { seen, since: now }
    }

    /// Another look: the count starts anew only if something has changed.
    pub fn look(&mut self, seen: Option<Seen>, now: Moment) {
        if self.seen != seen {
            *self = Self::new(seen, now);
        }
    }

    /// The holder that the lease names.
    #[must_use]
    pub fn holder(&self) -> Option<&Identity> {
        self.seen.as_ref().and_then(|seen| seen.holder.as_ref())
    }
}

/// What to do about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is none: create it, ours.
    Create,
    /// It is ours: renew it.
    Renew,
    /// Nobody holds it, or its holder has been silent for too long: take it over.
    Take,
    /// Somebody else holds it: look again, at the latest at this moment.
    Wait(Moment),
    /// We led, and the lease no longer names us: stop writing, for good.
    Lost,
}

/// Decides. `leading` says whether this process believes that it holds the lease.
#[must_use]
pub fn step(sight: &Sight, now: Moment, me: &Identity, times: &Times, leading: bool) -> Decision {
    let Some(seen) = &sight.seen else {
        return Decision::Create;
    };
    match &seen.holder {
        Some(holder) if holder == me => Decision::Renew,
        // Even if it is free by now: somebody else may have led in between.
        _ if leading => Decision::Lost,
        None => Decision::Take,
        Some(_) => {
            let expires = sight.since.plus(seen.duration.unwrap_or(times.duration));
            if now >= expires { Decision::Take } else { Decision::Wait(expires) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime};

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn seen(holder: &str, version: &str) -> Seen {
        Seen {
            holder: Some(Identity(holder.to_owned())).filter(|holder| !holder.0.is_empty()),
            duration: Some(Duration::from_secs(15)),
            version: Some(version.to_owned()),
        }
    }

    fn decided(seen: Option<Seen>, since: u64, now: u64, leading: bool) -> Decision {
        let me = Identity("me".to_owned());
        step(&Sight::new(seen, at(since)), at(now), &me, &Times::default(), leading)
    }

    #[test]
    fn every_case_has_its_decision() {
        use Decision::{Create, Lost, Renew, Take, Wait};
        let silent = |holder| Some(Seen { duration: None, ..seen(holder, "1") });
        let long = |holder| Some(Seen { duration: Some(Duration::from_mins(1)), ..seen(holder, "1") });
        let cases = [
            ("none yet", None, 0, false, Create),
            ("none yet, seen long ago", None, 99, false, Create),
            ("ours", Some(seen("me", "1")), 5, true, Renew),
            ("ours, after a restart under the same name", Some(seen("me", "1")), 0, false, Renew),
            ("ours, and late: the holder's own deadline is not decided here", Some(seen("me", "1")), 60, true, Renew),
            ("another's", Some(seen("other", "1")), 0, false, Wait(at(115))),
            ("another's, shortly before its end", Some(seen("other", "1")), 14, false, Wait(at(115))),
            ("another's, at its end", Some(seen("other", "1")), 15, false, Take),
            ("another's, long silent", Some(seen("other", "1")), 500, false, Take),
            ("another's that asks for a minute", long("other"), 59, false, Wait(at(160))),
            ("another's after its minute", long("other"), 60, false, Take),
            ("another's that says nothing about time", silent("other"), 14, false, Wait(at(120))),
            ("another's that says nothing, after our own time", silent("other"), 20, false, Take),
            ("released", Some(seen("", "1")), 0, false, Take),
            ("another's, while we thought that it was ours", Some(seen("other", "2")), 0, true, Lost),
            ("another's and expired, while we thought so", Some(seen("other", "2")), 99, true, Lost),
            ("released, while we thought so", Some(seen("", "2")), 0, true, Lost),
            ("deleted by a person while we lead", None, 0, true, Create),
        ];
        for (case, seen, later, leading, expected) in cases {
            assert_eq!(decided(seen, 100, 100 + later, leading), expected, "{case}");
        }
    }

    #[test]
    fn each_change_of_the_record_starts_the_count_anew_and_nothing_else_does() {
        let me = Identity("me".to_owned());
        let mut sight = Sight::new(Some(seen("other", "1")), at(0));
        for now in 1..=14 {
            sight.look(Some(seen("other", "1")), at(now));
        }
        assert_eq!(step(&sight, at(15), &me, &Times::default(), false), Decision::Take);
        sight.look(Some(seen("other", "2")), at(14));
        assert_eq!(step(&sight, at(15), &me, &Times::default(), false), Decision::Wait(at(29)));
        assert_eq!(sight.holder(), Some(&Identity("other".to_owned())));
    }

    #[test]
    fn what_the_holders_wall_clock_says_does_not_matter() {
        for renewed in ["1970-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "9999-01-01T00:00:00Z"] {
            let lease = coordination::Lease {
                spec: Some(LeaseSpec {
                    holder_identity: Some("other".to_owned()),
                    lease_duration_seconds: Some(15),
                    renew_time: renewed.parse().ok().map(MicroTime),
                    ..LeaseSpec::default()
                }),
                ..coordination::Lease::default()
            };
            assert_eq!(decided(Some(Seen::from(&lease)), 100, 114, false), Decision::Wait(at(115)), "{renewed}");
            assert_eq!(decided(Some(Seen::from(&lease)), 100, 115, false), Decision::Take, "{renewed}");
        }
    }

    #[test]
    fn a_duration_that_makes_no_sense_is_read_as_none() {
        for seconds in [0, -1, i32::MIN] {
            let lease = coordination::Lease {
                spec: Some(LeaseSpec {
                    holder_identity: Some(String::new()),
                    lease_duration_seconds: Some(seconds),
                    ..LeaseSpec::default()
                }),
                ..coordination::Lease::default()
            };
            assert_eq!(Seen::from(&lease), Seen { holder: None, duration: None, version: None });
        }
    }

    #[test]
    fn a_holder_stops_writing_before_anyone_takes_over() {
        let times = Times::default();
        assert!(times.renew_every + times.call < times.deadline, "one renewal may fail");
        assert!(times.deadline < times.duration);
    }
}
