//! What is wrong between the controller and each cluster right now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::lock::lock;
use crate::tape::{Call, Life, Site};

/// How packets fare on the way to one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// They arrive.
    #[default]
    Open,
    /// Connections are refused, and those that stand break.
    Refused,
    /// They vanish both ways. What was sent arrives if that ends before the kernel gives up
    /// (`atoll::worker::timing::UNACKNOWLEDGED`).
    BlackHole,
    /// Requests arrive, answers vanish.
    OneWay,
    /// The API server's process is paused: requests wait at its door, however long, and are carried out when it goes on.
    Asleep,
    /// Each request takes so much longer.
    Slow(Duration),
}

/// How watches fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watching {
    /// Events arrive at once.
    #[default]
    Flow,
    /// The connection stands and nothing comes.
    Stall,
    /// Each event comes so much later.
    Lag(Duration),
}

/// Something that befalls one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    /// Which requests count.
    pub which: Which,
    /// How many of them pass first.
    pub skip: u64,
    /// How many it befalls.
    pub times: u64,
    /// What befalls it.
    pub how: How,
}

/// Which requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// All.
    Any,
    /// Gets and lists.
    Read,
    /// Lists alone.
    List,
    /// Watches alone.
    Watch,
    /// All that change something.
    Write,
    /// Writes but leases and events.
    Step,
    /// Creates.
    Create,
    /// Deletes.
    Delete,
    /// Leases.
    Lease,
}

/// What befalls a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// The connection breaks before it arrives.
    Refuse,
    /// It vanishes.
    Drop,
    /// It arrives so many milliseconds later.
    Delay(u64),
    /// The API server answers with this status, and does nothing.
    Status(u16),
    /// The same, and asks to come again in an hour.
    TooMany,
    /// It is carried out; the answer vanishes.
    LoseReply,
    /// It is carried out; the connection breaks before the answer.
    BreakReply,
    /// It is carried out; the answer is garbage.
    Corrupt,
}

/// What is wrong. Cheap to clone, the same behind all clones.
#[derive(Clone, Default)]
pub struct Weather(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    sites: BTreeMap<Site, Local>,
    /// What befalls one life alone.
    lives: BTreeMap<(Life, Site), Way>,
    /// API servers that do not run.
    down: BTreeSet<Site>,
    /// Befall requests to any cluster.
    shots: Vec<Shot>,
}

#[derive(Default)]
struct Local {
    way: Way,
    watching: watch::Sender<Watching>,
    /// Counts up each time that all connections break.
    breaks: watch::Sender<u64>,
    shots: Vec<Shot>,
}

impl Weather {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut lock(&self.0))
    }

    fn at<T>(&self, site: &Site, work: impl FnOnce(&mut Local) -> T) -> T {
        self.with(|inner| work(inner.sites.entry(site.clone()).or_default()))
    }

    /// Sets how packets fare.
    pub fn set(&self, site: &Site, way: Way) {
        self.at(site, |local| {
            local.way = way;
            if way == Way::Refused {
                local.breaks.send_modify(|count| *count += 1);
            }
            // Whoever waits for better weather looks again.
            local.watching.send_modify(|_| {});
        });
    }

    /// Sets how packets of one life alone fare.
    pub fn set_for(&self, life: Life, site: &Site, way: Way) {
        self.with(|inner| {
            inner.lives.insert((life, site.clone()), way);
        });
        self.at(site, |local| local.watching.send_modify(|_| {}));
    }

    /// How packets of this life fare.
    pub fn way(&self, life: Life, site: &Site) -> Way {
        self.with(|inner| {
            if inner.down.contains(site) {
                return Way::Refused;
            }
            let own = inner.lives.get(&(life, site.clone())).copied();
            own.unwrap_or_else(|| inner.sites.get(site).map_or(Way::Open, |local| local.way))
        })
    }

    /// Sets how watches fare.
    pub fn watching(&self, site: &Site, how: Watching) {
        self.at(site, |local| {
            local.watching.send_replace(how);
        });
    }

    /// Stops or starts an API server. While it does not run, nobody reaches it.
    pub fn power(&self, site: &Site, power: Power) {
        self.with(|inner| match power {
            Power::Off => drop(inner.down.insert(site.clone())),
            Power::On => drop(inner.down.remove(site)),
        });
        self.at(site, |local| local.breaks.send_modify(|count| *count += 1));
    }

    /// Breaks every connection that stands.
    pub fn break_all(&self, site: &Site) {
        self.at(site, |local| local.breaks.send_modify(|count| *count += 1));
    }

    /// Whether an API server runs.
    pub fn is_down(&self, site: &Site) -> bool {
        self.with(|inner| inner.down.contains(site))
    }

    /// Lets something befall requests to one cluster.
    pub fn shoot(&self, site: &Site, shot: Shot) {
        self.at(site, |local| local.shots.push(shot));
    }

    /// Nothing befalls requests to this cluster any more.
    pub fn relieve(&self, site: &Site) {
        self.at(site, |local| local.shots.clear());
    }

    /// Lets something befall requests, counted over all clusters.
    pub fn shoot_anywhere(&self, shot: Shot) {
        self.with(|inner| inner.shots.push(shot));
    }

    /// What befalls this request.
    pub fn befalls(&self, call: &Call) -> Option<How> {
        self.with(|inner| {
            let local = inner.sites.entry(call.site.clone()).or_default();
            let anywhere = befalls(&mut inner.shots, call);
            befalls(&mut local.shots, call).or(anywhere)
        })
    }

    /// Follows how watches fare, and breaks.
    pub fn follow(&self, site: &Site) -> (watch::Receiver<Watching>, watch::Receiver<u64>) {
        self.at(site, |local| (local.watching.subscribe(), local.breaks.subscribe()))
    }

    /// Everything is well again, and shots that are left are forgotten.
    pub fn clear(&self) {
        self.with(|inner| {
            inner.lives.clear();
            inner.down.clear();
            inner.shots.clear();
            for local in inner.sites.values_mut() {
                local.way = Way::Open;
                local.shots.clear();
                local.watching.send_replace(Watching::Flow);
            }
        });
    }
}

/// Whether an API server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It does.
    On,
    /// It does not.
    Off,
}

fn befalls(shots: &mut Vec<Shot>, call: &Call) -> Option<How> {
    let mut hit = None;
    for shot in shots.iter_mut().filter(|shot| shot.which.is(call)) {
        if shot.skip > 0 {
            shot.skip -= 1;
        } else if hit.is_none() {
            shot.times -= 1;
            hit = Some(shot.how);
        }
    }
    shots.retain(|shot| shot.times > 0);
    hit
}

impl Which {
    fn is(self, call: &Call) -> bool {
        match self {
            Self::Any => true,
            Self::Read => call.verb == "GET",
            Self::List => call.verb == "GET" && call.query.contains("limit="),
            Self::Watch => call.verb == "WATCH",
            Self::Write => call.is_write(),
            Self::Step => call.is_step(),
            Self::Create => call.verb == "POST" && call.is_step(),
            Self::Delete => call.verb == "DELETE",
            Self::Lease => call.path.contains("/leases"),
        }
    }
}
