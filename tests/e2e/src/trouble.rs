//! Why a test or the demo cannot go on, in words.

/// What happened, and to what.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// The result of every step.
pub type Outcome<T = ()> = Result<T, Trouble>;

impl Trouble {
    /// Trouble in these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// The same, with where it happened before it.
    #[must_use]
    pub fn at(self, place: impl std::fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

impl From<lab::Error> for Trouble {
    fn from(error: lab::Error) -> Self {
        Self(format!("the lab: {error}"))
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("no JSON as expected: {error}"))
    }
}

/// Ends a step with trouble unless something holds.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err($crate::Trouble::new(format!($($words)+)));
        }
    };
}

/// Ends a step with trouble.
#[macro_export]
macro_rules! fail {
    ($($words:tt)+) => {
        return Err($crate::Trouble::new(format!($($words)+)))
    };
}
