//! Whether logins are noted, and kept until they are read.

use super::{Finding, Level, Reading, Server};

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// Logs that hold less than this before they are rotated away lose a night when a scan fails.
const HISTORY_MIN: i64 = DAY;

/// How long a log may stay unread where its rotation is not known.
const UNREAD_MAX: i64 = DAY;

/// A log file that could be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFile {
    /// Its path.
    pub path: String,
    /// Its permissions, as `0640`.
    pub mode: u32,
    /// Statements with secrets in them: byte offset, and what kind.
    pub leaks: Vec<(u64, &'static str)>,
    /// How many more of them.
    pub further_leaks: u64,
    /// How many bytes at its end were looked at for secrets.
    pub looked_at: u64,
}

pub(super) fn audit(server: &Server<'_>, reading: &Reading<'_>) -> Vec<Finding> {
    if !server.is_mariadb() {
        return mysql(server);
    }
    const NOBODY: &str = "no login is noted";
    let has = server.plugins.iter().any(|it| it == "SERVER_AUDIT");
    if !has {
        let what = "the plugin server_audit is not loaded";
        return vec![
            Finding::new("audit-missing", Level::Error, what, NOBODY)
                .mended_by("rollcall setup audit"),
        ];
    }
    let mut findings = Vec::new();
    if !server.is_on("server_audit_logging") {
        findings.push(
            Finding::new("audit-off", Level::Error, "server_audit_logging is OFF", NOBODY)
                .mended_by("SET GLOBAL server_audit_logging = ON"),
        );
    }
    let events = server.variable("server_audit_events").to_ascii_uppercase();
    if !events.is_empty() && !events.split(',').any(|it| it.trim() == "CONNECT") {
        let what = format!("server_audit_events is {events}, without CONNECT");
        findings.push(
            Finding::new("audit-events", Level::Error, what, NOBODY)
                .mended_by(format!("SET GLOBAL server_audit_events = 'CONNECT,{events}'")),
        );
    }
    let failed = server.counter("server_audit_writes_failed");
    if failed > 0 {
        let what = format!("the audit log could not be written {failed} times");
        findings.push(
            Finding::new("audit-writes-failed", Level::Error, what, "records are lost")
                .mended_by("df -h, then SET GLOBAL server_audit_file_rotate_now = ON"),
        );
    }
    let active = server.status.get("server_audit_active");
    if active.is_some_and(|it| it.eq_ignore_ascii_case("OFF")) && findings.is_empty() {
        let what = "the audit log is on and not written: its file cannot be opened";
        findings.push(Finding::new("audit-not-active", Level::Error, what, NOBODY).mended_by(
            "SELECT @@server_audit_file_path; then SET GLOBAL it to a path that is there",
        ));
    }
    findings.extend(rotation(server, reading));
    let for_tracing = events.is_empty() || events.split(',').any(|it| it.trim() == "QUERY");
    if !for_tracing {
        findings.push(
            Finding::new(
                "audit-no-statements",
                Level::Info,
                "statements are not in the audit log",
                "which session changed a row can be told by its text alone, not exactly",
            )
            .mended_by("SET GLOBAL server_audit_events = 'CONNECT,QUERY'"),
        );
    }
    findings
}

fn mysql(server: &Server<'_>) -> Vec<Finding> {
    let writes = |it: &&String| it.contains("AUDIT");
    if server.plugins.iter().any(|it| writes(&it)) || server.snapshot.has_init_connect {
        return Vec::new();
    }
    let what = "this MySQL has no audit log, no login plugin and no init_connect";
    vec![
        Finding::new("audit-missing", Level::Error, what, "no login is noted")
            .mended_by("rollcall setup init-connect"),
    ]
}

/// How far back the log reaches before it is rotated away.
fn rotation(server: &Server<'_>, reading: &Reading<'_>) -> Option<Finding> {
    if server.variable("server_audit_output_type").eq_ignore_ascii_case("syslog") {
        return None;
    }
    let size = server.number("server_audit_file_rotate_size")?;
    let files = server.number("server_audit_file_rotations")?;
    let held = size.saturating_mul(files.saturating_add(1));
    let history = history(held, reading.bytes_a_day?);
    (history < HISTORY_MIN).then(|| {
        let what = format!(
            "{files} rotated files of {size} bytes hold {} at {} bytes a day",
            hours(history),
            reading.bytes_a_day.unwrap_or_default()
        );
        let more = reading.bytes_a_day.unwrap_or_default().max(100_000_000);
        Finding::new(
            "audit-rotation",
            Level::Warn,
            what,
            "a scan that fails for so long loses logins",
        )
        .mended_by(format!("SET GLOBAL server_audit_file_rotate_size = {more}"))
    })
}

/// How long so many bytes last, in microseconds.
fn history(bytes: u64, bytes_a_day: u64) -> i64 {
    let days = bytes as f64 / (bytes_a_day.max(1)) as f64;
    (days * DAY as f64) as i64
}

fn hours(micros: i64) -> String {
    match micros / 3_600_000_000 {
        0 => format!("{} min", micros / 60_000_000),
        hours => format!("{hours} h"),
    }
}

/// What is known of how the log is read, and of its files.
pub(super) fn reading(server: Option<&Server<'_>>, reading: &Reading<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let held = server.and_then(|server| {
        let size = server.number("server_audit_file_rotate_size")?;
        Some(size.saturating_mul(server.number("server_audit_file_rotations")?.saturating_add(1)))
    });
    let safe = match (held, reading.bytes_a_day) {
        (Some(held), Some(bytes_a_day)) => history(held, bytes_a_day),
        _ => UNREAD_MAX,
    };
    const LOST: &str = "what is rotated away before it is read is lost";
    match reading.last_read {
        None => findings.push(
            Finding::new("scan-never", Level::Error, "its logs were never read", LOST).mended_by(
                "rollcall scan, then every quarter of an hour by cron, or rollcall watch",
            ),
        ),
        Some(at) => {
            let unread = reading.now.saturating_sub(at);
            let what =
                format!("its logs were read {} ago; they last for {}", hours(unread), hours(safe));
            let level = match unread {
                _ if unread > safe => Some(Level::Error),
                _ if unread > safe / 2 => Some(Level::Warn),
                _ => None,
            };
            findings.extend(level.map(|level| {
                Finding::new("scan-interval", level, what, LOST).mended_by("rollcall scan")
            }));
        }
    }
    let missing: i64 = reading.uncovered.iter().map(|it| it.to.saturating_sub(it.from)).sum();
    if missing > DAY {
        let longest = reading.uncovered.iter().max_by_key(|it| it.to.saturating_sub(it.from));
        let why = longest.map_or("", |it| it.reason.as_str());
        let what = format!("{} of the last 90 days are not covered: {why}", days(missing));
        const COST: &str = "accounts that were not seen are unknown, not unused";
        findings.push(
            Finding::new("evidence-gap", Level::Warn, what, COST)
                .mended_by("rollcall scan of archived logs; rollcall evidence --state gap"),
        );
    }
    findings.extend(reading.files.iter().flat_map(file));
    findings
}

fn days(micros: i64) -> String {
    format!("{} d", micros / DAY)
}

fn file(file: &AuditFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.mode & 0o007 != 0 {
        let what = format!("{} is open to everybody (mode {:04o})", file.path, file.mode & 0o7777);
        const COST: &str =
            "statements and names of accounts can be read by all users of the machine";
        findings.push(
            Finding::new("log-permissions", Level::Warn, what, COST)
                .mended_by(format!("chmod o= {}", file.path)),
        );
    }
    if !file.leaks.is_empty() {
        let shown: Vec<String> =
            file.leaks.iter().map(|(at, kind)| format!("{at} ({kind})")).collect();
        let further = match file.further_leaks {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let what = format!(
            "{} holds secrets at byte {}{further}; its last {} bytes were looked at",
            file.path,
            shown.join(", "),
            file.looked_at
        );
        findings.push(
            Finding::new(
                "log-secrets",
                Level::Warn,
                what,
                "whoever reads the log knows passwords, or hashes of them",
            )
            .mended_by("change those passwords; keep the log readable by its owner alone"),
        );
    }
    findings
}
