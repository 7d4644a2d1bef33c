//! The fields of one line of a seal, as they are read.

use serde_json::{Map, Value as Json};

use super::form::{BadSeal, Coverage, MissingFile, SealedFile, SealedTable};
use super::recount::Totals;

/// The object of a line.
pub(super) struct Fields {
    object: Map<String, Json>,
    line: usize,
}

impl Fields {
    pub(super) fn of(line: &str, number: usize) -> Result<Fields, BadSeal> {
        match serde_json::from_str(line) {
            Ok(Json::Object(object)) => Ok(Fields { object, line: number }),
            _ => Err(BadSeal::Line(number)),
        }
    }

    pub(super) fn is_null(&self, field: &str) -> bool {
        self.object.get(field) == Some(&Json::Null)
    }

    pub(super) fn bad(&self) -> BadSeal {
        BadSeal::Line(self.line)
    }

    /// The name of the first field: what kind of line it is.
    pub(super) fn first<'a>(&self, line: &'a str) -> &'a str {
        let name = line.strip_prefix("{\"").and_then(|rest| rest.split_once('"'));
        name.map_or("", |(name, _)| name)
    }

    pub(super) fn optional(&self, field: &str) -> Result<Option<String>, BadSeal> {
        match self.object.get(field) {
            Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            _ => Err(self.bad()),
        }
    }

    pub(super) fn text(&self, field: &str) -> Result<String, BadSeal> {
        self.optional(field)?.ok_or(self.bad())
    }

    pub(super) fn name(&self, field: &str) -> Result<Vec<u8>, BadSeal> {
        let text = self.text(field)?;
        match self.object.get(&format!("{field}_hex")) {
            None => Ok(text.into_bytes()),
            Some(Json::String(digits)) => unhex(digits).ok_or(self.bad()),
            Some(_) => Err(self.bad()),
        }
    }

    pub(super) fn number(&self, field: &str) -> Result<u64, BadSeal> {
        self.object.get(field).and_then(Json::as_u64).ok_or(self.bad())
    }

    pub(super) fn time(&self, field: &str) -> Result<Option<i64>, BadSeal> {
        let text = self.optional(field)?;
        let time = text.map(|text| text.parse::<jiff::Timestamp>().map(|at| at.as_microsecond()));
        time.transpose().map_err(|_| self.bad())
    }

    pub(super) fn totals(&self) -> Result<Totals, BadSeal> {
        let totals = Totals {
            lines: self.number("lines")?,
            events: self.number("events")?,
            rejected: self.number("rejected")?,
            quarantined: self.number("quarantined")?,
            others: self.number("others")?,
            continued: self.number("continued")?,
            unended: self.number("unended")?,
        };
        if totals.add_up() { Ok(totals) } else { Err(self.bad()) }
    }

    pub(super) fn table(&self) -> Result<SealedTable, BadSeal> {
        Ok(SealedTable {
            table: self.name("table")?,
            server: self.name("server")?,
            made: self.text("made")?,
            rows: self.number("rows")?,
            last_id: self.number("last_id")?,
            missing_ids: self.number("missing_ids")?,
            from: self.time("from")?,
            to: self.time("to")?,
        })
    }

    pub(super) fn coverage(&self) -> Result<Coverage, BadSeal> {
        Ok(Coverage {
            server: self.name("server")?,
            source: self.name("source")?,
            from: self.time("from")?,
            to: self.time("to")?,
            state: self.text("coverage")?,
            records: self.number("records")?,
            reason: self.text("reason")?,
        })
    }

    pub(super) fn file(&self) -> Result<SealedFile, BadSeal> {
        Ok(SealedFile {
            path: self.name("file")?,
            source: self.name("source")?,
            dialect: self.text("dialect")?,
            bytes: self.number("bytes")?,
            sha256: self.text("sha256")?,
            head_sha256: self.text("head_sha256")?,
            raw_bytes: self.number("raw_bytes")?,
            raw_sha256: self.text("raw_sha256")?,
            totals: self.totals()?,
            counted: self.number("counted")?,
            from: self.time("from")?,
            to: self.time("to")?,
        })
    }

    pub(super) fn missing(&self) -> Result<MissingFile, BadSeal> {
        Ok(MissingFile {
            path: self.name("missing")?,
            source: self.name("source")?,
            dialect: self.text("dialect")?,
            bytes: self.number("bytes")?,
            counted: self.number("counted")?,
            from: self.time("from")?,
            to: self.time("to")?,
            head_bytes: self.number("head_bytes")?,
            head: self.text("head")?,
            tail_bytes: self.number("tail_bytes")?,
            tail: self.text("tail")?,
            reason: self.text("reason")?,
        })
    }
}

pub(super) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|it| it as u8);
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}
