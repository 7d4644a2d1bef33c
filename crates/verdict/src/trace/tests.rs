//! Heads against records, each case by itself.

use super::*;

/// A second of the run, by the clock of the tests.
const START: u32 = 1_000_000;

fn file(created: u32, begun: u32) -> FileHead {
    FileHead { server_id: 1, created, begun, follows: true }
}

/// A row transaction of MariaDB 10.11 that was committed at this second.
fn head(xid: u64, at: u32) -> Head {
    Head {
        run: 0,
        is_own: true,
        has_query_ids: true,
        xid: Some(xid),
        first_time: at,
        last_time: at,
        committed_by: at,
        texts: vec![Text { time: at, sql: b"insert into t values (1)".as_slice().into() }],
        ..Head::default()
    }
}

fn told(id: u64, by_gtid: bool, at: u32) -> Head {
    let thread = Some(ToldThread { id, by_gtid, disputed: false });
    Head { thread, texts: Vec::new(), ..head(77, at) }
}

/// Kind, second, connection, query id, user, text.
type Line = (AuditKind, u32, u64, u64, &'static str, &'static str);

const CONNECT: AuditKind = AuditKind::Connect;
const QUERY: AuditKind = AuditKind::Query;
const TABLE: AuditKind = AuditKind::Table;
const END: AuditKind = AuditKind::Disconnect;

fn record(line: &Line) -> AuditRecord<'static> {
    let &(kind, at, connection, query, user, text) = line;
    AuditRecord {
        at: i64::from(at) * 1_000_000 + 500_000,
        server: b"db1",
        connection,
        query,
        kind,
        user: user.as_bytes(),
        host: b"10.0.0.7",
        port: None,
        error: 0,
        text: text.as_bytes(),
        source: LoginEvidence::Audit,
    }
}

fn join(heads: &[Head], files: &[FileHead], lines: &[Line]) -> Vec<Attribution> {
    let runs = Runs::of(files);
    let mut joiner = Joiner::new(heads, &runs);
    lines.iter().for_each(|line| joiner.first(&record(line)));
    joiner.turn();
    lines.iter().for_each(|line| joiner.second(&record(line)));
    (0..heads.len()).map(|number| joiner.attribution(number)).collect()
}

/// One head in one run that began at [`START`].
fn one(head: Head, lines: &[Line]) -> Attribution {
    join(&[head], &[file(START, START)], lines).remove(0)
}

fn user(found: &Attribution) -> Option<&str> {
    found.who.as_ref().map(|who| std::str::from_utf8(&who.user).unwrap())
}

#[test]
fn a_query_id_is_exact() {
    let found = one(
        head(40, START + 100),
        &[
            (CONNECT, START + 90, 8, 0, "app", ""),
            (CONNECT, START + 91, 9, 0, "other", ""),
            (QUERY, START + 99, 9, 39, "other", "insert into t values (1)"),
            (QUERY, START + 99, 8, 40, "app", "select 1"),
            (QUERY, START + 100, 8, 41, "app", "insert into t values (1)"),
        ],
    );
    assert_eq!((found.evidence, found.is_exact), (Evidence::XidQueryId, true));
    assert_eq!((found.thread, user(&found), found.candidates), (Some(8), Some("app"), 1));
    assert_eq!((found.login, found.reason), (LoginEvidence::Audit, None));
}

/// What the list of sessions showed, behind these records.
fn listed(lines: &[Line], shown: &[(u64, u64)]) -> Attribution {
    let (heads, runs) = ([head(40, START + 100)], Runs::of(&[file(START, START)]));
    let mut joiner = Joiner::new(&heads, &runs);
    lines.iter().for_each(|line| joiner.first(&record(line)));
    assert_eq!(joiner.query_ids(), [(0, 40)]);
    shown.iter().for_each(|&(query, connection)| joiner.listed(0, query, connection));
    joiner.turn();
    lines.iter().for_each(|line| joiner.second(&record(line)));
    joiner.attribution(0)
}

#[test]
fn a_listed_query_id_is_exact_where_it_is_that_of_the_commit() {
    let found = listed(&[], &[(41, 9), (40, 8), (40, 8)]);
    assert_eq!((found.evidence, found.is_exact), (Evidence::XidQueryId, true));
    assert_eq!((found.thread, found.login, found.reason), (Some(8), LoginEvidence::None, None));
    // One statement further, or not seen.
    for shown in [&[(41, 8)][..], &[(39, 8)], &[]] {
        assert_eq!(listed(&[], shown).thread, None);
    }
    // Beside two connections, in the list or in the audit log.
    let lines = [(QUERY, START + 99, 8, 40, "app", "select 1")];
    assert_eq!(listed(&[], &[(40, 8), (40, 9)]).reason, Some(Reason::IdTwice));
    assert_eq!(listed(&lines, &[(40, 9)]).reason, Some(Reason::IdTwice));
    let found = listed(&lines, &[(40, 8)]);
    assert_eq!(
        (found.is_exact, user(&found), found.login),
        (true, Some("app"), LoginEvidence::Audit)
    );
}

#[test]
fn a_table_record_names_the_connection_and_its_login_the_user() {
    let lines = [(CONNECT, START + 90, 8, 0, "app", ""), (TABLE, START + 99, 8, 40, "definer", "")];
    let found = one(head(40, START + 100), &lines);
    assert_eq!((found.evidence, found.is_exact), (Evidence::XidQueryId, true));
    assert_eq!((found.thread, user(&found)), (Some(8), Some("app")));
    let found = one(head(40, START + 100), &lines[1..]);
    assert_eq!((found.thread, user(&found), found.login), (Some(8), None, LoginEvidence::None));
}

#[test]
fn ids_are_never_joined_across_a_start() {
    let files = [file(START, START), file(START + 1000, START + 1000)];
    let old = head(40, START + 100);
    let new = Head { run: 1, ..head(40, START + 1100) };
    let lines = [(QUERY, START + 100, 8, 40, "old", ""), (QUERY, START + 1100, 5, 40, "new", "")];
    let found = join(&[old.clone(), new.clone()], &files, &lines);
    assert_eq!((found[0].thread, found[1].thread), (Some(8), Some(5)));
    assert!(found.iter().all(|it| it.is_exact));
    // Only the other run has a record.
    let found = join(&[old.clone(), new.clone()], &files, &lines[..1]);
    assert_eq!((found[0].thread, found[1].thread), (Some(8), None));
    // In the second of the start it may be of either.
    let second = [(QUERY, START + 1000, 8, 40, "old", "")];
    let found = join(&[old, new], &files, &second);
    assert!(found.iter().all(|it| it.thread.is_none() && it.evidence == Evidence::Unknown));
}

#[test]
fn the_second_of_a_start_is_named() {
    let lines = [(QUERY, START, 8, 40, "app", "insert"), (QUERY, START + 9, 8, 41, "app", "x")];
    let found = one(head(40, START), &lines);
    assert_eq!((found.thread, found.reason), (None, Some(Reason::SecondOfStart)));
}

#[test]
fn records_before_the_first_file_are_of_a_run_that_is_not_known() {
    let early = [(QUERY, START - 1, 8, 40, "old", "")];
    let found = join(&[head(40, START + 5)], &[file(0, START)], &early);
    assert_eq!(found[0].thread, None);
    let late = [(QUERY, START, 8, 40, "app", "")];
    let found = join(&[head(40, START + 5)], &[file(0, START)], &late);
    assert_eq!(found[0].thread, Some(8));
}

#[test]
fn an_id_of_two_connections_is_of_none() {
    let lines = [(QUERY, START + 100, 8, 40, "app", ""), (QUERY, START + 101, 9, 40, "forged", "")];
    let found = one(head(40, START + 101), &lines);
    assert_eq!((found.evidence, found.is_exact, found.thread), (Evidence::Unknown, false, None));
    assert_eq!((found.reason, found.candidates), (Some(Reason::IdTwice), 2));
}

#[test]
fn a_record_behind_the_commit_near_a_start_is_of_another_run_or_zone() {
    let late =
        |after: u32| one(head(40, START + 100), &[(QUERY, START + 100 + after, 8, 40, "app", "")]);
    assert!(late(60).is_exact);
    let found = late(61);
    assert_eq!((found.is_exact, found.reason), (false, Some(Reason::TooLate)));
    // Where there is no other run near, a lone statement may have taken so long.
    let far = START + 30 * 3600;
    let found = one(head(40, far), &[(QUERY, far + 3000, 8, 40, "app", "")]);
    assert!(found.is_exact);
}

#[test]
fn what_came_by_replication_is_never_joined() {
    let copied = Head { is_own: false, ..head(40, START + 100) };
    let lines = [(QUERY, START + 100, 8, 40, "app", "insert into t values (1)")];
    let found = one(copied, &lines);
    assert_eq!((found.thread, found.reason), (None, Some(Reason::Replicated)));
    let copied = Head { is_own: false, ..told(8, false, START + 100) };
    let found = one(copied, &[(CONNECT, START + 90, 8, 0, "local", "")]);
    assert_eq!((found.evidence, found.is_exact), (Evidence::QueryThread, false));
    assert_eq!((found.who, found.reason), (None, Some(Reason::Replicated)));
}

#[test]
fn what_the_log_tells_is_exact_until_something_contradicts() {
    for by_gtid in [false, true] {
        let at = START + 100;
        let evidence = if by_gtid { Evidence::GtidThread } else { Evidence::QueryThread };
        let found = one(told(8, by_gtid, at), &[]);
        assert_eq!((found.evidence, found.is_exact, found.thread), (evidence, true, Some(8)));
        assert_eq!(found.login, LoginEvidence::None);

        let login = [(CONNECT, at - 10, 8, 0, "app", "")];
        let found = one(told(8, by_gtid, at), &login);
        assert_eq!((found.is_exact, user(&found)), (true, Some("app")));

        // The audit log has the query id with another connection.
        let found = one(told(999, by_gtid, at), &[(QUERY, at, 8, 77, "app", "insert")]);
        assert_eq!((found.evidence, found.is_exact), (Evidence::XidQueryId, false));
        assert_eq!((found.thread, user(&found)), (Some(8), Some("app")));
        assert_eq!(found.reason, Some(Reason::Pretended));

        // Somebody may have set the id.
        let set = (QUERY, at - 1, 5, 70, "dba", "SET @@session.PSEUDO_thread_id=8");
        let found = one(told(8, by_gtid, at), &[set]);
        assert_eq!((found.is_exact, found.reason), (false, Some(Reason::MaySet)));
        let confirmed = [set, (QUERY, at, 8, 77, "app", "insert")];
        assert!(one(told(8, by_gtid, at), &confirmed).is_exact);
        let over = [set, (END, at - 50, 5, 0, "dba", "")];
        assert!(one(told(8, by_gtid, at), &over).is_exact);
        let later = (QUERY, at + 61, 5, 70, "dba", "set pseudo_thread_id=8");
        assert!(one(told(8, by_gtid, at), &[later]).is_exact);

        // The session was over, or did not exist yet.
        let ended = [(CONNECT, at - 50, 8, 0, "app", ""), (END, at - 40, 8, 0, "app", "")];
        let found = one(told(8, by_gtid, at), &ended);
        assert_eq!((found.is_exact, found.reason), (false, Some(Reason::NotOpen)));
        let begun = [(CONNECT, at + 61, 8, 0, "app", "")];
        assert_eq!(one(told(8, by_gtid, at), &begun).reason, Some(Reason::NotOpen));
    }
    let disputed = ToldThread { id: 8, by_gtid: false, disputed: true };
    let found = one(Head { thread: Some(disputed), ..told(8, false, START + 9) }, &[]);
    assert_eq!((found.is_exact, found.reason), (false, Some(Reason::Disputed)));
}

#[test]
fn times_that_were_set_take_exactness_away() {
    let at = START + 100;
    for (seconds, time, is_exact) in [
        (STATEMENT_SECONDS_MAX, at, true),
        (STATEMENT_SECONDS_MAX + 1, at, false),
        (u32::MAX, at, false),
        (0, START - 1, false),
    ] {
        let head = Head { seconds, ..told(8, true, time) };
        let found = one(head, &[]);
        assert_eq!(found.is_exact, is_exact, "{seconds} {time}");
        assert_eq!(found.reason.is_some(), !is_exact);
    }
}

#[test]
fn times_that_the_commit_contradicts_were_set() {
    let at = START + 100;
    for (committed, is_exact) in [
        (at, true),
        (at - 1, true),
        (at - 2, false),
        (at + STATEMENT_SECONDS_MAX, true),
        (at + STATEMENT_SECONDS_MAX + 1, false),
    ] {
        let head = Head { committed: Some(committed), ..told(8, true, at) };
        assert_eq!(one(head, &[]).is_exact, is_exact, "{committed}");
    }
}

#[test]
fn times_long_before_the_first_file_were_set() {
    let begun = STATEMENT_SECONDS_MAX + 1000;
    for (time, is_exact) in [(1000, true), (999, false)] {
        let found = join(&[told(8, true, time)], &[file(0, begun)], &[]);
        assert_eq!(found[0].is_exact, is_exact, "{time}");
    }
}

#[test]
fn the_same_text_is_a_guess_with_its_candidates() {
    let at = START + 100;
    let same = |connection, user| {
        (QUERY, at, connection, 50 + connection, user, "insert into t values (1)")
    };
    let early = (QUERY, at - 10, 4, 30, "early", "insert into t values (1)");
    let late = (QUERY, at + 3, 4, 30, "late", "insert into t values (1)");
    let other = (QUERY, at, 4, 30, "other", "insert into t values (2)");
    let found = one(head(40, at), &[same(8, "app"), early, late, other]);
    assert_eq!((found.evidence, found.is_exact), (Evidence::TextMatch, false));
    assert_eq!((found.thread, found.candidates, user(&found)), (Some(8), 1, None));
    assert_eq!(found.users, [b"app"]);

    let found = one(head(40, at), &[same(8, "app"), same(9, "batch"), same(8, "app")]);
    assert_eq!((found.evidence, found.thread, found.candidates), (Evidence::TextMatch, None, 2));
    assert_eq!(found.users, [b"app".to_vec(), b"batch".to_vec()]);
    assert_eq!(found.reason, Some(Reason::SameTexts));
}

#[test]
fn candidates_ran_all_of_the_texts() {
    let at = START + 100;
    let second = Text { time: at, sql: b"update t set a = 1".as_slice().into() };
    let mut both = head(40, at);
    both.texts.push(second);
    let lines = [
        (QUERY, at, 8, 50, "app", "insert into t values (1)"),
        (QUERY, at, 9, 51, "batch", "insert into t values (1)"),
        (QUERY, at, 9, 52, "batch", "update t set a = 1"),
    ];
    let found = one(both, &lines);
    assert_eq!((found.evidence, found.thread), (Evidence::TextMatch, Some(9)));
}

#[test]
fn candidates_are_bounded() {
    let at = START + 100;
    let lines: Vec<Line> = (0..CANDIDATES_MAX as u64 + 1)
        .map(|it| (QUERY, at, 1000 + it, 5000 + it, "app", "insert into t values (1)"))
        .collect();
    let found = one(head(40, at), &lines[..CANDIDATES_MAX]);
    assert_eq!(found.candidates, CANDIDATES_MAX);
    assert_eq!(one(head(40, at), &lines).candidates, CANDIDATES_MAX);
}

#[test]
fn with_logins_alone_open_sessions_are_counted() {
    let lines = [
        (CONNECT, START + 10, 5, 0, "a", ""),
        (CONNECT, START + 20, 6, 0, "b", ""),
        (END, START + 30, 5, 0, "a", ""),
        (CONNECT, START + 40, 7, 0, "c", ""),
        (CONNECT, START + 200, 8, 0, "d", ""),
    ];
    let found = one(head(40, START + 100), &lines);
    assert_eq!((found.evidence, found.thread), (Evidence::Unknown, None));
    assert_eq!((found.candidates, found.reason), (2, Some(Reason::LoginsAlone)));
    let found = one(head(40, START + 300), &lines);
    assert_eq!((found.candidates, found.reason), (0, Some(Reason::OutOfReach)));
}

#[test]
fn sessions_that_end_in_the_second_of_a_commit_may_have_made_it() {
    let at = START + 100;
    let lines = [
        (CONNECT, at - 50, 5, 0, "long gone", ""),
        (END, at - 1, 5, 0, "long gone", ""),
        (CONNECT, at - 50, 6, 0, "a", ""),
        (CONNECT, at, 7, 0, "within the second", ""),
        (END, at, 7, 0, "within the second", ""),
        (AuditKind::Failed, at, 8, 0, "refused", ""),
        (END, at, 8, 0, "refused", ""),
        (END, at, 6, 0, "a", ""),
        (END, at + 1, 9, 0, "there before the log began", ""),
        (CONNECT, at + 4, 10, 0, "too late", ""),
        (END, at + 5, 10, 0, "too late", ""),
    ];
    let mut lines = lines;
    lines.sort_by_key(|line| line.1);
    assert_eq!(one(head(40, at), &lines).candidates, 3);
    let until = Head { committed_by: at + 3, ..head(40, at) };
    assert_eq!(one(until, &lines).candidates, 3);
    let at_the_end = Head { committed_by: at + 5, ..head(40, at) };
    assert_eq!(one(at_the_end, &lines).candidates, 4);
}

#[test]
fn what_is_lacking_is_said() {
    let at = START + 100;
    assert_eq!(one(head(40, at), &[]).reason, Some(Reason::NoAuditLog));
    let nothing = Head { xid: None, texts: Vec::new(), ..head(1, at) };
    assert_eq!(one(nothing, &[]).reason, Some(Reason::NothingTold));
    let other = [(QUERY, at, 8, 41, "app", "select 1"), (QUERY, at + 1, 8, 42, "app", "select 1")];
    assert_eq!(one(head(40, at), &other).reason, Some(Reason::NoRecord));
}

#[test]
fn a_change_of_user_is_followed() {
    let at = START + 100;
    let lines = [
        (CONNECT, at - 50, 8, 0, "first", ""),
        (AuditKind::ChangeUser, at - 20, 8, 0, "", ""),
        (QUERY, at + 50, 8, 60, "second", "select 1"),
    ];
    assert_eq!(user(&one(told(8, true, at - 30), &lines)), Some("first"));
    let found = one(told(8, true, at), &lines);
    assert_eq!((user(&found), found.is_exact), (Some("second"), true));
    // Without a change, two names are a contradiction.
    let found = one(told(8, true, at), &[lines[0], lines[2]]);
    assert_eq!((found.is_exact, found.reason), (false, Some(Reason::Disagreement)));
}

#[test]
fn what_stands_behind_a_name_that_was_cut_is_not_used() {
    let at = START + 100;
    let name: &'static str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    assert_eq!(name.len(), 129);
    let lines = [
        (AuditKind::Failed, at, 20, 0, name, ""),
        (QUERY, at, 8, 40, "forged", "insert"),
        (END, at, 20, 0, "x", ""),
    ];
    assert_eq!(one(head(40, at), &lines).thread, None);
    let short = [(AuditKind::Failed, at, 20, 0, &name[1..], ""), lines[1], lines[2]];
    assert_eq!(one(head(40, at), &short).thread, Some(8));
}

#[test]
fn several_servers_in_one_audit_log_are_no_proof() {
    let runs = Runs::of(&[file(START, START)]);
    let heads = [head(40, START + 100)];
    let mut joiner = Joiner::new(&heads, &runs);
    joiner.first(&record(&(QUERY, START + 100, 8, 40, "app", "")));
    joiner.first(&AuditRecord { server: b"db2", ..record(&(QUERY, START + 9, 9, 41, "x", "")) });
    joiner.turn();
    let found = joiner.attribution(0);
    assert_eq!((found.is_exact, found.reason), (false, Some(Reason::SeveralServers)));
}

#[test]
fn other_sources_tell_logins_that_audit_records_do_not() {
    let runs = Runs::of(&[file(START, START)]);
    let heads = [told(8, true, START + 100), told(9, true, START + 100)];
    let mut joiner = Joiner::new(&heads, &runs);
    let known = record(&(CONNECT, START + 50, 9, 0, "audited", ""));
    joiner.first(&known);
    joiner.turn();
    joiner.second(&known);
    assert_eq!(joiner.lacking(), [(0, 8)]);
    for (connection, source) in
        [(8, LoginEvidence::Ledger), (8, LoginEvidence::Processlist), (9, LoginEvidence::Ledger)]
    {
        let peer = Peer { user: b"app".to_vec(), host: Some(b"h".to_vec()), port: Some(4711) };
        joiner.login(Login { run: 0, connection, peer, from: None, to: None, source });
    }
    assert!(joiner.lacking().is_empty());
    let (first, second) = (joiner.attribution(0), joiner.attribution(1));
    assert_eq!((first.login, user(&first)), (LoginEvidence::Ledger, Some("app")));
    assert_eq!(first.who.unwrap().port, Some(4711));
    assert_eq!((second.login, user(&second)), (LoginEvidence::Audit, Some("audited")));
}
