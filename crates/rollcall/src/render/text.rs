//! Pages as plain text, and numbers as people read them.

use unicode_width::UnicodeWidthStr;

use super::table::shorten;
use super::{Block, Page, inert};

/// Cells from the beginning of a labelled row to its texts.
const LABEL_WIDTH: usize = 12;

/// Between the texts of a labelled row.
const BETWEEN: &str = " · ";

/// The page as lines, fitted into `width` cells where one is given.
pub(crate) fn page_text(page: &Page, width: Option<usize>) -> String {
    let mut lines = Vec::new();
    for block in &page.blocks {
        match block {
            Block::Line(text) => lines.extend(wrap(&inert(text), " ", width)),
            Block::Blank => lines.push(String::new()),
            Block::Verbatim(text) => lines.extend(text.iter().map(|line| inert(line))),
            Block::Table(table) => lines.extend(table.lines(width)),
            Block::Items { label, items } => {
                push_labelled(&mut lines, label, &item_rows(items, room(width)));
            }
            Block::List { label, items } => {
                let rows: Vec<String> =
                    items.chunks(1).flat_map(|item| item_rows(item, room(width))).collect();
                push_labelled(&mut lines, label, &rows);
            }
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The cells behind a label.
fn room(width: Option<usize>) -> Option<usize> {
    width.map(|width| width.saturating_sub(LABEL_WIDTH).max(20))
}

fn push_labelled(lines: &mut Vec<String>, label: &str, rows: &[String]) {
    for (at, row) in rows.iter().enumerate() {
        let label = if at == 0 { label } else { "" };
        lines.push(format!("{label:LABEL_WIDTH$}{row}"));
    }
}

/// The texts in rows that fit `room`. One that is wider than a row is broken between its words, a
/// word that is wider still is shortened.
fn item_rows(items: &[String], room: Option<usize>) -> Vec<String> {
    let items: Vec<String> = items.iter().map(|item| inert(item)).collect();
    let rows = wrap(&items.join(BETWEEN), BETWEEN, room);
    let Some(room) = room else { return rows };
    let mut fitted = Vec::new();
    for row in rows {
        if row.width() <= room {
            fitted.push(row);
            continue;
        }
        for (at, part) in wrap(&row, " ", Some(room - 2)).iter().enumerate() {
            let indent = if at == 0 { "" } else { "  " };
            fitted.push(format!("{indent}{}", shorten(part, room - 2)));
        }
    }
    fitted
}

/// Breaks `text` at `separator` so that each line fits; a part too wide for a line stands alone.
pub(super) fn wrap(text: &str, separator: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    let mut lines: Vec<String> = Vec::new();
    for part in text.split(separator) {
        match lines.last_mut() {
            Some(line) if line.width() + separator.width() + part.width() <= width => {
                line.push_str(separator);
                line.push_str(part);
            }
            _ => lines.push(part.to_owned()),
        }
    }
    lines
}

/// `41207` as `41,207`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in powers of 1000: `3.0 GB`.
pub(crate) fn unit_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    let mut at = 0;
    while tenths >= 10_000 && at + 1 < UNITS.len() {
        tenths /= 1000;
        at += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[at])
}

/// Numbers as a row of bars, the largest full; zero is a blank dot at the base line.
pub(crate) fn spark(values: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().max().unwrap_or(0);
    let bar = |value: u64| match value {
        0 => '·',
        value => BARS[((u128::from(value) * 8 - 1) / u128::from(most)) as usize],
    };
    values.iter().map(|&value| bar(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (41_207, "41,207"), (1_000_000, "1,000,000")]
        {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn bytes_have_units_of_1000() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_999, "1.9 kB"),
            (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (3_000_000_000, "3.0 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(unit_bytes(bytes), text);
        }
    }

    #[test]
    fn bars_reach_from_least_to_most() {
        assert_eq!(spark(&[]), "");
        assert_eq!(spark(&[0, 0]), "··");
        assert_eq!(spark(&[1, 2, 3, 4, 5, 6, 7, 8, 0]), "▁▂▃▄▅▆▇█·");
        assert_eq!(spark(&[u64::MAX, 1]), "█▁");
        assert_eq!(spark(&[5]), "█");
    }

    #[test]
    fn pages_fit_their_width() {
        let mut page = Page::default();
        page.line("a sentence that is longer than the width of the terminal it is for");
        page.items("root from", (0..20).map(|it| format!("10.0.0.{it} {it}")).collect());
        page.items("nothing", Vec::new());
        insta::assert_snapshot!(page_text(&page, Some(40)), @r#"
        a sentence that is longer than the width
        of the terminal it is for
        root from   10.0.0.0 0 · 10.0.0.1 1
                    10.0.0.2 2 · 10.0.0.3 3
                    10.0.0.4 4 · 10.0.0.5 5
                    10.0.0.6 6 · 10.0.0.7 7
                    10.0.0.8 8 · 10.0.0.9 9
                    10.0.0.10 10 · 10.0.0.11 11
                    10.0.0.12 12 · 10.0.0.13 13
                    10.0.0.14 14 · 10.0.0.15 15
                    10.0.0.16 16 · 10.0.0.17 17
                    10.0.0.18 18 · 10.0.0.19 19
        "#);
        assert_eq!(page_text(&page, None).lines().count(), 2);
    }
}
