//! Servers that a test starts for itself with `tests/servers/start`, which needs root.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const PASSWORD: &str = "Pa55-word";

/// A server of this test, ended with this value.
pub(crate) struct Server {
    pub(crate) folder: PathBuf,
    told: HashMap<String, String>,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers").join(name)
}

impl Server {
    /// Starts it with these options, and with its clock at this second after 1970 where one is given.
    pub(crate) fn start(kind: &str, folder: &Path, clock: Option<i64>, options: &[&str]) -> Server {
        Server::start_in(&[], kind, folder, clock, options)
    }

    /// The same where these words, before a command, take it: `ip netns exec NAME`.
    pub(crate) fn start_in(
        place: &[&str],
        kind: &str,
        folder: &Path,
        clock: Option<i64>,
        options: &[&str],
    ) -> Server {
        let mut command = Command::new(place.first().map_or_else(|| script("start"), Into::into));
        if let [_, rest @ ..] = place {
            command.args(rest).arg(script("start"));
        }
        command.arg(kind).arg(folder);
        if let Some(clock) = clock {
            command.args(["--clock", &clock.to_string()]);
        }
        let output = command.args(["--", "--skip-name-resolve"]).args(options).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let told = text.lines().filter_map(|line| line.split_once('='));
        let told = told.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Server { folder: folder.to_owned(), told }
    }

    pub(crate) fn told(&self, name: &str) -> &str {
        &self.told[name]
    }

    pub(crate) fn is_mariadb(&self) -> bool {
        self.told("family") == "mariadb"
    }

    /// Runs statements as root; the rows, columns separated by tabs.
    pub(crate) fn admin(&self, statements: &str) -> String {
        let mut command = Command::new(self.told("client"));
        command.args(["-u", "root", "-S", self.told("socket"), "-BN", "-e", statements]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{statements}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn grants(&self, user: &str) -> String {
        let statement = format!("SHOW CREATE USER {user}@'%'; SHOW GRANTS FOR {user}@'%'");
        self.admin(&statement)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let output = Command::new(script("stop")).arg(&self.folder).output().unwrap();
        let stopped = output.status.success() || std::thread::panicking();
        assert!(stopped, "{}", text(&output.stderr));
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
