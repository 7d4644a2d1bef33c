//! `doctor`: what servers and their logs lack, what that costs, and what mends it.

use verdict::account::Version;
use verdict::checkup::{Finding, Level};

use super::{View, plural};
use crate::render::{Answer, Block, Page, Records, Value, inert};

/// The fields for programs.
pub(super) const FIELDS: [&str; 7] = ["server", "id", "level", "what", "cost", "remedy", "place"];

/// One server, looked at.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) server: String,
    /// Its version; `None`: it could not be asked, or was not.
    pub(crate) version: Option<Version>,
    /// The worst first.
    pub(crate) findings: Vec<Finding>,
}

/// The answer. Checks that found nothing lacking are rows for programs, and a number for people.
pub(crate) fn doctor(all: &[Checked], view: View<'_>) -> Answer {
    let mut answer = Answer::default();
    let mut records = Records::new(&FIELDS);
    for (number, one) in all.iter().enumerate() {
        if view.page {
            if number > 0 {
                answer.page.blank();
            }
            show(&mut answer.page, one);
        }
        if view.records {
            one.findings.iter().for_each(|it| records.push(fields(&one.server, it)));
        }
        answer.rows += one.findings.iter().filter(|it| it.level > Level::Ok).count();
    }
    if view.page && all.iter().flat_map(|it| &it.findings).any(|it| it.level >= Level::Warn) {
        answer.page.blank();
        answer.page.line("Nothing was changed. Each check: docs/doctor.md");
    }
    if view.records {
        answer.records.push(records);
    }
    answer
}

fn show(page: &mut Page, one: &Checked) {
    let server = inert(&one.server);
    let version = one.version.as_ref().map_or_else(
        || "not asked: from its logs and the ledger alone".to_owned(),
        |it| match it.text.contains(it.family.as_str()) {
            true => inert(&it.text),
            false => inert(&format!("{} {}", it.family.as_str(), it.text)),
        },
    );
    let count = |level| one.findings.iter().filter(|it| it.level == level).count() as u64;
    let mut parts: Vec<String> = [(Level::Error, "error"), (Level::Warn, "warning")]
        .into_iter()
        .filter(|&(level, _)| count(level) > 0)
        .map(|(level, noun)| plural(count(level), noun))
        .collect();
    if count(Level::Info) > 0 {
        parts.push(format!("{} to know", count(Level::Info)));
    }
    parts.push(format!("{} in order", plural(count(Level::Ok), "check")));
    page.line(format!("{server} ({version}): {}", parts.join(" · ")));
    let lacks: Vec<&Finding> = one.findings.iter().filter(|it| it.level > Level::Ok).collect();
    let alike = |a: &&Finding, b: &&Finding| {
        (a.id, a.level, &a.cost, &a.remedy) == (b.id, b.level, &b.cost, &b.remedy)
    };
    for alike in lacks.chunk_by(alike) {
        // What, one below the other, and what they cost; the level in front.
        let whats = alike.iter().map(|it| format!("{}: {}", it.id, inert(&it.what)));
        let cost = Some(inert(&alike[0].cost)).filter(|it| !it.is_empty());
        page.list(alike[0].level.as_str(), whats.chain(cost).collect());
        // To be copied: neither broken nor shortened.
        let remedy = alike[0].remedy.iter().map(|it| format!("            → {}", inert(it)));
        page.blocks.push(Block::Verbatim(remedy.collect()));
    }
}

fn fields(server: &str, it: &Finding) -> Vec<Value> {
    let text = |text: &Option<String>| text.clone().map_or(Value::Absent, Value::Text);
    vec![
        Value::word(server),
        Value::word(it.id),
        Value::word(it.level.as_str()),
        Value::word(it.what.as_str()),
        match it.cost.is_empty() {
            true => Value::Absent,
            false => Value::word(it.cost.as_str()),
        },
        text(&it.remedy),
        text(&it.place),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_view;
    use super::*;
    use crate::render::Format;
    use insta::assert_snapshot;

    fn all() -> [Checked; 2] {
        let lack = Finding {
            id: "audit-logging",
            level: Level::Error,
            what: "server_audit_logging is OFF".to_owned(),
            cost: "no login is noted".to_owned(),
            remedy: Some("SET GLOBAL server_audit_logging = ON".to_owned()),
            place: Some("server_audit_logging".to_owned()),
        };
        let warn = Finding {
            id: "log-permissions",
            level: Level::Warn,
            what: "/var/log/a\x1b[2J.log is open to everybody (mode 0644)".to_owned(),
            cost: "every user of the machine reads statements and names of accounts".to_owned(),
            remedy: Some("chmod o= /var/log/a.log".to_owned()),
            place: Some("/var/log/a\x1b[2J.log".to_owned()),
        };
        let know = Finding {
            id: "thread-pool",
            level: Level::Info,
            remedy: None,
            place: None,
            ..lack.clone()
        };
        let well = |id| Finding {
            id,
            level: Level::Ok,
            cost: String::new(),
            what: "its clock and this machine's agree".to_owned(),
            ..know.clone()
        };
        let version = Version::parse("10.11.6-MariaDB");
        [
            Checked {
                server: "db1".to_owned(),
                version,
                findings: vec![lack, warn, know.clone(), well("clock")],
            },
            Checked { server: "db2".to_owned(), version: None, findings: vec![well("zone")] },
        ]
    }

    #[test]
    fn lacks_stand_with_cost_and_remedy() {
        let answer = with_view(|view| doctor(&all(), view));
        assert_eq!(answer.rows, 3);
        assert_snapshot!(answer.text(Format::Table, Some(60)), @r#"
        db1 (10.11.6-MariaDB): 1 error · 1 warning · 1 to know · 1
        check in order
        error       audit-logging: server_audit_logging is OFF
                    no login is noted
                    → SET GLOBAL server_audit_logging = ON
        warn        log-permissions: /var/log/a\x1b[2J.log is open
                      to everybody (mode 0644)
                    every user of the machine reads statements and
                      names of accounts
                    → chmod o= /var/log/a.log
        info        thread-pool: server_audit_logging is OFF
                    no login is noted

        db2 (not asked: from its logs and the ledger alone): 1 check
        in order

        Nothing was changed. Each check: docs/doctor.md
        "#);
        assert_snapshot!(answer.text(Format::Table, None), @r#"
        db1 (10.11.6-MariaDB): 1 error · 1 warning · 1 to know · 1 check in order
        error       audit-logging: server_audit_logging is OFF
                    no login is noted
                    → SET GLOBAL server_audit_logging = ON
        warn        log-permissions: /var/log/a\x1b[2J.log is open to everybody (mode 0644)
                    every user of the machine reads statements and names of accounts
                    → chmod o= /var/log/a.log
        info        thread-pool: server_audit_logging is OFF
                    no login is noted

        db2 (not asked: from its logs and the ledger alone): 1 check in order

        Nothing was changed. Each check: docs/doctor.md
        "#);
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"server":"db1","id":"audit-logging","level":"error","what":"server_audit_logging is OFF","cost":"no login is noted","remedy":"SET GLOBAL server_audit_logging = ON","place":"server_audit_logging"}
        {"server":"db1","id":"log-permissions","level":"warn","what":"/var/log/a\u001b[2J.log is open to everybody (mode 0644)","cost":"every user of the machine reads statements and names of accounts","remedy":"chmod o= /var/log/a.log","place":"/var/log/a\u001b[2J.log"}
        {"server":"db1","id":"thread-pool","level":"info","what":"server_audit_logging is OFF","cost":"no login is noted","remedy":null,"place":null}
        {"server":"db1","id":"clock","level":"ok","what":"its clock and this machine's agree","cost":null,"remedy":null,"place":null}
        {"server":"db2","id":"zone","level":"ok","what":"its clock and this machine's agree","cost":null,"remedy":null,"place":null}
        "#);
        assert_snapshot!(answer.text(Format::Csv, None), @r#"
        server,id,level,what,cost,remedy,place
        db1,audit-logging,error,server_audit_logging is OFF,no login is noted,SET GLOBAL server_audit_logging = ON,server_audit_logging
        db1,log-permissions,warn,/var/log/a\x1b[2J.log is open to everybody (mode 0644),every user of the machine reads statements and names of accounts,chmod o= /var/log/a.log,/var/log/a\x1b[2J.log
        db1,thread-pool,info,server_audit_logging is OFF,no login is noted,,
        db1,clock,ok,its clock and this machine's agree,,,
        db2,zone,ok,its clock and this machine's agree,,,
        "#);
    }

    #[test]
    fn what_costs_the_same_and_is_mended_alike_is_told_once() {
        let [mut one, _] = all();
        let lack = one.findings[1].clone();
        let at = |byte: u32| Finding { what: format!("a secret at byte {byte}"), ..lack.clone() };
        one.findings = vec![at(7), at(9)];
        let answer = with_view(|view| doctor(&[one], view));
        assert_eq!(answer.rows, 2);
        assert_snapshot!(answer.text(Format::Table, Some(100)), @r#"
        db1 (10.11.6-MariaDB): 2 warnings · 0 checks in order
        warn        log-permissions: a secret at byte 7
                    log-permissions: a secret at byte 9
                    every user of the machine reads statements and names of accounts
                    → chmod o= /var/log/a.log

        Nothing was changed. Each check: docs/doctor.md
        "#);
    }

    #[test]
    fn where_nothing_is_lacking_no_document_is_named() {
        let answer = with_view(|view| doctor(&all()[1..], view));
        assert_eq!(answer.rows, 0);
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        db2 (not asked: from its logs and the ledger alone): 1 check in order
        "#);
    }
}
