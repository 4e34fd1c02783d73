//! P2: no hot loop. The same request is not sent again and again without a pause.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::{Check, Truth};
use crate::tape::Event;

/// Within this time …
const WITHIN: Duration = Duration::from_secs(10);
/// … at most so many of the same request.
const MOST: u32 = 200;

/// See the module.
#[derive(Default)]
pub struct Pace {
    counts: BTreeMap<u64, (Duration, u32)>,
}

impl Check for Pace {
    fn name(&self) -> &'static str {
        "P2 pace"
    }

    fn see(&mut self, now: Duration, event: &Event, _: &Truth) -> Result<(), String> {
        let Event::Sent(call) = event else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        (&call.site, call.verb, &call.path).hash(&mut hasher);
        let (since, count) = self.counts.entry(hasher.finish()).or_insert((now, 0));
        if now.saturating_sub(*since) > WITHIN {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        // Said once for each stretch of time.
        if *count != MOST + 1 {
            return Ok(());
        }
        let took = now.saturating_sub(*since).as_secs_f64();
        Err(format!("{call}: this is the {count}th time in {took:.1} s"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Scene, seconds};

    #[test]
    fn what_is_repeated_without_a_pause_is_told_once() {
        for (pause, fine) in [(Duration::from_millis(5), false), (seconds(1), true)] {
            let (mut scene, mut check) = (Scene::new(), Pace::default());
            let mut told = 0;
            for _ in 0..400 {
                scene.now += pause;
                let sent = scene.sends(1, "master", "PUT", "/apis/a/v1/things/b/status", &json!({}));
                told += u32::from(scene.see(&mut check, &sent).is_err());
            }
            assert_eq!(told, u32::from(!fine), "{pause:?}");
        }
    }
}
