//! What can go wrong with a file: each message names the file, the place and the remedy.
//!
//! No message holds bytes of a log.

use std::io;
use std::path::{Path, PathBuf};

/// What a path is, where it is no regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
    /// Something else.
    Other,
}

impl Kind {
    /// With its article, for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Directory => "a directory",
            Kind::Fifo => "a named pipe",
            Kind::Socket => "a socket",
            Kind::Device => "a device",
            Kind::Other => "no regular file",
        }
    }
}

/// Why a file could not be used, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing stands at the path.
    #[error("{}: no such file; check the path", .path.display())]
    Missing {
        /// As asked for.
        path: PathBuf,
    },
    /// A pattern that matches nothing.
    #[error("{}: the pattern matches no file; check the path", .path.display())]
    NoMatch {
        /// The pattern.
        path: PathBuf,
    },
    /// A pattern that cannot be understood.
    #[error("{}: bad pattern: {reason}; write [[] for a bracket", .path.display())]
    BadPattern {
        /// The pattern.
        path: PathBuf,
        /// Counted from 0.
        position: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file or a folder on the way may not be read.
    #[error(
        "{}: permission denied; run as root or add this user to the group that owns it",
        .path.display()
    )]
    Denied {
        /// Of the file.
        path: PathBuf,
    },
    /// Neither file nor folder.
    #[error("{}: is {}; name a file or a folder", .path.display(), .kind.as_str())]
    NotRegular {
        /// Of what is no file.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// Symbolic links that lead back to themselves.
    #[error("{}: symbolic links form a loop; name the file they should lead to", .path.display())]
    Loop {
        /// Of the first link.
        path: PathBuf,
    },
    /// A file in which the detector finds no audit log.
    #[error(
        "{}: no audit log of a known dialect in its first {looked_bytes} bytes; \
         tell its dialect with --dialect if it is one",
        .path.display()
    )]
    NotAuditLog {
        /// Of the file.
        path: PathBuf,
        /// How many decompressed bytes were looked at.
        looked_bytes: usize,
    },
    /// An SQLite database that somebody has open, or one of the files beside it.
    #[error(
        "{}: belongs to an SQLite database that is in use (NAME-shm stands beside NAME); not opened, so \
         that its locks stay whole: if it is a log, rename it",
        .path.display()
    )]
    Database {
        /// Of the file.
        path: PathBuf,
    },
    /// A file without any line break yet.
    #[error(
        "{}: holds no complete line yet ({len} bytes); read it again when the server has written \
         more",
        .path.display()
    )]
    NoCompleteLine {
        /// Of the file.
        path: PathBuf,
        /// Decompressed bytes.
        len: usize,
    },
    /// A folder that holds no audit log at all.
    #[error("{}: no audit log in this folder; {}", .path.display(), nothing_found(*.denied))]
    NothingFound {
        /// Of the folder.
        path: PathBuf,
        /// Files and folders in it that may not be read.
        denied: usize,
    },
    /// A folder that holds no binary log at all.
    #[error("{}: no binary log in this folder; {}", .path.display(), no_binlog(*.denied))]
    NoBinlog {
        /// Of the folder.
        path: PathBuf,
        /// Files in it that may not be read.
        denied: usize,
    },
    /// A folder with more entries than are looked at.
    #[error(
        "{}: more than {max} entries; what lies beyond was not looked at: name a smaller folder",
        .path.display()
    )]
    TooMany {
        /// Of the folder.
        path: PathBuf,
        /// The bound.
        max: usize,
    },
    /// Another error of the operating system.
    #[error("{}: {doing}: {source}", .path.display())]
    Io {
        /// Of the file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file became shorter while it was read.
    #[error(
        "{}: became shorter than {offset} bytes while it was read; run again", .path.display()
    )]
    Shrunk {
        /// Of the file.
        path: PathBuf,
        /// Up to where it had been read, in bytes.
        offset: u64,
    },
    /// Compressed data that ends in the middle. Everything before the cut was delivered.
    #[error(
        "{}: the compressed data is cut off at byte {raw_offset}; the {decompressed_offset} bytes of \
         log before it are read; copy the file again, or wait for its end",
        .path.display()
    )]
    CutShort {
        /// Of the file.
        path: PathBuf,
        /// Decompressed bytes delivered.
        decompressed_offset: u64,
        /// Bytes of the file.
        raw_offset: u64,
    },
    /// Compressed data that cannot be decompressed. What could be was delivered.
    #[error(
        "{}: the compressed data is damaged near byte {raw_offset}: {what}; the \
         {decompressed_offset} bytes of log before it are read; restore the file from a copy",
        .path.display()
    )]
    Damaged {
        /// Of the file.
        path: PathBuf,
        /// Decompressed bytes delivered.
        decompressed_offset: u64,
        /// Bytes of the file that were used.
        raw_offset: u64,
        /// What the decoder found.
        what: &'static str,
    },
    /// Bytes after the compressed data that are no compressed data. All data was delivered.
    #[error(
        "{}: after {raw_offset} bytes of compressed data ({decompressed_offset} decompressed) \
         something else follows and was not read; see what was appended",
        .path.display()
    )]
    TrailingGarbage {
        /// Of the file.
        path: PathBuf,
        /// Decompressed bytes delivered.
        decompressed_offset: u64,
        /// Where the compressed data ended.
        raw_offset: u64,
    },
    /// Compressed data that would need more memory than is granted.
    #[error(
        "{}: the zstd frame at byte {raw_offset} needs a window above {} MiB; compress it again \
         without --ultra or --long",
        .path.display(),
        (1_u64 << .window_log_max) >> 20
    )]
    WindowTooLarge {
        /// Of the file.
        path: PathBuf,
        /// Decompressed bytes delivered.
        decompressed_offset: u64,
        /// Bytes of the file that were used.
        raw_offset: u64,
        /// The bound, as a power of two.
        window_log_max: u32,
    },
}

impl Error {
    /// The file or folder that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Error::Missing { path }
            | Error::NoMatch { path }
            | Error::BadPattern { path, .. }
            | Error::Denied { path }
            | Error::NotRegular { path, .. }
            | Error::Loop { path }
            | Error::NotAuditLog { path, .. }
            | Error::Database { path }
            | Error::NoCompleteLine { path, .. }
            | Error::NothingFound { path, .. }
            | Error::NoBinlog { path, .. }
            | Error::TooMany { path, .. }
            | Error::Io { path, .. }
            | Error::Shrunk { path, .. }
            | Error::CutShort { path, .. }
            | Error::Damaged { path, .. }
            | Error::TrailingGarbage { path, .. }
            | Error::WindowTooLarge { path, .. } => path,
        }
    }

    /// Whether all bytes up to a place in compressed data were delivered before this error, so that
    /// what was read stands.
    pub fn ends_stream(&self) -> bool {
        matches!(
            self,
            Error::CutShort { .. }
                | Error::Damaged { .. }
                | Error::TrailingGarbage { .. }
                | Error::WindowTooLarge { .. }
        )
    }

    /// Says what an error of the operating system means for `path`.
    pub(crate) fn from_io(path: &Path, doing: &'static str, source: io::Error) -> Error {
        let path = path.to_path_buf();
        match source.raw_os_error() {
            Some(libc::ENOENT) | Some(libc::ENOTDIR) => Error::Missing { path },
            Some(libc::EACCES) | Some(libc::EPERM) => Error::Denied { path },
            Some(libc::ELOOP) => Error::Loop { path },
            _ => Error::Io { path, doing, source },
        }
    }
}

fn nothing_found(denied: usize) -> &'static str {
    match denied {
        0 => "-v names what was skipped",
        _ => {
            "but not everything in it may be read (-v names it); run as root or add this user to the \
             group that owns it"
        }
    }
}

fn no_binlog(denied: usize) -> &'static str {
    match denied {
        0 => "SHOW VARIABLES LIKE 'log_bin_basename' tells where they are",
        _ => {
            "but not everything in it may be read; run as root or add this user to the group that \
             owns it"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_told_with_their_remedy() {
        let told = |code| {
            let source = io::Error::from_raw_os_error(code);
            Error::from_io(Path::new("/x/a.log"), "opening", source).to_string()
        };
        assert_eq!(told(libc::ENOENT), "/x/a.log: no such file; check the path");
        assert_eq!(told(libc::ENOTDIR), told(libc::ENOENT));
        let denied = "/x/a.log: permission denied; run as root or add this user to the group that \
                      owns it";
        assert_eq!(told(libc::EACCES), denied);
        assert_eq!(told(libc::EPERM), denied);
        assert!(told(libc::ELOOP).contains("loop"));
        assert!(told(libc::EIO).starts_with("/x/a.log: opening: "));
    }
}
