//! `evidence --seal` and `--verify`: what was sealed, and what of it is proven.

use super::accounts::account_cell;
use super::plural;
use crate::render::{Answer, Column, Records, Table, Value, inert, shown, shown_plain, thousands};
use crate::seal::{DeedProof, Proof, Seal, Totals, Verdict};
use std::os::unix::ffi::OsStrExt as _;

pub(super) const SEALED_FIELDS: [&str; 14] = [
    "sha256",
    "files",
    "missing",
    "bytes",
    "lines",
    "events",
    "rejected",
    "quarantined",
    "others",
    "continued",
    "unended",
    "tables",
    "plans",
    "deeds",
];
pub(super) const DEED_PROOF_FIELDS: [&str; 13] = [
    "deed",
    "verdict",
    "in_ledger",
    "plan",
    "undo_of",
    "server",
    "user",
    "host",
    "kind",
    "begun",
    "who",
    "outcome",
    "reason",
];
pub(super) const PROOF_FIELDS: [&str; 14] = [
    "file",
    "verdict",
    "found",
    "bytes",
    "sha256",
    "lines",
    "events",
    "rejected",
    "quarantined",
    "others",
    "continued",
    "unended",
    "same_raw",
    "reason",
];

/// What was sealed; `sha256` is the hash in the seal's last line.
pub(crate) fn sealed(seal: &Seal, sha256: &str) -> Answer {
    let mut answer = Answer { rows: seal.files.len(), ..Answer::default() };
    summary(&mut answer, seal);
    answer.page.line(format!("sha256 {sha256}"));
    answer.page.line("Keep this hash elsewhere: whoever can change the seal can make another one");
    let (bytes, totals) = seal.totals();
    let mut values = vec![
        Value::word(sha256),
        Value::Number(seal.files.len() as u64),
        Value::Number(seal.missing.len() as u64),
        Value::Number(bytes),
    ];
    values.extend(counts(&totals));
    let others = [seal.tables.len(), seal.plans.len(), seal.deeds()];
    values.extend(others.map(|count| Value::Number(count as u64)));
    let mut records = Records::new(&SEALED_FIELDS);
    records.push(values);
    answer.records.push(records);
    answer
}

fn summary(answer: &mut Answer, seal: &Seal) {
    let (bytes, totals) = seal.totals();
    answer.page.line(format!(
        "{} · {} · {}",
        plural(seal.files.len() as u64, "file"),
        plural(bytes, "byte"),
        lines_text(&totals)
    ));
    if !seal.missing.is_empty() {
        answer.page.line(format!(
            "{} not available when the seal was made: their counts are in it, no hashes",
            plural(seal.missing.len() as u64, "file"),
        ));
    }
    if !seal.tables.is_empty() {
        let rows = seal.tables.iter().map(|table| table.rows).sum();
        answer.page.line(format!(
            "{} with {}: as the ledger counted them; rows cannot be proven",
            plural(seal.tables.len() as u64, "table"),
            plural(rows, "row")
        ));
    }
    if !seal.links.is_empty() {
        answer.page.line(format!(
            "{} of {}",
            plural(seal.deeds() as u64, "deed"),
            plural(seal.plans.len() as u64, "plan")
        ));
    }
}

/// `10 lines = 7 records + 1 rejected + 2 quarantined`, with what else there is.
fn lines_text(totals: &Totals) -> String {
    let mut left = plural(totals.lines, "line");
    if totals.unended > 0 {
        left += &format!(" + {} without a line break", thousands(totals.unended));
    }
    let mut right = plural(totals.events, "record");
    for (count, what) in [
        (totals.rejected, "rejected"),
        (totals.quarantined, "quarantined"),
        (totals.others, "blank or of others"),
        (totals.continued, "line breaks inside records"),
    ] {
        if count > 0 || matches!(what, "rejected" | "quarantined") {
            right += &format!(" + {} {what}", thousands(count));
        }
    }
    format!("{left} = {right}")
}

fn counts(totals: &Totals) -> [Value; 7] {
    let Totals { lines, events, rejected, quarantined, others, continued, unended } = *totals;
    [lines, events, rejected, quarantined, others, continued, unended].map(Value::Number)
}

/// What is told of the deeds of a seal.
pub(crate) struct DeedsTold {
    pub(crate) proofs: Vec<DeedProof>,
    /// Links of the journal since.
    pub(crate) added: usize,
    /// What they were held against, in words.
    pub(crate) compared: String,
}

/// What of a seal is proven; `made` is the time of the seal as text.
pub(crate) fn verified(seal: &Seal, made: &str, proofs: &[Proof], deeds: &DeedsTold) -> Answer {
    let mut answer = Answer { rows: proofs.len() + deeds.proofs.len(), ..Answer::default() };
    answer.page.line(format!("The seal is whole: {}, made {made}", seal.program));
    answer.page.line(format!("sha256 {}", seal.text().1));
    summary(&mut answer, seal);
    let count = |verdict| proofs.iter().filter(|it| it.verdict == verdict).count() as u64;
    answer.page.line(format!(
        "{} proven · {} not available · {} differ",
        thousands(count(Verdict::Proven)),
        thousands(count(Verdict::Missing)),
        thousands(count(Verdict::Differs))
    ));
    let mut table = Table::new(vec![
        Column::fixed("VERDICT"),
        Column::path("FILE"),
        Column::number("BYTES").dispensable(2),
        Column::number("LINES").dispensable(1),
        Column::path("FOUND AS").dispensable(3),
        Column::prose("WHY"),
    ]);
    let mut records = Records::new(&PROOF_FIELDS);
    for proof in proofs {
        let found = proof.found.as_ref().map(|path| path.as_os_str().as_bytes());
        let why = match (proof.verdict, proof.same_raw) {
            (Verdict::Missing, _) => "nothing that was looked at holds it",
            (_, Some(false)) => "stored in another way, or longer by now",
            _ => proof.reason.as_str(),
        };
        table.push(vec![
            proof.verdict.as_str().to_owned(),
            shown_plain(&proof.path),
            thousands(proof.bytes),
            thousands(proof.totals.lines),
            found.map_or_else(|| "–".to_owned(), shown_plain),
            why.to_owned(),
        ]);
        let mut values = vec![
            Value::name(Some(&proof.path)),
            Value::word(proof.verdict.as_str()),
            Value::name(found),
            Value::Number(proof.bytes),
            Value::word(proof.sha256.as_str()),
        ];
        values.extend(counts(&proof.totals));
        values.push(proof.same_raw.map_or(Value::Absent, Value::Flag));
        values.push(match why {
            "" => Value::Absent,
            why => Value::word(why),
        });
        records.push(values);
    }
    deeds_line(&mut answer, deeds);
    if !proofs.is_empty() {
        answer.page.blank();
        answer.page.table(table);
    }
    answer.records.push(records);
    add_deeds(&mut answer, &deeds.proofs);
    answer
}

fn deeds_line(answer: &mut Answer, deeds: &DeedsTold) {
    let count = |verdict| deeds.proofs.iter().filter(|it| it.verdict == verdict).count() as u64;
    let (proven, differ) = (count(Verdict::Proven), count(Verdict::Differs));
    let mut text = match deeds.proofs.len() {
        0 => "No deeds".to_owned(),
        _ => format!("Deeds: {} proven · {} differ", thousands(proven), thousands(differ)),
    };
    text += &format!(" · {}", inert(&deeds.compared));
    if deeds.added > 0 {
        text += &format!(", to which {} were added since", plural(deeds.added as u64, "link"));
    }
    answer.page.line(text);
}

fn add_deeds(answer: &mut Answer, proofs: &[DeedProof]) {
    if proofs.is_empty() {
        return;
    }
    let mut table = Table::new(vec![
        Column::fixed("VERDICT"),
        Column::number("DEED"),
        Column::fixed("PLAN").dispensable(2),
        Column::name("SERVER").dispensable(1),
        Column::name("ACCOUNT"),
        Column::fixed("WHAT"),
        Column::fixed("OUTCOME"),
        Column::prose("WHY"),
    ]);
    let mut records = Records::new(&DEED_PROOF_FIELDS);
    for proof in proofs {
        let it = &proof.intent;
        let what = match it.undo_of {
            Some(undone) => format!("{} (undoes {undone})", it.kind),
            None => it.kind.clone(),
        };
        table.push(vec![
            proof.verdict.as_str().to_owned(),
            proof.deed.to_string(),
            inert(it.plan.as_deref().unwrap_or("–")),
            shown(&it.server),
            account_cell(&it.account),
            inert(&what),
            proof.outcome.as_str().to_owned(),
            inert(&proof.reason),
        ]);
        records.push(vec![
            Value::Number(proof.deed.unsigned_abs()),
            Value::word(proof.verdict.as_str()),
            proof.in_ledger.map_or(Value::Absent, Value::Flag),
            it.plan.as_deref().map_or(Value::Absent, Value::word),
            it.undo_of.map_or(Value::Absent, |id| Value::Number(id.unsigned_abs())),
            Value::server(&it.server),
            Value::Name(it.account.user.clone()),
            Value::Name(it.account.host.clone()),
            Value::word(it.kind.as_str()),
            Value::Time(it.begun_us),
            Value::word(format!("{}@{}", it.os_user, it.host)),
            Value::word(proof.outcome.as_str()),
            match proof.reason.as_str() {
                "" => Value::Absent,
                why => Value::word(why),
            },
        ]);
    }
    answer.page.blank();
    answer.page.table(table);
    answer.records.push(records);
}
