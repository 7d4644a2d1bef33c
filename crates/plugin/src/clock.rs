//! The time of an event: UTC, with the server's local offset.

use crate::sys;

/// When an event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Microseconds since 1970, UTC.
    pub(crate) time: i64,
    /// Seconds that local time is ahead of UTC.
    pub(crate) offset: i32,
    /// Milliseconds of a clock that nobody sets.
    pub(crate) steady_ms: u64,
}

impl Moment {
    /// Seconds of the clock that nobody sets.
    pub(crate) fn steady_seconds(&self) -> u64 {
        self.steady_ms / 1000
    }
}

/// Tells the time; asks for the offset once a second only.
#[derive(Debug)]
pub(crate) struct Clock {
    second: i64,
    offset: i32,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        sys::read_time_zone();
        Clock { second: i64::MIN, offset: 0 }
    }

    pub(crate) fn now(&mut self) -> Moment {
        let (second, nanoseconds) = sys::clock(libc::CLOCK_REALTIME);
        if second != self.second {
            self.second = second;
            self.offset = sys::local_offset(second);
        }
        let (steady, fraction) = sys::clock(libc::CLOCK_MONOTONIC);
        Moment {
            time: second * 1_000_000 + nanoseconds / 1000,
            offset: self.offset,
            steady_ms: steady.unsigned_abs() * 1000 + fraction.unsigned_abs() / 1_000_000,
        }
    }
}
