//! Settings that decide what can be told of changes, clocks, and what rollcall itself may do.

use super::{Finding, Level, Server};

/// Log times that are wrong by more than this put logins into the wrong window.
const CLOCK_ERROR: i64 = 60_000_000;
/// More than the way of a question explains.
const CLOCK_WARN: i64 = 2_000_000;

/// Binlogs that are kept for less than this are gone on a Monday.
const BINLOG_SECONDS_MIN: u64 = 4 * 86_400;

pub(super) fn server(server: &Server<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(clock(server));
    findings.extend(zone(server));
    findings.extend(binlog(server));
    if !server.is_on("performance_schema") {
        findings.push(
            Finding::new(
                "performance-schema-off",
                Level::Info,
                "performance_schema is OFF",
                "who is connected, and who was since the start, is not known beside the logs",
            )
            .mended_by("performance_schema = ON in my.cnf, then a restart"),
        );
    }
    if server.variable("thread_handling") == "pool-of-threads" {
        findings.push(Finding::new(
            "thread-pool",
            Level::Info,
            "thread_handling is pool-of-threads",
            "a session is served by threads that change: which process waits is not told by the thread",
        ));
    }
    if let Some(false) = server.network {
        let what = "it is asked over the network without TLS";
        const COST: &str = "passwords and statements can be read and changed on the way";
        findings.push(Finding::new("tls-off", Level::Error, what, COST).mended_by(
            "ssl-ca=…, ssl-verify-server-cert in its option file; REQUIRE SSL for rollcall's account",
        ));
    }
    findings
}

fn clock(server: &Server<'_>) -> Option<Finding> {
    let ahead = server.clock_ahead;
    let level = match ahead.abs() {
        off if off > CLOCK_ERROR => Level::Error,
        off if off > CLOCK_WARN => Level::Warn,
        _ => return None,
    };
    let seconds = ahead.abs() / 1_000_000;
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let what = format!("its clock is {seconds} s {side} this machine's");
    const COST: &str = "logins stand at times at which they were not; windows are wrong by as much";
    Some(Finding::new("clock", level, what, COST).mended_by("timedatectl set-ntp true"))
}

/// The audit log is in the server's system zone.
fn zone(server: &Server<'_>) -> Option<Finding> {
    let told = server.variable("system_time_zone");
    let same = told.is_empty() || server.zone.is_empty() || told.eq_ignore_ascii_case(server.zone);
    (!same).then(|| {
        let what = format!("its zone is {told}, and its log is read in {}", server.zone);
        Finding::new("zone", Level::Error, what, "every login stands at a wrong time")
            .mended_by("time_zone = \"…\" for this [[server]] in rollcall.toml")
    })
}

fn binlog(server: &Server<'_>) -> Vec<Finding> {
    const TRACE: &str = "who changed a row cannot be traced, or less exactly";
    if !server.is_on("log_bin") {
        let what = "log_bin is OFF";
        return vec![
            Finding::new("binlog-off", Level::Info, what, "who changed a row cannot be traced")
                .mended_by("log_bin in my.cnf, then a restart"),
        ];
    }
    let mut findings = Vec::new();
    let format = server.variable("binlog_format");
    if !format.is_empty() && !format.eq_ignore_ascii_case("ROW") {
        findings.push(
            Finding::new("binlog-format", Level::Warn, format!("binlog_format is {format}"), TRACE)
                .mended_by("SET GLOBAL binlog_format = 'ROW'"),
        );
    }
    let metadata = server.variable("binlog_row_metadata");
    if !metadata.is_empty() && !metadata.eq_ignore_ascii_case("FULL") {
        const COST: &str = "names of columns are those of now, not those of the change";
        findings.push(
            Finding::new(
                "binlog-metadata",
                Level::Info,
                format!("binlog_row_metadata is {metadata}"),
                COST,
            )
            .mended_by("SET GLOBAL binlog_row_metadata = 'FULL'"),
        );
    }
    let annotates = match server.is_mariadb() {
        true => "binlog_annotate_row_events",
        false => "binlog_rows_query_log_events",
    };
    if !server.variable(annotates).is_empty() && !server.is_on(annotates) {
        let what = format!("{annotates} is OFF");
        findings.push(
            Finding::new(
                "binlog-annotations",
                Level::Info,
                what,
                "changes show without their statement",
            )
            .mended_by(format!("SET GLOBAL {annotates} = ON")),
        );
    }
    let kept = server.number("binlog_expire_logs_seconds");
    if let Some(seconds) = kept.filter(|&it| it > 0 && it < BINLOG_SECONDS_MIN) {
        let what = format!("binlogs are kept for {} h", seconds / 3600);
        findings.push(
            Finding::new("binlog-retention", Level::Info, what, "older changes cannot be traced")
                .mended_by("SET GLOBAL binlog_expire_logs_seconds = 864000"),
        );
    }
    findings
}

/// Rights of rollcall's own account: too few, too many.
pub(super) fn rights(server: &Server<'_>) -> Vec<Finding> {
    let snapshot = server.snapshot;
    let missing = snapshot.missing.iter().map(|it| {
        let what = format!("rollcall cannot see {}", it.what);
        const COST: &str = "answers on accounts say less than they could";
        Finding::new("rights-missing", Level::Warn, what, COST).mended_by(it.remedy.clone())
    });
    let mut findings: Vec<Finding> = missing.collect();
    let own = snapshot.accounts.iter().find(|it| it.name == snapshot.own);
    const POWER: [&str; 6] =
        ["ALL PRIVILEGES", "SUPER", "CREATE USER", "INSERT", "UPDATE", "DELETE"];
    let power = |right: &&String| POWER.contains(&right.as_str());
    let held: Vec<&str> = own
        .map(|it| it.global_rights.iter().filter(power).map(String::as_str).collect())
        .unwrap_or_default();
    if !held.is_empty() {
        let what = format!("{} has {} everywhere", snapshot.own, held.join(", "));
        const COST: &str = "whoever gets hold of its password can change any account or row";
        findings.push(
            Finding::new("rights-too-many", Level::Warn, what, COST)
                .mended_by("rollcall setup monitor, rollcall setup lock-procedure"),
        );
    }
    findings
}
