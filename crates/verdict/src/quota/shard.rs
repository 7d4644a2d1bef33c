//! Users shared out among several services: each user is exactly one's.

use std::fmt;
use std::str::FromStr;

/// The most shards.
pub const SHARDS_MAX: u32 = 1024;

/// One of several services that share the users of the same servers, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    /// All users.
    pub const ALL: Shard = Shard { index: 0, of: 1 };

    /// The shard `index` of `of`; `None` where there is no such one.
    pub fn new(index: u32, of: u32) -> Option<Shard> {
        ((1..=SHARDS_MAX).contains(&of) && index < of).then_some(Shard { index, of })
    }

    /// Which one it is, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Whether a user is this one's. The same on every machine and in every version: by FNV-1a of its bytes, 64 bits
    /// wide, with the high half folded in.
    ///
    /// ```
    /// use verdict::quota::Shard;
    /// let owners = (0..4).filter(|&it| Shard::new(it, 4).unwrap().holds(b"t4711"));
    /// assert_eq!(owners.count(), 1);
    /// ```
    pub fn holds(&self, user: &[u8]) -> bool {
        let hash = user.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        (hash ^ (hash >> 32)) % u64::from(self.of) == u64::from(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    /// `K/N`.
    fn from_str(text: &str) -> Result<Shard, String> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let shard = numbers.and_then(|(index, of)| Shard::new(index, of));
        shard.ok_or_else(|| {
            format!("write K/N, with K from 0 to N-1 and N up to {SHARDS_MAX}: 0/4, 1/4, 2/4, 3/4")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_all_users_exactly_and_evenly() {
        for of in [1, 2, 4, 7] {
            let shards: Vec<Shard> = (0..of).map(|it| Shard::new(it, of).unwrap()).collect();
            let mut counts = vec![0_u32; of as usize];
            for number in 0..10_000 {
                let user = format!("user{number}");
                let owners: Vec<usize> =
                    (0..shards.len()).filter(|&it| shards[it].holds(user.as_bytes())).collect();
                assert_eq!(owners.len(), 1, "{user} of {of}");
                counts[owners[0]] += 1;
            }
            let fair = 10_000 / of;
            assert!(counts.iter().all(|it| it.abs_diff(fair) < fair / 5), "{counts:?}");
        }
    }

    #[test]
    fn whose_a_user_is_never_changes() {
        let owner = |user: &[u8]| (0..4).find(|&it| Shard::new(it, 4).unwrap().holds(user));
        let owners = [&b""[..], b"t4711", b"o'neil, jr", b"\xff\0", b"root"].map(owner);
        assert_eq!(owners, [Some(1), Some(2), Some(3), Some(1), Some(2)]);
    }

    #[test]
    fn only_shards_that_exist_are_read() {
        for text in ["0/4", "3/4", "0/1", "1023/1024"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        for text in ["", "4/4", "0/0", "-1/4", "1", "1/", "/4", "0/1025", "0/4/4", "a/b"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
