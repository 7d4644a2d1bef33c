//! Which file is which: where reading goes on in files that were renamed, compressed, copied or
//! replaced since they were last read.
//!
//! A file is known by its content: by the hash of its decompressed head and of the bytes before the
//! offset that was reached. Device, inode and birth time only break ties, because file systems hand
//! a freed inode out again at once, and because `gzip` and `copytruncate` change the inode of a
//! log.
//!
//! ```text
//! known          file now                       answer
//! a @ 1000       a.1, 1000 bytes                Unchanged: renamed
//! a @ 1000       a.1, 1500 bytes                Continue at 1000
//! a @ 1000       a.1.gz of 1500 bytes           Continue at 1000 (decompressed)
//! a @ 1000       a, other content               New; whether a @ 1000 is found elsewhere is told too
//! a @ 9000       same head, other bytes before  Rewritten: refused
//! a @ 9000       same head, 5000 bytes          Shorter: an older copy, nothing to read
//! a @ 9000       its first 900 bytes, then new  Fork at 900: cut inside its head, and written on
//! ```
//!
//! # Invariants
//! * A file is continued only where all bytes that the mark hashes are found in it again.
//! * Of files in one batch that begin alike only one is read; the others wait (`Twin`) or are part
//!   of it (`Covered`). So no record is counted twice, whatever copies lie about.
//! * A file in which nothing is new costs two reads of at most 4 KiB.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use crate::candidate::Candidate;
use crate::capture::HEAD_BYTES;
use crate::error::Error;
use crate::fit::{Fit, fit};
use crate::known::Known;

/// Where reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resume {
    /// Nothing is new. The file may stand elsewhere or be compressed by now: the caller stores its
    /// path and [`Candidate::raw`] (drained) with the key.
    Unchanged {
        /// Of the mark.
        key: i64,
    },
    /// Nothing is new, and another file of the batch stays with the key. The caller stores a mark
    /// of its own with the fingerprint of the key, so that the copy is recognised at once next
    /// time.
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
    /// Goes on where the mark ends, but the mark's own file is in the batch too; or goes on before,
    /// inside the head, where it differs from what was read. The caller stores what it read under a new
    /// key.
    Fork {
        /// Of the mark.
        key: i64,
        /// In decompressed bytes.
        offset: u64,
    },
    /// Not seen before: read from the start under a new key.
    New,
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
        matches!(self, Resume::Continue { .. } | Resume::Fork { .. } | Resume::New)
    }
}

/// What is decided for all files of one run.
#[derive(Debug)]
pub struct Decision {
    /// In the order of the candidates; a file that cannot be read has its error.
    pub resumes: Vec<Result<Resume, Error>>,
    /// Keys of the marks whose bytes, as many as are known again, stand in one of the candidates. What
    /// followed on a mark that is not among them is in none of these files.
    pub found: HashSet<i64>,
}

/// Decides for all files of one run together: which mark belongs to which file can only be told
/// where all files that may hold it are seen.
pub fn decide<C: Borrow<Candidate>>(candidates: &[C], known: &Known) -> Decision {
    let candidates: Vec<&Candidate> = candidates.iter().map(Borrow::borrow).collect();
    let candidates = &candidates[..];
    let mut failed: Vec<Option<Error>> = Vec::with_capacity(candidates.len());
    let mut fits = Vec::with_capacity(candidates.len());
    let mut verified = HashSet::new();
    for candidate in candidates {
        match fit(candidate, known, &mut verified) {
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
    let claims = Claims::new(candidates, known, &fits);
    let resolve = |(i, error): (usize, Option<Error>)| match error {
        Some(error) => Err(error),
        None => Ok(claims.resolve(i, alike.get(&i).copied())),
    };
    let resumes = failed.into_iter().enumerate().map(resolve).collect();
    Decision { resumes, found: verified.into_iter().map(|mark| known.files[mark].key).collect() }
}

/// How a file relates to another one of the batch.
#[derive(Debug, Clone, Copy)]
enum Alike {
    Twin(usize),
    Covered(usize),
}

/// Finds files that begin alike, so that only one of them is read now.
fn alike(candidates: &[&Candidate], fits: &[Fit], known: &Known) -> HashMap<usize, Alike> {
    let mut readers: Vec<(usize, &[u8])> = Vec::new();
    for (i, candidate) in candidates.iter().enumerate() {
        let wants = matches!(fits[i], Fit::Nothing | Fit::At { more: true, .. } | Fit::Part { .. });
        match candidate.head_read() {
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
            Fit::At { mark, offset, .. } | Fit::Part { mark, offset } => {
                (offset, known.nearness(mark, candidates[i]).0)
            }
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

/// Which file stays with which mark.
struct Claims<'a> {
    known: &'a Known,
    fits: &'a [Fit],
    /// Per mark the candidate that stays with it; others are copies.
    owner: HashMap<usize, usize>,
}

impl<'a> Claims<'a> {
    fn new(candidates: &'a [&'a Candidate], known: &'a Known, fits: &'a [Fit]) -> Claims<'a> {
        let mut owner: HashMap<usize, usize> = HashMap::new();
        let rank = |i: usize, mark: usize| {
            let more = matches!(fits[i], Fit::At { more: true, .. });
            let (same_file, same_path, _) = known.nearness(mark, candidates[i]);
            (same_file, more, same_path, candidates[i].is_plain())
        };
        for (i, fit) in fits.iter().enumerate() {
            if let Fit::At { mark, .. } = *fit {
                let best = owner.entry(mark).or_insert(i);
                if rank(i, mark) > rank(*best, mark) {
                    *best = i;
                }
            }
        }
        Claims { known, fits, owner }
    }

    fn resolve(&self, i: usize, alike: Option<Alike>) -> Resume {
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
            Fit::Part { mark, offset } => Resume::Fork { key: key(mark), offset },
            Fit::Shorter { mark } => Resume::Shorter { key: key(mark) },
            Fit::Rewritten { mark } => Resume::Rewritten { key: key(mark) },
            Fit::Nothing | Fit::Unreadable => Resume::New,
        }
    }
}
