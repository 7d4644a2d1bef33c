//! Finds the mark of one file, seen alone: by its stored bytes, by its content, by its number.

use std::collections::HashSet;

use crate::candidate::Candidate;
use crate::capture::{TAIL_BYTES, hash};
use crate::error::Error;
use crate::known::Known;

/// What one candidate is, seen alone. Numbers index `Known::files`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    At {
        mark: usize,
        offset: u64,
        more: bool,
    },
    /// Begins with some lines that were read with the head of the mark, and goes on otherwise or not at
    /// all.
    Part {
        mark: usize,
        offset: u64,
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

/// Looks for the mark of one file, and adds all marks whose bytes stand in it to `found`.
pub(crate) fn fit(
    candidate: &Candidate,
    known: &Known,
    found: &mut HashSet<usize>,
) -> Result<Fit, Error> {
    if !candidate.is_plain()
        && let Some(marks) = known.by_print.get(&candidate.print)
        && let Some(mark) = nearest(marks.iter().copied(), candidate, known)
    {
        found.extend(known.before(mark));
        let offset = known.files[mark].fingerprint.offset;
        return Ok(Fit::At { mark, offset, more: false });
    }
    let head = candidate.head()?;
    let mut marks = known.with_head(head);
    // A log that was cut inside its head is not found by that.
    let whole = |&i: &usize| known.files[i].fingerprint.offset;
    if let Some((mark, offset)) = known.line_read(head)
        && marks.iter().map(whole).max().is_none_or(|read| read < offset)
    {
        found.extend(marks);
        let print = &known.files[mark].fingerprint;
        // Of old marks the first line alone is known: what was read behind it nobody can tell.
        return Ok(match print.lines.len() == 1 && print.offset > offset {
            true => Fit::Rewritten { mark },
            false => Fit::Part { mark, offset },
        });
    }
    if marks.is_empty() {
        let fit = fit_unread(candidate, known, head);
        if let Fit::At { mark, .. } = fit {
            found.insert(mark);
        }
        return Ok(fit);
    }
    marks.sort_by_key(|&i| known.files[i].fingerprint.offset);
    if candidate.is_plain() {
        fit_plain(candidate, known, &marks, found)
    } else {
        fit_compressed(candidate, known, &marks, found)
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
fn fit_plain(
    candidate: &Candidate,
    known: &Known,
    marks: &[usize],
    all: &mut HashSet<usize>,
) -> Result<Fit, Error> {
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
        let fits = n == tail_len && hash(tail) == mark.tail;
        all.extend(fits.then_some(i));
        found.verified(i, fits, candidate, known);
    }
    Ok(found.result(known, |i| {
        let mark = &known.files[i];
        // What was left then is an unfinished line, and nothing was added to it.
        let as_it_was = mark.raw.drained && mark.raw.facts == candidate.file.facts();
        mark.fingerprint.offset < len && !as_it_was
    }))
}

/// As [`fit_plain`]; decodes the file once up to the largest offset.
fn fit_compressed(
    candidate: &Candidate,
    known: &Known,
    marks: &[usize],
    all: &mut HashSet<usize>,
) -> Result<Fit, Error> {
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
        all.extend(fits.then_some(i));
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
