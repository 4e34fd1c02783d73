//! The walls between modules, kept by a test: what is pure stays pure, and data flows one way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{ffi::OsStr, fs, path::Path};

/// Sources below `src/<module>`, without the lines of test modules' files.
fn sources(module: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
            let is_test = name.contains("/tests/") || name.ends_with("tests.rs") || name.ends_with("testing.rs");
            if path.extension() == Some(OsStr::new("rs")) && !is_test {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
                found.push((name, code));
            }
        }
    }
    assert!(!found.is_empty(), "src/{module} has no sources: has it moved?");
    found
}

fn mentions(modules: &[&str], forbidden: &[&str]) -> Vec<String> {
    let files = modules.iter().flat_map(|module| sources(module));
    files
        .flat_map(|(name, text)| {
            text.lines()
                .enumerate()
                .filter(|(_, line)| !line.trim_start().starts_with("//"))
                .filter(|(_, line)| forbidden.iter().any(|word| line.contains(word)))
                .map(|(number, line)| format!("{name}:{}: {}", number + 1, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_pure_modules_name_no_clock_no_io_no_randomness_and_no_unordered_map() {
    let forbidden = [
        "tokio",
        "kube::Client",
        "kube::Api",
        "Client,",
        "Api<",
        "std::fs",
        "std::env",
        "std::net::Tcp",
        "std::process",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "HashMap",
        "HashSet",
        "rand::",
        "fastrand",
        "println!",
        "tracing",
    ];
    let hits = mentions(&["dialect", "engine", "plan"], &forbidden);
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

#[test]
fn data_flows_one_way() {
    for (modules, later) in [
        (&["plan", "engine", "dialect"][..], &["crate::worker", "crate::admin", "crate::controller", "crate::cli"][..]),
        (&["plan"], &["crate::dialect", "engine::etcd"]),
        (&["engine"], &["crate::dialect"]),
        (&["worker", "admin"], &["crate::controller", "crate::cli", "dialect::kubeblocks"]),
        (&["admin"], &["engine::etcd"]),
        (&["controller"], &["crate::cli", "engine::etcd", "dialect::kubeblocks"]),
    ] {
        let hits = mentions(modules, later);
        assert!(hits.is_empty(), "{}", hits.join("\n"));
    }
}

#[test]
fn no_vendor_and_no_engine_is_named_in_the_plan() {
    let vendor_words = ["etcd", "oceanbase", "kubeblocks", "zookeeper", "tidb"];
    let hits: Vec<_> = mentions(&["plan"], &vendor_words)
        .into_iter()
        // The kinds of resource are listed once, where keys and labels are made of them.
        .filter(|hit| !hit.starts_with("src/plan/database.rs"))
        // Annotations of cloud providers are data.
        .filter(|hit| !hit.starts_with("src/plan/exposure.rs"))
        .collect();
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

#[test]
fn every_file_is_short_enough_to_be_one_idea() {
    let modules = ["dialect", "engine", "plan", "worker", "admin", "controller", "cli"];
    let long: Vec<_> = modules
        .iter()
        .flat_map(|module| sources(module))
        .filter(|(_, text)| text.lines().count() > 500)
        .map(|(name, text)| format!("{name}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_generated_crds_are_those_of_the_code() {
    for crd in atoll::dialect::crds() {
        let name = crd.metadata.name.clone().unwrap();
        let claimed = atoll::controller::claim::claimed(crd, atoll::cli::INSTALLATION);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(format!("{name}.yaml"));
        let committed = fs::read_to_string(&file).unwrap_or_default();
        let generated = serde_saphyr::to_string(&claimed).unwrap();
        assert!(committed == generated, "{} is stale: `make crds` writes it anew", file.display());
    }
}
