//! What a piece of log adds up to, in memory, before it goes to the ledger.
//!
//! A batch is the sink of a `formats::Reader`. It holds no record, only sums, extremes and bounded
//! samples, so its size depends on how many different users and hosts there are, not on the length of
//! the log. Batches can be united in any order ([`Batch::absorb`]).

use crate::access::{LetIns, Named};
use crate::clock::LocalClock;
use crate::connections::{Beginning, Connections, End, Fact, HALVES_NOTED, Usual, join_all};
use crate::contested::Contested;
use crate::doubts::Doubts;
use crate::holes::{self, Hole, Holes, Rest, Segment};
use crate::pairs::{Moment, PEER_BYTES_MAX, Pairs, Sought, Step, same};
use crate::runs::{Point, RunPart, RunTracker};
use crate::settling::{Deed, Item, Mark, Place, Stretch, Teller, are_apart, name_of, spare_of};
use crate::switches::may_switch;
use formats::{
    BLOCK_LINES_MAX, Block, Doubt, Event, Kind, LINE_USER_BYTES_MAX, Line, Reason, Sink, Stamp,
    Standing, Turn,
};
use std::collections::BTreeMap;
use std::hint::select_unpredictable;
use std::ops::Range;
use verdict::account::AccountName;

/// What holds for all records of a batch.
#[derive(Debug, Clone)]
pub struct BatchOptions {
    /// The audited server's name, whatever the records say (`--server`, configuration); `None`: they
    /// tell it.
    pub server: Option<Vec<u8>>,
    /// How many finished connections are kept for tracing.
    pub keep_connections: usize,
}

/// One audited server in a batch. Records and times are those of the current file.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) name: Vec<u8>,
    records: u64,
    first: i64,
    last: i64,
    runs: RunTracker,
    stretch: Stretch,
}

/// What one file holds of one server. Times are microseconds UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) server: u32,
    pub(crate) file: i64,
    pub(crate) records: u64,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// The sums of some records of one source.
#[derive(Debug)]
pub struct Batch {
    options: BatchOptions,
    clock: LocalClock,
    file: i64,
    base: u64,
    /// Where what was read of this file in one piece begins, and how far it reaches.
    start: Option<u64>,
    end: u64,
    pub(crate) servers: Vec<Server>,
    done: Vec<Span>,
    pub(crate) pairs: Pairs,
    pub(crate) connections: Connections,
    /// Facts taken over from other batches, with this batch's numbers.
    pub(crate) facts: Vec<Fact>,
    /// Halves among the facts are joined when there are as many of both.
    join_facts_at: usize,
    pub(crate) doubts: Doubts,
    /// Unbroken pieces of log by server, of other files or batches, in the order in which they came.
    stretches: Vec<(u32, Stretch)>,
    pub(crate) contested: Contested,
    /// Accounts that rows of a table name.
    pub(crate) named: Named,
    /// The users of accounts that logins name.
    pub(crate) let_ins: LetIns,
    holes: Holes,
    pub(crate) unnamed_changes: u64,
    ambiguous_times: u64,
    step_back: i64,
    /// What was rejected before the first record of this file's piece, beside which a name may stand: no server
    /// is known yet to which it may belong.
    early: Stretch,
    // The record before: most records resemble it.
    stamp: Stamp,
    moment: Moment,
    server: u32,
    /// So many records on, statements are judged before they count: a refusal is near.
    wary: u8,
}

/// Statements so many records before a refusal are judged before they count: its name may have made them.
const WARY_BEFORE: usize = 2;

/// And so many behind it.
const WARY_BEHIND: u8 = 16;

/// What a name and the rest of its record take, at most.
const NAME_LINE_MAX: usize = 2048;

/// Finished connections are always kept up to this number within a batch, so that the logins that are
/// not settled yet are known even where none are kept for tracing.
const RECENT_MIN: usize = 4096;

impl Batch {
    /// A batch for records of one file, numbered `file` by the ledger; `clock` turns their local times
    /// into UTC.
    pub fn new(options: BatchOptions, clock: LocalClock, file: i64) -> Self {
        let stamp = Stamp::Local(0);
        // No record has this time: the clock does not go on from it.
        let moment = Moment::new(clock.clone().utc(stamp));
        Batch {
            connections: Connections::new(options.keep_connections.max(RECENT_MIN)),
            options,
            clock,
            file,
            base: 0,
            start: None,
            end: 0,
            servers: Vec::new(),
            done: Vec::new(),
            pairs: Pairs::default(),
            facts: Vec::new(),
            join_facts_at: 0,
            doubts: Doubts::default(),
            stretches: Vec::new(),
            contested: Contested::default(),
            named: Named::default(),
            let_ins: LetIns::default(),
            holes: Holes::new(file),
            unnamed_changes: 0,
            ambiguous_times: 0,
            step_back: 0,
            early: Stretch::new(file, 0),
            stamp,
            moment,
            server: u32::MAX,
            wary: 0,
        }
    }

    /// Tells where the bytes of the following calls of the reader stand in the file: what is before, from
    /// the last time this was told on, is used.
    pub fn at(&mut self, offset: u64) {
        self.base = offset;
        if self.start.is_none() {
            (self.start, self.end) = (Some(offset), offset);
            self.early.begins_at(offset);
            self.servers.iter_mut().for_each(|server| server.stretch.begins_at(offset));
        }
        self.holes.at(offset);
    }

    /// The ledger's number of the file the batch is at.
    pub fn file(&self) -> i64 {
        self.file
    }

    /// Goes on with another file of the same source, as `fresh`, an empty batch for it, would.
    pub fn go_on_with(&mut self, fresh: Batch) {
        self.ambiguous_times += self.clock.ambiguous();
        self.step_back = 0;
        self.end_file();
        self.connections.interrupt(|pair| is_cut(self.pairs.get(pair).user));
        self.holes.go_on(self.moment.utc, fresh.file);
        self.clock = fresh.clock;
        self.file = fresh.file;
        (self.base, self.start, self.end) = (0, None, 0);
        self.early = Stretch::new(self.file, 0);
        for server in &mut self.servers {
            server.stretch = Stretch::new(self.file, 0);
        }
        // No stamp of the new file may be taken for one of the old one's clock.
        self.stamp = Stamp::Local(i64::MIN);
    }

    /// An empty batch that goes on in the same file.
    pub fn successor(&self) -> Batch {
        Batch::new(self.options.clone(), self.clock.successor(), self.file)
    }

    /// Unbroken pieces of log by server, in the order in which they came.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = (u32, &Stretch)> {
        let current = (0..).zip(&self.servers).map(|(number, server)| (number, &server.stretch));
        let done = self.stretches.iter().map(|(server, stretch)| (*server, stretch));
        done.chain(current).filter(|(_, stretch)| !stretch.is_empty())
    }

    /// Where the batch begins, as file and offset, and where it ends, if it is one piece of one file.
    pub(crate) fn one_piece(&self) -> Option<(Place, u64)> {
        let start = self.start.filter(|_| self.stretches.is_empty())?;
        Some(((self.file, start), self.end))
    }

    fn end_stretches(&mut self) {
        self.place_stretches();
        for number in 0..self.servers.len() as u32 {
            let file = Stretch::new(self.file, 0);
            let server = &mut self.servers[number as usize];
            let ended = std::mem::replace(&mut server.stretch, file);
            self.add_stretch(number, ended);
        }
    }

    /// Goes on with a stretch where one ended, or keeps it apart.
    fn add_stretch(&mut self, server: u32, stretch: Stretch) {
        if stretch.is_empty() {
            return;
        }
        let before = self.stretches.iter_mut().rev().find(|(of, _)| *of == server);
        match before {
            Some((_, before)) if stretch.follows(before) => before.join(
                stretch,
                &mut Counter {
                    pairs: &mut self.pairs,
                    contested: &mut self.contested,
                    doubts: &mut self.doubts,
                },
            ),
            _ => self.stretches.push((server, stretch)),
        }
    }

    fn place_stretches(&mut self) {
        for server in &mut self.servers {
            server.stretch.reaches((self.file, self.end));
        }
    }

    fn end_file(&mut self) {
        self.end_stretches();
        let file = self.file;
        self.done.extend(current(&self.servers, file));
        for server in &mut self.servers {
            (server.records, server.first, server.last) = (0, i64::MAX, i64::MIN);
        }
    }

    /// What each file holds of each server.
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> {
        self.done.iter().copied().chain(current(&self.servers, self.file))
    }

    /// By how much the times of the current file step back at most, in microseconds, where that is too
    /// much for late records; else 0.
    pub fn step_back(&self) -> i64 {
        self.step_back.max(self.clock.step_back())
    }

    /// Whether it depends on what stands before the batch in its file which moment a record tells of.
    pub fn is_blind(&self) -> bool {
        self.clock.is_blind()
    }

    /// The clock as it stands behind the batch's last record.
    pub fn clock(&self) -> LocalClock {
        self.clock.successor()
    }

    /// The newest record's time of a file in this batch, in microseconds UTC.
    pub fn newest_of(&self, file: i64) -> Option<i64> {
        self.spans().filter(|span| span.file == file).map(|span| span.last).max()
    }

    /// How much of the input was doubted, by standing and reason.
    pub fn doubts(&self) -> impl Iterator<Item = (Standing, Reason, u64)> {
        self.doubts
            .totals
            .iter()
            .map(|(&(standing, reason), &(count, _))| (standing, reason, count))
    }

    /// Sessions that changed their user and that no later record of the batch names.
    pub fn unnamed_changes(&self) -> u64 {
        self.unnamed_changes + self.connections.unnamed() as u64
    }

    /// Records counted so far.
    pub fn records(&self) -> u64 {
        self.spans().map(|span| span.records).sum()
    }

    /// Records whose local time does not occur, or occurs twice and is not told by their order.
    pub fn ambiguous_times(&self) -> u64 {
        self.ambiguous_times + self.clock.ambiguous()
    }

    /// About how many bytes of memory the batch holds.
    pub fn bytes(&self) -> usize {
        self.pairs.bytes()
            + self.connections.bytes()
            + self.facts.len() * size_of::<Fact>()
            + self.doubts.bytes()
            + self.contested.bytes()
            + self.named.bytes()
            + self.let_ins.bytes()
            + self.stretches().map(|(_, stretch)| stretch.bytes()).sum::<usize>()
            + self.holes.bytes()
            + self.servers.iter().map(|server| server.runs.bytes()).sum::<usize>()
    }

    /// Unites the sums of `other`, a batch of the same source, with this one's.
    pub fn absorb(&mut self, mut other: Batch) {
        self.end_stretches();
        other.end_stretches();
        let mut numbers = Vec::with_capacity(other.servers.len());
        for theirs in &other.servers {
            let number = self.number_of(&theirs.name);
            self.servers[number as usize].runs.absorb(&theirs.runs);
            numbers.push(number);
        }
        let spans = other.spans();
        self.done.extend(spans.map(|span| Span { server: numbers[span.server as usize], ..span }));
        // What is taken over is freed at once, as both sums are here now.
        let pairs = self.pairs.absorb(std::mem::take(&mut other.pairs), &numbers);
        self.step_back = self.step_back.max(other.step_back());
        self.unnamed_changes += other.unnamed_changes();
        let theirs = std::mem::replace(&mut other.connections, Connections::new(0));
        let taken = theirs.facts().chain(other.facts.drain(..)).map(|fact| Fact {
            server: numbers[fact.server as usize],
            pair: pairs[fact.pair as usize],
            ..fact
        });
        self.facts.extend(taken);
        drop(theirs);
        self.facts.extend(self.connections.take_closed());
        self.trim_facts();
        self.contested.absorb(std::mem::take(&mut other.contested), &pairs);
        self.named.absorb(std::mem::take(&mut other.named), &pairs);
        self.let_ins.absorb(&other.let_ins, &pairs);
        for (server, mut stretch) in std::mem::take(&mut other.stretches) {
            stretch.renumber(|pair| pairs[pair as usize]);
            self.add_stretch(numbers[server as usize], stretch);
        }
        self.pairs.settle();
        self.ambiguous_times += other.ambiguous_times();
        self.holes.absorb(&other.holes, other.moment.utc, &numbers);
        self.doubts.absorb(other.doubts);
        self.server = u32::MAX;
    }

    /// Keeps all halves and the newest finished connections.
    fn trim_facts(&mut self) {
        let keep = self.options.keep_connections.max(RECENT_MIN);
        let pairs = &self.pairs;
        if self.facts.len() > self.join_facts_at.max(HALVES_NOTED) {
            join_all(&mut self.facts, |pair| is_cut(pairs.get(pair).user));
            self.join_facts_at = 2 * self.facts.len();
        }
        let firm = self.facts.iter().filter(|fact| fact.is_firm()).count();
        if firm <= keep {
            return;
        }
        let kept = self.facts.len() - firm + keep;
        self.facts.select_nth_unstable_by_key(kept, |fact| {
            (fact.is_firm(), std::cmp::Reverse(fact.to), fact.server, fact.id, fact.from)
        });
        self.facts.truncate(kept);
        self.facts.shrink_to_fit();
    }

    /// All connection facts of the batch.
    pub(crate) fn connection_facts(&self) -> impl Iterator<Item = Fact> {
        self.facts.iter().copied().chain(self.connections.facts())
    }

    fn number_of(&mut self, name: &[u8]) -> u32 {
        if let Some(found) = self.servers.iter().position(|server| server.name == name) {
            return found as u32;
        }
        self.servers.push(Server {
            name: name.to_vec(),
            records: 0,
            first: i64::MAX,
            last: i64::MIN,
            runs: RunTracker::default(),
            stretch: self.early.clone(),
        });
        self.servers.len() as u32 - 1
    }

    /// The number of the server that records name.
    #[inline(always)]
    fn server(&mut self, name: &[u8]) -> u32 {
        match self.servers.get(self.server as usize) {
            Some(known) if self.options.server.is_some() || same(&known.name, name) => self.server,
            _ => self.find_server(name),
        }
    }

    #[cold]
    #[inline(never)]
    fn find_server(&mut self, name: &[u8]) -> u32 {
        self.server = match self.options.server.clone() {
            Some(told) => self.number_of(&told),
            None => self.number_of(name),
        };
        self.server
    }

    /// Looks the pairs of all lines up, none of which depends on another, so that the processor waits for
    /// memory once. Who ends a connection began it: that is known without the index. Which of the lines
    /// those are cannot be foreseen, so the others are listed without a branch.
    #[inline(always)]
    fn find_pairs(&mut self, server: u32, block: &Block<'_>) -> [u32; BLOCK_LINES_MAX] {
        let lines = block.lines();
        let mut found = [0; BLOCK_LINES_MAX];
        let mut unknown = [0; BLOCK_LINES_MAX];
        let mut count = 0;
        for ((found, line), i) in found.iter_mut().zip(lines).zip(0u8..) {
            let (known, pair) = self.connections.peek(server, line.connection);
            *found = pair;
            unknown[count % BLOCK_LINES_MAX] = i;
            count += usize::from(!known);
        }
        for &i in unknown.iter().take(count) {
            let line = &lines[i as usize % BLOCK_LINES_MAX];
            found[i as usize % BLOCK_LINES_MAX] = match sought(server, block, line) {
                Some(sought) => self.pairs.guess(&sought),
                None => self.pairs.find_or_add(server, block.peer(line)),
            };
        }
        self.pairs.touch(&found[..lines.len()]);
        for (found, line) in found.iter_mut().zip(lines) {
            let known = sought(server, block, line).is_some_and(|it| self.pairs.is(*found, &it));
            if !known {
                *found = self.pairs.find_or_add(server, block.peer(line));
            }
        }
        found
    }

    /// The records that follow are of this server and time.
    #[inline(always)]
    fn begin_moment(&mut self, server: u32, stamp: Stamp) {
        if stamp != self.stamp {
            self.moment = Moment::new(self.clock.utc(stamp));
            self.stamp = stamp;
        }
        let server = &mut self.servers[server as usize];
        server.first = server.first.min(self.moment.utc);
        server.last = server.last.max(self.moment.utc);
    }

    /// The moments of all lines.
    #[inline(always)]
    fn moments(&mut self, server: u32, lines: &[Line]) -> Moments {
        let first = lines.first().map_or(0, |line| line.time);
        self.begin_moment(server, Stamp::Local(first));
        let mut moments = Moments {
            of: [self.moment; BLOCK_LINES_MAX],
            usual: 0,
            logins: 0,
            apart: 0,
            from: self.moment.utc,
            to: self.moment.utc,
        };
        let mut time = first;
        for ((line, moment), i) in lines.iter().zip(&mut moments.of).zip(0u32..) {
            if line.time != time {
                time = line.time;
                let before = self.moment.utc;
                self.begin_moment(server, Stamp::Local(time));
                moments.apart |= u64::from(are_apart(before, self.moment.utc)) << i;
                moments.from = moments.from.min(self.moment.utc);
                moments.to = moments.to.max(self.moment.utc);
            }
            *moment = self.moment;
            moments.logins |= u64::from(line.turn == Turn::Login) << i;
            moments.usual |= u64::from(matches!(line.turn, Turn::Login | Turn::End)) << i;
        }
        moments
    }

    /// Takes those of these lines, logins and ends of connections, before the first that is unusual; tells how
    /// many they are.
    #[inline(always)]
    fn usual(
        &mut self,
        server: u32,
        block: &Block<'_>,
        lines: Range<usize>,
        pairs: &[u32; BLOCK_LINES_MAX],
        moments: &Moments,
    ) -> usize {
        let Batch { connections, servers, base, holes, .. } = self;
        let own = &mut servers[server as usize];
        let first = lines.start;
        if own.stretch.is_apart(moments.of[first % BLOCK_LINES_MAX].utc) {
            return 0;
        }
        let of = |lines: Range<usize>| {
            let (pairs, moments) = (&pairs[lines.clone()], &moments.of[lines.clone()]);
            let all = block.lines()[lines].iter().zip(pairs).zip(moments);
            all.map(|((line, &pair), moment)| (line, pair, moment.utc))
        };
        let usual = of(lines.clone()).map(|(line, pair, at)| {
            let (id, port, login) = (line.connection, line.port, line.turn == Turn::Login);
            Usual { id, pair, port, at, login }
        });
        let taken = connections.usual(server, usual);
        let lines = first..first + taken;
        let base = *base;
        let risen = own.stretch.extend(of(lines.clone()).map(|(line, pair, at)| {
            let login = line.turn == Turn::Login;
            let deed = select_unpredictable(login, Deed::Login, Deed::End);
            let mark = select_unpredictable(login, 0, Mark::SESSION);
            let spare = if line.wide { spare_in(block, line) } else { 0 };
            let item = Item { spare, ..Item::new(at, line.connection, pair, deed, mark) };
            place(base, block.span(line), item)
        }));
        own.stretch.were_at(of(lines.clone()).map(|(.., at)| at));
        self.wary = self.wary.saturating_sub(taken as u8);
        let logins = moments.logins & !(!0 << lines.end) & (!0 << lines.start);
        let login = |i: u32| {
            let i = i as usize % BLOCK_LINES_MAX;
            Point { id: block.lines()[i].connection, at: moments.of[i].utc }
        };
        if logins != 0 {
            let mut left = logins;
            while left != 0 {
                holes.connected(server, login(left.trailing_zeros()));
                left &= left - 1;
            }
            let ends = [logins.trailing_zeros(), logins.ilog2()].map(login);
            if !risen || !own.runs.rising(ends, moments.from..=moments.to) {
                let all = of(lines).filter(|(line, ..)| line.turn == Turn::Login);
                all.for_each(|(line, _, at)| own.runs.connected(line.connection, at));
            }
        }
        taken
    }

    /// Whatever is not a login, a refused one or an end.
    #[inline]
    fn other(
        &mut self,
        span: formats::Span,
        server: u32,
        pair: u32,
        event: &Event<'_>,
        at: Moment,
    ) {
        match event.kind {
            Kind::ChangeUser if event.error != 0 => {
                self.wary = WARY_BEHIND;
                self.pairs.refused(pair, event.error, at);
                self.judge(span, server, pair, event, Deed::ChangeRefused, Mark::RARE);
            }
            Kind::ChangeUser if event.peer.joined().len() <= 1 => {
                self.connections.change(server, event.connection, at.utc);
                self.judge(span, server, pair, event, Deed::ChangeUnnamed, Mark::RARE);
            }
            Kind::ChangeUser => {
                self.connections.change(server, event.connection, at.utc);
                self.connections.named(server, event.connection, pair);
                self.judge(span, server, pair, event, Deed::Change, Mark::RARE);
            }
            Kind::ProxyConnect | Kind::AuditConfig => {}
            _ => {
                self.judge(span, server, pair, event, Deed::Statement, Mark::SESSION);
                if self.connections.awaits_names() {
                    self.named(span, server, event.connection, pair);
                }
            }
        }
    }

    /// A session that changed its user shows its new name: that was a login.
    #[cold]
    fn named(&mut self, span: formats::Span, server: u32, connection: u64, pair: u32) {
        if let Some(changed) = self.connections.named(server, connection, pair) {
            let item = Item::new(changed, connection, pair, Deed::Change, Mark::RARE);
            let item = place(self.base, span, item);
            self.servers[server as usize].stretch.push(item);
        }
    }
}

/// A server may have cut a user name of so many bytes when it logged the beginning of a connection: after
/// 132 bytes, or 128 characters. The end of the connection has it in full.
const CUT_BYTES: usize = 128;

/// See [`CUT_BYTES`].
pub(crate) fn is_cut(user: &[u8]) -> bool {
    user.len() >= CUT_BYTES
}

/// The moments of the lines of a block, and what is known of them at a glance.
struct Moments {
    of: [Moment; BLOCK_LINES_MAX],
    /// Which of them are logins or ends of connections, as bits: found without a branch, as it cannot be
    /// foreseen. The names of lines are not cut.
    usual: u64,
    /// Which of them are logins.
    logins: u64,
    /// Which of them stand apart from the line before.
    apart: u64,
    /// The earliest and the latest.
    from: i64,
    to: i64,
}

const _: () = assert!(BLOCK_LINES_MAX < 64 && LINE_USER_BYTES_MAX < CUT_BYTES);

/// Whose record a line is.
#[inline(always)]
fn sought(server: u32, block: &Block<'_>, line: &Line) -> Option<Sought> {
    Sought::new(server, block.from_peer(line)?, line.peer_bytes(), line.user_bytes())
}

/// By how much a login or an end that is not ASCII has fewer characters than bytes.
#[cold]
#[inline(never)]
fn spare_in(block: &Block<'_>, line: &Line) -> u8 {
    spare(&block.event(line))
}

/// By how much a record has fewer characters than bytes.
fn spare(event: &Event<'_>) -> u8 {
    let names = [event.peer.joined(), event.database, event.object];
    names.into_iter().map(spare_of).fold(0, u8::saturating_add)
}

/// What is known of the end of a connection.
fn mark_of(end: End) -> u16 {
    match end {
        End::Session => Mark::SESSION,
        End::Renamed => Mark::SESSION | Mark::ODD,
        End::Refused | End::Unknown => Mark::ODD,
    }
}

/// A record with the place where it stands.
fn place(base: u64, span: formats::Span, item: Item) -> Item {
    let bytes = (span.end - span.start).min(u16::MAX.into()) as u16;
    Item { offset: base + span.start as u64, bytes, ..item }
}

/// Counts what is settled, and notes what is contested.
pub(crate) struct Counter<'a> {
    pub(crate) pairs: &'a mut Pairs,
    pub(crate) contested: &'a mut Contested,
    pub(crate) doubts: &'a mut Doubts,
}

impl Teller for Counter<'_> {
    fn settled(&mut self, items: &[Item]) {
        self.pairs.steps(items.iter().map(|item| {
            let login = item.deed.is_login();
            Step { pair: item.pair, at: item.at, login, active: login | item.mark.is_sign() }
        }));
    }

    fn contested(&mut self, file: i64, item: &Item, reason: Reason) {
        self.contested.add(file, item, reason, self.pairs, self.doubts);
    }
}

/// Which part of a record, whose name has made those beside it, this may be that cannot be read for certain:
/// the first, the last.
fn part_of_a_name(doubt: Doubt, bytes: &[u8]) -> (bool, bool) {
    let text = bytes.trim_ascii_end();
    let end = match doubt.reason {
        Reason::Ambiguous | Reason::NotARecord | Reason::BadTime => text,
        // Of a name with line breaks the first line may be another name's last.
        Reason::LineBreakInName => first_line(text).unwrap_or_default(),
        _ => &[],
    };
    let code = end.iter().rposition(|byte| !byte.is_ascii_digit());
    let rest = code.filter(|_| end.len() < NAME_LINE_MAX).map_or(&[][..], |code| &end[..=code]);
    let operations = [&b"FAILED_CONNECT,,,"[..], b"DISCONNECT,,,", b"CHANGEUSER,,,"];
    let last = operations.iter().any(|operation| rest.ends_with(operation))
        || (doubt.reason == Reason::NotARecord && rest.ends_with(b","));
    (doubt.reason == Reason::BadShape, last)
}

fn first_line(text: &[u8]) -> Option<&[u8]> {
    text.iter().position(|&byte| byte == b'\n').map(|end| &text[..end])
}

fn current(servers: &[Server], file: i64) -> impl Iterator<Item = Span> {
    servers.iter().zip(0..).filter(|(server, _)| server.records > 0).map(move |(server, number)| {
        let &Server { records, first, last, .. } = server;
        Span { server: number, file, records, first, last }
    })
}

impl Sink for Batch {
    fn event(&mut self, span: formats::Span, event: &Event<'_>) {
        if event.peer.joined().len() > PEER_BYTES_MAX {
            let doubt = Doubt { standing: Standing::Quarantined, reason: Reason::BadShape };
            return self.doubt(span, doubt, event.peer.joined());
        }
        self.end = self.base + span.end as u64;
        let server = self.server(event.server);
        let pair = self.pairs.find_or_add(server, event.peer);
        self.begin_moment(server, event.time);
        let own = &mut self.servers[server as usize];
        own.records += 1;
        own.stretch.is_at(self.moment.utc);
        self.look_for_holes(server, span.start, event);
        self.count(span, server, pair, event);
    }

    #[inline(always)]
    fn records(&mut self, block: &Block<'_>) {
        let server = self.server(block.server());
        let pairs = self.find_pairs(server, block);
        // Then the counting, in order.
        let lines = block.lines();
        self.end = lines.last().map_or(self.end, |line| self.base + block.span(line).end as u64);
        self.servers[server as usize].records += lines.len() as u64;
        let moments = self.moments(server, lines);
        // A few records of a piece, and those behind a switch, end what may be missing.
        let statements = || lines.iter().all(|line| line.turn == Turn::Statement);
        let mut awaits_end = self.holes.awaits(server, statements);
        let mut awaits_names = self.connections.awaits_names();
        let mut next = 0;
        while next < lines.len() {
            if (moments.usual >> next & 1 == 1) & !(awaits_end | awaits_names) {
                let apart = moments.apart & !(1 << next);
                let usual = ((moments.usual & !apart) >> next).trailing_ones() as usize;
                next += self.usual(server, block, next..next + usual, &pairs, &moments);
            }
            let Some(line) = lines.get(next) else { break };
            let i = next;
            self.moment = moments.of[i];
            next += 1;
            let pair = pairs[i];
            self.wary = self.wary.saturating_sub(1);
            self.servers[server as usize].stretch.is_at(self.moment.utc);
            let seen = awaits_end;
            if seen {
                self.look_for_holes(server, block.span(line).start, &block.event(line));
                awaits_end = self.holes.awaits(server, statements);
            }
            if (line.turn != Turn::Statement) | awaits_names {
                self.count(block.span(line), server, pair, &block.event(line));
                awaits_names = self.connections.awaits_names();
                continue;
            }
            let behind = lines.get(i + 1..i + 1 + WARY_BEFORE);
            let calm = behind.is_some_and(|next| next.iter().all(|it| it.turn != Turn::Other));
            if calm & (self.wary == 0) {
                self.pairs.active(pair, self.moment);
            } else {
                let event = block.event(line);
                self.judge(block.span(line), server, pair, &event, Deed::Statement, Mark::SESSION);
            }
            let query = line.kind == Kind::Query;
            if !seen & query & may_switch(block.object(line)) {
                self.look_for_holes(server, block.span(line).start, &block.event(line));
                awaits_end = self.holes.awaits(server, statements);
            }
        }
        self.moment = moments.of[(lines.len() - 1) % BLOCK_LINES_MAX];
    }

    fn end_of_call(&mut self) {
        let Batch { servers, pairs, contested, doubts, .. } = self;
        for server in &mut *servers {
            server.stretch.run(&mut Counter { pairs, contested, doubts });
        }
        if servers.len() > 1 {
            // What a name has written may name another server.
            for number in 0..servers.len() {
                for name in servers[number].stretch.names() {
                    let others = servers.iter_mut().enumerate().filter(|(i, _)| *i != number);
                    others.for_each(|(_, server)| server.stretch.taint(name));
                }
            }
        } else {
            servers.iter_mut().for_each(|server| drop(server.stretch.names()));
        }
        self.place_stretches();
        self.pairs.settle();
    }

    #[cold]
    fn doubt(&mut self, span: formats::Span, doubt: Doubt, bytes: &[u8]) {
        let (from, to) = (self.base + span.start as u64, self.base + span.end as u64);
        self.end = to;
        let (first, last) = part_of_a_name(doubt, bytes);
        if first | last {
            self.wary = WARY_BEHIND;
            let known = self.servers.iter_mut().map(|server| &mut server.stretch);
            for stretch in known.chain([&mut self.early]) {
                if first {
                    stretch.spoil_behind(to);
                }
                if last {
                    stretch.spoil_before(from);
                }
            }
        }
        self.holes.doubt(self.base + span.start as u64, doubt, self.moment.utc);
        self.doubts.add(
            self.file,
            self.base + span.start as u64,
            span.end - span.start,
            doubt,
            bytes,
        );
    }
}

impl Batch {
    /// Has a record judged before it counts.
    fn judge(
        &mut self,
        span: formats::Span,
        server: u32,
        pair: u32,
        event: &Event<'_>,
        deed: Deed,
        mark: u16,
    ) {
        let mark = mark | if event.further { Mark::FURTHER } else { 0 };
        let mut item = Item::new(self.moment.utc, event.connection, pair, deed, mark);
        item.link = if deed == Deed::ChangeRefused {
            event.peer.user().len() as u32
        } else {
            event.query as u32
        };
        item.name = name_of(event.peer.user());
        item.spare = spare(event);
        self.servers[server as usize].stretch.push(place(self.base, span, item));
    }

    /// Shows a record to what may be missing before and behind it.
    fn look_for_holes(&mut self, server: u32, start: usize, event: &Event<'_>) {
        let place = holes::Place { byte: self.base + start as u64, at: self.moment.utc };
        self.holes.see(server, place, event);
    }

    /// What may be missing inside the files, and what the pieces begin and end with.
    pub(crate) fn holes(&self) -> (Vec<Segment>, Vec<Hole>, BTreeMap<u32, Rest>) {
        self.holes.all(self.moment.utc)
    }

    fn count(&mut self, span: formats::Span, number: u32, pair: u32, event: &Event<'_>) {
        let at = self.moment;
        let server = &mut self.servers[number as usize];
        match event.kind {
            Kind::Connect => {
                server.runs.connected(event.connection, at.utc);
                self.holes.connected(number, Point { id: event.connection, at: at.utc });
                self.connections.forget_change(number, event.connection);
                // Of a line without a number a name may have written a part.
                if let (Some(account_user), true) = (event.account_user, event.series.is_some()) {
                    self.let_ins.add(pair, account_user, at.utc);
                }
                let long = is_cut(event.peer.user());
                let deed = if long { Deed::LoginLong } else { Deed::Login };
                self.judge(span, number, pair, event, deed, 0);
                let (id, port) = (event.connection, event.port.unwrap_or(0));
                self.connections.begin(number, id, pair, port, at.utc, Beginning::Login);
            }
            Kind::Disconnect if event.error != 0 && event.connection == 0 => {
                // Turned away before the greeting: too many connections. All that is logged is this.
                self.pairs.refused(pair, event.error, at);
            }
            Kind::Disconnect => {
                if self.connections.awaits_names() {
                    self.named(span, number, event.connection, pair);
                }
                let end = self.connections.end(number, event.connection, pair, at.utc);
                self.judge(span, number, pair, event, Deed::End, mark_of(end));
            }
            Kind::Failed => {
                let long = is_cut(event.peer.user());
                let deed = if long { Deed::RefusedLong } else { Deed::Refused };
                self.wary = WARY_BEHIND;
                self.holes.connected(number, Point { id: event.connection, at: at.utc });
                self.judge(span, number, pair, event, deed, Mark::RARE);
                self.pairs.refused(pair, event.error, at);
                let (id, port) = (event.connection, event.port.unwrap_or(0));
                self.connections.begin(number, id, pair, port, at.utc, Beginning::Refused);
            }
            _ => self.other(span, number, pair, event, at),
        }
    }
}

impl Batch {
    /// Counts a login that a row of a table tells of. Names cannot make rows, so none is judged by those around it,
    /// and it counts at once; and whoever may write rows chooses their connection ids, so these tell of no run.
    /// `number` is the row's, `account` the one that let the login in.
    pub fn row(&mut self, number: u64, event: &Event<'_>, account: Option<AccountName>) {
        if event.peer.joined().len() > PEER_BYTES_MAX {
            let doubt = Doubt { standing: Standing::Quarantined, reason: Reason::BadShape };
            return self.doubt_row(number, doubt, event.peer.joined());
        }
        let server = self.server(event.server);
        let pair = self.pairs.find_or_add(server, event.peer);
        self.begin_moment(server, event.time);
        self.servers[server as usize].records += 1;
        let at = self.moment.utc;
        self.pairs.steps([Step { pair, at, login: true, active: true }].into_iter());
        self.pairs.settle();
        if event.connection > 0 {
            self.connections.begin(server, event.connection, pair, 0, at, Beginning::Login);
        }
        if let Some(account) = account {
            self.named.add(pair, account, at);
        }
    }

    /// Notes a row that is no login, or none that can be trusted. `text` is what it holds.
    pub fn doubt_row(&mut self, number: u64, doubt: Doubt, text: &[u8]) {
        self.doubts.add(self.file, number, text.len(), doubt, text);
    }

    /// What each server's connection ids tell of its runs.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u32, RunPart)> {
        self.servers
            .iter()
            .zip(0..)
            .flat_map(|(server, number)| server.runs.parts().map(move |part| (number, part)))
    }
}
