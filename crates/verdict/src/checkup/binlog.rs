//! What the binlog holds for tracing a change to its author, and for how long.

use super::{Finding, Level, Server};

/// Binlogs that are kept for less than this are gone after a long weekend.
const BINLOG_SECONDS_MIN: u64 = 4 * 86_400;

/// What is proposed instead.
const BINLOG_SECONDS: u64 = 14 * 86_400;

pub(super) fn binlog(server: &Server<'_>) -> Vec<Finding> {
    if !server.is_on("log_bin") {
        const COST: &str = "who changed a row cannot be traced";
        let finding = Finding::new("binlog", Level::Info, "log_bin is OFF", COST)
            .mended_by("log_bin = ON under [mysqld] in my.cnf, then a restart")
            .in_setting("log_bin");
        return vec![finding];
    }
    let mut findings = vec![storage(server)];
    findings.extend([format(server), image(server), metadata(server), statements(server)]);
    findings.extend(retention(server));
    findings
}

/// Where it is, and whether files of it can be read.
fn storage(server: &Server<'_>) -> Finding {
    const COST: &str = "its files cannot be read: tracing has to ask the server";
    // MariaDB 12.3 keeps it inside InnoDB where this is set.
    if !server.variable("binlog_storage_engine").is_empty() {
        return Finding::new("binlog", Level::Info, "the binlog is kept inside InnoDB", COST)
            .in_setting("binlog_storage_engine");
    }
    for name in ["encrypt_binlog", "binlog_encryption"] {
        if server.is_on(name) {
            return Finding::new("binlog", Level::Info, "the binlog is encrypted", COST)
                .in_setting(name);
        }
    }
    Finding::well("binlog", "log_bin is ON")
}

fn format(server: &Server<'_>) -> Finding {
    const ID: &str = "binlog-format";
    let format = server.variable("binlog_format");
    // Newer servers know one only.
    if format.is_empty() || format.eq_ignore_ascii_case("ROW") {
        return Finding::well(ID, "changes are in the binlog row by row");
    }
    const COST: &str = "a change shows as a statement: which rows it touched is not known";
    Finding::new(ID, Level::Warn, format!("binlog_format is {format}"), COST)
        .mended_by("SET GLOBAL binlog_format = 'ROW'")
        .in_setting("binlog_format")
}

fn image(server: &Server<'_>) -> Finding {
    const ID: &str = "binlog-row-image";
    let image = server.variable("binlog_row_image");
    if image.is_empty() || image.to_ascii_uppercase().starts_with("FULL") {
        return Finding::well(ID, "rows are in the binlog as a whole");
    }
    const COST: &str =
        "columns that did not change are not told, so a change cannot be taken back from it";
    Finding::new(ID, Level::Info, format!("binlog_row_image is {image}"), COST)
        .mended_by("SET GLOBAL binlog_row_image = 'FULL'")
        .in_setting("binlog_row_image")
}

fn metadata(server: &Server<'_>) -> Finding {
    const ID: &str = "binlog-row-metadata";
    let metadata = server.variable("binlog_row_metadata");
    if metadata.is_empty() || metadata.eq_ignore_ascii_case("FULL") {
        return Finding::well(ID, "names of columns are in the binlog");
    }
    const COST: &str = "names of columns are those of now, not those of the change";
    Finding::new(ID, Level::Info, format!("binlog_row_metadata is {metadata}"), COST)
        .mended_by("SET GLOBAL binlog_row_metadata = 'FULL'")
        .in_setting("binlog_row_metadata")
}

fn statements(server: &Server<'_>) -> Finding {
    const ID: &str = "binlog-statements";
    let name = match server.is_mariadb() {
        true => "binlog_annotate_row_events",
        false => "binlog_rows_query_log_events",
    };
    if server.variable(name).is_empty() || server.is_on(name) {
        return Finding::well(ID, "rows stand beside their statement in the binlog");
    }
    const COST: &str = "changed rows show without the statement that changed them";
    Finding::new(ID, Level::Info, format!("{name} is OFF"), COST)
        .mended_by(format!("SET GLOBAL {name} = ON"))
        .in_setting(name)
}

fn retention(server: &Server<'_>) -> Option<Finding> {
    const ID: &str = "binlog-retention";
    let days = || {
        let days: f64 = server.variable("expire_logs_days").parse().ok()?;
        Some((days * 86_400.0) as u64)
    };
    let name = match server.number("binlog_expire_logs_seconds") {
        Some(_) => "binlog_expire_logs_seconds",
        None => "expire_logs_days",
    };
    let seconds = server.number("binlog_expire_logs_seconds").or_else(days)?;
    let what = match seconds {
        0 => "binlogs are kept until somebody purges them".to_owned(),
        seconds => format!("binlogs are kept for {} h", seconds / 3600),
    };
    if seconds == 0 || seconds >= BINLOG_SECONDS_MIN {
        return Some(Finding::well(ID, what));
    }
    let remedy = match name {
        "expire_logs_days" => format!("SET GLOBAL {name} = {}", BINLOG_SECONDS / 86_400),
        _ => format!("SET GLOBAL {name} = {BINLOG_SECONDS}"),
    };
    const COST: &str = "who made an older change cannot be traced";
    Some(Finding::new(ID, Level::Info, what, COST).mended_by(remedy).in_setting(name))
}
