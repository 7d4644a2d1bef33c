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

use std::io::Write;

use crate::bytes::Cut;
use crate::collations::{charset_name, collation_name};
use crate::decimal::{self, Decimal};
use crate::error::{Error, Malformed, Parsed};
use crate::event::{Event, UserValue, UserVar};
use crate::format::{Family, Format};
use crate::frame::{
    FLAG_IN_USE, FLAG_THREAD_SPECIFIC, Framer, HEADER_BYTES, Header, RawEvent, Step,
};
use crate::gtid::{Gtid, MariaDbGtid, MySqlGtid, PreviousGtids, XaId, format_uuid};
use crate::kind::EventType;
use crate::literal::date_of_day;
use crate::payload::Payload;
use crate::query::{LoadQuery, Query, Variable};
use crate::rows::RowsEvent;
use crate::table_map::TableMap;
use crate::tables::{Interest, Tables};
use crate::text::{push_general, write_rows};

/// Flag of an event: its statement needs no `USE` (`LOG_EVENT_SUPPRESS_USE_F`).
const FLAG_SUPPRESS_USE: u16 = 0x0008;

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
/// let log = include_bytes!("../../../tests/fixtures/binlog/mysql-9.7-no-checksum.binlog");
/// let (mut framer, mut out) = (Framer::new(), ToolBuffer::default());
/// let mut tool = ToolText::new(ToolUtc);
/// while let Step::Event(event) = framer.next(&log[framer.position() as usize..])? {
///     tool.event(&event, framer.format(), &mut out)?;
/// }
/// tool.finish(&mut out);
/// let theirs = include_bytes!("../../../tests/fixtures/binlog/mysql-9.7-no-checksum.text");
/// assert_eq!(out.text, theirs);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ToolText<Z = ToolUtc> {
    zone: Z,
    family: Family,
    begun: bool,
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
    /// MySQL: a transaction was given a name.
    named: bool,
    text: Vec<u8>,
}

/// An event that waits, whole.
#[derive(Debug)]
struct Waiting {
    header: Header,
    checksum: Option<u32>,
    body: Vec<u8>,
}

/// What the session that runs the text has been set to.
#[derive(Debug, Default)]
struct Session {
    database: Vec<u8>,
    thread: Option<u32>,
    flags2: Option<u32>,
    sql_mode: Option<u64>,
    auto_increment: (u16, u16),
    charset: Option<(u16, u16, u16)>,
    time_zone: Vec<u8>,
    time_names: Option<u16>,
    charset_database: Option<u16>,
    utf8mb4_collation: Option<u16>,
    allow_parallel: Option<bool>,
    domain: Option<u32>,
    server_id: Option<u32>,
}

/// The variables of a statement.
#[derive(Debug, Default)]
struct Told<'a> {
    flags2: Option<u32>,
    sql_mode: Option<u64>,
    auto_increment: Option<(u16, u16)>,
    charset: Option<(u16, u16, u16)>,
    time_zone: &'a [u8],
    time_names: u16,
    charset_database: u16,
    microseconds: u32,
    utf8mb4_collation: Option<u16>,
    explicit_defaults: Option<bool>,
    require_primary_key: Option<bool>,
    table_encryption: Option<bool>,
    collations: &'a [u8],
    xid: Option<u64>,
    ddl_xid: Option<u64>,
}

/// `write!` to memory, which does not fail.
macro_rules! put {
    ($out:expr, $($what:tt)*) => {{
        let _ = write!($out, $($what)*);
    }};
}

/// The end of a statement.
const END: &str = "/*!*/;\n";

impl<Z: ToolZone> ToolText<Z> {
    /// At the beginning of a log.
    pub fn new(zone: Z) -> Self {
        ToolText {
            zone,
            family: Family::MySql,
            begun: false,
            session: Session::default(),
            tables: Tables::default(),
            heads: Vec::new(),
            rows: 0,
            annotation: Vec::new(),
            waiting: Vec::new(),
            named: false,
            text: Vec::new(),
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
        let place = raw.position;
        self.print(raw, format, place, raw.header.next_position, raw.checksum, out)
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

    /// `place`, `end` and `checksum` are what is shown as such: events inside a payload have none.
    fn print(
        &mut self,
        raw: &RawEvent<'_>,
        format: &Format,
        place: u64,
        end: u32,
        checksum: Option<u32>,
        out: &mut impl ToolOutput,
    ) -> Result<(), Error> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        self.family = format.family();
        if !self.begun {
            self.begin(&mut text);
        }
        put!(text, "# at {place}\n");
        // A log without checksums has room for one behind its format description.
        let checksum = checksum
            .filter(|_| format.checksum() == crate::Checksum::Crc32 || place != raw.position);
        let printed = match raw.decode(format) {
            Ok(event) => self
                .decoded(
                    raw,
                    &event,
                    format,
                    Header { next_position: end, ..raw.header },
                    checksum,
                    &mut text,
                    out,
                )
                .map_err(|malformed| Error::malformed(raw.position, raw.header.kind, malformed)),
            Err(error) => Err(error),
        };
        out.write(&text);
        self.text = text;
        printed?;
        match raw.decode(format) {
            Ok(Event::TransactionPayload(payload)) => self.payload(raw, &payload, format, out),
            _ => Ok(()),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn decoded(
        &mut self,
        raw: &RawEvent<'_>,
        event: &Event<'_>,
        format: &Format,
        header: Header,
        checksum: Option<u32>,
        text: &mut Vec<u8>,
        out: &mut impl ToolOutput,
    ) -> Parsed<()> {
        let mysql = self.family == Family::MySql;
        let waits = matches!(event, Event::Intvar { .. } | Event::Rand(..) | Event::UserVar(_));
        if mysql && waits {
            self.waiting.push(Waiting { header, checksum, body: raw.body.to_vec() });
            return Ok(());
        }
        if mysql && matches!(event, Event::Query(_)) {
            self.waited(format, text)?;
        }
        match event {
            // Shown with -vv only.
            Event::RowsQuery(_) => return Ok(()),
            Event::AnnotateRows(sql) => {
                let mut annotation = std::mem::take(&mut self.annotation);
                annotation.clear();
                self.header(&header, checksum, &mut annotation);
                put_annotation(&mut annotation, sql);
                self.annotation = annotation;
                return Ok(());
            }
            Event::TableMap(map) => {
                text.append(&mut self.annotation);
                self.header(&header, checksum, text);
                return self.table_map(raw, map, format, text);
            }
            Event::Rows(rows) => return self.rows(raw, rows, &header, checksum, text, out),
            _ => {}
        }
        self.header(&header, checksum, text);
        match event {
            Event::Query(query) => self.query(query, &header, format, text)?,
            Event::ExecuteLoad(load) => self.load(load, &header, format, text)?,
            Event::UserVar(variable) => put_user_var(text, variable, self.family)?,
            Event::MariaDbGtid(gtid) => self.mariadb_gtid(gtid, &header, text),
            Event::MySqlGtid(gtid) => self.mysql_gtid(gtid, text),
            _ => self.simple(event, &header, text),
        }
        Ok(())
    }

    /// Events of which all that is printed stands in themselves.
    fn simple(&mut self, event: &Event<'_>, header: &Header, text: &mut Vec<u8>) {
        match event {
            Event::FormatDescription(format) => self.start(format, header, text),
            Event::Rotate { position, file } => {
                text.extend_from_slice(b"\tRotate to ");
                text.extend_from_slice(file);
                put!(text, "  pos: {position}\n");
            }
            Event::Stop => put!(text, "\tStop\n"),
            Event::GtidList(list) => {
                let names: Vec<String> = list.iter().map(|gtid| gtid.to_string()).collect();
                put!(text, "\tGtid list [{}]\n", names.join(",\n# "));
            }
            Event::PreviousGtids(gtids) => put_previous(text, gtids),
            Event::BinlogCheckpoint(file) => {
                text.extend_from_slice(b"\tBinlog checkpoint ");
                text.extend_from_slice(file);
                text.push(b'\n');
            }
            Event::Xid(xid) => put!(text, "\tXid = {xid}\nCOMMIT{END}"),
            Event::XaPrepare { one_phase, id } => {
                let name = xa_name(id);
                let shown = if self.family == Family::MariaDb { "XID =" } else { "XA PREPARE" };
                put!(text, "\t{shown} {name}\n");
                match one_phase {
                    true => put!(text, "XA COMMIT {name} ONE PHASE\n{END}"),
                    false => put!(text, "XA PREPARE {name}\n{END}"),
                }
            }
            Event::Intvar { kind, value } => put_intvar(text, *kind, *value),
            Event::Rand(one, two) => put_rand(text, *one, *two),
            Event::BeginLoad { file_id, block } => {
                put!(text, "\n#Begin_load_query: file_id: {file_id}  block_len: {}\n", block.len());
            }
            Event::AppendBlock { file_id, block } => {
                put!(text, "\n#Append_block: file_id: {file_id}  block_len: {}\n", block.len());
            }
            Event::DeleteFile { file_id } => put!(text, "\n#Delete_file: file_id={file_id}\n"),
            Event::TransactionPayload(payload) => {
                let kind = if payload.compression == 0 { "ZSTD" } else { "NONE" };
                put!(
                    text,
                    "\tTransaction_Payload\t\tpayload_size={}\tcompression_type={kind}\t\
                     uncompressed_size={}\n",
                    payload.bytes.len(),
                    payload.plain_bytes
                );
            }
            _ => text.push(b'\n'),
        }
    }

    fn header(&self, header: &Header, checksum: Option<u32>, text: &mut Vec<u8>) {
        text.push(b'#');
        self.time(header.timestamp, text);
        put!(text, " server id {}  end_log_pos {}", header.server_id, header.next_position);
        if let Some(checksum) = checksum {
            put!(text, " CRC32 0x{checksum:08x}");
        }
        text.push(b' ');
    }

    /// `YYMMDD HH:MM:SS`.
    fn time(&self, seconds: u32, text: &mut Vec<u8>) {
        let (ahead, _) = self.zone.at(seconds as u64);
        let local = (seconds as i64 + ahead).max(0) as u64;
        let (day, clock) = ((local / 86_400) as u32, local % 86_400);
        let date = date_of_day(day);
        put!(text, "{:02}{:02}{:02} ", date.year % 100, date.month, date.day);
        put!(text, "{:2}:{:02}:{:02}", clock / 3600, clock / 60 % 60, clock % 60);
    }

    fn start(&mut self, format: &Format, header: &Header, text: &mut Vec<u8>) {
        text.extend_from_slice(b"\tStart: binlog v 4, server v ");
        text.extend_from_slice(format.server_version());
        text.extend_from_slice(b" created ");
        self.time(if format.created() == 0 { header.timestamp } else { format.created() }, text);
        if format.created() != 0 {
            text.extend_from_slice(b" at startup");
        }
        text.push(b'\n');
        if header.flags & FLAG_IN_USE != 0 {
            put!(text, "# Warning: this binlog is either in use or was not closed properly.\n");
        }
        if format.created() != 0 {
            put!(text, "ROLLBACK{END}");
        }
    }

    fn mariadb_gtid(&mut self, gtid: &MariaDbGtid<'_>, header: &Header, text: &mut Vec<u8>) {
        put!(text, "\tGTID {}-{}-{}", gtid.domain, header.server_id, gtid.sequence);
        if let Some(id) = gtid.commit_id {
            put!(text, " cid={id}");
        }
        for (flag, word) in [(MariaDbGtid::FLAG_DDL, " ddl"), (4, " trans"), (16, " waited")] {
            if gtid.flags & flag != 0 {
                text.extend_from_slice(word.as_bytes());
            }
        }
        let sequence = gtid.alter_sequence.unwrap_or(0);
        if gtid.flags_extra & 0x02 != 0 {
            text.extend_from_slice(b" START ALTER");
        }
        if gtid.flags_extra & 0x04 != 0 {
            put!(text, " COMMIT ALTER id= {sequence}");
        }
        if gtid.flags_extra & 0x08 != 0 {
            put!(text, " ROLLBACK ALTER id= {sequence}");
        }
        if let Some(thread) = gtid.thread_id {
            put!(text, " thread_id={thread}");
        }
        text.push(b'\n');
        let parallel = gtid.flags & 0x08 != 0;
        if self.session.allow_parallel.replace(parallel) != Some(parallel) {
            let skip = u8::from(!parallel);
            put!(text, "/*M!100101 SET @@session.skip_parallel_replication={skip}*/{END}");
        }
        if self.session.domain.replace(gtid.domain) != Some(gtid.domain) {
            put!(text, "/*M!100001 SET @@session.gtid_domain_id={}*/{END}", gtid.domain);
        }
        if self.session.server_id.replace(header.server_id) != Some(header.server_id) {
            put!(text, "/*M!100001 SET @@session.server_id={}*/{END}", header.server_id);
        }
        put!(text, "/*M!100001 SET @@session.gtid_seq_no={}*/{END}", gtid.sequence);
        if gtid.flags & MariaDbGtid::FLAG_PREPARED_XA != 0 {
            let name = gtid.xa.as_ref().map_or_else(String::new, xa_name);
            put!(text, "XA START {name}{END}");
        } else if gtid.flags & MariaDbGtid::FLAG_STANDALONE == 0 {
            put!(text, "START TRANSACTION\n{END}");
        }
    }

    fn mysql_gtid(&mut self, gtid: &MySqlGtid, text: &mut Vec<u8>) {
        self.named = true;
        let rows_only = gtid.flags & 1 == 0;
        let (original, immediate) =
            (gtid.original_committed_us.unwrap_or(0), gtid.committed_us.unwrap_or(0));
        put!(
            text,
            "\t{}\tlast_committed={}\tsequence_number={}\trbr_only={}\t\
             original_committed_timestamp={original}\timmediate_commit_timestamp={immediate}\t\
             transaction_length={}\n",
            if gtid.gtid.is_some() { "GTID" } else { "Anonymous_GTID" },
            gtid.last_committed,
            gtid.sequence_number,
            if rows_only { "yes" } else { "no" },
            gtid.transaction_bytes,
        );
        if rows_only {
            put!(text, "/*!50718 SET TRANSACTION ISOLATION LEVEL READ COMMITTED*/{END}");
        }
        for (name, micros) in [("original", original), ("immediate", immediate)] {
            put!(text, "# {name}_commit_timestamp={micros} (");
            self.moment(micros, text);
            text.extend_from_slice(b")\n");
        }
        put!(text, "/*!80001 SET @@session.original_commit_timestamp={original}*/{END}");
        let (original, immediate) = (gtid.original_server_version, gtid.server_version);
        put!(text, "/*!80014 SET @@session.original_server_version={original}*/{END}");
        put!(text, "/*!80014 SET @@session.immediate_server_version={immediate}*/{END}");
        match gtid.gtid {
            Some(gtid @ Gtid::MySql { .. }) => {
                put!(text, "SET @@SESSION.GTID_NEXT= '{gtid}'{END}");
            }
            _ => put!(text, "SET @@SESSION.GTID_NEXT= 'ANONYMOUS'{END}"),
        }
    }

    /// `YYYY-MM-DD HH:MM:SS.micros ZONE`.
    fn moment(&self, micros: u64, text: &mut Vec<u8>) {
        let seconds = micros / 1_000_000;
        let (ahead, zone) = self.zone.at(seconds);
        let local = (seconds as i64 + ahead).max(0) as u64;
        let (day, clock) = ((local / 86_400).min(u32::MAX as u64 / 2) as u32, local % 86_400);
        let (hours, minutes) = (clock / 3600, clock / 60 % 60);
        put!(text, "{} {hours:02}:{minutes:02}:{:02}.", date_of_day(day), clock % 60);
        put!(text, "{:06} {zone}", micros % 1_000_000);
    }

    fn table_map(
        &mut self,
        raw: &RawEvent<'_>,
        map: &TableMap<'_>,
        format: &Format,
        text: &mut Vec<u8>,
    ) -> Parsed<()> {
        text.extend_from_slice(b"\tTable_map: ");
        match self.family {
            Family::MariaDb => {
                put_identifier(text, map.database);
                text.push(b'.');
                put_identifier(text, map.table);
            }
            // As they are.
            Family::MySql => {
                text.extend_from_slice(&[b"`", map.database, b"`.`", map.table, b"`"].concat());
            }
        }
        put!(text, " mapped to number {}", map.table_id);
        if self.family == Family::MariaDb && map.flags & crate::Table::FLAG_HAS_TRIGGERS != 0 {
            text.extend_from_slice(b" (has triggers)");
        }
        text.push(b'\n');
        if self.family == Family::MySql {
            // TM_GENERATED_INVISIBLE_PK_F
            let generated = u8::from(map.flags & 0x04 != 0);
            put!(text, "# has_generated_invisible_primary_key={generated}\n");
        }
        self.tables.take(raw.body, format, |_| Interest::Rows)
    }

    fn rows(
        &mut self,
        raw: &RawEvent<'_>,
        event: &RowsEvent<'_>,
        header: &Header,
        checksum: Option<u32>,
        text: &mut Vec<u8>,
        out: &mut impl ToolOutput,
    ) -> Parsed<()> {
        let ends = event.flags & RowsEvent::FLAG_STATEMENT_END != 0;
        let mut head = Vec::new();
        self.header(header, checksum, &mut head);
        put!(head, "\t{}: table id {}", rows_name(raw.header.kind), event.table_id);
        put_rows_flags(&mut head, event.flags, self.family);
        head.push(b'\n');
        match self.family {
            Family::MySql => text.append(&mut head),
            Family::MariaDb => self.heads.append(&mut head),
        }
        let printed = self.held_rows(event, out);
        if ends {
            self.tables.statement_ended = true;
            text.append(&mut self.heads);
            out.write(text);
            text.clear();
            out.release();
            let rows = std::mem::take(&mut self.rows);
            if self.family == Family::MariaDb {
                put!(text, "# Number of rows: {rows}\n");
            }
        }
        printed
    }

    fn held_rows(&mut self, event: &RowsEvent<'_>, out: &mut impl ToolOutput) -> Parsed<()> {
        // The end of a statement none of whose tables is logged.
        let Some(known) = self.tables.find(event.table_id) else {
            return match event.table_id {
                0x00ff_ffff | 0xffff_ffff_ffff => Ok(()),
                _ => Err(Malformed::new("its table map is not there")),
            };
        };
        let table = known.table.clone()?;
        let mut rows = event.rows(&table)?;
        let mut text = Vec::new();
        let printed = write_rows(&mut rows, self.family, &mut text);
        out.hold(&text);
        self.rows += rows.count()?;
        printed
    }

    fn query(
        &mut self,
        query: &Query<'_>,
        header: &Header,
        format: &Format,
        text: &mut Vec<u8>,
    ) -> Parsed<()> {
        let name = match header.kind {
            EventType::QUERY_COMPRESSED => "Query_compressed",
            _ => "Query",
        };
        self.query_head(name, query, header, format, text)?;
        text.extend_from_slice(&query.sql);
        put!(text, "\n{END}");
        Ok(())
    }

    fn load(
        &mut self,
        load: &LoadQuery<'_>,
        header: &Header,
        format: &Format,
        text: &mut Vec<u8>,
    ) -> Parsed<()> {
        self.query_head("Execute_load_query", &load.query, header, format, text)?;
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

    fn query_head(
        &mut self,
        name: &str,
        query: &Query<'_>,
        header: &Header,
        format: &Format,
        text: &mut Vec<u8>,
    ) -> Parsed<()> {
        let told = Told::read(query)?;
        put!(
            text,
            "\t{name}\tthread_id={}\texec_time={}\terror_code={}",
            query.thread_id,
            query.seconds,
            query.error
        );
        match (format.family(), told.ddl_xid) {
            (Family::MariaDb, _) => put!(text, "\txid={}", told.xid.unwrap_or(0)),
            (Family::MySql, Some(xid)) => put!(text, "\tXid = {xid}"),
            (Family::MySql, None) => {}
        }
        text.push(b'\n');
        self.session.database(query, header, text);
        put!(text, "SET TIMESTAMP={}", header.timestamp);
        if told.microseconds != 0 {
            put!(text, ".{:06}", told.microseconds);
        }
        text.extend_from_slice(END.as_bytes());
        let specific = header.flags & FLAG_THREAD_SPECIFIC != 0;
        match self.session.thread {
            Some(thread) if !specific || thread == query.thread_id => {}
            _ => {
                self.session.thread = Some(query.thread_id);
                put!(text, "SET @@session.pseudo_thread_id={}{END}", query.thread_id);
            }
        }
        self.session.variables(&told, format.family(), text);
        Ok(())
    }

    /// What waited for a statement of MySQL.
    fn waited(&mut self, format: &Format, text: &mut Vec<u8>) -> Parsed<()> {
        for waiting in std::mem::take(&mut self.waiting) {
            let Waiting { header, checksum, body } = waiting;
            let raw = RawEvent { position: 0, header, body: &body, checksum };
            self.header(&header, checksum, text);
            match raw.decode(format) {
                Ok(Event::UserVar(variable)) => self.session.user_var(&variable, text)?,
                Ok(event) => self.simple(&event, &header, text),
                Err(Error::Malformed { malformed, .. }) => return Err(malformed),
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
        let mut reader = payload.reader().map_err(wrong)?;
        let mut framer = Framer::inside_payload(format);
        let end = raw.header.next_position;
        loop {
            let before = framer.position();
            match framer.next(reader.plain())? {
                Step::Event(event) => {
                    let inner = *framer.format();
                    let checksum = inner_checksum(&event);
                    self.print(&event, &inner, end as u64, end, Some(checksum), out)?;
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

impl<'a> Told<'a> {
    fn read(query: &Query<'a>) -> Parsed<Self> {
        let mut told = Told::default();
        query.variables.read(|variable| match variable {
            Variable::Flags2(bits) => told.flags2 = Some(bits),
            Variable::SqlMode(mode) => told.sql_mode = Some(mode),
            Variable::AutoIncrement(step, start) => told.auto_increment = Some((step, start)),
            Variable::Charset(client, connection, server) => {
                told.charset = Some((client, connection, server));
            }
            Variable::TimeZone(zone) => told.time_zone = zone,
            Variable::TimeNames(number) => told.time_names = number,
            Variable::CharsetDatabase(number) => told.charset_database = number,
            Variable::Microseconds(micros) => told.microseconds = micros,
            Variable::Utf8mb4Collation(number) => told.utf8mb4_collation = Some(number),
            Variable::ExplicitDefaults(explicit) => told.explicit_defaults = Some(explicit),
            Variable::RequirePrimaryKey(required) => told.require_primary_key = Some(required),
            Variable::TableEncryption(encrypted) => told.table_encryption = Some(encrypted),
            Variable::CollationsOfCharsets(pairs) => told.collations = pairs,
            Variable::Xid(xid) => told.xid = Some(xid),
            Variable::DdlXid(xid) => told.ddl_xid = Some(xid),
            _ => {}
        })?;
        Ok(told)
    }
}

impl Session {
    fn database(&mut self, query: &Query<'_>, header: &Header, text: &mut Vec<u8>) {
        let keyword = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "XA "]
            .iter()
            .any(|words| query.sql.starts_with(words.as_bytes()));
        if header.flags & FLAG_SUPPRESS_USE != 0 {
            if !keyword {
                self.database.clear();
            }
        } else if self.database != query.database {
            self.database = query.database.to_vec();
            if !query.database.is_empty() {
                text.extend_from_slice(b"use ");
                put_identifier(text, query.database);
                text.extend_from_slice(END.as_bytes());
            }
        }
    }

    fn variables(&mut self, told: &Told<'_>, family: Family, text: &mut Vec<u8>) {
        if let Some(flags) = told.flags2 {
            self.flags(flags, family, text);
        }
        if let Some(mode) = told.sql_mode
            && self.sql_mode.replace(mode) != Some(mode)
        {
            put!(text, "SET @@session.sql_mode={mode}{END}");
        }
        let (step, start) = told.auto_increment.unwrap_or((1, 1));
        if self.auto_increment != (step, start) {
            self.auto_increment = (step, start);
            put!(text, "SET @@session.auto_increment_increment={step}, ");
            put!(text, "@@session.auto_increment_offset={start}{END}");
        }
        self.collations(told, text);
        if let Some(charset) = told.charset
            && self.charset.replace(charset) != Some(charset)
        {
            put_charset(text, charset, family);
        }
        if !told.time_zone.is_empty() && self.time_zone != told.time_zone {
            self.time_zone = told.time_zone.to_vec();
            text.extend_from_slice(b"SET @@session.time_zone='");
            text.extend_from_slice(told.time_zone);
            put!(text, "'{END}");
        }
        if self.time_names.replace(told.time_names) != Some(told.time_names) {
            put!(text, "SET @@session.lc_time_names={}{END}", told.time_names);
        }
        if self.charset_database.replace(told.charset_database) != Some(told.charset_database) {
            match told.charset_database {
                0 => put!(text, "SET @@session.collation_database=DEFAULT{END}"),
                number => put!(text, "SET @@session.collation_database={number}{END}"),
            }
        }
        if let Some(explicit) = told.explicit_defaults {
            let number = u8::from(explicit);
            put!(text, "SET @@session.explicit_defaults_for_timestamp={number}{END}");
        }
        if let Some(number) = told.utf8mb4_collation
            && self.utf8mb4_collation.replace(number) != Some(number)
        {
            put!(text, "/*!80011 SET @@session.default_collation_for_utf8mb4={number}*/{END}");
        }
        if let Some(required) = told.require_primary_key {
            let number = u8::from(required);
            put!(text, "/*!80013 SET @@session.sql_require_primary_key={number}*/{END}");
        }
        if let Some(encrypted) = told.table_encryption {
            let number = u8::from(encrypted);
            put!(text, "/*!80016 SET @@session.default_table_encryption={number}*/{END}");
        }
    }

    /// The bits of `flags2`, and whether a set one is `off` (MariaDB `sql/sql_class.h`, `OPTION_…`).
    fn flags(&mut self, flags: u32, family: Family, text: &mut Vec<u8>) {
        const OPTIONS: [(u32, bool, &str); 8] = [
            (26, true, "foreign_key_checks"),
            (14, false, "sql_auto_is_null"),
            (27, true, "unique_checks"),
            (19, true, "autocommit"),
            (15, true, "check_constraint_checks"),
            (28, false, "sql_if_exists"),
            (24, false, "explicit_defaults_for_timestamp"),
            (30, false, "system_versioning_insert_history"),
        ];
        let known = if family == Family::MariaDb { 8 } else { 4 };
        let changed = self.flags2.replace(flags).map_or(u32::MAX, |before| before ^ flags);
        if changed == 0 {
            return;
        }
        let mut between = "";
        text.extend_from_slice(b"SET ");
        for (bit, inverted, name) in &OPTIONS[..known] {
            if changed >> bit & 1 == 1 {
                let value = (flags >> bit & 1 == 1) != *inverted;
                put!(text, "{between}@@session.{name}={}", u8::from(value));
                between = ", ";
            }
        }
        text.extend_from_slice(END.as_bytes());
    }

    fn collations(&self, told: &Told<'_>, text: &mut Vec<u8>) {
        if told.collations.is_empty() {
            return;
        }
        let pairs: Vec<String> = told
            .collations
            .as_chunks::<4>()
            .0
            .iter()
            .map(|[a, b, c, d]| {
                let charset = charset_name(u16::from_le_bytes([*a, *b]) as u32);
                let collation = collation_name(u16::from_le_bytes([*c, *d]) as u32);
                format!("{}={}", charset.unwrap_or_default(), collation.unwrap_or_default())
            })
            .collect();
        put!(text, "SET @@session.character_set_collations='{}'{END}", pairs.join(","));
    }

    /// A variable as MySQL prints it: in UTF-8, and back to what was set before.
    fn user_var(&mut self, variable: &UserVar<'_>, text: &mut Vec<u8>) -> Parsed<()> {
        text.extend_from_slice(b"\tUser_var\n");
        // The connection keeps what a number was set under.
        let connection = match &variable.value {
            Some(value) if value.kind != 0 => value.collation as u16,
            _ => 33,
        };
        put_charset(text, (33, connection, 33), Family::MySql);
        put_variable(text, variable, Family::MySql)?;
        if let Some(charset) = self.charset {
            put_charset(text, charset, Family::MySql);
        }
        Ok(())
    }
}

fn put_charset(text: &mut Vec<u8>, (client, connection, server): (u16, u16, u16), family: Family) {
    let name = charset_name(client as u32);
    if let Some(name) = &name {
        put!(text, "/*!\\C {name} */{END}");
    }
    match (family, name) {
        (Family::MariaDb, Some(name)) => put!(text, "SET @@session.character_set_client={name},"),
        _ => put!(text, "SET @@session.character_set_client={client},"),
    }
    put!(text, "@@session.collation_connection={connection},");
    put!(text, "@@session.collation_server={server}{END}");
}

fn put_user_var(text: &mut Vec<u8>, variable: &UserVar<'_>, family: Family) -> Parsed<()> {
    text.extend_from_slice(b"\tUser_var\n");
    put_variable(text, variable, family)
}

fn put_variable(text: &mut Vec<u8>, variable: &UserVar<'_>, family: Family) -> Parsed<()> {
    text.extend_from_slice(b"SET @");
    put_identifier(text, variable.name);
    text.extend_from_slice(b":=");
    match &variable.value {
        None => text.extend_from_slice(b"NULL"),
        Some(value) => put_user_value(text, value, family)?,
    }
    text.extend_from_slice(END.as_bytes());
    Ok(())
}

fn put_user_value(text: &mut Vec<u8>, value: &UserValue<'_>, family: Family) -> Parsed<()> {
    let mut cut = Cut::new(value.bytes);
    match value.kind {
        0 => {
            let (Some(charset), Some(collation)) =
                (charset_name(value.collation), collation_name(value.collation))
            else {
                text.extend_from_slice(b"???");
                return Ok(());
            };
            let (begin, end) = match family {
                _ if value.bytes.is_empty() => ("\"", "\""),
                Family::MariaDb => ("X'", "'"),
                Family::MySql => ("0x", ""),
            };
            put!(text, "_{charset} {begin}");
            for byte in value.bytes {
                put!(text, "{byte:02X}");
            }
            put!(text, "{end} COLLATE `{collation}`");
        }
        1 => push_general(text, f64::from_le_bytes(cut.array()?), 14),
        2 if value.unsigned => put!(text, "{}", cut.u64()?),
        2 => put!(text, "{}", cut.u64()? as i64),
        4 => {
            let (precision, scale) = (cut.u8()?, cut.u8()?);
            let digits = cut.take(decimal::length(precision, scale)? as usize)?;
            Decimal::new(digits, precision, scale).write(text);
        }
        _ => return Err(Malformed::new("a variable is of an unknown type")),
    }
    Ok(())
}

fn put_intvar(text: &mut Vec<u8>, kind: u8, value: u64) {
    let name = match kind {
        1 => "LAST_INSERT_ID",
        2 => "INSERT_ID",
        _ => "INVALID_INT",
    };
    put!(text, "\tIntvar\nSET {name}={value}{END}");
}

fn put_rand(text: &mut Vec<u8>, one: u64, two: u64) {
    put!(text, "\tRand\nSET @@RAND_SEED1={one}, @@RAND_SEED2={two}{END}");
}

fn put_annotation(text: &mut Vec<u8>, sql: &[u8]) {
    text.extend_from_slice(b"\tAnnotate_rows:\n");
    for line in sql.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty()) {
        text.extend_from_slice(b"#Q> ");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
}

fn put_identifier(text: &mut Vec<u8>, name: &[u8]) {
    text.push(b'`');
    for &byte in name {
        text.push(byte);
        if byte == b'`' {
            text.push(byte);
        }
    }
    text.push(b'`');
}

fn put_previous(text: &mut Vec<u8>, gtids: &PreviousGtids<'_>) {
    text.extend_from_slice(b"\tPrevious-GTIDs\n# ");
    let ranges = gtids.ranges();
    if ranges.is_empty() {
        text.extend_from_slice(b"[empty]");
    }
    let mut before: Option<&crate::GtidRange> = None;
    for range in &ranges {
        match before {
            Some(last) if last.uuid == range.uuid && last.tag == range.tag => {}
            Some(last) if last.uuid == range.uuid => {
                put!(text, ":{}", range.tag.as_bytes().escape_ascii());
            }
            _ => {
                text.extend_from_slice(if before.is_some() { b",\n# " } else { b"" });
                put!(text, "{}", format_uuid(&range.uuid));
                if !range.tag.as_bytes().is_empty() {
                    put!(text, ":{}", range.tag.as_bytes().escape_ascii());
                }
            }
        }
        put!(text, ":{}", range.first);
        if range.last > range.first {
            put!(text, "-{}", range.last);
        }
        before = Some(range);
    }
    text.push(b'\n');
}

/// `X'676c6f62616c',X'6272616e6368',7`.
fn xa_name(id: &XaId<'_>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("X'{}',X'{}',{}", hex(id.global), hex(id.branch), id.format)
}

fn rows_name(kind: EventType) -> &'static str {
    match kind {
        EventType::WRITE_ROWS_COMPRESSED_V1 | EventType::WRITE_ROWS_COMPRESSED => {
            "Write_compressed_rows"
        }
        EventType::UPDATE_ROWS_COMPRESSED_V1 | EventType::UPDATE_ROWS_COMPRESSED => {
            "Update_compressed_rows"
        }
        EventType::DELETE_ROWS_COMPRESSED_V1 | EventType::DELETE_ROWS_COMPRESSED => {
            "Delete_compressed_rows"
        }
        EventType::WRITE_ROWS_V1 => "Write_rows",
        EventType::UPDATE_ROWS_V1 => "Update_rows",
        EventType::DELETE_ROWS_V1 => "Delete_rows",
        other => other.name(),
    }
}

fn put_rows_flags(text: &mut Vec<u8>, flags: u16, family: Family) {
    const NAMES: [&str; 5] = [
        " STMT_END_F",
        " NO_FOREIGN_KEY_CHECKS_F",
        " RELAXED_UNIQUE_CHECKS_F",
        " COMPLETE_ROWS_F",
        " USE_SQL_FOREIGN_KEY_F",
    ];
    let known = if family == Family::MariaDb { 1 } else { 5 };
    let mut first = " flags:";
    for (bit, name) in NAMES[..known].iter().enumerate() {
        if flags >> bit & 1 == 1 {
            put!(text, "{first}{name}");
            first = "";
        }
    }
}
