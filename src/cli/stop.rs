//! When to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Ends when a person or Kubernetes asks the process to stop (SIGINT or SIGTERM).
pub async fn asked() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
