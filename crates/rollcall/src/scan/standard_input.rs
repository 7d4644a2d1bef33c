//! Logs from a pipe. A pipe has no name, so it is known again by its content alone: what begins as
//! a log that was piped before goes on where that one ended.

use std::collections::HashSet;
use std::path::Path;

use formats::Dialect;
use ledger::{Batch, Checkpoint, Ingest, LocalClock, Mark};
use source::{Capture, Facts, Fingerprint, HEAD_BYTES, Known, Raw, Stream};

use super::inputs::{Group, detect};
use super::notes::{Before, Notes};
use super::read::{Ended, LogReader};
use super::{ReadDone, forgotten};
use crate::job::ReadJob;

/// How pipes are called in messages and in the ledger.
const NAME: &str = "standard input";

/// Sums kept in memory before they go to the ledger.
const SUMS_BYTES: usize = super::SUMS_BYTES;

/// Reads standard input to its end.
pub(super) fn read(
    ingest: &mut Ingest<'_>,
    job: &ReadJob,
    group: &Group,
    forced: Option<Dialect>,
    now: i64,
    done: &mut ReadDone,
) -> anyhow::Result<()> {
    let name = Path::new(NAME);
    let mut stream = match Stream::new(std::io::stdin(), name) {
        Ok(stream) => stream,
        Err(error) => {
            done.failed.push(error.to_string());
            return Ok(());
        }
    };
    let mut ahead = vec![0; source::DETECT_BYTES];
    let filled = fill(&mut stream, &mut ahead, done);
    ahead.truncate(filled);
    let Some(dialect) = detect(&ahead, forced) else {
        let what =
            if ahead.is_empty() { "it is empty" } else { "no audit log is recognised in it" };
        done.failed.push(format!("{NAME}: {what}: rollcall dialects lists what can be read"));
        return Ok(());
    };
    done.files += 1;
    let source = ingest.source(NAME.as_bytes(), &group.label, dialect.as_str())?;
    let marks = ingest.marks(&group.label)?;
    let mark = marks.iter().filter(|mark| begins_with(&ahead, &mark.known.fingerprint));
    let mark = mark.max_by_key(|mark| mark.known.fingerprint.offset);
    let mut capture = Capture::new();
    let mut rest = &ahead[..];
    if mark.is_none() {
        // Part of what some log began with.
        let known = Known::new(marks.iter().map(|mark| mark.known.clone()).collect());
        if let Some((_, offset)) = known.begun(&ahead[..ahead.len().min(HEAD_BYTES)]) {
            let (read, unread) = ahead.split_at(offset as usize);
            capture.feed(read);
            rest = unread;
        }
    }
    if let (None, Some(until)) = (mark, ingest.forgotten(&group.label)?) {
        let refusal = forgotten::refuse_bytes(&NAME, rest, dialect, &group.zone, until);
        if let Some(refusal) = refusal {
            done.failed.push(refusal);
            return Ok(());
        }
    }
    if let Some(Mark { known, .. }) = mark {
        ingest.sighted(&HashSet::from([known.key]))?;
        let offset = known.fingerprint.offset;
        let inside = usize::try_from(offset).ok().filter(|&offset| offset <= ahead.len());
        if let Some(inside) = inside {
            capture.feed(&ahead[..inside]);
            rest = &ahead[inside..];
        } else {
            if stream.skip_to(offset)? < offset {
                done.notes.push(format!("{NAME}: all of it was read before: nothing is new"));
                return Ok(());
            }
            capture = stream.capture().clone();
            rest = &[];
        }
        if capture.fingerprint() != known.fingerprint {
            done.failed.push(format!(
                "{NAME}: it begins as {} does, and differs before byte {offset}, up to where that was \
                 read: nothing of it is read, because what is new cannot be told",
                known.path.display()
            ));
            return Ok(());
        }
    }
    let key = mark.filter(|mark| mark.known.path == name).map(|mark| mark.known.key);
    let start = Checkpoint {
        path: name.to_path_buf(),
        fingerprint: capture.fingerprint(),
        raw: raw(),
        mid_record: mark.is_some_and(|mark| mark.mid_record),
        newest: mark.and_then(|mark| mark.newest),
    };
    let id = ingest.checkpoint(key, source, &start)?;
    let mut reader = LogReader::stream(Box::new(stream), dialect, capture, rest);
    if start.mid_record {
        reader.resume_mid_record();
    }
    let mut clock = LocalClock::new(group.zone.clone(), now);
    if let Some(newest) = start.newest {
        clock.resume(newest);
    }
    let batch = Batch::new(group.options(job), clock, id);
    count(ingest, reader, batch, (source, id, now), done)
}

/// Reads on until the end, storing the sums whenever they fill the memory they may take.
fn count(
    ingest: &mut Ingest<'_>,
    mut reader: LogReader,
    mut batch: Batch,
    (source, id, now): (i64, i64, i64),
    done: &mut ReadDone,
) -> anyhow::Result<()> {
    let mut notes = Notes::new(now);
    loop {
        let ended = reader.read(&mut batch, SUMS_BYTES, &|_| true);
        let next = batch.successor();
        let full = std::mem::replace(&mut batch, next);
        notes.batch(&full);
        notes.file(Path::new(NAME), &full, &Before::default());
        let reached = reader.reached();
        let mark = Checkpoint {
            path: NAME.into(),
            fingerprint: reached.fingerprint,
            raw: raw(),
            mid_record: reached.mid_record,
            newest: full.newest_of(id),
        };
        ingest.add(source, &full)?;
        ingest.checkpoint(Some(id), source, &mark)?;
        ingest.commit()?;
        match ended {
            Ended::BatchFull => {}
            Ended::Whole => {
                notes.unfinished(Path::new(NAME), reached.unfinished_bytes);
                break;
            }
            Ended::Broken(error) => {
                notes.failed(&error);
                break;
            }
            Ended::Crashed => break,
        }
    }
    done.bytes += reader.offset();
    notes.hand_over(done);
    Ok(())
}

/// A pipe has no facts; an inode of 0 is no file's.
fn raw() -> Raw {
    let facts = Facts { device: 0, inode: 0, born: None, len: 0, modified: 0 };
    Raw { facts, print: [0; 16], drained: true }
}

fn begins_with(ahead: &[u8], mark: &Fingerprint) -> bool {
    let bytes = mark.head_len as usize;
    let whole = bytes == HEAD_BYTES || mark.offset == bytes as u64;
    bytes > 0
        && whole
        && ahead.len() >= bytes
        && Fingerprint::of(&ahead[..bytes], &ahead[..bytes], bytes as u64).head == mark.head
}

/// Reads until `out` is full or the input ends; a fault is told and ends it.
fn fill<R: std::io::Read>(stream: &mut Stream<R>, out: &mut [u8], done: &mut ReadDone) -> usize {
    let mut filled = 0;
    while filled < out.len() {
        match stream.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) => {
                done.failed.push(error.to_string());
                break;
            }
        }
    }
    filled
}
