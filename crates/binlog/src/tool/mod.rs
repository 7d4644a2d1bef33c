//! A whole log as the servers' own tools print it: `mariadb-binlog` and `mysqlbinlog` with
//! `-v --base64-output=DECODE-ROWS`, line for line.
//!
//! ```text
//! # at 560
//! #261128 16:00:23 server id 1  end_log_pos 0 CRC32 0xe3ad828c   Table_map: `shop`.`n` mapped to number 59
//! # at 658
//! #261128 16:00:23 server id 1  end_log_pos 0 CRC32 0x9da5675b   Write_rows: table id 59 flags: STMT_END_F
//! ### INSERT INTO `shop`.`n`
//! …
//! # Number of rows: 2                        MariaDB
//! ```
//!
//! Rows are printed when their statement ends, behind the headers of all its events; until then they
//! are held ([`ToolOutput::hold`]). MySQL's tool holds Intvar, Rand and User_var up to the statement
//! that uses them, MariaDB's holds Annotate_rows up to the table map behind it.
//!
//! Sources: MariaDB `client/mysqlbinlog.cc`, `sql/log_event_client.cc`; MySQL `client/mysqlbinlog.cc`,
//! `sql/log_event.cc`; and what both print for the logs in `tests/fixtures/binlog`.
//!
//! # What is not the same
//! * MySQL's tool gives up at a GEOMETRY and leaves out the rest of its event; here all is printed.
//! * The name of the file that LOAD DATA reads is the tool's own invention; here it ends in `-0`.
//! * Events of other kinds than those of [`Event`] have a header and no more.
//! * Other versions of the tools print other lines; these are those of MariaDB 10.11 and 11.8, of
//!   MySQL 9.7, each for a log of its own server.

mod lines;
mod session;

use std::io::Write;

use self::lines::{
    END, Shown, put, put_annotation, put_event, put_header, put_rows_flags, put_table_map,
    rows_name,
};
use self::session::{Session, put_user_var};
use crate::error::{Error, Malformed, Parsed};
use crate::event::Event;
use crate::format::{Checksum, Family, Format};
use crate::frame::{Framer, HEADER_BYTES, Header, RawEvent, Step};
use crate::kind::EventType;
use crate::payload::Payload;
use crate::query::{LoadQuery, Query};
use crate::rows::RowsEvent;
use crate::short::push_number;
use crate::tables::{Interest, Tables};
use crate::text::write_rows;

/// How many bytes of events MySQL's Intvar, Rand and User_var may wait in; more are printed before the
/// statement that uses them comes, as in no log of a server.
pub const TOOL_WAITING_BYTES_MAX: usize = 8 << 20;
/// How many bytes of headers of one statement's row events are held (MariaDB): those of more than a
/// gigabyte of rows. What is held is then released before the statement ends.
pub const TOOL_HEADS_BYTES_MAX: usize = 16 << 20;

/// How much memory for the text of an event's rows is used again.
const ROWS_TEXT_BYTES_KEPT: usize = 1 << 20;

/// Takes the text that a [`ToolText`] makes.
pub trait ToolOutput {
    /// Text that is next.
    fn write(&mut self, text: &[u8]);

    /// Text that belongs behind everything that is written before the next
    /// [`ToolOutput::release`]: rows of a statement that is not over, which may be long.
    fn hold(&mut self, text: &[u8]);

    /// What is held is next.
    fn release(&mut self);
}

/// Text in memory, for logs whose statements are short.
#[derive(Debug, Clone, Default)]
pub struct ToolBuffer {
    /// What is written so far.
    pub text: Vec<u8>,
    held: Vec<u8>,
}

impl ToolOutput for ToolBuffer {
    fn write(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    fn hold(&mut self, text: &[u8]) {
        self.held.extend_from_slice(text);
    }

    fn release(&mut self) {
        self.text.append(&mut self.held);
    }
}

/// The zone in which times are shown.
pub trait ToolZone {
    /// How many seconds local time is ahead of UTC at this moment (seconds since 1970, UTC), and how
    /// the zone is abbreviated then.
    fn at(&self, seconds: u64) -> (i64, &str);
}

/// Coordinated Universal Time, as with `TZ=UTC`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToolUtc;

impl ToolZone for ToolUtc {
    fn at(&self, _: u64) -> (i64, &str) {
        (0, "UTC")
    }
}

/// Prints the events of one log.
///
/// ```
/// use binlog::{Framer, Step, ToolBuffer, ToolText, ToolUtc};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = include_bytes!("../../../../tests/fixtures/binlog/mysql-9.7-no-checksum.binlog");
/// let (mut framer, mut out) = (Framer::new(), ToolBuffer::default());
/// let mut tool = ToolText::new(ToolUtc);
/// while let Step::Event(event) = framer.next(&log[framer.position() as usize..])? {
///     tool.event(&event, framer.format(), &mut out)?;
/// }
/// tool.finish(&mut out);
/// let theirs = include_bytes!("../../../../tests/fixtures/binlog/mysql-9.7-no-checksum.text");
/// assert_eq!(out.text, theirs);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ToolText<Z = ToolUtc> {
    zone: Z,
    family: Family,
    begun: bool,
    /// Of the event before, and of its rows: memory that is used again.
    text: Vec<u8>,
    rows_text: Vec<u8>,
    /// Rows were held that are not released yet.
    holds: bool,
    session: Session,
    tables: Tables,
    /// Headers of row events whose statement is not over (MariaDB).
    heads: Vec<u8>,
    /// How many rows the statement has so far.
    rows: u64,
    /// Annotate_rows up to its table map (MariaDB).
    annotation: Vec<u8>,
    /// Intvar, Rand and User_var up to the statement that uses them (MySQL).
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    /// MySQL: transactions have names, or might have.
    named: bool,
}

/// An event that waits, whole.
#[derive(Debug)]
struct Waiting {
    shown: Shown,
    body: Vec<u8>,
}

impl<Z: ToolZone> ToolText<Z> {
    /// At the beginning of a log.
    pub fn new(zone: Z) -> Self {
        ToolText {
            zone,
            family: Family::MySql,
            begun: false,
            text: Vec::new(),
            rows_text: Vec::new(),
            holds: false,
            session: Session::default(),
            tables: Tables::default(),
            heads: Vec::new(),
            rows: 0,
            annotation: Vec::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            named: false,
        }
    }

    /// Prints an event; `format` is that of the [`Framer`] it came from.
    ///
    /// # Errors
    /// Where the event cannot be read; what was printed of it stays.
    pub fn event(
        &mut self,
        raw: &RawEvent<'_>,
        format: &Format,
        out: &mut impl ToolOutput,
    ) -> Result<(), Error> {
        self.family = format.family();
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let printed = self.event_with(raw, format, &mut text, out);
        self.text = text;
        printed
    }

    fn event_with(
        &mut self,
        raw: &RawEvent<'_>,
        format: &Format,
        text: &mut Vec<u8>,
        out: &mut impl ToolOutput,
    ) -> Result<(), Error> {
        if !self.begun {
            self.begin(text);
        }
        // A log without checksums has room for one behind its format description.
        let checksum = raw.checksum.filter(|_| format.checksum() == Checksum::Crc32);
        let shown = Shown { header: raw.header, checksum };
        text.extend_from_slice(b"# at ");
        push_number(text, raw.position);
        text.push(b'\n');
        let event = raw.decode(format);
        if let Ok(event) = &event {
            self.print(raw, event, format, &shown, text, out)?;
        } else {
            out.write(text);
        }
        match event? {
            Event::TransactionPayload(payload) => self.payload(raw, &payload, format, out),
            _ => Ok(()),
        }
    }

    /// Prints what the text of a log ends with.
    pub fn finish(&mut self, out: &mut impl ToolOutput) {
        let mut text = Vec::new();
        if !self.begun {
            self.begin(&mut text);
        }
        if self.family == Family::MySql && self.named {
            put!(text, "SET @@SESSION.GTID_NEXT= 'AUTOMATIC' /* added by mysqlbinlog */ {END}");
        }
        put!(text, "DELIMITER ;\n# End of log file\n");
        if self.family == Family::MariaDb {
            put!(text, "ROLLBACK /* added by mysqlbinlog */;\n");
        }
        put!(text, "/*!50003 SET COMPLETION_TYPE=@OLD_COMPLETION_TYPE*/;\n");
        put!(text, "/*!50530 SET @@SESSION.PSEUDO_SLAVE_MODE=0*/;\n");
        out.write(&text);
    }

    fn begin(&mut self, text: &mut Vec<u8>) {
        self.begun = true;
        if self.family == Family::MySql {
            put!(
                text,
                "# The proper term is pseudo_replica_mode, but we use this compatibility alias\n\
                 # to make the statement usable on server versions 8.0.24 and older.\n"
            );
        }
        put!(text, "/*!50530 SET @@SESSION.PSEUDO_SLAVE_MODE=1*/;\n");
        if self.family == Family::MariaDb {
            put!(text, "/*!40019 SET @@session.max_delayed_threads=0*/;\n");
        }
        put!(
            text,
            "/*!50003 SET @OLD_COMPLETION_TYPE=@@COMPLETION_TYPE,COMPLETION_TYPE=0*/;\n\
             DELIMITER /*!*/;\n"
        );
    }

    fn print(
        &mut self,
        raw: &RawEvent<'_>,
        event: &Event<'_>,
        format: &Format,
        shown: &Shown,
        text: &mut Vec<u8>,
        out: &mut impl ToolOutput,
    ) -> Result<(), Error> {
        let printed = match event {
            Event::Rows(rows) => self.rows(rows, shown, text, out),
            _ => self.print_other(raw, event, format, shown, text),
        };
        out.write(text);
        printed.map_err(|malformed| Error::malformed(raw.position, raw.header.kind, malformed))
    }

    fn print_other(
        &mut self,
        raw: &RawEvent<'_>,
        event: &Event<'_>,
        format: &Format,
        shown: &Shown,
        text: &mut Vec<u8>,
    ) -> Parsed<()> {
        let mysql = self.family == Family::MySql;
        match event {
            // Shown with -vv only.
            Event::RowsQuery(_) => return Ok(()),
            Event::Intvar { .. } | Event::Rand(..) | Event::UserVar(_) if mysql => {
                self.waiting.push(Waiting { shown: *shown, body: raw.body.to_vec() });
                self.waiting_bytes += raw.header.length as usize;
                if self.waiting_bytes <= TOOL_WAITING_BYTES_MAX {
                    return Ok(());
                }
                return self.waited(format, text);
            }
            Event::AnnotateRows(sql) => {
                self.annotation.clear();
                put_header(&mut self.annotation, &self.zone, shown);
                put_annotation(&mut self.annotation, sql);
                return Ok(());
            }
            Event::Query(_) if mysql => self.waited(format, text)?,
            Event::TableMap(_) => text.append(&mut self.annotation),
            Event::MySqlGtid(_) | Event::PreviousGtids(_) => self.named = true,
            _ => {}
        }
        put_header(text, &self.zone, shown);
        match event {
            Event::TableMap(map) => {
                put_table_map(text, self.family, map);
                self.tables.take(raw.body, format, |_| Interest::Rows)?;
            }
            Event::Query(query) => self.query(query, &shown.header, text)?,
            Event::ExecuteLoad(load) => self.load(load, &shown.header, text)?,
            Event::UserVar(variable) => put_user_var(text, variable, self.family)?,
            Event::MariaDbGtid(gtid) => self.session.gtid(gtid, &shown.header, text),
            _ => put_event(text, &self.zone, self.family, event, &shown.header),
        }
        Ok(())
    }

    fn rows(
        &mut self,
        event: &RowsEvent<'_>,
        shown: &Shown,
        text: &mut Vec<u8>,
        out: &mut impl ToolOutput,
    ) -> Parsed<()> {
        let head = match self.family {
            Family::MySql => &mut *text,
            Family::MariaDb => &mut self.heads,
        };
        put_header(head, &self.zone, shown);
        for part in ["\t", rows_name(shown.header.kind), ": table id "] {
            head.extend_from_slice(part.as_bytes());
        }
        push_number(head, event.table_id);
        put_rows_flags(head, event.flags, self.family);
        head.push(b'\n');
        let mut rows_text = std::mem::take(&mut self.rows_text);
        rows_text.clear();
        let printed = self.rows_of(event, &mut rows_text);
        let ends = event.flags & RowsEvent::FLAG_STATEMENT_END != 0;
        if ends || self.heads.len() > TOOL_HEADS_BYTES_MAX {
            text.append(&mut self.heads);
            if self.holds {
                out.hold(&rows_text);
                out.write(text);
                out.release();
            } else {
                out.write(text);
                out.write(&rows_text);
            }
            text.clear();
            self.holds = false;
        } else {
            out.hold(&rows_text);
            self.holds = true;
        }
        rows_text.clear();
        rows_text.shrink_to(ROWS_TEXT_BYTES_KEPT);
        self.rows_text = rows_text;
        if ends {
            self.tables.statement_ended = true;
            let rows = std::mem::take(&mut self.rows);
            if self.family == Family::MariaDb {
                put!(text, "# Number of rows: {rows}\n");
            }
        }
        printed
    }

    fn rows_of(&mut self, event: &RowsEvent<'_>, text: &mut Vec<u8>) -> Parsed<()> {
        // The end of a statement none of whose tables is logged.
        let Some(known) = self.tables.find(event.table_id) else {
            return match event.table_id {
                0x00ff_ffff | 0xffff_ffff_ffff => Ok(()),
                _ => Err(Malformed::new("its table map is not there")),
            };
        };
        let table = known.table.clone()?;
        let mut rows = event.rows(&table)?;
        let printed = write_rows(&mut rows, self.family, text);
        self.rows += rows.count()?;
        printed
    }

    fn query(&mut self, query: &Query<'_>, header: &Header, text: &mut Vec<u8>) -> Parsed<()> {
        let name = match header.kind {
            EventType::QUERY_COMPRESSED => "Query_compressed",
            _ => "Query",
        };
        let phase = self.session.query_head(name, query, header, self.family, text)?;
        // Not to be run: what it does depends on the other phase.
        text.extend_from_slice(if phase { b"### " } else { b"" });
        text.extend_from_slice(&query.sql);
        text.extend_from_slice(if phase { b"" } else { b"\n/*!*/;" });
        text.push(b'\n');
        Ok(())
    }

    fn load(&mut self, load: &LoadQuery<'_>, header: &Header, text: &mut Vec<u8>) -> Parsed<()> {
        self.session.query_head("Execute_load_query", &load.query, header, self.family, text)?;
        let (sql, start, end) = (&load.query.sql, load.name_start as usize, load.name_end as usize);
        let (Some(before), Some(after)) = (sql.get(..start), sql.get(end..)) else {
            return Err(Malformed::new("the name of its file is not in it"));
        };
        text.extend_from_slice(before);
        put!(text, " LOCAL INFILE '/tmp/SQL_LOAD_MB-{}-0'", load.file_id);
        if load.duplicates == 2 {
            text.extend_from_slice(b" REPLACE");
        }
        text.extend_from_slice(b" INTO");
        text.extend_from_slice(after);
        put!(text, "\n{END}# file_id: {} \n", load.file_id);
        Ok(())
    }

    /// What waited for a statement of MySQL.
    fn waited(&mut self, format: &Format, text: &mut Vec<u8>) -> Parsed<()> {
        self.waiting_bytes = 0;
        for Waiting { shown, body } in std::mem::take(&mut self.waiting) {
            let Shown { header, checksum } = shown;
            let raw = RawEvent { position: 0, header, body: &body, checksum };
            put_header(text, &self.zone, &shown);
            match raw.decode(format) {
                Ok(Event::UserVar(variable)) => self.session.user_var(&variable, text)?,
                Ok(event) => put_event(text, &self.zone, self.family, &event, &header),
                // They were read before.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// The events of a payload. They have neither positions nor checksums; MySQL's tool shows the end
    /// of the payload, and the checksum that they would have.
    fn payload(
        &mut self,
        raw: &RawEvent<'_>,
        payload: &Payload<'_>,
        format: &Format,
        out: &mut impl ToolOutput,
    ) -> Result<(), Error> {
        out.write(b"# Start of compressed events.\n");
        let wrong = |malformed| Error::malformed(raw.position, raw.header.kind, malformed);
        // Told by the position of the payload.
        let inner_error = |error| match error {
            Error::Malformed { event, malformed, .. } => {
                Error::malformed(raw.position, event, malformed)
            }
            _ => wrong(Malformed::new("an event in it is damaged")),
        };
        let mut reader = payload.reader().map_err(wrong)?;
        let mut framer = Framer::inside_payload(format);
        let end = raw.header.next_position;
        let with_checksums = format.checksum() == Checksum::Crc32;
        loop {
            let before = framer.position();
            match framer.next(reader.plain()).map_err(inner_error)? {
                Step::Event(event) => {
                    let inner = *framer.format();
                    let header = Header { next_position: end, ..event.header };
                    let checksum = with_checksums.then(|| inner_checksum(&event));
                    let mut text = format!("# at {end}\n").into_bytes();
                    // No payload stands in another one; what looks like it is not looked into.
                    let decoded = event.decode(&inner).map_err(inner_error)?;
                    let shown = Shown { header, checksum };
                    self.print(&event, &decoded, &inner, &shown, &mut text, out)
                        .map_err(inner_error)?;
                }
                Step::Incomplete { needed } => {
                    if !reader.fill(needed).map_err(wrong)? {
                        break;
                    }
                }
            }
            reader.consume((framer.position() - before) as usize);
        }
        out.write(b"# End of compressed events.\n");
        Ok(())
    }
}

/// The CRC32 of an event as if it had one: with four bytes more and no position.
fn inner_checksum(event: &RawEvent<'_>) -> u32 {
    let mut head = [0; HEADER_BYTES];
    head[..4].copy_from_slice(&event.header.timestamp.to_le_bytes());
    head[4] = event.header.kind.0;
    head[5..9].copy_from_slice(&event.header.server_id.to_le_bytes());
    head[9..13].copy_from_slice(&event.header.length.wrapping_add(4).to_le_bytes());
    head[17..].copy_from_slice(&event.header.flags.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    hasher.update(event.body);
    hasher.finalize()
}
