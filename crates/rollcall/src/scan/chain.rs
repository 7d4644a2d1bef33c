//! What became of the files that were followed: found again under other names, or gone.
//!
//! A log is followed from the file that the server writes to now, over the files it wrote to before,
//! back to the one that was read last. Where that one is nowhere, what it held beyond its mark is lost,
//! and whatever was written between it and the next file that is known: a gap.
//!
//! ```text
//! read last     now                               what is noted
//! a @ 1000      a (new), a.1 (ours, 1500)         nothing: read on in a.1, then a
//! a @ 1000      a (new) alone was named           the same: a.1 is looked for beside it
//! a @ 1000      a (new), a.1 (new)                a gap: from byte 1000 on, up to a.1's first record
//! a @ 1000      a (new, the same file), a.1 ours  a gap between them: copied, then cut to nothing
//! a.1, ended    a                                 nothing: rotated away after it had been read
//! ```
//!
//! # Invariants
//! * A gap of a file is noted once, after the scan has read what there is, and not by a scan that could
//!   not open everything: what is missing may be there. Until then the mark stays as it is, so a scan
//!   that dies in between leaves it to the next.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use formats::Dialect;
use ledger::{Gap, Ingest, Mark};
use source::{Candidate, Decision, Known, OpenFile, Resume, decide};

use super::ReadDone;
use super::inputs::{Found, Group, detect};
use crate::render::thousands;

/// Why what followed on a mark is missing.
const REPLACED: &str = "gone before its end was read, if anything followed";

/// Why something may be missing though every file is there.
const COPIED: &str = "copied and cut to nothing: what was written in between, if anything, is lost";

/// What is to be noted when everything is read.
pub(super) struct Chain {
    /// What was decided for all files that were found.
    pub(super) decision: Option<Decision>,
    lost: Vec<Mark>,
    /// Keys of files of which nothing was read, and that may be there unrecognised.
    given_up: Vec<i64>,
    /// Keys of files that were gone and are there again.
    back: Vec<i64>,
    /// Numbers of gaps whose ends are not read yet.
    open: Vec<i64>,
    /// Keys of files that were changed before their marks: nothing of them is read.
    refused: Vec<i64>,
}

/// Looks for the files that the marks are of, and adds those to `found` that stand beside a log that
/// was named alone.
pub(super) fn follow(
    ingest: &Ingest<'_>,
    group: &Group,
    found: &mut Vec<Found>,
    paths: &[PathBuf],
    forced: Option<Dialect>,
) -> anyhow::Result<Chain> {
    let marks = ingest.marks(&group.label)?;
    let known = Known::new(marks.iter().map(|mark| mark.known.clone()).collect());
    let asked: Vec<PathBuf> = paths.iter().filter_map(|path| canonical(path)).collect();
    let mut decision = decide_all(found, &known);
    let followed = |mark: &Mark, found: &[Found]| {
        // One that was rotated away and read to its end may go.
        let ends_open = mark.known.path == mark.location || !mark.known.raw.drained;
        // One that was read to its end after it was deleted is noted as a file of no bytes.
        let let_go = mark.known.raw.facts.len == 0 && mark.known.fingerprint.offset > 0;
        let asked_for = found.iter().any(|it| it.location == mark.location)
            || asked.iter().any(|path| mark.known.path.starts_with(path));
        ends_open && !let_go && asked_for
    };
    for mark in &marks {
        if !decision.found.contains(&mark.known.key) && !mark.gone && followed(mark, found) {
            let more = beside(mark, &known, found, forced);
            if !more.is_empty() {
                // Rotated files are older than the log, and come before it.
                let log = found.iter().position(|it| it.location == mark.location);
                let at = log.unwrap_or(found.len());
                found.splice(at..at, more);
                decision = decide_all(found, &known);
            }
        }
    }
    let there = &decision.found;
    ingest.sighted(there)?;
    let (mut lost, mut given_up) = (Vec::new(), Vec::new());
    for mark in &marks {
        if there.contains(&mark.known.key) || mark.gone || !followed(mark, found) {
            continue;
        }
        // What nothing was read of began after everything else.
        let newest = ingest.newest(mark.source)?;
        if newest.is_none() || may_be_packed(mark, &marks, there, found) {
            given_up.push(mark.known.key);
        } else {
            lost.push(Mark { newest: mark.newest.or(newest), ..mark.clone() });
        }
    }
    let back = marks.iter().filter(|it| it.gone && there.contains(&it.known.key));
    let back = back.map(|mark| mark.known.key).collect();
    let copied = marks.iter().filter(|mark| {
        there.contains(&mark.known.key)
            && mark.known.path == mark.location
            && mark.known.fingerprint.offset > 0
            && is_cut_to_nothing(mark, &known)
    });
    let open =
        copied.map(|mark| Ok(ingest.gap(&gap(mark, COPIED))?)).collect::<anyhow::Result<_>>()?;
    Ok(Chain { decision: Some(decision), lost, given_up, back, open, refused: Vec::new() })
}

/// A path without symbolic links, also of a file that is not there now.
fn canonical(path: &Path) -> Option<PathBuf> {
    let parent = || path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::canonicalize(path).ok().or_else(|| {
        let folder = std::fs::canonicalize(parent().unwrap_or(Path::new("."))).ok()?;
        Some(folder.join(path.file_name()?))
    })
}

fn decide_all(found: &[Found], known: &Known) -> Decision {
    let candidates: Vec<&Candidate> = found.iter().map(|it| &it.candidate).collect();
    decide(&candidates, known)
}

/// The file of a mark among those that rotation left beside its log, and the files after it.
fn beside(mark: &Mark, known: &Known, found: &[Found], forced: Option<Dialect>) -> Vec<Found> {
    let siblings = source::siblings(&mark.location, &|head| detect(head, forced));
    let usual = siblings.iter().rev().find_map(|file| file.detected);
    let mut beside = Vec::new();
    for file in siblings {
        let taken = |it: &Found| it.candidate.file().facts().same_file(&file.facts);
        if found.iter().any(taken) {
            continue;
        }
        // One that cannot be opened is not what is looked for, as far as can be told.
        let Ok(candidate) = OpenFile::open_found(&file.path).and_then(Candidate::new) else {
            continue;
        };
        let dialect = file.detected.or(usual).unwrap_or(Dialect::ServerAudit);
        beside.push(Found {
            candidate,
            location: mark.location.clone(),
            dialect,
            is_recognised: file.detected.is_some(),
            is_newest: false,
        });
    }
    let is_it = |it: &Found| decide(&[&it.candidate], known).found.contains(&mark.known.key);
    match beside.iter().position(is_it) {
        Some(first) => beside.split_off(first),
        None => Vec::new(),
    }
}

/// Whether a file of which no byte was read may be there without being recognised: nothing tells what
/// it holds by now but its number, and packing changes that. As long as an older file of its log is
/// there it has not been rotated away.
fn may_be_packed(mark: &Mark, marks: &[Mark], there: &HashSet<i64>, found: &[Found]) -> bool {
    let older = |it: &Mark| {
        it.source == mark.source && it.known.key < mark.known.key && there.contains(&it.known.key)
    };
    let empty = |it: &Found| it.location == mark.location && it.candidate.is_empty();
    mark.known.fingerprint.offset == 0
        && (marks.iter().any(older) || mark.known.raw.facts.len == 0 && found.iter().any(empty))
}

/// Whether the very file that a mark is of holds something else now, if only the beginning of a record.
fn is_cut_to_nothing(mark: &Mark, known: &Known) -> bool {
    let Ok(candidate) = OpenFile::open_found(&mark.known.path).and_then(Candidate::new) else {
        return false;
    };
    let (now, then) = (candidate.file().facts(), mark.known.raw.facts);
    // Without a birth time the same number may be that of any file made since.
    let same = now.same_file(&then) && now.born.is_some() && then.born.is_some();
    same && matches!(decide(&[&candidate], known).resumes[..], [Ok(Resume::New)])
}

fn gap<'a>(mark: &'a Mark, reason: &'a str) -> Gap<'a> {
    let read = mark.known.fingerprint.offset;
    let plain = mark.known.raw.print == [0; 16];
    let longer = plain && mark.known.raw.facts.len > read;
    Gap {
        source: mark.source,
        file: mark.known.key,
        path: &mark.known.path,
        from: mark.newest,
        from_byte: read,
        to_byte: longer.then_some(mark.known.raw.facts.len),
        reason,
    }
}

impl Chain {
    /// A file that begins as the mark says, and was changed since before its offset.
    pub(super) fn refused(&mut self, key: i64) {
        self.refused.push(key);
    }

    /// Notes what is missing, now that all that is there is read. `whole`: every file could be opened.
    pub(super) fn note(
        self,
        ingest: &Ingest<'_>,
        whole: bool,
        done: &mut ReadDone,
    ) -> anyhow::Result<()> {
        for key in self.back {
            ingest.found_again(key)?;
        }
        for gap in self.open {
            ingest.settle_gap(gap)?;
        }
        for mark in self.lost.iter().filter(|_| whole) {
            ingest.gap(&gap(mark, REPLACED))?;
            ingest.gone(mark.known.key)?;
            if !self.refused.contains(&mark.known.key) {
                done.notes.push(lost(&mark.known.path, mark.known.fingerprint.offset));
            }
        }
        for key in self.given_up.into_iter().filter(|_| whole) {
            ingest.gone(key)?;
        }
        for key in self.refused {
            ingest.prolong_gaps(key)?;
        }
        Ok(())
    }
}

fn lost(path: &Path, read: u64) -> String {
    format!(
        "{}: the log that stood there was read up to byte {} and is gone; what may have followed is \
         lost: rollcall evidence",
        path.display(),
        thousands(read)
    )
}
