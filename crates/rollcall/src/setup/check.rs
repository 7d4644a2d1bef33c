//! `rollcall check`: what a configuration means.

use std::path::Path;

use crate::answers::plural;
use crate::config::{Config, DEFAULT_PATHS, limits};
use crate::exit::Exit;
use crate::out::Out;
use crate::render::{Answer, Column, Page, Records, Table, Value, inert, thousands};

/// Says what a configuration means; a log path that is not there is named on standard error.
pub(crate) fn check(config: &Config, ledger: &Path, out: Out) -> (Answer, Exit) {
    let mut page = Page::default();
    match &config.path {
        Some(path) => page.line(format!("{}: ok", path.display())),
        None => {
            page.line(format!("no configuration ({}): rollcall init", DEFAULT_PATHS.join(", ")))
        }
    }
    page.line(format!("ledger: {}", ledger.display()));
    let kept = &config.limits;
    page.line(format!(
        "kept: counts per hour {} days, per day {} days; {} connection facts, {} days; {} pairs that \
         only failed per server and hour",
        thousands(kept.hours_days.into()),
        thousands(kept.days_days.into()),
        thousands(kept.connections_keep),
        thousands(kept.connections_days.into()),
        thousands(kept.pairs_per_hour.into()),
    ));
    let mut exit = Exit::Done;
    if let Some(path) = &config.quota.limits {
        match limits::read(path) {
            Ok(limits) => page.line(format!(
                "storage limits: {} of {}",
                plural(limits.len() as u64, "user"),
                path.display()
            )),
            Err(error) => {
                out.error(&error);
                exit = Exit::Partial;
            }
        }
    }
    let mut table = Table::new(vec![
        Column::name("SERVER"),
        Column::name("GROUP"),
        Column::fixed("LOG TIMES IN"),
        Column::path("AUDIT LOGS"),
    ]);
    let fields = &["server", "group", "time_zone", "audit_log"];
    let mut records = Records::new(fields);
    for server in &config.servers {
        let name = server.name.as_deref();
        let zone =
            server.time_zone.as_ref().or(config.time_zone.as_ref()).map(|it| it.name.as_str());
        for log in &server.audit_logs {
            table.push(vec![
                name.map_or_else(|| "as recorded".to_owned(), inert),
                server.group.as_deref().map_or_else(|| "–".to_owned(), inert),
                zone.unwrap_or("this machine's zone").to_owned(),
                inert(log),
            ]);
            let word = |text: Option<&str>| text.map_or(Value::Absent, Value::word);
            let group = word(server.group.as_deref());
            records.push(vec![word(name), group, word(zone), Value::word(log.as_str())]);
            if !log.contains(['*', '?', '[']) && !Path::new(log).exists() {
                out.error(&format!("{log}: not there: correct audit_logs, or create it"));
                exit = Exit::Partial;
            }
        }
        if let Some(log) = &server.access_log {
            let log = format!("table {log}");
            let text = |text: Option<&str>| text.map_or_else(|| "–".to_owned(), inert);
            table.push(vec![
                text(name),
                text(server.group.as_deref()),
                "UTC".to_owned(),
                inert(&log),
            ]);
            let word = |text: Option<&str>| text.map_or(Value::Absent, Value::word);
            let group = word(server.group.as_deref());
            records.push(vec![word(name), group, Value::word("UTC"), Value::word(log)]);
        }
    }
    if table.rows.is_empty() {
        page.line("no audit_logs are configured: rollcall scan needs a PATH");
    } else {
        page.blank();
        page.table(table);
    }
    let rows = records.rows.len();
    (Answer { page, records: vec![records], rows }, exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Format;

    const OUT: Out = Out { quiet: true, verbose: 0 };

    #[test]
    fn check_says_what_is_configured() {
        let config = Config::parse(
            "[[server]]\nname='db1'\ngroup='shop'\ntime_zone='UTC'\naudit_logs=['/', '/x*']\n\
             [[server]]\nname='db2'\naudit_logs=['/']\naccess_log='a.b'\ndefaults_file='/a'\n",
        );
        let (answer, exit) = check(&config.unwrap(), Path::new("/l.sqlite"), OUT);
        assert_eq!(exit, Exit::Done);
        insta::assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        no configuration (/etc/rollcall/rollcall.toml,
        /etc/conntracker/conntracker.ini): rollcall init
        ledger: /l.sqlite
        kept: counts per hour 90 days, per day 400 days; 20,000 connection facts, 30
        days; 1,000 pairs that only failed per server and hour

        SERVER  GROUP  LOG TIMES IN         AUDIT LOGS
        db1     shop   UTC                  /
        db1     shop   UTC                  /x*
        db2     –      this machine's zone  /
        db2     –      UTC                  table a.b
        "#);
        insta::assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"server":"db1","group":"shop","time_zone":"UTC","audit_log":"/"}
        {"server":"db1","group":"shop","time_zone":"UTC","audit_log":"/x*"}
        {"server":"db2","group":null,"time_zone":null,"audit_log":"/"}
        {"server":"db2","group":null,"time_zone":"UTC","audit_log":"table a.b"}
        "#);
    }

    #[test]
    fn check_names_what_is_not_there() {
        let config =
            Config::parse("[[server]]\nname='a'\naudit_logs=['/no/such/place']\n").unwrap();
        assert_eq!(check(&config, Path::new("/l"), OUT).1, Exit::Partial);
        let config = Config::parse("[quota]\nlimits='/no/such/place'\n").unwrap();
        assert_eq!(check(&config, Path::new("/l"), OUT).1, Exit::Partial);
    }
}
