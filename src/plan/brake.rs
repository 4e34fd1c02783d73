//! The brake on mass deletion: a resource that goes because its CRD or its namespace goes, or as one of many at once
//! (a pruned repository), is held with its data until a person confirms (DECISIONS 7).

use jiff::SignedDuration;

use super::{seen::Ending, view::View};

/// How old a deletion may be to count towards a mass of them.
const RECENT: SignedDuration = SignedDuration::from_mins(10);
/// From how many on deletions are a mass, if they are also more than half of all databases.
const MANY: usize = 5;

/// Why this deletion looks like no one person's wish: a reason, and a sentence.
#[must_use]
pub fn holds(view: &View) -> Option<(&'static str, String)> {
    let deletions = &view.seen.deletions;
    match deletions.kind_deleting {
        Ending::Going => {
            return Some(("KindBeingDeleted", "its CustomResourceDefinition is being deleted".to_owned()));
        }
        Ending::Unread => {
            return Some((
                "KindUnread",
                "whether its CustomResourceDefinition is being deleted cannot be read".to_owned(),
            ));
        }
        Ending::Staying => {}
    }
    match deletions.namespace_deleting {
        Ending::Going => {
            return Some((
                "NamespaceBeingDeleted",
                format!("namespace {} is being deleted", view.database.id.namespace),
            ));
        }
        Ending::Unread => {
            let namespace = &view.database.id.namespace;
            return Some(("NamespaceUnread", format!("whether namespace {namespace} is being deleted cannot be read")));
        }
        Ending::Staying => {}
    }
    let recent = deletions.asked.iter().filter(|asked| view.now.duration_since(**asked) < RECENT).count();
    (recent >= MANY && recent * 2 > deletions.databases).then(|| {
        let all = deletions.databases;
        ("ManyBeingDeleted", format!("{recent} of {all} databases were deleted within the last 10 minutes"))
    })
}
