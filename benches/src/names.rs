//! Users and client hosts as a shop of some size has them.

use std::fmt::Write;

const WORDS: [&str; 20] = [
    "app", "shop", "web", "api", "report", "batch", "stock", "order", "mail", "search", "cms",
    "forum", "wiki", "crm", "billing", "etl", "backup", "monitor", "intranet", "blog",
];

/// One user on one client host: the two names with a comma between, as a record holds them.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) joined: Box<[u8]>,
    pub(crate) user_bytes: usize,
    pub(crate) database: &'static str,
    /// The error of this pair's failures. One per pair, so that "the newest failure" has one error
    /// also where two failures fall into one second.
    pub(crate) error: u32,
}

/// `count` pairs, all different. About one host in three has a name, the others show as addresses.
pub(crate) fn pairs(count: usize) -> Vec<Pair> {
    let users = (count / 27).clamp(1, 5_000);
    (0..count).map(|index| pair(index % users, index / users, index)).collect()
}

fn pair(user: usize, host: usize, index: usize) -> Pair {
    let word = WORDS[user % WORDS.len()];
    let mut joined = format!("{word}_tenant_{:03}", user / WORDS.len());
    let user_bytes = joined.len();
    // Every user has hosts of its own, as tenants do: the host number also depends on the user.
    let host = host * 7 + user;
    joined.push(',');
    let written = match index % 3 {
        0 => write!(joined, "{word}-{host:04}.shop.example"),
        _ => write!(joined, "10.{}.{}.{}", 10 + host / 62_500, host / 250 % 250, 1 + host % 250),
    };
    written.expect("writing to a String does not fail");
    Pair {
        joined: joined.into_bytes().into_boxed_slice(),
        user_bytes,
        database: ["shop", "warehouse", "", "intranet_cms"][index % 4],
        error: if index.is_multiple_of(13) { 4151 } else { 1045 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn pairs_are_all_different() {
        for count in [1, 26, 11_000, 500_000] {
            let pairs = pairs(count);
            let distinct: HashSet<_> = pairs.iter().map(|pair| &pair.joined).collect();
            assert_eq!(distinct.len(), count);
        }
    }
}
