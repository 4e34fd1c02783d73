//! S14: where nothing happens, nothing is written.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Check, Truth};
use crate::tape::Event;

/// Watches for writes of the controller, from one moment to another. Cheap to clone, the same behind all clones: one goes
/// among the checks of a tape, another one stays with whoever asks.
#[derive(Clone, Default)]
pub struct Quiet(Arc<Mutex<Option<Vec<String>>>>);

impl Quiet {
    /// From now on, nothing should be written.
    pub fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// What was written since, leases and events excepted.
    pub fn end(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

impl Check for Quiet {
    fn name(&self) -> &'static str {
        "S14 quiet"
    }

    fn see(&mut self, now: Duration, event: &Event, _: &Truth) -> Result<(), String> {
        if let Event::Sent(call) = event
            && call.is_step()
            && let Some(written) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        {
            written.push(format!("{:.3} s: {call}", now.as_secs_f64()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::Scene;

    #[test]
    fn what_is_written_in_silence_is_told_afterwards() {
        let (mut scene, quiet) = (Scene::new(), Quiet::default());
        let write = |scene: &mut Scene, path: &str| {
            let sent = scene.sends(1, "master", "PUT", path, &json!({}));
            scene.see(&mut quiet.clone(), &sent).expect("it only listens");
        };
        write(&mut scene, "/apis/a/v1/things/before");
        quiet.begin();
        write(&mut scene, "/apis/coordination.k8s.io/v1/namespaces/atoll-system/leases/atoll");
        assert!(quiet.end().is_empty());
        quiet.begin();
        write(&mut scene, "/apis/a/v1/things/during");
        assert!(quiet.end()[0].contains("during"));
    }
}
