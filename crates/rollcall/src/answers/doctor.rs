//! `doctor`: what servers and their logs lack, what that costs, and what mends it.

use verdict::checkup::{Finding, Level};

use super::View;
use crate::render::{Answer, Records, Value, inert};

/// The fields for programs.
pub(super) const FIELDS: [&str; 6] = ["server", "id", "level", "what", "cost", "remedy"];

/// One server, looked at.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) server: String,
    /// Its version; `None`: it could not be asked, or was not.
    pub(crate) version: Option<String>,
    pub(crate) findings: Vec<Finding>,
}

/// The answer.
pub(crate) fn doctor(all: &[Checked], view: View<'_>) -> Answer {
    let mut answer = Answer::default();
    let mut records = Records::new(&FIELDS);
    for (number, one) in all.iter().enumerate() {
        if number > 0 {
            answer.page.blank();
        }
        let count = |level| one.findings.iter().filter(|it| it.level == level).count();
        let asked = match &one.version {
            Some(version) => inert(version),
            None => "not asked: from its logs and the ledger alone".to_owned(),
        };
        let server = inert(&one.server);
        answer.page.line(match one.findings.is_empty() {
            true => format!("{server} ({asked}): nothing is lacking"),
            false => format!(
                "{server} ({asked}): {} wrong, {} to mend, {} to know",
                count(Level::Error),
                count(Level::Warn),
                count(Level::Info)
            ),
        });
        for it in &one.findings {
            answer.page.line(format!("{:<6} {}: {}", it.level.as_str(), inert(&it.what), it.cost));
            if !it.remedy.is_empty() {
                answer.page.line(format!("       → {}", inert(&it.remedy)));
            }
            if view.records {
                records.push(vec![
                    Value::Text(one.server.clone()),
                    Value::word(it.id),
                    Value::word(it.level.as_str()),
                    Value::Text(it.what.clone()),
                    Value::word(it.cost),
                    match it.remedy.is_empty() {
                        true => Value::Absent,
                        false => Value::Text(it.remedy.clone()),
                    },
                ]);
            }
        }
        answer.rows += one.findings.len();
    }
    if view.records {
        answer.records.push(records);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_view;
    use super::*;
    use crate::render::Format;
    use insta::assert_snapshot;

    #[test]
    fn lacks_stand_with_cost_and_remedy() {
        let lack = Finding {
            id: "audit-off",
            level: Level::Error,
            what: "server_audit_logging is OFF".to_owned(),
            cost: "no login is noted",
            remedy: "SET GLOBAL server_audit_logging = ON".to_owned(),
        };
        let know = Finding { level: Level::Info, remedy: String::new(), ..lack.clone() };
        let all = [
            Checked {
                server: "db1".to_owned(),
                version: Some("10.11.6-MariaDB".to_owned()),
                findings: vec![lack, know],
            },
            Checked { server: "db2".to_owned(), version: None, findings: Vec::new() },
        ];
        let answer = with_view(|view| doctor(&all, view));
        assert_eq!(answer.rows, 2);
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        db1 (10.11.6-MariaDB): 1 wrong, 0 to mend, 1 to know
        error  server_audit_logging is OFF: no login is noted
               → SET GLOBAL server_audit_logging = ON
        info   server_audit_logging is OFF: no login is noted

        db2 (not asked: from its logs and the ledger alone): nothing is lacking
        "#);
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"server":"db1","id":"audit-off","level":"error","what":"server_audit_logging is OFF","cost":"no login is noted","remedy":"SET GLOBAL server_audit_logging = ON"}
        {"server":"db1","id":"audit-off","level":"info","what":"server_audit_logging is OFF","cost":"no login is noted","remedy":null}
        "#);
    }
}
