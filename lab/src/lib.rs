//! lab

pub mod addons;
