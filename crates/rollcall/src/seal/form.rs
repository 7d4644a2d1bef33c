//! The seal as it stands in a file: JSON, one object per line, in a fixed order.
//!
//! ```text
//! {"seal":"rollcall 2","program":"rollcall 0.1.0","made":"2026-11-20T12:00:00Z","ledger":"9f…"}
//! {"coverage":"covered","server":"db1","source":"/var/lib/mysql/server_audit.log",…}     any number
//! {"file":"/var/lib/mysql/server_audit.log","bytes":1048576,"sha256":"…",…}              any number
//! {"missing":"/var/lib/mysql/server_audit.log.9","bytes":1048576,…,"reason":"gone"}      any number
//! {"table":"table accesslog.accesslog","server":"db1",…}                               any number
//! {"totals":1,…}
//! {"plan":"7f3a-21","sha256":"…",…,"text":"{…}"}                                       any number
//! {"deed":1,"link":1,"plan":"7f3a-21",…,"sql":"ALTER USER …","hash":"…"}               any number,
//! {"undo":"ALTER USER …"}                                                                behind its deed
//! {"ended":1,"link":2,…,"outcome":"done","hash":"…"}                                     among these
//! {"deeds":1,"links":2,"plans":1,"head":"…"}
//! {"sha256":"…"}                        of all bytes before this line
//! ```
//!
//! Seals that begin with `rollcall 1` have no tables and, in the place of plans and deeds, `{"deeds":[]}`.
//!
//! # Invariants
//! * The links of the journal are all there, from the first on, and their hashes follow from what stands in
//!   them (`deeds`).
//! * One seal has one text: what was read must give the same text when it is written again.
//! * Names are chosen by attackers: they reach the text through `render` only, which keeps each on its
//!   line and gives the bytes of those that are not UTF-8.

use sha2::{Digest as _, Sha256};

use super::deeds::{self, SealedLink, SealedPlan};
use super::fields::Fields;
use super::recount::Totals;
use crate::render::{Records, Value, hex};

/// What the first line begins with.
const FORMS: [&str; 2] = ["rollcall 1", "rollcall 2"];

/// The form that is written now.
pub(super) const FORM: u8 = 2;

/// Longer files are no seals: a million files and stretches fit.
pub(super) const SEAL_BYTES_MAX: u64 = 1 << 30;

const HEADER_FIELDS: [&str; 4] = ["seal", "program", "made", "ledger"];
const COVERAGE_FIELDS: [&str; 7] =
    ["coverage", "server", "source", "from", "to", "records", "reason"];
const FILE_FIELDS: [&str; 18] = [
    "file",
    "source",
    "dialect",
    "bytes",
    "sha256",
    "head_sha256",
    "raw_bytes",
    "raw_sha256",
    "lines",
    "events",
    "rejected",
    "quarantined",
    "others",
    "continued",
    "unended",
    "counted",
    "from",
    "to",
];
const MISSING_FIELDS: [&str; 12] = [
    "missing",
    "source",
    "dialect",
    "bytes",
    "counted",
    "from",
    "to",
    "head_bytes",
    "head",
    "tail_bytes",
    "tail",
    "reason",
];
const TOTALS_FIELDS: [&str; 10] = [
    "totals",
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
const TABLE_FIELDS: [&str; 8] =
    ["table", "server", "made", "rows", "last_id", "missing_ids", "from", "to"];
const END_FIELDS: [&str; 1] = ["sha256"];

/// Of the first form, which had no place for deeds.
const NO_DEEDS: &str = "{\"deeds\":[]}\n";

/// A stretch of evidence, as `evidence` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) server: Vec<u8>,
    pub(crate) source: Vec<u8>,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
    pub(crate) state: String,
    pub(crate) records: u64,
    pub(crate) reason: String,
}

/// A file that was there when the seal was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedFile {
    pub(crate) path: Vec<u8>,
    pub(crate) source: Vec<u8>,
    pub(crate) dialect: String,
    /// Decompressed bytes read, from the beginning.
    pub(crate) bytes: u64,
    /// Of these.
    pub(crate) sha256: String,
    /// Of the first 256 of these; of all where there are fewer.
    pub(crate) head_sha256: String,
    /// The whole file, as it is stored.
    pub(crate) raw_bytes: u64,
    pub(crate) raw_sha256: String,
    pub(crate) totals: Totals,
    /// Records that the ledger counted of it; fewer than events where another file has the same lines.
    pub(crate) counted: u64,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

/// A file that was not: what the ledger knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingFile {
    pub(crate) path: Vec<u8>,
    pub(crate) source: Vec<u8>,
    pub(crate) dialect: String,
    pub(crate) bytes: u64,
    pub(crate) counted: u64,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
    pub(crate) head_bytes: u64,
    /// First half of the SHA-256 of the first bytes.
    pub(crate) head: String,
    pub(crate) tail_bytes: u64,
    /// The same of the last.
    pub(crate) tail: String,
    /// `gone`, `changed` (begins alike), `unreadable`.
    pub(crate) reason: String,
}

/// A table of which rows were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedTable {
    pub(crate) table: Vec<u8>,
    pub(crate) server: Vec<u8>,
    /// When the server made it, as it tells it.
    pub(crate) made: String,
    /// Rows counted.
    pub(crate) rows: u64,
    /// The highest number that was counted.
    pub(crate) last_id: u64,
    /// Lower numbers that were not there, and were looked for.
    pub(crate) missing_ids: u64,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

/// What is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seal {
    /// 1 or 2.
    pub(crate) form: u8,
    /// Name and version of the program that made it.
    pub(crate) program: String,
    /// In microseconds UTC.
    pub(crate) made: i64,
    /// The ledger's own number.
    pub(crate) ledger: Option<String>,
    pub(crate) coverage: Vec<Coverage>,
    pub(crate) files: Vec<SealedFile>,
    pub(crate) missing: Vec<MissingFile>,
    pub(crate) tables: Vec<SealedTable>,
    /// By which something was sent.
    pub(crate) plans: Vec<SealedPlan>,
    /// The journal, from its first link on.
    pub(crate) links: Vec<SealedLink>,
}

/// Why a text is no seal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadSeal {
    #[error("it is no seal of rollcall, or was cut off")]
    NoSeal,
    #[error(
        "its bytes are not those that were sealed: its last line does not fit what stands before"
    )]
    Changed,
    #[error(
        "line {0} is not as this version of rollcall writes it: it was forged, or made by a newer one"
    )]
    Line(usize),
    #[error(
        "it is of form {0:?}, which this version of rollcall does not know: verify it with the version that \
         its first line names, or a newer one"
    )]
    Form(String),
    #[error(
        "deed {0} is not as it was noted: its hash does not follow from what stands before it; the seal was \
         forged"
    )]
    Deed(i64),
    #[error("plan {0} is not the one of its hash: the seal was forged")]
    Plan(String),
}

impl Seal {
    /// The sums of all files: bytes, and what they are.
    pub(crate) fn totals(&self) -> (u64, Totals) {
        let (mut bytes, mut totals) = (0u64, Totals::default());
        for file in &self.files {
            bytes = bytes.saturating_add(file.bytes);
            totals.add(&file.totals);
        }
        (bytes, totals)
    }

    /// How many deeds there are.
    pub(crate) fn deeds(&self) -> usize {
        deeds::count(&self.links)
    }

    /// The text of the file, and the hash in its last line.
    pub(crate) fn text(&self) -> (String, String) {
        let mut text = self.body();
        let hash = hex(&Sha256::digest(&text));
        text += &line(&END_FIELDS, vec![Value::word(hash.as_str())]);
        (text, hash)
    }

    fn body(&self) -> String {
        let mut text = line(
            &HEADER_FIELDS,
            vec![
                Value::word(FORMS[usize::from(self.form.clamp(1, 2)) - 1]),
                Value::word(self.program.as_str()),
                Value::Time(self.made),
                self.ledger.as_deref().map_or(Value::Absent, Value::word),
            ],
        );
        for row in &self.coverage {
            text += &line(
                &COVERAGE_FIELDS,
                vec![
                    Value::word(row.state.as_str()),
                    Value::Name(row.server.clone()),
                    Value::Name(row.source.clone()),
                    Value::time(row.from),
                    Value::time(row.to),
                    Value::Number(row.records),
                    Value::word(row.reason.as_str()),
                ],
            );
        }
        for file in &self.files {
            let mut values = vec![
                Value::Name(file.path.clone()),
                Value::Name(file.source.clone()),
                Value::word(file.dialect.as_str()),
                Value::Number(file.bytes),
                Value::word(file.sha256.as_str()),
                Value::word(file.head_sha256.as_str()),
                Value::Number(file.raw_bytes),
                Value::word(file.raw_sha256.as_str()),
            ];
            values.extend(totals_values(&file.totals));
            values.extend([
                Value::Number(file.counted),
                Value::time(file.from),
                Value::time(file.to),
            ]);
            text += &line(&FILE_FIELDS, values);
        }
        for file in &self.missing {
            text += &line(
                &MISSING_FIELDS,
                vec![
                    Value::Name(file.path.clone()),
                    Value::Name(file.source.clone()),
                    Value::word(file.dialect.as_str()),
                    Value::Number(file.bytes),
                    Value::Number(file.counted),
                    Value::time(file.from),
                    Value::time(file.to),
                    Value::Number(file.head_bytes),
                    Value::word(file.head.as_str()),
                    Value::Number(file.tail_bytes),
                    Value::word(file.tail.as_str()),
                    Value::word(file.reason.as_str()),
                ],
            );
        }
        text += &self.tables.iter().map(table_line).collect::<String>();
        let (bytes, totals) = self.totals();
        let mut values = vec![
            Value::Number(self.files.len() as u64),
            Value::Number(self.missing.len() as u64),
            Value::Number(bytes),
        ];
        values.extend(totals_values(&totals));
        text += &line(&TOTALS_FIELDS, values);
        if self.form == 1 {
            return text + NO_DEEDS;
        }
        text + &deeds::text(&self.plans, &self.links)
    }

    /// Reads the text of a seal.
    ///
    /// # Errors
    /// Where it is none, or not as it was written.
    pub(crate) fn parse(text: &[u8]) -> Result<Seal, BadSeal> {
        let text = std::str::from_utf8(text).map_err(|_| BadSeal::NoSeal)?;
        let whole = text.strip_suffix('\n').ok_or(BadSeal::NoSeal)?;
        if !whole.starts_with("{\"seal\":") {
            return Err(BadSeal::NoSeal);
        }
        let end = whole.rfind('\n').ok_or(BadSeal::NoSeal)? + 1;
        let last = Fields::of(&whole[end..], 0).and_then(|it| it.text("sha256"));
        let hash = last.map_err(|_| BadSeal::NoSeal)?;
        if hash != hex(&Sha256::digest(&text[..end])) {
            return Err(BadSeal::Changed);
        }
        let lines = || (1..).zip(whole[..end].lines());
        let mut seal = Seal {
            form: FORM,
            program: String::new(),
            made: 0,
            ledger: None,
            coverage: Vec::new(),
            files: Vec::new(),
            missing: Vec::new(),
            tables: Vec::new(),
            plans: Vec::new(),
            links: Vec::new(),
        };
        for (number, line) in lines() {
            let fields = Fields::of(line, number)?;
            match fields.first(line) {
                "seal" => {
                    let form = fields.text("seal")?;
                    let known = FORMS.iter().position(|it| *it == form);
                    seal.form = known.ok_or(BadSeal::Form(form))? as u8 + 1;
                    seal.program = fields.text("program")?;
                    seal.made = fields.time("made")?.ok_or(BadSeal::Line(number))?;
                    seal.ledger = fields.optional("ledger")?;
                }
                "coverage" => seal.coverage.push(fields.coverage()?),
                "file" => seal.files.push(fields.file()?),
                "missing" => seal.missing.push(fields.missing()?),
                "table" => seal.tables.push(fields.table()?),
                "plan" => seal.plans.push(fields.plan()?),
                "deed" => seal.links.push(fields.deed()?),
                "undo" => match seal.links.last_mut() {
                    Some(link) => link.add_undo(fields.name("undo")?).ok_or(fields.bad())?,
                    None => return Err(fields.bad()),
                },
                "ended" => seal.links.push(fields.ended()?),
                "totals" | "deeds" => {}
                _ => return Err(BadSeal::Line(number)),
            }
        }
        // One seal has one text: this finds lines out of order, twice, with fields too many.
        let again = seal.text().0;
        if again == text {
            deeds::check(&seal.plans, &seal.links)?;
            return Ok(seal);
        }
        let differs = text.lines().zip(again.lines()).position(|(a, b)| a != b);
        Err(BadSeal::Line(differs.unwrap_or(again.lines().count()) + 1))
    }
}

fn totals_values(totals: &Totals) -> [Value; 7] {
    let Totals { lines, events, rejected, quarantined, others, continued, unended } = *totals;
    [lines, events, rejected, quarantined, others, continued, unended].map(Value::Number)
}

fn table_line(table: &SealedTable) -> String {
    line(
        &TABLE_FIELDS,
        vec![
            Value::Name(table.table.clone()),
            Value::Name(table.server.clone()),
            Value::word(table.made.as_str()),
            Value::Number(table.rows),
            Value::Number(table.last_id),
            Value::Number(table.missing_ids),
            Value::time(table.from),
            Value::time(table.to),
        ],
    )
}

pub(super) fn line(fields: &'static [&'static str], values: Vec<Value>) -> String {
    let mut records = Records::new(fields);
    records.push(values);
    let mut out = Vec::new();
    records.write_json(&mut out).expect("memory takes what is written");
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::{HOSTILE, assert_inert};

    fn example(name: &[u8]) -> Seal {
        let totals = Totals { lines: 10, events: 7, rejected: 2, others: 1, ..Totals::default() };
        let file = SealedFile {
            path: name.to_vec(),
            source: name.to_vec(),
            dialect: "server_audit".to_owned(),
            bytes: u64::MAX,
            sha256: "ab".to_owned(),
            head_sha256: "cd".to_owned(),
            raw_bytes: 9,
            raw_sha256: "ef".to_owned(),
            totals,
            counted: 7,
            from: Some(-1),
            to: None,
        };
        Seal {
            form: FORM,
            program: "rollcall 0.1.0".to_owned(),
            made: 1_795_159_123_000_001,
            ledger: Some("00ff".to_owned()),
            coverage: vec![Coverage {
                server: name.to_vec(),
                source: name.to_vec(),
                from: Some(0),
                to: Some(1),
                state: "gap".to_owned(),
                records: 0,
                reason: String::from_utf8_lossy(name).into_owned(),
            }],
            files: vec![file.clone(), file],
            missing: vec![MissingFile {
                path: name.to_vec(),
                source: b"s".to_vec(),
                dialect: "server_audit".to_owned(),
                bytes: 5,
                counted: 1,
                from: None,
                to: Some(3),
                head_bytes: 5,
                head: "aa".to_owned(),
                tail_bytes: 5,
                tail: "bb".to_owned(),
                reason: "gone".to_owned(),
            }],
            tables: vec![SealedTable {
                table: name.to_vec(),
                server: name.to_vec(),
                made: "2026-11-20 07:18:43".to_owned(),
                rows: 9,
                last_id: u64::MAX,
                missing_ids: 1,
                from: None,
                to: Some(5),
            }],
            plans: vec![deeds::tests::plan(name)],
            links: deeds::tests::links(name),
        }
    }

    /// The text with its last line made to fit again.
    fn resealed(text: &str) -> String {
        let end = text.trim_end().rfind('\n').unwrap() + 1;
        let body = &text[..end];
        format!("{body}{{\"sha256\":\"{}\"}}\n", hex(&Sha256::digest(body)))
    }

    #[test]
    fn what_is_written_is_read() {
        for name in HOSTILE {
            let seal = example(name);
            let (text, hash) = seal.text();
            text.lines().for_each(assert_inert);
            assert_eq!(text.lines().count(), 17);
            assert!(text.ends_with(&format!("{{\"sha256\":\"{hash}\"}}\n")));
            assert_eq!(Seal::parse(text.as_bytes()), Ok(seal));
            assert_eq!(resealed(&text), text);
        }
    }

    #[test]
    fn any_changed_byte_is_found() {
        let text = example(b"/var/log/a\n\xff").text().0.into_bytes();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            assert!(Seal::parse(&changed).is_err(), "byte {at}");
            assert!(Seal::parse(&text[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(Seal::parse(&[&text[..], b"\n"].concat()), Err(BadSeal::NoSeal));
    }

    #[test]
    fn seals_of_the_first_form_are_read_and_later_ones_named() {
        let old = Seal {
            form: 1,
            tables: Vec::new(),
            plans: Vec::new(),
            links: Vec::new(),
            ..example(b"/a")
        };
        let text = old.text().0;
        assert!(
            text.starts_with("{\"seal\":\"rollcall 1\",") && text.contains("\n{\"deeds\":[]}\n")
        );
        assert_eq!(Seal::parse(text.as_bytes()), Ok(old));
        // It cannot pass for one of another form.
        for (from, to) in [("rollcall 1", "rollcall 2"), ("{\"deeds\":[]}", "{\"deeds\":[1]}")] {
            let forged = resealed(&text.replacen(from, to, 1));
            assert!(matches!(Seal::parse(forged.as_bytes()), Err(BadSeal::Line(_))));
        }
        let later = resealed(&text.replacen("rollcall 1", "rollcall 3", 1));
        let error = Seal::parse(later.as_bytes()).unwrap_err();
        assert_eq!(error, BadSeal::Form("rollcall 3".to_owned()));
        assert!(error.to_string().contains("or a newer one"));
    }

    #[test]
    fn a_chain_that_does_not_follow_is_forged() {
        let text = example(b"/a").text().0;
        for (from, to, error) in [
            ("\"os_user\":\"ann\"", "\"os_user\":\"bob\"", BadSeal::Deed(1)),
            ("\"outcome\":\"failed\"", "\"outcome\":\"done\"", BadSeal::Deed(2)),
            ("{\"undo\":\"ALTER USER", "{\"undo\":\"DROP USER", BadSeal::Deed(1)),
            ("\"ticket\":\"OPS-7\"", "\"ticket\":null", BadSeal::Deed(1)),
            ("\\\"n\\\":1", "\\\"n\\\":2", BadSeal::Plan("7f3a-1".to_owned())),
        ] {
            assert!(text.contains(from), "{from}");
            let forged = resealed(&text.replacen(from, to, 1));
            assert_eq!(Seal::parse(forged.as_bytes()), Err(error), "{from}");
        }
    }

    #[test]
    fn forged_lines_with_a_hash_that_fits_are_refused() {
        let text = example(b"/a").text().0;
        let lines: Vec<&str> = text.lines().collect();
        let join = |lines: &[&str]| resealed(&(lines.join("\n") + "\n"));
        let swap = |from: &str, to: &str| resealed(&text.replacen(from, to, 1));
        for (forged, line) in [
            (join(&[&lines[..2], &[lines[1]], &lines[2..]].concat()), None),
            (join(&[&[lines[0]], &lines[2..3], &lines[1..2], &lines[3..]].concat()), Some(2)),
            (join(&[&lines[..1], &lines[..1], &lines[1..]].concat()), Some(2)),
            (join(&[&lines[..15], &lines[16..]].concat()), Some(16)),
            (join(&[&lines[..6], &lines[7..]].concat()), Some(7)),
            (swap("\"events\":7", "\"events\":8"), Some(3)),
            (swap("\"counted\":7", "\"counted\": 7"), Some(3)),
            (swap("\"counted\":7", "\"counted\":7,\"counted\":7"), Some(3)),
            (swap("\"counted\":7", "\"counted\":7.0"), Some(3)),
            (swap("{\"deeds\":3", "{\"deeds\":4"), Some(16)),
            (swap("\"file\":\"/a\"", "\"file\":\"/a\",\"file_hex\":\"2f61\""), Some(3)),
            (swap("\"totals\":2", "\"totals\":3"), Some(7)),
        ] {
            let found = Seal::parse(forged.as_bytes());
            match line {
                Some(line) => assert_eq!(found, Err(BadSeal::Line(line)), "{forged}"),
                // A seal of more coverage is another seal, not a forged form.
                None => assert_eq!(found.unwrap().coverage.len(), 2),
            }
        }
    }
}
