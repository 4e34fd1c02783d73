//! The whole controller in one thread and virtual time, against simulated clusters and databases.
//!
//! What runs is the product's own code, from the lease to the last write ([`lives`]). Below it are two seams: the
//! connection to a cluster ([`link`], [`connect`]) and the questions to members ([`ask`]). Below those are API servers in
//! memory (`apiserver`), what runs in their clusters ([`world`], [`programs`], [`etcd`]), and weather.
//!
//! A [`script`] says what will happen. [`mod@play`] plays it; everything that happens goes onto the [`tape`], where the
//! [`check`]s look at it. A [`campaign`] plays many; [`mod@shrink`] makes a failing one short.

pub mod addresses;
pub mod ask;
pub mod campaign;
pub mod check;
pub mod connect;
pub mod countdown;
pub mod entropy;
pub mod etcd;
pub mod kubeconfigs;
pub mod link;
pub mod lives;
pub mod lock;
pub mod logs;
pub mod place;
pub mod planted;
pub mod play;
pub mod process;
pub mod programs;
pub mod regressions;
pub mod scenario;
pub mod script;
pub mod shrink;
pub mod stage;
pub mod tape;
pub mod twice;
pub mod world;
