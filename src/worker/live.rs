//! A look at one database's objects that waits for nobody's watch: what may prove that something is Absent.

use futures::try_join;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Pod, Service},
};
use kube::{Api, Client, Resource as _, api::ListParams};

use super::{contact, fault::call, kept::Kept, legible::Legible, projection, timing};
use crate::plan::{
    database::DatabaseKey,
    labels,
    name::{Namespace, Uid},
    seen::{Objects, Source},
};

/// Lists everything, after the worker has shown that it is still the one of this identity: in the namespace of the record,
/// or wherever it is, where no record says.
pub(super) async fn objects(
    client: &Client,
    identity: &Uid,
    master: &Uid,
    key: &DatabaseKey,
    home: Option<&Namespace>,
) -> Result<Objects, String> {
    let found = contact::identity(client, timing::CALL_DEADLINE).await.map_err(|fault| fault.to_string())?;
    if found != *identity {
        return Err(format!("it is another cluster now (kube-system UID {found}, was {identity})"));
    }
    let (pods, claims, services, jobs) = try_join!(
        list::<Pod>(client, master, key, home),
        list::<PersistentVolumeClaim>(client, master, key, home),
        list::<Service>(client, master, key, home),
        list::<Job>(client, master, key, home),
    )?;
    let mut objects = Objects::none(found, Source::Live);
    for seen in pods {
        Pod::put(&mut objects, seen);
    }
    for seen in claims {
        PersistentVolumeClaim::put(&mut objects, seen);
    }
    for seen in services {
        Service::put(&mut objects, seen);
    }
    for seen in jobs {
        Job::put(&mut objects, seen);
    }
    Ok(objects)
}

async fn list<K: Kept>(
    client: &Client,
    master: &Uid,
    key: &DatabaseKey,
    home: Option<&Namespace>,
) -> Result<Vec<K::Seen>, String> {
    let api: Api<Legible<K>> = match home {
        Some(home) => Api::namespaced(client.clone(), home.as_str()),
        None => Api::all(client.clone()),
    };
    let mut params = ListParams::default().labels(&labels::database_selector(master, key)).limit(timing::PAGE);
    let mut seen = Vec::new();
    loop {
        let page = call(api.list(&params)).await.map_err(|fault| format!("listing its {}: {fault}", K::PLURAL))?;
        for object in &page.items {
            // What cannot be read must not pass for absent.
            let name = || object.meta().name.clone().unwrap_or_else(|| "(without a name)".to_owned());
            let unreadable = || format!("one of its {} cannot be read: {}", K::PLURAL, name());
            let Legible::Read(object) = object else { return Err(unreadable()) };
            // Copies that somebody made are not its own, here as in the watches.
            if projection::owner(k8s_openapi::Metadata::metadata(object.as_ref())).as_ref() == Some(key) {
                seen.push(object.project().ok_or_else(unreadable)?);
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(seen),
        }
    }
}
