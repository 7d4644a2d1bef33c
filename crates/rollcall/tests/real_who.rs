//! `rollcall who` beside real servers: the truth is the process that the test started.
//!
//! Needs the feature `real-server`, the servers of `servers`, and root: for the servers' threads, and for network
//! namespaces of its own. Names that are made begin with `who_`.

mod servers;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use servers::{Server, lossy};
use tempfile::TempDir;

const PASSWORD: &str = "secret-77ab";

/// Where the tests' accounts log in from.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "10.231.77.2"];

/// A server, accounts, and a folder with option files that lead to it.
struct Bench {
    server: Server,
    folder: TempDir,
    _turn: fs::File,
}

impl Bench {
    /// `tag` is in the names of its accounts.
    fn new(server: Server, tag: &str) -> Bench {
        assert!(nix::unistd::geteuid().is_root(), "real_who needs root");
        let turn = server.turn();
        let bench = Bench { server, folder: TempDir::new().expect("a folder"), _turn: turn };
        fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(bench.path("rollcall.toml"), "").unwrap();
        bench.options("root", "root", "");
        for host in HOSTS {
            bench.server.admin(&format!(
                "DROP USER IF EXISTS who_{tag}@{host}; \
                 CREATE USER who_{tag}@{host} IDENTIFIED BY '{PASSWORD}'"
            ));
        }
        bench.options("few", &format!("who_{tag}"), PASSWORD);
        bench
    }

    fn of(kind: &str, tag: &str) -> Bench {
        Bench::new(Server::of(kind), tag)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, name: &str, user: &str, password: &str) {
        let socket = self.server.told("socket");
        let path = self.path(&format!("{name}.cnf"));
        let text = format!("[client]\nuser={user}\npassword={password}\nsocket={socket}\n");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn is_mariadb(&self) -> bool {
        self.server.told("family") == "mariadb"
    }

    /// Runs it with an option file.
    fn run(&self, options: &str, arguments: &[&str]) -> Output {
        Command::new(assert_cmd::cargo::cargo_bin!("rollcall"))
            .current_dir(self.folder.path())
            .args(["--config", "rollcall.toml", "--zone", "UTC", "who"])
            .args(["--defaults-file", &format!("{options}.cnf")])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// The rows about a connection, and the exit code.
    fn rows(&self, which: &str) -> (Vec<Value>, i32) {
        let output = self.run("root", &[which, "-o", "json"]);
        let text = lossy(&output.stdout);
        assert!(!text.contains(PASSWORD) && !lossy(&output.stderr).contains(PASSWORD), "{text}");
        let rows = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (rows, output.status.code().unwrap())
    }

    /// The same where no server is asked.
    fn without_server(&self, place: &str) -> (Vec<Value>, i32) {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"))
            .current_dir(self.folder.path())
            .args(["--config", "rollcall.toml", "-o", "json", "who", place])
            .output()
            .unwrap();
        let text = lossy(&output.stdout);
        let rows = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (rows, output.status.code().unwrap())
    }

    /// The one process that surely has a connection.
    fn one(&self, which: &str, evidence: &str) -> Value {
        let (rows, code) = self.rows(which);
        assert_eq!((rows.len(), code), (1, 0), "{rows:#?}");
        assert_eq!(rows[0]["evidence"], evidence, "{:#}", rows[0]);
        rows.into_iter().next().unwrap()
    }

    fn socket(&self, tag: &str) -> Session {
        let user = format!("who_{tag}");
        let mut command = self.server.client();
        command.args(["-u", &user, &format!("-p{PASSWORD}"), "-S", self.server.told("socket")]);
        Session::open(command)
    }

    fn tcp(&self, tag: &str) -> Session {
        let user = format!("who_{tag}");
        let mut command = self.server.client();
        command.args(["-u", &user, &format!("-p{PASSWORD}"), "-h", "127.0.0.1"]);
        command.args(["-P", self.server.told("port")]);
        Session::open(command)
    }

    /// Waits until a connection does this.
    fn awaits(&self, id: &str, command: &str) {
        let sql = format!("SELECT COMMAND FROM information_schema.PROCESSLIST WHERE ID={id}");
        let end = Instant::now() + Duration::from_secs(20);
        while self.server.admin(&sql).trim() != command {
            assert!(Instant::now() < end, "connection {id} never came to {command}");
            sleep(Duration::from_millis(20));
        }
    }
}

/// A client that is logged in.
struct Session {
    process: Child,
    input: ChildStdin,
    id: String,
}

impl Session {
    fn open(mut command: Command) -> Session {
        // Goes on after an error: a statement that is killed is one.
        command.args(["-BNnf"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("the client");
        let mut input = process.stdin.take().unwrap();
        input.write_all(b"SELECT CONNECTION_ID();\n").unwrap();
        input.flush().unwrap();
        let mut id = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut id).unwrap();
        let id = id.trim().to_owned();
        assert!(id.parse::<u64>().is_ok(), "the client did not log in: {id:?}");
        Session { process, input, id }
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What holds for every kind of server.
fn connections(kind: &str) {
    let bench = Bench::of(kind, "some");
    let (one, other, tcp) = (bench.socket("some"), bench.socket("some"), bench.tcp("some"));
    for session in [&one, &other, &tcp] {
        bench.awaits(&session.id, "Sleep");
    }
    for session in [&one, &other] {
        let row = bench.one(&session.id, "socket-peer");
        assert_eq!(row["pid"], session.pid());
        assert_eq!((&row["user"], &row["host"]), (&"who_some".into(), &"localhost".into()));
        assert_eq!((&row["port"], &row["connection_id"]), (&Value::Null, &session.id[..].into()));
        assert_eq!(row["os_user"], "root");
        assert_eq!(row["parents"][0]["pid"], std::process::id(), "{row:#}");
    }
    let row = bench.one(&tcp.id, "tcp-pair");
    assert_eq!((&row["pid"], &row["host"]), (&tcp.pid().into(), &"127.0.0.1".into()));
    let place = format!("127.0.0.1:{}", row["port"]);
    assert_eq!(bench.one(&place, "tcp-pair")["connection_id"], tcp.id[..]);
    match bench.is_mariadb() {
        // performance_schema is off: nothing tells.
        true => assert_eq!((&row["tls"], &row["claims"]), (&Value::Null, &Value::Null)),
        false => {
            assert!(row["tls"].as_str().unwrap().starts_with("TLSv1.3 "), "{row:#}");
            assert_eq!(row["claims"]["_pid"], tcp.pid().to_string());
            assert_eq!(bench.one(&one.id, "socket-peer")["tls"], "none");
        }
    }
    // One has ended: not taken for the other.
    let id = one.id.clone();
    drop(one);
    let end = Instant::now() + Duration::from_secs(20);
    let gone = format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID={id}");
    while bench.server.admin(&gone).trim() != "0" && Instant::now() < end {
        sleep(Duration::from_millis(20));
    }
    let output = bench.run("root", &[&id]);
    assert_eq!(output.status.code(), Some(2));
    let text = lossy(&output.stderr);
    assert!(text.contains(&format!("has no connection {id}")), "{text}");
    assert_eq!(bench.one(&other.id, "socket-peer")["pid"], other.pid());
    busy(&bench, &other);
    in_a_namespace(&bench);
    rights(&bench, &tcp, &other);
    for host in HOSTS {
        bench.server.admin(&format!("DROP USER who_some@{host}"));
    }
}

/// A busy thread shows no socket: all who may have it are told, as candidates. Idle again, it is told.
fn busy(bench: &Bench, idle: &Session) {
    let mut session = bench.socket("some");
    session.input.write_all(b"SELECT SLEEP(60);\n").unwrap();
    session.input.flush().unwrap();
    bench.awaits(&session.id, "Query");
    let (rows, code) = bench.rows(&session.id);
    assert_eq!(code, 3, "{rows:#?}");
    let pids: Vec<&Value> = rows.iter().map(|it| &it["pid"]).collect();
    for pid in [session.pid(), idle.pid()] {
        assert!(pids.contains(&&Value::from(pid)), "{rows:#?}");
    }
    for row in &rows {
        assert_eq!(row["evidence"], "candidate");
        assert!(row["reason"].as_str().unwrap().contains("busy"), "{row:#}");
    }
    bench.server.admin(&format!("KILL QUERY {}", session.id));
    bench.awaits(&session.id, "Sleep");
    assert_eq!(bench.one(&session.id, "socket-peer")["pid"], session.pid());
}

/// A client with a network of its own, as in a container, at the server's socket.
fn in_a_namespace(bench: &Bench) {
    if !may_unshare() {
        return;
    }
    let client = bench.server.client();
    let mut command = Command::new("unshare");
    command.arg("--net").arg(client.get_program());
    command.args(["-u", "who_some", &format!("-p{PASSWORD}"), "-S", bench.server.told("socket")]);
    let session = Session::open(command);
    bench.awaits(&session.id, "Sleep");
    assert_eq!(bench.one(&session.id, "socket-peer")["pid"], session.pid());
}

/// What is missing is named with the statement that mends it.
fn rights(bench: &Bench, tcp: &Session, socket: &Session) {
    bench
        .server
        .admin("CREATE USER IF NOT EXISTS who_nobody@localhost IDENTIFIED BY 'secret-77ab'");
    bench.options("nobody", "who_nobody", PASSWORD);
    let output = bench.run("nobody", &[&tcp.id]);
    let text = lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let grant = "GRANT PROCESS ON *.* TO 'who_nobody'@'localhost';";
    assert!(text.contains(grant), "{text}");
    bench.server.admin(grant);
    let output = bench.run("nobody", &[&tcp.id, "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", lossy(&output.stderr));
    assert!(lossy(&output.stdout).contains(&format!("\"pid\":{},", tcp.pid())));
    if !bench.is_mariadb() {
        let output = bench.run("nobody", &[&socket.id]);
        assert_eq!(output.status.code(), Some(3));
        let text = lossy(&output.stderr);
        for table in ["threads", "status_by_thread", "session_connect_attrs"] {
            let grant =
                format!("GRANT SELECT ON performance_schema.{table} TO 'who_nobody'@'localhost';");
            assert!(text.contains(&grant), "{text}");
            bench.server.admin(&grant);
        }
        let output = bench.run("nobody", &[&socket.id, "-o", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", lossy(&output.stderr));
        assert!(lossy(&output.stdout).contains(&format!("\"pid\":{},", socket.pid())));
        assert_eq!(lossy(&output.stderr), "");
    }
    bench.server.admin("DROP USER who_nobody@localhost");
    without_root(bench, socket);
}

/// As an ordinary user: nothing is said of a process that could not be looked at.
fn without_root(bench: &Bench, socket: &Session) {
    const NOBODY: u32 = 65534;
    let program = bench.path("rollcall");
    fs::copy(assert_cmd::cargo::cargo_bin!("rollcall"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let options = bench.path("nobody.cnf");
    fs::copy(bench.path("few.cnf"), &options).unwrap();
    std::os::unix::fs::chown(&options, Some(NOBODY), None).unwrap();
    let output = Command::new(program)
        .current_dir(bench.folder.path())
        .args(["--config", "rollcall.toml", "who", &socket.id, "--defaults-file", "nobody.cnf"])
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let text = lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}{}", lossy(&output.stderr));
    assert!(text.contains("takes root") && !text.contains("process  "), "{text}");
}

#[test]
fn mariadb_10_11() {
    connections("mariadb-10.11");
}

#[test]
fn mariadb_11_8() {
    connections("mariadb-11.8");
}

#[test]
fn mysql_9_7() {
    connections("mysql-9.7");
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers").join(name)
}

/// Says what was not tried.
fn skipped(why: &str) {
    std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes()).unwrap();
}

/// Whether the kernel lets us have network namespaces of our own.
fn may_unshare() -> bool {
    let output = Command::new("unshare").args(["--net", "true"]).output().unwrap();
    if !output.status.success() {
        skipped(&format!("no network namespace: {}", lossy(&output.stderr)));
    }
    output.status.success()
}

/// A server of the test's own.
struct Own {
    folder: TempDir,
    bench: Option<Bench>,
}

impl Own {
    /// `around`: words before `start`.
    fn start(kind: &str, around: &[&str], options: &[&str]) -> Own {
        let folder = tempfile::Builder::new().prefix("rollcall-who-").tempdir_in("/var/tmp");
        let folder = folder.expect("a folder");
        // The server's own user must get there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let start = script("start");
        let mut command = match around.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(start);
                command
            }
            None => Command::new(start),
        };
        let output = command
            .arg(kind)
            .arg(folder.path().join("server"))
            .arg("--")
            .args(options)
            .output()
            .expect("tests/servers/start");
        assert!(output.status.success(), "{}", lossy(&output.stderr));
        let server = Server::read(folder.path(), &lossy(&output.stdout));
        Own { folder, bench: Some(Bench::new(server, "own")) }
    }

    fn bench(&self) -> &Bench {
        self.bench.as_ref().unwrap()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let place = self.folder.path().join("server");
        let _ = Command::new(script("stop")).arg(place).status();
    }
}

/// Threads that serve many connections each: a unix socket cannot be told, TCP can, also by a name. With `performance_schema`
/// MariaDB tells of TLS and of what clients declare.
#[test]
fn mariadb_with_a_thread_pool() {
    let options = ["--thread-handling=pool-of-threads", "--performance-schema=ON"];
    let own = Own::start("mariadb-11.8", &[], &options);
    let bench = own.bench();
    let (socket, tcp) = (bench.socket("own"), bench.tcp("own"));
    let (rows, code) = bench.rows(&socket.id);
    assert_eq!((rows.len(), code), (1, 3), "{rows:#?}");
    assert_eq!(
        (&rows[0]["evidence"], &rows[0]["pid"]),
        (&"candidate".into(), &socket.pid().into())
    );
    assert!(rows[0]["reason"].as_str().unwrap().contains("thread pool"), "{:#}", rows[0]);
    let row = bench.one(&tcp.id, "tcp-pair");
    assert_eq!(row["pid"], tcp.pid());
    // Names are looked up.
    assert_eq!(row["host"], "localhost");
    assert!(row["tls"].as_str().unwrap().starts_with("TLSv1.3 "), "{row:#}");
    assert_eq!(row["claims"]["_pid"], tcp.pid().to_string());
}

/// A server in a container: in its PID namespace its threads have other ids than in ours.
#[test]
fn a_server_in_a_pid_namespace() {
    let words = ["--pid", "--fork", "--kill-child", "--mount-proc", "sleep", "600"];
    // With its end that of its child comes, and with this one the end of all in the namespace.
    let mut around = Held(Command::new("unshare").args(words).spawn().unwrap());
    let children = format!("/proc/{0}/task/{0}/children", around.0.id());
    let first = loop {
        let child = fs::read_to_string(&children).unwrap_or_default();
        let is_sleep =
            |pid: &str| fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"sleep\n");
        match child.split_whitespace().next() {
            Some(pid) if is_sleep(pid) => break pid.to_owned(),
            _ if around.0.try_wait().unwrap().is_some() => return skipped("no PID namespace"),
            _ => sleep(Duration::from_millis(5)),
        }
    };
    let around_server = ["nsenter", "-t", &first, "-p", "-m"];
    let own = Own::start("mariadb-10.11", &around_server, &[]);
    let bench = own.bench();
    let (one, other) = (bench.socket("own"), bench.socket("own"));
    for session in [&one, &other] {
        bench.awaits(&session.id, "Sleep");
        assert_eq!(bench.one(&session.id, "socket-peer")["pid"], session.pid());
    }
    // Its threads: none of ours has such a number, or it is another one.
    let thread = "SELECT TID FROM information_schema.PROCESSLIST WHERE ID=";
    let thread = bench.server.admin(&format!("{thread}{}", one.id));
    let name = fs::read(format!("/proc/{}/comm", thread.trim())).unwrap_or_default();
    assert_ne!(name, b"mariadbd\n");
}

/// A process that is ended with the test.
struct Held(Child);

impl Held {
    fn network() -> Held {
        Held(Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap())
    }

    /// Runs `ip` in its network namespace.
    fn ip(&self, arguments: &str) -> bool {
        let words = arguments.split(' ');
        let pid = self.0.id().to_string();
        let output =
            Command::new("nsenter").args(["-t", &pid, "-n", "ip"]).args(words).output().unwrap();
        if !output.status.success() {
            skipped(&format!("ip {arguments}: {}", lossy(&output.stderr)));
        }
        output.status.success()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Server and client in two network namespaces, none of them ours; and the same address in a third.
#[test]
fn tcp_between_network_namespaces() {
    if !may_unshare() {
        return;
    }
    let (servers, clients, others) = (Held::network(), Held::network(), Held::network());
    let pid_of = |it: &Held| it.0.id().to_string();
    // `unshare` is another process until it has become `sleep`.
    for held in [&servers, &clients, &others] {
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        while fs::read_link(format!("/proc/{}/ns/net", pid_of(held))).unwrap() == own {
            sleep(Duration::from_millis(5));
        }
    }
    let link = format!("link add who0 type veth peer name who1 netns {}", pid_of(&clients));
    let is_ready = servers.ip(&link)
        && servers.ip("link set lo up")
        && servers.ip("addr add 10.231.77.1/24 dev who0")
        && servers.ip("link set who0 up")
        && clients.ip("addr add 10.231.77.2/24 dev who1")
        && clients.ip("link set who1 up")
        && others.ip("link add who0 type veth peer name who1")
        && others.ip("addr add 10.231.77.2/24 dev who0");
    if !is_ready {
        return;
    }
    let around = ["nsenter", "-t", &pid_of(&servers), "-n"];
    let options = ["--bind-address=0.0.0.0", "--skip-name-resolve"];
    let own = Own::start("mariadb-10.11", &around, &options);
    let bench = own.bench();
    let client = bench.server.client();
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid_of(&clients), "-n"]).arg(client.get_program());
    command.args(["-u", "who_own", &format!("-p{PASSWORD}"), "-h", "10.231.77.1"]);
    command.args(["-P", bench.server.told("port")]);
    let session = Session::open(command);
    let row = bench.one(&session.id, "tcp-pair");
    assert_eq!((&row["pid"], &row["host"]), (&session.pid().into(), &"10.231.77.2".into()));
    // Without the server as well.
    let (told, code) = bench.without_server(&format!("10.231.77.2:{}", row["port"]));
    assert_eq!((told.len(), code), (1, 0), "{told:#?}");
    assert_eq!(
        (&told[0]["pid"], &told[0]["evidence"]),
        (&session.pid().into(), &"tcp-pair".into())
    );

    // Where neither process can be seen: what to run, and nothing is guessed.
    let port = row["port"].to_string();
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(assert_cmd::cargo::cargo_bin!("rollcall"))
        .current_dir(bench.folder.path())
        .args(["--config", "rollcall.toml", "-o", "json", "who", &session.id])
        .args(["--defaults-file", "root.cnf"])
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["pid"], output.status.code()), (&Value::Null, Some(3)), "{told:#}");
    assert_eq!(told["run_there"], format!("rollcall who 10.231.77.2:{port}"));

    // Inside the server's namespace, on its loopback address, which is ours as well.
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid_of(&servers), "-n"]).arg(client.get_program());
    command.args(["-u", "who_own", &format!("-p{PASSWORD}"), "-h", "127.0.0.1"]);
    command.args(["-P", bench.server.told("port")]);
    let session = Session::open(command);
    let row = bench.one(&session.id, "tcp-pair");
    assert_eq!(row["pid"], session.pid());
    // Somebody has the same address and port in our namespace: never taken for the client, and without the
    // server's word told beside it.
    let place = format!("127.0.0.1:{}", row["port"]);
    let listener = std::net::TcpListener::bind(&place).unwrap();
    let _stream = std::net::TcpStream::connect(&place).unwrap();
    let _accepted = listener.accept().unwrap();
    assert_eq!(bench.one(&session.id, "tcp-pair")["pid"], session.pid());
    let (told, code) = bench.without_server(&place);
    let pids: Vec<&Value> = told.iter().map(|it| &it["pid"]).collect();
    assert_eq!((pids.len(), code), (2, 3), "{told:#?}");
    for pid in [session.pid(), std::process::id()] {
        assert!(pids.contains(&&Value::from(pid)), "{told:#?}");
    }
    assert!(told[0]["reason"].as_str().unwrap().contains("several sockets"), "{told:#?}");
}
