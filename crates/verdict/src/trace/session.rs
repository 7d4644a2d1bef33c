//! What is known of a connection: when it was open, and who it was when.

use super::joiner::{AuditKind, AuditRecord, Login};
use super::{Head, LoginEvidence, Peer};

/// How much later than the commit a record may be, in seconds: it is written when the statement is
/// over, by another thread than the log.
pub(super) const LATE_SECONDS: u32 = 2;

/// The same where nothing in the log follows the transaction.
pub(super) const LATE_SECONDS_AT_END: u32 = 60;

/// How many changes of the user of one connection are kept.
pub(super) const CHANGES_MAX: usize = 1000;

/// A connection's user, for a while.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) from: i64,
    /// `None` behind a change whose record does not name the new user.
    pub(super) peer: Option<Peer>,
    pub(super) source: LoginEvidence,
}

/// What is known of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    /// When its login was seen.
    pub(super) begun: Option<i64>,
    /// When its end was seen.
    pub(super) ended: Option<i64>,
    pub(super) identities: Vec<Identity>,
    pub(super) disagrees: bool,
}

impl Session {
    /// A record of this connection.
    pub(super) fn tell(&mut self, at: i64, record: &AuditRecord<'_>) {
        if record.kind == AuditKind::Connect {
            self.begun = Some(self.begun.map_or(at, |begun| begun.min(at)));
        }
        if record.kind == AuditKind::ChangeUser {
            // A change that succeeded is written with names that cannot be used; one that failed
            // changes nothing.
            if record.error == 0 && self.identities.len() < CHANGES_MAX {
                self.identities.push(Identity { from: at, peer: None, source: record.source });
            }
            return;
        }
        let told = peer(record);
        match self.identities.last_mut() {
            Some(last) => match &mut last.peer {
                Some(known) if same(known, &told) => known.port = known.port.or(told.port),
                Some(_) => self.disagrees = true,
                unknown => *unknown = Some(told),
            },
            None => {
                let from = if record.kind == AuditKind::Connect { at } else { i64::MIN };
                let peer = Some(told);
                self.identities.push(Identity { from, peer, source: record.source });
            }
        }
    }

    /// What a source that is no audit log tells of it; used where nothing is known.
    pub(super) fn learn(&mut self, login: Login) {
        if self.is_known() || self.identities.len() >= CHANGES_MAX {
            return;
        }
        self.begun = self.begun.or(login.from);
        self.ended = self.ended.or(login.to);
        let from = login.from.unwrap_or(i64::MIN);
        let identity = Identity { from, peer: Some(login.peer), source: login.source };
        self.identities.push(identity);
    }

    /// Whether it is known who it was, at some time.
    pub(super) fn is_known(&self) -> bool {
        self.identities.iter().any(|it| it.peer.is_some())
    }

    /// Who it was when a transaction was committed.
    pub(super) fn at(&self, head: &Head) -> Option<&Identity> {
        let then = i64::from(head.last_time);
        let before = self.identities.iter().rev().find(|it| it.from <= then);
        before.or(self.identities.first()).filter(|it| it.peer.is_some())
    }

    /// Whether it had ended before a transaction, or began after it.
    pub(super) fn is_closed(&self, head: &Head) -> bool {
        let early = i64::from(head.first_time) - i64::from(LATE_SECONDS);
        let late = i64::from(head.committed_by.saturating_add(LATE_SECONDS_AT_END));
        self.ended.is_some_and(|at| at < early) || self.begun.is_some_and(|at| at > late)
    }
}

pub(super) fn peer(record: &AuditRecord<'_>) -> Peer {
    Peer { user: record.user.to_vec(), host: Some(record.host.to_vec()), port: record.port }
}

/// Whether two records name the same user. Names are cut at 128 bytes in some records and at 132 with
/// one byte of garbage in others.
pub(super) fn same(one: &Peer, other: &Peer) -> bool {
    const WHOLE_BYTES: usize = 128;
    let start = |name: &Vec<u8>| name[..name.len().min(WHOLE_BYTES)].to_vec();
    start(&one.user) == start(&other.user) && one.host == other.host
}
