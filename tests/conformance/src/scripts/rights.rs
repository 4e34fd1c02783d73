//! Of which object a request without a name is about, for those who judge rights.

use super::{Author, MAPS, PODS, Script, map, pod};

pub(super) fn script() -> Script {
    let mut author = Author::new();
    author.post(MAPS, map("a"));
    author.post(PODS, pod("a"));
    for query in [
        "fieldSelector=metadata.name=a",
        "fieldSelector=metadata.name==a",
        "fieldSelector=metadata.name!=a",
        "fieldSelector=metadata.name=",
        "fieldSelector=metadata.name=..",
        "fieldSelector=metadata.name=a/b",
        "fieldSelector=metadata.namespace={{ns}},metadata.name=a",
        "fieldSelector=metadata.name=a,nonsense",
        "fieldSelector=metadata.name=a&labelSelector=a b",
        "fieldSelector=metadata.name=a&limit=many",
        "fieldSelector=metadata.name=a&labelSelector=a=b",
    ] {
        author.get(&format!("{MAPS}?{query}"));
        author.by_guest();
        author.get(&format!("{MAPS}?{query}&watch=true&timeoutSeconds=1"));
        author.by_guest();
        author.delete_many(&format!("{MAPS}?{query}"));
        author.by_guest();
    }
    for uri in [format!("{MAPS}/a?watch=true&timeoutSeconds=1"), format!("{PODS}/a?watch=true&timeoutSeconds=1")] {
        author.read(&uri);
        author.read(&uri);
        author.by_guest();
    }
    author.script("rights")
}
