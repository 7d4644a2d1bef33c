//! Which connection id was whom, from when to when: facts for tracing, and the way to tell the end
//! of a session from the `DISCONNECT` that follows every refused login.
//!
//! Within one batch a `DISCONNECT` finds its beginning by connection id. Where the beginning lies
//! in a piece of log that was read before or will be read later, both halves go to the ledger,
//! which joins them by the rule of [`join`].
//!
//! # Invariants
//! * Beginnings and ends that one batch joins stand in one unbroken piece of log: nothing read
//!   later can come between them. What [`join`] joins may be taken apart again by what is read
//!   later, so such connections are marked `loose` and keep both their moments.

use std::hint::select_unpredictable;
use std::ops::Range;

/// Open connections looked up by the low bits of their id: they come and go in the order of their
/// ids, so that few of them meet in one place.
const NEAR_SLOTS: usize = 1024;

/// Long-lived connections kept beside the near ones. A server has at most 100,000
/// (`max_connections`); the oldest beginnings go to the ledger when there are more.
const FAR_MAX: usize = 100_000;

/// Ends without a beginning kept apart in one batch; each stands for a connection that was open
/// when the batch began, so there are as few as of those. What exceeds it counts as activity at
/// once.
const ENDS_MAX: usize = 100_000;

/// Halves in one batch before those of one connection are looked for and joined.
pub(crate) const HALVES_NOTED: usize = 16_384;

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
    /// The beginning was a refused login; of a half without it: the end belongs to one.
    pub(crate) refused: bool,
    /// The two moments were found apart: what is read later may show that they do not belong
    /// together.
    pub(crate) loose: bool,
}

impl Fact {
    /// Both moments are known, and nothing read later can part them.
    pub(crate) fn is_firm(&self) -> bool {
        self.from.is_some() && self.to.is_some() && !self.loose
    }
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Open {
    id: u64,
    from: i64,
    owner: Owner,
    pair: u32,
    /// 0: none.
    port: u32,
}

/// Whose connection it is, and how it began; or that none is open here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner(u64);

impl Owner {
    const NONE: Owner = Owner(0);

    #[inline(always)]
    fn new(server: u32, beginning: Beginning) -> Owner {
        Owner((u64::from(server) + 1) << 1 | u64::from(beginning == Beginning::Refused))
    }

    #[inline(always)]
    fn is_of(self, server: u32) -> bool {
        self.0 >> 1 == u64::from(server) + 1
    }

    fn is_refused(self) -> bool {
        self.0 & 1 == 1
    }

    fn server(self) -> u32 {
        ((self.0 >> 1) - 1) as u32
    }
}

/// A login, or else the end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usual {
    pub(crate) id: u64,
    pub(crate) pair: u32,
    /// 0: none.
    pub(crate) port: u16,
    pub(crate) at: i64,
    pub(crate) login: bool,
}

/// A finished connection.
#[derive(Debug, Clone, Copy)]
struct Closed {
    open: Open,
    to: i64,
}

impl Open {
    const NONE: Open = Open { id: 0, from: 0, owner: Owner::NONE, pair: 0, port: 0 };

    #[inline(always)]
    fn is(&self, server: u32, id: u64) -> bool {
        self.owner.is_of(server) & (self.id == id)
    }

    fn fact(&self, to: Option<i64>) -> Fact {
        Fact {
            id: self.id,
            from: Some(self.from),
            to,
            server: self.owner.server(),
            pair: self.pair,
            port: (self.port != 0).then_some(self.port as u16),
            refused: self.owner.is_refused(),
            loose: false,
        }
    }
}

/// What an end belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A session of the same pair, or an unknown beginning too many: activity.
    Session,
    /// A session that began as another pair: its name was cut, or changed.
    Renamed,
    /// A refused login: no sign of a session.
    Refused,
    /// Its beginning is not in this batch; the ledger will tell.
    Unknown,
}

impl End {
    fn of(session: bool, same: bool) -> End {
        match (session, same) {
            (true, true) => End::Session,
            (true, false) => End::Renamed,
            (false, _) => End::Refused,
        }
    }
}

/// Two to a cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Near([Open; NEAR_SLOTS]);

/// The connections of one batch.
#[derive(Debug)]
pub(crate) struct Connections {
    near: Box<Near>,
    far: hashbrown::HashMap<(u32, u64), Open, foldhash::fast::RandomState>,
    closed: Ring,
    halves: Vec<Fact>,
    /// `halves` are joined when there are as many.
    join_at: usize,
    ends: usize,
    /// When a session changed its user, while its new one is not known yet.
    changed: hashbrown::HashMap<(u32, u64), i64, foldhash::fast::RandomState>,
}

impl Connections {
    /// `keep` finished connections are remembered, the newest.
    pub(crate) fn new(keep: usize) -> Self {
        Connections {
            near: Box::new(Near([Open::NONE; NEAR_SLOTS])),
            far: Default::default(),
            closed: Ring::new(keep),
            halves: Vec::new(),
            join_at: HALVES_NOTED,
            ends: 0,
            changed: Default::default(),
        }
    }

    /// Takes records as [`Connections::begin`] and [`Connections::end`] would, before the first that is unusual:
    /// a login that finds its place taken, or an end that does not find the login of its pair there. Tells how
    /// many it has taken; each end was that of a session.
    ///
    /// There is no branch on which of the two a record is: that cannot be foreseen.
    #[inline(always)]
    pub(crate) fn usual(
        &mut self,
        server: u32,
        records: impl ExactSizeIterator<Item = Usual>,
    ) -> usize {
        self.closed.make_room(records.len());
        let own = Owner::new(server, Beginning::Login);
        let (near, closed) = (&mut self.near.0, &mut self.closed.places[..]);
        let mut next = self.closed.next;
        let mut taken = 0;
        for Usual { id, pair, port, at, login } in records {
            let slot = &mut near[id as usize % NEAR_SLOTS];
            let before = *slot;
            let expected = select_unpredictable(login, Owner::NONE, own);
            let other = (before.id ^ id) | u64::from(before.pair ^ pair);
            let other = select_unpredictable(login, 0, other);
            if (before.owner.0 ^ expected.0) | other != 0 {
                break;
            }
            // The one of the two that was not there.
            let owner = Owner(own.0 ^ expected.0);
            *slot = Open { id, from: at, owner, pair, port: port.into() };
            closed[next] = Closed { open: before, to: at };
            next += usize::from(!login);
            taken += 1;
        }
        self.closed.next = next;
        taken
    }

    /// A login or a refused one.
    pub(crate) fn begin(
        &mut self,
        server: u32,
        id: u64,
        pair: u32,
        port: u16,
        from: i64,
        beginning: Beginning,
    ) {
        let slot = &mut self.near.0[id as usize % NEAR_SLOTS];
        let owner = Owner::new(server, beginning);
        let open = Open { id, from, owner, pair, port: port.into() };
        let displaced = std::mem::replace(slot, open);
        if displaced.owner != Owner::NONE {
            self.displace(displaced, server, id);
        }
    }

    #[cold]
    fn displace(&mut self, open: Open, server: u32, id: u64) {
        if open.is(server, id) || open.owner.is_refused() {
            // The id began again: the end of the earlier connection is not in this log.
            self.half(open);
        } else if self.far.len() < FAR_MAX {
            if let Some(earlier) = self.far.insert((open.owner.server(), open.id), open) {
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

    /// Whether the connection is among the near ones and began with a login, and who it probably is: whoever it
    /// began as.
    #[inline(always)]
    pub(crate) fn peek(&self, server: u32, id: u64) -> (bool, u32) {
        let slot = &self.near.0[id as usize % NEAR_SLOTS];
        let own = Owner::new(server, Beginning::Login);
        ((slot.owner == own) & (slot.id == id), slot.pair)
    }

    /// The end of a connection.
    pub(crate) fn end(&mut self, server: u32, id: u64, pair: u32, to: i64) -> End {
        let slot = &mut self.near.0[id as usize % NEAR_SLOTS];
        if slot.is(server, id) {
            let open = std::mem::replace(slot, Open::NONE);
            return self.close(open, pair, to);
        }
        self.end_far(server, id, pair, to)
    }

    fn close(&mut self, open: Open, pair: u32, to: i64) -> End {
        let session = !open.owner.is_refused();
        self.closed.make_room(1);
        self.closed.push(open, to, session);
        End::of(session, open.pair == pair)
    }

    #[cold]
    fn end_far(&mut self, server: u32, id: u64, pair: u32, to: i64) -> End {
        if let Some(open) = self.far.remove(&(server, id)) {
            return self.close(open, pair, to);
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
            loose: false,
        });
        End::Unknown
    }

    /// The session's user changed and the record does not tell to whom.
    pub(crate) fn change(&mut self, server: u32, id: u64, at: i64) {
        if self.changed.len() < FAR_MAX {
            self.changed.insert((server, id), at);
        }
    }

    /// The id begins again: whoever shows up did not change to it.
    #[cold]
    pub(crate) fn forget_change(&mut self, server: u32, id: u64) {
        self.changed.remove(&(server, id));
    }

    /// Whether any session's new user is awaited: asked for each record.
    #[inline(always)]
    pub(crate) fn awaits_names(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The session shows itself as `pair`: when it changed to it, if that is news. The earlier
    /// user's part of the connection ends there.
    pub(crate) fn named(&mut self, server: u32, id: u64, pair: u32) -> Option<i64> {
        let at = self.changed.remove(&(server, id))?;
        let slot = &mut self.near.0[id as usize % NEAR_SLOTS];
        let earlier = if slot.is(server, id) {
            Some(std::mem::replace(slot, Open::NONE))
        } else {
            self.far.remove(&(server, id))
        };
        if let Some(open) = earlier {
            self.close(open, pair, at);
        }
        self.begin(server, id, pair, 0, at, Beginning::Login);
        Some(at)
    }

    /// What follows stands elsewhere: a connection that is open may have ended in between. `is_cut`
    /// tells of which pairs the log may have cut the user name.
    pub(crate) fn interrupt(&mut self, is_cut: impl Fn(u32) -> bool) {
        let mut open: Vec<Open> = self.near.0.to_vec();
        self.near.0.fill(Open::NONE);
        open.extend(self.far.drain().map(|(_, open)| open));
        for open in open.into_iter().filter(|open| open.owner != Owner::NONE) {
            self.half(open);
        }
        if self.halves.len() > self.join_at {
            join_all(&mut self.halves, is_cut);
            self.join_at = HALVES_NOTED.max(2 * self.halves.len());
            self.ends = self.halves.iter().filter(|fact| fact.from.is_none()).count();
        }
    }

    /// Everything known, translated by `server` and `pair` into the numbers of another table:
    /// finished ones, beginnings without an end, ends without a beginning.
    pub(crate) fn facts(&self) -> impl Iterator<Item = Fact> {
        let closed = self.closed.iter().map(|closed| closed.open.fact(Some(closed.to)));
        let open = self.near.0.iter().chain(self.far.values());
        let open = open.filter(|open| open.owner != Owner::NONE).map(|open| open.fact(None));
        closed.chain(self.halves.iter().copied()).chain(open)
    }

    /// The finished ones, which are no longer kept here.
    pub(crate) fn take_closed(&mut self) -> impl Iterator<Item = Fact> + use<> {
        let fresh = Ring::new(self.closed.keep);
        let closed = std::mem::replace(&mut self.closed, fresh);
        closed.into_iter().map(|closed| closed.open.fact(Some(closed.to)))
    }

    /// How many sessions changed their user and were not heard of again in this batch.
    pub(crate) fn unnamed(&self) -> usize {
        self.changed.len()
    }

    /// About how many bytes of memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<[Open; NEAR_SLOTS]>()
            + self.far.len() * 64
            + self.closed.places.len() * size_of::<Closed>()
            + self.halves.len() * size_of::<Fact>()
    }
}

/// The newest of what was put in, in their order.
#[derive(Debug)]
struct Ring {
    /// Up to `next`, then one without a meaning, then those that are older, up to `end`.
    places: Vec<Closed>,
    next: usize,
    end: usize,
    keep: usize,
}

impl Ring {
    fn new(keep: usize) -> Self {
        Ring { places: Vec::new(), next: 0, end: 0, keep }
    }

    /// Room for so many more.
    #[inline(always)]
    fn make_room(&mut self, count: usize) {
        if self.next + count > self.places.len() {
            self.start_over(count);
        }
    }

    #[cold]
    #[inline(never)]
    fn start_over(&mut self, count: usize) {
        if self.next > self.keep {
            (self.next, self.end) = (0, self.next);
        }
        let room = self.next + count;
        if room > self.places.len() {
            let places = (2 * room).min(self.keep + 1 + count);
            self.places.reserve_exact(places - self.places.len());
            self.places.resize(places, Closed { open: Open::NONE, to: 0 });
        }
    }

    /// Puts one in, or leaves things as they are. There must be room.
    #[inline(always)]
    fn push(&mut self, open: Open, to: i64, really: bool) {
        self.places[self.next] = Closed { open, to };
        self.next += usize::from(really);
    }

    /// At most as many as are to be kept.
    fn iter(&self) -> impl Iterator<Item = &Closed> {
        let [older, newer] = self.kept();
        self.places[older].iter().chain(&self.places[newer])
    }

    /// The same.
    fn into_iter(self) -> impl Iterator<Item = Closed> {
        let [older, newer] = self.kept();
        older.chain(newer).map(move |place| self.places[place])
    }

    /// Where those that are to be kept stand: the older, the newer.
    fn kept(&self) -> [Range<usize>; 2] {
        let older = (self.next + 1).min(self.end)..self.end;
        let surplus = (older.len() + self.next).saturating_sub(self.keep);
        let gone = surplus.min(older.len());
        [older.start + gone..older.end, surplus - gone..self.next]
    }
}

/// Joins facts of any servers and ids.
pub(crate) fn join_all(facts: &mut Vec<Fact>, is_cut: impl Fn(u32) -> bool) {
    facts.sort_unstable_by_key(|fact| (fact.server, fact.id));
    let mut joined = Vec::with_capacity(facts.len());
    for same in facts.chunk_by(|a, b| (a.server, a.id) == (b.server, b.id)) {
        let mut same = same.to_vec();
        join(&mut same, &is_cut);
        joined.append(&mut same);
    }
    *facts = joined;
}

/// Joins the beginnings and ends of one connection id of one server. `facts` may hold whole ones
/// and halves in any order, but each pair under one number; what comes out depends on the set of
/// moments alone. Firm facts stay as they are. Of the others, each end goes to the last beginning
/// before it, where that is of the same pair and has no end yet; that of a refused login, which is
/// at most a minute older, may have had its name cut (`is_cut`).
pub(crate) fn join(facts: &mut Vec<Fact>, is_cut: impl Fn(u32) -> bool) {
    let mut beginnings: Vec<Fact> = Vec::with_capacity(facts.len());
    let mut ends: Vec<Fact> = Vec::new();
    let mut joined: Vec<Fact> = Vec::with_capacity(facts.len());
    for fact in facts.drain(..) {
        if fact.is_firm() {
            joined.push(fact);
            // No end after it belongs to a beginning before it.
            beginnings.push(fact);
            continue;
        }
        if fact.from.is_some() {
            beginnings.push(Fact { to: None, loose: false, ..fact });
        }
        if fact.to.is_some() {
            ends.push(Fact { from: None, port: None, refused: false, loose: false, ..fact });
        }
    }
    beginnings
        .sort_unstable_by_key(|fact| (fact.from, fact.refused, fact.pair, fact.port, fact.to));
    ends.sort_unstable_by_key(|fact| (fact.to, fact.pair));
    let fits = |open: &Fact, end: &Fact| match (open.refused, open.from) {
        (true, Some(from)) => {
            end.to <= Some(from.saturating_add(REFUSED_END))
                && (open.pair == end.pair || is_cut(open.pair))
        }
        _ => open.pair == end.pair,
    };
    let mut next = 0;
    // Beginnings of one moment: a session may change its user in the second in which it began.
    let (mut moment, mut waiting): (Option<i64>, Vec<Fact>) = (None, Vec::new());
    for end in ends {
        while let Some(open) = beginnings.get(next).filter(|open| open.from <= end.to) {
            if open.from != moment {
                joined.append(&mut waiting);
                moment = open.from;
            }
            waiting.extend(Some(*open).filter(|open| open.to.is_none()));
            next += 1;
        }
        match waiting.iter().position(|open| fits(open, &end)) {
            // A name that was cut and the whole one: both are kept.
            Some(place) if waiting[place].pair != end.pair => {
                joined.push(waiting.remove(place));
                joined.push(Fact { refused: true, ..end });
            }
            Some(place) => {
                joined.push(Fact { to: end.to, loose: true, ..waiting.remove(place) });
            }
            None => joined.push(end),
        }
    }
    joined.append(&mut waiting);
    joined.extend(beginnings[next..].iter().filter(|open| open.to.is_none()));
    *facts = joined;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(mut facts: Vec<Fact>) -> Vec<Fact> {
        facts.sort_by_key(|f| (f.id, f.from, f.to, f.refused, f.pair));
        facts
    }

    #[test]
    fn the_end_of_a_refused_login_is_no_session() {
        let mut all = Connections::new(10);
        all.begin(0, 7, 1, 0, 100, Beginning::Refused);
        assert_eq!(all.end(0, 7, 1, 101), End::Refused);
        assert_eq!(all.facts().count(), 0);
        all.begin(0, 8, 1, 0, 100, Beginning::Login);
        assert_eq!(all.end(0, 8, 1, 101), End::Session);
        assert_eq!(all.end(0, 9, 1, 101), End::Unknown);
        assert_eq!(all.facts().count(), 2);
    }

    #[test]
    fn long_lived_connections_are_not_forgotten() {
        let mut all = Connections::new(10);
        all.begin(0, 1, 5, 4242, 0, Beginning::Login);
        for id in 2..50_000 {
            all.begin(0, id, 1, 0, id as i64, Beginning::Login);
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
        all.begin(0, 3, 1, 0, 10, Beginning::Login);
        all.change(0, 3, 20);
        assert!(all.awaits_names());
        assert_eq!(all.named(0, 3, 2), Some(20));
        assert_eq!(all.named(0, 3, 2), None);
        assert_eq!(all.end(0, 3, 2, 30), End::Session);
        let facts = sorted(all.facts().collect());
        assert_eq!((facts[0].pair, facts[0].to), (1, Some(20)));
        assert_eq!((facts[1].pair, facts[1].to), (2, Some(30)));
    }

    fn half(at: i64, kind: u8, pair: u32) -> Fact {
        let moment = Some(at * 1_000_000);
        Fact {
            id: 1,
            server: 0,
            pair,
            port: None,
            refused: kind == 1,
            from: moment.filter(|_| kind != 2),
            to: moment.filter(|_| kind == 2),
            loose: false,
        }
    }

    #[test]
    fn the_end_of_a_refused_login_is_its_own_for_a_minute() {
        for (end, rows) in [(70, 1), (71, 2), (9, 2)] {
            let mut facts = vec![half(end, 2, 0), half(10, 1, 0)];
            join(&mut facts, |_| false);
            assert_eq!(facts.len(), rows, "{end}");
        }
        for is_cut in [true, false] {
            let mut facts = vec![half(11, 2, 7), half(10, 1, 0)];
            join(&mut facts, |pair| is_cut && pair == 0);
            let end = facts.iter().find(|fact| fact.to.is_some()).unwrap();
            assert_eq!((end.refused, end.pair), (is_cut, 7));
        }
    }

    #[test]
    fn what_is_firm_keeps_ends_from_older_beginnings() {
        let firm = Fact { to: Some(30_000_000), ..half(20, 0, 0) };
        let mut facts = vec![half(40, 2, 0), firm, half(10, 0, 0)];
        join(&mut facts, |_| false);
        assert_eq!(sorted(facts), sorted(vec![half(10, 0, 0), firm, half(40, 2, 0)]));
    }

    #[test]
    fn an_interruption_leaves_halves_that_join() {
        let mut all = Connections::new(10);
        for id in 0..HALVES_NOTED as u64 {
            all.begin(0, id, 1, 9, 5, Beginning::Login);
        }
        all.interrupt(|_| false);
        assert_eq!(all.end(0, 3, 1, 8), End::Unknown);
        all.interrupt(|_| false);
        let whole: Vec<Fact> = all.facts().filter(|fact| fact.to.is_some()).collect();
        assert_eq!((whole.len(), whole[0].from, whole[0].to), (1, Some(5), Some(8)));
        assert!(whole[0].loose && whole[0].port == Some(9));
    }

    fn single(connections: &mut Connections, one: Usual) {
        let Usual { id, pair, port, at, login } = one;
        if login {
            return connections.begin(0, id, pair, port, at, Beginning::Login);
        }
        connections.end(0, id, pair, at);
    }

    /// All of these, the unusual ones one by one.
    fn take(connections: &mut Connections, usual: &mut Vec<Usual>) {
        let mut rest = &usual[..];
        while !rest.is_empty() {
            let taken = connections.usual(0, rest.iter().copied());
            rest = &rest[taken..];
            if let Some((&first, others)) = rest.split_first() {
                single(connections, first);
                rest = others;
            }
        }
        usual.clear();
    }

    proptest! {
        /// Ids meet in one place, come twice and end unseen; what is kept runs over.
        #[test]
        fn many_at_once_are_taken_as_one_by_one(
            keep in 0..40usize,
            moments in prop::collection::vec((0..5u8, 0..4u64, 0..3u64, 0..3u32), 1..300),
        ) {
            let (mut steps, mut plain) = (Connections::new(keep), Connections::new(keep));
            for (moments, block) in moments.chunks(32).zip(0..) {
                let mut usual = Vec::new();
                for (&(kind, low, high, pair), i) in moments.iter().zip(0..) {
                    let (id, at) = (low + high * NEAR_SLOTS as u64, block * 32 + i);
                    let one = Usual { id, pair, port: 9, at, login: kind > 2 };
                    if kind == 0 {
                        take(&mut steps, &mut usual);
                        steps.begin(0, id, pair, 9, at, Beginning::Refused);
                        plain.begin(0, id, pair, 9, at, Beginning::Refused);
                    } else {
                        usual.push(one);
                        single(&mut plain, one);
                    }
                }
                take(&mut steps, &mut usual);
            }
            prop_assert_eq!(sorted(steps.facts().collect()), sorted(plain.facts().collect()));
            let whole = steps.facts().filter(Fact::is_firm).count();
            prop_assert!(whole <= keep, "{} of {}", whole, keep);
        }

        #[test]
        fn joining_in_pieces_gives_what_joining_at_once_gives(
            moments in prop::collection::vec((0..200i64, 0..3u8, 0..3u32), 1..30),
            pieces in prop::collection::vec(0..4usize, 30),
        ) {
            let halves: Vec<Fact> =
                moments.iter().map(|&(at, kind, pair)| half(at, kind, pair)).collect();
            let mut whole = halves.clone();
            join(&mut whole, |pair| pair == 2);
            let mut kept = Vec::new();
            for piece in 0..4 {
                let mut part: Vec<Fact> = halves.iter().zip(&pieces)
                    .filter(|(_, p)| **p == piece).map(|(fact, _)| *fact).collect();
                join(&mut part, |pair| pair == 2);
                kept.extend(part);
                join(&mut kept, |pair| pair == 2);
            }
            prop_assert_eq!(sorted(whole), sorted(kept));
        }
    }
}
