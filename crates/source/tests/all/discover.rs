//! From arguments to sets: every way of naming, and whatever else lies in a folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use source::{Compression, DEPTH_MAX, DETECT_BYTES, Discovery, Error, Kind, SkipReason, discover};

use crate::book::{gzip, lines, zstd};

/// Stands for the dialects: a line that starts as a record does.
fn detect(head: &[u8]) -> Option<&'static str> {
    head.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"20261120 ")).then_some("audit")
}

fn find(arguments: &[&Path]) -> Discovery<&'static str> {
    let arguments: Vec<PathBuf> = arguments.iter().map(|path| path.to_path_buf()).collect();
    discover(&arguments, &detect)
}

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    Place { _folder: folder, path }
}

impl Place {
    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn log(&self, name: &str) -> PathBuf {
        self.write(name, &lines(0, 200))
    }

    fn short<'a>(&self, path: &'a Path) -> &'a str {
        path.strip_prefix(&self.path).unwrap().to_str().unwrap()
    }

    /// Each set as `location: file file`.
    fn sets(&self, found: &Discovery<&'static str>) -> Vec<String> {
        let set = |set: &source::LogSet<_>| {
            let files: Vec<&str> = set.files.iter().map(|file| self.short(&file.path)).collect();
            format!("{}: {}", self.short(&set.location), files.join(" "))
        };
        found.sets.iter().map(set).collect()
    }

    /// Each skipped entry as `name: reason`.
    fn skipped(&self, found: &Discovery<&'static str>) -> Vec<String> {
        let mut skipped: Vec<String> = found
            .skipped
            .iter()
            .map(|skipped| format!("{}: {}", self.short(&skipped.path), skipped.reason))
            .map(|text| text.replace(self.path.to_str().unwrap(), "~"))
            .collect();
        skipped.sort();
        skipped
    }

    fn check(&self, arguments: &[&str], sets: &[&str], skipped: &[&str], failures: &[&str]) {
        let arguments: Vec<PathBuf> = arguments.iter().map(|name| self.file(name)).collect();
        let found = discover(&arguments, &detect);
        assert_eq!(self.sets(&found), sets);
        assert_eq!(self.skipped(&found), skipped);
        let told: Vec<String> = found
            .failures
            .iter()
            .map(|failure| failure.reason.to_string().replace(self.path.to_str().unwrap(), "~"))
            .collect();
        assert_eq!(told, failures);
    }
}

#[test]
fn a_folder_of_rotated_files_is_one_set_oldest_first() {
    let place = place();
    for name in ["a.log", "a.log.1", "a.log.2.gz", "a.log.10.zst", "a.log.03"] {
        let text = lines(0, 200);
        let bytes = match name.rsplit('.').next() {
            Some("gz") => gzip(&text),
            Some("zst") => zstd(&text),
            _ => text,
        };
        place.write(name, &bytes);
    }
    place.check(&[""], &["a.log: a.log.10.zst a.log.03 a.log.2.gz a.log.1 a.log"], &[], &[]);
    let found = find(&[&place.path]);
    let kinds: Vec<Compression> = found.sets[0].files.iter().map(|file| file.compression).collect();
    use Compression::{Gzip, Plain, Zstd};
    assert_eq!(kinds, [Zstd, Plain, Gzip, Plain, Plain]);
    assert!(found.sets[0].files.iter().all(|file| file.detected == Some("audit")));
}

#[test]
fn open_databases_are_not_opened() {
    let place = place();
    for name in ["in/a.log", "in/ledger", "in/ledger-shm", "in/ledger-wal", "audit", "audit-shm"] {
        place.log(name);
    }
    let skipped = ["in/ledger-shm", "in/ledger-wal", "in/ledger"]
        .map(|name| format!("{name}: of an SQLite database that is in use"));
    let skipped = skipped.each_ref().map(String::as_str);
    place.check(&["in"], &["in/a.log: in/a.log"], &skipped, &[]);
    place.check(&["in/*"], &["in/a.log: in/a.log"], &skipped, &[]);
    let told = "~/audit: belongs to an SQLite database that is in use (NAME-shm stands beside NAME); not \
                opened, so that its locks stay whole: if it is a log, rename it";
    place.check(&["audit"], &[], &[], &[told]);
}

#[test]
fn dated_names_and_those_before_the_ending() {
    let place = place();
    for name in [
        "a.log",
        "a.log-20261120",
        "a.log-20261119",
        "a.log-20261120.1",
        "a-20261001.log",
        "b.2026-11-20",
        "b.2026-11-03",
        "c.log",
        "c.1.log",
        "c.2.log",
        "d.1.log",
    ] {
        place.log(name);
    }
    place.check(
        &[""],
        &[
            "a.log: a-20261001.log a.log-20261119 a.log-20261120 a.log-20261120.1 a.log",
            "b: b.2026-11-03 b.2026-11-20",
            "c.log: c.2.log c.1.log c.log",
            "d.1.log: d.1.log",
        ],
        &[],
        &[],
    );
}

#[test]
fn where_two_ways_of_naming_meet_times_decide() {
    let place = place();
    let set_time = |name: &str, seconds: u64| {
        let path = place.log(name);
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    set_time("a.2", 1000);
    set_time("a.1", 2000);
    set_time("a-20261120", 3000);
    set_time("a-20261119", 2500);
    set_time("a", 500);
    place.check(&[""], &["a: a.2 a.1 a-20261119 a-20261120 a"], &[], &[]);
    set_time("a.1", 9000);
    place.check(&[""], &["a: a-20261119 a-20261120 a.2 a.1 a"], &[], &[]);
}

#[test]
fn a_folder_of_old_files_belongs_to_the_live_one() {
    let place = place();
    for name in ["db1/a", "db1/old/a.1", "db2/a", "db2/sub/a.2", "archive/a.3", "old/b.1"] {
        place.log(name);
    }
    place.check(
        &[""],
        &[
            "archive/a: archive/a.3", // of db1 or of db2: nothing tells
            "db1/a: db1/old/a.1 db1/a",
            "db2/a: db2/sub/a.2 db2/a",
            "old/b: old/b.1",
        ],
        &[],
        &[],
    );
    let place = self::place();
    for name in ["live/a", "old/a.1", "other/a.2"] {
        place.log(name);
    }
    place.check(&[""], &["live/a: old/a.1 live/a", "other/a: other/a.2"], &[], &[]);
}

#[test]
fn of_a_data_directory_only_audit_logs_are_taken() {
    let place = place();
    place.log("server_audit.log");
    place.log("server_audit.log.1");
    // Each of these holds a record, so only its name or its form keeps it out.
    place.log("ibdata1");
    place.log("ib_logfile0");
    place.log("shop/orders.ibd");
    place.log("shop/orders.frm");
    place.log("shop/old.MYD");
    let mut binlog = b"\xfebin".to_vec();
    binlog.extend_from_slice(b"\n20261120 x\n");
    place.write("binlog.000001", &binlog);
    let mut page = lines(0, 200);
    page.resize(16384, 0);
    place.write("unknown", &page);
    place.write("db1.err", b"2026-11-20 [Note] ready\n");
    place.write("empty", b"");
    place.write("ib_buffer_pool", b"5,3\n");
    let _socket = UnixListener::bind(place.file("mysql.sock")).unwrap();
    fifo(&place.file("pipe"));
    place.check(
        &[""],
        &["server_audit.log: server_audit.log.1 server_audit.log"],
        &[
            "binlog.000001: binary",
            "db1.err: no audit log of a known dialect",
            "empty: empty",
            "ib_buffer_pool: a table, binlog or engine file by its name",
            "ib_logfile0: a table, binlog or engine file by its name",
            "ibdata1: a table, binlog or engine file by its name",
            "mysql.sock: a socket",
            "pipe: a named pipe",
            "shop/old.MYD: a table, binlog or engine file by its name",
            "shop/orders.frm: a table, binlog or engine file by its name",
            "shop/orders.ibd: a table, binlog or engine file by its name",
            "unknown: binary",
        ],
        &[],
    );
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn what_is_named_outright_and_cannot_be_read_is_a_failure() {
    let place = place();
    place.log("good");
    place.write("text", b"no record\n");
    place.write("partial", b"2026112");
    place.write("binary", &[&b"\xfebin"[..], &[0; 99]].concat());
    place.write("text.gz", &gzip(b"no record\n"));
    let raw = gzip(&lines(0, 200));
    place.write("cut.gz", &raw[..12]);
    let _socket = UnixListener::bind(place.file("socket")).unwrap();
    fifo(&place.file("pipe"));
    symlink("round", place.file("round")).unwrap();
    symlink("nowhere", place.file("broken")).unwrap();
    fs::create_dir(place.file("folder")).unwrap();
    place.check(
        &[
            "missing",
            "good/below",
            "text",
            "partial",
            "binary",
            "text.gz",
            "cut.gz",
            "socket",
            "pipe",
            "round",
            "broken",
            "folder",
            "none*",
            "bad[",
            "good",
        ],
        &["good: good"],
        &[],
        &[
            "~/missing: no such file; check the path",
            "~/good/below: no such file; check the path",
            "~/text: no audit log of a known dialect in its first 10 bytes; tell its dialect with \
             --dialect if it is one",
            "~/partial: holds no complete line yet (7 bytes); read it again when the server has \
             written more",
            "~/binary: no audit log of a known dialect in its first 103 bytes; tell its dialect \
             with --dialect if it is one",
            "~/text.gz: no audit log of a known dialect in its first 10 bytes; tell its dialect \
             with --dialect if it is one",
            "~/cut.gz: the compressed data is cut off at byte 12; the 1 bytes of log before it are \
             read; copy the file again, or wait for its end",
            "~/socket: is a socket; name a file or a folder",
            "~/pipe: is a named pipe; name a file or a folder",
            "~/round: symbolic links form a loop; name the file they should lead to",
            "~/broken: no such file; check the path",
            "~/folder: no audit log in this folder; -v names what was skipped",
            "~/none*: the pattern matches no file; check the path",
            "~/bad[: bad pattern: invalid range pattern; write [[] for a bracket",
        ],
    );
    let device = find(&[Path::new("/dev/null")]);
    let reason = &device.failures[0].reason;
    assert!(matches!(reason, Error::NotRegular { kind: Kind::Device, .. }), "{reason}");
}

#[test]
fn an_empty_log_is_no_failure() {
    let place = place();
    place.write("a.log", b"");
    place.write("b.gz", &gzip(b""));
    place.check(&["a.log", "b.gz"], &["a.log: a.log", "b: b.gz"], &[], &[]);
    let found = find(&[&place.file("a.log")]);
    assert_eq!(found.sets[0].files[0].detected, None);
    let place = self::place();
    place.write("server_audit.log", b"");
    place.check(&[""], &["server_audit.log: server_audit.log"], &[], &[]);
}

#[test]
fn patterns_take_what_is_a_log_and_pass_over_the_rest() {
    let place = place();
    place.log("a.log");
    place.log("a.log.1");
    place.write("a.log.idx", b"index\n");
    place.log("sub/a.log.7");
    fifo(&place.file("a.log.pipe"));
    place.check(
        &["a.log*"],
        &["a.log: a.log.1 a.log"],
        &["a.log.idx: no audit log of a known dialect", "a.log.pipe: a named pipe"],
        &[],
    );
    place.check(
        &["*"],
        &["a.log: sub/a.log.7 a.log.1 a.log"],
        &["a.log.idx: no audit log of a known dialect", "a.log.pipe: a named pipe"],
        &[],
    );
    // A file whose name is a pattern is itself.
    place.log("[x]");
    place.check(&["[x]"], &["[x]: [x]"], &[], &[]);
}

#[test]
fn links_are_followed_only_where_they_are_named() {
    let (place, outside) = (place(), place());
    let log = place.log("in/a.log");
    let foreign = outside.log("a.log.1");
    symlink(&log, place.file("in/link")).unwrap();
    symlink(&foreign, place.file("in/out")).unwrap();
    symlink(&outside.path, place.file("in/outfolder")).unwrap();
    symlink(place.file("in"), place.file("in/loop")).unwrap();
    symlink("gone", place.file("in/broken")).unwrap();
    let found = find(&[&place.file("in")]);
    assert_eq!(place.sets(&found), ["in/a.log: in/a.log"]);
    let reason = |name: &str| {
        let path = place.file(name);
        let mut of_name = found.skipped.iter().filter(|skipped| skipped.path == path);
        of_name.next().map(|skipped| skipped.reason.clone()).unwrap()
    };
    assert_eq!(reason("in/link"), SkipReason::LinkInside(log.clone()));
    assert_eq!(reason("in/out"), SkipReason::LinkOutside(foreign.clone()));
    assert_eq!(reason("in/outfolder"), SkipReason::LinkOutside(outside.path.clone()));
    assert_eq!(reason("in/loop"), SkipReason::LinkInside(place.file("in")));
    assert_eq!(reason("in/broken"), SkipReason::LinkBroken);

    let named = find(&[&place.file("in/out"), &place.file("in/outfolder")]);
    assert!(named.failures.is_empty());
    assert_eq!(named.sets.len(), 1);
    assert_eq!(named.sets[0].files[0].path, foreign);
    assert_eq!(named.redirected[0].link, place.file("in/out"));
    assert_eq!(named.redirected[0].target, foreign);
}

#[test]
fn each_file_is_taken_once() {
    let place = place();
    let log = place.log("a.log");
    fs::hard_link(&log, place.file("b.log")).unwrap();
    place.check(&["", "a.log", "", "a.*"], &["a.log: a.log"], &["b.log: the same as ~/a.log"], &[]);
}

#[test]
fn a_record_behind_a_torn_start_is_found_up_to_the_bound() {
    let place = place();
    for (name, torn, taken) in
        [("near", 5000, true), ("at", DETECT_BYTES - 10, true), ("beyond", DETECT_BYTES, false)]
    {
        let mut text = vec![b'x'; torn - 1];
        text.push(b'\n');
        text.extend_from_slice(&lines(0, 100));
        for (name, bytes) in [(name.to_owned(), text.clone()), (format!("{name}.gz"), gzip(&text))]
        {
            let found = find(&[&place.write(&name, &bytes)]);
            assert_eq!(found.sets.len() == 1, taken, "{name}");
            assert_eq!(found.failures.is_empty(), taken, "{name}");
        }
    }
}

#[test]
fn folders_are_walked_down_to_the_bound() {
    let place = place();
    let deep = |depth: usize| vec!["d"; depth].join("/") + "/a.log";
    place.log(&deep(DEPTH_MAX));
    place.log(&deep(DEPTH_MAX + 1));
    let found = find(&[&place.path]);
    assert_eq!(found.sets.len(), 1);
    assert_eq!(place.short(&found.sets[0].location), deep(DEPTH_MAX));
    let reasons: Vec<&SkipReason> = found.skipped.iter().map(|skipped| &skipped.reason).collect();
    assert_eq!(reasons, [&SkipReason::TooDeep]);
}

#[test]
fn a_damaged_archive_that_says_audit_is_named_among_the_failures() {
    let place = place();
    let raw = gzip(&lines(0, 200));
    place.write("server_audit.log.2.gz", &raw[..12]);
    place.write("other.gz", &raw[..12]);
    place.log("server_audit.log");
    let found = find(&[&place.path]);
    assert_eq!(found.sets.len(), 1);
    assert_eq!(found.failures.len(), 1);
    assert!(matches!(found.failures[0].reason, Error::CutShort { .. }));
    assert_eq!(place.skipped(&found), ["other.gz: compressed data, cut off"]);
}
