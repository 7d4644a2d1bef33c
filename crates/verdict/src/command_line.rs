//! Command lines of processes without the secrets that people write into them, each program's in its own way:
//!
//! ```text
//! mysql -psecret, mysql -vvpsecret, mysql -p secret      mysql -p*****, mysql -vvp*****, mysql -p *****
//! --password=secret, --api-token secret                  --password=*****, --api-token *****
//! env MYSQL_PWD=secret mysql                             env MYSQL_PWD=***** mysql
//! mysql://app:secret@db1/shop                            mysql://app:*****@db1/shop
//! pt-archiver --source h=db1,u=app,p=secret              pt-archiver --source h=db1,u=app,p=*****
//! sh -c 'mysql -psecret shop'                            sh -c 'mysql -p*****'
//! ```
//!
//! # Invariants
//! * Rather too much is masked than too little: the database behind `mysql -p`, the port behind `ssh -p`.
//! * What stands behind a secret in the same word is not shown: where a secret ends is the program's business.

use crate::secrets::MASK;

/// Parts of names of options and variables whose value is a secret, in lower case.
const NAMING: [&[u8]; 11] = [
    b"passwd",
    b"passphrase",
    b"pass",
    b"pwd",
    b"secret",
    b"token",
    b"credential",
    b"identified",
    b"authentication_string",
    b"api-key",
    b"api_key",
];

/// Short options of the servers' clients that take a value: what stands behind them in a word is no option.
const VALUED: &[u8] = b"DehPSuTw#";

/// What of a word may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    All,
    /// All of it; the next word is a secret, unless it is an option.
    AllButNext,
    /// All but the bytes from the first place to the second.
    Around(usize, usize),
}

/// A command line, word by word as the process was given it, with [`MASK`] in place of what may be a secret.
///
/// ```
/// let words = [&b"mysql"[..], b"-uapp", b"-psecret", b"shop"];
/// let shown = verdict::command_line::masked(&words);
/// assert_eq!(shown, [&b"mysql"[..], b"-uapp", b"-p*****", b"shop"]);
/// ```
pub fn masked(words: &[&[u8]]) -> Vec<Vec<u8>> {
    let bundles = words.iter().any(|word| is_client(word));
    let mut out = Vec::with_capacity(words.len());
    let (mut is_secret, mut is_user) = (false, false);
    for &word in words {
        if std::mem::take(&mut is_secret) && !word.starts_with(b"-") {
            out.push(MASK.into());
            is_user = false;
            continue;
        }
        // As curl has it: -u name:secret.
        if std::mem::take(&mut is_user)
            && let Some(at) = position(word, b':')
        {
            out.push(without(word, at + 1, word.len()));
            continue;
        }
        is_user = word == b"-u" || word == b"--user";
        // A shell takes a script as one word, and a program may write a title over all of its words.
        if word.iter().any(u8::is_ascii_whitespace) {
            let (shown, is_open) = script(word, bundles);
            out.push(shown);
            is_secret = is_open;
            continue;
        }
        match shown(word, bundles) {
            Shown::All => out.push(word.to_vec()),
            Shown::AllButNext => {
                out.push(word.to_vec());
                is_secret = true;
            }
            Shown::Around(from, to) => out.push(without(word, from, to)),
        }
    }
    out
}

/// Words in one: shown up to the first secret. Tells also whether the next word is one.
fn script(text: &[u8], bundles: bool) -> (Vec<u8>, bool) {
    let bundles = bundles || text.split(u8::is_ascii_whitespace).any(is_client);
    let mut at = 0;
    for word in text.split(u8::is_ascii_whitespace) {
        let quotes = word.iter().take_while(|it| b"'\"`($".contains(it)).count();
        match shown(&word[quotes..], bundles) {
            Shown::All => {}
            Shown::AllButNext => {
                let end = at + word.len();
                return match text[end..].iter().all(u8::is_ascii_whitespace) {
                    true => (text.to_vec(), true),
                    false => ([&text[..end], b" ", MASK.as_bytes()].concat(), false),
                };
            }
            Shown::Around(from, _) => {
                return (without(text, at + quotes + from, text.len()), false);
            }
        }
        at += word.len() + 1;
    }
    (text.to_vec(), false)
}

/// Judges a word without blanks. `bundles`: short options of the servers' clients may stand in one word.
fn shown(word: &[u8], bundles: bool) -> Shown {
    let rules = [named(word), in_data_source(word), in_url(word), short_option(word, bundles)];
    // A secret may look like what another rule finds: `-ppassword`.
    rules.into_iter().flatten().fold(Shown::All, |all, one| match (all, one) {
        (Shown::Around(from, to), Shown::Around(other_from, other_to)) => {
            Shown::Around(from.min(other_from), to.max(other_to))
        }
        (Shown::Around(..), _) => all,
        (_, one) => one,
    })
}

/// `--password=secret`, `MYSQL_PWD=secret`, `"token":"secret"`; `--password` and `password` before a secret.
fn named(word: &[u8]) -> Option<Shown> {
    let lower = word.to_ascii_lowercase();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.'\"".contains(byte);
    for at in 0..lower.len() {
        let Some(name) = NAMING.iter().find(|name| lower[at..].starts_with(name)) else { continue };
        let end = at + name.len();
        let behind = end + lower[end..].iter().take_while(|it| is_name(it)).count();
        match lower.get(behind) {
            Some(b'=' | b':') => return Some(Shown::Around(behind + 1, word.len())),
            None if !word.contains(&b'/') => return Some(Shown::AllButNext),
            _ => {}
        }
    }
    None
}

/// `h=db1,u=app,p=secret`, as the Percona Toolkit has it.
fn in_data_source(word: &[u8]) -> Option<Shown> {
    let is_it = |at: &usize| {
        word[*at..].starts_with(b"p=") && (*at == 0 || b",;?&=".contains(&word[*at - 1]))
    };
    let at = (0..word.len()).find(is_it)?;
    Some(Shown::Around(at + 2, word.len()))
}

/// `mysql://app:secret@db1`, `app:secret@tcp(db1:3306)/shop`.
fn in_url(word: &[u8]) -> Option<Shown> {
    let at = word.iter().rposition(|&byte| byte == b'@')?;
    let scheme = word.windows(3).position(|it| it == b"://").map_or(0, |it| it + 3);
    let colon = scheme + position(word.get(scheme..at)?, b':')?;
    Some(Shown::Around(colon + 1, at))
}

/// `-psecret`, `-p`; where clients bundle options `-vvpsecret`, too.
fn short_option(word: &[u8], bundles: bool) -> Option<Shown> {
    let letters = word.strip_prefix(b"-").filter(|it| !it.starts_with(b"-"))?;
    let reach = if bundles { letters.len() } else { 1 };
    let mut options = letters.iter().take(reach);
    let at =
        options.position(|it| *it == b'p' || VALUED.contains(it) || !it.is_ascii_alphabetic())?;
    match letters[at] {
        b'p' if at + 1 == letters.len() => Some(Shown::AllButNext),
        b'p' => Some(Shown::Around(at + 2, word.len())),
        _ => None,
    }
}

/// `mysql`, `/usr/bin/mariadb-dump`.
fn is_client(word: &[u8]) -> bool {
    let name = word.rsplit(|&byte| byte == b'/').next().unwrap_or(word);
    name.starts_with(b"mysql") || name.starts_with(b"mariadb")
}

fn position(word: &[u8], byte: u8) -> Option<usize> {
    word.iter().position(|it| *it == byte)
}

/// [`MASK`] in place of these bytes.
fn without(word: &[u8], from: usize, to: usize) -> Vec<u8> {
    [&word[..from], MASK.as_bytes(), &word[to..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Words between bars.
    fn check(line: &str, expected: &str) {
        let words: Vec<&[u8]> = line.split('|').map(str::as_bytes).collect();
        let shown = masked(&words).join(&b'|');
        assert_eq!(String::from_utf8(shown).unwrap(), expected, "{line}");
    }

    #[test]
    fn what_holds_no_secret_stays() {
        for line in [
            "",
            "mysql",
            "mysql|-u|app|-h|db1|-P|3307|shop",
            "/usr/sbin/php-fpm8.2|--nodaemonize",
            "python3|/srv/app.py|--config=/etc/app.toml",
            "sshd: tim [priv]",
            "git|clone|git@github.com:x/y",
            "java|-jar|/srv/a.jar",
            "-",
            "--",
            "mail|a@b.example",
        ] {
            check(line, line);
        }
    }

    #[test]
    fn secrets_are_masked() {
        for (line, expected) in [
            ("mysql|-psecret|shop", "mysql|-p*****|shop"),
            ("mysql|-p|secret|shop", "mysql|-p|*****|shop"),
            ("mysql|-p|-h|db1", "mysql|-p|-h|db1"),
            ("mysql|-vvpsecret", "mysql|-vvp*****"),
            ("/usr/bin/mariadb-dump|-Ap|secret", "/usr/bin/mariadb-dump|-Ap|*****"),
            // Behind an option with a value there is no option.
            ("mysql|-uapp|-hpop|-Dpop", "mysql|-uapp|-hpop|-Dpop"),
            ("mysql|--password=secret|-h|x", "mysql|--password=*****|-h|x"),
            ("mysql|--PassWord=a=b", "mysql|--PassWord=*****"),
            ("mysql|--password|secret", "mysql|--password|*****"),
            ("mysqladmin|password|secret", "mysqladmin|password|*****"),
            ("env|MYSQL_PWD=secret|mysql", "env|MYSQL_PWD=*****|mysql"),
            ("docker|run|-e|MYSQL_ROOT_PASSWORD=secret|mysql:9", {
                "docker|run|-e|MYSQL_ROOT_PASSWORD=*****|mysql:9"
            }),
            ("app|--api-token|secret|x", "app|--api-token|*****|x"),
            ("app|{\"password\":\"secret\"}", "app|{\"password\":*****"),
            ("app|mysql://app:secret@db1:3306/shop", "app|mysql://app:*****@db1:3306/shop"),
            ("app|mysql://app:se/c:r@et@db1/shop", "app|mysql://app:*****@db1/shop"),
            ("app|--dsn=app:secret@tcp(db1:3306)/s", "app|--dsn=app:*****@tcp(db1:3306)/s"),
            ("pt-archiver|--source|h=db1,u=app,p=secret,D=x", {
                "pt-archiver|--source|h=db1,u=app,p=*****"
            }),
            ("pt-kill|p=secret", "pt-kill|p=*****"),
            ("curl|-u|app:secret|x", "curl|-u|app:*****|x"),
            ("sh|-c|mysql -psecret shop", "sh|-c|mysql -p*****"),
            ("sh|-c|MYSQL_PWD='secret' mysql", "sh|-c|MYSQL_PWD=*****"),
            ("sh|-c|\"-psecret\" x", "sh|-c|\"-p*****"),
            (
                "mysql|-e|ALTER USER a IDENTIFIED BY 'secret'",
                "mysql|-e|ALTER USER a IDENTIFIED *****",
            ),
            ("mysql|-e|SET PASSWORD = 'secret'", "mysql|-e|SET PASSWORD *****"),
            ("mysql -u app -psecret shop", "mysql -u app -p*****"),
            ("a b --password|secret", "a b --password|*****"),
            ("mysql|-p|", "mysql|-p|*****"),
            // Secrets that look like what announces one.
            ("mysql|-ppassword=1|shop", "mysql|-p*****|shop"),
            ("app|mysql://app:pwd=x:y@db1/shop", "app|mysql://app:*****"),
            ("app|h=db1,p=token", "app|h=db1,p=*****"),
        ] {
            check(line, expected);
        }
    }

    proptest! {
        /// Whatever stands around it, in every form that is known.
        #[test]
        fn no_known_form_shows_its_secret(
            form in prop::sample::select(vec![
                "-p{}", "--password={}", "MYSQL_PWD={}", "a://u:{}@h", "h=x,p={}", "--password|{}",
                "-p|{}", "sh -c mysql -p{}", "set password = {}", "--secret|{}", "-u|x:{}",
            ]),
            before in "[a-z/ -]{0,12}",
            behind in "[ -~]{0,12}",
        ) {
            let line = format!("{before}|{}|{behind}", form.replace("{}", "PwdQ3"));
            let words: Vec<&[u8]> = line.split('|').map(str::as_bytes).collect();
            let shown = masked(&words).join(&b'|');
            prop_assert!(!String::from_utf8_lossy(&shown).contains("PwdQ3"), "{}", line);
        }

        #[test]
        fn nothing_panics(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6)) {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(masked(&words).len(), words.len());
        }
    }
}
