//! PATCH.

use serde_json::{Map, Value};

use crate::{
    content::{self, Endpoint, Force, Kind},
    failure::Failure,
    json_patch,
    state::{Ask, State, text},
    write::{Way, Written},
};

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Form {
    fn of(ask: &Ask<'_>) -> Result<Self, Failure> {
        const JSON: &str = "application/json-patch+json";
        const MERGE: &str = "application/merge-patch+json";
        const STRATEGIC: &str = "application/strategic-merge-patch+json";
        const APPLY: &str = "application/apply-patch+yaml";
        match ask.content_type {
            JSON => Ok(Self::Json),
            MERGE => Ok(Self::Merge),
            STRATEGIC if !ask.kind().custom => Ok(Self::Strategic),
            APPLY => Ok(Self::Apply),
            _ if ask.kind().custom => Err(Failure::unsupported_media(&[JSON, MERGE, APPLY].join(", "))),
            _ => Err(Failure::unheard_of_media()),
        }
    }
}

/// What a patch has made is nothing that can be read.
fn unreadable(shown: &str, words: &str) -> Failure {
    let message = format!("Invalid value: {shown:?}: {words}");
    let (field, reason) = ("patch".to_owned(), "FieldValueInvalid".to_owned());
    Failure::invalid("", "", "", &[content::Cause { field, reason, message }])
}

/// A strategic patch is made to the type itself, which knows what it is even if the patch takes that away.
fn name_again(kind: &Kind, object: &mut Value) {
    for (name, value) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())] {
        if text(object, &[name]).is_empty() && object.is_object() {
            object[name] = value.into();
        }
    }
}

impl State {
    pub(crate) fn patch(&mut self, ask: &Ask<'_>) -> Result<Written, Failure> {
        let form = Form::of(ask)?;
        if form == Form::Apply {
            if ask.query.field_manager.is_empty() {
                let words = "Required value: is required for apply patch";
                return Err(Failure::invalid_options("PatchOptions", "fieldManager", "FieldValueRequired", words));
            }
        } else if ask.query.force.is_some() {
            let words = "Forbidden: may not be specified for non-apply patch";
            return Err(Failure::invalid_options("PatchOptions", "force", "FieldValueForbidden", words));
        }
        ask.query.check_write("PatchOptions")?;
        let way = Way {
            verb: "patch",
            uid: None,
            may_create: form == Form::Apply && (ask.endpoint() == Endpoint::Main || ask.kind().create_on_update),
        };
        self.change(ask, &way, |state, live| {
            let mut object = match (form, live) {
                (Form::Apply, _) => state.applied(ask, live)?,
                (_, Some(live)) => state.patched(ask, form, live)?,
                (_, None) => return Err(Failure::not_found(&ask.about())),
            };
            let uid = text(&object, &["metadata", "uid"]);
            if live.is_none() && !uid.is_empty() {
                let words =
                    format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
                return Err(Failure::conflict(&ask.about(), &words));
            }
            ask.place(&mut object)?;
            ask.check_name(&object)?;
            Ok(object)
        })
    }

    fn applied(&mut self, ask: &Ask<'_>, live: Option<&Value>) -> Result<Value, Failure> {
        let mut given: Value = serde_json::from_slice(ask.body)
            .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))?;
        self.forget_fields(ask, &mut given);
        let force = if ask.query.force == Some(true) { Force::Yes } else { Force::No };
        content::apply(ask.kind(), live, &given, &ask.writer(self), force).map_err(|refusal| ask.refusal(refusal))
    }

    fn patched(&mut self, ask: &Ask<'_>, form: Form, live: &Value) -> Result<Value, Failure> {
        let patch: Value = serde_json::from_slice(ask.body)
            .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
        let mut object = live.clone();
        match form {
            Form::Json => json_patch::apply(&mut object, &patch)?,
            Form::Strategic => {
                content::strategic_patch(ask.kind(), &mut object, &patch).map_err(|refusal| ask.refusal(refusal))?;
                name_again(ask.kind(), &mut object);
            }
            Form::Merge | Form::Apply => content::merge_patch(&mut object, &patch),
        }
        if !object.is_object() {
            return Err(Failure::bad_request("the patched object is no object"));
        }
        let shown = object.to_string();
        let unknown = content::decode(ask.kind(), &mut object).map_err(|refusal| match refusal {
            content::Refusal::BadRequest(words) => {
                let words = words.split_once(&format!("as a {}: ", ask.kind().kind)).map_or(&*words, |(_, rest)| rest);
                match form {
                    Form::Strategic => unreadable(&content::shown_patch(&patch), &content::restore_words(words)),
                    Form::Json | Form::Merge | Form::Apply => unreadable(&shown, words),
                }
            }
            refusal => ask.refusal(refusal),
        })?;
        if ask.query.field_validation == "Strict" && !unknown.is_empty() {
            let words: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
            return Err(unreadable(&shown, &format!("strict decoding error: {}", words.join(", "))));
        }
        if !object["metadata"].is_object() {
            object["metadata"] = Value::Object(Map::new());
        }
        self.forget_fields(ask, &mut object);
        content::record_update(ask.kind(), Some(live), &mut object, &ask.writer(self));
        Ok(object)
    }
}
