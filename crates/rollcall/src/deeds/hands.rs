//! What deeds need of a server: to look, and to send one statement.

use verdict::account::{AccountName, Identity};
use verdict::plan::{DeedKind, Facts};

/// A server within reach. Tests have one of their own, which dies at any moment.
pub(crate) trait Hands {
    /// The account as it is now; `None` where there is none.
    ///
    /// # Errors
    /// A message with the remedy.
    fn look(&mut self, account: &AccountName) -> Result<Option<Looked>, String>;

    /// Which of these accounts nothing may be done to, with why: they are protected, or the server takes no
    /// changes, or nobody could administer it any more.
    ///
    /// # Errors
    /// A message with the remedy.
    fn forbids(
        &mut self,
        kind: DeedKind,
        accounts: &[AccountName],
        on_replica: bool,
    ) -> Result<Vec<(AccountName, String)>, String>;

    /// Which server it is, whatever it is called.
    fn identity(&self) -> Identity;

    /// Whether changes arrive here from another server.
    fn is_replica(&self) -> bool;

    /// Whether a session of a run before is still carrying this statement out.
    ///
    /// # Errors
    /// A message with the remedy.
    fn is_under_way(&mut self, sql: &[u8]) -> Result<bool, String>;

    /// Whether the account is there, and its rights are as this statement about rights makes them.
    ///
    /// # Errors
    /// A message with the remedy.
    fn shows(&mut self, kind: DeedKind, account: &AccountName, sql: &[u8]) -> Result<bool, String>;

    /// Sends the statement for this deed, and reads back what became of the account.
    fn send(&mut self, kind: DeedKind, account: &AccountName, sql: &[u8]) -> Sent;

    /// Ends a session, if it still is the one that was looked at.
    fn kill(&mut self, session: &Session) -> Sent;

    /// The statements that make the account anew, as it is now. They hold hashes of passwords.
    ///
    /// # Errors
    /// A message with the remedy.
    fn rebuilding(&mut self, account: &AccountName) -> Result<Vec<Vec<u8>>, String>;

    /// Sends such statements, where there is no account of this name.
    fn rebuild(&mut self, account: &AccountName, statements: Vec<Vec<u8>>) -> Sent;

    /// Sends what follows the first of such statements, where the account was made by that one.
    fn complete(&mut self, account: &AccountName, statements: Vec<Vec<u8>>) -> Sent;
}

/// An account as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) facts: Facts,
    /// Open sessions that can only be its own.
    pub(crate) sessions: Vec<Session>,
    /// How many more may be its own or those of another account.
    pub(crate) doubtful_sessions: usize,
}

/// An open session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) user: Vec<u8>,
    pub(crate) host: Vec<u8>,
    pub(crate) port: Option<u16>,
}

/// What became of what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The server shows it done. What else there is to say may be empty.
    Done(String),
    /// The server's error number, where it told one, and a message.
    Refused(Option<u32>, String),
    /// No answer came.
    Unknown(String),
}
