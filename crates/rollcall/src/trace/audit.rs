//! Audit logs, read as often as they are needed: records to what `verdict::trace` joins.

use std::path::{Path, PathBuf};

use formats::{Dialect, Doubt, Event, Input, Kind, RECORD_BYTES_MAX, Reader, Sink, Span};
use jiff::tz::TimeZone;
use ledger::LocalClock;
use source::OpenFile;
use verdict::trace::{AuditKind, AuditRecord, LoginEvidence};

/// Bytes asked for at once.
const STEP_BYTES: usize = 128 << 10;

/// Logs of one server, oldest first.
#[derive(Debug, Default)]
pub(crate) struct AuditLogs {
    files: Vec<(OpenFile, Dialect)>,
    zone: Option<TimeZone>,
    /// What could not be used.
    pub(crate) failed: Vec<String>,
}

/// Is told of records; the event as well, for what the record leaves out.
pub(crate) type Tell<'a> = dyn FnMut(&AuditRecord<'_>, &Event<'_>) + 'a;

impl AuditLogs {
    /// Finds the logs that the paths name.
    pub(crate) fn open(paths: &[PathBuf], dialect: Option<Dialect>, zone: TimeZone) -> AuditLogs {
        let mut logs = AuditLogs { zone: Some(zone), ..AuditLogs::default() };
        if paths.iter().any(|path| path == Path::new("-")) {
            logs.failed.push("--audit-log is read more than once: name files instead of -".into());
            return logs;
        }
        let detect = |head: &[u8]| dialect.or_else(|| formats::detect(head));
        let found = source::discover(paths, &detect);
        logs.failed.extend(found.failures.iter().map(|it| it.reason.to_string()));
        for set in found.sets {
            let usual = set.files.iter().rev().find_map(|file| file.detected);
            for file in set.files {
                match OpenFile::open_found(&file.path) {
                    Ok(open) => {
                        let dialect = file.detected.or(usual).unwrap_or(Dialect::ServerAudit);
                        logs.files.push((open, dialect));
                    }
                    Err(error) => logs.failed.push(error.to_string()),
                }
            }
        }
        logs
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Tells all records in the order of the logs; those of files that were last changed before `from`
    /// (microseconds UTC) are passed over. How much could not be read: lines, and messages.
    pub(crate) fn each(&self, from: i64, tell: &mut Tell<'_>) -> (u64, Vec<String>) {
        let (mut doubts, mut failed) = (0, Vec::new());
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        for (file, dialect) in &self.files {
            if file.facts().modified < from {
                continue;
            }
            let clock = LocalClock::new(zone.clone(), file.facts().modified);
            let source = match dialect {
                Dialect::AuditLogin => LoginEvidence::AuditLogin,
                _ => LoginEvidence::Audit,
            };
            let mut records = Records { clock, source, tell, doubts: 0 };
            if let Err(error) = read(file, *dialect, &mut records) {
                failed.push(error.to_string());
            }
            doubts += records.doubts;
        }
        (doubts, failed)
    }
}

fn read(
    file: &OpenFile,
    dialect: Dialect,
    records: &mut Records<'_, '_>,
) -> Result<(), source::Error> {
    let mut stream = file.stream(0)?;
    let mut reader = Reader::new(dialect);
    let mut buffer = vec![0; STEP_BYTES];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize((buffer.len() * 2).min(RECORD_BYTES_MAX + STEP_BYTES), 0);
        }
        let (length, ended) = match stream.read(&mut buffer[filled..]) {
            Ok(length) => (length, None),
            Err(error) if error.ends_stream() => (0, Some(error)),
            Err(error) => return Err(error),
        };
        filled += length;
        // An unfinished last line is being written, or was cut: it is no record yet.
        let used = reader.read(&buffer[..filled], Input::Open, records);
        buffer.copy_within(used..filled, 0);
        filled -= used;
        match (length, ended) {
            (0, Some(error)) => return Err(error),
            (0, None) => return Ok(()),
            _ => {}
        }
    }
}

struct Records<'a, 't> {
    clock: LocalClock,
    source: LoginEvidence,
    tell: &'a mut Tell<'t>,
    doubts: u64,
}

impl Sink for Records<'_, '_> {
    fn event(&mut self, _: Span, event: &Event<'_>) {
        let kind = match event.kind {
            Kind::Connect => AuditKind::Connect,
            Kind::Failed => AuditKind::Failed,
            Kind::Disconnect => AuditKind::Disconnect,
            Kind::ChangeUser => AuditKind::ChangeUser,
            Kind::Query => AuditKind::Query,
            Kind::Read | Kind::Write | Kind::Create | Kind::Alter | Kind::Drop | Kind::Rename => {
                AuditKind::Table
            }
            Kind::ProxyConnect | Kind::AuditConfig => return,
        };
        let record = AuditRecord {
            at: self.clock.utc(event.time),
            server: event.server,
            connection: event.connection,
            query: event.query,
            kind,
            user: event.peer.user(),
            host: event.peer.host(),
            port: event.port,
            error: event.error,
            text: if kind == AuditKind::Query { event.object } else { b"" },
            source: self.source,
        };
        (self.tell)(&record, event);
    }

    fn doubt(&mut self, _: Span, _: Doubt, _: &[u8]) {
        self.doubts += 1;
    }
}
