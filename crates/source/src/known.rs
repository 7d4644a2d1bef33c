//! The marks of earlier runs, indexed by everything that a file can be found by.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::candidate::Candidate;
use crate::capture::{Fingerprint, LineEnd, line_ends, short};
use crate::open::Facts;

/// What is known of a file without its decompressed content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Raw {
    /// When it was last looked at.
    pub facts: Facts,
    /// Of a compressed file the hash of its length, first and last 4 KiB, so that it is recognised
    /// without decompressing it. Zero for a plain file.
    pub print: [u8; 16],
    /// Whether it had been read to its end (or cut) as it stood then, all but an unfinished last
    /// line.
    pub drained: bool,
}

/// A mark that an earlier run left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFile {
    /// The caller's name for it.
    pub key: i64,
    /// Where it stood.
    pub path: PathBuf,
    /// What was read of it.
    pub fingerprint: Fingerprint,
    /// The file itself.
    pub raw: Raw,
}

/// All marks, indexed: looking one up costs the same for ten as for ten thousand.
#[derive(Debug, Default)]
pub struct Known {
    pub(crate) files: Vec<KnownFile>,
    by_inode: HashMap<(u64, u64), Vec<usize>>,
    pub(crate) by_print: HashMap<[u8; 16], Vec<usize>>,
    by_head: BTreeMap<u32, HashMap<[u8; 16], Vec<usize>>>,
    by_line: HashMap<LineEnd, usize>,
}

impl Known {
    /// Indexes the marks.
    pub fn new(files: Vec<KnownFile>) -> Known {
        let mut known = Known { files, ..Known::default() };
        for (i, file) in known.files.iter().enumerate() {
            let facts = &file.raw.facts;
            known.by_inode.entry((facts.device, facts.inode)).or_default().push(i);
            if file.raw.print != [0; 16] && file.raw.drained {
                known.by_print.entry(file.raw.print).or_default().push(i);
            }
            let mark = &file.fingerprint;
            if mark.head_len > 0 {
                let of_length = known.by_head.entry(mark.head_len).or_default();
                of_length.entry(mark.head).or_default().push(i);
            }
            for line in &mark.lines {
                // One of which more is known goes before.
                let best = known.by_line.entry(*line).or_insert(i);
                if mark.lines.len() >= known.files[*best].fingerprint.lines.len() {
                    *best = i;
                }
            }
        }
        known
    }

    /// The marks as given.
    pub fn files(&self) -> &[KnownFile] {
        &self.files
    }

    /// Marks whose head is found at the start of `head`.
    pub(crate) fn with_head(&self, head: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        let mut hasher = Sha256::new();
        let mut hashed = 0;
        for (&len, of_length) in self.by_head.range(..=head.len() as u32) {
            hasher.update(&head[hashed..len as usize]);
            hashed = len as usize;
            if let Some(marks) = of_length.get(&short(hasher.clone().finalize().as_slice())) {
                found.extend_from_slice(marks);
            }
        }
        found
    }

    /// How much of a head was read already, as a part of some log's head: the key of its mark and the
    /// offset behind the last line of it that was read. For input that begins as no mark says.
    pub fn begun(&self, head: &[u8]) -> Option<(i64, u64)> {
        self.line_read(head).map(|(i, offset)| (self.files[i].key, offset))
    }

    /// The last line of `head` up to which some mark's head is the same, and that mark.
    pub(crate) fn line_read(&self, head: &[u8]) -> Option<(usize, u64)> {
        if self.by_line.is_empty() {
            return None;
        }
        let read = |line: &LineEnd| Some((*self.by_line.get(line)?, u64::from(line.0)));
        line_ends(head).iter().rev().find_map(read)
    }

    /// A mark, and those of the same log that lie before it or at it.
    pub(crate) fn before(&self, mark: usize) -> impl Iterator<Item = usize> {
        let last = &self.files[mark].fingerprint;
        let of_length = self.by_head.get(&last.head_len).and_then(|it| it.get(&last.head));
        let same = of_length.into_iter().flatten().copied();
        std::iter::once(mark)
            .chain(same.filter(|&i| self.files[i].fingerprint.offset <= last.offset))
    }

    /// Marks of this very file, as far as the file system can tell.
    pub(crate) fn of_file(&self, facts: Facts) -> impl Iterator<Item = usize> {
        let same = self.by_inode.get(&(facts.device, facts.inode));
        let files = &self.files;
        same.into_iter().flatten().copied().filter(move |&i| files[i].raw.facts.same_file(&facts))
    }

    /// Orders marks that fit equally well: the file itself, then its path, then the older mark.
    pub(crate) fn nearness(
        &self,
        i: usize,
        candidate: &Candidate,
    ) -> (bool, bool, std::cmp::Reverse<i64>) {
        let mark = &self.files[i];
        let same_file = mark.raw.facts.same_file(&candidate.file.facts());
        (same_file, mark.path == candidate.file.path(), std::cmp::Reverse(mark.key))
    }
}
