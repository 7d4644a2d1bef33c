//! The ledger of conntracker: its rows become a source of ours, once.
//!
//! Its only table stays beside ours as `conntracker_accounts`; the view `Accounts` has taken its
//! name:
//!
//! ```text
//! name | host | last_seen                        TEXT in the layout its settings name
//! mysql|localhost|2024-10-14 13:22:57+02:00      the time of its last run, not a login
//! root|localhost|2024-10-14 13:23:57+02:00       the newest login, of a server it does not name
//! ```

use crate::error::Error;
use crate::ingest::Ingest;
use crate::store::name;
use crate::tally::{LOGINS, Row, Sums, Tallies};
use crate::timeline;

impl Ingest<'_> {
    /// Takes the rows of a conntracker ledger over, once: who was seen when it last looked, of a
    /// server that it did not name. `parse` reads its times, into microseconds UTC; a row whose
    /// time it cannot read is left where it is, in the table `conntracker_accounts`.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn take_over_accounts(&self, parse: &dyn Fn(&str) -> Option<i64>) -> Result<(), Error> {
        self.take_over(parse).map_err(self.failed())
    }

    fn take_over(&self, parse: &dyn Fn(&str) -> Option<i64>) -> rusqlite::Result<()> {
        let db = self.db();
        let waiting: bool = db.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'conntracker_accounts')
               AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'conntracker_taken_over')",
            [],
            |row| row.get(0),
        )?;
        if !waiting {
            return Ok(());
        }
        let source: i64 = db.query_row(
            "INSERT INTO source (location, label, dialect) VALUES ('conntracker', '', 'conntracker')
             RETURNING id",
            [],
            |row| row.get(0),
        )?;
        let server: i64 = db.query_row(
            "INSERT INTO server (name) VALUES ('')
             ON CONFLICT DO UPDATE SET name = '' RETURNING id",
            [],
            |row| row.get(0),
        )?;
        let rows = db
            .prepare("SELECT name, host, CAST(last_seen AS TEXT) FROM conntracker_accounts")?
            .query_map([], |row| {
                Ok((name(row.get_ref(0)?), name(row.get_ref(1)?), name(row.get_ref(2)?)))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let mut tallies = Tallies::new(db, 0, 0);
        let mut hours = Vec::new();
        timeline::encode_counts(&[], &mut hours);
        for (user, host, text) in &rows {
            // Its marker for the time of the last run.
            if (&user[..], &host[..]) == (b"mysql", b"localhost") {
                continue;
            }
            let text = String::from_utf8_lossy(text).into_owned();
            let Some(last) = parse(&text) else { continue };
            let row = Row {
                server,
                source,
                user,
                host,
                error: LOGINS,
                sums: Sums { count: 0, first: None, last: Some(last) },
                active: Some(last),
                text: Some(text),
            };
            tallies.add(row, &hours)?;
        }
        tallies.finish()?;
        db.execute("INSERT INTO meta VALUES ('conntracker_taken_over', 1)", [])?;
        Ok(())
    }
}
