//! Records that tell that the audit was switched off, or not to write logins any more.
//!
//! ```text
//! 20260314 09:26:53,db1,root,localhost,42,977,QUERY,,'SET GLOBAL server_audit_logging=OFF',0
//! 20260314 09:26:53,db1,root,localhost,42,978,QUERY,,'set @x=1, @@global.server_audit_events=\'QUERY\'',0
//! 20260314 09:26:53,db1,root,localhost,42,979,QUERY,mysql,'UNINSTALL SONAME \'server_audit\'',0
//! 20260314 09:26:53,db1,,,0,0,AUDIT_CONFIG,,logging=OFF,0
//! ```
//!
//! Seen on MariaDB 10.11: the plugin writes `SET GLOBAL server_audit_logging=OFF` before it stops, whatever
//! `server_audit_events` and `server_audit_incl_users` say; of procedures, prepared statements and events
//! it writes the statement inside, in which a local variable may stand as `NAME_CONST(…)` in the wrong
//! place. It keeps comments, and those that are code (`/*!`, `/*M!`). A `SET` that failed has an error.
//!
//! # What it does not see
//! * A switch that is a later statement of one packet (`SELECT 1; SET GLOBAL …`): that is not written, or
//!   as the text of the first.
//! * `UNINSTALL` where statements are not audited, and a `server_audit_events` without `QUERY`: these are not
//!   written either.
//!
//! # Invariants
//! * Text in strings and comments is no switch.
//! * What cannot be told (a value that is no constant, a statement that is cut off) is said to be so.

use formats::{Event, Kind};

/// What a record tells of the audit behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Switch {
    /// Records may be missing up to the next one.
    pub(crate) stop: Option<Stop>,
    /// From here on logins are, or may be, left out, or are written (again).
    pub(crate) logins: Option<Logins>,
}

/// Why nothing may be written up to the next record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The audit is off.
    Off,
    /// The plugin was taken out of the server.
    Uninstalled,
    /// It may be off: what was set is no constant, or the statement is cut off.
    MaybeOff,
    /// Records go to syslog.
    ToSyslog,
    /// Records go to a file.
    ToFile,
    /// Records go to a file of another name.
    ToPath(Vec<u8>),
    /// Records may go elsewhere.
    Moved,
}

/// Whether logins are written from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logins {
    Written,
    LeftOut,
    Unknown,
}

/// A longer statement counts as cut off: what sets a few variables is shorter.
const STATEMENT_BYTES_MAX: usize = 64 << 10;

/// `server_audit_query_log_limit` by default. A statement may end up to three bytes before it: a character
/// or an escape is not cut in two by all writers.
const CUT_AT: std::ops::RangeInclusive<usize> = 1021..=1024;

/// The kinds of assignments of more tokens than this are not told apart.
const TOKENS_MAX: usize = 16;

/// Whether a statement may be a switch: it begins with `SET`, `UNI…`, a comment or a blank. Nearly none do,
/// so this is all that is asked of most.
#[inline(always)]
pub(crate) fn may_switch(statement: &[u8]) -> bool {
    let Some(&[a, b, c]) = statement.first_chunk() else { return false };
    let word = u32::from_le_bytes([a, b, c, 0]) | 0x0020_2020;
    let set = word == u32::from_le_bytes(*b"set\0");
    let uninstall = word == u32::from_le_bytes(*b"uni\0");
    set | uninstall | !a.is_ascii_alphabetic()
}

/// What a record tells; nothing, as a rule.
pub(crate) fn of(event: &Event<'_>) -> Switch {
    match event.kind {
        _ if event.error != 0 => Switch::default(),
        Kind::Query if may_switch(event.object) => of_statement(event.object),
        Kind::AuditConfig => of_setting(event.object),
        _ => Switch::default(),
    }
}

/// `name=value`, as older Enterprise servers write a setting (MariaDB documentation, Audit Config events).
fn of_setting(setting: &[u8]) -> Switch {
    let mut switch = Switch::default();
    let Some(equals) = setting.iter().position(|&byte| byte == b'=') else { return switch };
    let name = setting[..equals].trim_ascii().to_ascii_lowercase();
    let name = name.strip_prefix(b"server_audit_").unwrap_or(&name);
    // Its path is written whenever the file is opened.
    if name != b"file_path" {
        switch.assign(name, &[Token::Text(setting[equals + 1..].trim_ascii().to_vec())]);
    }
    switch
}

fn of_statement(escaped: &[u8]) -> Switch {
    let too_long = escaped.len() > STATEMENT_BYTES_MAX;
    let text = unescaped(&escaped[..escaped.len().min(STATEMENT_BYTES_MAX)]);
    let mut lexer = Lexer { text: &text, at: 0, in_code: false };
    let mut switch = Switch::default();
    let cut = match statement(&mut lexer, &mut switch) {
        Parsed::Other => return switch,
        Parsed::Whole => too_long || CUT_AT.contains(&escaped.len()),
        Parsed::Cut => true,
    };
    if cut {
        switch.stop.get_or_insert(Stop::MaybeOff);
    }
    switch
}

/// As the server has it: a backslash and a letter stand for what a line cannot hold.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'f') => 0x0c,
                Some(&other) => other,
                None => break,
            },
            byte => byte,
        });
    }
    bytes
}

enum Parsed {
    /// No statement that switches anything.
    Other,
    Whole,
    /// It ends where none can end.
    Cut,
}

fn statement(lexer: &mut Lexer<'_>, switch: &mut Switch) -> Parsed {
    loop {
        match lexer.next() {
            Token::Word(word) if word == b"set" => match set(lexer, switch) {
                Next::Statement => {}
                Next::End(parsed) => return parsed,
            },
            Token::Word(word) if word == b"uninstall" => return uninstall(lexer, switch),
            Token::Sign(b';') => {}
            Token::Cut => return Parsed::Cut,
            _ => return Parsed::Other,
        }
    }
}

enum Next {
    /// `SET STATEMENT … FOR`, or a semicolon: another statement follows.
    Statement,
    End(Parsed),
}

/// Behind `SET`: assignments between commas.
fn set(lexer: &mut Lexer<'_>, switch: &mut Switch) -> Next {
    let mut global = false;
    let mut first = true;
    loop {
        let (tokens, end) = assignment(lexer);
        if first && tokens.first() == Some(&Token::Word(b"statement".to_vec())) {
            // Up to FOR these are settings of a session.
            return match tokens.last() {
                Some(Token::Word(word)) if word == b"for" => Next::Statement,
                _ if end == Token::Sign(b',') => {
                    skip_to_for(lexer);
                    Next::Statement
                }
                _ => Next::End(Parsed::Cut),
            };
        }
        first = false;
        let regular = assigned(&tokens, &mut global, switch);
        match end {
            Token::Sign(b',') => {}
            Token::Sign(_) => return Next::Statement,
            Token::Cut => return Next::End(Parsed::Cut),
            _ if regular => return Next::End(Parsed::Whole),
            _ => return Next::End(Parsed::Cut),
        }
    }
}

fn skip_to_for(lexer: &mut Lexer<'_>) {
    loop {
        match lexer.next() {
            Token::Word(word) if word == b"for" => return,
            Token::End | Token::Cut => return,
            _ => {}
        }
    }
}

/// The tokens up to a comma, a semicolon or `FOR` outside of brackets, and what ends them.
fn assignment(lexer: &mut Lexer<'_>) -> (Vec<Token>, Token) {
    let (mut tokens, mut depth) = (Vec::new(), 0usize);
    loop {
        let token = lexer.next();
        match token {
            Token::End if depth > 0 => return (tokens, Token::Cut),
            Token::End | Token::Cut => return (tokens, token),
            Token::Sign(b',' | b';') if depth == 0 => return (tokens, token),
            Token::Sign(b'(') => depth += 1,
            Token::Sign(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends = depth == 0
            && token == Token::Word(b"for".to_vec())
            && tokens.first() == Some(&Token::Word(b"statement".to_vec()));
        if tokens.len() < TOKENS_MAX || ends {
            tokens.push(token);
        }
        if ends {
            return (tokens, Token::End);
        }
    }
}

/// Takes one assignment into account; false where a `SET` cannot end with it. `global`: the word was said, and
/// holds for what follows.
fn assigned(tokens: &[Token], global: &mut bool, switch: &mut Switch) -> bool {
    let is_equals = |it: &Token| matches!(it, Token::Sign(b'=') | Token::Becomes);
    let equals = tokens.iter().position(is_equals);
    let mut name = &tokens[..equals.unwrap_or(tokens.len())];
    let mut here = false;
    if let [Token::Word(scope), rest @ ..] = name
        && !rest.is_empty()
    {
        match scope.as_slice() {
            b"global" => (*global, name) = (true, rest),
            b"session" | b"local" => (*global, name) = (false, rest),
            _ => {}
        }
    } else if let [Token::Variable, Token::Word(scope), Token::Sign(b'.'), rest @ ..] = name {
        (here, name) = (scope == b"global", rest);
    } else if let [Token::Variable, rest @ ..] = name {
        (here, name) = (true, rest);
    }
    match (name, equals) {
        ([Token::Word(name) | Token::Name(name) | Token::Text(name)], Some(equals)) => {
            let value = &tokens[equals + 1..];
            if let Some(setting) = name.strip_prefix(b"server_audit_")
                && (*global || here)
            {
                switch.assign(setting, value);
            }
            !value.is_empty()
        }
        // A local variable of a procedure was written where it does not belong.
        (name, Some(_)) if name.contains(&Token::Word(b"name_const".to_vec())) => {
            switch.stop = Some(Stop::MaybeOff);
            true
        }
        (_, Some(equals)) => equals + 1 < tokens.len(),
        // `SET NAMES x` has two words, `SET GLOBAL TRANSACTION …` more.
        (name, None) => name.len() > 1,
    }
}

fn uninstall(lexer: &mut Lexer<'_>, switch: &mut Switch) -> Parsed {
    loop {
        let name = match lexer.next() {
            Token::Word(word)
                if [&b"plugin"[..], b"soname", b"if", b"exists"].contains(&&*word) =>
            {
                continue;
            }
            Token::Word(name) | Token::Name(name) | Token::Text(name) => name,
            Token::End | Token::Cut => return Parsed::Cut,
            _ => return Parsed::Other,
        };
        // The one of Enterprise servers is `server_audit2`.
        if name.to_ascii_lowercase().starts_with(b"server_audit") {
            switch.stop = Some(Stop::Uninstalled);
        }
        return Parsed::Whole;
    }
}

impl Switch {
    /// A setting, named without `server_audit_`. The last of several of one name counts.
    fn assign(&mut self, name: &[u8], value: &[Token]) {
        let lower = |text: &[u8]| text.trim_ascii().to_ascii_lowercase();
        // A word, a number or a string; `None`: DEFAULT; anything else is no constant.
        let constant = match value {
            [Token::Word(word)] if word == b"default" => Ok(None),
            [Token::Word(text) | Token::Text(text) | Token::Name(text)] => Ok(Some(text)),
            _ => Err(()),
        };
        let word = constant.map(|it| it.map(|text| lower(text)));
        match name {
            b"logging" => {
                self.stop = match word.as_ref().map(|it| it.as_deref()) {
                    // By default it is off.
                    Ok(None | Some(b"off" | b"false" | b"0")) => Some(Stop::Off),
                    Ok(Some(b"on" | b"true" | b"1")) => None,
                    _ => Some(Stop::MaybeOff),
                };
            }
            b"events" => {
                self.logins = Some(match word.as_ref().map(|it| it.as_deref()) {
                    Ok(None | Some(b"")) => Logins::Written,
                    Ok(Some(events)) => logins_of(events),
                    Err(()) => Logins::Unknown,
                });
            }
            b"output_type" => {
                let stop = match word.as_ref().map(|it| it.as_deref()) {
                    Ok(Some(b"syslog" | b"0")) => Stop::ToSyslog,
                    Ok(None | Some(b"file" | b"1")) => Stop::ToFile,
                    _ => Stop::Moved,
                };
                self.stop.get_or_insert(stop);
            }
            b"file_path" => {
                let stop = match constant {
                    Ok(Some(path)) => Stop::ToPath(path.clone()),
                    Ok(None) => Stop::ToPath(b"server_audit.log".to_vec()),
                    Err(()) => Stop::Moved,
                };
                self.stop.get_or_insert(stop);
            }
            _ => {}
        }
    }
}

/// A list of names, or the sum of their bits, of which `CONNECT` is the first; none stands for all.
fn logins_of(events: &[u8]) -> Logins {
    if let Some(digits) = std::str::from_utf8(events).ok().filter(|it| !it.is_empty())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return match digits.parse::<u64>() {
            Ok(0) => Logins::Written,
            Ok(bits) if bits % 2 == 1 => Logins::Written,
            Ok(_) => Logins::LeftOut,
            Err(_) => Logins::Unknown,
        };
    }
    let named = events.split(|&byte| byte == b',').any(|name| name.trim_ascii() == b"connect");
    if named { Logins::Written } else { Logins::LeftOut }
}

/// A piece of a statement. Words are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word or a number.
    Word(Vec<u8>),
    /// A name in backquotes, in lower case too.
    Name(Vec<u8>),
    /// A string.
    Text(Vec<u8>),
    /// `@@`
    Variable,
    /// `:=`
    Becomes,
    /// Any other sign.
    Sign(u8),
    End,
    /// The statement ends inside a string, a name or a comment.
    Cut,
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// Inside a comment that is code.
    in_code: bool,
}

impl Lexer<'_> {
    fn next(&mut self) -> Token {
        if let Err(cut) = self.skip_blanks() {
            return cut;
        }
        let rest = &self.text[self.at..];
        let Some(&first) = rest.first() else {
            return if self.in_code { Token::Cut } else { Token::End };
        };
        let is_word =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"_$".contains(byte) || *byte >= 128;
        let words = rest.iter().take_while(|byte| is_word(byte)).count();
        if words > 0 {
            self.at += words;
            return Token::Word(rest[..words].to_ascii_lowercase());
        }
        match first {
            b'\'' | b'"' | b'`' => self.quoted(first),
            b'@' if rest.get(1) == Some(&b'@') => self.step(2, Token::Variable),
            b':' if rest.get(1) == Some(&b'=') => self.step(2, Token::Becomes),
            sign => self.step(1, Token::Sign(sign)),
        }
    }

    fn step(&mut self, bytes: usize, token: Token) -> Token {
        self.at += bytes;
        token
    }

    /// Blanks and comments; those that are code are opened.
    fn skip_blanks(&mut self) -> Result<(), Token> {
        loop {
            let rest = &self.text[self.at..];
            let skipped = match rest {
                [b'#', ..] => line_bytes(rest),
                [b'-', b'-'] => 2,
                [b'-', b'-', next, ..] if next.is_ascii_whitespace() || next.is_ascii_control() => {
                    line_bytes(rest)
                }
                [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => {
                    self.in_code = true;
                    let mark = if rest[2] == b'M' { 4 } else { 3 };
                    mark + rest[mark..].iter().take_while(|it| it.is_ascii_digit()).count()
                }
                [b'/', b'*', ..] => match rest[2..].windows(2).position(|it| it == b"*/") {
                    Some(end) => end + 4,
                    None => return Err(Token::Cut),
                },
                [b'*', b'/', ..] if self.in_code => {
                    self.in_code = false;
                    2
                }
                [byte, ..] if byte.is_ascii_whitespace() || byte.is_ascii_control() => 1,
                _ => return Ok(()),
            };
            self.at += skipped;
        }
    }

    /// A string or a name in backquotes: a quote inside is doubled, or in a string escaped.
    fn quoted(&mut self, quote: u8) -> Token {
        let mut inside = Vec::new();
        let mut rest = self.text[self.at + 1..].iter().enumerate();
        while let Some((i, &byte)) = rest.next() {
            match byte {
                b'\\' if quote != b'`' => match rest.next() {
                    Some((_, &escaped)) => inside.push(escaped),
                    None => return Token::Cut,
                },
                _ if byte != quote => inside.push(byte),
                _ if self.text.get(self.at + i + 2) == Some(&quote) => {
                    inside.push(quote);
                    rest.next();
                }
                _ => {
                    self.at += i + 2;
                    return match quote {
                        b'`' => Token::Name(inside.to_ascii_lowercase()),
                        _ => Token::Text(inside),
                    };
                }
            }
        }
        Token::Cut
    }
}

fn line_bytes(text: &[u8]) -> usize {
    text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |at| at + 1)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use formats::{Peer, Stamp};
    use proptest::prelude::*;

    fn record(kind: Kind, object: &[u8], error: u32) -> Switch {
        of(&event(kind, object, error))
    }

    /// A record of root.
    pub(crate) fn event(kind: Kind, object: &[u8], error: u32) -> Event<'_> {
        Event {
            time: Stamp::Local(0),
            server: b"db1",
            peer: Peer::new(b"root,localhost", 4),
            port: None,
            connection: 1,
            query: 2,
            kind,
            error,
            database: b"",
            object,
            account_user: None,
        }
    }

    /// A statement as its client sent it.
    fn sent(statement: &str) -> Switch {
        let escaped = statement
            .replace('\\', "\\\\")
            .replace('\'', "\\'")
            .replace('\n', "\\n")
            .replace('\t', "\\t");
        record(Kind::Query, escaped.as_bytes(), 0)
    }

    #[track_caller]
    fn stops(statement: &str, stop: Option<Stop>) {
        assert_eq!(sent(statement), Switch { stop, logins: None }, "{statement}");
    }

    #[track_caller]
    fn logins(statement: &str, logins: Logins) {
        let expected = Switch { stop: None, logins: Some(logins) };
        assert_eq!(sent(statement), expected, "{statement}");
    }

    #[test]
    fn off_in_every_spelling() {
        for statement in [
            "SET GLOBAL server_audit_logging=OFF",
            "set global SERVER_AUDIT_LOGGING = 0",
            "SET @@GLOBAL.server_audit_logging=0",
            "set @@global . `server_audit_logging` = 'off'",
            "SET GLOBAL server_audit_logging=FALSE",
            "set global server_audit_logging=DEFAULT",
            "SET  GLOBAL server_audit_logging  := OFF",
            "SET GLOBAL server_audit_logging=\"Off\"",
            "SET GLOBAL server_audit_logging=on, server_audit_logging=off",
            "set @x=1, global server_audit_logging=off, @@global.server_audit_syslog_info='a'",
            "set @x='it''s', @y=\"a\\\"b\", global max_connections=(1,2), global server_audit_logging=off",
            "set session autocommit=1, global server_audit_logging=0;",
            "SET GLOBAL max_connections=100, server_audit_logging=0",
            "\t /* lead */ -- dashes\n# sharp\nset\nglobal\tserver_audit_logging/**/=/* off? */off -- end",
            "/*!40000 SET GLOBAL server_audit_logging=OFF */",
            "/*M!100000 set */ global server_audit_logging=OFF",
            "set /*! global */ server_audit_logging=/* 99999999 1 */ OFF",
            "SET STATEMENT max_statement_time=10 FOR SET GLOBAL server_audit_logging=OFF",
            "SET STATEMENT sort_buffer_size=1, max_statement_time=10 FOR SET GLOBAL server_audit_logging=OFF",
            "SET GLOBAL \"server_audit_logging\"=OFF",
            "set @a=1; set global server_audit_logging=off",
        ] {
            stops(statement, Some(Stop::Off));
        }
    }

    #[test]
    fn what_only_mentions_it_is_none() {
        for statement in [
            "SET GLOBAL server_audit_logging=ON",
            "set global server_audit_logging=1, @x='server_audit_logging=0'",
            "set global server_audit_logging=off, server_audit_logging=on",
            "SET @x='SET GLOBAL server_audit_logging=OFF'",
            "SET @server_audit_logging=0",
            "SET @a=\"', global server_audit_logging=off\"",
            "SET server_audit_logging=0",
            "SET SESSION server_audit_logging=0",
            "SET /* GLOBAL server_audit_logging=OFF, */ NAMES utf8mb4",
            "SET NAMES utf8mb4 -- , global server_audit_logging=off",
            "SET autocommit=1 # , global server_audit_logging=off",
            "SET @x=(select 'a', server_audit_logging=0 from t)",
            "SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET PASSWORD FOR root@localhost = PASSWORD('x')",
            "SET PASSWORD = 'x'",
            "SET ROLE admin",
            "SET STATEMENT max_statement_time=1 FOR UPDATE t SET server_audit_logging=0",
            "SELECT 'SET GLOBAL server_audit_logging=OFF'",
            "/* SET GLOBAL server_audit_logging=OFF */ SELECT 1",
            "update t set server_audit_logging=0",
            "UNINSTALL PLUGIN metadata_lock_info",
            "union select 1",
            "SET GLOBAL server_audit_incl_users='a'",
            "set",
            "",
            ";",
        ] {
            let expected = (statement == "set").then_some(Stop::MaybeOff);
            stops(statement, expected);
        }
        assert_eq!(
            record(Kind::Query, b"SET GLOBAL server_audit_logging=OFF", 1227),
            Switch::default()
        );
        assert_eq!(record(Kind::Read, b"set", 0), Switch::default());
    }

    #[test]
    fn what_cannot_be_told_may_be_a_switch() {
        for statement in [
            "SET GLOBAL server_audit_logging=@z",
            "SET GLOBAL server_audit_logging=(select 0)",
            "SET GLOBAL server_audit_logging=1-1",
            // Written by a procedure with a local variable.
            "SET GLOBAL server_aud NAME_CONST('v',0)t_logging=v",
            // Cut off.
            "SET GLOBAL server_audit_query_",
            "SET GLOBAL server_audit_loggin",
            "SET GLOBAL server_audit_logging=",
            "SET GLOBAL server_audit_logging=O",
            "SET GLOBAL",
            "SET /* aaaaaaaaaaaaaaaaaaaaaaa",
            "SET @x='aaaa",
            "SET @x=1,",
            "SET @@global.",
            "SET @`aa",
            "SET @x=(select 1",
            "/* aaaa",
            "/*!40000 set @x=1",
            "UNINSTALL PLUGIN",
            "SET STATEMENT max_statement_time=1",
        ] {
            stops(statement, Some(Stop::MaybeOff));
        }
        let long = |bytes: usize| format!("SET @x={}", "1".repeat(bytes - 7));
        for (bytes, stop) in [(1020, None), (1021, Some(Stop::MaybeOff))] {
            stops(&long(bytes), stop);
        }
        for (bytes, stop) in [(1024, Some(Stop::MaybeOff)), (1025, None)] {
            stops(&long(bytes), stop);
        }
        for (bytes, stop) in
            [(STATEMENT_BYTES_MAX, None), (STATEMENT_BYTES_MAX + 1, Some(Stop::MaybeOff))]
        {
            stops(&long(bytes), stop);
        }
    }

    #[test]
    fn logins_may_be_left_out() {
        for (value, expected) in [
            ("'QUERY'", Logins::LeftOut),
            ("QUERY", Logins::LeftOut),
            ("'table,query_ddl'", Logins::LeftOut),
            ("'query, Connect'", Logins::Written),
            ("CONNECT", Logins::Written),
            ("''", Logins::Written),
            ("DEFAULT", Logins::Written),
            ("3", Logins::Written),
            ("0", Logins::Written),
            ("6", Logins::LeftOut),
            ("99999999999999999999999", Logins::Unknown),
            ("concat('a')", Logins::Unknown),
        ] {
            logins(&format!("SET GLOBAL server_audit_events={value}"), expected);
        }
        let both = sent("SET GLOBAL server_audit_events='table', server_audit_logging=OFF");
        let expected = Switch { stop: Some(Stop::Off), logins: Some(Logins::LeftOut) };
        assert_eq!(both, expected);
    }

    #[test]
    fn it_may_go_elsewhere() {
        for (statement, stop) in [
            ("SET GLOBAL server_audit_output_type=syslog", Stop::ToSyslog),
            ("SET GLOBAL server_audit_output_type=0", Stop::ToSyslog),
            ("SET GLOBAL server_audit_output_type='FILE'", Stop::ToFile),
            ("SET GLOBAL server_audit_output_type=default", Stop::ToFile),
            ("SET GLOBAL server_audit_output_type=@a", Stop::Moved),
            (
                "SET GLOBAL server_audit_file_path='/var/log/A.log'",
                Stop::ToPath(b"/var/log/A.log".into()),
            ),
            ("SET GLOBAL server_audit_file_path=@a", Stop::Moved),
            ("SET GLOBAL server_audit_output_type=syslog, server_audit_logging=0", Stop::Off),
            ("SET GLOBAL server_audit_logging=0, server_audit_output_type=syslog", Stop::Off),
            ("UNINSTALL PLUGIN server_audit", Stop::Uninstalled),
            ("UNINSTALL /* x */ PLUGIN IF EXISTS Server_Audit", Stop::Uninstalled),
            ("uninstall soname 'server_audit.so'", Stop::Uninstalled),
            ("UNINSTALL PLUGIN `server_audit2`", Stop::Uninstalled),
        ] {
            stops(statement, Some(stop));
        }
    }

    #[test]
    fn settings_that_older_servers_write() {
        let setting = |text: &str| record(Kind::AuditConfig, text.as_bytes(), 0);
        for (text, stop) in [
            ("logging=OFF", Some(Stop::Off)),
            ("server_audit_logging=0", Some(Stop::Off)),
            ("logging=ON", None),
            ("output_type=SYSLOG", Some(Stop::ToSyslog)),
            ("file_path=server_audit.log", None),
            ("rotate_size=1000000", None),
            ("file_rotations=9", None),
            ("nonsense", None),
        ] {
            assert_eq!(setting(text), Switch { stop, logins: None }, "{text}");
        }
        assert_eq!(setting("events=QUERY").logins, Some(Logins::LeftOut));
        assert_eq!(record(Kind::AuditConfig, b"logging=OFF", 1), Switch::default());
    }

    proptest! {
        #[test]
        fn no_statement_is_too_odd(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                prop::collection::vec(prop::sample::select(vec![
                    &b"set "[..], b"global ", b"@@", b"@", b".", b"server_audit_logging", b"=", b":=",
                    b"off", b",", b";", b"'", b"\\'", b"\\\\", b"\"", b"`", b"/*", b"/*!", b"*/", b"#",
                    b"--", b" ", b"\\n", b"(", b")", b"statement ", b" for ", b"uninstall ", b"1",
                ]), 0..20).prop_map(|it| it.concat()),
            ]
        ) {
            let whole = record(Kind::Query, &text, 0);
            // Blanks before it change nothing.
            let later = record(Kind::Query, &[b"  ", &text[..]].concat(), 0);
            if may_switch(&text) {
                prop_assert_eq!(whole, later);
            }
        }
    }
}
