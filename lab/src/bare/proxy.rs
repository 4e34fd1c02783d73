//! The way to a server, which can be made bad while connections are open.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::files::address;
use super::{Overloaded, PORT, Server};
use crate::error::{Context, Result};

/// How the way is. A change concerns connections that are open, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    #[default]
    Pass,
    /// Nobody listens: open connections are reset, new ones refused.
    Refuse,
    /// Connections stand and are made, and nothing gets through, in either direction. What was sent meanwhile
    /// arrives when the mode is another one, as TCP would have it (unless the connection was given up).
    BlackHole,
    /// What clients send arrives, and no answer comes back: writes happen and nobody hears of it.
    /// A connection that is made now stays without a TLS handshake.
    OneWay,
    /// Everything passes late, in both directions.
    Delay(Duration),
    /// Each connection is reset when this many bytes of answers (TLS included) have passed on it, counted from
    /// now, or from when it is made.
    CutAfter(usize),
}

/// A TCP proxy in front of one server. Its tasks run on the runtime in which it was started, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    ip: Ipv4Addr,
    url: String,
    kubeconfig: String,
    setting: watch::Sender<Setting>,
    open: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Clone, Copy, Debug)]
struct Setting {
    mode: Mode,
    target: Ipv4Addr,
    /// Connections of an earlier era are cut.
    era: u64,
    /// Grows with each change of the mode.
    change: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

impl Mode {
    fn lets(self, direction: Direction) -> bool {
        match self {
            Self::Pass | Self::Delay(_) | Self::CutAfter(_) => true,
            Self::Refuse | Self::BlackHole => false,
            Self::OneWay => direction == Direction::ToServer,
        }
    }
}

impl Proxy {
    /// Opens a way to this server, on a loopback address of its own. Must be called within a runtime of tokio.
    pub fn start(server: &Server) -> Result<Self> {
        let mut found = open_one();
        for _ in 0..20 {
            if found.is_err() {
                found = open_one();
            }
        }
        let (ip, listener) = found?;
        let url = format!("https://{ip}:{PORT}");
        let kubeconfig = server.kubeconfig_by(&url)?;
        let (setting, seen) = watch::channel(Setting { mode: Mode::Pass, target: server.ip(), era: 0, change: 0 });
        let open = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(ip, listener, seen, open.clone()));
        Ok(Self { ip, url, kubeconfig, setting, open, task })
    }

    /// Makes the way so from now on. A listener that has to open or close does so within moments.
    pub fn set(&self, mode: Mode) {
        self.setting.send_modify(|setting| {
            setting.mode = mode;
            setting.change += 1;
        });
    }

    /// Resets the open connections, once; new ones pass as the mode says.
    pub fn reset(&self) {
        self.setting.send_modify(|setting| setting.era += 1);
    }

    /// Leads to another server from now on; open connections are reset.
    pub fn lead_to(&self, server: &Server) {
        self.lead(server.ip());
    }

    /// The same, to what answers in place of a server.
    pub fn lead_to_overloaded(&self, overloaded: &Overloaded) {
        self.lead(overloaded.ip());
    }

    fn lead(&self, target: Ipv4Addr) {
        self.setting.send_modify(|setting| {
            setting.target = target;
            setting.era += 1;
        });
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// The address of the way.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (self.ip, PORT).into()
    }

    /// The kubeconfig of the server's administrator, by this way.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn open_one() -> Result<(Ipv4Addr, TcpListener)> {
    let ip = address()?;
    Ok((ip, listen(ip).or_cannot(|| format!("listen at {ip}"))?))
}

fn listen(ip: Ipv4Addr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // The port must be had again at once after a refusal.
    socket.set_reuseaddr(true)?;
    socket.bind((ip, PORT).into())?;
    socket.listen(1024)
}

async fn accept(ip: Ipv4Addr, first: TcpListener, mut seen: watch::Receiver<Setting>, open: Arc<AtomicUsize>) {
    let mut listener = Some(first);
    // Dropped with this task, and all connections with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let refuses = seen.borrow_and_update().mode == Mode::Refuse;
        if refuses {
            listener = None;
        } else if listener.is_none() {
            listener = listen(ip).ok();
        }
        let accepted = async {
            if let Some(listener) = &listener {
                return listener.accept().await.ok();
            }
            // Refused, or the port is not to be had yet: look again soon.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        };
        tokio::select! {
            accepted = accepted => if let Some((client, _)) = accepted {
                connections.spawn(connection(client, seen.clone(), open.clone()));
            },
            changed = seen.changed() => if changed.is_err() {
                return;
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection as long as it is open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(open: Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn connection(mut client: TcpStream, mut seen: watch::Receiver<Setting>, open: Arc<AtomicUsize>) {
    let _open = Open::new(open);
    let begun = *seen.borrow();
    let mut cutter = seen.clone();
    let cut = cutter.wait_for(|now| now.era != begun.era || now.mode == Mode::Refuse);
    let carried = async {
        let now = *seen.wait_for(|now| now.mode.lets(Direction::ToServer)).await.ok()?;
        let mut server = TcpStream::connect((now.target, PORT)).await.ok()?;
        server.set_nodelay(true).ok()?;
        client.set_nodelay(true).ok()?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        tokio::select! {
            // A side that has only finished sending may still read, so that both have to end; a broken one ends both.
            ended = async {
                tokio::try_join!(
                    pump(&mut from_client, &mut to_server, Direction::ToServer, seen.clone()),
                    pump(&mut from_server, &mut to_client, Direction::ToClient, seen.clone()),
                )
            } => ended.ok().map(drop),
        }
    };
    let whole = tokio::select! {
        _ = cut => None,
        whole = carried => whole,
    };
    if whole.is_none() {
        // Closing it then sends a reset.
        drop(client.set_zero_linger());
    }
}

/// A connection that breaks, or is to be broken.
struct Broken;

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    direction: Direction,
    mut seen: watch::Receiver<Setting>,
) -> Result<(), Broken> {
    let mut buffer = vec![0; 64 * 1024];
    let (mut passed, mut change) = (0, seen.borrow().change);
    loop {
        let read = from.read(&mut buffer).await;
        let now = *seen.wait_for(|now| now.mode.lets(direction)).await.map_err(|_| Broken)?;
        let read = read.map_err(|_| Broken)?;
        if change != now.change {
            (passed, change) = (0, now.change);
        }
        if let Mode::Delay(delay) = now.mode {
            tokio::time::sleep(delay).await;
        }
        if read == 0 {
            return to.shutdown().await.map_err(|_| Broken);
        }
        let most = match now.mode {
            Mode::CutAfter(most) if direction == Direction::ToClient => most.saturating_sub(passed),
            _ => usize::MAX,
        };
        to.write_all(&buffer[..read.min(most)]).await.map_err(|_| Broken)?;
        passed += read.min(most);
        if read >= most {
            return Err(Broken);
        }
    }
}
