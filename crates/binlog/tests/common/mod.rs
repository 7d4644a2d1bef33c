//! What the tests of this crate share: fixtures, a replay of rows into tables, and the checks that
//! hold for any bytes (also used by the fuzz target).

#![allow(dead_code)]

pub(crate) mod any;
pub(crate) mod replay;
pub(crate) mod server;

use std::fs;
use std::path::{Path, PathBuf};

use binlog::{Error, Event, Framer, RawEvent, Step};
use serde_json::Value as Expected;

/// Where the recorded logs are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/binlog")
}

pub(crate) const SERVERS: [&str; 3] = ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"];

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All recorded logs, by name.
pub(crate) fn all_logs() -> Vec<(String, Vec<u8>)> {
    let mut logs: Vec<_> = fs::read_dir(folder())
        .expect("fixtures are part of the repository")
        .map(|entry| entry.expect("a readable folder").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".binlog") && !name.starts_with("encrypted"))
        .map(|name| (name.clone(), fixture(&name)))
        .collect();
    logs.sort();
    assert!(logs.len() > 20, "{} logs", logs.len());
    logs
}

/// The lines of a `.expected` file.
pub(crate) fn expected(folder: &Path, name: &str) -> Vec<Expected> {
    let path = folder.join(format!("{name}.expected"));
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Calls back for each event, also those inside payloads. The log must be right and whole.
pub(crate) fn each_event(log: &[u8], mut tell: impl FnMut(&RawEvent<'_>, &Event<'_>)) {
    let mut framer = Framer::new();
    loop {
        let rest = &log[framer.position() as usize..];
        let event = match framer.next(rest).expect("a right log") {
            Step::Event(event) => event,
            Step::Incomplete { .. } => break,
        };
        let decoded = event.decode(framer.format()).unwrap_or_else(|error| panic!("{error}"));
        tell(&event, &decoded);
        if let Event::TransactionPayload(payload) = decoded {
            each_inner(&framer, &payload, &mut tell).expect("a right payload");
        }
    }
    assert_eq!(framer.position(), log.len() as u64, "the log is read to its end");
}

fn each_inner(
    framer: &Framer,
    payload: &binlog::Payload<'_>,
    tell: &mut impl FnMut(&RawEvent<'_>, &Event<'_>),
) -> Result<(), Error> {
    let mut reader = payload.reader().expect("a known compression");
    let mut inner = Framer::inside_payload(framer.format());
    loop {
        let before = inner.position();
        match inner.next(reader.plain())? {
            Step::Event(event) => tell(&event, &event.decode(inner.format())?),
            Step::Incomplete { needed } => {
                if !reader.fill(needed).expect("undamaged") {
                    assert!(reader.plain().is_empty());
                    assert_eq!(inner.position(), payload.plain_bytes);
                    return Ok(());
                }
            }
        }
        reader.consume((inner.position() - before) as usize);
    }
}
