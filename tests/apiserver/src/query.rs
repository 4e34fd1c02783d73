//! The part of a URL behind the question mark.

use crate::failure::Failure;

/// What requests can ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub watch: bool,
    pub label_selector: String,
    pub field_selector: String,
    pub limit: u64,
    pub continue_token: String,
    /// As it was given; empty if it was not.
    pub version: String,
    pub version_match: String,
    pub timeout_seconds: Option<u64>,
    pub bookmarks: bool,
    pub initial_events: Option<bool>,
    pub dry_run: Vec<String>,
    pub field_manager: String,
    pub field_validation: String,
    pub force: Option<bool>,
    pub grace_seconds: Option<i64>,
    pub propagation: String,
    pub orphan_dependents: Option<bool>,
}

impl Query {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let mut query = Self::default();
        for (key, value) in pairs(text) {
            match key.as_str() {
                "watch" => query.watch = truth(&value),
                "labelSelector" => query.label_selector = value,
                "fieldSelector" => query.field_selector = value,
                "limit" => query.limit = number::<i64>(&value)?.max(0).unsigned_abs(),
                "continue" => query.continue_token = value,
                "resourceVersion" => query.version = value,
                "resourceVersionMatch" => query.version_match = value,
                "timeoutSeconds" => query.timeout_seconds = u64::try_from(number::<i64>(&value)?).ok(),
                "allowWatchBookmarks" => query.bookmarks = truth(&value),
                "sendInitialEvents" => query.initial_events = Some(truth(&value)),
                "dryRun" => query.dry_run.push(value),
                "fieldManager" => query.field_manager = value,
                "fieldValidation" => query.field_validation = value,
                "force" => query.force = Some(truth(&value)),
                "gracePeriodSeconds" => query.grace_seconds = Some(number(&value)?),
                "propagationPolicy" => query.propagation = value,
                "orphanDependents" => query.orphan_dependents = Some(truth(&value)),
                _ => {}
            }
        }
        Ok(query)
    }

    /// Whether a query that cannot be read asks for a watch all the same.
    pub(crate) fn watches(text: &str) -> bool {
        pairs(text).find(|(key, _)| key == "watch").is_some_and(|(_, value)| truth(&value.to_lowercase()))
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        !self.dry_run.is_empty()
    }

    /// What writes have in common; `kind` is `CreateOptions` and the like.
    pub(crate) fn check_write(&self, kind: &str) -> Result<(), Failure> {
        const MOST: usize = 128;
        if self.field_manager.len() > MOST {
            let words = format!("Too long: may not be more than {MOST} bytes");
            return Err(Failure::invalid_options(kind, "fieldManager", "FieldValueTooLong", &words));
        }
        check_dry_run(kind, &self.dry_run)?;
        if !matches!(self.field_validation.as_str(), "" | "Ignore" | "Warn" | "Strict") {
            let words = format!(
                "Unsupported value: {:?}: supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
                self.field_validation
            );
            return Err(Failure::invalid_options(kind, "fieldValidation", "FieldValueNotSupported", &words));
        }
        Ok(())
    }
}

pub(crate) fn check_dry_run(kind: &str, given: &[String]) -> Result<(), Failure> {
    if given.iter().all(|value| value == "All") {
        return Ok(());
    }
    let words = format!("Unsupported value: {given:?}: supported values: \"All\"");
    Err(Failure::invalid_options(kind, "dryRun", "FieldValueNotSupported", &words))
}

/// Whatever is said about a boolean counts as yes, but for two ways to say no.
fn truth(text: &str) -> bool {
    !matches!(text, "0" | "false")
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key, true), decode(value, true))
    })
}

/// Undoes percent-encoding; in a query, a plus is a space.
pub(crate) fn decode(text: &str, in_query: bool) -> String {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (byte, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 2;
            }
            (b'+', _) if in_query => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_clients_write_it() {
        let text = "&watch=true&labelSelector=a%3Db%2Cc+in+%28d%29&limit=5&sendInitialEvents=false&unknown=1";
        let query = Query::parse(text).expect("a query");
        assert!(query.watch);
        assert_eq!(query.label_selector, "a=b,c in (d)");
        assert_eq!(query.limit, 5);
        assert_eq!(query.initial_events, Some(false));
        let unreadable = "limit=many&watch=1";
        assert!(Query::parse(unreadable).is_err() && Query::watches(unreadable) && !Query::watches("watch=False"));
    }
}
