//! What has befallen a database that nobody but a person, or a later version, can mend; it need only be told.

use serde_json::Value;

use super::{
    Truth,
    look::{
        self, Stage, all, annotation, called, condition, engine_id, home, is_deleting, member, members, name,
        namespace, object, owner, part, record, recorded, site_of, stage, text, uid, votes,
    },
    request::{CLAIMS, NAMESPACES, PARTS, SERVICES},
    sight::majority,
};
use crate::{etcd::ClusterId, tape::Site};

/// What has befallen a database that only a person, or a later version, can mend: whom, and what.
pub fn damage(truth: &Truth, database: &Value) -> Vec<(String, String)> {
    let nobody = String::new;
    let refused = condition(database, "Accepted").0 == "False";
    let refused = refused.then(|| (nobody(), "its manifest is not accepted".to_owned()));
    let found: Vec<_> = match record(database) {
        None if refused.is_some() => Vec::new(),
        None => {
            let old = truth.servers.keys().find_map(|site| leftover(truth, site, database));
            old.into_iter().map(|old| (nobody(), old)).collect()
        }
        Some(record) => {
            let joins = |member: &Value| {
                part(member) == "joining" && matches!(founded_in(truth, database, member), Some(Err(_)))
            };
            let why = |member| hurt(truth, database, member).or_else(|| elsewhere(truth, member));
            let hurt: Vec<_> = members(record)
                .filter(|member| votes(member) || joins(member))
                .filter_map(|member| Some((text(member, "/name").to_owned(), why(member)?)))
                .collect();
            if mended(truth, database, record, &hurt) { Vec::new() } else { hurt }
        }
    };
    refused.into_iter().chain(never_founded(truth, database)).chain(found).collect()
}

/// Volumes that were taken over by a person's word, and on which nobody has ever founded: nothing is founded over them.
fn never_founded(truth: &Truth, database: &Value) -> Vec<(String, String)> {
    let taken_over = record(database).filter(|_| !annotation(database, "atoll.dev/adopt").is_empty());
    let cluster = taken_over.and_then(|record| engine_id(text(record, "/stage/cluster"))).map(ClusterId);
    let (Some(record), Some(cluster)) = (taken_over, cluster) else { return Vec::new() };
    if truth.etcds.foundings().iter().any(|founding| founding.cluster_id == cluster) {
        return Vec::new();
    }
    let why = || "what was taken over has never served".to_owned();
    members(record).map(|member| (text(member, "/name").to_owned(), why())).collect()
}

/// Whether those who are left replace those who are hurt, or are told where they are now: where a majority can decide it,
/// which there is only once the database has served.
fn mended(truth: &Truth, database: &Value, record: &Value, hurt: &[(String, String)]) -> bool {
    let voters = members(record).filter(|member| votes(member)).count();
    let here = |called: &String| {
        recorded(record, called)
            .is_some_and(|of| matches!(founded_in(truth, database, of), Some(Ok(_))) && elsewhere(truth, of).is_none())
    };
    let lost = |called: &String| recorded(record, called).is_some_and(|of| volume_gone(truth, database, of).is_some());
    // Where the only one is, it tells itself.
    if voters == 1 && hurt.iter().all(|(called, _)| here(called) && !lost(called)) {
        return true;
    }
    let can_grow = !text(record, "/runs/version").starts_with("3.5.6");
    let has_served = stage(record) >= Some(Stage::Founded);
    has_served
        && voters >= 3
        && can_grow
        && voters - hurt.len() >= majority(voters)
        && hurt.iter().all(|(called, _)| here(called))
}

/// What stands in a cluster under the name of a database without a record.
fn leftover(truth: &Truth, site: &str, database: &Value) -> Option<String> {
    let label = |part: &Value, key: &str| look::label(part, key).to_owned();
    let mut parts = PARTS.into_iter().flat_map(|resource| all(truth, site, resource));
    let part = parts.find(|part| {
        label(part, atoll::plan::labels::DATABASE_NAME) == name(database)
            && label(part, atoll::plan::labels::DATABASE_NAMESPACE) == namespace(database)
            && owner(part) != uid(database)
    })?;
    Some(format!("{} in {site} is left of an earlier database of its name", called(&part)))
}

/// Where a member was founded, as long as it could be there again; or why it could not.
fn founded_in<'a>(truth: &'a Truth, database: &Value, recorded: &Value) -> Option<Result<&'a Site, String>> {
    let (called, identity) = (text(recorded, "/name"), text(recorded, "/workerIdentity"));
    if identity.is_empty() {
        return None;
    }
    let Some(site) = site_of(truth, identity) else {
        return Some(Err(format!("the cluster of {called} is no more")));
    };
    let home = home(database, recorded);
    let gone = object(truth, site, NAMESPACES, "", home).is_none_or(|namespace| is_deleting(&namespace));
    Some(if gone { Err(format!("namespace {home} of {called} in {site} is gone")) } else { Ok(site) })
}

/// Why a member is out of sight for good, where the registration of its worker leads to another cluster than it is in: a
/// person points it back.
pub fn elsewhere(truth: &Truth, recorded: &Value) -> Option<String> {
    let (called, worker, own) = (text(recorded, "/name"), text(recorded, "/worker"), text(recorded, "/workerIdentity"));
    let registration = look::worker(truth, worker)?;
    let leads_to = text(&registration, "/status/identity");
    let differs = !own.is_empty() && !leads_to.is_empty() && own != leads_to;
    differs.then(|| format!("the registration of {worker} leads to another cluster than {called} is in"))
}

/// Whether what is refused is refused until a person does something: there is nowhere to put it.
pub fn any_homeless(truth: &Truth, database: &Value) -> bool {
    let homeless = |member| matches!(founded_in(truth, database, member), Some(Err(_)));
    record(database).is_some_and(|record| members(record).any(homeless))
}

fn volume_gone(truth: &Truth, database: &Value, recorded: &Value) -> Option<String> {
    let (called, volume) = (text(recorded, "/name"), text(recorded, "/volume"));
    let site = founded_in(truth, database, recorded)?.ok()?;
    if volume.is_empty() {
        return None;
    }
    let claims = all(truth, site, CLAIMS);
    let claim = claims.iter().find(|claim| uid(claim) == volume);
    let gone = claim.is_none_or(|claim| is_deleting(claim) || text(claim, "/status/phase") == "Lost");
    gone.then(|| format!("the volume of {called} in {site} is gone"))
}

fn hurt(truth: &Truth, database: &Value, recorded: &Value) -> Option<String> {
    let called = text(recorded, "/name");
    let site = match founded_in(truth, database, recorded)? {
        Ok(site) => site,
        Err(why) => return Some(why),
    };
    if let Some(why) = volume_gone(truth, database, recorded) {
        return Some(why);
    }
    // It has a place, and nothing more yet.
    if text(recorded, "/volume").is_empty() {
        return None;
    }
    let host = text(recorded, "/peer").rsplit_once(':').map_or("", |(host, _)| host);
    let services = all(truth, site, SERVICES);
    let own: Vec<_> =
        services.iter().filter(|service| member(service) == called && owner(service) == uid(database)).collect();
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let leads = |service: &&Value| {
        let ingress = &service["status"]["loadBalancer"]["ingress"][0];
        [text(service, "/spec/clusterIP"), text(ingress, "/ip"), text(ingress, "/hostname")].contains(&host)
    };
    let by_address = own.iter().filter(|service| text(service, "/spec/type") != "NodePort").map(|service| &***service);
    let mut by_address = by_address.peekable();
    (is_address && by_address.peek().is_some() && !by_address.any(|service| leads(&service)))
        .then(|| format!("the address of {called}, {host}, leads to no service any more"))
}
