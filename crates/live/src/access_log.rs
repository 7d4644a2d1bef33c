//! The table that logins write into through `init_connect`: read row by row, in the order of its numbers.
//!
//! ```text
//! id  thread_id  log_time             localname       matchname
//!  1       8812  2026-11-20 07:18:43  sam@10.0.0.7    sam@10.%
//!                                     USER()          CURRENT_USER(): the account that the server matched
//! ```
//!
//! Both layouts are read: rollcall's own (`bigint`, `timestamp(6)`, `varchar(400)`) and the how-to's that many
//! servers run (`int`, `timestamp`, `varchar(30)`), whatever schema and table are called.
//!
//! # What the table does not promise
//! * Numbers are taken before a row is there to be seen: a lower one may come after a higher one, or never.
//! * A name as long as its column may be cut off: where `sql_mode` is not strict, the server cuts it.
//! * Whoever may write rows may write any.
//!
//! # Invariants
//! * It needs `SELECT` on the table and nothing else; what is missing is said with the `GRANT`.
//! * `log_time` is a `TIMESTAMP`, whose moment `UNIX_TIMESTAMP` tells in whatever zone it was written.
//! * An answer has [`PAGE_ROWS_MAX`] rows at most, found by the primary key.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use verdict::account::{AccountName, quoted};

use crate::error::{LiveError, grant};
use crate::server::{Row, Server, split_account};
use crate::snapshot::{is_refusal, micros};

/// Rows of one answer: some megabytes.
pub const PAGE_ROWS_MAX: usize = 10_000;

/// The most characters of a name that are read: user name (128) and host (255) are far below.
const NAME_CHARS_MAX: usize = 1025;

/// Ranges of numbers that one statement asks for.
const RANGES_MAX: usize = 200;

/// Error numbers by which a server says that there is no such schema, table or column.
const ABSENT: [u16; 3] = [1049, 1146, 1054];

/// Schema and table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    schema: String,
    table: String,
}

impl TableName {
    /// Reads `schema.table`. `None` where it is not that: names that hold a dot have no place here.
    ///
    /// ```
    /// use live::access_log::TableName;
    /// assert_eq!(TableName::parse("accesslog.logins").unwrap().to_string(), "accesslog.logins");
    /// assert_eq!(TableName::parse("logins"), None);
    /// ```
    pub fn parse(text: &str) -> Option<TableName> {
        let (schema, table) = text.split_once('.')?;
        let fits =
            |name: &str| (1..=64).contains(&name.chars().count()) && !name.contains(['.', '\0']);
        (fits(schema) && fits(table))
            .then(|| TableName { schema: schema.to_owned(), table: table.to_owned() })
    }

    fn sql(&self) -> String {
        let identifier = |name: &str| format!("`{}`", name.replace('`', "``"));
        format!("{}.{}", identifier(&self.schema), identifier(&self.table))
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// What tells whether a table is still the one that was read before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// When it was made or altered, as the server writes it.
    pub made: String,
    /// The number that the next row gets; `None` where the server does not tell.
    pub next_id: Option<u64>,
}

/// One row: one login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// Its number.
    pub id: u64,
    /// The connection id; `None`: not told.
    pub thread: Option<u64>,
    /// When, in microseconds UTC; `None`: not told.
    pub at: Option<i64>,
    /// User and client host as `USER()` writes them.
    pub local: Option<Vec<u8>>,
    /// Whether that fills its column, so that it may be cut off.
    pub local_may_be_cut: bool,
    /// The account as `CURRENT_USER()` writes it.
    pub matched: Option<Vec<u8>>,
    /// Whether that fills its column.
    pub matched_may_be_cut: bool,
}

impl LoginRow {
    /// User name and client host. `None` where there is no such text: it has no `@`.
    pub fn peer(&self) -> Option<AccountName> {
        account(self.local.as_deref()?)
    }

    /// The account that let the login in, where that is told in full.
    pub fn account(&self) -> Option<AccountName> {
        account(self.matched.as_deref().filter(|_| !self.matched_may_be_cut)?)
    }

    /// What the row holds, hashed: all of it, and all but the time.
    pub fn prints(&self) -> ([u8; 16], [u8; 16]) {
        let mut hasher = Sha256::new();
        for text in [&self.local, &self.matched] {
            // NULL, and where one text ends and the next begins, make a difference.
            hasher.update((text.as_ref().map_or(u64::MAX, |it| it.len() as u64)).to_le_bytes());
            hasher.update(text.as_deref().unwrap_or_default());
        }
        hasher.update(self.thread.unwrap_or(u64::MAX).to_le_bytes());
        let timeless = short(hasher.clone());
        hasher.update(self.at.unwrap_or(i64::MIN).to_le_bytes());
        (short(hasher), timeless)
    }
}

fn short(hasher: Sha256) -> [u8; 16] {
    let hash: [u8; 32] = hasher.finalize().into();
    let mut short = [0; 16];
    short.copy_from_slice(&hash[..16]);
    short
}

fn account(text: &[u8]) -> Option<AccountName> {
    text.contains(&b'@').then(|| split_account(text))
}

/// A table that may be read and has a layout that is known.
#[derive(Debug)]
pub struct AccessTable {
    server: Server,
    name: TableName,
    /// How many characters the columns hold.
    local_chars: Option<usize>,
    matched_chars: Option<usize>,
}

const READING: &str = "reading the access log";

impl AccessTable {
    /// Looks at the table's columns.
    ///
    /// # Errors
    /// [`LiveError::Refused`] with the `GRANT` that mends it; [`LiveError::AccessLog`] where there is no such table,
    /// or one of another layout.
    pub fn open(server: Server, name: &TableName) -> Result<AccessTable, LiveError> {
        let (local_chars, matched_chars) = (None, None);
        let mut table = AccessTable { server, name: name.clone(), local_chars, matched_chars };
        table.select("LIMIT 0")?;
        let columns = table.columns()?;
        let column = |name: &str| columns.get(name).cloned().unwrap_or_default();
        let keys: Vec<&String> =
            columns.iter().filter(|(_, it)| it.is_primary).map(|(name, _)| name).collect();
        if keys != ["id"] || !column("id").is_integer() || !column("id").counts {
            return Err(table.foreign("its primary key is not `id`, a number that counts up"));
        }
        if !column("thread_id").is_integer() {
            return Err(table.foreign("`thread_id` is no whole number"));
        }
        if column("log_time").kind != "timestamp" {
            return Err(
                table.foreign("`log_time` is no TIMESTAMP: the zone of other times is not certain")
            );
        }
        for name in ["localname", "matchname"] {
            if !column(name).is_text() {
                return Err(table.foreign(&format!("`{name}` is no text")));
            }
        }
        (table.local_chars, table.matched_chars) =
            (column("localname").chars, column("matchname").chars);
        Ok(table)
    }

    /// What tells whether it is the table that was read before.
    ///
    /// # Errors
    /// What the connection answers with.
    pub fn life(&mut self) -> Result<Life, LiveError> {
        let rows = self.described("TABLE_NAME, CREATE_TIME, AUTO_INCREMENT", "TABLES")?;
        // Where names differ in case, the table itself goes before.
        let is_it = |row: &&Row| row[0].as_deref() == Some(self.name.table.as_bytes());
        let row = rows.iter().find(is_it).or(rows.first());
        let Some([_, made, next_id]) = row.map(|row| &row[..]) else {
            return Err(self.server.odd(READING, "it lists no such table"));
        };
        let made = String::from_utf8_lossy(made.as_deref().unwrap_or_default()).into_owned();
        Ok(Life { made, next_id: number(next_id.as_deref()) })
    }

    /// The rows behind a number, in order, [`PAGE_ROWS_MAX`] at most.
    ///
    /// # Errors
    /// What the connection answers with.
    pub fn rows_behind(&mut self, id: u64) -> Result<Vec<LoginRow>, LiveError> {
        self.select(&format!("WHERE id > {id} ORDER BY id LIMIT {PAGE_ROWS_MAX}"))
    }

    /// The rows with numbers in these ranges (first and last), in order, [`PAGE_ROWS_MAX`] at most.
    ///
    /// # Errors
    /// What the connection answers with.
    pub fn rows_within(&mut self, ranges: &[(u64, u64)]) -> Result<Vec<LoginRow>, LiveError> {
        let mut rows = Vec::new();
        for some in ranges.chunks(RANGES_MAX) {
            let which = within(some);
            let left = PAGE_ROWS_MAX - rows.len();
            rows.extend(self.select(&format!("WHERE {which} ORDER BY id LIMIT {left}"))?);
            if rows.len() == PAGE_ROWS_MAX {
                break;
            }
        }
        Ok(rows)
    }

    /// The oldest time among the rows with numbers in these ranges, in microseconds UTC; `None` where there is no such
    /// row.
    ///
    /// # Errors
    /// What the connection answers with.
    pub fn oldest_within(&mut self, ranges: &[(u64, u64)]) -> Result<Option<i64>, LiveError> {
        let mut oldest: Option<i64> = None;
        for some in ranges.chunks(RANGES_MAX) {
            let (table, which) = (self.name.sql(), within(some));
            let sql = format!("SELECT MIN(UNIX_TIMESTAMP(log_time)) FROM {table} WHERE {which}");
            let rows = self.server.ask(READING, sql.as_bytes())?;
            let found = rows.first().and_then(|row| micros(row.first()?.as_deref()));
            oldest = [oldest, found].into_iter().flatten().min();
        }
        Ok(oldest)
    }

    fn select(&mut self, which: &str) -> Result<Vec<LoginRow>, LiveError> {
        let sql = format!(
            "SELECT id, thread_id, UNIX_TIMESTAMP(log_time), LEFT(localname, {NAME_CHARS_MAX}), \
             LEFT(matchname, {NAME_CHARS_MAX}) FROM {} {which}",
            self.name.sql()
        );
        let rows = match self.server.try_ask(READING, sql.as_bytes())? {
            Ok(rows) => rows,
            Err(error) if is_refusal(error) => {
                return Err(LiveError::Refused {
                    server: self.server.name().to_owned(),
                    what: format!("SELECT on {}", self.name),
                    error,
                    remedy: grant(&format!("SELECT ON {}", self.name.sql()), self.server.own()),
                });
            }
            Err(error) if ABSENT.contains(&error) => {
                return Err(self.foreign(match error {
                    1054 => {
                        "it lacks a column of these: id, thread_id, log_time, localname, matchname"
                    }
                    _ => "there is no such table",
                }));
            }
            Err(error) => return Err(self.server.fault(READING, error)),
        };
        let row = |row: Row| {
            self.row(row).ok_or_else(|| self.server.odd(READING, "a row without number"))
        };
        rows.into_iter().map(row).collect()
    }

    fn row(&self, row: Row) -> Option<LoginRow> {
        let [id, thread, at, local, matched] = <[Option<Vec<u8>>; 5]>::try_from(row).ok()?;
        Some(LoginRow {
            id: number(id.as_deref())?,
            thread: number(thread.as_deref()),
            at: micros(at.as_deref()).filter(|&at| at > 0),
            local_may_be_cut: fills(local.as_deref(), self.local_chars),
            matched_may_be_cut: fills(matched.as_deref(), self.matched_chars),
            local,
            matched,
        })
    }

    fn columns(&mut self) -> Result<BTreeMap<String, Column>, LiveError> {
        let rows = self.described(
            "COLUMN_NAME, DATA_TYPE, COLUMN_KEY, EXTRA, CHARACTER_MAXIMUM_LENGTH",
            "COLUMNS",
        )?;
        let text = |value: &Option<Vec<u8>>| {
            String::from_utf8_lossy(value.as_deref().unwrap_or_default()).to_ascii_lowercase()
        };
        let column = |row: &Row| {
            let column = Column {
                kind: text(&row[1]),
                is_primary: text(&row[2]) == "pri",
                counts: text(&row[3]).contains("auto_increment"),
                chars: number(row[4].as_deref()).and_then(|it| usize::try_from(it).ok()),
            };
            (text(&row[0]), column)
        };
        Ok(rows.iter().map(column).collect())
    }

    /// What `information_schema` says of the table.
    fn described(&mut self, columns: &str, of: &str) -> Result<Vec<Row>, LiveError> {
        let sql = [
            format!("SELECT {columns} FROM information_schema.{of} WHERE TABLE_SCHEMA=")
                .into_bytes(),
            quoted(self.name.schema.as_bytes()),
            b" AND TABLE_NAME=".to_vec(),
            quoted(self.name.table.as_bytes()),
        ];
        self.server.ask(READING, &sql.concat())
    }

    fn foreign(&self, what: &str) -> LiveError {
        LiveError::AccessLog {
            server: self.server.name().to_owned(),
            table: self.name.to_string(),
            what: what.to_owned(),
        }
    }
}

/// A column, as `information_schema` describes it.
#[derive(Debug, Clone, Default)]
struct Column {
    kind: String,
    is_primary: bool,
    counts: bool,
    chars: Option<usize>,
}

impl Column {
    fn is_integer(&self) -> bool {
        ["tinyint", "smallint", "mediumint", "int", "bigint"].contains(&self.kind.as_str())
    }

    fn is_text(&self) -> bool {
        ["char", "varchar", "varbinary"].contains(&self.kind.as_str())
            || self.kind.ends_with("text")
            || self.kind.ends_with("blob")
    }
}

/// Does a text take all the characters that its column has, or all that are read?
fn fills(text: Option<&[u8]>, chars: Option<usize>) -> bool {
    let most = chars.map_or(NAME_CHARS_MAX, |it| it.min(NAME_CHARS_MAX));
    text.is_some_and(|text| {
        text.len() >= most && String::from_utf8_lossy(text).chars().count() >= most
    })
}

/// A condition on numbers: in one of these ranges.
fn within(ranges: &[(u64, u64)]) -> String {
    let mut which = String::new();
    for (first, last) in ranges {
        let or = if which.is_empty() { "" } else { " OR " };
        let _ = write!(which, "{or}id BETWEEN {first} AND {last}");
    }
    which
}

fn number(value: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(value?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(local: &str, matched: &str, at: i64) -> LoginRow {
        LoginRow {
            id: 1,
            thread: Some(7),
            at: Some(at),
            local: Some(local.into()),
            local_may_be_cut: false,
            matched: Some(matched.into()),
            matched_may_be_cut: false,
        }
    }

    #[test]
    fn tables_are_named_with_their_schema() {
        for text in ["", "a", ".a", "a.", "a.b.c", "a.\0"] {
            assert_eq!(TableName::parse(text), None, "{text}");
        }
        let name = TableName::parse("o`d.l'og").unwrap();
        assert_eq!(name.sql(), "`o``d`.`l'og`");
        let long = "é".repeat(64);
        assert!(TableName::parse(&format!("{long}.{long}")).is_some());
        assert_eq!(TableName::parse(&format!("{long}e.a")), None);
    }

    #[test]
    fn the_last_at_parts_user_and_host() {
        let row = row("a@b@10.0.0.7", "@%", 1);
        assert_eq!(row.peer(), Some(AccountName::new("a@b", "10.0.0.7")));
        assert_eq!(row.account(), Some(AccountName::new("", "%")));
        let cut = LoginRow { matched_may_be_cut: true, local: Some(b"nobody".to_vec()), ..row };
        assert_eq!((cut.peer(), cut.account()), (None, None));
    }

    #[test]
    fn a_text_that_fills_its_column_may_be_cut() {
        let check = |text: &str, chars, expected| {
            assert_eq!(fills(Some(text.as_bytes()), chars), expected, "{text}");
        };
        check(&"x".repeat(29), Some(30), false);
        check(&"x".repeat(30), Some(30), true);
        check(&"é".repeat(15), Some(30), false);
        check(&"é".repeat(30), Some(30), true);
        check(&"x".repeat(NAME_CHARS_MAX - 1), None, false);
        check(&"x".repeat(NAME_CHARS_MAX), Some(65_535), true);
        assert!(!fills(None, Some(0)));
    }

    #[test]
    fn prints_tell_rows_apart() {
        let one = row("a@b", "a@%", 1);
        assert_eq!(one.prints(), one.clone().prints());
        let later = row("a@b", "a@%", 2);
        assert_ne!(one.prints().0, later.prints().0);
        assert_eq!(one.prints().1, later.prints().1);
        for other in [
            row("a@ba", "@%", 1),
            row("a@", "ba@%", 1),
            LoginRow { matched: None, ..one.clone() },
            LoginRow { thread: Some(8), ..one.clone() },
        ] {
            assert_ne!(one.prints().1, other.prints().1, "{other:?}");
        }
    }
}
