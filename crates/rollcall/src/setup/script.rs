//! What a server is to be told: statements, each with why, and lines for its option file.
//!
//! As text it is what the `mariadb` and `mysql` clients read:
//!
//! ```text
//! -- Logins and refusals: the least that rollcall needs.
//! SET GLOBAL server_audit_events = 'CONNECT';
//!
//! -- So that it outlives a restart, in /etc/mysql/mariadb.conf.d/99-rollcall.cnf:
//! --   [mariadbd]
//! --   server_audit_events = CONNECT
//! ```
//!
//! # Invariants
//! * A note, an option or a line for a shell never becomes a statement: each of its lines stands behind `-- `.
//! * A statement with a semicolon inside stands between two changes of delimiter.

use crate::render::{Answer, Page, Records, Value};

/// The widest line of a comment.
const COMMENT_WIDTH: usize = 98;

/// What stands behind statements that hold semicolons.
const DELIMITER: &str = "//";

/// Statements and notes from first to last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) parts: Vec<Part>,
}

/// One part of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Something to know.
    Note(String),
    /// Something to send.
    Sql(Statement),
    /// Something for a shell, as root on the server's machine.
    Shell(ShellLines),
    /// Something to write into a file.
    Options(OptionLines),
}

/// A statement without a semicolon behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) why: String,
    pub(crate) sql: String,
}

/// Lines for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShellLines {
    pub(crate) why: String,
    pub(crate) lines: Vec<String>,
}

/// Lines of an option file, comments among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OptionLines {
    pub(crate) why: String,
    /// Where such a file usually is.
    pub(crate) path: &'static str,
    pub(crate) lines: Vec<String>,
}

impl Script {
    /// Adds something to know.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Note(text.into()));
    }

    /// Adds a statement, and why it is there.
    pub(crate) fn sql(&mut self, why: impl Into<String>, sql: impl Into<String>) {
        self.parts.push(Part::Sql(Statement { why: why.into(), sql: sql.into() }));
    }

    /// Adds what makes names and texts in statements mean what is meant, whatever the session is set to.
    pub(crate) fn session(&mut self) {
        self.sql("Names in the statements are UTF-8.", "SET NAMES utf8mb4");
        let why = "So that quotes and backslashes are read as they were written.";
        self.sql(why, "SET SESSION sql_mode = ''");
    }

    /// Adds lines for a shell, as root on the server's machine.
    pub(crate) fn shell(&mut self, why: impl Into<String>, lines: Vec<String>) {
        self.parts.push(Part::Shell(ShellLines { why: why.into(), lines }));
    }

    /// Whether there is nothing to send.
    pub(crate) fn sends_nothing(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, Part::Sql(_)))
    }

    /// Adds lines for an option file.
    pub(crate) fn options(
        &mut self,
        why: impl Into<String>,
        path: &'static str,
        lines: Vec<String>,
    ) {
        self.parts.push(Part::Options(OptionLines { why: why.into(), path, lines }));
    }

    /// Adds the statements of a template: each behind its comment, up to a line `//`. Words in braces
    /// are replaced.
    pub(crate) fn template(&mut self, template: &str, words: &[(&str, &str)]) {
        for block in template.split("\n//\n").filter(|block| !block.trim().is_empty()) {
            let is_comment = |line: &&str| line.starts_with("-- ");
            let why: Vec<&str> =
                block.lines().take_while(is_comment).map(|line| &line[3..]).collect();
            let sql: Vec<&str> = block.lines().skip_while(is_comment).collect();
            self.sql(filled(&why.join(" "), words), filled(&sql.join("\n"), words));
        }
    }

    /// The script as the server's own client reads it.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                out.push('\n');
            }
            match part {
                Part::Note(text) => push_comment(&mut out, text),
                Part::Sql(statement) => {
                    push_comment(&mut out, &statement.why);
                    push_statement(&mut out, &statement.sql);
                }
                Part::Shell(shell) => {
                    push_comment(&mut out, &format!("{} As root, in a shell:", shell.why));
                    push_lines(&mut out, &shell.lines);
                }
                Part::Options(options) => {
                    push_comment(&mut out, &format!("{} In {}:", options.why, options.path));
                    push_lines(&mut out, &options.lines);
                }
            }
        }
        out
    }

    /// The lines for the option file alone.
    pub(crate) fn option_text(&self) -> String {
        let lines = self.parts.iter().filter_map(|part| match part {
            Part::Options(options) => Some(options.lines.join("\n") + "\n"),
            _ => None,
        });
        lines.collect()
    }

    /// The script for people and programs.
    pub(crate) fn answer(&self) -> Answer {
        let mut page = Page::default();
        page.verbatim(&self.text());
        let mut records = Records::new(&["kind", "text", "why", "path"]);
        for part in &self.parts {
            let row = match part {
                Part::Note(text) => ("note", text.clone(), None, None),
                Part::Sql(it) => ("sql", it.sql.clone(), Some(&it.why), None),
                Part::Shell(it) => ("shell", it.lines.join("\n"), Some(&it.why), None),
                Part::Options(it) => ("options", it.lines.join("\n"), Some(&it.why), Some(it.path)),
            };
            let or_absent = |text: Option<&str>| text.map_or(Value::Absent, Value::word);
            records.push(vec![
                Value::word(row.0),
                Value::word(row.1),
                or_absent(row.2.map(String::as_str)),
                or_absent(row.3),
            ]);
        }
        let rows = records.rows.len();
        Answer { page, records: vec![records], rows }
    }
}

/// `text` with the words in braces replaced. What a word is replaced by is not looked through again.
fn filled(text: &str, words: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let word = from.find('}').map(|close| &from[1..close]);
        match word.and_then(|word| words.iter().find(|(name, _)| *name == word)) {
            Some((name, value)) => {
                out.push_str(value);
                rest = &from[name.len() + 2..];
            }
            None => {
                out.push('{');
                rest = &from[1..];
            }
        }
    }
    out + rest
}

/// The text behind `-- `, broken between its words.
fn push_comment(out: &mut String, text: &str) {
    for paragraph in text.lines() {
        let mut line = String::from("--");
        for word in paragraph.split(' ') {
            if line.len() > 2 && line.chars().count() + 1 + word.chars().count() > COMMENT_WIDTH {
                out.push_str(&line);
                out.push('\n');
                line = String::from("--");
            }
            line.push(' ');
            line.push_str(word);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// Lines as they are, behind `--   `.
fn push_lines(out: &mut String, lines: &[String]) {
    for line in lines.iter().flat_map(|it| it.split('\n')) {
        out.push_str(format!("--   {line}").trim_end());
        out.push('\n');
    }
}

fn push_statement(out: &mut String, sql: &str) {
    match sql.contains(';') {
        false => out.push_str(&format!("{sql};\n")),
        true => {
            let end = DELIMITER;
            out.push_str(&format!("DELIMITER {end}\n{sql}\n{end}\nDELIMITER ;\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Format;

    fn script() -> Script {
        let mut script = Script::default();
        script.note("A note.\nDROP DATABASE shop;");
        script.template(
            "-- Because of {name}.\n-- And so on.\nSET @a = {name}, @b = '{other}'\n//\n\
             -- Long.\nBEGIN\n  x;\nEND\n//\n",
            &[("name", "{other}")],
        );
        script.shell("Copied.", vec!["cp a b\nDROP TABLE x;".to_owned(), "mv b c".to_owned()]);
        let lines = vec!["[mariadbd]".to_owned(), String::new(), "a = b".to_owned()];
        script.options("Kept.", "/etc/x.cnf", lines);
        script
    }

    #[test]
    fn clients_read_it() {
        insta::assert_snapshot!(script().answer().text(Format::Table, Some(10)), @r"
        -- A note.
        -- DROP DATABASE shop;

        -- Because of {other}. And so on.
        SET @a = {other}, @b = '{other}';

        -- Long.
        DELIMITER //
        BEGIN
          x;
        END
        //
        DELIMITER ;

        -- Copied. As root, in a shell:
        --   cp a b
        --   DROP TABLE x;
        --   mv b c

        -- Kept. In /etc/x.cnf:
        --   [mariadbd]
        --
        --   a = b
        ");
        assert_eq!(script().option_text(), "[mariadbd]\n\na = b\n");
    }

    #[test]
    fn programs_read_it() {
        insta::assert_snapshot!(script().answer().text(Format::Json, None), @r#"
        {"kind":"note","text":"A note.\nDROP DATABASE shop;","why":null,"path":null}
        {"kind":"sql","text":"SET @a = {other}, @b = '{other}'","why":"Because of {other}. And so on.","path":null}
        {"kind":"sql","text":"BEGIN\n  x;\nEND","why":"Long.","path":null}
        {"kind":"shell","text":"cp a b\nDROP TABLE x;\nmv b c","why":"Copied.","path":null}
        {"kind":"options","text":"[mariadbd]\n\na = b","why":"Kept.","path":"/etc/x.cnf"}
        "#);
    }

    #[test]
    fn comments_are_broken_between_words() {
        let mut out = String::new();
        push_comment(&mut out, &"word ".repeat(50));
        assert!(out.lines().all(|it| it.starts_with("-- word") && it.len() <= COMMENT_WIDTH));
        assert_eq!(out.matches("word").count(), 50);
    }
}
