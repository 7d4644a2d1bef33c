//! What the status variables show.

use std::sync::atomic::{AtomicU64, Ordering};

use formats::LoginKind;

use super::variables::ENABLED;
use crate::abi::{Foreign, StatusVariable};

/// Counts since the plugin was loaded. They change under the lock of the audit; servers read them
/// at any time.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Lines made: each is written or dropped.
    made: AtomicU64,
    written: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) errors: AtomicU64,
    successful: AtomicU64,
    failed: AtomicU64,
    logouts: AtomicU64,
    changes: AtomicU64,
    pub(crate) skipped: AtomicU64,
}

pub(crate) static COUNTERS: Counters = Counters {
    made: AtomicU64::new(0),
    written: AtomicU64::new(0),
    dropped: AtomicU64::new(0),
    errors: AtomicU64::new(0),
    successful: AtomicU64::new(0),
    failed: AtomicU64::new(0),
    logouts: AtomicU64::new(0),
    changes: AtomicU64::new(0),
    skipped: AtomicU64::new(0),
};

impl Counters {
    pub(crate) fn reset(&self) {
        let Counters {
            made,
            written,
            dropped,
            errors,
            successful,
            failed,
            logouts,
            changes,
            skipped,
        } = self;
        for counter in
            [made, written, dropped, errors, successful, failed, logouts, changes, skipped]
        {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// One more line is made; returns which.
    pub(crate) fn begin(&self, kind: LoginKind) -> u64 {
        let counter = match kind {
            LoginKind::Successful => &self.successful,
            LoginKind::Failed => &self.failed,
            LoginKind::Logout => &self.logouts,
            LoginKind::ChangeUser => &self.changes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.made.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// That line was written, or dropped.
    pub(crate) fn end(&self, is_written: bool) {
        let counter = if is_written { &self.written } else { &self.dropped };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// After a panic: what is neither written nor dropped is dropped.
    pub(crate) fn settle(&self) {
        let written = self.written.load(Ordering::Relaxed);
        let made = self.made.load(Ordering::Relaxed);
        self.dropped.store(made.saturating_sub(written), Ordering::Relaxed);
    }
}

/// MariaDB puts the plugin's name before the names of status variables, but where the first of them
/// begins with it already: so the others keep the names they have on MySQL, which are those of the
/// first audit_login. (`plugin_initialize` in MariaDB's `sql/sql_plugin.cc`.)
pub(crate) static STATUS: Foreign<[StatusVariable; 11]> = Foreign::new([
    StatusVariable::counter(c"Simple_login_audit_lines", &COUNTERS.made),
    StatusVariable::counter(c"Audit_login_count_successful_logins", &COUNTERS.successful),
    StatusVariable::counter(c"Audit_login_count_failed_logins", &COUNTERS.failed),
    StatusVariable::counter(c"Audit_login_count_logouts", &COUNTERS.logouts),
    StatusVariable::counter(c"Audit_login_count_change_users", &COUNTERS.changes),
    StatusVariable::counter(c"Audit_login_count_skipped_users", &COUNTERS.skipped),
    StatusVariable::switch(c"Audit_login_enabled", &ENABLED),
    StatusVariable::counter(c"Audit_login_written", &COUNTERS.written),
    StatusVariable::counter(c"Audit_login_dropped", &COUNTERS.dropped),
    StatusVariable::counter(c"Audit_login_errors", &COUNTERS.errors),
    StatusVariable::END,
]);
