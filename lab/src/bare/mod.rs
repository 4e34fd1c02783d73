//! API servers and nothing behind them: etcd and kube-apiserver as plain processes on loopback.
//!
//! For tests that want a real API server's word but no pods: there is no kubelet, no scheduler and no controller,
//! so nothing happens in such a cluster but what is asked for. In particular nobody makes the service account
//! `default` of a new namespace (switch its admission off by [`ServiceAccounts::Ignored`], or make it), nobody
//! collects garbage, a namespace that is deleted stays `Terminating`, and the aggregated roles (`view`, `edit`,
//! `admin`) are empty.
//!
//! No root, no network namespace and no lock is needed, and any number of servers may run side by side: each has
//! a loopback address of its own (`127.x.y.z`), its own directory, authority and token. Dropping a [`Server`] ends
//! its processes and removes its directory; so does the end of the test, however it ends.
//!
//! ```no_run
//! use lab::bare::{Mode, Options, Overloaded, Proxy, Server, ServiceAccounts};
//!
//! # async fn example() -> lab::Result<()> {
//! // Four at once take about as long as one and a half.
//! let servers = Server::start_all(["master", "k8s-1", "k8s-2", "k8s-3"].map(Options::named)).await?;
//! let lonely = Server::start(Options { service_accounts: ServiceAccounts::Ignored, ..Options::named("k8s-4") }).await?;
//! let client = lonely.client().await?;
//!
//! // What happens to the server.
//! lonely.kill()?;                             // SIGKILL of kube-apiserver; etcd goes on
//! lonely.start_again().await?;
//! lonely.pause()?;                            // SIGSTOP: connections open, nobody answers
//! lonely.resume()?;
//! let before = lonely.snapshot().await?;
//! lonely.restore(&before).await?;             // objects and resource versions go back
//! lonely.compact().await?;                    // older versions are gone from etcd
//!
//! // What happens on the way to it.
//! let way = Proxy::start(&servers[1])?;
//! let kubeconfig = way.kubeconfig();
//! way.set(Mode::BlackHole);
//! way.set(Mode::Pass);
//! // A twin trusts the same token behind the same authority, so that only its identity tells it apart.
//! let twin = Server::start(servers[1].twin("impostor")).await?;
//! way.lead_to(&twin);
//! // 429 to every request.
//! let busy = Overloaded::beside(&servers[1], std::time::Duration::from_secs(3600)).await?;
//! way.lead_to_overloaded(&busy);
//! # Ok(())
//! # }
//! ```

use crate::error::Result;

mod etcd;
mod files;
mod overloaded;
mod process;
pub mod proxy;
mod server;
mod snapshot;

pub use files::Trust;
pub use overloaded::Overloaded;
pub use proxy::{Mode, Proxy};
pub use server::Server;
pub use snapshot::Snapshot;

/// Where every server listens.
const PORT: u16 = 6443;

/// What a server shall be.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it is called in its kubeconfig and in errors.
    pub name: String,
    /// Further flags of kube-apiserver; where one is given twice, the last one counts.
    pub flags: Vec<String>,
    /// Whether pods need a service account that is there.
    pub service_accounts: ServiceAccounts,
    /// Further users that have a token, and no rights but what is bound to their names.
    pub users: Vec<String>,
    /// Whom clients trust and what they show, where it is not the server's own; see [`Server::twin`].
    pub trust: Option<Trust>,
}

/// Whether the admission plugin `ServiceAccount` is on, as it is in the lab and nearly everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceAccounts {
    /// A pod is refused if its service account is missing.
    #[default]
    Required,
    /// Nobody asks.
    Ignored,
}

impl Options {
    /// As the lab's API servers are.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            flags: Vec::new(),
            service_accounts: ServiceAccounts::default(),
            users: Vec::new(),
            trust: None,
        }
    }

    fn trust(&self) -> Result<Trust> {
        self.trust.clone().map_or_else(Trust::new, Ok)
    }
}
