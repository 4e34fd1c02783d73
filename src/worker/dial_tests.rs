//! Which sockets are opened, and which are not.
