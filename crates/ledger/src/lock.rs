//! The right to write: a lock file of its own beside the ledger (`LEDGER.lock`), so that readers
//! are never in a writer's way, and a second writer is told at once who the first one is.

use crate::error::Error;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The right to write, for as long as it lives ([`Ledger::lock`](crate::Ledger::lock)).
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] Option<std::fs::File>);

impl Lock {
    /// Takes the lock or says who holds it; `for_long`: it will not be given away soon. A ledger in memory
    /// needs none.
    pub(crate) fn take(ledger: &Path, for_long: bool) -> Result<Lock, Error> {
        if ledger == Path::new(":memory:") {
            return Ok(Lock(None));
        }
        let mut path = ledger.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed = |doing| {
            let path = path.clone();
            move |error| Error::File { path, doing, error }
        };
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Nobody else may hold it and so keep a scan from its work.
            .mode(0o600)
            // The folder may be another user's (conntracker keeps its ledger in the server's): neither
            // lead root to a file of somebody's choice, nor wait at a pipe.
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)
            .map_err(failed("opening the lock file (it must be no link)"))?;
        let metadata = file.metadata().map_err(failed("looking at the lock file"))?;
        if !metadata.is_file() || metadata.nlink() > 1 {
            let error = std::io::Error::other("it is no file of its own: remove it");
            return Err(failed("opening the lock file")(error));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = (&mut file).take(32).read_to_string(&mut text);
                return Err(Error::Busy { path: ledger.to_path_buf(), holder: holder(&text) });
            }
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(failed("locking the lock file")(error));
            }
        }
        // Only for the message above: that it cannot be written is no reason to stop.
        let process = std::process::id();
        let words = if for_long { format!("{process} {WATCH}") } else { process.to_string() };
        let _ = file.set_len(0).and_then(|()| file.write_all(words.as_bytes()));
        Ok(Lock(Some(file)))
    }
}

/// Stands behind the process number where a watch holds the lock.
const WATCH: &str = "watch";

/// Who holds the lock, from what the file says, which may be anything.
fn holder(text: &str) -> String {
    let mut words = text.split_whitespace();
    match (words.next().map(str::parse::<u32>), words.next()) {
        (Some(Ok(process)), Some(WATCH)) => {
            format!(" (process {process}, a watch, which reads the logs itself)")
        }
        (Some(Ok(process)), None) => format!(" (process {process})"),
        _ => String::new(),
    }
}
