//! What the session that runs the text has been set to, and what sets it.

use std::io::Write;

use super::lines::{END, put, put_identifier, xa_name};
use crate::bytes::Cut;
use crate::collations::{charset_name, collation_name};
use crate::decimal::{self, Decimal};
use crate::error::{Malformed, Parsed};
use crate::event::{UserValue, UserVar};
use crate::format::Family;
use crate::frame::{FLAG_THREAD_SPECIFIC, Header};
use crate::gtid::MariaDbGtid;
use crate::query::{Query, Variable};
use crate::text::push_general;

/// Flag of an event: its statement needs no `USE` (`LOG_EVENT_SUPPRESS_USE_F`).
const FLAG_SUPPRESS_USE: u16 = 0x0008;

/// What the session that runs the text has been set to.
#[derive(Debug, Default)]
pub(super) struct Session {
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
    alter_phase: bool,
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
            Variable::AlterPhase { flags, .. } => told.alter_phase = flags & 0x0e != 0,
            _ => {}
        })?;
        Ok(told)
    }
}

impl Session {
    /// What stands before a statement's text. True for a phase of a two-phase ALTER (MariaDB).
    pub(super) fn query_head(
        &mut self,
        name: &str,
        query: &Query<'_>,
        header: &Header,
        family: Family,
        text: &mut Vec<u8>,
    ) -> Parsed<bool> {
        let told = Told::read(query)?;
        put!(
            text,
            "\t{name}\tthread_id={}\texec_time={}\terror_code={}",
            query.thread_id,
            query.seconds,
            query.error
        );
        match (family, told.ddl_xid) {
            (Family::MariaDb, _) => put!(text, "\txid={}", told.xid.unwrap_or(0)),
            (Family::MySql, Some(xid)) => put!(text, "\tXid = {xid}"),
            (Family::MySql, None) => {}
        }
        text.push(b'\n');
        self.database(query, header, text);
        put!(text, "SET TIMESTAMP={}", header.timestamp);
        if told.microseconds != 0 {
            put!(text, ".{:06}", told.microseconds);
        }
        text.extend_from_slice(END.as_bytes());
        let specific = header.flags & FLAG_THREAD_SPECIFIC != 0;
        match self.thread {
            Some(thread) if !specific || thread == query.thread_id => {}
            _ => {
                self.thread = Some(query.thread_id);
                put!(text, "SET @@session.pseudo_thread_id={}{END}", query.thread_id);
            }
        }
        self.variables(&told, family, text);
        Ok(told.alter_phase)
    }

    /// MariaDB's GTID event.
    pub(super) fn gtid(&mut self, gtid: &MariaDbGtid<'_>, header: &Header, text: &mut Vec<u8>) {
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
        if self.allow_parallel.replace(parallel) != Some(parallel) {
            let skip = u8::from(!parallel);
            put!(text, "/*M!100101 SET @@session.skip_parallel_replication={skip}*/{END}");
        }
        if self.domain.replace(gtid.domain) != Some(gtid.domain) {
            put!(text, "/*M!100001 SET @@session.gtid_domain_id={}*/{END}", gtid.domain);
        }
        if self.server_id.replace(header.server_id) != Some(header.server_id) {
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
        if let Some(charset) = told.charset
            && self.charset.replace(charset) != Some(charset)
        {
            put_charset(text, charset, family);
        }
        self.collations(told, text);
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
    pub(super) fn user_var(&mut self, variable: &UserVar<'_>, text: &mut Vec<u8>) -> Parsed<()> {
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

/// A variable as MariaDB prints it.
pub(super) fn put_user_var(
    text: &mut Vec<u8>,
    variable: &UserVar<'_>,
    family: Family,
) -> Parsed<()> {
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
