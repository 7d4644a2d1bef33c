//! Looks and reads of files that change in between.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::places::{FOLDERS_MAX, nearest_folder};
use super::*;
use crate::config::Limits;
use crate::job::{Input, ZoneOrigin};
use crate::time::Zone;

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
            tables: Vec::new(),
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
fn an_empty_log_that_is_replaced_is_no_gap() {
    let mut desk = Desk::new();
    fs::write(desk.path("logs/audit.log"), "").unwrap();
    desk.look(0);
    fs::remove_file(desk.path("logs/audit.log")).unwrap();
    desk.append("logs/audit.log");
    assert_eq!(desk.look(1), 2);
    assert_eq!(desk.look(2 + DELETED_PATIENCE.as_secs()), 1);
    desk.look(3 + DELETED_PATIENCE.as_secs());
    assert_eq!((desk.logins(), desk.gaps()), (1, 0));
}

#[test]
fn what_is_let_go_stays_open_until_that_is_stored() {
    let patience = DELETED_PATIENCE.as_secs();
    let mut desk = Desk::new();
    desk.append("logs/audit.log");
    desk.look(0);
    fs::remove_file(desk.path("logs/audit.log")).unwrap();
    desk.append("logs/other/audit.log");
    assert_eq!(desk.look(1), 2);
    let at = (0, desk.start + Duration::from_secs(2 + patience));
    let pacing = Pacing::watching(&|| true);
    let failed = trial::run(Some(0), false, || {
        desk.follower.look((&mut desk.ledger, &desk.lock), at, pacing, true)
    });
    assert!(failed.is_err());
    desk.append("logs/audit.log");
    assert_eq!(desk.look(3 + patience), 2);
    // The one of the other log counts in the same hour: the larger of both stands.
    assert_eq!((desk.logins(), desk.gaps()), (2, 0));
}

#[test]
fn a_log_that_was_packed_at_once_leaves_no_gap_when_the_archive_goes() {
    let mut desk = Desk::new();
    let mut writer = desk.append("logs/audit.log");
    desk.look(0);
    let (log, archive) = (desk.path("logs/audit.log"), desk.path("logs/audit.log.1.gz"));
    let file = fs::File::create(&archive).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &fs::read(&log).unwrap()).unwrap();
    packed.finish().unwrap();
    fs::remove_file(&log).unwrap();
    desk.append("logs/audit.log");
    assert_eq!(desk.look(1), 2);
    // Whoever still has it open is heard.
    let line = desk.line();
    std::io::Write::write_all(&mut writer, line.as_bytes()).unwrap();
    assert_eq!(desk.read(), (1, false));
    fs::remove_file(&archive).unwrap();
    // As after a new start: nothing is open but what stands there.
    desk.follower = Follower::new(desk.follower.job.clone()).unwrap();
    assert_eq!(desk.look(2), 1);
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

#[test]
fn a_table_that_cannot_be_read_is_told_of_until_it_is_tried_again() {
    let mut desk = Desk::new();
    desk.append("logs/audit.log");
    desk.follower.job.tables.push(crate::job::AccessInput {
        server: "db1".to_owned(),
        defaults_file: desk.path("none.cnf"),
        table: live::access_log::TableName::parse("accesslog.accesslog").unwrap(),
    });
    let mut look = |seconds: u64| {
        let at = (seconds as i64, desk.start + Duration::from_secs(seconds));
        let pacing = Pacing::watching(&|| true);
        desk.follower.look((&mut desk.ledger, &desk.lock), at, pacing, false).unwrap().failed
    };
    let first = look(0);
    assert!(first[0].contains("no such file"), "{first:?}");
    assert_eq!(look(TABLES_EVERY.as_secs() - 1), first);
    assert_eq!(look(TABLES_EVERY.as_secs()), first);
    let tried = desk.follower.tables.as_ref().map(|(at, _)| *at);
    assert_eq!(tried, Some(desk.start + TABLES_EVERY));
}
