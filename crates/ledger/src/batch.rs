//! What a piece of log adds up to, in memory, before it goes to the ledger.
//!
//! A batch is the sink of a `formats::Reader`. It holds no record, only sums, extremes and bounded
//! samples, so its size depends on how many different users and hosts there are, not on the length of
//! the log. Batches can be united in any order ([`Batch::absorb`]).

mod records;
mod table_rows;

use crate::access::{LetIns, Named};
use crate::clock::LocalClock;
use crate::connections::{Connections, Fact, HALVES_NOTED, join_all};
use crate::contested::Contested;
use crate::doubts::Doubts;
use crate::holes::{Hole, Holes, Rest, Segment};
use crate::pairs::{Moment, Pairs, Step, same};
use crate::runs::{RunPart, RunTracker};
use crate::settling::{Item, Place, Stretch, Teller};
use formats::{BLOCK_LINES_MAX, LINE_USER_BYTES_MAX, Reason, Stamp, Standing};
use std::collections::BTreeMap;

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

    /// What may be missing inside the files, and what the pieces begin and end with.
    pub(crate) fn holes(&self) -> (Vec<Segment>, Vec<Hole>, BTreeMap<u32, Rest>) {
        self.holes.all(self.moment.utc)
    }

    /// What each server's connection ids tell of its runs.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u32, RunPart)> {
        self.servers
            .iter()
            .zip(0..)
            .flat_map(|(server, number)| server.runs.parts().map(move |part| (number, part)))
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
}

/// A server may have cut a user name of so many bytes when it logged the beginning of a connection: after
/// 132 bytes, or 128 characters. The end of the connection has it in full.
const CUT_BYTES: usize = 128;

/// See [`CUT_BYTES`].
pub(crate) fn is_cut(user: &[u8]) -> bool {
    user.len() >= CUT_BYTES
}

const _: () = assert!(BLOCK_LINES_MAX < 64 && LINE_USER_BYTES_MAX < CUT_BYTES);

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

fn current(servers: &[Server], file: i64) -> impl Iterator<Item = Span> {
    servers.iter().zip(0..).filter(|(server, _)| server.records > 0).map(move |(server, number)| {
        let &Server { records, first, last, .. } = server;
        Span { server: number, file, records, first, last }
    })
}
