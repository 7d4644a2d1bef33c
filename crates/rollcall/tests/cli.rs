//! The real binary in a fresh folder: exit codes, standard output, standard error.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use tempfile::TempDir;

/// A fresh folder with a configuration of its own, so that nothing of this machine is read.
fn fresh() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rollcall.toml"), "").unwrap();
    folder
}

fn rollcall(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("TZ", "UTC")
        .args(["--config", "rollcall.toml"])
        .args(arguments);
    command
}

/// Exit code, standard output, standard error, with the folder's name taken out.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = rollcall(folder, arguments).output().unwrap();
    let text = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.replace(folder.to_str().unwrap(), "FOLDER")
    };
    format!(
        "exit {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr)
    )
}

#[test]
fn usage_errors_exit_with_2() {
    let folder = fresh();
    for arguments in [
        &[][..],
        &["nosuch"],
        &["seen", "--limit", "x"],
        &["scan", "--threads", "0"],
        &["seen", "--since", "soon"],
        &["seen", "--zone", "Nowhere"],
        &["scan", "--dialect", "xml", "x"],
        &["report", "-o", "csv", "x"],
        &["report", "--time-zone", "UTC"],
        &["scan"],
        &["seen", "--group", "shop"],
        &["check", "--config", "none.toml"],
    ] {
        let text = run(folder.path(), arguments);
        assert!(text.starts_with("exit 2\n--- stdout\n--- stderr\n"), "{arguments:?}: {text}");
        assert!(text.len() > 60, "{arguments:?}: {text}");
    }
}

#[test]
fn errors_name_thing_place_and_remedy() {
    let folder = fresh();
    assert_snapshot!(run(folder.path(), &["scan"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: rollcall.toml: no [[server]] is configured: add one, or give PATH
    "#);
    assert_snapshot!(run(folder.path(), &["seen", "--since", "soon"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: --since: no time: "soon". Write 2026-11-20T07:18:43Z, '2026-11-20 07:18', an age like 90d or 12h, or 'yesterday 14:00'
    "#);
    std::fs::write(folder.path().join("rollcall.toml"), "ledger = 'x'\nhealth_check = []\n")
        .unwrap();
    assert_snapshot!(run(folder.path(), &["check"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: rollcall.toml:2: unknown key `health_check`: did you mean `health_checks`?
    "#);
}

#[test]
fn errors_are_inert() {
    let folder = fresh();
    let name = "\u{1b}[2Jx\u{202e}";
    for arguments in [
        &["check", "--config", name][..],
        &["seen", "--zone", name],
        &["scan", "--dialect", name, "x"],
        &["seen", "--since", name],
        &["seen", "--group", name],
    ] {
        let text = run(folder.path(), arguments);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_answers() {
    let folder = fresh();
    for arguments in [&["--help"][..], &["-h"], &["--version"], &["seen", "--help"]] {
        let output = rollcall(folder.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn setup_prints_and_needs_no_configuration() {
    let folder = fresh();
    std::fs::write(folder.path().join("rollcall.toml"), "broken").unwrap();
    assert_snapshot!(run(folder.path(), &["setup", "audit", "--server-version", "5.7.44"]), @r#"
    exit 0
    --- stdout
    -- The audit log, for MySQL 5.7.44.

    -- MySQL's community server has no audit log plugin, and MariaDB's does not load in it. rollcall
    -- does not read the audit logs of MySQL Enterprise and Percona Server. What there is instead:

    -- 1. An access log table, filled at every login through init_connect: who, from where, and the
    -- account that matched; not of administrators, and no refusals. rollcall setup init-connect

    -- 2. The login plugin audit_login.so, which writes a line for each login and refusal, of
    -- administrators too: rollcall setup plugin

    -- 3. The error log, for refused logins: rollcall does not read it, people can.
    --- stderr
    "#);
    assert_snapshot!(run(folder.path(), &["setup", "monitor"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: for which server? Give --family mariadb|mysql, --server-version TEXT or --variables FILE; or have it asked: --defaults-file FILE, or --server NAME where it is configured
    "#);
    assert_snapshot!(run(folder.path(), &["setup", "lock-procedure", "--server-version", "5.7.44"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: MySQL 5.7.44: locked definers and rights for ending sessions are there from MySQL 8.0 on
    "#);
    for output in ["table", "json", "csv"] {
        let hostile = ["setup", "monitor", "--family", "mysql", "--account", "a\u{1b}[2J@%", "-o"];
        let text = run(folder.path(), &[&hostile[..], &[output]].concat());
        assert!(text.starts_with("exit 0") && !text.contains('\u{1b}'), "{text}");
    }
}

/// A monitoring check that has nothing to compare with must not be green.
#[test]
fn a_quota_without_limits_is_no_check() {
    let folder = fresh();
    std::fs::write(folder.path().join("rollcall.toml"), "").unwrap();
    for condition in ["soft", "hard"] {
        let asked = ["quota", "check", "--fail-on", condition, "--defaults-file", "none.cnf"];
        assert_eq!(
            run(folder.path(), &asked),
            "exit 2\n--- stdout\n--- stderr\n\
             rollcall: no limits: name their file, limits of [quota], or --limits FILE\n"
        );
    }
}

#[test]
fn init_check_and_dialects() {
    let folder = fresh();
    let at = |name: &str| folder.path().join(name);
    assert_snapshot!(run(folder.path(), &["dialects", "-o", "json"]), @r#"
    exit 0
    --- stdout
    {"dialect":"server_audit","description":"MariaDB server_audit and its relatives, written to a file"}
    {"dialect":"server_audit_syslog","description":"the same records sent through syslog"}
    {"dialect":"audit_login","description":"JSON lines of an audit_login plugin"}
    --- stderr
    "#);
    assert_snapshot!(run(folder.path(), &["init"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: rollcall.toml is there already and stays as it is: check it with rollcall check
    "#);
    std::fs::remove_file(at("rollcall.toml")).unwrap();
    assert_snapshot!(run(folder.path(), &["init"]), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: rollcall.toml written: edit it, then rollcall check
    "#);
    let mode = std::fs::metadata(at("rollcall.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    assert_snapshot!(run(folder.path(), &["check", "--ledger", "l.sqlite"]), @r#"
    exit 0
    --- stdout
    rollcall.toml: ok
    ledger: l.sqlite
    kept: counts per hour 90 days, per day 400 days; 20,000 connection facts, 30 days; 1,000 pairs that only failed per server and hour
    no audit_logs are configured: rollcall scan needs a PATH
    --- stderr
    "#);
    std::fs::write(
        at("rollcall.toml"),
        "[[server]]\nname = 'db1'\ntime_zone = 'Europe/Zurich'\naudit_logs = ['no.log', '*.log']\n",
    )
    .unwrap();
    assert_snapshot!(run(folder.path(), &["check", "--ledger", "l.sqlite"]), @r#"
    exit 3
    --- stdout
    rollcall.toml: ok
    ledger: l.sqlite
    kept: counts per hour 90 days, per day 400 days; 20,000 connection facts, 30 days; 1,000 pairs that only failed per server and hour

    SERVER  GROUP  LOG TIMES IN   AUDIT LOGS
    db1     –      Europe/Zurich  no.log
    db1     –      Europe/Zurich  *.log
    --- stderr
    rollcall: no.log: not there: correct audit_logs, or create it
    "#);
}

#[test]
fn conntrackers_configuration_is_taken() {
    let folder = fresh();
    std::fs::write(
        folder.path().join("rollcall.toml"),
        "[default]\nAuditLogPath = logs\nSqlitePath = audit.sqlite\nTimeLocation = Europe/Zurich\n",
    )
    .unwrap();
    std::fs::create_dir(folder.path().join("logs")).unwrap();
    assert_snapshot!(run(folder.path(), &["check"]), @r#"
    exit 0
    --- stdout
    rollcall.toml: ok
    ledger: audit.sqlite
    kept: counts per hour 90 days, per day 400 days; 20,000 connection facts, 30 days; 1,000 pairs that only failed per server and hour

    SERVER       GROUP  LOG TIMES IN   AUDIT LOGS
    as recorded  –      Europe/Zurich  logs
    --- stderr
    "#);
}

#[test]
fn a_reader_that_leaves_is_success() {
    let folder = fresh();
    for arguments in [&["dialects"][..], &["check"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = rollcall(folder.path(), arguments).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_said() {
    let folder = fresh();
    let full: File = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = rollcall(folder.path(), &["dialects"]).stdout(Stdio::from(full)).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("rollcall: standard output cannot be written: "), "{error}");
}
