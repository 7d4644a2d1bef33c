//! `unused`: which accounts nobody uses, as far as evidence reaches; and why.

use verdict::plan::Protection;
use verdict::unused::{Doubt, Verdict, Window};

use super::accounts::{account_cell, account_fields};
use super::{View, plural};
use crate::accounts::{Judged, Kept, Member, OnServer};
use crate::render::{Answer, Column, Records, Table, Value, inert, shown};
use crate::time::{date, length_text, table_text};

/// The fields for programs: one object per account and server.
pub(super) const FIELDS: [&str; 18] = [
    "server",
    "user",
    "host",
    "plugin",
    "locked",
    "is_role",
    "first_seen",
    "last_seen",
    "last_active",
    "logins",
    "failures",
    "matched_by",
    "verdict",
    "evidence_from",
    "uncovered_days",
    "reasons",
    "protected",
    "references",
];

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
            None => ("Never logged in".to_owned(), "–".to_owned()),
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
    let stale = rows.iter().any(|it| is_never(it));
    if stale {
        page.line("Never logged in: not within what the logs hold.");
    }
    if used > 0 && !options.all {
        page.line(format!("{} not shown (--all)", plural(used as u64, "used account")));
    }
}

fn is_never(row: &Judged) -> bool {
    row.finding.last_seen.is_none()
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
    let covered = if members.len() > 1 { "all members covered" } else { "all of it covered" };
    format!("no login in {}, {covered}", plural(days.max(0).unsigned_abs(), "day"))
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
