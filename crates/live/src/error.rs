//! What can go wrong with an option file or a server: each message names the thing, the place, the remedy.
//!
//! No message holds a password, a statement, or what a server writes beside its error number: that repeats
//! statements.

use std::io;
use std::path::{Path, PathBuf};

use verdict::account::AccountName;

/// Why an option file, a connection or a statement failed. `server` is the name that the configuration gives.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// No such option file.
    #[error("{}: no such file; check the path", .path.display())]
    FileMissing {
        /// As asked for.
        path: PathBuf,
    },
    /// The option file, or a folder on the way, may not be read.
    #[error("{}: permission denied; run as the user that owns it", .path.display())]
    FileDenied {
        /// As asked for.
        path: PathBuf,
    },
    /// A link, a folder, a pipe.
    #[error("{}: is {what}; name a regular file", .path.display())]
    FileKind {
        /// As asked for.
        path: PathBuf,
        /// With its article.
        what: &'static str,
    },
    /// A password that others can read.
    #[error(
        "{} is readable by others (mode {mode:04o}); it holds a password: chmod 600 {}",
        .path.display(),
        .path.display()
    )]
    FileReadable {
        /// Of the file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file of the client (options or certificates) that is larger than is read.
    #[error("{}: larger than {max} bytes; no such file is: check the path", .path.display())]
    FileTooLarge {
        /// Of the file.
        path: PathBuf,
        /// The bound.
        max: usize,
    },
    /// A line of an option file that cannot be understood.
    #[error("{}:{line}: {what}", .path.display())]
    Syntax {
        /// Of the file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong and how it should be.
        what: &'static str,
    },
    /// An option that is understood, with a value that is not.
    #[error("{server}: option `{option}`: {what}")]
    Option {
        /// The server that it was for.
        server: String,
        /// Its name.
        option: &'static str,
        /// What is wrong and how it should be.
        what: String,
    },
    /// Another error of the operating system with a file.
    #[error("{}: {doing}: {source}", .path.display())]
    File {
        /// Of the file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },

    /// Nothing answers.
    #[error("{server}: no server answers at {place} ({why}): start it, or correct its option file")]
    Down {
        /// Its name.
        server: String,
        /// Socket, or host and port.
        place: String,
        /// What the system said.
        why: String,
    },
    /// An answer that took too long.
    #[error(
        "{server}: {place} did not answer within {seconds} s while {doing}: see whether it is overloaded or \
         a firewall drops packets; `connect-timeout` in its option file sets the limit for connecting"
    )]
    Timeout {
        /// Its name.
        server: String,
        /// Socket, or host and port.
        place: String,
        /// The limit.
        seconds: u64,
        /// What was being done.
        doing: &'static str,
    },
    /// User or password are wrong, or no account matches this host.
    #[error(
        "{server} refused the login of '{user}' ({error}): check user and password in its option file, and \
         that this account exists for this host"
    )]
    Login {
        /// Its name.
        server: String,
        /// As sent.
        user: String,
        /// The server's error number.
        error: u16,
    },
    /// The account is locked.
    #[error("{server} refused the login of '{user}' ({error}): the account is locked")]
    Locked {
        /// Its name.
        server: String,
        /// As sent.
        user: String,
        /// The server's error number.
        error: u16,
    },
    /// The password has expired.
    #[error(
        "{server}: the password of '{user}' has expired ({error}): set a new one for this account"
    )]
    Expired {
        /// Its name.
        server: String,
        /// As sent.
        user: String,
        /// The server's error number.
        error: u16,
    },
    /// The server turns connections away, whoever it is.
    #[error("{server} turned the connection away ({error}): {remedy}")]
    TurnedAway {
        /// Its name.
        server: String,
        /// The server's error number.
        error: u16,
        /// What it means, and what to do.
        remedy: &'static str,
    },
    /// An authentication that this client cannot do, or not here.
    #[error("{server}: '{user}' logs in with {plugin}, {why}")]
    Plugin {
        /// Its name.
        server: String,
        /// As sent.
        user: String,
        /// The plugin's name.
        plugin: String,
        /// Why it did not work, and what to do.
        why: &'static str,
    },
    /// The statement that the server runs at each connection failed.
    #[error(
        "{server} closed the new connection ({error}): its `init_connect` fails for this account; see the \
         server's error log, then mend init_connect or what it lacks rights for"
    )]
    InitConnect {
        /// Its name.
        server: String,
        /// The server's error number.
        error: u16,
    },
    /// The server offers no TLS.
    #[error(
        "{server}: {place} offers no TLS; switch it on there, or write ssl-mode=DISABLED to send all in clear"
    )]
    TlsNotOffered {
        /// Its name.
        server: String,
        /// Host and port.
        place: String,
    },
    /// The certificate is for another name.
    #[error(
        "{server}: the certificate of {place} is for another name; write the name it is for as `host`, or give \
         the server a certificate that names this host"
    )]
    TlsName {
        /// Its name.
        server: String,
        /// Host and port.
        place: String,
    },
    /// The certificate is of no authority that is trusted.
    #[error(
        "{server}: the certificate of {place} is not signed by what {} holds; name the authority that signed \
         it as `ssl-ca`",
        authority(.ca)
    )]
    TlsUntrusted {
        /// Its name.
        server: String,
        /// Host and port.
        place: String,
        /// What `ssl-ca` names.
        ca: Option<PathBuf>,
    },
    /// Another failure of TLS.
    #[error("{server}: TLS with {place} failed: {why}")]
    Tls {
        /// Its name.
        server: String,
        /// Host and port.
        place: String,
        /// What the library said.
        why: String,
    },
    /// A server whose version says nothing.
    #[error("{server} calls itself a version that begins with no number: is it MariaDB or MySQL?")]
    Version {
        /// Its name.
        server: String,
    },

    /// A right is missing without which nothing can be done.
    #[error("{server} refused {what} ({error}): {remedy}")]
    Refused {
        /// Its name.
        server: String,
        /// The right and the object: `SELECT on mysql.global_priv`.
        what: String,
        /// The server's error number.
        error: u16,
        /// The statement that mends it.
        remedy: String,
    },
    /// The procedure that a deed is done by does not do it to this account.
    #[error(
        "{server}: the procedure refuses {doing}, {account} (1644): it is protected there, or was not locked by \
         it, or not for long enough (SELECT * FROM rollcall.protected)"
    )]
    ProcedureRefuses {
        /// Its name.
        server: String,
        /// What was being done.
        doing: &'static str,
        /// The account.
        account: String,
    },
    /// The server does not take changes.
    #[error(
        "{server} is read-only ({error}): send it to the primary, where it replicates from, or make this server \
         writable first"
    )]
    ReadOnly {
        /// Its name.
        server: String,
        /// The server's error number.
        error: u16,
    },
    /// Another session holds what the statement needs.
    #[error(
        "{server}: another session holds a lock (a backup?) that {doing} waits for: run again later"
    )]
    Busy {
        /// Its name.
        server: String,
        /// What was being done.
        doing: &'static str,
    },
    /// Another error of the server.
    #[error("{server}: error {error} while {doing}; the server's manual tells what it means")]
    Server {
        /// Its name.
        server: String,
        /// The server's error number.
        error: u16,
        /// What was being done.
        doing: &'static str,
    },
    /// The connection broke. Where a statement was on its way, nobody knows whether it was carried out.
    #[error("{server}: the connection broke while {doing} ({why}): run again")]
    Broken {
        /// Its name.
        server: String,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        why: String,
    },
    /// An answer that does not fit the question.
    #[error("{server} answered {doing} in an unknown form ({what}); please report its version")]
    Answer {
        /// Its name.
        server: String,
        /// What was being done.
        doing: &'static str,
        /// What does not fit.
        what: &'static str,
    },
    /// A text that is not the one statement for an action on an account. Nothing was sent.
    #[error(
        "{server}: the plan's text is not the statement for {account}; nothing was sent: make a new plan"
    )]
    NotTheStatement {
        /// Its name.
        server: String,
        /// As people write it.
        account: String,
    },
    /// No account is called exactly that.
    #[error("{server}: no account {account}; see how it is listed: rollcall accounts")]
    NoAccount {
        /// The server's name.
        server: String,
        /// As people write it.
        account: String,
    },
    /// There is an account where none should be.
    #[error(
        "{server}: there is an account {account} again; nothing was sent: drop it first, or leave it"
    )]
    Exists {
        /// The server's name.
        server: String,
        /// As people write it.
        account: String,
    },
    /// MySQL drops no account that something runs with the rights of.
    #[error(
        "{server}: {account} is the definer of views, routines, triggers or events (4006): give them another \
         definer, or drop them first"
    )]
    IsDefiner {
        /// The server's name.
        server: String,
        /// As people write it.
        account: String,
    },
    /// The server said OK, and nothing came of it.
    #[error(
        "{server} said OK to {doing}, but {account} is as before: see what else changes accounts there"
    )]
    NotDone {
        /// The server's name.
        server: String,
        /// As people write it.
        account: String,
        /// What was being done.
        doing: &'static str,
    },
    /// The server said OK, and then the account could not be looked at.
    #[error(
        "{doing}, {account}: the server said OK, but it could not be looked at afterwards: {source}"
    )]
    NotSeen {
        /// The server's name.
        server: String,
        /// As people write it.
        account: String,
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: Box<LiveError>,
    },
    /// A right, role or account that is to be given again cannot be given.
    #[error(
        "{server}: {account} is made anew in part: error {error} at statement {number} of {count}, which gives it \
         what this session may not give, or what is not there any more; mend that, then undo again"
    )]
    HalfMade {
        /// The server's name.
        server: String,
        /// As people write it.
        account: String,
        /// The server's error number.
        error: u16,
        /// Which one: 1 is the first.
        number: usize,
        /// Of how many.
        count: usize,
    },
    /// A name that no server can hold: they keep names as UTF-8.
    #[error("{server}: a name that is no UTF-8 while {doing}: no account is called that")]
    NotUtf8 {
        /// Its name.
        server: String,
        /// What was being done.
        doing: &'static str,
    },
    /// The server writes no binary log.
    #[error("{server} writes no binary log (log_bin=OFF): there is nothing to trace")]
    NoBinlog {
        /// Its name.
        server: String,
    },
    /// The server cannot send a binary log.
    #[error(
        "{server} cannot send the binary log (1236): it was purged meanwhile, or is damaged; see SHOW BINARY \
         LOGS and the server's error log"
    )]
    BinlogGone {
        /// Its name.
        server: String,
    },
    /// A table that is no access log, or none that can be read.
    #[error(
        "{server}: {table}: {what}; see what an access log looks like: docs/formats/access_log.md"
    )]
    AccessLog {
        /// The server's name.
        server: String,
        /// Schema and table.
        table: String,
        /// What is wrong with it.
        what: String,
    },
    /// More rows than are read.
    #[error("{server}: more than {max} rows while {doing}; this is more than is read")]
    TooMany {
        /// Its name.
        server: String,
        /// What was being done.
        doing: &'static str,
        /// The bound.
        max: usize,
    },
}

/// `GRANT … TO 'rollcall'@'localhost';`
pub(crate) fn grant(what: &str, own: &AccountName) -> String {
    format!("GRANT {what} TO {own};")
}

/// A file of certificates, as a message names it.
fn authority(ca: &Option<PathBuf>) -> String {
    ca.as_deref().map_or("`ssl-ca` (not set)".to_owned(), |path: &Path| path.display().to_string())
}
