//! What Prometheus is told of rounds: sizes and limits under the names that mysql_monitor_daemon gave them, and how the
//! rounds themselves go.
//!
//! # Invariants
//! * Of a server no more users are held than have series of their own ([`SERIES_MAX`] by default): the largest; all
//!   others are one, `other`. A user of that name is among them then, so that no series stands twice.

use std::collections::BTreeMap;
use std::time::Duration;

use verdict::quota::Usage;

use super::RoundOutcome;
use crate::render::{Kind, Metric, Number, metrics_text_beside};

/// How many users have series of their own, where nothing else is configured.
pub(crate) const SERIES_MAX: usize = 2000;

/// Whom users without series of their own count for.
const OTHER: &[u8] = b"other";

/// What is told of all servers.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    series_max: usize,
    servers: BTreeMap<String, Told>,
}

/// What is told of one server.
#[derive(Debug, Clone, Default)]
struct Told {
    /// The largest first.
    users: Vec<Held>,
    /// All others together; `None`: there are none.
    other: Option<u64>,
    took: Duration,
    errors: u64,
    /// In microseconds UTC.
    last_success_us: Option<i64>,
    held_back: u64,
}

#[derive(Debug, Clone)]
struct Held {
    user: Vec<u8>,
    bytes: u64,
    soft: Option<u64>,
    hard: Option<u64>,
}

impl Metrics {
    /// Of nothing yet. So many users of all servers have series of their own.
    pub(crate) fn new(series_max: usize) -> Metrics {
        Metrics { series_max, servers: BTreeMap::new() }
    }

    /// A round came to its end, at `now` in microseconds UTC.
    pub(crate) fn done(&mut self, outcome: &RoundOutcome, took: Duration, now: i64) {
        let told = self.servers.entry(outcome.measured.server.clone()).or_default();
        told.took = took;
        told.last_success_us = Some(now);
        told.held_back = outcome.enforced as u64;
        (told.users, told.other) = largest(&outcome.measured.accounted.users, self.series_max);
    }

    /// A round failed: what was measured before is told on.
    pub(crate) fn failed(&mut self, server: &str, took: Duration) {
        let told = self.servers.entry(server.to_owned()).or_default();
        told.took = took;
        told.errors += 1;
    }

    /// Servers that are not configured any more are told of no more.
    pub(crate) fn retain(&mut self, is_configured: impl Fn(&str) -> bool) {
        self.servers.retain(|server, _| is_configured(server));
    }

    /// All of it as text. `before` is an earlier text whose series stay where nothing new is told of them
    /// (`prometheus_truncate=0`).
    pub(crate) fn text(&self, before: Option<&str>) -> String {
        let mut all = self.of_users();
        all.extend(self.of_rounds());
        metrics_text_beside(&all, before.unwrap_or_default(), self.series_max)
    }

    fn of_users(&self) -> Vec<Metric> {
        // Of all servers together only the largest.
        let mut sizes: Vec<u64> = self.users().map(|(_, it)| it.bytes).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let least = sizes.get(self.series_max).copied();
        let fold = |told: &Told| told.other.is_some() || least.is_some();
        let is_own = |told: &Told, it: &Held| {
            least.is_none_or(|least| it.bytes > least) && !(fold(told) && it.user == OTHER)
        };
        let metric = |name, help, number: fn(&Held) -> Option<u64>| {
            let own = self.users().filter(|(server, it)| is_own(&self.servers[*server], it));
            let samples = own.filter_map(|(server, it)| {
                Some((
                    vec![server.clone().into_bytes(), it.user.clone()],
                    Number::Whole(number(it)?),
                ))
            });
            let labels = &["server", "user"];
            Metric { name, help, kind: Kind::Gauge, labels, samples: samples.collect() }
        };
        let mut bytes = metric(
            "mysql_user_storage_bytes",
            "Bytes that the schemas of a user hold; other is all users without a series of their own.",
            |it| Some(it.bytes),
        );
        for (server, told) in &self.servers {
            let folded = told.users.iter().filter(|it| !is_own(told, it));
            let folded: Option<u64> = folded.map(|it| it.bytes).reduce(u64::saturating_add);
            let all = [told.other, folded].into_iter().flatten().reduce(u64::saturating_add);
            if let Some(all) = all {
                let labels = vec![server.clone().into_bytes(), OTHER.to_vec()];
                bytes.samples.push((labels, Number::Whole(all)));
            }
        }
        vec![
            bytes,
            metric(
                "mysql_user_storage_soft_limit_bytes",
                "Bytes above which a user is warned of.",
                |it| it.soft,
            ),
            metric(
                "mysql_user_storage_hard_limit_bytes",
                "Bytes above which a user has too much.",
                |it| it.hard,
            ),
        ]
    }

    fn users(&self) -> impl Iterator<Item = (&String, &Held)> {
        self.servers.iter().flat_map(|(server, told)| told.users.iter().map(move |it| (server, it)))
    }

    fn of_rounds(&self) -> Vec<Metric> {
        let metric = |name, help, kind, number: fn(&Told) -> Option<Number>| {
            let samples = self.servers.iter().filter_map(|(server, told)| {
                Some((vec![server.clone().into_bytes()], number(told)?))
            });
            Metric { name, help, kind, labels: &["server"], samples: samples.collect() }
        };
        vec![
            metric(
                "rollcall_quota_check_duration_seconds",
                "How long the last check of a server took.",
                Kind::Gauge,
                |it| Some(Number::Seconds(it.took)),
            ),
            metric(
                "rollcall_quota_check_errors_total",
                "Checks of a server that failed since the process began.",
                Kind::Counter,
                |it| Some(Number::Whole(it.errors)),
            ),
            metric(
                "rollcall_quota_last_success_timestamp_seconds",
                "When a server was last measured.",
                Kind::Gauge,
                |it| {
                    let micros = u64::try_from(it.last_success_us?).ok()?;
                    Some(Number::Seconds(Duration::from_micros(micros)))
                },
            ),
            metric(
                "rollcall_quota_accounts_locked",
                "Users that rollcall holds back now: locked, or kept from growing.",
                Kind::Gauge,
                |it| it.last_success_us.map(|_| Number::Whole(it.held_back)),
            ),
        ]
    }
}

/// The largest users, and what all others hold.
fn largest(users: &[Usage], most: usize) -> (Vec<Held>, Option<u64>) {
    let mut order: Vec<&Usage> = users.iter().collect();
    order.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.user.cmp(&b.user)));
    let others = order.split_off(most.min(order.len()));
    let held = |it: &Usage| Held {
        user: it.user.clone(),
        bytes: it.bytes,
        soft: it.limit.and_then(|it| it.soft),
        hard: it.limit.and_then(|it| it.hard),
    };
    let other = others.iter().map(|it| it.bytes).reduce(u64::saturating_add);
    (order.into_iter().map(held).collect(), other)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use live::sizes::{Areas, Method};
    use verdict::account::Family;
    use verdict::quota::{Accounted, Limit, State};

    use super::*;
    use crate::quota::Measured;

    fn outcome(server: &str, users: &[(&str, u64)]) -> RoundOutcome {
        let usage = |(user, bytes): &(&str, u64)| Usage {
            user: user.as_bytes().to_vec(),
            bytes: *bytes,
            limit: (*bytes > 10).then_some(Limit { soft: Some(10), hard: None }),
            state: State::Ok,
            schemas: Vec::new(),
        };
        let users = users.iter().map(usage).collect();
        RoundOutcome {
            measured: Measured {
                server: server.to_owned(),
                family: Family::MariaDb,
                method: Method::Tablespaces,
                disk: None,
                schemas: BTreeMap::new(),
                areas: Areas::default(),
                accounted: Accounted { users, ..Accounted::default() },
                growth: BTreeMap::new(),
                actions: BTreeMap::new(),
            },
            events: Vec::new(),
            enforced: 1,
            is_pending: false,
            would_send: Vec::new(),
            missing: Vec::new(),
            notes: Vec::new(),
            strangers: BTreeSet::new(),
        }
    }

    fn sizes(metrics: &Metrics) -> Vec<String> {
        let text = metrics.text(None);
        let lines = text.lines().filter(|it| it.starts_with("mysql_user_storage_bytes"));
        lines.map(|it| it["mysql_user_storage_bytes".len()..].to_owned()).collect()
    }

    #[test]
    fn all_that_is_told() {
        let mut metrics = Metrics::new(SERIES_MAX);
        let users = [("t4711", 48), ("t0815", 4), ("x\u{1b}[2J\"\\\n", 12)];
        metrics.done(
            &outcome("web07", &users),
            Duration::from_micros(1_500_000),
            1_700_000_000_250_000,
        );
        metrics.failed("web08", Duration::from_secs(10));
        metrics.failed("web08", Duration::from_secs(11));
        insta::assert_snapshot!(metrics.text(None), @r##"
        # HELP mysql_user_storage_bytes Bytes that the schemas of a user hold; other is all users without a series of their own.
        # TYPE mysql_user_storage_bytes gauge
        mysql_user_storage_bytes{server="web07",user="t4711"} 48
        mysql_user_storage_bytes{server="web07",user="x\\x1b[2J\"\\\n"} 12
        mysql_user_storage_bytes{server="web07",user="t0815"} 4
        # HELP mysql_user_storage_soft_limit_bytes Bytes above which a user is warned of.
        # TYPE mysql_user_storage_soft_limit_bytes gauge
        mysql_user_storage_soft_limit_bytes{server="web07",user="t4711"} 10
        mysql_user_storage_soft_limit_bytes{server="web07",user="x\\x1b[2J\"\\\n"} 10
        # HELP rollcall_quota_check_duration_seconds How long the last check of a server took.
        # TYPE rollcall_quota_check_duration_seconds gauge
        rollcall_quota_check_duration_seconds{server="web07"} 1.500000
        rollcall_quota_check_duration_seconds{server="web08"} 11.000000
        # HELP rollcall_quota_check_errors_total Checks of a server that failed since the process began.
        # TYPE rollcall_quota_check_errors_total counter
        rollcall_quota_check_errors_total{server="web07"} 0
        rollcall_quota_check_errors_total{server="web08"} 2
        # HELP rollcall_quota_last_success_timestamp_seconds When a server was last measured.
        # TYPE rollcall_quota_last_success_timestamp_seconds gauge
        rollcall_quota_last_success_timestamp_seconds{server="web07"} 1700000000.250000
        # HELP rollcall_quota_accounts_locked Users that rollcall holds back now: locked, or kept from growing.
        # TYPE rollcall_quota_accounts_locked gauge
        rollcall_quota_accounts_locked{server="web07"} 1
        "##);
        metrics.retain(|server| server == "web08");
        assert!(!metrics.text(None).contains("web07"));
    }

    #[test]
    fn the_largest_have_series_of_their_own() {
        let mut metrics = Metrics::new(3);
        let users = [("a", 5), ("b", 7), ("c", 3), ("d", 1), ("other", 4)];
        metrics.done(&outcome("db1", &users[..3]), Duration::ZERO, 0);
        let own = |user: &str, bytes: u64| format!("{{server=\"db1\",user=\"{user}\"}} {bytes}");
        // At the bound nobody is folded.
        assert_eq!(sizes(&metrics), [own("b", 7), own("a", 5), own("c", 3)]);
        metrics.done(&outcome("db1", &users[..4]), Duration::ZERO, 0);
        assert_eq!(sizes(&metrics), [own("b", 7), own("a", 5), own("c", 3), own("other", 1)]);
        // A user of that name is one of the others.
        metrics.done(&outcome("db1", &users), Duration::ZERO, 0);
        assert_eq!(sizes(&metrics), [own("b", 7), own("a", 5), own("other", 8)]);
        metrics.done(&outcome("db1", &users[4..]), Duration::ZERO, 0);
        assert_eq!(sizes(&metrics), [own("other", 4)]);
        // Of all servers together.
        metrics.done(&outcome("db1", &users[..3]), Duration::ZERO, 0);
        metrics.done(&outcome("db2", &[("z", 6), ("y", 1)]), Duration::ZERO, 0);
        let there = |user: &str, bytes: u64| format!("{{server=\"db2\",user=\"{user}\"}} {bytes}");
        let expected =
            [own("b", 7), own("a", 5), there("z", 6), own("other", 3), there("other", 1)];
        assert_eq!(sizes(&metrics), expected);
        assert_eq!(metrics.servers["db1"].users.len(), 3);
    }

    #[test]
    fn series_of_users_that_are_gone_stay_where_it_is_asked_for() {
        let mut metrics = Metrics::new(3);
        metrics.done(&outcome("db1", &[("a", 50), ("b", 7)]), Duration::ZERO, 0);
        let before = metrics.text(None);
        metrics.done(&outcome("db1", &[("b", 8)]), Duration::ZERO, 0);
        assert!(!metrics.text(None).contains("\"a\""));
        let text = metrics.text(Some(&before));
        for line in [
            "mysql_user_storage_bytes{server=\"db1\",user=\"a\"} 50",
            "mysql_user_storage_bytes{server=\"db1\",user=\"b\"} 8",
            "mysql_user_storage_soft_limit_bytes{server=\"db1\",user=\"a\"} 10",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        assert!(!text.contains("user=\"b\"} 7"), "{text}");
    }

    /// Prometheus' own checker, which `./test` installs.
    #[cfg(feature = "real-server")]
    #[test]
    fn prometheus_reads_it() {
        use std::io::Write as _;
        use std::path::Path;
        use std::process::{Command, Stdio};

        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tools/promtool");
        let found = Command::new(script).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        let promtool = String::from_utf8(found.stdout).unwrap();
        let check = |text: &str| {
            let mut child = Command::new(promtool.trim())
                .args(["check", "metrics"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let told = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8(told).unwrap())
        };
        let mut metrics = Metrics::new(3);
        let hostile = "x\u{1b}[2J\"} 1\n# TYPE y\\\u{202e}\u{fc}";
        let users = [(hostile, 50), ("other", 5), ("a", 4), ("b", 3), ("c", 2)];
        metrics.done(
            &outcome("web\"07\\", &users),
            Duration::from_micros(7),
            1_700_000_000_250_000,
        );
        metrics.failed("web08", Duration::from_secs(10));
        let text = metrics.text(None);
        assert_eq!(check(&text), (true, String::new()), "{text}");
        let mut later = Metrics::new(3);
        later.done(&outcome("web\"07\\", &users[2..]), Duration::from_micros(7), 1);
        let text = later.text(Some(&text));
        assert!(text.contains("[2J"), "{text}");
        assert_eq!(check(&text), (true, String::new()), "{text}");
        assert!(!check(&format!("{text}{text}")).0, "the checker checks nothing");
    }
}
