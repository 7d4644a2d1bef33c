//! The dialects that are read, their names, and telling them apart by content.
//!
//! A file's name tells nothing: rotated, renamed and collected files are called anything. What
//! tells is a line that the dialect's own reader makes an event of; the first such line decides.

use crate::event::{Doubt, Event, Input, Sink, Span};
use crate::reader::Reader;

/// How many bytes of the head are looked at: more than the longest statement that is common, and
/// little enough to decompress for a look.
pub const DETECT_BYTES_MAX: usize = 64 << 10;

/// Which writer's notation a log is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// Lines of MariaDB's `server_audit` plugin and its relatives, written to a file.
    ServerAudit,
    /// The same records sent through syslog.
    ServerAuditSyslog,
    /// JSON lines of an audit_login plugin.
    AuditLogin,
}

impl Dialect {
    /// All dialects, in the order in which [`detect`] tries them.
    pub const ALL: [Dialect; 3] =
        [Dialect::ServerAudit, Dialect::AuditLogin, Dialect::ServerAuditSyslog];

    /// The name used on the command line, in the configuration and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::ServerAudit => "server_audit",
            Dialect::ServerAuditSyslog => "server_audit_syslog",
            Dialect::AuditLogin => "audit_login",
        }
    }

    /// The dialect of that name.
    ///
    /// ```
    /// use formats::Dialect;
    /// assert_eq!(Dialect::from_name("audit_login"), Some(Dialect::AuditLogin));
    /// assert_eq!(Dialect::from_name("xml"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No dialect has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownDialect;

impl std::fmt::Display for UnknownDialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not one of server_audit, server_audit_syslog, audit_login")
    }
}

impl std::error::Error for UnknownDialect {}

impl std::str::FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Dialect, UnknownDialect> {
        Dialect::from_name(name).ok_or(UnknownDialect)
    }
}

/// Finds the dialect from the (decompressed) head of a log: the dialect whose reader finds the
/// first event. Garbage, a byte order mark, blank lines, NUL bytes and half a first line are
/// passed over. `None` where no line of the first [`DETECT_BYTES_MAX`] bytes is an event.
///
/// The last line may be cut; where nothing else tells, it is tried as if it ended there, or as
/// if its statement did: a first statement can be longer than the head.
///
/// ```
/// use formats::{Dialect, detect};
/// let log = b"20260314 09:26:53,db1,app,10.0.0.7,42,0,CONNECT,shop,,0\n";
/// assert_eq!(detect(log), Some(Dialect::ServerAudit));
/// assert_eq!(detect(b""), None);
/// ```
pub fn detect(head: &[u8]) -> Option<Dialect> {
    let head = &head[..head.len().min(DETECT_BYTES_MAX)];
    let cut = memchr::memrchr(b'\n', head).map_or(0, |line_break| line_break + 1);
    first_event(head).or_else(|| {
        let bare = |b: &&u8| matches!(b, b'\\' | b'\r' | b'\n');
        let line = &head[cut..];
        let line = &line[..line.len() - line.iter().rev().take_while(bare).count()];
        [&b"\n"[..], b"',0\n"].iter().find_map(|end| first_event(&[line, end].concat()))
    })
}

/// The dialect whose reader finds the first event of all.
fn first_event(head: &[u8]) -> Option<Dialect> {
    let mut found = None;
    let mut earliest = usize::MAX;
    for dialect in Dialect::ALL {
        let mut first = FirstEvent { start: usize::MAX };
        // `Ended`, so that a fragment cannot make the reader wait for its rest.
        Reader::new(dialect).read(head, Input::Ended, &mut first);
        if first.start < earliest {
            earliest = first.start;
            found = Some(dialect);
        }
    }
    found
}

struct FirstEvent {
    start: usize,
}

impl Sink for FirstEvent {
    fn event(&mut self, span: Span, _event: &Event<'_>) {
        self.start = self.start.min(span.start);
    }

    fn doubt(&mut self, _span: Span, _doubt: Doubt, _bytes: &[u8]) {}
}
