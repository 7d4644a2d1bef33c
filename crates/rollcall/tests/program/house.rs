//! A fresh folder, logs to put into it, and the program run in it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Logins or failures by user and host.
pub(crate) type Counts = BTreeMap<(String, String), u64>;

pub(crate) struct House {
    folder: TempDir,
}

impl House {
    pub(crate) fn new() -> House {
        let house = House { folder: tempfile::tempdir().unwrap() };
        house.write("rollcall.toml", "");
        house
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folder it stands in.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn append(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    /// Sets a file's permissions.
    pub(crate) fn mode(&self, name: &str, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path(name), mode).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
        command
            .current_dir(self.folder())
            .env_clear()
            .env("HOME", self.folder())
            .env("TZ", "UTC")
            .env("ROLLCALL_LEDGER", "ledger.sqlite");
        if !arguments.contains(&"--config") {
            command.args(["--config", "rollcall.toml"]);
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// The program under a limit of `prlimit` (util-linux), such as `--nofile=40`.
    pub(crate) fn limited(&self, limit: &str, arguments: &[&str]) -> Command {
        let plain = self.command(arguments);
        let mut limited = Command::new("prlimit");
        limited.arg(limit).arg(plain.get_program()).args(plain.get_args());
        limited.current_dir(self.folder()).stdin(Stdio::null()).env_clear();
        limited.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited
    }

    /// The program as a user who owns nothing here: root may read and write whatever the modes say.
    pub(crate) fn run_as_nobody(&self, arguments: &[&str]) -> String {
        const NOBODY: u32 = 65534;
        let command = self.command(arguments);
        let mut other = Command::new(command.get_program());
        if std::fs::metadata(self.folder()).unwrap().uid() == 0 {
            // Neither the program's folder nor this one need be open to others.
            let program = self.path("rollcall");
            std::fs::copy(command.get_program(), &program).unwrap();
            let open = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(self.folder(), open).unwrap();
            other = Command::new(program);
            other.uid(NOBODY).gid(NOBODY);
        }
        let environment = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        other.env_clear().envs(environment).current_dir(self.folder()).args(command.get_args());
        self.text(&other.output().unwrap())
    }

    /// Runs and puts exit code, standard output and standard error into one text.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.text(&self.command(arguments).output().unwrap())
    }

    pub(crate) fn text(&self, output: &Output) -> String {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.replace(self.folder().to_str().unwrap(), "FOLDER")
        };
        format!(
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            output.status.code().map_or("signal".to_owned(), |code| code.to_string()),
            text(&output.stdout),
            text(&output.stderr)
        )
    }

    /// Runs with something piped in.
    pub(crate) fn pipe(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A child that ends early need not read it all: what it says of it is what counts.
        let _ = child.stdin.take().unwrap().write_all(input);
        self.text(&child.wait_with_output().unwrap())
    }

    /// Runs a scan that must find nothing to say.
    pub(crate) fn scan(&self, arguments: &[&str]) {
        let arguments = [&["scan"], arguments].concat();
        assert_eq!(self.run(&arguments), QUIET, "{arguments:?}");
    }

    /// The rows of an answer.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(&[arguments, &["-o", "json"]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", self.text(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The logins that `seen` tells.
    pub(crate) fn logins(&self) -> Counts {
        let mut logins = Counts::new();
        for row in self.json(&["seen", "-q"]).iter().filter(|row| row["logins"] != 0) {
            // Long names are cut here, so that two rows can have one key.
            *logins.entry((name(row, "user"), name(row, "host"))).or_default() +=
                count(row, "logins");
        }
        logins
    }

    /// All that the ledger answers, in the form that is the same wherever and whenever it was read.
    pub(crate) fn answers(&self) -> String {
        ["seen", "failures"]
            .map(|command| {
                let output = self.command(&[command, "-q", "-o", "json"]).output().unwrap();
                assert_eq!(output.status.code(), Some(0));
                String::from_utf8(output.stdout).unwrap()
            })
            .concat()
    }

    /// How many records were rejected and quarantined.
    pub(crate) fn doubts(&self) -> (u64, u64) {
        let rows = self.json(&["evidence", "-q"]);
        let sum = |state: &str| {
            rows.iter().filter(|row| row["state"] == state).map(|row| count(row, "records")).sum()
        };
        (sum("rejected"), sum("quarantined"))
    }
}

/// What a run says that has nothing to say.
pub(crate) const QUIET: &str = "exit 0\n--- stdout\n--- stderr\n";

/// A name of a row, byte for byte, in ASCII.
pub(crate) fn name(row: &Value, field: &str) -> String {
    let bytes = match row[format!("{field}_hex")].as_str() {
        Some(hex) => (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect(),
        None => row[field].as_str().unwrap_or_default().as_bytes().to_vec(),
    };
    // CONNECT and FAILED_CONNECT hold no more of a name, and one byte of chance.
    bytes[..bytes.len().min(132)].escape_ascii().to_string()
}

pub(crate) fn count(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap()
}

/// One login of `user` from 10.0.0.1 and its end, with the connection id `id`, that many minutes after the
/// first of November.
pub(crate) fn session(user: &str, id: u32) -> String {
    session_at(user, id, id)
}

/// The same so many minutes after the first of November.
pub(crate) fn session_at(user: &str, id: u32, minute: u32) -> String {
    let (day, hour, minute) = (1 + minute / 60 / 24, minute / 60 % 24, minute % 60);
    format!(
        "202611{day:02} {hour:02}:{minute:02}:00,db1,{user},10.0.0.1,{id},0,CONNECT,shop,,0\n\
         202611{day:02} {hour:02}:{minute:02}:05,db1,{user},10.0.0.1,{id},0,DISCONNECT,shop,,0\n"
    )
}

/// Sessions with these ids, of three users.
pub(crate) fn sessions(ids: std::ops::Range<u32>) -> String {
    ids.map(|id| session(["app", "cms", "etl"][id as usize % 3], id)).collect()
}

/// Sessions with ids from this one on, one a minute.
pub(crate) fn sessions_at(id: u32, minutes: std::ops::Range<u32>) -> String {
    (id..).zip(minutes).map(|(id, minute)| session_at("app", id, minute)).collect()
}
