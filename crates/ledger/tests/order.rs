//! Answers depend on what the logs say, not on how they were read: any order, any parts, any number
//! of batches, commits and openings of the ledger.
//!
//! Whole days of generated logs of several servers are read once as they stand, and once cut at
//! line ends into pieces that come in any order. What the design cannot make equal is not
//! generated:
//!
//! * An hour with more strangers than are kept by name, of which one logs in (in another piece):
//!   users are refused from hosts that nobody logs in from wherever the bound is small.
//! * A change of user that is cut off from the record that shows the new name: the two lines stay
//!   together.
//! * User names of 128 bytes and more, which the server cuts at the beginning of a session and not
//!   at its end: which sessions are whole is counted by name.

mod common;

use common::{Log, UTC_START, add_log, difference, fresh, keeping, ledger_of};
use ledger::{Filter, Ledger};
use proptest::prelude::*;

/// One thing that happens on a server.
#[derive(Debug, Clone)]
enum Act {
    /// Microseconds later the next thing happens.
    Wait(i64),
    /// A session of this user, open for so many further acts, with or without its end logged.
    Session { user: usize, host: usize, open: usize, ended: bool },
    /// A refused login and its end.
    Refused { user: usize, host: usize, error: u32 },
    /// A name that nobody has.
    Stranger(u32),
    /// An open session becomes another user's.
    ChangeUser { user: usize },
    /// An open session shows itself.
    Query,
    /// Ids start again; sessions end or are lost.
    Restart { orderly: bool },
    /// The end of a session from before the log began.
    OldEnd { user: usize },
    /// No record.
    Rubbish,
    /// Turned away before the greeting.
    Full,
    /// One of [`SWITCHES`].
    Switch(usize),
}

/// Statements that switch the audit, as they are written.
const SWITCHES: [&str; 7] = [
    "SET GLOBAL server_audit_logging=OFF",
    "SET GLOBAL server_audit_logging=ON",
    "SET GLOBAL server_audit_events=\\'QUERY\\'",
    "SET GLOBAL server_audit_events=\\'\\'",
    "SET GLOBAL server_audit_output_type=syslog",
    "SET GLOBAL server_audit_file_path=\\'/other.log\\'",
    "SET @x=\\'cut off",
];

/// Users that log in; names as hostile as a log can hold and still be read for certain.
const USERS: [&str; 6] = ["app", "o'brien", "with,comma", "root", "naïve", "mysql"];
const HOSTS: [&str; 4] = ["10.0.0.7", "localhost", "fe80::1", ""];
const ERRORS: [u32; 4] = [1045, 1049, 1226, 4151];

fn act() -> impl Strategy<Value = Act> {
    let second = 1_000_000;
    let wait = prop_oneof![
        6 => 0..20i64,
        3 => 60..900i64,
        2 => 3_000..9_000i64,
        1 => 80_000..400_000i64,
        // Beyond what is kept by the hour, and by the day.
        1 => Just(100 * 86_400i64),
    ];
    let (user, host) = (0..USERS.len(), 0..HOSTS.len());
    prop_oneof![
        4 => wait.prop_map(move |seconds| Act::Wait(seconds * second)),
        6 => (user.clone(), host.clone(), 0..6usize, prop::bool::weighted(0.8))
            .prop_map(|(user, host, open, ended)| Act::Session { user, host, open, ended }),
        4 => (user.clone(), host, prop::sample::select(&ERRORS[..]))
            .prop_map(|(user, host, error)| Act::Refused { user, host, error }),
        4 => (0..40u32).prop_map(Act::Stranger),
        1 => user.clone().prop_map(|user| Act::ChangeUser { user }),
        1 => Just(Act::Query),
        1 => any::<bool>().prop_map(|orderly| Act::Restart { orderly }),
        1 => user.prop_map(|user| Act::OldEnd { user }),
        1 => Just(Act::Rubbish),
        1 => Just(Act::Full),
        1 => (0..SWITCHES.len()).prop_map(Act::Switch),
    ]
}

struct Session {
    id: u64,
    user: usize,
    host: usize,
    left: usize,
    ended: bool,
}

/// A server that writes its log.
struct Server<'a> {
    name: &'a str,
    at: i64,
    next_id: u64,
    old_id: u64,
    sessions: Vec<Session>,
    log: Log,
    /// Refused users come from where nobody logs in.
    apart: bool,
}

impl Server<'_> {
    fn line(&self, user: &str, host: &str, id: u64, operation: &str, error: u32) -> String {
        common::line(self.at, self.name, user, host, id, operation, error)
    }

    fn end_due(&mut self) {
        for session in &mut self.sessions {
            session.left = session.left.saturating_sub(1);
        }
        let due = |session: &mut Session| session.left == 0;
        let ended: Vec<Session> = self.sessions.extract_if(.., due).collect();
        for session in ended {
            self.end(&session);
        }
    }

    fn end(&mut self, session: &Session) {
        if session.ended {
            let (user, host) = (USERS[session.user], HOSTS[session.host]);
            let line = self.line(user, host, session.id, "DISCONNECT", 0);
            self.log.push(line);
        }
    }

    fn refused(&mut self, user: &str, host: &str, error: u32) {
        self.next_id += 1;
        let id = self.next_id;
        for (operation, error) in [("FAILED_CONNECT", error), ("DISCONNECT", 0)] {
            let line = self.line(user, host, id, operation, error);
            self.log.push(line);
        }
    }

    fn act(&mut self, act: &Act) {
        self.end_due();
        match *act {
            Act::Wait(time) => self.at += time,
            Act::Session { user, host, open, ended } => {
                self.next_id += 1;
                let id = self.next_id;
                let line = self.line(USERS[user], HOSTS[host], id, "CONNECT", 0);
                self.log.push(line);
                self.sessions.push(Session { id, user, host, left: open + 1, ended });
            }
            Act::Refused { user, host, error } => {
                let host = if self.apart { "203.0.113.1" } else { HOSTS[host] };
                self.refused(USERS[user], host, error);
            }
            Act::Stranger(name) => self.refused(&format!("x{name}"), "192.0.2.9", 1045),
            Act::ChangeUser { user } => self.change_user(user),
            Act::Query => {
                if let Some(session) = self.sessions.first() {
                    let (user, host) = (USERS[session.user], HOSTS[session.host]);
                    let line = self.line(user, host, session.id, "QUERY", 0);
                    self.log.push(line);
                }
            }
            Act::Restart { orderly } => {
                for session in std::mem::take(&mut self.sessions) {
                    if orderly {
                        self.end(&session);
                    }
                }
                self.next_id = 3;
                self.at += 4_000_000;
            }
            Act::OldEnd { user } => {
                self.old_id += 1;
                let line = self.line(USERS[user], "10.0.0.7", self.old_id, "DISCONNECT", 0);
                self.log.push(line);
            }
            Act::Rubbish => self.log.push("this is no record\n".to_owned()),
            Act::Full => {
                let line = self.line("", "", 0, "DISCONNECT", 1040);
                self.log.push(line);
            }
            Act::Switch(number) => {
                let line = self.line("root", "localhost", 2, "QUERY", 0);
                self.log.push(line.replace("select 1", SWITCHES[number]));
            }
        }
    }

    fn change_user(&mut self, user: usize) {
        let Some(session) = self.sessions.first_mut() else { return };
        session.user = user;
        let (id, host) = (session.id, HOSTS[session.host]);
        let changed = self.line("", "", id, "CHANGEUSER", 0);
        let shown = self.line(USERS[user], host, id, "QUERY", 0);
        self.log.push(changed + &shown);
    }
}

fn log(name: &str, first_id: u64, apart: bool, acts: &[Act]) -> Log {
    let mut server = Server {
        name,
        at: UTC_START,
        next_id: first_id,
        old_id: 1 << 40,
        sessions: Vec::new(),
        log: Log::default(),
        apart,
    };
    acts.iter().for_each(|act| server.act(act));
    server.log
}

/// The lines of several servers' logs in the order of time, as a collector writes them.
fn collected(logs: &[Log]) -> Log {
    let mut lines: Vec<(String, usize, String)> = Vec::new();
    for (number, log) in logs.iter().enumerate() {
        let mut stamp = String::new();
        for line in &log.lines {
            if line.starts_with("20") {
                stamp = line[..17].to_owned();
            }
            lines.push((stamp.clone(), number, line.clone()));
        }
    }
    lines.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    Log { lines: lines.into_iter().map(|(_, _, line)| line).collect() }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn any_order_and_any_parts_give_the_same_answers(
        first in prop::collection::vec(act(), 1..120),
        second in prop::collection::vec(act(), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        order in any::<u64>(),
        steps in prop::collection::vec(0..5u8, 1..20),
        first_id in prop::sample::select(vec![3, u64::MAX - 200]),
        strangers in prop::sample::select(vec![0, 8, 1000]),
        age in prop::sample::select(vec![1i64, 50, 200, 450]),
    ) {
        let apart = strangers < 1000;
        let log = collected(&[log("db1", first_id, apart, &first), log("db2", 3, apart, &second)]);
        let keeping = || {
            let mut keeping = keeping(log.newest() + age * 86_400_000_000);
            keeping.strangers_per_hour = strangers;
            keeping
        };
        let whole = ledger_of(&log, keeping(), &[], 0, &[]);
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(log.lines.len() + 1)).collect();
        let parts = ledger_of(&log, keeping(), &cuts, order, &steps);
        prop_assert_eq!(difference(&whole.ledger, &parts.ledger), "");
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn two_sources_of_the_same_logins_do_not_double_them(
        acts in prop::collection::vec(act(), 1..120),
        strangers in prop::sample::select(vec![8, 1000]),
        age in prop::sample::select(vec![1i64, 200, 450]),
    ) {
        let log = log("db1", 3, strangers < 1000, &acts);
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(&fresh(folder.path())).unwrap();
        let mut keeping = keeping(log.newest() + age * 86_400_000_000);
        keeping.strangers_per_hour = strangers;
        add_log(&mut ledger, keeping.clone(), "/one/audit.log", &log);
        let all = Filter::default();
        let (seen, failures) = (ledger.seen(&all).unwrap(), ledger.failures(&all).unwrap());
        let periods = ledger.periods(&all).unwrap();
        let unsettled = ledger.status().unwrap().unsettled;
        add_log(&mut ledger, keeping, "/two/audit.log", &log);
        prop_assert_eq!(seen, ledger.seen(&all).unwrap());
        prop_assert_eq!(failures, ledger.failures(&all).unwrap());
        prop_assert_eq!(periods, ledger.periods(&all).unwrap());
        prop_assert_eq!(unsettled, ledger.status().unwrap().unsettled);
    }
}

#[test]
fn the_end_of_a_refused_login_is_no_sign_of_a_session_in_any_order() {
    let at = UTC_START + 10_000_000;
    let mut log = Log::default();
    log.push(common::line(at, "db1", "eve", "h", 7, "FAILED_CONNECT", 1045));
    log.push(common::line(at, "db1", "eve", "h", 7, "DISCONNECT", 0));
    let long = "\u{20ac}".repeat(44);
    log.push(common::line(at, "db1", &long, "h", 8, "FAILED_CONNECT", 1045));
    log.push(common::line(at, "db1", &format!("{long}xyz"), "h", 8, "DISCONNECT", 0));
    // The same id in the next life of the server.
    log.push(common::line(at + 9_000_000, "db1", "app", "h", 7, "CONNECT", 0));
    log.push(common::line(at + 30_000_000, "db1", "app", "h", 7, "DISCONNECT", 0));
    for order in 0..200 {
        let steps = [(order % 5) as u8, (order / 5 % 5) as u8, (order / 25 % 5) as u8];
        let made = ledger_of(&log, keeping(at), &[1, 2, 3, 4, 5], order, &steps);
        let active: Vec<(Vec<u8>, Option<i64>)> = made
            .ledger
            .seen(&Filter::default())
            .unwrap()
            .into_iter()
            .filter_map(|row| row.last_active.map(|at| (row.user, Some(at))))
            .collect();
        assert_eq!(active, [(b"app".to_vec(), Some(at + 30_000_000))], "{order}");
    }
}
