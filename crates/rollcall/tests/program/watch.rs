//! `watch`: what is written shows up in the answers, however the logs are rotated meanwhile, once.
//!
//! Nothing here measures time: each test waits until what must come has come.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::house::{House, session, sessions};

/// Long enough for the slowest machine; nobody waits for it where all is well.
const PATIENCE: Duration = Duration::from_secs(120);

/// A `watch` that runs; killed where a test fails.
struct Watch {
    child: Child,
    log: std::path::PathBuf,
}

impl Watch {
    fn start(house: &House, arguments: &[&str]) -> Watch {
        Watch::start_with(house, arguments, &mut |_| {})
    }

    /// Waits until it says that it follows.
    fn start_with(
        house: &House,
        arguments: &[&str],
        prepare: &mut dyn FnMut(&mut Command),
    ) -> Watch {
        let log = house.path("watch.err");
        let mut command = house.command(&[&["watch"], arguments].concat());
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        prepare(&mut command);
        let watch = Watch { child: command.spawn().unwrap(), log };
        watch.await_log("kept open");
        watch
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn await_log(&self, words: &str) {
        wait(&format!("{words:?} in the log"), || {
            let said = self.said();
            if said.contains(words) { Ok(()) } else { Err(said) }
        });
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Ends it as systemd does; that must succeed.
    fn end(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The log that most tests follow.
const LOG: &str = "logs/server_audit.log";

/// A house with this content in its log, and a watch over it.
fn followed(content: impl AsRef<[u8]>, arguments: &[&str]) -> (House, Watch) {
    let house = House::new();
    house.write(LOG, content);
    let watch = Watch::start(&house, arguments);
    (house, watch)
}

/// Asks again and again until the answer is `Ok`.
fn wait(what: &str, mut ask: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(found) = ask() {
        assert!(Instant::now() < deadline, "waited for {what}; found: {found}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The answers of a ledger that has read `content` from one file at one go.
fn answers_of(content: &str) -> String {
    let house = House::new();
    house.write("all.log", content);
    house.scan(&["all.log"]);
    house.answers()
}

/// Waits until the ledger answers as if it had read `content`.
fn await_answers(house: &House, content: &str) {
    let wanted = answers_of(content);
    wait("the answers", || {
        let found = house.answers();
        if found == wanted { Ok(()) } else { Err(found) }
    });
}

fn gaps(house: &House) -> usize {
    house.json(&["evidence", "-q"]).iter().filter(|row| row["state"] == "gap").count()
}

fn append_to(house: &House, name: &str) -> File {
    OpenOptions::new().append(true).create(true).open(house.path(name)).unwrap()
}

/// What all ways of waiting for changes have to show.
const WAYS: [&[&str]; 2] = [&["logs"], &["logs", "--poll"]];

#[test]
fn appended_lines_are_followed() {
    for way in WAYS {
        let (house, watch) = followed(sessions(1..100), way);
        await_answers(&house, &sessions(1..100));
        for (from, to) in [(100, 101), (101, 150), (150, 1000)] {
            house.append(LOG, sessions(from..to));
            await_answers(&house, &sessions(1..to));
        }
        watch.end();
        assert_eq!((house.answers(), house.doubts()), (answers_of(&sessions(1..1000)), (0, 0)));
    }
}

#[test]
fn a_line_counts_when_it_is_whole() {
    let (house, watch) = followed(sessions(1..50), &["logs"]);
    let next = session("late", 50);
    let (before, after) = next.split_at(next.len() - 30);
    house.append(LOG, before);
    await_answers(&house, &format!("{}{}\n", sessions(1..50), next.lines().next().unwrap()));
    house.append(LOG, after);
    await_answers(&house, &(sessions(1..50) + &next));
    watch.end();
    assert_eq!(house.doubts(), (0, 0));
}

#[test]
fn a_renamed_log_is_followed_beside_its_successor() {
    for way in WAYS {
        let (house, watch) = followed(sessions(1..50), way);
        let mut end = 50;
        for turn in 0..4 {
            // The writer keeps the old file until it is told to reopen.
            let mut old = append_to(&house, LOG);
            for number in (1..=turn).rev() {
                house.rename(
                    &format!("logs/server_audit.log.{number}"),
                    &format!("logs/server_audit.log.{}", number + 1),
                );
            }
            house.rename(LOG, "logs/server_audit.log.1");
            old.write_all(sessions(end..end + 5).as_bytes()).unwrap();
            await_answers(&house, &sessions(1..end + 5));
            house.write(LOG, sessions(end + 5..end + 8));
            old.write_all(sessions(end + 8..end + 12).as_bytes()).unwrap();
            await_answers(&house, &sessions(1..end + 12));
            end += 12;
        }
        watch.end();
        assert_eq!((gaps(&house), house.doubts()), (0, (0, 0)));
        house.scan(&["logs"]);
        assert_eq!(house.answers(), answers_of(&sessions(1..end)));
    }
}

#[test]
fn a_deleted_log_is_read_on_while_its_writer_writes() {
    let (house, watch) = followed(sessions(1..50), &["logs"]);
    let mut old = append_to(&house, LOG);
    house.remove(LOG);
    old.write_all(sessions(50..60).as_bytes()).unwrap();
    await_answers(&house, &sessions(1..60));
    house.write(LOG, sessions(60..70));
    old.write_all(sessions(70..80).as_bytes()).unwrap();
    await_answers(&house, &sessions(1..80));
    watch.end();
    // Nothing is missing, and nothing is said to be.
    assert_eq!((gaps(&house), house.doubts()), (0, (0, 0)));
}

#[test]
fn a_log_that_is_moved_elsewhere_is_read_on() {
    let house = House::new();
    house.write(LOG, sessions(1..50));
    std::fs::create_dir(house.path("elsewhere")).unwrap();
    let watch = Watch::start(&house, &[LOG]);
    let mut old = append_to(&house, LOG);
    house.rename(LOG, "elsewhere/server_audit.log.1");
    old.write_all(sessions(50..60).as_bytes()).unwrap();
    await_answers(&house, &sessions(1..60));
    house.write(LOG, sessions(60..70));
    old.write_all(sessions(70..80).as_bytes()).unwrap();
    await_answers(&house, &sessions(1..80));
    watch.end();
    assert_eq!(gaps(&house), 0);
    // Found later, it counts once.
    house.scan(&["elsewhere", "logs"]);
    assert_eq!(house.answers(), answers_of(&sessions(1..80)));
}

#[test]
fn a_log_that_is_copied_and_truncated_is_followed() {
    for way in WAYS {
        let (house, watch) = followed(sessions(1..100), way);
        let mut all = sessions(1..100);
        // Shorter than what was read, longer, shorter again.
        for (turn, fresh) in [(1, 3), (2, 200), (3, 1)] {
            let end = turn * 400;
            house.append(LOG, sessions(end..end + 5));
            let content = house.read(LOG);
            house.write(&format!("logs/server_audit.log.{}", 10 - turn), content);
            let log = OpenOptions::new().write(true).open(house.path(LOG));
            log.unwrap().set_len(0).unwrap();
            house.append(LOG, sessions(end + 5..end + 5 + fresh));
            all += &sessions(end..end + 5 + fresh);
            await_answers(&house, &all);
        }
        watch.end();
        house.scan(&["logs"]);
        assert_eq!((house.answers(), house.doubts()), (answers_of(&all), (0, 0)));
    }
}

#[test]
fn a_log_that_grows_again_past_its_mark_while_nobody_looks_is_told_apart() {
    let house = House::new();
    house.write(LOG, sessions(1..100));
    Watch::start(&house, &["logs"]).kill();
    let content = house.read(LOG);
    house.write("logs/server_audit.log.1", content);
    house.write(LOG, sessions(500..900));
    let watch = Watch::start(&house, &["logs"]);
    await_answers(&house, &(sessions(1..100) + &sessions(500..900)));
    watch.end();
}

#[test]
fn a_source_that_appears_later_is_found() {
    for way in [&[][..], &["--poll"]] {
        let house = House::new();
        std::fs::create_dir(house.path("logs")).unwrap();
        let sources = ["logs", "later/deep/server_audit.log", "glob/*.log"];
        let watch = Watch::start(&house, &[&sources[..], way].concat());
        assert!(watch.said().contains("later/deep/server_audit.log"), "{}", watch.said());
        let troubled = |count: usize| {
            wait("troubles in status", || {
                let rows = house.json(&["status", "-q"]);
                let found: Vec<_> = rows.iter().filter(|row| !row["trouble"].is_null()).collect();
                if found.len() == count { Ok(()) } else { Err(format!("{found:?}")) }
            });
        };
        troubled(3);
        house.write(LOG, sessions(1..10));
        await_answers(&house, &sessions(1..10));
        house.write("later/deep/server_audit.log", sessions(10..20));
        house.write("glob/a.log", sessions(20..30));
        // Logs under unlike names may tell of the same logins: of each hour the larger count stands.
        wait("all records", || {
            let rows = house.json(&["status", "-q"]);
            let records: u64 = rows.iter().filter_map(|row| row["records"].as_u64()).sum();
            if records == 58 { Ok(()) } else { Err(format!("{rows:?}")) }
        });
        troubled(0);
        watch.end();
    }
}

#[test]
fn an_empty_log_is_recognised_when_it_has_content() {
    let (house, watch) = followed("", &["logs"]);
    house.append(LOG, sessions(1..20));
    await_answers(&house, &sessions(1..20));
    watch.end();
}

/// Sessions of five years, about 80 MB.
fn many() -> String {
    let month = |month: u32| format!("{}{:02}", 2021 + month / 12, 1 + month % 12);
    (0..60).map(|at| sessions(1..10_000).replace("202611", &month(at))).collect()
}

#[test]
fn what_is_behind_is_caught_up_by_several_threads() {
    // Two parts and more for each thread, and archives beside.
    let many = many();
    assert!(many.len() > 64 << 20);
    let (house, watch) = followed(&many, &["logs", "--threads", "2"]);
    watch.await_log("caught up: ");
    watch.end();
    assert_eq!(house.answers(), answers_of(&many));
}

#[test]
fn the_end_may_come_while_much_is_behind() {
    let many = many();
    let house = House::new();
    house.write(LOG, &many);
    // It is told to end before it can be through, or just after: both must be right.
    let mut child = house.command(&["watch", "-q", "logs"]).spawn().unwrap();
    let ledger = house.path("ledger.sqlite");
    wait("the ledger", || if ledger.exists() { Ok(()) } else { Err("none".to_owned()) });
    std::thread::sleep(Duration::from_millis(100));
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
    house.scan(&["logs"]);
    assert_eq!(house.answers(), answers_of(&many));
}

#[test]
fn a_signal_reloads_the_configuration() {
    let house = House::new();
    let configure = |text: &str| house.write("rollcall.toml", text);
    let server = |name: &str| format!("[[server]]\nname = '{name}'\naudit_logs = ['{name}']\n");
    configure(&server("one"));
    house.write("one/server_audit.log", sessions(1..10));
    house.write("two/server_audit.log", sessions(1..20));
    let watch = Watch::start(&house, &[]);
    let await_servers = |wanted: &[(&str, u64)]| {
        wait("logins", || {
            let mut found = std::collections::BTreeMap::new();
            for row in house.json(&["seen", "-q"]) {
                let server = row["server"].as_str().unwrap().to_owned();
                *found.entry(server).or_default() += row["logins"].as_u64().unwrap();
            }
            let found: Vec<(&str, u64)> = found.iter().map(|(a, b)| (a.as_str(), *b)).collect();
            if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
        });
    };
    await_servers(&[("one", 9)]);
    configure("[[server]]\nnmae = 'x'\n");
    watch.signal(Signal::SIGHUP);
    watch.await_log("the configuration stays as it was: ");
    configure(&server("one"));
    house.append("one/server_audit.log", session("app", 10));
    await_servers(&[("one", 10)]);
    configure(&(server("one") + &server("two")));
    watch.signal(Signal::SIGHUP);
    await_servers(&[("one", 10), ("two", 19)]);
    house.append("one/server_audit.log", session("app", 11));
    house.append("two/server_audit.log", session("app", 20));
    await_servers(&[("one", 11), ("two", 20)]);
    watch.end();
}

#[test]
fn what_stands_in_the_logs_at_the_end_is_stored() {
    let (house, watch) = followed(sessions(1..10), &["logs"]);
    house.append(LOG, sessions(10..500));
    watch.end();
    assert_eq!(house.answers(), answers_of(&sessions(1..500)));
}

#[test]
fn a_killed_watch_loses_nothing_and_doubles_nothing() {
    let house = House::new();
    let mut log = append_to(&house, "server_audit.log");
    let mut end = 1;
    for turn in 0..8_u64 {
        log.write_all(sessions(end..end + 50).as_bytes()).unwrap();
        let watch = Watch::start(&house, &["server_audit.log"]);
        let mut written = 0;
        let until = Instant::now() + Duration::from_millis(300 * turn);
        // At least one record, then on until it is killed in whatever it is doing.
        while written == 0 || Instant::now() < until {
            log.write_all(session("app", end + 50 + written).as_bytes()).unwrap();
            written += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        watch.kill();
        end += 50 + written;
    }
    let watch = Watch::start(&house, &["server_audit.log"]);
    let content = String::from_utf8(house.read("server_audit.log")).unwrap();
    await_answers(&house, &content);
    watch.end();
    assert_eq!(house.answers(), answers_of(&content));
}

#[test]
fn the_service_manager_is_told() {
    let house = House::new();
    house.write(LOG, sessions(1..10));
    let socket = UnixDatagram::bind(house.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut messages = Vec::new();
    let mut until = |last: &str| {
        messages.clear();
        loop {
            let mut buffer = [0; 4096];
            let n = socket.recv(&mut buffer).expect(last);
            let message = String::from_utf8(buffer[..n].to_vec()).unwrap();
            let found = message.starts_with(last);
            messages.push(message);
            if found {
                return messages.join("");
            }
        }
    };
    let watch = Watch::start_with(&house, &["logs"], &mut |command| {
        command.env("NOTIFY_SOCKET", house.path("notify")).env("WATCHDOG_USEC", "600000");
    });
    assert!(until("READY=1\n").is_ascii());
    assert!(until("STATUS=follows 1 file\n").is_ascii());
    assert!(until("WATCHDOG=1\n").is_ascii());
    assert!(until("WATCHDOG=1\n").is_ascii());
    watch.signal(Signal::SIGHUP);
    let reload = until("READY=1\n");
    assert!(reload.contains("RELOADING=1\nMONOTONIC_USEC="), "{reload}");
    watch.signal(Signal::SIGTERM);
    assert!(until("STOPPING=1\n").is_ascii());
    watch.end();
}

#[test]
fn the_journal_gets_priorities() {
    let house = House::new();
    let stderr = File::create(house.path("journal")).unwrap();
    let metadata = stderr.metadata().unwrap();
    use std::os::unix::fs::MetadataExt as _;
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let mut watch = house.command(&["watch", "no\x1b[2J\nsuch"]);
    watch.env("JOURNAL_STREAM", stream).stderr(stderr);
    let watch = Watch { child: watch.spawn().unwrap(), log: house.path("journal") };
    watch.await_log("kept open");
    let said = watch.said();
    assert!(said.contains("\n<3>no\\x1b[2J\\nsuch: "), "{said}");
    assert!(said.lines().all(|line| line.starts_with('<')), "{said}");
    watch.end();
}

#[test]
fn one_writes_and_others_ask() {
    let (house, watch) = followed(sessions(1..10), &["logs"]);
    let holder = format!("(process {}, a watch, which reads the logs itself)", watch.child.id());
    for command in ["scan", "watch"] {
        let said = house.run(&[command, "logs"]);
        assert!(said.starts_with("exit 2\n") && said.contains(&holder), "{said}");
    }
    let rows = house.json(&["status", "-q"]);
    assert!(rows.iter().any(|row| row["watch"].is_string()), "{rows:?}");
    assert!(rows.iter().any(|row| row["unread_bytes"] == 0), "{rows:?}");
    // Nobody who writes with other tools has to wait either.
    let db = rusqlite::Connection::open(house.path("ledger.sqlite")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE; COMMIT").unwrap();
    watch.end();
    let rows = house.json(&["status", "-q"]);
    assert!(rows.iter().all(|row| row["watch"].is_null()), "{rows:?}");
    house.scan(&["logs"]);
}

/// SQLite removes the `-wal` when the last connection closes. The watch's own must count as one, also where
/// it has made the ledger itself: it holds a lock on the file.
#[test]
fn who_asks_with_other_tools_does_not_take_the_ledger_away() {
    use std::os::unix::fs::MetadataExt as _;
    let (house, watch) = followed(sessions(1..10), &["logs"]);
    await_answers(&house, &sessions(1..10));
    let inode = std::fs::metadata(house.path("ledger.sqlite")).unwrap().ino();
    let (process, file) = (format!(" {} ", watch.child.id()), format!(":{inode} "));
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let held =
        |line: &&str| line.contains("POSIX") && line.contains(&process) && line.contains(&file);
    assert!(locks.lines().any(|line| held(&line)), "{locks}");
    watch.end();
}

/// The lock keeps two from doing the same work; that nothing counts twice does not rest on it.
#[test]
fn who_writes_without_the_lock_doubles_nothing() {
    let (house, watch) = followed(sessions(1..10), &["logs"]);
    for turn in 1..20 {
        house.append(LOG, sessions(turn * 10..turn * 10 + 10));
        let _ = std::fs::remove_file(house.path("ledger.sqlite.lock"));
        house.scan(&["logs"]);
        assert_eq!(house.answers(), answers_of(&sessions(1..turn * 10 + 10)));
    }
    await_answers(&house, &sessions(1..200));
    watch.end();
    assert_eq!(house.answers(), answers_of(&sessions(1..200)));
}

/// A ledger from a backup, put in the place of the open one: what is written into that is lost.
#[test]
fn a_ledger_that_is_replaced_ends_it() {
    let house = House::new();
    house.write(LOG, sessions(1..10));
    let mut watch = Watch::start(&house, &["logs"]);
    await_answers(&house, &sessions(1..10));
    house.rename("ledger.sqlite", "old.sqlite");
    house.write("ledger.sqlite", "");
    // A new file makes it look.
    house.write("logs/server_audit.log.1", sessions(20..30));
    assert_eq!(watch.child.wait().unwrap().code(), Some(2));
    assert!(watch.said().contains("the ledger was moved or replaced"), "{}", watch.said());
}

#[test]
fn a_ledger_that_is_held_up_is_tried_again() {
    let (house, watch) = followed(sessions(1..10), &["logs"]);
    await_answers(&house, &sessions(1..10));
    let db = rusqlite::Connection::open(house.path("ledger.sqlite")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    house.append(LOG, sessions(10..20));
    watch.await_log("tried again until it can be written");
    db.execute_batch("COMMIT").unwrap();
    await_answers(&house, &sessions(1..20));
    watch.await_log("over: ");
    watch.end();
}

#[test]
fn wrong_uses_are_refused() {
    let house = House::new();
    for (arguments, words) in [
        (&["watch", "-"][..], "standard input cannot be followed"),
        (&["watch"], "no [[server]] is configured"),
        (&["watch", "x", "--fail-on", "gap"], "watch ends when it is told to"),
        (&["watch", "x", "--dialect", "xml"], "--dialect: no dialect"),
    ] {
        let said = house.run(arguments);
        assert!(said.starts_with("exit 2\n") && said.contains(words), "{said}");
    }
}
