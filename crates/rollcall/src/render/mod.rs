//! The only place where answers become bytes for people and programs, and the only place that
//! escapes.
//!
//! ```text
//! answers ─ Page ────┬─ text   terminal, mail
//!         │          └─ html   one file, report --html
//!         └ Records ─┬─ json   one object per line
//!                    └─ csv
//! ```
//!
//! # Invariants
//! * Names reach a [`Page`] through [`shown`]; whatever is in a page is made inert once more when
//!   it is put out, so a forgotten call cannot act on a terminal or in a browser.

mod escape;
mod html;
mod metrics;
mod records;
mod table;
mod text;

use std::io::{self, Write};

#[cfg(test)]
pub(crate) use escape::tests;
pub(crate) use escape::{hex, inert, shown, shown_plain};
pub(crate) use html::html_page;
pub(crate) use metrics::{Kind, Metric, Number, metrics_text_beside};
pub(crate) use records::{Json, Records, Value};
pub(crate) use table::{Column, Table};
pub(crate) use text::{page_text, spark, thousands, unit_bytes};

/// What people see: blocks from top to bottom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub(crate) blocks: Vec<Block>,
}

/// One part of a page.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    /// A sentence; wrapped between words.
    Line(String),
    /// Space between parts.
    Blank,
    /// Lines that stay as they are: text that is to be copied.
    Verbatim(Vec<String>),
    Table(Table),
    /// A label, and short texts in a row: `root from   localhost 812 · 10.0.0.5 3`.
    Items {
        label: &'static str,
        items: Vec<String>,
    },
    /// The same with each text on a line of its own.
    List {
        label: &'static str,
        items: Vec<String>,
    },
}

impl Page {
    /// Adds a sentence.
    pub(crate) fn line(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Line(text.into()));
    }

    /// Adds lines that stay as they are.
    pub(crate) fn verbatim(&mut self, text: &str) {
        self.blocks.push(Block::Verbatim(text.lines().map(str::to_owned).collect()));
    }

    /// Adds space.
    pub(crate) fn blank(&mut self) {
        self.blocks.push(Block::Blank);
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, table: Table) {
        self.blocks.push(Block::Table(table));
    }

    /// Adds a labelled row of texts, if there are any.
    pub(crate) fn items(&mut self, label: &'static str, items: Vec<String>) {
        if !items.is_empty() {
            self.blocks.push(Block::Items { label, items });
        }
    }

    /// Adds labelled texts below each other, if there are any.
    pub(crate) fn list(&mut self, label: &'static str, items: Vec<String>) {
        if !items.is_empty() {
            self.blocks.push(Block::List { label, items });
        }
    }
}

/// An answer in both forms. `records` may have several kinds of rows, told apart by their fields;
/// CSV holds the first kind only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) page: Page,
    pub(crate) records: Vec<Records>,
    /// How many rows answer the question, in whichever form.
    pub(crate) rows: usize,
}

/// How an answer is put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned text for people
    Table,
    /// One JSON object per line
    Json,
    /// A heading line and comma-separated values
    Csv,
}

impl Answer {
    /// Writes the answer. `width` is the terminal's, `None` without one.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write(
        &self,
        format: Format,
        width: Option<usize>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match format {
            Format::Table => out.write_all(page_text(&self.page, width).as_bytes()),
            Format::Json => self.records.iter().try_for_each(|it| it.write_json(out)),
            Format::Csv => self.records.first().map_or(Ok(()), |it| it.write_csv(out)),
        }
    }

    /// Writes the rows of the first records as CSV, behind others with the same heading.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_more_csv(&self, out: &mut impl Write) -> io::Result<()> {
        self.records.first().map_or(Ok(()), |it| it.write_csv_rows(out))
    }

    /// The answer as text.
    #[cfg(test)]
    pub(crate) fn text(&self, format: Format, width: Option<usize>) -> String {
        let mut out = Vec::new();
        self.write(format, width, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}
