//! The workers: how they are registered, connected, verified and watched, and the only way in which anything in them
//! is changed.
//!
//! One task per worker ([`task`]) connects, checks the cluster's identity, and follows four watches ([`watch`]) whose
//! objects it keeps as compact projections ([`cache`]). The rest of Atoll talks to the [`Pool`](pool::Pool).

pub mod access;
pub mod act;
pub mod cache;
pub mod connect;
pub mod contexts;
pub mod failpoint;
pub mod fault;
pub mod gate;
pub mod health;
pub mod identity;
pub mod kept;
pub mod kubeconfig;
mod live;
pub mod pool;
pub mod projection;
pub mod registrar;
pub mod registration;
mod slot;
mod task;
pub mod timing;
pub mod watch;
