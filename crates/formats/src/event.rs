//! The neutral event that every dialect is read into, and what a reader tells about the rest.

use crate::block::Block;

/// The longest record that is read, in bytes with its line break. A longer one is rejected with
/// its offset: 16 MiB is the largest statement most servers accept (`max_allowed_packet`), and a
/// reader must not be made to hold more.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// One audit record, whatever dialect wrote it. Every text borrows from the input (or, where the
/// dialect escapes names, from the reader's scratch space) and is raw bytes: not always UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// When, as written.
    pub time: Stamp,
    /// The audited server as the record names it; empty where the dialect does not tell.
    pub server: &'a [u8],
    /// Who: user name and client host, without the port.
    pub peer: Peer<'a>,
    /// The client's TCP port, where the dialect tells.
    pub port: Option<u16>,
    /// The server's connection (thread) id; starts again with each run of the server.
    pub connection: u64,
    /// The server's query id; 0 for connection events.
    pub query: u64,
    /// What happened.
    pub kind: Kind,
    /// The server's error number; 0 for success.
    pub error: u32,
    /// The database, raw; empty where none.
    pub database: &'a [u8],
    /// What the record is about: the statement as the dialect escapes it and without its quotes,
    /// the table, the proxied account, the TLS version of a connection event; empty where none.
    pub object: &'a [u8],
    /// The user part of the account that let the login in (`priv_user`), where the dialect tells.
    pub account_user: Option<&'a [u8]>,
    /// Whether a column stands behind the error number, where there is one: MariaDB Enterprise and Amazon RDS
    /// write it in all records, MariaDB in none.
    pub further: bool,
    /// Where the line stands among those of its writer, where the dialect tells.
    pub series: Option<Series>,
}

/// Where a line stands among those that its writer has made since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// Its number, from 1 on; lines that could not be written have numbers, too.
    pub line: u64,
    /// How many of these could not be written until then.
    pub lost: u64,
}

/// User name and client host in one slice with one separator byte between them, because logs write
/// them side by side and the ledger hashes them as one.
///
/// ```
/// let peer = formats::Peer::new(b"app,10.0.0.7", 3);
/// assert_eq!((peer.user(), peer.host()), (&b"app"[..], &b"10.0.0.7"[..]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer<'a> {
    joined: &'a [u8],
    user_bytes: usize,
}

impl<'a> Peer<'a> {
    /// `joined` is user, one byte (a comma by custom: equal peers must have equal bytes), host.
    ///
    /// # Panics
    /// Where `user_bytes` is not below the length of `joined`.
    #[inline(always)]
    pub fn new(joined: &'a [u8], user_bytes: usize) -> Self {
        assert!(user_bytes < joined.len());
        Peer { joined, user_bytes }
    }

    /// User, separator and host as one slice.
    #[inline(always)]
    pub fn joined(&self) -> &'a [u8] {
        self.joined
    }

    /// The length of the user name in bytes.
    #[inline(always)]
    pub fn user_bytes(&self) -> usize {
        self.user_bytes
    }

    /// The user name as attempted.
    #[inline(always)]
    pub fn user(&self) -> &'a [u8] {
        &self.joined[..self.user_bytes]
    }

    /// The client host as the server names it: a resolved name, an address, `localhost`, or empty.
    #[inline(always)]
    pub fn host(&self) -> &'a [u8] {
        &self.joined[self.user_bytes + 1..]
    }
}

/// A time as a log writes it. Microseconds since 1970-01-01 00:00:00 of the proleptic Gregorian
/// calendar; the variant says of which clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// The wall clock of the server, whose zone the record does not tell.
    Local(i64),
    /// Coordinated Universal Time.
    Utc(i64),
    /// A wall clock without a year (syslog): microseconds since the start of a leap year's
    /// 1 January, so that `Feb 29` has a place. The caller finds the year from order and file time.
    LocalWithoutYear(i64),
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A login that succeeded.
    Connect,
    /// A login that was refused; `error` says why.
    Failed,
    /// The end of a connection, also of one whose login was refused.
    Disconnect,
    /// `COM_CHANGE_USER`: succeeded where `error` is 0.
    ChangeUser,
    /// The account a login was proxied to (follows its `Connect`).
    ProxyConnect,
    /// A statement ended.
    Query,
    /// A table was read.
    Read,
    /// A table was opened for writing.
    Write,
    /// A table was created.
    Create,
    /// A table was altered.
    Alter,
    /// A table was dropped.
    Drop,
    /// A table was renamed; the object is `old|newdatabase.new`.
    Rename,
    /// The audit log's own settings were written (`AUDIT_CONFIG`, `Audit`, `NoAudit`).
    AuditConfig,
}

/// Where a record stands in the bytes of one call to `Reader::read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte; the line break belongs to the record.
    pub end: usize,
}

/// Why bytes did not become an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// No record at all, or one that cannot be trusted.
    pub standing: Standing,
    /// The reason.
    pub reason: Reason,
}

/// The two kinds of doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// Not a record of the dialect.
    Rejected,
    /// A record that may be forged, torn or ambiguous: reading it would be a guess.
    Quarantined,
}

impl Standing {
    /// The word used in the ledger and in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Rejected => "rejected",
            Standing::Quarantined => "quarantined",
        }
    }
}

/// Why bytes are doubted. [`Reason::code`] is stored and put out; [`Reason::explain`] is for
/// people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The line does not start as a record of this dialect does.
    NotARecord,
    /// The line starts as a record does and does not fit the shape of any.
    BadShape,
    /// The time stamp is no time (month 13, hour 25).
    BadTime,
    /// A number is out of its range (connection id above 64 bits).
    BadNumber,
    /// Longer than [`RECORD_BYTES_MAX`].
    TooLong,
    /// Not valid in the dialect's notation (JSON).
    BadSyntax,
    /// The record fits more than one shape.
    Ambiguous,
    /// A line break inside a name: the record spans lines and may be forged.
    LineBreakInName,
    /// A name holds what looks like the beginning of another record: glued after a full disk, or
    /// forged.
    RecordInName,
    /// A key occurs twice (JSON): one of the two may be forged.
    DuplicateKey,
    /// The input ended inside the record.
    Unfinished,
    /// NUL bytes, as file systems leave them after a crash.
    NulBytes,
    /// A login whose connection id another record has too: one of them is forged. Like the next two,
    /// told by who has seen the records around it, never by a reader.
    IdTwice,
    /// A login that stands between the two records of a refused one, of which a name may have made it.
    InRefusedName,
    /// A login whose connection id does not fit those around it.
    IdOutOfPlace,
}

impl Reason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Reason; 15] = [
        Reason::NotARecord,
        Reason::BadShape,
        Reason::BadTime,
        Reason::BadNumber,
        Reason::TooLong,
        Reason::BadSyntax,
        Reason::Ambiguous,
        Reason::LineBreakInName,
        Reason::RecordInName,
        Reason::DuplicateKey,
        Reason::Unfinished,
        Reason::NulBytes,
        Reason::IdTwice,
        Reason::InRefusedName,
        Reason::IdOutOfPlace,
    ];

    /// A short name: stored in the ledger, stable for scripts.
    pub fn code(self) -> &'static str {
        match self {
            Reason::NotARecord => "not-a-record",
            Reason::BadShape => "bad-shape",
            Reason::BadTime => "bad-time",
            Reason::BadNumber => "bad-number",
            Reason::TooLong => "too-long",
            Reason::BadSyntax => "bad-syntax",
            Reason::Ambiguous => "ambiguous",
            Reason::LineBreakInName => "line-break-in-name",
            Reason::RecordInName => "record-in-name",
            Reason::DuplicateKey => "duplicate-key",
            Reason::Unfinished => "unfinished",
            Reason::NulBytes => "nul-bytes",
            Reason::IdTwice => "id-twice",
            Reason::InRefusedName => "in-refused-name",
            Reason::IdOutOfPlace => "id-out-of-place",
        }
    }

    /// One clause for people, to stand in brackets after "1 record cannot be trusted" or "2 lines
    /// are no records".
    pub fn explain(self) -> &'static str {
        match self {
            Reason::NotARecord => "does not start as a record does",
            Reason::BadShape => "fits the shape of no known record",
            Reason::BadTime => "its time stamp is no time",
            Reason::BadNumber => "a number is out of range",
            Reason::TooLong => "longer than 16 MiB",
            Reason::BadSyntax => "not valid in its notation",
            Reason::Ambiguous => "can be read in more than one way",
            Reason::LineBreakInName => "a name holds a line break",
            Reason::RecordInName => "a name holds the beginning of another record",
            Reason::DuplicateKey => "a key occurs twice",
            Reason::Unfinished => "the input ends inside it",
            Reason::NulBytes => "NUL bytes, as a crash leaves them",
            Reason::IdTwice => "another record has its connection id",
            Reason::InRefusedName => "may be part of a refused login's name",
            Reason::IdOutOfPlace => "its connection id does not fit those around it",
        }
    }
}

/// Whether more bytes can follow those given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// More may follow: an unfinished record at the end is left for the next call.
    Open,
    /// Nothing follows: an unfinished record at the end is quarantined as [`Reason::Unfinished`].
    Ended,
}

/// Receives what a reader finds, in the order of the bytes.
pub trait Sink {
    /// A record. `span` counts from the start of the bytes given to this call of `Reader::read`.
    fn event(&mut self, span: Span, event: &Event<'_>);

    /// Several records: the same as a call of [`Sink::event`] for each. Common records come like this,
    /// so that a sink can look up several at a time, wait for memory once, and leave alone what it does
    /// not need.
    fn records(&mut self, block: &Block<'_>) {
        for line in block.lines() {
            self.event(block.span(line), &block.event(line));
        }
    }

    /// Bytes that are no record, or one that cannot be trusted. `bytes` are those of `span`, cut at
    /// an implementation's bound where the record is too long to be held.
    fn doubt(&mut self, span: Span, doubt: Doubt, bytes: &[u8]);

    /// A call of `Reader::read` ends: what a sink put off it may do now, all at once.
    fn end_of_call(&mut self) {}
}
