use super::*;

fn resolved(definition: &str, version: Option<&str>) -> Result<String, Unsupported> {
    resolve(definition, version).map(|version| version.as_str().to_owned())
}

fn stepped(from: &str, to: &str) -> Result<Upgrade, StepRefused> {
    step(&Version::new(from), &Version::new(to))
}

fn mirrored(image: &str, rules: &[&str]) -> String {
    let rules: Vec<Mirror> = rules.iter().map(|rule| rule.parse().expect("a rule")).collect();
    mirror(image, &rules)
}

#[test]
fn the_documents_definition_means_the_newest_3_5() {
    for (definition, version) in
        [("etcd-0.9.0", None), ("etcd", None), ("etcd-1.0.0", None), ("etcd-", None), ("etcd-0.9.0", Some(""))]
    {
        assert_eq!(resolved(definition, version).as_deref(), Ok("3.5.35"), "{definition} {version:?}");
    }
    let newest = RELEASES.iter().rfind(|release| release.version.starts_with("3.5.")).map(|release| release.version);
    assert_eq!(newest, Some(DEFAULT));
}

#[test]
fn a_version_that_is_named_is_served() {
    for (asked, version) in
        [("3.5.6", "3.5.6"), ("v3.5.26", "3.5.26"), ("3.6.16", "3.6.16"), ("3.5", "3.5.35"), ("3.6", "3.6.16")]
    {
        assert_eq!(resolved("etcd-0.9.0", Some(asked)).as_deref(), Ok(version));
    }
}

#[test]
fn what_is_not_known_is_refused_with_what_is() {
    let message = resolved("etcd", Some("3.4.1")).expect_err("unknown").to_string();
    assert!(message.contains("3.4.1") && message.contains("3.5.35, 3.6.6"), "{message}");
    for definition in ["mysql-8.0", "etcdctl", "etcd-operator", ""] {
        assert!(matches!(resolved(definition, None), Err(Unsupported::Definition(_))), "{definition}");
    }
}

#[test]
fn the_table_is_in_order_and_each_row_agrees_with_itself() {
    assert!(RELEASES.is_sorted_by_key(|release| release.number));
    for release in &RELEASES {
        let (major, minor, patch) = release.number;
        assert_eq!(release.version, format!("{major}.{minor}.{patch}"));
        assert_eq!(release.learners, release.number >= (3, 5, 26), "{}", release.version);
        assert_eq!(release.probes == BEFORE_READYZ, release.number < (3, 5, 11), "{}", release.version);
        assert_eq!(release.flags == CHECKED_3_6, release.number >= (3, 6, 0), "{}", release.version);
    }
}

#[test]
fn an_upgrade_goes_one_minor_version_at_a_time_and_from_a_patch_that_can() {
    assert_eq!(stepped("3.5.35", "3.6.16"), Ok(Upgrade::OneWay));
    assert_eq!(stepped("3.5.26", "3.6.6"), Ok(Upgrade::OneWay));
    assert_eq!(stepped("3.5.6", "3.5.35"), Ok(Upgrade::Alike));
    assert_eq!(stepped("3.5.35", "3.5.26"), Ok(Upgrade::Alike));
    assert_eq!(
        stepped("3.5.6", "3.6.16"),
        Err(StepRefused::NotBeforePatch { from: "3.5.6", to: "3.6.16", via: "3.5.35" })
    );
    assert!(matches!(stepped("3.6.16", "3.5.35"), Err(StepRefused::Down { .. })));
    assert!(matches!(stepped("3.5.35", "3.5.6"), Err(StepRefused::Down { .. })));
    assert!(matches!(stepped("3.5.35", "9.9.9"), Err(StepRefused::Unsupported(_))));
}

#[test]
fn a_version_that_forgets_votes_takes_no_new_members_and_says_which_does() {
    assert_eq!(may_grow(&Version::new("3.5.26")), Ok(()));
    assert_eq!(may_grow(&Version::new("3.6.16")), Ok(()));
    let why = may_grow(&Version::new("3.5.6")).expect_err("it forgets them");
    assert!(why.contains("3.5.35"), "{why}");
}

#[test]
fn images_come_from_the_project_or_its_mirror() {
    let image = image(&Version::new("3.5.35"));
    assert_eq!(image, "gcr.io/etcd-development/etcd:v3.5.35");
    for (rules, expected) in [
        (&[][..], "gcr.io/etcd-development/etcd:v3.5.35"),
        (&["quay.io=here"], "gcr.io/etcd-development/etcd:v3.5.35"),
        (&["gcr.i=here"], "gcr.io/etcd-development/etcd:v3.5.35"),
        (&["gcr.io=here:5000/gcr"], "here:5000/gcr/etcd-development/etcd:v3.5.35"),
        (&["gcr.io/=here/"], "here/etcd-development/etcd:v3.5.35"),
        (&["gcr.io=here", "gcr.io/etcd-development=there"], "there/etcd:v3.5.35"),
        (&["gcr.io/etcd-development/etcd=mine"], "mine:v3.5.35"),
        (&["gcr.io=mirror", "mirror=never"], "mirror/etcd-development/etcd:v3.5.35"),
    ] {
        assert_eq!(mirrored(&image, rules), expected, "{rules:?}");
    }
}

#[test]
fn a_mirror_rule_that_is_none_is_refused_with_an_example() {
    for rule in ["", "gcr.io", "=x", "x=", "a=b=c"] {
        let message = rule.parse::<Mirror>().expect_err("refused").to_string();
        assert!(message.contains("FROM=TO"), "{message}");
    }
}
