//! A log read once more: the hashes of its bytes, and what its lines are.
//!
//! ```text
//! lines + unended = events + rejected + quarantined + others + continued
//! ```
//!
//! # Invariants
//! * The sum above is exact: each line break counts where it stands.
//! * Nothing is read but files that discovery or the ledger named; memory does not grow with them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formats::{
    Dialect, Doubt, Event, Input, RECORD_BYTES_MAX, Reader, Reason, Sink, Span, Standing,
};
use sha2::{Digest as _, Sha256};
use source::{Capture, Error, Fingerprint, OpenFile};

/// Bytes asked for at once.
const STEP_BYTES: usize = 256 << 10;

/// The most bytes of the beginning of a log by which it is looked for: some records.
pub(super) const HEAD_BYTES: u64 = 256;

/// What the bytes of a log are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Line breaks.
    pub(crate) lines: u64,
    /// Records that were read.
    pub(crate) events: u64,
    /// Pieces that are no record.
    pub(crate) rejected: u64,
    /// Records that cannot be trusted.
    pub(crate) quarantined: u64,
    /// Lines that are none of these: blank ones, other programs' in a syslog file, the rest of a record
    /// that is too long.
    pub(crate) others: u64,
    /// Line breaks inside records, beyond the one that ends each.
    pub(crate) continued: u64,
    /// Records without a line break: several on one line, cut off, too long.
    pub(crate) unended: u64,
}

impl Totals {
    /// Whether the lines are what they are said to be.
    pub(crate) fn add_up(&self) -> bool {
        let parts = [self.events, self.rejected, self.quarantined, self.others, self.continued];
        let parts: u128 = parts.into_iter().map(u128::from).sum();
        u128::from(self.lines) + u128::from(self.unended) == parts
    }

    pub(crate) fn add(&mut self, other: &Totals) {
        let sum = |ours: &mut u64, theirs: u64| *ours = ours.saturating_add(theirs);
        sum(&mut self.lines, other.lines);
        sum(&mut self.events, other.events);
        sum(&mut self.rejected, other.rejected);
        sum(&mut self.quarantined, other.quarantined);
        sum(&mut self.others, other.others);
        sum(&mut self.continued, other.continued);
        sum(&mut self.unended, other.unended);
    }
}

/// What reading again showed.
#[derive(Debug, Clone)]
pub(super) struct Recount {
    /// SHA-256 of the bytes.
    pub(super) sha256: [u8; 32],
    /// How the ledger knows them.
    pub(super) fingerprint: Fingerprint,
    pub(super) totals: Totals,
    pub(super) doubts: BTreeMap<(Standing, Reason), u64>,
}

/// Counts what a reader tells of, as far as it begins before `end`.
struct Count<'a> {
    bytes: &'a [u8],
    end: usize,
    totals: &'a mut Totals,
    doubts: &'a mut BTreeMap<(Standing, Reason), u64>,
    /// Line breaks that belong to a record or a doubt.
    told: &'a mut u64,
}

impl Count<'_> {
    /// Whether it counts; its line breaks do then, too.
    fn takes(&mut self, span: Span) -> bool {
        if span.start >= self.end {
            return false;
        }
        let breaks = line_breaks(&self.bytes[span.start..span.end.min(self.end)]);
        *self.told += breaks;
        self.totals.continued += breaks.saturating_sub(1);
        self.totals.unended += u64::from(breaks == 0);
        true
    }
}

impl Sink for Count<'_> {
    fn event(&mut self, span: Span, event: &Event<'_>) {
        // The ledger sets such records aside.
        if event.peer.joined().len() > ledger::PEER_BYTES_MAX {
            let doubt = Doubt { standing: Standing::Quarantined, reason: Reason::BadShape };
            self.doubt(span, doubt, event.peer.joined());
        } else if self.takes(span) {
            self.totals.events += 1;
        }
    }

    fn doubt(&mut self, span: Span, doubt: Doubt, _: &[u8]) {
        if !self.takes(span) {
            return;
        }
        match doubt.standing {
            Standing::Rejected => self.totals.rejected += 1,
            Standing::Quarantined => self.totals.quarantined += 1,
        }
        *self.doubts.entry((doubt.standing, doubt.reason)).or_default() += 1;
    }
}

fn line_breaks(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Reads the first `bytes` decompressed bytes of a file. `None` where it ends before.
///
/// # Errors
/// Where reading fails.
pub(super) fn recount(
    file: &OpenFile,
    dialect: Dialect,
    bytes: u64,
) -> Result<Option<Recount>, Error> {
    let mut stream = file.stream(0)?;
    let mut reader = Reader::new(dialect);
    let (mut hash, mut capture) = (Sha256::new(), Capture::new());
    let (mut totals, mut doubts, mut told) = (Totals::default(), BTreeMap::new(), 0);
    let mut buffer = vec![0; STEP_BYTES];
    let (mut filled, mut ended) = (0, false);
    while capture.offset() < bytes {
        if filled == buffer.len() {
            buffer.resize((buffer.len() * 2).min(RECORD_BYTES_MAX + STEP_BYTES), 0);
        }
        if !ended {
            match stream.read(&mut buffer[filled..]) {
                Ok(n) => (filled, ended) = (filled + n, n == 0),
                // All before it was delivered.
                Err(error) if error.ends_stream() => ended = true,
                Err(error) => return Err(error),
            }
        }
        let left = bytes - capture.offset();
        if ended && (filled as u64) < left {
            return Ok(None);
        }
        let end = usize::try_from(left).unwrap_or(usize::MAX);
        let input = if ended { Input::Ended } else { Input::Open };
        let mut count = Count {
            bytes: &buffer[..filled],
            end,
            totals: &mut totals,
            doubts: &mut doubts,
            told: &mut told,
        };
        let used = reader.read(&buffer[..filled], input, &mut count);
        let sealed = &buffer[..used.min(end)];
        hash.update(sealed);
        capture.feed(sealed);
        totals.lines += line_breaks(sealed);
        buffer.copy_within(used..filled, 0);
        filled -= used;
    }
    totals.others = totals.lines.saturating_sub(told);
    let (sha256, fingerprint) = (hash.finalize().into(), capture.fingerprint());
    Ok(Some(Recount { sha256, fingerprint, totals, doubts }))
}

/// How many decompressed bytes a file holds that can be read.
///
/// # Errors
/// Where reading fails.
pub(super) fn length(file: &OpenFile) -> Result<u64, Error> {
    file.stream(0)?.skip_to(u64::MAX)
}

/// SHA-256 of a file's first `bytes` bytes as they are stored; fewer where it ends before.
///
/// # Errors
/// Where reading fails.
pub(super) fn raw_hash(file: &OpenFile, bytes: u64) -> Result<[u8; 32], Error> {
    let (mut hash, mut at) = (Sha256::new(), 0);
    let mut buffer = vec![0; STEP_BYTES];
    while at < bytes {
        let want = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(buffer.len());
        let n = file.read_full_at(&mut buffer[..want], at)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        at += n as u64;
    }
    Ok(hash.finalize().into())
}

/// A file that may be one of those looked for.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) head: Vec<u8>,
    /// Hashes of its beginnings, by their length: each is asked for once a file of the ledger.
    marks: RefCell<BTreeMap<u32, [u8; 16]>>,
}

impl Candidate {
    /// # Errors
    /// Where the file cannot be opened or read.
    pub(super) fn look(path: &Path) -> Result<Candidate, Error> {
        let mut stream = OpenFile::open_found(path)?.stream(0)?;
        let mut head = vec![0; source::HEAD_BYTES];
        let mut filled = 0;
        while filled < head.len() {
            match stream.read(&mut head[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.ends_stream() => break,
                Err(error) => return Err(error),
            }
        }
        head.truncate(filled);
        Ok(Candidate { path: path.to_path_buf(), head, marks: RefCell::default() })
    }

    /// # Errors
    /// Where the file cannot be opened any more.
    pub(super) fn open(&self) -> Result<OpenFile, Error> {
        OpenFile::open_found(&self.path)
    }

    /// Whether it begins with the bytes that a mark of the ledger is of.
    pub(super) fn begins(&self, bytes: u32, mark: &[u8]) -> bool {
        let Some(head) = self.head.get(..bytes as usize) else { return false };
        let mut marks = self.marks.borrow_mut();
        let hash = || Fingerprint::of(head, head, u64::from(bytes)).head;
        *marks.entry(bytes).or_insert_with(hash) == *mark
    }

    /// The hash of its first bytes, where it has as many.
    pub(super) fn head_hash(&self, bytes: u64) -> Option<[u8; 32]> {
        let bytes = usize::try_from(bytes).ok()?;
        self.head.get(..bytes).map(|head| Sha256::digest(head).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(log: &[u8], dialect: Dialect, bytes: u64) -> Option<Totals> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, log).unwrap();
        let file = OpenFile::open(&path).unwrap();
        let recount = recount(&file, dialect, bytes).unwrap()?;
        let expected: [u8; 32] = Sha256::digest(&log[..bytes as usize]).into();
        assert_eq!(recount.sha256, expected);
        assert!(recount.totals.add_up(), "{:?}", recount.totals);
        let doubts: u64 = recount.doubts.values().sum();
        assert_eq!(doubts, recount.totals.rejected + recount.totals.quarantined);
        Some(recount.totals)
    }

    #[test]
    fn every_line_break_has_its_place() {
        let mut log =
            b"\xEF\xBB\xBF20260314 09:26:53,db1,app,10.0.0.7,42,0,CONNECT,shop,,0\n\n \n".to_vec();
        log.extend(b"nonsense\n\0\0\0");
        log.extend(b"20260314 09:26:53,db1,a\n20260314 09:26:53,db1,b,h,9,0,CONNECT,,,0\n");
        log.extend(b"20260314 09:26:54,db1,app,10.0.0.7,42,0,DISCONNECT,shop,,0\nunfinished");
        let totals = read(&log, Dialect::ServerAudit, log.len() as u64).unwrap();
        assert_eq!((totals.lines, totals.others), (7, 2));
        assert!(totals.events >= 2 && totals.unended >= 2, "{totals:?}");
        // Two objects glued together, and lines of other programs.
        let login = r#"{"ts":"2013-09-11 09:11:47","type":"successful_login","myhost":"g","thread":"7","user":"u","priv_user":"u","host":"h","ip":"10.0.0.87"}"#;
        let two = format!("{login}{login}\n{login}\n");
        let totals = read(two.as_bytes(), Dialect::AuditLogin, two.len() as u64).unwrap();
        assert_eq!((totals.lines, totals.events, totals.quarantined), (2, 1, 1));
        let syslog = b"Mar 14 09:26:53 h sshd[1]: hello\nMar 14 09:26:53 h mysql-server_auditing: db1,app,10.0.0.7,42,0,CONNECT,shop,,0\n";
        let totals = read(syslog, Dialect::ServerAuditSyslog, syslog.len() as u64).unwrap();
        assert_eq!((totals.lines, totals.events, totals.others), (2, 1, 1));
    }

    #[test]
    fn what_lies_behind_the_end_is_not_counted() {
        let line = b"20260314 09:26:53,db1,app,10.0.0.7,42,0,CONNECT,shop,,0\n";
        let log = line.repeat(20_000);
        let n = line.len() as u64;
        for lines in [1, 31, 32, 33, 6_000, 19_999, 20_000] {
            let totals = read(&log, Dialect::ServerAudit, lines * n).unwrap();
            assert_eq!((totals.lines, totals.events), (lines, lines));
        }
        assert_eq!(read(&log, Dialect::ServerAudit, log.len() as u64 + 1), None);
    }

    #[test]
    fn a_record_that_is_too_long_leaves_a_rest() {
        let mut log = vec![b'x'; RECORD_BYTES_MAX + 5];
        log.extend(b"\n20260314 09:26:53,db1,app,10.0.0.7,42,0,CONNECT,shop,,0\n");
        let totals = read(&log, Dialect::ServerAudit, log.len() as u64).unwrap();
        let expected =
            Totals { lines: 2, events: 1, rejected: 1, others: 1, unended: 1, ..Totals::default() };
        assert_eq!(totals, expected);
    }
}
