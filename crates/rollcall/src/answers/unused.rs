//! `unused`: which accounts nobody uses, as far as evidence reaches; and why.

use verdict::plan::Protection;
use verdict::unused::{Doubt, Verdict, Window};

use super::accounts::{self, account_cell, account_fields};
use super::{View, plural};
use crate::accounts::{Judged, Kept, Member, OnServer};
use crate::render::{Answer, Column, Records, Table, Value, inert, shown};
use crate::time::{date, length_text, table_text};

/// The fields for programs: one object per account and server, those of `accounts` first.
pub(super) const FIELDS: [&str; accounts::FIELDS.len() + OWN_FIELDS.len()] = {
    let mut all = [""; accounts::FIELDS.len() + OWN_FIELDS.len()];
    let (first, own) = all.split_at_mut(accounts::FIELDS.len());
    first.copy_from_slice(&accounts::FIELDS);
    own.copy_from_slice(&OWN_FIELDS);
    all
};

const OWN_FIELDS: [&str; 6] =
    ["verdict", "evidence_from", "uncovered_days", "reasons", "protected", "references"];

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// Errors of a login that is refused because the account is locked: MariaDB, MySQL.
const LOCKED: [u32; 2] = [4151, 3118];

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnusedOptions {
    /// Used accounts as well.
    pub(crate) all: bool,
    pub(crate) limit: Option<usize>,
    pub(crate) window: Window,
}

/// The answer. `judged` holds the accounts of servers that were judged together as `members`, `title` is the
/// name of their group or of the one server.
pub(crate) fn unused(
    answer: &mut Answer,
    title: &str,
    members: &[Member],
    judged: &[Judged],
    options: &UnusedOptions,
    view: View<'_>,
) {
    let mut rows: Vec<&Judged> = judged.iter().filter(|it| !it.on[0].account.is_role).collect();
    let used = rows.iter().filter(|it| it.finding.verdict == Verdict::Used).count();
    if !options.all {
        rows.retain(|it| it.finding.verdict != Verdict::Used);
    }
    rows.sort_by_key(|it| (it.finding.verdict, it.finding.last_seen, &it.name));
    let all = rows.len();
    rows.truncate(options.limit.unwrap_or(all));
    answer.rows += rows.len();
    if view.page {
        page(answer, title, members, &rows, options, used, view);
        if rows.len() < all {
            answer
                .page
                .line(format!("{} more (--limit)", plural((all - rows.len()) as u64, "row")));
        }
    }
    if view.records {
        answer.records.push(records(members, &rows, options.window));
    }
}

fn page(
    answer: &mut Answer,
    title: &str,
    members: &[Member],
    rows: &[&Judged],
    options: &UnusedOptions,
    used: usize,
    view: View<'_>,
) {
    let window = options.window;
    let page = &mut answer.page;
    let covered: Vec<String> = members.iter().map(|it| covered_text(it, window)).collect();
    let group = match members {
        [one] if one.name == title => String::new(),
        _ => format!("{}: ", inert(title)),
    };
    page.line(format!("{group}{}", covered.join(", ")));
    page.line(format!(
        "asked: {} up to {}, times in {}",
        length_text(window.to.saturating_sub(window.from)),
        table_text(window.to, view.zone),
        inert(&view.zone.name),
    ));
    let mut table = Table::new(vec![
        Column::fixed("VERDICT"),
        Column::name("ACCOUNT"),
        Column::fixed("LAST LOGIN"),
        Column::name("ON").dispensable(1),
        Column::prose("WHY"),
    ]);
    for row in rows {
        let (last, on) = match row.finding.last_seen {
            Some((at, member)) => {
                let server = &members[row.on[member].member].name;
                (table_text(at, view.zone), shown(server.as_bytes()))
            }
            None => (possibly(row, view), "–".to_owned()),
        };
        table.push(vec![
            row.finding.verdict.as_str().to_owned(),
            account_cell(&row.name),
            last,
            on,
            reasons(members, row, window, view).join("; "),
        ]);
    }
    match rows.is_empty() {
        true => page.line("No account is unused, or nothing is known of any."),
        false => page.table(table),
    }
    if rows.iter().any(|it| is_never(it)) {
        page.line("Never logged in: not within what the logs hold.");
    }
    if rows.iter().any(|it| it.finding.last_seen.is_none() && !is_never(it)) {
        page.line("? several accounts fit user and host of that login: rollcall account ACCOUNT");
    }
    if used > 0 && !options.all {
        page.line(format!("{} not shown (--all)", plural(used as u64, "used account")));
    }
}

/// The last login that may be its own, where no other is known.
fn possibly(row: &Judged, view: View<'_>) -> String {
    let last = row.on.iter().filter_map(|it| it.possible.last_seen).max();
    let text = last.map(|at| format!("{} ?", table_text(at, view.zone)));
    text.unwrap_or_else(|| "Never logged in".to_owned())
}

fn is_never(row: &Judged) -> bool {
    let possibly = |it: &OnServer| it.possible.last_seen.is_some();
    row.finding.last_seen.is_none() && !row.on.iter().any(possibly)
}

/// `db1 primary 100 %`, `db3 replica 87 % covered (12 d rotated away)`.
fn covered_text(member: &Member, window: Window) -> String {
    let length = window.to.saturating_sub(window.from).max(1);
    let within =
        |from: i64, to: i64| to.min(window.to).saturating_sub(from.max(window.from)).max(0);
    let missing: i64 = member.uncovered.iter().map(|it| within(it.from, it.to)).sum();
    // Rounded down: 100 only where nothing is missing.
    let percent = (length - missing.min(length)).saturating_mul(100) / length;
    let role = if member.snapshot.is_replica { "replica" } else { "primary" };
    let why = member.uncovered.iter().max_by_key(|it| within(it.from, it.to));
    let why = match (missing, why) {
        (0, _) | (_, None) => String::new(),
        (missing, Some(longest)) => {
            format!(" ({}: {})", length_text(missing), inert(&longest.reason))
        }
    };
    // Its accounts may be of before, which a plan does not rest on.
    let stale = match member.stale {
        Some(_) => ", accounts of before",
        None => "",
    };
    format!("{} {role} {percent} % covered{why}{stale}", shown(member.name.as_bytes()))
}

/// Why, the answer first: what speaks for the verdict, then what else is to be known of the account.
pub(crate) fn reasons(
    members: &[Member],
    row: &Judged,
    window: Window,
    view: View<'_>,
) -> Vec<String> {
    let mut reasons = Vec::new();
    match row.finding.verdict {
        Verdict::Unused => reasons.push(silence(members, row, window)),
        Verdict::Kept => reasons.extend(row.kept.as_ref().map(|kept| kept_text(kept, view))),
        Verdict::Used => {
            let at = row.finding.last_active.map(|at| table_text(at, view.zone));
            reasons.extend(at.map(|at| format!("last active {at}")));
        }
        Verdict::Unknown => {
            reasons.extend(row.finding.doubts.iter().map(|it| doubt_text(members, row, it, view)));
        }
    }
    if let Some(kept) = &row.lapsed {
        reasons.push(format!("EXCEPTION ENDED: {}", kept_text(kept, view)));
    }
    for place in &row.references {
        reasons.push(format!("but listed in {}: kept out of plans", inert(place)));
    }
    if let Some(protection) = row.on.iter().find_map(|it| it.protection) {
        reasons.push(format!("protected: {}", protection.as_str()));
    }
    if let Some(text) = row.on.iter().find_map(|it| still_wanted(it, view)) {
        reasons.push(text);
    }
    if let Some(unreachable) = row.on.iter().find_map(|it| it.unreachable.as_ref()) {
        reasons.push(format!("no login can match it: {}", inert(unreachable)));
    }
    reasons.extend(row.differences.iter().map(|it| inert(it)));
    reasons
}

/// `no login in 263 days, all members covered`.
fn silence(members: &[Member], row: &Judged, window: Window) -> String {
    let since = row.finding.last_seen.map_or(window.from, |(at, _)| at);
    let since = since.max(row.finding.last_active.unwrap_or(i64::MIN)).min(window.from);
    let days = window.to.saturating_sub(since) / DAY;
    let covered = if members.len() > 1 { ", all members covered" } else { "" };
    format!("no login in {}{covered}", plural(days.max(0).unsigned_abs(), "day"))
}

/// `until 2027-01-31, finance, "yearly closing"`.
fn kept_text(kept: &Kept, view: View<'_>) -> String {
    let until = match kept.until {
        Some(until) => format!("until {}", date(until, view.zone)),
        None => "for good".to_owned(),
    };
    format!("{until}, {}, \"{}\"", inert(&kept.owner), inert(&kept.reason))
}

fn doubt_text(members: &[Member], row: &Judged, doubt: &Doubt, view: View<'_>) -> String {
    let server = |member: &usize| shown(members[row.on[*member].member].name.as_bytes());
    match doubt {
        Doubt::Uncovered { member, micros, reason } => {
            // On a page the reason stands above all rows.
            let reason = if view.page { String::new() } else { format!(" ({})", inert(reason)) };
            format!("{} uncovered on {}{reason}", length_text(*micros), server(member))
        }
        Doubt::Young { member, since: Some(since) } => {
            let since = table_text(*since, view.zone);
            format!("known on {} only since {since}", server(member))
        }
        Doubt::Young { member, since: None } => {
            format!("nothing proves that it existed on {} when the time began", server(member))
        }
        Doubt::Remade { member, at } => {
            let at = table_text(*at, view.zone);
            format!("may have been made anew on {} when its password was set {at}", server(member))
        }
        Doubt::Ambiguous { member, candidates } => {
            format!("logins on {} may be its own or those of {} like it", server(member), {
                plural(candidates.saturating_sub(1) as u64, "other account")
            })
        }
        Doubt::Contested { member } => {
            format!("records on {} that concern it cannot be trusted", server(member))
        }
    }
}

/// Somebody tries to use it: while it is locked, or without success.
fn still_wanted(it: &OnServer, view: View<'_>) -> Option<String> {
    let signs = if it.sure.failures > 0 { &it.sure } else { &it.possible };
    let (at, failures) = (signs.last_failed?, signs.failures);
    let at = table_text(at, view.zone);
    let refused = plural(failures, "refused login");
    if signs.last_error.is_some_and(|error| LOCKED.contains(&error)) {
        return Some(format!("locked and still wanted: {refused}, last {at}"));
    }
    let never = it.sure.newest().is_none() && it.possible.newest().is_none();
    never.then(|| format!("only refused: {refused}, last {at}"))
}

fn records(members: &[Member], rows: &[&Judged], window: Window) -> Records {
    let mut records = Records::new(&FIELDS);
    let utc = crate::time::Zone::utc();
    let view = View { now: window.to, zone: &utc, page: false, records: true };
    for row in rows {
        for on in &row.on {
            let mut fields = account_fields(members, on);
            fields.extend([
                Value::word(row.finding.verdict.as_str()),
                Value::Time(row.finding.evidence_from),
                Value::Number(row.finding.uncovered_days()),
                Value::Text(reasons(members, row, window, view).join("; ")),
                on.protection.map_or(Value::Absent, |it: Protection| Value::word(it.as_str())),
                match row.references.is_empty() {
                    true => Value::Absent,
                    false => Value::Text(row.references.join("; ")),
                },
            ]);
            records.push(fields);
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, seen_row, with_view};
    use super::*;
    use crate::accounts::{Basis, Each, Known, judge_all};
    use crate::render::Format;
    use insta::assert_snapshot;
    use ledger::Seen;
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use verdict::account::{Account, AccountName, Snapshot, Version};
    use verdict::matching::Matcher;
    use verdict::unused::Uncovered;

    fn account(user: &str, host: &str) -> Account {
        Account {
            name: AccountName::new(user, host),
            plugin: "mysql_native_password".to_owned(),
            locked: Some(user == "locked"),
            ..Account::default()
        }
    }

    fn member(name: &str, uncovered: Vec<Uncovered>) -> Member {
        let mut accounts = vec![
            account("app", "%"),
            account("sam", "%"),
            account("etl", "10.%"),
            account("etl", "10.0.%"),
            account("old_blog", "%.localdomain"),
            account("yearend", "%"),
            account("locked", "%"),
            account("x\n=1\x1b[2J", "%"),
            account("root", "localhost"),
        ];
        accounts[4].name.host = b"web-87.localdomain".to_vec();
        accounts.sort_by(|a, b| a.name.cmp(&b.name));
        let known = |it: &Account| (it.name.clone(), Known { since: Some(0), ..Known::default() });
        Member {
            name: name.to_owned(),
            known: accounts.iter().map(known).collect(),
            snapshot: Snapshot {
                own: AccountName::new("rollcall", "localhost"),
                is_replica: name == "db2",
                accounts,
                ..Snapshot::new(Version::parse("10.11.6-MariaDB").unwrap(), at("20T12:00"))
            },
            matched: Vec::new(),
            counted: Vec::new(),
            let_in: Vec::new(),
            uncovered,
            stale: None,
        }
    }

    fn judged(members: &[Member], window: Window) -> Vec<Judged> {
        let mut seen: Vec<Seen> = vec![
            seen_row(b"app", b"10.0.0.7", "01T08:00", "20T11:59", 1_234_567),
            seen_row(b"old_blog", b"web-87.localdomain", "02T04:12", "03T04:12", 4),
            seen_row(b"etl", b"etl-1.shop", "02T04:12", "19T04:12", 9),
            seen_row(b"locked", b"10.0.0.9", "01T00:00", "01T00:00", 0),
        ];
        let locked = seen.last_mut().unwrap();
        (locked.first_seen, locked.last_seen, locked.last_active) = (None, None, None);
        (locked.failures, locked.last_failed) = (212, Some(at("20T02:00")));
        locked.last_error = Some(4151);
        let kept = Kept {
            until: Some(at("30T00:00")),
            owner: "finance".to_owned(),
            reason: "yearly closing".to_owned(),
        };
        let basis = Basis {
            kept: BTreeMap::from([(AccountName::new("yearend", "%"), vec![kept])]),
            references: BTreeMap::from([(
                b"sam".to_vec(),
                vec!["mysql_users of /etc/proxysql.cnf line 12".to_owned()],
            )]),
            protected: Vec::new(),
        };
        let mut rows = |member: &Member, _: &Matcher, each: &mut Each<'_>| {
            let own = seen.iter().filter(|it| it.server == member.name.as_bytes());
            own.for_each(each);
            Ok::<_, Infallible>(())
        };
        judge_all(members, &mut rows, &basis, window, at("20T12:00")).unwrap()
    }

    fn asked(members: &[Member], format: Format, width: Option<usize>) -> String {
        let window = Window { from: at("10T12:00"), to: at("20T12:00") };
        let options = UnusedOptions { all: false, limit: None, window };
        let mut answer = Answer::default();
        let judged = judged(members, window);
        with_view(|view| unused(&mut answer, "shop", members, &judged, &options, view));
        answer.text(format, width)
    }

    #[test]
    fn verdicts_stand_with_what_they_rest_on() {
        let gap = Uncovered {
            from: at("12T00:00"),
            to: at("14T00:00"),
            reason: "rotated away before it was read".to_owned(),
        };
        let covered = [member("db1", Vec::new())];
        assert_snapshot!(asked(&covered, Format::Table, Some(110)), @r#"
        shop: db1 primary 100 % covered
        asked: 10 d up to 2026-11-20 13:00, times in Europe/Zurich
        VERDICT  ACCOUNT                          LAST LOGIN          ON   WHY
        unused   'locked'@'%'                     Never logged in     –    no login in 10 days; locked and still want…
        unused   'root'@'localhost'               Never logged in     –    no login in 10 days; protected: root
        unused   'sam'@'%'                        Never logged in     –    no login in 10 days; but listed in mysql_u…
        unused   'x\n=1\x1b[2J'@'%'               Never logged in     –    no login in 10 days
        unused   'old_blog'@'web-87.localdomain'  2026-11-03 05:12    db1  no login in 17 days
        unknown  'etl'@'10.%'                     2026-11-19 05:12 ?  –    logins on db1 may be its own or those of 1…
        unknown  'etl'@'10.0.%'                   2026-11-19 05:12 ?  –    logins on db1 may be its own or those of 1…
        kept     'yearend'@'%'                    Never logged in     –    until 2026-11-30, finance, "yearly closing"
        Never logged in: not within what the logs hold.
        ? several accounts fit user and host of that login: rollcall account ACCOUNT
        1 used account not shown (--all)
        "#);
        let members = [member("db1", Vec::new()), member("db2", vec![gap])];
        assert_snapshot!(asked(&members, Format::Table, Some(110)), @r#"
        shop: db1 primary 100 % covered, db2 replica 80 % covered (2 d: rotated away before it was read)
        asked: 10 d up to 2026-11-20 13:00, times in Europe/Zurich
        VERDICT  ACCOUNT                          LAST LOGIN          ON   WHY
        unknown  'etl'@'10.%'                     2026-11-19 05:12 ?  –    logins on db1 may be its own or those of 1…
        unknown  'etl'@'10.0.%'                   2026-11-19 05:12 ?  –    logins on db1 may be its own or those of 1…
        unknown  'locked'@'%'                     Never logged in     –    2 d uncovered on db2; locked and still wan…
        unknown  'root'@'localhost'               Never logged in     –    2 d uncovered on db2; protected: root
        unknown  'sam'@'%'                        Never logged in     –    2 d uncovered on db2; but listed in mysql_…
        unknown  'x\n=1\x1b[2J'@'%'               Never logged in     –    2 d uncovered on db2
        unknown  'old_blog'@'web-87.localdomain'  2026-11-03 05:12    db1  2 d uncovered on db2
        kept     'yearend'@'%'                    Never logged in     –    until 2026-11-30, finance, "yearly closing"
        Never logged in: not within what the logs hold.
        ? several accounts fit user and host of that login: rollcall account ACCOUNT
        1 used account not shown (--all)
        "#);
    }

    #[test]
    fn programs_get_every_field() {
        let covered = [member("db1", Vec::new())];
        let json = asked(&covered, Format::Json, None);
        assert_snapshot!(json.lines().take(3).collect::<Vec<_>>().join("\n"), @r#"
        {"server":"db1","user":"locked","host":"%","plugin":"mysql_native_password","locked":true,"is_role":false,"first_seen":null,"last_seen":null,"last_active":null,"logins":0,"failures":212,"matched_by":"host","verdict":"unused","evidence_from":"2026-11-10T12:00:00Z","uncovered_days":0,"reasons":"no login in 10 days; locked and still wanted: 212 refused logins, last 2026-11-20 02:00","protected":null,"references":null}
        {"server":"db1","user":"root","host":"localhost","plugin":"mysql_native_password","locked":false,"is_role":false,"first_seen":null,"last_seen":null,"last_active":null,"logins":0,"failures":0,"matched_by":null,"verdict":"unused","evidence_from":"2026-11-10T12:00:00Z","uncovered_days":0,"reasons":"no login in 10 days; protected: root","protected":"root","references":null}
        {"server":"db1","user":"sam","host":"%","plugin":"mysql_native_password","locked":false,"is_role":false,"first_seen":null,"last_seen":null,"last_active":null,"logins":0,"failures":0,"matched_by":null,"verdict":"unused","evidence_from":"2026-11-10T12:00:00Z","uncovered_days":0,"reasons":"no login in 10 days; but listed in mysql_users of /etc/proxysql.cnf line 12: kept out of plans","protected":null,"references":"mysql_users of /etc/proxysql.cnf line 12"}
        "#);
    }
}
