//! A ledger for those who may read its file and not write beside it.
//!
//! SQLite's readers keep a place in the `-shm` file, which must be writable. Where it is not, the file
//! is read as if it never changed; that it did not is looked at after each answer.

use crate::error::Error;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file as it was when it was opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Still {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Still {
    /// `None` where somebody is writing, or stopped in the middle: then what was committed stands in
    /// the `-wal` file too.
    pub(crate) fn of(path: &Path) -> Option<Still> {
        let metadata = std::fs::metadata(path).ok().filter(|_| !has_wal(path))?;
        Some(Still::of_metadata(&metadata))
    }

    fn of_metadata(metadata: &Metadata) -> Still {
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        Still { inode: metadata.ino(), bytes: metadata.len(), changed }
    }

    /// Whether the file is still the same.
    ///
    /// # Errors
    /// [`Error::Changed`] where it is not.
    pub(crate) fn check(&self, path: &Path) -> Result<(), Error> {
        match Still::of(path) {
            Some(now) if now == *self => Ok(()),
            _ => Err(Error::Changed { path: path.to_path_buf() }),
        }
    }
}

/// The file as an SQLite URI that asks for no lock and no file beside it.
pub(crate) fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri + "?mode=ro&immutable=1"
}

/// Whether something was committed that may not stand in the file yet.
pub(crate) fn has_wal(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_spelled_out() {
        assert_eq!(uri(Path::new("/a b/ü?#%")), "file:/a%20b/%c3%bc%3f%23%25?mode=ro&immutable=1");
    }

    #[test]
    fn a_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l");
        std::fs::write(&path, "one").unwrap();
        let still = Still::of(&path).unwrap();
        assert!(still.check(&path).is_ok());
        std::fs::write(folder.path().join("l-wal"), "").unwrap();
        assert!(still.check(&path).is_ok());
        std::fs::write(folder.path().join("l-wal"), "x").unwrap();
        assert!(matches!(still.check(&path), Err(Error::Changed { .. })));
        std::fs::remove_file(folder.path().join("l-wal")).unwrap();
        std::fs::write(&path, "other").unwrap();
        assert!(matches!(still.check(&path), Err(Error::Changed { .. })));
    }
}
