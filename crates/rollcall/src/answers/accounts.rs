//! `accounts`: what servers grant, with what was seen of it; `account`: everything about one.

use std::cmp::Reverse;

use ledger::{AccountChange, ChangeKind};
use verdict::account::AccountName;
use verdict::unused::{Signs, Window};

use super::unused::reasons;
use super::{View, caption, plural};
use crate::accounts::{Judged, Member, OnServer};
use crate::render::{Answer, Column, Records, Table, Value, inert, shown, thousands};
use crate::time::{table_text, table_text_or_dash};

/// The fields for programs.
pub(super) const FIELDS: [&str; 12] = [
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
];

/// The fields of an account's history.
pub(super) const CHANGE_FIELDS: [&str; 6] =
    ["server", "change", "was", "became", "since", "noticed"];

/// `'app'@'10.%'`, made inert.
pub(super) fn account_cell(name: &AccountName) -> String {
    inert(&name.to_string())
}

/// A role as SQL names it: MariaDB's have no host.
fn role_cell(name: &AccountName) -> String {
    let text = account_cell(name);
    match text.strip_suffix("@''") {
        Some(role) if name.host.is_empty() => role.to_owned(),
        _ => text,
    }
}

/// What evidence shows of an account on one server, sure and possible signs together where there are no
/// sure ones.
fn signs(on: &OnServer) -> &Signs {
    if on.sure == Signs::default() { &on.possible } else { &on.sure }
}

/// The fields that every answer on accounts begins with.
pub(super) fn account_fields(members: &[Member], on: &OnServer) -> Vec<Value> {
    let signs = signs(on);
    vec![
        Value::Text(members[on.member].name.clone()),
        Value::Name(on.account.name.user.clone()),
        Value::Name(on.account.name.host.clone()),
        Value::word(on.account.plugin.as_str()),
        on.account.locked.map_or(Value::Absent, Value::Flag),
        Value::Flag(on.account.is_role),
        Value::time(signs.first_seen),
        Value::time(signs.last_seen),
        Value::time(signs.last_active),
        Value::Number(signs.logins),
        Value::Number(signs.failures),
        on.matched_by.map_or(Value::Absent, |it| Value::word(it.as_str())),
    ]
}

/// The answer to `accounts`: those of several sets of servers, in one table.
pub(crate) fn accounts(
    sets: &[(&[Member], &[Judged])],
    roles: bool,
    limit: Option<usize>,
    view: View<'_>,
) -> Answer {
    let mut answer = Answer::default();
    let mut rows: Vec<(&[Member], &OnServer)> = sets
        .iter()
        .flat_map(|(members, judged)| judged.iter().flat_map(|it| &it.on).map(|it| (*members, it)))
        .filter(|(_, it)| roles || !it.account.is_role)
        .collect();
    rows.sort_by_key(|(members, it)| {
        (Reverse(signs(it).last_seen), &members[it.member].name, &it.account.name)
    });
    let all = rows.len();
    rows.truncate(limit.unwrap_or(all));
    answer.rows = rows.len();
    if view.page {
        caption(&mut answer, rows.len(), all, "account", view.zone);
        answer.page.table(table(&rows, view));
        if rows.iter().any(|(_, it)| is_doubtful(it)) {
            answer.page.line(
                "? several accounts fit user and host of these logins: rollcall account ACCOUNT",
            );
        }
    }
    if view.records {
        let mut records = Records::new(&FIELDS);
        rows.iter().for_each(|(members, it)| records.push(account_fields(members, it)));
        answer.records.push(records);
    }
    answer
}

/// All that was seen of it may be another account's.
fn is_doubtful(it: &OnServer) -> bool {
    signs(it).newest().is_some() && it.sure.newest().is_none()
}

fn table(rows: &[(&[Member], &OnServer)], view: View<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::fixed("LAST LOGIN"),
        Column::name("ACCOUNT"),
        Column::name("SERVER").dispensable(1),
        Column::fixed("STATE"),
        Column::number("LOGINS"),
        Column::number("REFUSED"),
        Column::fixed("LAST ACTIVE").dispensable(3),
        Column::name("PLUGIN").dispensable(4),
        Column::fixed(""),
    ]);
    for (members, it) in rows {
        let signs = signs(it);
        table.push(vec![
            signs.last_seen.map_or("Never logged in".to_owned(), |at| table_text(at, view.zone)),
            account_cell(&it.account.name),
            shown(members[it.member].name.as_bytes()),
            state(it).to_owned(),
            thousands(signs.logins),
            thousands(signs.failures),
            table_text_or_dash(signs.last_active, view.zone),
            inert(&it.account.plugin),
            if is_doubtful(it) { "?" } else { "" }.to_owned(),
        ]);
    }
    table
}

/// What stands in the way of a login, in a word.
fn state(it: &OnServer) -> &'static str {
    match (it.account.is_role, it.account.locked, it.account.expired) {
        (true, ..) => "role",
        (_, Some(true), _) => "locked",
        (_, _, Some(true)) => "expired",
        (_, None, _) => "?",
        _ => "open",
    }
}

/// The answer to `account`: one account on all members. `changes` holds its history, by member.
pub(crate) fn account(
    answer: &mut Answer,
    members: &[Member],
    judged: &Judged,
    changes: &[(usize, AccountChange)],
    window: Window,
    view: View<'_>,
) {
    answer.rows += 1;
    if view.page {
        let page = &mut answer.page;
        let verdict = judged.finding.verdict.as_str();
        let why = reasons(members, judged, window, view).join("; ");
        page.line(format!("{}: {verdict} · {why}", account_cell(&judged.name)));
        for it in &judged.on {
            page.blank();
            one(page, members, it, view);
        }
        if !changes.is_empty() {
            page.blank();
            let mut table = Table::new(vec![
                Column::fixed("NOTICED"),
                Column::name("SERVER").dispensable(1),
                Column::prose("CHANGE"),
                Column::fixed("NOT BEFORE").dispensable(2),
            ]);
            for (member, change) in changes {
                table.push(vec![
                    table_text(change.noticed_us, view.zone),
                    shown(members[*member].name.as_bytes()),
                    change_text(change, view),
                    table_text_or_dash(change.since_us, view.zone),
                ]);
            }
            page.table(table);
        }
    }
    if view.records {
        let mut records = Records::new(&FIELDS);
        judged.on.iter().for_each(|it| records.push(account_fields(members, it)));
        answer.records.push(records);
        let mut records = Records::new(&CHANGE_FIELDS);
        for (member, change) in changes {
            records.push(vec![
                Value::Text(members[*member].name.clone()),
                Value::word(change.kind.as_str()),
                Value::Name(change.was.clone()),
                Value::Name(change.became.clone()),
                Value::time(change.since_us),
                Value::Time(change.noticed_us),
            ]);
        }
        answer.records.push(records);
    }
}

/// `plugin: mysql_native_password → ed25519`, `locked`.
fn change_text(change: &AccountChange, view: View<'_>) -> String {
    let kind = change.kind.as_str();
    match change.kind {
        ChangeKind::Password => {
            let at = std::str::from_utf8(&change.became).ok().and_then(|it| it.parse().ok());
            format!("{kind} {}", table_text_or_dash(at, view.zone))
        }
        ChangeKind::Plugin
        | ChangeKind::Roles
        | ChangeKind::DefaultRoles
        | ChangeKind::Definers => {
            let text = |it: &[u8]| if it.is_empty() { "–".to_owned() } else { shown(it) };
            format!("{kind}: {} → {}", text(&change.was), text(&change.became))
        }
        _ => kind.to_owned(),
    }
}

/// What one server says of it.
fn one(page: &mut crate::render::Page, members: &[Member], it: &OnServer, view: View<'_>) {
    let account = &it.account;
    let server = shown(members[it.member].name.as_bytes());
    let plugin = inert(&account.plugin);
    page.line(format!("on {server}: {}, {plugin}", state(it)));
    let signs = signs(it);
    page.line(format!(
        "{}, {}, last login {}, last active {}, first login {}",
        plural(signs.logins, "login"),
        plural(signs.failures, "refused login"),
        table_text_or_dash(signs.last_seen, view.zone),
        table_text_or_dash(signs.last_active, view.zone),
        table_text_or_dash(signs.first_seen, view.zone),
    ));
    if it.possible.newest().is_some() {
        page.line(format!(
            "logins that may be its own (one of up to {} accounts that fit): {}, last {}",
            it.rivals,
            thousands(it.possible.logins),
            table_text_or_dash(it.possible.newest(), view.zone),
        ));
    }
    let names = |all: &[AccountName]| all.iter().map(account_cell).collect::<Vec<_>>();
    let roles = |all: &[AccountName]| all.iter().map(role_cell).collect::<Vec<_>>();
    let known = it.known.since.map(|at| table_text(at, view.zone)).into_iter().collect();
    let changed = account.password_changed.map(|at| table_text(at, view.zone));
    let definers = account.definer_of.iter().map(|it| {
        let (schema, name) = (shown(&it.schema), shown(&it.name));
        format!("{} {schema}.{name}", it.kind.to_lowercase())
    });
    page.items("known since", known);
    page.items("password", changed.into_iter().collect());
    page.items(
        "sessions",
        match it.open_sessions {
            0 => Vec::new(),
            open => vec![format!("{} open now", thousands(open))],
        },
    );
    page.items("rights", account.global_rights.iter().map(|it| inert(it)).collect());
    page.items("roles", roles(&account.roles));
    page.items("by default", roles(&account.default_roles));
    page.items("acts as", names(&account.proxies_for));
    page.items("runs as it", definers.collect());
    page.items("protected", it.protection.iter().map(|it| it.as_str().to_owned()).collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_named_as_sql_names_them() {
        for (user, host, text) in
            [("r", "", "'r'"), ("r", "%", "'r'@'%'"), ("r'@'", "", "'r''@'''"), ("", "", "''")]
        {
            assert_eq!(role_cell(&AccountName::new(user, host)), text);
        }
    }
}
