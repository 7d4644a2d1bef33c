//! One flat JSON object on one line, taken apart without copying.
//!
//! # What it is not
//! * No JSON library: strings may hold bytes that are not UTF-8, and nested values are only passed
//!   over.

/// More keys than any writer has; a line with more is no record.
pub(super) const KEYS_MAX: usize = 64;

/// How deep a value may be nested.
const DEPTH_MAX: usize = 16;

/// A value as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// The text between the quotes, escapes and all.
    Text(&'a [u8]),
    /// A number, as written.
    Number(&'a [u8]),
    Null,
    /// `true`, `false`, an array or an object.
    Other,
}

/// Why a line is not one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not valid.
    Syntax,
    /// Valid, and more stands behind it.
    More,
}

/// Takes an object apart: its keys as written, with their values, in order.
pub(super) fn object(line: &[u8]) -> Result<Vec<(&[u8], Value<'_>)>, Fault> {
    let mut cursor = Cursor { rest: line };
    let mut members = Vec::new();
    cursor.expect(b'{').ok_or(Fault::Syntax)?;
    cursor.members(&mut members).ok_or(Fault::Syntax)?;
    cursor.skip_space();
    if cursor.rest.is_empty() { Ok(members) } else { Err(Fault::More) }
}

/// Appends the text that a string stands for. `None` where an escape is none.
pub(super) fn unescape(text: &[u8], into: &mut Vec<u8>) -> Option<()> {
    let mut rest = text;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        into.extend_from_slice(&rest[..backslash]);
        let (&escape, after) = rest[backslash + 1..].split_first()?;
        rest = after;
        into.push(match escape {
            b'"' | b'\\' | b'/' => escape,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (character, after) = unicode(after)?;
                rest = after;
                into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return None,
        });
    }
    into.extend_from_slice(rest);
    Some(())
}

/// The character of `\uXXXX` (behind the `u`), or of a pair of surrogates.
fn unicode(text: &[u8]) -> Option<(char, &[u8])> {
    let (high, rest) = hex4(text)?;
    if !(0xD800..0xDC00).contains(&high) {
        return Some((char::from_u32(high)?, rest));
    }
    let (low, rest) = hex4(rest.strip_prefix(b"\\u")?)?;
    if !(0xDC00..0xE000).contains(&low) {
        return None;
    }
    let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    Some((char::from_u32(code)?, rest))
}

fn hex4(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let value = digits.iter().try_fold(0, |sum, &b| Some(sum * 16 + hex_digit(b)?))?;
    Some((value, rest))
}

/// The value of a hexadecimal digit.
pub(super) fn hex_digit(digit: u8) -> Option<u32> {
    char::from(digit).to_digit(16)
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn skip_space(&mut self) {
        let spaces = |b: &&u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
        let count = self.rest.iter().take_while(spaces).count();
        self.rest = &self.rest[count..];
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    fn takes(&mut self, byte: u8) -> bool {
        self.expect(byte).is_some()
    }

    /// What stands behind an opening brace, and the closing one.
    fn members(&mut self, members: &mut Vec<(&'a [u8], Value<'a>)>) -> Option<()> {
        if self.takes(b'}') {
            return Some(());
        }
        loop {
            self.expect(b'"')?;
            let key = self.string()?;
            self.expect(b':')?;
            let value = self.value(0)?;
            if members.len() == KEYS_MAX {
                return None;
            }
            members.push((key, value));
            if !self.takes(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// What stands behind an opening quote, and the closing one. No control characters.
    fn string(&mut self) -> Option<&'a [u8]> {
        let mut at = 0;
        loop {
            match *self.rest.get(at)? {
                b'"' => break,
                b'\\' => match *self.rest.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                    b'u' => {
                        hex4(&self.rest[at + 2..])?;
                        at += 6;
                    }
                    _ => return None,
                },
                0..0x20 => return None,
                _ => at += 1,
            }
        }
        let (text, rest) = self.rest.split_at(at);
        self.rest = &rest[1..];
        Some(text)
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        self.skip_space();
        let (&first, behind) = self.rest.split_first()?;
        match first {
            b'"' => {
                self.rest = behind;
                self.string().map(Value::Text)
            }
            b'{' | b'[' => {
                self.rest = behind;
                self.nested(first, depth)
            }
            b'-' | b'0'..=b'9' => {
                let part = |b: &&u8| b.is_ascii_digit() || b"+-.eE".contains(b);
                let count = self.rest.iter().take_while(part).count();
                let (number, rest) = self.rest.split_at(count);
                self.rest = rest;
                Some(Value::Number(number))
            }
            _ => {
                for (word, value) in
                    [(&b"null"[..], Value::Null), (b"true", Value::Other), (b"false", Value::Other)]
                {
                    if let Some(rest) = self.rest.strip_prefix(word) {
                        self.rest = rest;
                        return Some(value);
                    }
                }
                None
            }
        }
    }

    /// Passes over an array or an object, behind its opening bracket.
    fn nested(&mut self, open: u8, depth: usize) -> Option<Value<'a>> {
        let close = if open == b'{' { b'}' } else { b']' };
        if depth == DEPTH_MAX {
            return None;
        }
        if self.takes(close) {
            return Some(Value::Other);
        }
        loop {
            if open == b'{' {
                self.expect(b'"')?;
                self.string()?;
                self.expect(b':')?;
            }
            self.value(depth + 1)?;
            if !self.takes(b',') {
                self.expect(close)?;
                return Some(Value::Other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(line: &str) -> Result<Vec<String>, Fault> {
        let members = object(line.as_bytes())?;
        Ok(members.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect())
    }

    #[test]
    fn objects() {
        assert_eq!(keys("{}"), Ok(vec![]));
        assert_eq!(
            object(br#" { "a" : "x\"y" , "b":-1.5e3,"c":null,"d":[1,{"e":"}"},[]],"f":true } "#),
            Ok(vec![
                (&b"a"[..], Value::Text(br#"x\"y"#)),
                (b"b", Value::Number(b"-1.5e3")),
                (b"c", Value::Null),
                (b"d", Value::Other),
                (b"f", Value::Other),
            ])
        );
        assert_eq!(keys(r#"{"a":1}{"b":2}"#), Err(Fault::More));
        for bad in [
            "",
            "{",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\user"}"#,
            "{\"a\":\"\t\"}",
            r#"{"a":x}"#,
        ] {
            assert_eq!(keys(bad), Err(Fault::Syntax), "{bad}");
        }
    }

    #[test]
    fn bounds() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(keys(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(keys(&nested(DEPTH_MAX + 1)), Err(Fault::Syntax));
        let many = |count: usize| {
            let members: Vec<String> = (0..count).map(|i| format!("\"k{i}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(keys(&many(KEYS_MAX)).map(|keys| keys.len()), Ok(KEYS_MAX));
        assert_eq!(keys(&many(KEYS_MAX + 1)), Err(Fault::Syntax));
    }

    #[test]
    fn escapes() {
        let check = |text: &str, expected: Option<&str>| {
            let mut into = Vec::new();
            let found = unescape(text.as_bytes(), &mut into).map(|()| into);
            assert_eq!(found, expected.map(|text| text.as_bytes().to_vec()), "{text}");
        };
        check(r#"a\"\\\/\b\f\n\r\tz"#, Some("a\"\\/\u{8}\u{c}\n\r\tz"));
        check(r"\u0041\u20ac\ud83d\ude00\u0000", Some("A\u{20ac}\u{1f600}\0"));
        for bad in
            [r"\ud83d", r"\ud83dx", r"\ud83d\u0041", r"\ude00", r"\u12", r"\u12g4", r"\x", "\\"]
        {
            check(bad, None);
        }
    }
}
