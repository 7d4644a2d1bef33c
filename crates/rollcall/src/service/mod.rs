//! What services have in common: `watch` and `quota watch`.
//!
//! ```text
//! signals     SIGTERM, SIGINT, SIGHUP as values
//! notify      what systemd wants to hear
//! log         one line an event on standard error
//! pid_file    one process at a time
//! privileges  root no longer
//! ```

mod log;
mod notify;
mod pid_file;
mod privileges;
mod signals;

pub(crate) use log::Log;
pub(crate) use notify::Notifier;
pub(crate) use pid_file::PidFile;
pub(crate) use privileges::Identity;
pub(crate) use signals::{Signals, Waker};

use nix::time::{ClockId, clock_gettime};

/// The system's monotonic clock in microseconds, as `RELOADING=1` wants it.
pub(crate) fn monotonic_us() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000 + time.tv_nsec() as u64 / 1000)
}
