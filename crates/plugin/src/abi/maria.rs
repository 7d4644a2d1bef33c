//! MariaDB's side: plugin interface 0x010f, audit interface 0x0302.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr;

use super::{StatusVariable, SystemVariable, Text, assert_layout};

pub(crate) const PLUGIN_INTERFACE: c_int = 0x010f;
pub(crate) const AUDIT_INTERFACE: c_int = 0x0302;
/// The class of table events.
pub(crate) const TABLE_CLASS: u32 = 15;
/// `MariaDB_PLUGIN_MATURITY_STABLE`: the default of `plugin_maturity` refuses less than gamma.
pub(crate) const STABLE: c_uint = 5;

pub(crate) const CONNECT: c_uint = 0;
pub(crate) const DISCONNECT: c_uint = 1;
pub(crate) const CHANGE_USER: c_uint = 2;

pub(crate) const TABLE_LOCK: c_uint = 0;
pub(crate) const TABLE_RENAME: c_uint = 3;

/// A plugin (`st_maria_plugin`).
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Plugin {
    pub(crate) kind: c_int,
    pub(crate) info: *mut c_void,
    pub(crate) name: *const c_char,
    pub(crate) author: *const c_char,
    pub(crate) description: *const c_char,
    pub(crate) license: c_int,
    pub(crate) init: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    pub(crate) deinit: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    pub(crate) version: c_uint,
    pub(crate) status: *mut StatusVariable,
    pub(crate) variables: *mut *mut SystemVariable,
    pub(crate) version_info: *const c_char,
    pub(crate) maturity: c_uint,
}

assert_layout!(Plugin, "st_maria_plugin", 104;
    kind "type" 0,
    info "info" 8,
    name "name" 16,
    author "author" 24,
    description "descr" 32,
    license "license" 40,
    init "init" 48,
    deinit "deinit" 56,
    version "version" 64,
    status "status_vars" 72,
    variables "system_vars" 80,
    version_info "version_info" 88,
    maturity "maturity" 96,
);

impl Plugin {
    /// What ends the declarations.
    pub(crate) const END: Plugin = Plugin {
        kind: 0,
        info: ptr::null_mut(),
        name: ptr::null(),
        author: ptr::null(),
        description: ptr::null(),
        license: 0,
        init: None,
        deinit: None,
        version: 0,
        status: ptr::null_mut(),
        variables: ptr::null_mut(),
        version_info: ptr::null(),
        maturity: 0,
    };
}

/// What is called for events (`st_mysql_audit`).
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) interface: c_int,
    pub(crate) release: Option<unsafe extern "C" fn(*mut c_void)>,
    pub(crate) notify: unsafe extern "C" fn(*mut c_void, c_uint, *const c_void),
    /// One bit a class.
    pub(crate) classes: [c_ulong; 1],
}

assert_layout!(Audit, "st_mysql_audit", 32;
    interface "interface_version" 0,
    release "release_thd" 8,
    notify "event_notify" 16,
    classes "class_mask" 24,
);

/// A text with its length as 32 bits.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShortText {
    pointer: *const c_char,
    length: c_uint,
}

impl From<ShortText> for Text {
    fn from(text: ShortText) -> Text {
        Text { pointer: text.pointer, length: text.length as usize }
    }
}

/// `mysql_event_connection`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct ConnectionEvent {
    pub(crate) subclass: c_uint,
    pub(crate) status: c_int,
    pub(crate) thread: c_ulong,
    pub(crate) user: ShortText,
    pub(crate) priv_user: ShortText,
    pub(crate) external_user: ShortText,
    pub(crate) proxy_user: ShortText,
    pub(crate) host: ShortText,
    pub(crate) ip: ShortText,
    pub(crate) database: Text,
}

assert_layout!(ConnectionEvent, "mysql_event_connection", 128;
    subclass "event_subclass" 0,
    status "status" 4,
    thread "thread_id" 8,
    user "user" 16,
    priv_user "priv_user" 32,
    external_user "external_user" 48,
    proxy_user "proxy_user" 64,
    host "host" 80,
    ip "ip" 96,
    database "database" 112,
);

/// `mysql_event_table`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct TableEvent {
    pub(crate) subclass: c_uint,
    pub(crate) thread: c_ulong,
    pub(crate) user: *const c_char,
    pub(crate) priv_user: *const c_char,
    pub(crate) priv_host: *const c_char,
    pub(crate) external_user: *const c_char,
    pub(crate) proxy_user: *const c_char,
    pub(crate) host: *const c_char,
    pub(crate) ip: *const c_char,
    pub(crate) database: Text,
    pub(crate) table: Text,
    pub(crate) new_database: Text,
    pub(crate) new_table: Text,
    pub(crate) read_only: c_int,
    pub(crate) query: u64,
}

assert_layout!(TableEvent, "mysql_event_table", 152;
    subclass "event_subclass" 0,
    thread "thread_id" 8,
    user "user" 16,
    priv_user "priv_user" 24,
    priv_host "priv_host" 32,
    external_user "external_user" 40,
    proxy_user "proxy_user" 48,
    host "host" 56,
    ip "ip" 64,
    database "database" 72,
    table "table" 88,
    new_database "new_database" 104,
    new_table "new_table" 120,
    read_only "read_only" 136,
    query "query_id" 144,
);
