//! Log text without the secrets it may hold.
//!
//! Servers mask passwords in some statements and leak them in others (`SELECT PASSWORD('x')`, the
//! text of `EXECUTE IMMEDIATE`, the tail after a doubled quote), so whatever shows log text masks
//! again. The rule is blunt on purpose: after a word that announces a secret, nothing is shown.

/// What stands for the part that is not shown.
pub const MASK: &str = "*****";

/// Words after which a secret may follow, in lower case.
const ANNOUNCING: [&[u8]; 5] =
    [b"identified", b"password", b"passwd", b"authentication_string", b"secret"];

/// How much of `text` may be shown: its length, or the end of the first word that announces a
/// secret. Whoever cuts there puts [`MASK`] behind.
///
/// ```
/// let text = b"SET PASSWORD = 'x'";
/// assert_eq!(&text[..verdict::secrets::shown_bytes(text)], b"SET PASSWORD");
/// ```
pub fn shown_bytes(text: &[u8]) -> usize {
    let ends = (0..text.len()).find_map(|at| {
        ANNOUNCING.iter().find_map(|word| {
            let end = at + word.len();
            text.get(at..end).filter(|it| it.eq_ignore_ascii_case(word)).map(|_| end)
        })
    });
    ends.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_an_announcing_word() {
        let check = |text: &str, shown: &str| {
            assert_eq!(&text.as_bytes()[..shown_bytes(text.as_bytes())], shown.as_bytes());
        };
        check("select 1", "select 1");
        check("", "");
        check("CREATE USER a IDENTIFIED BY 'x'", "CREATE USER a IDENTIFIED");
        check("SELECT pAsSwOrD('x')", "SELECT pAsSwOrD");
        check("UPDATE t SET authentication_string='x'", "UPDATE t SET authentication_string");
        check("my_secret", "my_secret");
        check("passwor", "passwor");
    }
}
