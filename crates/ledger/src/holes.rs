//! Holes: stretches inside a log that it says itself may lack records.
//!
//! ```text
//! 09:00:00 … CONNECT                                   ┐ covered
//! 09:26:53 … QUERY 'SET GLOBAL server_audit_logging=OFF' ┘┐
//! (nothing is written)                                    │ a hole: from the switch to the next record
//! 11:40:10 … CONNECT                                      ┘ of this server
//! 11:40:12 … something torn                             a hole of its source, from 11:40:10 to the next
//! 11:41:00 … line 7, 11:43:10 … line 9                  a hole between them: line 8 is missing
//! ```
//!
//! A hole has two ends, each a record of the same file. One whose end is not in the piece of log that is
//! read waits for it: what pieces begin and end with is kept as segments, of which those that adjoin become
//! one. Between files ends are looked for when an answer is asked for (`coverage`).
//!
//! # Invariants
//! * The holes depend on the set of pieces alone, not on the order in which they came: an end is the nearest
//!   record in the order of the bytes.
//! * Doubts of a piece with no record between them are one hole, that of the first.
//! * Holes of no length are none. Beyond [`HOLES_MAX`] the longest are kept, and how many others there were,
//!   and when.

use crate::id_ends::IdEnds;
use crate::numbers::{Numbered, Numbers};
use crate::runs::Point;
use crate::switches::{self, Logins, Stop, Switch};
use formats::{Doubt, Event, Kind, Reason};
use std::collections::BTreeMap;

/// The most holes of a server and source whose ends are both known: three a day in a year.
pub(crate) const HOLES_MAX: usize = 1000;

/// The most segments of a file and server. Pieces come in the order of the bytes, so one is usual; where
/// lines of others stand between them they do not adjoin.
pub(crate) const SEGMENTS_MAX: usize = 16;

/// As many segments wait in memory before they are united.
const SETTLE_MIN: usize = 1024;

/// The most bytes of names and paths that are kept with a hole.
const TEXT_BYTES_MAX: usize = 256;

/// Stands for all servers of a source.
pub(crate) const ANY: u32 = u32::MAX;

/// No server has this number, and nothing stands for it.
const NOBODY: u32 = u32::MAX - 1;

/// Why records may be missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    Off,
    Uninstalled,
    MaybeOff,
    ToSyslog,
    ToFile,
    ToPath,
    Moved,
    LoginsLeftOut,
    LoginsUnknown,
    LinesMissing,
    Reloaded,
    Doubt(Reason),
}

impl Why {
    const PLAIN: [(Why, &'static str); 11] = [
        (Why::Off, "off"),
        (Why::Uninstalled, "uninstalled"),
        (Why::MaybeOff, "maybe-off"),
        (Why::ToSyslog, "to-syslog"),
        (Why::ToFile, "to-file"),
        (Why::ToPath, "to-path"),
        (Why::Moved, "moved"),
        (Why::LoginsLeftOut, "logins-left-out"),
        (Why::LoginsUnknown, "logins-unknown"),
        (Why::LinesMissing, "lines-missing"),
        (Why::Reloaded, "reloaded"),
    ];

    /// As it is stored.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Why::Doubt(reason) => reason.code(),
            plain => Why::PLAIN.iter().find(|(it, _)| it == plain).map_or("", |(_, code)| code),
        }
    }

    pub(crate) fn of_code(code: &str) -> Option<Why> {
        let doubt = || Reason::ALL.into_iter().find(|it| it.code() == code).map(Why::Doubt);
        Why::PLAIN.into_iter().find(|(_, it)| *it == code).map(|(why, _)| why).or_else(doubt)
    }

    /// Whether it ends with the next login only, not with any record.
    pub(crate) fn is_of_logins(&self) -> bool {
        matches!(self, Why::LoginsLeftOut | Why::LoginsUnknown)
    }

    pub(crate) fn is_doubt(&self) -> bool {
        matches!(self, Why::Doubt(_))
    }
}

/// Where a record stands in its file, and its time in microseconds UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) byte: u64,
    pub(crate) at: i64,
}

/// A stretch of which records may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) file: i64,
    /// [`ANY`] where a doubt names none.
    pub(crate) server: u32,
    /// Where its switch, or its first doubt, stands.
    pub(crate) byte: u64,
    pub(crate) why: Why,
    /// Who switched: user, comma, host. Empty where the record does not tell.
    pub(crate) by: Vec<u8>,
    /// What was set, of a path; of missing lines their number, and how many of them could not be written.
    pub(crate) detail: Vec<u8>,
    /// The switch, or the record before a doubt.
    pub(crate) before: Option<Place>,
    /// The next record.
    pub(crate) behind: Option<Place>,
}

impl Hole {
    fn length(&self) -> Option<i64> {
        Some(self.behind?.at.saturating_sub(self.before?.at))
    }
}

/// A piece of a file as it was read in one go, and what stands at its ends of one server, or of [`ANY`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) file: i64,
    pub(crate) server: u32,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) first: Place,
    /// The first record that shows whether logins are written.
    pub(crate) login: Option<Place>,
    /// The time of the last record; only of [`ANY`].
    pub(crate) last: i64,
    /// Its connections, where there are any.
    pub(crate) ids: Option<Box<IdEnds>>,
    /// The numbers of its lines, where they have some.
    pub(crate) numbers: Option<Numbers>,
}

/// Holes with both ends that were not kept: how many, from when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) count: u64,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Rest {
    pub(crate) fn add(&mut self, other: Rest) {
        self.count = self.count.saturating_add(other.count);
        (self.from, self.to) = (self.from.min(other.from), self.to.max(other.to));
    }
}

/// What is open of a server in the current piece.
#[derive(Debug, Clone, Default)]
struct Here {
    first: Option<Place>,
    login: Option<Place>,
    stop: Option<Hole>,
    logins: Option<Hole>,
    ids: IdEnds,
    numbers: Option<Numbers>,
}

/// The holes of a batch.
#[derive(Debug)]
pub(crate) struct Holes {
    file: i64,
    /// The current piece.
    from: Option<u64>,
    to: u64,
    /// By server.
    here: Vec<Here>,
    first: Option<Place>,
    doubt: Option<Hole>,
    /// The server of which nothing is waited for.
    calm: u32,
    segments: Vec<Segment>,
    holes: Vec<Hole>,
    rest: BTreeMap<u32, Rest>,
    /// Segments are united when there are more than this.
    settle_at: usize,
}

impl Holes {
    pub(crate) fn new(file: i64) -> Holes {
        Holes {
            file,
            from: None,
            to: 0,
            here: Vec::new(),
            first: None,
            doubt: None,
            calm: NOBODY,
            segments: Vec::new(),
            holes: Vec::new(),
            rest: BTreeMap::new(),
            settle_at: SETTLE_MIN,
        }
    }

    /// The bytes up to here are used; what follows stands here.
    pub(crate) fn at(&mut self, offset: u64) {
        self.from.get_or_insert(offset);
        self.to = self.to.max(offset);
    }

    /// The piece ends; `last` is the time of its last record. Another of `file` begins.
    pub(crate) fn go_on(&mut self, last: i64, file: i64) {
        let (segments, holes) = self.open(last);
        self.segments.extend(segments);
        self.holes.extend(holes);
        self.tidy();
        let fresh = Holes::new(file);
        let (segments, holes) =
            (std::mem::take(&mut self.segments), std::mem::take(&mut self.holes));
        let (rest, settle_at) = (std::mem::take(&mut self.rest), self.settle_at);
        *self = Holes { segments, holes, rest, settle_at, ..fresh };
    }

    /// Adds those of another batch, whose last record was at `last`; `numbers` are its servers'.
    pub(crate) fn absorb(&mut self, other: &Holes, last: i64, numbers: &[u32]) {
        let number = |server: u32| numbers.get(server as usize).copied().unwrap_or(server);
        let (segments, holes, rest) = other.all(last);
        self.segments
            .extend(segments.into_iter().map(|it| Segment { server: number(it.server), ..it }));
        self.holes.extend(holes.into_iter().map(|it| Hole { server: number(it.server), ..it }));
        for (server, more) in rest {
            self.rest.entry(number(server)).and_modify(|it| it.add(more)).or_insert(more);
        }
        self.tidy();
    }

    /// Everything, the current piece included; `last` is the time of its last record.
    pub(crate) fn all(&self, last: i64) -> (Vec<Segment>, Vec<Hole>, BTreeMap<u32, Rest>) {
        let (mut segments, mut holes) = self.open(last);
        segments.extend(self.segments.iter().cloned());
        holes.extend(self.holes.iter().cloned());
        (segments, holes, self.rest.clone())
    }

    /// About how many bytes of memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.len() * size_of::<Segment>()
            + self.holes.len() * (size_of::<Hole>() + TEXT_BYTES_MAX)
    }

    fn open(&self, last: i64) -> (Vec<Segment>, Vec<Hole>) {
        let of = |server: u32, first: Place, login: Option<Place>, ids: IdEnds, numbers| Segment {
            file: self.file,
            server,
            from: self.from.unwrap_or(0),
            to: self.to,
            first,
            login,
            last,
            ids: (!ids.is_empty()).then(|| Box::new(ids)),
            numbers,
        };
        let servers = self.here.iter().zip(0..);
        let mut segments: Vec<Segment> = servers
            .filter_map(|(here, server)| {
                Some(of(server, here.first?, here.login, here.ids, here.numbers))
            })
            .collect();
        segments.extend(self.first.map(|first| of(ANY, first, None, IdEnds::default(), None)));
        let open = self.here.iter().flat_map(|here| here.stop.iter().chain(&here.logins));
        (segments, open.chain(&self.doubt).cloned().collect())
    }

    /// The ledger settles all again: this only keeps them few.
    fn tidy(&mut self) {
        if self.segments.len() > self.settle_at {
            settle(&mut self.holes, &mut self.segments);
            self.settle_at = SETTLE_MIN.max(2 * self.segments.len());
        }
        if self.holes.len() > 2 * HOLES_MAX {
            self.trim();
        }
    }

    /// Whether records of this server have to be shown to [`Holes::see`] because they may end something.
    /// `statements` tells whether they are all no connection records.
    #[inline(always)]
    pub(crate) fn awaits(&self, server: u32, statements: impl FnOnce() -> bool) -> bool {
        self.calm != server && self.awaits_some(server, statements)
    }

    #[cold]
    #[inline(never)]
    fn awaits_some(&self, server: u32, statements: impl FnOnce() -> bool) -> bool {
        let Some(here) = self.here.get(server as usize) else { return true };
        let any = self.first.is_none() || self.doubt.is_some();
        let login = here.login.is_none() || here.logins.is_some();
        any || here.first.is_none() || here.stop.is_some() || login && !statements()
    }

    /// A connection of a server that a record was seen of, in the current piece: one that was let in or refused.
    #[inline(always)]
    pub(crate) fn connected(&mut self, server: u32, connection: Point) {
        if let Some(here) = self.here.get_mut(server as usize) {
            here.ids.connected(connection);
        }
    }

    /// A record of a server, at `place`.
    pub(crate) fn see(&mut self, server: u32, place: Place, event: &Event<'_>) {
        let quiet = self.calm == server && !matches!(event.kind, Kind::Query | Kind::AuditConfig);
        if !quiet {
            self.see_closely(server, place, event);
        }
        if let Some(numbered) = Numbered::of(place, event) {
            self.count(server, numbered);
        }
    }

    /// A line with a number; its server was seen before.
    fn count(&mut self, server: u32, numbered: Numbered) {
        let Some(here) = self.here.get_mut(server as usize) else { return };
        let before = here.numbers.map(|it| it.last);
        let first = here.numbers.map_or(numbered, |it| it.first);
        here.numbers = Some(Numbers { first, last: numbered });
        if let Some(hole) = before.and_then(|it| it.hole(numbered, self.file, server)) {
            self.close(hole, numbered.place);
        }
    }

    fn see_closely(&mut self, server: u32, place: Place, event: &Event<'_>) {
        let switch = switches::of(event);
        if self.calm == server && switch == Switch::default() {
            return;
        }
        let by = event.peer.joined();
        let shows_logins = matches!(event.kind, Kind::Connect | Kind::Failed | Kind::Disconnect);
        let file = self.file;
        self.first.get_or_insert(place);
        if let Some(doubt) = self.doubt.take() {
            self.close(doubt, place);
        }
        if self.here.len() <= server as usize {
            self.here.resize_with(server as usize + 1, Here::default);
        }
        let here = &mut self.here[server as usize];
        here.first.get_or_insert(place);
        let stopped = here.stop.take();
        let mut left_out = None;
        if shows_logins || switch.logins.is_some() {
            here.login.get_or_insert(place);
            left_out = here.logins.take();
        }
        let hole = |why| Hole {
            file,
            server,
            byte: place.byte,
            why,
            // Nobody is named by a record of a setting: a comma alone.
            by: if by.len() > 1 { cut(by) } else { Vec::new() },
            detail: Vec::new(),
            before: Some(place),
            behind: None,
        };
        here.stop = switch.stop.map(|stop| match stop {
            Stop::Off => hole(Why::Off),
            Stop::Uninstalled => hole(Why::Uninstalled),
            Stop::MaybeOff => hole(Why::MaybeOff),
            Stop::ToSyslog => hole(Why::ToSyslog),
            Stop::ToFile => hole(Why::ToFile),
            Stop::ToPath(path) => Hole { detail: cut(&path), ..hole(Why::ToPath) },
            Stop::Moved => hole(Why::Moved),
        });
        match switch.logins {
            Some(Logins::LeftOut) => here.logins = Some(hole(Why::LoginsLeftOut)),
            Some(Logins::Unknown) => here.logins = Some(hole(Why::LoginsUnknown)),
            Some(Logins::Written) | None => {}
        }
        let calm = here.stop.is_none() && here.logins.is_none() && here.login.is_some();
        self.calm = if calm { server } else { NOBODY };
        for hole in [stopped, left_out].into_iter().flatten() {
            self.close(hole, place);
        }
    }

    /// A doubt at `byte`; `last` is the time of the record before, if there is one in the piece.
    pub(crate) fn doubt(&mut self, byte: u64, doubt: Doubt, last: i64) {
        self.calm = NOBODY;
        let before = self.first.map(|_| Place { byte, at: last });
        self.doubt.get_or_insert_with(|| Hole {
            file: self.file,
            server: ANY,
            byte,
            why: Why::Doubt(doubt.reason),
            by: Vec::new(),
            detail: Vec::new(),
            before,
            behind: None,
        });
    }

    fn close(&mut self, mut hole: Hole, behind: Place) {
        hole.behind = Some(behind);
        if hole.length().is_none_or(|length| length > 0) {
            self.holes.push(hole);
            if self.holes.len() > 4 * HOLES_MAX {
                self.trim();
            }
        }
    }

    fn trim(&mut self) {
        for (server, more) in trim(&mut self.holes) {
            self.rest.entry(server).and_modify(|it| it.add(more)).or_insert(more);
        }
    }
}

fn cut(text: &[u8]) -> Vec<u8> {
    text[..text.len().min(TEXT_BYTES_MAX)].to_vec()
}

/// Gives holes the ends that segments know, then unites segments that adjoin.
pub(crate) fn settle(holes: &mut Vec<Hole>, segments: &mut Vec<Segment>) {
    segments.sort_by_key(|it| (it.file, it.server, it.from, it.to));
    for hole in holes.iter_mut() {
        let key = |it: &Segment| (it.file, it.server);
        let own = (hole.file, hole.server);
        let mine = &segments[segments.partition_point(|it| key(it) < own)..];
        for segment in mine.iter().take_while(|it| key(it) == own) {
            let start = if hole.why.is_of_logins() { segment.login } else { Some(segment.first) };
            if let Some(place) = start.filter(|it| it.byte > hole.byte)
                && hole.behind.is_none_or(|it| place < it)
            {
                hole.behind = Some(place);
            }
            let end = Place { byte: segment.to, at: segment.last };
            if hole.why.is_doubt()
                && segment.to <= hole.byte
                && hole.before.is_none_or(|it| end > it)
            {
                hole.before = Some(end);
            }
        }
    }
    unite(holes, segments);
    holes.retain(|it| it.length().is_none_or(|length| length > 0));
}

fn unite(holes: &mut Vec<Hole>, segments: &mut Vec<Segment>) {
    let join = |into: &mut Segment, next: &Segment| {
        into.numbers = match (into.numbers, next.numbers) {
            (Some(into), Some(next)) => Some(Numbers { first: into.first, last: next.last }),
            (into, next) => into.or(next),
        };
        (into.to, into.last) = (into.to.max(next.to), next.last);
        into.login = into.login.or(next.login);
        match (&mut into.ids, &next.ids) {
            (Some(ids), Some(behind)) => ids.join(behind),
            (ids, behind) => *ids = ids.take().or_else(|| behind.clone()),
        }
    };
    let mut united: Vec<Segment> = Vec::with_capacity(segments.len());
    for next in segments.drain(..) {
        let key = (next.file, next.server);
        let same = |it: &Segment| (it.file, it.server) == key;
        match united.last_mut().filter(|it| same(it)) {
            Some(last) if last.to >= next.from => {
                let ends = last.numbers.zip(next.numbers);
                let hole = ends.and_then(|(a, b)| a.last.hole(b.first, next.file, next.server));
                holes.extend(hole);
                join(last, &next);
            }
            _ => united.push(next),
        }
        let many = united.iter().rev().take_while(|it| same(it)).count();
        if many > SEGMENTS_MAX {
            let first = united.len() - many;
            let next = united.remove(first + 1);
            join(&mut united[first], &next);
        }
    }
    *segments = united;
}

/// Keeps the longest holes of each server, and all that have an open end. Tells of the others by server.
pub(crate) fn trim(holes: &mut Vec<Hole>) -> BTreeMap<u32, Rest> {
    let mut rest: BTreeMap<u32, Rest> = BTreeMap::new();
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    holes.sort_by(|a, b| {
        let key = |it: &Hole| (std::cmp::Reverse(it.length()), it.server, it.file, it.byte);
        (key(a), &a.why).cmp(&(key(b), &b.why))
    });
    holes.retain(|hole| {
        let (Some(before), Some(behind)) = (hole.before, hole.behind) else { return true };
        let count = counts.entry(hole.server).or_default();
        *count += 1;
        if *count > HOLES_MAX {
            let one = Rest { count: 1, from: before.at, to: behind.at };
            rest.entry(hole.server).and_modify(|it| it.add(one)).or_insert(one);
        }
        *count <= HOLES_MAX
    });
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::tests::event;
    use formats::Standing;

    const RUBBISH: Doubt = Doubt { standing: Standing::Rejected, reason: Reason::NotARecord };
    const OFF: &[u8] = b"SET GLOBAL server_audit_logging=OFF";
    const NO_LOGINS: &[u8] = b"SET GLOBAL server_audit_events=QUERY";

    /// A record at each of the seconds; what stands there is a statement, or `""` for a login.
    fn holes(file: i64, records: &[(i64, &[u8])]) -> Holes {
        let mut holes = Holes::new(file);
        holes.at(0);
        for (i, &(second, text)) in records.iter().enumerate() {
            let kind = if text.is_empty() { Kind::Connect } else { Kind::Query };
            let place = Place { byte: i as u64, at: second * 1_000_000 };
            holes.see(0, place, &event(kind, text, 0));
        }
        holes
    }

    /// Why, and from which second to which.
    fn found(holes: &Holes) -> Vec<(&'static str, i64, Option<i64>)> {
        let (_, found, _) = holes.all(0);
        let second = |place: Place| place.at / 1_000_000;
        let mut found: Vec<_> = found
            .iter()
            .map(|it| (it.why.code(), second(it.before.unwrap()), it.behind.map(second)))
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn a_hole_ends_with_the_next_record_or_login() {
        let query: &[u8] = b"select 1";
        let all = [(0, &b""[..]), (1, OFF), (7, query), (8, NO_LOGINS), (9, query), (20, b"")];
        assert_eq!(found(&holes(1, &all)), [("logins-left-out", 8, Some(20)), ("off", 1, Some(7))]);
        assert_eq!(found(&holes(1, &all[..2])), [("off", 1, None)]);
        assert_eq!(
            found(&holes(1, &all[..5])),
            [("logins-left-out", 8, None), ("off", 1, Some(7))]
        );
        // Of no length.
        assert_eq!(found(&holes(1, &[(0, b""), (1, OFF), (1, query)])), []);
        // Another switch is a record, too.
        let twice = [(0, &b""[..]), (1, OFF), (4, OFF), (9, query)];
        assert_eq!(found(&holes(1, &twice)), [("off", 1, Some(4)), ("off", 4, Some(9))]);
        let on = b"SET GLOBAL server_audit_events=''";
        let on_again = [(0, &b""[..]), (1, NO_LOGINS), (3, query), (5, on), (9, b"")];
        assert_eq!(found(&holes(1, &on_again)), [("logins-left-out", 1, Some(5))]);
    }

    #[test]
    fn doubts_without_a_record_between_them_are_one() {
        let mut log = holes(1, &[(0, b"")]);
        log.doubt(10, RUBBISH, 0);
        log.doubt(20, RUBBISH, 0);
        let place = Place { byte: 30, at: 5_000_000 };
        log.see(0, place, &event(Kind::Connect, b"", 0));
        assert_eq!(found(&log), [("not-a-record", 0, Some(5))]);
    }

    #[test]
    fn many_holes_leave_the_longest() {
        for (count, rest) in [(HOLES_MAX, None), (HOLES_MAX + 1, Some(1)), (HOLES_MAX + 7, Some(7))]
        {
            let mut holes: Vec<Hole> = (0..count as i64)
                .map(|i| Hole {
                    file: 1,
                    server: 3,
                    byte: i as u64,
                    why: Why::Off,
                    by: Vec::new(),
                    detail: Vec::new(),
                    before: Some(Place { byte: i as u64, at: 0 }),
                    behind: Some(Place { byte: i as u64 + 1, at: i + 1 }),
                })
                .collect();
            let left = trim(&mut holes);
            assert_eq!(
                left.get(&3).map(|it| (it.count, it.from, it.to)),
                rest.map(|n| (n, 0, n as i64))
            );
            assert_eq!(holes.len(), HOLES_MAX);
            let shortest = holes.iter().filter_map(Hole::length).min();
            assert_eq!(shortest, Some(rest.unwrap_or(0) as i64 + 1));
        }
        // In a batch, too.
        let mut log = holes(1, &[(0, b"")]);
        for i in 0..10 * HOLES_MAX as u64 {
            let kind = if i % 2 == 0 { (Kind::Query, OFF) } else { (Kind::Connect, &b""[..]) };
            log.see(0, Place { byte: i + 1, at: i as i64 + 1 }, &event(kind.0, kind.1, 0));
        }
        let (_, kept, rest) = log.all(0);
        assert!(kept.len() <= 4 * HOLES_MAX + 1);
        assert_eq!(kept.len() as u64 + rest[&0].count, 5 * HOLES_MAX as u64);
    }

    #[test]
    fn segments_are_bounded() {
        let segment = |from: u64| Segment {
            file: 1,
            server: 1,
            from,
            to: from + 1,
            first: Place { byte: from, at: 0 },
            login: None,
            last: 0,
            ids: None,
            numbers: None,
        };
        for (count, left) in [(SEGMENTS_MAX, SEGMENTS_MAX), (SEGMENTS_MAX + 1, SEGMENTS_MAX)] {
            let mut apart: Vec<Segment> = (0..count as u64).map(|i| segment(i * 2)).collect();
            settle(&mut Vec::new(), &mut apart);
            assert_eq!(apart.len(), left);
        }
        let mut adjoin: Vec<Segment> = (0..5).map(segment).collect();
        settle(&mut Vec::new(), &mut adjoin);
        assert_eq!(adjoin, [Segment { to: 5, ..segment(0) }]);
    }

    #[test]
    fn codes_are_read_back() {
        for (why, code) in Why::PLAIN {
            assert_eq!(Why::of_code(code), Some(why));
        }
        for reason in Reason::ALL {
            assert_eq!(Why::of_code(Why::Doubt(reason).code()), Some(Why::Doubt(reason)));
        }
        assert_eq!(Why::of_code("?"), None);
    }

    #[test]
    fn long_names_are_cut() {
        for (bytes, kept) in
            [(TEXT_BYTES_MAX, TEXT_BYTES_MAX), (TEXT_BYTES_MAX + 1, TEXT_BYTES_MAX)]
        {
            assert_eq!(cut(&vec![0; bytes]).len(), kept);
        }
    }
}
