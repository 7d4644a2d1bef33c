//! What an event prints whatever came before it.

use std::io::Write;

use super::ToolZone;
use crate::event::Event;
use crate::format::{Family, Format};
use crate::frame::{FLAG_IN_USE, Header};
use crate::gtid::{Gtid, MySqlGtid, PreviousGtids, XaId, format_uuid};
use crate::kind::EventType;
use crate::literal::date_of_day;
use crate::short::{push_number, push_two};
use crate::table_map::TableMap;

/// `write!` to memory, which does not fail.
macro_rules! put {
    ($out:expr, $($what:tt)*) => {{
        let _ = write!($out, $($what)*);
    }};
}
pub(super) use put;

/// The end of a statement.
pub(super) const END: &str = "/*!*/;\n";

/// An event's header as it is shown: of those inside a payload, the end is that of the payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) header: Header,
    pub(super) checksum: Option<u32>,
}

pub(super) fn put_header(text: &mut Vec<u8>, zone: &impl ToolZone, shown: &Shown) {
    let header = &shown.header;
    text.push(b'#');
    put_time(text, zone, header.timestamp);
    text.extend_from_slice(b" server id ");
    push_number(text, header.server_id.into());
    text.extend_from_slice(b"  end_log_pos ");
    push_number(text, header.next_position.into());
    if let Some(checksum) = shown.checksum {
        text.extend_from_slice(b" CRC32 0x");
        text.extend(
            (0..8).rev().map(|digit| b"0123456789abcdef"[(checksum >> (digit * 4) & 15) as usize]),
        );
    }
    text.push(b' ');
}

/// `YYMMDD HH:MM:SS`.
fn put_time(text: &mut Vec<u8>, zone: &impl ToolZone, seconds: u32) {
    let (ahead, _) = zone.at(seconds as u64);
    let local = (seconds as i64 + ahead).max(0) as u64;
    let (day, clock) = ((local / 86_400) as u32, local % 86_400);
    let date = date_of_day(day);
    for part in [date.year as u32 % 100, date.month.into(), date.day.into()] {
        push_two(text, part);
    }
    let clock = clock as u32;
    // Hours have no zero in front of them.
    text.extend_from_slice(if clock < 36_000 { b"  " } else { b" " });
    push_number(text, (clock / 3600).into());
    for part in [clock / 60 % 60, clock % 60] {
        text.push(b':');
        push_two(text, part);
    }
}

fn put_start(text: &mut Vec<u8>, zone: &impl ToolZone, format: &Format, header: &Header) {
    text.extend_from_slice(b"\tStart: binlog v 4, server v ");
    text.extend_from_slice(format.server_version());
    text.extend_from_slice(b" created ");
    put_time(text, zone, if format.created() == 0 { header.timestamp } else { format.created() });
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

/// Events of which all that is printed stands in themselves.
pub(super) fn put_event(
    text: &mut Vec<u8>,
    zone: &impl ToolZone,
    family: Family,
    event: &Event<'_>,
    header: &Header,
) {
    match event {
        Event::FormatDescription(format) => put_start(text, zone, format, header),
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
        Event::MySqlGtid(gtid) => put_mysql_gtid(text, zone, gtid),
        Event::BinlogCheckpoint(file) => {
            text.extend_from_slice(b"\tBinlog checkpoint ");
            text.extend_from_slice(file);
            text.push(b'\n');
        }
        Event::Xid(xid) => {
            text.extend_from_slice(b"\tXid = ");
            push_number(text, *xid);
            text.extend_from_slice(b"\nCOMMIT");
            text.extend_from_slice(END.as_bytes());
        }
        Event::XaPrepare { one_phase, id } => {
            let name = xa_name(id);
            let shown = if family == Family::MariaDb { "XID =" } else { "XA PREPARE" };
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

fn put_mysql_gtid(text: &mut Vec<u8>, zone: &impl ToolZone, gtid: &MySqlGtid) {
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
        put_moment(text, zone, micros);
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
fn put_moment(text: &mut Vec<u8>, zone: &impl ToolZone, micros: u64) {
    let seconds = micros / 1_000_000;
    let (ahead, name) = zone.at(seconds);
    let local = (seconds as i64 + ahead).max(0) as u64;
    let (day, clock) = ((local / 86_400).min(u32::MAX as u64 / 2) as u32, local % 86_400);
    let (hours, minutes) = (clock / 3600, clock / 60 % 60);
    put!(text, "{} {hours:02}:{minutes:02}:{:02}.", date_of_day(day), clock % 60);
    put!(text, "{:06} {name}", micros % 1_000_000);
}

/// What a table map shows behind its header.
pub(super) fn put_table_map(text: &mut Vec<u8>, family: Family, map: &TableMap<'_>) {
    text.extend_from_slice(b"\tTable_map: ");
    match family {
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
    text.extend_from_slice(b" mapped to number ");
    push_number(text, map.table_id);
    if family == Family::MariaDb && map.flags & crate::Table::FLAG_HAS_TRIGGERS != 0 {
        text.extend_from_slice(b" (has triggers)");
    }
    text.push(b'\n');
    if family == Family::MySql {
        // TM_GENERATED_INVISIBLE_PK_F
        let generated = u8::from(map.flags & 0x04 != 0);
        put!(text, "# has_generated_invisible_primary_key={generated}\n");
    }
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

pub(super) fn put_annotation(text: &mut Vec<u8>, sql: &[u8]) {
    text.extend_from_slice(b"\tAnnotate_rows:\n");
    for line in sql.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty()) {
        text.extend_from_slice(b"#Q> ");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
}

pub(super) fn put_identifier(text: &mut Vec<u8>, name: &[u8]) {
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
pub(super) fn xa_name(id: &XaId<'_>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("X'{}',X'{}',{}", hex(id.global), hex(id.branch), id.format)
}

pub(super) fn rows_name(kind: EventType) -> &'static str {
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

pub(super) fn put_rows_flags(text: &mut Vec<u8>, flags: u16, family: Family) {
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
