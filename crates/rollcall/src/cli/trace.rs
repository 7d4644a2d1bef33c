//! From a change or a connection to who it was: `trace`, `who`, `sample`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use live::connection::Which;

use super::accounts::LiveArgs;

/// `trace`.
#[derive(Debug, Clone, Args)]
pub(crate) struct TraceArgs {
    /// Files of a binary log (also .gz, .zst), their folder, index or pattern, or - for standard input
    /// [default: those of --server, by its binlog_index in the configuration]
    #[arg(value_name = "BINLOG")]
    pub(crate) binlogs: Vec<PathBuf>,
    /// Audit logs of the same server, to join; without BINLOG, and with --table: what they alone tell of
    /// that table [default: those of --server in the configuration]
    #[arg(long = "audit-log", value_name = "PATH")]
    pub(crate) audit_logs: Vec<PathBuf>,
    /// The zone of the times in the audit logs [default: the configured one, else this machine's]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub(crate) time_zone: Option<String>,
    /// Read audit logs as this dialect instead of recognising it (rollcall dialects)
    #[arg(long, value_name = "NAME")]
    pub(crate) dialect: Option<String>,
    /// Only changes of this table: schema.table, or table in any schema
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<OsString>,
    /// Only what this user did, or one of the candidates
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<OsString>,
    /// Only this kind of change
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<TraceKind>,
    /// Only rows that have this value before or after; the column by name or as @1; NULL for none (all
    /// of several must hold)
    #[arg(long = "where", value_name = "COL=VALUE")]
    pub(crate) conditions: Vec<OsString>,
    /// Only the transaction of this name
    #[arg(long, value_name = "GTID")]
    pub(crate) gtid: Option<String>,
    /// Only what this connection did
    #[arg(long, value_name = "ID")]
    pub(crate) thread: Option<u64>,
    /// Only where a statement holds this text, but for case
    #[arg(long, value_name = "TEXT")]
    pub(crate) statement: Option<OsString>,
    /// The rows as well, before and after
    #[arg(long, conflicts_with = "stats")]
    pub(crate) rows: bool,
    /// Sums by user, table and hour, the largest and the longest transactions
    #[arg(long)]
    pub(crate) stats: bool,
    /// SQL that makes the changes again, for the server's own client; comments name who
    #[arg(long, conflicts_with_all = ["rows", "stats"])]
    pub(crate) sql: bool,
    /// SQL that takes the changes back, the last first; what cannot be taken back is named (exit code 3)
    #[arg(long, conflicts_with_all = ["rows", "stats", "sql"])]
    pub(crate) undo_sql: bool,
    /// The transactions as the text of another tool
    #[arg(long, value_enum, value_name = "STYLE", conflicts_with_all = ["rows", "stats", "sql", "undo_sql"])]
    pub(crate) style: Option<TraceStyle>,
    /// At most so many transactions, the oldest
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Read the binary logs through the server, as replicas do: where they are elsewhere or encrypted
    /// [default: where those of --server cannot be read as files]
    #[arg(long, conflicts_with_all = ["binlogs", "offline"])]
    pub(crate) through_server: bool,
    /// Then wait for more and tell it as it comes, until SIGINT or SIGTERM
    #[arg(long, conflicts_with_all = ["sql", "undo_sql", "style"])]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) live: LiveArgs,
}

/// Texts of other tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceStyle {
    /// That of mariadb-binlog and mysqlbinlog with -v --base64-output=DECODE-ROWS, byte for byte
    Mysqlbinlog,
}

/// Kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceKind {
    /// Rows were written
    Insert,
    /// Rows were changed
    Update,
    /// Rows were removed
    Delete,
    /// Tables and such were made, changed, dropped or emptied
    Ddl,
}

/// `who`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhoArgs {
    /// A connection id; or the client's host and port, as the server's list of sessions shows them:
    /// no server is asked then, unless --server or --defaults-file names one
    #[arg(value_name = "ID|HOST:PORT", value_parser = which_argument)]
    pub(crate) which: Which,
    /// How to reach the server [default: its defaults_file in the configuration; where no server is
    /// configured, the group client of the usual option files]
    #[arg(long, value_name = "FILE")]
    pub(crate) defaults_file: Option<PathBuf>,
}

/// `sample`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SampleArgs {
    /// Look once and end
    #[arg(long)]
    pub(crate) once: bool,
    /// How to reach the server [default: its defaults_file in the configuration; where no server is
    /// configured, the group client of the usual option files]
    #[arg(long, value_name = "FILE")]
    pub(crate) defaults_file: Option<PathBuf>,
}

/// A connection's id, or its client's host and port.
fn which_argument(text: &str) -> Result<Which, String> {
    let form = "write a connection id, or HOST:PORT of the client as SHOW PROCESSLIST shows it";
    if !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) {
        return text.parse().map(Which::Id).map_err(|_| form.to_owned());
    }
    let (host, port) = text.rsplit_once(':').ok_or(form)?;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let is_number = port.bytes().all(|it| it.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if port > 0 && is_number && !bare.is_empty() => {
            Ok(Which::Client(bare.as_bytes().to_vec(), port))
        }
        _ => Err(form.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_have_an_id_or_a_client() {
        let client = |host: &str, port| Ok(Which::Client(host.as_bytes().to_vec(), port));
        assert_eq!(which_argument("8812"), Ok(Which::Id(8812)));
        assert_eq!(which_argument("10.0.0.7:51234"), client("10.0.0.7", 51234));
        assert_eq!(which_argument("db1:1"), client("db1", 1));
        // As lists of sessions show it, and as people write it.
        assert_eq!(which_argument("::1:51234"), client("::1", 51234));
        assert_eq!(which_argument("[::1]:51234"), client("::1", 51234));
    }
}
