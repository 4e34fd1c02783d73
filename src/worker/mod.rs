//! The workers: how they are registered, connected, verified and watched, and the only way in which anything in them
//! is changed.
//!
//! One task per worker ([`task`]) connects, checks the cluster's identity, and follows four watches ([`watch`]) whose
//! objects it keeps as compact projections ([`cache`]). The rest of Atoll talks to the [`Pool`](pool::Pool).

mod acceptance;
pub mod access;
pub mod act;
#[cfg(test)]
mod act_tests;
pub mod addresses;
pub mod allowances;
pub mod bounded;
#[cfg(test)]
mod breaker_tests;
pub mod cache;
#[cfg(test)]
mod cache_tests;
pub mod connect;
pub mod contact;
pub mod contexts;
pub mod credentials;
pub mod dial;
#[cfg(test)]
mod dial_tests;
pub mod distrust;
mod endings;
mod events;
pub mod expiry;
pub mod failpoint;
pub mod fault;
pub mod gate;
pub mod health;
#[cfg(test)]
mod hostile_tests;
pub mod identity;
#[cfg(test)]
mod identity_tests;
pub mod kept;
pub mod kubeconfig;
#[cfg(test)]
mod kubeconfig_tests;
pub mod ledger;
#[cfg(test)]
mod ledger_tests;
pub mod legible;
pub mod limits;
mod live;
pub mod measured;
mod news;
pub mod outcome;
pub mod pool;
#[cfg(test)]
mod pool_tests;
pub mod program;
pub mod projection;
#[cfg(test)]
mod projection_tests;
pub mod registrar;
#[cfg(test)]
mod registrar_tests;
pub mod registration;
#[cfg(test)]
mod registration_tests;
mod show;
mod slot;
pub mod stack;
mod task;
#[cfg(test)]
pub(crate) mod testing;
pub mod timing;
pub mod watch;
pub mod wire;
#[cfg(test)]
mod wire_testing;
#[cfg(test)]
mod wire_tests;
