//! Questions about what somebody may do.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    account::{Attributes, Rights},
    failure::Failure,
    route::Target,
    state::{State, text},
    store::bytes_of,
};

const GROUP: &str = "authorization.k8s.io";
const OF_ONESELF: &str = "selfsubjectaccessreviews";
const OF_OTHERS: &str = "subjectaccessreviews";
const RULES: &str = "selfsubjectrulesreviews";
const FOR_EVERYBODY: &str = "RBAC: allowed by ClusterRoleBinding \"system:basic-user\" of ClusterRole \
                             \"system:basic-user\" to Group \"system:authenticated\"";

/// Whether everybody who is known may do this.
pub(crate) fn is_for_everybody(wanted: &Attributes<'_>) -> bool {
    wanted.group == GROUP && matches!(wanted.resource, OF_ONESELF | RULES) && wanted.verb == "create"
}

/// The answer to such a question, if the request is one. `who` is a user, and the name of the program.
pub(crate) fn answer(
    state: &State,
    verb: &str,
    target: &Target,
    who: (&str, &str),
    rights: &Rights,
    body: &Bytes,
) -> Option<Result<Bytes, Failure>> {
    let about = target.resource.as_str();
    if target.group != GROUP || target.version != "v1" || !matches!(about, OF_ONESELF | OF_OTHERS | RULES) {
        return None;
    }
    if verb != "create" || !target.name.is_empty() {
        return Some(Err(Failure::method_not_allowed()));
    }
    if about == RULES {
        return Some(rules(rights, body));
    }
    Some(judge(state, target, who, rights, body))
}

/// All rules that hold for whoever asks, in one namespace. Those for everybody (reviews, discovery) are left out.
fn rules(rights: &Rights, body: &Bytes) -> Result<Bytes, Failure> {
    let mut review: Value = serde_json::from_slice(body).map_err(|error| Failure::bad_request(error.to_string()))?;
    let Some(namespace) = review["spec"]["namespace"].as_str().filter(|namespace| !namespace.is_empty()) else {
        return Err(Failure::bad_request("no namespace on request"));
    };
    let rules = match rights {
        Rights::All => vec![json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] })],
        Rights::Rules(rules) => rules
            .iter()
            .filter(|rule| rule.namespace.as_deref().is_none_or(|of| of == namespace))
            .map(|rule| {
                let mut told = json!({ "verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources });
                if !rule.names.is_empty() {
                    told["resourceNames"] = json!(rule.names);
                }
                told
            })
            .collect(),
    };
    review["kind"] = "SelfSubjectRulesReview".into();
    review["apiVersion"] = format!("{GROUP}/v1").into();
    if !review["metadata"].is_object() {
        review["metadata"] = json!({});
    }
    review["status"] = json!({ "resourceRules": rules, "nonResourceRules": [], "incomplete": false });
    Ok(bytes_of(&review))
}

/// What of a specification is there, as managed fields say it.
fn fields(spec: &Value) -> Value {
    let mut fields = serde_json::Map::new();
    for (name, value) in spec.as_object().into_iter().flatten() {
        let mut inner = serde_json::Map::new();
        if let Some(map) = value.as_object() {
            inner.insert(".".to_owned(), json!({}));
            inner.extend(map.keys().map(|name| (format!("f:{name}"), json!({}))));
        }
        fields.insert(format!("f:{name}"), Value::Object(inner));
    }
    Value::Object(fields)
}

fn judge(
    state: &State,
    target: &Target,
    (user, manager): (&str, &str),
    rights: &Rights,
    body: &Bytes,
) -> Result<Bytes, Failure> {
    let mut review: Value = serde_json::from_slice(body).map_err(|error| Failure::bad_request(error.to_string()))?;
    let spec = &review["spec"];
    let about_user = match target.resource.as_str() {
        OF_ONESELF => user,
        _ => text(spec, &["user"]),
    };
    let of_user;
    let rights = if target.resource == OF_ONESELF {
        Some(rights)
    } else {
        of_user = state.accounts.values().find(|account| account.user == about_user);
        of_user.map(|account| &account.rights)
    };
    let asked = &spec["resourceAttributes"];
    let word = |name: &str| text(asked, &[name]);
    let wanted = Attributes {
        verb: word("verb"),
        group: word("group"),
        resource: word("resource"),
        subresource: word("subresource"),
        namespace: word("namespace"),
        name: word("name"),
    };
    let reason = match rights {
        Some(Rights::All) => Some(""),
        Some(rights) if asked.is_object() => {
            rights.reason(&wanted).or(is_for_everybody(&wanted).then_some(FOR_EVERYBODY))
        }
        _ => None,
    };
    let status = match reason {
        None | Some("") => json!({ "allowed": reason.is_some() }),
        Some(reason) => json!({ "allowed": true, "reason": reason }),
    };
    let kind = if target.resource == OF_ONESELF { "SelfSubjectAccessReview" } else { "SubjectAccessReview" };
    if !review["metadata"].is_object() {
        review["metadata"] = json!({});
    }
    if let Some(asked) = review["spec"]["resourceAttributes"].as_object_mut() {
        asked.retain(|_, word| word.as_str() != Some(""));
    }
    review["kind"] = kind.into();
    review["apiVersion"] = format!("{GROUP}/v1").into();
    review["metadata"]["managedFields"] = json!([{
        "manager": manager, "operation": "Update", "apiVersion": format!("{GROUP}/v1"), "time": state.stamp(),
        "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": fields(&review["spec"]) },
    }]);
    review["status"] = status;
    Ok(bytes_of(&review))
}
