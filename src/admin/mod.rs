//! Carries an engine's questions to members and brings back what they replied (DECISIONS 10 and 11).
//!
//! This module knows protocols and routes, not databases: whether a reply is believed is the engine's to say. The
//! documents promise a way to the workers' API servers only, so there is a ladder of routes to every member
//! ([`Ladder`]), from its own address up to a job in its worker.
//!
//! [`Ask`] is the seam: [`Carrier`] implements it over the network, the simulation without one.

pub mod ask;
mod carrier;
mod deadline;
mod http;
mod job;
mod ladder;
pub mod pod;
mod portforward;
mod route;
mod silence;
pub mod termination;
#[cfg(test)]
mod testing;

pub use carrier::{Carrier, Clients};
pub use deadline::Deadline;
pub use ladder::{Asked, Heard, Judge, Ladder, Patience};
pub use route::{JobRoute, PodRoute, Route};
pub use silence::Silence;

use futures::future::BoxFuture;

use crate::engine::{HttpReply, Question};

/// One way of putting a question to whoever is at the end of one route.
pub trait Ask: Send + Sync {
    /// Asks once, by this route only, and comes back before the deadline.
    ///
    /// The replies are in the order of the requests. Those that did not come in time are missing at the end; where
    /// not even the first came, that is a [`Silence`].
    fn ask<'a>(
        &'a self,
        route: &'a Route,
        question: &'a Question,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<HttpReply>, Silence>>;
}
