//! Where an object is.

use std::fmt;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `pods`, `jobs.batch`: the plural, and the group unless it is the core one.
    pub resource: String,
    /// Empty for an object of the whole cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Place {
    /// Of an object in a namespace.
    pub fn namespaced(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Of an object of the whole cluster.
    pub fn cluster(resource: &str, name: &str) -> Self {
        Self::namespaced(resource, "", name)
    }

    /// As etcd has it, without the resource: what lists are sorted by.
    pub(crate) fn key(&self) -> String {
        key(&self.namespace, &self.name)
    }
}

/// As etcd has it, without the resource.
pub(crate) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, namespace, name } = self;
        if namespace.is_empty() { write!(f, "{resource}/{name}") } else { write!(f, "{resource}/{namespace}/{name}") }
    }
}
