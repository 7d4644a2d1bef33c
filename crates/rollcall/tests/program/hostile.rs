//! Names that were chosen to do harm, from a log into every output.

use super::house::{House, name};

/// User names that are written into a log as they are. None holds a line feed: such records are
/// quarantined.
const NAMES: &[&[u8]] = &[
    b"=1+1",
    b"+1",
    b"-1",
    b"@SUM(A1)",
    b"\t=1",
    b"\r=1",
    b" =1",
    b"|calc",
    b"%0A=1",
    b"=cmd|'/c calc'!A1",
    b"=HYPERLINK(\"http://x\")",
    b"'=1",
    b"\"=1",
    b"a;b",
    b"a,b",
    b"a\"b",
    b"a'b",
    b"a\\b",
    b"a`b",
    b"$(id)",
    b"`id`",
    b"'; DROP TABLE tally; --",
    b"\" OR 1=1",
    b"<script>alert(1)</script>",
    b"</td><td>",
    b"<img src=x onerror=alert(1)>",
    b"&lt;b&gt;",
    b"&#60;",
    b"<!--",
    b"]]>",
    b"javascript:alert(1)",
    b"\x1b[2J",
    b"\x1b]0;owned\x07",
    b"\x1b[31mred",
    b"\x9b31m",
    b"\xc2\x9b31m",
    b"\x08\x08\x08",
    b"\x7f",
    b"\x01\x02\x03",
    b"a\x0bb",
    b"a\x0cb",
    b"a\rb",
    b"a\tb",
    b"\xff\xfe",
    b"caf\xe9",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    "\u{202e}gnp.exe".as_bytes(),
    "\u{2066}x\u{2069}".as_bytes(),
    "a\u{200b}b".as_bytes(),
    "\u{feff}bom".as_bytes(),
    "e\u{301}".as_bytes(),
    "\u{2028}line".as_bytes(),
    "\u{85}nel".as_bytes(),
    "\u{e000}".as_bytes(),
    "ｆｕｌｌ".as_bytes(),
    b"{\"user\":\"root\"}",
    b"\",\"logins\":999,\"x\":\"",
    b"# HELP",
    b"a{b=\"c\"} 1",
    b"../../etc/passwd",
    b"%s%s%n",
    b"null",
    b"NULL",
    b"''",
    b" ",
    b"root ",
    b"--help",
    b"-o",
    b"\xe2\x80\xae",
    b"a\x00b",
];

fn house() -> House {
    let house = House::new();
    let mut log = Vec::new();
    for (name, id) in NAMES.iter().zip(100..) {
        let (hour, minute) = (id / 60, id % 60);
        for (kind, id, error) in [("CONNECT", 2 * id, 0), ("FAILED_CONNECT", 2 * id + 1, 1045)] {
            log.extend(format!("20261101 {hour:02}:{minute:02}:00,db1,").as_bytes());
            log.extend(*name);
            log.extend(format!(",10.0.0.{},{id},0,{kind},,,{error}\n", id / 2 - 99).as_bytes());
        }
    }
    house.write("server_audit.log", log);
    let output = house.command(&["scan", "server_audit.log"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", house.text(&output));
    house
}

/// No byte of a text may act on a terminal or turn its direction.
fn assert_inert(text: &str, what: &str) {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    for line in text.lines() {
        assert!(!line.contains(bad), "{what}: {}", line.escape_debug());
    }
}

fn output(house: &House, arguments: &[&str]) -> String {
    let output = house.command(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", house.text(&output));
    assert_inert(&String::from_utf8_lossy(&output.stderr), "standard error");
    String::from_utf8(output.stdout).expect("every output is UTF-8")
}

#[test]
fn terminals_get_no_control_bytes() {
    let house = house();
    for arguments in [
        &["seen"][..],
        &["failures"],
        &["failures", "--by", "user"],
        &["failures", "--by", "host"],
        &["evidence"],
        &["evidence", "--state", "quarantined"],
        &["evidence", "--state", "rejected"],
        &["status"],
        &["report", "--limit", "100"],
    ] {
        assert_inert(&output(&house, arguments), &format!("{arguments:?}"));
    }
}

#[test]
fn json_keeps_every_byte_and_no_structure_breaks() {
    let house = house();
    assert_inert(&output(&house, &["seen", "-o", "json"]), "seen -o json");
    let rows = house.json(&["seen", "-q"]);
    assert!(NAMES.len() > 60 && rows.len() == NAMES.len(), "{}", rows.len());
    for wanted in NAMES {
        let wanted = wanted.escape_ascii().to_string();
        let row = rows.iter().find(|row| name(row, "user") == wanted);
        let row = row.unwrap_or_else(|| panic!("{wanted} is missing"));
        assert_eq!(
            (row["logins"].as_u64(), row["failures"].as_u64()),
            (Some(1), Some(1)),
            "{wanted}"
        );
    }
}

#[test]
fn csv_holds_no_formula_and_as_many_cells_as_columns() {
    let house = house();
    let commands =
        [&["seen"][..], &["failures"], &["failures", "--by", "user"], &["evidence"], &["status"]];
    for arguments in commands {
        let text = output(&house, &[arguments, &["-o", "csv"]].concat());
        assert_inert(&text, &format!("{arguments:?} -o csv"));
        let mut lines = text.lines();
        let columns = cells(lines.next().unwrap()).len();
        for line in lines {
            let cells = cells(line);
            assert_eq!(cells.len(), columns, "{line}");
            for cell in cells {
                let first = cell.trim_start_matches(' ').chars().next();
                assert!(
                    !first.is_some_and(|it| "=+-@＝＋－＠\t\r".contains(it)),
                    "{arguments:?}: {line}"
                );
            }
        }
    }
}

/// The cells of a line of CSV, unquoted.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cells.last_mut().unwrap().push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells.last_mut().unwrap().push(c),
        }
    }
    assert!(!quoted, "{line}");
    cells
}

#[test]
fn html_holds_names_as_text_alone() {
    let house = house();
    output(&house, &["report", "--limit", "100", "--html", "report.html"]);
    let page = String::from_utf8(house.read("report.html")).unwrap();
    assert_inert(&page, "HTML");
    let known = [
        "!doctype html",
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "p",
        "hr",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "dl",
        "dt",
        "dd",
        "span",
        "br",
    ];
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a whole tag");
        let bare = tag.trim_start_matches('/');
        let plain = known.contains(&bare);
        let attributes = ["html lang=\"en\"", "td class=\"n\"", "th class=\"n\""].contains(&bare);
        assert!(plain || attributes || bare.starts_with("meta "), "<{tag}>");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn log_names_are_as_dangerous_as_user_names() {
    let house = House::new();
    let evil = "evil\u{1b}[2J\u{202e}=1.log";
    house.write(evil, "no record\n".repeat(3) + &super::house::session("app", 1));
    assert_inert(&house.run(&["scan", evil, "-v"]), "scan");
    assert_inert(&house.run(&["scan", "no\u{1b}such"]), "a missing file");
    for command in ["evidence", "status", "report"] {
        assert_inert(&output(&house, &[command]), command);
        assert_inert(&output(&house, &[command, "-o", "json"]), command);
    }
}
