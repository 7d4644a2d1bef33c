//! User names that other programs log in with: what configurations of ProxySQL and MaxScale list.
//!
//! ```text
//! mysql_users:                                   ProxySQL, /etc/proxysql.cnf (libconfig)
//! (
//!   { username = "app", password = "…", default_hostgroup = 0 },
//! )
//! mysql_variables = { monitor_username = "monitor" }
//!
//! [Read-Service]                                 MaxScale, /etc/maxscale.cnf (INI)
//! type=service
//! user=maxscale
//! ```
//!
//! An account of such a name is in use although its logins may be rare, or come from the proxy's host only.
//! ProxySQL's own database (`proxysql.db`) goes before its file; what the ledger's crate reads there is made into
//! the same by [`listed`].
//!
//! # Invariants
//! * Passwords are not kept: of all values only those of the keys below are looked at.
//! * What cannot be read is a [`Fault`] with its line, never its text, and no reason to forget what was read:
//!   a name that is missed could be dropped.
//! * No bytes panic; depth is bounded.

use std::fmt;

/// A user name, and where it is listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The user name.
    pub user: Vec<u8>,
    /// As a person would say it: `mysql_users of /etc/proxysql.cnf line 12`.
    pub place: String,
}

/// What a configuration told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// In the order of the lines.
    pub found: Vec<Reference>,
    /// What could not be read: there may be more names than were found.
    pub faults: Vec<Fault>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1 on; where it began.
    pub line: usize,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FaultKind {
    /// A string or a comment has no end.
    Unended,
    /// A group, list or array has no end, or is closed by the bracket of another.
    Bracket,
    /// More groups in each other than anybody writes.
    TooDeep,
    /// Names may stand in another file.
    Include,
    /// The name stands in the environment.
    Environment,
    /// Neither a section nor `key=value`.
    NoKey,
    /// It is a database.
    Database,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line;
        match self.kind {
            FaultKind::Unended => {
                write!(f, "line {line}: a string or comment that begins here has no end")
            }
            FaultKind::Bracket => write!(f, "line {line}: this bracket has no counterpart"),
            FaultKind::TooDeep => {
                write!(f, "line {line}: more than {DEPTH_MAX} groups in each other")
            }
            FaultKind::Include => {
                write!(
                    f,
                    "line {line}: @include is not followed: list that file in references, too"
                )
            }
            FaultKind::Environment => {
                write!(f, "line {line}: a user name from the environment: list it in protected")
            }
            FaultKind::NoKey => write!(f, "line {line}: neither a section nor key=value"),
            FaultKind::Database => f.write_str("an SQLite database, where text is read"),
        }
    }
}

/// The most groups in each other; a ProxySQL file has three.
pub const DEPTH_MAX: usize = 64;

/// The most faults that are told of one file.
pub const FAULTS_MAX: usize = 20;

impl References {
    fn fault(&mut self, line: usize, kind: FaultKind) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { line, kind });
        }
    }
}

/// Reads a configuration; whose it is, is told by its content. `path` is what places call it.
///
/// ```
/// let text = b"mysql_users:\n(\n  { username = \"app\" }\n)\n";
/// let read = verdict::references::read(text, "/etc/proxysql.cnf");
/// assert_eq!(read.found[0].place, "mysql_users of /etc/proxysql.cnf line 3");
/// ```
pub fn read(text: &[u8], path: &str) -> References {
    if text.starts_with(b"SQLite format 3\0") {
        let mut read = References::default();
        read.fault(1, FaultKind::Database);
        return read;
    }
    let lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with(b"#"));
    match first.is_some_and(|line| line.starts_with(b"[") || line.starts_with(b";")) {
        true => maxscale(text, path),
        false => proxysql(text, path),
    }
}

/// Names that were read elsewhere, of `what` in `path`: `mysql_users of /var/lib/proxysql/proxysql.db`.
pub fn listed(users: impl IntoIterator<Item = Vec<u8>>, what: &str, path: &str) -> Vec<Reference> {
    let place = format!("{what} of {path}");
    let users = users.into_iter().filter(|user| !user.is_empty());
    users.map(|user| Reference { user, place: place.clone() }).collect()
}

/// Keys of ProxySQL whose values are user names, below which top-level setting.
const PROXYSQL_KEYS: [(&str, &str); 3] = [
    ("mysql_users", "username"),
    ("mysql_variables", "monitor_username"),
    ("mysql_ldap_mapping", "backend_entity"),
];

/// Reads ProxySQL's configuration file (libconfig: <https://hyperrealm.github.io/libconfig/>, "Configuration
/// Files").
pub fn proxysql(text: &[u8], path: &str) -> References {
    let mut read = References::default();
    let mut reader = Libconfig { text, at: 0, line: 1 };
    // Open groups, lists and arrays: what closes each, the line it began on, the key it is the value of.
    let mut open: Vec<(u8, usize, &[u8])> = Vec::new();
    let mut key: &[u8] = b"";
    // A string that strings behind it go on: `"a" "b"` is one.
    let mut value: Option<Reference> = None;
    while let Some((line, token)) = reader.next(&mut read) {
        if let (Token::Text(more), Some(reference)) = (&token, &mut value) {
            reference.user.extend_from_slice(&unescaped(more));
            continue;
        }
        read.found.extend(value.take().filter(|it| !it.user.is_empty()));
        match token {
            Token::Word(word) => key = word,
            Token::Text(text) => {
                let top = open.first().map_or(key, |(_, _, key)| key);
                let wanted = PROXYSQL_KEYS.iter().find(|(it, name)| {
                    top.eq_ignore_ascii_case(it.as_bytes())
                        && key.eq_ignore_ascii_case(name.as_bytes())
                });
                value = wanted.map(|(what, _)| Reference {
                    user: unescaped(text),
                    place: format!("{what} of {path} line {line}"),
                });
            }
            Token::Mark(mark) => match (mark, closing(mark)) {
                (_, Some(_)) if open.len() == DEPTH_MAX => {
                    read.fault(line, FaultKind::TooDeep);
                    return read;
                }
                (_, Some(close)) => {
                    open.push((close, line, key));
                    key = b"";
                }
                (b'}' | b')' | b']', None) => {
                    key = b"";
                    if open.pop().is_none_or(|(close, _, _)| close != mark) {
                        read.fault(line, FaultKind::Bracket);
                    }
                }
                (b';' | b',', None) => key = b"",
                _ => {}
            },
        }
    }
    read.found.extend(value.filter(|it| !it.user.is_empty()));
    for (_, line, _) in open {
        read.fault(line, FaultKind::Bracket);
    }
    read
}

/// What closes a bracket that opens something.
fn closing(mark: u8) -> Option<u8> {
    match mark {
        b'{' => Some(b'}'),
        b'(' => Some(b')'),
        b'[' => Some(b']'),
        _ => None,
    }
}

/// A piece of a libconfig text.
enum Token<'a> {
    /// A name or a number.
    Word(&'a [u8]),
    /// What stands between quotes, backslashes and all.
    Text(&'a [u8]),
    /// One character.
    Mark(u8),
}

struct Libconfig<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Libconfig<'a> {
    /// Goes on to a place, and counts lines.
    fn go_to(&mut self, at: usize) {
        let passed = &self.text[self.at..at];
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count();
        self.at = at;
    }

    /// Goes on behind the next `end`; whether there is one. `from` bytes are passed before.
    fn go_behind(&mut self, from: usize, end: &[u8]) -> bool {
        let start = (self.at + from).min(self.text.len());
        let found = self.text[start..].windows(end.len()).position(|it| it == end);
        self.go_to(found.map_or(self.text.len(), |found| start + found + end.len()));
        found.is_some()
    }

    /// The next token with its line.
    fn next(&mut self, read: &mut References) -> Option<(usize, Token<'a>)> {
        loop {
            let rest = &self.text[self.at..];
            let (&byte, line) = (rest.first()?, self.line);
            let is_comment = byte == b'#' || rest.starts_with(b"//");
            if is_comment {
                self.go_behind(0, b"\n");
            } else if rest.starts_with(b"/*") {
                if !self.go_behind(2, b"*/") {
                    read.fault(line, FaultKind::Unended);
                }
            } else if byte == b'@' {
                read.fault(line, FaultKind::Include);
                self.go_behind(0, b"\n");
            } else if byte == b'"' {
                let inside = quoted_length(&rest[1..]);
                let end = inside.unwrap_or(rest.len() - 1);
                if inside.is_none() {
                    read.fault(line, FaultKind::Unended);
                }
                let text = &rest[1..=end];
                self.go_to((self.at + end + 2).min(self.text.len()));
                return Some((line, Token::Text(text)));
            } else if is_word(byte) {
                let end = rest.iter().position(|&byte| !is_word(byte)).unwrap_or(rest.len());
                self.go_to(self.at + end);
                return Some((line, Token::Word(&rest[..end])));
            } else {
                self.go_to(self.at + 1);
                if !byte.is_ascii_whitespace() {
                    return Some((line, Token::Mark(byte)));
                }
            }
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'*' | b'.' | b'+')
}

/// How many bytes stand before the quote that ends a string.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A string of libconfig without its backslashes.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&escaped, behind)) = rest.split_first() else {
            out.push(b'\\');
            break;
        };
        rest = behind;
        out.push(match escaped {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'f' => 0x0c,
            b'x' => {
                let digits = rest.get(..2).and_then(|it| std::str::from_utf8(it).ok());
                match digits.and_then(|it| u8::from_str_radix(it, 16).ok()) {
                    Some(byte) => {
                        rest = &rest[2..];
                        byte
                    }
                    None => b'x',
                }
            }
            other => other,
        });
    }
    out
}

/// Keys of MaxScale whose values are user names of the database server: of services, monitors and filters; of
/// single servers; of replication that a monitor sets up.
const MAXSCALE_KEYS: [&str; 3] = ["user", "monitoruser", "replication_user"];

/// Reads MaxScale's configuration (<https://mariadb.com/kb/en/mariadb-maxscale-configuration-guide/>).
pub fn maxscale(text: &[u8], path: &str) -> References {
    let mut read = References::default();
    let (mut section, mut kind) = (String::new(), String::new());
    // Of this section: user names with their lines.
    let mut users: Vec<(Vec<u8>, usize)> = Vec::new();
    let close = |read: &mut References, section: &str, kind: &str, users: &mut Vec<_>| {
        for (user, line) in users.drain(..) {
            let kind = if kind.is_empty() { "section" } else { kind };
            let place = format!("{kind} {section} of {path} line {line}");
            read.found.push(Reference { user, place });
        }
    };
    for (line, number) in text.split(|&byte| byte == b'\n').zip(1..) {
        let is_continued = line.starts_with(b" ") || line.starts_with(b"\t");
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") || line.starts_with(b";") {
            continue;
        }
        if let Some(name) = line.strip_prefix(b"[") {
            close(&mut read, &section, &kind, &mut users);
            kind.clear();
            let end = name.iter().position(|&byte| byte == b']');
            if end.is_none() {
                read.fault(number, FaultKind::Bracket);
            }
            section = lossy(&name[..end.unwrap_or(name.len())]);
            continue;
        }
        let Some(at) = line.iter().position(|&byte| byte == b'=') else {
            // The rest of a longer value.
            if !is_continued {
                read.fault(number, FaultKind::NoKey);
            }
            continue;
        };
        let (key, value) = (line[..at].trim_ascii(), unquoted(line[at + 1..].trim_ascii()));
        if key.eq_ignore_ascii_case(b"type") {
            kind = lossy(value);
        }
        if !MAXSCALE_KEYS.iter().any(|it| key.eq_ignore_ascii_case(it.as_bytes())) {
            continue;
        }
        match value.first() {
            None => {}
            Some(b'$') => read.fault(number, FaultKind::Environment),
            Some(_) => users.push((value.to_vec(), number)),
        }
    }
    close(&mut read, &section, &kind, &mut users);
    read
}

/// A value without the quotes around it.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inside @ .., b'"'] | [b'\'', inside @ .., b'\''] => inside,
        _ => value,
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(&str, &str)], faults: &[(usize, FaultKind)]) {
        let read = read(text.as_bytes(), "F");
        let found: Vec<(String, &str)> =
            read.found.iter().map(|it| (lossy(&it.user), it.place.as_str())).collect();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(user, it)| (user.as_str(), *it)).collect();
        assert_eq!(found, expected, "{text}");
        let told: Vec<(usize, FaultKind)> =
            read.faults.iter().map(|it| (it.line, it.kind)).collect();
        assert_eq!(told, faults, "{text}");
    }

    /// Shortened from the file that ProxySQL's packages bring.
    const PROXYSQL: &str = r#"#file proxysql.cfg
datadir="/var/lib/proxysql"
admin_variables=
{
	admin_credentials="admin:admin"   # not of the servers behind
}
mysql_variables=
{
	threads=4
	max_connections=2048
	monitor_username="monitor"
	monitor_password="monitor"
}
/* mysql_users: ( { username = "old" } ) */
mysql_servers =
(
	{ address="127.0.0.1" , port=3306 , hostgroup=0, max_connections=200 }
)
mysql_users:
(
	{
		username = "app" // no comma at the end
		password = "secret \"} quoted"
		default_hostgroup = 0
		active = 1
	},
	{ username = "o\x27neil\\" , password = "x", attributes = "{\"username\":\"no\"}" },
	{ password = "first"; USERNAME = "two"
	  "parts"; active = 0; }
)
mysql_query_rules: ( { username = "not_an_account", rule_id=1 } )
"#;

    #[test]
    fn proxysql_lists_users_and_its_monitor() {
        check(
            PROXYSQL,
            &[
                ("monitor", "mysql_variables of F line 11"),
                ("app", "mysql_users of F line 22"),
                ("o'neil\\", "mysql_users of F line 27"),
                ("twoparts", "mysql_users of F line 28"),
            ],
            &[],
        );
    }

    #[test]
    fn what_is_read_before_a_fault_stays() {
        let users = "mysql_users=({username=\"a\"},\n";
        let a = [("a", "mysql_users of F line 1")];
        let check = |rest: &str, faults: &[(usize, FaultKind)]| {
            check(&format!("{users}{rest}"), &a, faults);
        };
        check(
            "{password=\"x",
            &[(2, FaultKind::Unended), (1, FaultKind::Bracket), (2, FaultKind::Bracket)],
        );
        check("}", &[(2, FaultKind::Bracket)]);
        check("/* x\n", &[(2, FaultKind::Unended), (1, FaultKind::Bracket)]);
        check("\n@include \"users.cfg\"\n)", &[(3, FaultKind::Include)]);
        check(")]", &[(2, FaultKind::Bracket)]);
        let mut unclosed = [(2, FaultKind::Bracket); FAULTS_MAX];
        unclosed[0].0 = 1;
        check(&"{".repeat(DEPTH_MAX - 1), &unclosed);
        check(&"{".repeat(DEPTH_MAX), &[(2, FaultKind::TooDeep)]);
        super::tests::check("SQLite format 3\0x", &[], &[(1, FaultKind::Database)]);
    }

    /// After the tutorials of MaxScale.
    const MAXSCALE: &str = "# settings
[maxscale]
threads=auto

[server1]
type=server
address=10.0.0.1
monitoruser=mon1

[MariaDB-Monitor]
type=monitor
module=mariadbmon
servers=server1,
   server2
user=monitor_user
password=secret=x
replication_user=repl
auto_failover=true

[Read-Write-Service]
user = 'service user'
type=service
router_options=
   a=b
password='x'

[Hint]
type=filter
user=

[L]
type=listener
service=user
";

    #[test]
    fn maxscale_lists_users_of_services_and_monitors() {
        check(
            MAXSCALE,
            &[
                ("mon1", "server server1 of F line 8"),
                ("monitor_user", "monitor MariaDB-Monitor of F line 15"),
                ("repl", "monitor MariaDB-Monitor of F line 17"),
                ("service user", "service Read-Write-Service of F line 21"),
            ],
            &[],
        );
        check(
            "[a]\nuser=$MAXUSER\nnothing\n[b\nuser=x\n",
            &[("x", "section b of F line 5")],
            &[(2, FaultKind::Environment), (3, FaultKind::NoKey), (4, FaultKind::Bracket)],
        );
    }

    #[test]
    fn faults_name_line_and_remedy_and_no_text() {
        let read = read(b"mysql_users=({password=\"hush", "F");
        let told: Vec<String> = read.faults.iter().map(Fault::to_string).collect();
        assert_eq!(told[0], "line 1: a string or comment that begins here has no end");
        assert!(told.iter().all(|it| !it.contains("hush")));
        assert!(read.faults.len() <= FAULTS_MAX);
    }

    #[test]
    fn names_that_were_read_elsewhere() {
        let found = listed([b"app".to_vec(), Vec::new()], "mysql_users", "/p.db");
        let expected =
            Reference { user: b"app".to_vec(), place: "mysql_users of /p.db".to_owned() };
        assert_eq!(found, [expected]);
    }

    /// Pieces of both formats in any order.
    fn soup() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "mysql_users",
                "username",
                "=",
                ":",
                "(",
                "{",
                "}",
                ")",
                "[",
                "]",
                "\"",
                "\\",
                "\\x4",
                "/*",
                "*/",
                "//",
                "#",
                "@include",
                "\n",
                ";",
                ",",
                "[m]",
                "user=",
                "type=",
                "$",
                " ",
            ])
            .prop_map(|it| it.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 0..60).prop_map(|it| it.concat())
    }

    proptest! {
        #[test]
        fn no_bytes_panic(text in soup()) {
            for read in [read(&text, "F"), proxysql(&text, "F"), maxscale(&text, "F")] {
                prop_assert!(read.faults.len() <= FAULTS_MAX);
                let lines = text.split(|&byte| byte == b'\n').count();
                prop_assert!(read.faults.iter().all(|it| (1..=lines).contains(&it.line)));
                prop_assert!(read.found.iter().all(|it| !it.user.is_empty()));
            }
        }

        #[test]
        fn any_name_is_found_again(name in prop::collection::vec(1u8.., 1..40)) {
            let mut text = b"mysql_users=({username=\"".to_vec();
            name.iter().for_each(|byte| text.extend(format!("\\x{byte:02x}").bytes()));
            text.extend(b"\"})");
            let read = proxysql(&text, "F");
            prop_assert_eq!(&read.found[0].user, &name);
        }
    }
}
