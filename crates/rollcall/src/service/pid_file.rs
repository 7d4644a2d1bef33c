//! The number of a running service in a file, and one service at a time: the file stays locked while it runs.
//!
//! The lock decides, not the number: a file that a killed service left behind is nobody's and is written anew.

use std::fs::{File, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::render::inert;

/// A locked pid file.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Opens and locks it; links are not followed. The lock outlives a fork.
    ///
    /// # Errors
    /// A message with the remedy, where another process holds it, or it cannot be written.
    pub(crate) fn take(path: &Path) -> Result<PidFile, String> {
        let place = inert(&path.display().to_string());
        let failed = |error: io::Error| format!("{place} cannot be written: {error}");
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o644);
        let file = options.custom_flags(flags).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.nlink() != 1 {
            return Err(format!("{place} is no file of its own: name another one"));
        }
        match file.try_lock() {
            Ok(()) => Ok(PidFile { path: path.to_owned(), file }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("{place} is held by a process that runs: stop that first"))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Writes the number of this process.
    ///
    /// # Errors
    /// A message that names the file.
    pub(crate) fn write(&mut self) -> Result<(), String> {
        let text = format!("{}\n", std::process::id());
        let written = self.file.set_len(0).and_then(|()| {
            self.file.rewind()?;
            self.file.write_all(text.as_bytes())
        });
        let place = self.path.display();
        written.map_err(|error| inert(&format!("{place} cannot be written: {error}")))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // It may stand in a folder that is root's only; an empty file tells as well that nobody runs.
        let _ = self.file.set_len(0);
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_holds_it_and_a_stale_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        std::fs::write(&path, "99999999 stale and longer\n").unwrap();
        let mut held = PidFile::take(&path).unwrap();
        held.write().unwrap();
        let own = format!("{}\n", std::process::id());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), own);
        assert!(PidFile::take(&path).unwrap_err().contains("stop that first"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), own);
        drop(held);
        assert!(!path.exists());
        assert!(PidFile::take(&path).is_ok());
    }

    #[test]
    fn links_and_folders_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let hard = folder.path().join("hard");
        std::fs::hard_link(&victim, &hard).unwrap();
        for path in [&link, &hard, &folder.path().to_owned()] {
            assert!(PidFile::take(path).is_err(), "{path:?}");
        }
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    }
}
