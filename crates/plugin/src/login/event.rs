//! A connection event, whichever family it came from.

use std::ffi::c_int;

use formats::LoginKind;

use crate::abi::{Text, maria, mysql};

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Connect,
    Disconnect,
    ChangeUser,
}

/// An event. Names are as the server passes them, `None` where it passes none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) what: What,
    /// The server's error number, 0 for success.
    pub(crate) status: u32,
    pub(crate) connection: u64,
    pub(crate) user: Option<&'a [u8]>,
    pub(crate) priv_user: Option<&'a [u8]>,
    pub(crate) external_user: Option<&'a [u8]>,
    pub(crate) proxy_user: Option<&'a [u8]>,
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) ip: Option<&'a [u8]>,
    pub(crate) database: Option<&'a [u8]>,
    pub(crate) connection_type: Option<&'static str>,
    /// Whether the server tells of the end of a connection that it has refused.
    pub(crate) tells_end_of_refused: bool,
}

impl<'a> Event<'a> {
    /// # Safety
    /// The event is MariaDB's, and its call lasts as long as `'a`.
    pub(crate) unsafe fn of_maria(event: &'a maria::ConnectionEvent) -> Option<Event<'a>> {
        let what = match event.subclass {
            maria::CONNECT => What::Connect,
            maria::DISCONNECT => What::Disconnect,
            maria::CHANGE_USER => What::ChangeUser,
            _ => return None,
        };
        // SAFETY: as the caller says.
        let text = |text: maria::ShortText| unsafe { Text::from(text).bytes() };
        Some(Event {
            what,
            status: status(event.status),
            connection: event.thread,
            user: text(event.user),
            priv_user: text(event.priv_user),
            external_user: text(event.external_user),
            proxy_user: text(event.proxy_user),
            host: text(event.host),
            ip: text(event.ip),
            // SAFETY: as the caller says.
            database: unsafe { event.database.bytes() },
            connection_type: None,
            tells_end_of_refused: true,
        })
    }

    /// # Safety
    /// The event is MySQL's, and its call lasts as long as `'a`.
    pub(crate) unsafe fn of_mysql(event: &'a mysql::ConnectionEvent) -> Option<Event<'a>> {
        let what = match event.subclass {
            mysql::CONNECT => What::Connect,
            mysql::DISCONNECT => What::Disconnect,
            mysql::CHANGE_USER => What::ChangeUser,
            _ => return None,
        };
        // SAFETY: as the caller says.
        let text = |text: Text| unsafe { text.bytes() };
        Some(Event {
            what,
            status: status(event.status),
            connection: event.connection,
            user: text(event.user),
            priv_user: text(event.priv_user),
            external_user: text(event.external_user),
            proxy_user: text(event.proxy_user),
            host: text(event.host),
            ip: text(event.ip),
            database: text(event.database),
            connection_type: match event.connection_type {
                1 => Some("tcp"),
                2 => Some("socket"),
                3 => Some("named_pipe"),
                4 => Some("tls"),
                5 => Some("shared_memory"),
                _ => None,
            },
            tells_end_of_refused: false,
        })
    }

    /// What it is in a log. By the status alone: `priv_user` is set for some refusals and empty for
    /// logins by the anonymous account.
    pub(crate) fn kind(&self) -> LoginKind {
        match self.what {
            What::Connect if self.status == 0 => LoginKind::Successful,
            What::Connect => LoginKind::Failed,
            What::Disconnect => LoginKind::Logout,
            What::ChangeUser => LoginKind::ChangeUser,
        }
    }
}

/// No server passes a negative one; if one did, it would not be success.
fn status(status: c_int) -> u32 {
    u32::try_from(status).unwrap_or(u32::MAX)
}
