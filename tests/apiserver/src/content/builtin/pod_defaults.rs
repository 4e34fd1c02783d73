//! What the server fills in for pods and templates of pods.

use serde_json::{Value, json};

use super::{Fields, default, fields, items, word};

/// Who may read a volume that is made of files.
const FILE_MODE: i64 = 0o644;

pub(super) fn pod(object: &mut Fields) {
    if let Some(pod) = fields(object, "spec") {
        spec(pod);
        let host_network = pod.get("hostNetwork") == Some(&Value::Bool(true));
        for list in ["containers", "initContainers"] {
            for container in items(pod, list) {
                requests(container);
                if host_network {
                    for port in items(container, "ports") {
                        if let Some(number) = port.get("containerPort").cloned() {
                            default(port, "hostPort", number);
                        }
                    }
                }
            }
        }
        default(pod, "enableServiceLinks", true);
    }
    if let Some(status) = fields(object, "status") {
        addresses(status, "podIP", "podIPs");
    }
}

/// One address and the list of all tell the same.
fn addresses(status: &mut Fields, one: &str, all: &str) {
    let first = status.get(all).and_then(|all| all[0]["ip"].as_str()).unwrap_or_default().to_owned();
    let own = word(status, one).to_owned();
    if own.is_empty() && !first.is_empty() {
        status.insert(one.to_owned(), first.into());
    } else if !own.is_empty() && own != first {
        status.insert(all.to_owned(), json!([{ "ip": own }]));
    }
}

/// Limits are requests where no requests are.
fn requests(container: &mut Fields) {
    let Some(resources) = fields(container, "resources") else { return };
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    default(resources, "requests", json!({}));
    if let Some(requests) = fields(resources, "requests") {
        for (name, limit) in limits {
            default(requests, &name, limit);
        }
    }
}

pub(super) fn spec(pod: &mut Fields) {
    default(pod, "dnsPolicy", "ClusterFirst");
    default(pod, "restartPolicy", "Always");
    default(pod, "securityContext", json!({}));
    default(pod, "terminationGracePeriodSeconds", 30);
    if pod.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds < 0) {
        pod.insert("terminationGracePeriodSeconds".to_owned(), 1.into());
    }
    default(pod, "schedulerName", "default-scheduler");
    account(pod);
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        items(pod, list).for_each(container);
    }
    items(pod, "volumes").for_each(volume);
}

/// The old name of the service account is kept as well.
fn account(pod: &mut Fields) {
    let account = match word(pod, "serviceAccountName") {
        "" => word(pod, "serviceAccount"),
        account => account,
    };
    if !account.is_empty() {
        let account = Value::from(account);
        pod.insert("serviceAccount".to_owned(), account.clone());
        pod.insert("serviceAccountName".to_owned(), account);
    }
}

fn container(container: &mut Fields) {
    let policy = pull_policy(word(container, "image"));
    default(container, "imagePullPolicy", policy);
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    for env in items(container, "env") {
        if let Some(source) = fields(env, "valueFrom") {
            field_reference(source);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = fields(container, name) {
            for (name, value) in
                [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
            {
                default(probe, name, value);
            }
            http_get(probe);
            if let Some(grpc) = fields(probe, "grpc") {
                default(grpc, "service", "");
            }
        }
    }
    if let Some(lifecycle) = fields(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(handler) = fields(lifecycle, name) {
                http_get(handler);
            }
        }
    }
}

fn http_get(handler: &mut Fields) {
    if let Some(get) = fields(handler, "httpGet") {
        default(get, "path", "/");
        default(get, "scheme", "HTTP");
    }
}

fn field_reference(source: &mut Fields) {
    if let Some(reference) = fields(source, "fieldRef") {
        default(reference, "apiVersion", "v1");
    }
}

/// An image that may change is always pulled.
fn pull_policy(image: &str) -> &'static str {
    let named = image.rsplit('/').next().unwrap_or_default();
    let tag = match named.split_once(':') {
        _ if image.contains('@') => "",
        Some((_, tag)) => tag,
        None => "latest",
    };
    if tag == "latest" { "Always" } else { "IfNotPresent" }
}

fn volume(volume: &mut Fields) {
    if volume.keys().all(|key| key == "name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = fields(volume, name) {
            default(source, "defaultMode", FILE_MODE);
            items(source, "items").for_each(field_reference);
            for part in items(source, "sources") {
                if let Some(token) = fields(part, "serviceAccountToken") {
                    default(token, "expirationSeconds", 3600);
                }
                if let Some(downward) = fields(part, "downwardAPI") {
                    items(downward, "items").for_each(field_reference);
                }
            }
        }
    }
    if let Some(path) = fields(volume, "hostPath") {
        default(path, "type", "");
    }
    if let Some(ephemeral) = fields(volume, "ephemeral")
        && let Some(template) = fields(ephemeral, "volumeClaimTemplate")
        && let Some(spec) = fields(template, "spec")
    {
        default(spec, "volumeMode", "Filesystem");
    }
    if let Some(image) = fields(volume, "image") {
        let policy = pull_policy(word(image, "reference"));
        default(image, "pullPolicy", policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pulled_always_only_if_its_tag_moves() {
        for (image, policy) in [
            ("etcd", "Always"),
            ("etcd:latest", "Always"),
            ("etcd:3.5", "IfNotPresent"),
            ("registry:5000/etcd", "Always"),
            ("registry:5000/etcd:v1", "IfNotPresent"),
            ("etcd@sha256:00", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
