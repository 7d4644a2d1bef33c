//! Which file is which: where reading goes on in files that were renamed, compressed, copied or
//! replaced since they were last read.
//!
//! A file is known by its content: by the hash of its decompressed head and of the bytes before the
//! offset that was reached. Device, inode and birth time only break ties, because file systems hand
//! a freed inode out again at once, and because `gzip` and `copytruncate` change the inode of a log.
//!
//! ```text
//! known          file now                       answer
//! a @ 1000       a.1, 1000 bytes                Unchanged: renamed
//! a @ 1000       a.1, 1500 bytes                Continue at 1000
//! a @ 1000       a.1.gz of 1500 bytes           Continue at 1000 (decompressed)
//! a @ 1000       a, other content; a.1 is ours  New
//! a @ 1000       a, other content; no a.1       Replaced: what was not read of it is gone
//! a @ 9000       same head, other bytes before  Rewritten: refused
//! a @ 9000       same head, 5000 bytes          Shorter: an older copy, nothing to read
//! ```
//!
//! # Invariants
//! * A file is continued only where all bytes that the mark hashes are found in it again.
//! * Of files in one batch that begin alike only one is read; the others wait (`Twin`) or are part
//!   of it (`Covered`). So no record is counted twice, whatever copies lie about.
//! * A file in which nothing is new costs two reads of at most 4 KiB.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::capture::{Fingerprint, HEAD_BYTES, TAIL_BYTES, hash, short};
use crate::decode::Compression;
use crate::error::Error;
use crate::open::{Facts, OpenFile};

/// What is known of a file without its decompressed content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Raw {
    /// When it was last looked at.
    pub facts: Facts,
    /// Of a compressed file the hash of its length, first and last 4 KiB, so that it is recognised
    /// without decompressing it. Zero for a plain file.
    pub print: [u8; 16],
    /// Whether it had been read to its end (or cut) as it stood then, all but an unfinished last line.
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

/// Where reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resume {
    /// Nothing is new. The file may stand elsewhere or be compressed by now: the caller stores its
    /// path and [`Candidate::raw`] (drained) with the key.
    Unchanged {
        /// Of the mark.
        key: i64,
    },
    /// Nothing is new, and another file of the batch stays with the key. The caller stores a mark of its own with the fingerprint
    /// of the key, so that the copy is recognised at once next time.
    Copy {
        /// Of the mark.
        key: i64,
    },
    /// Goes on under the key.
    Continue {
        /// Of the mark.
        key: i64,
        /// In decompressed bytes.
        offset: u64,
    },
    /// Goes on where the mark ends, but the mark's own file is in the batch too: the caller stores
    /// what it read under a new key.
    Fork {
        /// Of the mark.
        key: i64,
        /// In decompressed bytes.
        offset: u64,
    },
    /// Not seen before: read from the start under a new key.
    New,
    /// New content stands where the mark's file stood, which is nowhere in the batch: what had not
    /// been read of it, if anything, is gone. Read from the start under a new key.
    Replaced {
        /// Of the mark whose file is gone.
        key: i64,
    },
    /// Begins as the mark says, but the bytes before its offset differ: somebody edited the log.
    /// Nothing is to be read, because what was counted cannot be told from what was not.
    Rewritten {
        /// Of the mark.
        key: i64,
    },
    /// Begins as the mark says and ends before its offset: an older copy, a log cut short, an
    /// archive being written. Nothing is to be read.
    Shorter {
        /// Of the mark.
        key: i64,
    },
    /// Begins with the same 4 KiB as another candidate that is to be read. To be decided again, in
    /// one batch with that one, once its mark is stored; alone, if reading that one failed.
    Twin {
        /// Index of the other candidate.
        of: usize,
    },
    /// Its whole content is the beginning of another candidate. Nothing is to be read.
    Covered {
        /// Index of the other candidate.
        by: usize,
    },
}

impl Resume {
    /// Whether there is something to read now.
    pub fn reads(&self) -> bool {
        matches!(
            self,
            Resume::Continue { .. } | Resume::Fork { .. } | Resume::New | Resume::Replaced { .. }
        )
    }
}

/// An open file about which is to be decided.
#[derive(Debug)]
pub struct Candidate {
    file: OpenFile,
    print: [u8; 16],
    head: OnceCell<Vec<u8>>,
}

impl Candidate {
    /// Reads the first and last 4 KiB of a compressed file, and nothing of a plain one.
    ///
    /// # Errors
    /// Where reading fails.
    pub fn new(file: OpenFile) -> Result<Candidate, Error> {
        let print = match file.compression() {
            Compression::Plain => [0; 16],
            Compression::Gzip | Compression::Zstd => print_of(&file)?,
        };
        Ok(Candidate { file, print, head: OnceCell::new() })
    }

    /// The open file.
    pub fn file(&self) -> &OpenFile {
        &self.file
    }

    /// To be stored with the mark. `drained`: it was read to its end or cut.
    pub fn raw(&self, drained: bool) -> Raw {
        Raw { facts: self.file.facts(), print: self.print, drained }
    }

    /// The first decompressed bytes: fewer than [`HEAD_BYTES`] where the content (or what can be
    /// decompressed of it) ends before.
    fn head(&self) -> Result<&[u8], Error> {
        if let Some(head) = self.head.get() {
            return Ok(head);
        }
        let head = match self.file.compression() {
            Compression::Plain => {
                let mut head = vec![0; HEAD_BYTES];
                let n = self.file.read_full_at(&mut head, 0)?;
                // What was written since the file was opened is for the next time.
                head.truncate(n.min(usize::try_from(self.file.facts().len).unwrap_or(n)));
                head
            }
            Compression::Gzip | Compression::Zstd => {
                let mut stream = self.file.stream(0)?;
                stream.skip_to(HEAD_BYTES as u64)?;
                stream.head().to_vec()
            }
        };
        Ok(self.head.get_or_init(|| head))
    }

    fn is_plain(&self) -> bool {
        self.file.compression() == Compression::Plain
    }
}

/// Hash of the length, the first and the last 4 KiB as stored. The last bytes of a gzip member are
/// the checksum and length of its content.
fn print_of(file: &OpenFile) -> Result<[u8; 16], Error> {
    let len = file.facts().len;
    let mut bytes = vec![0; HEAD_BYTES + TAIL_BYTES];
    let head = file.read_full_at(&mut bytes[..HEAD_BYTES], 0)?;
    let last = len.saturating_sub(TAIL_BYTES as u64);
    let tail = file.read_full_at(&mut bytes[HEAD_BYTES..], last)?;
    let mut hasher = Sha256::new();
    hasher.update(len.to_le_bytes());
    hasher.update(&bytes[..head]);
    hasher.update(&bytes[HEAD_BYTES..HEAD_BYTES + tail]);
    Ok(short(hasher.finalize().as_slice()))
}

/// All marks, indexed: looking one up costs the same for ten as for ten thousand.
#[derive(Debug, Default)]
pub struct Known {
    files: Vec<KnownFile>,
    by_inode: HashMap<(u64, u64), Vec<usize>>,
    by_path: HashMap<PathBuf, Vec<usize>>,
    by_print: HashMap<[u8; 16], Vec<usize>>,
    by_head: BTreeMap<u32, HashMap<[u8; 16], Vec<usize>>>,
}

impl Known {
    /// Indexes the marks.
    pub fn new(files: Vec<KnownFile>) -> Known {
        let mut known = Known { files, ..Known::default() };
        for (i, file) in known.files.iter().enumerate() {
            let facts = &file.raw.facts;
            known.by_inode.entry((facts.device, facts.inode)).or_default().push(i);
            known.by_path.entry(file.path.clone()).or_default().push(i);
            if file.raw.print != [0; 16] && file.raw.drained {
                known.by_print.entry(file.raw.print).or_default().push(i);
            }
            let mark = &file.fingerprint;
            if mark.head_len > 0 {
                let of_length = known.by_head.entry(mark.head_len).or_default();
                of_length.entry(mark.head).or_default().push(i);
            }
        }
        known
    }

    /// The marks as given.
    pub fn files(&self) -> &[KnownFile] {
        &self.files
    }

    /// Marks whose head is found at the start of `head`.
    fn with_head(&self, head: &[u8]) -> Vec<usize> {
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

    /// Marks of this very file, as far as the file system can tell.
    fn of_file(&self, facts: Facts) -> impl Iterator<Item = usize> {
        let same = self.by_inode.get(&(facts.device, facts.inode));
        let files = &self.files;
        same.into_iter().flatten().copied().filter(move |&i| files[i].raw.facts.same_file(&facts))
    }

    fn at_path(&self, path: &Path) -> impl Iterator<Item = usize> {
        self.by_path.get(path).into_iter().flatten().copied()
    }

    /// Orders marks that fit equally well: the file itself, then its path, then the older mark.
    fn nearness(&self, i: usize, candidate: &Candidate) -> (bool, bool, std::cmp::Reverse<i64>) {
        let mark = &self.files[i];
        let same_file = mark.raw.facts.same_file(&candidate.file.facts());
        (same_file, mark.path == candidate.file.path(), std::cmp::Reverse(mark.key))
    }
}

/// What one candidate is, seen alone. Numbers index `Known::files`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    At {
        mark: usize,
        offset: u64,
        more: bool,
    },
    Shorter {
        mark: usize,
    },
    Rewritten {
        mark: usize,
    },
    Nothing,
    /// Its error is the answer.
    Unreadable,
}

/// Decides for all files of one run together: which mark belongs to which file can only be told
/// where all files that may hold it are seen. The answers stand in the order of the candidates; a
/// file that cannot be read has its error.
pub fn decide(candidates: &[Candidate], known: &Known) -> Vec<Result<Resume, Error>> {
    let mut failed: Vec<Option<Error>> = Vec::with_capacity(candidates.len());
    let mut fits = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        match fit(candidate, known) {
            Ok(fit) => {
                fits.push(fit);
                failed.push(None);
            }
            Err(error) => {
                fits.push(Fit::Unreadable);
                failed.push(Some(error));
            }
        }
    }
    let alike = alike(candidates, &fits, known);
    let mut claims = Claims::new(candidates, known, &fits);
    let mut answers = Vec::with_capacity(candidates.len());
    for (i, error) in failed.into_iter().enumerate() {
        answers.push(match error {
            Some(error) => Err(error),
            None => Ok(claims.resolve(i, alike.get(&i).copied())),
        });
    }
    answers
}

/// Looks for the mark of one file.
fn fit(candidate: &Candidate, known: &Known) -> Result<Fit, Error> {
    if !candidate.is_plain()
        && let Some(marks) = known.by_print.get(&candidate.print)
        && let Some(mark) = nearest(marks.iter().copied(), candidate, known)
    {
        let offset = known.files[mark].fingerprint.offset;
        return Ok(Fit::At { mark, offset, more: false });
    }
    let head = candidate.head()?;
    let mut marks = known.with_head(head);
    if marks.is_empty() {
        return Ok(fit_unread(candidate, known, head));
    }
    marks.sort_by_key(|&i| known.files[i].fingerprint.offset);
    if candidate.is_plain() {
        fit_plain(candidate, known, &marks)
    } else {
        fit_compressed(candidate, known, &marks)
    }
}

/// A file of which nothing was read has no content to be found by, only its number.
fn fit_unread(candidate: &Candidate, known: &Known, head: &[u8]) -> Fit {
    let unread =
        known.of_file(candidate.file.facts()).filter(|&i| known.files[i].fingerprint.offset == 0);
    match nearest(unread, candidate, known) {
        Some(mark) => Fit::At { mark, offset: 0, more: !head.is_empty() },
        None => Fit::Nothing,
    }
}

fn nearest(
    marks: impl Iterator<Item = usize>,
    candidate: &Candidate,
    known: &Known,
) -> Option<usize> {
    marks.max_by_key(|&i| known.nearness(i, candidate))
}

/// `marks` have the head of the file and stand in the order of their offsets.
fn fit_plain(candidate: &Candidate, known: &Known, marks: &[usize]) -> Result<Fit, Error> {
    let len = candidate.file.facts().len;
    let mut found = Search::default();
    let mut buffer = vec![0; TAIL_BYTES];
    for &i in marks {
        let mark = &known.files[i].fingerprint;
        let tail_len = mark.tail_len as usize;
        let Some(start) =
            mark.offset.checked_sub(tail_len as u64).filter(|_| tail_len <= TAIL_BYTES)
        else {
            continue; // A mark that no reader leaves.
        };
        if mark.offset > len {
            found.shorter(i, candidate, known);
            continue;
        }
        let tail = &mut buffer[..tail_len];
        let n = candidate.file.read_full_at(tail, start)?;
        found.verified(i, n == tail_len && hash(tail) == mark.tail, candidate, known);
    }
    Ok(found.result(known, |i| {
        let mark = &known.files[i];
        // What was left then is an unfinished line, and nothing was added to it.
        let as_it_was = mark.raw.drained && mark.raw.facts == candidate.file.facts();
        mark.fingerprint.offset < len && !as_it_was
    }))
}

/// As [`fit_plain`]; decodes the file once up to the largest offset.
fn fit_compressed(candidate: &Candidate, known: &Known, marks: &[usize]) -> Result<Fit, Error> {
    let mut stream = candidate.file.stream(0)?;
    let mut found = Search::default();
    for &i in marks {
        let mark = &known.files[i].fingerprint;
        if stream.skip_to(mark.offset)? < mark.offset {
            found.shorter(i, candidate, known);
            continue;
        }
        let fits =
            mark.tail_len as usize == stream.tail().len() && hash(stream.tail()) == mark.tail;
        found.verified(i, fits, candidate, known);
    }
    let reached = stream.offset();
    let more = stream.skip_to(reached + 1)? > reached;
    Ok(found.result(known, |i| known.files[i].fingerprint.offset < reached || more))
}

/// The best of several marks with one head.
#[derive(Default)]
struct Search {
    verified: Option<usize>,
    shorter: Option<usize>,
    rewritten: Option<usize>,
}

impl Search {
    fn verified(&mut self, i: usize, fits: bool, candidate: &Candidate, known: &Known) {
        let rank = |i: usize| (known.files[i].fingerprint.offset, known.nearness(i, candidate));
        let best = if fits { &mut self.verified } else { &mut self.rewritten };
        if best.is_none_or(|other| rank(i) > rank(other)) {
            *best = Some(i);
        }
    }

    fn shorter(&mut self, i: usize, candidate: &Candidate, known: &Known) {
        self.shorter = match self.shorter {
            Some(other) if known.nearness(other, candidate) > known.nearness(i, candidate) => {
                Some(other)
            }
            _ => Some(i),
        };
    }

    /// More was read of a log with this head than the file holds: then the file has nothing new,
    /// even where a mark of an older copy fits it.
    fn result(&self, known: &Known, more: impl Fn(usize) -> bool) -> Fit {
        if let Some(mark) = self.shorter {
            return match self.verified {
                Some(own) if !more(own) => {
                    Fit::At { mark: own, offset: known.files[own].fingerprint.offset, more: false }
                }
                _ => Fit::Shorter { mark },
            };
        }
        if let Some(mark) = self.verified {
            let offset = known.files[mark].fingerprint.offset;
            return Fit::At { mark, offset, more: more(mark) };
        }
        self.rewritten.map_or(Fit::Nothing, |mark| Fit::Rewritten { mark })
    }
}

/// How a file relates to another one of the batch.
#[derive(Debug, Clone, Copy)]
enum Alike {
    Twin(usize),
    Covered(usize),
}

/// Finds files that begin alike, so that only one of them is read now.
fn alike(candidates: &[Candidate], fits: &[Fit], known: &Known) -> HashMap<usize, Alike> {
    let mut readers: Vec<(usize, &[u8])> = Vec::new();
    for (i, candidate) in candidates.iter().enumerate() {
        let wants = matches!(fits[i], Fit::Nothing | Fit::At { more: true, .. });
        match candidate.head.get() {
            Some(head) if wants && !head.is_empty() => readers.push((i, head)),
            _ => {}
        }
    }
    let mut finished: BTreeMap<&[u8], usize> = BTreeMap::new();
    if readers.iter().any(|(_, head)| head.len() < HEAD_BYTES) {
        let reading: HashSet<usize> = readers.iter().map(|(i, _)| *i).collect();
        for (i, candidate) in candidates.iter().enumerate() {
            if !reading.contains(&i)
                && fits[i] != Fit::Unreadable
                && let Ok(head) = candidate.head()
            {
                finished.entry(head).or_insert(i);
            }
        }
    }
    // Who has been read furthest goes first, then the longest, the known, the plain.
    readers.sort_by_key(|&(i, head)| {
        let (offset, same) = match fits[i] {
            Fit::At { mark, offset, .. } => (offset, known.nearness(mark, &candidates[i]).0),
            _ => (0, false),
        };
        let file = &candidates[i].file;
        let plain = candidates[i].is_plain();
        let len = if plain { file.facts().len } else { 0 };
        std::cmp::Reverse((offset, head.len(), same, plain, len, std::cmp::Reverse(i)))
    });
    let mut owners: BTreeMap<&[u8], usize> = BTreeMap::new();
    let mut alike = HashMap::new();
    for (i, head) in readers {
        if head.len() == HEAD_BYTES {
            match owners.get(head) {
                Some(&of) => drop(alike.insert(i, Alike::Twin(of))),
                None => drop(owners.insert(head, i)),
            }
            continue;
        }
        // Without a line break nothing proves that both are one log, and nothing is lost.
        let longer = longer(&owners, head).or_else(|| longer(&finished, head));
        match longer.filter(|_| head.contains(&b'\n')) {
            Some(by) => drop(alike.insert(i, Alike::Covered(by))),
            None => drop(owners.insert(head, i)),
        }
    }
    alike
}

/// A file whose head begins with all of `head`.
fn longer(heads: &BTreeMap<&[u8], usize>, head: &[u8]) -> Option<usize> {
    let from = (Bound::Included(head), Bound::Unbounded);
    let (other, &i) = heads.range::<[u8], _>(from).next()?;
    other.starts_with(head).then_some(i)
}

/// Which marks have found their file.
struct Claims<'a> {
    candidates: &'a [Candidate],
    known: &'a Known,
    fits: &'a [Fit],
    claimed: HashSet<usize>,
    /// Per mark the candidate that stays with it; others are copies.
    owner: HashMap<usize, usize>,
}

impl<'a> Claims<'a> {
    fn new(candidates: &'a [Candidate], known: &'a Known, fits: &'a [Fit]) -> Claims<'a> {
        let mut claimed = HashSet::new();
        let mut owner: HashMap<usize, usize> = HashMap::new();
        let rank = |i: usize, mark: usize| {
            let more = matches!(fits[i], Fit::At { more: true, .. });
            let (same_file, same_path, _) = known.nearness(mark, &candidates[i]);
            (same_file, more, same_path, candidates[i].is_plain())
        };
        for (i, fit) in fits.iter().enumerate() {
            match *fit {
                Fit::At { mark, .. } => {
                    claimed.insert(mark);
                    let best = owner.entry(mark).or_insert(i);
                    if rank(i, mark) > rank(*best, mark) {
                        *best = i;
                    }
                }
                Fit::Shorter { mark } | Fit::Rewritten { mark } => {
                    claimed.insert(mark);
                }
                Fit::Nothing | Fit::Unreadable => {}
            }
        }
        Claims { candidates, known, fits, claimed, owner }
    }

    fn resolve(&mut self, i: usize, alike: Option<Alike>) -> Resume {
        match alike {
            Some(Alike::Twin(of)) => return Resume::Twin { of },
            Some(Alike::Covered(by)) => return Resume::Covered { by },
            None => {}
        }
        let key = |mark: usize| self.known.files[mark].key;
        match self.fits[i] {
            Fit::At { mark, offset, more } => {
                let key = key(mark);
                match (self.owner.get(&mark) == Some(&i), more) {
                    (true, true) => Resume::Continue { key, offset },
                    (true, false) => Resume::Unchanged { key },
                    (false, true) => Resume::Fork { key, offset },
                    (false, false) => Resume::Copy { key },
                }
            }
            Fit::Shorter { mark } => Resume::Shorter { key: key(mark) },
            Fit::Rewritten { mark } => Resume::Rewritten { key: key(mark) },
            Fit::Nothing | Fit::Unreadable => self.new_or_replaced(i),
        }
    }

    fn new_or_replaced(&mut self, i: usize) -> Resume {
        let file = &self.candidates[i].file;
        let facts = file.facts();
        // Without a birth time the same number may be that of any file deleted since.
        let of_file = self.known.of_file(facts).filter(|_| facts.born.is_some());
        let gone = of_file
            .chain(self.known.at_path(file.path()))
            .find(|mark| !self.claimed.contains(mark) && may_be_unread(&self.known.files[*mark]));
        match gone {
            Some(mark) => {
                self.claimed.insert(mark);
                Resume::Replaced { key: self.known.files[mark].key }
            }
            None => Resume::New,
        }
    }
}

/// A finished archive that was read to its end lost nothing when it was deleted, and neither did a
/// file that never held anything.
fn may_be_unread(mark: &KnownFile) -> bool {
    let finished_archive = mark.raw.print != [0; 16] && mark.raw.drained;
    !finished_archive && mark.raw.facts.len > 0
}
