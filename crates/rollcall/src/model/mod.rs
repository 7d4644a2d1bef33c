//! Generated histories of a log, read by `scan` and `watch` and held against what was really written.
//!
//! The model knows every record, which stretch of log it was written to, and reads the files as anybody
//! can, and what a watch keeps open besides. It knows nothing of marks, inodes and names. After each scan
//! and each look of a watch these must hold:
//!
//! * No record counts twice, over all sources, ever.
//! * A record that stands complete in a file that was asked for counts, unless the scan names that file
//!   as one it does not read.
//! * Where the log that was being followed is in no file any more, a gap is noted. It begins at the byte up
//!   to which that log had been read, and its times hold every record that was lost from there up to the
//!   next record that is known. Where that log is in some file, no such gap is noted.
//! * What is written between the copy and the cut of a log lies in a gap, too.
//! * A file that a watch keeps open is a file like any other, whatever happened to its name. One that it has
//!   read to its end and let go leaves no gap.
//!
//! And after each read of a watch that asks for no look, every record in the files in which it waits for
//! more counts.
//!
//! Not asked for, because nothing in the files tells of it: records that a server wrote to a rotated file
//! after that had been read, and that were deleted with it; a rotated file that nobody had read when it was
//! deleted, though an older one is still there.
//!
//! `ROLLCALL_MODEL_SEQUENCES` sets how many histories are tried (2,000 where it is not set). A failure is
//! shrunk to the shortest history that shows it.

mod step;
mod watcher;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use rusqlite::Connection;

use crate::config::Limits;
use crate::job::{Input, ReadJob, ZoneOrigin};
use crate::out::Out;
use crate::scan::{Follower, Grown, ReadDone, scan, trial};
use crate::time::Zone;
use step::{Fault, Step, What, steps};
use watcher::Watcher;
use world::{Seen, World};

/// A log that was the live one when it was read, and may go on elsewhere.
#[derive(Debug, Clone)]
struct Followed {
    stretch: usize,
    /// How many bytes of it had been read.
    read: usize,
    /// Number of the file.
    number: Option<(u64, u64)>,
    /// What happened to the live file since: rotations of any kind.
    since: Vec<&'static str>,
    /// No scan has died that may have read it to its end under another name.
    sure: bool,
}

/// What the model expects of the reader: goes with the ledger when that is copied.
#[derive(Debug, Clone, Default)]
struct Expected {
    followed: Vec<Followed>,
    /// A scan died or could not read all: it may follow a log that the model does not follow.
    unsure: bool,
    gaps: usize,
}

#[derive(Debug, Clone)]
struct Gap {
    from: i64,
    to: i64,
    from_byte: i64,
    copied: bool,
}

struct Trial {
    world: World,
    ledger: PathBuf,
    expected: Expected,
    saved: Option<(Vec<u8>, Expected)>,
    watch: Option<Watcher>,
    _folders: [tempfile::TempDir; 2],
}

fn job(path: PathBuf) -> ReadJob {
    let (zone, zone_origin) = (Zone::utc(), ZoneOrigin::Flag);
    ReadJob {
        inputs: vec![Input { path, server: None, zone, zone_origin }],
        tables: Vec::new(),
        dialect: None,
        threads: Some(1),
        limits: Limits::default(),
        conntracker: None,
        is_configured: false,
    }
}

fn read(ledger: &Path, path: PathBuf, now: i64) -> anyhow::Result<ReadDone> {
    let out = Out { quiet: true, verbose: 0 };
    scan(&mut ledger::Ledger::create(ledger)?, &job(path), now, out)
}

fn fail(text: String) -> Result<(), TestCaseError> {
    Err(TestCaseError::fail(text))
}

impl Trial {
    fn new() -> Trial {
        // Logs on a real file system, which hands inodes out again; the ledger where nothing waits for a
        // disk.
        let logs = tempfile::tempdir().unwrap();
        let memory = Path::new("/dev/shm");
        let home = match memory.is_dir() {
            true => tempfile::tempdir_in(memory).unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        Trial {
            world: World::new(&logs.path().canonicalize().unwrap()),
            ledger: home.path().join("ledger.sqlite"),
            expected: Expected::default(),
            saved: None,
            watch: None,
            _folders: [logs, home],
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let note = match step {
            Step::Rotate { .. } => "renamed",
            Step::CopyTruncate { .. } => "copied",
            Step::Truncate { .. } | Step::Cut { .. } | Step::Replace | Step::DeleteLive => "cut",
            Step::Delete(_) => "deleted",
            _ => "",
        };
        if !note.is_empty() {
            self.expected.followed.iter_mut().for_each(|it| it.since.push(note));
            if let Some((_, saved)) = &mut self.saved {
                saved.followed.iter_mut().for_each(|it| it.since.push(note));
            }
        }
        self.world.act(step);
        match *step {
            Step::Scan(what) => {
                self.stand_aside();
                self.scan(what)
            }
            Step::Crash { stop, each_file } => {
                self.stand_aside();
                let (ledger, folder) = (&self.ledger, self.world.folder().to_path_buf());
                let now = self.world.now;
                let done = trial::run(Some(stop), each_file, || read(ledger, folder, now));
                match done {
                    Ok(done) => self.check(What::Folder, &done, Vec::new()),
                    Err(_) => self.died(),
                }
            }
            Step::Watch(what) => self.begin_watch(what),
            Step::Look => self.look(),
            Step::Read => self.read_on().map(drop),
            Step::End => self.end_watch(),
            Step::Kill => {
                self.watch = None;
                Ok(())
            }
            Step::Fault { read, fault } => self.come_to_grief(read, fault),
            Step::SaveLedger => {
                self.watch = None;
                let content = std::fs::read(&self.ledger).unwrap_or_default();
                self.saved = Some((content, self.expected.clone()));
                Ok(())
            }
            Step::RestoreLedger => {
                self.watch = None;
                if let Some((content, expected)) = self.saved.clone() {
                    std::fs::write(&self.ledger, content).unwrap();
                    self.expected = expected;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A reader has died: what it had read is not known.
    fn died(&mut self) -> Result<(), TestCaseError> {
        self.expected.unsure = true;
        self.doubt();
        self.expected.gaps = self.gaps().len();
        self.check_counts(&BTreeSet::new())
    }

    /// Lets a scan write beside the watch, as where the lock is lost. A scan does not find what only the
    /// watch has open: then the watch is killed before.
    fn stand_aside(&mut self) {
        if self.nameless().is_empty() {
            let _ = std::fs::remove_file(format!("{}.lock", self.ledger.display()));
        } else {
            self.watch = None;
        }
    }

    fn path(&self, what: What) -> PathBuf {
        match what {
            What::Folder => self.world.folder().to_path_buf(),
            What::Live => self.world.live_path(),
        }
    }

    fn begin_watch(&mut self, what: What) -> Result<(), TestCaseError> {
        let follower = Follower::new(job(self.path(what))).unwrap();
        match &mut self.watch {
            Some(watch) => watch.reload(what, follower),
            None => {
                let watch = Watcher::start(&self.ledger, what, follower, self.world.now);
                self.watch = Some(watch.unwrap());
            }
        }
        self.look()
    }

    /// What the watch keeps open that does not stand where it was opened.
    fn nameless(&self) -> Vec<Seen> {
        self.watch.as_ref().map_or_else(Vec::new, Watcher::nameless)
    }

    fn look(&mut self) -> Result<(), TestCaseError> {
        let open = self.nameless();
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let what = watch.what;
        match watch.look(self.world.now, None) {
            Ok(done) => self.check(what, &done, open),
            Err(error) => fail(format!("the look failed: {error:#}")),
        }
    }

    /// Tells whether a look is asked for.
    fn read_on(&mut self) -> Result<bool, TestCaseError> {
        let Some(watch) = &mut self.watch else { return Ok(false) };
        match watch.read(self.world.now, None) {
            Ok(grown) => self.check_read(&grown),
            Err(error) => fail(format!("the read failed: {error:#}")).map(|()| false),
        }
    }

    /// Holds a read against the model.
    fn check_read(&mut self, grown: &Grown) -> Result<bool, TestCaseError> {
        let Some(watch) = &self.watch else { return Ok(false) };
        let (open, waits_at) = (watch.open(), watch.waits_at());
        let mut due = BTreeSet::new();
        if !grown.unclear {
            let waited = self.world.files().into_iter().filter(|it| waits_at.contains(&it.path));
            due.extend(waited.flat_map(|seen| seen.records));
        }
        if grown.done.files > 0 {
            let (live, stretches) = (self.world.live_path(), &self.world.stretches);
            for followed in self.expected.followed.iter_mut().filter(|it| it.read > 0) {
                let own = &stretches[followed.stretch].bytes;
                // A log that was cut to what was read of it passes for that log.
                let goes_on = |seen: &Seen| {
                    seen.path == live && seen.bytes.starts_with(&own[..followed.read])
                };
                let found = open.iter().map(|(seen, _)| seen);
                let found = found.clone().find(|it| it.bytes == *own).or_else(|| {
                    let mut found = found;
                    found.find(|it| goes_on(it))
                });
                let Some(seen) = found else { continue };
                if let Some(stretch) = stretches.iter().rposition(|it| it.bytes == seen.bytes) {
                    followed.stretch = stretch;
                    followed.read = self.world.whole(stretch);
                }
            }
        }
        self.check_counts(&due)?;
        Ok(grown.unclear)
    }

    /// Ends the watch as the daemon does.
    fn end_watch(&mut self) -> Result<(), TestCaseError> {
        if self.read_on()? {
            self.look()?;
        }
        if let Some(watch) = self.watch.take() {
            watch.end(self.world.now).unwrap();
        }
        Ok(())
    }

    fn come_to_grief(&mut self, read: bool, fault: Fault) -> Result<(), TestCaseError> {
        let (open, now) = (self.nameless(), self.world.now);
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let what = watch.what;
        let mut step = |asks| match read {
            true => watch.read(now, asks).map(|grown| (None, grown)),
            false => watch.look(now, asks).map(|done| (Some(done), Grown::default())),
        };
        let (taken, goes_on) = match fault {
            Fault::Ledger { stop, each_file, dies } => {
                (trial::run(Some(stop), each_file, || step(None)), !dies)
            }
            Fault::Told(asks) => (step(Some(asks)), false),
        };
        // It may have been over before the fault.
        let judged = match taken {
            Ok((Some(done), _)) => self.check(what, &done, open),
            Ok((None, grown)) => self.check_read(&grown).map(drop),
            Err(_) => self.died(),
        };
        if !goes_on {
            self.watch = None;
        }
        judged
    }

    /// A scan has died or has named files: what it may have read to its end it may follow no more.
    fn doubt(&mut self) {
        let (files, live) = (self.world.files(), self.world.live_path());
        let (open, stretches) = (self.nameless(), &self.world.stretches);
        for followed in &mut self.expected.followed {
            let stretch = &stretches[followed.stretch].bytes;
            let read = &stretch[..followed.read];
            let elsewhere =
                files.iter().any(|seen| seen.path != live && seen.bytes.starts_with(read));
            // A log that was cut to what was read of it passes for that log.
            let is_cut =
                |seen: &Seen| seen.bytes.starts_with(read) && !stretch.starts_with(&seen.bytes);
            followed.sure &= !elsewhere && !files.iter().chain(&open).any(is_cut);
        }
    }

    fn scan(&mut self, what: What) -> Result<(), TestCaseError> {
        match read(&self.ledger, self.path(what), self.world.now) {
            Ok(done) => self.check(what, &done, Vec::new()),
            Err(error) => fail(format!("the scan failed: {error:#}")),
        }
    }

    fn sql<T>(
        &self,
        query: &str,
        row: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let db = Connection::open(&self.ledger).unwrap();
        let Ok(mut query) = db.prepare(query) else { return Vec::new() };
        query.query_map([], row).unwrap().map(Result::unwrap).collect()
    }

    /// How often each record counts, over all sources.
    fn counts(&self) -> BTreeMap<u32, i64> {
        // Whether a login is settled, waits or is contested is another matter.
        let query = "SELECT user, sum(count) FROM (
            SELECT user, count FROM tally WHERE error = 0
            UNION ALL SELECT user, count + (contested_us IS NOT NULL) FROM unsettled
            UNION ALL SELECT user, count FROM contested) GROUP BY user HAVING sum(count) > 0";
        let rows = self.sql(query, |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
        rows.into_iter().map(|(user, count)| (user[1..].parse().unwrap(), count)).collect()
    }

    fn gaps(&self) -> Vec<Gap> {
        let query =
            "SELECT coalesce(from_us, 0), coalesce(to_us, noticed_us), from_byte, reason FROM gap
                     ORDER BY id";
        self.sql(query, |row| {
            let copied = row.get::<_, String>(3)?.starts_with("copied");
            Ok(Gap { from: row.get(0)?, to: row.get(1)?, from_byte: row.get(2)?, copied })
        })
    }

    /// No record counts twice, none that was not written, and all of `due` do.
    fn check_counts(&self, due: &BTreeSet<u32>) -> Result<(), TestCaseError> {
        let counts = self.counts();
        for (record, count) in &counts {
            if *count != 1 || !self.world.records.contains_key(record) {
                fail(format!("record {record} counts {count} times"))?;
            }
        }
        match due.iter().find(|record| !counts.contains_key(record)) {
            Some(record) => fail(format!("record {record} stands in a file and does not count")),
            None => Ok(()),
        }
    }

    /// Holds a scan or look that came to its end against the model. `open`: what it had open that does not
    /// stand where it was opened.
    fn check(&mut self, what: What, done: &ReadDone, open: Vec<Seen>) -> Result<(), TestCaseError> {
        let mut files = self.world.files();
        let by_name = files.len();
        // What is found by its name is spoken of by that.
        let is_found = |it: &Seen| {
            what == What::Folder && files[..by_name].iter().any(|seen| seen.bytes == it.bytes)
        };
        let nameless: Vec<Seen> = open.iter().filter(|it| !is_found(it)).cloned().collect();
        files.extend(nameless);
        let holds = |seen: &Seen, followed: &Followed| {
            let read = &self.world.stretches[followed.stretch].bytes[..followed.read];
            seen.bytes.starts_with(read)
        };
        let named = |seen: &Seen| {
            let path = seen.path.display().to_string();
            let texts = done.failed.iter().chain(&done.notes);
            let unread = |text: &&String| done.failed.contains(text) || text.contains("is read");
            // That nothing stands at a path says nothing of a file that was opened there.
            let mut texts = texts.filter(unread).filter(|text| !text.contains("no such file"));
            texts.any(|text| text.starts_with(&format!("{path}: ")))
        };
        let mut due = BTreeSet::new();
        for seen in files.iter().filter(|seen| !named(seen)) {
            let asked = what == What::Folder
                || seen.path == self.world.live_path()
                || self
                    .expected
                    .followed
                    .iter()
                    .any(|it| it.sure && it.read > 0 && holds(seen, it));
            if asked {
                due.extend(&seen.records);
            }
        }
        self.check_counts(&due)?;

        let missing: Vec<&Followed> = self
            .expected
            .followed
            .iter()
            .filter(|it| it.read > 0 && it.sure && !files.iter().any(|seen| holds(seen, it)))
            .collect();
        let gaps = self.gaps();
        let fresh: Vec<&Gap> = gaps.iter().filter(|gap| !gap.copied).collect();
        // A file that cannot be read may hold what is missing.
        let whole = !files.iter().any(|seen| named(seen) && !is_refused(seen, done));
        if whole {
            for followed in &missing {
                self.check_gap(followed, &gaps)?;
            }
            let unproven = self.expected.followed.iter().filter(|it| it.read == 0).count();
            let most = self.expected.gaps + missing.len() + unproven;
            if !self.expected.unsure && fresh.len() > most {
                fail(format!("a gap is noted though nothing is missing: {gaps:?}"))?;
            }
        }
        self.check_torn(&files, &gaps)?;
        self.follow(what, (&files, by_name), whole, named, fresh.len(), &open);
        Ok(())
    }

    /// Goes on from what a scan has seen.
    fn follow(
        &mut self,
        what: What,
        (files, by_name): (&[Seen], usize),
        whole: bool,
        named: impl Fn(&Seen) -> bool,
        gaps: usize,
        open: &[Seen],
    ) {
        let live = self.world.live_path();
        let kept = self.nameless();
        let refused = files.iter().any(|seen| seen.path == live && named(seen));
        // What was opened under the live name is still followed where the watch has it open, or where it
        // was let go with the beginning of a record at its end.
        let mut open_yet = Vec::new();
        for seen in open.iter().filter(|seen| seen.path == live) {
            let is_it = |bytes: &[u8]| bytes == seen.bytes;
            let stretches = &self.world.stretches;
            let Some(stretch) = stretches.iter().rposition(|it| is_it(&it.bytes)) else { continue };
            let read = self.world.whole(stretch);
            let is_open = kept.iter().any(|it| is_it(&it.bytes));
            let is_kept = kept.iter().any(|it| it.path == live && is_it(&it.bytes));
            let named = what == What::Folder && files[..by_name].iter().any(|it| is_it(&it.bytes));
            let ends_whole = read == seen.bytes.len();
            self.expected.followed.retain(|it| it.stretch != stretch || read == 0);
            if is_kept || !is_open && !ends_whole && !named {
                let (number, since) = (None, Vec::new());
                open_yet.push(Followed { stretch, read, number, since, sure: true });
            }
        }
        if whole {
            self.expected.followed.clear();
            self.expected.unsure = false;
        } else {
            // Of a file that is cut the rest may never come.
            self.expected.unsure = true;
            self.doubt();
        }
        if let Some(stretch) = self.world.live {
            if refused {
                self.expected.unsure = true;
            } else {
                self.expected.followed.retain(|it| it.stretch != stretch);
                self.expected.followed.push(Followed {
                    stretch,
                    read: self.world.whole(stretch),
                    number: self.world.live_number(),
                    since: Vec::new(),
                    sure: true,
                });
            }
        }
        self.expected.followed.extend(open_yet);
        self.expected.gaps = gaps;
    }

    /// A log that was followed is gone: its gap holds what was lost with it.
    fn check_gap(&self, followed: &Followed, gaps: &[Gap]) -> Result<(), TestCaseError> {
        let counts = self.counts();
        let records = &self.world.records;
        let later = records
            .iter()
            .filter(|(n, record)| record.stretch > followed.stretch && counts.contains_key(n));
        let end = later.map(|(_, record)| record.at).min().unwrap_or(i64::MAX);
        let lost: Vec<i64> = records
            .iter()
            .filter(|(n, record)| {
                record.stretch >= followed.stretch && record.at < end && !counts.contains_key(n)
            })
            .map(|(_, record)| record.at)
            .collect();
        let fits = |gap: &Gap| {
            // A scan that died may have read on.
            let (begins, read) = (gap.from_byte, followed.read as i64);
            (begins == read || self.expected.unsure && begins > read)
                && lost.iter().all(|at| gap.from <= *at && *at <= gap.to)
        };
        if gaps.iter().any(|gap| !gap.copied && fits(gap)) {
            return Ok(());
        }
        fail(format!("no gap tells of what was lost behind {followed:?}, {lost:?}: {gaps:?}"))
    }

    /// What was written between the one copy and the cut since the scan before lies in a gap.
    fn check_torn(&self, files: &[Seen], gaps: &[Gap]) -> Result<(), TestCaseError> {
        for followed in &self.expected.followed {
            let copied = followed.since == ["copied"]
                && followed.read > 0
                && followed.number == self.world.live_number();
            let read = &self.world.stretches[followed.stretch].bytes[..followed.read];
            let there = files.iter().any(|seen| seen.bytes.starts_with(read));
            if !copied || !there {
                continue;
            }
            for torn in &self.world.stretches[followed.stretch].torn {
                let at = self.world.records[torn].at;
                if !gaps.iter().any(|gap| gap.copied && gap.from <= at && at <= gap.to) {
                    fail(format!("no gap holds {torn}, which was torn: {gaps:?}"))?;
                }
            }
        }
        Ok(())
    }
}

/// A file that was changed before what was read of it: nothing of it is read, and it hides nothing.
fn is_refused(seen: &Seen, done: &ReadDone) -> bool {
    let path = seen.path.display().to_string();
    done.failed.iter().chain(&done.notes).any(|text| {
        text.starts_with(&path)
            && (text.contains("has been changed since")
                || text.contains("it was cut to less")
                || text.contains("ends before")
                || text.contains("no complete line"))
    })
}

fn sequence(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut trial = Trial::new();
    for (number, step) in steps.iter().enumerate() {
        trial.step(step).map_err(|error| TestCaseError::fail(format!("step {number}: {error}")))?;
    }
    trial.end_watch()?;
    trial.scan(What::Folder)?;
    // Nothing is new now.
    let before = (trial.counts(), trial.gaps().len());
    trial.scan(What::Folder)?;
    match (trial.counts(), trial.gaps().len()) == before {
        true => Ok(()),
        false => fail("a second scan found something".to_owned()),
    }
}

#[test]
fn each_record_counts_once_and_each_loss_is_told() {
    let wanted = std::env::var("ROLLCALL_MODEL_SEQUENCES").ok();
    let wanted: u32 = wanted.map_or(2000, |text| text.parse().expect("a number of sequences"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u32;
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(move || {
                    let config = Config {
                        cases: wanted.div_ceil(threads),
                        max_shrink_iters: 4000,
                        failure_persistence: None,
                        ..Config::default()
                    };
                    TestRunner::new(config).run(&steps(), |steps| sequence(&steps))
                })
            })
            .collect();
        for run in runs {
            match run.join().unwrap() {
                Ok(()) => {}
                Err(TestError::Fail(reason, steps)) => panic!("{reason}\nafter {steps:#?}"),
                Err(TestError::Abort(reason)) => panic!("{reason}"),
            }
        }
    });
}

/// Histories that have failed once.
#[test]
fn what_failed_once_holds() {
    let one = |digits| Step::Rotate { how: step::How::Numbered { digits }, reopen: true };
    let write = || Step::Write(vec![0]);
    let crashed_between_two_rotations = [
        write(),
        one(1),
        Step::Crash { stop: 2, each_file: false },
        write(),
        Step::Pause(7200),
        one(1),
        write(),
        Step::Scan(What::Live),
    ];
    // A copy is read behind the log that was dated hours later.
    let copied_and_dated = [
        write(),
        Step::CopyTruncate { torn: 0 },
        write(),
        Step::Pause(7200),
        write(),
        Step::Rotate { how: step::How::Dated, reopen: true },
        Step::Scan(What::Folder),
    ];
    for steps in [&crashed_between_two_rotations[..], &copied_and_dated] {
        if let Err(error) = sequence(steps) {
            panic!("{error}");
        }
    }
}
