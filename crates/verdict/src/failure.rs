//! What kind of refusal a server's error number stands for.
//!
//! ```text
//! 1045, user "app"   access-denied    a wrong password, an unknown user, a missing certificate
//! 1158, user ""      no-credentials   a port was opened and left: health check or port scan
//! 4151               locked           MariaDB; 3118 is MySQL's number for the same
//! ```
//!
//! The numbers are those of the servers' error message references: below 2000 the two families
//! share them; MySQL's newer ones are 3000 and above, MariaDB's 4000 and above.

/// What kind of refusal. `access-denied` is not split here: the log alone cannot tell a wrong
/// password from an unknown user (both are 1045).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// Wrong password, unknown user, missing certificate, refused `unix_socket` login.
    AccessDenied,
    /// The client left, or spoke another protocol, before it named a user.
    NoCredentials,
    /// The account is locked.
    Locked,
    /// The host or the account is shut out whatever the password.
    Blocked,
    /// The password has expired and the client cannot change it.
    Expired,
    /// The database named at login does not exist or may not be used.
    NoDatabase,
    /// A limit on connections is reached.
    Limit,
    /// The handshake broke after a user was named, or the two sides share no way to authenticate.
    Handshake,
    /// Anything else, or the log does not tell.
    Other,
}

impl FailureKind {
    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::AccessDenied => "access-denied",
            FailureKind::NoCredentials => "no-credentials",
            FailureKind::Locked => "locked",
            FailureKind::Blocked => "blocked",
            FailureKind::Expired => "expired",
            FailureKind::NoDatabase => "no-database",
            FailureKind::Limit => "limit",
            FailureKind::Handshake => "handshake",
            FailureKind::Other => "other",
        }
    }
}

/// The kind of a refusal, and what that rests on.
///
/// `error` is the server's error number; `None` or 0 where the log does not tell it. `user` is the
/// name as attempted, `None` where it is not known (names folded together).
///
/// ```
/// use verdict::failure::{FailureKind, kind};
/// assert_eq!(kind(Some(1158), Some(b"")).0, FailureKind::NoCredentials);
/// assert_eq!(kind(Some(1158), Some(b"app")), (FailureKind::Handshake, "error 1158".into()));
/// ```
pub fn kind(error: Option<u32>, user: Option<&[u8]>) -> (FailureKind, String) {
    let unnamed = user.is_some_and(<[u8]>::is_empty);
    match error.unwrap_or(0) {
        0 if unnamed => (FailureKind::NoCredentials, "no user name".to_owned()),
        0 => (FailureKind::Other, "no error number in the log".to_owned()),
        number if is_broken_handshake(number) && unnamed => {
            (FailureKind::NoCredentials, format!("error {number}, no user name"))
        }
        number => (kind_of_number(number), format!("error {number}")),
    }
}

fn kind_of_number(number: u32) -> FailureKind {
    match number {
        // ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR (unix_socket, auth_socket).
        1045 | 1698 => FailureKind::AccessDenied,
        // ER_ACCOUNT_HAS_BEEN_LOCKED: MySQL 3118, MariaDB 4151.
        3118 | 4151 => FailureKind::Locked,
        // ER_HOST_IS_BLOCKED (max_connect_errors), ER_HOST_NOT_PRIVILEGED (no account has a pattern
        // for this host), MySQL's FAILED_LOGIN_ATTEMPTS lock, MariaDB's max_password_errors.
        1129 | 1130 | 3955 | 4150 => FailureKind::Blocked,
        // ER_MUST_CHANGE_PASSWORD, ER_MUST_CHANGE_PASSWORD_LOGIN.
        1820 | 1862 => FailureKind::Expired,
        // ER_DBACCESS_DENIED_ERROR, ER_BAD_DB_ERROR.
        1044 | 1049 => FailureKind::NoDatabase,
        // ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED.
        1040 | 1203 | 1226 => FailureKind::Limit,
        number if is_broken_handshake(number) => FailureKind::Handshake,
        // ER_NOT_SUPPORTED_AUTH_MODE, ER_SERVER_IS_IN_SECURE_AUTH_MODE, MySQL's
        // ER_SECURE_TRANSPORT_REQUIRED.
        1251 | 1275 | 3159 => FailureKind::Handshake,
        _ => FailureKind::Other,
    }
}

/// ER_HANDSHAKE_ERROR (1043; also a NUL in the name), ER_NET_PACKET_TOO_LARGE and the other
/// `ER_NET_*` (1153 to 1161: HTTP sent to the port is 1156, a port scan 1158, a stalled client 1159),
/// ER_MALFORMED_PACKET (1835).
fn is_broken_handshake(number: u32) -> bool {
    matches!(number, 1043 | 1153..=1161 | 1835)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_kinds() {
        let expected = [
            ("access-denied", &[1045, 1698][..]),
            ("locked", &[3118, 4151]),
            ("blocked", &[1129, 1130, 3955, 4150]),
            ("expired", &[1820, 1862]),
            ("no-database", &[1044, 1049]),
            ("limit", &[1040, 1203, 1226]),
            ("handshake", &[1043, 1153, 1156, 1158, 1159, 1160, 1161, 1251, 1275, 1835, 3159]),
            ("other", &[1, 1042, 1046, 1152, 1162, 2013, u32::MAX]),
        ];
        for (word, numbers) in expected {
            for &number in numbers {
                let (kind, evidence) = kind(Some(number), Some(b"app"));
                assert_eq!(kind.as_str(), word, "{number}");
                assert_eq!(evidence, format!("error {number}"));
            }
        }
    }

    #[test]
    fn no_name_means_no_credentials_only_where_the_handshake_broke() {
        for number in [1043, 1156, 1158, 1159] {
            let (kind, evidence) = kind(Some(number), Some(b""));
            assert_eq!(kind, FailureKind::NoCredentials, "{number}");
            assert_eq!(evidence, format!("error {number}, no user name"));
        }
        // The anonymous user with a wrong password did offer credentials.
        assert_eq!(kind(Some(1045), Some(b"")).0, FailureKind::AccessDenied);
        assert_eq!(kind(Some(1040), Some(b"")).0, FailureKind::Limit);
    }

    #[test]
    fn an_untold_number_is_not_guessed() {
        for error in [None, Some(0)] {
            assert_eq!(kind(error, Some(b"app")).0, FailureKind::Other);
            assert_eq!(kind(error, None).0, FailureKind::Other);
            assert_eq!(kind(error, Some(b"")).0, FailureKind::NoCredentials);
        }
        // Folded names: nobody knows whether there was a name.
        assert_eq!(kind(Some(1158), None).0, FailureKind::Handshake);
    }
}
