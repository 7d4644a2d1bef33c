//! Whether logins are noted at all, and what else is.

use super::{Finding, Level, Server};

/// What nobody can answer without a log.
const NOBODY: &str = "no login is noted";

/// A statement cut below this many bytes is hard to recognise.
const STATEMENT_BYTES_MIN: u64 = 1024;

pub(super) fn audit(server: &Server<'_>) -> Vec<Finding> {
    match (server.is_mariadb(), server.has_plugin("SERVER_AUDIT")) {
        (_, true) => server_audit(server),
        (true, false) => vec![other_writer(server, "rollcall setup audit")],
        (false, false) => vec![other_writer(server, "rollcall setup init-connect")],
    }
}

/// Without `server_audit`: another plugin that notes logins, or `init_connect`.
fn other_writer(server: &Server<'_>, remedy: &str) -> Finding {
    const ID: &str = "audit-plugin";
    let plugin = server.plugins.iter().find(|it| it.kind == "AUDIT");
    if server.has_plugin("SIMPLE_LOGIN_AUDIT") && !server.is_on("simple_login_audit_enabled") {
        return Finding::new(ID, Level::Error, "simple_login_audit_enabled is OFF", NOBODY)
            .mended_by("SET GLOBAL simple_login_audit_enabled = ON")
            .in_setting("simple_login_audit_enabled");
    }
    // Enterprise's and Percona's own: their notations are not among the dialects.
    let is_foreign = |it: &&String| it.starts_with("audit_log_") || it.starts_with("audit_log.");
    if plugin.is_none_or(|it| it.name.starts_with("AUDIT_LOG"))
        && server.variables.keys().any(|it| is_foreign(&it))
    {
        let what = "its audit log is not one that rollcall reads (audit_log, audit_log_filter)";
        return Finding::new(ID, Level::Error, what, "its logins do not come into the ledger")
            .mended_by(remedy);
    }
    if let Some(plugin) = plugin {
        return Finding::well(ID, format!("the plugin {} is active", plugin.name));
    }
    if server.snapshot.has_init_connect {
        const BLIND: &str =
            "refused logins, and those of administrators, are not noted; the table tells the rest";
        return Finding::new(ID, Level::Info, "logins are noted by init_connect alone", BLIND)
            .in_setting("init_connect");
    }
    let what = match server.is_mariadb() {
        true => "the plugin server_audit is not loaded",
        false => "it has no audit plugin, and no init_connect",
    };
    Finding::new(ID, Level::Error, what, NOBODY).mended_by(remedy)
}

fn server_audit(server: &Server<'_>) -> Vec<Finding> {
    let mut findings = vec![Finding::well("audit-plugin", "the plugin SERVER_AUDIT is active")];
    let is_logging = server.is_on("server_audit_logging");
    findings.push(match is_logging {
        true => Finding::well("audit-logging", "server_audit_logging is ON"),
        false => Finding::new("audit-logging", Level::Error, "server_audit_logging is OFF", NOBODY)
            .mended_by("SET GLOBAL server_audit_logging = ON")
            .in_setting("server_audit_logging"),
    });
    findings.push(logins(server));
    findings.extend(writing(server, is_logging));
    findings.push(output(server));
    findings.push(statements(server));
    findings.extend(stamps(server));
    findings
}

fn logins(server: &Server<'_>) -> Finding {
    const ID: &str = "audit-events";
    let events = server.audit_events();
    if events.is_empty() || events.iter().any(|it| it == "CONNECT") {
        return Finding::well(ID, "CONNECT is among server_audit_events");
    }
    let events = events.join(",");
    let what = format!("server_audit_events is {events}, without CONNECT");
    Finding::new(ID, Level::Error, what, NOBODY)
        .mended_by(format!("SET GLOBAL server_audit_events = 'CONNECT,{events}'"))
        .in_setting("server_audit_events")
}

/// A full disk or a path that is not there: the server runs on and drops records, and only counters tell.
fn writing(server: &Server<'_>, is_logging: bool) -> Vec<Finding> {
    const AGAIN: &str =
        "SET GLOBAL server_audit_logging = OFF; SET GLOBAL server_audit_logging = ON";
    let failed = server.counter("server_audit_writes_failed");
    let mut findings = vec![match failed {
        0 => Finding::well("audit-writes-failed", "no record was dropped since the start"),
        _ => {
            let what = format!("{failed} records could not be written since the start");
            Finding::new("audit-writes-failed", Level::Error, what, "they are lost")
                .mended_by(format!("df -h {}", audit_path(server)))
                .at("Server_audit_writes_failed")
        }
    }];
    let active = server.status.get("server_audit_active");
    if let (true, Some(active)) = (is_logging, active) {
        findings.push(match active.eq_ignore_ascii_case("OFF") {
            false => Finding::well("audit-active", "the audit log is being written"),
            true => {
                let what = "the audit log is on, and not written: the last attempt failed";
                Finding::new("audit-active", Level::Error, what, NOBODY)
                    .mended_by(AGAIN)
                    .at("Server_audit_active")
            }
        });
    }
    findings
}

fn audit_path<'a>(server: &'a Server<'_>) -> &'a str {
    match server.variable("server_audit_file_path") {
        "" => "/var/lib/mysql",
        path => path,
    }
}

fn output(server: &Server<'_>) -> Finding {
    const ID: &str = "audit-output";
    if !server.variable("server_audit_output_type").eq_ignore_ascii_case("syslog") {
        return Finding::well(ID, "the audit log is a file");
    }
    const COST: &str =
        "syslog may drop records, cuts long ones and tells no year; nothing says that it did";
    Finding::new(ID, Level::Info, "server_audit_output_type is syslog", COST)
        .mended_by("SET GLOBAL server_audit_output_type = 'file'")
        .in_setting("server_audit_output_type")
}

/// What tracing a change to its session needs: without a thread id in the binlog, statements with their query id.
fn statements(server: &Server<'_>) -> Finding {
    const ID: &str = "audit-statements";
    let events = server.audit_events();
    let has = |name: &str| events.iter().any(|it| it == name);
    if server.binlog_tells_session() && server.is_on("log_bin") {
        return Finding::well(ID, "the binlog itself tells the session of each change");
    }
    if !(events.is_empty() || has("QUERY")) {
        let some = events.iter().any(|it| it.starts_with("QUERY"));
        let (what, cost) = match some {
            true => (
                "only some statements are in the audit log",
                "for about one change in ten, who made it is a guess: its transaction began otherwise",
            ),
            false => (
                "statements are not in the audit log",
                "who made a change is told by its text and time: a guess where several fit",
            ),
        };
        let with = match events.join(",") {
            it if has("CONNECT") => format!("{it},QUERY"),
            it => format!("CONNECT,{it},QUERY"),
        };
        return Finding::new(ID, Level::Info, what, cost)
            .mended_by(format!("SET GLOBAL server_audit_events = '{with}'"))
            .in_setting("server_audit_events");
    }
    for name in ["server_audit_excl_users", "server_audit_incl_users"] {
        if !server.variable(name).is_empty() {
            let what = format!("{name} leaves statements of some users out of the audit log");
            const COST: &str =
                "changes of theirs are traced by text and time alone; logins are kept";
            return Finding::new(ID, Level::Info, what, COST)
                .mended_by(format!("SET GLOBAL {name} = ''"))
                .in_setting(name);
        }
    }
    let limit = server.number("server_audit_query_log_limit");
    if let Some(limit) = limit.filter(|it| (1..STATEMENT_BYTES_MIN).contains(it)) {
        let what = format!("statements are cut at {limit} bytes");
        const COST: &str = "those that begin alike cannot be told apart";
        return Finding::new(ID, Level::Info, what, COST)
            .mended_by(format!("SET GLOBAL server_audit_query_log_limit = {STATEMENT_BYTES_MIN}"))
            .in_setting("server_audit_query_log_limit");
    }
    Finding::well(ID, "statements are in the audit log")
}

/// Settings that newer plugins have: the form of time stamps (13.0.1), buffered writes (12.1).
fn stamps(server: &Server<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let format = server.variable("server_audit_timestamp_format");
    if !format.is_empty() {
        let has_date =
            ["%Y", "%m", "%d"].iter().all(|it| format.contains(it)) || format.contains("%F");
        let has_time =
            ["%H", "%M", "%S"].iter().all(|it| format.contains(it)) || format.contains("%T");
        findings.push(match has_date && has_time {
            true => Finding::well("audit-timestamp", "time stamps hold date and time"),
            false => {
                let what = format!("server_audit_timestamp_format is {format}");
                const COST: &str = "records without a full date and time are rejected";
                Finding::new("audit-timestamp", Level::Error, what, COST)
                    .mended_by("SET GLOBAL server_audit_timestamp_format = '%Y%m%d %H:%M:%S'")
                    .in_setting("server_audit_timestamp_format")
            }
        });
    }
    if let Some(bytes) = server.number("server_audit_file_buffer_size") {
        findings.push(match bytes {
            0 => Finding::well("audit-buffer", "records are written at once"),
            _ => {
                let what = format!("up to {bytes} bytes of records wait before they are written");
                const COST: &str = "logins are seen late; at a crash the last ones are lost";
                Finding::new("audit-buffer", Level::Info, what, COST)
                    .mended_by("SET GLOBAL server_audit_file_buffer_size = 0")
                    .in_setting("server_audit_file_buffer_size")
            }
        });
    }
    findings
}
