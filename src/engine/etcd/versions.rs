//! The versions of etcd that Atoll serves, and what differs between them: one table.

use std::fmt;

use crate::engine::{Upgrade, Version};

/// Where etcd's own project publishes its images.
const REPOSITORY: &str = "gcr.io/etcd-development/etcd";

/// What `componentDef: etcd-0.9.0` means, and any etcd that names no version (DECISIONS 2).
const DEFAULT: &str = "3.5.35";

/// One release of etcd.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// The version, without `v`.
    pub version: &'static str,
    /// The paths that the metrics listener answers.
    pub probes: Probes,
    /// The flags that not every version spells alike.
    pub flags: &'static [&'static str],
    /// Whether members may join as learners and be promoted.
    ///
    /// Before 3.5.26 a promotion is not written to disk for good, and 3.6 then refuses to start (etcd#19557).
    pub learners: bool,
    number: Number,
}

/// Paths for the kubelet's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    /// Answers while the process works, with or without a quorum.
    pub live: &'static str,
    /// Answers while the member can serve reads with a quorum.
    pub ready: &'static str,
}

/// Major, minor and patch, which order versions.
type Number = (u32, u32, u32);

const BEFORE_READYZ: Probes = Probes { live: "/health?serializable=true", ready: "/health" };
const SINCE_READYZ: Probes = Probes { live: "/livez", ready: "/readyz" };

/// A corrupted member says so instead of serving.
const CHECKED_3_5: &[&str] = &["--experimental-initial-corrupt-check=true"];
const CHECKED_3_6: &[&str] = &["--feature-gates=InitialCorruptCheck=true"];

const fn release(
    version: &'static str,
    number: Number,
    probes: Probes,
    flags: &'static [&'static str],
    learners: bool,
) -> Release {
    Release { version, probes, flags, learners, number }
}

/// Every version served, oldest first.
pub static RELEASES: [Release; 7] = [
    release("3.5.6", (3, 5, 6), BEFORE_READYZ, CHECKED_3_5, false),
    release("3.5.15", (3, 5, 15), SINCE_READYZ, CHECKED_3_5, false),
    release("3.5.21", (3, 5, 21), SINCE_READYZ, CHECKED_3_5, false),
    release("3.5.26", (3, 5, 26), SINCE_READYZ, CHECKED_3_5, true),
    release("3.5.35", (3, 5, 35), SINCE_READYZ, CHECKED_3_5, true),
    release("3.6.6", (3, 6, 6), SINCE_READYZ, CHECKED_3_6, true),
    release("3.6.16", (3, 6, 16), SINCE_READYZ, CHECKED_3_6, true),
];

/// A manifest asks for what Atoll does not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// The component is not an etcd.
    #[error(
        "componentDef {0:?} is not known here; known are \"etcd\" and \"etcd-<version of the definition>\", such as \"etcd-0.9.0\""
    )]
    Definition(String),
    /// There is no such version in the table.
    #[error("etcd {asked:?} is not in the table of this Atoll; known are {known}", known = known())]
    Version {
        /// What the manifest names.
        asked: String,
    },
}

/// Why a database does not go from one version to another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepRefused {
    /// One of the two is not in the table.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Minor versions are never left out.
    #[error("etcd goes one minor version at a time: from {from} to one of {next} first")]
    TooFar {
        /// The version in use.
        from: &'static str,
        /// What may come next.
        next: String,
    },
    /// The data may hold what a newer minor version cannot start with.
    #[error("etcd {from} may have written memberships that {to} refuses to start with (etcd#19557): go to {via} first")]
    NotBeforePatch {
        /// The version in use.
        from: &'static str,
        /// The version asked for.
        to: &'static str,
        /// A version that mends it.
        via: &'static str,
    },
    /// There is no way down.
    #[error("etcd {from} does not go down to {to}: restore a snapshot into a new database instead")]
    Down {
        /// The version in use.
        from: &'static str,
        /// The version asked for.
        to: &'static str,
    },
}

impl Unsupported {
    /// `CamelCase`, for conditions.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Definition(_) => "UnknownComponentDefinition",
            Self::Version { .. } => "UnknownVersion",
        }
    }
}

/// The version that a database gets whose manifest names none.
#[must_use]
pub fn default() -> Version {
    Version::new(DEFAULT)
}

/// The version that a component definition and, where given, a service version stand for.
///
/// `3.5.35`, `v3.5.35` and `3.5` (the newest of that minor version) are all understood.
///
/// # Errors
/// [`Unsupported`], in words that name what is known.
pub fn resolve(component_definition: &str, service_version: Option<&str>) -> Result<Version, Unsupported> {
    if !is_etcd(component_definition) {
        return Err(Unsupported::Definition(component_definition.to_owned()));
    }
    let asked = service_version.map(str::trim).filter(|version| !version.is_empty()).unwrap_or(DEFAULT);
    let version = asked.strip_prefix('v').unwrap_or(asked);
    RELEASES
        .iter()
        .rev()
        .find(|release| {
            release.version == version || release.version.rsplit_once('.').is_some_and(|(minor, _)| minor == version)
        })
        .map(|release| Version::new(release.version))
        .ok_or_else(|| Unsupported::Version { asked: asked.to_owned() })
}

/// The table's row of a version.
///
/// # Errors
/// [`Unsupported`] for a version that [`resolve`] did not give.
pub fn find(version: &Version) -> Result<&'static Release, Unsupported> {
    RELEASES
        .iter()
        .find(|release| release.version == version.as_str())
        .ok_or_else(|| Unsupported::Version { asked: version.as_str().to_owned() })
}

/// Whether a running database may be changed from one version to another.
///
/// # Errors
/// [`StepRefused`], which says what to do instead.
pub fn step(from: &Version, to: &Version) -> Result<Upgrade, StepRefused> {
    let (from, to) = (find(from)?, find(to)?);
    let minor = |release: &Release| (release.number.0, release.number.1);
    if minor(to) == minor(from) {
        // Patches exchange freely, but never back to where promoted learners are not written for good.
        return if from.learners && !to.learners { Err(down(from, to)) } else { Ok(Upgrade::Alike) };
    }
    if to.number < from.number {
        return Err(down(from, to));
    }
    let next = (from.number.0, from.number.1 + 1);
    if minor(to) != next {
        let next: Vec<_> =
            RELEASES.iter().filter(|release| minor(release) == next).map(|release| release.version).collect();
        return Err(StepRefused::TooFar { from: from.version, next: next.join(", ") });
    }
    if from.learners {
        return Ok(Upgrade::OneWay);
    }
    let via = RELEASES.iter().rev().find(|release| release.learners && minor(release) == minor(from));
    Err(StepRefused::NotBeforePatch { from: from.version, to: to.version, via: via.map_or(DEFAULT, |via| via.version) })
}

/// Whether members may join a database of this version.
///
/// # Errors
/// Why not, and what to do instead.
pub fn may_grow(version: &Version) -> Result<(), String> {
    match find(version) {
        Ok(release) if !release.learners => Err(format!(
            "etcd {} does not write the vote of a member that has joined to disk for good (etcd#19557); go to {DEFAULT} \
             first, which it does without interruption",
            release.version
        )),
        Ok(_) => Ok(()),
        Err(unsupported) => Err(unsupported.to_string()),
    }
}

/// The image of a version, as its project publishes it.
#[must_use]
pub fn image(version: &Version) -> String {
    format!("{REPOSITORY}:v{}", version.as_str())
}

/// A registry that stands in for another: `FROM=TO`, both prefixes of image names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    from: String,
    to: String,
}

/// A mirror rule that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mirror rule: write FROM=TO, such as gcr.io=registry.example.com/gcr")]
pub struct NotAMirror(String);

impl std::str::FromStr for Mirror {
    type Err = NotAMirror;

    fn from_str(rule: &str) -> Result<Self, Self::Err> {
        let (from, to) = rule.split_once('=').ok_or_else(|| NotAMirror(rule.to_owned()))?;
        let (from, to) = (from.trim().trim_end_matches('/'), to.trim().trim_end_matches('/'));
        if from.is_empty() || to.is_empty() || to.contains('=') {
            return Err(NotAMirror(rule.to_owned()));
        }
        Ok(Self { from: from.to_owned(), to: to.to_owned() })
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.from, self.to)
    }
}

/// The image where the rules say that it is: of those whose FROM leads the name, the longest counts, once.
#[must_use]
pub fn mirror(image: &str, rules: &[Mirror]) -> String {
    rules
        .iter()
        .filter_map(|rule| {
            let rest = image.strip_prefix(&rule.from)?;
            // `gcr.io` must not match `gcr.io.example.com`.
            rest.is_empty()
                .then_some("")
                .or_else(|| rest.starts_with(['/', ':', '@']).then_some(rest))
                .map(|rest| (rule, rest))
        })
        .max_by_key(|(rule, _)| rule.from.len())
        .map_or_else(|| image.to_owned(), |(rule, rest)| format!("{}{rest}", rule.to))
}

/// `etcd`, or `etcd-` and the version of a definition. A definition may be given as a prefix (`etcd-`).
fn is_etcd(component_definition: &str) -> bool {
    match component_definition.strip_prefix("etcd") {
        Some("" | "-") => true,
        Some(rest) => rest.strip_prefix('-').is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())),
        None => false,
    }
}

fn known() -> String {
    RELEASES.iter().map(|release| release.version).collect::<Vec<_>>().join(", ")
}

fn down(from: &Release, to: &Release) -> StepRefused {
    StepRefused::Down { from: from.version, to: to.version }
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
