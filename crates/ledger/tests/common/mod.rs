//! Logs as text, and ledgers made of them.

use formats::{Dialect, Input, Reader};
use jiff::tz::TimeZone;
use ledger::{Batch, BatchOptions, Checkpoint, Filter, Ingest, Keeping, Ledger, LocalClock};
use source::{Fingerprint, Raw};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// 2026-01-01T00:00:00Z, in microseconds.
pub(crate) const UTC_START: i64 = 1_767_225_600_000_000;

/// The lines of a log, each with its line feed. An item that holds several is never cut.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) lines: Vec<String>,
}

impl Log {
    #[allow(dead_code)]
    pub(crate) fn push(&mut self, line: String) {
        self.lines.push(line);
    }

    /// The newest time in it, in microseconds UTC.
    #[allow(dead_code)]
    pub(crate) fn newest(&self) -> i64 {
        let stamps = self.lines.iter().filter(|line| line.starts_with("20"));
        let newest = stamps.map(|line| &line[..17]).max();
        newest.map_or(UTC_START, |text| {
            let time = jiff::civil::DateTime::strptime("%Y%m%d %H:%M:%S", text).unwrap();
            time.to_zoned(TimeZone::UTC).unwrap().timestamp().as_microsecond()
        })
    }
}

/// A record as `server_audit` writes it.
#[allow(dead_code)]
pub(crate) fn line(
    at: i64,
    server: &str,
    user: &str,
    host: &str,
    id: u64,
    operation: &str,
    error: u32,
) -> String {
    let time = jiff::Timestamp::from_microsecond(at).unwrap().strftime("%Y%m%d %H:%M:%S");
    let (query, rest) = match operation {
        "QUERY" => (17, format!("shop,'select 1',{error}")),
        _ => (0, format!(",,{error}")),
    };
    format!("{time},{server},{user},{host},{id},{query},{operation},{rest}\n")
}

pub(crate) fn keeping(now: i64) -> Keeping {
    Keeping::new(now)
}

/// A ledger in a folder of its own, which goes with it.
#[allow(dead_code)]
pub(crate) struct Made {
    pub(crate) ledger: Ledger,
    folder: TempDir,
}

#[allow(dead_code)]
impl Made {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.sqlite")
    }
}

pub(crate) fn batch(file: i64, offset: usize, text: &str) -> Batch {
    let options = BatchOptions { server: None, keep_connections: 1000 };
    let mut batch = Batch::new(options, LocalClock::new(TimeZone::UTC, 0), file);
    batch.at(offset as u64);
    read(&mut batch, text);
    batch.at((offset + text.len()) as u64);
    batch
}

fn read(batch: &mut Batch, text: &str) {
    let used = Reader::new(Dialect::ServerAudit).read(text.as_bytes(), Input::Ended, batch);
    assert_eq!(used, text.len());
}

pub(crate) fn checkpoint(path: &str, offset: usize) -> Checkpoint {
    let fingerprint = Fingerprint { offset: offset as u64, ..Fingerprint::default() };
    let facts = source::Facts { device: 1, inode: 2, born: None, len: offset as u64, modified: 0 };
    let raw = Raw { facts, print: [0; 16], drained: true };
    let path = PathBuf::from(path);
    Checkpoint { path, fingerprint, raw, mid_record: false, newest: None }
}

/// Reads a log of one file into a source of its own.
#[allow(dead_code)]
pub(crate) fn add_log(ledger: &mut Ledger, keeping: Keeping, location: &str, log: &Log) {
    let ingest = ledger.ingest(keeping).unwrap();
    let source = ingest.source(location.as_bytes(), b"", "server_audit").unwrap();
    let text = log.lines.concat();
    let file = ingest.checkpoint(None, source, &checkpoint(location, text.len())).unwrap();
    ingest.add(source, &batch(file, 0, &text)).unwrap();
    ingest.finish().unwrap();
}

/// What is read and not in the ledger yet.
struct Pending(Option<Batch>);

impl Pending {
    fn add(&mut self, ingest: &Ingest<'_>, source: i64) {
        if let Some(batch) = self.0.take() {
            ingest.add(source, &batch).unwrap();
        }
    }
}

/// A ledger of one log, cut before the items `cuts` into pieces that come in the order that `order`
/// makes, put together by `steps` (used again from the start when they are at an end).
#[allow(dead_code)]
pub(crate) fn ledger_of(
    log: &Log,
    keeping: Keeping,
    cuts: &[usize],
    order: u64,
    steps: &[u8],
) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let mut ledger = Ledger::create(&path).unwrap();
    let (source, file) = {
        let ingest = ledger.ingest(keeping.clone()).unwrap();
        let source = ingest.source(b"/var/log/audit.log", b"", "server_audit").unwrap();
        let length = log.lines.iter().map(String::len).sum();
        let at = checkpoint("/var/log/audit.log", length);
        let file = ingest.checkpoint(None, source, &at).unwrap();
        ingest.finish().unwrap();
        (source, file)
    };
    let mut pieces = pieces(log, cuts);
    shuffle(&mut pieces, order);
    let mut steps = steps.iter().copied().cycle();
    let mut pieces = pieces.into_iter().peekable();
    while pieces.peek().is_some() {
        // One opening of the ledger.
        let mut ingest = ledger.ingest(keeping.clone()).unwrap();
        let mut pending = Pending(None);
        for (offset, text) in pieces.by_ref() {
            let fresh = batch(file, offset, &text);
            let step = steps.next().unwrap_or(0);
            match (step, &mut pending.0) {
                (0 | 1, Some(batch)) => batch.absorb(fresh),
                (2, Some(batch)) => {
                    batch.go_on_with(self::batch(file, 0, ""));
                    batch.at(offset as u64);
                    read(batch, &text);
                    batch.at((offset + text.len()) as u64);
                }
                _ => {
                    pending.add(&ingest, source);
                    pending.0 = Some(fresh);
                }
            }
            if step == 3 {
                pending.add(&ingest, source);
                ingest.commit().unwrap();
            } else if step == 4 {
                break;
            }
        }
        pending.add(&ingest, source);
        ingest.finish().unwrap();
        ledger = Ledger::open(&path).unwrap();
    }
    Made { ledger, folder }
}

fn pieces(log: &Log, cuts: &[usize]) -> Vec<(usize, String)> {
    let mut cuts = cuts.to_vec();
    cuts.extend([0, log.lines.len()]);
    cuts.sort_unstable();
    let mut offset = 0;
    let mut pieces = Vec::new();
    for part in cuts.windows(2) {
        let text = log.lines[part[0]..part[1]].concat();
        let start = offset;
        offset += text.len();
        pieces.push((start, text));
    }
    pieces
}

fn shuffle<T>(items: &mut [T], mut seed: u64) {
    if seed == 0 {
        return;
    }
    for last in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, (seed >> 33) as usize % (last + 1));
    }
}

/// Every answer, as text.
#[allow(dead_code)]
pub(crate) fn everything(ledger: &Ledger) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let day = 86_400_000_000;
    let windows = [
        Filter::default(),
        Filter { since: Some(UTC_START + 2 * day + 1), ..Filter::default() },
        Filter { until: Some(UTC_START + day / 3), ..Filter::default() },
        Filter {
            user: Some(b"root".to_vec()),
            servers: vec![b"db1".to_vec()],
            ..Filter::default()
        },
    ];
    for filter in windows {
        for row in ledger.seen(&filter).unwrap() {
            writeln!(text, "{row:?}").unwrap();
        }
        for row in ledger.failures(&filter).unwrap() {
            writeln!(text, "{row:?}").unwrap();
        }
        for row in ledger.periods(&filter).unwrap() {
            writeln!(text, "{row:?}").unwrap();
        }
        for row in ledger.evidence(&filter).unwrap() {
            writeln!(text, "{row:?}").unwrap();
        }
        for row in ledger.runs(&filter).unwrap() {
            writeln!(text, "{row:?}").unwrap();
        }
    }
    for row in ledger.doubts(None, usize::MAX).unwrap() {
        writeln!(text, "{row:?}").unwrap();
    }
    let mut status = ledger.status().unwrap();
    status.bytes = 0;
    write!(text, "{status:?}").unwrap();
    text
}

/// The answers that one of two ledgers gives and the other does not, as text.
#[allow(dead_code)]
pub(crate) fn difference(one: &Ledger, other: &Ledger) -> String {
    let (one, other) = (everything(one), everything(other));
    if one == other {
        return String::new();
    }
    let of = |mark, a: &str, b: &str| -> Vec<String> {
        let missing = a.lines().filter(|line| !b.lines().any(|other| other == *line));
        missing.map(|line| format!("{mark} {line}\n")).collect()
    };
    let all = [of('-', &one, &other), of('+', &other, &one)].concat().concat();
    if all.is_empty() { "the same rows in another order".to_owned() } else { all }
}

/// The path of a ledger that is not there yet.
#[allow(dead_code)]
pub(crate) fn fresh(folder: &Path) -> PathBuf {
    folder.join("ledger.sqlite")
}
