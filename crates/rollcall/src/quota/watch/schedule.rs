//! When which server is due. Pure: time is an argument.
//!
//! ```text
//! grid     each server has its own: from its first turn on, one round an interval
//! failed   again after 10 s, then twice as long each time, up to the interval, at least up to ten minutes
//! written  at once, no sooner than four times as long as the round before took
//! ```
//!
//! # Invariants
//! * A server is measured by one worker at a time.
//! * Servers that do not answer take half of the workers at most, so that the others keep their interval.
//! * What changes on reload changes no server's turn, unless its own interval does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The first rest after a round that failed.
const RETRY_MIN: Duration = Duration::from_secs(10);

/// However long the interval is not: a server that is gone is tried no more often in the end.
const RETRY_MAX: Duration = Duration::from_secs(600);

/// First turns are spread over this part of the interval, and over no more than this time.
const SPREAD: (u32, Duration) = (10, Duration::from_secs(30));

/// Rounds that were asked for by writes take up to a fifth of the time.
const WOKEN_REST: u32 = 4;

/// A server's place in the schedule.
#[derive(Debug)]
struct Turn {
    interval: Duration,
    timeout: Duration,
    /// When its interval says that it is next.
    grid: Instant,
    /// When it is tried again, after failures.
    retry: Option<Instant>,
    failures: u32,
    /// It was asked for.
    woken: bool,
    /// Not before, however often it is asked for.
    rested: Instant,
    running: Option<Instant>,
}

impl Turn {
    fn due(&self) -> Instant {
        let due = self.retry.unwrap_or(self.grid);
        if self.woken { due.min(self.rested) } else { due }
    }

    /// It keeps a worker without an answer, or may do so.
    fn is_suspect(&self, now: Instant) -> bool {
        self.failures > 0 || self.running.is_some_and(|since| now - since > self.timeout)
    }
}

/// All servers' turns.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    turns: BTreeMap<String, Turn>,
}

impl Schedule {
    /// Takes these servers, each with interval and timeout: new ones are due soon, those that are gone are
    /// forgotten, all others keep their turn. `salt` is mixed into the order of first turns.
    pub(super) fn set(
        &mut self,
        servers: &[(String, Duration, Duration)],
        salt: u64,
        now: Instant,
    ) {
        self.turns.retain(|name, _| servers.iter().any(|(it, ..)| it == name));
        for (name, interval, timeout) in servers {
            let first = || Turn {
                interval: *interval,
                timeout: *timeout,
                grid: now + spread(name, salt, *interval),
                retry: None,
                failures: 0,
                woken: false,
                rested: now,
                running: None,
            };
            let turn = self.turns.entry(name.clone()).or_insert_with(first);
            turn.timeout = *timeout;
            if turn.interval != *interval {
                turn.interval = *interval;
                turn.grid = turn.grid.min(now + *interval);
            }
        }
    }

    /// The server to be measured now, by one of so many workers; it runs from now on.
    pub(super) fn start(&mut self, workers: usize, now: Instant) -> Option<String> {
        let suspects_free = self.free(workers, now)?;
        let due = self.turns.iter_mut().filter(|(_, it)| {
            it.running.is_none() && it.due() <= now && (suspects_free || it.failures == 0)
        });
        let (name, turn) = due.min_by_key(|(_, it)| it.due())?;
        turn.running = Some(now);
        turn.woken = false;
        Some(name.clone())
    }

    /// A round is over. Returns how many turns were left out because it took so long.
    pub(super) fn end(&mut self, name: &str, is_done: bool, now: Instant) -> u32 {
        let Some(turn) = self.turns.get_mut(name) else { return 0 };
        let Some(started) = turn.running.take() else { return 0 };
        turn.rested = now + (now - started) * WOKEN_REST;
        let mut passed = 0;
        while turn.grid <= now {
            turn.grid += turn.interval;
            passed += 1;
        }
        if is_done {
            (turn.failures, turn.retry) = (0, None);
            return u32::saturating_sub(passed, 1);
        }
        let most = turn.interval.max(RETRY_MAX);
        let rest = RETRY_MIN.min(turn.interval).saturating_mul(1 << turn.failures.min(20));
        turn.failures = turn.failures.saturating_add(1);
        turn.retry = Some(now + rest.min(most));
        0
    }

    /// Somebody wrote to the server.
    pub(super) fn wake(&mut self, name: &str) {
        if let Some(turn) = self.turns.get_mut(name).filter(|it| it.failures == 0) {
            turn.woken = true;
        }
    }

    /// It is to be looked at once more, and not sooner than after this time.
    pub(super) fn wake_after(&mut self, name: &str, rest: Duration, now: Instant) {
        if let Some(turn) = self.turns.get_mut(name) {
            turn.rested = turn.rested.max(now + rest);
        }
        self.wake(name);
    }

    /// Whether one of so many workers is free for servers that did not answer last; `None`: no worker is free.
    fn free(&self, workers: usize, now: Instant) -> Option<bool> {
        let running = self.turns.values().filter(|it| it.running.is_some());
        let (busy, suspects) = running.fold((0, 0), |(busy, suspects), it| {
            (busy + 1, suspects + usize::from(it.is_suspect(now)))
        });
        (busy < workers).then_some(suspects < (workers / 2).max(1))
    }

    /// When there is something to start; `None`: not before a round is over.
    pub(super) fn next(&self, workers: usize, now: Instant) -> Option<Instant> {
        let suspects_free = self.free(workers, now)?;
        let idle = self.turns.values().filter(|it| it.running.is_none());
        idle.filter(|it| suspects_free || it.failures == 0).map(Turn::due).min()
    }

    /// Rounds that run.
    pub(super) fn running(&self) -> usize {
        self.turns.values().filter(|it| it.running.is_some()).count()
    }
}

/// How long after the start a server has its first turn.
fn spread(name: &str, salt: u64, interval: Duration) -> Duration {
    let most = (interval / SPREAD.0).min(SPREAD.1);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64 ^ salt, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    most.mul_f64((hash >> 40) as f64 / f64::from(1 << 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn servers(names: &[&str], interval: u32) -> Vec<(String, Duration, Duration)> {
        names.iter().map(|it| ((*it).to_owned(), SECOND * interval, SECOND * 5)).collect()
    }

    /// Runs rounds of a tenth of a second, and of a server `dead` that fails after five; the starts of all.
    fn simulate(schedule: &mut Schedule, from: Instant, seconds: u32) -> Vec<(String, Duration)> {
        let (mut starts, mut running) = (Vec::new(), Vec::<(String, Instant)>::new());
        for tick in 0..seconds * 10 {
            let now = from + SECOND * tick / 10;
            running.retain(|(name, end)| {
                let is_over = *end <= now;
                if is_over {
                    schedule.end(name, !name.starts_with("dead"), now);
                }
                !is_over
            });
            while let Some(name) = schedule.start(2, now) {
                let takes = if name.starts_with("dead") { SECOND * 5 } else { SECOND / 10 };
                running.push((name.clone(), now + takes));
                starts.push((name, now - from));
            }
        }
        starts
    }

    #[test]
    fn each_server_is_measured_once_an_interval() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.set(&servers(&["a", "b", "c"], 10), 0, now);
        let starts = simulate(&mut schedule, now, 100);
        for name in ["a", "b", "c"] {
            let own: Vec<u64> =
                starts.iter().filter(|it| it.0 == name).map(|it| it.1.as_secs()).collect();
            let windows: Vec<u64> = own.iter().map(|it| it / 10).collect();
            assert_eq!(windows, (0..10).collect::<Vec<_>>(), "{name}: {own:?}");
        }
    }

    #[test]
    fn servers_that_do_not_answer_take_no_turn_of_others() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.set(&servers(&["a", "dead1", "dead2", "dead3"], 10), 0, now);
        let starts = simulate(&mut schedule, now, 200);
        // Before they are known to be dead two of them may hold both workers.
        let own: Vec<u64> =
            starts.iter().filter(|it| it.0 == "a").map(|it| it.1.as_secs()).collect();
        assert_eq!(own.len(), 20, "{own:?}");
        assert!(own[2..].windows(2).all(|it| (9..=11).contains(&(it[1] - it[0]))), "{own:?}");
    }

    #[test]
    fn who_waits_for_a_worker_keeps_nobody_else_waiting() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.set(&servers(&["a", "dead1", "dead2"], 10), 0, now);
        simulate(&mut schedule, now, 60);
        let later = now + SECOND * 3600;
        let mut started = Vec::new();
        while let Some(name) = schedule.start(3, later) {
            started.push(name);
        }
        // One of the two that are dead has to wait, and is not what is due next.
        assert_eq!(started.len(), 2, "{started:?}");
        schedule.end("a", true, later);
        assert!(schedule.next(3, later).unwrap() > later);
        assert_eq!(schedule.next(1, later), None);
    }

    #[test]
    fn failures_are_retried_later_and_later() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.set(&servers(&["dead"], 100), 0, now);
        let starts = simulate(&mut schedule, now, 2400);
        let own: Vec<u64> = starts.iter().map(|it| it.1.as_secs()).collect();
        let rests: Vec<u64> = own.windows(2).map(|it| it[1] - it[0] - 5).collect();
        assert_eq!(rests, [10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn reload_changes_no_turn() {
        let now = Instant::now();
        let (mut one, mut other) = (Schedule::default(), Schedule::default());
        for schedule in [&mut one, &mut other] {
            schedule.set(&servers(&["a", "b"], 10), 0, now);
            assert_eq!(simulate(schedule, now, 25).len(), 6);
        }
        let later = now + SECOND * 25;
        for tick in 0..20 {
            one.set(&servers(&["a", "b"], 10), 0, later + SECOND / 100 * tick);
        }
        assert_eq!(simulate(&mut one, later, 50), simulate(&mut other, later, 50));
        // While a round runs, too; and another interval rules from then on.
        let at = later + SECOND * 60;
        let name = one.start(2, at).unwrap();
        one.set(&servers(&["a", "b"], 2), 0, at);
        assert_ne!(one.start(2, at), Some(name.clone()));
        assert_eq!(one.running(), 2);
        one.end(&name, true, at);
        assert!(one.next(3, at).unwrap() <= at + SECOND * 2);
        one.set(&[], 0, at);
        assert_eq!((one.next(2, at), one.running()), (None, 0));
        assert_eq!(one.end("b", true, at), 0);
    }

    #[test]
    fn writes_bring_a_round_forward_and_no_more_than_a_fifth_of_the_time() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.set(&servers(&["a"], 600), 0, now);
        schedule.wake("a");
        assert_eq!(schedule.start(1, now), Some("a".to_owned()));
        // A write while it runs counts for the next.
        schedule.wake("a");
        assert_eq!(schedule.start(1, now + SECOND), None);
        schedule.end("a", true, now + SECOND);
        assert_eq!(schedule.start(1, now + SECOND * 4), None);
        assert_eq!(schedule.start(1, now + SECOND * 5), Some("a".to_owned()));
        schedule.end("a", true, now + SECOND * 5);
        assert_eq!(schedule.start(1, now + SECOND * 30 / 2 - SECOND * 6), None);
        schedule.wake("unknown");
    }

    #[test]
    fn turns_that_a_long_round_missed_are_counted() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.set(&servers(&["a"], 10), 0, now);
        let start = now + SECOND;
        assert!(schedule.start(1, start).is_some());
        assert_eq!(schedule.end("a", true, start + SECOND * 35), 3);
    }
}
