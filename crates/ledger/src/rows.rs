//! What the ledger answers with: plain rows, no SQL and no rendering.
//!
//! Times are microseconds since 1970-01-01T00:00:00Z. Names are the bytes the logs held: hostile,
//! not always UTF-8, escaped only by whoever puts them out.

/// A server, user or host name, as raw bytes.
pub type Name = Vec<u8>;

/// Which rows an answer is about. The default is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these servers; empty: all.
    pub servers: Vec<Name>,
    /// Only this user.
    pub user: Option<Name>,
    /// Only this client host.
    pub host: Option<Name>,
    /// From this time on, in microseconds UTC.
    pub since: Option<i64>,
    /// Before this time, in microseconds UTC.
    pub until: Option<i64>,
}

/// One user from one client host on one server. A window chooses rows and recounts logins and
/// failures; the moments of logins and of activity are always those of all evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The audited server; empty where no record names it.
    pub server: Name,
    /// The user name as attempted.
    pub user: Name,
    /// The client host.
    pub host: Name,
    /// The oldest login.
    pub first_seen: Option<i64>,
    /// The newest login.
    pub last_seen: Option<i64>,
    /// The newest sign of a session: a login, a statement, its end. Failures do not move it.
    pub last_active: Option<i64>,
    /// Successful logins.
    pub logins: u64,
    /// Refused attempts.
    pub failures: u64,
    /// The newest refused attempt.
    pub last_failed: Option<i64>,
    /// The error number of that attempt.
    pub last_error: Option<u32>,
    /// Doubtful evidence touched this row.
    pub contested: bool,
}

/// Refused attempts of one user from one client host on one server with one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The audited server.
    pub server: Name,
    /// The user name as attempted; `None` on the row that stands for names folded together.
    pub user: Option<Name>,
    /// The client host; `None` on the row that stands for names folded together.
    pub host: Option<Name>,
    /// The server's error number; 0 where the source does not tell it; `None` on a folded row.
    pub error: Option<u32>,
    /// How many different user and host pairs this row stands for: 1, or more on a folded row.
    pub pairs: u64,
    /// Attempts.
    pub count: u64,
    /// The oldest of them.
    pub first: i64,
    /// The newest of them.
    pub last: i64,
    /// A login of this user from this host that does not lie before `first`: the oldest one that is
    /// known to the moment, which is their first or their last.
    pub then_logged_in: Option<i64>,
}

/// Logins and refusals of one hour (or, for old ones, one day) of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// The audited server.
    pub server: Name,
    /// The first microsecond of the period.
    pub start: i64,
    /// Its length in seconds: 3,600 or 86,400.
    pub seconds: u32,
    /// Successful logins in it.
    pub logins: u64,
    /// Refused attempts in it.
    pub failures: u64,
}

/// A stretch of evidence, or of input that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The audited server.
    pub server: Name,
    /// Where it comes from: a log file set's path.
    pub source: Name,
    /// The first record's time.
    pub from: Option<i64>,
    /// The last record's time.
    pub to: Option<i64>,
    /// Covered, a gap, rejected or quarantined.
    pub state: EvidenceState,
    /// How many records (or, for rejected ones, lines).
    pub records: u64,
    /// Why it is a gap, rejected or quarantined; the file for covered ones.
    pub reason: String,
}

/// What a stretch of evidence is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvidenceState {
    /// Read without a break.
    Covered,
    /// Covered, yet nothing confirms that the audit was on.
    Unconfirmed,
    /// Covered, yet less is known there by which forged logins are told.
    Weak,
    /// Known to be missing.
    Gap,
    /// No records.
    Rejected,
    /// Records that cannot be trusted.
    Quarantined,
}

impl EvidenceState {
    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            EvidenceState::Covered => "covered",
            EvidenceState::Unconfirmed => "unconfirmed",
            EvidenceState::Weak => "weak",
            EvidenceState::Gap => "gap",
            EvidenceState::Rejected => "rejected",
            EvidenceState::Quarantined => "quarantined",
        }
    }
}

/// One kept piece of doubtful input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoubtSample {
    /// The source's path.
    pub source: Name,
    /// The file it stands in, as last seen.
    pub file: Name,
    /// Its offset in the decompressed file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Rejected or quarantined.
    pub standing: formats::Standing,
    /// The reason's code, as `formats::Reason::code` gives it.
    pub reason: String,
    /// Its first bytes.
    pub text: Vec<u8>,
}

/// How a source stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// The source's path.
    pub source: Name,
    /// The dialect read from it.
    pub dialect: String,
    /// Files known.
    pub files: u64,
    /// Decompressed bytes read from them.
    pub bytes: u64,
    /// Records counted.
    pub records: u64,
    /// Lines rejected.
    pub rejected: u64,
    /// Records quarantined.
    pub quarantined: u64,
    /// The newest record's time.
    pub newest: Option<i64>,
    /// When rollcall last read it.
    pub last_read: Option<i64>,
    /// Its plain files, where they were last seen.
    pub places: Vec<Place>,
}

/// Where a plain log file was last seen, and how far it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its path.
    pub path: std::path::PathBuf,
    /// Number of the device.
    pub device: u64,
    /// Number of the file on it.
    pub inode: u64,
    /// Bytes read.
    pub offset: u64,
}

/// An input that could not be read when it was last tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: i64,
    /// What is wrong, with place and remedy. Holds paths as they are: escape it.
    pub message: String,
}

/// One life of a server as the logs show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The audited server.
    pub server: Name,
    /// The source's path.
    pub source: Name,
    /// The first record's time.
    pub from: i64,
    /// The last record's time.
    pub to: i64,
    /// The lowest connection id seen.
    pub first_connection: u64,
    /// The highest connection id seen.
    pub last_connection: u64,
}

/// The ledger as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// When anything was last committed.
    pub last_commit: Option<i64>,
    /// The schema's version.
    pub schema: u32,
    /// The size of the ledger file in bytes.
    pub bytes: u64,
    /// Logins not settled yet.
    pub unsettled: u64,
    /// Connection facts, of the days for which they are kept for tracing.
    pub connections: u64,
    /// When a `rollcall watch` that has not ended last said that it runs.
    pub watch: Option<i64>,
    /// Every source.
    pub sources: Vec<SourceStatus>,
    /// Inputs that could not be read, the oldest trouble first.
    pub troubles: Vec<Trouble>,
}
