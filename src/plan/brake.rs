//! The brake on mass deletion: a resource that goes because its CRD or its namespace goes, or as one of many at once
//! (a pruned repository), is held with its data until a person confirms (DECISIONS 7).

use jiff::{SignedDuration, Timestamp};

use super::{database::Intent, seen::Ending, view::View};

/// The reasons of a deletion about which the master did not say what else is deleted: it is asked again.
pub const UNREAD: [&str; 2] = ["KindUnread", "NamespaceUnread"];
/// How soon.
pub const ASKED_AGAIN: SignedDuration = SignedDuration::from_secs(5);
/// The reason of a deletion that is one of many.
pub const MANY_BEING_DELETED: &str = "ManyBeingDeleted";
/// How far apart deletions may be to count as done at once.
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
    // Company is told by when the others were asked to go, never by our own clock: a mass of deletions is one however
    // late it is looked at.
    let Intent::Delete(asked) = view.database.intent else { return None };
    let together = |other: &&Timestamp| asked.duration_since(**other).abs() < RECENT;
    let many = deletions.asked.iter().filter(together).count();
    (many >= MANY && many * 2 > deletions.databases).then(|| {
        let all = deletions.databases;
        (MANY_BEING_DELETED, format!("{many} of {all} databases were deleted within 10 minutes"))
    })
}
