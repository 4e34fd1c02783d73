//! `atoll probe`: what the pods of `atoll check --network` run, to find out who reaches whom.

use std::{io::ErrorKind, path::PathBuf, process::ExitCode, time::Duration};

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, lookup_host},
    time::{Instant, sleep, timeout},
};

use crate::{
    admin::{pod::TERMINATION_LOG, termination},
    worker::fault::clip,
};

/// How long one name may take to resolve.
const RESOLVING: Duration = Duration::from_secs(6);
/// How long one connection may take to open, and then to say who is there.
const CONNECTING: Duration = Duration::from_secs(3);
/// Names and load balancers need a moment before they serve: so long a target is tried again.
const TRYING: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_secs(1);

/// Listens, or dials.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Tell everyone who connects who is here.
    Listen {
        /// The port.
        #[arg(long)]
        port: u16,
        /// What is told.
        #[arg(long)]
        token: String,
    },
    /// Connect to each target and write down how that went.
    Dial {
        /// A JSON list of {"host", "port", "token"}.
        #[arg(long, value_name = "JSON")]
        targets: String,
        /// Where the findings are written.
        #[arg(long, value_name = "FILE", default_value = TERMINATION_LOG)]
        output: PathBuf,
    },
}

/// Whom to dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Who should answer.
    pub token: String,
}

/// What became of dialling one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Met {
    /// Whom it should be, after so many milliseconds.
    Reached(u64),
    /// Somebody else.
    Stranger,
    /// Somebody who says nothing.
    Mute,
    /// The name does not resolve.
    NoName(String),
    /// Nobody listens there.
    Refused,
    /// No answer.
    TimedOut,
    /// No route.
    NoRoute,
    /// Anything else.
    Other(String),
}

/// Runs until it is done, or is told to stop.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    match args.action {
        Action::Listen { port, token } => {
            let listener = bind(port).await.map_err(|error| format!("port {port}: {error}"))?;
            tokio::select! {
                () = listen(listener, &token) => {}
                () = super::stop::asked() => {}
            }
        }
        Action::Dial { targets, output } => {
            let met = match serde_json::from_str::<Vec<Target>>(&targets) {
                Ok(targets) => Ok(dial(&targets, TRYING).await),
                Err(error) => Err(format!("--targets is not a list of targets: {error}")),
            };
            let message = termination::pack(met.as_deref().map_err(Clone::clone));
            std::fs::write(&output, message).map_err(|error| format!("{}: {error}", output.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// On every address, of either family where the pod has both.
async fn bind(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(("::", port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await,
    }
}

async fn listen(listener: TcpListener, token: &str) {
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let greeting = greeting(token);
                tokio::spawn(async move {
                    // Whoever hangs up early needs no greeting.
                    let _ = timeout(CONNECTING, stream.write_all(greeting.as_bytes())).await;
                    let _ = stream.shutdown().await;
                });
            }
            // Out of descriptors, say: a moment frees some.
            Err(_) => sleep(AGAIN).await,
        }
    }
}

fn greeting(token: &str) -> String {
    format!("atoll-probe {token}\n")
}

/// Dials all targets at once, each until it is reached or `trying` is over.
async fn dial(targets: &[Target], trying: Duration) -> Vec<Met> {
    let end = Instant::now() + trying;
    join_all(targets.iter().map(|target| async move {
        loop {
            let met = meet(target).await;
            if matches!(met, Met::Reached(_)) || Instant::now() + AGAIN >= end {
                return met;
            }
            sleep(AGAIN).await;
        }
    }))
    .await
}

async fn meet(target: &Target) -> Met {
    let started = Instant::now();
    let addresses: Vec<_> = match timeout(RESOLVING, lookup_host((target.host.as_str(), target.port))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Met::NoName(short(&error.to_string())),
        Err(_) => return Met::NoName(format!("no answer within {} s", RESOLVING.as_secs())),
    };
    let mut met = Met::NoName("the name has no address".to_owned());
    for address in addresses {
        met = match timeout(CONNECTING, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => greeted(stream, &target.token, started).await,
            Ok(Err(error)) => failed(&error),
            Err(_) => Met::TimedOut,
        };
        if matches!(met, Met::Reached(_)) {
            break;
        }
    }
    met
}

async fn greeted(stream: TcpStream, token: &str, started: Instant) -> Met {
    let mut said = Vec::new();
    let mut stream = stream.take(200);
    match timeout(CONNECTING, stream.read_to_end(&mut said)).await {
        Ok(Ok(_)) if said == greeting(token).as_bytes() => {
            Met::Reached(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX))
        }
        Ok(Ok(_)) if said.is_empty() => Met::Mute,
        Ok(Ok(_)) => Met::Stranger,
        Ok(Err(error)) => failed(&error),
        Err(_) => Met::Mute,
    }
}

fn failed(error: &std::io::Error) -> Met {
    match error.kind() {
        ErrorKind::ConnectionRefused => Met::Refused,
        ErrorKind::TimedOut => Met::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Met::NoRoute,
        _ => Met::Other(short(&error.to_string())),
    }
}

/// All findings of a pod share 4096 bytes.
fn short(text: &str) -> String {
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(text);
    clip(text).chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn listening(token: &'static str) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move { listen(listener, token).await });
        port
    }

    fn target(host: &str, port: u16, token: &str) -> Target {
        Target { host: host.to_owned(), port, token: token.to_owned() }
    }

    #[tokio::test]
    async fn who_answers_is_told_apart_from_who_should() {
        let port = listening("run.1").await;
        let shut = {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            listener.local_addr().expect("an address").port()
        };
        let targets = [
            target("127.0.0.1", port, "run.1"),
            target("127.0.0.1", port, "run.2"),
            target("127.0.0.1", shut, "run.1"),
            target("no-such-name.invalid", port, "run.1"),
        ];
        let met = dial(&targets, Duration::ZERO).await;
        assert!(matches!(met[0], Met::Reached(_)), "{met:?}");
        assert_eq!(met[1..3], [Met::Stranger, Met::Refused]);
        assert!(matches!(met[3], Met::NoName(_)), "{met:?}");
    }

    #[tokio::test]
    async fn a_target_that_comes_late_is_met() {
        let port = {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            listener.local_addr().expect("an address").port()
        };
        tokio::spawn(async move {
            sleep(Duration::from_millis(300)).await;
            let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port");
            listen(listener, "late").await;
        });
        let met = dial(&[target("127.0.0.1", port, "late")], Duration::from_secs(10)).await;
        assert!(matches!(met[0], Met::Reached(_)), "{met:?}");
    }

    #[test]
    fn the_findings_of_a_hundred_targets_fit_in_a_message() {
        let met: Vec<_> = (0..100)
            .map(|at| if at % 3 == 0 { Met::NoName("Name or service not known".to_owned()) } else { Met::Reached(at) })
            .collect();
        assert_eq!(termination::unpack::<Vec<Met>>(&termination::pack(Ok(&met))), Ok(met));
    }
}
