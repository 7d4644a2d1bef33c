//! Rows that no login can reach, and patterns that take all clients of another.

use super::Matcher;
use super::address;
use super::glob::{self, Case, Token};
use super::pattern::{LOCALHOST, Pattern};

/// Why no login can match a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// A host name, and the server does not resolve names (`skip_name_resolve`).
    NamesNotResolved,
    /// `10.0.0.0/8` on a server that knows netmasks only.
    PrefixLength,
    /// An address with a mask that does not fit it (`10.0.0.7/255.0.0.0`), or is none.
    Netmask,
    /// No client has such a host: `10.0.0`, `10.0.0.256`, `2001:DB8::1`.
    NoSuchHost,
    /// All clients that it fits match this row, which comes before it.
    Shadowed(usize),
}

pub(super) fn unreachable(matcher: &Matcher) -> Vec<(usize, Unreachable)> {
    let mut found: Vec<(usize, Unreachable)> = matcher
        .rows
        .iter()
        .enumerate()
        .filter_map(|(index, row)| {
            let named = row.left_out.then_some(Unreachable::NamesNotResolved);
            Some((index, named.or_else(|| nobody(matcher, &row.pattern))?))
        })
        .collect();
    let dead: Vec<bool> = {
        let mut dead = vec![false; matcher.rows.len()];
        found.iter().for_each(|&(index, _)| dead[index] = true);
        dead
    };
    for user in matcher.users.keys() {
        // Exact hosts cover nobody but themselves, and no two rows of a user are the same.
        let wide: Vec<usize> = matcher
            .groups(user)
            .flat_map(|group| &group.compared)
            .chain(matcher.groups(user).skip(1).flat_map(|group| group.exact.values().flatten()))
            .map(|&row| row as usize)
            .filter(|&row| !dead[row])
            .collect();
        for &index in &matcher.users[user].all {
            let row = &matcher.rows[index as usize];
            let shadow = wide.iter().copied().find(|&other| {
                let other = &matcher.rows[other];
                other.rank < row.rank && covers(&other.pattern, &row.pattern)
            });
            match shadow {
                Some(other) if !dead[index as usize] => {
                    found.push((index as usize, Unreachable::Shadowed(other)));
                }
                _ => {}
            }
        }
    }
    found.sort_by_key(|&(index, _)| index);
    found
}

/// Why nobody fits a pattern; `None` where somebody may.
fn nobody(matcher: &Matcher, pattern: &Pattern) -> Option<Unreachable> {
    let some_address = pattern.addresses.v4 || pattern.addresses.v6;
    if some_address || pattern.matches_name(LOCALHOST) {
        return None;
    }
    if pattern.names {
        return matcher.skip_name_resolve.then_some(Unreachable::NamesNotResolved);
    }
    let text = pattern.text();
    let Some(slash) = text.iter().position(|&byte| byte == b'/') else {
        return Some(Unreachable::NoSuchHost);
    };
    let is_length = matches!(address::number(&text[slash + 1..], 128), Some((_, [])));
    if is_length && !matcher.rules.is_new_mysql() {
        Some(Unreachable::PrefixLength)
    } else {
        Some(Unreachable::Netmask)
    }
}

/// Whether each client that fits `inner` also fits `outer`. What is not certain is `false`.
pub(super) fn covers(outer: &Pattern, inner: &Pattern) -> bool {
    if outer.is_everybody() {
        return true;
    }
    if let Some(mask) = outer.numbers.mask {
        let (address, fixed) = match inner.numbers.mask {
            Some(inner_mask) => (inner.numbers.address, inner_mask),
            // Only IPv4 addresses may fit: then their text begins as the pattern does.
            None if inner.names || inner.addresses.v6 => return false,
            None => address::beginning(inner.address_tokens()),
        };
        return mask & fixed == mask && address & mask == outer.numbers.address;
    }
    let same = |inner: &[Token]| glob::covers(outer.address_tokens(), inner, Case::Kept);
    if let Some(mask) = inner.numbers.mask {
        return same(&text(inner.numbers.address, mask));
    }
    // MySQL compares some patterns with names in a way that fits less.
    let names =
        !inner.names || !outer.is_odd() && glob::covers(outer.tokens(), inner.tokens(), Case::Kept);
    names && same(inner.address_tokens())
}

/// A pattern that fits at least the IPv4 addresses of a network, as text.
fn text(address: u32, mask: u32) -> Vec<Token> {
    let octets = mask.leading_ones() / 8;
    let mut text = Vec::new();
    for octet in address.to_be_bytes().iter().take(octets as usize) {
        text.extend(octet.to_string().bytes().map(Token::Literal));
        text.push(Token::Literal(b'.'));
    }
    if octets == 4 {
        text.pop();
    } else {
        text.push(Token::Many);
    }
    text
}
