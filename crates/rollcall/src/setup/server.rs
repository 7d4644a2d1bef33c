//! Which server a script is for: its version, its variables where they are known, and what is there already
//! where it was asked.
//!
//! ```text
//! mariadb -e 'SHOW GLOBAL VARIABLES'       Variable_name<TAB>Value
//!                                          version<TAB>10.11.6-MariaDB-log
//! ```

use std::collections::BTreeMap;

use live::facts::{Plugin, Right};
use verdict::account::{AccountName, Family, Version, quoted, quoted_account};

/// What is taken for granted of a server whose version nobody told.
const ASSUMED: [(Family, &str); 2] =
    [(Family::MariaDb, "10.11.0-MariaDB"), (Family::MySql, "8.4.0")];

/// What is known of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerFacts {
    pub(crate) version: Version,
    /// The version is a guess.
    pub(crate) is_assumed: bool,
    /// `SHOW GLOBAL VARIABLES`, names in lower case; `None` where nobody told.
    pub(crate) variables: Option<BTreeMap<String, String>>,
    /// What is there already; `None` where the server was not asked.
    pub(crate) present: Option<Present>,
}

/// What a server that was asked has already, as far as we may look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Present {
    pub(crate) plugins: Vec<Plugin>,
    /// The columns of the access log table, and what they are; empty where there is none.
    pub(crate) columns: BTreeMap<String, String>,
    /// The rights of rollcall's own account; empty where there is none.
    pub(crate) rights: Vec<Right>,
    /// The routines in the schema of the procedures.
    pub(crate) routines: Vec<String>,
    /// What rules this machine beside file modes, where the server is on it.
    pub(crate) guards: Option<Guards>,
}

/// What may forbid a server a file that its mode allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guards {
    pub(crate) selinux: bool,
    pub(crate) apparmor: bool,
}

impl Present {
    /// A plugin by its name, in whatever case.
    pub(crate) fn plugin(&self, name: &str) -> Option<&Plugin> {
        self.plugins.iter().find(|it| it.name.eq_ignore_ascii_case(name))
    }
}

impl ServerFacts {
    /// From what was told: the kind, what `SELECT version()` says, what the client wrote of
    /// `SHOW GLOBAL VARIABLES`. Each is enough.
    ///
    /// # Errors
    /// A message where that is nothing, not readable, or contradicts itself.
    pub(crate) fn told(
        family: Option<Family>,
        version: Option<&str>,
        variables: Option<&str>,
    ) -> Result<ServerFacts, String> {
        let variables = variables.map(read_variables).transpose()?;
        let told = version.or_else(|| variables.as_ref()?.get("version").map(String::as_str));
        let facts = match (told, family) {
            (Some(text), _) => {
                let version = Version::parse(text).ok_or_else(|| {
                    format!("{text:?} is no version: give what SELECT version() says")
                })?;
                ServerFacts { version, is_assumed: false, variables, present: None }
            }
            (None, Some(family)) => {
                let assumed = ASSUMED.iter().find(|(it, _)| *it == family);
                let version = assumed.and_then(|(_, text)| Version::parse(text));
                let version = version.ok_or_else(|| "give --server-version".to_owned())?;
                ServerFacts { version, is_assumed: true, variables, present: None }
            }
            (None, None) => {
                let flags = "--family mariadb|mysql, --server-version TEXT or --variables FILE; or have it \
                    asked: --defaults-file FILE, or --server NAME where it is configured";
                return Err(format!("for which server? Give {flags}"));
            }
        };
        match family {
            Some(family) if family != facts.version.family => Err(format!(
                "{:?} is a version of {}, not of {}",
                facts.version.text,
                facts.version.family.as_str(),
                family.as_str()
            )),
            _ => Ok(facts),
        }
    }

    /// The value of a variable. `Some(None)` where it is known that there is none; `None` where nobody
    /// told.
    pub(crate) fn variable(&self, name: &str) -> Option<Option<&str>> {
        self.variables.as_ref().map(|it| it.get(name).map(String::as_str))
    }

    /// Whether a variable is known to be `ON`.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.variable(name).flatten().is_some_and(|it| it.eq_ignore_ascii_case("ON") || it == "1")
    }

    /// For which server this is, for the head of a script.
    pub(crate) fn heading(&self, what: &str) -> String {
        let (major, minor, _) = self.version.number;
        let family = self.version.family.as_str();
        match self.is_assumed {
            true => format!(
                "{what}, for {family} {major}.{minor} and newer (--server-version tells which it is)."
            ),
            false if self.present.is_some() => format!(
                "{what}, for {family} {}, which was asked: what is there already is left out.",
                self.version.text
            ),
            false => format!("{what}, for {family} {}.", self.version.text),
        }
    }

    /// Whether it is this version or newer.
    pub(crate) fn is_at_least(&self, major: u16, minor: u16) -> bool {
        let (its_major, its_minor, _) = self.version.number;
        (its_major, its_minor) >= (major, minor)
    }

    /// # Errors
    /// A message where the server is older than what a script needs.
    pub(crate) fn require(
        &self,
        mariadb: (u16, u16),
        mysql: (u16, u16),
        why: &str,
    ) -> Result<(), String> {
        let (major, minor) = match self.version.family {
            Family::MariaDb => mariadb,
            Family::MySql => mysql,
        };
        if self.is_at_least(major, minor) {
            return Ok(());
        }
        let family = self.version.family.as_str();
        Err(format!("{family} {}: {why} from {family} {major}.{minor} on", self.version.text))
    }
}

/// What `mariadb -e 'SHOW GLOBAL VARIABLES'` writes: name, tab, value; with or without its heading.
fn read_variables(text: &str) -> Result<BTreeMap<String, String>, String> {
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    let variables: BTreeMap<String, String> =
        lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    if variables.contains_key("version") {
        return Ok(variables);
    }
    Err("no variable `version` is in it: give the output of mariadb -B -e 'SHOW GLOBAL VARIABLES'"
        .to_owned())
}

/// A name as SQL writes it in backticks.
pub(crate) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The name of a schema in `GRANT … ON schema.*`, where `_` and `%` stand for others.
pub(crate) fn schema_pattern(name: &str) -> String {
    identifier(&name.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%"))
}

/// A text as SQL writes it, for a session whose `sql_mode` is empty.
pub(crate) fn literal(text: &[u8]) -> String {
    String::from_utf8_lossy(&quoted(text)).into_owned()
}

/// An account as SQL writes it, for a session whose `sql_mode` is empty.
pub(crate) fn account(name: &AccountName) -> String {
    String::from_utf8_lossy(&quoted_account(name)).into_owned()
}

/// What makes an account one that nobody can log in with: a password that no text hashes to (the server's
/// own `mysql.sys` has the same), and `ACCOUNT LOCK`.
pub(crate) fn nobody(family: Family) -> &'static str {
    match family {
        Family::MariaDb => "IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK",
        Family::MySql => {
            "IDENTIFIED WITH caching_sha2_password AS \
             '$A$005$THISISACOMBINATIONOFINVALIDSALTANDPASSWORDTHATMUSTNEVERBRBEUSED' ACCOUNT LOCK"
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A server of which only the version is known.
    pub(crate) fn server(version: &str) -> ServerFacts {
        ServerFacts::told(None, Some(version), None).unwrap()
    }

    #[test]
    fn each_of_the_three_is_enough() {
        let check = |family, version, variables, expected: &str| {
            let facts = ServerFacts::told(family, version, variables).unwrap();
            assert_eq!(facts.heading("X"), expected);
            facts
        };
        let hint = "and newer (--server-version tells which it is).";
        check(Some(Family::MariaDb), None, None, &format!("X, for MariaDB 10.11 {hint}"));
        check(Some(Family::MySql), None, None, &format!("X, for MySQL 8.4 {hint}"));
        check(None, Some("9.7.4"), None, "X, for MySQL 9.7.4.");
        let text = "Variable_name\tValue\nVERSION\t10.6.3-MariaDB\nx\t\n";
        let facts = check(None, None, Some(text), "X, for MariaDB 10.6.3-MariaDB.");
        assert_eq!(facts.variable("x"), Some(Some("")));
        assert_eq!(facts.variable("y"), Some(None));
        assert_eq!(server("9.7.4").variable("x"), None);
    }

    #[test]
    fn contradictions_are_named() {
        for (family, version, variables, words) in [
            (None, None, None, "for which server?"),
            (None, Some("new"), None, "\"new\" is no version"),
            (Some(Family::MySql), Some("10.6.3-MariaDB"), None, "is a version of MariaDB"),
            (None, None, Some("x"), "no variable `version`"),
        ] {
            let error = ServerFacts::told(family, version, variables).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let old = server("5.7.44").require((10, 5), (8, 0), "roles are there");
        assert_eq!(old.unwrap_err(), "MySQL 5.7.44: roles are there from MySQL 8.0 on");
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(identifier("a`b"), "`a``b`");
        assert_eq!(schema_pattern("a_b%`\\"), "`a\\_b\\%``\\\\`");
        assert_eq!(literal(b"it's"), "'it''s'");
        assert_eq!(account(&AccountName::new("a", "%")), "'a'@'%'");
    }
}
