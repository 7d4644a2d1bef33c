//! rollcall's own configuration. [`TEMPLATE`] shows every key with its default and is what
//! `rollcall init` writes; a test reads it with the comment signs taken off.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use live::access_log::TableName;
use live::sizes::Method;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use verdict::account::AccountName;
use verdict::network::HostList;
use verdict::quota::{OwnerRules, Pattern, PatternFault, Policy, PolicyRules};

use super::{Config, Limits, MetricsRules, Quota, QuotaService, Sample, Server, THREADS_MAX};
use crate::quota::notices::{Notices, Webhook};
use crate::time::Zone;

/// The most days anything is kept: 100 years.
const DAYS_MAX: u32 = 36_500;

/// The most connection facts kept: about 100 bytes each, so 100 GB.
const CONNECTIONS_MAX: u64 = 1_000_000_000;

/// The most pairs per hour kept before folding.
const PAIRS_MAX: u32 = 1_000_000;

/// The longest pause between two samples: a day.
const SAMPLE_SECONDS_MAX: u32 = 86_400;

/// The most new connections that a sample looks at: each look goes over all processes of the machine.
const SAMPLE_CONNECTIONS_MAX: u32 = 10_000;

/// The most samples kept: up to about 5 kB each.
const SAMPLES_MAX: u32 = 1_000_000;

/// The most users with series of their own: what a Prometheus takes from one place without trouble.
const SERIES_HIGHEST: usize = 100_000;

/// A configuration with every key, all commented out.
pub(crate) const TEMPLATE: &str = r#"# rollcall: which servers, where their audit logs are, what is kept for how long.
# Lines that begin with #: are defaults or examples; take the sign off to set them.
# Check the file with: rollcall check

# The ledger: one SQLite file. For root /var/lib/rollcall/ledger.sqlite.
#: ledger = "/var/lib/rollcall/ledger.sqlite"

# The zone of the times in the logs. Without it: this machine's zone.
#: time_zone = "Europe/Zurich"

# Clients that only open the port to see whether it answers: names, addresses, networks.
# They are shown apart from port scans.
#: health_checks = ["lb-1.example.com", "10.0.0.5", "10.9.0.0/16"]

# Accounts that no plan may hold, whatever is asked for.
#: protected = ["'payroll'@'%'"]

# Configurations of ProxySQL and MaxScale: accounts that they list are kept out of plans.
#: references = ["/var/lib/proxysql/proxysql.db", "/etc/maxscale.cnf"]

# How many days a plan can be applied, and how many an account is locked before it can be dropped.
#: [plans]
#: valid_days = 7
#: cool_down_days = 14

# Facts about single connections, for tracing changes to people.
#: [connections]
#: keep = 20000
#: days = 30

# rollcall sample, a service of its own that is off by default: how often it looks, how many new connections
# it looks at in one round, and how many connections are kept for how long.
#: [sample]
#: interval_seconds = 10
#: connections_per_round = 50
#: keep = 20000
#: days = 30

# How many days counts are kept: per hour, per day. First and last times are kept for good.
#: [retention]
#: hours = 90
#: days = 400

# User and host pairs per server and hour that only ever failed; further ones are counted together.
#: [failures]
#: pairs_per_hour = 1000

# Storage per user, for rollcall quota check: the limits, a file of their own; whose schema it is, by
# patterns (%u is the user, % any text) or, where none fits, by who may write to it; schemas that count
# for nobody; how sizes are read (tablespaces, information-schema).
#: [quota]
#: limits = "/etc/rollcall/limits.toml"
#: owners = ["%u", "%u_%"]
#: by_grants = false
#: shared = ["common", "lib_%"]
#: method = "tablespaces"
# Steps, in per cent of the hard limit, at which it is told once. Above the hard limit, found by so many looks in
# succession: warn, lock (all accounts of the user), no-growth (its rights to insert, update, create and alter).
# Given back below restore_below per cent. Without enforce only quota check --apply acts. Sessions are closed with a
# lock where kill_sessions says so, with no-growth always.
#: warn_at = [80, 90, 98]
#: policy = "warn"
#: exceed_count = 2
#: restore_below = 90
#: kill_sessions = false
#: enforce = false
# For rollcall quota watch: how often each server is measured, how long connecting and each answer may take (both
# also for one server alone, below), how many servers at once, and whom it becomes where root starts it (USER or
# USER:GROUP).
#: interval_seconds = 600
#: timeout_seconds = 30
#: workers = 4
#: run_as = "rollcall"

# Owners of schemas, before all patterns.
#: [quota.schemas]
#: webshop = "t4711"

# For Prometheus: the file of its textfile collector, replaced after each check; where /metrics is (of quota watch
# alone); how many users have series of their own, the largest first: all others are one, "other".
#: [quota.metrics]
#: file = "/var/lib/node_exporter/mysql_user_storage.prom"
#: listen = "127.0.0.1:9204"
#: series = 2000

# Who is told of each warning, deed and refusal: syslog; a file of JSON lines; a program, started without a shell,
# with JSON on its standard input; a receiver on this machine, by POST.
#: [quota.notices]
#: syslog = true
#: audit_log = "/var/log/rollcall/quota.log"
#: command = ["/usr/local/sbin/quota-notice", "--from", "rollcall"]
#: webhook = "http://127.0.0.1:9000/quota"

# One table per server. Only the name is needed; it takes the place of the name in the records.
#: [[server]]
#: name = "db1"
#: group = "shop"
#: time_zone = "Europe/Zurich"
#: audit_logs = ["/var/lib/mysql", "/var/log/mysql/server_audit.log*"]
#: binlog_index = "/var/lib/mysql/binlog.index"
#: defaults_file = "/etc/rollcall/db1.cnf"
#: access_log = "accesslog.accesslog"
#: quota_interval_seconds = 300
#: quota_timeout_seconds = 10
"#;

const TOP_KEYS: [&str; 12] = [
    "ledger",
    "time_zone",
    "health_checks",
    "protected",
    "references",
    "plans",
    "connections",
    "sample",
    "retention",
    "failures",
    "quota",
    "server",
];
const PLANS_KEYS: [&str; 2] = ["valid_days", "cool_down_days"];
const CONNECTIONS_KEYS: [&str; 2] = ["keep", "days"];
const SAMPLE_KEYS: [&str; 4] = ["interval_seconds", "connections_per_round", "keep", "days"];
const RETENTION_KEYS: [&str; 2] = ["hours", "days"];
const FAILURES_KEYS: [&str; 1] = ["pairs_per_hour"];
const QUOTA_KEYS: [&str; 18] = [
    "limits",
    "owners",
    "by_grants",
    "shared",
    "method",
    "schemas",
    "warn_at",
    "policy",
    "exceed_count",
    "restore_below",
    "kill_sessions",
    "enforce",
    "interval_seconds",
    "timeout_seconds",
    "workers",
    "run_as",
    "metrics",
    "notices",
];
const METRICS_KEYS: [&str; 3] = ["file", "listen", "series"];
const NOTICES_KEYS: [&str; 4] = ["syslog", "audit_log", "command", "webhook"];
const SERVER_KEYS: [&str; 9] = [
    "name",
    "group",
    "time_zone",
    "audit_logs",
    "binlog_index",
    "defaults_file",
    "access_log",
    "quota_interval_seconds",
    "quota_timeout_seconds",
];

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    ledger: Option<PathBuf>,
    time_zone: Option<String>,
    health_checks: Vec<String>,
    protected: Vec<String>,
    references: Vec<PathBuf>,
    plans: RawPlans,
    connections: RawConnections,
    sample: RawSample,
    retention: RawRetention,
    failures: RawFailures,
    quota: RawQuota,
    server: Vec<toml::Spanned<RawServer>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawPlans {
    valid_days: Option<u32>,
    cool_down_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConnections {
    keep: Option<u64>,
    days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSample {
    interval_seconds: Option<u32>,
    connections_per_round: Option<u32>,
    keep: Option<u32>,
    days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRetention {
    hours: Option<u32>,
    days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawFailures {
    pairs_per_hour: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawQuota {
    limits: Option<PathBuf>,
    owners: Option<Vec<String>>,
    by_grants: bool,
    shared: Vec<String>,
    method: Option<String>,
    schemas: BTreeMap<String, String>,
    warn_at: Option<Vec<u32>>,
    policy: Option<String>,
    exceed_count: Option<u32>,
    restore_below: Option<u32>,
    kill_sessions: bool,
    enforce: bool,
    interval_seconds: Option<u64>,
    timeout_seconds: Option<u64>,
    workers: Option<usize>,
    run_as: Option<String>,
    metrics: RawMetrics,
    notices: RawNotices,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawMetrics {
    file: Option<PathBuf>,
    listen: Option<String>,
    series: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawNotices {
    syslog: bool,
    audit_log: Option<PathBuf>,
    command: Option<Vec<String>>,
    webhook: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    name: String,
    group: Option<String>,
    time_zone: Option<String>,
    #[serde(default)]
    audit_logs: Vec<String>,
    binlog_index: Option<PathBuf>,
    defaults_file: Option<PathBuf>,
    access_log: Option<String>,
    quota_interval_seconds: Option<u64>,
    quota_timeout_seconds: Option<u64>,
}

/// Reads the file's text.
///
/// # Errors
/// A message with the line in front (`12: …`).
pub(super) fn parse(text: &str) -> Result<Config, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let message = |error: toml::de::Error| {
        let place = error.span().map_or(1, |span| line_of(text, span.start));
        let first = error.message().lines().next().unwrap_or_default().to_owned();
        format!("{place}: {first}")
    };
    check_keys(text, DeTable::parse(text).map_err(message)?.get_ref())?;
    let raw: Raw = toml::from_str(text).map_err(message)?;
    resolve(text, raw)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

fn check_keys(text: &str, top: &DeTable<'_>) -> Result<(), String> {
    check_table(text, top, &TOP_KEYS)?;
    for (key, value) in top {
        let known: &[&str] = match key.get_ref().as_ref() {
            "plans" => &PLANS_KEYS,
            "connections" => &CONNECTIONS_KEYS,
            "sample" => &SAMPLE_KEYS,
            "retention" => &RETENTION_KEYS,
            "failures" => &FAILURES_KEYS,
            "quota" => &QUOTA_KEYS,
            "server" => &SERVER_KEYS,
            _ => continue,
        };
        match value.get_ref() {
            DeValue::Table(table) => {
                check_table(text, table, known)?;
                if key.get_ref() == "quota" {
                    check_inner(text, table, "metrics", &METRICS_KEYS)?;
                    check_inner(text, table, "notices", &NOTICES_KEYS)?;
                }
            }
            DeValue::Array(array) => {
                for item in array.iter() {
                    if let DeValue::Table(table) = item.get_ref() {
                        check_table(text, table, known)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_inner(text: &str, table: &DeTable<'_>, name: &str, known: &[&str]) -> Result<(), String> {
    match table.get(name).map(|it| it.get_ref()) {
        Some(DeValue::Table(inner)) => check_table(text, inner, known),
        _ => Ok(()),
    }
}

fn check_table(text: &str, table: &DeTable<'_>, known: &[&str]) -> Result<(), String> {
    for key in table.keys() {
        let name: &str = key.get_ref();
        if known.contains(&name) {
            continue;
        }
        let line = line_of(text, key.span().start);
        let hint = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here are {}", known.join(", ")),
        };
        return Err(format!("{line}: unknown key `{}`: {hint}", crate::render::inert(name)));
    }
    Ok(())
}

/// The known key that needs the fewest changes to become `name`, if they are few.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (changes, near) = known.iter().map(|it| (changes(name, it), *it)).min()?;
    (changes <= 1 + near.len() / 4).then_some(near)
}

/// How many characters to put in, take out or replace (Levenshtein), neighbours swapped as one.
fn changes(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(64).collect();
    let to: Vec<char> = to.chars().collect();
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
                let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[from.len()][to.len()]
}

fn resolve(text: &str, raw: Raw) -> Result<Config, String> {
    let at = |key: &str| {
        let found = text.lines().position(|line| {
            line.trim_start().strip_prefix(key).is_some_and(|it| it.trim_start().starts_with('='))
        });
        found.map_or(1, |line| line + 1)
    };
    let zone = |name: Option<&String>, line: usize| {
        let zone = name.map(|it| Zone::parse(it)).transpose();
        zone.map_err(|error| format!("{line}: time_zone: {error}"))
    };
    let mut servers: Vec<Server> = Vec::new();
    for raw in &raw.server {
        let line = line_of(text, raw.span().start);
        let server = raw.get_ref();
        if server.name.is_empty() {
            return Err(format!("{line}: a [[server]] with an empty name: give it one"));
        }
        if servers.iter().any(|it| it.name.as_deref() == Some(server.name.as_str())) {
            let name = crate::render::inert(&server.name);
            return Err(format!("{line}: a second [[server]] is named {name:?}: join the two"));
        }
        servers.push(Server {
            name: Some(server.name.clone()),
            group: server.group.clone(),
            time_zone: zone(server.time_zone.as_ref(), line)?,
            audit_logs: server.audit_logs.clone(),
            binlog_index: server.binlog_index.clone(),
            defaults_file: server.defaults_file.clone(),
            access_log: access_log(server)
                .map_err(|error| format!("{line}: access_log: {error}"))?,
            login: None,
            quota_interval: seconds(server.quota_interval_seconds, INTERVAL_SECONDS_MAX)
                .map_err(|error| format!("{line}: quota_interval_seconds: {error}"))?,
            quota_timeout: seconds(server.quota_timeout_seconds, TIMEOUT_SECONDS_MAX)
                .map_err(|error| format!("{line}: quota_timeout_seconds: {error}"))?,
        });
    }
    let too_much = |((table, name), most): ((&str, &str), u64)| {
        format!("{}: [{table}] {name} is more than {most}", at(name))
    };
    Ok(Config {
        ledger: raw.ledger.clone(),
        servers,
        time_zone: zone(raw.time_zone.as_ref(), at("time_zone"))?,
        health_checks: HostList::parse(&raw.health_checks)
            .map_err(|error| format!("{}: health_checks: {error}", at("health_checks")))?,
        protected: protected(&raw.protected)
            .map_err(|error| format!("{}: protected: {error}", at("protected")))?,
        references: raw.references.clone(),
        quota: quota(&raw.quota).map_err(|(key, error)| format!("{}: {key}: {error}", at(key)))?,
        limits: limits(&raw).map_err(too_much)?,
        sample: sample(&raw.sample).map_err(too_much)?,
        ..Config::default()
    })
}

/// The table that logins write into.
fn access_log(server: &RawServer) -> Result<Option<TableName>, &'static str> {
    let Some(text) = &server.access_log else { return Ok(None) };
    let table = TableName::parse(text).ok_or("no table: write it like accesslog.accesslog")?;
    match &server.defaults_file {
        Some(_) => Ok(Some(table)),
        None => Err("the server has to be reached for it: add defaults_file"),
    }
}

/// How storage is counted; the error names the key.
fn quota(raw: &RawQuota) -> Result<Quota, (&'static str, String)> {
    let patterns = |key, texts: &[String], parse: fn(&str) -> Result<Pattern, PatternFault>| {
        let pattern = |text: &String| {
            parse(text).map_err(|fault| (key, format!("{:?}: {fault}", crate::render::inert(text))))
        };
        texts.iter().map(pattern).collect::<Result<Vec<_>, _>>()
    };
    let default = Quota::default();
    let bytes = |text: &String| text.as_bytes().to_vec();
    Ok(Quota {
        limits: raw.limits.clone(),
        owners: OwnerRules {
            patterns: match &raw.owners {
                Some(texts) => patterns("owners", texts, Pattern::owner)?,
                None => default.owners.patterns,
            },
            by_grants: raw.by_grants,
            shared: patterns("shared", &raw.shared, Pattern::schema)?,
            schemas: raw.schemas.iter().map(|(name, user)| (bytes(name), bytes(user))).collect(),
        },
        method: match raw.method.as_deref() {
            None | Some("tablespaces") => Method::Tablespaces,
            Some("information-schema") => Method::InformationSchema,
            Some(_) => {
                return Err(("method", "write tablespaces or information-schema".to_owned()));
            }
        },
        policy: policy(raw)?,
        kill_sessions: raw.kill_sessions,
        enforce: raw.enforce,
        service: quota_service(raw)?,
        metrics: metrics(&raw.metrics)?,
        notices: notices(&raw.notices)?,
    })
}

fn metrics(raw: &RawMetrics) -> Result<MetricsRules, (&'static str, String)> {
    let default = MetricsRules::default();
    let listen = raw.listen.as_ref().map(|text| text.parse());
    let form = |_| ("listen", "no address with a port: write it like 127.0.0.1:9204".to_owned());
    let series_max = raw.series.unwrap_or(default.series_max);
    if !(1..=SERIES_HIGHEST).contains(&series_max) {
        return Err(("series", format!("write a number from 1 to {SERIES_HIGHEST}")));
    }
    let listen = listen.transpose().map_err(form)?;
    Ok(MetricsRules { file: raw.file.clone(), listen, series_max, ..default })
}

fn notices(raw: &RawNotices) -> Result<Notices, (&'static str, String)> {
    let RawNotices { syslog, audit_log, command, webhook } = raw;
    let program = command.as_ref().map(|it| it.first().map_or("", String::as_str));
    // What PATH is in a service is not what it is in a shell.
    if program.is_some_and(|it| !it.starts_with('/')) {
        let form = "no path of a program: write it like [\"/usr/local/sbin/quota-notice\"]";
        return Err(("command", form.to_owned()));
    }
    let webhook = webhook.as_deref().map(Webhook::parse).transpose();
    Ok(Notices {
        syslog: *syslog,
        audit_log: audit_log.clone(),
        command: command.clone(),
        webhook: webhook.map_err(|fault| ("webhook", fault.to_string()))?,
    })
}

/// The longest interval: a month.
const INTERVAL_SECONDS_MAX: u64 = 31 * 86_400;

/// The longest time that a server may keep a worker waiting for one answer: an hour.
const TIMEOUT_SECONDS_MAX: u64 = 3600;

/// How `quota watch` goes about it; the error names the key.
fn quota_service(raw: &RawQuota) -> Result<QuotaService, (&'static str, String)> {
    let default = QuotaService::default();
    let time = |value, most, key| seconds(value, most).map_err(|error| (key, error));
    let interval = time(raw.interval_seconds, INTERVAL_SECONDS_MAX, "interval_seconds")?;
    let timeout = time(raw.timeout_seconds, TIMEOUT_SECONDS_MAX, "timeout_seconds")?;
    let workers = raw.workers.unwrap_or(default.workers);
    if !(1..=THREADS_MAX).contains(&workers) {
        return Err(("workers", format!("write a number from 1 to {THREADS_MAX}")));
    }
    Ok(QuotaService {
        interval: interval.unwrap_or(default.interval),
        timeout: timeout.unwrap_or(default.timeout),
        workers,
        run_as: raw.run_as.clone().unwrap_or(default.run_as),
    })
}

fn seconds(value: Option<u64>, most: u64) -> Result<Option<Duration>, String> {
    match value {
        Some(value) if !(1..=most).contains(&value) => {
            Err(format!("write seconds, from 1 to {most}"))
        }
        value => Ok(value.map(Duration::from_secs)),
    }
}

/// What is done about users; the error names the key.
fn policy(raw: &RawQuota) -> Result<PolicyRules, (&'static str, String)> {
    let default = PolicyRules::default();
    let warn_at = raw.warn_at.clone().unwrap_or(default.warn_at);
    if warn_at.iter().any(|step| !(1..=100).contains(step)) {
        return Err(("warn_at", "write per cent of the limit, from 1 to 100".to_owned()));
    }
    let exceed_count = raw.exceed_count.unwrap_or(default.exceed_count);
    if exceed_count == 0 {
        return Err(("exceed_count", "write at least 1".to_owned()));
    }
    let restore_below = raw.restore_below.unwrap_or(default.restore_below);
    if !(1..=100).contains(&restore_below) {
        return Err((
            "restore_below",
            "write per cent of the hard limit, from 1 to 100".to_owned(),
        ));
    }
    let policy = match raw.policy.as_deref() {
        None => default.policy,
        Some(word) => Policy::parse(word)
            .ok_or_else(|| ("policy", "write warn, lock or no-growth".to_owned()))?,
    };
    Ok(PolicyRules { policy, warn_at, exceed_count, restore_below })
}

/// Accounts as people write them.
fn protected(names: &[String]) -> Result<Vec<AccountName>, String> {
    let account = |text: &String| {
        AccountName::parse(text.as_bytes()).ok_or_else(|| {
            let text = crate::render::inert(text);
            format!("{text} is no account: write it like 'payroll'@'%'")
        })
    };
    names.iter().map(account).collect()
}

/// The limits; the error names a table, a key and the most it takes.
fn sample(raw: &RawSample) -> Result<Sample, ((&'static str, &'static str), u64)> {
    let default = Sample::default();
    let number = |value: Option<u32>, default, most: u32, key| match value.unwrap_or(default) {
        number if number > most => Err((("sample", key), u64::from(most))),
        number => Ok(number),
    };
    let seconds = raw.interval_seconds;
    let seconds =
        number(seconds, default.interval_seconds, SAMPLE_SECONDS_MAX, "interval_seconds")?;
    Ok(Sample {
        interval_seconds: seconds.max(1),
        connections_per_round: number(
            raw.connections_per_round,
            default.connections_per_round,
            SAMPLE_CONNECTIONS_MAX,
            "connections_per_round",
        )?,
        keep: number(raw.keep, default.keep, SAMPLES_MAX, "keep")?,
        days: number(raw.days, default.days, DAYS_MAX, "days")?,
    })
}

fn limits(raw: &Raw) -> Result<Limits, ((&'static str, &'static str), u64)> {
    let default = Limits::default();
    let days = |value: Option<u32>, default, key| match value.unwrap_or(default) {
        days if days > DAYS_MAX => Err((key, u64::from(DAYS_MAX))),
        days => Ok(days),
    };
    let keep = raw.connections.keep.unwrap_or(default.connections_keep);
    if keep > CONNECTIONS_MAX {
        return Err((("connections", "keep"), CONNECTIONS_MAX));
    }
    let pairs = raw.failures.pairs_per_hour.unwrap_or(default.pairs_per_hour);
    if pairs > PAIRS_MAX {
        return Err((("failures", "pairs_per_hour"), PAIRS_MAX.into()));
    }
    Ok(Limits {
        connections_keep: keep,
        connections_days: days(
            raw.connections.days,
            default.connections_days,
            ("connections", "days"),
        )?,
        hours_days: days(raw.retention.hours, default.hours_days, ("retention", "hours"))?,
        days_days: days(raw.retention.days, default.days_days, ("retention", "days"))?,
        pairs_per_hour: pairs,
        plan_days: days(raw.plans.valid_days, default.plan_days, ("plans", "valid_days"))?,
        cool_down_days: days(
            raw.plans.cool_down_days,
            default.cool_down_days,
            ("plans", "cool_down_days"),
        )?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_empty_and_complete() {
        let empty = parse(TEMPLATE).unwrap();
        assert!(empty.servers.is_empty() && empty.ledger.is_none());
        let full = TEMPLATE.replace("#: ", "");
        let config = parse(&full).unwrap();
        // Every limit in the template is the default.
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.sample, Sample::default());
        assert_eq!(config.ledger, Some("/var/lib/rollcall/ledger.sqlite".into()));
        assert_eq!(config.time_zone.map(|it| it.name).as_deref(), Some("Europe/Zurich"));
        assert!(config.health_checks.contains(b"10.9.1.1"));
        assert_eq!(config.servers.len(), 1);
        assert_eq!(config.servers[0].audit_logs.len(), 2);
        let table = config.servers[0].access_log.as_ref().map(ToString::to_string);
        assert_eq!(table.as_deref(), Some("accesslog.accesslog"));
        // So is every rule of quotas that is no example.
        let quota = Quota::default();
        assert_eq!(config.quota.owners.patterns, quota.owners.patterns);
        assert_eq!(config.quota.owners.by_grants, quota.owners.by_grants);
        assert_eq!(config.quota.method, quota.method);
        assert_eq!(config.quota.policy, quota.policy);
        assert_eq!(config.quota.service, quota.service);
        assert!(!config.quota.kill_sessions && !config.quota.enforce);
        assert_eq!(config.quota.limits, Some("/etc/rollcall/limits.toml".into()));
        assert_eq!(config.quota.owners.shared.len(), 2);
        assert_eq!(config.quota.owners.schemas[&b"webshop"[..]], b"t4711");
        let keys = TOP_KEYS.iter().chain(&CONNECTIONS_KEYS).chain(&RETENTION_KEYS);
        let keys = keys.chain(&FAILURES_KEYS).chain(&SERVER_KEYS).chain(&PLANS_KEYS);
        for key in keys.chain(&QUOTA_KEYS).chain(&METRICS_KEYS).chain(&NOTICES_KEYS) {
            assert!(full.contains(key), "{key}");
        }
        assert_eq!(config.quota.metrics.series_max, quota.metrics.series_max);
        assert!(config.quota.metrics.listen.is_some_and(|it| it.ip().is_loopback()));
        assert!(config.quota.notices.syslog && config.quota.notices.webhook.is_some());
    }

    #[test]
    fn the_documentation_shows_the_template() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.contains(&format!("```toml\n{TEMPLATE}```\n")),
            "docs/configuration.md differs"
        );
    }

    #[test]
    fn errors_name_line_and_remedy() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        };
        check("\nledgr = 'x'", "2: unknown key `ledgr`: did you mean `ledger`?");
        check("[[server]]\nname='a'\naduit_logs=[]", {
            "3: unknown key `aduit_logs`: did you mean `audit_logs`?"
        });
        check("[connections]\nkepe=1", "2: unknown key `kepe`: did you mean `keep`?");
        check("[retention]\nxyzzy=1", "2: unknown key `xyzzy`: known here are hours, days");
        check("a = 1\n\"b\\u001b\" = 1", {
            "1: unknown key `a`: known here are ledger, time_zone, health_checks, protected, \
             references, plans, connections, sample, retention, failures, quota, server"
        });
        check("time_zone = 'Nowhere'", {
            "1: time_zone: no time zone \"Nowhere\": write a name like Europe/Zurich, UTC, or an \
             offset like +02:00"
        });
        check("# x\nhealth_checks = ['10.0.0.0/33']", {
            "2: health_checks: \"10.0.0.0/33\" is no network: write it like 10.0.0.0/8 or \
             2001:db8::/32"
        });
        check("[[server]]\nname='a'\n[[server]]\nname='a'", {
            "3: a second [[server]] is named \"a\": join the two"
        });
        check("[[server]]\nname='a'\naccess_log='a.b'", {
            "1: access_log: the server has to be reached for it: add defaults_file"
        });
        check("\n[[server]]\nname='a'\ndefaults_file='/a'\naccess_log='logins'", {
            "2: access_log: no table: write it like accesslog.accesslog"
        });
        check("[quota]\nowners = ['%u', 'x']", {
            "2: owners: \"x\": it does not say where the user's name stands: write %u there"
        });
        check("[quota]\nshared = ['%u']", {
            "2: shared: \"%u\": %u has no meaning here: write names, with % for any text"
        });
        check("[quota]\n\nmethod = 'du'", "3: method: write tablespaces or information-schema");
        check("[quota]\npolicy = 'kill'", "2: policy: write warn, lock or no-growth");
        for key in ["warn_at = [80, 0]", "warn_at = [101]", "restore_below = 0"] {
            let error = parse(&format!("[quota]\n{key}")).unwrap_err();
            assert!(error.starts_with("2: ") && error.ends_with("from 1 to 100"), "{error}");
        }
        assert!(parse("[quota]\nwarn_at = [1, 100]\nrestore_below = 100").is_ok());
        check("[quota]\nexceed_count = 0", "2: exceed_count: write at least 1");
        check("[quota]\nworkers = 0", "2: workers: write a number from 1 to 256");
        check(
            "[quota]\ninterval_seconds = 0",
            "2: interval_seconds: write seconds, from 1 to 2678400",
        );
        check(
            "[[server]]\nname = 'a'\nquota_timeout_seconds = 3601",
            "1: quota_timeout_seconds: write seconds, from 1 to 3600",
        );
        check("[quota.metrics]\nseries = 0", "2: series: write a number from 1 to 100000");
        check("[quota.metrics]\nseries = 100001", "2: series: write a number from 1 to 100000");
        check("[quota.metrics]\nlisten = '9204'", {
            "2: listen: no address with a port: write it like 127.0.0.1:9204"
        });
        check("[quota.metrics]\nfiles = 'x'", "2: unknown key `files`: did you mean `file`?");
        check("[quota.notices]\nweb_hook = 'x'", {
            "2: unknown key `web_hook`: did you mean `webhook`?"
        });
        for words in ["[]", "['notice']", "['']"] {
            check(&format!("[quota.notices]\ncommand = {words}"), {
                "2: command: no path of a program: write it like [\"/usr/local/sbin/quota-notice\"]"
            });
        }
        let error = parse("[quota.notices]\nwebhook = 'https://x/'").unwrap_err();
        assert!(error.starts_with("2: webhook: no http:// in front"), "{error}");
        check("[quota]\nlimit = 'x'", "2: unknown key `limit`: did you mean `limits`?");
        check("[[server]]\nname=''", "1: a [[server]] with an empty name: give it one");
        assert!(parse("[[server]]\ngroup='a'").unwrap_err().contains("missing field `name`"));
        assert!(parse("ledger = \n").unwrap_err().starts_with("1: "));
        assert!(parse("ledger = 5\n").unwrap_err().starts_with("1: invalid type"));
    }

    #[test]
    fn limits_are_limited() {
        for (table, key, most) in [
            ("connections", "keep", CONNECTIONS_MAX),
            ("connections", "days", DAYS_MAX.into()),
            ("retention", "hours", DAYS_MAX.into()),
            ("retention", "days", DAYS_MAX.into()),
            ("plans", "valid_days", DAYS_MAX.into()),
            ("plans", "cool_down_days", DAYS_MAX.into()),
            ("failures", "pairs_per_hour", PAIRS_MAX.into()),
            ("sample", "interval_seconds", SAMPLE_SECONDS_MAX.into()),
            ("sample", "connections_per_round", SAMPLE_CONNECTIONS_MAX.into()),
            ("sample", "keep", SAMPLES_MAX.into()),
            ("sample", "days", DAYS_MAX.into()),
        ] {
            assert!(parse(&format!("[{table}]\n{key} = {most}")).is_ok(), "{key}");
            let error = parse(&format!("[{table}]\n{key} = {}", most + 1)).unwrap_err();
            assert_eq!(error, format!("2: [{table}] {key} is more than {most}"));
        }
        assert!(parse("[retention]\ndays = -1").is_err());
    }

    #[test]
    fn odd_keys_do_not_break_the_search() {
        let long = "k".repeat(10_000);
        assert!(parse(&format!("{long} = 1")).unwrap_err().contains("known here are"));
        assert!(parse("\"\" = 1").unwrap_err().contains("unknown key ``"));
    }
}
