//! Where a ledger stands: on a disk of this machine, or where its safety ends.
//!
//! SQLite's WAL needs memory that all who use the file share, and locks and `fsync` that keep their word.
//! File systems of other machines have none of the first, and often not the others. What is mounted by a
//! program (FUSE) may be either.

use crate::error::Error;
use nix::sys::statfs::statfs;
use std::path::Path;

/// What a file system means for a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    /// Of another machine, by this name.
    Remote(&'static str),
    /// Mounted by a program: nobody can tell.
    Program,
}

/// Types of file systems in `statfs.f_type` (`include/uapi/linux/magic.h` of Linux and `statfs(2)`).
const REMOTE: [(u32, &str); 11] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "SMB (CIFS)"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x564c, "NCP"),
];

const FUSE: u32 = 0x6573_5546;

fn kind(file_system: i64) -> Kind {
    // Some architectures hand the number out with a sign.
    let number = file_system as u32;
    match REMOTE.iter().find(|(remote, _)| *remote == number) {
        Some((_, name)) => Kind::Remote(name),
        None if number == FUSE => Kind::Program,
        None => Kind::Local,
    }
}

fn kind_at(ledger: &Path) -> Kind {
    let folder = ledger.parent().filter(|folder| !folder.as_os_str().is_empty());
    match statfs(folder.unwrap_or(Path::new("."))) {
        #[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // Its width varies.
        Ok(told) => kind(told.filesystem_type().0 as i64),
        // The next to touch it tells.
        Err(_) => Kind::Local,
    }
}

/// Refuses to write where a commit may be lost or a reader may see half of it.
///
/// # Errors
/// [`Error::Remote`].
pub(crate) fn check(ledger: &Path) -> Result<(), Error> {
    match kind_at(ledger) {
        Kind::Remote(kind) => Err(Error::Remote { path: ledger.to_path_buf(), kind }),
        Kind::Local | Kind::Program => Ok(()),
    }
}

/// What to say of a place that may or may not be safe.
pub(crate) fn warning(ledger: &Path) -> Option<String> {
    (kind_at(ledger) == Kind::Program).then(|| {
        format!(
            "{}: the ledger stands on a file system that a program mounts (FUSE): where that is on another \
             machine, commits can be lost: keep the ledger on a local disk",
            ledger.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_machines_are_known() {
        for (number, expected) in [
            (0xef53, Kind::Local),
            (0x0102_1994, Kind::Local),
            (0x5846_5342, Kind::Local),
            (0x9123_683e, Kind::Local),
            (0x6969, Kind::Remote("NFS")),
            (0xff53_4d42, Kind::Remote("SMB (CIFS)")),
            (0xff53_4d42_u32 as i32 as i64, Kind::Remote("SMB (CIFS)")),
            (0xfe53_4d42, Kind::Remote("SMB")),
            (0x0102_1997, Kind::Remote("9p")),
            (0x6573_5546, Kind::Program),
        ] {
            assert_eq!(kind(number), expected, "{number:x}");
        }
    }

    #[test]
    fn a_local_folder_is_no_concern() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.sqlite");
        assert!(check(&ledger).is_ok() && warning(&ledger).is_none());
    }
}
