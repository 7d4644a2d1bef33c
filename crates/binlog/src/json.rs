//! MySQL's binary JSON, and the differences that partial updates hold. (MariaDB's JSON is text.)
//!
//! ```text
//! document  type u8 | value
//! container count, size | keys: (offset, length u16) … | values: (type u8, value or offset) … | …
//! ```
//!
//! Counts and offsets have two bytes in small containers, four in large ones, and count from the
//! container's `count`. Literals and short integers stand in the place of their offset. Sources:
//! MySQL `sql-common/json_binary.h`, `sql/json_diff.h`.
//!
//! # What the format does not promise
//! Offsets may lead anywhere, also twice to the same place: what is read is bounded by the
//! document's length, not by its structure.

use crate::bytes::Cut;
use crate::decimal::{self, Decimal};
use crate::error::{Malformed, Parsed};
use crate::json_tree::Node;
use crate::temporal::{packed_datetime, packed_time};

/// How deep containers may stand in each other (MySQL `JSON_DOCUMENT_MAX_DEPTH`).
pub(crate) const DEPTH_MAX: usize = 100;

pub(crate) const BAD: Malformed = Malformed::new("a JSON document is damaged");
pub(crate) const TOO_DEEP: Malformed = Malformed::new("a JSON document is nested too deep");

/// A document as stored. An empty one is what MySQL stores for a NULL that became NOT NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a> {
    bytes: &'a [u8],
}

impl<'a> Json<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Json { bytes }
    }

    /// A document as stored: from [`Json::as_bytes`] or [`JsonDiffs::apply`].
    pub const fn from_bytes(bytes: &'a [u8]) -> Self {
        Json { bytes }
    }

    /// The bytes as stored.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Appends the document as MySQL shows it: keys in stored order, `", "` and `": "` between.
    ///
    /// # Errors
    /// Where the bytes are no document; `out` then holds what was read before.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let Some((&kind, value)) = self.bytes.split_first() else {
            out.extend_from_slice(b"null");
            return Ok(());
        };
        let mut writer = Writer { out, bytes_left: self.bytes.len() };
        writer.value(kind, value, 0)
    }

    /// Where the document is nothing but a text or a date, appends that without its quotes; false,
    /// and nothing done, where it is something else.
    pub(crate) fn write_plain_string(&self, out: &mut Vec<u8>) -> Parsed<bool> {
        let Some((&kind, value)) = self.bytes.split_first() else { return Ok(false) };
        let mut cut = Cut::new(value);
        match kind {
            12 => {
                let length = var_length(&mut cut)?;
                out.extend_from_slice(cut.take(length)?);
                Ok(true)
            }
            15 if value.first() != Some(&246) => {
                self.write(out)?;
                // What it wrote has one quote at each end and none within.
                out.retain(|&byte| byte != b'"');
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The document as text, or an empty text where it is damaged. For tests and messages.
    pub fn to_text(&self) -> String {
        let mut out = Vec::new();
        match self.write(&mut out) {
            Ok(()) => String::from_utf8_lossy(&out).into_owned(),
            Err(_) => String::new(),
        }
    }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Each value of an honest document has at least one byte of its own, texts and keys all of
    /// theirs: what is written is bounded by the document's length.
    bytes_left: usize,
}

impl Writer<'_> {
    fn value(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Parsed<()> {
        let mut cut = Cut::new(bytes);
        match kind {
            0..=3 => return self.container(kind, bytes, depth),
            4 => return self.literal(cut.u8()?),
            5 => self.print(cut.u16()? as i16),
            6 => self.print(cut.u16()?),
            7 => self.print(cut.u32()? as i32),
            8 => self.print(cut.u32()?),
            9 => self.print(cut.u64()? as i64),
            10 => self.print(cut.u64()?),
            11 => write_double(self.out, f64::from_le_bytes(cut.array()?)),
            12 => {
                let length = var_length(&mut cut)?;
                self.spend(length)?;
                write_string(self.out, cut.take(length)?);
            }
            15 => {
                let field = cut.u8()?;
                let length = var_length(&mut cut)?;
                self.spend(length)?;
                return self.opaque(field, cut.take(length)?);
            }
            _ => return Err(BAD),
        }
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Parsed<()> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(BAD)?;
        Ok(())
    }

    fn print(&mut self, number: impl std::fmt::Display) {
        self.out.extend_from_slice(number.to_string().as_bytes());
    }

    fn literal(&mut self, literal: u8) -> Parsed<()> {
        self.out.extend_from_slice(match literal {
            0 => b"null",
            1 => b"true",
            2 => b"false",
            _ => return Err(BAD),
        });
        Ok(())
    }

    fn container(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Parsed<()> {
        let (object, large) = (kind < 2, kind & 1 == 1);
        if depth >= DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        let offset = |cut: &mut Cut<'_>| -> Parsed<usize> {
            Ok(if large { cut.u32()? as usize } else { cut.u16()? as usize })
        };
        let mut cut = Cut::new(bytes);
        let count = offset(&mut cut)?;
        let size = offset(&mut cut)?;
        let bytes = bytes.get(..size).ok_or(BAD)?;
        let width = if large { 4 } else { 2 };
        let mut keys = Cut::new(cut.rest());
        if object {
            cut.take(count.checked_mul(width + 2).ok_or(BAD)?)?;
        }
        self.out.push(if object { b'{' } else { b'[' });
        for index in 0..count {
            self.spend(1)?;
            if index > 0 {
                self.out.extend_from_slice(b", ");
            }
            if object {
                let (start, length) = (offset(&mut keys)?, keys.u16()? as usize);
                self.spend(length)?;
                write_string(self.out, bytes.get(start..start + length).ok_or(BAD)?);
                self.out.extend_from_slice(b": ");
            }
            let kind = cut.u8()?;
            let entry = cut.rest();
            let place = offset(&mut cut)?;
            let inline = matches!(kind, 4..=6) || large && matches!(kind, 7 | 8);
            let value = if inline { &entry[..width] } else { bytes.get(place..).ok_or(BAD)? };
            self.value(kind, value, depth + 1)?;
        }
        self.out.push(if object { b'}' } else { b']' });
        Ok(())
    }

    /// A value of a type that JSON does not know, by the type's number in a table map.
    fn opaque(&mut self, field: u8, bytes: &[u8]) -> Parsed<()> {
        let mut cut = Cut::new(bytes);
        match field {
            246 => {
                let (precision, scale) = (cut.u8()?, cut.u8()?);
                let digits = cut.take(decimal::length(precision, scale)? as usize)?;
                Decimal::new(digits, precision, scale).write(self.out);
            }
            10 => self.print(format_args!("\"{}\"", packed_datetime(cut.u64()? as i64).date)),
            7 | 12 => self.print(format_args!("\"{}\"", packed_datetime(cut.u64()? as i64))),
            11 => self.print(format_args!("\"{}\"", packed_time(cut.u64()? as i64))),
            _ => {
                self.print(format_args!("\"base64:type{field}:"));
                write_base64(self.out, bytes);
                self.out.push(b'"');
            }
        }
        Ok(())
    }
}

/// Seven bits a byte, the lowest first, up to five bytes.
pub(crate) fn var_length(cut: &mut Cut<'_>) -> Parsed<usize> {
    let mut length = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = cut.u8()?;
        length |= ((byte & 0x7f) as u64) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(length).map_err(|_| BAD);
        }
    }
    Err(BAD)
}

/// Quotes as MySQL does (`sql-common/json_dom.cc`, `double_quote`).
fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            0..=31 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let at = |index: usize| group.get(index).copied().unwrap_or(0) as u32;
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            out.push(match digit <= group.len() {
                true => DIGITS[(bits >> (18 - 6 * digit) & 63) as usize],
                false => b'=',
            });
        }
    }
}

/// The shortest digits that give the number again, as `my_gcvt` of `strings/dtoa.cc` sets them out:
/// with an exponent where the point would stand more than 15 places off.
fn write_double(out: &mut Vec<u8>, number: f64) {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let point = exponent + 1;
    if !(-14..=15).contains(&point) {
        out.extend_from_slice(mantissa.as_bytes());
        out.push(b'e');
        out.extend_from_slice(exponent.to_string().as_bytes());
        return;
    }
    let plain = format!("{number}");
    out.extend_from_slice(plain.as_bytes());
    if !plain.contains('.') {
        out.extend_from_slice(b".0");
    }
}

/// What a partial update changes in a document (`binlog_row_value_options=PARTIAL_JSON`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonDiffs<'a> {
    bytes: &'a [u8],
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonDiff<'a> {
    /// What is done.
    pub operation: JsonOperation,
    /// A JSON path such as `$.a[1]`, raw.
    pub path: &'a [u8],
    /// `None` for a removal.
    pub value: Option<Json<'a>>,
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonOperation {
    /// `JSON_REPLACE`.
    Replace,
    /// `JSON_INSERT` of a member, `JSON_ARRAY_INSERT` of an element.
    Insert,
    /// `JSON_REMOVE`.
    Remove,
}

impl<'a> JsonDiffs<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        JsonDiffs { bytes }
    }

    /// The whole document after the changes, as stored; `before` is what the image before the update
    /// holds. [`Json::from_bytes`] reads it.
    ///
    /// # Errors
    /// Where either is damaged, or `before` has no place that a change names: it is then another
    /// document than the one that was changed.
    pub fn apply(&self, before: Json<'a>) -> Result<Vec<u8>, Malformed> {
        let mut node = Node::parse(before.bytes)?;
        for diff in self.read()? {
            node.apply(&diff)?;
        }
        node.to_document()
    }

    /// The changes, in the order in which they are to be made.
    ///
    /// # Errors
    /// Where the bytes are no list of changes.
    pub fn read(&self) -> Result<Vec<JsonDiff<'a>>, Malformed> {
        let mut diffs = Vec::new();
        let mut cut = Cut::new(self.bytes);
        while !cut.is_empty() {
            let operation = match cut.u8()? {
                0 => JsonOperation::Replace,
                1 => JsonOperation::Insert,
                2 => JsonOperation::Remove,
                _ => return Err(Malformed::new("a JSON difference is of an unknown kind")),
            };
            let path = cut.packed_bytes()?;
            let value = match operation {
                JsonOperation::Remove => None,
                _ => Some(Json::new(cut.packed_bytes()?)),
            };
            diffs.push(JsonDiff { operation, path, value });
        }
        Ok(diffs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_show_as_the_server_shows_them() {
        for (number, text) in [
            (1.0, "1.0"),
            (-0.5, "-0.5"),
            (1e300, "1e300"),
            (1.5e-20, "1.5e-20"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (1e15, "1e15"),
            (0.1, "0.1"),
        ] {
            let mut out = Vec::new();
            write_double(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn containers_that_hold_themselves_end() {
        // A small array of two elements, both at offset 0: the array itself.
        let bytes = [2, 2, 0, 10, 0, 2, 0, 0, 2, 0, 0];
        assert!(Json::new(&bytes).write(&mut Vec::new()).is_err());
    }

    #[test]
    fn base64_ends_in_padding() {
        for (bytes, text) in [(&b"f"[..], "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v")] {
            let mut out = Vec::new();
            write_base64(&mut out, bytes);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
