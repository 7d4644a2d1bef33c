//! `evidence --seal` and `--verify`: what was sealed, and what of it is proven.

use super::plural;
use crate::render::{Answer, Column, Records, Table, Value, shown_plain, thousands};
use crate::seal::{Proof, Seal, Totals, Verdict};
use std::os::unix::ffi::OsStrExt as _;

pub(super) const SEALED_FIELDS: [&str; 11] = [
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

/// What of a seal is proven; `made` is the time of the seal as text.
pub(crate) fn verified(seal: &Seal, sha256: &str, made: &str, proofs: &[Proof]) -> Answer {
    let mut answer = Answer { rows: proofs.len(), ..Answer::default() };
    answer.page.line(format!("The seal is whole: {}, made {made}", seal.program));
    answer.page.line(format!("sha256 {sha256}"));
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
    if !proofs.is_empty() {
        answer.page.blank();
        answer.page.table(table);
    }
    answer.records.push(records);
    answer
}
