//! Atoll runs **one database across many Kubernetes clusters**.
#![forbid(unsafe_code)]

pub mod engine;
pub mod plan;
