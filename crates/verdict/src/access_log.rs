//! The table that logins write into through `init_connect`: in which layout it is.
//!
//! ```text
//! column      rollcall's                             the how-to's that many servers run
//! id          bigint unsigned                        int(11)
//! thread_id   bigint unsigned                        int(11)
//! log_time    timestamp(6)                           timestamp on update current_timestamp()
//! localname   varchar(400)   USER()                  varchar(30)
//! matchname   varchar(400)   CURRENT_USER()          varchar(30)
//! ```
//!
//! Both are read alike. The how-to's ends the login of a name that does not fit, and an `UPDATE` moves its
//! times.

use std::collections::BTreeMap;

/// The characters of a name column: user name (128), `@`, host (255), and some room.
pub const NAME_MAX: u32 = 400;

/// The most characters that `USER()` has.
const NAME_NEEDS: u32 = 128 + 1 + 255;

/// The columns that are read.
const COLUMNS: [&str; 4] = ["thread_id", "log_time", "localname", "matchname"];

/// In which layout an access log table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Every name fits, and times stay.
    Whole,
    /// As the how-to makes it: names may not fit, or times may move. `rollcall setup init-connect
    /// --from-how-to` mends it.
    HowTo,
    /// Another table; these columns are missing.
    Foreign(Vec<&'static str>),
}

impl Layout {
    /// Tells the layout from the table's columns: names, and for each what `COLUMN_TYPE` and `EXTRA` of
    /// `information_schema.COLUMNS` say, with a blank between them.
    ///
    /// ```
    /// use verdict::access_log::Layout;
    ///
    /// let columns = [
    ///     ("thread_id", "int(11)"),
    ///     ("log_time", "timestamp on update current_timestamp()"),
    ///     ("localname", "varchar(30)"),
    ///     ("matchname", "varchar(30)"),
    /// ];
    /// let columns = columns.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    /// assert_eq!(Layout::of(&columns.into()), Layout::HowTo);
    /// ```
    pub fn of(columns: &BTreeMap<String, String>) -> Layout {
        let column = |name: &str| {
            let mut named = columns.iter().filter(|(it, _)| it.eq_ignore_ascii_case(name));
            named.next().map(|(_, kind)| kind.to_ascii_lowercase())
        };
        let missing: Vec<&str> =
            COLUMNS.into_iter().filter(|name| column(name).is_none()).collect();
        if !missing.is_empty() {
            return Layout::Foreign(missing);
        }
        let fits = |name: &str| column(name).is_some_and(|kind| room(&kind) >= NAME_NEEDS);
        let moves = column("log_time").is_some_and(|kind| kind.contains("on update"));
        match fits("localname") && fits("matchname") && !moves {
            true => Layout::Whole,
            false => Layout::HowTo,
        }
    }
}

/// How many characters a type holds; types without a number hold enough.
fn room(kind: &str) -> u32 {
    let number = kind.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    number.map_or(u32::MAX, |(number, _)| number.trim().parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(columns: &[(&str, &str)]) -> Layout {
        let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()));
        Layout::of(&columns.collect())
    }

    #[test]
    fn layouts_are_told_apart() {
        let table = |time, local, matched| {
            layout(&[
                ("ID", "int"),
                ("Thread_Id", "int"),
                ("LOG_TIME", time),
                ("localname", local),
                ("matchname", matched),
            ])
        };
        let wide = "varchar(400)";
        assert_eq!(table("timestamp(6)", wide, wide), Layout::Whole);
        assert_eq!(table("timestamp", "VARCHAR(384)", "text"), Layout::Whole);
        assert_eq!(table("timestamp", "varchar(383)", wide), Layout::HowTo);
        assert_eq!(table("timestamp", wide, "varchar(30)"), Layout::HowTo);
        assert_eq!(table("timestamp ON UPDATE current_timestamp()", wide, wide), Layout::HowTo);
        assert_eq!(table("timestamp DEFAULT_GENERATED on update CURRENT_TIMESTAMP", wide, wide), {
            Layout::HowTo
        });
        let foreign = layout(&[("thread_id", "int"), ("localname", wide)]);
        assert_eq!(foreign, Layout::Foreign(vec!["log_time", "matchname"]));
        assert_eq!(table("timestamp", "varchar(x)", "varchar("), Layout::HowTo);
    }
}
