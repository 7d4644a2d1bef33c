//! SIGTERM, SIGINT and SIGHUP as values: a thread waits for them, the loop asks and can be woken.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};

/// What was asked for so far.
#[derive(Debug)]
pub(crate) struct Signals {
    asked: Arc<Asked>,
    /// Becomes readable with each signal.
    wake: UnixStream,
    /// Whoever started us asked that SIGHUP does nothing (nohup).
    ignores_hangup: bool,
    waker: Waker,
}

/// Wakes who waits for signals, from any thread.
#[derive(Debug)]
pub(crate) struct Waker(UnixStream);

impl Waker {
    pub(crate) fn wake(&self) {
        // A full pipe wakes as well as one more byte.
        let _ = (&self.0).write(&[0]);
    }

    /// One more.
    ///
    /// # Errors
    /// Where the system has no more descriptors.
    pub(crate) fn try_clone(&self) -> io::Result<Waker> {
        self.0.try_clone().map(Waker)
    }
}

#[derive(Debug, Default)]
struct Asked {
    stop: OnceLock<Instant>,
    reload: AtomicBool,
}

impl Signals {
    /// Catches the signals from now on, for this thread and those it starts.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn catch() -> io::Result<Signals> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            set.add(signal);
        }
        set.thread_block()?;
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let waker = Waker(waker);
        let own = waker.try_clone()?;
        let asked = Arc::new(Asked::default());
        let told = Arc::clone(&asked);
        let wait = move || {
            while let Ok(signal) = set.wait() {
                match signal {
                    Signal::SIGHUP => told.reload.store(true, Ordering::Release),
                    _ => drop(told.stop.set(Instant::now())),
                }
                own.wake();
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(Signals { asked, wake, waker, ignores_hangup: ignores_hangup() })
    }

    /// For who has something to tell meanwhile.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Waits for a signal or a [`Waker`], for so long at most.
    pub(crate) fn wait(&self, time: Duration) {
        // Rounded up, so that what is due is due when we wake.
        let milliseconds = time.as_micros().div_ceil(1000).min(60_000) as u16;
        let mut source = [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut source, PollTimeout::from(milliseconds));
        let mut bytes = [0; 64];
        while matches!((&self.wake).read(&mut bytes), Ok(n) if n > 0) {}
    }

    /// When the end was asked for.
    pub(crate) fn stop(&self) -> Option<Instant> {
        self.asked.stop.get().copied()
    }

    /// Whether one came that ends a command that waits: SIGHUP as well, which comes when a terminal goes.
    pub(crate) fn is_end_asked(&self) -> bool {
        let is_hung_up = self.asked.reload.load(Ordering::Acquire) && !self.ignores_hangup;
        self.stop().is_some() || is_hung_up
    }

    /// Whether the configuration is to be read again; asked once.
    pub(crate) fn take_reload(&self) -> bool {
        let mut bytes = [0; 64];
        while matches!((&self.wake).read(&mut bytes), Ok(n) if n > 0) {}
        self.asked.reload.swap(false, Ordering::AcqRel)
    }
}

/// Whether SIGHUP is ignored, by the mask that the kernel tells; what is blocked comes all the same.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0)
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
