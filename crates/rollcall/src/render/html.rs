//! A page as one HTML file: no scripts, nothing loaded from elsewhere, light and dark, fit to
//! print.
//!
//! # Invariants
//! * Every text passes [`html`]; names never stand in an attribute, an address, a style or a
//!   comment.
//! * A content security policy in the file allows its own style and nothing else.

use super::escape::html;
use super::table::{Align, Table};
use super::{Block, Page};

const STYLE: &str = "\
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;\
color:CanvasText;background:Canvas}
h1{font-size:1.3rem}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.15rem 1.2rem .15rem 0;vertical-align:top;overflow-wrap:anywhere}
th{font-size:.8rem;border-bottom:1px solid color-mix(in srgb,CanvasText 40%,Canvas)}
tr:nth-child(even) td{background:color-mix(in srgb,CanvasText 5%,Canvas)}
.n{text-align:right}
dl{display:grid;grid-template-columns:6rem 1fr;gap:.2rem 1.2rem;margin:.3rem 0}
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
dd span{display:inline-block;max-width:100%}
hr{border:0;margin:1.2rem 0 0}
p{margin:.3rem 0;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;font-size:10pt}tr{break-inside:avoid}\
thead{display:table-header-group}}";

/// The whole file.
pub(crate) fn html_page(title: &str, page: &Page) -> String {
    let title = html(title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for block in &page.blocks {
        match block {
            Block::Blank => out.push_str("<hr>\n"),
            Block::Line(text) => out.push_str(&format!("<p>{}</p>\n", html(text))),
            Block::Verbatim(text) => {
                let lines: Vec<String> = text.iter().map(|line| html(line)).collect();
                out.push_str(&format!("<pre>{}</pre>\n", lines.join("\n")));
            }
            Block::Table(table) => push_table(&mut out, table),
            Block::Items { label, items } => push_items(&mut out, label, items, " · "),
            Block::List { label, items } => push_items(&mut out, label, items, "<br>"),
        }
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn push_items(out: &mut String, label: &str, items: &[String], between: &str) {
    let items: Vec<String> =
        items.iter().map(|item| format!("<span>{}</span>", html(item))).collect();
    let (label, items) = (html(label), items.join(between));
    out.push_str(&format!("<dl><dt>{label}</dt><dd>{items}</dd></dl>\n"));
}

fn push_table(out: &mut String, table: &Table) {
    let cell = |tag: &str, align: Align, text: &str| {
        let class = if align == Align::Right { " class=\"n\"" } else { "" };
        format!("<{tag}{class}>{}</{tag}>", html(text))
    };
    out.push_str("<table>\n<thead><tr>");
    for column in &table.columns {
        out.push_str(&cell("th", column.align, &column.heading));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (column, text) in table.columns.iter().zip(row) {
            out.push_str(&cell("td", column.align, text));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::escape::tests::{HOSTILE, assert_inert};
    use crate::render::{Column, shown};

    /// The tags of `page` in order, without their contents and attributes.
    fn tags(page: &str) -> Vec<String> {
        page.split('<')
            .skip(1)
            .map(|rest| rest.split(['>', ' ']).next().unwrap_or_default().to_owned())
            .collect()
    }

    fn page_with(name: &str) -> String {
        let mut page = Page::default();
        page.line(format!("by {name}"));
        page.verbatim(name);
        page.items("root from", vec![name.to_owned()]);
        page.blank();
        page.list("refused", vec![name.to_owned(), name.to_owned()]);
        let mut table = Table::new(vec![Column::name(name), Column::number("LOGINS")]);
        table.push(vec![name.to_owned(), "1".to_owned()]);
        page.table(table);
        html_page(name, &page)
    }

    #[test]
    fn no_name_changes_the_structure() {
        let harmless = tags(&page_with("name"));
        assert!(harmless.contains(&"table".to_owned()) && harmless.len() > 30);
        for name in HOSTILE {
            // Also names that were never passed through `shown`.
            for text in [shown(name), String::from_utf8_lossy(name).into_owned()] {
                let page = page_with(&text);
                assert_eq!(tags(&page), harmless, "{text:?}");
                page.lines().for_each(assert_inert);
            }
        }
    }

    #[test]
    fn nothing_is_loaded_and_nothing_runs() {
        let page = page_with("name");
        for word in ["<script", "src=", "href=", "url(", "@import", "onload"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}
