//! Logins, and other signs of a session, that what stands around them contradicts: counted per user and host, and each kept as a doubt.

use crate::doubts::Doubts;
use crate::pairs::{PairView, Pairs};
use crate::settling::{Deed, Item};
use formats::{Doubt, Reason, Standing};
use std::collections::BTreeMap;

/// Pairs with contested logins that are kept by name, in a batch and per source of a ledger: whoever
/// forges them makes them up. Those beyond are in the totals of doubts.
pub(crate) const PAIRS_MAX: usize = 10_000;

/// How many contested logins, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// Contested logins by the numbers of their pairs.
#[derive(Debug, Default)]
pub(crate) struct Contested {
    pub(crate) sums: BTreeMap<u32, Sum>,
    /// Pair, connection id and time of the logins among them, as many as pairs are kept.
    logins: Vec<(u32, u64, i64)>,
}

impl Contested {
    /// What a record of this file says is contested.
    #[cold]
    pub(crate) fn add(
        &mut self,
        file: i64,
        item: &Item,
        reason: Reason,
        pairs: &Pairs,
        doubts: &mut Doubts,
    ) {
        // Whose end it is depends on what was read before: each may be that of a session.
        if !item.deed.is_login() && !matches!(item.deed, Deed::End | Deed::Statement) {
            return;
        }
        self.put(item.pair, Sum { count: 1, first: item.at, last: item.at });
        if item.deed.is_login() && self.logins.len() < PAIRS_MAX {
            self.logins.push((item.pair, item.id, item.at));
        }
        let doubt = Doubt { standing: Standing::Quarantined, reason };
        let text = text(item, &pairs.get(item.pair));
        doubts.add(file, item.offset, item.bytes.into(), doubt, &text);
    }

    /// Pair, connection id and time of the logins.
    pub(crate) fn logins(&self) -> &[(u32, u64, i64)] {
        &self.logins
    }

    fn put(&mut self, pair: u32, sum: Sum) {
        if self.sums.len() >= PAIRS_MAX && !self.sums.contains_key(&pair) {
            return;
        }
        self.sums
            .entry(pair)
            .and_modify(|known| {
                known.count += sum.count;
                known.first = known.first.min(sum.first);
                known.last = known.last.max(sum.last);
            })
            .or_insert(sum);
    }

    /// Adds those of another batch; `pairs` has this one's number for each of its pairs.
    pub(crate) fn absorb(&mut self, other: Contested, pairs: &[u32]) {
        for (pair, sum) in other.sums {
            self.put(pairs[pair as usize], sum);
        }
        let room = PAIRS_MAX.saturating_sub(self.logins.len());
        let logins = other.logins.into_iter().take(room);
        self.logins.extend(logins.map(|(pair, id, at)| (pairs[pair as usize], id, at)));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.sums.len() * 64 + self.logins.len() * 24
    }
}

/// What the record said: the bytes themselves are gone when it is judged.
fn text(item: &Item, pair: &PairView<'_>) -> Vec<u8> {
    let at = jiff::Timestamp::from_microsecond(item.at).unwrap_or_default();
    let what = match item.deed {
        Deed::End => "end",
        Deed::Statement => "statement",
        _ => "login",
    };
    let head = format!("{at} {what} of connection {}: ", item.id);
    [head.as_bytes(), pair.user, b",", pair.host].concat()
}
