//! Heads of transactions on one side, audit records on the other, which pass twice.
//!
//! ```text
//! first   query ids: (run, xid) ─► connection      who may have set pseudo_thread_id
//! second  connections that were found ─► logins    texts, open sessions for what is left
//! ```

use std::collections::{BTreeMap, HashMap};

use super::open::OpenSessions;
use super::runs::Runs;
use super::session::{LATE_SECONDS, LATE_SECONDS_AT_END, Session, peer, same};
use super::statement::{CUT_BYTES_MIN, KEY_BYTES, has_mask, matches_trimmed, trimmed, unescaped};
use super::{Attribution, Evidence, Head, LoginEvidence, Peer, Reason};

/// How many connections with the same text are told apart; beyond, "so many or more".
pub const CANDIDATES_MAX: usize = 100;

/// How many users of candidates are named.
const USERS_MAX: usize = 5;

/// How many sessions that set `pseudo_thread_id` are told apart; beyond, all time is in doubt.
const PRETENDERS_MAX: usize = 1000;

/// A user name in FAILED_CONNECT is cut here. What stands behind a name of this length, up to the
/// DISCONNECT of its connection, may be part of it.
const NAME_CUT_BYTES: usize = 129;

/// What an audit record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditKind {
    /// A login that succeeded.
    Connect,
    /// A login that was refused.
    Failed,
    /// The end of a connection.
    Disconnect,
    /// COM_CHANGE_USER.
    ChangeUser,
    /// A statement ended.
    Query,
    /// A table was read, written, made, changed or dropped.
    Table,
}

/// An audit record, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct AuditRecord<'a> {
    /// When, microseconds UTC.
    pub at: i64,
    /// The audited server, as the record names it; empty where it does not.
    pub server: &'a [u8],
    /// The connection id.
    pub connection: u64,
    /// The query id; 0 for none.
    pub query: u64,
    /// What it tells.
    pub kind: AuditKind,
    /// The user name, raw.
    pub user: &'a [u8],
    /// The client host, raw.
    pub host: &'a [u8],
    /// The client port, where told.
    pub port: Option<u16>,
    /// The server's error number.
    pub error: u32,
    /// The statement, escaped as server_audit does.
    pub text: &'a [u8],
    /// [`LoginEvidence::Audit`] or [`LoginEvidence::AuditLogin`].
    pub source: LoginEvidence,
}

/// What another source tells of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Which run of the server.
    pub run: usize,
    /// The connection id.
    pub connection: u64,
    /// Who it was.
    pub peer: Peer,
    /// Since when, seconds since 1970; `None` where not told.
    pub from: Option<i64>,
    /// Until when; `None` where not told.
    pub to: Option<i64>,
    /// Who tells it.
    pub source: LoginEvidence,
}

/// The connection that a query id belongs to.
#[derive(Debug, Clone, Default)]
struct Owner {
    connection: Option<u64>,
    /// The earliest record, in seconds.
    at: i64,
    /// As a statement's record names them; a table's names definers of stored programs.
    peer: Option<Peer>,
    is_disputed: bool,
    disagrees: bool,
}

/// A text that is looked for.
#[derive(Debug, Clone)]
struct Wanted {
    from: i64,
    to: i64,
    head: usize,
    text: usize,
}

type Key = (usize, u64);

/// Finds who made transactions.
#[derive(Debug)]
pub struct Joiner<'a> {
    heads: &'a [Head],
    runs: &'a Runs,
    owners: HashMap<Key, Owner>,
    sessions: HashMap<Key, Session>,
    /// Connections that set `pseudo_thread_id`: the run, since when, until when.
    pretenders: BTreeMap<Key, (i64, i64)>,
    all_may_pretend: bool,
    /// The beginnings of texts that are looked for.
    wanted: HashMap<Vec<u8>, Vec<Wanted>>,
    /// The longest time that one of them is looked for, in seconds.
    wanted_seconds: i64,
    /// By head and text.
    found: HashMap<(usize, usize), Vec<u64>>,
    users: HashMap<Key, Vec<u8>>,
    open: OpenSessions,
    servers: Vec<Vec<u8>>,
    records: u64,
    statements: u64,
    /// The times of all records, in seconds.
    reach: Option<(i64, i64)>,
    /// A record later than the commit was found where a wrong zone would matter.
    zone_is_doubtful: bool,
    /// A name that may hold what follows it.
    suspect: Option<u64>,
    suspects: u64,
}

impl<'a> Joiner<'a> {
    /// For these transactions of these runs.
    pub fn new(heads: &'a [Head], runs: &'a Runs) -> Joiner<'a> {
        let mut owners = HashMap::new();
        for head in heads.iter().filter(|head| head.is_own && head.has_query_ids) {
            for id in head.xid.into_iter().chain(head.query_id) {
                owners.insert((head.run, id), Owner::default());
            }
        }
        Joiner {
            heads,
            runs,
            owners,
            sessions: HashMap::new(),
            pretenders: BTreeMap::new(),
            all_may_pretend: false,
            wanted: HashMap::new(),
            wanted_seconds: 0,
            found: HashMap::new(),
            users: HashMap::new(),
            open: OpenSessions::default(),
            servers: Vec::new(),
            records: 0,
            statements: 0,
            reach: None,
            zone_is_doubtful: false,
            suspect: None,
            suspects: 0,
        }
    }

    /// How many records were left alone because the name of a refused login may have made them.
    pub fn suspects(&self) -> u64 {
        self.suspects
    }

    /// Whether a record may be part of the name of a refused login before it.
    fn is_suspect(&mut self, record: &AuditRecord<'_>) -> bool {
        if self.suspect == Some(record.connection) && record.kind == AuditKind::Disconnect {
            self.suspect = None;
            return true;
        }
        if record.kind == AuditKind::Failed && record.user.len() >= NAME_CUT_BYTES {
            self.suspect = Some(record.connection);
        }
        self.suspect.is_some()
    }

    /// A record, the first time that records pass.
    pub fn first(&mut self, record: &AuditRecord<'_>) {
        if self.is_suspect(record) {
            self.suspects += 1;
            return;
        }
        let at = record.at.div_euclid(1_000_000);
        let reach = self.reach.get_or_insert((at, at));
        *reach = (reach.0.min(at), reach.1.max(at));
        self.records += 1;
        if !record.server.is_empty() && self.servers.len() < 2 {
            let is_known = self.servers.iter().any(|name| name == record.server);
            if !is_known {
                self.servers.push(record.server.to_vec());
            }
        }
        if !matches!(record.kind, AuditKind::Query | AuditKind::Table) {
            return;
        }
        self.statements += 1;
        let Some(run) = self.runs.at(at) else { return };
        if record.kind == AuditKind::Query && sets_thread_id(record.text) {
            self.note_pretender((run, record.connection), at);
        }
        let Some(owner) = self.owners.get_mut(&(run, record.query)) else { return };
        let peer = (record.kind == AuditKind::Query).then(|| peer(record));
        match owner.connection {
            Some(connection) if connection != record.connection => owner.is_disputed = true,
            Some(_) => {
                owner.at = owner.at.min(at);
                match (&owner.peer, &peer) {
                    (Some(known), Some(told)) => owner.disagrees |= !same(known, told),
                    (None, Some(_)) => owner.peer = peer,
                    _ => {}
                }
            }
            None => {
                let connection = Some(record.connection);
                *owner = Owner { connection, at, peer, ..Owner::default() };
            }
        }
    }

    /// The query ids that connections are looked for by, each with its run.
    pub fn query_ids(&self) -> Vec<(usize, u64)> {
        let mut ids: Vec<Key> = self.owners.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// A connection that the list of sessions showed with a query id of this run, behind all records of the first
    /// time: audit records tell more. Ids that stand beside two connections are used no more.
    pub fn listed(&mut self, run: usize, query: u64, connection: u64) {
        let Some(owner) = self.owners.get_mut(&(run, query)) else { return };
        match owner.connection {
            Some(known) => owner.is_disputed |= known != connection,
            // Its time says nothing: the list shows an id as long as the session runs no other query.
            None => owner.connection = Some(connection),
        }
    }

    fn note_pretender(&mut self, key: Key, at: i64) {
        if let Some((from, _)) = self.pretenders.get_mut(&key) {
            *from = at.min(*from);
        } else if self.pretenders.len() < PRETENDERS_MAX {
            self.pretenders.insert(key, (at, i64::MAX));
        } else {
            self.all_may_pretend = true;
        }
    }

    /// Between the two: what is known now says what is looked for next.
    pub fn turn(&mut self) {
        self.suspect = None;
        self.zone_is_doubtful = self.heads.iter().any(|head| {
            let owner = self.owner(head).filter(|owner| owner.connection.is_some());
            owner.is_some_and(|it| self.is_late(head, it) && self.runs.is_near_start(it.at))
        });
        for (number, head) in self.heads.iter().enumerate() {
            match self.connection(head) {
                Some(connection) => {
                    self.sessions.entry((head.run, connection)).or_default();
                }
                None if self.records > 0 && head.is_own => self.want(number, head),
                None => {}
            }
        }
        for wanted in self.wanted.values_mut() {
            wanted.sort_by_key(|it| it.from);
        }
        self.open.sort();
    }

    /// The connection of a head, as far as it rests on ids.
    fn connection(&self, head: &Head) -> Option<u64> {
        if !head.is_own {
            return None;
        }
        self.audited(head).or(head.thread.map(|it| it.id))
    }

    /// The connection that audit records agree on.
    fn audited(&self, head: &Head) -> Option<u64> {
        self.owner(head).filter(|owner| !owner.is_disputed)?.connection
    }

    fn owner(&self, head: &Head) -> Option<&Owner> {
        if !head.is_own || !head.has_query_ids {
            return None;
        }
        self.owners.get(&(head.run, head.xid.or(head.query_id)?))
    }

    fn want(&mut self, number: usize, head: &Head) {
        self.open.want(number, head);
        for (at, text) in head.texts.iter().enumerate() {
            let sql = trimmed(&text.sql);
            let key = sql[..sql.len().min(KEY_BYTES)].to_vec();
            let from = i64::from(text.time) - 1;
            let to = i64::from(head.committed_by.saturating_add(LATE_SECONDS));
            self.wanted_seconds = self.wanted_seconds.max(to - from);
            let wanted = Wanted { from, to, head: number, text: at };
            self.wanted.entry(key).or_default().push(wanted);
        }
    }

    /// A record, the second time.
    pub fn second(&mut self, record: &AuditRecord<'_>) {
        if self.is_suspect(record) {
            return;
        }
        let at = record.at.div_euclid(1_000_000);
        self.open.pass(at);
        let Some(run) = self.runs.at(at) else { return };
        let key = (run, record.connection);
        match record.kind {
            AuditKind::Failed => self.open.refused(key),
            AuditKind::Disconnect => {
                self.open.ended(key);
                if let Some((_, to)) = self.pretenders.get_mut(&key) {
                    *to = at;
                }
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.ended = Some(at);
                    session.tell(at, record);
                }
            }
            AuditKind::Connect | AuditKind::ChangeUser | AuditKind::Query | AuditKind::Table => {
                match record.kind {
                    AuditKind::Connect => self.open.begun(key),
                    _ => self.open.seen(key),
                }
                if record.kind != AuditKind::Table
                    && let Some(session) = self.sessions.get_mut(&key)
                {
                    session.tell(at, record);
                }
            }
        }
        if record.kind == AuditKind::Query && !self.wanted.is_empty() {
            self.look_for(at, run, record);
        }
    }

    fn look_for(&mut self, at: i64, run: usize, record: &AuditRecord<'_>) {
        let text = unescaped(record.text);
        let text = trimmed(&text);
        let key = &text[..text.len().min(KEY_BYTES)];
        let may_be_cut = record.text.len() >= CUT_BYTES_MIN;
        let (heads, found, users) = (self.heads, &mut self.found, &mut self.users);
        let mut hit = |wanted: &[Wanted], longest: i64| {
            let last = wanted.partition_point(|it| it.from <= at);
            let near = wanted[..last].iter().rev().take_while(|it| it.from + longest >= at);
            for it in near.filter(|it| at <= it.to && heads[it.head].run == run) {
                let sql = trimmed(&heads[it.head].texts[it.text].sql);
                let candidates = found.entry((it.head, it.text)).or_default();
                let is_new =
                    candidates.len() < CANDIDATES_MAX && !candidates.contains(&record.connection);
                if is_new && matches_trimmed(text, sql, may_be_cut) {
                    candidates.push(record.connection);
                    users.entry((run, record.connection)).or_insert_with(|| record.user.to_vec());
                }
            }
        };
        if has_mask(key) {
            for wanted in self.wanted.values() {
                hit(wanted, self.wanted_seconds);
            }
        } else if let Some(wanted) = self.wanted.get(key) {
            hit(wanted, self.wanted_seconds);
        }
    }

    /// The connections whose logins are not known yet, each with its run.
    pub fn lacking(&self) -> Vec<(usize, u64)> {
        let lacking = self.sessions.iter().filter(|(_, session)| !session.is_known());
        let mut lacking: Vec<Key> = lacking.map(|(key, _)| *key).collect();
        lacking.sort_unstable();
        lacking
    }

    /// What another source tells of a connection; those that were asked for are used where audit records
    /// tell nothing.
    pub fn login(&mut self, login: Login) {
        if let Some(session) = self.sessions.get_mut(&(login.run, login.connection)) {
            session.learn(login);
        }
    }

    /// Who made the transaction of this number.
    pub fn attribution(&self, number: usize) -> Attribution {
        let head = &self.heads[number];
        let mut found = match head.thread {
            Some(_) => self.told(head),
            None => self.joined(head).unwrap_or_else(|| self.guessed(number, head)),
        };
        self.add_login(head, &mut found);
        if found.is_exact && head.has_set_times(self.runs.run(head.run)) {
            found.doubt(Reason::TimesSet);
        }
        found
    }

    /// The log itself names the connection.
    fn told(&self, head: &Head) -> Attribution {
        let Some(thread) = head.thread else { return Attribution::unknown(Reason::NothingTold) };
        let evidence = if thread.by_gtid { Evidence::GtidThread } else { Evidence::QueryThread };
        let mut found = Attribution::exact(evidence, thread.id);
        if !head.is_own {
            found.doubt(Reason::Replicated);
            return found;
        }
        match self.audited(head) {
            Some(connection) if connection == thread.id => return found,
            Some(connection) => {
                found = Attribution::exact(Evidence::XidQueryId, connection);
                found.doubt(Reason::Pretended);
            }
            None if thread.disputed => found.doubt(Reason::Disputed),
            None if self.may_pretend(head) => found.doubt(Reason::MaySet),
            None => {}
        }
        found
    }

    /// Whether a session that set `pseudo_thread_id` was open then.
    fn may_pretend(&self, head: &Head) -> bool {
        let then = i64::from(head.committed_by);
        let is_then = |(key, (from, to)): (&Key, &(i64, i64))| {
            key.0 == head.run
                && *from <= then + i64::from(LATE_SECONDS_AT_END)
                && then <= to.saturating_add(i64::from(LATE_SECONDS))
        };
        self.all_may_pretend || self.pretenders.iter().any(is_then)
    }

    /// The audit log has its query id.
    fn joined(&self, head: &Head) -> Option<Attribution> {
        let owner = self.owner(head)?;
        let connection = owner.connection?;
        if owner.is_disputed {
            let mut found = Attribution::unknown(Reason::IdTwice);
            found.candidates = 2;
            return Some(found);
        }
        let mut found = Attribution::exact(Evidence::XidQueryId, connection);
        let is_late = self.is_late(head, owner);
        let near = self.runs.is_near_start(owner.at);
        if near && (is_late || self.zone_is_doubtful) {
            found.doubt(Reason::TooLate);
        } else if self.servers.len() > 1 {
            found.doubt(Reason::SeveralServers);
        } else if owner.disagrees {
            found.doubt(Reason::Disagreement);
        }
        Some(found)
    }

    /// Whether the earliest record with a transaction's query id is later than its commit. (A lone long
    /// statement looks the same: its record is written at its end, its events tell its beginning.)
    fn is_late(&self, head: &Head, owner: &Owner) -> bool {
        owner.at > i64::from(head.committed_by.saturating_add(LATE_SECONDS_AT_END))
    }

    /// Nothing but texts and times.
    fn guessed(&self, number: usize, head: &Head) -> Attribution {
        let mut texts = (0..head.texts.len()).filter_map(|it| self.found.get(&(number, it)));
        let Some(first) = texts.next() else { return self.not_found(number, head) };
        let others: Vec<&Vec<u64>> = texts.filter(|it| !it.is_empty()).collect();
        let in_all = |it: &&u64| others.iter().all(|other| other.contains(it));
        let fitting: Vec<u64> = first.iter().filter(in_all).copied().collect();
        if fitting.is_empty() {
            return self.not_found(number, head);
        }
        let thread = (fitting.len() == 1).then(|| fitting[0]);
        let name = |id: &u64| self.users.get(&(head.run, *id)).cloned();
        let mut users: Vec<Vec<u8>> = fitting.iter().filter_map(name).collect();
        users.sort_unstable();
        users.dedup();
        users.truncate(USERS_MAX);
        let reason = if thread.is_some() { Reason::SameText } else { Reason::SameTexts };
        Attribution {
            evidence: Evidence::TextMatch,
            thread,
            candidates: fitting.len(),
            users,
            ..Attribution::unknown(reason)
        }
    }

    fn not_found(&self, number: usize, head: &Head) -> Attribution {
        let then = i64::from(head.committed_by);
        let out_of_reach = self.reach.is_some_and(|(from, to)| then < from || to < then);
        let reason = if !head.is_own {
            Reason::Replicated
        } else if head.xid.is_none() && head.query_id.is_none() && head.texts.is_empty() {
            Reason::NothingTold
        } else if self.records == 0 {
            Reason::NoAuditLog
        } else if out_of_reach {
            Reason::OutOfReach
        } else if self.runs.at(then).is_none() {
            Reason::SecondOfStart
        } else if self.statements == 0 {
            Reason::LoginsAlone
        } else {
            Reason::NoRecord
        };
        let known = head.is_own && self.records > 0 && !out_of_reach;
        let candidates = if known { self.open.during(number, head) } else { 0 };
        Attribution { candidates, ..Attribution::unknown(reason) }
    }

    /// Who the connection was.
    fn add_login(&self, head: &Head, found: &mut Attribution) {
        let Some(thread) = found.thread.filter(|_| head.is_own) else { return };
        let session = self.sessions.get(&(head.run, thread));
        if let Some(session) = session {
            let is_doubted = session.is_closed(head) && !session.identities.is_empty();
            if is_doubted && found.evidence != Evidence::XidQueryId {
                return found.doubt(Reason::NotOpen);
            }
            if session.disagrees {
                found.doubt(Reason::Disagreement);
            }
        }
        let owner = self.owner(head).filter(|it| it.connection == Some(thread));
        if let Some(peer) = owner.and_then(|it| it.peer.clone()) {
            let port = session.and_then(|it| it.at(head)?.peer.as_ref()?.port);
            found.who = Some(Peer { port: peer.port.or(port), ..peer });
            found.login = LoginEvidence::Audit;
        } else if let Some(identity) = session.and_then(|it| it.at(head)) {
            found.who.clone_from(&identity.peer);
            found.login = identity.source;
        }
    }
}

impl Attribution {
    fn exact(evidence: Evidence, thread: u64) -> Attribution {
        Attribution {
            evidence,
            is_exact: true,
            thread: Some(thread),
            candidates: 1,
            login: LoginEvidence::None,
            who: None,
            users: Vec::new(),
            reason: None,
        }
    }

    fn unknown(reason: Reason) -> Attribution {
        Attribution {
            evidence: Evidence::Unknown,
            is_exact: false,
            thread: None,
            candidates: 0,
            login: LoginEvidence::None,
            who: None,
            users: Vec::new(),
            reason: Some(reason),
        }
    }

    /// Takes exactness away; the first reason stays.
    fn doubt(&mut self, reason: Reason) {
        self.is_exact = false;
        self.reason.get_or_insert(reason);
    }
}

/// Whether a statement may set `pseudo_thread_id`.
fn sets_thread_id(text: &[u8]) -> bool {
    const NAME: &[u8] = b"pseudo_thread_id";
    let fits = |it: &[u8]| it[0] | 0x20 == NAME[0] && it.eq_ignore_ascii_case(NAME);
    text.windows(NAME.len()).any(fits)
}
