//! A file that stays open because it may grow, and its mark.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use formats::Dialect;
use ledger::{Checkpoint, Ingest, Mark};
use source::{Candidate, Error, Fingerprint, OpenFile, Raw};

use crate::scan::inputs::Found;

/// An open plain file that may grow, and its mark.
#[derive(Debug)]
pub(super) struct Held {
    /// With the facts up to which it was read.
    pub(super) file: OpenFile,
    pub(super) location: PathBuf,
    pub(super) dialect: Dialect,
    pub(super) is_recognised: bool,
    /// The ledger's numbers of the file and its source.
    pub(super) key: i64,
    pub(super) source: i64,
    pub(super) fingerprint: Fingerprint,
    pub(super) mid_record: bool,
    pub(super) newest: Option<i64>,
    /// Since when no input leads to it and nothing was added; `None`: it has its name.
    pub(super) unnamed: Option<Instant>,
}

/// How an open file differs from what was read of it.
pub(super) enum Change {
    None,
    /// It goes on where its mark ends.
    Longer(OpenFile),
    /// Cut, overwritten, or of a kind that was only guessed.
    Other,
}

impl Held {
    pub(super) fn changed(&self) -> Result<Change, Error> {
        let file = self.file.again()?;
        let (was, is) = (self.file.facts(), file.facts());
        if (was.len, was.modified) == (is.len, is.modified) {
            return Ok(Change::None);
        }
        let offset = self.fingerprint.offset;
        if !self.is_recognised || is.len < offset || file.fingerprint(offset)? != self.fingerprint {
            return Ok(Change::Other);
        }
        Ok(Change::Longer(file))
    }

    /// Whether its path still leads to it.
    pub(super) fn stands_there(&self) -> bool {
        let facts = self.file.facts();
        let there = std::fs::symlink_metadata(self.file.path());
        there.is_ok_and(|it| (it.dev(), it.ino()) == (facts.device, facts.inode))
    }

    /// The file as of now, as a look finds files.
    pub(super) fn found(&self) -> Result<Found, Error> {
        Ok(Found {
            candidate: Candidate::new(self.file.again()?)?,
            location: self.location.clone(),
            dialect: self.dialect,
            is_recognised: self.is_recognised,
            is_newest: false,
        })
    }

    /// Whether a rotated file holds all that was read of this one, which stood under the live name.
    pub(super) fn is_copied(&self, copy: &Mark) -> bool {
        self.file.path() == self.location
            && copy.source == self.source
            && self.fingerprint.offset > 0
            && copy.known.fingerprint == self.fingerprint
    }

    /// Notes that the log was rotated (packed, and the plain file deleted) to where its copy stands: when
    /// that goes, nothing is missing.
    pub(super) fn move_to(&mut self, path: &Path, ingest: &Ingest<'_>) -> anyhow::Result<()> {
        self.file = self.file.clone().called(path);
        let raw = Candidate::new(self.file.clone())?.raw(true);
        self.store(raw, ingest)
    }

    /// Notes that a file without a name was read to its end: whatever stands at its place later, nothing
    /// of this one is lost. Its mark stays, for it may be found elsewhere.
    pub(super) fn part(&self, ingest: &Ingest<'_>) -> anyhow::Result<()> {
        let facts = self.file.facts();
        if self.fingerprint.offset < facts.len {
            return Ok(());
        }
        if self.fingerprint.offset == 0 {
            // Of an empty file only this tells it from one of which nothing was read yet.
            ingest.gone(self.key)?;
        }
        let mut raw = Candidate::new(self.file.clone())?.raw(true);
        // A file that holds nothing has nothing that could be lost.
        raw.facts.len = 0;
        self.store(raw, ingest)
    }

    fn store(&self, raw: Raw, ingest: &Ingest<'_>) -> anyhow::Result<()> {
        let mark = Checkpoint {
            path: self.file.path().to_path_buf(),
            fingerprint: self.fingerprint.clone(),
            raw,
            mid_record: self.mid_record,
            newest: self.newest,
        };
        ingest.checkpoint(Some(self.key), self.source, &mark)?;
        Ok(())
    }
}

/// The mark that was stored for a file a moment ago, among those of its path.
pub(super) fn mark_of<'m>(file: &OpenFile, marks: &[&'m Mark]) -> Option<&'m Mark> {
    let fits = |mark: &&&Mark| {
        let known = &mark.known;
        let fingerprint = file.fingerprint(known.fingerprint.offset);
        known.raw.facts.same_file(&file.facts())
            && fingerprint.is_ok_and(|it| it == known.fingerprint)
    };
    marks.iter().rev().find(fits).copied()
}
