//! MySQL's binary JSON as a tree: to make the changes that partial updates hold, and to find values
//! that JSON as text cannot tell (DECIMAL, dates, unsigned numbers, bytes).
//!
//! [`Node::parse`] reads what `json.rs` describes; [`Node::to_document`] writes it again, containers
//! in their small form wherever that is long enough (MySQL `sql-common/json_binary.cc`,
//! `serialize_json_value`). Keys stay in the order that MySQL stores them in: by length, then bytes.

use std::borrow::Cow;

use crate::bytes::Cut;
use crate::error::{Malformed, Parsed};
use crate::json::{BAD, DEPTH_MAX, JsonDiff, JsonOperation, TOO_DEEP, var_length};

const NO_PLACE: Malformed =
    Malformed::new("a change of a JSON document names a place that the document does not have");
const LARGE: Malformed = Malformed::new("a JSON document is longer than 4 GiB");

/// A value of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    /// Members, in stored order.
    Object(Vec<(Cow<'a, [u8]>, Node<'a>)>),
    /// Elements.
    Array(Vec<Node<'a>>),
    /// Anything else: its type, and its bytes as stored behind that.
    Scalar(u8, &'a [u8]),
}

/// One step of a path.
#[derive(Debug, PartialEq, Eq)]
enum Leg<'a> {
    Member(Cow<'a, [u8]>),
    Element(usize),
    /// Counted from the last element, which is 0.
    FromLast(usize),
}

impl Leg<'_> {
    /// The place of an element in an array of so many; `None` where that is before its first.
    fn place(&self, count: usize) -> Option<usize> {
        match self {
            Leg::Member(_) => None,
            Leg::Element(index) => Some(*index),
            Leg::FromLast(back) => count.checked_sub(1 + back),
        }
    }
}

impl<'a> Node<'a> {
    /// Reads a document. An empty one is `null`.
    pub(crate) fn parse(document: &'a [u8]) -> Parsed<Node<'a>> {
        let Some((&kind, value)) = document.split_first() else {
            return Ok(Node::Scalar(4, &[0]));
        };
        let mut bytes_left = document.len();
        Node::value(kind, value, 0, &mut bytes_left)
    }

    fn value(kind: u8, bytes: &'a [u8], depth: usize, left: &mut usize) -> Parsed<Node<'a>> {
        let mut cut = Cut::new(bytes);
        let length = match kind {
            0..=3 => return Node::container(kind, bytes, depth, left),
            4 => 1,
            5 | 6 => 2,
            7 | 8 => 4,
            9..=11 => 8,
            12 | 15 => {
                if kind == 15 {
                    cut.u8()?;
                }
                let length = var_length(&mut cut)?;
                cut.take(length)?;
                bytes.len() - cut.len()
            }
            _ => return Err(BAD),
        };
        // Values of an honest document share no bytes: what is made of one is bounded by its length.
        *left = left.checked_sub(length).ok_or(BAD)?;
        Ok(Node::Scalar(kind, bytes.get(..length).ok_or(BAD)?))
    }

    fn container(kind: u8, bytes: &'a [u8], depth: usize, left: &mut usize) -> Parsed<Node<'a>> {
        if depth >= DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        let (object, large) = (kind < 2, kind & 1 == 1);
        let width = if large { 4 } else { 2 };
        let mut cut = Cut::new(bytes);
        let (count, size) = (cut.length(width)?, cut.length(width)?);
        let bytes = bytes.get(..size).ok_or(BAD)?;
        let mut keys = Cut::new(cut.rest());
        if object {
            cut.take(count.checked_mul(width as usize + 2).ok_or(BAD)?)?;
        }
        let (mut members, mut elements) = (Vec::new(), Vec::new());
        for _ in 0..count {
            *left = left.checked_sub(1).ok_or(BAD)?;
            let kind = cut.u8()?;
            let entry = cut.rest();
            let place = cut.length(width)?;
            let value = match is_inline(kind, large) {
                true => entry.get(..width as usize),
                false => bytes.get(place..),
            };
            let value = Node::value(kind, value.ok_or(BAD)?, depth + 1, left)?;
            if object {
                let (start, length) = (keys.length(width)?, keys.u16()? as usize);
                let key = bytes.get(start..start + length).ok_or(BAD)?;
                *left = left.checked_sub(length).ok_or(BAD)?;
                members.push((Cow::Borrowed(key), value));
            } else {
                elements.push(value);
            }
        }
        Ok(if object { Node::Object(members) } else { Node::Array(elements) })
    }

    /// The document as MySQL stores it.
    pub(crate) fn to_document(&self) -> Parsed<Vec<u8>> {
        let mut out = vec![0];
        out[0] = self.write(&mut out)?;
        Ok(out)
    }

    /// Appends the value and returns its type.
    fn write(&self, out: &mut Vec<u8>) -> Parsed<u8> {
        match self {
            Node::Scalar(kind, bytes) => {
                out.extend_from_slice(bytes);
                Ok(*kind)
            }
            Node::Object(_) | Node::Array(_) => {
                let start = out.len();
                let object = matches!(self, Node::Object(_));
                let small = if object { 0 } else { 2 };
                if self.write_container(false, out)? {
                    return Ok(small);
                }
                out.truncate(start);
                match self.write_container(true, out)? {
                    true => Ok(small + 1),
                    false => Err(LARGE),
                }
            }
        }
    }

    /// Appends a container; false where its form is too small for it.
    fn write_container(&self, large: bool, out: &mut Vec<u8>) -> Parsed<bool> {
        let width = if large { 4 } else { 2 };
        let start = out.len();
        let fits = |number: usize| number <= if large { u32::MAX as usize } else { 0xffff };
        let put = |out: &mut [u8], at: usize, number: usize| {
            out[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        };
        let (keys, values): (Vec<&[u8]>, Vec<&Node<'_>>) = match self {
            Node::Object(members) => members.iter().map(|(key, value)| (&key[..], value)).unzip(),
            Node::Array(elements) => (Vec::new(), elements.iter().collect()),
            Node::Scalar(..) => return Err(BAD),
        };
        let entries = start + 2 * width + keys.len() * (width + 2);
        out.resize(entries + values.len() * (1 + width), 0);
        if !fits(values.len()) {
            return Ok(false);
        }
        put(out, start, values.len());
        for (index, key) in keys.iter().enumerate() {
            let at = start + 2 * width + index * (width + 2);
            let place = out.len() - start;
            let Ok(length) = u16::try_from(key.len()) else {
                return Err(Malformed::new("a key of a JSON object is longer than 64 KiB"));
            };
            if !fits(place) {
                return Ok(false);
            }
            put(out, at, place);
            out[at + width..at + width + 2].copy_from_slice(&length.to_le_bytes());
            out.extend_from_slice(key);
        }
        for (index, value) in values.iter().enumerate() {
            let at = entries + index * (1 + width);
            if let Node::Scalar(kind, bytes) = value
                && is_inline(*kind, large)
            {
                out[at] = *kind;
                let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) && matches!(kind, 5 | 7) {
                    0xff
                } else {
                    0
                };
                out[at + 1..at + 1 + width].fill(fill);
                out[at + 1..at + 1 + bytes.len()].copy_from_slice(bytes);
                continue;
            }
            let place = out.len() - start;
            if !fits(place) {
                return Ok(false);
            }
            put(out, at + 1, place);
            out[at] = value.write(out)?;
        }
        let size = out.len() - start;
        put(out, start + width, size);
        Ok(fits(size))
    }

    /// Makes one change of a partial update.
    pub(crate) fn apply(&mut self, diff: &JsonDiff<'a>) -> Parsed<()> {
        let mut legs = read_path(diff.path)?;
        let value = match &diff.value {
            Some(json) => Some(Node::parse(json.as_bytes())?),
            None => None,
        };
        let Some(last) = legs.pop() else {
            // The whole document.
            return match (diff.operation, value) {
                (JsonOperation::Replace, Some(value)) => {
                    *self = value;
                    Ok(())
                }
                _ => Err(NO_PLACE),
            };
        };
        let mut place = self;
        for leg in &legs {
            place = place.child(leg).ok_or(NO_PLACE)?;
        }
        match (diff.operation, value) {
            (JsonOperation::Replace, Some(value)) => {
                *place.child(&last).ok_or(NO_PLACE)? = value;
            }
            (JsonOperation::Insert, Some(value)) => place.insert(last, value)?,
            (JsonOperation::Remove, None) => place.remove(&last)?,
            _ => return Err(BAD),
        }
        Ok(())
    }

    fn child(&mut self, leg: &Leg<'_>) -> Option<&mut Node<'a>> {
        match (self, leg) {
            (Node::Object(members), Leg::Member(name)) => {
                members.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            (Node::Array(elements), leg) => {
                let place = leg.place(elements.len())?;
                elements.get_mut(place)
            }
            // What is no array is the only element of one.
            (node, leg) if leg.place(1) == Some(0) => Some(node),
            _ => None,
        }
    }

    fn insert(&mut self, leg: Leg<'a>, value: Node<'a>) -> Parsed<()> {
        match (self, leg) {
            (Node::Object(members), Leg::Member(name)) => {
                let order =
                    |key: &Cow<'_, [u8]>| (key.len(), key.clone()) < (name.len(), name.clone());
                let at = members.partition_point(|(key, _)| order(key));
                if members.get(at).is_some_and(|(key, _)| *key == name) {
                    return Err(NO_PLACE);
                }
                members.insert(at, (name, value));
            }
            // Behind the last element is the end, before the first the beginning.
            (Node::Array(elements), leg @ (Leg::Element(_) | Leg::FromLast(_))) => {
                let place = leg.place(elements.len()).unwrap_or(0).min(elements.len());
                elements.insert(place, value);
            }
            _ => return Err(NO_PLACE),
        }
        Ok(())
    }

    fn remove(&mut self, leg: &Leg<'_>) -> Parsed<()> {
        match (self, leg) {
            (Node::Object(members), Leg::Member(name)) => {
                let at = members.iter().position(|(key, _)| key == name).ok_or(NO_PLACE)?;
                members.remove(at);
            }
            (Node::Array(elements), leg) => {
                let place = leg.place(elements.len()).filter(|place| *place < elements.len());
                elements.remove(place.ok_or(NO_PLACE)?);
            }
            _ => return Err(NO_PLACE),
        }
        Ok(())
    }
}

/// Whether a value stands in the place of its offset.
fn is_inline(kind: u8, large: bool) -> bool {
    matches!(kind, 4..=6) || large && matches!(kind, 7 | 8)
}

/// `$`, then `.name`, `."name"` with JSON's escapes, `[number]` or `[last-number]` (MySQL `sql-common/json_path.cc`,
/// `Json_path_leg::to_string`).
fn read_path(path: &[u8]) -> Parsed<Vec<Leg<'_>>> {
    const BAD_PATH: Malformed =
        Malformed::new("a change of a JSON document has a path that is none");
    let mut legs = Vec::new();
    let mut rest = path.strip_prefix(b"$").ok_or(BAD_PATH)?;
    while let Some((&first, behind)) = rest.split_first() {
        rest = match (first, behind.first()) {
            (b'[', _) => {
                let end = memchr::memchr(b']', behind).ok_or(BAD_PATH)?;
                let inner = std::str::from_utf8(&behind[..end]).map_err(|_| BAD_PATH)?;
                let number = |digits: &str| digits.trim().parse().map_err(|_| BAD_PATH);
                legs.push(match inner.trim().strip_prefix("last").map(str::trim_start) {
                    None => Leg::Element(number(inner)?),
                    Some("") => Leg::FromLast(0),
                    Some(back) => Leg::FromLast(number(back.strip_prefix('-').ok_or(BAD_PATH)?)?),
                });
                &behind[end + 1..]
            }
            (b'.', Some(b'"')) => {
                let (name, used) = unquote(&behind[1..]).ok_or(BAD_PATH)?;
                legs.push(Leg::Member(name));
                &behind[1 + used..]
            }
            (b'.', Some(_)) => {
                let end = behind.iter().position(|byte| matches!(byte, b'.' | b'['));
                let (name, behind) = behind.split_at(end.unwrap_or(behind.len()));
                legs.push(Leg::Member(Cow::Borrowed(name)));
                behind
            }
            _ => return Err(BAD_PATH),
        };
    }
    Ok(legs)
}

/// A name up to its closing quote, and how many bytes were used.
fn unquote(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, usize)> {
    let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    if bytes[end] == b'"' {
        return Some((Cow::Borrowed(&bytes[..end]), end + 1));
    }
    let mut name = bytes[..end].to_vec();
    let mut at = end;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        if byte == b'"' {
            return Some((Cow::Owned(name), at));
        }
        if byte != b'\\' {
            name.push(byte);
            continue;
        }
        let letter = *bytes.get(at)?;
        at += 1;
        match letter {
            b'b' => name.push(8),
            b't' => name.push(9),
            b'n' => name.push(10),
            b'f' => name.push(12),
            b'r' => name.push(13),
            b'u' => {
                let digits = std::str::from_utf8(bytes.get(at..at + 4)?).ok()?;
                let point = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                at += 4;
                name.extend_from_slice(point.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => name.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    fn text(number: i16) -> Node<'static> {
        Node::Scalar(5, Box::leak(Box::new(number.to_le_bytes())))
    }

    #[test]
    fn paths_have_members_and_elements() {
        let legs = read_path(br#"$.a[12]."b c\"\\\u0001"[last][last-3]"#).unwrap();
        let name = |name: &'static [u8]| Leg::Member(Cow::Borrowed(name));
        assert_eq!(
            legs,
            [
                name(b"a"),
                Leg::Element(12),
                name(b"b c\"\\\x01"),
                Leg::FromLast(0),
                Leg::FromLast(3)
            ]
        );
        for bad in [
            &b""[..],
            b"a",
            b"$a",
            b"$[",
            b"$[x]",
            b"$.",
            b"$.\"a",
            b"$[-1]",
            b"$[last+1]",
            b"$[last-]",
            b"$.\"\\u12",
        ] {
            assert!(read_path(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn values_that_share_their_bytes_are_refused() {
        // A small array of two texts at one place.
        let mut twice = vec![2, 2, 0, 31, 0, 12, 10, 0, 12, 10, 0, 20];
        twice.extend_from_slice(&[b'x'; 20]);
        assert!(Node::parse(&twice).is_err());
        assert!(Json::new(&twice).write(&mut Vec::new()).is_err());
    }

    #[test]
    fn changes_keep_the_order_of_keys() {
        let mut node = Node::Object(vec![
            (Cow::Borrowed(b"b"), text(1)),
            (Cow::Borrowed(b"aa"), Node::Array(vec![text(-2), text(3)])),
        ]);
        let five = Node::Array(vec![text(5)]).to_document().unwrap();
        let diff = |operation, path, value: Option<&'static [u8]>| JsonDiff {
            operation,
            path,
            value: value.map(Json::new),
        };
        let five: &'static [u8] = five.leak();
        use JsonOperation::*;
        for change in [
            diff(Insert, b"$.c", Some(five)),
            diff(Insert, b"$.a", Some(five)),
            diff(Insert, b"$.aa[9]", Some(five)),
            diff(Insert, b"$.aa[0]", Some(five)),
            diff(Remove, b"$.aa[1]", None),
            diff(Replace, b"$.aa[last][last]", Some(&[4, 1])),
            diff(Replace, b"$.b[0]", Some(&[5, 9, 0])),
        ] {
            node.apply(&change).unwrap();
        }
        let document = node.to_document().unwrap();
        assert_eq!(
            Json::new(&document).to_text(),
            r#"{"a": [5], "b": 9, "c": [5], "aa": [[5], 3, [true]]}"#
        );
        assert_eq!(Node::parse(&document).unwrap(), node);
        for wrong in [
            diff(Insert, b"$.a", Some(five)),
            diff(Remove, b"$.none", None),
            diff(Replace, b"$.b[1]", Some(five)),
            diff(Remove, b"$.aa[last-3]", None),
            diff(Remove, b"$.aa[7]", None),
            diff(Remove, b"$", None),
        ] {
            assert!(node.apply(&wrong).is_err(), "{wrong:?}");
        }
    }

    /// 65 535 bytes are the most that the small form holds.
    #[test]
    fn containers_grow_into_their_large_form() {
        for length in [100, 16_384, 65_500, 70_000] {
            let mut scalar = vec![0x80 | (length & 0x7f) as u8, 0x80 | (length >> 7 & 0x7f) as u8];
            scalar.push((length >> 14) as u8);
            scalar.resize(scalar.len() + length, b'x');
            let node = Node::Array(vec![
                text(-1),
                Node::Scalar(12, &scalar),
                Node::Scalar(7, &[0xfe, 0xff, 0xff, 0xff]),
            ]);
            let document = node.to_document().unwrap();
            assert_eq!(document[0], if length < 65_510 { 2 } else { 3 }, "{length}");
            let wanted = format!("[-1, \"{}\", -2]", "x".repeat(length));
            assert_eq!(Json::new(&document).to_text(), wanted);
            assert_eq!(Node::parse(&document).unwrap(), node);
        }
    }
}
