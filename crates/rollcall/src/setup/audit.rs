//! `rollcall setup audit`: the audit log that rollcall reads, switched on.
//!
//! MariaDB brings the plugin `server_audit`: it is loaded, told to write logins at least (whatever else
//! it writes already stays), to keep a day of them, and switched on last. What is so already is left
//! out where the server's variables are known; where they are not, the statements look for themselves.
//!
//! MySQL's community server has no audit log plugin: the script says what there is instead.
//!
//! # Facts
//! * `server_audit_events` empty means all events (seen on 10.11 and 11.8).
//! * By default the plugin keeps nine files of 1 MB beside the live one: some 50,000 logins.
//! * The digits of a rotated file's suffix are those of `server_audit_file_rotations`: another number of
//!   digits leaves the files of before as they are.

use verdict::account::Family;

use super::script::Script;
use super::server::ServerFacts;

/// The size at which a file is rotated, in bytes.
const FILE_BYTES: u64 = 100_000_000;

/// How many rotated files are kept where nobody told how much is written.
const ROTATIONS: u64 = 20;

/// The most rotated files the plugin keeps (`server_audit_file_rotations`).
const ROTATIONS_MAX: u64 = 999;

/// What is wanted of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AuditOptions {
    /// Also what `rollcall trace` needs to name the author of every change.
    pub(crate) trace: bool,
    /// How many bytes of audit log a day brings, where somebody knows.
    pub(crate) bytes_per_day: Option<u64>,
}

/// What to send, and what to write into the option file.
pub(crate) fn audit(server: &ServerFacts, options: AuditOptions) -> Script {
    match server.version.family {
        Family::MariaDb => mariadb(server, options),
        Family::MySql => mysql(server),
    }
}

/// Rotated files: how large, how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rotation {
    file_bytes: u64,
    files: u64,
}

impl Rotation {
    /// The least that holds a day. The live file does not count: it may just have been begun.
    fn for_a_day(bytes_per_day: Option<u64>) -> Rotation {
        let bytes = bytes_per_day.unwrap_or(0);
        let steps = bytes.div_ceil(FILE_BYTES * ROTATIONS_MAX).max(1);
        let file_bytes = FILE_BYTES.saturating_mul(steps);
        Rotation { file_bytes, files: bytes.div_ceil(file_bytes).max(ROTATIONS) }
    }

    fn bytes(self) -> u64 {
        self.file_bytes.saturating_mul(self.files)
    }
}

/// What the server does with its files now.
enum Rotating {
    /// Nobody told.
    Unknown,
    /// It rotates none itself, or writes none.
    Elsewhere(&'static str),
    To(Rotation),
}

fn rotating(server: &ServerFacts) -> Rotating {
    let Some(variables) = &server.variables else { return Rotating::Unknown };
    let text = |name: &str| variables.get(name).map(String::as_str);
    if text("server_audit_output_type").is_some_and(|it| it.eq_ignore_ascii_case("syslog")) {
        return Rotating::Elsewhere(
            "Records go to syslog: how long they are kept is decided there.",
        );
    }
    let number = |name: &str| text(name).and_then(|it| it.parse::<u64>().ok());
    match (number("server_audit_file_rotate_size"), number("server_audit_file_rotations")) {
        (_, Some(0)) => Rotating::Elsewhere(
            "The plugin rotates nothing (server_audit_file_rotations is 0): that stays so; see that \
             logrotate keeps a day at least.",
        ),
        (Some(file_bytes), Some(files)) => Rotating::To(Rotation { file_bytes, files }),
        _ => Rotating::Unknown,
    }
}

/// Stands for all events.
const ALL: &str = "*";

/// The events to be written: what is there already, and what is wanted.
struct Events {
    wanted: &'static [&'static str],
    /// What is set: [`ALL`], names, or nothing; `None` where nobody told.
    now: Option<String>,
}

impl Events {
    fn kept(&self) -> impl Iterator<Item = &str> {
        let names = self.now.as_deref().unwrap_or_default().split(',').map(str::trim);
        names.filter(|name| !name.is_empty())
    }

    fn has(&self, event: &str) -> bool {
        self.kept().any(|it| it == ALL || it.eq_ignore_ascii_case(event))
    }

    /// All there should be.
    fn all(&self) -> String {
        let missing = self.wanted.iter().copied().filter(|event| !self.has(event));
        missing.chain(self.kept()).collect::<Vec<_>>().join(",")
    }
}

fn mariadb(server: &ServerFacts, options: AuditOptions) -> Script {
    let mut script = Script::default();
    script.note(server.heading("The audit log"));
    if server.version.text.to_ascii_lowercase().contains("enterprise") {
        script.note(
            "MariaDB Enterprise has filters of its own (mysql.server_audit_filters): see that none \
             leaves CONNECT out for anybody.",
        );
    }
    match server.variable("server_audit_logging") {
        Some(Some(_)) => {}
        Some(None) => script.sql(
            "Loads the plugin now and at every start. Its log is server_audit.log in the data folder.",
            "INSTALL SONAME 'server_audit'",
        ),
        None => script.sql(
            "Loads the plugin now and at every start, where it is not there. Its log is \
             server_audit.log in the data folder.",
            "INSTALL PLUGIN IF NOT EXISTS server_audit SONAME 'server_audit'",
        ),
    }
    let wanted: &[&str] = if options.trace { &["CONNECT", "QUERY"] } else { &["CONNECT"] };
    let is_on = server.variable("server_audit_logging") == Some(Some("ON"));
    let now = server.variable("server_audit_events").map(|now| match now {
        // Empty means all, where it was chosen. A plugin that was only loaded has it, too.
        None | Some("") if !is_on => String::new(),
        None | Some("") => ALL.to_owned(),
        Some(now) => now.to_owned(),
    });
    let events = Events { wanted, now };
    set_events(&mut script, &events, options);
    let rotation = set_rotation(&mut script, server, options);
    if !is_on {
        script.sql(
            "Last, so that nothing is written elsewhere or rotated away before. If the log cannot be \
             opened it stays off without an error: SHOW GLOBAL STATUS LIKE 'Server_audit_active'.",
            "SET GLOBAL server_audit_logging = ON",
        );
    }
    if script.sends_nothing() {
        script.note("The log is on, and nothing is to be sent.");
    }
    let mut why = "So that it outlives the next restart.".to_owned();
    if server.variables.is_none() {
        why += " With what SHOW GLOBAL VARIABLES LIKE 'server_audit%' tells by then.";
    }
    let path = "/etc/mysql/mariadb.conf.d/99-rollcall.cnf (or /etc/my.cnf.d/)";
    script.options(why, path, option_lines(&events.all(), rotation));
    script.note("Then: rollcall scan, or rollcall watch. What they read is never changed.");
    script
}

fn set_events(script: &mut Script, events: &Events, options: AuditOptions) {
    let why = match options.trace {
        false => {
            "Logins and refusals: the least that rollcall needs, and little. What is written \
            already stays."
        }
        true => {
            "Logins, and statements, which carry the query id that a row of the binary log is \
            traced by: up to MariaDB 11.4 QUERY_DML_NO_SELECT is not enough for it (a SELECT may own \
            the id). The log grows with every statement. What is written already stays."
        }
    };
    if events.now.is_none() {
        let now = "@@GLOBAL.server_audit_events";
        let add = |event: &&str| format!("IF(FIND_IN_SET('{event}', {now}), '', ',{event}')");
        let added: Vec<String> = events.wanted.iter().map(add).collect();
        script.sql(
            format!("{why} Empty means all events: that stays where the log is on."),
            format!(
                "SET GLOBAL server_audit_events = CASE\n  \
                 WHEN {now} = '' AND @@GLOBAL.server_audit_logging THEN ''\n  \
                 WHEN {now} = '' THEN '{}'\n  \
                 ELSE CONCAT({now}, {}) END",
                events.wanted.join(","),
                added.join(", ")
            ),
        );
    } else if events.wanted.iter().all(|event| events.has(event)) {
        script.note("server_audit_events has all that is needed, and stays as it is.");
    } else {
        script.sql(why, format!("SET GLOBAL server_audit_events = '{}'", events.all()));
    }
}

/// Sees that a day is kept; what is to stand in the option file, `None` where nothing is.
fn set_rotation(
    script: &mut Script,
    server: &ServerFacts,
    options: AuditOptions,
) -> Option<Rotation> {
    let wanted = Rotation::for_a_day(options.bytes_per_day);
    match rotating(server) {
        Rotating::Elsewhere(why) => {
            script.note(why);
            return None;
        }
        Rotating::To(now) if now.bytes() >= wanted.bytes() => {
            script.note(format!(
                "{} rotated files of {} bytes hold {}: that stays.",
                now.files,
                now.file_bytes,
                enough(options)
            ));
            return Some(now);
        }
        Rotating::To(_) | Rotating::Unknown => {}
    }
    script.sql(
        format!(
            "Room for {}; by default it is nine files of 1 MB, about 50,000 logins, and what is rotated \
             away before it is read is lost.",
            enough(options)
        ),
        match &server.variables {
            Some(_) => format!("SET GLOBAL server_audit_file_rotate_size = {}", wanted.file_bytes),
            None => format!(
                "SET GLOBAL server_audit_file_rotate_size =\n  \
                 GREATEST(@@GLOBAL.server_audit_file_rotate_size, {})",
                wanted.file_bytes
            ),
        },
    );
    script.sql(
        format!(
            "Up to {} GB of disk in all. Files that were rotated under a number with fewer digits stay \
             where they are: delete them once they are read. 0 means that others rotate it, and stays.",
            wanted.bytes().div_ceil(1_000_000_000)
        ),
        match &server.variables {
            Some(_) => format!("SET GLOBAL server_audit_file_rotations = {}", wanted.files),
            None => format!(
                "SET GLOBAL server_audit_file_rotations = IF(@@GLOBAL.server_audit_file_rotations = 0, \
                 0,\n  GREATEST(@@GLOBAL.server_audit_file_rotations, {}))",
                wanted.files
            ),
        },
    );
    Some(wanted)
}

fn enough(options: AuditOptions) -> String {
    match options.bytes_per_day {
        Some(bytes) => format!("a day of {} MB", bytes.div_ceil(1_000_000)),
        None => "a day on most servers (--bytes-per-day tells yours)".to_owned(),
    }
}

fn option_lines(events: &str, rotation: Option<Rotation>) -> Vec<String> {
    let mut lines = [
        "[mariadbd]",
        "plugin_load_add = server_audit",
        "# Without the plugin the server does not start, and nobody can uninstall it while it runs:",
        "# so no login goes unseen. ON instead starts the server without audit where the plugin fails.",
        "server_audit = FORCE_PLUS_PERMANENT",
        "server_audit_logging = ON",
    ]
    .map(str::to_owned)
    .to_vec();
    match events {
        ALL => lines.push("# server_audit_events is not set: all events are written.".to_owned()),
        events => lines.push(format!("server_audit_events = {events}")),
    }
    if let Some(rotation) = rotation {
        lines.push(format!("server_audit_file_rotate_size = {}", rotation.file_bytes));
        lines.push(format!("server_audit_file_rotations = {}", rotation.files));
    }
    lines
}

fn mysql(server: &ServerFacts) -> Script {
    let mut script = Script::default();
    script.note(server.heading("The audit log"));
    script.note(
        "MySQL's community server has no audit log plugin, and MariaDB's does not load in it. rollcall \
         does not read the audit logs of MySQL Enterprise and Percona Server. What there is instead:",
    );
    script.note(
        "1. An access log table, filled at every login through init_connect: who, from where, and the \
         account that matched; not of administrators, and no refusals. rollcall setup init-connect",
    );
    let login = server.present.as_ref().and_then(|it| it.plugin("SIMPLE_LOGIN_AUDIT"));
    script.note(match login {
        Some(it) if it.status == "ACTIVE" => {
            "2. The login plugin audit_login.so, which is installed already: logins and refusals of all."
        }
        _ => {
            "2. The login plugin audit_login.so, which writes a line for each login and refusal, of \
             administrators too: rollcall setup plugin"
        }
    });
    script.note("3. The error log, for refused logins: rollcall does not read it, people can.");
    let verbosity = server.variable("log_error_verbosity").flatten();
    if verbosity.is_some_and(|it| it == "3") {
        script.note("log_error_verbosity is 3, which is enough for it: nothing is to be sent.");
    } else if server.is_at_least(8, 0) {
        script.sql(
            "\"Access denied for user …\" is a note, and notes are written from verbosity 3 on.",
            "SET PERSIST log_error_verbosity = 3",
        );
    }
    script
}

#[cfg(test)]
mod tests {
    use super::super::script::Part;
    use super::super::server::tests::server;
    use super::*;

    fn with(variables: &str) -> ServerFacts {
        let text = format!("version\t10.11.6-MariaDB\n{variables}");
        ServerFacts::told(None, None, Some(&text)).unwrap()
    }

    fn sql(script: &Script) -> Vec<&str> {
        let sql = script.parts.iter().filter_map(|part| match part {
            Part::Sql(statement) => Some(statement.sql.as_str()),
            _ => None,
        });
        sql.collect()
    }

    const LOADED: &str = "server_audit_logging\tOFF\nserver_audit_file_rotate_size\t1000000\n\
        server_audit_file_rotations\t9\nserver_audit_output_type\tfile\n";

    #[test]
    fn what_is_known_to_be_absent_is_installed() {
        let script = audit(&with(""), AuditOptions::default());
        assert_eq!(
            sql(&script),
            [
                "INSTALL SONAME 'server_audit'",
                "SET GLOBAL server_audit_events = 'CONNECT'",
                "SET GLOBAL server_audit_file_rotate_size = 100000000",
                "SET GLOBAL server_audit_file_rotations = 20",
                "SET GLOBAL server_audit_logging = ON",
            ]
        );
        insta::assert_snapshot!(script.option_text(), @r"
        [mariadbd]
        plugin_load_add = server_audit
        # Without the plugin the server does not start, and nobody can uninstall it while it runs:
        # so no login goes unseen. ON instead starts the server without audit where the plugin fails.
        server_audit = FORCE_PLUS_PERMANENT
        server_audit_logging = ON
        server_audit_events = CONNECT
        server_audit_file_rotate_size = 100000000
        server_audit_file_rotations = 20
        ");
    }

    #[test]
    fn events_that_are_there_stay() {
        let check = |now: &str, trace, expected: Option<&str>, in_file: &str| {
            let on = LOADED.replace("OFF", "ON");
            let server = with(&format!("{on}server_audit_events\t{now}\n"));
            let script = audit(&server, AuditOptions { trace, ..AuditOptions::default() });
            let set = sql(&script).into_iter().find(|it| it.contains("server_audit_events"));
            let expected = expected.map(|it| format!("SET GLOBAL server_audit_events = '{it}'"));
            assert_eq!(set, expected.as_deref(), "{now}");
            assert!(script.option_text().contains(in_file), "{now}");
        };
        check("CONNECT", false, None, "server_audit_events = CONNECT\n");
        check("connect, TABLE", false, None, "server_audit_events = connect,TABLE\n");
        check("", true, None, "# server_audit_events is not set");
        check("QUERY_DDL,TABLE", false, Some("CONNECT,QUERY_DDL,TABLE"), "= CONNECT,QUERY_DDL");
        check("CONNECT", true, Some("QUERY,CONNECT"), "= QUERY,CONNECT\n");
        check("QUERY_DML", true, Some("CONNECT,QUERY,QUERY_DML"), "= CONNECT,QUERY,QUERY_DML\n");
    }

    #[test]
    fn a_plugin_that_was_only_loaded_is_not_left_at_all_events() {
        let script =
            audit(&with(&format!("{LOADED}server_audit_events\t\n")), AuditOptions::default());
        assert_eq!(sql(&script)[0], "SET GLOBAL server_audit_events = 'CONNECT'");
        assert_eq!(*sql(&script).last().unwrap(), "SET GLOBAL server_audit_logging = ON");
    }

    #[test]
    fn a_day_is_kept() {
        let check = |bytes, file_bytes, files| {
            assert_eq!(Rotation::for_a_day(bytes), Rotation { file_bytes, files }, "{bytes:?}");
        };
        check(None, FILE_BYTES, ROTATIONS);
        check(Some(0), FILE_BYTES, ROTATIONS);
        check(Some(20 * FILE_BYTES), FILE_BYTES, 20);
        check(Some(20 * FILE_BYTES + 1), FILE_BYTES, 21);
        check(Some(ROTATIONS_MAX * FILE_BYTES), FILE_BYTES, ROTATIONS_MAX);
        check(Some(ROTATIONS_MAX * FILE_BYTES + 1), 2 * FILE_BYTES, 500);
        for bytes in [u64::MAX, u64::MAX - 1, 1 << 50] {
            let rotation = Rotation::for_a_day(Some(bytes));
            assert!(rotation.bytes() >= bytes && rotation.files <= ROTATIONS_MAX, "{bytes}");
        }
    }

    #[test]
    fn rotation_is_never_lessened() {
        let check = |variables: &str, words: &str| {
            let text = format!("server_audit_logging\tON\n{variables}");
            let script = audit(&with(&text), AuditOptions::default());
            assert!(sql(&script).iter().all(|it| !it.contains("rotat")), "{variables}");
            assert!(script.text().contains(words), "{}", script.text());
        };
        let size = "server_audit_file_rotate_size\t";
        let files = "server_audit_file_rotations\t";
        check(&format!("{size}1000000000\n{files}9\n"), "server_audit_file_rotations = 9");
        check(&format!("{size}1000000\n{files}0\n"), "logrotate keeps a day");
        check("server_audit_output_type\tsyslog\n", "Records go to syslog");
    }

    #[test]
    fn what_is_not_known_is_looked_up_by_the_statement() {
        let script = audit(&server("10.11.6-MariaDB"), AuditOptions::default());
        assert_eq!(sql(&script)[0], {
            "INSTALL PLUGIN IF NOT EXISTS server_audit SONAME 'server_audit'"
        });
        assert!(sql(&script)[1].contains("FIND_IN_SET('CONNECT'"));
        assert_eq!(*sql(&script).last().unwrap(), "SET GLOBAL server_audit_logging = ON");
    }

    #[test]
    fn mysql_is_told_nothing_that_fails() {
        let script = audit(&server("8.4.0"), AuditOptions { trace: true, ..Default::default() });
        assert_eq!(sql(&script), ["SET PERSIST log_error_verbosity = 3"]);
        assert!(script.text().contains("rollcall setup init-connect"));
        assert!(sql(&audit(&server("5.7.44"), AuditOptions::default())).is_empty());
    }
}
