use std::os::unix::fs::PermissionsExt as _;

use verdict::quota::Policy;

use super::passwords::secret_file;
use super::*;
use crate::config::Config;

const SEARCH: &str =
    "db_host=127.0.0.1\ndb_user=root\ndb_id=0\nmonitor_interval_sec=600\nprometheus_truncate=1\n";

const GUARD: &str = "[general]
log_level = WARN
check_interval = 30
metrics_file = /var/run/storage_guard.prom
kill_on_hard_limit = yes
user_limits_file = /etc/storage_guard_users.conf
threshold_trigger = 3
schema_patterns = %s,%s_logs
use_threads = yes
max_threads = 16
use_connection_pool = yes
connection_pool_size = 10
daemon_user = mysqlmon
daemon_group = mysqlmon

[database]
host = 192.168.1.10
port = 3307
user = monitor
password_file = /root/passwd
type = mysql
";

fn read(text: &str) -> Result<Ancestor, String> {
    let form = Form::of(text).expect("a file of the daemon's");
    parse(form, text).map(|(read, _)| read)
}

/// Writes a file that only its owner may read.
fn put(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    chmod(&path, 0o600);
    path
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn password(config: &Config, server: usize) -> &[u8] {
    let login = config.servers[server].login.as_ref().unwrap();
    login.options.password.as_ref().unwrap().expose()
}

#[test]
fn the_daemons_three_files_are_read_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("# ours\n{SEARCH}\ndb_host = db2\ndb_user = mon\ndb_id = 2\n");
    let path = put(folder.path(), "search.conf", &text);
    put(folder.path(), "passwd", "s3cr3t one\nother\r\nthe third");
    let config = Config::load(Some(&path), None).unwrap();
    let names: Vec<_> = config.servers.iter().map(|it| it.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["127.0.0.1", "db2"]);
    assert_eq!(
        (password(&config, 0), password(&config, 1)),
        (&b"s3cr3t one"[..], &b"the third"[..])
    );
    assert_eq!(config.quota.limits, Some(folder.path().join("search_user")));
    assert_eq!(config.quota.owners.patterns, [Pattern::owner("%u").unwrap()]);
    // Nothing is sent before somebody asks for it.
    assert_eq!((config.quota.policy.policy, config.quota.enforce), (Policy::Lock, false));
    assert_eq!((config.quota.policy.exceed_count, config.quota.kill_sessions), (1, false));
    assert!(config.quota.notices.syslog && config.quota.notices.audit_log.is_some());
    let ancestor = config.ancestor.as_ref().unwrap();
    assert!(!ancestor.keeps_series);
    assert_eq!(ancestor.metrics.as_deref(), Some(Path::new("/var/run/mysql_monitor.prom")));
    let audit_log = Some(Path::new("/var/log/mysql_monitor_audit.log"));
    assert_eq!(
        (ancestor.audit_log.as_deref(), ancestor.user.as_deref()),
        (audit_log, Some("mysql"))
    );
    let seconds = |server: usize| ancestor.servers[server].interval.as_secs();
    assert_eq!((seconds(0), seconds(1)), (600, 3600));
    let target = ancestor.servers[0].target().unwrap();
    assert_eq!(
        (target.place.to_string().as_str(), target.user.as_str()),
        ("127.0.0.1:3306", "root")
    );
    let shown = format!("{config:?}");
    assert!(!shown.contains("s3cr3t") && !shown.contains("the third"), "{shown}");
    let text = SEARCH.replace("truncate=1", "truncate=0");
    assert!(read(&text).unwrap().keeps_series);
    assert_eq!(read(&SEARCH.replace("127.0.0.1", "::1")).unwrap().servers[0].name, "::1");
}

#[test]
fn columns_of_a_later_version() {
    let folder = tempfile::tempdir().unwrap();
    let text = "hostname username password database port interval query_method\n\n\
                127.0.0.1 monitor_user example_pass mysql 3306 60 information_schema\n\
                192.168.1.10 monitor_user p=[4 mysql 3307 120 sys_schema\n";
    let path = put(folder.path(), "db_config", text);
    let config = Config::load(Some(&path), None).unwrap();
    assert_eq!((password(&config, 0), password(&config, 1)), (&b"example_pass"[..], &b"p=[4"[..]));
    assert_eq!(config.servers[1].name.as_deref(), Some("192.168.1.10:3307"));
    assert_eq!(config.quota.limits, Some(folder.path().join("user_limits")));
    assert_eq!(config.quota.owners.patterns, [Pattern::owner("%u_%").unwrap()]);
    assert_eq!(config.quota.method, Method::InformationSchema);
    assert!(config.notes[0].contains("4: sys_schema: no server has"), "{:?}", config.notes);
    chmod(&path, 0o640);
    let error = Config::load(Some(&path), None).unwrap_err();
    assert!(error.contains("holds passwords and is open to others: chmod 600"), "{error}");
}

#[test]
fn sections_of_a_later_version() {
    let read = read(GUARD).unwrap();
    assert_eq!(read.servers[0].name, "192.168.1.10:3307");
    assert_eq!(read.servers[0].interval.as_secs(), 30);
    assert_eq!(read.limits, Path::new("/etc/storage_guard_users.conf"));
    let patterns = ["%u", "%u_logs"].map(|it| Pattern::owner(it).unwrap());
    assert_eq!(read.owners, patterns);
    assert_eq!((read.exceed_count, read.kills, read.threads), (3, Some(true), Some(16)));
    assert_eq!(read.log_level, LogLevel::Warn);
    assert_eq!((read.user.as_deref(), read.group.as_deref()), (Some("mysqlmon"), Some("mysqlmon")));

    let folder = tempfile::tempdir().unwrap();
    let least = "[database]\nuser=monitor\n[limits]\nuser1 = 500000000 , 1000000000\n";
    let path = put(folder.path(), "storage_guard.conf", least);
    let config = Config::load(Some(&path), None).unwrap();
    assert_eq!(config.quota.limits.as_ref(), Some(&path));
    assert_eq!((config.quota.policy.exceed_count, config.quota.kill_sessions), (3, true));
    let limits = crate::config::limits::read(&path).unwrap();
    assert_eq!(limits.of(b"user1").unwrap().hard, Some(1_000_000_000));
    let ancestor = config.ancestor.unwrap();
    assert_eq!(ancestor.servers[0].name, "localhost");
    assert_eq!((ancestor.exceed_count, ancestor.threads, &ancestor.metrics), (3, Some(1), &None));
    put(folder.path(), "secret", "s3cr3t\n");
    let text =
        format!("{least}[database]\npassword_file = {}\n", folder.path().join("secret").display());
    let path = put(folder.path(), "storage_guard.conf", &text);
    assert_eq!(password(&Config::load(Some(&path), None).unwrap(), 0), b"s3cr3t");
}

#[test]
fn faults_have_line_and_column() {
    for (text, expected) in [
        ("db_hots=a\ndb_user=b\n", "1:1: unknown key db_hots: did you mean db_host?"),
        ("db_user=root\n", "1:1: db_user stands before the db_host that it is of"),
        ("\n db_id=0\n", "2:2: db_id stands before the db_host that it is of"),
        ("db_host=a\ndb_user=b\nnonsense\ndb_id=0\n", "3:1: neither a comment nor key=value"),
        ("db_host=a\ndb_user=\ndb_id=0\n", "2:1: db_user= without a value"),
        ("db_host=a\ndb_id=0\n", "1:9: a db_host without its db_user"),
        ("db_host=a\ndb_user=b\n", "1:9: a db_host without its db_id"),
        ("db_host=a\ndb_user=b\ndb_id=-1\n", "3:7: db_id is no number from 0 to 9999"),
        ("db_host=a\ndb_user=b\ndb_id=10000\n", "3:7: db_id is no number from 0 to 9999"),
        (
            "db_host=a\nmonitor_interval_sec = 0\n",
            "2:24: monitor_interval_sec is no number from 1 to",
        ),
        (
            "db_host=a\nmonitor_interval_sec = 10m\n",
            "2:24: monitor_interval_sec is no number from 1",
        ),
        (
            "db_host=a\nmonitor_interval_sec=99999999999999999999\n",
            "2:22: monitor_interval_sec is no",
        ),
        ("db_host=a\nprometheus_truncate=maybe\n", "2:21: prometheus_truncate: write yes or no"),
        ("db_host=a\ndb_user=b\ndb_user=c\n", "3:1: a second db_user: take one out"),
        (
            "db_host=a\ndb_user=b\ndb_id=0\ndb_host=a\ndb_user=b\ndb_id=0\n",
            "4:9: a second entry for the same server: take one out",
        ),
        ("prometheus_truncate=1\n", "1:1: no server: add db_host=127.0.0.1"),
        ("h u p d 0 60 information_schema\n", "1:9: port is no number from 1 to 65535"),
        ("h u p d 1 x information_schema\n", "1:11: interval is no number from 1"),
        ("h u p d 1 60 sys\n", "1:14: no query method: write information_schema"),
        ("h u p d 1\n", "1:1: not host, user, password, database, port, interval and query method"),
        (
            "[general]\ncheck_intervall=1\n",
            "2:1: unknown key check_intervall: did you mean check_interval?",
        ),
        ("[general]\nhost=a\n", "2:1: unknown key host: known here are log_level"),
        ("[general]\n[generel]\n", "2:1: unknown section: known here are"),
        ("[general]\nthreshold_trigger=0\n", "2:19: threshold_trigger is no number from 1"),
        ("[general]\nkill_on_hard_limit=perhaps\n", "2:20: kill_on_hard_limit: write yes or no"),
        (
            "[general]\nschema_patterns=%s,logs\n",
            "2:20: it does not say where the user's name stands",
        ),
        ("[general]\nlog_level=loud\n", "2:11: write DEBUG, INFO, WARN or ERROR"),
        ("[general]\nlog_level=INFO\nlog_level=INFO\n", "3:1: a second log_level: take one out"),
        ("[general]\n", "1:1: [database] has no user: add user="),
    ] {
        let text = text.replace("db_hots=a", "db_hots=a\n#");
        let error = read(&text).expect_err(&text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    // What may be a password in a wrong column is not repeated.
    for text in ["h u p d s3cr3t 60 x\n", "h u s3cr3t d e f g h\n", "[database]\nport=s3cr3t\n"] {
        let error = read(text).unwrap_err();
        assert!(!error.contains("s3cr3t"), "{error}");
    }
}

#[test]
fn files_of_others_are_not_taken_for_the_daemons() {
    for text in [
        "ledger = \"/x\"\n[[server]]\nname = \"db1\"\n",
        "[default]\nAuditLogPath=/x\n",
        "health_checks = [ \"a\", \"b\", \"c\" ]\n",
        "",
        "# db_host=a\n",
    ] {
        assert_eq!(Form::of(text), None, "{text}");
    }
    assert_eq!(Form::of(SEARCH), Some(Form::Search));
    assert_eq!(Form::of(GUARD), Some(Form::Guard));
}

#[test]
fn passwords_come_from_files_that_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "search.conf", SEARCH);
    let load = |credentials: Option<&Path>| Config::load(Some(&path), credentials);
    let expect = |words: &str| {
        let error = load(None).unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    expect("passwd cannot be read (No such file");
    let file = put(folder.path(), "passwd", "first\n");
    assert_eq!(password(&load(None).unwrap(), 0), b"first");
    for mode in [0o640, 0o604, 0o610, 0o601] {
        chmod(&file, mode);
        expect("holds passwords and is open to others: chmod 600");
    }
    chmod(&file, 0o400);
    assert_eq!(password(&load(None).unwrap(), 0), b"first");
    chmod(&path, 0o644);
    assert!(load(None).is_ok());
    chmod(&path, 0o664);
    expect("may be written by others: chmod 600");
    chmod(&path, 0o600);
    // Credentials come first; their group's permissions are the mask of an access control list.
    let credentials = folder.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    assert_eq!(password(&load(Some(&credentials)).unwrap(), 0), b"first");
    chmod(&put(&credentials, "passwd", "given"), 0o440);
    assert_eq!(password(&load(Some(&credentials)).unwrap(), 0), b"given");

    std::fs::rename(&file, folder.path().join("real")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("real"), &file).unwrap();
    expect("passwd is a link");
    std::fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    expect("passwd is no file");
    std::fs::remove_file(&file).unwrap();
    put(folder.path(), "passwd", "");
    assert_eq!(password(&load(None).unwrap(), 0), b"");
    let text = SEARCH.replace("db_id=0", "db_id=1");
    put(folder.path(), "search.conf", &text);
    put(folder.path(), "passwd", "first\n");
    expect("passwd has no line 2, which db_id=1 means");
    if nix::unistd::geteuid().is_root() {
        let other = put(folder.path(), "other", "x");
        nix::unistd::chown(&other, Some(65_534.into()), None).unwrap();
        assert!(secret_file(&other, 0o077).unwrap_err().contains("belongs to another user"));
    }
}

#[test]
fn no_text_panics() {
    let parts = [
        "db_host=a\n",
        "db_id",
        "=",
        "[",
        "general]\n",
        " ",
        "\n",
        "\u{fc}",
        "0",
        "#",
        "h u p d 1 ",
    ];
    for number in 0..parts.len().pow(4) {
        let text: String =
            (0..4).map(|at| parts[number / parts.len().pow(at) % parts.len()]).collect();
        if let Some(form) = Form::of(&text)
            && let Err(error) = parse(form, &text)
        {
            assert!(error.starts_with(|it: char| it.is_ascii_digit()), "{text}: {error}");
        }
    }
}
