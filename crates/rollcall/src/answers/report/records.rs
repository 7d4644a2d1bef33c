//! The report as records, a `section` each.

use super::root::root_hosts;
use super::{Facts, ReportInput, runs_per_server};
use crate::answers::failures::groups;
use crate::answers::tally;
use crate::cli::FailuresBy;
use crate::render::{Records, Value};

pub(super) fn records(input: &ReportInput<'_>, facts: &Facts) -> Vec<Records> {
    let section = |name: &str| Value::word(name);
    let mut summary = Records::new(&[
        "section",
        "files",
        "bytes",
        "from",
        "to",
        "users",
        "hosts",
        "logins",
        "failures",
        "gaps",
        "rejected",
        "quarantined",
    ]);
    summary.push(vec![
        section("summary"),
        Value::Number(input.files),
        Value::Number(input.bytes),
        Value::time(facts.span.map(|(from, _)| from)),
        Value::time(facts.span.map(|(_, to)| to)),
        Value::Number(facts.users as u64),
        Value::Number(facts.hosts as u64),
        Value::Number(facts.logins),
        Value::Number(facts.refused),
        Value::Number(facts.doubts.gaps),
        Value::Number(facts.doubts.rejected),
        Value::Number(facts.doubts.quarantined),
    ]);
    let runs = runs_per_server(input.runs);
    let mut servers = Records::new(&["section", "server", "logins", "runs"]);
    for (server, logins) in tally(input.seen.iter().map(|row| (row.server.as_slice(), row.logins)))
    {
        let runs = Value::Number(runs.get(server).copied().unwrap_or(0));
        servers.push(vec![section("server"), Value::server(server), Value::Number(logins), runs]);
    }
    let mut users = Records::new(&["section", "user", "logins"]);
    let mut hosts = Records::new(&["section", "host", "logins"]);
    let busy = || input.seen.iter().filter(|row| row.logins > 0);
    for (user, logins) in tally(busy().map(|row| (row.user.as_slice(), row.logins))) {
        users.push(vec![section("user"), Value::name(Some(user)), Value::Number(logins)]);
    }
    for (host, logins) in tally(busy().map(|row| (row.host.as_slice(), row.logins))) {
        hosts.push(vec![section("host"), Value::name(Some(host)), Value::Number(logins)]);
    }
    let mut root = Records::new(&["section", "host", "logins", "first_seen", "last_seen", "new"]);
    for host in root_hosts(input.seen, facts.span) {
        root.push(vec![
            section("root_from"),
            Value::Name(host.host),
            Value::Number(host.logins),
            Value::time(host.first),
            Value::time(host.last),
            Value::Flag(host.is_new),
        ]);
    }
    vec![summary, servers, users, hosts, root, refused_records(input)]
}

fn refused_records(input: &ReportInput<'_>) -> Records {
    let mut records = Records::new(&[
        "section",
        "host",
        "count",
        "names",
        "first",
        "last",
        "kind",
        "health_check",
        "then_logged_in",
        "then_user",
    ]);
    for group in groups(input.failures, FailuresBy::Host) {
        let login = group.login;
        records.push(vec![
            Value::word(if group.key.is_some() { "refused" } else { "folded" }),
            Value::name(group.key.as_deref()),
            Value::Number(group.tries),
            Value::Number(group.names.len() as u64 + group.folded_pairs),
            Value::Time(group.first),
            Value::Time(group.last),
            Value::word(group.kind().as_str()),
            Value::Flag(group.is_health_check(input.health)),
            Value::time(login.map(|(time, _)| time)),
            Value::name(login.and_then(|(_, row)| row.user.as_deref())),
        ]);
    }
    records
}
