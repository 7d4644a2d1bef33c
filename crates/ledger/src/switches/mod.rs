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

mod lexer;
#[cfg(test)]
pub(crate) mod tests;

use formats::{Event, Kind};
use lexer::{Lexer, Token};

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
    let mut lexer = Lexer::new(&text);
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
