//! What tests do to a scan: stop it at a chosen point, and let it commit after each file.
//!
//! A scan that is stopped ends as one that dies: what it has not committed is gone.

use std::cell::Cell;

thread_local! {
    static POINTS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    static EACH_FILE: Cell<bool> = const { Cell::new(false) };
}

/// Runs a scan that commits after each file, and that dies at the `stop`-th point where it could; tells
/// its answer.
pub(crate) fn run<T>(stop: Option<u32>, each_file: bool, scan: impl FnOnce() -> T) -> T {
    POINTS_LEFT.set(stop);
    EACH_FILE.set(each_file);
    let answer = scan();
    POINTS_LEFT.set(None);
    EACH_FILE.set(false);
    answer
}

/// A point at which a scan may die.
pub(super) fn stop() -> anyhow::Result<()> {
    match POINTS_LEFT.get() {
        Some(0) => anyhow::bail!("stopped"),
        Some(left) => POINTS_LEFT.set(Some(left - 1)),
        None => {}
    }
    Ok(())
}

pub(super) fn commits_each_file() -> bool {
    EACH_FILE.get()
}
