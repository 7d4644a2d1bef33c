//! The running servers that `./test` has started with `tests/servers/start`.
//!
//! `ROLLCALL_TEST_SERVERS` is a folder with one file a server, named as its kind is: `mariadb-10.11`,
//! `mariadb-11.8`, `mysql-9.7`. It holds what `start` has printed, one `name=value` a line. A test
//! that finds no server fails; none is left out silently.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running server.
pub(crate) struct Server {
    folder: PathBuf,
    told: HashMap<String, String>,
}

impl Server {
    /// The server of a kind.
    ///
    /// # Panics
    /// Where it does not run.
    pub(crate) fn of(kind: &str) -> Server {
        let folder = std::env::var_os("ROLLCALL_TEST_SERVERS")
            .map(PathBuf::from)
            .expect("ROLLCALL_TEST_SERVERS is not set: ./test starts the servers and sets it");
        let file = folder.join(kind);
        let text =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Server::read(&folder, &text)
    }

    /// A server of which `start` has printed this. `folder` is where its turns are taken.
    pub(crate) fn read(folder: &Path, text: &str) -> Server {
        let told = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        Server { folder: folder.to_path_buf(), told }
    }

    /// What `start` told: `socket`, `port`, `family`, `version`, `ca`, and what else its head lists.
    pub(crate) fn told(&self, name: &str) -> &str {
        self.told.get(name).unwrap_or_else(|| panic!("the server's file does not tell its {name}"))
    }

    /// Waits until no other test that took its turn uses this server; it ends with the file.
    pub(crate) fn turn(&self) -> File {
        let turn = File::create(self.folder.join(format!("{}.turn", self.told("kind"))))
            .expect("the lock file");
        turn.lock().expect("the turn");
        turn
    }

    /// The client program of the server's own version, with no options from files.
    pub(crate) fn client(&self) -> Command {
        Command::new(Path::new(self.told("client")))
    }

    /// Runs a statement as root on the socket; returns the rows, columns separated by tabs.
    pub(crate) fn admin(&self, statement: &str) -> String {
        let output = self
            .client()
            .args(["-u", "root", "-S", self.told("socket"), "-BN", "-e", statement])
            .output()
            .expect("the client");
        assert!(output.status.success(), "{statement}: {}", lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
