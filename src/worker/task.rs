//! The life of one worker: connect, verify, watch, probe; over and over. One task each, so that no worker ever waits
//! for another.

use std::{sync::Arc, time::Duration};

use futures::future::join4;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Pod, Service},
};
use kube::{Api, Client};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    access,
    connect::Connection,
    contact::{self, identity},
    fault::Fault,
    identity::Verdict,
    kept::Kept,
    legible::Legible,
    pool::{Notice, Shared},
    registration::{Access, Registration},
    show::Show,
    slot::{Slot, trouble},
    timing,
    watch::{Scope, follow},
};
use crate::{
    dialect::k8scluster::{
        health::{Contact, Health, Protocol, Rights, Trouble},
        permission,
    },
    plan::labels,
};

/// One connection that was proved to lead to the right cluster.
struct Session {
    client: Client,
    contact: Contact,
}

/// Lives until its registration is forgotten.
pub(super) async fn live(shared: Arc<Shared>, slot: Arc<Slot>, mut registered: watch::Receiver<Arc<Registration>>) {
    // With the registration that it proved: there may be a newer one by now, which is tried then.
    let mut renewed: Option<(Session, Arc<Registration>)> = None;
    loop {
        let (proved, registration) = match renewed.take() {
            Some((session, registration)) => (Some(session), registration),
            None => (None, registered.borrow_and_update().clone()),
        };
        let session = match (proved, &registration.access) {
            (Some(session), _) => Ok(session),
            // Time mends neither: only another registration does.
            (None, Access::Pending | Access::Refused(_)) => {
                if let Access::Refused(trouble) = &registration.access {
                    slot.wrong(trouble);
                }
                if registered.changed().await.is_err() {
                    return;
                }
                continue;
            }
            (None, Access::Credentials(_)) => tokio::select! {
                tried = enter(&shared, &slot, &registration, patience(&slot)) => tried,
                changed = registered.changed() => if changed.is_err() { return } else { continue },
            },
        };
        match session {
            Ok(session) => match stay(&shared, &slot, &registration, session, &mut registered).await {
                End::Forgotten => return,
                End::Renewed(session, registration) => {
                    renewed = Some((*session, registration));
                    continue;
                }
                End::Lost(trouble) => tell(&shared, &slot, &trouble),
            },
            Err(trouble) => tell(&shared, &slot, &trouble),
        }
        tokio::select! {
            () = sleep(timing::retry(slot.name().as_str(), slot.failures(), slot.limits.held())) => {}
            changed = registered.changed() => if changed.is_err() { return },
        }
    }
}

/// Says what is wrong, and asks for the credentials to be read again where that may help.
fn tell(shared: &Shared, slot: &Slot, trouble: &Trouble) {
    if matches!(trouble, Trouble::Unauthorized(_)) {
        shared.notice(Notice::Unauthorized(slot.name().clone()));
    }
    if trouble.may_pass() { slot.lost(trouble) } else { slot.wrong(trouble) }
}

/// How long to wait for a first answer: whoever people still believe to be well is given up as fast as by a probe.
fn patience(slot: &Slot) -> Duration {
    match slot.health() {
        Health::Up(_) => timing::PROBE_DEADLINE,
        Health::Connecting | Health::Down(_) => timing::CALL_DEADLINE,
    }
}

/// Connects, and proves that this is the cluster that was registered.
async fn enter(
    shared: &Shared,
    slot: &Slot,
    registration: &Registration,
    patience: Duration,
) -> Result<Session, Trouble> {
    let credentials = match &registration.access {
        Access::Credentials(credentials) => credentials,
        Access::Refused(trouble) => return Err(trouble.clone()),
        Access::Pending => return Err(Trouble::SecretNotFound("its Secret is still being read".to_owned())),
    };
    let Connection { client, spoken } = shared
        .connect
        .connect(&registration.name, credentials, &slot.limits)
        .map_err(|error| Trouble::InvalidKubeconfig(error.to_string()))?;
    let reach = |fault: Fault| trouble(&fault, &format!("connecting to {}", credentials.server()));
    let found = identity(&client, patience).await.map_err(reach)?;
    shared.verify(registration, &found)?;
    // The master under another name: its own client, which needs no credentials that could expire.
    let client = if found == shared.master.uid { shared.master.client.clone() } else { client };
    let version = contact::version(&client).await.map_err(reach)?;
    let rights = access::rights(&client).await;
    // kube's own client, which the master is spoken to by, knows HTTP/1.1 only.
    let protocol =
        if found == shared.master.uid { Protocol::Http1 } else { spoken.protocol().unwrap_or(Protocol::Http1) };
    let contact = Contact { protocol, rights, ..Contact::new(found, version) };
    Ok(Session { client, contact })
}

/// Why a session ended.
enum End {
    Forgotten,
    Renewed(Box<Session>, Arc<Registration>),
    Lost(Trouble),
}

/// Watches and probes until contact is lost or other credentials have proved themselves.
async fn stay(
    shared: &Shared,
    slot: &Arc<Slot>,
    registration: &Registration,
    session: Session,
    registered: &mut watch::Receiver<Arc<Registration>>,
) -> End {
    slot.limits.other_credentials();
    slot.up(session.client.clone(), session.contact.clone());
    let watches = join4(
        show::<Pod>(shared, slot, &session),
        show::<PersistentVolumeClaim>(shared, slot, &session),
        show::<Service>(shared, slot, &session),
        show::<Job>(shared, slot, &session),
    );
    tokio::select! {
        _ = watches => End::Lost(Trouble::Unreachable("its watches ended".to_owned())),
        trouble = probe(shared, slot, registered, &session) => End::Lost(trouble),
        end = renew(shared, slot, registration, &session.contact.rights, registered.clone()) => end,
    }
}

async fn show<K: Kept>(shared: &Shared, slot: &Arc<Slot>, session: &Session) {
    let scope = Scope {
        labels: Some(labels::selector(&shared.master.uid)),
        fields: None,
        seconds: session.contact.protocol.watch_seconds(),
    };
    let name = format!("{}/{}", slot.name(), K::PLURAL);
    let show = Show::<K>::new(slot.clone(), session.client.clone(), session.contact.identity.clone());
    follow(&name, Api::<Legible<K>>::all(session.client.clone()), scope, show).await;
}

/// Probes every ten seconds, at once when something looks wrong; answers with what ended it.
async fn probe(
    shared: &Shared,
    slot: &Slot,
    registered: &watch::Receiver<Arc<Registration>>,
    session: &Session,
) -> Trouble {
    let mut reviewed = Instant::now();
    loop {
        let pause =
            if slot.is_on_trial() { timing::PROBE_AGAIN } else { timing::PROBE_EVERY.min(slot.limits.accepted_for()) };
        tokio::select! {
            () = sleep(pause) => {}
            // Several watches break at once when a worker goes: one probe answers for all. One that is overloaded gets
            // no more probes than at rest.
            () = slot.suspicion.notified() => {
                sleep(slot.limits.held().clamp(timing::PROBE_DEADLINE / 10, timing::PROBE_EVERY)).await;
            }
        }
        let found = match identity(&session.client, timing::PROBE_DEADLINE).await {
            Ok(found) => found,
            Err(fault) => return trouble(&fault, "probing"),
        };
        let registration = registered.borrow().clone();
        let same = if found == session.contact.identity {
            shared.verify(&registration, &found)
        } else {
            Err(Trouble::IdentityChanged { pinned: session.contact.identity.clone(), found })
        };
        match same {
            Ok(()) => slot.alive(),
            Err(trouble) => return trouble,
        }
        if slot.was_forbidden() || reviewed.elapsed() > timing::REVIEW_EVERY {
            slot.rights(access::rights(&session.client).await);
            reviewed = Instant::now();
        }
    }
}

/// Waits for other credentials, and proves them before the present ones are let go.
async fn renew(
    shared: &Shared,
    slot: &Slot,
    current: &Registration,
    rights: &Rights,
    mut registered: watch::Receiver<Arc<Registration>>,
) -> End {
    let mut pending = false;
    loop {
        // Credentials that failed to prove themselves are tried again: what they need may come later.
        let wait = if pending { timing::RENEW_EVERY } else { Duration::MAX };
        if let Ok(Err(_)) = timeout(wait, registered.changed()).await {
            return End::Forgotten;
        }
        let next = registered.borrow_and_update().clone();
        let doubt = if next.access == current.access {
            None
        } else {
            match enter(shared, slot, &next, timing::CALL_DEADLINE).await {
                Ok(proved) => match proved.contact.rights.lost_since(rights).as_slice() {
                    [] => return End::Renewed(Box::new(proved), next),
                    lost => Some(Trouble::Forbidden(format!(
                        "the new credentials may not do what those from before may: {}",
                        permission::list(lost)
                    ))),
                },
                Err(trouble) => Some(trouble),
            }
        };
        pending = doubt.is_some();
        slot.doubt(doubt);
    }
}

impl From<Verdict> for Result<(), Trouble> {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ours => Ok(()),
            Verdict::Changed { pinned, found } => Err(Trouble::IdentityChanged { pinned, found }),
            Verdict::DuplicateOf(other) => Err(Trouble::DuplicateOf(other)),
        }
    }
}
