//! Asked right before every write leaves: whoever lost the lease writes nothing more.

/// Says whether this process may write.
pub trait Gate: Send + Sync {
    /// `Ok` while the lease is held.
    fn check(&self) -> Result<(), LeaseLost>;
}

/// The lease is not, or no longer, ours: another instance may be at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this instance does not hold the lease, so it writes nothing")]
pub struct LeaseLost;

/// Always open: for commands that a person runs and for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Gate for Open {
    fn check(&self) -> Result<(), LeaseLost> {
        Ok(())
    }
}
