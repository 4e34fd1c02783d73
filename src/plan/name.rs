//! Newtypes for every name the plan handles, so that a worker is never mistaken for a member nor a UID for a name.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name that came from an API server or was composed from such names.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }
    };
}

name! {
    /// A worker: the `metadata.name` of its `K8sCluster`. Records hold this, whatever a manifest called the worker.
    WorkerName
}
name! {
    /// A namespace, in the master or in a worker.
    Namespace
}
name! {
    /// The `metadata.name` of one object.
    ObjectName
}
name! {
    /// The stable name of one database process: its pod's name and its name within the engine.
    MemberName
}
name! {
    /// The UID of one object, or (for a cluster) of its kube-system namespace.
    Uid
}
name! {
    /// The `resourceVersion` of one object, as the API server wrote it.
    ResourceVersion
}

impl From<&MemberName> for ObjectName {
    fn from(member: &MemberName) -> Self {
        Self::new(member.as_str())
    }
}
