//! The engine-neutral middle of Atoll: what a database is, what is seen of it, and what is decided about it. Pure.

pub mod act;
pub mod database;
pub mod labels;
pub mod membership;
pub mod name;
pub mod network;
pub mod record;
pub mod report;
pub mod seen;
