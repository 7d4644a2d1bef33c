//! Servers that the tests have been told of: `ROLLCALL_TEST_SERVERS` is a folder with one file a
//! server, as `tests/servers/start` prints it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// A server, by what `tests/servers/start` told of it.
pub(crate) struct Server {
    told: BTreeMap<String, String>,
}

/// All of them; there is at least one.
pub(crate) fn servers() -> Vec<Server> {
    let folder = env::var("ROLLCALL_TEST_SERVERS").expect("the folder that ./test sets");
    let mut servers: Vec<Server> = fs::read_dir(&folder)
        .expect("the folder that ./test sets")
        .map(|entry| fs::read_to_string(entry.expect("a file").path()).expect("how to reach it"))
        .map(|text| Server {
            told: text
                .lines()
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        })
        .filter(|server| server.told.contains_key("kind"))
        .collect();
    servers.sort_by(|one, other| one.kind().cmp(other.kind()));
    assert!(!servers.is_empty(), "{folder} names no server");
    servers
}

impl Server {
    pub(crate) fn kind(&self) -> &str {
        &self.told["kind"]
    }

    pub(crate) fn is_mysql(&self) -> bool {
        self.told["family"] == "mysql"
    }

    /// The first two numbers of its version.
    pub(crate) fn version(&self) -> (u32, u32) {
        let mut numbers =
            self.told["version"].split(['.', '-']).map(|digits| digits.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }

    /// A program that stands beside its client.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        Path::new(&self.told["client"]).with_file_name(name)
    }

    /// Runs statements in one session of the server's own client; the lines of the answers.
    pub(crate) fn run(&self, sql: &[u8], options: &[&str]) -> Vec<String> {
        let mut client = Command::new(&self.told["client"])
            .args(["-u", "root", "-BN", "--max-allowed-packet=1G"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a client");
        let mut input = client.stdin.take().expect("a pipe");
        let sql = sql.to_vec();
        // A client that gives up reads no more.
        let writer = std::thread::spawn(move || input.write_all(&sql).is_ok());
        let done = client.wait_with_output().expect("a client");
        assert!(writer.join().expect("a writer") || !done.status.success());
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}: {}", self.kind(), error.get(..2000).unwrap_or(&error));
        String::from_utf8_lossy(&done.stdout).lines().map(str::to_string).collect()
    }

    /// The same for text, in utf8mb4.
    pub(crate) fn ask(&self, sql: &str) -> Vec<String> {
        self.run(sql.as_bytes(), &["--default-character-set=utf8mb4"])
    }

    /// Begins a new log and returns its name.
    pub(crate) fn new_log(&self) -> String {
        let status = if self.is_mysql() { "BINARY LOG" } else { "MASTER" };
        let lines = self.ask(&format!("FLUSH BINARY LOGS; SHOW {status} STATUS"));
        lines[0].split('\t').next().expect("a name").to_string()
    }

    /// A log as it is now.
    pub(crate) fn log_path(&self, name: &str) -> PathBuf {
        Path::new(&self.told["binlog"]).join(name)
    }

    /// The logs from one on up to before another, in their order.
    pub(crate) fn logs(&self, from: &str, to: &str) -> Vec<Vec<u8>> {
        let mut names: Vec<String> = fs::read_dir(&self.told["binlog"])
            .expect("its logs")
            .map(|entry| entry.expect("a log").file_name().into_string().expect("UTF-8"))
            .filter(|name| name.len() == from.len() && name.as_str() >= from && name.as_str() < to)
            .collect();
        names.sort();
        names.iter().map(|name| fs::read(self.log_path(name)).expect("a log")).collect()
    }
}
