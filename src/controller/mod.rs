//! The controller: it wakes for what has changed, and goes round once for each database that is concerned.

mod answers;
pub mod census;
pub mod claim;
pub mod guests;
pub mod lease;
mod observe;
pub mod queue;
mod reconcile;
pub mod run;
mod shelf;
pub mod sweep;
mod waiting;
mod write;

pub use answers::Answers;
pub use reconcile::{Reconciler, Round};
pub use shelf::Shelf;
pub use waiting::Waiting;
