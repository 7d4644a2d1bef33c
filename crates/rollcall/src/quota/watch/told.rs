//! Who is told of rounds beside the log: notices, the metrics file, `/metrics`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tracing::{info, warn};

use crate::config;
use crate::out::replace_file;
use crate::quota::RoundOutcome;
use crate::quota::http::Listener;
use crate::quota::metrics::Metrics;
use crate::quota::notices::Teller;

/// The metrics file is written this often at most.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// After the signal to end, a command or a webhook may still be told for so long.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What is told, and to whom.
#[derive(Debug)]
pub(super) struct Told {
    teller: Teller,
    metrics: Arc<Mutex<Metrics>>,
    rules: config::MetricsRules,
    /// It listens as long as this is there.
    _listener: Option<Listener>,
    /// When the file is to be written next; `None`: nothing is new.
    due: Option<Instant>,
    written: Option<Instant>,
    /// What was last said of the file.
    fault: Option<String>,
}

impl Told {
    /// Listens where the configuration says so.
    ///
    /// # Errors
    /// A message with the remedy, where the address cannot be had.
    pub(super) fn start(quota: &config::Quota, zone: &TimeZone) -> Result<Told, String> {
        let rules = quota.metrics.clone();
        let metrics = Arc::new(Mutex::new(Metrics::new(rules.series_max)));
        let shown = Arc::clone(&metrics);
        let text = Arc::new(move || lock(&shown).text(None));
        let listener = rules.listen.map(|at| Listener::start(at, text)).transpose()?;
        if let Some(listener) = &listener {
            info!("metrics are at http://{}/metrics", listener.address());
        }
        let teller = Teller::new(quota.notices.clone(), zone.clone());
        Ok(Told {
            teller,
            metrics,
            rules,
            _listener: listener,
            due: None,
            written: None,
            fault: None,
        })
    }

    /// A round came to its end, at `now` in microseconds UTC.
    pub(super) fn done(&mut self, outcome: &RoundOutcome, took: Duration, now: i64) {
        lock(&self.metrics).done(outcome, took, now);
        for event in &outcome.events {
            self.teller.tell(event);
        }
        self.set_due();
    }

    /// A round failed.
    pub(super) fn failed(&mut self, server: &str, took: Duration) {
        lock(&self.metrics).failed(server, took);
        self.set_due();
    }

    /// Of other servers nothing is told any more.
    pub(super) fn retain(&mut self, is_configured: impl Fn(&str) -> bool) {
        lock(&self.metrics).retain(is_configured);
    }

    /// Takes another configuration; the address stays that of the start.
    pub(super) fn reload(&mut self, old: &config::Quota, new: &config::Quota, zone: &TimeZone) {
        if old.notices != new.notices {
            let teller = Teller::new(new.notices.clone(), zone.clone());
            std::mem::replace(&mut self.teller, teller).finish(Duration::ZERO).iter().for_each(log);
        }
        if old.metrics.listen != new.metrics.listen {
            warn!("[quota.metrics] listen: another address is taken at the next start only");
        }
        if self.rules.series_max != new.metrics.series_max {
            *lock(&self.metrics) = Metrics::new(new.metrics.series_max);
        }
        self.rules = new.metrics.clone();
    }

    fn set_due(&mut self) {
        if self.rules.file.is_some() {
            let at = self.written.map_or_else(Instant::now, |written| written + WRITE_EVERY);
            self.due.get_or_insert(at);
        }
    }

    /// When there is something to write.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the file where it is time, and says what could not be told.
    pub(super) fn write_due(&mut self, now: Instant) {
        self.teller.take_faults().iter().for_each(log);
        if self.due.is_some_and(|due| due <= now) {
            self.write();
        }
    }

    fn write(&mut self) {
        self.due = None;
        self.written = Some(Instant::now());
        let Some(path) = &self.rules.file else { return };
        let before = match self.rules.keeps_series {
            true => std::fs::read_to_string(path).ok(),
            false => None,
        };
        let text = lock(&self.metrics).text(before.as_deref());
        let fault = replace_file(path, &text).err().map(|error| format!("{error:#}"));
        // Once, until it is another or none.
        if fault != self.fault
            && let Some(fault) = &fault
        {
            log(fault);
        }
        self.fault = fault;
    }

    /// Tells what is still to be told.
    pub(super) fn end(&mut self) {
        if self.due.is_some() {
            self.write();
        }
        let none = Teller::new(Default::default(), TimeZone::UTC);
        std::mem::replace(&mut self.teller, none).finish(END_PATIENCE).iter().for_each(log);
    }
}

fn log(fault: &String) {
    warn!("{fault}");
}

fn lock(metrics: &Mutex<Metrics>) -> std::sync::MutexGuard<'_, Metrics> {
    metrics.lock().unwrap_or_else(PoisonError::into_inner)
}
