//! Reading: one object, or many.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use crate::{
    content::Cause,
    failure::{About, Failure},
    query::Query,
    selector::Selector,
    state::{Ask, State},
    store::{Stored, range},
};

/// When a server that has not seen a version yet wants to be asked again.
const ASK_AGAIN: u64 = 1;

/// Some objects of a kind.
pub(crate) struct Page {
    pub items: Vec<Arc<Stored>>,
    version: u64,
    go_on: String,
    remaining: Option<u64>,
}

impl State {
    pub(crate) fn get(&self, ask: &Ask<'_>) -> Result<Bytes, Failure> {
        let found = match ask.query.version.as_str() {
            "" => self.store.get(&ask.served.shelf, &ask.key()).cloned(),
            text => {
                let words = |words: String| {
                    if is_cached(ask) {
                        invalid_version(words)
                    } else {
                        Failure::bad_request(format!("invalid resource version: {words}"))
                    }
                };
                self.fresh_enough(version(text).map_err(words)?)?;
                let shelf = self.store.shelf(&ask.served.shelf);
                match shelf.and_then(|shelf| shelf.at(self.visible())) {
                    Some(past) => past.get(&ask.key()).cloned(),
                    None => self.store.get(&ask.served.shelf, &ask.key()).cloned(),
                }
            }
        };
        let stored = found.ok_or_else(|| Failure::not_found(&About::of(ask.kind(), ask.name())))?;
        Ok(ask.served.json(&stored))
    }

    /// A cache answers only if it has seen this version.
    fn fresh_enough(&self, version: u64) -> Result<(), Failure> {
        let visible = self.visible();
        if version <= visible { Ok(()) } else { Err(Failure::too_large_version(version, visible, ASK_AGAIN)) }
    }

    /// What a list or a watch selects, if its options make sense.
    pub(crate) fn selector(ask: &Ask<'_>) -> Result<Selector, Failure> {
        let query = &ask.query;
        let parsed = Selector::parse(&query.label_selector, &query.field_selector)?;
        check_options(query)?;
        let selector = parsed.of(ask.kind())?;
        Ok(match ask.name() {
            "" => selector,
            name => selector.named(name),
        })
    }

    pub(crate) fn list(&self, ask: &Ask<'_>) -> Result<Bytes, Failure> {
        let page = self.page(ask)?;
        Ok(written(ask, &page))
    }

    pub(crate) fn page(&self, ask: &Ask<'_>) -> Result<Page, Failure> {
        let (query, selector) = (&ask.query, Self::selector(ask)?);
        let prefix = ask.prefix();
        let mut from = String::new();
        let mut limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        // The version to look at; the latest one if there is none.
        let at = if !query.continue_token.is_empty() {
            let (token_version, start) = read_token(&query.continue_token)?;
            if !matches!(query.version.as_str(), "" | "0") {
                let words = "specifying resource version is not allowed when using continue";
                return Err(Failure::bad_request(words));
            }
            from = format!("{prefix}{start}");
            match u64::try_from(token_version) {
                Ok(version) if version < self.store.floor => {
                    return Err(Failure::continue_expired(token(-1, &start)));
                }
                Ok(version) => Some(version),
                Err(_) => None,
            }
        } else if query.version.is_empty() {
            None
        } else {
            let wanted = version(&query.version)
                .map_err(|words| Failure::bad_request(format!("invalid resource version: {words}")))?;
            let exact = query.version_match == "Exact" || (query.version_match.is_empty() && limit > 0 && wanted > 0);
            if exact && wanted < self.store.floor {
                return Err(Failure::expired("The resourceVersion for the provided list is too old."));
            }
            if exact && wanted > self.store.version() {
                return Err(Failure::too_large_version(wanted, self.store.version(), ASK_AGAIN));
            }
            if !exact {
                self.fresh_enough(wanted)?;
            }
            if wanted == 0 && is_cached(ask) {
                limit = 0;
            }
            Some(if exact { wanted } else { self.visible() })
        };
        if selector.name().is_some() && query.continue_token.is_empty() {
            limit = 0;
        }
        let none = BTreeMap::new();
        let shelf = self.store.shelf(&ask.served.shelf);
        let past = at.and_then(|at| shelf?.at(at));
        let objects = past.as_ref().or(shelf.map(|shelf| &shelf.objects)).unwrap_or(&none);
        let all = range(objects, &prefix, &from);
        let count = if limit > 0 && selector.is_empty() { all.clone().count() } else { 0 };
        let mut page = Page {
            items: Vec::new(),
            version: at.unwrap_or(self.store.version()),
            go_on: String::new(),
            remaining: None,
        };
        let mut last = "";
        for (key, stored) in all {
            if limit > 0 && page.items.len() == limit {
                page.go_on =
                    token(i64::try_from(page.version).unwrap_or(i64::MAX), &format!("{}\0", &last[prefix.len()..]));
                page.remaining = selector.is_empty().then(|| (count - limit) as u64);
                break;
            }
            last = key;
            if selector.is_empty() || selector.matches(&ask.served.load(stored)) {
                page.items.push(stored.clone());
            }
        }
        Ok(page)
    }
}

/// Whether there is a cache in front of etcd: for all but events.
fn is_cached(ask: &Ask<'_>) -> bool {
    ask.kind().kind != "Event"
}

fn written(ask: &Ask<'_>, page: &Page) -> Bytes {
    let mut metadata = json!({ "resourceVersion": page.version.to_string() });
    if !page.go_on.is_empty() {
        metadata["continue"] = page.go_on.as_str().into();
    } else if ask.kind().custom {
        metadata["continue"] = "".into();
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let items: Vec<Bytes> = page.items.iter().map(|stored| ask.served.item(stored)).collect();
    let kind = ask.kind();
    let head = format!(
        r#"{{"kind":{:?},"apiVersion":{:?},"metadata":{metadata},"items":["#,
        kind.list_kind,
        kind.api_version()
    );
    let size = items.iter().map(|item| item.len() + 1).sum::<usize>() + head.len() + 2;
    let mut bytes = BytesMut::with_capacity(size);
    bytes.put_slice(head.as_bytes());
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            bytes.put_u8(b',');
        }
        bytes.put_slice(item);
    }
    bytes.put_slice(b"]}");
    bytes.freeze()
}

/// Where a list goes on.
fn token(version: i64, start: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({ "v": "meta.k8s.io/v1", "rv": version, "start": start }).to_string())
}

fn read_token(text: &str) -> Result<(i64, String), Failure> {
    let refuse = |words: &str| Failure::bad_request(format!("invalid continue token: {words}"));
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| refuse(&format!("continue key is not valid: {error}")))?;
    let token: Value =
        serde_json::from_slice(&bytes).map_err(|error| refuse(&format!("continue key is not valid: {error}")))?;
    let (version, start) = (token["rv"].as_i64().unwrap_or(0), token["start"].as_str().unwrap_or_default());
    match (token["v"].as_str(), version, start) {
        (Some("meta.k8s.io/v1"), 0, _) => {
            Err(refuse("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"))
        }
        (Some("meta.k8s.io/v1"), _, "") => {
            Err(refuse("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)"))
        }
        (Some("meta.k8s.io/v1"), ..) => Ok((version, start.to_owned())),
        _ => Err(refuse("continue key is not valid: server does not recognize this encoded version")),
    }
}

/// A resource version, or what the server says of it.
pub(crate) fn version(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
    })
}

pub(crate) fn invalid_version(words: String) -> Failure {
    Failure::bare(500, words)
}

/// What is wrong with the options of a list or a watch.
pub(crate) fn check_options(query: &Query) -> Result<(), Failure> {
    let mut causes = Vec::new();
    let mut tell = |field: &str, reason: &str, message: String| {
        causes.push(Cause { field: field.to_owned(), reason: reason.to_owned(), message });
    };
    let (field, forbidden) = ("resourceVersionMatch", "FieldValueForbidden");
    let wanted = query.version_match.as_str();
    let unsupported = |supported: &str| format!("Unsupported value: {wanted:?}: supported values: {supported}");
    if query.watch {
        let initial = query.initial_events.is_some();
        if initial && wanted != "NotOlderThan" {
            let words = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            tell(field, forbidden, words.to_owned());
        }
        if !wanted.is_empty() && !initial {
            let words = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            tell(field, forbidden, words.to_owned());
        }
        if !matches!(wanted, "" | "NotOlderThan") {
            tell(field, "FieldValueNotSupported", unsupported("\"NotOlderThan\""));
        }
        if !wanted.is_empty() && !query.continue_token.is_empty() {
            let words = "Forbidden: resourceVersionMatch is forbidden when continue is provided";
            tell(field, forbidden, words.to_owned());
        }
    } else {
        if !wanted.is_empty() && query.version.is_empty() {
            let words = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided";
            tell(field, forbidden, words.to_owned());
        }
        if !wanted.is_empty() && !query.continue_token.is_empty() {
            let words = "Forbidden: resourceVersionMatch is forbidden when continue is provided";
            tell(field, forbidden, words.to_owned());
        }
        if !matches!(wanted, "" | "Exact" | "NotOlderThan") {
            tell(field, "FieldValueNotSupported", unsupported("\"Exact\", \"NotOlderThan\", \"\""));
        }
        if wanted == "Exact" && query.version == "0" {
            let words = "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            tell(field, forbidden, words.to_owned());
        }
        if query.initial_events.is_some() {
            let words = "Forbidden: sendInitialEvents is forbidden for list";
            tell("sendInitialEvents", forbidden, words.to_owned());
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &causes)) }
}
