//! What discovery tells: logs with their files, and what was not taken and why.

use std::fmt;
use std::path::PathBuf;

use crate::decode::Compression;
use crate::discover::DEPTH_MAX;
use crate::error::{Error, Kind};
use crate::open::Facts;

/// One file of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile<D> {
    /// Absolute, without symbolic links.
    pub path: PathBuf,
    /// Told by its content.
    pub compression: Compression,
    /// What the file system tells.
    pub facts: Facts,
    /// What the detector said; `None` for an empty file.
    pub detected: Option<D>,
}

/// The files of one log, as rotation left them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSet<D> {
    /// Folder and name of the file that the server writes to, whether it exists or not: the name
    /// under which the set is known for good.
    pub location: PathBuf,
    /// Oldest first, as far as names tell.
    pub files: Vec<LogFile<D>>,
}

/// Something that the user named and that cannot be read.
#[derive(Debug)]
pub struct Failure {
    /// As the user named it, or inside what the user named.
    pub path: PathBuf,
    /// Says what to do.
    pub reason: Error,
}

/// A symbolic link that the user named and that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirected {
    /// As the user named it.
    pub link: PathBuf,
    /// What is read.
    pub target: PathBuf,
}

/// Something in a folder that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

/// Why something in a folder was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// Its name is that of a table, binlog or engine file; it was not opened.
    ServerFile,
    /// Of an SQLite database that somebody has open: it was not opened.
    Database,
    /// Mostly NUL bytes or a known binary format.
    Binary,
    /// The detector finds no audit log in it.
    NotAuditLog,
    /// Nothing in it.
    Empty,
    /// A socket, FIFO or device.
    NotRegular(Kind),
    /// May not be read.
    Denied,
    /// Reading failed, or compressed data is damaged from the start.
    Failed(String),
    /// A symbolic link to something in the same tree, which is read by its own name.
    LinkInside(PathBuf),
    /// A symbolic link that leads out of the tree.
    LinkOutside(PathBuf),
    /// A symbolic link to nothing, or in a loop.
    LinkBroken,
    /// Another name of a file or folder that was taken already.
    SameAs(PathBuf),
    /// More than [`DEPTH_MAX`] below the folder that was named.
    TooDeep,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::ServerFile => out.write_str("a table, binlog or engine file by its name"),
            SkipReason::Database => out.write_str("of an SQLite database that is in use"),
            SkipReason::Binary => out.write_str("binary"),
            SkipReason::NotAuditLog => out.write_str("no audit log of a known dialect"),
            SkipReason::Empty => out.write_str("empty"),
            SkipReason::NotRegular(kind) => out.write_str(kind.as_str()),
            SkipReason::Denied => out.write_str("permission denied"),
            SkipReason::Failed(what) => out.write_str(what),
            SkipReason::LinkInside(target) => {
                write!(out, "a link to {}, which is in the same folder tree", target.display())
            }
            SkipReason::LinkOutside(target) => {
                write!(out, "a link out of the folder, to {}: name it to read it", target.display())
            }
            SkipReason::LinkBroken => out.write_str("a link to nothing, or a loop of links"),
            SkipReason::SameAs(path) => write!(out, "the same as {}", path.display()),
            SkipReason::TooDeep => write!(out, "more than {DEPTH_MAX} folders deep: name it"),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Discovery<D> {
    /// In the order of their locations.
    pub sets: Vec<LogSet<D>>,
    /// In the order of the arguments.
    pub failures: Vec<Failure>,
    /// At most [`crate::SKIPPED_MAX`].
    pub skipped: Vec<Skipped>,
    /// How many more were skipped.
    pub skipped_more: u64,
    /// Links that were followed.
    pub redirected: Vec<Redirected>,
}
