//! Tokens from a program or a file that a kubeconfig names (`exec`, `tokenFile`), where that is allowed.
//!
//! kube can do this too, but runs the program while a client is made, on a thread that other workers need, without a
//! deadline, and puts into its error what the program printed; and a token file that ends with a line break is of no
//! use to it. Here both happen beside everything else, a program is killed when the request that waits for it is given
//! up, and nothing that either holds is repeated.

use std::{
    process::Stdio,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, header::AUTHORIZATION};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::{process::Command, sync::Mutex, time::timeout};
use tower::{BoxError, Layer, Service};

use super::timing;

/// A program and how to call it. Its `Debug` prints nothing: arguments can be secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    pub(super) command: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) api_version: String,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Program(…)")
    }
}

/// Where tokens come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A program prints them.
    Program(Program),
    /// A file holds them, and somebody replaces it in time.
    File(String),
}

impl Source {
    async fn token(&self, now: Timestamp) -> Result<Token, NoToken> {
        match self {
            Self::Program(program) => program.token().await,
            Self::File(path) => {
                let text = tokio::fs::read_to_string(path).await.map_err(|_| NoToken::NoFile)?;
                Ok(Token { secret: text.into(), until: Some(now + REREAD + EARLY) })
            }
        }
    }
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// It is not there, or may not be run.
    #[error("the program that the kubeconfig names in exec cannot be run: is it in Atoll's image?")]
    NotRun,
    /// It says that it failed.
    #[error("the program that the kubeconfig names in exec failed: run it by hand in Atoll's pod to see why")]
    Failed,
    /// It does not come to an end.
    #[error("the program that the kubeconfig names in exec did not end within {} s, and was killed", PATIENCE.as_secs())]
    Endless,
    /// What it printed is no `ExecCredential` with a token.
    #[error("the program that the kubeconfig names in exec printed no ExecCredential with a token in its status")]
    Unreadable,
    /// The file is not there, or may not be read.
    #[error("the tokenFile that the kubeconfig names cannot be read in Atoll's pod: is it mounted, and readable?")]
    NoFile,
}

/// How long it may take: less than the request that waits for it.
const PATIENCE: Duration = Duration::from_secs(timing::CALL_DEADLINE.as_secs() - 2);
/// How long before its end a token is replaced.
const EARLY: SignedDuration = SignedDuration::from_secs(60);
/// How often a token's file is read again.
const REREAD: SignedDuration = SignedDuration::from_secs(60);

#[derive(Clone)]
struct Token {
    secret: SecretString,
    until: Option<Timestamp>,
}

impl Program {
    /// Everything that makes it differ from another one, named.
    pub(super) fn words(&self) -> Vec<(&'static str, &str)> {
        let mut words = vec![("exec", self.command.as_str()), ("exec-version", self.api_version.as_str())];
        words.extend(self.arguments.iter().map(|argument| ("exec-argument", argument.as_str())));
        for (name, value) in &self.environment {
            words.extend([("exec-name", name.as_str()), ("exec-value", value.as_str())]);
        }
        words
    }

    async fn token(&self) -> Result<Token, NoToken> {
        let info = serde_json::json!({
            "apiVersion": self.api_version, "kind": "ExecCredential", "spec": { "interactive": false },
        });
        let mut command = Command::new(&self.command);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("KUBERNETES_EXEC_INFO", info.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await;
        let output = output.map_err(|_| NoToken::Endless)?.map_err(|_| NoToken::NotRun)?;
        if !output.status.success() {
            return Err(NoToken::Failed);
        }
        read(&output.stdout)
    }
}

/// Reads an `ExecCredential`.
fn read(printed: &[u8]) -> Result<Token, NoToken> {
    #[derive(Deserialize)]
    struct Printed {
        status: Status,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Status {
        token: String,
        expiration_timestamp: Option<String>,
    }
    let printed: Printed = serde_json::from_slice(printed).map_err(|_| NoToken::Unreadable)?;
    let until = printed.status.expiration_timestamp.map(|until| until.parse()).transpose();
    Ok(Token { secret: printed.status.token.into(), until: until.map_err(|_| NoToken::Unreadable)? })
}

/// Puts the token into every request.
#[derive(Clone, Debug)]
pub struct TokenLayer(pub Source);

impl<S> Layer<S> for TokenLayer {
    type Service = WithToken<S>;

    fn layer(&self, inner: S) -> WithToken<S> {
        WithToken { inner, source: Arc::new(self.0.clone()), held: Arc::default() }
    }
}

/// A service whose requests carry the token.
#[derive(Clone)]
pub struct WithToken<S> {
    inner: S,
    source: Arc<Source>,
    /// The one in use. Whoever comes while it is being replaced waits: the program runs once.
    held: Arc<Mutex<Option<Token>>>,
}

async fn header(source: &Source, held: &Mutex<Option<Token>>, now: Timestamp) -> Result<HeaderValue, NoToken> {
    let mut held = held.lock().await;
    let good = |token: &&Token| token.until.is_none_or(|until| until.duration_since(now) > EARLY);
    let token = match held.as_ref().filter(good) {
        Some(token) => token.clone(),
        None => held.insert(source.token(now).await?).clone(),
    };
    let bearer = format!("Bearer {}", token.secret.expose_secret().trim());
    let mut value = HeaderValue::try_from(bearer).map_err(|_| NoToken::Unreadable)?;
    value.set_sensitive(true);
    Ok(value)
}

impl<S, B> Service<Request<B>> for WithToken<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    S::Response: 'static,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that is ready is used; the clone that stays is asked again.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let (source, held) = (self.source.clone(), self.held.clone());
        Box::pin(async move {
            let value = header(&source, &held, Timestamp::now()).await?;
            request.headers_mut().insert(AUTHORIZATION, value);
            inner.call(request).await.map_err(Into::into)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program {
            command: "/bin/sh".to_owned(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: vec![("GIVEN".to_owned(), "t0ken".to_owned())],
            api_version: "client.authentication.k8s.io/v1".to_owned(),
        }
    }

    async fn value(program: &Program, held: &Mutex<Option<Token>>, now: &str) -> Result<String, NoToken> {
        let header = header(&Source::Program(program.clone()), held, now.parse().unwrap()).await?;
        assert!(header.is_sensitive());
        Ok(header.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn the_token_is_what_the_program_prints_in_its_environment() {
        let program = shell(r#"printf '{"status":{"token":"%s"}}' "$GIVEN""#);
        assert_eq!(value(&program, &Mutex::default(), "2026-01-01T00:00:00Z").await.unwrap(), "Bearer t0ken");
    }

    #[tokio::test]
    async fn the_program_runs_again_a_minute_before_its_token_ends_and_not_sooner() {
        let program = shell(r#"printf '{"status":{"token":"%s","expirationTimestamp":"2026-01-01T01:00:00Z"}}' $$"#);
        let held = Mutex::default();
        let first = value(&program, &held, "2026-01-01T00:00:00Z").await.unwrap();
        assert_eq!(value(&program, &held, "2026-01-01T00:58:59Z").await.unwrap(), first);
        assert_ne!(value(&program, &held, "2026-01-01T00:59:00Z").await.unwrap(), first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_does_not_end_is_killed_in_time() {
        let told = value(&shell("exec sleep 100"), &Mutex::default(), "2026-01-01T00:00:00Z").await;
        assert_eq!(told, Err(NoToken::Endless));
    }

    #[tokio::test]
    async fn a_program_that_gives_no_token_is_told_without_what_it_printed() {
        let missing = Program { command: "/nowhere/canary".to_owned(), ..shell("") };
        for (program, why) in [
            (missing, NoToken::NotRun),
            (shell("echo canary; echo canary >&2; exit 1"), NoToken::Failed),
            (shell("echo canary"), NoToken::Unreadable),
            (shell(r#"echo '{"status":{}}'"#), NoToken::Unreadable),
            (shell(r#"echo '{"status":{"token":"can\nary"}}'"#), NoToken::Unreadable),
            (shell(r#"echo '{"status":{"token":"t","expirationTimestamp":"canary"}}'"#), NoToken::Unreadable),
        ] {
            let told = value(&program, &Mutex::default(), "2026-01-01T00:00:00Z").await.unwrap_err();
            assert_eq!(told, why);
            assert!(!format!("{told} {told:?} {program:?}").contains("canary"));
        }
    }
}
