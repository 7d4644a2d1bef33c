//! The three logs that are measured.

use std::io::{self, Write};

use crate::log::{Log, START_SECONDS};
use crate::names;
use crate::random::Random;
use crate::statements::Statements;

/// Days that a log spans.
const SPAN_SECONDS: u64 = 10 * 86_400;

/// Sessions that are open at one time.
const OPEN_SESSIONS: usize = 300;

/// The share of connection records in the bytes of a `queries` log, in percent.
const QUERIES_CONNECTION_PERCENT: u64 = 5;

/// No session of a log, CONNECT and DISCONNECT together, is longer than this.
const SESSION_BYTES: u64 = 240;

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Connection records alone, of about 11,000 pairs of user and host: 49 % CONNECT, 50 %
    /// DISCONNECT, 1 % FAILED_CONNECT.
    Connects,
    /// The same amid statements and table records, which are 95 % of the bytes.
    Queries,
    /// Connection records of very many pairs, each of which logs in at least once.
    Pairs,
}

/// What to make.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Which log.
    pub mode: Mode,
    /// The least size in bytes; the last sessions are closed beyond it.
    pub bytes: u64,
    /// Distinct pairs of user and host.
    pub pairs: usize,
    /// Equal seeds give equal logs.
    pub seed: u64,
}

/// Writes a log and its truth. Connection ids rise by one; sessions interleave; the last login is
/// two minutes older than the last record, so that no login is left unsettled.
///
/// # Errors
/// Those of the two writers.
pub fn generate(order: Order, out: impl Write, truth: impl Write) -> io::Result<()> {
    let mut random = Random::new(order.seed);
    let mut statements = Statements::new(&mut random);
    let mut log = Log::new(out, names::pairs(order.pairs));
    let mut open: Vec<(usize, u64)> = Vec::with_capacity(OPEN_SESSIONS);
    // A server that has been up for a while: ids of seven digits all through.
    let mut id = 2_000_000;
    let mut turn = 0;
    let every_pair = order.mode == Mode::Pairs;
    let expected =
        if every_pair { order.bytes.max(order.pairs as u64 * SESSION_BYTES) } else { order.bytes };
    while log.bytes() < order.bytes || every_pair && turn < order.pairs {
        let passed = u128::from(log.bytes()) * u128::from(SPAN_SECONDS) / u128::from(expected);
        log.set_time(START_SECONDS + passed as u64);
        let connection_due = order.mode != Mode::Queries
            || open.is_empty()
            || log.connection_bytes() * 100 < log.bytes() * QUERIES_CONNECTION_PERCENT;
        if !connection_due {
            let (pair, id) = open[random.below(open.len() as u64) as usize];
            let (table, text) = statements.draw(&mut random);
            log.statement(pair, id, table, text)?;
            continue;
        }
        let full = open.len() as u64 * random.between(1, 2) >= OPEN_SESSIONS as u64;
        if full {
            let (pair, id) = open.swap_remove(random.below(open.len() as u64) as usize);
            log.disconnect(pair, id)?;
            continue;
        }
        let pair = next_pair(&log, order.mode, turn, &mut random);
        turn += 1;
        id += 1;
        // Names that never logged in are another matter (they are bounded): only known ones fail.
        if log.was_seen(pair) && random.below(100) < 2 {
            log.fail(pair, id)?;
        } else {
            log.connect(pair, id)?;
            open.push((pair, id));
        }
    }
    log.set_time(log.seconds() + 120);
    for (pair, id) in open {
        log.disconnect(pair, id)?;
    }
    log.finish(truth)
}

/// In a `pairs` log every pair has its turn, in an order without pattern; then, and in the others,
/// some are much busier than most.
fn next_pair<W: Write>(log: &Log<W>, mode: Mode, turn: usize, random: &mut Random) -> usize {
    let count = log.pair_count();
    if mode == Mode::Pairs && turn < count {
        // A step without a common factor visits every pair once.
        const STEP: usize = 387_420_489;
        return turn.wrapping_mul(STEP) % count;
    }
    random.skewed(count as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn log(mode: Mode, bytes: u64, pairs: usize) -> (String, String) {
        let (mut out, mut truth) = (Vec::new(), Vec::new());
        generate(Order { mode, bytes, pairs, seed: 1 }, &mut out, &mut truth).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(truth).unwrap())
    }

    /// Counts logins and failures per user and host by splitting lines at commas: possible because
    /// the generator's names hold none.
    fn counted(text: &str) -> HashMap<(String, String), (u64, u64)> {
        let mut counts = HashMap::<_, (u64, u64)>::new();
        for line in text.lines() {
            let field: Vec<&str> = line.splitn(8, ',').collect();
            let pair = (field[2].to_string(), field[3].to_string());
            match field[6] {
                "CONNECT" => counts.entry(pair).or_default().0 += 1,
                "FAILED_CONNECT" => counts.entry(pair).or_default().1 += 1,
                _ => {}
            }
        }
        counts
    }

    fn check(mode: Mode, bytes: u64, pairs: usize) -> String {
        let (text, truth) = log(mode, bytes, pairs);
        assert!(text.len() as u64 >= bytes);
        let counts = counted(&text);
        assert_eq!(truth.lines().count(), counts.len() + 1);
        for row in truth.lines().skip(1) {
            let field: Vec<&str> = row.split(',').collect();
            let (logins, failures) = counts[&(field[1].to_string(), field[2].to_string())];
            assert_eq!(field[6], logins.to_string());
            assert_eq!(field[7], failures.to_string());
        }
        text
    }

    #[test]
    fn connects_have_the_shares_that_were_asked_for() {
        let text = check(Mode::Connects, 10_000_000, 11_000);
        let lines = text.lines().count() as f64;
        let share = |operation: &str| text.matches(operation).count() as f64 / lines;
        assert!((0.48..0.50).contains(&share(",0,CONNECT,")));
        assert!((0.495..0.505).contains(&share(",0,DISCONNECT,")));
        assert!((0.005..0.015).contains(&share(",0,FAILED_CONNECT,")));
        let line_bytes = text.len() as f64 / lines;
        assert!((92.0..96.0).contains(&line_bytes), "{line_bytes} bytes a line");
    }

    #[test]
    fn every_id_is_used_once() {
        let (text, _) = log(Mode::Connects, 500_000, 11_000);
        let mut ids = HashSet::new();
        for line in text.lines().filter(|line| !line.contains(",DISCONNECT,")) {
            assert!(ids.insert(line.split(',').nth(4).unwrap().to_string()), "{line}");
        }
        let ends = text.lines().filter(|line| line.contains(",DISCONNECT,")).count();
        assert_eq!(ends, ids.len());
    }

    #[test]
    fn queries_are_nineteen_twentieths_of_the_bytes() {
        let text = check(Mode::Queries, 5_000_000, 11_000);
        let connections: usize = text
            .lines()
            .filter(|line| line.split(',').nth(6).is_some_and(|op| op.ends_with("CONNECT")))
            .map(|line| line.len() + 1)
            .sum();
        let share = connections as f64 / text.len() as f64;
        assert!((0.04..0.06).contains(&share), "{share}");
    }

    #[test]
    fn every_pair_logs_in() {
        let (_, truth) = log(Mode::Pairs, 1_000, 20_000);
        assert_eq!(truth.lines().count(), 20_001);
        assert!(truth.lines().skip(1).all(|row| row.split(',').nth(6) != Some("0")));
    }
}
