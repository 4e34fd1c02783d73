//! S11: the controller deletes no namespace, and makes none again in which a database's data was.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    Check, Truth,
    look::{MASTER, Stage, all, called, home, identity, members, name, namespace, record, stage, text},
    ownership::made,
    request::{DATABASES, NAMESPACES, Request},
};
use crate::tape::Event;

/// See the module.
pub struct Namespaces;

impl Check for Namespaces {
    fn name(&self) -> &'static str {
        "S11 namespaces"
    }

    fn see(&mut self, _: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        if let Event::Sent(call) = event
            && call.verb == "DELETE"
            && Request::of(&call.path).is_some_and(|request| request.resource == NAMESPACES)
        {
            return Err(format!("{call}: the controller deletes no namespaces"));
        }
        let Some((call, wanted)) = made(event, NAMESPACES) else { return Ok(()) };
        let site = truth.addresses.behind(&call.site);
        let here = identity(truth, &site).unwrap_or_default();
        let databases = all(truth, MASTER, DATABASES);
        let inside = |database: &&Arc<Value>| {
            let mut recorded = record(database).into_iter().flat_map(members);
            namespace(database) == name(&wanted) || recorded.any(|member| home(database, member) == name(&wanted))
        };
        let inside = || databases.iter().filter(inside);
        // One that has no data yet may need it.
        if inside().any(|database| record(database).and_then(stage).is_none_or(|stage| stage == Stage::Placed)) {
            return Ok(());
        }
        let held = inside().find_map(|database| {
            let lives =
                |member: &&Value| text(member, "/workerIdentity") == here && home(database, member) == name(&wanted);
            let member = members(record(database)?).find(lives)?;
            Some((called(database), text(member, "/name").to_owned()))
        });
        match held {
            None => Ok(()),
            Some((database, member)) => Err(format!(
                "{} makes namespace {} in {site} again, which held the data of {member} of database {database}",
                call.life,
                name(&wanted)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::Scene;

    #[test]
    fn a_namespace_is_made_only_for_a_database_without_data() {
        for (stage, fine) in [("placed", true), ("established", false)] {
            let mut scene = Scene::new();
            scene.database("a", stage);
            let namespace = json!({ "metadata": { "name": "default" } });
            for (site, fine) in [("w1", fine), ("w3", true)] {
                let sent = scene.sends(1, site, "POST", "/api/v1/namespaces", &namespace);
                let verdict = scene.see(&mut Namespaces, &sent);
                assert_eq!(verdict.is_ok(), fine, "{stage} {site}: {verdict:?}");
            }
        }
    }

    #[test]
    fn a_namespace_is_never_deleted() {
        let mut scene = Scene::new();
        let sent = scene.sends(1, "w1", "DELETE", "/api/v1/namespaces/default", &json!({}));
        scene.see(&mut Namespaces, &sent).expect_err("never");
    }
}
