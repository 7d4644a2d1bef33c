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

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use formats::Dialect;
use ledger::{Checkpoint, Ingest, Ledger, Lock, Mark};
use source::{Candidate, Compression, Error, Fingerprint, OpenFile};

use super::inputs::{self, Found, Group};
use super::work::FileWork;
use super::{Look, Pacing, ReadDone, keeping, read_files, take_over};
use crate::job::ReadJob;
use crate::out::Out;

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

/// The most folders that are told to be watched; what changes in others is found by looking now and then.
const FOLDERS_MAX: usize = 250;

/// Says nothing: who follows logs tells from what is returned.
const SILENT: Out = Out { quiet: true, verbose: 0 };

/// Where to wait for changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Something may appear, go or be renamed in these.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// These may grow.
    pub(crate) files: BTreeSet<PathBuf>,
}

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
    /// The ledger's version when the marks were read; `None`: they are not known.
    version: Option<i64>,
}

/// Inputs that are read alike, and the files of them that are open.
#[derive(Debug)]
struct Following {
    group: Group,
    held: Vec<Held>,
}

/// An open plain file that may grow, and its mark.
#[derive(Debug)]
struct Held {
    /// With the facts up to which it was read.
    file: OpenFile,
    location: PathBuf,
    dialect: Dialect,
    is_recognised: bool,
    /// The ledger's numbers of the file and its source.
    key: i64,
    source: i64,
    fingerprint: Fingerprint,
    mid_record: bool,
    newest: Option<i64>,
    /// Since when no input leads to it and nothing was added; `None`: it has its name.
    unnamed: Option<Instant>,
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
        let following = |group| Following { group, held: Vec::new() };
        let groups = inputs::groups(&job).into_iter().map(following).collect();
        Ok(Follower { job, groups, version: None })
    }

    /// Follows other inputs from the next look on; what both have in common stays open.
    pub(crate) fn replace(&mut self, mut other: Follower) {
        for new in &mut other.groups {
            let alike = |old: &&mut Following| {
                old.group.label == new.group.label && old.group.paths == new.group.paths
            };
            if let Some(old) = self.groups.iter_mut().find(alike) {
                new.held = std::mem::take(&mut old.held);
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
        for following in &mut self.groups {
            let failed = look.done.failed.len();
            following.look(&mut ingest, &mut look, instant)?;
            ingest.trouble(&following.group.scope(), &look.done.failed[failed..])?;
        }
        if says_so || ingest.changes() != changes {
            ingest.watching(true)?;
            ingest.finish()?;
        } else {
            drop(ingest);
        }
        self.version = Some(version);
        Ok(look.done)
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

    /// Where to wait for changes.
    pub(crate) fn places(&self) -> Places {
        let mut places = Places::default();
        for following in &self.groups {
            for path in &following.group.paths {
                places.folders.extend(nearest_folder(path));
                if path.is_symlink() {
                    // It may be made to lead elsewhere.
                    places.folders.extend(path.parent().and_then(nearest_folder));
                }
            }
            for held in following.held.iter().filter(|held| held.unnamed.is_none()) {
                let path = held.file.path();
                places.files.insert(path.to_path_buf());
                if let Some(folder) = path.parent().filter(|_| places.folders.len() < FOLDERS_MAX) {
                    places.folders.insert(folder.to_path_buf());
                }
            }
        }
        places
    }
}

/// How an open file differs from what was read of it.
enum Change {
    None,
    /// It goes on where its mark ends.
    Longer(OpenFile),
    /// Cut, overwritten, or of a kind that was only guessed.
    Other,
}

impl Held {
    fn changed(&self) -> Result<Change, Error> {
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
    fn stands_there(&self) -> bool {
        let facts = self.file.facts();
        let there = std::fs::symlink_metadata(self.file.path());
        there.is_ok_and(|it| (it.dev(), it.ino()) == (facts.device, facts.inode))
    }

    /// The file as of now, as a look finds files.
    fn found(&self) -> Result<Found, Error> {
        Ok(Found {
            candidate: Candidate::new(self.file.again()?)?,
            location: self.location.clone(),
            dialect: self.dialect,
            is_recognised: self.is_recognised,
            is_newest: false,
        })
    }
}

impl Following {
    fn look(
        &mut self,
        ingest: &mut Ingest<'_>,
        look: &mut Look<'_>,
        instant: Instant,
    ) -> anyhow::Result<()> {
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
        for (index, held) in nameless.into_iter().enumerate() {
            let deleted = held.file.is_deleted()?;
            let patience = if deleted { DELETED_PATIENCE } else { MOVED_PATIENCE };
            let waits = held.unnamed.is_none_or(|since| instant - since < patience);
            if waits && index < UNNAMED_MAX {
                self.held.push(held);
            } else {
                held.part(ingest)?;
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

impl Held {
    /// Notes that a file without a name was read to its end: whatever stands at its place later, nothing
    /// of this one is lost. Its mark stays, for it may be found elsewhere.
    fn part(self, ingest: &Ingest<'_>) -> anyhow::Result<()> {
        let facts = self.file.facts();
        if self.fingerprint.offset < facts.len {
            return Ok(());
        }
        let mut raw = Candidate::new(self.file.clone())?.raw(true);
        // A file that holds nothing has nothing that could be lost.
        raw.facts.len = 0;
        let mark = Checkpoint {
            path: self.file.path().to_path_buf(),
            fingerprint: self.fingerprint,
            raw,
            mid_record: self.mid_record,
            newest: self.newest,
        };
        ingest.checkpoint(Some(self.key), self.source, &mark)?;
        Ok(())
    }
}

/// The mark that was stored for a file a moment ago, among those of its path.
fn mark_of<'m>(file: &OpenFile, marks: &[&'m Mark]) -> Option<&'m Mark> {
    let fits = |mark: &&&Mark| {
        let known = &mark.known;
        let fingerprint = file.fingerprint(known.fingerprint.offset);
        known.raw.facts.same_file(&file.facts())
            && fingerprint.is_ok_and(|it| it == known.fingerprint)
    };
    marks.iter().rev().find(fits).copied()
}

/// The folder in which what a path or pattern leads to would appear: the path itself where it is a
/// folder, else the nearest one above that exists.
fn nearest_folder(path: &Path) -> Option<PathBuf> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let absolute = std::path::absolute(target).ok()?;
    absolute.ancestors().find(|folder| folder.is_dir()).map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::job::{Input, ZoneOrigin};
    use crate::time::Zone;
    use std::fs;

    /// A folder of logs, a ledger beside it, and a follower whose clock the test sets.
    struct Desk {
        folder: tempfile::TempDir,
        ledger: Ledger,
        lock: Lock,
        follower: Follower,
        start: Instant,
        ids: u32,
    }

    impl Desk {
        fn new() -> Desk {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("logs")).unwrap();
            let ledger = Ledger::create(&folder.path().join("ledger.sqlite")).unwrap();
            let input = Input {
                path: folder.path().join("logs"),
                server: None,
                zone: Zone::utc(),
                zone_origin: ZoneOrigin::Flag,
            };
            let job = ReadJob {
                inputs: vec![input],
                is_configured: false,
                dialect: None,
                threads: Some(1),
                limits: Limits::default(),
                conntracker: None,
            };
            let follower = Follower::new(job).unwrap();
            let (lock, start) = (ledger.lock().unwrap(), Instant::now());
            Desk { folder, ledger, lock, follower, start, ids: 0 }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn line(&mut self) -> String {
            self.ids += 1;
            format!("20261101 00:00:00,db1,app,10.0.0.1,{},0,CONNECT,shop,,0\n", self.ids)
        }

        fn append(&mut self, name: &str) -> fs::File {
            let line = self.line();
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
            file
        }

        /// Looks, so many seconds after the beginning; tells how many files stay open.
        fn look(&mut self, seconds: u64) -> usize {
            let now = jiff::Timestamp::now().as_microsecond() + seconds as i64 * 1_000_000;
            let at = (now, self.start + Duration::from_secs(seconds));
            let pacing = Pacing::watching(&|| true);
            let done = self.follower.look((&mut self.ledger, &self.lock), at, pacing, false);
            assert_eq!(done.unwrap().failed, [""; 0]);
            self.follower.groups[0].held.len()
        }

        /// Reads; tells how many files had grown, and whether a look is asked for.
        fn read(&mut self) -> (u64, bool) {
            let at = (jiff::Timestamp::now().as_microsecond(), Instant::now());
            let pacing = Pacing::watching(&|| true);
            let grown = self.follower.read((&mut self.ledger, &self.lock), at, pacing).unwrap();
            (grown.done.files, grown.unclear)
        }

        fn logins(&self) -> u64 {
            self.ledger.seen(&ledger::Filter::default()).unwrap().iter().map(|it| it.logins).sum()
        }

        fn gaps(&self) -> usize {
            let rows = self.ledger.evidence(&ledger::Filter::default()).unwrap();
            rows.iter().filter(|row| row.state == ledger::EvidenceState::Gap).count()
        }
    }

    #[test]
    fn a_read_takes_what_was_added_and_nothing_else() {
        let mut desk = Desk::new();
        desk.append("logs/audit.log");
        assert_eq!(desk.read(), (0, false));
        assert_eq!(desk.look(0), 1);
        assert_eq!(desk.read(), (0, false));
        for logins in 2..5 {
            desk.append("logs/audit.log");
            assert_eq!(desk.read(), (1, false));
            assert_eq!(desk.read(), (0, false));
            assert_eq!(desk.logins(), logins);
        }
    }

    #[test]
    fn what_a_read_cannot_judge_is_left_to_a_look() {
        let mut desk = Desk::new();
        for round in 0..4 {
            desk.append("logs/audit.log");
            desk.look(0);
            let log = desk.path("logs/audit.log");
            match round {
                // Cut; cut and grown past the mark; renamed; written to the ledger by somebody else.
                0 => fs::write(&log, "").unwrap(),
                1 => {
                    fs::write(&log, "").unwrap();
                    for _ in 0..20 {
                        desk.append("logs/audit.log");
                    }
                }
                2 => fs::rename(&log, desk.path("logs/audit.log.1")).unwrap(),
                _ => {
                    desk.append("logs/audit.log");
                    let other = rusqlite::Connection::open(desk.path("ledger.sqlite")).unwrap();
                    other.execute("INSERT INTO meta VALUES ('other', 1)", []).unwrap();
                }
            }
            assert_eq!(desk.read(), (0, true), "{round}");
            desk.look(0);
            assert_eq!(desk.read(), (0, false), "{round}");
        }
        assert_eq!(desk.logins(), u64::from(desk.ids));
    }

    #[test]
    fn what_is_clear_is_read_while_something_else_is_not() {
        let mut desk = Desk::new();
        for name in ["logs/a/audit.log", "logs/b/audit.log", "logs/c/audit.log"] {
            desk.append(name);
        }
        desk.look(0);
        // One is renamed and written to, one is cut, one grows.
        fs::rename(desk.path("logs/a/audit.log"), desk.path("logs/a/audit.log.1")).unwrap();
        desk.append("logs/a/audit.log.1");
        fs::write(desk.path("logs/b/audit.log"), "").unwrap();
        desk.append("logs/c/audit.log");
        assert_eq!(desk.read(), (2, true));
        assert_eq!(desk.read(), (0, true));
        desk.look(0);
        assert_eq!(desk.read(), (0, false));
        let sources = desk.ledger.status().unwrap().sources;
        assert_eq!(sources.iter().map(|it| it.records).collect::<Vec<_>>(), [2, 1, 2]);
    }

    #[test]
    fn a_deleted_log_is_let_go_when_it_is_silent_and_its_successor_is_no_gap() {
        let patience = DELETED_PATIENCE.as_secs();
        let mut desk = Desk::new();
        let mut writer = desk.append("logs/audit.log");
        assert_eq!(desk.look(0), 1);
        fs::remove_file(desk.path("logs/audit.log")).unwrap();
        desk.append("logs/other/audit.log");
        assert_eq!(desk.look(10), 2);
        // Whoever writes on is heard, and the time begins anew.
        let line = desk.line();
        std::io::Write::write_all(&mut writer, line.as_bytes()).unwrap();
        assert_eq!(desk.look(9 + patience), 2);
        assert_eq!(desk.look(8 + 2 * patience), 2);
        assert_eq!(desk.look(9 + 2 * patience), 1);
        desk.append("logs/audit.log");
        assert_eq!(desk.look(10 + 2 * patience), 2);
        // The one of the other log counts in the same hour: the larger of both stands.
        assert_eq!((desk.logins(), desk.gaps()), (3, 0));
    }

    #[test]
    fn only_the_last_files_without_a_name_are_followed() {
        for (count, held) in [(UNNAMED_MAX, UNNAMED_MAX), (UNNAMED_MAX + 1, UNNAMED_MAX)] {
            let mut desk = Desk::new();
            desk.append("logs/audit.log");
            for number in 0..count {
                desk.append(&format!("logs/a{number}/audit.log"));
            }
            assert_eq!(desk.look(0), count + 1);
            for number in 0..count {
                fs::remove_dir_all(desk.path(&format!("logs/a{number}"))).unwrap();
            }
            assert_eq!(desk.look(1), held + 1);
        }
    }

    #[test]
    fn a_look_that_is_stopped_stores_what_was_read_and_the_next_reads_the_rest() {
        use std::sync::atomic::{AtomicU32, Ordering};
        // One thread; and two, with parts for both.
        for (threads, lines) in [(1, 20_000), (2, 640_000)] {
            let mut desk = Desk::new();
            desk.follower.job.threads = Some(threads);
            let text: String = (0..lines).map(|_| desk.line()).collect();
            fs::write(desk.path("logs/audit.log"), text).unwrap();
            let asked = AtomicU32::new(0);
            let go_on = || asked.fetch_add(1, Ordering::Relaxed) < 2;
            let (at, pacing) = ((0, desk.start), Pacing::watching(&go_on));
            let stopped = desk.follower.look((&mut desk.ledger, &desk.lock), at, pacing, false);
            assert!(stopped.unwrap_err().is::<crate::scan::Stopped>());
            let logins = desk.logins();
            assert!(0 < logins && logins < lines, "{logins} of {lines}");
            desk.look(0);
            assert_eq!(desk.logins(), lines);
        }
    }

    #[test]
    fn old_files_are_closed_but_for_the_newest_of_a_log() {
        let mut desk = Desk::new();
        desk.append("logs/audit.log.1");
        desk.append("logs/audit.log");
        assert_eq!(desk.look(0), 2);
        let recent = RECENT as u64 / 1_000_000;
        assert_eq!(desk.look(recent - 10), 2);
        assert_eq!(desk.look(recent + 1), 1);
        // It is found again by a look.
        desk.append("logs/audit.log.1");
        assert_eq!(desk.read(), (0, false));
        assert_eq!(desk.look(recent + 2), 1);
        assert_eq!(desk.logins(), 3);
    }

    #[test]
    fn places_are_where_logs_are_or_would_be() {
        let mut desk = Desk::new();
        desk.append("logs/deep/audit.log");
        desk.look(0);
        let root = fs::canonicalize(desk.folder.path()).unwrap();
        let paths = |names: &[&str]| -> BTreeSet<PathBuf> {
            names.iter().map(|name| root.join(name)).collect()
        };
        let places = desk.follower.places();
        assert_eq!(places.files, paths(&["logs/deep/audit.log"]));
        assert_eq!(places.folders, paths(&["logs", "logs/deep"]));
        let nearest = |name: &str| nearest_folder(&desk.path(name)).unwrap();
        assert_eq!(nearest("none/at/all.log"), desk.folder.path());
        assert_eq!(nearest("logs/d*/x.log"), desk.path("logs"));
        assert_eq!(nearest("logs/deep/audit.log"), desk.path("logs/deep"));
        std::os::unix::fs::symlink(desk.path("logs/deep"), desk.path("link")).unwrap();
        desk.follower.groups[0].group.paths = vec![desk.path("link")];
        assert_eq!(desk.follower.places().folders, paths(&["logs/deep", ""]));
    }

    #[test]
    fn places_are_bounded() {
        for (count, told) in [(FOLDERS_MAX - 1, FOLDERS_MAX), (FOLDERS_MAX, FOLDERS_MAX)] {
            let mut desk = Desk::new();
            for number in 0..count {
                desk.append(&format!("logs/{number}/audit.log"));
            }
            desk.look(0);
            assert_eq!(desk.follower.places().folders.len(), told);
        }
    }
}
