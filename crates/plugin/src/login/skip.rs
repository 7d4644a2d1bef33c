//! Whose successful logins are not told.

use super::event::Event;
use crate::variables::TEXT_BYTES_MAX;

/// User names, parted by commas; spaces around them do not count.
#[derive(Debug)]
pub(crate) struct SkipList {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl SkipList {
    /// A text that is too long skips nobody: leaving out half of a name would skip another.
    pub(crate) fn new(text: &[u8]) -> SkipList {
        let mut list = SkipList { bytes: [0; TEXT_BYTES_MAX], length: 0 };
        if let Some(into) = list.bytes.get_mut(..text.len()) {
            into.copy_from_slice(text);
            list.length = text.len();
        }
        list
    }

    /// Whether this login is not to be told. The account decides, not the name: somebody whom the
    /// anonymous account has let in can call himself anything.
    pub(crate) fn holds(&self, event: &Event<'_>) -> bool {
        let (Some(user), Some(account)) = (event.user, event.priv_user) else { return false };
        if user.is_empty() || account.is_empty() {
            return false;
        }
        let is_proxied = event.proxy_user.is_some_and(|proxy| !proxy.is_empty());
        (user == account || is_proxied)
            && self.bytes[..self.length]
                .split(|&byte| byte == b',')
                .any(|name| name.trim_ascii() == user)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::What;
    use super::*;

    #[test]
    fn skipped_or_not() {
        let event =
            |user: Option<&'static str>, account: &'static str, proxy: &'static str| Event {
                what: What::Connect,
                status: 0,
                connection: 1,
                user: user.map(str::as_bytes),
                priv_user: Some(account.as_bytes()),
                external_user: None,
                proxy_user: Some(proxy.as_bytes()),
                host: None,
                ip: None,
                database: None,
                connection_type: None,
                tells_end_of_refused: true,
            };
        let list = SkipList::new(b"collectd, nagios,,");
        assert!(list.holds(&event(Some("nagios"), "nagios", "")));
        assert!(list.holds(&event(Some("collectd"), "monitor", "'collectd'@'%'")));
        assert!(!list.holds(&event(Some("nagios"), "", "")));
        assert!(!list.holds(&event(Some("nagios"), "root", "")));
        assert!(!list.holds(&event(Some("nagio"), "nagio", "")));
        assert!(!list.holds(&event(Some(""), "", "")));
        assert!(!list.holds(&event(None, "", "")));
        let name = "x".repeat(TEXT_BYTES_MAX);
        let name: &'static str = name.leak();
        assert!(SkipList::new(name.as_bytes()).holds(&event(Some(name), name, "")));
        let longer = [name.as_bytes(), b","].concat();
        assert!(!SkipList::new(&longer).holds(&event(Some(name), name, "")));
    }
}
