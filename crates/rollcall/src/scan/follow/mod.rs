//! Following logs while they are written: what may still grow stays open, and what is added is read.
//!
//! ```text
//! look   paths ─► files ─► compared with the marks, read      as a scan; then: which stay open
//! read   open files ─► grown? still what was read of them? ─► the new end is read
//! ```
//!
//! A look costs what a scan costs that finds nothing new; a read costs two system calls a file, and for
//! those that have grown two small reads before the new bytes.
//!
//! # Invariants
//! * Both store sums and marks as a scan does, in one transaction: a watch that is killed loses nothing
//!   and doubles nothing.
//! * A read goes on only in the very file that was read, under whatever name, where head and tail still
//!   are what its mark says. Whatever else there is to decide is left to a look, which sees all files and
//!   all marks.
//! * After a fault, and after somebody else has written to the ledger, the next step is a look.

mod held;
mod places;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use ledger::{Ingest, Ledger, Lock, Mark};
use source::{Candidate, Compression, OpenFile};

use super::access_log;
use super::inputs::{self, Found, Group};
#[cfg(test)]
use super::trial;
use super::work::FileWork;
use super::{Look, Pacing, ReadDone, keeping, read_files, take_over};
use crate::job::ReadJob;
use crate::out::Out;
use held::{Change, Held, mark_of};
pub(crate) use places::Places;

/// A file that is not the newest of its log stays open for so long after its last change, in
/// microseconds: its writer may still have it open.
const RECENT: i64 = 5 * 60 * 1_000_000;

/// A file that was deleted is followed for so long after its last record: its writer may not know. Longer
/// would keep its room on the disk taken.
const DELETED_PATIENCE: Duration = Duration::from_secs(60);

/// The same for one that was moved to where nothing is looked for.
const MOVED_PATIENCE: Duration = Duration::from_secs(3600);

/// The most files that are followed without a name: only the last few can have a writer.
const UNNAMED_MAX: usize = 16;

/// Servers are asked for new rows this often at most: each time is a connection.
const TABLES_EVERY: Duration = Duration::from_secs(60);

/// Says nothing: who follows logs tells from what is returned.
const SILENT: Out = Out { quiet: true, verbose: 0 };

/// What reading on in open files found.
#[derive(Debug, Default)]
pub(crate) struct Grown {
    /// What was read, and is stored.
    pub(crate) done: ReadDone,
    /// It takes a look to tell what happened to some file.
    pub(crate) unclear: bool,
}

/// Follows the inputs of a job.
#[derive(Debug)]
pub(crate) struct Follower {
    job: ReadJob,
    groups: Vec<Following>,
    /// When tables were read last, and what could not be.
    tables: Option<(Instant, Vec<String>)>,
    /// The ledger's version when the marks were read; `None`: they are not known.
    version: Option<i64>,
}

/// Inputs that are read alike, and the files of them that are open.
#[derive(Debug)]
struct Following {
    group: Group,
    held: Vec<Held>,
    /// Let go by the step that is under way; held again where that is not stored.
    parting: Vec<Held>,
}

impl Follower {
    /// Nothing is opened yet. Standard input cannot be followed.
    ///
    /// # Errors
    /// A message, where it is among the inputs.
    pub(crate) fn new(job: ReadJob) -> Result<Follower, String> {
        if job.inputs.iter().any(|input| input.path == Path::new("-")) {
            return Err(
                "standard input cannot be followed: rollcall scan - reads it to its end".into()
            );
        }
        let following = |group| Following { group, held: Vec::new(), parting: Vec::new() };
        let groups = inputs::groups(&job).into_iter().map(following).collect();
        Ok(Follower { job, groups, tables: None, version: None })
    }

    /// Follows other inputs from the next look on; what both have in common stays open.
    pub(crate) fn replace(&mut self, mut other: Follower) {
        for new in &mut other.groups {
            let alike = |old: &&mut Following| {
                old.group.label == new.group.label && old.group.paths == new.group.paths
            };
            if let Some(old) = self.groups.iter_mut().find(alike) {
                new.held = std::mem::take(&mut old.held);
                new.parting = std::mem::take(&mut old.parting);
            }
        }
        *self = other;
    }

    /// The zone of log times and who said so, for people.
    pub(crate) fn zone_text(&self) -> String {
        self.job.zone_text()
    }

    /// Looks at all inputs as a scan does, reads what is new, and decides what stays open. `now` is in
    /// microseconds UTC. `says_so`: the ledger is told that a watch runs, even where nothing is new.
    ///
    /// # Errors
    /// Where the ledger cannot be written; [`super::Stopped`].
    pub(crate) fn look(
        &mut self,
        (ledger, lock): (&mut Ledger, &Lock),
        (now, instant): (i64, Instant),
        pacing: Pacing<'_>,
        says_so: bool,
    ) -> anyhow::Result<ReadDone> {
        self.version = None;
        let job = &self.job;
        let mut ingest = ledger.ingest_under(lock, keeping(job, now))?;
        let (changes, version) = (ingest.changes(), ingest.version()?);
        take_over(&ingest, job)?;
        let mut look = Look { job, now, out: SILENT, pacing, done: ReadDone::default() };
        look.done.notes.extend(ingest.new_warning()?);
        for following in &mut self.groups {
            let failed = look.done.failed.len();
            following.look(&mut ingest, &mut look, instant)?;
            ingest.trouble(&following.group.scope(), &look.done.failed[failed..])?;
        }
        if says_so || ingest.changes() != changes {
            ingest.watching(true)?;
            #[cfg(test)]
            trial::stop()?;
            ingest.finish()?;
        } else {
            drop(ingest);
        }
        self.groups.iter_mut().for_each(|following| following.parting.clear());
        let mut done = look.done;
        self.read_tables((ledger, lock), (now, instant), &mut done)?;
        self.version = Some(version);
        Ok(done)
    }

    /// Reads tables, where that is due; else tells again what could not be read.
    fn read_tables(
        &mut self,
        (ledger, lock): (&mut Ledger, &Lock),
        (now, instant): (i64, Instant),
        done: &mut ReadDone,
    ) -> anyhow::Result<()> {
        if let Some((read, failed)) = &self.tables
            && instant.saturating_duration_since(*read) < TABLES_EVERY
        {
            done.failed.extend(failed.iter().cloned());
            return Ok(());
        }
        let failed = done.failed.len();
        access_log::read_all(ledger, Some(lock), &self.job, now, done)?;
        self.tables = Some((instant, done.failed[failed..].to_vec()));
        Ok(())
    }

    /// Reads what was added to the open files.
    ///
    /// # Errors
    /// As [`Follower::look`].
    pub(crate) fn read(
        &mut self,
        (ledger, lock): (&mut Ledger, &Lock),
        (now, instant): (i64, Instant),
        pacing: Pacing<'_>,
    ) -> anyhow::Result<Grown> {
        let (grown, unclear) = self.grown();
        let done = ReadDone::default();
        if grown.iter().all(Vec::is_empty) {
            return Ok(Grown { done, unclear });
        }
        let Some(version) = self.version.take() else { return Ok(Grown { done, unclear: true }) };
        let mut ingest = ledger.ingest_under(lock, keeping(&self.job, now))?;
        // Within the transaction, so that nobody comes between.
        if ingest.version()? != version {
            return Ok(Grown { done, unclear: true });
        }
        let mut look = Look { job: &self.job, now, out: SILENT, pacing, done };
        let mut whole = true;
        for (following, grown) in self.groups.iter_mut().zip(&grown) {
            whole &= following.read(&mut ingest, &mut look, grown, instant)?;
        }
        ingest.watching(true)?;
        #[cfg(test)]
        trial::stop()?;
        ingest.finish()?;
        // Where one of them could not be read, the next step is a look.
        self.version = whole.then_some(version);
        Ok(Grown { done: look.done, unclear: unclear || !whole })
    }

    /// Tells the ledger that the watch runs, or that it has ended.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub(crate) fn say(
        &mut self,
        (ledger, lock): (&mut Ledger, &Lock),
        now: i64,
        runs: bool,
    ) -> anyhow::Result<()> {
        let ingest = ledger.ingest_under(lock, keeping(&self.job, now))?;
        ingest.watching(runs)?;
        ingest.finish()?;
        Ok(())
    }

    /// Per group the open files that have grown; and whether anything else happened to one.
    fn grown(&self) -> (Vec<Vec<(usize, OpenFile)>>, bool) {
        let mut unclear = false;
        let mut of_group = |following: &Following| {
            let mut grown = Vec::new();
            for (index, held) in following.held.iter().enumerate() {
                unclear |= held.unnamed.is_none() && !held.stands_there();
                match held.changed() {
                    Ok(Change::None) => {}
                    Ok(Change::Longer(file)) => grown.push((index, file)),
                    Ok(Change::Other) | Err(_) => unclear = true,
                }
            }
            grown
        };
        let grown = self.groups.iter().map(&mut of_group).collect();
        (grown, unclear)
    }

    /// What is open, and whether it stands where it was opened.
    #[cfg(test)]
    pub(crate) fn open_files(&self) -> impl Iterator<Item = (&OpenFile, bool)> {
        let held = self.groups.iter().flat_map(|following| &following.held);
        held.map(|held| (&held.file, held.stands_there()))
    }

    /// Where to wait for changes.
    pub(crate) fn places(&self) -> Places {
        Places::of(&self.groups)
    }
}

impl Following {
    fn look(
        &mut self,
        ingest: &mut Ingest<'_>,
        look: &mut Look<'_>,
        instant: Instant,
    ) -> anyhow::Result<()> {
        self.held.append(&mut self.parting);
        let (named, unread) =
            inputs::find(&self.group.paths, inputs::forced(look.job), &mut look.done);
        let is_named = |held: &&Held| {
            let facts = held.file.facts();
            named.iter().any(|found| found.candidate.file().facts().same_file(&facts))
        };
        // Opened before, under a name that is gone: read first, since they are the older ones.
        let unnamed = self.held.iter().filter(|held| !is_named(held)).map(Held::found);
        let mut found: Vec<Found> = unnamed.filter_map(Result::ok).collect();
        let unnamed = found.len();
        found.extend(named);
        look.done.files += found.len() as u64;
        let (group, paths) = (&self.group, &self.group.paths);
        inputs::read_chained(ingest, look, group, paths, &mut found, unread)?;
        self.hold(ingest, found, unnamed, (look.now, instant))
    }

    /// Decides which files stay open. The first `unnamed` of `found` have lost their names.
    fn hold(
        &mut self,
        ingest: &Ingest<'_>,
        found: Vec<Found>,
        unnamed: usize,
        (now, instant): (i64, Instant),
    ) -> anyhow::Result<()> {
        let marks = ingest.marks(&self.group.label)?;
        let mut at_path: HashMap<&Path, Vec<&Mark>> = HashMap::new();
        for mark in &marks {
            at_path.entry(&mark.known.path).or_default().push(mark);
        }
        let copies: Vec<&Mark> =
            found[unnamed..].iter().filter_map(|it| rotated(it, &at_path)).collect();
        let before = std::mem::take(&mut self.held);
        let mut nameless = Vec::new();
        for (index, found) in found.into_iter().enumerate() {
            let file = found.candidate.file();
            let recent = now.saturating_sub(file.facts().modified) < RECENT;
            let is_unnamed = index < unnamed;
            if file.compression() != Compression::Plain
                || !(is_unnamed || found.is_newest || recent)
            {
                continue;
            }
            let marks = at_path.get(file.path()).map_or(&[][..], Vec::as_slice);
            let Some(mark) = mark_of(file, marks) else { continue };
            let was = before.iter().find(|held| held.key == mark.known.key);
            let grew = was.is_none_or(|was| was.fingerprint != mark.known.fingerprint);
            let since = was.and_then(|was| was.unnamed).filter(|_| !grew).unwrap_or(instant);
            let held = Held {
                file: file.clone(),
                location: found.location,
                dialect: found.dialect,
                is_recognised: found.is_recognised,
                key: mark.known.key,
                source: mark.source,
                fingerprint: mark.known.fingerprint.clone(),
                mid_record: mark.mid_record,
                newest: mark.newest,
                unnamed: is_unnamed.then_some(since),
            };
            if is_unnamed { nameless.push(held) } else { self.held.push(held) }
        }
        nameless.sort_by_key(|held| std::cmp::Reverse(held.unnamed));
        for (index, mut held) in nameless.into_iter().enumerate() {
            if let Some(copy) = copies.iter().find(|copy| held.is_copied(copy)) {
                held.move_to(&copy.known.path, ingest)?;
            }
            let deleted = held.file.is_deleted()?;
            let patience = if deleted { DELETED_PATIENCE } else { MOVED_PATIENCE };
            let waits = held.unnamed.is_none_or(|since| instant - since < patience);
            if waits && index < UNNAMED_MAX {
                self.held.push(held);
            } else {
                held.part(ingest)?;
                self.parting.push(held);
            }
        }
        Ok(())
    }

    /// Reads the files that have grown, and moves their marks. False where one was not read.
    fn read(
        &mut self,
        ingest: &mut Ingest<'_>,
        look: &mut Look<'_>,
        grown: &[(usize, OpenFile)],
        instant: Instant,
    ) -> anyhow::Result<bool> {
        let mut candidates = Vec::with_capacity(grown.len());
        for (index, file) in grown {
            candidates.push((*index, Candidate::new(file.clone())?, inputs::head(file)?));
        }
        let options = self.group.options(look.job);
        let files: Vec<FileWork<'_>> = candidates
            .iter_mut()
            .map(|(index, candidate, head)| {
                let held = &self.held[*index];
                FileWork {
                    candidate,
                    dialect: held.dialect,
                    source: held.source,
                    id: held.key,
                    offset: held.fingerprint.offset,
                    head: std::mem::take(head),
                    mid_record: held.mid_record,
                    newest: held.newest,
                    zone: self.group.zone.clone(),
                    options: options.clone(),
                }
            })
            .collect();
        let failed = look.done.failed.len();
        let marks = read_files(ingest, look, &files)?;
        drop(files);
        look.done.files += grown.len() as u64;
        for (number, (index, candidate, _)) in candidates.iter().enumerate() {
            let Some(mark) = marks.get(&number) else { continue };
            let held = &mut self.held[*index];
            held.file = candidate.file().clone();
            held.fingerprint = mark.fingerprint.clone();
            held.mid_record = mark.mid_record;
            held.newest = held.newest.max(mark.newest);
            held.unnamed = held.unnamed.map(|_| instant);
        }
        Ok(marks.len() == candidates.len() && look.done.failed.len() == failed)
    }
}

/// The mark of a rotated file that was found.
fn rotated<'m>(found: &Found, at_path: &HashMap<&Path, Vec<&'m Mark>>) -> Option<&'m Mark> {
    let file = found.candidate.file();
    let same = |mark: &&&Mark| mark.known.raw.facts.same_file(&file.facts());
    let mark = at_path.get(file.path())?.iter().rev().find(same)?;
    (mark.known.path != mark.location && mark.known.raw.drained).then_some(mark)
}
