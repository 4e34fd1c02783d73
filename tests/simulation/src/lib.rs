//! The whole controller in one thread and virtual time.
