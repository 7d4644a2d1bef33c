//! Views, routines, triggers and events, and whose rights they run with.
//!
//! A definer is text: `user@host`, nothing quoted. It is compared with the names of the accounts written the
//! same way; where two accounts are written alike, it counts for both.
//!
//! What a session may not see the server leaves out without an error, so a right that is missing is told by what
//! this session's own account has.

use std::collections::HashMap;

use verdict::account::{AccountName, Definer, Family};

use super::{Look, bytes};
use crate::error::LiveError;

/// Where a kind of thing is listed, and the right without which some are left out.
struct Source {
    what: &'static str,
    sql: &'static str,
    /// Empty: what is missing is refused by an error.
    right: &'static str,
    granted: &'static str,
}

const VIEWS: Source = Source {
    what: "whose views run with the rights of an account",
    sql: "SELECT DEFINER, TABLE_SCHEMA, TABLE_NAME, 'VIEW' FROM information_schema.VIEWS",
    right: "SHOW VIEW",
    granted: "SHOW VIEW ON *.*",
};

const TRIGGERS: Source = Source {
    what: "whose triggers run with the rights of an account",
    sql: "SELECT DEFINER, TRIGGER_SCHEMA, TRIGGER_NAME, 'TRIGGER' FROM information_schema.TRIGGERS",
    right: "TRIGGER",
    granted: "TRIGGER ON *.*",
};

const MARIADB: [Source; 4] = [
    VIEWS,
    Source {
        what: "whose routines run with the rights of an account",
        sql: "SELECT definer, db, name, type FROM mysql.proc",
        right: "",
        granted: "SELECT (db, name, type, definer) ON mysql.proc",
    },
    TRIGGERS,
    Source {
        what: "whose events run with the rights of an account",
        sql: "SELECT definer, db, name, 'EVENT' FROM mysql.event",
        right: "",
        granted: "SELECT (db, name, definer) ON mysql.event",
    },
];

const MYSQL: [Source; 4] = [
    VIEWS,
    Source {
        what: "whose routines run with the rights of an account",
        sql: "SELECT DEFINER, ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES",
        right: "SHOW_ROUTINE",
        granted: "SHOW_ROUTINE ON *.*",
    },
    TRIGGERS,
    Source {
        what: "whose events run with the rights of an account",
        sql: "SELECT DEFINER, EVENT_SCHEMA, EVENT_NAME, 'EVENT' FROM information_schema.EVENTS",
        right: "EVENT",
        granted: "EVENT ON *.*",
    },
];

pub(super) fn read(look: &mut Look<'_>) -> Result<(), LiveError> {
    let mut written: HashMap<Vec<u8>, Vec<AccountName>> = HashMap::new();
    for name in look.accounts.keys() {
        let text = [&name.user[..], &name.host[..]].join(&b'@');
        written.entry(text).or_default().push(name.clone());
    }
    let sources = match look.family() {
        Family::MariaDb => &MARIADB,
        Family::MySql => &MYSQL,
    };
    for source in sources {
        if !source.right.is_empty() && !look.may(source.right) {
            look.miss(source.what, 0, source.granted);
        }
        for row in look.read(source.what, source.granted, source.sql)?.unwrap_or_default() {
            let definer = Definer {
                kind: kind(&bytes(&row, 3)),
                schema: bytes(&row, 1),
                name: bytes(&row, 2),
            };
            for name in written.get(&bytes(&row, 0)).map_or(&[][..], |names| names) {
                if let Some(account) = look.accounts.get_mut(name) {
                    account.definer_of.push(definer.clone());
                }
            }
        }
    }
    Ok(())
}

fn kind(text: &[u8]) -> &'static str {
    match text {
        b"VIEW" => "VIEW",
        b"FUNCTION" => "FUNCTION",
        b"PACKAGE" | b"PACKAGE BODY" => "PACKAGE",
        b"TRIGGER" => "TRIGGER",
        b"EVENT" => "EVENT",
        _ => "PROCEDURE",
    }
}
