//! What can go wrong with one request, in words that a condition may carry: an API server's own words, never ours about
//! credentials.

use std::{error::Error, time::Duration};

use kube::core::Status;

use super::{addresses::Refused, bounded::TooLarge, distrust::Distrust, limits::Refusal, timing};

/// Why one request to an API server brought no usable answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The deadline passed.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The connection failed, or broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Something else answers, or its certificate is not in order.
    #[error("{0}")]
    Untrusted(Distrust),
    /// It leads to an address that is not dialled.
    #[error("nothing was sent: {0}")]
    AddressRefused(Refused),
    /// 401.
    #[error("the API server does not accept the credentials ({0}); renew them in the kubeconfig")]
    Unauthorized(String),
    /// Any other refusal, with the API server's status.
    #[error("the API server answers {}: {}", .0.code, clip(&.0.message))]
    Api(Box<Status>),
    /// Nothing was sent: we keep to what the worker can bear.
    #[error("{0}")]
    Held(Refusal),
    /// The answer grew beyond its bound.
    #[error("{0}")]
    TooLarge(TooLarge),
    /// The answer could not be understood.
    #[error("the answer could not be read: {0}")]
    Unreadable(String),
}

impl Fault {
    /// `CamelCase`, bounded: for conditions, events and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "Timeout",
            Self::Unreachable(_) => "Unreachable",
            Self::Untrusted(_) => "CertificateNotTrusted",
            Self::AddressRefused(_) => "AddressRefused",
            Self::Unauthorized(_) => "Unauthorized",
            Self::Api(status) if status.is_forbidden() => "Forbidden",
            Self::Api(_) => "Refused",
            Self::Held(_) => "Overloaded",
            Self::TooLarge(_) => "TooLarge",
            Self::Unreadable(_) => "Unreadable",
        }
    }

    /// The API server's status, if it answered with one.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the API server says that the object of that name is not the one that the request's UID names: a
    /// precondition that fails, or an attempt to change an immutable field.
    #[must_use]
    pub fn is_other_object(&self) -> bool {
        let Some(status) = self.status() else { return false };
        let names_uid = || {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            causes.into_iter().any(|cause| cause.field == "metadata.uid")
        };
        (status.is_conflict() && status.message.contains("UID")) || (status.is_invalid() && names_uid())
    }

    /// Whether the API server says that what was asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }
}

impl From<kube::Error> for Fault {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 401 => Self::Unauthorized(clip(&status.message)),
            kube::Error::Api(status) => Self::Api(status),
            // The text of a JSON error can quote the answer; where it is does not matter to anybody.
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                Self::Unreadable("not the expected JSON".to_owned())
            }
            other => {
                if let Some(refusal) = cause::<Refusal>(&other) {
                    Self::Held(*refusal)
                } else if let Some(large) = cause::<TooLarge>(&other) {
                    Self::TooLarge(*large)
                } else if let Some(refused) = cause::<Refused>(&other) {
                    Self::AddressRefused(*refused)
                } else if let Some(distrust) = cause::<rustls::Error>(&other).and_then(Distrust::of) {
                    Self::Untrusted(distrust)
                } else {
                    // What hyper calls a deadline is the time that a connection may take to be made.
                    Self::Unreachable(root_cause(&other).replace("deadline has elapsed", "no connection within 5 s"))
                }
            }
        }
    }
}

/// Waits for one call, at most `deadline`.
///
/// Boxed before anything else: a request's future is large and short-lived, a worker's task is small and many.
pub fn within<T>(
    deadline: Duration,
    call: impl Future<Output = kube::Result<T>> + Send,
) -> impl Future<Output = Result<T, Fault>> + Send {
    let call = Box::pin(call);
    async move {
        match tokio::time::timeout(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Fault::Timeout(deadline)),
        }
    }
}

/// Waits for one call, at most [`timing::CALL_DEADLINE`].
pub fn call<T>(call: impl Future<Output = kube::Result<T>> + Send) -> impl Future<Output = Result<T, Fault>> + Send {
    within(timing::CALL_DEADLINE, call)
}

/// The error of this type that caused another one, wherever libraries have wrapped it.
pub(super) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // What an I/O error carries is not its source: that is the source of what it carries.
    let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match carried {
        Some(carried) => cause(carried),
        None => cause(error.source()?),
    }
}

fn root_cause(error: &kube::Error) -> String {
    clip(&error.source().map_or_else(|| "request failed".to_owned(), root_of))
}

/// The innermost error: "connection refused" says more than "client error (Connect)".
#[must_use]
pub fn root_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}

/// At most so much of somebody else's words as fits in a condition.
#[must_use]
pub fn clip(text: &str) -> String {
    const MOST: usize = 400;
    let text = text.trim();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
