//! Rows as the servers' own tools print them with `-v --base64-output=DECODE-ROWS`.
//!
//! ```text
//! ### UPDATE `shop`.`orders`
//! ### WHERE
//! ###   @1=7
//! ###   @2='it\'s'          MySQL; MariaDB: 'it's'
//! ### SET
//! ###   @1=7
//! ###   @2=NULL
//! ```
//!
//! Sources: MariaDB `sql/log_event_client.cc` (`log_event_print_value`), MySQL `sql/log_event.cc` (the
//! same, and `print_json_diff`). What the tools lose is lost here too: integers of either sign are
//! printed as signed, with the unsigned number behind those below zero; MariaDB escapes no quotes;
//! YEAR 0 is 1900. Where MySQL's tool gives up (GEOMETRY), rows are printed as MariaDB's does.

use std::io::Write;

use crate::column::{Column, ColumnKind};
use crate::error::{Malformed, Parsed};
use crate::format::Family;
use crate::json::{Json, JsonDiffs, JsonOperation};
use crate::rows::{ChangeKind, Rows};
use crate::short::{Short, append, eight_digits, push_number};
use crate::table_map::Table;
use crate::value::{self, Value};

/// Appends the rows that are left to `out`, in the style of `family`'s tool.
///
/// ```
/// use binlog::{Event, Family, Framer, Step};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = include_bytes!("../../../tests/fixtures/binlog/mariadb-11.8-no-checksum.binlog");
/// let (mut framer, mut table, mut text) = (Framer::new(), None, Vec::new());
/// while let Step::Event(event) = framer.next(&log[framer.position() as usize..])? {
///     match event.decode(framer.format())? {
///         Event::TableMap(map) => table = Some(map.table()?),
///         Event::Rows(event) => {
///             let table = table.as_ref().ok_or("rows without a table map")?;
///             binlog::write_rows(&mut event.rows(table)?, Family::MariaDb, &mut text)?;
///         }
///         _ => {}
///     }
/// }
/// assert!(text.starts_with(b"### INSERT INTO `bl_no_checksum`.`n`\n### SET\n###   @1=1\n"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Where the bytes are no rows; those before are in `out`.
pub fn write_rows(rows: &mut Rows<'_>, family: Family, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let writer = Writer::new(rows.table(), family);
    let (kind, table) = (rows.kind(), rows.table());
    let head = writer.head(kind, kind != ChangeKind::Delete && rows.nothing_after());
    let between: &[u8] = match family == Family::MariaDb && rows.nothing_after() {
        true => b"### SET /* no columns */\n",
        false => b"### SET\n",
    };
    loop {
        let start = out.len();
        out.extend_from_slice(&head);
        // An update's image before is over.
        let mut changed = kind != ChangeKind::Update;
        let read = rows.each_value(|after, index, value| {
            if after && !changed {
                out.extend_from_slice(between);
                changed = true;
            }
            writer.line(table, index, &value, out)
        });
        if read != Ok(true) {
            out.truncate(start);
            return read.map(|_| ());
        }
        if !changed {
            out.extend_from_slice(between);
        }
    }
}

struct Writer {
    family: Family,
    /// Database and table, quoted.
    name: Vec<u8>,
    /// What the line of each column begins with.
    places: Vec<Place>,
}

/// `###   @12=`. Copied in full and cut, which costs less than a copy of a length that varies.
#[derive(Clone, Copy)]
struct Place {
    bytes: [u8; 16],
    length: u8,
}

impl Place {
    fn new(index: usize) -> Place {
        let mut text = b"###   @".to_vec();
        push_number(&mut text, index as u64 + 1);
        text.push(b'=');
        let mut bytes = [0; 16];
        // A table has at most 4,096 columns.
        let length = text.len().min(bytes.len());
        bytes[..length].copy_from_slice(&text[..length]);
        Place { bytes, length: length as u8 }
    }
}

impl Writer {
    fn new(table: &Table, family: Family) -> Self {
        let mut name = Vec::new();
        for (part, end) in [(&table.database, &b"`."[..]), (&table.name, b"`")] {
            name.push(b'`');
            for &byte in part.iter() {
                name.extend_from_slice(if byte == b'`' {
                    b"``"
                } else {
                    std::slice::from_ref(&byte)
                });
            }
            name.extend_from_slice(end);
        }
        let places = (0..table.columns.len()).map(Place::new).collect();
        Writer { family, name, places }
    }

    /// What each row begins with.
    fn head(&self, kind: ChangeKind, nothing_after: bool) -> Vec<u8> {
        let (verb, first) = match kind {
            ChangeKind::Insert => ("### INSERT INTO ", "\n### SET\n"),
            ChangeKind::Update => ("### UPDATE ", "\n### WHERE\n"),
            ChangeKind::Delete => ("### DELETE FROM ", "\n### WHERE\n"),
        };
        let first = match kind == ChangeKind::Insert && nothing_after {
            true if self.family == Family::MariaDb => " VALUES ()\n",
            _ => first,
        };
        [verb.as_bytes(), &self.name, first.as_bytes()].concat()
    }

    #[inline(always)]
    fn line(
        &self,
        table: &Table,
        index: usize,
        value: &Value<'_>,
        out: &mut Vec<u8>,
    ) -> Parsed<()> {
        let place = &self.places[index];
        append(out, &place.bytes, place.length as usize);
        self.value(index, &table.columns[index], value, out)?;
        out.push(b'\n');
        Ok(())
    }

    #[inline]
    fn value(
        &self,
        index: usize,
        column: &Column,
        value: &Value<'_>,
        out: &mut Vec<u8>,
    ) -> Parsed<()> {
        match *value {
            Value::Absent => {}
            Value::Null => out.extend_from_slice(b"NULL"),
            Value::Signed(number) => push_signed(out, column, number),
            Value::Unsigned(number) => push_signed(out, column, as_signed(column, number)),
            Value::Float(number) => {
                let start = out.len();
                push_general(out, number as f64, 6);
                out.resize(out.len().max(start + 20), b' ');
            }
            Value::Double(number) => push_general(out, number, 20),
            Value::Decimal(decimal) => decimal.write(out),
            Value::Bits(bits) => {
                out.extend_from_slice(b"b'");
                let number = bits.number();
                out.extend((0..bits.len()).rev().map(|bit| b'0' + (number >> bit & 1) as u8));
                out.push(b'\'');
            }
            Value::Date(date) => {
                let mut text = Short::default();
                text.push(b'\'');
                text.push_date(date, b':');
                text.push(b'\'');
                text.append_to(out);
            }
            Value::Time(time) => {
                let mut text = Short::default();
                text.push(b'\'');
                text.push_time(&time);
                text.push(b'\'');
                text.append_to(out);
            }
            Value::DateTime(moment) => {
                let mut text = Short::default();
                text.push(b'\'');
                text.push_date(moment.date, b'-');
                text.push(b' ');
                text.push_time(&moment.time);
                text.push(b'\'');
                text.append_to(out);
            }
            Value::Timestamp(moment) => {
                push_number(out, moment.seconds as u64);
                let mut text = Short::default();
                text.push_fraction(moment.microseconds, moment.decimals);
                text.append_to(out);
            }
            Value::Year(0) => out.extend_from_slice(b"1900"),
            Value::Year(year) => push_number(out, year as u64),
            Value::Enum(number) => push_number(out, number as u64),
            Value::Set(bits) => push_set(out, column, bits),
            Value::Bytes(bytes) | Value::Compressed(bytes) | Value::Geometry(bytes) => {
                self.quoted(out, bytes);
            }
            Value::Vector(bytes) => push_vector(out, bytes),
            Value::Json(json) => {
                let mut text = Vec::new();
                if !json.write_plain_string(&mut text)? {
                    json.write(&mut text)?;
                }
                self.quoted(out, &text);
            }
            Value::JsonDiffs(diffs) => self.diffs(index, &diffs, out)?,
        }
        Ok(())
    }

    fn quoted(&self, out: &mut Vec<u8>, bytes: &[u8]) {
        out.push(b'\'');
        let mysql = self.family == Family::MySql;
        let special = |byte: u8| byte < 0x20 || mysql && matches!(byte, b'\'' | b'\\');
        for chunk in bytes.chunks(64) {
            // Without branches, so that the compiler looks at many bytes at once.
            match chunk.iter().fold(false, |any, &byte| any | special(byte)) {
                false => out.extend_from_slice(chunk),
                true => chunk.iter().for_each(|&byte| self.escaped(out, byte)),
            }
        }
        out.push(b'\'');
    }

    #[inline]
    fn escaped(&self, out: &mut Vec<u8>, byte: u8) {
        let letter = match byte {
            8 => b'b',
            9 => b't',
            10 => b'n',
            12 => b'f',
            13 => b'r',
            b'\'' | b'\\' => byte,
            _ => 0,
        };
        if letter != 0 && self.family == Family::MySql {
            out.extend_from_slice(&[b'\\', letter]);
        } else if byte < 0x20 {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let (high, low) = (DIGITS[byte as usize >> 4], DIGITS[byte as usize & 15]);
            out.extend_from_slice(&[b'\\', b'x', high, low]);
        } else {
            out.push(byte);
        }
    }

    /// Calls of functions in each other, the first change innermost; changes of a kind that follow
    /// each other share a call.
    fn diffs(&self, index: usize, diffs: &JsonDiffs<'_>, out: &mut Vec<u8>) -> Parsed<()> {
        const BREAK: &[u8] = b"\n###      ";
        let diffs = diffs.read()?;
        let mut calls: Vec<&str> = Vec::new();
        let mut last = None;
        for diff in &diffs {
            let name = match (diff.operation, diff.path.last()) {
                (JsonOperation::Replace, _) => "JSON_REPLACE(",
                (JsonOperation::Insert, Some(b']')) => "JSON_ARRAY_INSERT(",
                (JsonOperation::Insert, _) => "JSON_INSERT(",
                (JsonOperation::Remove, _) => "JSON_REMOVE(",
            };
            if last.replace(name) != Some(name) {
                calls.push(name);
            }
        }
        for (place, call) in calls.iter().rev().enumerate() {
            if place > 0 {
                out.extend_from_slice(BREAK);
            }
            out.extend_from_slice(call.as_bytes());
        }
        out.push(b'@');
        push_number(out, index as u64 + 1);
        for (place, diff) in diffs.iter().enumerate() {
            if place > 0 && diffs[place - 1].operation != diff.operation {
                out.push(b')');
            }
            out.push(b',');
            out.extend_from_slice(if place > 0 { BREAK } else { b" " });
            self.quoted(out, diff.path);
            if let Some(json) = &diff.value {
                out.extend_from_slice(b", ");
                self.json_argument(json, out)?;
            }
        }
        out.push(b')');
        Ok(())
    }

    fn json_argument(&self, json: &Json<'_>, out: &mut Vec<u8>) -> Parsed<()> {
        let mut text = Vec::new();
        if json.write_plain_string(&mut text)? {
            self.quoted(out, &text);
            return Ok(());
        }
        json.write(&mut text)?;
        if matches!(text.first(), Some(b'{' | b'[')) {
            out.extend_from_slice(b"CAST(");
            self.quoted(out, &text);
            out.extend_from_slice(b" AS JSON)");
        } else {
            out.extend_from_slice(&text);
        }
        Ok(())
    }
}

/// A signed integer, and behind one below zero the unsigned one of the same bits.
#[inline]
fn push_signed(out: &mut Vec<u8>, column: &Column, number: i64) {
    if number >= 0 {
        return push_number(out, number as u64);
    }
    out.push(b'-');
    push_number(out, number.unsigned_abs());
    out.extend_from_slice(b" (");
    // TINY and SHORT, INT24 too, are printed by their own width.
    if let Value::Unsigned(number) = Value::Signed(number).as_unsigned(column) {
        push_number(out, number);
    }
    out.push(b')');
}

/// The signed integer of the same bits.
fn as_signed(column: &Column, number: u64) -> i64 {
    let unused = match column.kind {
        ColumnKind::Int1 => 56,
        ColumnKind::Int2 => 48,
        ColumnKind::Int3 => 40,
        ColumnKind::Int4 => 32,
        _ => 0,
    };
    (number << unused) as i64 >> unused
}

/// The bits of each byte, in the order of the bytes.
fn push_set(out: &mut Vec<u8>, column: &Column, bits: u64) {
    let ColumnKind::Set { bytes } = column.kind else { return };
    out.extend_from_slice(b"b'");
    for byte in &bits.to_le_bytes()[..bytes as usize] {
        out.extend((0..8).rev().map(|bit| b'0' + (byte >> bit & 1)));
    }
    out.push(b'\'');
}

/// `%e` of C with five digits behind the point, as `VECTOR_TO_STRING` has it.
fn push_vector(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'[');
    for (place, number) in value::vector(bytes).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let text = format!("{:.5e}", number);
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        out.extend_from_slice(digits.as_bytes());
        push_exponent(out, exponent.parse().unwrap_or(0));
    }
    out.push(b']');
}

fn push_exponent(out: &mut Vec<u8>, exponent: i32) {
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    let mut digits = Short::default();
    digits.push_two(exponent.unsigned_abs());
    digits.append_to(out);
}

/// `%.Ng` of C: so many significant digits, without zeros at the end, with an exponent where it is
/// below -4 or not below the number of digits.
pub(crate) fn push_general(out: &mut Vec<u8>, number: f64, digits: usize) {
    if !number.is_finite() {
        // NaN and infinities, which servers do not store.
        let _ = write!(out, "{number}");
        return;
    }
    // Integers, the most common numbers of all, need no exact expansion.
    let whole = number as i64;
    if whole as f64 == number
        && whole.abs() < 1_000_000
        && (whole != 0 || number.is_sign_positive())
    {
        if whole < 0 {
            out.push(b'-');
        }
        return push_number(out, whole.unsigned_abs());
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    let mut buffer = [0; 20];
    let (significant, exponent) = significant(number.abs(), digits, &mut buffer);
    if exponent < -4 || exponent >= digits as i32 {
        out.push(significant[0]);
        if significant.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&significant[1..]);
        }
        push_exponent(out, exponent);
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', exponent.unsigned_abs() as usize - 1));
        out.extend_from_slice(significant);
    } else {
        let before = exponent as usize + 1;
        for place in 0..before {
            out.push(significant.get(place).copied().unwrap_or(b'0'));
        }
        if significant.len() > before {
            out.push(b'.');
            out.extend_from_slice(&significant[before..]);
        }
    }
}

/// The digits of a number not below zero, rounded to so many (up to 20), without zeros at the end
/// but for the first, and the exponent of the first.
fn significant(number: f64, digits: usize, buffer: &mut [u8; 20]) -> (&[u8], i32) {
    // They stand at the buffer's end.
    let first = 20 - digits;
    let exponent = match significant_128(number, digits) {
        Some((whole, exponent)) => {
            // Two halves of 64 bits: dividing 128 costs far more, so 2^10 of 10^10 is shifted out.
            const HALF: u64 = 10_u64.pow(10);
            let high = (whole >> 10) as u64 / (HALF >> 10);
            let low = (whole as u64).wrapping_sub(high.wrapping_mul(HALF));
            for (half, slots) in [high, low].into_iter().zip(buffer.chunks_exact_mut(10)) {
                slots[..8].copy_from_slice(&eight_digits(half / 100));
                slots[8..].copy_from_slice(&eight_digits(half)[6..]);
            }
            exponent
        }
        None => {
            let text = format!("{:.*e}", digits - 1, number);
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let plain = mantissa.bytes().filter(|byte| *byte != b'.');
            buffer[first..].iter_mut().zip(plain).for_each(|(slot, digit)| *slot = digit);
            exponent.parse().unwrap_or(0)
        }
    };
    let zeros = buffer[first + 1..].iter().rev().take_while(|&&digit| digit == b'0').count();
    (&buffer[first..20 - zeros], exponent)
}

/// The same as one integer, for numbers that 128 bits are enough for: those between about 0.002 and
/// 2^52.
fn significant_128(number: f64, digits: usize) -> Option<(u128, i32)> {
    let bits = number.to_bits();
    let (power, fraction) = ((bits >> 52) as i32, bits & ((1 << 52) - 1));
    // number = mantissa / 2^shift
    let shift = 1075 - power;
    if !(1..=60).contains(&shift) {
        return None;
    }
    let mantissa = (fraction | 1 << 52) as u128;
    // From the power of two: right, or one too low.
    // log10(2) is about 1233 / 4096.
    let mut exponent = ((power - 1023) * 1233) >> 12;
    const POWERS: [u128; 23] = {
        let mut powers = [1; 23];
        let mut power = 1;
        while power < 23 {
            powers[power] = powers[power - 1] * 10;
            power += 1;
        }
        powers
    };
    let full = POWERS[digits];
    loop {
        let scale = usize::try_from(digits as i32 - 1 - exponent).ok()?;
        let product = mantissa.checked_mul(*POWERS.get(scale)?)?;
        let (whole, rest) = (product >> shift, product & ((1 << shift) - 1));
        let half = 1 << (shift - 1);
        // Halves go to the even neighbour, as in the C library.
        let whole = whole + u128::from(rest > half || rest == half && whole & 1 == 1);
        if whole < full {
            return Some((whole, exponent));
        }
        exponent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fast way agrees with the standard library's, wherever it is taken.
    #[test]
    fn digits_by_both_ways() {
        let mut seed = 1_u64;
        for round in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let exponent = 1023 - 9 + (seed >> 58) % 62;
            // Some with few bits, which are halves of something.
            let mask = if round % 2 == 0 { u64::MAX } else { !0 << 44 };
            let number = f64::from_bits(exponent << 52 | seed >> 12 & mask & ((1 << 52) - 1));
            for digits in [6, 20] {
                let Some((whole, exponent)) = significant_128(number, digits) else { continue };
                let text = format!("{:.*e}", digits - 1, number);
                let (mantissa, power) = text.split_once('e').unwrap();
                assert_eq!(whole.to_string(), mantissa.replace('.', ""), "{number:e}");
                assert_eq!(exponent.to_string(), power, "{number:e}");
            }
        }
    }

    #[test]
    fn numbers_as_printf_has_them() {
        for (number, digits, text) in [
            (1.5, 6, "1.5"),
            (-2.25e300, 20, "-2.2499999999999999694e+300"),
            (0.1, 20, "0.10000000000000000555"),
            (0.1_f32 as f64, 6, "0.1"),
            (123_456.0, 6, "123456"),
            (1_234_567.0, 6, "1.23457e+06"),
            (1e20, 20, "1e+20"),
            (1e19, 20, "10000000000000000000"),
            (0.0001, 6, "0.0001"),
            (0.00001, 6, "1e-05"),
            (0.0, 20, "0"),
            (-0.0, 20, "-0"),
            (5e-324, 20, "4.9406564584124654418e-324"),
            (999_999.5, 6, "1e+06"),
            (0.15, 20, "0.14999999999999999445"),
            (9.999_999_999, 6, "10"),
            (2.5, 6, "2.5"),
            (1_234_567.5, 20, "1234567.5"),
            (0.5, 20, "0.5"),
            (0.003, 20, "0.0030000000000000000625"),
        ] {
            let mut out = Vec::new();
            push_general(&mut out, number, digits);
            assert_eq!(String::from_utf8(out).unwrap(), text, "{number:e}");
        }
    }
}
