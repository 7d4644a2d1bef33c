//! The log dialects by name: `rollcall dialects`, and what `--dialect` takes.

use crate::render::{Answer, Column, Records, Table, Value};

/// The dialects by the names the command line and the ledger use, and what they are.
const DIALECTS: [(&str, &str); 3] = [
    ("server_audit", "MariaDB server_audit and its relatives, written to a file"),
    ("server_audit_syslog", "the same records sent through syslog"),
    ("audit_login", "JSON lines of an audit_login plugin"),
];

/// The dialects that are read.
pub(crate) fn dialects() -> Answer {
    let mut answer = Answer::default();
    let mut table = Table::new(vec![Column::fixed("DIALECT"), Column::prose("WRITTEN BY")]);
    let mut records = Records::new(&["dialect", "description"]);
    for (name, description) in DIALECTS {
        table.push(vec![name.to_owned(), description.to_owned()]);
        records.push(vec![Value::word(name), Value::word(description)]);
    }
    answer.page.table(table);
    answer
        .page
        .line("A file's dialect is recognised by its content; --dialect NAME overrules that.");
    answer.rows = records.rows.len();
    answer.records.push(records);
    answer
}

/// Whether there is such a dialect.
///
/// # Errors
/// A message with the known names.
pub(crate) fn check_dialect(name: &str) -> Result<(), String> {
    if DIALECTS.iter().any(|(known, _)| *known == name) {
        return Ok(());
    }
    let known: Vec<&str> = DIALECTS.iter().map(|(name, _)| *name).collect();
    Err(format!("no dialect {name:?}: known are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Format;

    #[test]
    fn dialects_have_names() {
        insta::assert_snapshot!(dialects().text(Format::Table, Some(80)), @r#"
        DIALECT              WRITTEN BY
        server_audit         MariaDB server_audit and its relatives, written to a file
        server_audit_syslog  the same records sent through syslog
        audit_login          JSON lines of an audit_login plugin
        A file's dialect is recognised by its content; --dialect NAME overrules that.
        "#);
        assert_eq!(check_dialect("server_audit"), Ok(()));
        assert!(check_dialect("xml").unwrap_err().contains("server_audit_syslog"));
    }
}
