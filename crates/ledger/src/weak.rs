//! Where logins are believed on less than usual: the connections that would speak against them are not there.
//!
//! # Invariants
//! * What these rows tell is covered all the same: they say what the coverage is worth.
//! * No rows for logs in which names cannot forge records (audit_login), but that of a log without connections.

use crate::access::ACCESS_LOG;
use crate::error::Error;
use crate::rows::{Evidence, EvidenceState, Filter, Name};
use crate::settling::{LATE, LOW_ID};
use crate::store::{Ledger, name};
use formats::Dialect;
use std::collections::{BTreeMap, BTreeSet};

/// The sessions of one server and source that ended and never began: how many, and from when to when they ended.
type Ended = BTreeMap<(Name, Name), (u64, i64, i64)>;

/// A source of a server, as the ledger knows it.
struct Known {
    /// Server and source.
    key: (Name, Name),
    /// Its oldest and its newest record.
    times: (i64, i64),
    records: u64,
    /// Whether names in it can forge no records.
    escaped: bool,
    /// Whether logins of it were counted.
    counted: bool,
}

/// What is said of a source of which no connection is known.
pub(crate) const SILENT: &str = "no connection is told of: nobody's login is in these logs";

impl Ledger {
    /// Server and source of logs in which no connection is told of.
    pub(crate) fn silent_sources(&self) -> Result<BTreeSet<(Name, Name)>, Error> {
        let lives = self.runs(&Filter::default())?;
        let told: BTreeSet<(&Name, &Name)> =
            lives.iter().map(|life| (&life.server, &life.source)).collect();
        let mut silent = self.known_sources()?;
        silent.retain(|it| !it.counted && !told.contains(&(&it.key.0, &it.key.1)));
        Ok(silent.into_iter().map(|it| it.key).collect())
    }

    /// Where a log begins inside a life of its server, and where it tells of no connection at all.
    pub(crate) fn weak_places(&self) -> Result<Vec<Evidence>, Error> {
        let lives = self.runs(&Filter::default())?;
        let mut rows = Vec::new();
        for Known { key: (server, source), times: (oldest, newest), records, escaped, counted } in
            self.known_sources()?
        {
            let row = |from, to, records, reason| Evidence {
                server: server.clone(),
                source: source.clone(),
                from: Some(from),
                to: Some(to),
                state: EvidenceState::Weak,
                records,
                reason,
            };
            let own = lives.iter().filter(|it| (&it.server, &it.source) == (&server, &source));
            let mut own = own.peekable();
            // What is known of connections is kept for a time.
            if own.peek().is_none() && !counted {
                rows.push(row(oldest, newest, records, SILENT.to_owned()));
            }
            for life in own.filter(|life| !escaped && life.first_connection > LOW_ID) {
                let to = life.to.min(life.from.saturating_add(LATE));
                let reason = format!(
                    "connections before {} are not in these logs: an id that was in use before passes here",
                    life.first_connection
                );
                rows.push(row(life.from, to, 0, reason));
            }
        }
        Ok(rows)
    }

    fn known_sources(&self) -> Result<Vec<Known>, Error> {
        self.rows(
            "SELECT server.name, location, oldest_us, newest_us, records, dialect,
               EXISTS (SELECT 1 FROM tally WHERE tally.server = progress.server
                   AND tally.source = progress.source AND count > 0)
                 OR EXISTS (SELECT 1 FROM unsettled WHERE unsettled.server = progress.server
                   AND unsettled.source = progress.source AND count > 0)
             FROM progress JOIN server ON server.id = server JOIN source ON source.id = source",
            |row| {
                Ok(Known {
                    key: (name(row.get_ref(0)?), name(row.get_ref(1)?)),
                    times: (row.get(2)?, row.get(3)?),
                    records: row.get::<_, i64>(4)? as u64,
                    escaped: [Dialect::AuditLogin.as_str(), ACCESS_LOG]
                        .contains(&row.get_ref(5)?.as_str()?),
                    counted: row.get(6)?,
                })
            },
        )
    }

    /// Where sessions end whose logins are not in the logs though these tell of earlier connections: CONNECT
    /// records are filtered, or lost in a gap. Of connections that were kept, so it is no exact number.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn sessions_without_login(&self, filter: &Filter) -> Result<Vec<Evidence>, Error> {
        let lives = self.runs(filter)?;
        let ends = self.rows(
            "SELECT server.name, location, connection.id, to_us
             FROM connection JOIN server ON server.id = server JOIN source ON source.id = source
             WHERE from_us IS NULL AND NOT refused AND connection.id > 0 AND dialect <> 'audit_login'",
            |row| {
                let key = (name(row.get_ref(0)?), name(row.get_ref(1)?));
                Ok((key, row.get::<_, i64>(2)? as u64, row.get::<_, i64>(3)?))
            },
        )?;
        let mut ended = Ended::new();
        for (key, id, at) in ends {
            let within = |life: &&crate::Run| {
                (&life.server, &life.source) == (&key.0, &key.1)
                    && (life.from..=life.to).contains(&at)
                    && id > life.first_connection
            };
            if (filter.since.unwrap_or(i64::MIN)..filter.until.unwrap_or(i64::MAX)).contains(&at)
                && lives.iter().any(|life| within(&life))
            {
                let (count, first, last) = ended.entry(key).or_insert((0, at, at));
                (*count, *first, *last) = (*count + 1, at.min(*first), at.max(*last));
            }
        }
        let row = |((server, source), (records, from, to))| {
            Evidence {
            server,
            source,
            from: Some(from),
            to: Some(to),
            state: EvidenceState::Weak,
            records,
            reason: "sessions end whose logins are not in these logs: CONNECT records are filtered or lost, \
                and forged logins are told less surely"
                .to_owned(),
        }
        };
        Ok(ended.into_iter().map(row).collect())
    }
}
