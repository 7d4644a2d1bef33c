//! How threads share memory: settings of the GNU C library's allocator.
//!
//! The sums of a part of a log are made by one thread and given back by another, which has united them with
//! its own. With an arena for each thread, what is given back is of no use to the others. And since the
//! library raises the threshold above which it maps memory by itself, large tables come to lie in arenas,
//! whose memory goes back to the system from the end only.
#![allow(unsafe_code)]

/// Allocations from this size on are mappings of their own: they grow without a copy, and go back to the
/// system at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES_MIN: libc::c_int = 64 << 10;

/// So much that is free at the end of the arena is kept: giving it back and asking for it again costs time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES_MAX: libc::c_int = 256 << 10;

/// Makes ready for threads that hand large values to one another. Where it cannot be set, nothing changes
/// but the memory that is taken.
pub(crate) fn share() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt keeps two numbers, under a lock; it may be called at any time.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES_MAX);
    }
}
