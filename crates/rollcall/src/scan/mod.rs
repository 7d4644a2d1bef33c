//! Reading what is new: logs in, ledger written.
//!
//! ```text
//! job ── inputs ─► log files, recognised and compared with the ledger's marks
//!          └─ pool / read ─► batches ─► ledger: sums and marks, one transaction
//!     └─ access_log ─► rows of tables ─┘
//! ```
//!
//! # Invariants
//! * What a transaction commits is whole: the sums of the records up to a mark, and the mark.
//! * A file that cannot be read is named and does not stop the others.

mod access_log;
mod adjoin;
mod chain;
mod follow;
mod forgotten;
mod inputs;
mod notes;
mod pool;
mod read;
mod standard_input;
#[cfg(test)]
pub(crate) mod trial;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ledger::{Batch, Checkpoint, Error as LedgerError, Ingest, Keeping, Ledger};
use source::Error;

use crate::job::ReadJob;
use crate::out::Out;
pub(crate) use follow::{Follower, Grown, Places};
use notes::{Before, Notes};
use read::{Ended, Progress, Reached};
use work::FileWork;

/// Sums kept in memory before they go to the ledger. Half a million user and host pairs fit.
const SUMS_BYTES: usize = 64 << 20;

/// A long scan commits at least this often, so that little is to be done again after a power cut.
const COMMIT_EVERY: Duration = Duration::from_secs(20);

/// The same while a watch catches up: others may already wait for the answer. Below it, commits cost more
/// than they are worth.
const WATCH_COMMIT_EVERY: Duration = Duration::from_secs(3);

/// Threads where the number is not told: a log reader beside a database takes no more.
const THREADS_DEFAULT_MAX: usize = 4;

/// Below this many bytes one thread is fastest.
const THREADS_BYTES_MIN: u64 = 24 << 20;

/// Fewer bytes than this are read before anybody can look at a bar.
const PROGRESS_BYTES_MIN: u64 = 4 << 20;

/// The caller's wish ended the reading; what had been read is stored.
#[derive(Debug, thiserror::Error)]
#[error("stopped before everything was read; what was read is stored")]
pub(crate) struct Stopped;

/// How reading is paced, and when it ends early.
#[derive(Clone, Copy)]
pub(crate) struct Pacing<'a> {
    /// A commit follows the one before at the latest after this time and the file or part under way.
    commit_every: Duration,
    /// Asked for every few hundred kilobytes, by any thread; false: store what was read, and end.
    go_on: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Pacing<'a> {
    /// For who follows logs: what is read is stored soon.
    pub(crate) fn watching(go_on: &'a (dyn Fn() -> bool + Sync)) -> Pacing<'a> {
        Pacing { commit_every: WATCH_COMMIT_EVERY, go_on }
    }
}

/// A scan reads to the end.
const TO_THE_END: Pacing<'static> = Pacing { commit_every: COMMIT_EVERY, go_on: &|| true };

/// What a scan did.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadDone {
    /// Files looked at, also those that held nothing new.
    pub(crate) files: u64,
    /// Bytes read, as they stand in the files.
    pub(crate) bytes: u64,
    /// Inputs that could not be read, each with file, place and remedy.
    pub(crate) failed: Vec<String>,
    /// What to know of inputs that were read: doubtful records, cut files.
    pub(crate) notes: Vec<String>,
    /// Files that hold no audit log.
    pub(crate) skipped: Vec<String>,
    /// The time that reading and storing took; the rest went into finding files.
    pub(crate) reading: Duration,
}

/// Reads what is new into the ledger. `now` is in microseconds UTC.
///
/// # Errors
/// Where the ledger cannot be written: then nothing since its last commit is stored.
pub(crate) fn scan(
    ledger: &mut Ledger,
    job: &ReadJob,
    now: i64,
    out: Out,
) -> anyhow::Result<ReadDone> {
    let mut ingest = ledger.ingest(keeping(job, now))?;
    take_over(&ingest, job)?;
    let mut look = Look { job, now, out, pacing: TO_THE_END, done: ReadDone::default() };
    if !out.quiet {
        look.done.notes.extend(ingest.new_warning()?);
    }
    for group in inputs::groups(job) {
        let failed = look.done.failed.len();
        inputs::read_group(&mut ingest, &mut look, &group)?;
        if job.is_configured {
            ingest.trouble(&group.scope(), &look.done.failed[failed..])?;
        }
    }
    #[cfg(test)]
    trial::stop()?;
    ingest.finish()?;
    let mut done = look.done;
    access_log::read_all(ledger, None, job, now, &mut done)?;
    Ok(done)
}

/// One look at the inputs of a job, and what it found.
struct Look<'a> {
    job: &'a ReadJob,
    /// In microseconds UTC.
    now: i64,
    out: Out,
    pacing: Pacing<'a>,
    done: ReadDone,
}

/// Hands an old conntracker ledger's rows over, once.
fn take_over(ingest: &Ingest<'_>, job: &ReadJob) -> Result<(), LedgerError> {
    let Some(conntracker) = &job.conntracker else {
        return ingest.take_over_accounts(&|text| {
            text.parse::<jiff::Timestamp>().ok().map(|at| at.as_microsecond())
        });
    };
    let zone = conntracker_zone(job);
    ingest.take_over_accounts(&|text| conntracker.database_time.parse(text, &zone))
}

fn conntracker_zone(job: &ReadJob) -> jiff::tz::TimeZone {
    let own = job.conntracker.as_ref().and_then(|it| it.zone.as_ref());
    let zone = own.cloned().or_else(|| job.inputs.first().map(|input| input.zone.clone()));
    zone.unwrap_or_else(crate::time::Zone::machine).tz
}

fn keeping(job: &ReadJob, now: i64) -> Keeping {
    let limits = &job.limits;
    let mut keeping = Keeping::new(now);
    keeping.hour_days = limits.hours_days;
    keeping.day_days = limits.days_days;
    keeping.connection_days = limits.connections_days;
    keeping.connections = usize::try_from(limits.connections_keep).unwrap_or(usize::MAX);
    keeping.strangers_per_hour = limits.pairs_per_hour as usize;
    if let Some(settings) = job.conntracker.clone() {
        let zone = conntracker_zone(job);
        keeping.local_text = Some(Arc::new(move |at| settings.database_time.format(at, &zone)));
    }
    keeping
}

/// The threads to use for so many bytes.
fn threads(job: &ReadJob, bytes: u64) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = job.threads.unwrap_or(processors.min(THREADS_DEFAULT_MAX)).max(1);
    if bytes < THREADS_BYTES_MIN { 1 } else { wanted }
}

/// Shows how far a scan is, on a terminal; nothing otherwise.
fn progress_bar(bytes: u64, out: Out) -> ProgressBar {
    use std::io::IsTerminal as _;
    if bytes < PROGRESS_BYTES_MIN || out.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        "{bar:30} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
    let bar = ProgressBar::new(bytes);
    bar.set_style(ProgressStyle::with_template(style).expect("the template is one"));
    bar
}

/// What is read and not stored yet, by source, and how far the files were read.
struct Sums<'i, 'l, 'f> {
    ingest: &'i mut Ingest<'l>,
    files: &'f [FileWork<'f>],
    pacing: Pacing<'f>,
    batches: BTreeMap<i64, Batch>,
    marks: BTreeMap<usize, Checkpoint>,
    /// The newest mark of each file that is stored.
    stored: BTreeMap<usize, Checkpoint>,
    committed: Instant,
    notes: Notes,
}

impl<'i, 'l, 'f> Sums<'i, 'l, 'f> {
    fn new(
        ingest: &'i mut Ingest<'l>,
        files: &'f [FileWork<'f>],
        now: i64,
        pacing: Pacing<'f>,
    ) -> Self {
        let (batches, marks, stored) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (committed, notes) = (Instant::now(), Notes::new(now));
        Sums { ingest, files, pacing, batches, marks, stored, committed, notes }
    }

    /// Stores everything and begins anew.
    fn flush(&mut self) -> anyhow::Result<()> {
        for (source, batch) in std::mem::take(&mut self.batches) {
            self.notes.batch(&batch);
            self.ingest.add(source, &batch)?;
        }
        #[cfg(test)]
        trial::stop()?;
        for (file, mark) in std::mem::take(&mut self.marks) {
            let work = &self.files[file];
            self.ingest.checkpoint(Some(work.id), work.source, &mark)?;
            self.stored.insert(file, mark);
        }
        #[cfg(test)]
        trial::stop()?;
        self.ingest.commit()?;
        self.committed = Instant::now();
        #[cfg(test)]
        trial::stop()?;
        Ok(())
    }

    /// # Errors
    /// [`Stopped`], with everything stored, where reading is to end.
    fn flush_if_due(&mut self) -> anyhow::Result<()> {
        #[cfg(test)]
        if trial::commits_each_file() {
            return self.flush();
        }
        let bytes: usize = self.batches.values().map(Batch::bytes).sum();
        let stops = !(self.pacing.go_on)();
        if stops || bytes > SUMS_BYTES || self.committed.elapsed() > self.pacing.commit_every {
            self.flush()?;
        }
        self.stop_if_told()
    }

    /// For the moment after storing everything.
    fn stop_if_told(&self) -> anyhow::Result<()> {
        if self.batches.is_empty() && !(self.pacing.go_on)() {
            return Err(Stopped.into());
        }
        Ok(())
    }

    /// Notes how far a file is read; `drained`: to its end, so that it is not looked into again
    /// before it changes.
    fn mark(&mut self, file: usize, reached: Reached, drained: bool) {
        let work = &self.files[file];
        let mark = Checkpoint {
            path: work.candidate.file().path().to_path_buf(),
            fingerprint: reached.fingerprint,
            raw: work.candidate.raw(drained),
            mid_record: reached.mid_record,
            newest: self.batches.get(&work.source).and_then(|batch| batch.newest_of(work.id)),
        };
        self.marks.insert(file, mark);
    }

    fn ended(&mut self, file: usize, unfinished_bytes: usize, ended: &Ended) {
        let path = self.files[file].candidate.file().path();
        match ended {
            Ended::Whole => self.notes.unfinished(path, unfinished_bytes),
            Ended::BatchFull => {}
            Ended::Broken(error) => self.notes.failed(error),
            Ended::Crashed => self.notes.crashed(path),
        }
    }

    /// Reads all files on this thread, straight into the sums.
    fn read_alone(&mut self, progress: &Progress<'_>) -> anyhow::Result<()> {
        for (file, work) in self.files.iter().enumerate() {
            let mut reader = match work.reader(None) {
                Ok(reader) => reader,
                Err(error) => {
                    self.notes.failed(&error);
                    continue;
                }
            };
            let mut fresh = work.batch();
            loop {
                let batch = match self.batches.entry(work.source) {
                    std::collections::btree_map::Entry::Occupied(entry) => {
                        let batch = entry.into_mut();
                        if batch.file() != work.id {
                            batch.go_on_with(fresh);
                        }
                        batch
                    }
                    std::collections::btree_map::Entry::Vacant(entry) => entry.insert(fresh),
                };
                let before = Before::of(batch);
                let ended = reader.read(batch, SUMS_BYTES, progress);
                self.notes.file(work.candidate.file().path(), batch, &before);
                let full = matches!(ended, Ended::BatchFull);
                let batch_after = batch.successor();
                let reached = reader.reached();
                self.ended(file, reached.unfinished_bytes, &ended);
                self.mark(file, reached, matches!(ended, Ended::Whole));
                if !full {
                    self.flush_if_due()?;
                    break;
                }
                fresh = batch_after;
                self.flush()?;
                self.stop_if_told()?;
            }
        }
        Ok(())
    }
}

impl pool::Counter for Sums<'_, '_, '_> {
    fn count(
        &mut self,
        file: usize,
        batch: Batch,
        reached: Reached,
        ended: Option<Ended>,
    ) -> anyhow::Result<()> {
        let work = &self.files[file];
        self.notes.file(work.candidate.file().path(), &batch, &Before::default());
        match self.batches.entry(work.source) {
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                entry.get_mut().absorb(batch)
            }
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(batch);
            }
        }
        if let Some(ended) = &ended {
            self.ended(file, reached.unfinished_bytes, ended);
        }
        self.mark(file, reached, matches!(ended, Some(Ended::Whole)));
        self.flush_if_due()
    }

    fn failed(&mut self, _: usize, error: Error) {
        self.notes.failed(&error);
    }

    fn crashed(&mut self, file: usize) {
        self.notes.crashed(self.files[file].candidate.file().path());
    }
}

/// Reads files that have something to read, and stores what they say. Returns the marks that were
/// stored, by the files' numbers.
fn read_files(
    ingest: &mut Ingest<'_>,
    look: &mut Look<'_>,
    files: &[FileWork<'_>],
) -> anyhow::Result<BTreeMap<usize, Checkpoint>> {
    let start = Instant::now();
    let bytes = files.iter().map(FileWork::raw_left).sum();
    let bar = progress_bar(bytes, look.out);
    let read = AtomicU64::new(0);
    let pacing = look.pacing;
    let progress = |bytes: u64| {
        read.fetch_add(bytes, Ordering::Relaxed);
        bar.inc(bytes);
        (pacing.go_on)()
    };
    let mut sums = Sums::new(ingest, files, look.now, pacing);
    let ended = match threads(look.job, bytes) {
        1 => sums.read_alone(&progress),
        threads => pool::run(files, threads, &progress, &mut sums),
    };
    if ended.is_ok() {
        sums.flush()?;
    }
    bar.finish_and_clear();
    look.done.bytes += read.into_inner();
    look.done.reading += start.elapsed();
    sums.notes.hand_over(&mut look.done);
    ended.map(|()| sums.stored)
}
