//! Configuration of mysql_monitor_daemon and of its later versions, as it stands on its users' machines.
//!
//! ```text
//! search.conf                         a block a server, each begins with db_host
//!   db_host=127.0.0.1
//!   db_user=root
//!   db_id=0                           which line of passwd is the password, from 0
//!   monitor_interval_sec=600          3600 where it is not said
//!   prometheus_truncate=1             0: series of users that are not measured any more stay
//! search_user, passwd                 beside it: the limits; passwords, one a line
//!
//! db_config                           a line a server; user_limits beside it
//!   127.0.0.1 monitor secret mysql 3306 60 information_schema
//!
//! storage_guard.conf                  INI: [general], [database], [limits]
//! ```
//!
//! The three are told apart by content ([`Form::of`]). All are read whole or not at all: an unknown key is an error,
//! as a service that locks accounts must not run beside what was meant.
//!
//! # Sources
//! `load_config`, `load_passwords` and `load_user_list` of mysql_monitor_daemon.c; `read_db_config` of the version with
//! `/etc/mysql_monitor`; `parse_config_file` and `get_db_password` of the one with `/etc/storage_guard.conf`.
//!
//! # Invariants
//! * No message holds a password, nor a line that may hold one.
//! * Passwords are taken from files of root or of our own user only, which nobody else may read, and which are no links.

mod passwords;
#[cfg(test)]
mod tests;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use live::option_file::Options;
use live::sizes::Method;
use live::target::{PORT, Secret, Target};
use verdict::quota::Pattern;

use passwords::{no_secret_of_others, passwords};

use super::LogLevel;
use super::toml::nearest;
use crate::render::inert;

/// Where mysql_monitor_daemon has its files, and its password in a folder of root's.
const FOLDER: &str = "/etc/mysql_search";
const PASSWORDS: &str = "/root/mysql_search/passwd";

/// Where it writes its metrics and its audit log.
const METRICS: &str = "/var/run/mysql_monitor.prom";
const AUDIT_LOG: &str = "/var/log/mysql_monitor_audit.log";

/// The longest interval, in seconds: a month.
const INTERVAL_SECONDS_MAX: u64 = 31 * 86_400;

/// The most lines of passwords.
const PASSWORDS_MAX: u64 = 10_000;

const SEARCH_KEYS: [&str; 5] =
    ["db_host", "db_user", "db_id", "monitor_interval_sec", "prometheus_truncate"];
const GENERAL_KEYS: [&str; 16] = [
    "log_level",
    "log_file",
    "syslog_on_error",
    "check_interval",
    "metrics_file",
    "metrics_buffer_size",
    "kill_on_hard_limit",
    "user_limits_file",
    "threshold_trigger",
    "schema_patterns",
    "use_threads",
    "max_threads",
    "use_connection_pool",
    "connection_pool_size",
    "daemon_user",
    "daemon_group",
];
const DATABASE_KEYS: [&str; 5] = ["type", "host", "port", "user", "password_file"];

/// Which of its files it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `search.conf`.
    Search,
    /// `db_config`.
    Columns,
    /// `storage_guard.conf`.
    Guard,
}

/// What one of its files says, with its defaults.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ancestor {
    pub(crate) form: Form,
    pub(crate) servers: Vec<Login>,
    /// The file of limits; empty before [`Ancestor::settle`]: this file.
    pub(crate) limits: PathBuf,
    /// Whose schemas are whose.
    pub(crate) owners: Vec<Pattern>,
    /// How sizes are read, where it is said.
    pub(crate) method: Option<Method>,
    /// Where metrics are written.
    pub(crate) metrics: Option<PathBuf>,
    /// Series of users that are not measured any more stay in it.
    pub(crate) keeps_series: bool,
    /// One line a warning and deed.
    pub(crate) audit_log: Option<PathBuf>,
    /// Whether warnings go to syslog.
    pub(crate) syslog: bool,
    /// How much is told.
    pub(crate) log_level: LogLevel,
    /// Whom a service that root starts becomes, and in which group; by default the user's own.
    pub(crate) user: Option<String>,
    pub(crate) group: Option<String>,
    /// How often in a row a user has to be over the hard limit before anything is done.
    pub(crate) exceed_count: u32,
    /// Whether sessions of users who are locked are closed, where the file says it (`kill_on_hard_limit`). A daemon
    /// with that key locks unless it runs with `--dry-run`; for `search.conf` (`None`) `-d` decides that.
    pub(crate) kills: Option<bool>,
    /// How many servers are measured at once.
    pub(crate) threads: Option<usize>,
}

/// A server, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// Its host, with the port where it is not 3306.
    pub(crate) name: String,
    /// As an option file would say it; without the password where that is elsewhere and not read yet.
    pub(crate) options: Options,
    pub(crate) interval: Duration,
    password: Password,
}

/// Where a password is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Password {
    /// In the options.
    Here,
    /// In that line of passwd, from 0.
    Line(usize),
    /// The first line of this file; `None`: there is none.
    File(Option<PathBuf>),
}

impl Login {
    /// Where that leads to.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn target(&self) -> Result<Target, String> {
        // Both daemons log in as the user that is named, or not at all.
        Target::from_options(&self.name, &self.options, "").map_err(|error| error.to_string())
    }
}

impl Form {
    /// Which of its files a text is; `None`: none of them.
    pub(super) fn of(text: &str) -> Option<Form> {
        let mut lines = entries(text).map(|(_, line)| line);
        let first = lines.clone().find_map(|it| it.strip_prefix('['));
        let section = first.and_then(|it| it.split(']').next());
        if section.is_some_and(|it| ["general", "database"].contains(&it.trim())) {
            return Some(Form::Guard);
        }
        let is_key = |line: &str| {
            let key = line.split_once('=').map(|(key, _)| key.trim());
            key.is_some_and(|key| SEARCH_KEYS.contains(&key))
        };
        if first.is_none() && lines.clone().any(is_key) {
            return Some(Form::Search);
        }
        let words: Vec<&str> = lines.next()?.split_whitespace().take(5).collect();
        let is_columns = words.len() == 5 && !words[0].contains(['=', '[']) && words[1] != "=";
        is_columns.then_some(Form::Columns)
    }
}

/// Reads a text of that form. Paths in it are as they stand: [`Ancestor::settle`] finds files beside it.
///
/// # Errors
/// A message with line and column in front (`12:1: …`).
pub(super) fn parse(form: Form, text: &str) -> Result<(Ancestor, Vec<String>), String> {
    match form {
        Form::Search => search(text).map(|read| (read, Vec::new())),
        Form::Columns => columns(text),
        Form::Guard => guard(text),
    }
}

impl Ancestor {
    /// Completes what was read with what stands in other files: the place of the limits, passwords. `path` is the
    /// file that was read; `credentials` the folder of credentials that the service manager gave, where it did: a
    /// `passwd` in it is taken before any other.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(super) fn settle(&mut self, path: &Path, credentials: Option<&Path>) -> Result<(), String> {
        let metadata = std::fs::metadata(path);
        let mode = metadata.map_err(|error| format!("{}: {error}", shown(path)))?.mode();
        if self.form == Form::Columns {
            no_secret_of_others(path, mode, 0o077)?;
        } else if mode & 0o022 != 0 {
            // It says to whom passwords are sent.
            return Err(format!("{0} may be written by others: chmod 600 {0}", shown(path)));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        self.limits = match self.limits.as_os_str().is_empty() {
            true => path.to_owned(),
            false => folder.join(&self.limits),
        };
        self.read_passwords(folder, credentials)
    }

    fn read_passwords(&mut self, folder: &Path, credentials: Option<&Path>) -> Result<(), String> {
        let mut lines: Option<(PathBuf, Vec<Secret>)> = None;
        for server in &mut self.servers {
            let (places, line) = match &server.password {
                Password::Here => continue,
                Password::File(None) if credentials.is_none() => continue,
                Password::File(file) => (file.iter().cloned().collect(), 0),
                Password::Line(line) if folder == Path::new(FOLDER) => {
                    (vec![PathBuf::from(PASSWORDS), folder.join("passwd")], *line)
                }
                Password::Line(line) => (vec![folder.join("passwd")], *line),
            };
            if lines.is_none() {
                lines = Some(passwords(&places, credentials)?);
            }
            let Some((file, lines)) = &lines else { continue };
            let password = lines.get(line).ok_or_else(|| {
                let (file, number) = (shown(file), line + 1);
                format!("{file} has no line {number}, which db_id={line} means: add it")
            })?;
            server.options.password = Some(password.clone());
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    inert(&path.display().to_string())
}

/// Lines that say something, without blanks around them, each with its number.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> + Clone {
    let lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
    let lines = lines.map(|(line, number)| (number, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', ';']))
}

/// Where a part of a text stands: line and column, in characters.
fn place(text: &str, part: &str) -> String {
    let at = part.as_ptr() as usize - text.as_ptr() as usize;
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |it| it + 1);
    let column = before[start..].trim_start_matches('\u{feff}').chars().count() + 1;
    format!("{line}:{column}")
}

/// `key=value`, each without blanks around it.
fn pair<'a>(text: &str, line: &'a str) -> Result<(&'a str, &'a str), String> {
    let fault = || format!("{}: neither a comment nor key=value", place(text, line));
    let (key, value) = line.split_once('=').ok_or_else(fault)?;
    let (key, value) = (key.trim(), value.trim());
    match value {
        "" => Err(format!("{}: {}= without a value", place(text, line), inert(key))),
        _ => Ok((key, value)),
    }
}

fn unknown(text: &str, key: &str, known: &[&str]) -> String {
    let hint = match nearest(key, known) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known here are {}", known.join(", ")),
    };
    format!("{}: unknown key {}: {hint}", place(text, key), inert(key))
}

/// A number within bounds. The value is not repeated: it may be a password in the wrong column.
fn number(text: &str, key: &str, value: &str, from: u64, to: u64) -> Result<u64, String> {
    let read = value.parse().ok().filter(|it| (from..=to).contains(it));
    read.ok_or_else(|| format!("{}: {key} is no number from {from} to {to}", place(text, value)))
}

fn yes(text: &str, key: &str, value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" => Ok(false),
        _ => Err(format!("{}: {key}: write yes or no", place(text, value))),
    }
}

/// A value that may be said once.
fn once<T>(slot: &mut Option<T>, value: T, text: &str, key: &str) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{}: a second {}: take one out", place(text, key), inert(key))),
    }
}

fn owners(patterns: &[&str]) -> Vec<Pattern> {
    patterns.iter().map(|it| Pattern::owner(it).expect("a pattern")).collect()
}

impl Ancestor {
    /// What holds for all of its forms.
    fn new(form: Form) -> Ancestor {
        Ancestor {
            form,
            servers: Vec::new(),
            limits: PathBuf::new(),
            // A schema is that of the user of the same name.
            owners: owners(&["%u"]),
            method: None,
            metrics: Some(METRICS.into()),
            keeps_series: false,
            audit_log: None,
            syslog: true,
            log_level: LogLevel::Info,
            user: None,
            group: None,
            exceed_count: 1,
            kills: None,
            threads: None,
        }
    }

    /// Adds a server.
    fn add(&mut self, text: &str, at: &str, login: Login) -> Result<(), String> {
        if self.servers.iter().any(|it| it.name == login.name) {
            let place = place(text, at);
            return Err(format!("{place}: a second entry for the same server: take one out"));
        }
        self.servers.push(login);
        Ok(())
    }
}

fn login(
    host: &str,
    port: u16,
    user: Option<&str>,
    interval: Duration,
    password: Password,
) -> Login {
    let name = match port {
        PORT => host.to_owned(),
        port if host.contains(':') => format!("[{host}]:{port}"),
        port => format!("{host}:{port}"),
    };
    let options = Options {
        host: Some(host.to_owned()),
        port: Some(port),
        user: user.map(str::to_owned),
        ..Options::default()
    };
    Login { name, options, interval, password }
}

/// A block of `search.conf`.
struct Block<'a> {
    host: &'a str,
    user: Option<&'a str>,
    line: Option<usize>,
    interval: Option<u64>,
}

impl Block<'_> {
    fn finish(self, text: &str, read: &mut Ancestor) -> Result<(), String> {
        let at = place(text, self.host);
        let user = self.user.ok_or_else(|| format!("{at}: a db_host without its db_user"))?;
        let line = self.line.ok_or_else(|| {
            format!("{at}: a db_host without its db_id: db_id=0 is the first line of passwd")
        })?;
        let interval = Duration::from_secs(self.interval.unwrap_or(3600));
        let login = login(self.host, PORT, Some(user), interval, Password::Line(line));
        read.add(text, self.host, login)
    }
}

fn search(text: &str) -> Result<Ancestor, String> {
    let mut read = Ancestor::new(Form::Search);
    read.limits = "search_user".into();
    read.audit_log = Some(AUDIT_LOG.into());
    read.user = Some("mysql".to_owned());
    let (mut block, mut truncates): (Option<Block<'_>>, _) = (None, None);
    for (_, line) in entries(text) {
        let (key, value) = pair(text, line)?;
        match (key, &mut block) {
            ("prometheus_truncate", _) => {
                once(&mut truncates, yes(text, key, value)?, text, key)?;
            }
            ("db_host", block) => {
                let next = Block { host: value, user: None, line: None, interval: None };
                if let Some(before) = block.replace(next) {
                    before.finish(text, &mut read)?;
                }
            }
            ("db_user", Some(block)) => once(&mut block.user, value, text, key)?,
            ("db_id", Some(block)) => {
                let line = number(text, key, value, 0, PASSWORDS_MAX - 1)? as usize;
                once(&mut block.line, line, text, key)?;
            }
            ("monitor_interval_sec", Some(block)) => {
                let seconds = number(text, key, value, 1, INTERVAL_SECONDS_MAX)?;
                once(&mut block.interval, seconds, text, key)?;
            }
            (key, None) if SEARCH_KEYS.contains(&key) => {
                let at = place(text, key);
                return Err(format!("{at}: {key} stands before the db_host that it is of"));
            }
            _ => return Err(unknown(text, key, &SEARCH_KEYS)),
        }
    }
    let block = block.ok_or("1:1: no server: add db_host=127.0.0.1")?;
    block.finish(text, &mut read)?;
    read.keeps_series = truncates == Some(false);
    Ok(read)
}

fn columns(text: &str) -> Result<(Ancestor, Vec<String>), String> {
    let mut read = Ancestor::new(Form::Columns);
    read.limits = "user_limits".into();
    // LIKE 'user_%'.
    read.owners = owners(&["%u_%"]);
    read.method = Some(Method::InformationSchema);
    let mut notes = Vec::new();
    for (line_number, line) in entries(text) {
        let words: Vec<&str> = line.split_whitespace().collect();
        // As the daemon's own example names its columns.
        if words.get(4..7) == Some(&["port", "interval", "query_method"]) {
            continue;
        }
        let [host, user, password, _, port, interval, method] = words[..] else {
            return Err(format!(
                "{}: not host, user, password, database, port, interval and query method",
                place(text, line)
            ));
        };
        let port_number = number(text, "port", port, 1, u64::from(u16::MAX))? as u16;
        let seconds = number(text, "interval", interval, 1, INTERVAL_SECONDS_MAX)?;
        match method {
            "information_schema" => {}
            "sys_schema" => notes.push(format!(
                "{line_number}: sys_schema: no server has sys.schema_tables, that daemon measured \
                 nothing by it: information_schema is asked"
            )),
            _ => {
                let at = place(text, method);
                return Err(format!("{at}: no query method: write information_schema"));
            }
        }
        let interval = Duration::from_secs(seconds);
        let mut login = login(host, port_number, Some(user), interval, Password::Here);
        login.options.password = Some(Secret::new(password));
        read.add(text, host, login)?;
    }
    match read.servers.is_empty() {
        true => Err("1:1: no server in it".to_owned()),
        false => Ok((read, notes)),
    }
}

/// `[general]` and `[database]` while they are read.
#[derive(Default)]
struct Guard<'a> {
    set: Vec<(&'static str, &'a str)>,
    has_limits: bool,
}

impl<'a> Guard<'a> {
    fn value(&self, key: &str) -> Option<&'a str> {
        self.set.iter().find(|(it, _)| *it == key).map(|(_, value)| *value)
    }

    fn yes(&self, text: &str, key: &str, default: bool) -> Result<bool, String> {
        self.value(key).map_or(Ok(default), |value| yes(text, key, value))
    }

    fn number(&self, text: &str, key: &str, default: u64, to: u64) -> Result<u64, String> {
        self.value(key).map_or(Ok(default), |value| number(text, key, value, 1, to))
    }
}

fn guard(text: &str) -> Result<(Ancestor, Vec<String>), String> {
    let mut set = Guard::default();
    let mut known: Option<&'static [&'static str]> = Some(&[]);
    for (_, line) in entries(text) {
        if let Some(section) = line.strip_prefix('[') {
            known = match section.split(']').next().unwrap_or_default().trim() {
                "general" => Some(&GENERAL_KEYS),
                "database" => Some(&DATABASE_KEYS),
                // Read as a file of limits.
                "limits" | "users" => None,
                _ => {
                    let at = place(text, line);
                    return Err(format!(
                        "{at}: unknown section: known here are [general], [database], [limits]"
                    ));
                }
            };
            set.has_limits |= known.is_none();
            continue;
        }
        let Some(known) = known else { continue };
        let (key, value) = pair(text, line)?;
        let found = known.iter().find(|it| **it == key);
        let found = *found.ok_or_else(|| unknown(text, key, known))?;
        if set.value(found).is_some() {
            return Err(format!("{}: a second {found}: take one out", place(text, key)));
        }
        set.set.push((found, value));
    }
    settings(text, &set)
}

fn settings(text: &str, set: &Guard<'_>) -> Result<(Ancestor, Vec<String>), String> {
    let mut read = Ancestor::new(Form::Guard);
    let own = |key| set.value(key).map(str::to_owned);
    let path = |key| set.value(key).map(PathBuf::from);
    read.metrics = path("metrics_file");
    read.limits = path("user_limits_file").unwrap_or_default();
    (read.user, read.group) = (own("daemon_user"), own("daemon_group"));
    read.syslog = set.yes(text, "syslog_on_error", true)?;
    read.kills = Some(set.yes(text, "kill_on_hard_limit", true)?);
    let most = u64::from(u32::MAX);
    read.exceed_count = set.number(text, "threshold_trigger", 3, most)? as u32;
    let threads = set.number(text, "max_threads", 16, super::THREADS_MAX as u64)? as usize;
    read.threads = Some(if set.yes(text, "use_threads", false)? { threads } else { 1 });
    // Of no use here: a server is one connection, and metrics are written in one go.
    set.yes(text, "use_connection_pool", false)?;
    for key in ["connection_pool_size", "metrics_buffer_size"] {
        set.number(text, key, 1, most)?;
    }
    if let Some(level) = set.value("log_level") {
        let fault = || format!("{}: write DEBUG, INFO, WARN or ERROR", place(text, level));
        read.log_level = LogLevel::parse(level).ok_or_else(fault)?;
    }
    if let Some(patterns) = set.value("schema_patterns") {
        let pattern =
            |it| Pattern::owner(it).map_err(|fault| format!("{}: {fault}", place(text, it)));
        read.owners = patterns.split(',').map(str::trim).map(pattern).collect::<Result<_, _>>()?;
    }
    let mut notes = Vec::new();
    if set.value("log_file").is_some() {
        notes.push(
            "1: log_file is left aside: the log is standard error, syslog and journal".into(),
        );
    }
    if set.has_limits && set.value("user_limits_file").is_some() {
        notes.push("1: [limits] is left aside: user_limits_file names another file".to_owned());
    }
    let seconds = set.number(text, "check_interval", 60, INTERVAL_SECONDS_MAX)?;
    let port = set.number(text, "port", u64::from(PORT), u64::from(u16::MAX))? as u16;
    let host = set.value("host").unwrap_or("localhost");
    let user = set.value("user").ok_or("1:1: [database] has no user: add user=…")?;
    let password = Password::File(path("password_file"));
    let login = login(host, port, Some(user), Duration::from_secs(seconds), password);
    read.servers.push(login);
    Ok((read, notes))
}
