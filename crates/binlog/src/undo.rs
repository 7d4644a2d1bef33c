//! What an undo of a whole log takes: its order, and what cannot be undone.
//!
//! Statements that take changes back are run in the opposite order of the changes, so the first of
//! them is known last. Rows of compressed transactions cannot be read from their end; so the
//! statements are put into a spill file as they are made, each followed by its length, and read from
//! its end. Memory is bounded by the longest of them, and one pass over the log is enough.
//!
//! ```text
//! statement | length u64 | statement | length u64 | …
//! ```
//!
//! The file is the caller's. A transaction that does not hold (rolled back, unfinished) is taken out
//! by cutting the file where the transaction began. What stands around a transaction comes the other
//! way round too: `COMMIT` first, `BEGIN` last.

use crate::error::Malformed;
use crate::sink::{Statement, StatementKind};

/// The length of what stands behind each statement in a spill file, in bytes.
pub const TRAILER_BYTES: usize = 8;

/// Ends the statement that stands in `out` from `start` on, so that it can be read backwards. An empty
/// one is left out.
pub fn seal(out: &mut Vec<u8>, start: usize) {
    let length = out.len().saturating_sub(start);
    if length > 0 {
        out.extend_from_slice(&trailer(length));
    }
}

/// What stands behind a statement of so many bytes, for callers that write it to their file themselves.
/// Empty statements are left out.
pub fn trailer(length: usize) -> [u8; TRAILER_BYTES] {
    (length as u64).to_le_bytes()
}

/// What the end of a spill file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last<'a> {
    /// A statement; the file goes on to be read at the end of `rest`, the bytes before it.
    Statement {
        /// Its text.
        sql: &'a [u8],
        /// What stands before it, of the bytes given.
        rest: &'a [u8],
    },
    /// It begins before the bytes given: call again with so many from the same end.
    Incomplete {
        /// In bytes.
        needed: usize,
    },
}

/// The last statement of a spill file, or of what is left of it. `bytes` are its end, as many as the
/// caller likes; `left` is how many bytes it has in all. `None` where none is left.
///
/// ```
/// use binlog::undo::{self, Last};
///
/// let mut spill = b"DELETE 1;\n".to_vec();
/// undo::seal(&mut spill, 0);
/// let start = spill.len();
/// spill.extend_from_slice(b"DELETE 2;\n");
/// undo::seal(&mut spill, start);
///
/// let (mut left, mut sql) = (&spill[..], Vec::new());
/// while let Some(Last::Statement { sql: one, rest }) = undo::last(left, left.len() as u64)? {
///     sql.extend_from_slice(one);
///     left = rest;
/// }
/// assert_eq!(sql, b"DELETE 2;\nDELETE 1;\n");
/// # Ok::<(), binlog::Malformed>(())
/// ```
///
/// # Errors
/// Where the file was changed since.
pub fn last(bytes: &[u8], left: u64) -> Result<Option<Last<'_>>, Malformed> {
    const CHANGED: Malformed = Malformed::new("the spill file was changed");
    if left == 0 {
        return Ok(None);
    }
    if left < TRAILER_BYTES as u64 {
        return Err(CHANGED);
    }
    let Some((before, trailer)) = bytes.split_last_chunk::<TRAILER_BYTES>() else {
        return Ok(Some(Last::Incomplete { needed: TRAILER_BYTES }));
    };
    let length = u64::from_le_bytes(*trailer);
    if length == 0 || length > left - TRAILER_BYTES as u64 {
        return Err(CHANGED);
    }
    let length = usize::try_from(length).map_err(|_| CHANGED)?;
    Ok(Some(match before.len().checked_sub(length) {
        Some(start) => Last::Statement { sql: &before[start..], rest: &before[..start] },
        None => Last::Incomplete { needed: length + TRAILER_BYTES },
    }))
}

/// What a log holds that no rows tell how to take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Obstacle {
    /// TRUNCATE: the rows that it removed are not in the log.
    Truncate,
    /// CREATE, ALTER, DROP and other statements about more than rows. Rows changed before them may be
    /// of another layout than the table has now.
    Ddl,
    /// A change in statement format (`binlog_format=STATEMENT`, MIXED): its rows are not in the log.
    Statement,
    /// LOAD DATA in statement format.
    Load,
    /// ROLLBACK TO SAVEPOINT: which rows before it still hold, of tables without transactions, is not
    /// told.
    PartialRollback,
}

impl Obstacle {
    /// For people: what it is, in few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Obstacle::Truncate => "TRUNCATE",
            Obstacle::Ddl => "DDL",
            Obstacle::Statement => "statement format",
            Obstacle::Load => "LOAD DATA",
            Obstacle::PartialRollback => "ROLLBACK TO SAVEPOINT",
        }
    }
}

/// Whether a statement, as a [`Sink`](crate::Sink) is told of it, stands in the way of an undo. Those
/// told beside their rows do not, nor does what begins, parts and ends transactions.
pub fn obstacle(statement: &Statement<'_>) -> Option<Obstacle> {
    match statement.kind {
        StatementKind::Annotation => return None,
        StatementKind::Load => return Some(Obstacle::Load),
        StatementKind::Query => {}
    }
    let mut words = Words(statement.sql);
    let first = words.next();
    let is = |word: Option<&[u8]>, wanted: &str| {
        word.is_some_and(|word| word.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    let any = |wanted: &[&str]| wanted.iter().any(|wanted| is(first, wanted));
    if any(&["TRUNCATE"]) {
        return Some(Obstacle::Truncate);
    }
    if any(&["ROLLBACK"]) {
        return is(words.next(), "TO").then_some(Obstacle::PartialRollback);
    }
    if any(&["SAVEPOINT", "RELEASE", "XA", "BEGIN", "COMMIT", "START", "FLUSH", "ANALYZE"]) {
        return None;
    }
    if any(&[
        "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "CALL", "DO", "SET", "SELECT", "LOAD",
    ]) {
        return Some(Obstacle::Statement);
    }
    Some(Obstacle::Ddl)
}

/// The words of a statement, without the comments before them.
struct Words<'a>(&'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut rest = self.0;
        loop {
            rest = rest.trim_ascii_start();
            let comment = match rest {
                // What only some versions run is no comment; `!` and digits before the word.
                [b'/', b'*', b'!', behind @ ..] | [b'/', b'*', b'M', b'!', behind @ ..] => {
                    rest = behind.trim_ascii_start();
                    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    rest = &rest[digits..];
                    continue;
                }
                [b'/', b'*', behind @ ..] => {
                    memchr::memmem::find(behind, b"*/").map(|end| &behind[end + 2..])
                }
                [b'#', ..] | [b'-', b'-', ..] => {
                    memchr::memchr(b'\n', rest).map(|end| &rest[end + 1..])
                }
                _ => break,
            };
            rest = comment?;
        }
        let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        self.0 = behind;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: StatementKind, sql: &str) -> Option<Obstacle> {
        obstacle(&Statement {
            kind,
            sql: sql.as_bytes(),
            database: b"",
            thread_id: None,
            query_id: None,
            position: 0,
            time: 0,
            seconds: 0,
            error: 0,
        })
    }

    #[test]
    fn statements_that_cannot_be_taken_back_are_named() {
        use Obstacle::*;
        for (sql, wanted) in [
            ("truncate table t", Some(Truncate)),
            ("/* a */ -- b\n# c\nTRUNCATE t", Some(Truncate)),
            ("/*!40000 TRUNCATE t */", Some(Truncate)),
            ("CREATE TABLE t (a INT)", Some(Ddl)),
            ("ALTER TABLE t ADD b INT", Some(Ddl)),
            ("GRANT SELECT ON *.* TO a", Some(Ddl)),
            ("`odd`", Some(Ddl)),
            ("/* without end", Some(Ddl)),
            ("INSERT INTO t VALUES (1)", Some(Statement)),
            ("(SELECT 1)", Some(Ddl)),
            ("ROLLBACK TO `one`", Some(PartialRollback)),
            ("SAVEPOINT `one`", None),
            ("XA START X'61',X'',1", None),
            ("BEGIN", None),
        ] {
            assert_eq!(of(StatementKind::Query, sql), wanted, "{sql}");
        }
        assert_eq!(of(StatementKind::Annotation, "TRUNCATE t"), None);
        assert_eq!(of(StatementKind::Load, "LOAD DATA"), Some(Load));
    }

    #[test]
    fn a_spill_file_is_read_from_its_end_in_pieces() {
        let mut spill = Vec::new();
        for sql in [&b"one"[..], b"", b"twotwo", b"3"] {
            let start = spill.len();
            spill.extend_from_slice(sql);
            seal(&mut spill, start);
        }
        for piece in 1..spill.len() + 2 {
            let (mut end, mut taken, mut found) = (spill.len(), piece, Vec::new());
            loop {
                let bytes = &spill[end.saturating_sub(taken)..end];
                match last(bytes, end as u64).expect("an honest file") {
                    None => break,
                    Some(Last::Incomplete { needed }) => taken = needed,
                    Some(Last::Statement { sql, .. }) => {
                        found.push(sql.to_vec());
                        end -= sql.len() + TRAILER_BYTES;
                        taken = piece;
                    }
                }
            }
            assert_eq!(found, [&b"3"[..], b"twotwo", b"one"], "pieces of {piece}");
        }
    }

    #[test]
    fn a_spill_file_that_was_changed_is_an_error() {
        for (bytes, left) in
            [(&[1; 8][..], 8), (&[0; 8], 8), (&[9, 0, 0, 0, 0, 0, 0, 0], 16), (b"", 3)]
        {
            assert!(last(bytes, left).is_err(), "{bytes:?}");
        }
    }
}
