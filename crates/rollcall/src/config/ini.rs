//! conntracker's configuration, read as it stands on its users' machines.
//!
//! ```text
//! [default]
//! AuditLogPath = /var/lib/mysql                    a folder, walked with its subfolders
//! SqlitePath = /var/lib/mysql/audit.sqlite
//! TimeFormatAudit = "20060102 15:04:05"            Go layouts
//! TimeFormatDB = "2006-01-02 15:04:05-07:00"
//! TimeLocation = Europe/Zurich
//! MaxWorkers = 4
//! LogLevel = ERROR                                 DEBUG INFO WARN ERROR
//! ```
//!
//! Keys are read without regard to case; `;` and `#` begin comments; values may stand in quotes.
//! Other keys and sections are named in a warning and left aside, so that a file that worked works.

use std::path::PathBuf;

use super::go_time::GoLayout;
use super::{Conntracker, LogLevel, THREADS_MAX};
use crate::time::Zone;

/// Whether a configuration is conntracker's rather than TOML: its first section is `[default]`, or
/// it sets `AuditLogPath` or `SqlitePath`.
pub(super) fn is_conntracker(text: &str) -> bool {
    let lines = || text.lines().map(str::trim);
    let first_section = lines().find(|line| line.starts_with('['));
    first_section.is_some_and(|line| line.eq_ignore_ascii_case("[default]"))
        || lines().filter_map(|line| line.split_once('=')).any(|(key, _)| {
            let key = key.trim();
            key.eq_ignore_ascii_case("AuditLogPath") || key.eq_ignore_ascii_case("SqlitePath")
        })
}

/// What was read of a file.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) settings: Conntracker,
    /// Keys and sections that are left aside.
    pub(super) warnings: Vec<String>,
    /// Settings that cannot be meant as they stand.
    pub(super) notes: Vec<String>,
}

/// Reads the file's text.
///
/// # Errors
/// A message with the line in front (`12: …`).
pub(super) fn parse(text: &str) -> Result<Parsed, String> {
    let Parsed { settings: mut read, mut warnings, mut notes } = Parsed::default();
    let mut in_default = true;
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let name = section.split(']').next().unwrap_or_default();
            in_default = name.eq_ignore_ascii_case("default");
            if !in_default {
                warnings.push(format!("{number}: section [{name}] is left aside"));
            }
            continue;
        }
        if !in_default {
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| format!("{number}: neither a section nor `key = value`"))?;
        if key.trim().eq_ignore_ascii_case("TimeFormatAudit")
            && GoLayout::new(unquoted(value)).is_ok_and(|layout| !is_read(&layout))
        {
            notes.push(format!(
                "{number}: TimeFormatAudit is {:?}, which no server writes: it is left aside, times are \
                 recognised by their form",
                unquoted(value)
            ));
        }
        if !set(&mut read, key.trim(), unquoted(value)).map_err(|it| format!("{number}: {it}"))? {
            warnings.push(format!("{number}: key {:?} is unknown, left aside", key.trim()));
        }
    }
    Ok(Parsed { settings: read, warnings, notes })
}

/// Whether records whose times are in this layout are read.
fn is_read(layout: &GoLayout) -> bool {
    #[derive(Default)]
    struct Events(usize);
    impl formats::Sink for Events {
        fn event(&mut self, _: formats::Span, _: &formats::Event<'_>) {
            self.0 += 1;
        }
        fn doubt(&mut self, _: formats::Span, _: formats::Doubt, _: &[u8]) {}
    }
    let time = layout.format(0, &jiff::tz::TimeZone::UTC);
    let record = format!("{time},db1,app,10.0.0.7,42,0,CONNECT,shop,,0\n");
    let mut events = Events::default();
    let mut reader = formats::Reader::new(formats::Dialect::ServerAudit);
    reader.read(record.as_bytes(), formats::Input::Ended, &mut events);
    events.0 == 1
}

/// The value without its quotes, or without a comment behind it.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\'', '`'] {
        if let Some((inside, _)) = value.strip_prefix(quote).and_then(|it| it.split_once(quote)) {
            return inside;
        }
    }
    let comment = value.find(" ;").into_iter().chain(value.find(" #")).min();
    comment.map_or(value, |at| value[..at].trim_end())
}

/// Whether the key is one of conntracker's.
fn set(read: &mut Conntracker, key: &str, value: &str) -> Result<bool, String> {
    let path = || match value {
        "" => Err(format!("{key} is empty: give a path, or take the line out")),
        path => Ok(Some(PathBuf::from(path))),
    };
    let zone = || Zone::parse(value).map_err(|it| format!("{key}: {it}"));
    let layout = || GoLayout::new(value).map_err(|it| format!("{key}: {it}"));
    match key.to_ascii_lowercase().as_str() {
        "auditlogpath" => read.audit_log_path = path()?,
        "sqlitepath" => read.sqlite_path = path()?,
        "timeformataudit" => read.audit_time = layout()?,
        "timeformatdb" => read.database_time = layout()?,
        "timelocation" if value.eq_ignore_ascii_case("local") => read.zone = None,
        "timelocation" => read.zone = Some(zone()?),
        "maxworkers" => {
            let count = value.parse().ok().filter(|it| (1..=THREADS_MAX).contains(it));
            let message = || format!("{key} is no number from 1 to {THREADS_MAX}: {value:?}");
            read.workers = Some(count.ok_or_else(message)?);
        }
        "loglevel" => {
            let message = || format!("{key} is {value:?}: write DEBUG, INFO, WARN or ERROR");
            read.log_level = LogLevel::parse(value).ok_or_else(message)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTED: &str = "[default]
AuditLogPath = /var/lib/mysql
SqlitePath = /var/lib/mysql/audit.sqlite
TimeFormatAudit = \"20060102 15:04:05\"
TimeFormatDB = \"2006-01-02 15:04:05-07:00\"
TimeLocation = Europe/Zurich
MaxWorkers = 4
LogLevel = ERROR
";

    #[test]
    fn the_documented_file_is_read() {
        assert!(is_conntracker(DOCUMENTED));
        let Parsed { settings: read, warnings, notes } = parse(DOCUMENTED).unwrap();
        assert_eq!((warnings, notes), (Vec::new(), Vec::new()));
        assert_eq!(read.audit_log_path, Some("/var/lib/mysql".into()));
        assert_eq!(read.sqlite_path, Some("/var/lib/mysql/audit.sqlite".into()));
        assert_eq!(read.audit_time, GoLayout::new("20060102 15:04:05").unwrap());
        assert_eq!(read.database_time, GoLayout::new("2006-01-02 15:04:05-07:00").unwrap());
        assert_eq!(read.zone.map(|it| it.name).as_deref(), Some("Europe/Zurich"));
        assert_eq!((read.workers, read.log_level), (Some(4), LogLevel::Error));
    }

    #[test]
    fn comments_case_and_line_ends_do_not_matter() {
        let text = "; old\r\n[DEFAULT]\r\nauditlogpath='/a b' ; note\r\nLOGLEVEL = debug # note\r\n\
                    New = 1\r\n[other]\r\nwhatever\r\n";
        let Parsed { settings: read, warnings, .. } = parse(text).unwrap();
        assert_eq!(read.audit_log_path, Some("/a b".into()));
        assert_eq!(read.log_level, LogLevel::Debug);
        assert_eq!(read.audit_time, Conntracker::default().audit_time);
        let expected =
            ["5: key \"New\" is unknown, left aside", "6: section [other] is left aside"];
        assert_eq!(warnings, expected);
    }

    #[test]
    fn errors_name_line_and_remedy() {
        for (line, words) in [
            ("AuditLogPath =", "2: AuditLogPath is empty"),
            ("MaxWorkers = 0", "2: MaxWorkers is no number from 1 to 256"),
            ("MaxWorkers = 257", "2: MaxWorkers is no number from 1 to 256"),
            ("LogLevel = loud", "DEBUG, INFO, WARN or ERROR"),
            ("TimeLocation = Nowhere", "2: TimeLocation: no time zone"),
            ("TimeFormatDB = YYYY", "2: TimeFormatDB: \"YYYY\" is no Go time layout"),
            ("nonsense", "2: neither a section nor"),
        ] {
            let error = parse(&format!("[default]\n{line}\n")).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert!(parse("[default]\nMaxWorkers = 256\n").is_ok());
    }

    #[test]
    fn times_that_no_server_writes_are_told() {
        let notes = |layout| parse(&format!("TimeFormatAudit = \"{layout}\"\n")).unwrap().notes;
        assert_eq!(notes("2006-01-02T15:04:05"), Vec::<String>::new());
        let expected = "1: TimeFormatAudit is \"02.01.06 15h\", which no server writes: it is left \
            aside, times are recognised by their form";
        assert_eq!(notes("02.01.06 15h"), [expected]);
    }

    #[test]
    fn toml_is_not_taken_for_ini() {
        assert!(!is_conntracker("ledger = \"/x\"\n[[server]]\nname = \"db1\"\n"));
        assert!(!is_conntracker(""));
        assert!(is_conntracker("SqlitePath=/x"));
    }
}
