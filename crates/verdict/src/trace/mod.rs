//! From a transaction of a binary log to the connection that made it, and to the login behind that.
//!
//! ```text
//! runs of the server   ── Runs ──► which outside record is surely of which run
//! heads of transactions ─┐
//! audit records, twice ──┴ Joiner ──► Attribution: connection, login, how that is known
//! ```
//!
//! The first time audit records pass, query ids are joined; the second time, logins of the connections
//! that were found, texts of statements for what is left, and how many sessions were open.
//!
//! # What evidence is worth
//! * The log itself tells the connection: MariaDB 11.5 and newer in the GTID event, MySQL and statements
//!   of MariaDB in Query events. All of them tell `pseudo_thread_id`, which privileged users and
//!   replayed logs set (seen on 10.11 and 11.8; `connection_id()` then tells it, too).
//! * MariaDB up to 11.4 tells nothing of row transactions, but `Xid_event.xid` is the query id of the
//!   first statement that touched a transactional engine, and the audit log has that id beside the
//!   connection (seen on 10.11: 6,386 of 6,386 right). Of events that came by replication the xid is
//!   the replica's own.
//! * Both kinds of id begin again with each start of the server. A record in the second of a start may be
//!   of either run and is not joined.
//! * The same text at the same time is a guess, and is called one.
//!
//! # Invariants
//! * What is called exact rests on one record, or on records that agree. Whatever contradicts takes that
//!   away and says why.
//! * No file, clock or name resolution; memory grows with the heads that are given, not with the audit
//!   log.

mod joiner;
mod open;
mod runs;
mod session;
mod statement;
#[cfg(test)]
mod tests;

pub use joiner::{AuditKind, AuditRecord, CANDIDATES_MAX, Joiner, Login};
pub use runs::{FileHead, Run, Runs};
pub use statement::{TEXT_BYTES_MAX, matches, mentions};

/// How a transaction was traced to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Evidence {
    /// The GTID event names it.
    GtidThread,
    /// A Query event names it.
    QueryThread,
    /// The audit log has a record with the query id that the transaction was committed with.
    XidQueryId,
    /// The audit log has records with the same statement about the same time.
    TextMatch,
    /// It was not.
    Unknown,
}

impl Evidence {
    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::GtidThread => "gtid-thread",
            Evidence::QueryThread => "query-thread",
            Evidence::XidQueryId => "xid-query-id",
            Evidence::TextMatch => "text-match",
            Evidence::Unknown => "unknown",
        }
    }
}

/// How it is known who a connection was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LoginEvidence {
    /// Records of server_audit.
    Audit,
    /// Lines of audit_login.
    AuditLogin,
    /// The table that logins write into.
    AccessLog,
    /// The ledger.
    Ledger,
    /// The session is open now.
    Processlist,
    /// It is not known.
    None,
}

impl LoginEvidence {
    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            LoginEvidence::Audit => "audit",
            LoginEvidence::AuditLogin => "audit-login",
            LoginEvidence::AccessLog => "accesslog",
            LoginEvidence::Ledger => "ledger",
            LoginEvidence::Processlist => "processlist",
            LoginEvidence::None => "none",
        }
    }
}

/// Why an attribution is not exact, or what it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Other events of the transaction name another connection.
    Disputed,
    /// The audit log knows its query id with another connection.
    Pretended,
    /// A session set `pseudo_thread_id` at that time.
    MaySet,
    /// It came by replication.
    Replicated,
    /// Its times are not those of the clock.
    TimesSet,
    /// Several connections have the query id.
    IdTwice,
    /// The audit record is later than the commit.
    TooLate,
    /// Records of the connection name different users.
    Disagreement,
    /// No session with this id was open then.
    NotOpen,
    /// No audit log was given.
    NoAuditLog,
    /// The audit log has no record with the query id.
    NoRecord,
    /// The audit log holds logins alone.
    LoginsAlone,
    /// The audit log does not reach that time.
    OutOfReach,
    /// It was made in the second of a start.
    SecondOfStart,
    /// The transaction has neither connection nor query id.
    NothingTold,
    /// Several audited servers stand in the audit log.
    SeveralServers,
    /// A statement with this text ran then, but nothing ties it to the transaction.
    SameText,
    /// Several connections ran a statement with this text then.
    SameTexts,
}

impl Reason {
    /// One clause for people.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Disputed => {
                "its events name different connections: pseudo_thread_id was set in between"
            }
            Reason::Pretended => {
                "the audit log has its query id with another connection: pseudo_thread_id was set"
            }
            Reason::MaySet => "a session set pseudo_thread_id at that time",
            Reason::Replicated => {
                "it came by replication: the connection is one of the server where it was made"
            }
            Reason::TimesSet => "its session set the time (SET TIMESTAMP)",
            Reason::IdTwice => "records of different connections have its query id",
            Reason::TooLate => {
                "the audit record is later than the commit: is the zone of the audit log right?"
            }
            Reason::Disagreement => "records of the connection name different users",
            Reason::NotOpen => "no session with this id was open at that time",
            Reason::NoAuditLog => {
                "the binlog does not name the connection, and no audit log was given"
            }
            Reason::NoRecord => "the audit log has no record with its query id",
            Reason::LoginsAlone => "the audit log holds logins alone, no QUERY or TABLE records",
            Reason::OutOfReach => "the audit log does not reach that time",
            Reason::SecondOfStart => {
                "it was made in the second in which the server started: audit records of that \
                 second may be of the run before"
            }
            Reason::NothingTold => "the binlog names neither connection nor query id",
            Reason::SeveralServers => {
                "the audit log holds records of several servers: name one with --server"
            }
            Reason::SameText => "the only connection that ran this text at that time",
            Reason::SameTexts => "several connections ran this text at that time",
        }
    }
}

/// A connection as a transaction names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldThread {
    /// The connection id.
    pub id: u64,
    /// By the GTID event, rather than a Query event.
    pub by_gtid: bool,
    /// Other events name another one.
    pub disputed: bool,
}

/// A statement of a transaction, to be found in an audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// When it began, seconds since 1970.
    pub time: u32,
    /// Up to [`TEXT_BYTES_MAX`] bytes of it.
    pub sql: Box<[u8]>,
}

/// What is known of a transaction from its log alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Which of [`Runs`] its file is of.
    pub run: usize,
    /// It was made on the server whose log this is, not brought there by replication.
    pub is_own: bool,
    /// Its server writes query ids as xids (MariaDB).
    pub has_query_ids: bool,
    /// The connection, where told.
    pub thread: Option<ToldThread>,
    /// The id that it was committed with.
    pub xid: Option<u64>,
    /// The query id of its DDL, where told.
    pub query_id: Option<u64>,
    /// The lowest time of its events, seconds since 1970.
    pub first_time: u32,
    /// The highest.
    pub last_time: u32,
    /// It was committed by then, as far as the transactions around it tell; seconds since 1970.
    pub committed_by: u32,
    /// When it was committed, where the log tells what sessions cannot set; seconds since 1970.
    pub committed: Option<u32>,
    /// The longest duration of a statement, in seconds; absurd where times were set.
    pub seconds: u32,
    /// Its statements, where they may have to be looked for.
    pub texts: Vec<Text>,
}

/// The longest time that a statement takes, in seconds: 30 days. What is said to take longer had its
/// time set.
pub const STATEMENT_SECONDS_MAX: u32 = 30 * 86_400;

impl Head {
    /// Whether its times cannot be those of the clock.
    pub fn has_set_times(&self, run: &Run) -> bool {
        // Where the start is not told, a statement may have begun before the first file did.
        let earliest =
            run.started.unwrap_or_else(|| run.from.saturating_sub(STATEMENT_SECONDS_MAX));
        let before_start = self.last_time < earliest;
        let after_end = run.ended.is_some_and(|at| self.first_time > at);
        let is_told = |at: u32| {
            self.last_time <= at.saturating_add(1)
                && at - self.last_time.min(at) <= STATEMENT_SECONDS_MAX
        };
        self.seconds > STATEMENT_SECONDS_MAX
            || (self.is_own && (before_start || after_end))
            || !self.committed.is_none_or(is_told)
    }
}

/// Who a connection was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The user name, raw.
    pub user: Vec<u8>,
    /// The client host, raw; `None` where not told.
    pub host: Option<Vec<u8>>,
    /// The client port, where told.
    pub port: Option<u16>,
}

/// Who made a transaction, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// How the connection is known.
    pub evidence: Evidence,
    /// Nothing contradicts, and it is no guess.
    pub is_exact: bool,
    /// The connection; `None` where unknown or one of several.
    pub thread: Option<u64>,
    /// How many connections it may be; 0 where nothing tells.
    pub candidates: usize,
    /// How the login is known.
    pub login: LoginEvidence,
    /// Who the connection was.
    pub who: Option<Peer>,
    /// The users of several candidates, each once.
    pub users: Vec<Vec<u8>>,
    /// Why it is not exact, or what is lacking.
    pub reason: Option<Reason>,
}
