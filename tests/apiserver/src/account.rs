//! Who asks, and what they may do.

use jiff::Timestamp;

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody who may do everything and is never refused.
    Admin,
    /// Whoever has this token. One that is unknown or expired is answered with 401.
    Token(String),
}

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub user: String,
    /// What the user may do.
    pub rights: Rights,
    /// From when on the token is not accepted any more.
    pub expires: Option<Timestamp>,
}

/// What a user may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    All,
    /// What one of these allows.
    Rules(Vec<Rule>),
}

/// What is allowed, as in a role. `*` stands for all in the first three.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// API groups; the core one is empty.
    pub groups: Vec<String>,
    /// Resources: `pods`, `pods/status`.
    pub resources: Vec<String>,
    /// `get`, `list` …
    pub verbs: Vec<String>,
    /// The objects of these names; all if there are none.
    pub names: Vec<String>,
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Why it is allowed, in the words that a review of access gives.
    pub reason: String,
}

/// What somebody wants to do to a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl Rights {
    pub(crate) fn allow(&self, wanted: &Attributes<'_>) -> bool {
        self.reason(wanted).is_some()
    }

    /// Why this is allowed, if it is.
    pub(crate) fn reason(&self, wanted: &Attributes<'_>) -> Option<&str> {
        match self {
            Self::All => Some(""),
            Self::Rules(rules) => rules.iter().find(|rule| rule.allows(wanted)).map(|rule| &*rule.reason),
        }
    }
}

impl Rule {
    fn allows(&self, wanted: &Attributes<'_>) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|one| one == "*" || one == word);
        let resource = match wanted.subresource {
            "" => has(&self.resources, wanted.resource),
            sub => {
                let full = format!("{}/{sub}", wanted.resource);
                let any = format!("*/{sub}");
                has(&self.resources, &full) || self.resources.contains(&any)
            }
        };
        resource
            && has(&self.verbs, wanted.verb)
            && has(&self.groups, wanted.group)
            && (self.names.is_empty() || self.names.iter().any(|name| name == wanted.name))
            && self.namespace.as_deref().is_none_or(|namespace| namespace == wanted.namespace)
    }
}

impl Attributes<'_> {
    /// In the words of the server's refusal.
    pub(crate) fn refusal(&self, user: &str) -> String {
        let Self { verb, group, resource, subresource, namespace, .. } = self;
        let slash = if subresource.is_empty() { "" } else { "/" };
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        format!(
            "User {user:?} cannot {verb} resource \"{resource}{slash}{subresource}\" in API group {group:?} {place}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted<'a>(verb: &'a str, resource: &'a str, subresource: &'a str, namespace: &'a str) -> Attributes<'a> {
        Attributes { verb, group: "", resource, subresource, namespace, name: "" }
    }

    #[test]
    fn a_rule_allows_what_it_names_where_it_holds() {
        let rule = Rule {
            groups: vec![String::new()],
            resources: vec!["pods".into(), "pods/status".into()],
            verbs: vec!["get".into()],
            namespace: Some("a".into()),
            ..Rule::default()
        };
        let rights = Rights::Rules(vec![rule]);
        for (verb, resource, subresource, namespace, allowed) in [
            ("get", "pods", "", "a", true),
            ("get", "pods", "status", "a", true),
            ("get", "pods", "log", "a", false),
            ("list", "pods", "", "a", false),
            ("get", "secrets", "", "a", false),
            ("get", "pods", "", "b", false),
            ("get", "pods", "", "", false),
        ] {
            let wanted = wanted(verb, resource, subresource, namespace);
            assert_eq!(rights.allow(&wanted), allowed, "{wanted:?}");
        }
    }

    #[test]
    fn a_refusal_names_who_what_and_where() {
        let words = wanted("list", "pods", "status", "").refusal("x");
        assert_eq!(words, r#"User "x" cannot list resource "pods/status" in API group "" at the cluster scope"#);
        let words = wanted("list", "pods", "", "ns").refusal("x");
        assert_eq!(words, r#"User "x" cannot list resource "pods" in API group "" in the namespace "ns""#);
    }
}
