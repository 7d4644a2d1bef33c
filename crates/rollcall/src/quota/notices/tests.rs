use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use verdict::quota::Limit;

use super::*;

fn event(user: &[u8], notice: Notice) -> Event {
    Event {
        server: "db1".to_owned(),
        user: user.to_vec(),
        bytes: 48,
        limit: Some(Limit { soft: Some(10), hard: None }),
        at_us: 1_700_000_000_000_000,
        notice,
    }
}

fn warned(user: &[u8]) -> Event {
    event(user, Notice::Warned { percent: 80 })
}

fn teller(notices: Notices, patience: Duration) -> Teller {
    Teller::with(notices, TimeZone::UTC, Path::new("/nowhere/log"), patience)
}

/// Until a file is there with this much in it.
fn text_of(path: &Path, lines: usize) -> String {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() >= lines || Instant::now() > until {
            return text;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_audit_log_has_one_json_line_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let teller = teller(Notices { audit_log: Some(path.clone()), ..Notices::default() }, PATIENCE);
    let enforced = Notice::Enforced { policy: "lock", plan: "7f3a-21".into(), sessions_closed: 4 };
    teller.tell(&event(b"a\"\n\xff", enforced));
    teller.tell(&event(b"b", Notice::Refused { why: "protected".into() }));
    // Rotated.
    std::fs::rename(&path, folder.path().join("old")).unwrap();
    teller.tell(&warned(b"c"));
    let old = std::fs::read_to_string(folder.path().join("old")).unwrap();
    let rows: Vec<Value> = old.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        rows[0],
        json!({
            "at": "2023-11-14T22:13:20.000000Z", "event": "enforced", "server": "db1",
            "user": "a\"\n\u{fffd}", "user_hex": "61220aff", "bytes": 48,
            "soft_limit_bytes": 10, "hard_limit_bytes": null, "policy": "lock", "plan": "7f3a-21",
            "sessions_closed": 4,
            "message": "db1: a\"\n\u{fffd} is held back: lock, 4 sessions closed (plan 7f3a-21)",
        })
    );
    assert_eq!(
        (rows.len(), &rows[1]["event"], &rows[1]["reason"]),
        (2, &json!("refused"), &json!("protected"))
    );
    let new = std::fs::read_to_string(&path).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&new).unwrap()["percent"], 80);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    assert_eq!(teller.take_faults(), [""; 0]);
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    teller.tell(&warned(b"c"));
    assert!(teller.take_faults()[0].contains("the audit log cannot be written"));
}

#[test]
fn syslog_is_told_by_urgency() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let notices = Notices { syslog: true, ..Notices::default() };
    let teller = Teller::with(notices, TimeZone::UTC, &path, PATIENCE);
    let received = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    teller.tell(&warned(b"x\n<8>\x1b[2J"));
    let process = std::process::id();
    let expected = format!(
        "<28>Nov 14 22:13:20 rollcall[{process}]: db1: x\\n<8>\\x1b[2J holds more than 80 % of its limit"
    );
    assert_eq!(received(), expected);
    let policy = "warn";
    for (notice, priority) in [
        (Notice::OverHard { policy }, "<25>"),
        (Notice::Enforced { policy, plan: String::new(), sessions_closed: 0 }, "<25>"),
        (Notice::Refused { why: String::new() }, "<25>"),
        (Notice::Failed { why: "\u{fc}".repeat(2000) }, "<25>"),
        (Notice::Restored { policy, plan: String::new() }, "<29>"),
    ] {
        teller.tell(&event(b"a", notice));
        let message = received();
        assert!(message.starts_with(priority) && message.len() < 1024, "{message}");
    }
    // Nobody takes them any more: nobody waits.
    for _ in 0..2000 {
        teller.tell(&warned(b"a"));
    }
    drop(socket);
    teller.tell(&warned(b"a"));
    let faults = teller.take_faults();
    assert!(faults[0].contains("syslog is not told"), "{faults:?}");
    assert_eq!(faults.len(), FAULTS_MAX + 1);
    assert!(faults[FAULTS_MAX].starts_with("and "), "{faults:?}");
}

#[test]
fn a_command_is_told_without_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let (told, input) = (folder.path().join("told"), folder.path().join("input"));
    let script = "printf '%s|%s|%s|%s|%s\\n' \"$1\" \"$ROLLCALL_EVENT\" \"$ROLLCALL_USER\" \
                  \"$ROLLCALL_BYTES\" \"$ROLLCALL_HARD_LIMIT_BYTES\" >>\"$0\"; cat >>\"$2\"; echo noise";
    let told_text = told.display().to_string();
    let input_text = input.display().to_string();
    let command = ["/bin/sh", "-c", script, &told_text, "$(id);`id`", &input_text];
    let command = Some(command.map(str::to_owned).to_vec());
    let teller = teller(Notices { command, ..Notices::default() }, PATIENCE);
    teller.tell(&warned(b"$(touch x);'\xff"));
    assert_eq!(teller.finish(PATIENCE), [""; 0]);
    let text = std::fs::read(&told).unwrap();
    assert_eq!(text, b"$(id);`id`|warned|$(touch x);'\xff|48|\n");
    let row: Value = serde_json::from_str(&std::fs::read_to_string(&input).unwrap()).unwrap();
    assert_eq!(row["event"], "warned");
}

#[test]
fn commands_that_fail_or_hang_are_told_of_and_hold_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let fault = |words: &[&str]| {
        let command = Some(words.iter().map(|it| (*it).to_owned()).collect());
        let teller = teller(Notices { command, ..Notices::default() }, Duration::from_millis(300));
        teller.tell(&warned(b"a"));
        teller.finish(PATIENCE).join("; ")
    };
    assert!(fault(&["/bin/false"]).contains("failed: exit status: 1"));
    assert!(fault(&["/nowhere/x"]).contains("cannot be started: No such file"));
    // What it has started ends with it.
    let script = format!("(sleep 2; touch {}) & wait", mark.display());
    assert!(fault(&["/bin/sh", "-c", &script]).contains("and was ended"));
    thread::sleep(Duration::from_millis(2300));
    assert!(!mark.exists());

    let command = Some(["/bin/sleep", "100"].map(str::to_owned).to_vec());
    let audit_log = folder.path().join("audit.log");
    let notices = Notices { command, audit_log: Some(audit_log.clone()), ..Notices::default() };
    let teller = teller(notices, Duration::from_secs(60));
    for _ in 0..QUEUE_MAX + 2 {
        teller.tell(&warned(b"a"));
    }
    assert_eq!(text_of(&audit_log, QUEUE_MAX + 2).lines().count(), QUEUE_MAX + 2);
    assert!(teller.take_faults()[0].contains("is too slow: an event is not told to it"));
    let faults = teller.finish(Duration::from_millis(10));
    assert!(faults[0].contains("not all events are told"), "{faults:?}");
}

#[test]
fn a_webhook_is_posted_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let webhook = Some(Webhook::parse(&url).unwrap());
    let teller = teller(Notices { webhook, ..Notices::default() }, Duration::from_millis(300));
    let take = |answer: &str| {
        teller.tell(&warned(b"a"));
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.ends_with(b"}") {
            let length = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..length]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        // The connection of an empty answer stays open until its time is over.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        String::from_utf8(request).unwrap()
    };
    let request = take("HTTP/1.1 204 No Content\r\n\r\n");
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["event"], "warned");
    take("HTTP/1.1 500 No\r\nsecret");
    take("");
    take("nonsense\r\n");
    let faults = teller.finish(PATIENCE).join("\n");
    assert!(faults.contains("answers with status 500") && !faults.contains("secret"), "{faults}");
    assert!(faults.contains("no answer within"), "{faults}");
    assert!(faults.contains("does not answer in HTTP"), "{faults}");
    assert_eq!(faults.lines().count(), 3, "{faults}");
}
