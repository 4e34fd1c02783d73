//! Until when credentials are good. Pure: a certificate's and a token's own words, signatures are the API server's.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::finding::Finding;
use crate::worker::kubeconfig::Credentials;

/// How long before the end people should hear of it.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The end of one credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    what: &'static str,
    at: Timestamp,
}

/// Of those credentials that say when they end.
#[must_use]
pub fn of(credentials: &Credentials) -> Vec<Expiry> {
    let certificate = credentials.chain().and_then(not_after);
    let token = credentials.token().and_then(|token| token_end(token.expose_secret()));
    [("client certificate", certificate), ("token", token)]
        .into_iter()
        .filter_map(|(what, at)| Some(Expiry { what, at: at? }))
        .collect()
}

impl Expiry {
    /// What to say of it.
    #[must_use]
    pub fn finding(&self, now: Timestamp) -> Finding {
        let Self { what, at } = self;
        let date = at.strftime("%Y-%m-%d %H:%M UTC");
        let left = at.duration_since(now);
        let remedy = "renew it in the kubeconfig; Atoll takes it over without a restart";
        if left.is_negative() {
            Finding::amiss(format!("its {what} has expired ({date})")).remedy(remedy)
        } else if left < SOON {
            Finding::note(format!("its {what} expires soon: {date}")).remedy(remedy)
        } else {
            Finding::fine(format!("its {what} is good until {date}"))
        }
    }
}

/// `exp` of a JSON web token. A token of another kind says nothing.
fn token_end(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_duration(SignedDuration::try_from_secs_f64(claims.exp).ok()?).ok()
}

/// `notAfter` of the first certificate of a PEM chain.
fn not_after(pem: &[u8]) -> Option<Timestamp> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let certificate = element(&der)?.0;
    let mut rest = element(certificate.body)?.0.body;
    // Version (tagged 0, may be absent), serial number, signature algorithm, issuer: none of them is a sequence of
    // two times, which the validity is.
    for _ in 0..5 {
        let (field, after) = element(rest)?;
        if let Some(end) = validity(field) {
            return Some(end);
        }
        rest = after;
    }
    None
}

fn validity(field: Element) -> Option<Timestamp> {
    let (begin, after) = element(field.body)?;
    let (end, _) = element(after)?;
    time(begin)?;
    time(end)
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
    use crate::cli::check::finding::Grade;

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
    fn a_certificate_ends_when_it_says() {
        assert_eq!(not_after(SHORT.as_bytes()), Some(at("2027-03-04T05:06:07Z")));
        assert_eq!(not_after(LONG.as_bytes()), Some(at("2060-03-04T05:06:07Z")));
    }

    #[test]
    fn what_is_no_certificate_has_no_end_and_does_no_harm() {
        assert_eq!(not_after(b"nonsense"), None);
        let der = CertificateDer::from_pem_slice(SHORT.as_bytes()).expect("a certificate");
        for length in 0..der.len() {
            let body = base64::engine::general_purpose::STANDARD.encode(&der[..length]);
            let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
            let _ = not_after(pem.as_bytes());
        }
    }

    #[test]
    fn a_token_ends_when_it_says_if_it_says_so() {
        let jwt = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(token_end(&jwt(r#"{"exp":1800000000,"sub":"x"}"#)), Some(at("2027-01-15T08:00:00Z")));
        for other in ["opaque", "a.b.c", "", &jwt("{}"), &jwt(r#"{"exp":1e300}"#), &jwt(r#"{"exp":"soon"}"#)] {
            assert_eq!(token_end(other), None, "{other}");
        }
    }

    #[test]
    fn people_hear_two_weeks_before_the_end() {
        let end = Expiry { what: "token", at: at("2026-02-01T00:00:00Z") };
        for (now, grade) in [
            ("2026-01-01T00:00:00Z", Grade::Fine),
            ("2026-01-20T00:00:00Z", Grade::Note),
            ("2026-02-01T00:00:01Z", Grade::Amiss),
        ] {
            let finding = end.finding(at(now));
            assert_eq!(finding.grade, grade, "{finding}");
            assert!(finding.text.contains("2026-02-01 00:00 UTC"), "{finding}");
        }
    }
}
