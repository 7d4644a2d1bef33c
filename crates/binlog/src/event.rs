//! Event bodies to values, one at a time and only where asked.

use std::borrow::Cow;

use crate::bytes::Cut;
use crate::error::{Error, Parsed};
use crate::format::Format;
use crate::frame::RawEvent;
use crate::gtid::{GtidList, MariaDbGtid, MySqlGtid, PreviousGtids, XaId};
use crate::kind::EventType;
use crate::payload::Payload;
use crate::query::{LoadQuery, Query};
use crate::rows::RowsEvent;
use crate::table_map::TableMap;

/// What an event says. Everything borrows from the event but what was compressed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// How the others are written.
    FormatDescription(Box<Format>),
    /// The log goes on in another file.
    Rotate {
        /// Where in it.
        position: u64,
        /// Its name without folder, raw.
        file: &'a [u8],
    },
    /// The server stopped in good order.
    Stop,
    /// A statement.
    Query(Query<'a>),
    /// MariaDB: a group of events begins.
    MariaDbGtid(MariaDbGtid<'a>),
    /// MySQL: a group of events begins.
    MySqlGtid(MySqlGtid),
    /// MariaDB: what was known when the file began.
    GtidList(GtidList<'a>),
    /// MySQL: what was executed before the file began.
    PreviousGtids(PreviousGtids<'a>),
    /// MariaDB: the statement that the next rows came from.
    AnnotateRows(&'a [u8]),
    /// MySQL: the statement that the next rows came from
    /// (`binlog_rows_query_log_events=ON`).
    RowsQuery(&'a [u8]),
    /// MariaDB: the oldest file that recovery may need.
    BinlogCheckpoint(&'a [u8]),
    /// The layout of rows that follow.
    TableMap(TableMap<'a>),
    /// Rows, not read yet.
    Rows(RowsEvent<'a>),
    /// The transaction is committed.
    Xid(u64),
    /// XA PREPARE; the transaction is not committed.
    XaPrepare {
        /// XA COMMIT ONE PHASE: it is committed after all.
        one_phase: bool,
        /// Its name.
        id: XaId<'a>,
    },
    /// The next statement uses this value of `LAST_INSERT_ID()` (1) or AUTO_INCREMENT (2).
    Intvar {
        /// Which of the two.
        kind: u8,
        /// The value.
        value: u64,
    },
    /// The seeds of `RAND()` in the next statement.
    Rand(u64, u64),
    /// A user's variable in the next statement.
    UserVar(UserVar<'a>),
    /// MySQL: events of a transaction, compressed.
    TransactionPayload(Payload<'a>),
    /// The first block of a file for LOAD DATA.
    BeginLoad {
        /// Which file.
        file_id: u32,
        /// The block.
        block: &'a [u8],
    },
    /// A further block.
    AppendBlock {
        /// Which file.
        file_id: u32,
        /// The block.
        block: &'a [u8],
    },
    /// The file is not used: LOAD DATA failed.
    DeleteFile {
        /// Which file.
        file_id: u32,
    },
    /// The statement that uses the file.
    ExecuteLoad(LoadQuery<'a>),
    /// The server is there but has nothing to tell; only on the way to a replica.
    Heartbeat {
        /// The file it stands in.
        file: &'a [u8],
        /// Where, if told.
        position: Option<u64>,
    },
    /// Something happened that the log does not hold: replicas stop here.
    Incident {
        /// 1: events were lost.
        number: u16,
        /// What the server says about it.
        message: &'a [u8],
    },
    /// MariaDB: what follows is encrypted.
    StartEncryption,
    /// Any other kind, known by name or not, passed over by its length.
    Other,
}

/// A user's variable that a statement depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserVar<'a> {
    /// Without `@`, raw.
    pub name: &'a [u8],
    /// `None` for NULL.
    pub value: Option<UserValue<'a>>,
}

/// The value of a user's variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserValue<'a> {
    /// `Item_result`: 0 text, 1 double, 2 integer, 4 DECIMAL.
    pub kind: u8,
    /// The collation, by number.
    pub collation: u32,
    /// Text as it is; double and integer in 8 bytes, little-endian; DECIMAL as precision, scale and
    /// digits as in rows.
    pub bytes: &'a [u8],
    /// Whether an integer is unsigned.
    pub unsigned: bool,
}

impl<'a> RawEvent<'a> {
    /// Reads the body. `format` is that of [`Framer::format`](crate::Framer::format).
    ///
    /// # Errors
    /// [`Error::Malformed`] where the body does not fit its layout.
    pub fn decode(&self, format: &Format) -> Result<Event<'a>, Error> {
        self.parse(format)
            .map_err(|malformed| Error::malformed(self.position, self.header.kind, malformed))
    }

    fn parse(&self, format: &Format) -> Parsed<Event<'a>> {
        let kind = self.header.kind;
        let mut cut = Cut::new(self.body);
        Ok(match kind {
            EventType::FORMAT_DESCRIPTION => Event::FormatDescription(Box::new(*format)),
            EventType::ROTATE => Event::Rotate { position: cut.u64()?, file: cut.all() },
            EventType::STOP => Event::Stop,
            EventType::QUERY => Event::Query(Query::parse(self.body, false)?),
            EventType::QUERY_COMPRESSED => Event::Query(Query::parse(self.body, true)?),
            EventType::GTID_MARIADB => Event::MariaDbGtid(MariaDbGtid::parse(self.body)?),
            EventType::GTID_MYSQL => Event::MySqlGtid(MySqlGtid::parse(self.body, false)?),
            EventType::ANONYMOUS_GTID => Event::MySqlGtid(MySqlGtid::parse(self.body, true)?),
            EventType::GTID_TAGGED => Event::MySqlGtid(MySqlGtid::parse_tagged(self.body)?),
            EventType::GTID_LIST => Event::GtidList(GtidList::parse(self.body)?),
            EventType::PREVIOUS_GTIDS => Event::PreviousGtids(PreviousGtids::parse(self.body)?),
            EventType::ANNOTATE_ROWS => Event::AnnotateRows(cut.all()),
            EventType::ROWS_QUERY => {
                // One byte of length, which cannot hold it and is not used.
                cut.u8()?;
                Event::RowsQuery(cut.all())
            }
            EventType::BINLOG_CHECKPOINT => {
                let length = cut.u32()? as usize;
                Event::BinlogCheckpoint(cut.take(length)?)
            }
            EventType::TABLE_MAP => Event::TableMap(TableMap::parse(self.body, format)?),
            kind if kind.is_rows() => Event::Rows(RowsEvent::parse(kind, self.body, format)?),
            EventType::XID => Event::Xid(cut.u64()?),
            EventType::XA_PREPARE => parse_xa_prepare(&mut cut)?,
            EventType::INTVAR => Event::Intvar { kind: cut.u8()?, value: cut.u64()? },
            EventType::RAND => Event::Rand(cut.u64()?, cut.u64()?),
            EventType::USER_VAR => Event::UserVar(parse_user_var(&mut cut)?),
            EventType::TRANSACTION_PAYLOAD => Event::TransactionPayload(Payload::parse(self.body)?),
            EventType::BEGIN_LOAD_QUERY => {
                Event::BeginLoad { file_id: cut.u32()?, block: cut.all() }
            }
            EventType::APPEND_BLOCK => Event::AppendBlock { file_id: cut.u32()?, block: cut.all() },
            EventType::DELETE_FILE => Event::DeleteFile { file_id: cut.u32()? },
            EventType::EXECUTE_LOAD_QUERY => Event::ExecuteLoad(LoadQuery::parse(self.body)?),
            EventType::HEARTBEAT => Event::Heartbeat { file: cut.all(), position: None },
            EventType::HEARTBEAT_V2 => parse_heartbeat(&mut cut)?,
            EventType::INCIDENT => {
                Event::Incident { number: cut.u16()?, message: cut.short_bytes()? }
            }
            EventType::START_ENCRYPTION => Event::StartEncryption,
            _ => Event::Other,
        })
    }
}

impl<'a> Event<'a> {
    /// The text of the statement that an event holds, if it holds one.
    pub fn statement(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Event::Query(query) => Some(Cow::Borrowed(&query.sql)),
            Event::ExecuteLoad(load) => Some(Cow::Borrowed(&load.query.sql)),
            Event::AnnotateRows(sql) | Event::RowsQuery(sql) => Some(Cow::Borrowed(sql)),
            _ => None,
        }
    }
}

/// one phase u8, format u32, lengths u32 of global part and branch, both (MySQL
/// `libs/mysql/binlog/event/control_events.cpp`, `XA_prepare_event`; MariaDB since 10.5).
fn parse_xa_prepare<'a>(cut: &mut Cut<'a>) -> Parsed<Event<'a>> {
    let one_phase = cut.u8()? != 0;
    let format = cut.u32()?;
    let (global, branch) = (cut.u32()? as usize, cut.u32()? as usize);
    let id = XaId { format, global: cut.take(global)?, branch: cut.take(branch)? };
    Ok(Event::XaPrepare { one_phase, id })
}

/// length u32, name, is NULL u8, kind u8, collation u32, length u32, value, flags u8 (MySQL
/// `statement_events.cpp`, `User_var_event`). What MariaDB writes behind is passed over.
fn parse_user_var<'a>(cut: &mut Cut<'a>) -> Parsed<UserVar<'a>> {
    let length = cut.u32()? as usize;
    let name = cut.take(length)?;
    if cut.u8()? != 0 {
        return Ok(UserVar { name, value: None });
    }
    let kind = cut.u8()?;
    let collation = cut.u32()?;
    let length = cut.u32()? as usize;
    let bytes = cut.take(length)?;
    let unsigned = cut.u8().is_ok_and(|flags| flags & 1 != 0);
    Ok(UserVar { name, value: Some(UserValue { kind, collation, bytes, unsigned }) })
}

/// Fields of a type, a length and a value, up to type 0 (MySQL `control_events.cpp`,
/// `Heartbeat_event_v2`).
fn parse_heartbeat<'a>(cut: &mut Cut<'a>) -> Parsed<Event<'a>> {
    let (mut file, mut position) = (&b""[..], None);
    loop {
        let kind = cut.packed()?;
        if kind == 0 {
            return Ok(Event::Heartbeat { file, position });
        }
        let value = cut.packed_bytes()?;
        match kind {
            1 => file = value,
            2 => position = Some(Cut::new(value).packed()?),
            _ => {}
        }
    }
}

/// The table id that table maps and row events begin with: 6 bytes, 4 in logs of MySQL before 5.1.4.
pub(crate) fn table_id(cut: &mut Cut<'_>, kind: EventType, format: &Format) -> Parsed<u64> {
    match format.fixed_bytes(kind) {
        6 => Ok(cut.u32()? as u64),
        _ => cut.u48(),
    }
}
