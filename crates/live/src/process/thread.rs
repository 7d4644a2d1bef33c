//! Which socket a thread of the server waits at: the one argument of the poll(2) or ppoll(2) that it sleeps in.
//!
//! ```text
//! /proc/<server>/task/<thread>/syscall
//! 7 0x7fa539cce988 0x1 0x1b77400 …     poll(fds, 1, timeout)        MariaDB
//! 271 0x7fe2a40fd008 0x1 0x7fe2a40f… … ppoll(fds, 1, timeout, …)    MySQL
//! running                              it does something
//! /proc/<server>/mem at fds            struct pollfd: int fd; short events; short revents;
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;

use super::facts::{inner_id, path, small};
use super::tables::socket;

/// The thread of a process that has this id in its innermost PID namespace, by its id in ours.
pub(super) fn in_process(pid: u32, thread: u32) -> Option<u32> {
    let is_it = |it: &u32| {
        let status = small(pid, &format!("task/{it}/status")).unwrap_or_default();
        inner_id(&status) == Some(thread)
    };
    if is_it(&thread) {
        return Some(thread);
    }
    let entries = fs::read_dir(path(pid, "task")).ok()?.flatten();
    let mut ids = entries.filter_map(|it| it.file_name().to_str()?.parse().ok());
    ids.find(is_it)
}

/// The inode of the socket that a thread waits at. `None`: it does something else.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] without the right to look.
pub(super) fn waits_at(pid: u32, thread: u32) -> io::Result<Option<u64>> {
    let call = fs::read_to_string(path(pid, &format!("task/{thread}/syscall")))?;
    let Some(at) = polled(&call) else { return Ok(None) };
    let mut descriptor = [0; 4];
    File::open(path(pid, "mem"))?.read_exact_at(&mut descriptor, at)?;
    let descriptor = u32::try_from(i32::from_ne_bytes(descriptor)).ok();
    Ok(descriptor.and_then(|it| socket(pid, it)))
}

/// The address of the one `pollfd` of a poll or ppoll.
fn polled(call: &str) -> Option<u64> {
    let mut fields = call.split_ascii_whitespace();
    let number: i64 = fields.next()?.parse().ok()?;
    if !is_poll(number) {
        return None;
    }
    let mut argument = || u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok();
    let (at, count) = (argument()?, argument()?);
    (count == 1 && at != 0).then_some(at)
}

fn is_poll(number: i64) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_poll {
        return true;
    }
    number == libc::SYS_ppoll
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_polled_descriptor_is_told() {
        let call = |number: i64, rest: &str| polled(&format!("{number} {rest}"));
        let rest = "0x7fa539cce988 0x1 0x1b77400 0x0 0x0 0x0 0x7fa539cce950 0x7fa55051a26f\n";
        assert_eq!(call(libc::SYS_ppoll, rest), Some(0x7fa5_39cc_e988));
        // Of two nothing tells which.
        assert_eq!(call(libc::SYS_ppoll, "0x7fa539cce988 0x2 0x0"), None);
        assert_eq!(call(libc::SYS_futex, rest), None);
        for text in ["", "running\n", "-1 0x0 0x0", "x 0x1 0x1", "271", "271 0x1", "271 1 1"] {
            assert_eq!(polled(text), None, "{text}");
        }
    }

    #[test]
    fn a_waiting_thread_shows_its_socket() {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::{AsFd as _, AsRawFd as _};
        use std::os::unix::net::UnixStream;

        let (ours, theirs) = UnixStream::pair().unwrap();
        let own = std::process::id();
        let inode = socket(own, theirs.as_raw_fd() as u32).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let waits = std::thread::spawn(move || {
            sender.send(nix::unistd::gettid().as_raw() as u32).unwrap();
            let mut wanted = [PollFd::new(theirs.as_fd(), PollFlags::POLLIN)];
            poll(&mut wanted, PollTimeout::NONE).unwrap();
        });
        let thread = receiver.recv().unwrap();
        assert_eq!(in_process(own, thread), Some(thread));
        while waits_at(own, thread).unwrap() != Some(inode) {
            std::thread::yield_now();
        }
        drop(ours);
        waits.join().unwrap();
        assert_eq!(in_process(own, u32::MAX), None);
    }
}
