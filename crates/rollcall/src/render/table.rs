//! Tables as text: no lines, two blanks between columns, a row is one line.
//!
//! ```text
//! LAST LOGIN        USER      FROM        LOGINS
//! 2026-08-30 04:12  old_blog  10.0.0.7         4
//! ```
//!
//! Where the terminal is too narrow, columns that can be missed go first (the last row says which),
//! then the widest columns of text are shortened with `…`. Without a terminal nothing is shortened.

use unicode_width::UnicodeWidthStr;

use super::escape::inert;

/// Blanks between two columns.
const GUTTER: usize = 2;

/// No column of names is shortened below this width: less tells nothing.
const NAME_WIDTH_MIN: usize = 10;

/// No column of hosts is shortened below this width: an IPv4 address fits.
const HOST_WIDTH_MIN: usize = 15;

/// Where even that does not fit, names, hosts, prose and paths are shortened to this width.
const NARROW_WIDTH_MIN: usize = 4;

/// No column of prose or paths is shortened below this width.
const PROSE_WIDTH_MIN: usize = 20;

/// Where a column's texts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A column's heading and manners.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) heading: String,
    pub(crate) align: Align,
    /// The least width its texts may be shortened to; `None`: they are never shortened.
    width_min: Option<usize>,
    /// Whether texts lose their beginning rather than their end.
    keeps_end: bool,
    /// Columns with a higher number go first where the terminal is too narrow; 0 stays.
    dispensable: u8,
}

impl Column {
    /// Times and words, never shortened.
    pub(crate) fn fixed(heading: &str) -> Column {
        Column {
            heading: heading.to_owned(),
            align: Align::Left,
            width_min: None,
            keeps_end: false,
            dispensable: 0,
        }
    }

    /// Names, shortened where there is no room.
    pub(crate) fn name(heading: &str) -> Column {
        Column { width_min: Some(NAME_WIDTH_MIN), ..Column::fixed(heading) }
    }

    /// Hosts and networks, shortened where there is no room.
    pub(crate) fn host(heading: &str) -> Column {
        Column { width_min: Some(HOST_WIDTH_MIN), ..Column::fixed(heading) }
    }

    /// Prose, shortened where there is no room.
    pub(crate) fn prose(heading: &str) -> Column {
        Column { width_min: Some(PROSE_WIDTH_MIN), ..Column::fixed(heading) }
    }

    /// Paths, which lose their beginning where there is no room.
    pub(crate) fn path(heading: &str) -> Column {
        Column { keeps_end: true, ..Column::prose(heading) }
    }

    /// Numbers, to the right, never shortened.
    pub(crate) fn number(heading: &str) -> Column {
        Column { align: Align::Right, ..Column::fixed(heading) }
    }

    /// May be left out; a higher `rank` goes first.
    pub(crate) fn dispensable(self, rank: u8) -> Column {
        Column { dispensable: rank, ..self }
    }
}

/// Rows of text under headings.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<String>>,
    /// Widths that columns have at least, so that lines that come one by one stand below each other.
    widths_least: Vec<usize>,
    /// Its heading stands above already.
    is_continued: bool,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: Vec<Column>) -> Table {
        Table { columns, rows: Vec::new(), widths_least: Vec::new(), is_continued: false }
    }

    /// A piece of a table that comes line by line: its columns have these widths at least.
    pub(crate) fn piece(self, widths_least: &[usize], is_continued: bool) -> Table {
        Table { widths_least: widths_least.to_vec(), is_continued, ..self }
    }

    /// Adds a row: one text a column.
    pub(crate) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// The lines, fitted into `width` cells where one is given and it can be done.
    pub(crate) fn lines(&self, width: Option<usize>) -> Vec<String> {
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|text| inert(text)).collect()).collect();
        let mut kept: Vec<usize> = (0..self.columns.len()).collect();
        let mut widths = self.natural_widths(&rows);
        let mut left_out = Vec::new();
        if let Some(width) = width {
            while self.narrowest(&kept, &widths) > width {
                let Some(&gone) = kept
                    .iter()
                    .filter(|&&at| self.columns[at].dispensable > 0)
                    .max_by_key(|&&at| self.columns[at].dispensable)
                else {
                    break;
                };
                kept.retain(|&at| at != gone);
                left_out.push(self.columns[gone].heading.as_str());
            }
            let natural = widths.clone();
            shrink(&kept, &mut widths, width, |at| self.floor(at, natural[at]));
            let narrow = |at: usize| match self.columns[at].width_min {
                Some(_) => natural[at].min(NARROW_WIDTH_MIN),
                None => natural[at],
            };
            shrink(&kept, &mut widths, width, narrow);
        }
        let headings: Vec<String> = self.columns.iter().map(|it| it.heading.clone()).collect();
        let headings = (!self.is_continued).then_some(&headings);
        let mut lines: Vec<String> =
            headings.into_iter().chain(&rows).map(|row| self.line(row, &kept, &widths)).collect();
        if !left_out.is_empty() && !self.is_continued {
            let text = format!("(no room for {})", left_out.join(", "));
            lines.extend(super::text::wrap(&text, " ", width));
        }
        lines
    }

    fn natural_widths(&self, rows: &[Vec<String>]) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|it| it.heading.width()).collect();
        for row in rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.width());
            }
        }
        for (width, least) in widths.iter_mut().zip(&self.widths_least) {
            *width = (*width).max(*least);
        }
        widths
    }

    /// The least a column can be shortened to.
    fn floor(&self, at: usize, natural: usize) -> usize {
        let column = &self.columns[at];
        column.width_min.map_or(natural, |least| natural.min(least.max(column.heading.width())))
    }

    fn narrowest(&self, kept: &[usize], widths: &[usize]) -> usize {
        total(kept.iter().map(|&at| self.floor(at, widths[at])))
    }

    fn line(&self, row: &[String], kept: &[usize], widths: &[usize]) -> String {
        let mut line = String::new();
        for (place, &at) in kept.iter().enumerate() {
            if place > 0 {
                line.push_str(&" ".repeat(GUTTER));
            }
            let text = match self.columns[at].keeps_end {
                true => shorten_front(&row[at], widths[at]),
                false => shorten(&row[at], widths[at]),
            };
            let pad = " ".repeat(widths[at].saturating_sub(text.width()));
            match self.columns[at].align {
                Align::Left => line.extend([text, pad]),
                Align::Right => line.extend([pad, text]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Takes cells from the widest column above its floor, again and again, until the line fits.
fn shrink(kept: &[usize], widths: &mut [usize], width: usize, floor: impl Fn(usize) -> usize) {
    let mut excess = total(kept.iter().map(|&at| widths[at])).saturating_sub(width);
    while excess > 0 {
        let above = kept.iter().copied().filter(|&at| widths[at] > floor(at));
        let Some(at) = above.max_by_key(|&at| widths[at]) else { return };
        widths[at] -= 1;
        excess -= 1;
    }
}

fn total(widths: impl Iterator<Item = usize>) -> usize {
    let (sum, count) = widths.fold((0, 0), |(sum, count), width| (sum + width, count + 1));
    sum + GUTTER * usize::saturating_sub(count, 1)
}

/// `text` in at most `width` cells, the end replaced by `…` where it is longer.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let cells = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used + cells + 1 > width {
            break;
        }
        used += cells;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// As [`shorten`], but the beginning is replaced.
fn shorten_front(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let backwards: String = text.chars().rev().collect();
    shorten(&backwards, width).chars().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::escape::shown;
    use crate::render::escape::tests::{HOSTILE, assert_inert};

    fn example() -> Table {
        let mut table = Table::new(vec![
            Column::fixed("LAST LOGIN"),
            Column::name("USER"),
            Column::host("FROM").dispensable(1),
            Column::number("LOGINS"),
        ]);
        for (user, host, logins) in [
            ("old_blog", "a-very-long-host-name.example.com", "4"),
            ("日本語", "10.0.0.7", "1,234"),
        ] {
            table.push(["2026-08-30 04:12", user, host, logins].map(str::to_owned).to_vec());
        }
        table
    }

    #[test]
    fn columns_stand_below_each_other() {
        insta::assert_snapshot!(example().lines(None).join("\n"), @r#"
        LAST LOGIN        USER      FROM                               LOGINS
        2026-08-30 04:12  old_blog  a-very-long-host-name.example.com       4
        2026-08-30 04:12  日本語    10.0.0.7                            1,234
        "#);
    }

    #[test]
    fn narrow_terminals_shorten_then_leave_out() {
        insta::assert_snapshot!(example().lines(Some(50)).join("\n"), @r#"
        LAST LOGIN        USER      LOGINS
        2026-08-30 04:12  old_blog       4
        2026-08-30 04:12  日本語     1,234
        (no room for FROM)
        "#);
        insta::assert_snapshot!(example().lines(Some(44)).join("\n"), @r#"
        LAST LOGIN        USER      LOGINS
        2026-08-30 04:12  old_blog       4
        2026-08-30 04:12  日本語     1,234
        (no room for FROM)
        "#);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 34..100 {
            for line in example().lines(Some(width)) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn hostile_cells_stay_on_their_line() {
        let mut table = Table::new(vec![Column::name("USER"), Column::number("LOGINS")]);
        for name in HOSTILE {
            table.push(vec![shown(name), "1".to_owned()]);
            table.push(vec![String::from_utf8_lossy(name).into_owned(), "2".to_owned()]);
        }
        let lines = table.lines(Some(40));
        assert_eq!(lines.len(), 1 + 2 * HOSTILE.len());
        for line in lines {
            assert_inert(&line);
        }
    }

    #[test]
    fn shortened_text_keeps_to_its_cells() {
        for (text, width, expected) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "abcd…"),
            ("abcdef", 1, "…"),
            ("abcdef", 0, ""),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
        ] {
            assert_eq!(shorten(text, width), expected);
            let backwards = |text: &str| text.chars().rev().collect::<String>();
            assert_eq!(shorten_front(&backwards(text), width), backwards(expected));
        }
    }
}
