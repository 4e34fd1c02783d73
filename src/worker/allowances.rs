//! What an installation lets kubeconfigs do beyond the ordinary. Pure.

use std::{collections::BTreeSet, fmt};

/// One thing that a kubeconfig may do only where whoever runs Atoll has allowed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Allowance {
    /// proxy-url: reach the worker through a proxy (http:// only), which sees where connections go, and when.
    ProxyUrl,
    /// insecure-skip-tls-verify: believe whoever answers. Whoever stands on the way then has the credentials.
    InsecureSkipTlsVerify,
    /// as, as-uid, as-groups, as-user-extra: act as somebody else.
    Impersonation,
    /// username and password.
    BasicAuth,
    /// A server at http://. Credentials cross the network in clear.
    PlainHttp,
    /// No certificate authority: trust those that Atoll's own machine or image trusts.
    SystemRoots,
    /// exec: run a program in Atoll's own pod for a token. Only with --tenancy=single.
    Exec,
    /// tokenFile, certificate-authority, client-certificate, client-key: read files of Atoll's own pod. Only with
    /// --tenancy=single.
    Files,
}

impl Allowance {
    /// As the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ProxyUrl => "proxy-url",
            Self::InsecureSkipTlsVerify => "insecure-skip-tls-verify",
            Self::Impersonation => "impersonation",
            Self::BasicAuth => "basic-auth",
            Self::PlainHttp => "plain-http",
            Self::SystemRoots => "system-roots",
            Self::Exec => "exec",
            Self::Files => "files",
        }
    }

    /// Whether it reaches into Atoll's own pod, where the credentials of every worker are.
    pub(super) fn reach(self) -> Reach {
        match self {
            Self::Exec | Self::Files => Reach::OurPod,
            Self::ProxyUrl
            | Self::InsecureSkipTlsVerify
            | Self::Impersonation
            | Self::BasicAuth
            | Self::PlainHttp
            | Self::SystemRoots => Reach::OwnWorker,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// What goes wrong hurts the worker whose kubeconfig it is.
    OwnWorker,
    /// What goes wrong hurts everybody.
    OurPod,
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who may register workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Tenancy {
    /// People who do not trust each other, or only some with what Atoll itself can do.
    #[default]
    Multi,
    /// Nobody but those who run Atoll.
    Single,
}

/// All that is allowed. By default nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowances(BTreeSet<Allowance>);

/// Something was to be allowed that only a single tenant may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--kubeconfig-allow={0} lets whoever registers a worker act inside Atoll's own pod, where the credentials of all \
     workers are. Say --tenancy=single if only those who run Atoll may write K8sClusters and the Secrets that they \
     name; else leave {0} out, and give that worker a service account's token"
)]
pub struct NeedsSingleTenant(pub Allowance);

impl Allowances {
    /// Allows these.
    pub fn new(allowed: impl IntoIterator<Item = Allowance>, tenancy: Tenancy) -> Result<Self, NeedsSingleTenant> {
        let allowed: BTreeSet<_> = allowed.into_iter().collect();
        match (tenancy, allowed.iter().find(|allowance| allowance.reach() == Reach::OurPod)) {
            (Tenancy::Multi, Some(allowance)) => Err(NeedsSingleTenant(*allowance)),
            _ => Ok(Self(allowed)),
        }
    }

    /// Whether this is allowed.
    #[must_use]
    pub fn permit(&self, allowance: Allowance) -> bool {
        self.0.contains(&allowance)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for allowance in Allowance::value_variants() {
            let value = allowance.to_possible_value().unwrap();
            assert_eq!(value.get_name(), allowance.name());
        }
    }

    #[test]
    fn what_reaches_into_our_own_pod_is_for_a_single_tenant_only() {
        for allowance in Allowance::value_variants() {
            let alone = matches!(allowance, Allowance::Exec | Allowance::Files);
            let multi = Allowances::new([Allowance::ProxyUrl, *allowance], Tenancy::Multi);
            assert_eq!(multi.is_err(), alone, "{allowance}");
            let single = Allowances::new([*allowance], Tenancy::Single).unwrap();
            assert!(single.permit(*allowance));
        }
        let error = Allowances::new([Allowance::Exec], Tenancy::Multi).unwrap_err().to_string();
        assert!(error.contains("--kubeconfig-allow=exec") && error.contains("--tenancy=single"), "{error}");
    }

    #[test]
    fn nothing_is_allowed_unless_somebody_says_so() {
        for allowance in Allowance::value_variants() {
            assert!(!Allowances::default().permit(*allowance));
        }
    }
}
