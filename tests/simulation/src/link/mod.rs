//! The connection between somebody and a cluster's API server: a `tower` service under `kube::Client`, with weather.

mod stream;
#[cfg(test)]
mod tests;
mod weather;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use apiserver::{ApiServer, Who};
use atoll::{
    engine::HttpRequest,
    worker::{limits::Limits, stack, timing},
};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use rustls::CertificateError;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time::{Instant, sleep, timeout_at},
};

pub use weather::{How, Power, Shot, Watching, Way, Weather, Which};

use crate::{
    addresses::Addresses,
    countdown::Countdown,
    lock::lock,
    tape::{Answer, Call, Event, Life, Party, Site, Tape, verb},
};

/// What comes back.
pub type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// What all links share. Cheap to clone.
#[derive(Clone)]
pub struct Links(Arc<Shared>);

struct Shared {
    tape: Tape,
    weather: Weather,
    servers: Mutex<BTreeMap<Site, ApiServer>>,
    /// Whom the controller's addresses lead to.
    addresses: Addresses,
    random: Mutex<fastrand::Rng>,
    numbers: AtomicU64,
    dead: Mutex<BTreeSet<Life>>,
    crash: Countdown,
    crashed: Notify,
    /// What is on its way goes on, also when its sender is paused.
    world: Option<Handle>,
    /// Who is answered at this moment: in one thread, whoever commits does it for them.
    serving: Mutex<Party>,
}

impl Links {
    /// Links to these servers.
    pub fn new(tape: Tape, weather: Weather, seed: u64) -> Self {
        Self(Arc::new(Shared {
            tape,
            weather,
            servers: Mutex::default(),
            addresses: Addresses::default(),
            random: Mutex::new(fastrand::Rng::with_seed(seed ^ 0x006c_696e_6b73)),
            numbers: AtomicU64::new(0),
            dead: Mutex::default(),
            crash: Countdown::default(),
            crashed: Notify::new(),
            world: Handle::try_current().ok(),
            serving: Mutex::new(Party::Person),
        }))
    }

    /// Puts a server behind an address, and puts its changes on the tape.
    pub fn serve(&self, site: &Site, server: ApiServer) {
        let (links, place) = (Arc::downgrade(&self.0), site.clone());
        server.on_commit(Arc::new(move |commit| {
            let Some(shared) = links.upgrade() else { return };
            let party = *lock(&shared.serving);
            shared.tape.note(Event::Committed(place.clone(), party, Arc::new(commit.clone())));
        }));
        lock(&self.0.servers).insert(site.clone(), server);
    }

    /// Leads the controller, at this address, to another cluster. Connections that stand break.
    pub fn lead(&self, address: &Site, to: &Site) {
        self.0.addresses.lead(address, to);
        self.0.weather.break_all(address);
    }

    /// Which cluster answers the controller at each address.
    pub fn addresses(&self) -> Addresses {
        self.0.addresses.clone()
    }

    /// A client of a cluster.
    pub fn client(&self, party: Party, site: &Site, who: Who) -> Client {
        Client::new(Link { shared: self.0.clone(), party, site: site.clone(), who, proof: Proof::Stands }, "default")
    }

    /// A client of a worker, as the product makes it: within these limits.
    pub fn limited(&self, party: Party, site: &Site, who: Who, proof: Proof, limits: &Arc<Limits>) -> Client {
        let link = Link { shared: self.0.clone(), party, site: site.clone(), who, proof };
        stack::client(link, limits.clone(), "default")
    }

    /// The controller ends after so many steps from now, right after the API server has carried out the last.
    pub fn crash_after(&self, steps: u64) {
        self.0.crash.begin(steps);
    }

    /// Waits until [`Links::crash_after`] has come to its end.
    pub async fn crashed(&self) {
        self.0.crashed.notified().await;
    }

    /// From now on nothing of this life reaches anybody but what is on its way.
    pub fn die(&self, life: Life) {
        lock(&self.0.dead).insert(life);
    }

    fn is_dead(&self, party: Party) -> bool {
        self.0.is_dead(party)
    }

    /// Carries what a member is told to do. It is a step like a write: it may come late or never, its answer may be lost,
    /// and its sender may end right after it.
    pub async fn carry<T: Send + 'static>(
        &self,
        life: Life,
        request: &HttpRequest,
        deliver: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let shared = self.0.clone();
        if shared.is_dead(Party::Controller(life)) {
            return std::future::pending().await;
        }
        let call = Arc::new(Call {
            number: shared.numbers.fetch_add(1, Ordering::Relaxed),
            life,
            site: MEMBERS.into(),
            verb: "POST",
            path: request.path.clone(),
            query: String::new(),
            body: request.body.clone().into(),
        });
        shared.tape.note(Event::Sent(call.clone()));
        let (reply, replied) = oneshot::channel();
        let world = shared.world.clone().unwrap_or_else(Handle::current);
        world.spawn(async move {
            let befalls = shared.weather.befalls(&call);
            if let Some(how) = befalls {
                shared.tape.fault(how.kind(), format!("{how:?} befalls {call}"));
            }
            sleep(shared.latency()).await;
            match befalls {
                Some(How::Refuse | How::Drop | How::Status(_) | How::TooMany) => {
                    shared.tape.note(Event::Answered(call, Answer::Silence));
                    return;
                }
                Some(How::Delay(milliseconds)) => sleep(Duration::from_millis(milliseconds)).await,
                Some(How::LoseReply | How::BreakReply | How::Corrupt) | None => {}
            }
            let answer = deliver.await;
            let lost = matches!(befalls, Some(How::LoseReply | How::BreakReply | How::Corrupt));
            shared.tape.note(Event::Answered(call, if lost { Answer::Lost } else { Answer::Code(200) }));
            if shared.crash.is_over() {
                shared.die_of_step(life);
            } else if !lost {
                // Nobody waits any more.
                let _ = reply.send(answer);
            }
        });
        match replied.await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits as long as a message takes, for a life that lives.
    pub async fn pass(&self, party: Party) {
        if self.is_dead(party) {
            return std::future::pending().await;
        }
        sleep(self.0.latency()).await;
    }
}

/// Where commands go that no API server gets.
pub const MEMBERS: &str = "members";

/// One client's connection.
#[derive(Clone)]
struct Link {
    shared: Arc<Shared>,
    party: Party,
    site: Site,
    who: Who,
    proof: Proof,
}

/// Whether who answers proves to be the API server that the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It does.
    Stands,
    /// Its certificate is of another authority: connections end with the handshake, and nothing is sent.
    Fails,
}

impl tower::Service<Request<Body>> for Link {
    type Response = Reply;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Reply>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let link = self.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let request = Request::from_parts(parts, body);
            match link.party {
                Party::Controller(life) => link.by_controller(life, request).await,
                Party::World | Party::Person => link.by_others(request).await,
            }
        }
        .boxed()
    }
}

impl Link {
    /// The rest of the world has good weather; but an API server that does not run serves nobody.
    async fn by_others(self, request: Request<Bytes>) -> io::Result<Reply> {
        sleep(self.shared.latency()).await;
        if self.shared.weather.is_down(&self.site) {
            return Err(refused());
        }
        let watch = verb(&request) == "WATCH";
        let reply = self.shared.answer(&self, request).ok_or_else(refused)?;
        Ok(if watch { stream::whole(reply, &self.shared.weather, &self.site) } else { reply })
    }

    async fn by_controller(self, life: Life, request: Request<Bytes>) -> io::Result<Reply> {
        if self.shared.is_dead(self.party) {
            return std::future::pending().await;
        }
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed);
        let call = Arc::new(Call::of(number, life, self.site.clone(), &request));
        self.shared.tape.note(Event::Sent(call.clone()));
        // What is sent is on its way, whether or not its sender still waits, or still lives.
        let (reply, replied) = oneshot::channel();
        let world = self.shared.world.clone().unwrap_or_else(Handle::current);
        world.spawn(async move {
            let answered = self.deliver(life, &call, request).await;
            if let Some(answered) = answered {
                // Nobody waits any more.
                let _ = reply.send(answered);
            } else {
                std::future::pending::<()>().await;
            }
        });
        match replied.await {
            Ok(answered) => answered,
            Err(_) => std::future::pending().await,
        }
    }

    /// Brings a request to its server and the answer back. `None`: nobody will ever hear of it again.
    async fn deliver(self, life: Life, call: &Arc<Call>, request: Request<Bytes>) -> Option<io::Result<Reply>> {
        let shared = self.shared.clone();
        let note = |answer| shared.tape.note(Event::Answered(call.clone(), answer));
        let befalls = shared.weather.befalls(call);
        if let Some(how) = befalls {
            shared.tape.fault(how.kind(), format!("{how:?} befalls {call}"));
        }
        let addressee = shared.addresses.behind(&self.site);
        sleep(shared.latency()).await;
        if let Some(How::Delay(milliseconds)) = befalls {
            sleep(Duration::from_millis(milliseconds)).await;
        }
        let sent = Instant::now();
        let one_way = match self.wait_for_passage(life, sent).await {
            Passage::Open => false,
            Passage::OneWay => true,
            Passage::Refused => {
                note(Answer::Refused);
                return Some(Err(refused()));
            }
            Passage::Never => {
                note(Answer::Silence);
                return None;
            }
        };
        match befalls {
            _ if self.proof == Proof::Fails && one_way => {
                note(Answer::Silence);
                return None;
            }
            _ if self.proof == Proof::Fails => {
                note(Answer::Refused);
                return Some(Err(io::Error::other(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))));
            }
            Some(How::Refuse) => {
                note(Answer::Refused);
                return Some(Err(refused()));
            }
            Some(How::Drop) => {
                note(Answer::Silence);
                return None;
            }
            Some(How::Status(code)) => {
                note(Answer::Code(code));
                return Some(Ok(status(code, None)));
            }
            Some(How::TooMany) => {
                note(Answer::Code(429));
                return Some(Ok(status(429, Some(3_600))));
            }
            _ => {}
        }
        // What was sent on a connection to one cluster never reaches another.
        if shared.addresses.behind(&self.site) != addressee {
            note(Answer::Refused);
            return Some(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
        }
        let watch = call.verb == "WATCH";
        let Some(reply) = shared.answer(&self, request) else {
            note(Answer::Refused);
            return Some(Err(refused()));
        };
        let code = reply.status().as_u16();
        let answer = match befalls {
            _ if one_way => Answer::Lost,
            Some(How::LoseReply | How::BreakReply) => Answer::Lost,
            Some(How::Corrupt) => Answer::Corrupt,
            _ => Answer::Code(code),
        };
        note(answer);
        if call.is_step() && code < 400 && shared.crash.is_over() {
            shared.die_of_step(life);
            return None;
        }
        match (answer, befalls) {
            (Answer::Lost, Some(How::BreakReply)) => Some(Err(io::Error::from(io::ErrorKind::ConnectionReset))),
            (Answer::Lost, _) => None,
            (Answer::Corrupt, _) => Some(Ok(garbage(code))),
            _ if watch => Some(Ok(stream::weathered(reply, &shared.weather, &self.site, life))),
            _ => Some(Ok(reply)),
        }
    }

    /// Waits until the packets of a request arrive, or never will.
    async fn wait_for_passage(&self, life: Life, sent: Instant) -> Passage {
        let (mut changes, _) = self.shared.weather.follow(&self.site);
        loop {
            changes.mark_unchanged();
            match self.shared.weather.way(life, &self.site) {
                Way::Open => return Passage::Open,
                Way::OneWay => return Passage::OneWay,
                Way::Refused => return Passage::Refused,
                Way::Slow(by) => {
                    sleep(by).await;
                    return Passage::Open;
                }
                Way::Asleep => {
                    let _ = changes.changed().await;
                }
                Way::BlackHole => {
                    if timeout_at(sent + timing::UNACKNOWLEDGED, changes.changed()).await.is_err() {
                        return Passage::Never;
                    }
                }
            }
        }
    }
}

enum Passage {
    Open,
    OneWay,
    Refused,
    Never,
}

impl Shared {
    fn latency(&self) -> Duration {
        Duration::from_micros(lock(&self.random).u64(500..4_000))
    }

    fn is_dead(&self, party: Party) -> bool {
        matches!(party, Party::Controller(life) if lock(&self.dead).contains(&life))
    }

    fn answer(&self, link: &Link, request: Request<Bytes>) -> Option<Reply> {
        let site = match link.party {
            Party::Controller(_) => self.addresses.behind(&link.site),
            Party::World | Party::Person => link.site.clone(),
        };
        let server = lock(&self.servers).get(&site).cloned()?;
        *lock(&self.serving) = link.party;
        let reply = server.answer(&link.who, request);
        *lock(&self.serving) = Party::Person;
        let (parts, body) = reply.into_parts();
        Some(Response::from_parts(parts, body.map_err(io::Error::other).boxed_unsync()))
    }

    fn die_of_step(&self, life: Life) {
        lock(&self.dead).insert(life);
        self.crashed.notify_one();
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")
}

fn body(bytes: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A refusal as an overloaded or broken API server, or a proxy before it, gives it.
fn status(code: u16, retry_after: Option<u64>) -> Reply {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        _ => "Unknown",
    };
    let text = serde_json::json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "simulated", "reason": reason, "code": code });
    let mut reply = Response::new(body(text.to_string()));
    *reply.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        reply.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    reply
}

fn garbage(code: u16) -> Reply {
    let mut reply = Response::new(body(&b"{\"kind\":\"Po\xff\xfe]]"[..]));
    *reply.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
    reply
}

impl How {
    /// For figures.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Refuse => "request refused",
            Self::Drop => "request dropped",
            Self::Delay(_) => "request delayed",
            Self::Status(_) | Self::TooMany => "error status",
            Self::LoseReply | Self::BreakReply => "reply lost",
            Self::Corrupt => "reply corrupt",
        }
    }
}
