//! Whole logs as the servers' own tools print them, against what these printed for the same logs.

mod common;

use binlog::{Framer, Step, ToolBuffer, ToolText, ToolUtc};
use common::{SERVERS, fixture};

fn ours(log: &[u8]) -> Vec<u8> {
    let (mut framer, mut out) = (Framer::new(), ToolBuffer::default());
    let mut tool = ToolText::new(ToolUtc);
    while let Step::Event(event) =
        framer.next(&log[framer.position() as usize..]).expect("a right log")
    {
        tool.event(&event, framer.format(), &mut out).expect("a right event");
    }
    tool.finish(&mut out);
    out.text
}

/// The lines, without what is known to differ: rows with a GEOMETRY in MySQL, at which its tool gives
/// up, and the name that the tool makes up for a loaded file.
fn lines(text: &[u8], mysql: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut shape = false;
    for line in text.split(|byte| *byte == b'\n') {
        let row = line.starts_with(b"###");
        shape = row && (shape || mysql && line.ends_with(b"`shapes`"));
        if row && shape {
            continue;
        }
        let mut line = line.escape_ascii().to_string();
        if let Some(at) = line.find("/SQL_LOAD_MB-") {
            let end = line[at..].find("\\'").expect("a quote") + at;
            line.replace_range(at..end, "/SQL_LOAD_MB");
        }
        lines.push(line);
    }
    lines
}

#[test]
fn logs_are_what_the_servers_own_tools_print() {
    let mut compared = 0;
    for server in SERVERS {
        for scenario in
            ["types", "minimal", "compressed", "transactions", "statement-format", "no-checksum"]
        {
            let name = format!("{server}-{scenario}");
            let ours =
                lines(&ours(&fixture(&format!("{name}.binlog"))), server.starts_with("mysql"));
            let theirs = lines(&fixture(&format!("{name}.text")), server.starts_with("mysql"));
            for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                assert_eq!(ours, theirs, "{name}: line {}", number + 1);
            }
            assert_eq!(ours.len(), theirs.len(), "{name}");
            compared += ours.len();
        }
    }
    assert!(compared > 10_000, "{compared} lines");
}
