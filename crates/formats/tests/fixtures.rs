//! Logs of a real MariaDB against what was really done: `tests/fixtures/mariadb-10.11`.
//!
//! For each scenario the log is read and every connection event is paired with a deed of
//! `.expected`, which was written without looking at the log. Nothing may be read that was not done
//! (forged logins above all), and nothing that was done may be missing but where the scenario's
//! names make it doubtful or its records were lost.

use std::fs;
use std::path::{Path, PathBuf};

use formats::{Dialect, Doubt, Event, Input, Kind, Reader, Sink, Span, Standing};
use serde_json::Value;

/// CONNECT and FAILED_CONNECT hold no more than this of a name, and one byte of chance.
const NAME_BYTES_CUT: usize = 132;

/// A connection event, or the deed that must lead to one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Deed {
    kind: &'static str,
    user: Vec<u8>,
    host: Vec<u8>,
    /// 0 where the recorder was not told.
    connection: u64,
    error: u64,
}

impl Deed {
    fn shown(&self) -> String {
        let (user, host) = (self.user.escape_ascii(), self.host.escape_ascii());
        format!("{} {user}@{host} id {} error {}", self.kind, self.connection, self.error)
    }
}

#[derive(Default)]
struct Found {
    deeds: Vec<Deed>,
    statements: Vec<Vec<u8>>,
    rejected: usize,
    quarantined: usize,
}

impl Sink for Found {
    fn event(&mut self, _: Span, event: &Event<'_>) {
        let kind = match event.kind {
            Kind::Connect => "connect",
            Kind::Failed => "failed",
            Kind::Disconnect => "disconnect",
            Kind::ChangeUser => "changeuser",
            Kind::ProxyConnect => "proxyconnect",
            Kind::Query => {
                self.statements.push(event.object.to_vec());
                return;
            }
            _ => return,
        };
        self.deeds.push(Deed {
            kind,
            user: event.peer.user().to_vec(),
            host: event.peer.host().to_vec(),
            connection: event.connection,
            error: u64::from(event.error),
        });
    }

    fn doubt(&mut self, _: Span, doubt: Doubt, _: &[u8]) {
        match doubt.standing {
            Standing::Rejected => self.rejected += 1,
            Standing::Quarantined => self.quarantined += 1,
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/mariadb-10.11")
}

/// The log with its rotated files, oldest first, as one.
fn log(scenario: &str) -> Vec<u8> {
    let name = format!("{scenario}.log");
    let mut files: Vec<String> = fs::read_dir(folder())
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|file| file.starts_with(&name))
        .collect();
    // `.log` is the newest, `.log.02` older than `.log.01`.
    files.sort_by(|a, b| b.cmp(a));
    files.iter().flat_map(|file| fs::read(folder().join(file)).expect("a log")).collect()
}

fn expected(scenario: &str) -> Vec<Value> {
    fs::read_to_string(folder().join(format!("{scenario}.expected")))
        .expect("what was done")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn bytes(op: &Value, name: &str) -> Vec<u8> {
    if let Some(hex) = op[format!("{name}_hex")].as_str() {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        return (0..hex.len()).step_by(2).map(digit).collect();
    }
    op[name].as_str().unwrap_or_default().as_bytes().to_vec()
}

/// The connection records that must follow from what was done.
fn deeds(ops: &[Value]) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for op in ops {
        let deed = |kind, error| Deed {
            kind,
            user: bytes(op, "user"),
            host: bytes(op, "host"),
            connection: op["connection_id"].as_u64().unwrap_or(0),
            error,
        };
        let error = op["error"].as_u64().unwrap_or(0);
        match op["op"].as_str().expect("an op") {
            "connect" => deeds.push(deed("connect", 0)),
            "failed" => deeds.extend([deed("failed", error), deed("disconnect", 0)]),
            "refused" => deeds.push(deed("disconnect", error)),
            "disconnect" => deeds.push(deed("disconnect", 0)),
            "proxyconnect" => deeds.push(deed("proxyconnect", 0)),
            // A granted one is written without its user and host.
            "changeuser" if error == 0 => {
                deeds.push(Deed { user: Vec::new(), host: Vec::new(), ..deed("changeuser", 0) })
            }
            "changeuser" => deeds.push(deed("changeuser", error)),
            _ => {}
        }
    }
    deeds
}

/// Whether a record is that of a deed: a cut name counts as the whole one, an id that the recorder
/// was not told as any.
fn is_of(found: &Deed, done: &Deed) -> bool {
    let name = found.user == done.user
        || found.user.len() == NAME_BYTES_CUT + 1
            && done.user.len() > NAME_BYTES_CUT
            && found.user[..NAME_BYTES_CUT] == done.user[..NAME_BYTES_CUT];
    let id = found.connection == done.connection || done.connection == 0;
    name && id && found.kind == done.kind && found.host == done.host && found.error == done.error
}

/// What the reading of a scenario leaves over.
struct Outcome {
    /// Read, but not done.
    invented: Vec<Deed>,
    /// Done, but not read.
    missing: Vec<Deed>,
    found: Found,
}

fn read(scenario: &str, dialect: Dialect) -> Outcome {
    let (log, ops) = (log(scenario), expected(scenario));
    let mut found = Found::default();
    let used = Reader::new(dialect).read(&log, Input::Ended, &mut found);
    assert_eq!(used, log.len(), "{scenario}: bytes left over");
    let mut missing = deeds(&ops);
    // What server_audit_events left out is not missing.
    let events = ops[0]["events"].as_str().expect("the first op is `begin`");
    if !events.is_empty() && !events.contains("CONNECT") {
        missing.clear();
    }
    let mut invented = Vec::new();
    for deed in &found.deeds {
        match missing.iter().position(|done| is_of(deed, done)) {
            Some(at) => drop(missing.remove(at)),
            None => invented.push(deed.clone()),
        }
    }
    Outcome { invented, missing, found }
}

fn shown(deeds: &[Deed]) -> String {
    deeds.iter().map(Deed::shown).collect::<Vec<_>>().join("\n")
}

/// Every deed is read and nothing else, and nothing is doubted.
fn check(scenario: &str) -> Found {
    check_dialect(scenario, Dialect::ServerAudit)
}

fn check_dialect(scenario: &str, dialect: Dialect) -> Found {
    let Outcome { invented, missing, found } = read(scenario, dialect);
    assert!(invented.is_empty(), "{scenario}: read but not done:\n{}", shown(&invented));
    assert!(missing.is_empty(), "{scenario}: done but not read:\n{}", shown(&missing));
    assert_eq!((found.rejected, found.quarantined), (0, 0), "{scenario}: doubted");
    found
}

/// Nothing is read that was not done; what was done and is not read has a name that `hostile`
/// knows, and is in quarantine.
fn check_doubtful(scenario: &str, dialect: Dialect, hostile: impl Fn(&Deed) -> bool) {
    let Outcome { invented, missing, found } = read(scenario, dialect);
    assert!(invented.is_empty(), "{scenario}: read but not done:\n{}", shown(&invented));
    let plain: Vec<Deed> = missing.iter().filter(|deed| !hostile(deed)).cloned().collect();
    assert!(plain.is_empty(), "{scenario}: done but not read:\n{}", shown(&plain));
    assert!(found.quarantined >= missing.len(), "{scenario}: {} in quarantine", found.quarantined);
    assert_eq!(found.rejected, 0, "{scenario}: rejected");
}

/// A name that splits its line, or holds what looks like the middle of a record.
fn is_hostile(deed: &Deed) -> bool {
    let name = String::from_utf8_lossy(&deed.user);
    name.contains('\n')
        || [",0,CONNECT,", ",0,DISCONNECT,", ",QUERY,"].iter().any(|part| name.contains(part))
}

#[test]
fn ordinary_life() {
    for scenario in [
        "anonymous",
        "change-user",
        "clock-back",
        "clock-forward",
        "endings",
        "logins",
        "long-names",
        "proxy",
        "resolved-hosts",
        "restart",
        "rotation",
        "stalled",
    ] {
        assert!(!check(scenario).deeds.is_empty(), "{scenario}");
    }
}

#[test]
fn every_kind_of_refusal() {
    let mut errors: Vec<u64> =
        ["failures", "host-blocked", "password-errors", "probes", "stalled", "too-many"]
            .into_iter()
            .flat_map(|scenario| check(scenario).deeds)
            .map(|deed| deed.error)
            .filter(|&error| error != 0)
            .collect();
    errors.sort_unstable();
    errors.dedup();
    let all = [1040, 1043, 1044, 1045, 1049, 1129, 1156, 1158, 1159, 1226, 1698, 1862, 4150, 4151];
    assert_eq!(errors, all);
}

#[test]
fn threads_of_the_servers_own_are_no_logins() {
    for scenario in ["event-scheduler", "replication", "tables", "prepared", "moved-away"] {
        check(scenario);
    }
}

#[test]
fn names_with_separators() {
    for scenario in ["hostile-names", "hostile-unknown-names"] {
        check_doubtful(scenario, Dialect::ServerAudit, is_hostile);
    }
}

#[test]
fn syslog() {
    for form in ["traditional", "rfc3339"] {
        check_dialect(&format!("syslog-new-year-{form}"), Dialect::ServerAuditSyslog);
        // From id 14 on, the info is `a,b: c`: its comma can belong to a name.
        check_doubtful(&format!("syslog-{form}"), Dialect::ServerAuditSyslog, |deed| {
            is_hostile(deed) || deed.connection >= 14
        });
    }
}

/// Lines that are whole in themselves pass here: what gives them away is their ids and the records
/// of others, which the ledger weighs. But no true login may be lost beside them.
#[test]
fn forged_lines_hide_no_true_login() {
    for scenario in ["forged", "forged-with-password", "hostile-databases", "hostile-tables"] {
        let Outcome { missing, found, .. } = read(scenario, Dialect::ServerAudit);
        let plain: Vec<Deed> = missing
            .iter()
            // A database with a line break splits the records of session 128.
            .filter(|deed| {
                deed.user == b"app" && !is_hostile(deed) && scenario != "hostile-databases"
            })
            .cloned()
            .collect();
        assert!(plain.is_empty(), "{scenario}: done but not read:\n{}", shown(&plain));
        assert!(found.deeds.iter().all(|deed| deed.connection != 77 || scenario != "forged"));
    }
}

#[test]
fn lost_records_are_missed_and_the_torn_one_is_doubted() {
    let Outcome { invented, missing, found } = read("disk-full", Dialect::ServerAudit);
    assert!(invented.is_empty(), "{}", shown(&invented));
    assert_eq!((found.quarantined, found.rejected), (1, 0));
    let ops = expected("disk-full");
    let lost = ops.iter().find_map(|op| op["lost"].as_u64()).expect("how many were dropped");
    // Besides those that were dropped: the one that stands on the cut line.
    assert_eq!(missing.len() as u64, lost + 1, "{}", shown(&missing));

    let Outcome { invented, missing, found } = read("rotation-lost", Dialect::ServerAudit);
    assert!(invented.is_empty(), "{}", shown(&invented));
    assert_eq!((found.quarantined, found.rejected), (0, 0));
    // What is gone is the beginning, without a hole after it.
    let first = found.deeds[0].connection;
    assert!(!missing.is_empty() && missing.iter().all(|deed| deed.connection <= first));
}

/// A statement as the plugin writes it: escaped, and cut where the next byte or escape would go
/// beyond `limit` bytes.
fn escaped(statement: &[u8], limit: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in statement {
        let escape = match byte {
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            0x0c => Some(b'f'),
            b'\'' | b'\\' => Some(byte),
            _ => None,
        };
        if out.len() + 1 + usize::from(escape.is_some()) > limit {
            break;
        }
        match escape {
            Some(letter) => out.extend([b'\\', letter]),
            None => out.push(byte),
        }
    }
    out
}

#[test]
fn statements_come_whole() {
    for scenario in ["statements", "long-statements", "change-user", "tables", "event-scheduler"] {
        let Outcome { found, .. } = read(scenario, Dialect::ServerAudit);
        let mut statements = found.statements.iter();
        let mut count = 0;
        for op in expected(scenario) {
            // Several statements in one packet become several records; those of the administrator
            // set the very limit that cuts them.
            if op["op"] != "query" || !op["how"].is_null() || op["user"] == "root" {
                continue;
            }
            let limit = match op["limit"].as_u64() {
                Some(0) => usize::MAX,
                Some(limit) => limit as usize,
                None => 1024,
            };
            let text = bytes(&op, "statement");
            let end = text.iter().rposition(|byte| !b" ;".contains(byte)).map_or(0, |at| at + 1);
            let statement = escaped(text[..end].trim_ascii_start(), limit);
            assert!(
                statements.any(|found| *found == statement),
                "{scenario}: no record of {}",
                statement.escape_ascii()
            );
            count += 1;
        }
        assert!(count >= 3, "{scenario}: {count} statements");
    }
}

/// The sample logs of the README are made, not recorded: they must read as recorded ones do.
#[test]
fn the_samples_hold_one_doubtful_record() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    let mut found = Found::default();
    let mut reader = Reader::new(Dialect::ServerAudit);
    for file in ["server_audit.log.1", "server_audit.log"] {
        let log = fs::read(samples.join(file)).expect("a sample");
        assert_eq!(reader.read(&log, Input::Ended, &mut found), log.len(), "{file}");
    }
    assert_eq!((found.rejected, found.quarantined), (0, 1));
    assert!(found.deeds.len() > 1_000 && found.statements.len() > 20);
}
