//! Configuration: which servers, where their logs are, what is kept for how long.
//!
//! ```text
//! --config FILE, else /etc/rollcall/rollcall.toml, else /etc/conntracker/conntracker.ini, else none
//!      │ bytes
//!      ├─ toml      TOML, one [[server]] table per server; unknown keys are errors
//!      ├─ ini       conntracker's own file, recognised by content
//!      └─ ancestor  mysql_monitor_daemon's own files, recognised by content
//!      ▼
//!    Config      plain values; nothing deeper knows of files or formats
//! ```
//!
//! Storage limits stand in a file of their own, which `limits` reads.

pub(crate) mod ancestor;
pub(crate) mod go_time;
mod ini;
pub(crate) mod limits;
mod toml;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use live::sizes::Method;
use verdict::account::AccountName;
use verdict::network::HostList;
use verdict::quota::{OwnerRules, Policy, PolicyRules};

pub(crate) use self::toml::TEMPLATE;
use crate::quota::metrics::SERIES_MAX;
use crate::quota::notices::Notices;
use crate::time::Zone;
use ancestor::{Ancestor, Form, Login};
use go_time::GoLayout;

/// Where the configuration is looked for, in this order.
pub(crate) const DEFAULT_PATHS: [&str; 2] =
    ["/etc/rollcall/rollcall.toml", "/etc/conntracker/conntracker.ini"];

/// The longest configuration that is read, in bytes: thousands of servers fit.
pub(crate) const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// The most threads: beyond it a scan gains nothing and a typing slip costs much.
pub(crate) const THREADS_MAX: usize = 256;

/// Everything that is configured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    /// The file it comes from; `None` where there is none.
    pub(crate) path: Option<PathBuf>,
    /// The ledger, where it is configured.
    pub(crate) ledger: Option<PathBuf>,
    pub(crate) servers: Vec<Server>,
    /// The zone of log times, for servers without their own.
    pub(crate) time_zone: Option<Zone>,
    /// Clients that open the port to see whether it answers.
    pub(crate) health_checks: HostList,
    /// Accounts that no plan may hold.
    pub(crate) protected: Vec<AccountName>,
    /// Configurations of proxies, whose users are kept out of plans.
    pub(crate) references: Vec<PathBuf>,
    pub(crate) quota: Quota,
    pub(crate) limits: Limits,
    pub(crate) sample: Sample,
    /// Set where the file is conntracker's.
    pub(crate) conntracker: Option<Conntracker>,
    /// Set where the file is mysql_monitor_daemon's.
    pub(crate) ancestor: Option<Box<Ancestor>>,
    /// What was left aside, to be said on standard error with -v.
    pub(crate) warnings: Vec<String>,
    /// What cannot be meant as it stands, to be said on standard error.
    pub(crate) notes: Vec<String>,
}

/// One audited server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Server {
    /// Its name; `None` (conntracker) leaves the names the records hold.
    pub(crate) name: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) time_zone: Option<Zone>,
    /// Files, folders, globs.
    pub(crate) audit_logs: Vec<String>,
    pub(crate) binlog_index: Option<PathBuf>,
    pub(crate) defaults_file: Option<PathBuf>,
    /// The table that its logins write into.
    pub(crate) access_log: Option<live::access_log::TableName>,
    /// How it is reached where a file of mysql_monitor_daemon says it.
    pub(crate) login: Option<Login>,
    /// How often its storage is measured, and how long it may keep us waiting, where that is its own.
    pub(crate) quota_interval: Option<Duration>,
    pub(crate) quota_timeout: Option<Duration>,
}

/// How storage is counted, and against which limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quota {
    /// The file of limits.
    pub(crate) limits: Option<PathBuf>,
    pub(crate) owners: OwnerRules,
    pub(crate) method: Method,
    /// What is done about users above limits.
    pub(crate) policy: PolicyRules,
    /// Sessions are closed when an account is locked for it.
    pub(crate) kill_sessions: bool,
    /// It is done without being asked on the command line.
    pub(crate) enforce: bool,
    pub(crate) service: QuotaService,
    pub(crate) metrics: MetricsRules,
    /// Who is told of events.
    pub(crate) notices: Notices,
}

/// How `quota watch` goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuotaService {
    /// How often each server is measured.
    pub(crate) interval: Duration,
    /// How long connecting, and each answer, may take.
    pub(crate) timeout: Duration,
    /// How many servers are measured at once.
    pub(crate) workers: usize,
    /// Whom a service that root starts becomes, `USER` or `USER:GROUP`.
    pub(crate) run_as: String,
}

impl Default for QuotaService {
    fn default() -> QuotaService {
        QuotaService {
            interval: Duration::from_secs(600),
            timeout: Duration::from_secs(30),
            workers: 4,
            run_as: "rollcall".to_owned(),
        }
    }
}

/// How connections are sampled, and what of that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Seconds from one look at the list of sessions to the next, at least 1.
    pub(crate) interval_seconds: u32,
    /// New connections of a server whose processes are looked for in one round.
    pub(crate) connections_per_round: u32,
    /// Rows kept of connections, and of queries.
    pub(crate) keep: u32,
    /// Days they are kept.
    pub(crate) days: u32,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample { interval_seconds: 10, connections_per_round: 50, keep: 20_000, days: 30 }
    }
}

/// What Prometheus is told, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricsRules {
    /// The file of a textfile collector.
    pub(crate) file: Option<PathBuf>,
    /// Where `/metrics` is.
    pub(crate) listen: Option<SocketAddr>,
    /// How many users have series of their own.
    pub(crate) series_max: usize,
    /// Series of users that are not measured any more stay in the file.
    pub(crate) keeps_series: bool,
}

impl Default for MetricsRules {
    fn default() -> MetricsRules {
        MetricsRules { file: None, listen: None, series_max: SERIES_MAX, keeps_series: false }
    }
}

/// What is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Connection facts kept.
    pub(crate) connections_keep: u64,
    /// Days they are kept.
    pub(crate) connections_days: u32,
    /// Days that counts per hour are kept.
    pub(crate) hours_days: u32,
    /// Days that counts per day are kept.
    pub(crate) days_days: u32,
    /// User and host pairs per server and hour that only ever failed, before names are folded.
    pub(crate) pairs_per_hour: u32,
    /// Days that a plan can be applied.
    pub(crate) plan_days: u32,
    /// Days that an account is locked before it can be dropped.
    pub(crate) cool_down_days: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_keep: 20_000,
            connections_days: 30,
            hours_days: 90,
            days_days: 400,
            pairs_per_hour: 1000,
            plan_days: 7,
            cool_down_days: 14,
        }
    }
}

/// conntracker's settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conntracker {
    /// A folder, walked with its subfolders.
    pub(crate) audit_log_path: Option<PathBuf>,
    /// Its ledger; the compatible table is kept there.
    pub(crate) sqlite_path: Option<PathBuf>,
    /// How log times are written.
    pub(crate) audit_time: GoLayout,
    /// How `last_seen` is written in the compatible table.
    pub(crate) database_time: GoLayout,
    /// The zone of both; `None` is the machine's.
    pub(crate) zone: Option<Zone>,
    pub(crate) workers: Option<usize>,
    pub(crate) log_level: LogLevel,
}

impl Default for Conntracker {
    fn default() -> Conntracker {
        let layout = |text| GoLayout::new(text).expect("the default layouts are layouts");
        Conntracker {
            audit_log_path: None,
            sqlite_path: None,
            audit_time: layout("20060102 15:04:05"),
            database_time: layout("2006-01-02 15:04:05-07:00"),
            zone: None,
            workers: None,
            log_level: LogLevel::Error,
        }
    }
}

/// How much conntracker was asked to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    fn parse(text: &str) -> Option<LogLevel> {
        match text.to_ascii_uppercase().as_str() {
            "DEBUG" => Some(LogLevel::Debug),
            "INFO" => Some(LogLevel::Info),
            "WARN" | "WARNING" => Some(LogLevel::Warn),
            "ERROR" => Some(LogLevel::Error),
            _ => None,
        }
    }
}

impl Config {
    /// Reads the configuration: `path` where one is given, else the first default place that
    /// exists, else nothing is configured. `credentials` is the folder of credentials that the
    /// service manager gave, where it did.
    ///
    /// # Errors
    /// A message that names file, line and remedy.
    pub(crate) fn load(path: Option<&Path>, credentials: Option<&Path>) -> Result<Config, String> {
        if let Some(path) = path {
            return Config::read(path, credentials);
        }
        let defaults = DEFAULT_PATHS.iter().map(Path::new);
        match defaults.into_iter().find(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Config::read(path, credentials),
            None => Ok(Config::default()),
        }
    }

    fn read(path: &Path, credentials: Option<&Path>) -> Result<Config, String> {
        use std::io::Read as _;

        let place = path.display();
        let unreadable =
            |error| format!("{place} cannot be read ({error}): name another with --config");
        let file = std::fs::File::open(path).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(format!("{place} is no file: --config takes a file"));
        }
        let mut bytes = Vec::new();
        file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > CONFIG_BYTES_MAX {
            return Err(format!(
                "{place} is larger than {CONFIG_BYTES_MAX} bytes: no configuration"
            ));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count();
            format!("{place}:{}: not UTF-8: save the file as UTF-8", line + 1)
        })?;
        let mut config = Config::parse(&text).map_err(|error| format!("{place}:{error}"))?;
        for warning in config.warnings.iter_mut().chain(&mut config.notes) {
            *warning = format!("{place}:{warning}");
        }
        config.path = Some(path.to_owned());
        if let Some(mut ancestor) = config.ancestor.take() {
            ancestor.settle(path, credentials)?;
            config.take(ancestor);
        }
        Ok(config)
    }

    /// Reads a configuration's text.
    ///
    /// # Errors
    /// A message with the line in front (`12: …`).
    pub(crate) fn parse(text: &str) -> Result<Config, String> {
        if let Some(form) = Form::of(text) {
            let (read, notes) = ancestor::parse(form, text)?;
            let mut config = Config { notes, ..Config::default() };
            config.take(Box::new(read));
            return Ok(config);
        }
        if !ini::is_conntracker(text) {
            return toml::parse(text);
        }
        let ini::Parsed { settings: conntracker, warnings, notes } = ini::parse(text)?;
        let server = conntracker.audit_log_path.as_ref().map(|path| Server {
            name: None,
            group: None,
            time_zone: None,
            audit_logs: vec![path.to_string_lossy().into_owned()],
            binlog_index: None,
            defaults_file: None,
            access_log: None,
            login: None,
            quota_interval: None,
            quota_timeout: None,
        });
        Ok(Config {
            ledger: conntracker.sqlite_path.clone(),
            servers: server.into_iter().collect(),
            time_zone: conntracker.zone.clone(),
            conntracker: Some(conntracker),
            warnings,
            notes,
            ..Config::default()
        })
    }

    /// What a file of mysql_monitor_daemon means here.
    fn take(&mut self, ancestor: Box<Ancestor>) {
        let server = |login: &Login| Server {
            name: Some(login.name.clone()),
            group: None,
            time_zone: None,
            audit_logs: Vec::new(),
            binlog_index: None,
            defaults_file: None,
            access_log: None,
            login: Some(login.clone()),
            quota_interval: Some(login.interval),
            quota_timeout: None,
        };
        self.servers = ancestor.servers.iter().map(server).collect();
        self.quota.limits = Some(ancestor.limits.clone());
        self.quota.owners.patterns = ancestor.owners.clone();
        self.quota.method = ancestor.method.unwrap_or_default();
        // As it did; but not before somebody asks for it.
        self.quota.policy.policy = Policy::Lock;
        self.quota.policy.exceed_count = ancestor.exceed_count;
        self.quota.kill_sessions = ancestor.kills == Some(true);
        if let Some(workers) = ancestor.threads {
            self.quota.service.workers = workers.clamp(1, THREADS_MAX);
        }
        if let Some(user) = &ancestor.user {
            let group = ancestor.group.as_ref().map(|it| format!(":{it}"));
            self.quota.service.run_as = format!("{user}{}", group.unwrap_or_default());
        }
        self.quota.metrics.file = ancestor.metrics.clone();
        self.quota.metrics.keeps_series = ancestor.keeps_series;
        self.quota.notices.syslog = ancestor.syslog;
        self.quota.notices.audit_log = ancestor.audit_log.clone();
        self.ancestor = Some(ancestor);
    }

    /// The names of the servers that `--server` and `--group` choose; empty: all.
    ///
    /// # Errors
    /// A message where no server is in that group.
    pub(crate) fn chosen(
        &self,
        server: Option<&str>,
        group: Option<&str>,
    ) -> Result<Vec<String>, String> {
        let Some(group) = group else {
            return Ok(server.map(str::to_owned).into_iter().collect());
        };
        let members = self.servers.iter().filter(|it| it.group.as_deref() == Some(group));
        let names: Vec<String> = members
            .filter_map(|it| it.name.clone())
            .filter(|name| server.is_none_or(|server| server == name))
            .collect();
        if names.is_empty() {
            return Err(match server {
                Some(server) => format!("no server {server:?} in group {group:?} is configured"),
                None => format!(
                    "no server of group {group:?} is configured: add group = {group:?} to its [[server]]"
                ),
            });
        }
        Ok(names)
    }
}

/// Where the ledger is without `--ledger` and configuration: `/var/lib/rollcall` for root, the XDG
/// state folder for others.
///
/// # Errors
/// A message where an ordinary user has no home.
pub(crate) fn default_ledger(
    is_root: bool,
    xdg_state_home: Option<PathBuf>,
    home: Option<PathBuf>,
) -> Result<PathBuf, String> {
    if is_root {
        return Ok(PathBuf::from("/var/lib/rollcall/ledger.sqlite"));
    }
    // The XDG specification: relative paths are invalid and count as not set.
    let state = xdg_state_home
        .filter(|it| it.is_absolute())
        .or_else(|| home.filter(|it| it.is_absolute()).map(|it| it.join(".local/state")));
    let message = "no place for the ledger: HOME is not set; give --ledger FILE";
    state.map(|it| it.join("rollcall/ledger.sqlite")).ok_or_else(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conntrackers_file_becomes_one_server() {
        let config = Config::parse(
            "[default]\nAuditLogPath=/var/lib/mysql\nSqlitePath=/x.sqlite\nTimeLocation=UTC\n",
        );
        let config = config.unwrap();
        assert_eq!(config.ledger, Some("/x.sqlite".into()));
        assert_eq!(config.servers.len(), 1);
        assert_eq!(config.servers[0].audit_logs, ["/var/lib/mysql"]);
        assert_eq!(config.servers[0].name, None);
        assert_eq!(config.time_zone, Some(Zone::utc()));
        assert!(config.conntracker.is_some());
    }

    #[test]
    fn files_are_named_in_errors_and_warnings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        let load = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Config::load(Some(&path), None)
        };
        let place = folder.path().join("c").display().to_string();
        assert_eq!(
            load(b"ledger = '/x'\nlegder = 1\n").unwrap_err(),
            format!("{place}:2: unknown key `legder`: did you mean `ledger`?")
        );
        let latin1 = load(b"# a\n# b \xe4\n").unwrap_err();
        assert_eq!(latin1, format!("{place}:2: not UTF-8: save the file as UTF-8"));
        let warnings = load(b"[default]\nNew=1\n").unwrap().warnings;
        assert_eq!(warnings, [format!("{place}:2: key \"New\" is unknown, left aside")]);
        let comment = |bytes| vec![b'#'; usize::try_from(bytes).unwrap()];
        assert!(load(&comment(CONFIG_BYTES_MAX)).is_ok());
        assert!(load(&comment(CONFIG_BYTES_MAX + 1)).unwrap_err().contains("larger than"));
        assert!(Config::load(Some(folder.path()), None).unwrap_err().contains("is no file"));
        let missing = Config::load(Some(&folder.path().join("none")), None).unwrap_err();
        assert!(missing.contains("cannot be read"), "{missing}");
    }

    #[test]
    fn groups_choose_servers() {
        let config = Config::parse(
            "[[server]]\nname='db1'\ngroup='shop'\n[[server]]\nname='db2'\ngroup='shop'\n\
             [[server]]\nname='db3'\n",
        );
        let config = config.unwrap();
        assert_eq!(config.chosen(None, None).unwrap(), Vec::<String>::new());
        assert_eq!(config.chosen(Some("other"), None).unwrap(), ["other"]);
        assert_eq!(config.chosen(None, Some("shop")).unwrap(), ["db1", "db2"]);
        assert_eq!(config.chosen(Some("db2"), Some("shop")).unwrap(), ["db2"]);
        assert!(config.chosen(Some("db3"), Some("shop")).is_err());
        assert!(config.chosen(None, Some("shed")).unwrap_err().contains("group = \"shed\""));
    }

    #[test]
    fn the_ledger_has_a_place() {
        let of = |root, xdg: Option<&str>, home: Option<&str>| {
            default_ledger(root, xdg.map(Into::into), home.map(Into::into))
        };
        let root = of(true, Some("/xdg"), None);
        assert_eq!(root, Ok("/var/lib/rollcall/ledger.sqlite".into()));
        let xdg = of(false, Some("/xdg"), Some("/home/a"));
        assert_eq!(xdg, Ok("/xdg/rollcall/ledger.sqlite".into()));
        for relative in [None, Some(""), Some("xdg")] {
            let home = of(false, relative, Some("/home/a"));
            assert_eq!(home, Ok("/home/a/.local/state/rollcall/ledger.sqlite".into()));
        }
        assert!(of(false, None, None).unwrap_err().contains("--ledger"));
    }
}
