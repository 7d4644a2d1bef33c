//! How long and how much the ledger keeps.
//!
//! ```text
//! now ──────────── 90 days ─────────────────── 400 days ───────────────►  age
//!      by the hour │ by the day                │ totals of logins only
//! ```

use crate::timeline::{DAY, day_of};
use std::sync::Arc;

/// Ages grow by at most this from one scan to the next: a month without a scan is usual, so forgetting
/// waits only where scans were further apart, and catches up with each.
const LEAP_MAX: i64 = 35 * DAY;

/// How long and how much the ledger keeps, and how it writes local times for conntracker's users.
#[derive(Clone)]
pub struct Keeping {
    /// Now, in microseconds UTC: what retention counts from, as far as a ledger believes it.
    pub now: i64,
    /// The latest moment that retention counts from, whatever the clock says.
    pub(crate) latest: i64,
    /// Counts by the hour are kept for this many days, then by the day.
    pub hour_days: u32,
    /// Counts by the day are kept for this many days; totals stay.
    pub day_days: u32,
    /// Connection facts are kept for this many days …
    pub connection_days: u32,
    /// … and at most this many finished ones; 0 for none. (Those whose other end is not known are
    /// kept whatever is set here, within a bound of their own, because what they were depends on
    /// it.)
    pub connections: usize,
    /// Refused pairs that never logged in, kept by name per server, source and hour (old ones:
    /// day).
    pub strangers_per_hour: usize,
    /// A time in microseconds UTC as local text, for the view `Accounts`. None is kept where this is
    /// `None`: the view then shows UTC.
    pub local_text: Option<LocalText>,
}

/// Writes a time in microseconds UTC as local text.
pub type LocalText = Arc<dyn Fn(i64) -> String + Send + Sync>;

impl Keeping {
    /// The defaults: 90 days by the hour, 400 by the day, 20,000 connections for 30 days.
    pub fn new(now: i64) -> Self {
        Keeping {
            now,
            latest: i64::MAX,
            hour_days: 90,
            day_days: 400,
            connection_days: 30,
            connections: 20_000,
            strangers_per_hour: 1000,
            local_text: None,
        }
    }

    /// The time as the view `Accounts` shows it, where it has to be kept.
    pub(crate) fn kept_text(&self, at: i64) -> Option<String> {
        self.local_text.as_ref().map(|text| text(at))
    }

    /// What ends at or before this is kept by the day.
    pub(crate) fn days_before(&self) -> i64 {
        self.age(self.hour_days)
    }

    /// What ends at or before this is kept in totals only.
    pub(crate) fn gone_before(&self) -> i64 {
        self.age(self.day_days)
    }

    /// Connections that ended at or before this are forgotten.
    pub(crate) fn connections_before(&self) -> i64 {
        self.age(self.connection_days)
    }

    /// Goes on from the moment that ages were counted from the last time: a clock that is years ahead for
    /// once must not make the ledger forget what it cannot read again.
    pub(crate) fn go_on_from(&mut self, before: i64) {
        self.latest = before.saturating_add(LEAP_MAX);
    }

    /// What ages are counted from.
    pub(crate) fn ages_from(&self) -> i64 {
        self.now.min(self.latest)
    }

    /// The beginning of a UTC day: so limits move once a day, and what is written is pruned to the
    /// same limits as what is there.
    fn age(&self, days: u32) -> i64 {
        day_of(self.ages_from().max(0)).saturating_sub(i64::from(days).saturating_mul(DAY))
    }
}

impl std::fmt::Debug for Keeping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeping").field("now", &self.now).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_move_once_a_day() {
        let mut keeping = Keeping::new(500 * DAY);
        for (now, days) in [(500 * DAY, 410), (501 * DAY - 1, 410), (501 * DAY, 411)] {
            keeping.now = now;
            assert_eq!(keeping.days_before(), days * DAY);
        }
        keeping.go_on_from(500 * DAY);
        keeping.now = 5000 * DAY;
        assert_eq!(keeping.days_before(), (535 - 90) * DAY);
        keeping.now = i64::MIN;
        keeping.day_days = u32::MAX;
        assert!(keeping.gone_before() <= 0);
    }
}
