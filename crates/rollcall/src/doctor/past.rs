//! What the ledger knows of how a server's logs are read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ledger::{EvidenceState, Filter, IntervalState, Ledger};
use verdict::checkup::{Stretch, hourly};
use verdict::unused::Uncovered;

use super::DAY;

/// The window in which gaps are told.
const WINDOW: i64 = 90 * DAY;

/// How fast a log grew longer ago than this tells nothing of now.
const TRAFFIC_AGE_MAX: i64 = 35 * DAY;

/// How a server's logs were read. Times are microseconds UTC.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) last_read: Option<i64>,
    pub(crate) last_look: Option<i64>,
    pub(crate) longest_pause: Option<(i64, i64)>,
    pub(crate) newest: Option<i64>,
    pub(crate) traffic: Vec<Stretch>,
    pub(crate) uncovered: Vec<Uncovered>,
    /// Where its plain files were last seen.
    pub(crate) paths: Vec<PathBuf>,
}

impl Past {
    /// # Errors
    /// Where SQLite fails.
    pub(crate) fn of(ledger: &Ledger, name: &str, now: i64) -> Result<Past, ledger::Error> {
        let filter = Filter { servers: vec![name.as_bytes().to_vec()], ..Filter::default() };
        let evidence = ledger.evidence(&filter)?;
        let mut records: BTreeMap<&[u8], u64> = BTreeMap::new();
        let tells = |it: &&ledger::Evidence| {
            matches!(
                it.state,
                EvidenceState::Covered | EvidenceState::Unconfirmed | EvidenceState::Weak
            )
        };
        for row in evidence.iter().filter(tells) {
            *records.entry(&row.source).or_default() += row.records;
        }
        let from = evidence.iter().filter(tells).filter_map(|it| it.from).min();
        let newest = evidence.iter().filter(tells).filter_map(|it| it.to).max();
        let status = ledger.status()?;
        let own = || status.sources.iter().filter(|it| records.contains_key(&it.source[..]));
        // Of a source with records of many servers, its share.
        let bytes = |it: &ledger::SourceStatus| {
            let share = records[&it.source[..]] as f64 / it.records.max(1) as f64;
            (it.bytes as f64 * share.min(1.0)) as u64
        };
        let counts: Vec<(i64, u32, u64)> = ledger
            .periods(&filter)?
            .iter()
            .map(|it| (it.start, it.seconds, it.logins.saturating_add(it.failures)))
            .collect();
        let mut traffic = hourly(&counts, own().map(bytes).max().unwrap_or(0));
        traffic.retain(|it| it.to > now - TRAFFIC_AGE_MAX);
        let since = from.map(|from| from.max(now - WINDOW));
        let intervals = match since.zip(newest).filter(|(since, newest)| since < newest) {
            Some((since, newest)) => ledger.coverage(name.as_bytes(), since, newest)?,
            None => Vec::new(),
        };
        let open = intervals.into_iter().filter(|it| it.state != IntervalState::Covered);
        let pause = ledger.longest_pause(now - ledger::PAUSE_DAYS * DAY)?;
        Ok(Past {
            last_read: own().filter_map(|it| it.last_read).max(),
            last_look: status.last_commit,
            longest_pause: pause.map(|it| (it.end, it.length)),
            newest,
            traffic,
            uncovered: open
                .map(|it| Uncovered {
                    from: it.from_us,
                    to: it.to_us,
                    reason: match it.reason.is_empty() {
                        true => it.state.as_str().to_owned(),
                        false => it.reason,
                    },
                })
                .collect(),
            paths: own().flat_map(|it| &it.places).map(|it| it.path.clone()).collect(),
        })
    }
}
