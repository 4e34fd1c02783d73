//! Why whoever answers is not believed to be the API server of a kubeconfig: TLS, in words for people.

use rustls::{CertificateError, Error};

/// It answers, and its certificate does not prove who it is. Nothing was sent to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what answers there does not prove to be its API server: {0}; nothing was sent to it")]
pub struct Distrust(String);

impl Distrust {
    /// What a failed handshake says about the certificate, if that is what failed.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        let Error::InvalidCertificate(why) = error else { return None };
        Some(Self(match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is not signed by the authority in the kubeconfig. Is certificate-authority-data of another \
                 cluster, or has the authority been renewed? Put the present one into the kubeconfig"
                    .to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired: renew it in that cluster".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: compare the clocks of that cluster and of Atoll".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is not for the name in the kubeconfig's server: use a name that it is for, or set \
                 tls-server-name"
                    .to_owned()
            }
            other => format!("its certificate is not accepted ({other})"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_says_what_to_do() {
        for (why, words) in [
            (CertificateError::UnknownIssuer, "certificate-authority-data"),
            (CertificateError::Expired, "renew it in that cluster"),
            (CertificateError::NotValidYet, "compare the clocks"),
            (CertificateError::NotValidForName, "tls-server-name"),
            (CertificateError::Revoked, "not accepted"),
        ] {
            let told = Distrust::of(&Error::InvalidCertificate(why.clone())).map(|told| told.to_string());
            assert!(told.as_ref().is_some_and(|told| told.contains(words)), "{why:?}: {told:?}");
        }
        assert_eq!(Distrust::of(&Error::HandshakeNotComplete), None);
    }
}
