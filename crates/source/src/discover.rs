//! From files, folders and patterns to sets of log files, oldest first.
//!
//! A folder may be a whole MariaDB data directory: tables, binlogs and sockets are passed over by
//! name or after 4 KiB, and what is an audit log is told by a detector that looks at the
//! decompressed head. Whatever is not taken is named with its reason.
//!
//! ```text
//! named outright     no audit log, missing, unreadable, FIFO …    Failure
//! in a folder        the same                                     Skipped
//! in a folder        unreadable, and its name says "audit"        Failure
//! ```
//!
//! # Invariants
//! * Nothing but regular files is opened, and each file is in at most one set, once.
//! * Symbolic links are followed only where the user named them.
//! * The answer does not depend on the order in which the file system lists entries.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::decode::Compression;
use crate::error::{Error, Kind};
use crate::found::{Discovery, Failure, LogFile, Redirected, SkipReason, Skipped};
use crate::open::{FileReader, OpenFile, kind_of};
use crate::rotation::parse;
use crate::sets::{group, is_old};
use crate::stream::Stream;

/// How deep a folder is walked below the one named: deeper than any log tree, and a bound for loops
/// that file systems can make without links (bind mounts).
pub const DEPTH_MAX: usize = 32;

/// How many entries of folders are looked at in one call: a server has a file per table, so a data
/// directory of 100,000 tables fits several times; a whole machine does not.
pub const ENTRIES_MAX: usize = 1_000_000;

/// How many skipped entries are kept by name; more are counted. Some megabytes of names, and more
/// than anyone reads.
pub const SKIPPED_MAX: usize = 20_000;

/// How much of the decompressed head the detector sees, in bytes: some hundred records, behind a
/// torn first one.
pub const DETECT_BYTES: usize = 64 << 10;

/// How much is read of a file before it is looked at more closely, in bytes.
const FIRST_BYTES: usize = 4096;

/// Finds the logs that the arguments name: files, folders, or patterns with `*`, `?`, `[`. Standard
/// input (`-`) is the caller's. `detect` is given up to [`DETECT_BYTES`] of a decompressed head.
///
/// Nothing fails as a whole: what cannot be read is in [`Discovery::failures`].
pub fn discover<D>(arguments: &[PathBuf], detect: &dyn Fn(&[u8]) -> Option<D>) -> Discovery<D> {
    discover_within(arguments, detect, Bounds { entries: ENTRIES_MAX, skipped: SKIPPED_MAX })
}

#[derive(Clone, Copy)]
struct Bounds {
    entries: usize,
    skipped: usize,
}

fn discover_within<D>(
    arguments: &[PathBuf],
    detect: &dyn Fn(&[u8]) -> Option<D>,
    bounds: Bounds,
) -> Discovery<D> {
    let mut search = Search::new(detect, bounds);
    for argument in arguments {
        search.argument(argument);
    }
    search.found.sets = group(search.files);
    search.found
}

/// The files that rotation may have left of one log, oldest first: those named after `location` in its
/// folder, and in folders for old files below it and beside it. For logs that were named outright, when
/// what had been read of them stands there no more.
///
/// Nothing fails: what cannot be read is not among them.
pub fn siblings<D>(location: &Path, detect: &dyn Fn(&[u8]) -> Option<D>) -> Vec<LogFile<D>> {
    let bounds = Bounds { entries: ENTRIES_MAX, skipped: 0 };
    let mut search = Search::new(detect, bounds);
    let (Some(home), Some(name)) = (location.parent(), location.file_name()) else {
        return Vec::new();
    };
    let mut folders = vec![home.to_path_buf()];
    for above in [Some(home), home.parent()].into_iter().flatten() {
        let names = search.list(above, above).unwrap_or_default();
        let old = names.into_iter().filter(|(path, kind)| kind.is_dir() && is_old(path, home));
        folders.extend(old.map(|(path, _)| path));
    }
    for folder in folders {
        for (path, kind) in search.list(&folder, &folder).unwrap_or_default() {
            let stem = path.file_name().map(|name| parse(name.as_bytes()).stem);
            if kind.is_file() && stem.is_some_and(|stem| stem == name.as_bytes()) {
                search.file(&path, Named::Folder);
            }
        }
    }
    let mut sets = group(search.files);
    // Files in an old folder are a set of their own where the live file is missing.
    sets.sort_by_key(|set| set.location == location);
    sets.into_iter().flat_map(|set| set.files).collect()
}

/// How a file came to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// By the user: not taking it is a failure.
    Outright,
    /// By a pattern: it may match other files too.
    Pattern,
    /// It stands in a folder.
    Folder,
}

struct Search<'a, D> {
    detect: &'a dyn Fn(&[u8]) -> Option<D>,
    bounds: Bounds,
    /// Entries of folders so far.
    entries: usize,
    /// Logs so far, also such that were taken before under another name.
    recognised: usize,
    /// What was skipped because it may not be read.
    denied: usize,
    files: Vec<LogFile<D>>,
    /// Device and inode of files that were taken.
    taken: HashMap<(u64, u64), PathBuf>,
    /// Device and inode of folders that were walked.
    folders: HashMap<(u64, u64), PathBuf>,
    found: Discovery<D>,
}

impl<'a, D> Search<'a, D> {
    fn new(detect: &'a dyn Fn(&[u8]) -> Option<D>, bounds: Bounds) -> Search<'a, D> {
        Search {
            detect,
            bounds,
            entries: 0,
            recognised: 0,
            denied: 0,
            files: Vec::new(),
            taken: HashMap::new(),
            folders: HashMap::new(),
            found: Discovery {
                sets: Vec::new(),
                failures: Vec::new(),
                skipped: Vec::new(),
                skipped_more: 0,
                redirected: Vec::new(),
            },
        }
    }

    fn argument(&mut self, argument: &Path) {
        match fs::symlink_metadata(argument) {
            Ok(_) => self.named(argument, Named::Outright),
            Err(error) => {
                let error = Error::from_io(argument, "looking at the file", error);
                match argument.to_str() {
                    Some(text) if matches!(error, Error::Missing { .. }) && is_pattern(text) => {
                        self.pattern(argument, text);
                    }
                    _ => self.fail(argument, error),
                }
            }
        }
    }

    fn pattern(&mut self, argument: &Path, text: &str) {
        let matches = match glob::glob(text) {
            Ok(matches) => matches,
            Err(error) => {
                let path = argument.to_path_buf();
                let (position, reason) = (error.pos, error.msg);
                return self.fail(argument, Error::BadPattern { path, position, reason });
            }
        };
        let mut any = false;
        for entry in matches {
            any = true;
            if !self.count(argument) {
                return;
            }
            match entry {
                Ok(path) => self.named(&path, Named::Pattern),
                Err(error) => {
                    let path = error.path().to_path_buf();
                    let reason = Error::from_io(&path, "listing the folder", error.into());
                    self.fail(&path, reason);
                }
            }
        }
        if !any {
            self.fail(argument, Error::NoMatch { path: argument.to_path_buf() });
        }
    }

    /// Something that the user named: symbolic links are followed.
    fn named(&mut self, path: &Path, named: Named) {
        let resolved = fs::metadata(path).and_then(|metadata| {
            let link = fs::symlink_metadata(path)?.is_symlink();
            Ok((metadata, link, fs::canonicalize(path)?))
        });
        let (metadata, link, target) = match resolved {
            Ok(resolved) => resolved,
            Err(error) => {
                return self.fail(path, Error::from_io(path, "looking at the file", error));
            }
        };
        if link {
            let redirected = Redirected { link: path.to_path_buf(), target: target.clone() };
            self.found.redirected.push(redirected);
        }
        match kind_of(&metadata) {
            None => self.file(&target, named),
            Some(Kind::Directory) => self.folder(path, &target, &metadata, named),
            Some(kind) if named == Named::Pattern => {
                self.skip(&target, SkipReason::NotRegular(kind));
            }
            Some(kind) => self.fail(path, Error::NotRegular { path: path.to_path_buf(), kind }),
        }
    }

    /// Walks a folder; `root` is the canonical form of `argument`.
    fn folder(&mut self, argument: &Path, root: &Path, metadata: &Metadata, named: Named) {
        if !self.enter(root, metadata) {
            return;
        }
        let (recognised, failures) = (self.recognised, self.found.failures.len());
        let denied = self.denied;
        let mut stack = vec![(root.to_path_buf(), 0)];
        while let Some((folder, depth)) = stack.pop() {
            let entries = match self.list(argument, &folder) {
                Ok(entries) => entries,
                Err(error) if depth == 0 => return self.fail(argument, error),
                Err(error) => {
                    self.skip(&folder, skip_reason(&error));
                    continue;
                }
            };
            let mut below = Vec::new();
            for (path, kind) in entries {
                if kind.is_symlink() {
                    self.link(root, &path);
                } else if !kind.is_dir() {
                    self.file(&path, Named::Folder);
                } else if depth == DEPTH_MAX {
                    self.skip(&path, SkipReason::TooDeep);
                } else {
                    below.push(path);
                }
            }
            for path in below.into_iter().rev() {
                match fs::symlink_metadata(&path) {
                    Ok(metadata) if self.enter(&path, &metadata) => stack.push((path, depth + 1)),
                    Ok(_) => {}
                    Err(error) => self.skip(&path, SkipReason::Failed(error.to_string())),
                }
            }
            if self.entries > self.bounds.entries {
                return;
            }
        }
        let nothing = recognised == self.recognised && failures == self.found.failures.len();
        if nothing && named == Named::Outright {
            let denied = self.denied - denied;
            self.fail(argument, Error::NothingFound { path: argument.to_path_buf(), denied });
        }
    }

    /// The entries of one folder by name, but for those that are passed over by name.
    fn list(
        &mut self,
        argument: &Path,
        folder: &Path,
    ) -> Result<Vec<(PathBuf, fs::FileType)>, Error> {
        let io = |error| Error::from_io(folder, "listing the folder", error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            if !self.count(argument) {
                break;
            }
            let kind = entry.file_type().map_err(io)?;
            if kind.is_file() && is_server_file(&entry.file_name()) {
                self.skip(&entry.path(), SkipReason::ServerFile);
            } else {
                entries.push((entry.path(), kind));
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    /// A symbolic link inside a folder: never followed.
    fn link(&mut self, root: &Path, path: &Path) {
        let reason = match fs::canonicalize(path) {
            Ok(target) if target.starts_with(root) => SkipReason::LinkInside(target),
            Ok(target) => SkipReason::LinkOutside(target),
            Err(error) => match Error::from_io(path, "following the link", error) {
                Error::Denied { .. } => SkipReason::Denied,
                _ => SkipReason::LinkBroken,
            },
        };
        self.skip(path, reason);
    }

    /// Looks into a file; `path` leads over no symbolic link.
    fn file(&mut self, path: &Path, named: Named) {
        if is_open_database(path) {
            return self.refuse(path, named, Error::Database { path: path.to_path_buf() });
        }
        let file = match OpenFile::open_found(path) {
            Ok(file) => file,
            Err(error) => return self.refuse(path, named, error),
        };
        let facts = file.facts();
        if let Some(other) = self.taken.get(&(facts.device, facts.inode)) {
            self.recognised += 1;
            if other != path {
                let reason = SkipReason::SameAs(other.clone());
                self.skip(path, reason);
            }
            return;
        }
        let detected = match self.look(&file, named) {
            Ok(detected) => detected,
            Err(Refusal::Skip(reason)) => return self.skip(path, reason),
            Err(Refusal::Fail(error)) => return self.refuse(path, named, error),
        };
        self.recognised += 1;
        self.taken.insert((facts.device, facts.inode), path.to_path_buf());
        self.files.push(LogFile {
            path: path.to_path_buf(),
            compression: file.compression(),
            facts,
            detected,
        });
    }

    /// What the detector says of a file; `None` for an empty one.
    fn look(&self, file: &OpenFile, named: Named) -> Result<Option<D>, Refusal> {
        if file.facts().len == 0 {
            let expected = named != Named::Folder || says_audit(file.path());
            return if expected { Ok(None) } else { Err(Refusal::Skip(SkipReason::Empty)) };
        }
        let plain = file.compression() == Compression::Plain;
        let mut head = Head::new(file)?;
        let cut = head.grow(FIRST_BYTES)?;
        if plain && named != Named::Outright && is_binary(&head.bytes) {
            return Err(Refusal::Skip(SkipReason::Binary));
        }
        if let Some(detected) = (self.detect)(&head.bytes) {
            return Ok(Some(detected));
        }
        let cut = match cut {
            Some(cut) => Some(cut),
            None => head.grow(DETECT_BYTES)?,
        };
        let head = head.bytes;
        if head.len() > FIRST_BYTES
            && let Some(detected) = (self.detect)(&head)
        {
            return Ok(Some(detected));
        }
        match cut {
            Some(error) => Err(Refusal::Fail(error)),
            None if head.is_empty() => Ok(None),
            None if named == Named::Folder => Err(Refusal::Skip(SkipReason::NotAuditLog)),
            None => Err(Refusal::Fail(not_a_log(file.path(), &head))),
        }
    }

    /// Whether a folder is walked for the first time.
    fn enter(&mut self, path: &Path, metadata: &Metadata) -> bool {
        match self.folders.get(&(metadata.dev(), metadata.ino())) {
            None => {
                self.folders.insert((metadata.dev(), metadata.ino()), path.to_path_buf());
                true
            }
            Some(other) => {
                if other != path {
                    let reason = SkipReason::SameAs(other.clone());
                    self.skip(path, reason);
                }
                self.recognised += 1;
                false
            }
        }
    }

    /// Counts an entry; false, and a failure, beyond the bound.
    fn count(&mut self, argument: &Path) -> bool {
        self.entries += 1;
        if self.entries == self.bounds.entries + 1 {
            let max = self.bounds.entries;
            self.fail(argument, Error::TooMany { path: argument.to_path_buf(), max });
        }
        self.entries <= self.bounds.entries
    }

    /// A file that was to be read and cannot be.
    fn refuse(&mut self, path: &Path, named: Named, error: Error) {
        let foreign = matches!(error, Error::NotAuditLog { .. } | Error::NoCompleteLine { .. });
        match named {
            Named::Pattern if matches!(error, Error::Database { .. }) => {
                self.skip(path, SkipReason::Database);
            }
            Named::Pattern if foreign => self.skip(path, SkipReason::NotAuditLog),
            Named::Outright | Named::Pattern => self.fail(path, error),
            // Deleted since the folder was listed.
            Named::Folder if matches!(error, Error::Missing { .. }) => {}
            Named::Folder if says_audit(path) && !matches!(error, Error::NotRegular { .. }) => {
                self.fail(path, error);
            }
            Named::Folder => self.skip(path, skip_reason(&error)),
        }
    }

    fn fail(&mut self, path: &Path, reason: Error) {
        self.found.failures.push(Failure { path: path.to_path_buf(), reason });
    }

    fn skip(&mut self, path: &Path, reason: SkipReason) {
        self.denied += usize::from(reason == SkipReason::Denied);
        if self.found.skipped.len() < self.bounds.skipped {
            self.found.skipped.push(Skipped { path: path.to_path_buf(), reason });
        } else {
            self.found.skipped_more += 1;
        }
    }
}

/// Why a file is not taken.
enum Refusal {
    Skip(SkipReason),
    Fail(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Fail(error)
    }
}

/// The decompressed head, read no further than needed.
struct Head {
    stream: Stream<FileReader>,
    bytes: Vec<u8>,
}

impl Head {
    fn new(file: &OpenFile) -> Result<Head, Error> {
        Ok(Head { stream: file.stream(0)?, bytes: Vec::new() })
    }

    /// Up to `len` bytes; the error at which compressed data ends before its time.
    fn grow(&mut self, len: usize) -> Result<Option<Error>, Error> {
        let mut n = self.bytes.len();
        self.bytes.resize(len, 0);
        let cut = loop {
            if n == len {
                break None;
            }
            match self.stream.read(&mut self.bytes[n..]) {
                Ok(0) => break None,
                Ok(more) => n += more,
                Err(error) if error.ends_stream() => break Some(error),
                Err(error) => return Err(error),
            }
        };
        self.bytes.truncate(n);
        Ok(cut)
    }
}

fn not_a_log(path: &Path, head: &[u8]) -> Error {
    let path = path.to_path_buf();
    if head.len() < DETECT_BYTES && !head.contains(&b'\n') && !is_binary(head) {
        Error::NoCompleteLine { path, len: head.len() }
    } else {
        Error::NotAuditLog { path, looked_bytes: head.len() }
    }
}

fn skip_reason(error: &Error) -> SkipReason {
    match error {
        Error::Denied { .. } => SkipReason::Denied,
        Error::Database { .. } => SkipReason::Database,
        Error::NotRegular { kind, .. } => SkipReason::NotRegular(*kind),
        Error::Io { source, .. } => SkipReason::Failed(source.to_string()),
        Error::CutShort { .. } => SkipReason::Failed("compressed data, cut off".to_owned()),
        _ => SkipReason::Failed("compressed data that cannot be read".to_owned()),
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a name claims to be that of an audit log.
fn says_audit(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes().to_ascii_lowercase();
    name.windows(5).any(|part| part == b"audit")
}

/// Beginnings of the names of files that a server keeps in its data directory.
const SERVER_PREFIXES: [&str; 8] =
    ["ibdata", "ib_logfile", "ib_buffer_pool", "ibtmp", "#ib_", "aria_log", "undo_0", "undo0"];

/// Endings of the names of files that a server keeps in its data directory.
const SERVER_ENDINGS: [&str; 15] = [
    ".ibd", ".frm", ".myd", ".myi", ".mad", ".mai", ".isl", ".cfg", ".par", ".trg", ".trn", ".opt",
    ".sdi", ".dblwr", ".pem",
];

/// Whether a name is that of a file which a server keeps in its data directory: tables, logs of its
/// own. Such are passed over in folders without being opened.
pub fn is_server_file(name: &OsStr) -> bool {
    let name = name.as_bytes().to_ascii_lowercase();
    SERVER_PREFIXES.iter().any(|start| name.starts_with(start.as_bytes()))
        || SERVER_ENDINGS.iter().any(|end| name.ends_with(end.as_bytes()))
}

/// Whether a file is an SQLite database that somebody has open (in WAL mode), or stands beside one. It may be
/// the ledger, open in this very process, whose locks on a file all go when it closes any descriptor of it
/// (`fcntl(2)`; "How To Corrupt An SQLite Database File", 2.2).
fn is_open_database(path: &Path) -> bool {
    let name = path.as_os_str().as_bytes();
    let memory = [name, b"-shm"].concat();
    name.ends_with(b"-shm")
        || name.ends_with(b"-wal")
        || fs::symlink_metadata(OsStr::from_bytes(&memory)).is_ok()
}

/// The first bytes of a binary or relay log, plain and encrypted.
const BINLOG_MAGICS: [[u8; 4]; 2] = [*b"\xfebin", *b"\xfdbin"];

/// Whether the first bytes of a file are no text. An audit log may hold single NUL bytes (a name
/// with a NUL is logged as it is); pages of a table space are mostly NUL.
fn is_binary(head: &[u8]) -> bool {
    let nuls = head.iter().filter(|byte| **byte == 0).count();
    BINLOG_MAGICS.iter().any(|magic| head.starts_with(magic)) || nuls * 8 > head.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: usize, bounds: Bounds) -> Discovery<()> {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..files {
            fs::write(folder.path().join(format!("t{n}.ibd")), b"x").unwrap();
        }
        fs::write(folder.path().join("a.log"), b"record\n").unwrap();
        let detect = |head: &[u8]| head.starts_with(b"record").then_some(());
        discover_within(&[folder.path().to_path_buf()], &detect, bounds)
    }

    #[test]
    fn more_entries_than_the_bound_are_a_failure() {
        let at = found(9, Bounds { entries: 10, skipped: 100 });
        assert_eq!((at.sets.len(), at.failures.len()), (1, 0));
        let above = found(10, Bounds { entries: 10, skipped: 100 });
        assert_eq!(above.failures.len(), 1);
        assert!(matches!(above.failures[0].reason, Error::TooMany { max: 10, .. }));
    }

    #[test]
    fn more_skipped_entries_than_the_bound_are_counted() {
        let at = found(10, Bounds { entries: 100, skipped: 10 });
        assert_eq!((at.skipped.len(), at.skipped_more), (10, 0));
        let above = found(12, Bounds { entries: 100, skipped: 10 });
        assert_eq!((above.skipped.len(), above.skipped_more), (10, 2));
    }

    #[test]
    fn names_of_server_files() {
        for name in ["ibdata1", "orders.ibd", "ORDERS.MYD", "#ib_16384_0.dblwr", "undo_001"] {
            assert!(is_server_file(OsStr::new(name)), "{name}");
        }
        for name in ["server_audit.log", "server_audit.log.1", "ib", "binlog.000001", "x.json"] {
            assert!(!is_server_file(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn text_with_single_nul_bytes_is_no_binary() {
        assert!(!is_binary(b""));
        assert!(!is_binary(b"20261120 a\0b,"));
        assert!(!is_binary(&[&[b'x'; 7][..], &[0]].concat()));
        assert!(is_binary(&[&[b'x'; 6][..], &[0]].concat()));
        assert!(is_binary(b"\xfebin\x77"));
    }
}
