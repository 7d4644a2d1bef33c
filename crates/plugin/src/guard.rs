//! Panics end here: none may cross into a server, which would end with it.

use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::say;

/// How many panics were caught.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Makes panics say one short line: the standard hook would unwind the stack for a trace, allocate,
/// and name the thread. The text of the panic is left out, as it may hold a name.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(|panic| {
        let (file, line) = panic.location().map_or(("", 0), |at| (at.file(), at.line()));
        say::always(format_args!("a fault of the plugin in {file}:{line}, one event is lost"));
    }));
}

/// Calls `body`; where it panics, `fallback` is the answer.
pub(crate) fn guard<R>(fallback: R, body: impl FnOnce() -> R) -> R {
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(answer) => answer,
        Err(payload) => {
            // Dropping it could panic once more.
            mem::forget(payload);
            PANICS.fetch_add(1, Ordering::Relaxed);
            fallback
        }
    }
}

/// Locks, whether or not somebody panicked with the lock held: what is guarded is kept such that
/// any interruption leaves it usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| {
        mutex.clear_poison();
        poisoned.into_inner()
    })
}

/// How many panics were caught since the library was loaded.
pub(crate) fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_here() {
        install_hook();
        let before = panics();
        assert_eq!(guard(7, || 8), 8);
        assert_eq!(guard(7, || -> i32 { panic!("a payload") }), 7);
        struct Nasty;
        impl Drop for Nasty {
            fn drop(&mut self) {
                panic!("dropping the payload panics, too");
            }
        }
        assert_eq!(guard(7, || -> i32 { panic::panic_any(Nasty) }), 7);
        assert!(panics() >= before + 2);
    }

    #[test]
    fn a_poisoned_lock_opens() {
        install_hook();
        let mutex = Mutex::new(1);
        guard((), || {
            let _held = lock(&mutex);
            panic!("with the lock held");
        });
        assert_eq!(*lock(&mutex), 1);
        assert!(!mutex.is_poisoned());
    }
}
