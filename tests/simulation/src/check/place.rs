//! D3: one object of a role. A member's pod, and its volume, stand in one cluster only.

use std::time::Duration;

use super::{
    Check, Truth,
    look::{all, called, is_deleting, member, name, owner},
    request::{CLAIMS, PODS},
};
use crate::tape::{Event, Party};

/// See the module.
pub struct OnePlace;

impl Check for OnePlace {
    fn name(&self) -> &'static str {
        "D3 one place"
    }

    fn see(&mut self, _: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        let Event::Committed(site, Party::Controller(life), commit) = event else { return Ok(()) };
        let resource = commit.place.resource.as_str();
        let (None, Some(made)) = (&commit.before, &commit.after) else { return Ok(()) };
        if ![PODS, CLAIMS].contains(&resource) || member(made).is_empty() {
            return Ok(());
        }
        for other in truth.servers.keys().filter(|other| *other != site) {
            let same = all(truth, other, resource).into_iter().find(|there| {
                name(there) == name(made) && owner(there) == owner(made) && member(there) == member(made)
            });
            if let Some(there) = same.filter(|there| !is_deleting(there)) {
                return Err(format!(
                    "{life} makes {} {} in {site}; it is in {other} already",
                    commit.place.resource,
                    called(&there)
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::Scene;

    #[test]
    fn a_member_is_made_in_one_cluster() {
        let mut scene = Scene::new();
        let (one, other) = (scene.database("a", "founding"), scene.database("b", "founding"));
        let path = "/api/v1/namespaces/default/pods";
        for (site, database, n, fine) in
            [("w1", &one, 0, true), ("w2", &one, 1, true), ("w2", &other, 0, true), ("w2", &one, 0, false)]
        {
            let pod = scene.pod(database, n, &[]);
            let events = scene.does(1, site, "POST", path, &pod);
            let verdict = events.iter().try_for_each(|event| scene.see(&mut OnePlace, event));
            assert_eq!(verdict.is_ok(), fine, "{site} {n}: {verdict:?}");
        }
    }
}
