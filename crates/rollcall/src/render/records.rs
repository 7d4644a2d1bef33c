//! Answers for programs: JSON, one object per line, and CSV with a heading line.
//!
//! ```text
//! {"server":"db1","user":"app","host":"10.0.0.7","first_seen":"2026-11-20T07:18:43Z","logins":4}
//! server,user,host,first_seen,logins
//! db1,app,10.0.0.7,2026-11-20T07:18:43Z,4
//! ```
//!
//! * Absent values are `null` in JSON and empty in CSV; 64-bit ids are strings in JSON.
//! * A name that is not UTF-8 is shown lossily; JSON has its bytes in `<field>_hex` beside it, in
//!   that object only. CSV gets the columns `<field>_hex` behind all others, in answers that hold
//!   at least one name which CSV cannot show to the letter (not UTF-8, control characters written
//!   out, an apostrophe put before a formula), and fills them for those names.
//! * CSV lines end in LF, so that line tools read them; quoting is RFC 4180's.

use std::io::{self, Write};

use super::escape::{csv_field, csv_is_exact, hex, json_string, shown};
use crate::time::utc_text;

/// One field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Absent,
    /// Raw bytes from a log.
    Name(Vec<u8>),
    /// Words of ours, or text made of them.
    Text(String),
    /// Several names, lossily where they are not UTF-8: a list in JSON; in CSV as in tables, with `, ` between them.
    Names(Vec<Vec<u8>>),
    /// A number that is counted or measured.
    Number(u64),
    /// One that may be below zero.
    Integer(i64),
    /// A time in microseconds UTC.
    Time(i64),
    /// A share in per cent, in tenths.
    Tenths(u64),
    Flag(bool),
    /// Structured, as JSON; in CSV the same text.
    Json(Json),
}

/// A structured value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    /// A number that is counted.
    Count(u64),
    /// Digits of any number. Whole ones of more than 53 bits, which readers of JSON would round, become
    /// texts.
    Number(String),
    /// Raw bytes.
    Text(Vec<u8>),
    List(Vec<Json>),
    /// Names are raw bytes, too.
    Object(Vec<(Vec<u8>, Json)>),
}

impl Json {
    /// A text of ours.
    pub(crate) fn text(text: &str) -> Json {
        Json::Text(text.as_bytes().to_vec())
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Count(number) => out.push_str(&number.to_string()),
            Json::Number(digits) if is_rounded(digits) => out.push_str(&json_string(digits)),
            Json::Number(digits) => out.push_str(digits),
            Json::Text(text) => out.push_str(&json_string(&String::from_utf8_lossy(text))),
            Json::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(fields) => {
                out.push('{');
                for (at, (name, value)) in fields.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    let name = String::from_utf8_lossy(name);
                    out.push_str(&json_string(&name));
                    out.push(':');
                    value.write(out);
                    if let Json::Text(text) = value
                        && std::str::from_utf8(text).is_err()
                    {
                        let beside = json_string(&format!("{name}_hex"));
                        out.push_str(&format!(",{beside}:\"{}\"", hex(text)));
                    }
                }
                out.push('}');
            }
        }
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }
}

/// Whether a whole number is beyond what doubles hold exactly.
fn is_rounded(digits: &str) -> bool {
    const EXACT_MAX: u64 = 1 << 53;
    let whole = digits.strip_prefix('-').unwrap_or(digits);
    let is_whole = whole.bytes().all(|byte| byte.is_ascii_digit());
    is_whole && whole.parse::<u64>().map_or(true, |number| number > EXACT_MAX)
}

impl Value {
    /// A number, or nothing.
    pub(crate) fn number(value: Option<impl Into<u64>>) -> Value {
        value.map_or(Value::Absent, |it| Value::Number(it.into()))
    }

    /// A time in microseconds UTC, or nothing.
    pub(crate) fn time(value: Option<i64>) -> Value {
        value.map_or(Value::Absent, Value::Time)
    }

    /// A name, or nothing.
    pub(crate) fn name(value: Option<&[u8]>) -> Value {
        value.map_or(Value::Absent, |it| Value::Name(it.to_vec()))
    }

    /// A server's name; nothing where no record tells it.
    pub(crate) fn server(name: &[u8]) -> Value {
        Value::name(Some(name).filter(|it| !it.is_empty()))
    }

    /// A word of ours.
    pub(crate) fn word(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }
}

/// Rows with the same fields.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    /// The fields, in the order of CSV columns.
    pub(crate) fields: &'static [&'static str],
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Records {
    /// No rows yet.
    pub(crate) fn new(fields: &'static [&'static str]) -> Records {
        Records { fields, rows: Vec::new() }
    }

    /// Adds a row: one value a field.
    pub(crate) fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.fields.len());
        self.rows.push(row);
    }

    /// One JSON object per line.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        for row in &self.rows {
            let mut parts = Vec::with_capacity(row.len());
            for (field, value) in self.fields.iter().zip(row) {
                parts.push(format!("\"{field}\":{}", json_value(value)));
                if let Value::Name(name) = value
                    && std::str::from_utf8(name).is_err()
                {
                    parts.push(format!("\"{field}_hex\":\"{}\"", hex(name)));
                }
            }
            writeln!(out, "{{{}}}", parts.join(","))?;
        }
        Ok(())
    }

    /// A heading line and one line per row.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let inexact: Vec<usize> = (0..self.fields.len())
            .filter(|&at| self.rows.iter().any(|row| is_inexact(&row[at])))
            .collect();
        let mut heading: Vec<String> = self.fields.iter().map(|&it| it.to_owned()).collect();
        heading.extend(inexact.iter().map(|&at| format!("{}_hex", self.fields[at])));
        writeln!(out, "{}", heading.join(","))?;
        for row in &self.rows {
            let mut parts: Vec<String> = row.iter().map(csv_value).collect();
            parts.extend(inexact.iter().map(|&at| match &row[at] {
                Value::Name(name) if is_inexact(&row[at]) => hex(name),
                _ => String::new(),
            }));
            writeln!(out, "{}", parts.join(","))?;
        }
        Ok(())
    }

    /// The rows alone, without heading and without `_hex` columns: behind others that are out already.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_csv_rows(&self, out: &mut impl Write) -> io::Result<()> {
        for row in &self.rows {
            let parts: Vec<String> = row.iter().map(csv_value).collect();
            writeln!(out, "{}", parts.join(","))?;
        }
        Ok(())
    }
}

fn is_inexact(value: &Value) -> bool {
    matches!(value, Value::Name(name) if !csv_is_exact(name))
}

fn json_value(value: &Value) -> String {
    match value {
        Value::Absent => "null".to_owned(),
        Value::Name(name) => json_string(&String::from_utf8_lossy(name)),
        Value::Text(text) => json_string(text),
        Value::Json(json) => json.to_text(),
        Value::Time(time) => json_string(&utc_text(*time)),
        Value::Names(names) => {
            let names = names.iter().map(|name| json_string(&String::from_utf8_lossy(name)));
            format!("[{}]", names.collect::<Vec<_>>().join(","))
        }
        Value::Number(_) | Value::Integer(_) | Value::Tenths(_) | Value::Flag(_) => {
            csv_value(value)
        }
    }
}

fn csv_value(value: &Value) -> String {
    match value {
        Value::Absent => String::new(),
        Value::Name(name) => csv_field(&String::from_utf8_lossy(name)),
        Value::Text(text) => csv_field(text),
        Value::Json(json) => csv_field(&json.to_text()),
        Value::Time(time) => utc_text(*time),
        Value::Names(names) => {
            let names = names.iter().map(|name| shown(name));
            csv_field(&names.collect::<Vec<_>>().join(", "))
        }
        Value::Number(number) => number.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Tenths(tenths) => format!("{}.{}", tenths / 10, tenths % 10),
        Value::Flag(flag) => flag.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::escape::tests::{HOSTILE, assert_inert};

    impl Records {
        fn json(&self) -> String {
            let mut out = Vec::new();
            self.write_json(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        }

        fn csv(&self) -> String {
            let mut out = Vec::new();
            self.write_csv(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        }
    }

    fn example() -> Records {
        let mut records = Records::new(&["user", "host", "first", "logins", "contested"]);
        records.push(vec![
            Value::Name(b"app".to_vec()),
            Value::Absent,
            Value::Time(1_795_159_123_000_000),
            Value::Number(u64::MAX),
            Value::Flag(true),
        ]);
        records.push(vec![
            Value::Name(b"\xffx".to_vec()),
            Value::Name(b"=1,\"2\"".to_vec()),
            Value::Time(-1),
            Value::Tenths(973),
            Value::word("a word"),
        ]);
        records
    }

    #[test]
    fn json_is_one_object_a_line() {
        insta::assert_snapshot!(example().json(), @r#"
        {"user":"app","host":null,"first":"2026-11-20T07:18:43Z","logins":18446744073709551615,"contested":true}
        {"user":"�x","user_hex":"ff78","host":"=1,\"2\"","first":"1969-12-31T23:59:59.999999Z","logins":97.3,"contested":"a word"}
        "#);
        for line in example().json().lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).unwrap().is_object());
        }
    }

    #[test]
    fn several_names_are_told_apart() {
        let mut records = Records::new(&["schemas", "growth"]);
        let names = [&b"a"[..], b"b, c", b"", b"x\x1b\"\xff"].map(<[u8]>::to_vec).to_vec();
        records.push(vec![Value::Names(names), Value::Integer(-5)]);
        records.push(vec![Value::Names(Vec::new()), Value::Integer(5)]);
        insta::assert_snapshot!(records.json(), @r#"
        {"schemas":["a","b, c","","x\u001b\"�"],"growth":-5}
        {"schemas":[],"growth":5}
        "#);
        insta::assert_snapshot!(records.csv(), @r#"
        schemas,growth
        "a, 'b, c', '', 'x\x1b""�'",-5
        ,5
        "#);
    }

    #[test]
    fn csv_has_exact_bytes_behind_where_needed() {
        insta::assert_snapshot!(example().csv(), @r#"
        user,host,first,logins,contested,user_hex,host_hex
        app,,2026-11-20T07:18:43Z,18446744073709551615,true,,
        �x,"'=1,""2""",1969-12-31T23:59:59.999999Z,97.3,a word,ff78,3d312c223222
        "#);
    }

    #[test]
    fn hostile_names_keep_their_line_and_their_bytes() {
        let mut records = Records::new(&["user"]);
        for name in HOSTILE {
            records.push(vec![Value::Name(name.to_vec())]);
        }
        let json = records.json();
        let csv = records.csv();
        assert_eq!(json.lines().count(), HOSTILE.len());
        assert_eq!(csv.lines().count(), HOSTILE.len() + 1);
        for (name, line) in HOSTILE.iter().zip(json.lines()) {
            assert_inert(line);
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            let known = match object.get("user_hex") {
                Some(digits) => digits.as_str().unwrap().to_owned(),
                None => hex(object["user"].as_str().unwrap().as_bytes()),
            };
            assert_eq!(known, hex(name));
        }
        csv.lines().for_each(assert_inert);
    }

    #[test]
    fn structured_values_are_inert_and_lose_nothing() {
        for name in HOSTILE {
            let object = Json::Object(vec![(name.to_vec(), Json::Text(name.to_vec()))]);
            let text = object.to_text();
            assert_inert(&text);
            let back: serde_json::Value = serde_json::from_str(&text).unwrap();
            let lossy = String::from_utf8_lossy(name).into_owned();
            assert_eq!(back[&lossy], lossy);
            let is_exact = std::str::from_utf8(name).is_ok();
            let beside = back.get(format!("{lossy}_hex"));
            assert_eq!(beside.is_none(), is_exact, "{text}");
        }
        let number = |digits: &str| Json::Number(digits.to_owned()).to_text();
        assert_eq!(number("9007199254740992"), "9007199254740992");
        assert_eq!(number("9007199254740993"), "\"9007199254740993\"");
        assert_eq!(number("-9007199254740993"), "\"-9007199254740993\"");
        assert_eq!(number("99999999999999999999"), "\"99999999999999999999\"");
        assert_eq!(number("-1.5e300"), "-1.5e300");
        let list = Json::List(vec![Json::Null, Json::Count(2), Json::text("a\"b")]);
        assert_eq!(list.to_text(), r#"[null,2,"a\"b"]"#);
    }
}
