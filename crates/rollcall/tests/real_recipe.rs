//! From a changed row to the process behind it, by hand and with rollcall, side by side on real servers: what each
//! step prints stands in `docs/trace.md`, which this test compares, and with `ROLLCALL_WRITE_DOCS=1` writes.
//!
//! ```text
//! network namespace `…s`: server 10.231.78.1 ══ veth ══ 10.231.78.2 network namespace `…c`: two clients
//! ```
//!
//! Needs the feature `real-server`, root, iproute2 and procps.

#[path = "servers/own.rs"]
#[expect(dead_code, reason = "accounts are of no interest here")]
mod own;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use own::{PASSWORD, Server, text};
use serde_json::Value;
use tempfile::TempDir;

const SERVER: &str = "10.231.78.1";
const CLIENT: &str = "10.231.78.2";

const PATIENCE: Duration = Duration::from_secs(20);

/// Two machines, as far as the network goes.
struct Machines {
    server: String,
    client: String,
}

impl Machines {
    /// `None`, and said, where the kernel gives us none.
    fn new() -> Option<Machines> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("rc{}-{count}", std::process::id());
        let machines = Machines { server: format!("{tag}s"), client: format!("{tag}c") };
        let (s, c) = (&machines.server, &machines.client);
        for line in [
            format!("netns add {s}"),
            format!("netns add {c}"),
            format!("-n {s} link add rc0 type veth peer name rc1 netns {c}"),
            format!("-n {s} link set lo up"),
            format!("-n {s} addr add {SERVER}/24 dev rc0"),
            format!("-n {s} link set rc0 up"),
            format!("-n {c} link set lo up"),
            format!("-n {c} addr add {CLIENT}/24 dev rc1"),
            format!("-n {c} link set rc1 up"),
        ] {
            let output = Command::new("ip").args(line.split(' ')).output().unwrap();
            if !output.status.success() {
                let why = format!("skipped: ip {line}: {}\n", text(&output.stderr));
                std::io::stderr().write_all(why.as_bytes()).unwrap();
                return None;
            }
        }
        Some(machines)
    }

    /// A command on the clients' machine.
    fn there(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.client, program]);
        command
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in [&self.server, &self.client] {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

/// A client that is logged in.
struct Client {
    process: Child,
    id: String,
}

impl Client {
    /// Logs in from the clients' machine and runs a statement.
    fn open(machines: &Machines, server: &Server, statement: &str) -> Client {
        // With no terminal, wherever the test runs.
        let mut process = machines
            .there("setsid")
            .args([server.told("client"), "-u", "audit_user", &format!("-p{PASSWORD}")])
            .args(["-h", SERVER, "-P", server.told("port"), "-BNn", "access_log"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let script = format!("{statement};\nSELECT CONNECTION_ID();\n");
        process.stdin.as_mut().unwrap().write_all(script.as_bytes()).unwrap();
        let mut id = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut id).unwrap();
        let id = id.trim().to_owned();
        assert!(id.parse::<u64>().is_ok(), "the client did not log in: {id:?}");
        Client { process, id }
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The place of it all: clients and server end before the namespaces do.
struct Bench {
    /// Made the change.
    maker: Client,
    /// Did nothing, as the same user.
    other: Client,
    server: Server,
    machines: Machines,
    folder: TempDir,
}

impl Bench {
    fn new(kind: &str) -> Option<Bench> {
        assert!(nix::unistd::geteuid().is_root(), "real_recipe needs root");
        let machines = Machines::new()?;
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = ["ip", "netns", "exec", &machines.server];
        // In its namespace nobody but the clients is there.
        let options = ["--bind-address=0.0.0.0"];
        let server = Server::start_in(&place, kind, &folder.path().join("db"), None, &options);
        prepare(&server, folder.path());
        let statement = "INSERT INTO t1 VALUES (10, 'w0')";
        let other = Client::open(&machines, &server, "DO 0");
        let maker = Client::open(&machines, &server, statement);
        let bench = Bench { maker, other, server, machines, folder };
        bench.await_idle();
        Some(bench)
    }

    /// Waits until both clients sleep.
    fn await_idle(&self) {
        let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
                   WHERE USER='audit_user' AND COMMAND='Sleep'";
        let end = Instant::now() + PATIENCE;
        while self.server.admin(sql).trim() != "2" {
            assert!(Instant::now() < end, "the clients are never idle");
            sleep(Duration::from_millis(20));
        }
    }

    fn tool(&self, mariadb: &str, mysql: &str) -> PathBuf {
        let name = if self.server.is_mariadb() { mariadb } else { mysql };
        Path::new(self.server.told("client")).with_file_name(name)
    }

    /// The only log since the clients came.
    fn binlog(&self) -> PathBuf {
        let files = fs::read_dir(self.server.told("binlog")).unwrap();
        let mut files: Vec<PathBuf> = files.map(|it| it.unwrap().path()).collect();
        files.retain(|it| it.extension().is_some_and(|it| it != "index"));
        files.into_iter().max().unwrap()
    }

    /// Runs rollcall after these words of another program, if any.
    fn rollcall(&self, before: Command, arguments: &[&str]) -> Output {
        let mut command = before;
        command
            .arg(assert_cmd::cargo::cargo_bin!("rollcall"))
            .env("HOME", self.folder.path())
            .env("TZ", "UTC")
            .current_dir(self.folder.path())
            .args(["--config", "rollcall.toml", "--ledger", "ledger.sqlite"])
            .args(arguments)
            .output()
            .unwrap()
    }

    fn here(&self, arguments: &[&str]) -> Output {
        self.rollcall(Command::new("env"), arguments)
    }

    fn there(&self, arguments: &[&str]) -> Output {
        self.rollcall(self.machines.there("env"), arguments)
    }
}

/// What the how-to sets up, accounts, and the configuration.
fn prepare(server: &Server, folder: &Path) {
    server.admin(&format!(
        "CREATE DATABASE accesslog; CREATE DATABASE access_log;
         CREATE TABLE accesslog.accesslog (id INT NOT NULL AUTO_INCREMENT, thread_id INT DEFAULT NULL,
           log_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
           localname VARCHAR(30) DEFAULT NULL, matchname VARCHAR(30) DEFAULT NULL, PRIMARY KEY (id))
           ENGINE=InnoDB;
         CREATE TABLE access_log.t1 (id INT, name VARCHAR(10)) ENGINE=InnoDB;
         CREATE USER audit_user@'10.231.%' IDENTIFIED BY '{PASSWORD}';
         GRANT INSERT ON access_log.* TO audit_user@'10.231.%';
         GRANT INSERT ON accesslog.accesslog TO audit_user@'10.231.%';
         SET GLOBAL init_connect='insert into accesslog.accesslog values (null, connection_id(), now(), \
           user(), current_user())';"
    ));
    let mut audit = String::new();
    if server.is_mariadb() {
        server.admin("SET GLOBAL server_audit_events='CONNECT,QUERY'");
        audit = format!("audit_logs = [\"{}\"]\n", server.told("audit_log"));
    }
    // What is audited in the second of the start may be of the run before.
    sleep(Duration::from_secs(2));
    server.admin("FLUSH BINARY LOGS");
    let socket = server.told("socket");
    fs::write(folder.join("db1.cnf"), format!("[client]\nuser=root\nsocket={socket}\n")).unwrap();
    let binlog = server.told("binlog");
    let config = format!(
        "[[server]]\nname = \"db1\"\ntime_zone = \"UTC\"\nbinlog_index = \"{binlog}/binlog.index\"\n\
         access_log = \"accesslog.accesslog\"\ndefaults_file = \"{}\"\n{audit}",
        folder.join("db1.cnf").display()
    );
    fs::write(folder.join("rollcall.toml"), config).unwrap();
}

/// A line of a shell, and what it printed.
struct Step {
    line: String,
    output: String,
}

/// What the steps by hand find.
struct ByHand {
    thread: Option<String>,
    port: String,
    pid: u32,
    steps: [Step; 5],
}

/// The how-to, step by step. Where the log tells no thread, it goes on with the one that is the right one.
fn by_hand(bench: &Bench) -> ByHand {
    let log = bench.binlog();
    let tool = bench.tool("mariadb-binlog", "mysqlbinlog");
    let shell = |line: &str| {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let pipe = "-v --base64-output=DECODE-ROWS";
    let grep = "| grep -E '[[:space:]]thread_id=|^###|Xid'";
    let (tool, file) = (tool.display(), log.file_name().unwrap().to_str().unwrap());
    let decoded = shell(&format!("'{tool}' {pipe} '{}' {grep}", log.display()));
    let name = tool.to_string().rsplit('/').next().unwrap().to_owned();
    let log_step = Step { line: format!("{name} {pipe} {file} {grep}"), output: decoded.clone() };
    // The last before the row.
    let row = decoded.find("### INSERT INTO `access_log`.`t1`").expect("the row is in the log");
    let transaction =
        decoded[..row].rfind("Xid = ").map_or(&decoded[..row], |at| &decoded[at..row]);
    let thread = transaction
        .split_once("thread_id=")
        .map(|(_, rest)| rest.split(|it: char| !it.is_ascii_digit()).next().unwrap().to_owned());

    let id = &bench.maker.id;
    let client = bench.tool("mariadb", "mysql");
    let sql = |statement: &str, filter: &str| {
        let socket = bench.server.told("socket");
        let line =
            format!("'{}' -u root -S {socket} -t -e '{statement}'{filter}", client.display());
        let name = client.file_name().unwrap().to_str().unwrap();
        Step { line: format!("{name} -t -e '{statement}'{filter}"), output: shell(&line) }
    };
    let logins = sql("SELECT thread_id, localname, matchname FROM accesslog.accesslog", "");
    let list = sql("SHOW FULL PROCESSLIST", " | grep audit_user");
    let of_thread = |it: &&str| it.split('|').nth(1).is_some_and(|it| it.trim() == id);
    let row = list.output.lines().find(of_thread).expect("the connection is in the list");
    let host = row.split('|').nth(3).unwrap().trim();
    let port = host.strip_prefix(&format!("{CLIENT}:")).expect("the client's address").to_owned();

    let line = format!("ss -tnp | grep {port}");
    let output = bench.machines.there("sh").args(["-c", &line]).output().unwrap();
    let sockets = Step { line, output: text(&output.stdout) };
    let (_, rest) = sockets.output.split_once("pid=").expect("ss names the process");
    let pid: u32 = rest.split(',').next().unwrap().parse().unwrap();
    let line = format!("ps -f -ww -p {pid}");
    let process = Step { output: shell(&line), line };
    assert!(process.output.contains("-u audit_user"), "{}", process.output);
    ByHand { thread, port, pid, steps: [log_step, logins, list, sockets, process] }
}

/// The one object that an answer holds.
fn only(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().count(), 1, "{lines}{}", text(&output.stderr));
    serde_json::from_str(lines.trim()).unwrap()
}

fn recipe(kind: &str) {
    let Some(bench) = Bench::new(kind) else { return };
    let (id, pid) = (bench.maker.id.clone(), bench.maker.pid());
    assert_ne!((&id, pid), (&bench.other.id, bench.other.pid()));
    let old = by_hand(&bench);
    match bench.server.is_mariadb() {
        // Both clients logged in, and are open: by hand nothing tells which of them it was.
        true => assert_eq!(old.thread, None, "{}", old.steps[0].output),
        false => assert_eq!(old.thread.as_ref(), Some(&id), "{}", old.steps[0].output),
    }
    for client in [&bench.maker, &bench.other] {
        assert!(
            old.steps[1].output.contains(&format!(" {} |", client.id)),
            "{}",
            old.steps[1].output
        );
    }
    assert_eq!(old.pid, pid);

    let log = bench.binlog();
    let log = log.to_str().unwrap();
    let chosen = ["--table", "access_log.t1", "--kind", "insert"];
    let json = |words: &[&str]| only(&bench.here(&[&["-o", "json"], words, &chosen[..]].concat()));
    // The log alone.
    let alone = json(&["trace", log]);
    // With what the configuration names: the audit log, the table of logins, the server.
    let found = json(&["trace", "--server", "db1"]);
    let (evidence, login) = match bench.server.is_mariadb() {
        true => {
            assert_eq!(
                (&alone["evidence"], &alone["thread_id"]),
                (&"unknown".into(), &Value::Null)
            );
            ("xid-query-id", "audit")
        }
        false => {
            assert_eq!(alone["thread_id"], id[..], "{alone:#}");
            ("query-thread", "accesslog")
        }
    };
    assert_eq!(found["thread_id"], id[..], "{found:#}");
    assert_eq!(
        (&found["evidence"], &found["exact"]),
        (&evidence.into(), &true.into()),
        "{found:#}"
    );
    assert_eq!(found["login_evidence"], login, "{found:#}");
    assert_eq!((&found["user"], &found["client_host"]), (&"audit_user".into(), &CLIENT.into()));
    let place = format!("{CLIENT}:{}", old.port);
    let who = only(&bench.here(&["-o", "json", "who", &id]));
    assert_eq!((&who["pid"], &who["evidence"]), (&pid.into(), &"tcp-pair".into()), "{who:#}");
    let there = only(&bench.there(&["-o", "json", "who", &place]));
    assert_eq!((&there["pid"], &there["connection_id"]), (&pid.into(), &Value::Null), "{there:#}");

    let remote = from_afar(&bench, &place);
    let shown = |line: String, output: &Output| Step { line, output: text(&output.stdout) };
    let steps = [
        shown(
            "rollcall trace --server db1 --table access_log.t1 --kind insert".to_owned(),
            &bench.here(&[&["trace", "--server", "db1"], &chosen[..]].concat()),
        ),
        shown(format!("rollcall who {id}"), &bench.here(&["who", &id])),
        shown(format!("rollcall who {id}"), &remote),
        shown(format!("rollcall who {place}"), &bench.there(&["who", &place])),
    ];
    documented(kind, &page(&bench, &old.steps, &steps));
}

/// Where the client's processes cannot be seen, the answer says what to run on its machine: both, run there, name it.
fn from_afar(bench: &Bench, place: &str) -> Output {
    let mut around = Command::new("unshare");
    around.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    let output = bench.rollcall(around, &["who", &bench.maker.id]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{told}{}", text(&output.stderr));
    let commands = [format!("rollcall who {place}"), format!("ss -tnp src {place}")];
    let lines: Vec<&str> = told.lines().map(str::trim).collect();
    for command in &commands {
        assert!(lines.contains(&command.as_str()), "{told}");
    }
    let words: Vec<&str> = commands[1].split(' ').collect();
    let sockets = bench.machines.there(words[0]).args(&words[1..]).output().unwrap();
    let pid = format!("pid={},", bench.maker.pid());
    assert!(text(&sockets.stdout).contains(&pid), "{}", text(&sockets.stdout));
    output
}

/// Both columns, in blocks of text; names of folders and programs as they usually are.
fn page(bench: &Bench, old: &[Step], new: &[Step]) -> String {
    let process = format!("/proc/{}", bench.maker.pid());
    let words = fs::read(format!("{process}/cmdline")).unwrap();
    let words = text(&words).replace('\0', " ");
    let start = words.split_once("--no-defaults ").expect("the wrapper's option").0;
    let name = if bench.server.is_mariadb() { "mariadb" } else { "mysql" };
    let comm = fs::read_to_string(format!("{process}/comm")).unwrap();
    let program = fs::read_link(format!("{process}/exe")).unwrap();
    let usual = |text: &str| {
        let folder = bench.server.folder.to_str().unwrap();
        let started = |it: &&str| !it.trim_start().starts_with("started by ");
        let lines: Vec<&str> = text.lines().filter(started).map(str::trim_end).collect();
        lines
            .join("\n")
            .replace(&format!("{start}--no-defaults "), &format!("{name} "))
            .replace(program.to_str().unwrap(), &format!("/usr/bin/{name}"))
            .replace(&format!(" of {} (", comm.trim()), &format!(" of {name}d ("))
            .replace(comm.trim(), name)
            .replace(folder, "/var/lib/mysql")
    };
    let blocks = |title: &str, steps: &[Step]| {
        let steps = steps.iter().map(|it| format!("# {}\n{}\n", it.line, usual(&it.output)));
        format!("{title}\n\n```text\n{}```\n", steps.collect::<Vec<_>>().join("\n"))
    };
    let (mine, hand) = (blocks("With rollcall:", new), blocks("By hand:", old));
    format!("{hand}\n{mine}")
}

/// Compares a part of the documentation with what is true, numbers and widths aside, or writes it.
fn documented(kind: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/trace.md");
    let whole = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- recipe {kind} -->\n"), format!("<!-- end {kind} -->"));
    let (before, rest) = whole.split_once(&begin).expect("the place in docs/trace.md");
    let (written, behind) = rest.split_once(&end).expect("its end");
    if std::env::var_os("ROLLCALL_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{begin}{page}{end}{behind}")).unwrap();
        return;
    }
    let (written, page) = (normal(written), normal(page));
    assert!(
        written == page,
        "docs/trace.md is out of date: ROLLCALL_WRITE_DOCS=1\n{written}\n{page}"
    );
}

/// Numbers become `N`, white space and lines of tables one sign each.
fn normal(text: &str) -> String {
    let word = |word: &str| match word.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|it| it.is_ascii_hexdigit()) => "N".to_owned(),
        _ => squeezed(word),
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn squeezed(word: &str) -> String {
    let mut out = String::new();
    for sign in word.chars() {
        let sign = if sign.is_ascii_digit() { 'N' } else { sign };
        if !(matches!(sign, 'N' | '-') && out.ends_with(sign)) {
            out.push(sign);
        }
    }
    out
}

#[test]
fn mariadb_10_11_in_row_format() {
    recipe("mariadb-10.11");
}

#[test]
fn mysql_9_7() {
    recipe("mysql-9.7");
}
