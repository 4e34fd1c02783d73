//! A look at one database's objects that waits for nobody's watch: what may prove that something is Absent.

use futures::try_join;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Pod, Service},
};
use kube::{Api, Client, Resource as _, api::ListParams};

use super::{
    contact,
    fault::call,
    kept::{Kept, Projected as _},
    legible::Legible,
    projection, timing,
};
use crate::plan::{
    act::Kind,
    database::DatabaseKey,
    labels,
    name::{Namespace, Uid},
    seen::{Meta, Objects, Source},
    sweep::{Possessions, possess},
};

/// Lists everything of the worker of this identity: in the namespace of the record, or wherever it is, where no record says.
pub(super) async fn objects(
    client: &Client,
    identity: &Uid,
    master: &Uid,
    key: &DatabaseKey,
    home: Option<&Namespace>,
) -> Result<Objects, String> {
    let lists = async {
        try_join!(
            list::<Pod>(client, master, key, home),
            list::<PersistentVolumeClaim>(client, master, key, home),
            list::<Service>(client, master, key, home),
            list::<Job>(client, master, key, home),
        )
    };
    let (pods, claims, services, jobs) = proved(client, identity, lists).await?;
    let mut objects = Objects::none(identity.clone(), Source::Live);
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

/// Everything in the worker of this identity with our labels.
pub(super) async fn possessions(client: &Client, identity: &Uid, master: &Uid) -> Result<Possessions, String> {
    let lists = async {
        try_join!(
            owned::<Pod>(client, master),
            owned::<PersistentVolumeClaim>(client, master),
            owned::<Service>(client, master),
            owned::<Job>(client, master),
        )
    };
    let (pods, claims, services, jobs) = proved(client, identity, lists).await?;
    let mut possessions = Possessions::new();
    for (key, kind, meta) in pods.into_iter().chain(claims).chain(services).chain(jobs) {
        possess(&mut possessions, &key, kind, &meta);
    }
    Ok(possessions)
}

async fn owned<K: Kept>(client: &Client, master: &Uid) -> Result<Vec<(DatabaseKey, Kind, Meta)>, String> {
    // An object that does not say whose it is is nobody's.
    let read = |object: &K| Ok(object.owned().map(|(key, seen)| (key, <K as Kept>::KIND, seen.meta().clone())));
    pages(Api::all(client.clone()), &labels::selector(master), read).await
}

/// What a worker lists that shows before and after that it is the one of this identity. Another cluster that begins to answer
/// in its place meanwhile would show that everything is gone.
async fn proved<T>(
    client: &Client,
    identity: &Uid,
    lists: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    same(client, identity).await?;
    let listed = lists.await?;
    same(client, identity).await?;
    Ok(listed)
}

/// Proves that the worker is still the one of this identity.
async fn same(client: &Client, identity: &Uid) -> Result<(), String> {
    let found = contact::identity(client, timing::CALL_DEADLINE).await.map_err(|fault| fault.to_string())?;
    if found != *identity {
        return Err(format!("it is another cluster now (kube-system UID {found}, was {identity})"));
    }
    Ok(())
}

async fn list<K: Kept>(
    client: &Client,
    master: &Uid,
    key: &DatabaseKey,
    home: Option<&Namespace>,
) -> Result<Vec<K::Seen>, String> {
    let api = match home {
        Some(home) => Api::namespaced(client.clone(), home.as_str()),
        None => Api::all(client.clone()),
    };
    // Copies that somebody made are not its own, here as in the watches.
    let own = |object: &K| projection::owner(k8s_openapi::Metadata::metadata(object)).as_ref() == Some(key);
    let read = |object: &K| match object.project() {
        _ if !own(object) => Ok(None),
        Some(seen) => Ok(Some(seen)),
        None => Err(format!("one of its {} has no name or UID", K::PLURAL)),
    };
    pages(api, &labels::database_selector(master, key), read).await
}

async fn pages<K: Kept, T>(
    api: Api<Legible<K>>,
    selector: &str,
    read: impl Fn(&K) -> Result<Option<T>, String>,
) -> Result<Vec<T>, String> {
    let mut params = ListParams::default().labels(selector).limit(timing::PAGE);
    let mut seen = Vec::new();
    loop {
        let page = call(api.list(&params)).await.map_err(|fault| format!("listing its {}: {fault}", K::PLURAL))?;
        for object in &page.items {
            // What cannot be read must not pass for absent.
            let Legible::Read(object) = object else {
                let name = object.meta().name.as_deref().unwrap_or("(without a name)");
                return Err(format!("one of its {} cannot be read: {name}", K::PLURAL));
            };
            seen.extend(read(object)?);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(seen),
        }
    }
}
