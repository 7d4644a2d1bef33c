//! Values of rows as answers hold them.

use binlog::{Column, JsonDiffs, JsonOperation, Value};

use crate::time::utc_text;

/// The longest text that is put out, in bytes; of longer ones the beginning is.
const CELL_BYTES_MAX: usize = 1 << 20;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    /// Digits, as JSON writes numbers.
    Number(String),
    /// Text or bytes, raw.
    Text(Vec<u8>),
    /// The beginning of text or bytes that are so long.
    Cut(Vec<u8>, usize),
    /// JSON that needs no quotes.
    Json(String),
    /// It cannot be read.
    Damaged,
}

impl Cell {
    /// Of a value that the image has.
    pub(crate) fn of(column: &Column, value: &Value<'_>) -> Cell {
        let value = match column.unsigned {
            Some(true) => value.as_unsigned(column),
            _ => *value,
        };
        let text = |text: String| Cell::Text(text.into_bytes());
        match &value {
            Value::Absent | Value::Null => Cell::Null,
            Value::Signed(number) => Cell::Number(number.to_string()),
            Value::Unsigned(number) => Cell::Number(number.to_string()),
            Value::Float(number) => float(f64::from(*number), number.to_string()),
            Value::Double(number) => float(*number, number.to_string()),
            Value::Decimal(decimal) => Cell::Text(decimal.to_string().into_bytes()),
            Value::Bits(bits) => text(bits.to_string()),
            Value::Date(date) => text(date.to_string()),
            Value::Time(time) => text(time.to_string()),
            Value::DateTime(moment) => text(moment.to_string()),
            Value::Timestamp(moment) if moment.seconds == 0 && moment.microseconds == 0 => {
                text("0000-00-00 00:00:00".to_owned())
            }
            Value::Timestamp(moment) => {
                let micros = i64::from(moment.seconds) * 1_000_000 + i64::from(moment.microseconds);
                text(utc_text(micros))
            }
            Value::Year(year) => Cell::Number(year.to_string()),
            Value::Enum(number) => member(column, usize::from(*number)),
            Value::Set(bits) => members(column, *bits),
            Value::Bytes(bytes) => bytes_of(bytes),
            Value::Compressed(_) => match value.text() {
                Ok(Some(bytes)) => bytes_of(&bytes),
                _ => Cell::Damaged,
            },
            Value::Json(json) => json_of(*json),
            Value::JsonDiffs(diffs) => changes(diffs),
            Value::Geometry(bytes) => text(format!("0x{}", crate::render::hex(bytes))),
            Value::Vector(bytes) => {
                let numbers: Vec<String> =
                    binlog::value::vector(bytes).map(|number| number.to_string()).collect();
                text(format!("[{}]", numbers.join(",")))
            }
            _ => Cell::Damaged,
        }
    }

    /// Whether it is this, as `--where` writes it: `NULL` for no value.
    pub(crate) fn is_text(&self, wanted: &[u8]) -> bool {
        match self {
            Cell::Null => wanted.eq_ignore_ascii_case(b"null"),
            Cell::Number(text) | Cell::Json(text) => text.as_bytes() == wanted,
            Cell::Text(text) => text == wanted,
            Cell::Cut(..) | Cell::Damaged => false,
        }
    }
}

fn float(number: f64, text: String) -> Cell {
    if number.is_finite() { Cell::Number(text) } else { Cell::Text(text.into_bytes()) }
}

fn member(column: &Column, number: usize) -> Cell {
    let names = column.members.as_deref().unwrap_or_default();
    match number.checked_sub(1).and_then(|at| names.get(at)) {
        Some(name) => Cell::Text(name.to_vec()),
        None => Cell::Number(number.to_string()),
    }
}

fn members(column: &Column, bits: u64) -> Cell {
    let Some(names) = column.members.as_deref() else { return Cell::Number(bits.to_string()) };
    let chosen = names.iter().enumerate().filter(|(at, _)| *at < 64 && bits >> at & 1 == 1);
    let chosen: Vec<&[u8]> = chosen.map(|(_, name)| &name[..]).collect();
    Cell::Text(chosen.join(&b','))
}

fn bytes_of(bytes: &[u8]) -> Cell {
    match bytes.get(..CELL_BYTES_MAX) {
        Some(start) if bytes.len() > CELL_BYTES_MAX => Cell::Cut(start.to_vec(), bytes.len()),
        _ => Cell::Text(bytes.to_vec()),
    }
}

fn json_of(json: binlog::Json<'_>) -> Cell {
    let mut out = Vec::new();
    match json.write(&mut out).ok().and_then(|()| String::from_utf8(out).ok()) {
        Some(text) => Cell::Json(text),
        None => Cell::Damaged,
    }
}

/// Changes to a JSON document, which is not told as a whole.
fn changes(diffs: &JsonDiffs<'_>) -> Cell {
    let Ok(diffs) = diffs.read() else { return Cell::Damaged };
    let text = diffs.iter().map(|diff| {
        let word = match diff.operation {
            JsonOperation::Replace => "replace",
            JsonOperation::Insert => "insert",
            JsonOperation::Remove => "remove",
        };
        let value = diff.value.map(|it| format!(" {}", it.to_text())).unwrap_or_default();
        format!("{word} {}{value}", String::from_utf8_lossy(diff.path))
    });
    Cell::Text(text.collect::<Vec<_>>().join("; ").into_bytes())
}
