//! Which connection id was whom, from when to when: facts for tracing, and the way to tell the end of
//! a session from the `DISCONNECT` that follows every refused login.
//!
//! Within one batch a `DISCONNECT` finds its beginning by connection id. Where the beginning lies in a
//! piece of log that was read before or will be read later, both halves go to the ledger, which joins
//! them ([`join`] is the rule for both).

/// Open connections looked up by the low bits of their id: they come and go in the order of their
/// ids, so that few of them meet in one place.
const NEAR_SLOTS: usize = 1024;

/// Long-lived connections kept beside the near ones. A server has at most 100,000 (`max_connections`);
/// the oldest beginnings go to the ledger when there are more.
const FAR_MAX: usize = 100_000;

/// Ends without a beginning kept apart in one batch; each stands for a connection that was open when
/// the batch began, so there are as few as of those. What exceeds it counts as activity at once.
const ENDS_MAX: usize = 100_000;

/// A refused login's `DISCONNECT` follows within this time, or belongs to somebody else.
const REFUSED_END: i64 = 60_000_000;

/// How a connection began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Beginning {
    /// With a login.
    Login,
    /// With a refused login.
    Refused,
}

/// A connection, or the half of one that is known. Times are microseconds UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) id: u64,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
    pub(crate) server: u32,
    pub(crate) pair: u32,
    pub(crate) port: Option<u16>,
    pub(crate) refused: bool,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    id: u64,
    from: i64,
    server: u32,
    pair: u32,
    port: Option<u16>,
    beginning: Beginning,
}

/// A finished connection.
#[derive(Debug, Clone, Copy)]
struct Closed {
    open: Open,
    to: i64,
}

impl Open {
    fn fact(&self, to: Option<i64>) -> Fact {
        Fact {
            id: self.id,
            from: Some(self.from),
            to,
            server: self.server,
            pair: self.pair,
            port: self.port,
            refused: self.beginning == Beginning::Refused,
        }
    }
}

/// What an end belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A session, or an unknown beginning too many: activity.
    Session,
    /// A refused login: no sign of a session.
    Refused,
    /// Its beginning is not in this batch; the ledger will tell.
    Unknown,
}

/// The connections of one batch.
#[derive(Debug)]
pub(crate) struct Connections {
    near: Box<[Option<Open>; NEAR_SLOTS]>,
    far: hashbrown::HashMap<(u32, u64), Open, foldhash::fast::RandomState>,
    /// Finished ones: the last `keep`. Where there are more, the oldest stands at `oldest` and is
    /// overwritten.
    closed: Vec<Closed>,
    oldest: usize,
    keep: usize,
    halves: Vec<Fact>,
    ends: usize,
    /// When a session changed its user, while its new one is not known yet.
    changed: hashbrown::HashMap<(u32, u64), i64, foldhash::fast::RandomState>,
}

impl Connections {
    /// `keep` finished connections are remembered, the newest.
    pub(crate) fn new(keep: usize) -> Self {
        Connections {
            near: Box::new([None; NEAR_SLOTS]),
            far: Default::default(),
            closed: Vec::new(),
            oldest: 0,
            keep,
            halves: Vec::new(),
            ends: 0,
            changed: Default::default(),
        }
    }

    /// A login or a refused one.
    #[inline(always)]
    pub(crate) fn begin(
        &mut self,
        server: u32,
        id: u64,
        pair: u32,
        port: Option<u16>,
        from: i64,
        beginning: Beginning,
    ) {
        let slot = &mut self.near[id as usize % NEAR_SLOTS];
        let open = Open { id, from, server, pair, port, beginning };
        if let Some(displaced) = slot.replace(open) {
            self.displace(displaced, server, id);
        }
    }

    #[cold]
    fn displace(&mut self, open: Open, server: u32, id: u64) {
        if (open.server, open.id) == (server, id) || open.beginning == Beginning::Refused {
            // The id began again: the end of the earlier connection is not in this log.
            self.half(open);
        } else if self.far.len() < FAR_MAX {
            if let Some(earlier) = self.far.insert((open.server, open.id), open) {
                self.half(earlier);
            }
        } else {
            self.half(open);
        }
    }

    fn half(&mut self, open: Open) {
        if self.halves.len() < FAR_MAX {
            self.halves.push(open.fact(None));
        }
    }

    /// Who a connection probably is: whoever it began as.
    #[inline(always)]
    pub(crate) fn peek(&self, server: u32, id: u64) -> Option<u32> {
        match &self.near[id as usize % NEAR_SLOTS] {
            Some(open) if open.id == id && open.server == server => Some(open.pair),
            _ => None,
        }
    }

    /// The end of a connection.
    #[inline(always)]
    pub(crate) fn end(&mut self, server: u32, id: u64, pair: u32, to: i64) -> End {
        let slot = &mut self.near[id as usize % NEAR_SLOTS];
        match slot {
            Some(open) if open.id == id && open.server == server => {
                let open = *open;
                *slot = None;
                self.close(open, to)
            }
            _ => self.end_far(server, id, pair, to),
        }
    }

    #[inline(always)]
    fn close(&mut self, open: Open, to: i64) -> End {
        if open.beginning == Beginning::Refused {
            return End::Refused;
        }
        if self.closed.len() < self.keep {
            self.closed.push(Closed { open, to });
        } else if let Some(oldest) = self.closed.get_mut(self.oldest) {
            *oldest = Closed { open, to };
            self.oldest = if self.oldest + 1 == self.keep { 0 } else { self.oldest + 1 };
        }
        End::Session
    }

    #[cold]
    fn end_far(&mut self, server: u32, id: u64, pair: u32, to: i64) -> End {
        if let Some(open) = self.far.remove(&(server, id)) {
            return self.close(open, to);
        }
        if self.ends >= ENDS_MAX {
            return End::Session;
        }
        self.ends += 1;
        self.halves.push(Fact {
            id,
            from: None,
            to: Some(to),
            server,
            pair,
            port: None,
            refused: false,
        });
        End::Unknown
    }

    /// The session's user changed and the record does not tell to whom.
    pub(crate) fn change(&mut self, server: u32, id: u64, at: i64) {
        if self.changed.len() < FAR_MAX {
            self.changed.insert((server, id), at);
        }
    }

    /// Whether any session's new user is awaited: asked for each record.
    #[inline(always)]
    pub(crate) fn awaits_names(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The session shows itself as `pair`: when it changed to it, if that is news. The earlier user's
    /// part of the connection ends there.
    pub(crate) fn named(&mut self, server: u32, id: u64, pair: u32) -> Option<i64> {
        let at = self.changed.remove(&(server, id))?;
        let slot = &mut self.near[id as usize % NEAR_SLOTS];
        let earlier = match slot {
            Some(open) if open.id == id && open.server == server => slot.take(),
            _ => self.far.remove(&(server, id)),
        };
        if let Some(open) = earlier {
            self.close(open, at);
        }
        self.begin(server, id, pair, None, at, Beginning::Login);
        Some(at)
    }

    /// Everything known, translated by `server` and `pair` into the numbers of another table: finished
    /// ones, beginnings without an end, ends without a beginning.
    pub(crate) fn facts(&self) -> impl Iterator<Item = Fact> {
        let closed = self.closed.iter().map(|closed| closed.open.fact(Some(closed.to)));
        let open = self.near.iter().flatten().chain(self.far.values()).map(|open| open.fact(None));
        closed.chain(self.halves.iter().copied()).chain(open)
    }

    /// How many sessions changed their user and were not heard of again in this batch.
    pub(crate) fn unnamed(&self) -> usize {
        self.changed.len()
    }

    /// About how many bytes of memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<[Option<Open>; NEAR_SLOTS]>()
            + self.far.len() * 64
            + self.closed.len() * size_of::<Closed>()
            + self.halves.len() * size_of::<Fact>()
    }
}

/// Joins the beginnings and ends of one connection id of one server. `facts` may hold whole ones and
/// halves in any order; what comes out depends on the set of moments alone: each end goes to the last
/// beginning before it that has none, a refused one only within a minute.
pub(crate) fn join(facts: &mut Vec<Fact>) {
    let mut beginnings: Vec<Fact> = Vec::with_capacity(facts.len());
    let mut ends: Vec<Fact> = Vec::new();
    for fact in facts.drain(..) {
        if fact.from.is_some() {
            beginnings.push(Fact { to: None, ..fact });
        }
        if let Some(to) = fact.to {
            ends.push(Fact { from: None, to: Some(to), port: None, refused: false, ..fact });
        }
    }
    beginnings.sort_unstable_by_key(|fact| (fact.from, fact.refused, fact.pair));
    ends.sort_unstable_by_key(|fact| (fact.to, fact.pair));
    let mut next = 0;
    let mut waiting: Option<Fact> = None;
    for end in ends {
        while next < beginnings.len() && beginnings[next].from <= end.to {
            facts.extend(waiting.replace(beginnings[next]));
            next += 1;
        }
        match waiting.take() {
            Some(open) if !open.refused => facts.push(Fact { to: end.to, ..open }),
            Some(open) if open.from.map(|from| from + REFUSED_END) >= end.to => {}
            other => {
                facts.extend(other);
                facts.push(end);
            }
        }
    }
    facts.extend(waiting);
    facts.extend_from_slice(&beginnings[next..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(mut facts: Vec<Fact>) -> Vec<Fact> {
        facts.sort_by_key(|f| (f.id, f.from, f.to, f.refused));
        facts
    }

    #[test]
    fn the_end_of_a_refused_login_is_no_session() {
        let mut all = Connections::new(10);
        all.begin(0, 7, 1, None, 100, Beginning::Refused);
        assert_eq!(all.end(0, 7, 1, 101), End::Refused);
        assert_eq!(all.facts().count(), 0);
        all.begin(0, 8, 1, None, 100, Beginning::Login);
        assert_eq!(all.end(0, 8, 1, 101), End::Session);
        assert_eq!(all.end(0, 9, 1, 101), End::Unknown);
        assert_eq!(all.facts().count(), 2);
    }

    #[test]
    fn long_lived_connections_are_not_forgotten() {
        let mut all = Connections::new(10);
        all.begin(0, 1, 5, Some(4242), 0, Beginning::Login);
        for id in 2..50_000 {
            all.begin(0, id, 1, None, id as i64, Beginning::Login);
            assert_eq!(all.end(0, id, 1, id as i64), End::Session);
        }
        assert_eq!(all.end(0, 1, 5, 99_999), End::Session);
        let last = all.facts().find(|fact| fact.id == 1).unwrap();
        assert_eq!((last.from, last.to, last.port), (Some(0), Some(99_999), Some(4242)));
        assert_eq!(all.facts().count(), 10);
    }

    #[test]
    fn a_changed_user_ends_one_part_and_begins_another() {
        let mut all = Connections::new(10);
        all.begin(0, 3, 1, None, 10, Beginning::Login);
        all.change(0, 3, 20);
        assert!(all.awaits_names());
        assert_eq!(all.named(0, 3, 2), Some(20));
        assert_eq!(all.named(0, 3, 2), None);
        assert_eq!(all.end(0, 3, 2, 30), End::Session);
        let facts = sorted(all.facts().collect());
        assert_eq!((facts[0].pair, facts[0].to), (1, Some(20)));
        assert_eq!((facts[1].pair, facts[1].to), (2, Some(30)));
    }

    proptest! {
        #[test]
        fn joining_in_pieces_gives_what_joining_at_once_gives(
            moments in prop::collection::vec((0..500i64, 0..3u8), 1..30),
            pieces in prop::collection::vec(0..4usize, 30),
        ) {
            let halves: Vec<Fact> = moments.iter().map(|&(at, kind)| Fact {
                id: 1, server: 0, pair: 0, port: None, refused: kind == 1,
                from: (kind != 2).then_some(at * 1_000_000),
                to: (kind == 2).then_some(at * 1_000_000),
            }).collect();
            // A refused login's end vanishes when they meet, so only logins can be taken apart again.
            let halves: Vec<Fact> = halves.into_iter().filter(|fact| !fact.refused).collect();
            let mut whole = halves.clone();
            join(&mut whole);
            let mut kept = Vec::new();
            for piece in 0..4 {
                let mut part: Vec<Fact> = halves.iter().zip(&pieces)
                    .filter(|(_, p)| **p == piece).map(|(fact, _)| *fact).collect();
                join(&mut part);
                kept.extend(part);
                join(&mut kept);
            }
            prop_assert_eq!(sorted(whole), sorted(kept));
        }
    }
}
