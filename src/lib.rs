//! Atoll runs **one database across many Kubernetes clusters**.
//!
//! It is a compiler with many front-ends and one back-end. Data flows one way round:
//!
//! ```text
//! manifest ──► dialect ──► plan ──────────► decide ──► act ──► workers
//!             (+ engine)  (the IR)         (pure)     (I/O)     │
//!     ▲                                      ▲                  │
//!     └─────────── report (status) ◄─────────┴──── observe ◄────┘
//! ```
//!
//! The modules stand in the order in which data flows. [`dialect`], [`engine`] and [`plan`] are pure: they name no clock,
//! no I/O and no randomness, and a test keeps it so. [`worker`], [`admin`] and [`controller`] do the I/O, and decide
//! nothing that could hurt data.
#![forbid(unsafe_code)]

pub mod dialect;
pub mod engine;
pub mod plan;

pub mod worker;

pub mod admin;

pub mod controller;
pub mod metrics;
pub mod operator;
pub mod server;

pub mod cli;
