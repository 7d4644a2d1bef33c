//! `rollcall setup init-connect`: a table that every login writes a row into, which no audit log tells:
//! the account that matched.
//!
//! ```text
//! id  thread_id  log_time                    localname       matchname
//!  1       8812  2026-11-20 07:18:43.120311  sam@10.0.0.7    sam@10.%
//! ```
//!
//! The server executes the text of `init_connect` with the rights of whoever logs in. That has traps, which
//! the script says; and one that it closes: whoever may write such a row could write others' as well. So
//! accounts may write three columns only, and a trigger overwrites all but `matchname` with what the server
//! knows.
//!
//! # Facts (seen on MariaDB 10.11, 11.8 and MySQL 9.7)
//! * If the text fails, the connection ends at its first statement: 1184, `init_connect command failed`.
//! * Locked accounts may own triggers and events, and those run.
//! * `USER()` and `CONNECTION_ID()` in a trigger are those of the session, `CURRENT_USER()` is the trigger's
//!   definer.

use verdict::access_log::{Layout, NAME_MAX};
use verdict::account::{AccountName, Family};

use super::script::Script;
use super::server::{ServerFacts, account, identifier, literal, nobody, schema_pattern};

/// The columns that accounts write; the trigger overwrites the first two.
const WRITTEN: &str = "thread_id, localname, matchname";

/// The account that matched is `CURRENT_USER()`; the rest is there for servers whose trigger is missing.
const VALUES: &str = "CONNECTION_ID(), USER(), CURRENT_USER()";

/// The role on MySQL that lets everybody write.
const WRITER: &str = "accesslog_writer";

/// What is wanted of the access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessLog {
    /// The schema; the table in it is called `accesslog`.
    pub(crate) schema: String,
    /// Whose rights trigger and event run with.
    pub(crate) owner: AccountName,
    /// How many days rows are kept.
    pub(crate) keep_days: u32,
    /// A login whose row cannot be written goes on all the same.
    pub(crate) lenient: bool,
    /// The table is there in the layout of the how-to.
    pub(crate) from_how_to: bool,
    /// Only these accounts get the right to write, instead of all.
    pub(crate) accounts: Vec<AccountName>,
}

/// The statements.
///
/// # Errors
/// A message where the server cannot do it.
pub(crate) fn init_connect(server: &ServerFacts, log: &AccessLog) -> Result<Script, String> {
    server.require((10, 4), (8, 0), "locked owners of triggers and events are there")?;
    let family = server.version.family;
    if log.lenient && family == Family::MySql {
        return Err("--lenient: MySQL has no compound statement outside of procedures".to_owned());
    }
    let mut script = Script::default();
    script.note(server.heading("An access log table, written at every login"));
    let log = &as_found(&mut script, server, log)?;
    traps(&mut script, server, log);
    table(&mut script, server, log);
    owner(&mut script, family, log);
    trigger(&mut script, family, log);
    event(&mut script, server, log);
    grants(&mut script, server, log);
    switch_on(&mut script, server, log);
    Ok(script)
}

/// Says what a server that was asked has already; what is wanted, as its table needs it.
fn as_found(
    script: &mut Script,
    server: &ServerFacts,
    log: &AccessLog,
) -> Result<AccessLog, String> {
    let mut log = log.clone();
    let Some(present) = &server.present else { return Ok(log) };
    let table = table_name(&log);
    if present.columns.is_empty() {
        script.note(format!("{table} is not there, or we may not see it."));
        return Ok(log);
    }
    match Layout::of(&present.columns) {
        Layout::Whole => script.note(format!("{table} is there already, as it should be.")),
        Layout::HowTo => {
            log.from_how_to = true;
            script.note(format!(
                "{table} is there in the layout of the how-to (names that do not fit, or times that move): it \
                 is widened."
            ));
        }
        Layout::Foreign(missing) => {
            return Err(format!(
                "{table} is another table (it has no {}): choose another --schema",
                missing.join(", ")
            ));
        }
    }
    Ok(log)
}

/// Whether the table is known to be there in its own layout.
fn is_whole(server: &ServerFacts) -> bool {
    let present = server.present.as_ref().filter(|it| !it.columns.is_empty());
    present.is_some_and(|it| Layout::of(&it.columns) == Layout::Whole)
}

fn table_name(log: &AccessLog) -> String {
    format!("{}.accesslog", identifier(&log.schema))
}

fn traps(script: &mut Script, server: &ServerFacts, log: &AccessLog) {
    script.note(match log.lenient {
        true => {
            "An account that may not write into the table leaves no row, and nothing says so: it looks \
             unused."
        }
        false => {
            "An account that may not write into the table cannot run anything any more: its connection \
             ends at the first statement (1184). So all get the right first, and init_connect comes last."
        }
    });
    script.note(match server.version.family {
        Family::MariaDb => {
            "Accounts with CONNECTION ADMIN (up to 10.5 SUPER), so root and most administrators, leave no \
             row: init_connect is not executed for them. Refused logins leave none either."
        }
        Family::MySql => {
            "Accounts with CONNECTION_ADMIN or SUPER, so root and most administrators, leave no row: \
             init_connect is not executed for them. Nor do refused logins, and those with an expired \
             password."
        }
    });
    if !log.lenient {
        script.note(
            "On a server that is read_only every row fails, and with it every login of others than \
             administrators: leave init_connect unset on replicas, and empty it before a server becomes \
             one.",
        );
    }
    script.note(format!(
        "Whoever drops {} or the table while init_connect is set ends logins in the same way.",
        account(&log.owner)
    ));
}

fn table(script: &mut Script, server: &ServerFacts, log: &AccessLog) {
    let table = table_name(log);
    script.session();
    if is_whole(server) {
        return;
    }
    if log.from_how_to {
        script.sql(
            "Logins do not wait for the table while it is changed. Those in between leave no row.",
            "SET GLOBAL init_connect = ''",
        );
    }
    script.sql(
        "Logins are kept apart from data.",
        format!("CREATE DATABASE IF NOT EXISTS {} CHARACTER SET utf8mb4", identifier(&log.schema)),
    );
    let names = format!("varchar({NAME_MAX}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    script.sql(
        "user@client host and user@host pattern have 384 characters at most. InnoDB, so that a login \
         waits for no other.",
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (\n  \
             id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,\n  \
             thread_id bigint unsigned DEFAULT NULL,\n  \
             log_time timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),\n  \
             localname {names} DEFAULT NULL,\n  \
             matchname {names} DEFAULT NULL,\n  \
             KEY log_time (log_time)\n\
             ) ENGINE=InnoDB"
        ),
    );
    if !log.from_how_to {
        return;
    }
    script.sql(
        "The how-to's columns have 30 characters: a longer name ends the login. And there an UPDATE moves \
         log_time.",
        format!(
            "ALTER TABLE {table}\n  \
             MODIFY id bigint unsigned NOT NULL AUTO_INCREMENT,\n  \
             MODIFY thread_id bigint unsigned DEFAULT NULL,\n  \
             MODIFY log_time timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),\n  \
             MODIFY localname {names} DEFAULT NULL,\n  \
             MODIFY matchname {names} DEFAULT NULL"
        ),
    );
    let why = "Rows are read and forgotten by their time.";
    let add = format!("ALTER TABLE {table} ADD KEY log_time (log_time)");
    match server.version.family {
        Family::MariaDb => script.sql(why, add.replace("ADD KEY", "ADD KEY IF NOT EXISTS")),
        Family::MySql => {
            script.sql(
                why,
                format!(
                    "SET @rollcall_index = IF(EXISTS (SELECT 1 FROM information_schema.STATISTICS\n  \
                     WHERE TABLE_SCHEMA = {} AND TABLE_NAME = 'accesslog' AND INDEX_NAME = 'log_time'),\n  \
                     'DO 0', {})",
                    literal(log.schema.as_bytes()),
                    literal(add.as_bytes())
                ),
            );
            script.sql("The same.", "PREPARE rollcall_index FROM @rollcall_index");
            script.sql("The same.", "EXECUTE rollcall_index");
            script.sql("The same.", "DEALLOCATE PREPARE rollcall_index");
        }
    }
}

fn owner(script: &mut Script, family: Family, log: &AccessLog) {
    let (table, owner) = (table_name(log), account(&log.owner));
    let nobody = nobody(family);
    script.sql(
        "Trigger and event run with the rights of this account. Nobody can log in with it: it is locked, \
         and no password fits.",
        format!("CREATE USER IF NOT EXISTS {owner} {nobody}"),
    );
    script.sql(
        "In case it was there already and somebody has unlocked it.",
        format!("ALTER USER {owner} {nobody}"),
    );
    script.sql(
        "All it may do: overwrite columns of new rows, and delete old rows.",
        format!("GRANT SELECT, UPDATE, DELETE, TRIGGER ON {table} TO {owner}"),
    );
    script.sql(
        "The same, for the event.",
        format!("GRANT EVENT ON {}.* TO {owner}", schema_pattern(&log.schema)),
    );
}

fn trigger(script: &mut Script, family: Family, log: &AccessLog) {
    let (table, owner) = (table_name(log), account(&log.owner));
    let name = format!("{}.accesslog_as_it_was", identifier(&log.schema));
    let body = format!(
        "BEFORE INSERT ON {table} FOR EACH ROW\n  \
         SET NEW.thread_id = CONNECTION_ID(), NEW.log_time = SYSDATE(6), NEW.localname = USER()"
    );
    let why = "Whoever may write rows could write those of others: time, connection and name are the \
        server's own, whatever was written. Only matchname is taken as it comes.";
    create(script, family, why, "TRIGGER", &name, &owner, &body);
}

fn event(script: &mut Script, server: &ServerFacts, log: &AccessLog) {
    let family = server.version.family;
    let (table, owner) = (table_name(log), account(&log.owner));
    let name = format!("{}.accesslog_forget", identifier(&log.schema));
    let body = format!(
        "ON SCHEDULE EVERY 5 MINUTE DO\n  \
         DELETE FROM {table} WHERE log_time < NOW() - INTERVAL {} DAY ORDER BY log_time LIMIT 50000",
        log.keep_days
    );
    let why = format!(
        "Rows older than {} days go, in small pieces, the first within minutes: make a copy before, if \
         they are wanted. On replicas an event that came from the primary stays off.",
        log.keep_days
    );
    create(script, family, &why, "EVENT", &name, &owner, &body);
    match family {
        _ if server.is_on("event_scheduler") => script.note("event_scheduler is ON already."),
        Family::MariaDb => script.sql(
            "Events run only where the scheduler does; by default it does not.",
            "SET GLOBAL event_scheduler = ON",
        ),
        Family::MySql => script.sql(
            "Events run only where the scheduler does; by default it does.",
            "SET PERSIST event_scheduler = ON",
        ),
    }
}

/// Makes something anew, whether it is there or not.
fn create(
    script: &mut Script,
    family: Family,
    why: &str,
    kind: &str,
    name: &str,
    owner: &str,
    body: &str,
) {
    let or_replace = match family {
        Family::MariaDb => " OR REPLACE",
        Family::MySql => {
            script.sql("It is made anew.", format!("DROP {kind} IF EXISTS {name}"));
            ""
        }
    };
    script.sql(why, format!("CREATE{or_replace} DEFINER = {owner} {kind} {name}\n  {body}"));
}

fn grants(script: &mut Script, server: &ServerFacts, log: &AccessLog) {
    let table = table_name(log);
    let right = format!("GRANT INSERT ({WRITTEN}) ON {table} TO");
    if !log.accounts.is_empty() {
        for name in &log.accounts {
            script.sql("May write rows of its own.", format!("{right} {}", account(name)));
        }
        return;
    }
    match server.version.family {
        Family::MariaDb if server.is_at_least(10, 11) => script.sql(
            "Everybody may write rows of their own, also accounts that are made later.",
            format!("{right} PUBLIC"),
        ),
        Family::MariaDb => {
            script.note(
                "Before MariaDB 10.11 a right cannot be granted to all: the next statement writes one GRANT \
                 for each account. Send what it writes, and one more for each account that is made later.",
            );
            script.sql(
                "Writes the statements, and changes nothing.",
                format!(
                    "SELECT CONCAT({}, QUOTE(User), '@', QUOTE(Host), ';') AS grants\n  \
                     FROM mysql.global_priv WHERE COALESCE(JSON_VALUE(Priv, '$.is_role'), '0') IN ('0', \
                     'false')",
                    literal(format!("{right} ").as_bytes())
                ),
            );
        }
        Family::MySql => {
            let writer = literal(WRITER.as_bytes());
            script
                .sql("A role that may write rows.", format!("CREATE ROLE IF NOT EXISTS {writer}"));
            script.sql("All that it may do.", format!("{right} {writer}"));
            script.sql(
                "Everybody has it, also accounts that are made later.",
                format!(
                    "SET PERSIST mandatory_roles = IF(FIND_IN_SET('{WRITER}', \
                     @@GLOBAL.mandatory_roles),\n  @@GLOBAL.mandatory_roles,\n  \
                     CONCAT_WS(',', NULLIF(@@GLOBAL.mandatory_roles, ''), '{WRITER}'))"
                ),
            );
            script.sql(
                "Roles count from the login on, all roles that an account has: instead of SET ROLE ALL, \
                 which each account may send anyway.",
                "SET PERSIST activate_all_roles_on_login = ON",
            );
        }
    }
}

fn switch_on(script: &mut Script, server: &ServerFacts, log: &AccessLog) {
    let insert = format!("INSERT INTO {} ({WRITTEN}) VALUES ({VALUES})", table_name(log));
    let text = match log.lenient {
        true => format!(
            "BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; {insert}; END"
        ),
        false => insert,
    };
    let now = server.variable("init_connect").flatten().filter(|it| !it.is_empty());
    if now == Some(&text[..]) {
        script.note("init_connect has that text already.");
    } else if let Some(now) = now {
        script.note(format!("init_connect holds something else now, which is replaced: {now}"));
    }
    script.note(
        "Now try it: log in as an ordinary account in another window after the next statement, before you \
         close this one. SET GLOBAL init_connect = '' takes it back.",
    );
    let value = literal(text.as_bytes());
    match server.version.family {
        Family::MariaDb => {
            script.sql(
                "From the next login on. What init_connect holds already is replaced.",
                format!("SET GLOBAL init_connect = {value}"),
            );
            let lines = [
                "[mariadbd]".to_owned(),
                format!("init_connect = \"{text}\""),
                "event_scheduler = ON".to_owned(),
            ];
            let path = "/etc/mysql/mariadb.conf.d/99-rollcall.cnf (or /etc/my.cnf.d/)";
            script.options("So that it outlives the next restart.", path, lines.to_vec());
        }
        Family::MySql => script.sql(
            "From the next login on, and after restarts. What init_connect holds already is replaced.",
            format!("SET PERSIST init_connect = {value}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Part;
    use super::super::server::tests::server;
    use super::*;

    #[test]
    fn the_table_that_is_there_decides() {
        use super::super::server::Present;
        let asked = |columns: &[(&str, &str)]| {
            let column = |(name, kind): &(&str, &str)| ((*name).to_owned(), (*kind).to_owned());
            let columns = columns.iter().map(column).collect();
            let text = "version\t10.11.6-MariaDB\ninit_connect\tSET @a = 1\nevent_scheduler\tON\n";
            let told = ServerFacts::told(None, None, Some(text)).unwrap();
            ServerFacts { present: Some(Present { columns, ..Present::default() }), ..told }
        };
        let names = ["thread_id", "log_time", "localname", "matchname"];
        let columns = |kind| names.map(|name| (name, kind));
        let text =
            |columns: &[(&str, &str)]| init_connect(&asked(columns), &log()).map(|it| it.text());
        let none = text(&[]).unwrap();
        assert!(none.contains("CREATE TABLE") && none.contains("we may not see it"));
        assert!(
            none.contains("which is replaced: SET @a = 1") && !none.contains("_scheduler = ON;")
        );
        let whole = text(&columns("varchar(400)")).unwrap();
        assert!(!whole.contains("CREATE TABLE") && whole.contains("as it should be"), "{whole}");
        let old = text(&columns("varchar(30)")).unwrap();
        assert!(old.contains("ALTER TABLE") && old.contains("layout of the how-to"), "{old}");
        let foreign = text(&[("a", "int")]).unwrap_err();
        assert!(foreign.contains("another table") && foreign.contains("--schema"), "{foreign}");
    }

    fn log() -> AccessLog {
        AccessLog {
            schema: "accesslog".to_owned(),
            owner: AccountName::new("accesslog_owner", "localhost"),
            keep_days: 100,
            lenient: false,
            from_how_to: false,
            accounts: Vec::new(),
        }
    }

    fn sql(version: &str, log: &AccessLog) -> Vec<String> {
        let script = init_connect(&server(version), log).unwrap();
        let sql = script.parts.into_iter().filter_map(|part| match part {
            Part::Sql(statement) => Some(statement.sql),
            _ => None,
        });
        sql.collect()
    }

    #[test]
    fn the_right_comes_before_the_need() {
        for version in ["10.11.6-MariaDB", "9.7.4"] {
            let sql = sql(version, &log());
            let place = |words: &str| sql.iter().position(|it| it.contains(words)).unwrap();
            assert!(place("GRANT INSERT") < place("init_connect = 'INSERT"), "{version}");
            assert_eq!(place("init_connect = 'INSERT"), sql.len() - 1, "{version}");
        }
    }

    #[test]
    fn everybody_gets_the_right_in_the_way_of_the_server() {
        let has = |version: &str, log: &AccessLog, words: &str| {
            assert!(sql(version, log).iter().any(|it| it.contains(words)), "{version} {words}");
        };
        has("10.11.6-MariaDB", &log(), "TO PUBLIC");
        has("10.6.3-MariaDB", &log(), "SELECT CONCAT('GRANT INSERT");
        has("8.0.36", &log(), "mandatory_roles");
        let one = AccessLog { accounts: vec![AccountName::new("o'neil", "%")], ..log() };
        has("8.0.36", &one, "TO 'o''neil'@'%'");
        assert!(sql("8.0.36", &one).iter().all(|it| !it.contains("mandatory_roles")));
        assert!(init_connect(&server("5.7.44"), &log()).is_err());
    }

    #[test]
    fn a_lenient_one_catches_what_fails() {
        let lenient = AccessLog { lenient: true, ..log() };
        let sql = sql("10.11.6-MariaDB", &lenient);
        assert!(sql.last().unwrap().starts_with("SET GLOBAL init_connect = 'BEGIN NOT ATOMIC"));
        assert!(init_connect(&server("8.0.36"), &lenient).unwrap_err().contains("--lenient"));
    }

    #[test]
    fn the_how_tos_table_is_widened_while_nobody_writes() {
        let old = AccessLog { from_how_to: true, ..log() };
        for version in ["10.11.6-MariaDB", "9.7.4"] {
            let sql = sql(version, &old);
            let place = |words: &str| sql.iter().position(|it| it.starts_with(words)).unwrap();
            assert!(place("SET GLOBAL init_connect = ''") < place("ALTER TABLE"), "{version}");
        }
    }
}
