//! What to say of credentials that end.

use jiff::Timestamp;

use super::finding::Finding;
use crate::{dialect::k8scluster::expiry::Stage, worker::expiry::Expiry};

/// What to say of one.
#[must_use]
pub fn finding(expiry: &Expiry, now: Timestamp) -> Finding {
    let (what, date) = (expiry.what(), expiry.at().strftime("%Y-%m-%d %H:%M UTC"));
    let remedy = "renew it in the kubeconfig; Atoll takes it over without a restart";
    match expiry.stage(now) {
        Stage::Expired => Finding::amiss(format!("its {what} has expired ({date})")).remedy(remedy),
        Stage::Expiring => Finding::note(format!("its {what} expires soon: {date}")).remedy(remedy),
        Stage::Good => Finding::fine(format!("its {what} is good until {date}")),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;
    use crate::{
        cli::check::finding::Grade,
        worker::{expiry, testing::credentials_of_token},
    };

    #[test]
    fn a_check_tells_when_credentials_end_and_grades_it() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"iat":1767225600,"exp":1798761600}"#);
        let end = expiry::first(&credentials_of_token(&format!("e30.{claims}.sig"))).expect("an end");
        for (now, grade) in [
            ("2026-06-01T00:00:00Z", Grade::Fine),
            ("2026-12-25T00:00:00Z", Grade::Note),
            ("2027-01-01T00:00:00Z", Grade::Amiss),
        ] {
            let finding = finding(&end, now.parse().expect("a time"));
            assert_eq!(finding.grade, grade, "{finding}");
            assert!(finding.text.contains("2027-01-01 00:00 UTC"), "{finding}");
        }
    }
}
