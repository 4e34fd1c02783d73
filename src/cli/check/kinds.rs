//! The CRDs in the master: are they there, ours, up to date, and served?

use futures::future::join_all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::Value;

use super::finding::Finding;
use crate::{
    controller::claim::{Standing, judge},
    dialect::{crds, k8scluster::K8sCluster},
    worker::fault::{Fault, call},
};

/// One of Atoll's CRDs in the master.
#[derive(Debug)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// Whether Atoll serves it here.
    pub served: bool,
    /// What to say of it.
    pub finding: Finding,
}

/// Whose CRDs are ours, and which of them are not to be served.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The installation.
    pub installation: &'a str,
    /// The names of CRDs whose dialects are disabled.
    pub disabled: &'a [String],
}

/// Looks at all of them.
pub async fn look(client: &Client, who: Who<'_>) -> Vec<Kind> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let api = &api;
    let looks = crds().into_iter().map(|ours| async move {
        let there = call(api.get_opt(&ours.name_any())).await;
        kind(&ours, there.as_ref().map(Option::as_ref), who)
    });
    join_all(looks).await
}

fn kind(ours: &CustomResourceDefinition, there: Result<Option<&CustomResourceDefinition>, &Fault>, who: Who) -> Kind {
    let name = ours.name_any();
    let there = match there {
        Ok(there) => there,
        Err(fault) => {
            let finding = Finding::amiss(format!("{name}: cannot be read: {fault}"));
            return Kind { name, served: true, finding };
        }
    };
    let what = format!("{} ({})", ours.spec.names.kind, ours.spec.group);
    let standing = judge(there, who.installation);
    if who.disabled.contains(&name) {
        let finding = Finding::note(format!("{name}: {standing}. {what} is not served: --disable-dialects says so"));
        return Kind { name, served: false, finding };
    }
    let served = standing == Standing::Ours;
    let finding = match (standing, there) {
        (Standing::Foreign { who }, _) if ours.spec.group == K8sCluster::group(&()) => {
            Finding::amiss(format!("{name}: {who}'s. No worker can be registered here, so no database is served"))
                .remedy("Atoll and that operator cannot share a master: run Atoll in another cluster")
        }
        (Standing::Foreign { who }, _) => Finding::amiss(format!(
            "{name}: {who}'s. {what} is not served here, neither watched nor written; the other kinds are"
        ))
        .remedy(
            "if that is meant, --disable-dialects says so, here and to `atoll run`. If it is to be served: remove the \
             other operator with its CRD, then `atoll crds apply`",
        ),
        (Standing::Missing, _) | (_, None) => Finding::amiss(format!("{name}: missing. {what} is not served"))
            .remedy("install it with `atoll crds apply`, or by `helm upgrade`"),
        (Standing::Ours, Some(there)) => state(&name, ours, there),
    };
    Kind { name, served, finding }
}

/// One that is ours.
fn state(name: &str, ours: &CustomResourceDefinition, there: &CustomResourceDefinition) -> Finding {
    if there.metadata.deletion_timestamp.is_some() {
        return Finding::amiss(format!("{name}: being deleted. Its databases and their data are held until confirmed"))
            .remedy(
                "if that was not meant: annotate each database with atoll.dev/keep-data=<its UID>, let the CRD go, \
                 `atoll crds apply`, and create the databases again: they take over what is there",
            );
    }
    if let Some(why) = unestablished(there) {
        return Finding::amiss(format!("{name}: ours, but the API server does not serve it: {why}"))
            .remedy("another CRD uses one of its names: see `kubectl get crd`");
    }
    match stale(ours, there) {
        Some(path) => Finding::amiss(format!("{name}: ours, but not of this version of atoll (it differs at {path})"))
            .remedy(
                "`atoll crds apply` with the newer of the two: this program, or the one of the installation \
                 (`kubectl get deploy -A -l app.kubernetes.io/name=atoll -o wide`)",
            ),
        None => Finding::fine(format!("{name}: ours, up to date")),
    }
}

fn unestablished(there: &CustomResourceDefinition) -> Option<String> {
    let conditions = there.status.as_ref()?.conditions.as_ref()?;
    let condition =
        |kind: &str| conditions.iter().find(|condition| condition.type_ == kind && condition.status != "True");
    let condition = condition("NamesAccepted").or_else(|| condition("Established"))?;
    Some(condition.message.clone().unwrap_or_else(|| format!("condition {} is {}", condition.type_, condition.status)))
}

/// Where the CRD that is there differs from the one that this program would install.
fn stale(ours: &CustomResourceDefinition, there: &CustomResourceDefinition) -> Option<String> {
    let (Ok(ours), Ok(there)) = (serde_json::to_value(&ours.spec), serde_json::to_value(&there.spec)) else {
        return Some("spec".to_owned());
    };
    differs("spec", &ours, &there)
}

/// API servers add fields with their defaults, and drop those that are empty. Apart from that, the two must be equal;
/// and of a schema's `properties` no further ones may be there.
fn differs(path: &str, ours: &Value, there: &Value) -> Option<String> {
    match (ours, there) {
        (Value::Object(ours), Value::Object(there)) => {
            let closed = path.ends_with(".properties");
            let extra = there.keys().find(|key| closed && !ours.contains_key(*key));
            extra.map(|key| format!("{path}.{key}")).or_else(|| {
                ours.iter().find_map(|(key, ours)| {
                    differs(&format!("{path}.{key}"), ours, there.get(key).unwrap_or(&Value::Null))
                })
            })
        }
        (Value::Array(ours), Value::Array(there)) if ours.len() == there.len() => {
            let mut pairs = ours.iter().zip(there).enumerate();
            pairs.find_map(|(at, (ours, there))| differs(&format!("{path}[{at}]"), ours, there))
        }
        (ours, Value::Null) if is_empty(ours) => None,
        (ours, there) => (ours != there).then(|| path.to_owned()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
    }
}

#[cfg(test)]
#[path = "kinds_tests.rs"]
mod tests;
