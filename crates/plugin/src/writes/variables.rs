//! Variables and status of `ROLLCALL_WRITES`. Servers put `rollcall_writes_` before the variables.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::abi::{BoolVariable, Foreign, StatusVariable, SystemVariable, TextVariable};
use crate::variables::{Declared, entry, fixed_text, switch, text_in_init};

/// Off until it is switched on: whoever loads the library without naming a plugin loads both.
pub(super) static ENABLED: AtomicBool = AtomicBool::new(false);
static FILE: Foreign<*const c_char> = Foreign::new(ptr::null());
static SOCKET: Foreign<*const c_char> = Foreign::new(ptr::null());

static ENABLED_VARIABLE: Declared<BoolVariable> = switch(
    c"enabled",
    c"Whether it is noted which databases are written to",
    &ENABLED,
    false,
    None,
);
static FILE_VARIABLE: Declared<TextVariable> = fixed_text(
    c"file",
    c"The file that notes stand in; in the data directory where it begins with no slash",
    &FILE,
    c"rollcall_writes.json",
);
static SOCKET_VARIABLE: Declared<TextVariable> = fixed_text(
    c"socket",
    c"A local datagram socket that notes are sent to, in place of the file",
    &SOCKET,
    c"",
);

pub(crate) static VARIABLES: Foreign<[*mut SystemVariable; 4]> = Foreign::new([
    entry(&ENABLED_VARIABLE),
    entry(&FILE_VARIABLE),
    entry(&SOCKET_VARIABLE),
    ptr::null_mut(),
]);

/// Counts since the plugin was loaded.
pub(super) struct Counters {
    pub(super) noted: AtomicU64,
    pub(super) errors: AtomicU64,
}

pub(super) static COUNTERS: Counters =
    Counters { noted: AtomicU64::new(0), errors: AtomicU64::new(0) };

impl Counters {
    pub(super) fn reset(&self) {
        self.noted.store(0, Ordering::Relaxed);
        self.errors.store(0, Ordering::Relaxed);
    }
}

pub(crate) static STATUS: Foreign<[StatusVariable; 3]> = Foreign::new([
    StatusVariable::counter(c"Rollcall_writes_noted", &COUNTERS.noted),
    StatusVariable::counter(c"Rollcall_writes_errors", &COUNTERS.errors),
    StatusVariable::END,
]);

/// The paths of file and socket, as configured.
///
/// # Safety
/// In `init`, after the server has given the variables their values.
pub(super) unsafe fn paths() -> (&'static CStr, &'static CStr) {
    // SAFETY: as the caller says.
    unsafe { (text_in_init(&FILE), text_in_init(&SOCKET)) }
}
