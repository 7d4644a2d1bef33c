//! `who HOST:PORT`, which asks no server: the truth is the process that the test started.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::house::House;

/// What no output may show.
const SECRET: &str = "psecret-77ab";

/// A shell that connects to a listener, and waits.
struct Client {
    process: Child,
    /// Its end as the listener sees it.
    place: SocketAddr,
    _accepted: TcpStream,
}

impl Client {
    fn connect(listener: &TcpListener, words: &[&str]) -> Client {
        let port = listener.local_addr().unwrap().port();
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read -r -u 3 _");
        let process = Command::new("bash").args(["-c", &script]).args(words).spawn().unwrap();
        let (accepted, place) = listener.accept().unwrap();
        Client { process, place, _accepted: accepted }
    }

    fn text(&self) -> String {
        self.place.to_string()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn row(house: &House, place: &str) -> Value {
    let rows = house.json(&["who", place]);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows.into_iter().next().unwrap()
}

#[test]
fn the_process_that_connected_is_told() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (one, other) = (Client::connect(&listener, &["a"]), Client::connect(&listener, &["b c"]));
    for (client, word) in [(&one, "a"), (&other, "'b c'")] {
        let row = row(&house, &client.text());
        assert_eq!(row["pid"], client.process.id());
        assert_eq!(row["evidence"], "tcp-pair");
        assert_eq!(row["host"], "127.0.0.1");
        assert_eq!(row["port"], client.place.port());
        assert_eq!(row["parents"][0]["pid"], std::process::id(), "{row:#}");
        let line = row["command_line"].as_str().unwrap();
        assert!(line.starts_with("bash -c 'exec 3<>/dev/tcp") && line.ends_with(word), "{line}");
        assert_eq!(row["connection_id"], Value::Null);
        assert_eq!(row["reason"], Value::Null);
    }
    // A name that stands for the address.
    let place = format!("localhost:{}", one.place.port());
    assert_eq!(row(&house, &place)["pid"], one.process.id());
    // The one that has ended is not taken for the one that has not.
    let place = one.text();
    drop(one);
    let text = house.run(&["who", &place]);
    assert!(text.starts_with("exit 2") && text.contains("127.0.0.1:"), "{text}");
    assert_eq!(row(&house, &other.text())["pid"], other.process.id());
}

#[test]
fn no_form_shows_passwords_or_acts_on_the_terminal() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let words = [
        "mysql",
        "-psecret-77ab",
        "--password=psecret-77ab",
        "MYSQL_PWD=psecret-77ab",
        "mysql://app:psecret-77ab@db1/shop",
        "\x1b[2J\u{202e}\n=1+1",
        "-p",
        "psecret-77ab",
    ];
    let client = Client::connect(&listener, &words);
    for format in ["table", "json", "csv"] {
        let output = house.command(&["who", &client.text(), "-o", format]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        assert!(!text.contains(SECRET) && !text.contains("secret-77ab"), "{text}");
        assert!(text.contains("-p*****"), "{text}");
        assert!(text.contains("mysql://app:*****@db1/shop"), "{text}");
        assert!(!text.contains(['\x1b', '\u{202e}']), "{text}");
    }
}

#[test]
fn a_servers_end_and_other_machines_are_told_apart() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = house.run(&["who", &listener.local_addr().unwrap().to_string()]);
    assert!(text.starts_with("exit 2") && text.contains("listens at this port"), "{text}");
    // TEST-NET-3: nobody's.
    let text = house.run(&["who", "203.0.113.9:51234"]);
    assert!(text.contains("none of this machine"), "{text}");
    let text = house.run(&["who", "no.such.host.invalid:51234"]);
    assert!(text.contains("no such host"), "{text}");
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let text = house.run(&["who", &closed.to_string()]);
    assert!(text.starts_with("exit 2") && text.contains("no open socket"), "{text}");
}

/// Somebody who may not look into it is told whose it is.
#[test]
fn others_processes_need_root() {
    let house = House::new();
    if !nix::unistd::geteuid().is_root() {
        let skipped = "skipped: only root can be somebody else\n";
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::connect(&listener, &["a"]);
    let text = house.run_as_nobody(&["who", &client.text()]);
    assert!(text.starts_with("exit 2"), "{text}");
    assert!(text.contains("belongs to user id 0") && text.contains("takes root"), "{text}");
}

/// A socket that two processes share belongs to both.
#[test]
fn all_who_have_the_socket_are_told() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; sleep 60 & echo $!; read -r _");
    let mut process = Command::new("bash")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (_accepted, place) = listener.accept().unwrap();
    let mut line = String::new();
    let stdout = process.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    let child: u32 = line.trim().parse().unwrap();
    let rows = house.json(&["who", &place.to_string()]);
    let mut pids: Vec<u64> = rows.iter().map(|it| it["pid"].as_u64().unwrap()).collect();
    pids.sort_unstable();
    let mut expected = vec![u64::from(process.id()), u64::from(child)];
    expected.sort_unstable();
    for pid in [child, process.id()] {
        let pid = nix::unistd::Pid::from_raw(pid as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    process.wait().unwrap();
    assert_eq!(pids, expected);
}

/// An id is one of a server: none is asked that may be another one.
#[test]
fn the_server_of_an_id_is_never_guessed() {
    let house = House::new();
    let server = |name: &str| format!("[[server]]\nname = \"{name}\"\n");
    house.write("rollcall.toml", server("db1"));
    let text = house.run(&["who", "7"]);
    assert!(text.starts_with("exit 2") && text.contains("db1 has no defaults_file"), "{text}");
    let text = house.run(&["who", "7", "--server", "db9"]);
    assert!(text.starts_with("exit 2") && text.contains("no such server"), "{text}");
    house.write("rollcall.toml", server("db1") + &server("db2"));
    let text = house.run(&["who", "7"]);
    assert!(text.starts_with("exit 2") && text.contains("several servers"), "{text}");
}
