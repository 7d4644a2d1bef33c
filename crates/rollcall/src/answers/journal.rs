//! `journal`: what was done to accounts, by whom, by which plan; `keep`: which accounts stay although nobody
//! uses them.

use ledger::{Deed, Keep, Outcome, Plan};

use super::accounts::account_cell;
use super::{View, caption, plural};
use crate::render::{Answer, Column, Records, Table, Value, inert, shown};
use crate::time::{date, table_text};

/// The fields of deeds.
pub(super) const FIELDS: [&str; 17] = [
    "deed",
    "plan",
    "undo_of",
    "server",
    "user",
    "host",
    "kind",
    "statement",
    "os_user",
    "os_host",
    "ticket",
    "begun",
    "ended",
    "outcome",
    "error",
    "detail",
    "undoable",
];

/// The fields of plans.
pub(super) const PLAN_FIELDS: [&str; 7] =
    ["plan", "kind", "author", "made", "expires", "state", "sha256"];

/// The fields of exceptions.
pub(super) const KEEP_FIELDS: [&str; 9] =
    ["server", "group", "user", "host", "until", "owner", "reason", "by", "in_force"];

/// The answer to `journal`: deeds, the newest first. `broken`: the first deed that is not as it was written.
pub(crate) fn journal(
    deeds: &[Deed],
    plans: Option<&[Plan]>,
    broken: Option<i64>,
    view: View<'_>,
) -> Answer {
    let mut answer = Answer { rows: deeds.len(), ..Answer::default() };
    if view.page {
        if let Some(id) = broken {
            answer.page.line(format!(
                "THE JOURNAL WAS CHANGED: deed {id} is not as it was written. What stands from there on \
                 proves nothing",
            ));
        }
        caption(&mut answer, deeds.len(), deeds.len(), "deed", view.zone);
        if !deeds.is_empty() {
            answer.page.table(table(deeds, view));
        }
        let unfinished = deeds.iter().filter(|it| it.outcome == Outcome::Begun).count();
        if unfinished > 0 {
            answer.page.line(format!(
                "{} begun and not ended: rollcall was ended in the middle. rollcall apply or rollcall undo \
                 of the same plan finds out what became of it",
                plural(unfinished as u64, "deed"),
            ));
        }
        if let Some(plans) = plans {
            answer.page.blank();
            caption(&mut answer, plans.len(), plans.len(), "plan", view.zone);
            if !plans.is_empty() {
                answer.page.table(plan_table(plans, view));
            }
        }
    }
    if view.records {
        let mut records = Records::new(&FIELDS);
        deeds.iter().for_each(|it| records.push(fields(it)));
        answer.records.push(records);
        if let Some(plans) = plans {
            let mut records = Records::new(&PLAN_FIELDS);
            for it in plans {
                records.push(vec![
                    Value::word(it.id.as_str()),
                    Value::word(it.plan.kind.as_str()),
                    Value::word(it.plan.author.as_str()),
                    Value::Time(it.plan.made_us),
                    Value::Time(it.plan.expires_us),
                    Value::word(it.state.as_str()),
                    Value::word(crate::render::hex(&it.plan.hash)),
                ]);
            }
            answer.records.push(records);
        }
    }
    answer
}

fn table(deeds: &[Deed], view: View<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::fixed("WHEN"),
        Column::fixed("PLAN"),
        Column::name("SERVER").dispensable(1),
        Column::fixed("DEED"),
        Column::name("ACCOUNT"),
        Column::fixed("OUTCOME"),
        Column::name("BY"),
        Column::name("TICKET").dispensable(2),
        Column::prose("DETAIL").dispensable(3),
    ]);
    for it in deeds {
        let intent = &it.intent;
        let by = format!("{}@{}", intent.os_user, intent.host);
        let error = it.error_code.map(|code| format!("error {code}"));
        let detail = [error.as_deref().unwrap_or_default(), it.detail.as_str()];
        let detail: Vec<&str> = detail.into_iter().filter(|it| !it.is_empty()).collect();
        table.push(vec![
            table_text(intent.begun_us, view.zone),
            inert(intent.plan.as_deref().unwrap_or("–")),
            shown(&intent.server),
            match intent.undo_of {
                Some(_) => format!("undo: {}", inert(&intent.kind)),
                None => inert(&intent.kind),
            },
            account_cell(&intent.account),
            it.outcome.as_str().to_owned(),
            inert(&by),
            inert(intent.ticket.as_deref().unwrap_or("–")),
            inert(&detail.join(": ")),
        ]);
    }
    table
}

fn fields(it: &Deed) -> Vec<Value> {
    let intent = &it.intent;
    let text = |text: Option<&str>| text.map_or(Value::Absent, Value::word);
    vec![
        Value::Number(it.id.unsigned_abs()),
        text(intent.plan.as_deref()),
        Value::number(intent.undo_of.map(i64::unsigned_abs)),
        Value::Name(intent.server.clone()),
        Value::Name(intent.account.user.clone()),
        Value::Name(intent.account.host.clone()),
        Value::word(intent.kind.as_str()),
        // Statements that make an account anew hold hashes of passwords.
        match intent.kind.as_str() {
            "lock" | "unlock" | "drop" | "kill" => Value::Name(intent.sql.clone()),
            _ => Value::Absent,
        },
        Value::word(intent.os_user.as_str()),
        Value::word(intent.host.as_str()),
        text(intent.ticket.as_deref()),
        Value::Time(intent.begun_us),
        Value::time(it.ended_us),
        Value::word(it.outcome.as_str()),
        Value::number(it.error_code),
        Value::word(it.detail.as_str()),
        Value::Flag(it.outcome == Outcome::Done && !intent.undo.is_empty()),
    ]
}

fn plan_table(plans: &[Plan], view: View<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::fixed("MADE"),
        Column::fixed("PLAN"),
        Column::fixed("DEED"),
        Column::fixed("STATE"),
        Column::name("BY"),
        Column::fixed("EXPIRES").dispensable(1),
    ]);
    for it in plans {
        let lapsed = it.state == ledger::PlanState::Open && it.plan.expires_us <= view.now;
        table.push(vec![
            table_text(it.plan.made_us, view.zone),
            inert(&it.id),
            inert(&it.plan.kind),
            if lapsed { "expired" } else { it.state.as_str() }.to_owned(),
            inert(&it.plan.author),
            table_text(it.plan.expires_us, view.zone),
        ]);
    }
    table
}

/// The answer to `keep` without an account: all exceptions.
pub(crate) fn kept(keeps: &[Keep], view: View<'_>) -> Answer {
    let mut answer = Answer { rows: keeps.len(), ..Answer::default() };
    if view.page {
        caption(&mut answer, keeps.len(), keeps.len(), "exception", view.zone);
        let mut table = Table::new(vec![
            Column::name("ACCOUNT"),
            Column::name("ON"),
            Column::fixed("UNTIL"),
            Column::name("OWNER"),
            Column::prose("REASON"),
            Column::fixed(""),
        ]);
        for it in keeps {
            let on = match (&it.server, &it.group) {
                (Some(server), _) => shown(server),
                (None, Some(group)) => format!("group {}", inert(group)),
                (None, None) => "all".to_owned(),
            };
            table.push(vec![
                account_cell(&it.account),
                on,
                it.until_us.map_or("for good".to_owned(), |at| date(at, view.zone).to_string()),
                inert(&it.owner),
                inert(&it.reason),
                if it.is_in_force(view.now) { "" } else { "ENDED" }.to_owned(),
            ]);
        }
        if !keeps.is_empty() {
            answer.page.table(table);
        }
    }
    if view.records {
        let mut records = Records::new(&KEEP_FIELDS);
        for it in keeps {
            records.push(vec![
                Value::name(it.server.as_deref()),
                it.group.as_deref().map_or(Value::Absent, Value::word),
                Value::Name(it.account.user.clone()),
                Value::Name(it.account.host.clone()),
                Value::time(it.until_us),
                Value::word(it.owner.as_str()),
                Value::word(it.reason.as_str()),
                Value::word(it.by.as_str()),
                Value::Flag(it.is_in_force(view.now)),
            ]);
        }
        answer.records.push(records);
    }
    answer
}
