//! What servers look for in the library: both plugins, for both families, and nothing else.
//!
//! Each family looks for three symbols: the version of its plugin interface, the size of a
//! declaration, and the declarations, of which the last is all zero.

#![allow(non_upper_case_globals)]
// `pub` is not for Rust: it is what the linker exports.
#![allow(unreachable_pub)]

use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};

use crate::abi::{AUDIT_PLUGIN, CONNECTION_CLASS, Foreign, LICENSE_BSD, maria, mysql};
use crate::{login, writes};

const AUTHOR: *const c_char = c"rollcall".as_ptr();
/// 0.1, as `information_schema.PLUGINS` shows it.
const VERSION: u32 = 0x0001;
const VERSION_TEXT: &CStr = c"0.1";

const LOGIN: *const c_char = c"SIMPLE_LOGIN_AUDIT".as_ptr();
const LOGIN_TEXT: *const c_char =
    c"Writes logins, refused logins and logouts as JSON lines".as_ptr();
const WRITES: *const c_char = c"ROLLCALL_WRITES".as_ptr();
const WRITES_TEXT: *const c_char = c"Notes which databases are written to".as_ptr();

static MARIA_LOGIN: Foreign<maria::Audit> = Foreign::new(maria::Audit {
    interface: maria::AUDIT_INTERFACE,
    release: None,
    notify: login::maria_notify,
    classes: [1 << CONNECTION_CLASS],
});

static MARIA_WRITES: Foreign<maria::Audit> = Foreign::new(maria::Audit {
    interface: maria::AUDIT_INTERFACE,
    release: None,
    notify: writes::maria_notify,
    classes: [1 << maria::TABLE_CLASS],
});

static MYSQL_LOGIN: Foreign<mysql::Audit> = Foreign::new(mysql::Audit {
    interface: mysql::AUDIT_INTERFACE,
    release: None,
    notify: login::mysql_notify,
    classes: {
        let mut classes = [0; mysql::CLASSES];
        classes[CONNECTION_CLASS as usize] =
            (mysql::CONNECT | mysql::DISCONNECT | mysql::CHANGE_USER) as c_ulong;
        classes
    },
});

static MYSQL_WRITES: Foreign<mysql::Audit> = Foreign::new(mysql::Audit {
    interface: mysql::AUDIT_INTERFACE,
    release: None,
    notify: writes::mysql_notify,
    classes: {
        let mut classes = [0; mysql::CLASSES];
        classes[mysql::GENERAL_CLASS as usize] = mysql::GENERAL_STATUS as c_ulong;
        classes[mysql::TABLE_ACCESS_CLASS as usize] =
            (mysql::TABLE_INSERT | mysql::TABLE_UPDATE | mysql::TABLE_DELETE) as c_ulong;
        classes
    },
});

/// Of MariaDB's plugin interface.
#[unsafe(no_mangle)]
pub static _maria_plugin_interface_version_: c_int = maria::PLUGIN_INTERFACE;

/// Of one of MariaDB's declarations.
#[unsafe(no_mangle)]
pub static _maria_sizeof_struct_st_plugin_: c_int = size_of::<maria::Plugin>() as c_int;

/// For MariaDB.
#[unsafe(no_mangle)]
pub(crate) static _maria_plugin_declarations_: Foreign<[maria::Plugin; 3]> = Foreign::new([
    maria::Plugin {
        kind: AUDIT_PLUGIN,
        info: MARIA_LOGIN.get().cast::<c_void>(),
        name: LOGIN,
        author: AUTHOR,
        description: LOGIN_TEXT,
        license: LICENSE_BSD,
        init: Some(login::init),
        deinit: Some(login::deinit),
        version: VERSION,
        status: login::counters::STATUS.get().cast(),
        variables: login::variables::VARIABLES.get().cast(),
        version_info: VERSION_TEXT.as_ptr(),
        maturity: maria::STABLE,
    },
    maria::Plugin {
        kind: AUDIT_PLUGIN,
        info: MARIA_WRITES.get().cast::<c_void>(),
        name: WRITES,
        author: AUTHOR,
        description: WRITES_TEXT,
        license: LICENSE_BSD,
        init: Some(writes::init),
        deinit: Some(writes::deinit),
        version: VERSION,
        status: writes::variables::STATUS.get().cast(),
        variables: writes::variables::VARIABLES.get().cast(),
        version_info: VERSION_TEXT.as_ptr(),
        maturity: maria::STABLE,
    },
    maria::Plugin::END,
]);

/// Of MySQL's plugin interface.
#[unsafe(no_mangle)]
pub static _mysql_plugin_interface_version_: c_int = mysql::PLUGIN_INTERFACE;

/// Of one of MySQL's declarations.
#[unsafe(no_mangle)]
pub static _mysql_sizeof_struct_st_plugin_: c_int = size_of::<mysql::Plugin>() as c_int;

/// For MySQL.
#[unsafe(no_mangle)]
pub(crate) static _mysql_plugin_declarations_: Foreign<[mysql::Plugin; 3]> = Foreign::new([
    mysql::Plugin {
        kind: AUDIT_PLUGIN,
        info: MYSQL_LOGIN.get().cast::<c_void>(),
        name: LOGIN,
        author: AUTHOR,
        description: LOGIN_TEXT,
        license: LICENSE_BSD,
        init: Some(login::init),
        check_uninstall: None,
        deinit: Some(login::deinit),
        version: VERSION,
        status: login::counters::STATUS.get().cast(),
        variables: login::variables::VARIABLES.get().cast(),
        reserved: std::ptr::null_mut(),
        flags: 0,
    },
    mysql::Plugin {
        kind: AUDIT_PLUGIN,
        info: MYSQL_WRITES.get().cast::<c_void>(),
        name: WRITES,
        author: AUTHOR,
        description: WRITES_TEXT,
        license: LICENSE_BSD,
        init: Some(writes::init),
        check_uninstall: None,
        deinit: Some(writes::deinit),
        version: VERSION,
        status: writes::variables::STATUS.get().cast(),
        variables: writes::variables::VARIABLES.get().cast(),
        reserved: std::ptr::null_mut(),
        flags: 0,
    },
    mysql::Plugin::END,
]);
