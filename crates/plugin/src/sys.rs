//! System calls as the plugin needs them: no allocation, error numbers as they come.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::AtomicU64;

/// An error number (`errno`).
pub(crate) type Errno = c_int;

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) is_regular: bool,
}

fn errno() -> Errno {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn checked(answer: c_int) -> Result<c_int, Errno> {
    if answer < 0 { Err(errno()) } else { Ok(answer) }
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// To be read only; nothing is made.
    Read,
    /// At its end, made with mode 0640 where there is none. Readable, to see how it ends.
    Append,
    /// The same without the right to read it.
    AppendOnly,
    /// Anywhere, made with mode 0640 where there is none.
    Write,
}

/// Opens a file without ever waiting (a FIFO would make us wait for its other end).
pub(crate) fn open(path: &CStr, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = match mode {
        Mode::Read => libc::O_RDONLY,
        Mode::Append => libc::O_RDWR | libc::O_APPEND | libc::O_CREAT,
        Mode::AppendOnly => libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT,
        Mode::Write => libc::O_RDWR | libc::O_CREAT,
    };
    let flags = flags | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    let rights: libc::mode_t = 0o640;
    // SAFETY: the path ends with NUL; the third argument is what O_CREAT takes.
    let fd = checked(unsafe { libc::open(path.as_ptr(), flags, rights) })?;
    // SAFETY: the number was opened right now, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the path leads to, links followed.
pub(crate) fn status(path: &CStr) -> Result<Status, Errno> {
    // SAFETY: all of stat is numbers, for which zero is a value.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: the path ends with NUL, and the kernel fills in what is passed by pointer.
    checked(unsafe { libc::stat(path.as_ptr(), &raw mut stat) })?;
    Ok(of_stat(&stat))
}

/// What an open file is.
pub(crate) fn status_of(fd: &OwnedFd) -> Result<Status, Errno> {
    // SAFETY: as in `status`.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: as in `status`; the descriptor is open as long as it is owned.
    checked(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) })?;
    Ok(of_stat(&stat))
}

// The widths of these fields differ from one machine to the next.
#[allow(clippy::unnecessary_cast)]
fn of_stat(stat: &libc::stat) -> Status {
    Status {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        links: stat.st_nlink as u64,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        is_regular: stat.st_mode & libc::S_IFMT == libc::S_IFREG,
    }
}

/// One write(2) of one or two pieces; how many bytes were taken.
pub(crate) fn write(fd: &OwnedFd, pieces: [&[u8]; 2]) -> Result<usize, Errno> {
    let vector = pieces.map(|piece| libc::iovec {
        iov_base: piece.as_ptr().cast_mut().cast(),
        iov_len: piece.len(),
    });
    loop {
        // SAFETY: two pieces that live longer than the call, which only reads them.
        let taken = unsafe { libc::writev(fd.as_raw_fd(), vector.as_ptr(), 2) };
        match usize::try_from(taken) {
            Ok(taken) => return Ok(taken),
            Err(_) if errno() == libc::EINTR => {}
            Err(_) => return Err(errno()),
        }
    }
}

/// Writes at a place; how many bytes were taken.
pub(crate) fn write_at(fd: &OwnedFd, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
    let offset = libc::off_t::try_from(offset).map_err(|_| libc::EFBIG)?;
    loop {
        // SAFETY: the bytes live longer than the call, which only reads them.
        let taken =
            unsafe { libc::pwrite(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), offset) };
        match usize::try_from(taken) {
            Ok(taken) => return Ok(taken),
            Err(_) if errno() == libc::EINTR => {}
            Err(_) => return Err(errno()),
        }
    }
}

/// Reads from a place; how many bytes came.
pub(crate) fn read_at(fd: &OwnedFd, bytes: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let offset = libc::off_t::try_from(offset).map_err(|_| libc::EFBIG)?;
    // SAFETY: the kernel writes no more than the length that is passed.
    let count =
        unsafe { libc::pread(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), offset) };
    usize::try_from(count).map_err(|_| errno())
}

/// Cuts a file.
pub(crate) fn truncate(fd: &OwnedFd, size: u64) -> Result<(), Errno> {
    let size = libc::off_t::try_from(size).map_err(|_| libc::EFBIG)?;
    // SAFETY: numbers only.
    checked(unsafe { libc::ftruncate(fd.as_raw_fd(), size) }).map(drop)
}

/// Renames a file.
pub(crate) fn rename(from: &CStr, to: &CStr) -> Result<(), Errno> {
    // SAFETY: both end with NUL.
    checked(unsafe { libc::rename(from.as_ptr(), to.as_ptr()) }).map(drop)
}

/// A socket for datagrams to this machine's own sockets.
pub(crate) fn datagram_socket() -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: numbers only.
    let fd = checked(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: the number was opened right now, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The address of a local socket; `None` where the path is too long for one.
pub(crate) fn local_address(path: &CStr) -> Option<libc::sockaddr_un> {
    let path = path.to_bytes();
    // SAFETY: all of the address is numbers, for which zero is a value.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).ok()?;
    // The last byte stays NUL.
    if path.is_empty() || path.len() >= address.sun_path.len() {
        return None;
    }
    for (into, &byte) in address.sun_path.iter_mut().zip(path) {
        *into = byte as c_char;
    }
    Some(address)
}

/// Sends one datagram or none; never waits.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8], to: &libc::sockaddr_un) -> Result<(), Errno> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let length = mem::size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the bytes and the address, whose size is passed, live longer than the call.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
            (&raw const *to).cast(),
            length,
        )
    };
    if sent < 0 { Err(errno()) } else { Ok(()) }
}

/// Writes to standard error, which is the server's error log, where that takes it at once.
pub(crate) fn write_error_log(line: &[u8]) {
    let mut wanted = libc::pollfd { fd: 2, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry, as is passed; with the time 0 it does not wait. The line lives longer than
    // the write.
    unsafe {
        if libc::poll(&raw mut wanted, 1, 0) == 1 && wanted.revents & libc::POLLOUT != 0 {
            libc::write(2, line.as_ptr().cast(), line.len());
        }
    }
}

/// Seconds and nanoseconds of a clock of the system.
pub(crate) fn clock(clock: libc::clockid_t) -> (i64, i64) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills in what is passed by pointer; the clocks asked for all exist.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec, time.tv_nsec)
}

/// How many seconds local time is ahead of UTC at a time.
pub(crate) fn local_offset(time: i64) -> i32 {
    // SAFETY: all of tm is numbers and one pointer, for which zero is a value.
    let mut local: libc::tm = unsafe { mem::zeroed() };
    // SAFETY: both live longer than the call. The zone was read at the start (`read_time_zone`), so
    // that nothing is allocated here.
    let known = unsafe { !libc::localtime_r(&raw const time, &raw mut local).is_null() };
    if known { i32::try_from(local.tm_gmtoff).unwrap_or(0) } else { 0 }
}

/// Lets the C library read the time zone.
pub(crate) fn read_time_zone() {
    unsafe extern "C" {
        fn tzset();
    }
    // SAFETY: takes no arguments and locks what it changes; servers call it themselves.
    unsafe { tzset() };
}

/// The machine's name, into a buffer; how many bytes it has.
pub(crate) fn host_name(buffer: &mut [u8]) -> usize {
    // SAFETY: writes no more than the length that is passed.
    let answer = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len()) };
    if answer != 0 {
        return 0;
    }
    buffer.iter().position(|&byte| byte == 0).unwrap_or(buffer.len())
}

/// The server's own number, `server_id`: a global variable of the program, which both families
/// export as `unsigned long`. `None` in any other program.
pub(crate) fn server_id() -> Option<&'static AtomicU64> {
    // SAFETY: a name that ends with NUL; the answer is an address or null.
    let found: *mut c_void = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"server_id".as_ptr()) };
    if found.is_null() || !found.cast::<AtomicU64>().is_aligned() {
        return None;
    }
    // SAFETY: an aligned variable of 64 bits that lives as long as the program, only read here.
    Some(unsafe { &*found.cast::<AtomicU64>() })
}
