//! A watch as the daemon runs it, step by step, and what it has open.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ledger::{Ledger, Lock};

use super::step::What;
use super::world::{Seen, records_in};
use crate::scan::{Follower, Grown, Pacing, ReadDone};

pub(super) struct Watcher {
    pub(super) what: What,
    follower: Follower,
    ledger: Ledger,
    lock: Lock,
    /// One moment on both clocks: patience runs on the one, records are stamped with the other.
    begun: (Instant, i64),
}

/// How often a step asks whether it may go on before it is told not to; `None`: never told.
pub(super) type Asks = Option<u32>;

impl Watcher {
    pub(super) fn start(
        ledger: &Path,
        what: What,
        follower: Follower,
        now: i64,
    ) -> anyhow::Result<Watcher> {
        let ledger = Ledger::create(ledger)?;
        let lock = ledger.lock()?;
        let mut watcher = Watcher { what, follower, ledger, lock, begun: (Instant::now(), now) };
        watcher.follower.say((&mut watcher.ledger, &watcher.lock), now, true)?;
        Ok(watcher)
    }

    /// What a signal to read the configuration anew does.
    pub(super) fn reload(&mut self, what: What, follower: Follower) {
        self.what = what;
        self.follower.replace(follower);
    }

    fn instant(&self, now: i64) -> Instant {
        self.begun.0 + Duration::from_micros((now - self.begun.1) as u64)
    }

    pub(super) fn look(&mut self, now: i64, asks: Asks) -> anyhow::Result<ReadDone> {
        let (at, go_on) = ((now, self.instant(now)), answers(asks));
        let pacing = Pacing::watching(&go_on);
        self.follower.look((&mut self.ledger, &self.lock), at, pacing, false)
    }

    pub(super) fn read(&mut self, now: i64, asks: Asks) -> anyhow::Result<Grown> {
        let (at, go_on) = ((now, self.instant(now)), answers(asks));
        let pacing = Pacing::watching(&go_on);
        self.follower.read((&mut self.ledger, &self.lock), at, pacing)
    }

    /// Says that it has ended.
    pub(super) fn end(mut self, now: i64) -> anyhow::Result<()> {
        self.follower.say((&mut self.ledger, &self.lock), now, false)
    }

    /// The open files, whatever they are called now, and whether each stands where it was opened.
    pub(super) fn open(&self) -> Vec<(Seen, bool)> {
        let open = self.follower.open_files().map(|(file, stands)| {
            let mut bytes = vec![0; file.facts_now().unwrap().len as usize];
            let read = file.read_full_at(&mut bytes, 0).unwrap();
            bytes.truncate(read);
            let records = records_in(&bytes);
            (Seen { path: file.path().to_path_buf(), bytes, records }, stands)
        });
        open.collect()
    }

    /// Of the open files those that do not stand where they were opened.
    pub(super) fn nameless(&self) -> Vec<Seen> {
        self.open().into_iter().filter(|(_, stands)| !stands).map(|(seen, _)| seen).collect()
    }

    /// Paths of the files in which it waits for more.
    pub(super) fn waits_at(&self) -> Vec<PathBuf> {
        self.follower.places().files.into_iter().collect()
    }
}

fn answers(asks: Asks) -> impl Fn() -> bool + Sync {
    let asked = AtomicU32::new(0);
    move || asks.is_none_or(|asks| asked.fetch_add(1, Ordering::Relaxed) < asks)
}
