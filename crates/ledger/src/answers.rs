//! Reading: what the ledger answers.
//!
//! Counts are kept per source. Two sources may have seen the same logins, so for one server an
//! answer takes, hour by hour, the largest count of any one source. Windows are widened to whole
//! hours ([`Filter::whole_hours`]), because that is how counts are kept; old ones are kept by the
//! day.

use crate::access::ACCESS_LOG;
use crate::clock::HOUR;
use crate::coverage::{self, Piece};
use crate::error::Error;
use crate::ingest::run_part;
use crate::numbers;
use crate::rows::{
    DoubtSample, Evidence, EvidenceState, Failure, Filter, Name, Period, Run, Seen, SourceStatus,
    Status,
};
use crate::runs::{self, RunPart};
use crate::store::{Ledger, SCHEMA, name};
use crate::united::{Count, Pair};
use formats::{Dialect, Standing};
use rusqlite::{OptionalExtension, Row};
use std::collections::BTreeMap;

impl Filter {
    /// The window in whole hours, `[since, until)` in microseconds UTC: what answers count in.
    pub fn whole_hours(&self) -> (i64, i64) {
        // Far beyond every time that can be stored, and far from the ends of the type.
        let inside = |at: i64| at.clamp(i64::MIN / 4, i64::MAX / 4);
        let since = self.since.map_or(i64::MIN, |since| inside(since).div_euclid(HOUR) * HOUR);
        let until = self.until.map_or(i64::MAX, |until| -(-inside(until)).div_euclid(HOUR) * HOUR);
        (since, until)
    }

    fn is_windowed(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    fn takes(&self, server: &[u8]) -> bool {
        self.servers.is_empty() || self.servers.iter().any(|wanted| wanted == server)
    }
}

impl Ledger {
    /// Per server, user and client host what was seen, sorted by these.
    ///
    /// # Errors
    /// Where SQLite fails or the ledger is damaged.
    pub fn seen(&self, filter: &Filter) -> Result<Vec<Seen>, Error> {
        let mut rows = Vec::new();
        self.each_seen(filter, &|_, _| true, &mut |row| rows.push(row))?;
        // Text before other bytes is the order in which they were read.
        rows.sort_by(|a, b| (&a.server, &a.user, &a.host).cmp(&(&b.server, &b.user, &b.host)));
        Ok(rows)
    }

    /// The rows of [`Ledger::seen`] one by one, in no promised order, without holding them. Names that were
    /// only refused are held until all are read, but those for which `concerns` (of user and client host)
    /// says no: of them nothing may be told.
    ///
    /// # Errors
    /// Where SQLite fails or the ledger is damaged.
    pub fn each_seen(
        &self,
        filter: &Filter,
        concerns: &dyn Fn(&[u8], &[u8]) -> bool,
        each: &mut dyn FnMut(Seen),
    ) -> Result<(), Error> {
        let window = filter.is_windowed().then(|| filter.whole_hours());
        self.each_pair(filter, concerns, &mut |server, user, host, pair| {
            if let Some(row) = seen_row(server, user, host, pair, window) {
                each(row);
            }
        })?;
        Ok(())
    }

    /// Refused attempts, sorted by server, user, host and error; the row for names counted together
    /// comes first of its server.
    ///
    /// # Errors
    /// Where SQLite fails or the ledger is damaged.
    pub fn failures(&self, filter: &Filter) -> Result<Vec<Failure>, Error> {
        let window = filter.is_windowed().then(|| filter.whole_hours());
        let mut rows = Vec::new();
        let unnamed = self.each_pair(filter, &|_, _| true, &mut |server, user, host, pair| {
            let logins = pair.logins.unite(None);
            for (error, counts) in pair.refused {
                let refused = counts.unite(window);
                let (Some(first), Some(last)) = (refused.first, refused.last) else { continue };
                rows.push(Failure {
                    server: server.to_vec(),
                    user: Some(user.clone()),
                    host: Some(host.clone()),
                    error: Some(error),
                    pairs: 1,
                    count: refused.count,
                    first,
                    last,
                    then_logged_in: login_from(&logins, first),
                });
            }
        })?;
        for (server, unnamed) in unnamed {
            let pairs = unnamed.pairs.count();
            let refused = unnamed.counts.unite(window);
            let (Some(first), Some(last)) = (refused.first, refused.last) else { continue };
            rows.push(Failure {
                server,
                user: None,
                host: None,
                error: None,
                pairs,
                count: refused.count,
                first,
                last,
                then_logged_in: None,
            });
        }
        rows.sort_unstable_by(|a, b| {
            (&a.server, &a.user, &a.host, a.error).cmp(&(&b.server, &b.user, &b.host, b.error))
        });
        Ok(rows)
    }

    /// Logins and refusals over time, sorted by server and start.
    ///
    /// # Errors
    /// Where SQLite fails or the ledger is damaged.
    pub fn periods(&self, filter: &Filter) -> Result<Vec<Period>, Error> {
        let window = Some(filter.whole_hours());
        let mut sums: BTreeMap<Name, Sums> = BTreeMap::new();
        let mut add = |server: &[u8], count: Count, refused: bool| {
            if !sums.contains_key(server) {
                sums.insert(server.to_vec(), BTreeMap::new());
            }
            let Some(sums) = sums.get_mut(server) else { return };
            for slot in count.slots {
                let sum = sums.entry((slot.start, slot.end())).or_default();
                let sum = if refused { &mut sum.1 } else { &mut sum.0 };
                *sum = sum.saturating_add(slot.count);
            }
        };
        let unnamed = self.each_pair(filter, &|_, _| true, &mut |server, _, _, pair| {
            add(server, pair.logins.unite(window), false);
            for counts in pair.refused.into_values() {
                add(server, counts.unite(window), true);
            }
        })?;
        for (server, unnamed) in unnamed {
            add(&server, unnamed.counts.unite(window), true);
        }
        let periods = sums.into_iter().flat_map(|(server, sums)| {
            sums.into_iter().map(move |((start, end), (logins, failures))| Period {
                server: server.clone(),
                start,
                seconds: ((end - start) / 1_000_000) as u32,
                logins,
                failures,
            })
        });
        let mut periods: Vec<Period> = periods.collect();
        periods.sort_by(|a, b| (&a.server, a.start).cmp(&(&b.server, b.start)));
        Ok(periods)
    }

    /// Which evidence there is: what each file held of each server, what of the times between them is
    /// covered, unconfirmed or a gap, and input that could not be used. Sorted by server, source and time.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn evidence(&self, filter: &Filter) -> Result<Vec<Evidence>, Error> {
        let (since, until) = (filter.since.unwrap_or(i64::MIN), filter.until.unwrap_or(i64::MAX));
        let mut ids = self.id_ends()?;
        let mut pieces = self.rows(
            "SELECT server.name, source.location, from_us, to_us, 'covered', records, file.path,
               file.id, CASE WHEN print = zeroblob(16) THEN offset >= file.bytes ELSE drained END,
               print <> zeroblob(16), source.id, dialect, (SELECT min(login_us) FROM segment
                 WHERE segment.file = stretch.file AND segment.server = stretch.server)
             FROM stretch JOIN server ON server.id = server
             JOIN source ON source.id = stretch.source
             JOIN file ON file.id = stretch.file",
            |row| {
                Ok(Piece {
                    row: evidence(row)?,
                    file: row.get(7)?,
                    source: row.get(10)?,
                    whole: row.get(8)?,
                    packed: row.get(9)?,
                    by_plugin: row.get_ref(11)?.as_str()? != Dialect::AuditLogin.as_str(),
                    is_table: row.get_ref(11)?.as_str()? == ACCESS_LOG,
                    login: row.get(12)?,
                    ids: None,
                })
            },
        )?;
        for piece in &mut pieces {
            piece.ids = ids.remove(&(piece.file, piece.row.server.clone()));
        }
        let mut adjoin = self.rows("SELECT file, before FROM adjoin", |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
        let mut gaps = self.rows(
            "SELECT coalesce(server.name, source.label), source.location, from_us,
               coalesce(to_us, noticed_us),
               'gap', 0, reason || coalesce(', from byte ' || from_byte, '') || ': ' || path
             FROM gap JOIN source ON source.id = gap.source LEFT JOIN server ON server.id = (
               SELECT min(server) FROM progress WHERE progress.source = gap.source)",
            evidence,
        )?;
        let (follows, missing) = numbers::between(&pieces, &self.numbers()?);
        adjoin.extend(follows);
        gaps.extend(missing);
        let mut rows = coverage::join(pieces, &adjoin, gaps, self.holes()?);
        self.add_lost_ids(&mut rows)?;
        rows.extend(self.hole_rests()?);
        rows.extend(self.weak_places()?);
        // A doubtful line names no server to be believed; where a source has one server it is that.
        rows.extend(self.rows(
            "SELECT coalesce(server.name, source.label), source.location, NULL, NULL,
               standing, count, reason
             FROM doubt JOIN source ON source.id = doubt.source LEFT JOIN server ON server.id = (
               SELECT server FROM progress WHERE progress.source = doubt.source
               GROUP BY source HAVING count(*) = 1)",
            evidence,
        )?);
        rows.retain(|row| {
            filter.takes(&row.server)
                && row.to.is_none_or(|to| to >= since)
                && row.from.is_none_or(|from| from < until)
        });
        rows.sort_by(|a, b| {
            let key = |row: &Evidence| (row.state, row.from, row.to);
            (&a.server, &a.source, key(a), &a.reason).cmp(&(
                &b.server,
                &b.source,
                key(b),
                &b.reason,
            ))
        });
        Ok(rows)
    }

    /// Kept pieces of doubtful input, at most `limit`, sorted by source, file and offset.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn doubts(
        &self,
        standing: Option<Standing>,
        limit: usize,
    ) -> Result<Vec<DoubtSample>, Error> {
        let mut rows = self.rows(
            "SELECT source.location, coalesce(file.path, ''), doubt_sample.offset, length,
               standing, reason, text
             FROM doubt_sample JOIN source ON source.id = doubt_sample.source
             LEFT JOIN file ON file.id = doubt_sample.file",
            |row| {
                let quarantined = row.get_ref(4)?.as_str()? == Standing::Quarantined.as_str();
                Ok(DoubtSample {
                    source: name(row.get_ref(0)?),
                    file: name(row.get_ref(1)?),
                    offset: row.get::<_, i64>(2)? as u64,
                    length: row.get::<_, i64>(3)? as u64,
                    standing: if quarantined { Standing::Quarantined } else { Standing::Rejected },
                    reason: row.get(5)?,
                    text: row.get(6)?,
                })
            },
        )?;
        rows.retain(|row| standing.is_none_or(|wanted| wanted == row.standing));
        rows.sort_by(|a, b| {
            (&a.source, &a.file, a.offset, a.standing)
                .cmp(&(&b.source, &b.file, b.offset, b.standing))
        });
        rows.truncate(limit);
        Ok(rows)
    }

    /// Lives of the servers, sorted by server, source and time.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<Run>, Error> {
        let parts = self.rows(
            "SELECT server.name, source.location, start_us, day, low_id, low_us, high_id, high_us,
               server, source
             FROM run JOIN server ON server.id = server JOIN source ON source.id = source",
            |row| {
                let (server, source) = (name(row.get_ref(0)?), name(row.get_ref(1)?));
                let key = (row.get::<_, i64>(8)?, row.get::<_, i64>(9)?);
                Ok((key, server, source, run_part(row, 2)?))
            },
        )?;
        let mut sources: BTreeMap<(i64, i64), (Name, Name, Vec<RunPart>)> = BTreeMap::new();
        for (key, server, source, part) in parts {
            let known = sources.entry(key).or_insert_with(|| (server, source, Vec::new()));
            known.2.push(part);
        }
        let lives = sources.into_values().flat_map(|(server, source, parts)| {
            runs::lives(&parts).into_iter().map(move |life| Run {
                server: server.clone(),
                source: source.clone(),
                from: life.from,
                to: life.to,
                first_connection: life.first_id,
                last_connection: life.last_id,
            })
        });
        let mut runs: Vec<Run> = lives.collect();
        runs.retain(|run| filter.takes(&run.server));
        runs.sort_by(|a, b| (&a.server, &a.source, a.from).cmp(&(&b.server, &b.source, b.from)));
        Ok(runs)
    }

    /// The ledger as a whole.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn status(&self) -> Result<Status, Error> {
        let sources = self.rows(
            "SELECT location, dialect, last_read_us,
               (SELECT count(*) FROM file WHERE file.source = source.id),
               (SELECT coalesce(sum(offset), 0) FROM file WHERE file.source = source.id),
               (SELECT coalesce(sum(records), 0) FROM progress WHERE progress.source = source.id),
               (SELECT coalesce(sum(count), 0) FROM doubt
                WHERE doubt.source = source.id AND standing = 'rejected'),
               (SELECT coalesce(sum(count), 0) FROM doubt
                WHERE doubt.source = source.id AND standing = 'quarantined'),
               (SELECT max(newest_us) FROM progress WHERE progress.source = source.id),
               source.id
             FROM source ORDER BY location, label",
            |row| {
                let unsigned = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)? as u64);
                Ok(SourceStatus {
                    source: name(row.get_ref(0)?),
                    dialect: row.get(1)?,
                    last_read: row.get(2)?,
                    files: unsigned(3)?,
                    bytes: unsigned(4)?,
                    records: unsigned(5)?,
                    rejected: unsigned(6)?,
                    quarantined: unsigned(7)?,
                    newest: row.get(8)?,
                    places: self.places(row.get(9)?)?,
                })
            },
        )?;
        let number = |sql: &str| -> Result<Option<i64>, Error> {
            let found = self.db.query_row(sql, [], |row| row.get(0)).optional();
            Ok(found.map_err(self.failed())?.flatten())
        };
        let bytes =
            number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?;
        Ok(Status {
            last_commit: number("SELECT value FROM meta WHERE key = 'last_commit_us'")?,
            schema: SCHEMA as u32,
            bytes: bytes.unwrap_or(0) as u64,
            unsettled: number(
                "SELECT sum(count) FROM
                   (SELECT max(count) AS count FROM unsettled GROUP BY server, user, host)",
            )?
            .unwrap_or(0) as u64,
            connections: number(
                "SELECT count(*) FROM connection WHERE NOT refused AND coalesce(from_us, to_us) >
                   coalesce((SELECT value FROM meta WHERE key = 'connections_before_us'), 0)",
            )?
            .unwrap_or(0) as u64,
            watch: number("SELECT value FROM meta WHERE key = 'watch_us'")?,
            sources,
            troubles: self.troubles().map_err(self.failed())?,
        })
    }

    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let rows = self
            .db
            .prepare_cached(sql)
            .and_then(|mut query| query.query_map([], row)?.collect())
            .map_err(self.failed())?;
        self.check_still()?;
        Ok(rows)
    }

    pub(crate) fn check_still(&self) -> Result<(), Error> {
        self.still.as_ref().map_or(Ok(()), |still| still.check(&self.path))
    }

    /// Numbers and names of the servers that a filter lets through, sorted by name.
    pub(crate) fn servers(&self, filter: &Filter) -> Result<Vec<(i64, Name)>, Error> {
        let mut servers = self.rows("SELECT id, name FROM server", |row| {
            Ok((row.get::<_, i64>(0)?, name(row.get_ref(1)?)))
        })?;
        servers.retain(|(_, name)| filter.takes(name));
        servers.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        Ok(servers)
    }
}

/// Logins and refusals by the start and end of their period.
type Sums = BTreeMap<(i64, i64), (u64, u64)>;

/// What was seen of a pair; `None` where nothing of it is in the window.
fn seen_row(
    server: &[u8],
    user: Name,
    host: Name,
    pair: Pair,
    window: Option<(i64, i64)>,
) -> Option<Seen> {
    let inside = |at: &i64| window.is_none_or(|(since, until)| (since..until).contains(at));
    let mut logins = pair.logins.unite(None);
    if let Some((since, until)) = window {
        // A window recounts; when somebody was first and last seen stays what it is.
        logins.count = logins.within(since, until).map(|slot| slot.count).sum();
    }
    let mut failures = 0;
    let mut last: Option<(i64, u32)> = None;
    for (error, counts) in pair.refused {
        let refused = counts.unite(window);
        failures = refused.count.saturating_add(failures);
        last = last.max(refused.last.map(|at| (at, error)));
    }
    let last_active = pair.active.max(logins.last);
    let active = last_active.as_ref().is_some_and(inside);
    let contested = pair.contested.as_ref().is_some_and(inside);
    if logins.count == 0 && failures == 0 && !active && !contested {
        return None;
    }
    Some(Seen {
        server: server.to_vec(),
        user,
        host,
        first_seen: logins.first,
        last_seen: logins.last,
        last_active,
        logins: logins.count,
        failures,
        last_failed: last.map(|(at, _)| at),
        last_error: last.map(|(_, error)| error).filter(|&error| error != 0),
        contested: pair.contested.is_some(),
    })
}

fn evidence(row: &Row<'_>) -> rusqlite::Result<Evidence> {
    let state = match row.get_ref(4)?.as_str()? {
        "covered" => EvidenceState::Covered,
        "gap" => EvidenceState::Gap,
        "rejected" => EvidenceState::Rejected,
        _ => EvidenceState::Quarantined,
    };
    Ok(Evidence {
        server: name(row.get_ref(0)?),
        source: name(row.get_ref(1)?),
        from: row.get(2)?,
        to: row.get(3)?,
        state,
        records: row.get::<_, i64>(5)? as u64,
        reason: String::from_utf8_lossy(&name(row.get_ref(6)?)).into_owned(),
    })
}

/// A login that does not lie before `first`: the oldest one that is known to the moment.
fn login_from(logins: &Count, first: i64) -> Option<i64> {
    logins.first.filter(|&at| at >= first).or(logins.last.filter(|&at| at >= first))
}
