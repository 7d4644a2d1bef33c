//! Numbers of the login plugin's lines: what is missing by them is not covered, however a log is cut.

mod common;

use common::{UTC_START, checkpoint, keeping};
use formats::{Dialect, Input, LOGIN_LINE_BYTES_MAX, LoginKind, LoginRecord, Reader, login_line};
use jiff::tz::TimeZone;
use ledger::{Batch, BatchOptions, Evidence, EvidenceState, Filter, Ledger, LocalClock};

/// Line, lines that could not be written until then, connection id.
type Number = (u64, u64, u64);

/// A line a minute.
fn lines(from: i64, numbers: &[Number]) -> Vec<String> {
    let mut buffer = Box::new([0; LOGIN_LINE_BYTES_MAX]);
    let line = |(minute, &(seq, dropped, thread)): (i64, &Number)| {
        let record = LoginRecord {
            time: UTC_START + minute * 60_000_000,
            offset: 0,
            kind: LoginKind::Failed,
            myhost: b"db1",
            thread,
            user: Some(b"app"),
            priv_user: Some(b""),
            host: None,
            ip: Some(b"10.0.0.7"),
            server: None,
            server_id: Some(1),
            status: 1045,
            database: None,
            proxy_user: None,
            external_user: None,
            connection_type: None,
            seq,
            dropped,
            duration_ms: None,
        };
        String::from_utf8(login_line(&record, &mut buffer).to_vec()).unwrap()
    };
    (from..).zip(numbers).map(line).collect()
}

/// Adds the pieces of a file, each with its offset, in the order given.
fn add(ledger: &mut Ledger, path: &str, pieces: &[(usize, &str)]) {
    let ingest = ledger.ingest(keeping(UTC_START + 86_400_000_000)).unwrap();
    let source = ingest.source(b"/audit_login.log", b"", "audit_login").unwrap();
    let end = pieces.iter().map(|(offset, text)| offset + text.len()).max().unwrap();
    let file = ingest.checkpoint(None, source, &checkpoint(path, end)).unwrap();
    for (offset, text) in pieces {
        let options = BatchOptions { server: None, keep_connections: 100 };
        let mut batch = Batch::new(options, LocalClock::new(TimeZone::UTC, 0), file);
        batch.at(*offset as u64);
        Reader::new(Dialect::AuditLogin).read(text.as_bytes(), Input::Ended, &mut batch);
        batch.at((offset + text.len()) as u64);
        ingest.add(source, &batch).unwrap();
    }
    ingest.finish().unwrap();
}

/// What is not covered: state, from which minute to which, why.
fn open(ledger: &Ledger) -> Vec<(EvidenceState, i64, i64, String)> {
    let minute = |at: Option<i64>| (at.unwrap() - UTC_START) / 60_000_000;
    let row = |it: Evidence| (it.state, minute(it.from), minute(it.to), it.reason);
    let rows = ledger.evidence(&Filter::default()).unwrap().into_iter();
    let open = [EvidenceState::Gap, EvidenceState::Unconfirmed];
    rows.filter(|it| open.contains(&it.state)).map(row).collect()
}

const LOST: &str = "3 lines of the login plugin are missing, as the numbers show: it could not write 2 (disk full?)";

const RELOADED: &str =
    "the login plugin was loaded anew while the server ran: what came before that is not known";

#[test]
fn missing_numbers_are_gaps_however_the_log_is_cut() {
    let numbers: [Number; 9] = [
        (5, 0, 40),
        (6, 0, 41),
        (10, 2, 46),
        (11, 2, 47),
        // The server was started anew; then the plugin alone.
        (1, 0, 4),
        (2, 0, 5),
        (1, 0, 9),
        (2, 0, 10),
        (4, 0, 12),
    ];
    let expected = [
        (EvidenceState::Unconfirmed, 5, 6, RELOADED.to_owned()),
        (EvidenceState::Gap, 1, 2, LOST.to_owned()),
        (
            EvidenceState::Gap,
            7,
            8,
            "1 line of the login plugin is missing, as the numbers show".into(),
        ),
    ];
    let lines = lines(0, &numbers);
    let text = lines.concat();
    for cut in 0..lines.len() {
        let at = lines[..cut].concat().len();
        for reversed in [false, true] {
            let mut pieces = vec![(0, &text[..at]), (at, &text[at..])];
            if reversed {
                pieces.reverse();
            }
            let mut ledger = Ledger::in_memory().unwrap();
            add(&mut ledger, "/audit_login.log", &pieces);
            let mut found = open(&ledger);
            found.sort_by_key(|it| (it.0 == EvidenceState::Gap, it.1));
            assert_eq!(found, expected, "cut before line {cut}, reversed {reversed}");
        }
    }
}

#[test]
fn numbers_tell_which_file_goes_on() {
    let check = |behind: &[Number], expected: &[(EvidenceState, i64, i64, String)]| {
        let mut ledger = Ledger::in_memory().unwrap();
        let (older, newer) =
            (lines(0, &[(5, 0, 40), (6, 0, 41)]).concat(), lines(9, behind).concat());
        add(&mut ledger, "/audit_login.log", &[(0, &newer)]);
        add(&mut ledger, "/audit_login.log.1", &[(0, &older)]);
        assert_eq!(open(&ledger), expected);
    };
    check(&[(7, 0, 42), (8, 0, 43)], &[]);
    check(&[(10, 2, 42), (11, 2, 43)], &[(EvidenceState::Gap, 1, 9, LOST.to_owned())]);
    check(&[(1, 0, 42)], &[(EvidenceState::Unconfirmed, 1, 9, RELOADED.to_owned())]);
    let unknown = "nothing shows that /audit_login.log goes on where /audit_login.log.1 ends";
    check(&[(1, 0, 4)], &[(EvidenceState::Unconfirmed, 1, 9, unknown.to_owned())]);
}
