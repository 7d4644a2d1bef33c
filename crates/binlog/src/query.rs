//! Statements as text: what a Query event tells besides the SQL itself.
//!
//! ```text
//! thread id u32 | seconds u32 | length of the database u8 | error u16 | length of variables u16
//! | variables: (number u8, value) … | database | NUL | statement
//! ```
//!
//! The numbers of the variables stand in MySQL `libs/mysql/binlog/event/statement_events.h`
//! (`Query_event_status_vars`), MariaDB's own (128 and more) in `sql/log_event.h`. A number that is
//! not known ends the reading of variables, as it does in the servers: their lengths are not told.

use std::borrow::Cow;

use crate::bytes::Cut;
use crate::compressed;
use crate::error::{Malformed, Parsed};

/// A statement as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// The connection that ran it (`pseudo_thread_id`, which privileged users can set).
    pub thread_id: u32,
    /// How many seconds it took, from the event's timestamp on; absurd where the user set the
    /// time.
    pub seconds: u32,
    /// The error that it ended with; 0 for none.
    pub error: u16,
    /// The default database; empty where none.
    pub database: &'a [u8],
    /// The variables that the statement depends on, not read yet.
    pub variables: Variables<'a>,
    /// The statement, raw. Borrowed, but where the event is compressed.
    pub sql: Cow<'a, [u8]>,
}

impl<'a> Query<'a> {
    pub(crate) fn parse(body: &'a [u8], compressed: bool) -> Parsed<Self> {
        let (mut query, text) = Query::parse_head(Cut::new(body), 0)?;
        query.sql = match compressed {
            true => Cow::Owned(compressed::inflate_event(text)?),
            false => Cow::Borrowed(text),
        };
        Ok(query)
    }

    /// Reads what all events with a statement begin with; `fixed_extra` bytes stand before the
    /// variables and are passed over.
    fn parse_head(mut cut: Cut<'a>, fixed_extra: usize) -> Parsed<(Self, &'a [u8])> {
        let thread_id = cut.u32()?;
        let seconds = cut.u32()?;
        let database_bytes = cut.u8()? as usize;
        let error = cut.u16()?;
        let variables_bytes = cut.u16()? as usize;
        cut.take(fixed_extra)?;
        let variables = Variables { bytes: cut.take(variables_bytes)? };
        let database = cut.take(database_bytes)?;
        if cut.u8()? != 0 {
            return Err(Malformed::new("no NUL stands behind the name of the database"));
        }
        let sql = Cow::Borrowed(&b""[..]);
        Ok((Query { thread_id, seconds, error, database, variables, sql }, cut.rest()))
    }

    /// Whether the statement is this one, but for case and surrounding space. For `BEGIN`,
    /// `COMMIT` and such, which servers write themselves.
    pub fn is(&self, word: &str) -> bool {
        self.sql.trim_ascii().eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether the statement begins with these words, but for case.
    pub fn begins(&self, words: &str) -> bool {
        let sql = self.sql.trim_ascii_start();
        sql.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words.as_bytes()))
    }
}

/// LOAD DATA as a statement whose file came in blocks before it (Execute_load_query).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadQuery<'a> {
    /// The statement around it; the name of the file in it is the client's.
    pub query: Query<'a>,
    /// Which blocks belong to it.
    pub file_id: u32,
    /// Where in the statement the file's name begins, in bytes.
    pub name_start: u32,
    /// Where it ends.
    pub name_end: u32,
    /// What happens to rows whose key is there already: 0 error, 1 ignore, 2 replace.
    pub duplicates: u8,
}

impl<'a> LoadQuery<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Parsed<Self> {
        let (mut query, sql) = Query::parse_head(Cut::new(body), 13)?;
        query.sql = Cow::Borrowed(sql);
        let mut cut = Cut::new(body);
        cut.take(13)?;
        Ok(LoadQuery {
            query,
            file_id: cut.u32()?,
            name_start: cut.u32()?,
            name_end: cut.u32()?,
            duplicates: cut.u8()?,
        })
    }
}

/// The variables of a statement, as bytes; [`Variables::read`] tells them one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variables<'a> {
    bytes: &'a [u8],
}

/// One variable of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Variable<'a> {
    /// Bits of the session's options (`foreign_key_checks` 26, `unique_checks` 27,
    /// `autocommit` 19, `sql_auto_is_null` 14).
    Flags2(u32),
    /// `sql_mode`, in the writing family's own bits.
    SqlMode(u64),
    /// The catalog, `std` always.
    Catalog(&'a [u8]),
    /// `auto_increment_increment` and `auto_increment_offset`.
    AutoIncrement(u16, u16),
    /// The collations of client, connection and server, by number.
    Charset(u16, u16, u16),
    /// `time_zone`, where the statement depends on it.
    TimeZone(&'a [u8]),
    /// `lc_time_names`, by number.
    TimeNames(u16),
    /// The collation of the database, by number.
    CharsetDatabase(u16),
    /// Which tables of a multi-table update are written.
    TablesForUpdate(u64),
    /// The length of the original event.
    SourceBytes(u32),
    /// The account that invoked the statement, where it matters (`CURRENT_USER`, `DEFINER`).
    Invoker {
        /// Raw.
        user: &'a [u8],
        /// Raw.
        host: &'a [u8],
    },
    /// The databases that the statement wrote to, each followed by a NUL; `None` where too many.
    UpdatedDatabases(Option<&'a [u8]>),
    /// Microseconds to be added to the event's timestamp.
    Microseconds(u32),
    /// `explicit_defaults_for_timestamp`.
    ExplicitDefaults(bool),
    /// MySQL: the storage engine's id of an atomic DDL.
    DdlXid(u64),
    /// MySQL: the collation that `utf8mb4` stands for.
    Utf8mb4Collation(u16),
    /// MySQL: `sql_require_primary_key`.
    RequirePrimaryKey(bool),
    /// MySQL: `default_table_encryption`.
    TableEncryption(bool),
    /// MariaDB: the query id of a DDL, as the audit log has it.
    Xid(u64),
    /// MariaDB: flags and sequence number of a two-phase ALTER.
    AlterPhase {
        /// As in the GTID event.
        flags: u8,
        /// Of the `START ALTER`.
        sequence: Option<u64>,
    },
    /// MariaDB: the default collations of character sets (`character_set_collations`), as pairs of
    /// collation numbers, u16 each, little-endian.
    CollationsOfCharsets(&'a [u8]),
}

impl<'a> Variables<'a> {
    /// Tells each variable, in the order of the log, up to the first that is not known.
    ///
    /// # Errors
    /// Where a value ends too early.
    pub fn read(&self, mut tell: impl FnMut(Variable<'a>)) -> Result<(), Malformed> {
        let mut cut = Cut::new(self.bytes);
        while !cut.is_empty() {
            let Some(variable) = Variables::one(&mut cut)? else { break };
            tell(variable);
        }
        Ok(())
    }

    fn one(cut: &mut Cut<'a>) -> Parsed<Option<Variable<'a>>> {
        Ok(Some(match cut.u8()? {
            0 => Variable::Flags2(cut.u32()?),
            1 => Variable::SqlMode(cut.u64()?),
            2 => {
                let catalog = cut.short_bytes()?;
                cut.u8()?;
                Variable::Catalog(catalog)
            }
            3 => Variable::AutoIncrement(cut.u16()?, cut.u16()?),
            4 => Variable::Charset(cut.u16()?, cut.u16()?, cut.u16()?),
            5 => Variable::TimeZone(cut.short_bytes()?),
            6 => Variable::Catalog(cut.short_bytes()?),
            7 => Variable::TimeNames(cut.u16()?),
            8 => Variable::CharsetDatabase(cut.u16()?),
            9 => Variable::TablesForUpdate(cut.u64()?),
            10 => Variable::SourceBytes(cut.u32()?),
            11 => Variable::Invoker { user: cut.short_bytes()?, host: cut.short_bytes()? },
            12 => match cut.u8()? {
                // OVER_MAX_DBS_IN_EVENT_MTS
                254 => Variable::UpdatedDatabases(None),
                count => {
                    let all = cut.rest();
                    for _ in 0..count {
                        cut.until_nul()?;
                    }
                    Variable::UpdatedDatabases(Some(&all[..all.len() - cut.len()]))
                }
            },
            13 | 128 => Variable::Microseconds(cut.u24()?),
            16 => Variable::ExplicitDefaults(cut.u8()? != 0),
            17 => Variable::DdlXid(cut.u64()?),
            18 => Variable::Utf8mb4Collation(cut.u16()?),
            19 => Variable::RequirePrimaryKey(cut.u8()? != 0),
            20 => Variable::TableEncryption(cut.u8()? != 0),
            129 => Variable::Xid(cut.u64()?),
            130 => {
                let flags = cut.u8()?;
                let sequence = if flags & 0x0c != 0 { Some(cut.u64()?) } else { None };
                Variable::AlterPhase { flags, sequence }
            }
            131 => {
                let count = cut.u8()? as usize;
                Variable::CollationsOfCharsets(cut.take(4 * count)?)
            }
            _ => return Ok(None),
        }))
    }

    /// MariaDB's query id of a DDL ([`Variable::Xid`]), where the log tells it.
    pub fn xid(&self) -> Option<u64> {
        let mut xid = None;
        // A value that is cut off ends the reading; what stands before it holds.
        let _ = self.read(|variable| {
            if let Variable::Xid(id) = variable {
                xid = Some(id);
            }
        });
        xid
    }
}
