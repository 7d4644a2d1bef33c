//! Values as SQL that gives the same value again, on the family of servers that wrote the log.
//!
//! ```text
//! text whose characters all show    'it''s'           quotes doubled, never a backslash
//! any other text, bytes, geometry   x'00ff'           the bytes of the column's character set
//! ENUM, SET, BIT, YEAR              3                 by number
//! DOUBLE, FLOAT                     -2.25e300         the shortest digits that give it again
//! TIMESTAMP                         '2026-11-20 12:34:56.5'   needs time_zone='+00:00'
//! MySQL's JSON                      CAST('{"a": 1}' AS JSON), JSON_OBJECT(…) where types would be lost
//! ```
//!
//! Nothing here depends on `NO_BACKSLASH_ESCAPES`, `ANSI_QUOTES` or the client's character set, but
//! that `SET NAMES utf8mb4` holds. Everything is UTF-8 without control characters.

use std::io::Write;

use crate::column::{Column, ColumnKind};
use crate::decimal::{self, Decimal};
use crate::json::{Json, var_length};
use crate::json_tree::Node;
use crate::sql::SqlError;
use crate::temporal::{Date, DateTime, Time, Timestamp, packed_datetime, packed_time};
use crate::value::Value;

/// The collation number of `binary`.
const BINARY: u32 = 63;
const DAY_SECONDS: u32 = 86_400;

/// Which texts of a character set can stand between quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    /// UTF-8.
    Utf8,
    /// ASCII has the bytes it has in UTF-8; others may be anything.
    Ascii,
    /// Not known, bytes of no character set, or such that ASCII has other bytes.
    Other,
}

/// The character set of a collation number (`information_schema.collations` of MariaDB 11.8 and MySQL
/// 9.7; MariaDB numbers its UCA-14 collations in blocks of 256, MDEV-27009).
fn charset(collation: Option<u32>) -> Charset {
    match collation {
        Some(33 | 45 | 46 | 76 | 83 | 192..=215 | 223..=247 | 255..=323) => Charset::Utf8,
        Some(576..=579 | 608..=611 | 1057 | 1069 | 1070 | 1107 | 1216 | 1238 | 1248 | 1270) => {
            Charset::Utf8
        }
        Some(2048..=2559) => Charset::Utf8,
        // latin1; ascii
        Some(5 | 8 | 15 | 31 | 47..=49 | 94 | 1032 | 1071 | 11 | 65 | 1035 | 1089) => {
            Charset::Ascii
        }
        _ => Charset::Other,
    }
}

/// Whether texts of the column are compared byte by byte.
pub(crate) fn is_binary(column: &Column) -> bool {
    column.collation == Some(BINARY)
}

/// Whether a character shows, and shows in its place: no control character, nothing invisible, nothing
/// that turns the direction of text around it.
pub(crate) fn shows(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text between quotes, where all of it shows.
fn push_quoted(out: &mut Vec<u8>, bytes: &[u8], charset: Charset) -> bool {
    let right = match charset {
        Charset::Utf8 => std::str::from_utf8(bytes)
            .is_ok_and(|text| text.chars().all(|character| shows(character) && character != '\\')),
        Charset::Ascii => bytes.iter().all(|byte| matches!(byte, 0x20..=0x7e) && *byte != b'\\'),
        Charset::Other => false,
    };
    if right {
        out.push(b'\'');
        for &byte in bytes {
            out.push(byte);
            if byte == b'\'' {
                out.push(byte);
            }
        }
        out.push(b'\'');
    }
    right
}

/// `x'…'`.
pub(crate) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"x'");
    out.reserve(2 * bytes.len() + 1);
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]);
    }
    out.push(b'\'');
}

/// Text of the client's character set, utf8mb4.
pub(crate) fn push_utf8(out: &mut Vec<u8>, text: &[u8]) {
    if !push_quoted(out, text, Charset::Utf8) {
        out.extend_from_slice(b"_utf8mb4 ");
        push_hex(out, text);
    }
}

/// Appends a value. `number` is the place of its column, from 1, for errors.
pub(crate) fn push_value(
    out: &mut Vec<u8>,
    column: &Column,
    number: usize,
    value: &Value<'_>,
) -> Result<(), SqlError> {
    match *value {
        Value::Absent => return Err(SqlError::Absent { column: number }),
        Value::JsonDiffs(_) => return Err(SqlError::PartialJson { column: number }),
        Value::Null => out.extend_from_slice(b"NULL"),
        // Below zero, or far above it? Only the sign tells.
        Value::Signed(below) if below < 0 && column.unsigned.is_none() => {
            return Err(SqlError::SignUnknown { column: number });
        }
        Value::Signed(whole) => put(out, format_args!("{whole}")),
        Value::Unsigned(whole) => put(out, format_args!("{whole}")),
        Value::Float(real) => push_real(out, real as f64, number)?,
        Value::Double(real) => push_real(out, real, number)?,
        Value::Decimal(decimal) => decimal.write(out),
        Value::Bits(bits) => put(out, format_args!("{}", bits.number())),
        Value::Date(date) => put(out, format_args!("'{date}'")),
        Value::Time(time) => put(out, format_args!("'{time}'")),
        Value::DateTime(moment) => put(out, format_args!("'{moment}'")),
        Value::Timestamp(moment) => put(out, format_args!("'{}'", utc(&moment))),
        Value::Year(year) => put(out, format_args!("{year}")),
        Value::Enum(member) => put(out, format_args!("{member}")),
        Value::Set(bits) => put(out, format_args!("{bits}")),
        Value::Bytes(_) | Value::Compressed(_) => {
            let text = value.text()?.unwrap_or_default();
            push_bytes(out, column, &text);
        }
        Value::Json(json) => push_json(out, &json, number)?,
        Value::Geometry(bytes) | Value::Vector(bytes) => push_hex(out, bytes),
    }
    Ok(())
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.write_fmt(text);
}

/// With an exponent, which makes it a DOUBLE and not a DECIMAL. FLOAT is given as the DOUBLE of the same
/// value: its own shortest digits would be rounded twice.
fn push_real(out: &mut Vec<u8>, real: f64, number: usize) -> Result<(), SqlError> {
    if !real.is_finite() {
        return Err(SqlError::NoNumber { column: number });
    }
    put(out, format_args!("{real:e}"));
    Ok(())
}

fn push_bytes(out: &mut Vec<u8>, column: &Column, bytes: &[u8]) {
    if let ColumnKind::Char { bytes: width } = column.kind
        && is_binary(column)
    {
        // BINARY, UUID and INET, of which the log holds no NULs at the end.
        let mut whole = bytes.to_vec();
        whole.resize(bytes.len().max(width as usize), 0);
        push_hex(out, &whole);
    } else if !push_quoted(out, bytes, charset(column.collation)) {
        push_hex(out, bytes);
    }
}

/// The moment in UTC. 0 stands for the zero date alone: servers store no other moment in that second.
fn utc(moment: &Timestamp) -> DateTime {
    let (mut date, seconds) = (Date { year: 0, month: 0, day: 0 }, moment.seconds % DAY_SECONDS);
    if moment.seconds != 0 || moment.microseconds != 0 {
        date = date_of_day(moment.seconds / DAY_SECONDS);
    }
    let time = Time {
        negative: false,
        hours: (seconds / 3600) as u16,
        minutes: (seconds / 60 % 60) as u8,
        seconds: (seconds % 60) as u8,
        microseconds: moment.microseconds,
        decimals: moment.decimals,
    };
    DateTime { date, time }
}

/// The date so many days after 1970-01-01, by the calendar that begins in March (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
pub(crate) fn date_of_day(days: u32) -> Date {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u32::from(month <= 2);
    Date { year: year as u16, month: month as u8, day: day as u8 }
}

/// A document of MySQL: as text where that tells all of it.
pub(crate) fn push_json(out: &mut Vec<u8>, json: &Json<'_>, number: usize) -> Result<(), SqlError> {
    let node = Node::parse(json.as_bytes())?;
    push_node(out, &node, number)
}

fn push_node(out: &mut Vec<u8>, node: &Node<'_>, number: usize) -> Result<(), SqlError> {
    if is_plain(node) {
        let mut text = Vec::new();
        Json::from_bytes(&node.to_document()?).write(&mut text)?;
        out.extend_from_slice(b"CAST(");
        push_utf8(out, &text);
        out.extend_from_slice(b" AS JSON)");
        return Ok(());
    }
    match node {
        Node::Object(members) => {
            out.extend_from_slice(b"JSON_OBJECT(");
            for (index, (key, value)) in members.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b", " } else { b"" });
                push_utf8(out, key);
                out.extend_from_slice(b", ");
                push_node(out, value, number)?;
            }
        }
        Node::Array(elements) => {
            out.extend_from_slice(b"JSON_ARRAY(");
            for (index, value) in elements.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b", " } else { b"" });
                push_node(out, value, number)?;
            }
        }
        // JSON of the value itself: a column takes no number for a document.
        Node::Scalar(kind, bytes) => {
            out.extend_from_slice(b"JSON_EXTRACT(JSON_ARRAY(");
            push_scalar(out, *kind, bytes, number)?;
            out.extend_from_slice(b"), '$[0]'");
        }
    }
    out.push(b')');
    Ok(())
}

/// Whether the text of a value gives a value of the same type: what a text's numbers become stands in
/// MySQL `sql-common/json_dom.cc` (`Rapid_json_handler`).
fn is_plain(node: &Node<'_>) -> bool {
    match node {
        Node::Object(members) => members.iter().all(|(_, value)| is_plain(value)),
        Node::Array(elements) => elements.iter().all(is_plain),
        Node::Scalar(9, bytes) => {
            bytes.first_chunk().is_some_and(|b| i64::from_le_bytes(*b) <= u32::MAX as i64)
        }
        Node::Scalar(10, bytes) => {
            bytes.first_chunk().is_some_and(|b| u64::from_le_bytes(*b) > u32::MAX as u64)
        }
        Node::Scalar(kind, _) => !matches!(kind, 6 | 8 | 15),
    }
}

/// A value whose type its text does not tell.
fn push_scalar(out: &mut Vec<u8>, kind: u8, bytes: &[u8], number: usize) -> Result<(), SqlError> {
    if kind != 15 {
        out.extend_from_slice(b"CAST(");
        let mut text = Vec::new();
        let mut document = vec![kind];
        document.extend_from_slice(bytes);
        Json::from_bytes(&document).write(&mut text)?;
        out.extend_from_slice(&text);
        out.extend_from_slice(if kind == 9 { b" AS SIGNED)" } else { b" AS UNSIGNED)" });
        return Ok(());
    }
    let mut cut = crate::bytes::Cut::new(bytes);
    let field = cut.u8()?;
    let length = var_length(&mut cut)?;
    let bytes = cut.take(length)?;
    let mut cut = crate::bytes::Cut::new(bytes);
    match field {
        246 => {
            let (precision, scale) = (cut.u8()?, cut.u8()?);
            let digits = cut.take(decimal::length(precision, scale)? as usize)?;
            out.extend_from_slice(b"CAST(");
            Decimal::new(digits, precision, scale).write(out);
            put(out, format_args!(" AS DECIMAL({precision},{scale}))"));
        }
        10 => {
            let date = packed_datetime(cut.u64()? as i64).date;
            put(out, format_args!("CAST('{date}' AS DATE)"));
        }
        // No expression makes a TIMESTAMP; it shows, and compares, as a DATETIME.
        7 | 12 => {
            let moment = packed_datetime(cut.u64()? as i64);
            put(out, format_args!("CAST('{moment}' AS DATETIME(6))"));
        }
        11 => {
            let time = packed_time(cut.u64()? as i64);
            put(out, format_args!("CAST('{time}' AS TIME(6))"));
        }
        15 => {
            out.extend_from_slice(b"CAST(");
            push_hex(out, bytes);
            out.extend_from_slice(b" AS BINARY)");
        }
        _ => return Err(SqlError::JsonType { column: number, field }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (day, text) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (789, "1972-02-29"),
            (11_016, "2000-02-29"),
            (20_777, "2026-11-20"),
            (47_541, "2100-03-01"),
            (u32::MAX / DAY_SECONDS, "2106-02-07"),
        ] {
            assert_eq!(date_of_day(day).to_string(), text);
        }
    }

    #[test]
    fn texts_that_show_are_quoted_and_others_are_hexadecimal() {
        for (text, charset, wanted) in [
            (&b"it's"[..], Charset::Ascii, "'it''s'"),
            ("\u{fc}\u{1f600}".as_bytes(), Charset::Utf8, "'\u{fc}\u{1f600}'"),
            ("\u{fc}".as_bytes(), Charset::Ascii, "x'c3bc'"),
            (b"\xfc", Charset::Utf8, "x'fc'"),
            (b"a\\", Charset::Utf8, "x'615c'"),
            (b"a\0", Charset::Ascii, "x'6100'"),
            (b"a\n", Charset::Utf8, "x'610a'"),
            ("\u{202e}".as_bytes(), Charset::Utf8, "x'e280ae'"),
            ("\u{9b}".as_bytes(), Charset::Utf8, "x'c29b'"),
            (b"ab", Charset::Other, "x'6162'"),
            (b"", Charset::Utf8, "''"),
            (b"", Charset::Other, "x''"),
        ] {
            let mut out = Vec::new();
            if !push_quoted(&mut out, text, charset) {
                push_hex(&mut out, text);
            }
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }

    #[test]
    fn reals_give_the_same_number_again() {
        for (real, wanted) in [
            (0.1_f32 as f64, "1.0000000149011612e-1"),
            (-2.25e300, "-2.25e300"),
            (5e-324, "5e-324"),
            (0.0, "0e0"),
            (-0.0, "-0e0"),
        ] {
            let mut out = Vec::new();
            push_real(&mut out, real, 1).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text, wanted);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), real.to_bits());
        }
        assert!(push_real(&mut Vec::new(), f64::NAN, 1).is_err());
    }
}
