//! A client of one database, run in a worker's network: writes its own key and reads everybody's, and prints what came
//! of each, a line of JSON at a time. `clients` starts it and judges what it prints.

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use e2e::gateway::Gateway;
use serde_json::json;

/// How long one request may take before the next member is asked.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the list of members is read anew.
const REFRESH: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, keys, endpoints, pause] = arguments.as_slice() else {
        eprintln!("client NAME KEY,KEY ENDPOINT,ENDPOINT PAUSE_MS");
        return ExitCode::FAILURE;
    };
    // Ends with whoever started it.
    std::thread::spawn(|| {
        for _ in std::io::stdin().lock().lines() {}
        std::process::exit(0);
    });
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let pause = Duration::from_millis(pause.parse().unwrap_or(50));
    let split = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    runtime.block_on(go_round(name, &split(keys), split(endpoints), pause));
    ExitCode::SUCCESS
}

async fn go_round(name: &str, keys: &[String], mut endpoints: Vec<String>, pause: Duration) {
    let gateway = Gateway::default();
    let (mut at, mut number, mut refreshed) = (0_usize, 0_u64, SystemTime::now());
    for turn in 0_usize.. {
        let endpoint = endpoints[at % endpoints.len()].clone();
        let begun = now();
        let (operation, key, value) = if turn % 2 == 0 {
            number += 1;
            let written = tokio::time::timeout(PATIENCE, gateway.advance(&endpoint, name, number)).await;
            ("write", name, if matches!(written, Ok(Ok(()))) { Some(number) } else { None })
        } else {
            let key = &keys[turn / 2 % keys.len()];
            let read = tokio::time::timeout(PATIENCE, gateway.read(&endpoint, key)).await;
            ("read", key.as_str(), read.ok().and_then(Result::ok))
        };
        let line = json!({ "client": name, "op": operation, "key": key, "number": number, "value": value, "begun": begun, "ended": now() });
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            return;
        }
        drop(out);
        if value.is_none() {
            at += 1;
        }
        if refreshed.elapsed().unwrap_or_default() > REFRESH {
            refreshed = SystemTime::now();
            let listed = tokio::time::timeout(PATIENCE, gateway.clients(&endpoint)).await;
            if let Ok(Ok(listed)) = listed
                && !listed.is_empty()
            {
                at = listed.iter().position(|other| *other == endpoint).unwrap_or(at);
                endpoints = listed;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
