//! Refusals: `Status` objects in the words of the real server.

use serde_json::{Map, Value, json};

use crate::content::{Cause, Kind, Refusal};

/// A request that fails. Boxed, because every function here gives one.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: u16,
    reason: &'static str,
    message: String,
    details: Map<String, Value>,
    /// A continue token that can be used instead of the one that is too old.
    go_on: Option<String>,
    /// Not a Status at all but plain text, as for a path that nobody serves.
    plain: bool,
    /// Details that say nothing, where the server has them all the same.
    bare_details: bool,
}

/// What a request is about, as details and messages name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub group: &'a str,
    pub resource: &'a str,
    pub name: &'a str,
}

impl<'a> About<'a> {
    pub(crate) fn of(kind: &'a Kind, name: &'a str) -> Self {
        Self { group: &kind.group, resource: &kind.plural, name }
    }

    /// `pods` or `jobs.batch`.
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.resource.to_owned() } else { format!("{}.{}", self.resource, self.group) }
    }

    fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        for (key, word) in [("name", self.name), ("group", self.group), ("kind", self.resource)] {
            if !word.is_empty() {
                details.insert(key.to_owned(), word.into());
            }
        }
        details
    }
}

pub(crate) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner {
            code,
            reason,
            message,
            details: Map::new(),
            go_on: None,
            plain: false,
            bare_details: false,
        }))
    }

    fn about(mut self, about: &About<'_>) -> Self {
        self.0.details = about.details();
        self
    }

    /// One more cause in the details.
    pub(crate) fn because(mut self, reason: &str, message: &str, field: &str) -> Self {
        let mut cause = Map::new();
        for (key, word) in [("reason", reason), ("message", message), ("field", field)] {
            if !word.is_empty() {
                cause.insert(key.to_owned(), word.into());
            }
        }
        let causes = self.0.details.entry("causes").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(causes) = causes {
            causes.push(Value::Object(cause));
        }
        self
    }

    /// When to try again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.details.insert("retryAfterSeconds".to_owned(), seconds.into());
        self
    }

    pub(crate) fn no_such_path() -> Self {
        let mut failure = Self::new(404, "NotFound", "404 page not found\n");
        failure.0.plain = true;
        failure
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn not_found(about: &About<'_>) -> Self {
        Self::new(404, "NotFound", format!("{} {:?} not found", about.qualified(), about.name)).about(about)
    }

    pub(crate) fn already_exists(about: &About<'_>) -> Self {
        let words = format!("{} {:?} already exists", about.qualified(), about.name);
        Self::new(409, "AlreadyExists", words).about(about)
    }

    /// The object of that name is on its way out.
    pub(crate) fn still_going(about: &About<'_>) -> Self {
        let mut failure = Self::already_exists(about);
        failure.0.message = format!("object is being deleted: {}", failure.0.message);
        failure
    }

    pub(crate) fn no_unique_name(about: &About<'_>) -> Self {
        let mut failure = Self::already_exists(about).retry_after(1);
        failure.0.message.push_str(", the server was not able to generate a unique name for the object");
        failure
    }

    pub(crate) fn forbidden(about: &About<'_>, words: &str) -> Self {
        let message = match (about.resource, about.name) {
            ("", _) => format!("forbidden: {words}"),
            (_, "") => format!("{} is forbidden: {words}", about.qualified()),
            (_, name) => format!("{} {name:?} is forbidden: {words}", about.qualified()),
        };
        Self::new(403, "Forbidden", message).about(about)
    }

    pub(crate) fn conflict(about: &About<'_>, words: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {:?}: {words}", about.qualified(), about.name);
        Self::new(409, "Conflict", message).about(about)
    }

    pub(crate) fn bad_request(words: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", words)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .with_details()
    }

    pub(crate) fn unsupported_media(accepted: &str) -> Self {
        let words =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(415, "UnsupportedMediaType", words)
    }

    /// A content type that no form of a patch has.
    pub(crate) fn unheard_of_media() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details()
    }

    pub(crate) fn too_many_requests(words: impl Into<String>, seconds: u64) -> Self {
        let failure = Self::new(429, "TooManyRequests", words);
        if seconds == 0 { failure } else { failure.retry_after(seconds) }
    }

    pub(crate) fn internal(words: &str) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {words}")).because("", words, "")
    }

    /// What the server's code gives without making a status of it.
    pub(crate) fn bare(code: u16, words: impl Into<String>) -> Self {
        Self::new(code, "", words)
    }

    pub(crate) fn service_unavailable(words: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", words)
    }

    /// A resource version that is older than what is remembered.
    pub(crate) fn expired(words: impl Into<String>) -> Self {
        Self::new(410, "Expired", words)
    }

    /// A continue token that is too old, with one that goes on at the latest version.
    pub(crate) fn continue_expired(token: String) -> Self {
        let mut failure = Self::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter, or use the continue token in this response to retrieve the remainder of \
             the results. Continuing with the provided token results in an inconsistent list - objects that were \
             created, modified, or deleted between the time the first chunk was returned and now may show up in the \
             list.",
        );
        failure.0.go_on = Some(token);
        failure
    }

    /// A resource version that does not exist yet.
    pub(crate) fn too_large_version(wanted: u64, current: u64, seconds: u64) -> Self {
        let words = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let failure = Self::new(504, "Timeout", words);
        let failure = if seconds == 0 { failure } else { failure.retry_after(seconds) };
        failure.because("ResourceVersionTooLarge", "Too large resource version", "")
    }

    /// 422, with the causes. `kind` as in messages: `Pod`, `Job.batch`.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let mut told: Vec<String> = Vec::new();
        for Cause { field, message, .. } in causes {
            let words = format!("{field}: {message}");
            if !told.contains(&words) {
                told.push(words);
            }
        }
        let told = if told.len() == 1 { told.concat() } else { format!("[{}]", told.join(", ")) };
        let dot = if group.is_empty() { "" } else { "." };
        let message = format!("{kind}{dot}{group} {name:?} is invalid: {told}");
        let failure = Self::new(422, "Invalid", message).about(&About { group, resource: kind, name });
        causes.iter().fold(failure, |failure, cause| failure.because(&cause.reason, &cause.message, &cause.field))
    }

    /// If an object that is refused says to be something else than it is, then it is called so.
    pub(crate) fn called(mut self, kind: &Kind, api_version: &str, name: &str) -> Self {
        let dotted =
            |kind: &str, group: &str| if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        if let Some(rest) = self.0.message.strip_prefix(&format!("{} ", dotted(&kind.kind, &kind.group))) {
            self.0.message = format!("{} {rest}", dotted(name, group));
            self.0.details.insert("kind".to_owned(), name.into());
            self.0.details.insert("group".to_owned(), group.into());
            self.0.details.retain(|_, word| word != "");
        }
        self
    }

    /// 422 of the options of a request: `CreateOptions`.
    pub(crate) fn invalid_options(kind: &str, field: &str, reason: &str, message: &str) -> Self {
        let cause = Cause { field: field.to_owned(), reason: reason.to_owned(), message: message.to_owned() };
        Self::invalid("meta.k8s.io", kind, "", &[cause])
    }

    /// What the content of an object was refused for.
    pub(crate) fn of(kind: &Kind, name: &str, refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(causes) => Self::invalid(&kind.group, &kind.kind, name, &causes),
            Refusal::BadRequest(words) => Self::bad_request(words),
            Refusal::Internal(words) => Self::bare(500, words),
            Refusal::Conflict(causes, words) => {
                causes.iter().fold(Self::new(409, "Conflict", words), |failure, cause| {
                    failure.because(&cause.reason, &cause.message, &cause.field)
                })
            }
        }
    }

    /// What a webhook refuses has its words and nothing else.
    pub(crate) fn denied(words: &str) -> Self {
        Self::new(403, "Forbidden", words)
    }

    /// A patch that cannot be carried out.
    pub(crate) fn unprocessable() -> Self {
        let words = "the server rejected our request due to an error in our request";
        Self::new(422, "Invalid", words).with_details()
    }

    /// With details, even if they say nothing.
    fn with_details(mut self) -> Self {
        self.0.bare_details = true;
        self
    }

    /// A resource or a subresource that a known group does not have.
    pub(crate) fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").with_details()
    }

    pub(crate) fn code(&self) -> u16 {
        self.0.code
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.0.plain
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn seconds(&self) -> Option<u64> {
        self.0.details.get("retryAfterSeconds")?.as_u64()
    }

    pub(crate) fn is_already_exists(&self) -> bool {
        self.0.reason == "AlreadyExists"
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.0.reason == "NotFound"
    }

    /// The object that stands in the answer's body.
    pub(crate) fn status(&self) -> Value {
        let Inner { code, reason, message, details, go_on, bare_details, .. } = &*self.0;
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code
        });
        if !reason.is_empty() {
            status["reason"] = (*reason).into();
        }
        if !details.is_empty() || *bare_details {
            status["details"] = Value::Object(details.clone());
        }
        if let Some(token) = go_on {
            status["metadata"]["continue"] = token.as_str().into();
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> About<'static> {
        About { group: "", resource: "pods", name: "a" }
    }

    #[test]
    fn failures_speak_as_the_real_server_does() {
        let job = About { group: "batch", resource: "jobs", name: "a" };
        for (failure, code, reason, message) in [
            (Failure::not_found(&pod()), 404, "NotFound", r#"pods "a" not found"#),
            (Failure::not_found(&job), 404, "NotFound", r#"jobs.batch "a" not found"#),
            (Failure::already_exists(&pod()), 409, "AlreadyExists", r#"pods "a" already exists"#),
            (
                Failure::conflict(&job, MODIFIED),
                409,
                "Conflict",
                "Operation cannot be fulfilled on jobs.batch \"a\": the object has been modified; please apply your \
                 changes to the latest version and try again",
            ),
            (Failure::forbidden(&pod(), "no"), 403, "Forbidden", r#"pods "a" is forbidden: no"#),
            (Failure::forbidden(&About { name: "", ..pod() }, "no"), 403, "Forbidden", "pods is forbidden: no"),
        ] {
            let status = failure.status();
            assert_eq!(status["code"], code);
            assert_eq!(status["reason"], reason);
            assert_eq!(status["message"], message);
        }
    }

    #[test]
    fn details_leave_out_what_is_empty() {
        let status = Failure::not_found(&pod()).status();
        assert_eq!(status["details"], json!({ "name": "a", "kind": "pods" }));
    }

    #[test]
    fn an_invalid_object_has_its_causes() {
        let cause = Cause {
            field: "spec.containers".into(),
            reason: "FieldValueRequired".into(),
            message: "Required value".into(),
        };
        let status = Failure::invalid("", "Pod", "a", &[cause]).status();
        assert_eq!(status["message"], r#"Pod "a" is invalid: spec.containers: Required value"#);
        assert_eq!(
            status["details"]["causes"],
            json!([{ "reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers" }])
        );
    }
}
