//! One host pattern: which clients fit it, and whether those do of which a log shows a part.
//!
//! ```text
//! %  (or nothing)                    everybody
//! localhost  db1.example.net         this name, in any case
//! 10.0.0.7  2001:db8::1              this address
//! 10.0.%  %.example.net  web-_       names and addresses, with wildcards
//! 10.0.0.0/255.255.0.0               IPv4 addresses by mask
//! 10.0.0.0/16                        the same, MySQL from 8.0.23 on; nobody elsewhere
//! ```

use super::glob::{self, Case, Token};
use super::order::Rules;
use super::{Client, HOST_BYTES_CERTAIN, address};
use crate::account::Family;

/// What a server calls clients of a socket and of 127.0.0.1.
pub(super) const LOCALHOST: &[u8] = b"localhost";

/// Addresses that are called so without a look-up, by servers that resolve names.
///
/// Source: `ip_to_hostname` in `hostname.cc` of both families.
pub(super) const OWN_ADDRESSES: [&[u8]; 2] = [b"127.0.0.1", b"::1"];

/// A host pattern, read as one server reads it.
#[derive(Debug)]
pub(super) struct Pattern {
    text: Vec<u8>,
    /// As names are compared with it.
    tokens: Vec<Token>,
    /// As addresses are compared with it, where that is not the same.
    address_tokens: Option<Vec<Token>>,
    /// What the server reads in it as numbers.
    pub(super) numbers: Numbers,
    /// Which addresses fit.
    pub(super) addresses: address::Fits,
    /// Some name may fit, where names are resolved.
    pub(super) names: bool,
    rules: Rules,
}

/// What the server reads in a pattern as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    /// The address; 0 where there is none.
    pub(super) address: u32,
    /// The mask, if clients are compared by it.
    pub(super) mask: Option<u32>,
    /// Where the mask comes from.
    pub(super) kind: Kind,
}

/// Where a mask comes from, in the order in which MySQL sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Kind {
    /// An address alone.
    #[default]
    Implicit,
    /// `/16`
    PrefixLength,
    /// `/255.255.0.0`
    Netmask,
}

/// What is known of a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    name: Name<'a>,
    address: Address<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Name<'a> {
    Known(&'a [u8]),
    /// It goes on, perhaps.
    Cut(&'a [u8]),
    /// Any, or none.
    Unknown,
    /// Any but `localhost`, or none.
    UnknownRemote,
}

#[derive(Debug, Clone, Copy)]
enum Address<'a> {
    Known(&'a [u8]),
    /// One of this machine, or a socket.
    Local,
    /// Any, but those that servers always call `localhost`.
    Remote,
}

impl<'a> Evidence<'a> {
    /// A name whose address is not known.
    pub(super) fn name(name: &'a [u8]) -> Evidence<'a> {
        if name.eq_ignore_ascii_case(LOCALHOST) {
            return Evidence { name: Name::Known(name), address: Address::Local };
        }
        let name =
            if name.len() < HOST_BYTES_CERTAIN { Name::Known(name) } else { Name::Cut(name) };
        Evidence { name, address: Address::Remote }
    }

    /// An address whose name, if there is one, is not known.
    pub(super) fn address(address: &'a [u8]) -> Evidence<'a> {
        // All of 127.0.0.0/8 may be called `localhost` in a file of hosts.
        let name = if address.starts_with(b"127.") { Name::Unknown } else { Name::UnknownRemote };
        Evidence { name, address: Address::Known(address) }
    }
}

/// Whether a client fits a pattern of which not all is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Whatever the rest is, it does not.
    Never,
    /// It depends.
    Perhaps,
    /// Whatever the rest is, it does.
    Always,
}

impl Pattern {
    /// Reads a host pattern as a server does.
    pub(super) fn new(rules: Rules, host: &[u8]) -> Pattern {
        // An empty host is the same as `%`.
        let tokens = if host.is_empty() { vec![Token::Many] } else { glob::tokens(host) };
        let numbers = Numbers::read(rules, host);
        let address_tokens = rules
            .is_new_mysql()
            .then(|| glob::addresses_on_mysql(&tokens))
            .filter(|other| *other != tokens);
        let mut addresses = address::fits(address_tokens.as_ref().unwrap_or(&tokens));
        if let Some(mask) = numbers.mask {
            let address = numbers.address;
            let v4 = address & mask == address;
            let loopback = v4 && (address ^ 0x7f00_0000) & mask & 0xff00_0000 == 0;
            addresses = address::Fits { v4, v6: false, loopback };
        }
        Pattern {
            names: numbers.mask.is_none() && may_be_name(&tokens),
            text: host.to_vec(),
            tokens,
            address_tokens,
            numbers,
            addresses,
            rules,
        }
    }

    /// As it is written.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Its parts, as names are compared with them.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Its parts, as addresses are compared with them.
    pub(super) fn address_tokens(&self) -> &[Token] {
        self.address_tokens.as_ref().unwrap_or(&self.tokens)
    }

    /// All clients fit.
    pub(super) fn is_everybody(&self) -> bool {
        self.tokens == [Token::Many]
    }

    /// The one host that fits, in any case, where it is compared as text or comes to the same.
    pub(super) fn only_host(&self) -> Option<&[u8]> {
        let plain = !self.text.is_empty()
            && self.tokens.len() == self.text.len()
            && self.tokens.iter().all(|token| matches!(token, Token::Literal(_)));
        let same = self.numbers.mask.is_none() || address::written_quad(&self.text).is_some();
        (plain && same).then_some(&self.text)
    }

    fn is_own_address(&self) -> bool {
        let numbers = self.numbers;
        numbers.mask == Some(u32::MAX) && numbers.address == 0x7f00_0001
            || OWN_ADDRESSES.contains(&self.text.as_slice())
    }

    fn is_localhost(&self) -> bool {
        self.text.eq_ignore_ascii_case(LOCALHOST)
    }

    /// Whether names are compared with it in a way that is MySQL's own.
    pub(super) fn is_odd(&self) -> bool {
        self.rules.is_new_mysql() && glob::is_odd_on_mysql(&self.tokens)
    }

    /// Whether the server leaves the row out while it does not resolve names: all that is neither a
    /// pattern nor made of digits and dots counts as a name, `127.0.0\.1` too.
    ///
    /// Source: MariaDB `acl_load`, `hostname_requires_resolving`. MySQL only warns.
    pub(super) fn is_left_out_without_names(&self) -> bool {
        self.rules.family() == Family::MariaDb
            && !self.is_localhost()
            && !self.text.iter().any(|byte| matches!(byte, b':' | b'%' | b'_' | b'/'))
            && self.text.iter().any(|byte| *byte != b'.' && !byte.is_ascii_digit())
    }

    /// Whether a client fits, as the server compares.
    pub(super) fn matches(&self, client: Client<'_>) -> bool {
        if let Some(mask) = self.numbers.mask
            && let Some(address) = client.address.and_then(address::written_quad)
        {
            return address & mask == self.numbers.address;
        }
        client.name.is_some_and(|name| self.matches_name(name))
            || client.address.is_some_and(|it| glob::matches(self.address_tokens(), it, Case::Kept))
    }

    /// Whether this name fits.
    pub(super) fn matches_name(&self, name: &[u8]) -> bool {
        if self.rules.is_new_mysql() {
            glob::matches_name_on_mysql(&self.tokens, name)
        } else {
            glob::matches(&self.tokens, name, Case::Folded)
        }
    }

    /// Whether a client fits of which this is known.
    pub(super) fn fit(&self, evidence: &Evidence<'_>) -> Fit {
        let by_address = match evidence.address {
            Address::Known(address) => {
                let client = Client { address: Some(address), name: None };
                if self.matches(client) { Fit::Always } else { Fit::Never }
            }
            Address::Local => Fit::perhaps(self.addresses.loopback),
            Address::Remote => {
                let some = self.addresses.v4 || self.addresses.v6;
                Fit::perhaps(some && !self.is_own_address())
            }
        };
        if self.numbers.mask.is_some() {
            return by_address;
        }
        let by_name = match evidence.name {
            Name::Known(name) if self.matches_name(name) => Fit::Always,
            Name::Known(_) => Fit::Never,
            Name::Cut(name) => self.fit_beginning(name),
            Name::Unknown => Fit::perhaps(self.names),
            Name::UnknownRemote => Fit::perhaps(self.names && !self.is_localhost()),
        };
        match (by_address, by_name) {
            (Fit::Always, _) | (_, Fit::Always) => Fit::Always,
            (Fit::Never, Fit::Never) => Fit::Never,
            _ => Fit::Perhaps,
        }
    }

    fn fit_beginning(&self, begin: &[u8]) -> Fit {
        if self.is_everybody() {
            return Fit::Always;
        }
        let longer: Vec<Token> =
            begin.iter().map(|&byte| Token::Literal(byte)).chain([Token::Many]).collect();
        if !self.is_odd() && glob::covers(&self.tokens, &longer, Case::Folded) {
            return Fit::Always;
        }
        Fit::perhaps(glob::matches_beginning(&self.tokens, begin, Case::Folded))
    }
}

impl Fit {
    fn perhaps(possible: bool) -> Fit {
        if possible { Fit::Perhaps } else { Fit::Never }
    }
}

impl Numbers {
    /// Source: MariaDB `update_hostname`; MySQL `ACL_HOST_AND_IP::update_hostname`.
    fn read(rules: Rules, host: &[u8]) -> Numbers {
        let none = Numbers::default();
        let Some((address, rest)) = address::quad(host) else { return none };
        let mask = rest.strip_prefix(b"/").and_then(|mask| match address::quad(mask) {
            Some((mask, [])) => Some(mask),
            _ => None,
        });
        if !rules.is_new_mysql() {
            // A mask of 0.0.0.0 counts as none.
            return match mask {
                Some(mask) if mask != 0 => {
                    Numbers { address, mask: Some(mask), kind: Kind::Netmask }
                }
                _ => none,
            };
        }
        let (mask, kind) = match (rest, mask) {
            ([], _) => (Some(u32::MAX), Kind::Implicit),
            ([b'/', ..], Some(mask))
                if mask != 0 && (!mask).leading_zeros() == 32 - (!mask).count_ones() =>
            {
                // Bits without a hole: ones, then zeros.
                (Some(mask), Kind::Netmask)
            }
            ([b'/', length @ ..], _) => match address::number(length, 32) {
                // Of `/0` no mask is left: it is compared as text, and fits nobody.
                Some((0, [])) => (None, Kind::PrefixLength),
                Some((length, [])) => (Some(u32::MAX << (32 - length)), Kind::PrefixLength),
                _ => return none,
            },
            // It is taken for an address when rows are put in order, and compared as text.
            _ => (None, Kind::Implicit),
        };
        Numbers { address, mask, kind }
    }
}

/// Whether a client may have a name that fits. Servers take no name that begins as an address does
/// (`10.evil.example`), and none holds a slash or a colon.
///
/// Source: `is_hostname_valid` in `hostname.cc` of both families.
fn may_be_name(tokens: &[Token]) -> bool {
    let digits = tokens
        .iter()
        .take_while(|token| matches!(token, Token::Literal(byte) if byte.is_ascii_digit()))
        .count();
    let numeric = digits > 0 && tokens.get(digits) == Some(&Token::Literal(b'.'));
    !numeric && ![b'/', b':'].iter().any(|&byte| tokens.contains(&Token::Literal(byte)))
}
