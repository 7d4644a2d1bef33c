//! The system variables of `SIMPLE_LOGIN_AUDIT`. Servers put `simple_login_audit_` before the names.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::configuration::Configuration;
use super::skip::SkipList;
use crate::abi::{BoolVariable, Foreign, NumberVariable, SystemVariable, TextVariable};
use crate::guard::guard;
use crate::output::ROTATIONS_MAX;
use crate::say;
use crate::variables::{
    Declared, SettableText, TEXT_BYTES_MAX, entry, fixed_text, number, saved_text, switch,
    text_in_init,
};

pub(crate) static ENABLED: AtomicBool = AtomicBool::new(true);
pub(crate) static LOGOUTS: AtomicBool = AtomicBool::new(true);
pub(crate) static ROTATE_SIZE: AtomicU64 = AtomicU64::new(0);
pub(crate) static ROTATIONS: AtomicU64 = AtomicU64::new(9);
/// Never on: setting it does something.
static REOPEN: AtomicBool = AtomicBool::new(false);
static FILE: Foreign<*const c_char> = Foreign::new(ptr::null());
static SOCKET: Foreign<*const c_char> = Foreign::new(ptr::null());
static SERVER_NAME: Foreign<*const c_char> = Foreign::new(ptr::null());
static SKIP_USERS: SettableText = SettableText::new();

static ENABLED_VARIABLE: Declared<BoolVariable> = switch(
    c"enabled",
    c"Whether logins are written and counted",
    &ENABLED,
    true,
    Some(update_enabled),
);
static LOGOUTS_VARIABLE: Declared<BoolVariable> =
    switch(c"logouts", c"Whether ends of sessions are written and counted", &LOGOUTS, true, None);
static REOPEN_VARIABLE: Declared<BoolVariable> = switch(
    c"reopen",
    c"Setting it ON opens the file anew, after another program has renamed it; it stays OFF",
    &REOPEN,
    false,
    Some(update_reopen),
);
static SKIP_USERS_VARIABLE: Declared<TextVariable> = SKIP_USERS.declare(
    c"skip_users",
    c"Users whose successful logins and logouts are not written, parted by commas; refused logins \
      are always written",
    update_skip_users,
);
static ROTATE_SIZE_VARIABLE: Declared<NumberVariable> = number(
    c"rotate_size",
    c"The file is rotated before it gets longer than so many bytes; 0 for never",
    &ROTATE_SIZE,
    0,
    [0, u64::MAX],
);
static ROTATIONS_VARIABLE: Declared<NumberVariable> =
    number(c"rotations", c"How many rotated files are kept", &ROTATIONS, 9, [1, ROTATIONS_MAX]);
static FILE_VARIABLE: Declared<TextVariable> = fixed_text(
    c"file",
    c"The file that lines are appended to; in the data directory where it begins with no slash",
    &FILE,
    c"audit_login.log",
);
static SOCKET_VARIABLE: Declared<TextVariable> = fixed_text(
    c"socket",
    c"A local datagram socket that lines are sent to, in place of the file",
    &SOCKET,
    c"",
);
static SERVER_NAME_VARIABLE: Declared<TextVariable> = fixed_text(
    c"server_name",
    c"What this server is called in the key `server` of each line; readers take it in place of \
      the machine's name",
    &SERVER_NAME,
    c"",
);

pub(crate) static VARIABLES: Foreign<[*mut SystemVariable; 10]> = Foreign::new([
    entry(&ENABLED_VARIABLE),
    entry(&LOGOUTS_VARIABLE),
    entry(&REOPEN_VARIABLE),
    entry(&SKIP_USERS_VARIABLE),
    entry(&ROTATE_SIZE_VARIABLE),
    entry(&ROTATIONS_VARIABLE),
    entry(&FILE_VARIABLE),
    entry(&SOCKET_VARIABLE),
    entry(&SERVER_NAME_VARIABLE),
    ptr::null_mut(),
]);

/// What `init` starts with.
pub(super) struct Settings {
    pub(super) file: &'static CStr,
    pub(super) socket: &'static CStr,
    pub(super) server: &'static CStr,
    pub(super) skip: SkipList,
}

/// Joins variables and file: off is off wherever it is said; skipped users are those of the
/// variable, or of the file where that is empty.
///
/// # Safety
/// In `init`, after the server has given the variables their values.
pub(super) unsafe fn take_over(configuration: &Configuration) -> Settings {
    REOPEN.store(false, std::sync::atomic::Ordering::Relaxed);
    if configuration.enabled == Some(false) {
        ENABLED.store(false, std::sync::atomic::Ordering::Relaxed);
    }
    // SAFETY: as the caller says.
    let (given, file, socket, server) = unsafe {
        (
            text_in_init(&SKIP_USERS.pointer).to_bytes(),
            text_in_init(&FILE),
            text_in_init(&SOCKET),
            text_in_init(&SERVER_NAME),
        )
    };
    let from_file = configuration.skip_users.as_deref().unwrap_or_default();
    let users = if given.is_empty() { from_file } else { given };
    // SAFETY: we are in `init`, as the caller says.
    let is_taken = unsafe { SKIP_USERS.set(users) };
    if !is_taken {
        say::always(format_args!(
            "skip_users is longer than {TEXT_BYTES_MAX} bytes: nobody is skipped"
        ));
        // SAFETY: as above.
        unsafe { SKIP_USERS.set(b"") };
    }
    Settings { file, socket, server, skip: SkipList::new(if is_taken { users } else { b"" }) }
}

/// # Safety
/// Called by a server, with what it passes.
unsafe extern "C" fn update_enabled(
    _: *mut c_void,
    _: *mut SystemVariable,
    _: *mut c_void,
    save: *const c_void,
) {
    guard((), || {
        // SAFETY: for a switch, `save` holds one byte, 0 or not.
        let on = unsafe { save.cast::<u8>().read() } != 0;
        super::was_switched(&ENABLED, on);
    });
}

/// # Safety
/// Called by a server, with what it passes.
unsafe extern "C" fn update_reopen(
    _: *mut c_void,
    _: *mut SystemVariable,
    _: *mut c_void,
    save: *const c_void,
) {
    guard((), || {
        // SAFETY: for a switch, `save` holds one byte, 0 or not.
        if unsafe { save.cast::<u8>().read() } != 0 {
            super::reopen();
        }
    });
}

/// # Safety
/// Called by a server, with what it passes, holding its lock of global variables.
unsafe extern "C" fn update_skip_users(
    _: *mut c_void,
    _: *mut SystemVariable,
    _: *mut c_void,
    save: *const c_void,
) {
    guard((), || {
        // SAFETY: as the caller says; `check_text` has put the text there.
        let users = unsafe { saved_text(save) };
        // SAFETY: as the caller says.
        if unsafe { SKIP_USERS.set(users) } {
            super::skip_list_was_set(users);
        }
    });
}
