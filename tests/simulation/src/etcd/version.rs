//! Versions of etcd, as far as the model differs by them.

use std::fmt;

/// Major, minor and patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

impl Version {
    /// `3.5.35` or `v3.5.35`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim_start_matches('v').split('.').map(|part| part.parse().ok());
        let version = Self(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }

    /// Whether the metrics listener knows `/livez` and `/readyz`.
    pub(super) fn has_readyz(self) -> bool {
        self >= Self(3, 5, 11)
    }

    /// Errors say what they are once more under `error`.
    pub(super) fn names_error_twice(self) -> bool {
        self < Self(3, 6, 0)
    }

    pub(super) fn is_3_6(self) -> bool {
        self >= Self(3, 6, 0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_and_without_v_and_ordered_by_number() {
        assert_eq!(Version::parse("v3.5.6"), Some(Version(3, 5, 6)));
        assert_eq!(Version::parse("3.5.35").map(|version| version.to_string()).as_deref(), Some("3.5.35"));
        assert!(["", "3.5", "3.5.6.7", "latest"].iter().all(|text| Version::parse(text).is_none()));
        assert!(Version(3, 5, 6) < Version(3, 5, 35));
    }
}
