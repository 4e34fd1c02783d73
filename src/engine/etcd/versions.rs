//! The versions of etcd that Atoll serves, and what differs between them.
