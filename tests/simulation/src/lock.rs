//! Locks of tests, whose holders may panic: that is told elsewhere, and leaves nothing half-done behind these locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, whatever became of who held it before.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was behind a lock that nobody needs any more.
pub fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}
