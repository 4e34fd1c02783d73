//! Which names, labels and keys are well formed, and what the server says of those that are not.

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

fn lower_or_digit(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(lower_or_digit)
        && bytes.last().copied().is_some_and(lower_or_digit)
        && bytes.iter().all(|b| lower_or_digit(*b) || *b == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn too_long(text: &str, most: usize) -> Option<String> {
    (text.len() > most).then(|| format!("must be no more than {most} characters"))
}

/// A DNS label, as namespaces are named.
pub(super) fn dns_label(text: &str) -> Vec<String> {
    let mut faults: Vec<String> = too_long(text, 63).into_iter().collect();
    if !is_label(text) {
        faults.push(if is_subdomain(text) {
            "must not contain dots".to_owned()
        } else {
            format!(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
                 end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
            )
        });
    }
    faults
}

/// A DNS subdomain, as most objects are named.
pub(super) fn dns_subdomain(text: &str) -> Vec<String> {
    let mut faults: Vec<String> = too_long(text, 253).into_iter().collect();
    if !is_subdomain(text) {
        faults.push(format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
             and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '{LABEL}(\\.{LABEL})*')"
        ));
    }
    faults
}

/// A DNS label that begins with a letter, as services are named.
pub(super) fn dns_1035_label(text: &str) -> Vec<String> {
    let mut faults: Vec<String> = too_long(text, 63).into_iter().collect();
    if !(is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())) {
        faults.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation \
             is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    faults
}

/// A piece of a path, as kinds of RBAC are named.
pub(super) fn path_segment(text: &str) -> Vec<String> {
    match text {
        "." | ".." => vec![format!("may not be '{text}'")],
        _ => ["/", "%"]
            .iter()
            .filter(|part| text.contains(**part))
            .map(|part| format!("may not contain '{part}'"))
            .collect(),
    }
}

/// A label's key, an annotation's, a finalizer.
pub(crate) fn qualified_name(text: &str) -> Vec<String> {
    let wrong = || {
        format!(
            "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
             character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED}')"
        )
    };
    let mut faults = Vec::new();
    let mut parts = text.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(dns_subdomain(prefix).into_iter().map(|fault| format!("prefix part {fault}")));
            }
            name
        }
        _ => {
            let words = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a qualified name {} {words}", wrong())];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else {
        faults.extend(too_long(name, 63).map(|fault| format!("name part {fault}")));
    }
    if !is_qualified(name) {
        faults.push(format!("name part {}", wrong()));
    }
    faults
}

/// A label's value.
pub(crate) fn label_value(text: &str) -> Vec<String> {
    let mut faults: Vec<String> = too_long(text, 63).into_iter().collect();
    if !text.is_empty() && !is_qualified(text) {
        faults.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
             and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
             validation is '({QUALIFIED})?')"
        ));
    }
    faults
}

/// A key of a Secret or a `ConfigMap`.
pub(super) fn config_key(text: &str) -> Vec<String> {
    let mut faults: Vec<String> = too_long(text, 253).into_iter().collect();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        faults.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match text {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}

/// A port's name.
pub(super) fn port_name(text: &str) -> Vec<String> {
    let mut faults: Vec<String> = too_long(text, 15).into_iter().collect();
    if text.is_empty() || !text.bytes().all(|b| lower_or_digit(b) || b == b'-') {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        faults.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        faults.push("must not begin or end with a hyphen".to_owned());
    }
    faults
}

/// An environment variable's name.
pub(super) fn env_name(text: &str) -> Vec<String> {
    let fits = !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
    if fits {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
}

/// A prefix to which a suffix will be appended: it may end in a dash.
pub(super) fn masked(prefix: &str) -> String {
    if prefix.len() > 1 && prefix.ends_with('-') {
        return format!("{}a", &prefix[..prefix.len() - 2]);
    }
    prefix.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_the_rules_of_dns() {
        for (name, label, subdomain, service) in [
            ("a", true, true, true),
            ("a-b", true, true, true),
            ("1a", true, true, false),
            ("a.b", false, true, false),
            ("A", false, false, false),
            ("a_b", false, false, false),
            ("-a", false, false, false),
            ("a-", false, false, false),
            ("", false, false, false),
            ("a..b", false, false, false),
        ] {
            assert_eq!(dns_label(name).is_empty(), label, "{name}");
            assert_eq!(dns_subdomain(name).is_empty(), subdomain, "{name}");
            assert_eq!(dns_1035_label(name).is_empty(), service, "{name}");
        }
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    }

    #[test]
    fn labels_and_keys_are_judged_by_their_own_rules() {
        for (key, fits) in
            [("app", true), ("a.b/App_1", true), ("/a", false), ("a/b/c", false), ("a/", false), ("a b", false)]
        {
            assert_eq!(qualified_name(key).is_empty(), fits, "{key}");
        }
        for (value, fits) in [("", true), ("Yes.1_a", true), ("-", false), ("a b", false)] {
            assert_eq!(label_value(value).is_empty(), fits, "{value}");
        }
        for (key, fits) in [("a.b_C-1", true), ("", false), ("..a", false), ("a/b", false)] {
            assert_eq!(config_key(key).is_empty(), fits, "{key}");
        }
    }
}
