//! What the holes inside logs take away from what is covered, and what they are called.
//!
//! # Invariants
//! * The audit of a server is off in all its logs: other logs of the same plugin do not close such a hole,
//!   whenever they are read; those of another (`audit_login`) do. All other holes are closed by any other log.
//! * A hole whose end was not read in its own file ends with the next record that is known of its server.

use crate::coverage::Piece;
use crate::holes::{Hole, Why};
use crate::numbers;
use crate::rows::{Evidence, EvidenceState, Name};
use std::collections::{BTreeMap, BTreeSet};

/// A hole, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct KnownHole {
    pub(crate) hole: Hole,
    /// `None`: all servers of the source.
    pub(crate) server: Option<Name>,
    pub(crate) source: i64,
    /// The source's path.
    pub(crate) location: Name,
    pub(crate) dialect: String,
    /// The file's path.
    pub(crate) path: Name,
}

/// A stretch of one server's time that is not covered though its log goes on.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    pub(crate) row: Evidence,
    /// The end; beyond all times where none is known.
    pub(crate) from: i64,
    pub(crate) to: i64,
    source: i64,
    /// Whether all logs of the plugin lack it.
    pub(crate) everywhere: bool,
}

impl Missing {
    /// Whether the piece lacks it, too.
    pub(crate) fn is_of(&self, piece: &Piece) -> bool {
        if self.everywhere { piece.by_plugin } else { piece.source == self.source }
    }

    /// A part of it.
    pub(crate) fn part(&self, from: i64, to: i64) -> Evidence {
        Evidence { from: Some(from), to: (to < i64::MAX).then_some(to), ..self.row.clone() }
    }
}

/// What is missing, by server.
pub(crate) fn of(mut holes: Vec<KnownHole>, pieces: &[Piece]) -> BTreeMap<Name, Vec<Missing>> {
    holes.sort_by_key(|it| (it.source, it.hole.file, it.hole.byte));
    let mut runs = BTreeSet::new();
    // Doubts with the same record behind them have none between them.
    holes.retain(|it| {
        let behind = it.hole.behind.map(|place| place.byte);
        !it.hole.why.is_doubt() || runs.insert((it.source, it.hole.file, behind))
    });
    let mut missing: BTreeMap<Name, Vec<Missing>> = BTreeMap::new();
    for hole in holes.iter().filter(|it| !stays(it)) {
        let servers: BTreeSet<&Name> = match &hole.server {
            Some(server) => BTreeSet::from([server]),
            None => {
                let same = pieces.iter().filter(|it| it.source == hole.source);
                same.map(|it| &it.row.server).collect()
            }
        };
        for server in servers {
            if let Some(it) = missing_of(hole, server, pieces) {
                missing.entry(server.clone()).or_default().push(it);
            }
        }
    }
    missing
}

/// Whether what was set is where the records of this log go anyway.
fn stays(hole: &KnownHole) -> bool {
    let name = |path: &[u8]| path.rsplit(|&byte| byte == b'/').next().unwrap_or(path).to_vec();
    let syslog = hole.dialect == formats::Dialect::ServerAuditSyslog.as_str();
    match hole.hole.why {
        Why::ToSyslog => syslog,
        Why::ToFile => !syslog,
        Why::ToPath => syslog || name(&hole.hole.detail) == name(&hole.location),
        _ => false,
    }
}

fn missing_of(known: &KnownHole, server: &Name, pieces: &[Piece]) -> Option<Missing> {
    let hole = &known.hole;
    let everywhere = matches!(
        hole.why,
        Why::Off | Why::Uninstalled | Why::MaybeOff | Why::LoginsLeftOut | Why::LoginsUnknown
    );
    let others = || {
        pieces.iter().filter(|it| {
            let here = it.source == known.source;
            it.file != hole.file && if everywhere { it.by_plugin } else { here }
        })
    };
    let of_server = || others().filter(|it| known.server.is_none() || it.row.server == *server);
    let from = match (hole.before, hole.behind) {
        (Some(before), _) => before.at,
        // A file begins with it: from where the one before it ends.
        (None, Some(behind)) => others().map(Piece::to).filter(|to| *to <= behind.at).max()?,
        (None, None) => return None,
    };
    let next = || match hole.why.is_of_logins() {
        true => of_server().filter_map(|it| it.login).filter(|at| *at >= from).min(),
        false => of_server().map(Piece::from).filter(|at| *at >= from).min(),
    };
    let to = hole.behind.map(|it| it.at).or_else(next);
    if to.is_none() && hole.why.is_doubt() || to.is_some_and(|to| to <= from) {
        return None;
    }
    let state = match hole.why {
        Why::Off
        | Why::Uninstalled
        | Why::LoginsLeftOut
        | Why::ToSyslog
        | Why::ToFile
        | Why::LinesMissing => EvidenceState::Gap,
        _ => EvidenceState::Unconfirmed,
    };
    let row = Evidence {
        server: server.clone(),
        source: known.location.clone(),
        from: Some(from),
        to,
        state,
        records: 0,
        reason: reason(known),
    };
    let to = to.unwrap_or(i64::MAX);
    Some(Missing { row, from, to, source: known.source, everywhere })
}

fn reason(known: &KnownHole) -> String {
    let hole = &known.hole;
    let who = {
        let text = String::from_utf8_lossy(&hole.by);
        let (user, host) = text.rsplit_once(',').unwrap_or((&text, ""));
        format!("{user}@{host}")
    };
    let set = match hole.by.is_empty() {
        true => "AUDIT_CONFIG".to_owned(),
        false => format!("SET GLOBAL by {who}"),
    };
    match &hole.why {
        Why::Off => format!("plugin off, {set}"),
        Why::Uninstalled => format!("plugin off, uninstalled by {who}"),
        Why::MaybeOff => {
            format!("plugin may be off, {set}: not a constant, or the statement is cut off")
        }
        Why::LoginsLeftOut => format!("logins are not audited (server_audit_events), {set}"),
        Why::LoginsUnknown => format!("logins may not be audited (server_audit_events), {set}"),
        Why::ToSyslog => format!("audited to syslog, {set}"),
        Why::ToFile => format!("audited to a file, {set}"),
        Why::ToPath => format!("audited to another file, perhaps, {set}"),
        Why::Moved => format!("audited to elsewhere, perhaps, {set}"),
        Why::LinesMissing => {
            let text = String::from_utf8_lossy(&hole.detail);
            let (count, lost) = text.split_once(',').unwrap_or((&text, "0"));
            numbers::missing(count.parse().unwrap_or(1), lost.parse().unwrap_or(0))
        }
        Why::Reloaded => numbers::RELOADED.to_owned(),
        Why::Doubt(reason) => format!(
            "torn or unreadable at byte {} of {}: {}",
            hole.byte,
            String::from_utf8_lossy(&known.path),
            reason.explain()
        ),
    }
}
