//! Waiting until something changes where logs are: the system tells (inotify, on Linux), or time passes.
//!
//! What is told is a hint: files are looked at now and then in any case, because not every file system
//! tells, and a hint says nothing about what to do.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::scan::Places;

/// What woke us.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Woken {
    /// An open log may have grown.
    pub(crate) files: bool,
    /// Something appeared, went or was renamed.
    pub(crate) folders: bool,
}

/// Tells of changes.
#[derive(Debug)]
pub(crate) struct Changes {
    #[cfg(target_os = "linux")]
    watches: Option<linux::Watches>,
}

impl Changes {
    /// `polls`: nobody is to tell.
    pub(crate) fn new(polls: bool) -> Changes {
        #[cfg(target_os = "linux")]
        return Changes { watches: if polls { None } else { linux::Watches::new() } };
        #[cfg(not(target_os = "linux"))]
        {
            let _ = polls;
            Changes {}
        }
    }

    /// Waits at these places from now on. False where some that are there will not tell.
    pub(crate) fn watch(&mut self, places: &Places) -> bool {
        #[cfg(target_os = "linux")]
        return self.watches.as_mut().is_some_and(|watches| watches.set(places));
        #[cfg(not(target_os = "linux"))]
        {
            let _ = places;
            false
        }
    }

    /// Waits until something changes, `wake` becomes readable, or the time is over.
    pub(crate) fn wait(&mut self, wake: &impl AsFd, time: Duration) -> Woken {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut sources = vec![readable(wake.as_fd())];
        #[cfg(target_os = "linux")]
        if let Some(watches) = &self.watches {
            sources.push(readable(watches.as_fd()));
        }
        // Rounded up, so that what is due is due when we wake.
        let milliseconds = time.as_micros().div_ceil(1000).min(60_000) as u16;
        let _ = poll(&mut sources, PollTimeout::from(milliseconds));
        #[cfg(target_os = "linux")]
        if let Some(watches) = &mut self.watches {
            return watches.take();
        }
        Woken::default()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashSet;
    use std::os::fd::{AsFd, BorrowedFd};

    use nix::errno::Errno;
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

    use super::Woken;
    use crate::scan::Places;

    const FILE: AddWatchFlags = AddWatchFlags::IN_MODIFY
        .union(AddWatchFlags::IN_MOVE_SELF)
        .union(AddWatchFlags::IN_DELETE_SELF)
        .union(AddWatchFlags::IN_ATTRIB);

    const FOLDER: AddWatchFlags = AddWatchFlags::IN_CREATE
        .union(AddWatchFlags::IN_MOVED_TO)
        .union(AddWatchFlags::IN_MOVED_FROM)
        .union(AddWatchFlags::IN_DELETE)
        .union(AddWatchFlags::IN_DELETE_SELF)
        .union(AddWatchFlags::IN_MOVE_SELF)
        .union(AddWatchFlags::IN_ONLYDIR);

    /// What the kernel tells us of.
    #[derive(Debug)]
    pub(super) struct Watches {
        inotify: Inotify,
        files: HashSet<WatchDescriptor>,
        folders: HashSet<WatchDescriptor>,
    }

    impl Watches {
        /// `None` where the kernel has no more of them to give.
        pub(super) fn new() -> Option<Watches> {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
            Some(Watches { inotify, files: HashSet::new(), folders: HashSet::new() })
        }

        /// Watches these places and no others. False where one that is there cannot be watched.
        pub(super) fn set(&mut self, places: &Places) -> bool {
            let mut all = true;
            let mut add = |path: &std::path::PathBuf, flags| {
                let watch = self.inotify.add_watch(path, flags);
                // What went a moment ago is missed at the next step.
                all &= !matches!(watch, Err(error) if error != Errno::ENOENT);
                watch.ok()
            };
            let files: HashSet<_> = places.files.iter().filter_map(|it| add(it, FILE)).collect();
            let folders: HashSet<_> =
                places.folders.iter().filter_map(|it| add(it, FOLDER)).collect();
            for &old in self.files.difference(&files).chain(self.folders.difference(&folders)) {
                // Gone with its file, or about to be.
                let _ = self.inotify.rm_watch(old);
            }
            (self.files, self.folders) = (files, folders);
            all
        }

        /// What was told since the last time.
        pub(super) fn take(&mut self) -> Woken {
            let mut woken = Woken::default();
            while let Ok(events) = self.inotify.read_events() {
                for event in events {
                    if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                        woken = Woken { files: true, folders: true };
                    }
                    if self.files.contains(&event.wd) {
                        woken.files |= event.mask.contains(AddWatchFlags::IN_MODIFY);
                        woken.folders |= !event.mask.contains(AddWatchFlags::IN_MODIFY);
                    }
                    let tells = event.name.as_deref().is_none_or(|it| !source::is_server_file(it));
                    woken.folders |= tells && self.folders.contains(&event.wd);
                }
            }
            woken
        }
    }

    impl AsFd for Watches {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.inotify.as_fd()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn time_and_a_call_end_the_waiting() {
        let (wake, mut waker) = UnixStream::pair().unwrap();
        for polls in [true, false] {
            let mut changes = Changes::new(polls);
            assert_eq!(changes.wait(&wake, Duration::from_millis(1)), Woken::default());
            std::io::Write::write_all(&mut waker, b"x").unwrap();
            assert_eq!(changes.wait(&wake, LONG), Woken::default());
            std::io::Read::read_exact(&mut &wake, &mut [0]).unwrap();
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_of_files_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (log, next) = (path("log"), path("log.1"));
        std::fs::write(&log, "a").unwrap();
        let (wake, _waker) = UnixStream::pair().unwrap();
        let mut changes = Changes::new(false);
        let places =
            Places { folders: [folder.path().to_path_buf()].into(), files: [log.clone()].into() };
        assert!(changes.watch(&places));
        let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
        std::io::Write::write_all(&mut file, b"b").unwrap();
        assert_eq!(changes.wait(&wake, LONG), Woken { files: true, folders: false });
        std::fs::rename(&log, &next).unwrap();
        assert_eq!(changes.wait(&wake, LONG), Woken { files: false, folders: true });
        // Tables of the server tell nothing.
        std::fs::write(path("t1.ibd"), "").unwrap();
        assert_eq!(changes.wait(&wake, Duration::from_millis(50)), Woken::default());
        std::fs::write(path("audit"), "").unwrap();
        assert!(changes.wait(&wake, LONG).folders);
        let missing = Places { files: [path("none")].into(), ..Places::default() };
        assert!(changes.watch(&missing));
        let no_folder = Places { folders: [log].into(), ..Places::default() };
        std::fs::write(path("log"), "").unwrap();
        assert!(!changes.watch(&no_folder));
    }
}
