//! Traced changes as SQL for the server's own client: to be made again, or taken back.
//!
//! ```text
//! -- 2026-11-28 14:03:11 UTC, sam from 10.0.0.7, connection 8812, exact (xid-query-id), binlog.000812:4711
//! BEGIN;
//! DELETE FROM `shop`.`orders` WHERE `id` = 7 LIMIT 1;
//! COMMIT;
//! ```
//!
//! # Invariants
//! * What was asked for and is not there is named in a comment where it stood, counted, and told again
//!   at the end. Nothing of a transaction whose changes may not hold is put out.
//! * Text of the log stands in comments escaped: no byte of it ends the line or means something to a
//!   client.
//! * Memory: one statement. An undo goes through a [`Spill`].

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use binlog::undo::{Obstacle, obstacle};
use binlog::{
    Change, ChangeKind, Outcome, SqlTable, Statement, Table, Transaction, write_sql_preamble,
};
use verdict::secrets::{MASK, shown_bytes};
use verdict::trace::Attribution;

use super::spill::Spill;
use super::{Found, Log, Traced, table_name};
use crate::render::{shown_plain, thousands};
use crate::time::{Zone, second_text};

/// The longest row that a statement is made of: its text may be twice as long, and servers take 16 MiB
/// (`max_allowed_packet`).
pub(super) const ROW_BYTES_MAX: usize = 7 << 20;

/// How many different things that were left out are named.
const NAMED_MAX: usize = 50;

/// How many of them are named in the comments of one transaction.
const NAMED_HERE_MAX: usize = 20;

/// How much of a statement a comment shows, in bytes.
const STATEMENT_SHOWN: usize = 120;

/// What the statements are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To make the changes again.
    Again,
    /// To take them back.
    Back,
}

/// Takes text that is put out.
pub(crate) type Put<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// Makes statements of what is found.
pub(crate) struct Statements<'a> {
    direction: Direction,
    zone: &'a Zone,
    put: &'a mut Put<'a>,
    /// Of an undo.
    spill: Option<Spill>,
    open: Option<Open>,
    has_preamble: bool,
    left_out: BTreeMap<(String, String), u64>,
    left_out_more: u64,
    /// Statements that were made.
    pub(crate) made: u64,
}

/// A transaction that is told.
struct Open {
    head: String,
    /// Why nothing of it is put out.
    refused: Option<&'static str>,
    /// Its comment is put out.
    is_named: bool,
    /// Its BEGIN is put out (or, in an undo, its COMMIT).
    is_begun: bool,
    named: BTreeSet<(String, String)>,
}

impl<'a> Statements<'a> {
    /// # Errors
    /// Where an undo finds no room for its file.
    pub(crate) fn new(
        direction: Direction,
        zone: &'a Zone,
        put: &'a mut Put<'a>,
    ) -> Result<Statements<'a>> {
        let spill = match direction {
            Direction::Again => None,
            Direction::Back => Some(Spill::new()?),
        };
        Ok(Statements {
            direction,
            zone,
            put,
            spill,
            open: None,
            has_preamble: false,
            left_out: BTreeMap::new(),
            left_out_more: 0,
            made: 0,
        })
    }

    /// Takes what was found.
    ///
    /// # Errors
    /// Those of putting out.
    pub(crate) fn take(&mut self, found: Found<'_>) -> Result<()> {
        match found {
            Found::Transaction(traced, attribution, _, log) => self.begin(traced, attribution, log),
            Found::Change(table, kind, change, bytes) => self.change(table, kind, change, bytes),
            Found::Statement(statement) => self.statement(statement),
            Found::End(transaction) => self.end(transaction),
            Found::Row(..) => Ok(()),
        }
    }

    /// Puts out what is left to be; what was left out, for people.
    ///
    /// # Errors
    /// Those of putting out.
    pub(crate) fn finish(mut self) -> Result<Vec<String>> {
        self.close()?;
        let mut lines: Vec<String> = self
            .left_out
            .iter()
            .map(|((what, why), count)| format!("{} of {what}: {why}", thousands(*count)))
            .collect();
        if self.left_out_more > 0 {
            lines.push(format!("{} more", thousands(self.left_out_more)));
        }
        let summary: String =
            lines.iter().map(|line| comment(&format!("left out: {line}"))).collect();
        match self.spill.take() {
            None => {
                self.preamble()?;
                (self.put)(summary.as_bytes())?;
            }
            Some(spill) => {
                (self.put)(summary.as_bytes())?;
                self.preamble()?;
                spill.backwards(self.put)?;
            }
        }
        Ok(lines)
    }

    fn begin(&mut self, traced: &Traced, found: &Attribution, log: &Log) -> Result<()> {
        self.close()?;
        let refused = match traced.outcome {
            Outcome::Committed if traced.partial_rollbacks > 0 => {
                Some("rolled back in part to a savepoint, and which rows hold is not told")
            }
            Outcome::Committed => None,
            Outcome::RolledBack => Some("rolled back; only tables without transactions keep it"),
            Outcome::Prepared => Some("prepared (XA); whether it was committed stands elsewhere"),
            Outcome::Open | Outcome::Unfinished => Some("without its end in this log"),
        };
        let head = head(traced, found, log, self.zone);
        self.open =
            Some(Open { head, refused, is_named: false, is_begun: false, named: BTreeSet::new() });
        match refused {
            Some(why) => self.leave_out("transactions".to_owned(), why.to_owned()),
            None => Ok(()),
        }
    }

    fn change(
        &mut self,
        table: &Table,
        kind: ChangeKind,
        change: &Change<'_>,
        bytes: usize,
    ) -> Result<()> {
        if self.open.as_ref().is_none_or(|open| open.refused.is_some()) {
            return Ok(());
        }
        let rows_of = || format!("rows of {}", table_name(table));
        if bytes > ROW_BYTES_MAX {
            let mib = ROW_BYTES_MAX >> 20;
            let why = format!("longer than {mib} MiB, which servers take no statement of");
            return self.leave_out(rows_of(), why);
        }
        let mut sql = Vec::new();
        let made = SqlTable::new(table).and_then(|statements| match self.direction {
            Direction::Again => statements.write(kind, change, &mut sql),
            Direction::Back => statements.write_undo(kind, change, &mut sql),
        });
        if let Err(error) = made {
            return self.leave_out(rows_of(), error.to_string());
        }
        if sql.is_empty() {
            return Ok(());
        }
        self.made += 1;
        self.begin_text()?;
        self.text(&sql)
    }

    fn statement(&mut self, statement: &Statement<'_>) -> Result<()> {
        if self.open.as_ref().is_none_or(|open| open.refused.is_some()) {
            return Ok(());
        }
        let Some(obstacle) = obstacle(statement) else { return Ok(()) };
        // Told by the transaction, which is left out.
        if obstacle == Obstacle::PartialRollback {
            return Ok(());
        }
        let why = match self.direction {
            Direction::Again => "no rows; --style mysqlbinlog prints their text",
            Direction::Back => "no rows in the log tell how to take them back",
        };
        self.name_transaction()?;
        let text = comment(&format!("statement: {}", shown_statement(statement.sql)));
        self.text(text.as_bytes())?;
        self.leave_out(format!("statements ({})", obstacle.as_str()), why.to_owned())
    }

    fn end(&mut self, transaction: &Transaction) -> Result<()> {
        if transaction.unread > 0 {
            let why = "it is damaged, or too long to be read here".to_owned();
            self.leave_out("events".to_owned(), why)?;
        }
        self.end_text()
    }

    /// Ends a transaction that was not found again, or only in part.
    fn close(&mut self) -> Result<()> {
        if self.open.is_some() {
            let why = "their end could not be read again".to_owned();
            self.leave_out("transactions".to_owned(), why)?;
        }
        self.end_text()
    }

    /// Counts what is left out, and says so where it stood.
    fn leave_out(&mut self, what: String, why: String) -> Result<()> {
        let is_new = self.open.as_mut().is_some_and(|open| {
            open.named.len() < NAMED_HERE_MAX && open.named.insert((what.clone(), why.clone()))
        });
        let text = comment(&format!("left out: {what}: {why}"));
        let key = (what, why);
        let has_room = self.left_out.len() < NAMED_MAX;
        match self.left_out.get_mut(&key) {
            Some(count) => *count += 1,
            None if has_room => {
                self.left_out.insert(key, 1);
            }
            None => self.left_out_more += 1,
        }
        if is_new {
            self.name_transaction()?;
            self.text(text.as_bytes())?;
        }
        Ok(())
    }

    /// The comment that tells who: before what is told of a transaction.
    fn name_transaction(&mut self) -> Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| !open.is_named) else { return Ok(()) };
        open.is_named = true;
        match self.direction {
            Direction::Again => {
                let head = open.head.clone();
                self.text(head.as_bytes())
            }
            // It comes last, to be read first.
            Direction::Back => Ok(()),
        }
    }

    fn begin_text(&mut self) -> Result<()> {
        self.name_transaction()?;
        let Some(open) = self.open.as_mut().filter(|open| !open.is_begun) else { return Ok(()) };
        open.is_begun = true;
        match self.direction {
            Direction::Again => self.text(b"BEGIN;\n"),
            Direction::Back => self.text(b"COMMIT;\n"),
        }
    }

    fn end_text(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        if self.direction == Direction::Again {
            return if open.is_begun { self.text(b"COMMIT;\n") } else { Ok(()) };
        }
        if open.is_begun {
            self.text(b"BEGIN;\n")?;
        }
        if open.is_named { self.text(open.head.as_bytes()) } else { Ok(()) }
    }

    fn text(&mut self, text: &[u8]) -> Result<()> {
        if let Some(spill) = &mut self.spill {
            return spill.append_sealed(text);
        }
        self.preamble()?;
        (self.put)(text)
    }

    fn preamble(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.has_preamble, true) {
            return Ok(());
        }
        let mut sql = Vec::new();
        write_sql_preamble(self.direction == Direction::Back, &mut sql);
        (self.put)(&sql)
    }
}

/// Who made a transaction, when, and where it stands.
fn head(traced: &Traced, found: &Attribution, log: &Log, zone: &Zone) -> String {
    let mut text = format!("{} {}", second_text(traced.time, zone), zone.name);
    match &found.who {
        Some(who) => {
            text += &format!(", {}", shown_plain(&who.user));
            if let Some(host) = &who.host {
                text += &format!(" from {}", shown_plain(host));
            }
        }
        None => text += ", login unknown",
    }
    match found.thread {
        Some(thread) => text += &format!(", connection {thread}"),
        None => text += ", connection unknown",
    }
    let exact = if found.is_exact { "exact" } else { "not exact" };
    text += &format!(", {exact} ({})", found.evidence.as_str());
    if let Some(gtid) = &traced.gtid {
        text += &format!(", GTID {gtid}");
    }
    text += &format!(", {}:{}", log.name.display(), traced.position);
    comment(&text)
}

fn shown_statement(sql: &[u8]) -> String {
    let end = shown_bytes(sql);
    let kept = end.min(STATEMENT_SHOWN);
    let mark = match (kept < end, end < sql.len()) {
        (true, _) => " …",
        (false, true) => MASK,
        (false, false) => "",
    };
    format!("{}{mark}", shown_plain(&sql[..kept]))
}

/// A comment of one line. Quotes and backslashes, which some clients heed even there, are replaced.
fn comment(text: &str) -> String {
    let text = crate::render::inert(text);
    let mut out = String::with_capacity(text.len() + 4);
    out.push_str("-- ");
    for character in text.chars() {
        match character {
            '\\' => out.push_str("%5C"),
            '\'' => out.push_str("%27"),
            '"' => out.push_str("%22"),
            '`' => out.push_str("%60"),
            ';' => out.push_str("%3B"),
            '*' => out.push_str("%2A"),
            '%' => out.push_str("%25"),
            other => out.push(other),
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_comment() {
        let text = comment("a\nDROP TABLE t; */ ' \" ` \\! sh\r\u{2028}\0 100%");
        assert_eq!(
            text,
            "-- a%5CnDROP TABLE t%3B %2A/ %27 %22 %60 %5C! sh%5Cr%5Cu{2028}%5C0 100%25\n"
        );
    }

    #[test]
    fn secrets_do_not_stand_in_comments() {
        let text = shown_statement(b"ALTER USER a IDENTIFIED BY 'hunter2'");
        assert!(!text.contains("hunter2") && text.starts_with("ALTER USER a IDENTIFIED"), "{text}");
    }
}
