//! Plans as they are shown before they are sent, and what became of them.

use verdict::plan::{DeedKind, Proposal};

use super::accounts::account_cell;
use super::{View, plural};
use crate::deeds::{Done, Plan, StepDone};
use crate::render::{Answer, Column, Page, Records, Table, Value, inert, shown};
use crate::time::table_text;

/// The fields of a plan's steps.
pub(super) const FIELDS: [&str; 9] =
    ["plan", "server", "user", "host", "kind", "statement", "why", "effects", "refused"];

/// The fields of what was done.
pub(super) const DONE_FIELDS: [&str; 8] =
    ["plan", "deed", "server", "user", "host", "statement", "outcome", "detail"];

/// A plan that was made, with what was left out of it. `id` is `None` where nothing is left of it.
pub(crate) fn proposed(
    answer: &mut Answer,
    kind: DeedKind,
    plan: Option<(&str, &Plan)>,
    proposal: &Proposal,
    view: View<'_>,
) {
    answer.rows += proposal.steps.len();
    if view.page {
        let page = &mut answer.page;
        match plan {
            Some((id, plan)) => shown_plan(page, id, plan, view),
            None => page.line(format!("No plan: there is nothing to {}.", kind.as_str())),
        }
        for (server, account, refusal) in &proposal.refused {
            page.line(format!(
                "left out on {}: {}: {refusal}",
                shown(server),
                account_cell(account)
            ));
        }
    }
    if view.records {
        let id = || plan.map_or(Value::Absent, |(id, _)| Value::word(id));
        let mut records = Records::new(&FIELDS);
        for it in &proposal.steps {
            records.push(vec![
                id(),
                Value::Name(it.server.clone()),
                Value::Name(it.account.user.clone()),
                Value::Name(it.account.host.clone()),
                Value::word(kind.as_str()),
                Value::Name(it.sql.clone()),
                Value::word(it.why.as_str()),
                match it.effects.is_empty() {
                    true => Value::Absent,
                    false => Value::Text(it.effects.join("; ")),
                },
                Value::Absent,
            ]);
        }
        for (server, account, refusal) in &proposal.refused {
            records.push(vec![
                id(),
                Value::Name(server.clone()),
                Value::Name(account.user.clone()),
                Value::Name(account.host.clone()),
                Value::word(kind.as_str()),
                Value::Absent,
                Value::Absent,
                Value::Absent,
                Value::Text(refusal.to_string()),
            ]);
        }
        answer.records.push(records);
    }
}

/// A plan's statements, and how it is sent and taken back.
fn shown_plan(page: &mut Page, id: &str, plan: &Plan, view: View<'_>) {
    page.line(format!("Plan {} (nothing sent yet)", inert(id)));
    let mut table = Table::new(vec![
        Column::name("SERVER"),
        Column::path("STATEMENT"),
        Column::prose("WHY, AND WHAT ELSE"),
    ]);
    for step in &plan.steps {
        let mut notes = vec![inert(&step.why)];
        notes.extend(step.effects.iter().map(|it| inert(it)));
        table.push(vec![inert(&step.server), format!("{};", inert(&step.sql)), notes.join("; ")]);
    }
    page.table(table);
    page.line(format!(
        "Send it:  rollcall apply {0}      take it back later:  rollcall undo {0}      good until {1}",
        inert(id),
        table_text(plan.expires(), view.zone),
    ));
}

/// What became of a plan, or of its undoing.
pub(crate) fn done(done: &Done, view: View<'_>) -> Answer {
    let mut answer = Answer { rows: done.steps.len(), ..Answer::default() };
    if view.page {
        let page = &mut answer.page;
        let mut table = Table::new(vec![
            Column::name("SERVER"),
            Column::path("STATEMENT"),
            Column::fixed("OUTCOME"),
            Column::prose("DETAIL"),
        ]);
        for it in &done.steps {
            table.push(vec![
                inert(&it.server),
                format!("{};", inert(&it.statement)),
                it.outcome.as_str().to_owned(),
                inert(&it.detail),
            ]);
        }
        if !done.steps.is_empty() {
            page.table(table);
        }
        let good = done.steps.iter().filter(|it| it.is_good()).count();
        let verb = if done.is_undo { "undone" } else { "done" };
        page.line(format!("{good} of {} {verb}", plural(done.steps.len() as u64, "statement")));
        if !done.is_undo && good > 0 {
            page.line(format!("take it back:  rollcall undo {}", inert(&done.plan)));
        }
    }
    if view.records {
        let mut records = Records::new(&DONE_FIELDS);
        done.steps.iter().for_each(|it| records.push(fields(&done.plan, it)));
        answer.records.push(records);
    }
    answer
}

fn fields(plan: &str, it: &StepDone) -> Vec<Value> {
    vec![
        Value::word(plan),
        Value::number(it.deed.map(i64::unsigned_abs)),
        Value::word(it.server.as_str()),
        Value::Name(it.account.user.clone()),
        Value::Name(it.account.host.clone()),
        Value::word(it.statement.as_str()),
        Value::word(it.outcome.as_str()),
        Value::word(it.detail.as_str()),
    ]
}
