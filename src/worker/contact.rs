//! The first words with a cluster: which one is it, and of what version?

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

use super::{
    fault::{Fault, within},
    timing,
};
use crate::plan::name::Uid;

/// Which cluster answers: the UID of its kube-system namespace.
pub async fn identity(client: &Client, deadline: Duration) -> Result<Uid, Fault> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = within(deadline, namespaces.get("kube-system")).await?;
    match namespace.metadata.uid {
        Some(uid) => Ok(Uid::new(uid)),
        None => Err(Fault::Unreadable("namespace kube-system has no UID".to_owned())),
    }
}

/// The version of its API server. Some clusters hide it; nothing but a column depends on it.
pub async fn version(client: &Client) -> Result<String, Fault> {
    match within(timing::CALL_DEADLINE, client.apiserver_version()).await {
        Ok(version) => Ok(version.git_version),
        Err(fault) if fault.status().is_some() => Ok("unknown".to_owned()),
        Err(fault) => Err(fault),
    }
}
