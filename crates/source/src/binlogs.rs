//! From files, folders, patterns and index files to the files of binary logs, in order.
//!
//! ```text
//! binlog.000812         one file, also compressed (.gz, .zst)
//! /var/lib/mysql        all binary logs in the folder, but for relay logs
//! binlog.index          what it lists, each below the index's folder unless it is there as listed
//! 'binlog.0008*'        a pattern
//! ```
//!
//! Files of one log have one name and a number behind it; they are in the order of their numbers. What
//! is in them is none of this module's business, but for the first bytes.
//!
//! # Invariants
//! * As in [`discover`](crate::discover): nothing but regular files is opened, each file is there once.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::open::OpenFile;

/// The first bytes of a binary log, plain and as MySQL encrypts them.
const MAGICS: [&[u8; 4]; 2] = [b"\xfebin", b"\xfdbin"];

/// The longest index file: 100,000 files with long names.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// One file of a binary log.
#[derive(Debug, Clone)]
pub struct BinlogFile {
    /// The file, open.
    pub file: OpenFile,
    /// Folder and name without the number: what the files of one log have in common.
    pub log: PathBuf,
    /// The number behind the name; `None` where there is none.
    pub number: Option<u64>,
}

impl BinlogFile {
    /// By the name of a file.
    pub fn of(file: OpenFile) -> BinlogFile {
        let path = file.path();
        let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
        let endings: [&[u8]; 3] = [b".gz", b".zst", b".zstd"];
        let name = endings.iter().find_map(|ending| name.strip_suffix(*ending)).unwrap_or(name);
        let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let (stem, number) = name.split_at(name.len() - digits);
        let number = std::str::from_utf8(number).ok().and_then(|it| it.parse().ok());
        let log = path.with_file_name(std::ffi::OsStr::from_bytes(stem));
        BinlogFile { log, number, file }
    }

    /// Whether it is the next of `before`.
    pub fn follows(&self, before: &BinlogFile) -> bool {
        let next = before.number.and_then(|number| number.checked_add(1));
        self.log == before.log && next.is_some() && self.number == next
    }
}

/// The files of binary logs, and what could not be used.
#[derive(Debug, Default)]
pub struct Binlogs {
    /// By log, then by number.
    pub files: Vec<BinlogFile>,
    /// What was named and cannot be read.
    pub failures: Vec<Error>,
    /// Files that indexes list and that are not there.
    pub missing: Vec<PathBuf>,
}

/// Finds the files that the arguments name.
pub fn binlogs(arguments: &[PathBuf]) -> Binlogs {
    let mut found = Binlogs::default();
    for argument in arguments {
        let is_there = fs::symlink_metadata(argument).is_ok();
        let pattern = argument.to_str().filter(|it| !is_there && it.contains(['*', '?', '[']));
        match pattern {
            Some(pattern) => found.pattern(argument, pattern),
            None => found.named(argument),
        }
    }
    found
        .files
        .sort_by(|a, b| (&a.log, a.number, a.file.path()).cmp(&(&b.log, b.number, b.file.path())));
    let mut taken = std::collections::HashSet::new();
    found.files.retain(|it| {
        let facts = it.file.facts();
        taken.insert((facts.device, facts.inode))
    });
    found
}

/// The file that its server writes after this one, once it is there: that of the next number; where this one was
/// deleted (RESET MASTER), the first of the log.
pub fn next_binlog(file: &OpenFile) -> Option<BinlogFile> {
    let before = BinlogFile::of(file.clone());
    let name = file.path().file_name()?.as_bytes();
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let next = format!("{:0digits$}", before.number?.checked_add(1)?);
    let name = [&name[..name.len() - digits], next.as_bytes()].concat();
    let next = file.path().with_file_name(std::ffi::OsStr::from_bytes(&name));
    if let Ok(next) = OpenFile::open(&next) {
        return Some(BinlogFile::of(next));
    }
    if !file.is_deleted().unwrap_or(false) {
        return None;
    }
    let mut found = Binlogs::default();
    found.folder(file.path().parent().filter(|it| !it.as_os_str().is_empty())?);
    let files = found.files.into_iter().filter(|it| it.log == before.log);
    files.min_by_key(|it| it.number)
}

impl Binlogs {
    fn pattern(&mut self, argument: &Path, pattern: &str) {
        let path = argument.to_path_buf();
        match glob::glob(pattern) {
            Ok(paths) => {
                let before = self.files.len() + self.failures.len();
                paths.flatten().for_each(|path| self.named(&path));
                if self.files.len() + self.failures.len() == before {
                    self.failures.push(Error::NoMatch { path });
                }
            }
            Err(error) => {
                let (position, reason) = (error.pos, error.msg);
                self.failures.push(Error::BadPattern { path, position, reason });
            }
        }
    }

    fn named(&mut self, path: &Path) {
        if path.is_dir() {
            return self.folder(path);
        }
        match OpenFile::open(path) {
            Ok(file) if is_index(path) => self.index(&file),
            Ok(file) => self.files.push(BinlogFile::of(file)),
            Err(error) => self.failures.push(error),
        }
    }

    fn folder(&mut self, path: &Path) {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                return self.failures.push(Error::from_io(path, "listing the folder", error));
            }
        };
        let (before, mut denied) = (self.files.len(), 0);
        for path in entries.flatten().map(|entry| entry.path()) {
            match OpenFile::open_found(&path) {
                Ok(file) if is_binlog(&file) => {
                    let file = BinlogFile::of(file);
                    let name = file.log.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
                    let is_relay = name.windows(5).any(|it| it.eq_ignore_ascii_case(b"relay"));
                    if !is_relay && file.number.is_some() {
                        self.files.push(file);
                    }
                }
                Ok(_) | Err(Error::NotRegular { .. } | Error::Missing { .. }) => {}
                Err(_) => denied += 1,
            }
        }
        if self.files.len() == before {
            self.failures.push(Error::NoBinlog { path: path.to_path_buf(), denied });
        }
    }

    /// Takes the files that an index lists.
    fn index(&mut self, index: &OpenFile) {
        let mut text = vec![0; index.facts().len.min(INDEX_BYTES_MAX) as usize];
        match index.read_full_at(&mut text, 0) {
            Ok(length) => text.truncate(length),
            Err(error) => return self.failures.push(error),
        }
        let folder = index.path().parent().unwrap_or(Path::new(""));
        for line in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
            if line.is_empty() {
                continue;
            }
            let listed = Path::new(std::ffi::OsStr::from_bytes(line));
            let beside = listed.file_name().map(|name| folder.join(name));
            let there = [Some(folder.join(listed)), beside].into_iter().flatten();
            match there.map(|path| OpenFile::open(&path)).find(Result::is_ok) {
                Some(Ok(file)) => self.files.push(BinlogFile::of(file)),
                _ => self.missing.push(folder.join(listed)),
            }
        }
    }
}

fn is_index(path: &Path) -> bool {
    path.extension().is_some_and(|it| it.eq_ignore_ascii_case("index"))
}

/// Whether the first bytes, decompressed, are those of a binary log.
fn is_binlog(file: &OpenFile) -> bool {
    let mut head = [0; 4];
    let mut filled = 0;
    let Ok(mut stream) = file.stream(0) else { return false };
    while filled < head.len() {
        match stream.read(&mut head[filled..]) {
            Ok(length) if length > 0 => filled += length,
            _ => return false,
        }
    }
    MAGICS.contains(&&head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &Binlogs) -> Vec<String> {
        let name =
            |it: &BinlogFile| it.file.path().file_name().unwrap().to_str().unwrap().to_owned();
        found.files.iter().map(name).collect()
    }

    fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_folder_gives_its_binlogs_by_number() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["binlog.999999", "binlog.1000000", "relay-bin.000001", "binlog.000002"] {
            write(folder.path(), name, b"\xfebin....");
        }
        write(folder.path(), "binlog.000001", b"\xfdbin....");
        write(folder.path(), "binlog.index", b"./binlog.000001\n");
        write(folder.path(), "ibdata1", b"\0\0\0\0");
        write(folder.path(), "copy.binlog", b"\xfebin");
        let found = binlogs(&[folder.path().to_owned()]);
        let expected = ["binlog.000001", "binlog.000002", "binlog.999999", "binlog.1000000"];
        assert_eq!(names(&found), expected);
        let follows = |at: usize| found.files[at].follows(&found.files[at - 1]);
        assert_eq!([follows(1), follows(2), follows(3)], [true, false, true]);
        assert!(found.failures.is_empty());
    }

    #[test]
    fn the_next_is_that_of_the_next_number_or_the_first_of_a_new_log() {
        let folder = tempfile::tempdir().unwrap();
        let place = write(folder.path(), "binlog.000009", b"\xfebin");
        let file = OpenFile::open(&place).unwrap();
        write(folder.path(), "binlog.000011", b"\xfebin");
        assert!(next_binlog(&file).is_none());
        write(folder.path(), "binlog.000010", b"\xfebin");
        let next = next_binlog(&file).unwrap();
        assert_eq!(next.number, Some(10));
        assert!(next.follows(&BinlogFile::of(file)));
        let last = OpenFile::open(&write(folder.path(), "binlog.999999", b"\xfebin")).unwrap();
        let after = write(folder.path(), "binlog.1000000", b"\xfebin");
        assert_eq!(next_binlog(&last).unwrap().file.path(), after);

        for entry in fs::read_dir(folder.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        assert!(next_binlog(&last).is_none());
        write(folder.path(), "other.000001", b"\xfebin");
        write(folder.path(), "binlog.000001", b"\xfebin");
        assert_eq!(next_binlog(&last).unwrap().number, Some(1));
    }

    #[test]
    fn an_index_gives_what_it_lists() {
        let folder = tempfile::tempdir().unwrap();
        let place = write(folder.path(), "binlog.000001", b"\xfebin");
        write(folder.path(), "binlog.000002", b"\xfebin");
        let text = format!("{}\n/gone/binlog.000002\n./binlog.000003\n", place.display());
        let index = write(folder.path(), "binlog.index", text.as_bytes());
        let found = binlogs(&[index]);
        assert_eq!(names(&found), ["binlog.000001", "binlog.000002"]);
        assert_eq!(found.missing.len(), 1);
        assert!(found.missing[0].ends_with("binlog.000003"));
    }

    #[test]
    fn compressed_files_have_their_number_and_none_is_there_twice() {
        let folder = tempfile::tempdir().unwrap();
        let plain = write(folder.path(), "binlog.000002", b"\xfebin");
        let packed = zstd::encode_all(&b"\xfebin...."[..], 1).unwrap();
        write(folder.path(), "binlog.000001.zst", &packed);
        let pattern = folder.path().join("binlog.0*");
        let found = binlogs(&[plain, pattern, folder.path().to_owned()]);
        assert_eq!(names(&found), ["binlog.000001.zst", "binlog.000002"]);
        assert!(found.files[1].follows(&found.files[0]));
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("binlog.000009");
        let found = binlogs(&[missing, folder.path().join("x*"), folder.path().to_owned()]);
        assert!(found.files.is_empty());
        let texts: Vec<String> = found.failures.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 3);
        assert!(texts[0].contains("no such file") && texts[1].contains("matches no file"));
        assert!(texts[2].contains("no binary log in this folder"), "{}", texts[2]);
    }
}
