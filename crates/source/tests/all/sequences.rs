//! Whatever a server, logrotate and an administrator do to a log between two scans: each line is
//! read exactly once.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use source::{Compression, OpenFile};

use crate::book::{Book, append, files_of, gzip, zstd};

#[derive(Debug, Clone)]
enum Step {
    /// The server writes records of these lengths.
    Write(Vec<usize>),
    /// The server has written the beginning of a record only; the next write ends it.
    WriteHalf(usize),
    /// `a.log` becomes `a.log.1`, and so on; the server opens a new file.
    Rotate,
    /// The same, with a date for a suffix.
    RotateDated,
    /// The content is copied away and the file cut to nothing.
    CopyTruncate,
    /// The n-th rotated file is compressed and removed.
    Compress {
        nth: usize,
        zstd: bool,
    },
    /// The same, and the plain file stays.
    CompressBeside {
        nth: usize,
        zstd: bool,
    },
    /// Half of the archive is written, and the plain file stays.
    CompressHalf {
        nth: usize,
    },
    /// Somebody copies the n-th file.
    Copy {
        nth: usize,
    },
    /// The n-th rotated file goes to the folder for old ones.
    Move {
        nth: usize,
    },
    Scan,
    /// A scan that dies after it has stored this many lines of each file.
    ScanPart(usize),
    /// A scan of the live file alone.
    ScanLive,
}

fn step() -> impl Strategy<Value = Step> {
    let nth = 0..8_usize;
    prop_oneof![
        4 => prop::collection::vec(1..3000_usize, 1..5).prop_map(Step::Write),
        1 => (1..500_usize).prop_map(Step::WriteHalf),
        3 => Just(Step::Rotate),
        1 => Just(Step::RotateDated),
        2 => Just(Step::CopyTruncate),
        2 => (nth.clone(), any::<bool>()).prop_map(|(nth, zstd)| Step::Compress { nth, zstd }),
        1 => (nth.clone(), any::<bool>())
            .prop_map(|(nth, zstd)| Step::CompressBeside { nth, zstd }),
        1 => nth.clone().prop_map(|nth| Step::CompressHalf { nth }),
        1 => nth.clone().prop_map(|nth| Step::Copy { nth }),
        1 => nth.prop_map(|nth| Step::Move { nth }),
        5 => Just(Step::Scan),
        1 => (0..6_usize).prop_map(Step::ScanPart),
        1 => Just(Step::ScanLive),
    ]
}

struct World {
    folder: PathBuf,
    written: Vec<Vec<u8>>,
    /// Of the record that is written by half.
    half: Vec<u8>,
    counter: usize,
}

impl World {
    fn live(&self) -> PathBuf {
        self.folder.join("a.log")
    }

    /// A record of about this length, not seen before; the counter also fills it, so that no two
    /// pages are alike.
    fn record(&mut self, len: usize) -> Vec<u8> {
        self.counter += 1;
        let mut record = format!("{}:", self.counter).into_bytes();
        while record.len() < len {
            record.extend_from_slice(format!("{:x},", self.counter * 2_654_435_761).as_bytes());
        }
        record.push(b'\n');
        record
    }

    fn finish_half(&mut self) {
        if !self.half.is_empty() {
            let rest = b"end\n";
            append(&self.live(), rest);
            let record = [&self.half[..], rest].concat();
            self.half.clear();
            self.written.push(record);
        }
    }

    /// Files that are not written to, by name; only plain ones.
    fn rotated(&self) -> Vec<PathBuf> {
        let mut files = self.files();
        let plain =
            |path: &PathBuf| OpenFile::open(path).unwrap().compression() == Compression::Plain;
        files.retain(|path| *path != self.live() && plain(path));
        files
    }

    /// Makes room for `a.log.1`.
    fn shift(&self) {
        for number in (1..100).rev() {
            for ending in ["", ".gz", ".zst"] {
                let from = self.folder.join(format!("a.log.{number}{ending}"));
                if from.exists() {
                    let to = self.folder.join(format!("a.log.{}{ending}", number + 1));
                    fs::rename(from, to).unwrap();
                }
            }
        }
    }

    fn archive(path: &Path, as_zstd: bool) -> (PathBuf, Vec<u8>) {
        let content = fs::read(path).unwrap();
        let ending = if as_zstd { "zst" } else { "gz" };
        let name = PathBuf::from(format!("{}.{ending}", path.display()));
        (name, if as_zstd { zstd(&content) } else { gzip(&content) })
    }

    fn act(&mut self, step: &Step, book: &mut Book) {
        let pick = |files: Vec<PathBuf>, nth: usize| {
            let len = files.len().max(1);
            files.into_iter().nth(nth % len)
        };
        match step {
            Step::Write(lengths) => {
                self.finish_half();
                for len in lengths {
                    let record = self.record(*len);
                    append(&self.live(), &record);
                    self.written.push(record);
                }
            }
            Step::WriteHalf(len) => {
                self.finish_half();
                let mut record = self.record(*len);
                record.pop();
                append(&self.live(), &record);
                self.half = record;
            }
            Step::Rotate => {
                self.finish_half();
                self.shift();
                fs::rename(self.live(), self.folder.join("a.log.1")).unwrap();
                append(&self.live(), b"");
            }
            Step::RotateDated => {
                self.finish_half();
                self.counter += 1;
                let name = format!("a.log-20261120-{}", 1_764_000_000 + self.counter);
                fs::rename(self.live(), self.folder.join(name)).unwrap();
                append(&self.live(), b"");
            }
            Step::CopyTruncate => {
                self.finish_half();
                self.shift();
                fs::copy(self.live(), self.folder.join("a.log.1")).unwrap();
                fs::write(self.live(), b"").unwrap();
            }
            Step::Compress { nth, zstd } | Step::CompressBeside { nth, zstd } => {
                if let Some(path) = pick(self.rotated(), *nth) {
                    let (name, bytes) = World::archive(&path, *zstd);
                    fs::write(name, bytes).unwrap();
                    if matches!(step, Step::Compress { .. }) {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
            Step::CompressHalf { nth } => {
                if let Some(path) = pick(self.rotated(), *nth) {
                    let (name, bytes) = World::archive(&path, false);
                    if !name.exists() {
                        fs::write(name, &bytes[..bytes.len() / 2]).unwrap();
                    }
                }
            }
            Step::Copy { nth } => {
                self.counter += 1;
                if let Some(path) = pick(files_of(&self.folder), *nth) {
                    fs::copy(path, self.folder.join(format!("copy{}", self.counter))).unwrap();
                }
            }
            Step::Move { nth } => {
                if let Some(path) = pick(self.rotated(), *nth) {
                    self.counter += 1;
                    let name = format!("moved{}", self.counter);
                    fs::rename(path, self.folder.join("old").join(name)).unwrap();
                }
            }
            Step::Scan => drop(book.scan(&self.files())),
            Step::ScanPart(lines) => book.scan_part(&self.files(), *lines),
            Step::ScanLive => drop(book.scan(&[self.live()])),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = files_of(&self.folder);
        files.extend(files_of(&self.folder.join("old")));
        files
    }
}

fn sorted(lines: &[Vec<u8>]) -> Vec<String> {
    let mut sorted: Vec<String> = lines
        .iter()
        .map(|line| String::from_utf8_lossy(&line[..line.len().min(24)]).into_owned())
        .collect();
    sorted.sort();
    sorted
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_shrink_iters: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn each_line_is_read_exactly_once(steps in prop::collection::vec(step(), 1..30)) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("old")).unwrap();
        let mut world = World {
            folder: folder.path().to_path_buf(),
            written: Vec::new(),
            half: Vec::new(),
            counter: 0,
        };
        append(&world.live(), b"");
        let mut book = Book::default();
        for step in &steps {
            world.act(step, &mut book);
            let mut seen = sorted(&book.lines);
            seen.dedup();
            prop_assert_eq!(seen.len(), book.lines.len(), "a line was read twice, at {:?}", step);
        }
        world.finish_half();
        book.scan(&world.files());
        prop_assert_eq!(sorted(&book.lines), sorted(&world.written));
        let before = book.lines.len();
        book.scan(&world.files());
        prop_assert_eq!(book.lines.len(), before);
    }
}
