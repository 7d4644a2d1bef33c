//! Files and parts of large files, read by several threads and counted in order.
//!
//! ```text
//! parts  0 1 2 | 3 | 4 5      (file 0 in three, file 1 whole, file 2 in two)
//!        └── threads read, each into a batch of its own
//!              └── pieces arrive in any order; they are taken in the order of the parts
//! ```
//!
//! # Invariants
//! * A part counts only when the part before it ended exactly where it began; else it is read again
//!   from there. So is one that begins in the hour that a clock change repeats: what stands before it
//!   tells which of the two it is.
//! * A part that fills a batch hands it on, and goes on only when its turn has come: so memory holds
//!   at most one batch for each part under way.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Condvar, Mutex};

use ledger::{Batch, LocalClock};
use source::Error;

use super::read::{Ended, Progress, Reached, line_start};
use super::work::FileWork;

/// A batch of a part under way is handed on at this size: it bounds memory, with [`AHEAD`].
const BATCH_BYTES: usize = 12 << 20;

/// Parts are at least this long: below it, threads cost more than they gain.
const PART_BYTES_MIN: u64 = 16 << 20;

/// Parts are at most this long, so that the sums of one fit a batch.
const PART_BYTES_MAX: u64 = 512 << 20;

/// How many parts beyond the one whose turn it is may be begun, per thread.
const AHEAD: usize = 1;

/// A stretch of one file.
#[derive(Debug, Clone, Copy)]
struct Part {
    file: usize,
    start: u64,
    /// `None`: to the end of the file.
    until: Option<u64>,
    first: bool,
}

/// What a thread has read of a part, or of a piece of it.
struct Piece {
    part: usize,
    start: u64,
    /// What was read, and how far; `None` where nothing was.
    read: Option<(Batch, Reached)>,
    ended: Ended,
}

/// What the files' owner is told, in order.
pub(super) trait Counter {
    /// The next records of this file and how far it is read with them. `ended`: nothing more of it
    /// will come.
    fn count(
        &mut self,
        file: usize,
        batch: Batch,
        reached: Reached,
        ended: Option<Ended>,
    ) -> anyhow::Result<()>;
    /// The file cannot be read at all.
    fn failed(&mut self, file: usize, error: Error);
    /// Reading the file hit a fault of this program: nothing of the part under way counts.
    fn crashed(&mut self, file: usize);
}

/// Reads all files with `threads` threads and tells `counter`.
pub(super) fn run(
    files: &[FileWork],
    threads: usize,
    progress: &Progress<'_>,
    counter: &mut dyn Counter,
) -> anyhow::Result<()> {
    crate::memory::share();
    let parts = split(files, threads);
    let (turn, changed) = (Mutex::new(0), Condvar::new());
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let send = send.clone();
            let (parts, turn, changed, next, stop) = (&parts, &turn, &changed, &next, &stop);
            scope.spawn(move || {
                let wait = |part: usize, ahead: usize| {
                    let mut at = turn.lock().expect("no thread panics with the lock");
                    while part > *at + ahead && !stop.load(Ordering::Relaxed) {
                        at = changed.wait(at).expect("no thread panics with the lock");
                    }
                };
                loop {
                    let part = next.fetch_add(1, Ordering::Relaxed);
                    if part >= parts.len() {
                        return;
                    }
                    wait(part, threads * AHEAD);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let read = AssertUnwindSafe(|| {
                        read_part(files, parts[part], part, progress, &|| wait(part, 0), &send);
                    });
                    if catch_unwind(read).is_err() {
                        // A fault of ours, not of the log's: the others go on without this part.
                        let ended = Ended::Crashed;
                        let piece = Piece { part, start: u64::MAX, read: None, ended };
                        let _ = send.send(piece);
                    }
                }
            });
        }
        drop(send);
        let advance = |part: usize| {
            *turn.lock().expect("no thread panics with the lock") = part;
            changed.notify_all();
        };
        // It owns the receiving end: after a fault, threads that send learn that nobody waits.
        let done = take_in_order(files, &parts, receive, progress, &advance, counter);
        let last_turn = turn.lock().expect("no thread panics with the lock");
        stop.store(true, Ordering::Relaxed);
        // With the lock held no thread is between looking and waiting.
        changed.notify_all();
        drop(last_turn);
        done
    })
}

/// Cuts files into parts: large plain ones into several where that can help, as few as keep all threads
/// busy to the end, because each part has sums of its own, which take memory and are united in the end.
fn split(files: &[FileWork], threads: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    for (file, work) in files.iter().enumerate() {
        let (mut start, end) = (work.offset, work.end());
        let length = end.saturating_sub(start);
        let rounds = length.div_ceil(threads as u64 * PART_BYTES_MAX).max(1);
        let wanted = (length / (rounds * threads as u64)).max(PART_BYTES_MIN);
        let mut first = true;
        while work.can_be_split() && threads > 1 && end - start >= 2 * wanted {
            parts.push(Part { file, start, until: Some(start + wanted), first });
            start += wanted;
            first = false;
        }
        parts.push(Part { file, start, until: None, first });
    }
    parts
}

/// Reads a part and sends its pieces.
fn read_part(
    files: &[FileWork],
    part: Part,
    number: usize,
    progress: &Progress<'_>,
    wait_for_turn: &dyn Fn(),
    send: &mpsc::Sender<Piece>,
) {
    let work = &files[part.file];
    let opened = if part.first {
        work.reader(part.until).map(Some)
    } else {
        let end = part.until.unwrap_or(work.end());
        let start = line_start(&work.file(), part.start, end);
        start.and_then(|start| start.map(|start| work.reader_at(start, part.until)).transpose())
    };
    let mut reader = match opened {
        Ok(Some(reader)) => reader,
        // No line begins in this part: it belongs to the one before.
        Ok(None) => {
            let ended = Ended::Whole;
            let piece = Piece { part: number, start: u64::MAX, read: None, ended };
            let _ = send.send(piece);
            return;
        }
        Err(error) => {
            let ended = Ended::Broken(error);
            let piece = Piece { part: number, start: part.start, read: None, ended };
            let _ = send.send(piece);
            return;
        }
    };
    let start = reader.offset();
    let mut batch = work.batch();
    loop {
        let ended = reader.read(&mut batch, BATCH_BYTES, progress);
        let last = !matches!(ended, Ended::BatchFull);
        let next = batch.successor();
        let read = Some((std::mem::replace(&mut batch, next), reader.reached()));
        if send.send(Piece { part: number, start, read, ended }).is_err() || last {
            return;
        }
        wait_for_turn();
    }
}

/// Takes the pieces of one part after the other.
fn take_in_order(
    files: &[FileWork],
    parts: &[Part],
    receive: mpsc::Receiver<Piece>,
    progress: &Progress<'_>,
    advance: &dyn Fn(usize),
    counter: &mut dyn Counter,
) -> anyhow::Result<()> {
    let mut waiting: BTreeMap<usize, Vec<Piece>> = BTreeMap::new();
    // How far the file of the current part is read, and whether it can be read on.
    let mut reached: Option<(u64, bool)> = None;
    // The file's clock, behind what counts of it.
    let mut clock: Option<LocalClock> = None;
    for (number, part) in parts.iter().enumerate() {
        advance(number);
        if part.first {
            reached = None;
        }
        let mut wrong = false;
        loop {
            let piece = match waiting.get_mut(&number).filter(|pieces| !pieces.is_empty()) {
                Some(pieces) => pieces.remove(0),
                None => {
                    let piece = receive.recv().expect("every part sends its end");
                    if piece.part != number {
                        waiting.entry(piece.part).or_default().push(piece);
                        continue;
                    }
                    piece
                }
            };
            let last = !matches!(piece.ended, Ended::BatchFull);
            if matches!(piece.ended, Ended::Crashed) {
                counter.crashed(part.file);
                reached = None;
                wrong = false;
                break;
            }
            let blind = piece.read.as_ref().is_some_and(|(batch, _)| batch.is_blind());
            wrong |= match reached {
                None => !part.first,
                Some((offset, plain)) => !part.first && (!plain || piece.start != offset || blind),
            };
            if wrong {
                // Not where the part before it ended: what was read does not count.
                if last {
                    break;
                }
                continue;
            }
            let Some((batch, at)) = piece.read else {
                if let Ended::Broken(error) = piece.ended {
                    counter.failed(part.file, error);
                }
                break;
            };
            // A part that is not the file's last ends where the next one goes on.
            let goes_on = match piece.ended {
                Ended::BatchFull => true,
                Ended::Whole => part.until.is_some(),
                Ended::Broken(_) | Ended::Crashed => false,
            };
            if last {
                reached = goes_on.then_some((at.fingerprint.offset, !at.mid_record));
            }
            clock = Some(batch.clock());
            counter.count(part.file, batch, at, (!goes_on).then_some(piece.ended))?;
            if last {
                break;
            }
        }
        waiting.remove(&number);
        if let (true, Some(from)) = (wrong, reached) {
            reached = read_again(files, *part, from, &mut clock, progress, counter)?;
        }
    }
    Ok(())
}

/// Reads a part from where the one before it really ended; where it ends itself, `None` where the file
/// does.
fn read_again(
    files: &[FileWork],
    part: Part,
    (offset, plain): (u64, bool),
    clock: &mut Option<LocalClock>,
    progress: &Progress<'_>,
    counter: &mut dyn Counter,
) -> anyhow::Result<Option<(u64, bool)>> {
    let work = &files[part.file];
    let mut reader = match work.reader_at(offset, part.until) {
        Ok(reader) => reader,
        Err(error) => {
            counter.failed(part.file, error);
            return Ok(None);
        }
    };
    if !plain {
        reader.resume_mid_record();
    }
    let mut batch = clock.take().map_or_else(|| work.batch(), |clock| work.batch_after(clock));
    loop {
        let ended = reader.read(&mut batch, BATCH_BYTES, progress);
        let (full, at) = (matches!(ended, Ended::BatchFull), reader.reached());
        let goes_on = full || (matches!(ended, Ended::Whole) && part.until.is_some());
        let next = batch.successor();
        let read = std::mem::replace(&mut batch, next);
        let end = (at.fingerprint.offset, !at.mid_record);
        *clock = Some(read.clock());
        counter.count(part.file, read, at, (!goes_on).then_some(ended))?;
        if !full {
            return Ok(goes_on.then_some(end));
        }
    }
}
