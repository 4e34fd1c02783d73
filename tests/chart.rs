//! The chart and the plain manifests say what the program says: its CRDs, its flags, its permissions.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use atoll::dialect::k8scluster::permission::documented;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &str) -> BTreeSet<String> {
    fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn the_chart_has_the_crds_of_the_repository() {
    assert_eq!(files("charts/atoll/crd-files"), files("crds"), "run `make crds`");
    for name in files("crds") {
        let same = read(&format!("charts/atoll/crd-files/{name}")) == read(&format!("crds/{name}"));
        assert!(same, "charts/atoll/crd-files/{name} is stale: run `make crds`");
    }
}

#[test]
fn every_flag_that_the_chart_gives_is_one_that_the_program_has() {
    let help = Command::new(env!("CARGO_BIN_EXE_atoll")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<_> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
    for file in ["charts/atoll/templates/deployment.yaml", "deploy/atoll.yaml"] {
        let text = read(file);
        let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        let given: BTreeSet<_> =
            text.split(|letter| !is_part(letter)).filter(|word| word.starts_with("--") && word.len() > 3).collect();
        assert!(given.contains("--listen"), "{file}");
        for flag in given {
            assert!(known.contains(flag), "{file} gives {flag}, which `atoll run` does not have");
        }
    }
}

#[test]
fn the_role_for_workers_grants_what_is_needed_and_nothing_else() {
    let text = read("deploy/worker-role.yaml");
    let role = text.split("\n---\n").next().unwrap();
    let role: k8s_openapi::api::rbac::v1::ClusterRole = serde_saphyr::from_str(role).unwrap();
    let mut granted = BTreeSet::new();
    for rule in role.rules.unwrap() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                granted.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
            }
        }
    }
    let needed: BTreeSet<_> =
        documented().map(|one| (one.group.to_owned(), one.resource.to_owned(), one.verb.to_owned())).collect();
    assert_eq!(granted, needed);
}
