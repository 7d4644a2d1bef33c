//! What one record of a log adds to a batch.

use super::{Batch, Counter, is_cut};
use crate::connections::{Beginning, End, Usual};
use crate::holes::{self};
use crate::pairs::{Moment, PEER_BYTES_MAX, Sought};
use crate::runs::Point;
use crate::settling::{Deed, Item, Mark, are_apart, name_of, spare_of};
use crate::switches::may_switch;
use formats::{
    BLOCK_LINES_MAX, Block, Doubt, Event, Kind, Line, Reason, Sink, Stamp, Standing, Turn,
};
use std::hint::select_unpredictable;
use std::ops::Range;

/// Statements so many records before a refusal are judged before they count: its name may have made them.
const WARY_BEFORE: usize = 2;

/// And so many behind it.
const WARY_BEHIND: u8 = 16;

/// What a name and the rest of its record take, at most.
const NAME_LINE_MAX: usize = 2048;

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
    pub(super) fn begin_moment(&mut self, server: u32, stamp: Stamp) {
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
