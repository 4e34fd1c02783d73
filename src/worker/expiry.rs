//! Until when credentials are good, and when people should hear of it. Pure: a certificate's and a token's own words;
//! signatures are the API server's.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::credentials::Credentials;
use crate::dialect::k8scluster::expiry::{Ending, Stage};

/// How long before the end people should hear of it: two weeks, or a tenth of the whole life if that is less.
///
/// Short tokens are renewed by machines, at four fifths of their life at the latest (kubelets do). A tenth leaves those
/// in peace, and tells of one whose renewal has come to a halt.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// The same where the beginning is not known.
const SOON_OF_UNKNOWN: SignedDuration = SignedDuration::from_hours(24);

/// The end of one credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    what: &'static str,
    life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    begins: Option<Timestamp>,
    ends: Timestamp,
}

/// Of those credentials that say when they end.
#[must_use]
pub fn of(credentials: &Credentials) -> Vec<Expiry> {
    let certificate = credentials.chain().and_then(certificate_life);
    let token = credentials.token().and_then(|token| token_life(token.expose_secret()));
    [("client certificate", certificate), ("token", token)]
        .into_iter()
        .filter_map(|(what, life)| Some(Expiry { what, life: life? }))
        .collect()
}

/// The one that ends first.
#[must_use]
pub fn first(credentials: &Credentials) -> Option<Expiry> {
    of(credentials).into_iter().min_by_key(|expiry| expiry.life.ends)
}

impl Expiry {
    /// What ends.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// When.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.life.ends
    }

    /// From when on people should hear of it.
    fn soon(&self) -> Timestamp {
        let Life { begins, ends } = self.life;
        let before = begins.map_or(SOON_OF_UNKNOWN, |begins| SOON.min(ends.duration_since(begins) / 10));
        ends.checked_sub(before.max(SignedDuration::ZERO)).unwrap_or(ends)
    }

    /// How it stands.
    #[must_use]
    pub fn stage(&self, now: Timestamp) -> Stage {
        if now >= self.life.ends {
            Stage::Expired
        } else if now >= self.soon() {
            Stage::Expiring
        } else {
            Stage::Good
        }
    }

    /// When that changes next.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        [self.soon(), self.life.ends].into_iter().find(|at| *at > now)
    }

    /// What to tell of it.
    #[must_use]
    pub fn ending(&self, now: Timestamp) -> Ending {
        Ending { what: self.what, at: self.life.ends, stage: self.stage(now) }
    }
}

/// `exp` of a JSON web token, and `nbf` or `iat`. A token of another kind says nothing.
fn token_life(token: &str) -> Option<Life> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
        nbf: Option<f64>,
        iat: Option<f64>,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    let at = |seconds: f64| Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok();
    Some(Life { begins: claims.nbf.or(claims.iat).and_then(at), ends: at(claims.exp)? })
}

/// `notBefore` and `notAfter` of the first certificate of a PEM chain.
fn certificate_life(pem: &[u8]) -> Option<Life> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let certificate = element(&der)?.0;
    let mut rest = element(certificate.body)?.0.body;
    // Version (tagged 0, may be absent), serial number, signature algorithm, issuer: none of them is a sequence of
    // two times, which the validity is.
    for _ in 0..5 {
        let (field, after) = element(rest)?;
        if let Some(life) = validity(field) {
            return Some(life);
        }
        rest = after;
    }
    None
}

fn validity(field: Element) -> Option<Life> {
    let (begin, after) = element(field.body)?;
    let (end, _) = element(after)?;
    Some(Life { begins: Some(time(begin)?), ends: time(end)? })
}

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// RFC 5280, 4.1.2.5: `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` after.
fn time(element: Element) -> Option<Timestamp> {
    let text = std::str::from_utf8(element.body).ok()?.strip_suffix('Z')?;
    let text = match element.tag {
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| text.get(from..to);
    let (date, clock) = ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 14)?));
    format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, clock.0, clock.1, clock.2).parse().ok()
}

/// One element of DER.
#[derive(Clone, Copy)]
struct Element<'a> {
    tag: u8,
    body: &'a [u8],
}

/// The first element, and what comes after it.
fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length =
            bytes.iter().try_fold(0_usize, |length, byte| length.checked_mul(256)?.checked_add(usize::from(*byte)))?;
        (length, rest)
    };
    let (body, rest) = rest.split_at_checked(length)?;
    Some((Element { tag, body }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl ca -selfsign -enddate …`; the second ends after 2049, and is written in another way therefore.
    const SHORT: &str = "-----BEGIN CERTIFICATE-----\n\
        MIHaMIGNAhQdLtUTCI1AZe5bgrootS5MfWCp/TAFBgMrZXAwEDEOMAwGA1UEAwwF\n\
        YXRvbGwwHhcNMjYwMTAxMDAwMDAwWhcNMjcwMzA0MDUwNjA3WjAQMQ4wDAYDVQQD\n\
        DAVhdG9sbDAqMAUGAytlcAMhABw2s6s8IljWuIZujsgclM4Kn8jXftvd24XOqfE7\n\
        TfiWMAUGAytlcANBAJQtq5rT4vp1UZOlHZFwqYHhwOGXPE/XcHqpWvws+acIg3iE\n\
        BK748h/+u+heSXBbAx1veCXICzWlxO3GPgRT4QU=\n\
        -----END CERTIFICATE-----";
    const LONG: &str = "-----BEGIN CERTIFICATE-----\n\
        MIHcMIGPAhQrwfQWBkqy3mIDAYy+MUOr+VmJ4TAFBgMrZXAwEDEOMAwGA1UEAwwF\n\
        YXRvbGwwIBcNMjYwMTAxMDAwMDAwWhgPMjA2MDAzMDQwNTA2MDdaMBAxDjAMBgNV\n\
        BAMMBWF0b2xsMCowBQYDK2VwAyEA3/JsusdP3TaGLTxQaDB5SPGWZpqPJ73QxVn3\n\
        tiGhbcUwBQYDK2VwA0EAedD06ZriEkQNYiW+Puf7rpOmoTKoDTxYhuYof/wj9Bu0\n\
        Qkpj3zIvA5Owhq05AH6H3SLKZI93GOfn68TVOr65Ag==\n\
        -----END CERTIFICATE-----";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_certificate_lives_from_when_to_when_it_says() {
        let begins = Some(at("2026-01-01T00:00:00Z"));
        for (pem, ends) in [(SHORT, "2027-03-04T05:06:07Z"), (LONG, "2060-03-04T05:06:07Z")] {
            assert_eq!(certificate_life(pem.as_bytes()), Some(Life { begins, ends: at(ends) }));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end_and_does_no_harm() {
        assert_eq!(certificate_life(b"nonsense"), None);
        let der = CertificateDer::from_pem_slice(SHORT.as_bytes()).expect("a certificate");
        for length in 0..der.len() {
            let body = base64::engine::general_purpose::STANDARD.encode(&der[..length]);
            let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
            let _ = certificate_life(pem.as_bytes());
        }
    }

    #[test]
    fn a_token_ends_when_it_says_if_it_says_so() {
        let jwt = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        let life = |begins: Option<&str>, ends: &str| Some(Life { begins: begins.map(at), ends: at(ends) });
        for (claims, read) in [
            (r#"{"exp":1800000000,"sub":"x"}"#, life(None, "2027-01-15T08:00:00Z")),
            (r#"{"exp":1800000000,"iat":1799996400}"#, life(Some("2027-01-15T07:00:00Z"), "2027-01-15T08:00:00Z")),
            (
                r#"{"exp":1800000000,"nbf":1799996400,"iat":1}"#,
                life(Some("2027-01-15T07:00:00Z"), "2027-01-15T08:00:00Z"),
            ),
            (r#"{"exp":1800000000,"iat":1e300}"#, life(None, "2027-01-15T08:00:00Z")),
            (r#"{"exp":1e300}"#, None),
            (r#"{"exp":"soon"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(token_life(&jwt(claims)), read, "{claims}");
        }
        for other in ["opaque", "a.b.c", ""] {
            assert_eq!(token_life(other), None, "{other}");
        }
    }

    #[test]
    fn people_hear_in_time_of_what_they_must_renew_and_not_of_what_renews_itself() {
        let of = |begins: Option<&str>, ends: &str| Expiry {
            what: "token",
            life: Life { begins: begins.map(at), ends: at(ends) },
        };
        let year = of(Some("2026-01-01T00:00:00Z"), "2027-01-01T00:00:00Z");
        let hour = of(Some("2026-01-01T00:00:00Z"), "2026-01-01T01:00:00Z");
        let unknown = of(None, "2027-01-01T00:00:00Z");
        let backwards = of(Some("2027-01-02T00:00:00Z"), "2027-01-01T00:00:00Z");
        for (expiry, now, stage, next) in [
            (year, "2026-12-17T23:59:59Z", Stage::Good, Some("2026-12-18T00:00:00Z")),
            (year, "2026-12-18T00:00:00Z", Stage::Expiring, Some("2027-01-01T00:00:00Z")),
            (year, "2026-12-31T23:59:59Z", Stage::Expiring, Some("2027-01-01T00:00:00Z")),
            (year, "2027-01-01T00:00:00Z", Stage::Expired, None),
            // Renewed at four fifths by whoever looks after it: nothing is heard of it.
            (hour, "2026-01-01T00:48:00Z", Stage::Good, Some("2026-01-01T00:54:00Z")),
            (hour, "2026-01-01T00:54:00Z", Stage::Expiring, Some("2026-01-01T01:00:00Z")),
            (unknown, "2026-12-30T23:59:59Z", Stage::Good, Some("2026-12-31T00:00:00Z")),
            (unknown, "2026-12-31T00:00:00Z", Stage::Expiring, Some("2027-01-01T00:00:00Z")),
            (backwards, "2026-12-31T23:59:59Z", Stage::Good, Some("2027-01-01T00:00:00Z")),
        ] {
            assert_eq!((expiry.stage(at(now)), expiry.next(at(now))), (stage, next.map(at)), "{now}");
        }
    }
}
