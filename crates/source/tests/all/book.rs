//! A small caller that follows the answers of `decide` as a ledger would: it keeps marks and the
//! complete lines that it has read.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression as Level;
use source::{Candidate, Error, Fingerprint, Known, KnownFile, OpenFile, Resume, decide};

#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) marks: Vec<KnownFile>,
    pub(crate) lines: Vec<Vec<u8>>,
    next_key: i64,
    /// How many lines of a file are stored before the scan dies.
    lines_max: usize,
}

impl Default for Book {
    fn default() -> Book {
        Book { marks: Vec::new(), lines: Vec::new(), next_key: 0, lines_max: usize::MAX }
    }
}

impl Book {
    /// A scan that dies in the middle of each file.
    pub(crate) fn scan_part(&mut self, paths: &[PathBuf], lines_max: usize) {
        self.lines_max = lines_max;
        self.round(paths);
        self.lines_max = usize::MAX;
    }

    fn round(&mut self, paths: &[PathBuf]) -> Vec<Resume> {
        let candidates: Vec<Candidate> = paths.iter().map(|path| candidate(path)).collect();
        let known = Known::new(self.marks.clone());
        let answers: Vec<Resume> =
            decide(&candidates, &known).resumes.into_iter().map(Result::unwrap).collect();
        for (candidate, answer) in candidates.iter().zip(&answers) {
            self.follow(candidate, *answer);
        }
        answers
    }

    /// Reads what is new in the files; the answers of the first round, by the order of the paths.
    pub(crate) fn scan(&mut self, paths: &[PathBuf]) -> Vec<Resume> {
        let mut first = None;
        for round in 0.. {
            assert!(round <= paths.len(), "twins without end");
            let answers = self.round(paths);
            let again = answers.iter().any(|answer| matches!(answer, Resume::Twin { .. }));
            first.get_or_insert(answers);
            if !again {
                break;
            }
        }
        first.unwrap()
    }

    fn follow(&mut self, candidate: &Candidate, answer: Resume) {
        match answer {
            Resume::Unchanged { key } => {
                let fingerprint = self.mark(key).fingerprint.clone();
                self.store(key, candidate, (fingerprint, true));
            }
            Resume::Copy { key } => {
                let fingerprint = self.mark(key).fingerprint.clone();
                let key = self.new_key();
                self.store(key, candidate, (fingerprint, true));
            }
            Resume::Continue { key, offset } => {
                let reached = self.read(candidate, offset);
                self.store(key, candidate, reached);
            }
            Resume::Fork { offset, .. } => {
                let reached = self.read(candidate, offset);
                let key = self.new_key();
                self.store(key, candidate, reached);
            }
            Resume::New => {
                let reached = self.read(candidate, 0);
                let key = self.new_key();
                self.store(key, candidate, reached);
            }
            Resume::Rewritten { .. }
            | Resume::Shorter { .. }
            | Resume::Twin { .. }
            | Resume::Covered { .. } => {}
        }
    }

    /// Takes the complete lines from the offset on; tells the mark and whether the end was reached.
    fn read(&mut self, candidate: &Candidate, offset: u64) -> (Fingerprint, bool) {
        let mut stream = candidate.file().stream(offset).unwrap();
        let mut capture = stream.capture().clone();
        let mut rest = Vec::new();
        let mut buffer = vec![0; 3000];
        let mut taken = 0;
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => rest.extend_from_slice(&buffer[..n]),
                Err(error) if error.ends_stream() => break,
                Err(error) => panic!("{error}"),
            }
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                if taken == self.lines_max {
                    return (capture.fingerprint(), false);
                }
                taken += 1;
                let line: Vec<u8> = rest.drain(..=end).collect();
                capture.feed(&line);
                self.lines.push(line);
            }
        }
        (capture.fingerprint(), true)
    }

    pub(crate) fn mark(&self, key: i64) -> &KnownFile {
        self.marks.iter().find(|mark| mark.key == key).unwrap()
    }

    fn new_key(&mut self) -> i64 {
        self.next_key += 1;
        self.next_key
    }

    fn store(&mut self, key: i64, candidate: &Candidate, reached: (Fingerprint, bool)) {
        let mark = KnownFile {
            key,
            path: candidate.file().path().to_path_buf(),
            fingerprint: reached.0,
            raw: candidate.raw(reached.1),
        };
        match self.marks.iter_mut().find(|mark| mark.key == key) {
            Some(old) => *old = mark,
            None => self.marks.push(mark),
        }
    }
}

pub(crate) fn candidate(path: &Path) -> Candidate {
    Candidate::new(OpenFile::open(path).unwrap()).unwrap()
}

/// All files of a folder by name.
pub(crate) fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    // With a checksum, as the `zstd` program does.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn append(path: &Path, bytes: &[u8]) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// Lines that occur nowhere else: each holds its number; `bytes` in all, at least.
pub(crate) fn lines(from: usize, bytes: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut number = from;
    while text.len() < bytes {
        let line = format!("20261120 07:18:43,db1,app,10.0.0.7,{number},0,CONNECT,,,0\n");
        text.extend_from_slice(line.as_bytes());
        number += 1;
    }
    text
}

/// Reads a stream to its end, with the error that ends it.
pub(crate) fn drain<R: std::io::Read>(
    stream: &mut source::Stream<R>,
    buffer_bytes: usize,
) -> (Vec<u8>, Option<Error>) {
    let mut all = Vec::new();
    let mut buffer = vec![0; buffer_bytes];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (all, None),
            Ok(n) => all.extend_from_slice(&buffer[..n]),
            Err(error) => return (all, Some(error)),
        }
    }
}
