//! MySQL's side: plugin interface 0x010b, audit interface 0x0401.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr;

use super::{StatusVariable, SystemVariable, Text, assert_layout};

pub(crate) const PLUGIN_INTERFACE: c_int = 0x010b;
pub(crate) const AUDIT_INTERFACE: c_int = 0x0401;
/// How many classes have a mask.
pub(crate) const CLASSES: usize = 13;
/// The class of general events.
pub(crate) const GENERAL_CLASS: u32 = 0;
/// The class of table events.
pub(crate) const TABLE_ACCESS_CLASS: u32 = 4;

pub(crate) const CONNECT: c_uint = 1;
pub(crate) const DISCONNECT: c_uint = 1 << 1;
pub(crate) const CHANGE_USER: c_uint = 1 << 2;

pub(crate) const GENERAL_STATUS: c_uint = 1 << 3;

pub(crate) const TABLE_INSERT: c_uint = 1 << 1;
pub(crate) const TABLE_UPDATE: c_uint = 1 << 2;
pub(crate) const TABLE_DELETE: c_uint = 1 << 3;

/// A plugin (`st_mysql_plugin`).
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
    pub(crate) check_uninstall: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    pub(crate) deinit: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    pub(crate) version: c_uint,
    pub(crate) status: *mut StatusVariable,
    pub(crate) variables: *mut *mut SystemVariable,
    pub(crate) reserved: *mut c_void,
    pub(crate) flags: c_ulong,
}

assert_layout!(Plugin, "st_mysql_plugin", 112;
    kind "type" 0,
    info "info" 8,
    name "name" 16,
    author "author" 24,
    description "descr" 32,
    license "license" 40,
    init "init" 48,
    check_uninstall "check_uninstall" 56,
    deinit "deinit" 64,
    version "version" 72,
    status "status_vars" 80,
    variables "system_vars" 88,
    reserved "__reserved1" 96,
    flags "flags" 104,
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
        check_uninstall: None,
        deinit: None,
        version: 0,
        status: ptr::null_mut(),
        variables: ptr::null_mut(),
        reserved: ptr::null_mut(),
        flags: 0,
    };
}

/// What is called for events (`st_mysql_audit`). What `notify` returns other than 0 aborts a login.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) interface: c_int,
    pub(crate) release: Option<unsafe extern "C" fn(*mut c_void)>,
    pub(crate) notify: unsafe extern "C" fn(*mut c_void, c_uint, *const c_void) -> c_int,
    /// One mask of subclasses a class.
    pub(crate) classes: [c_ulong; CLASSES],
}

assert_layout!(Audit, "st_mysql_audit", 128;
    interface "interface_version" 0,
    release "release_thd" 8,
    notify "event_notify" 16,
    classes "class_mask" 24,
);

/// `mysql_event_connection`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct ConnectionEvent {
    pub(crate) subclass: c_uint,
    pub(crate) status: c_int,
    pub(crate) connection: c_ulong,
    pub(crate) user: Text,
    pub(crate) priv_user: Text,
    pub(crate) external_user: Text,
    pub(crate) proxy_user: Text,
    pub(crate) host: Text,
    pub(crate) ip: Text,
    pub(crate) database: Text,
    pub(crate) connection_type: c_int,
}

assert_layout!(ConnectionEvent, "mysql_event_connection", 136;
    subclass "event_subclass" 0,
    status "status" 4,
    connection "connection_id" 8,
    user "user" 16,
    priv_user "priv_user" 32,
    external_user "external_user" 48,
    proxy_user "proxy_user" 64,
    host "host" 80,
    ip "ip" 96,
    database "database" 112,
    connection_type "connection_type" 128,
);

/// `mysql_event_general`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct GeneralEvent {
    pub(crate) subclass: c_uint,
    pub(crate) error: c_int,
    pub(crate) connection: c_ulong,
    pub(crate) user: Text,
    pub(crate) command: Text,
    pub(crate) query: Text,
    pub(crate) charset: *const c_void,
    pub(crate) time: u64,
    pub(crate) rows: u64,
    pub(crate) host: Text,
    pub(crate) sql_command: Text,
    pub(crate) external_user: Text,
    pub(crate) ip: Text,
}

assert_layout!(GeneralEvent, "mysql_event_general", 152;
    subclass "event_subclass" 0,
    error "general_error_code" 4,
    connection "general_thread_id" 8,
    user "general_user" 16,
    command "general_command" 32,
    query "general_query" 48,
    charset "general_charset" 64,
    time "general_time" 72,
    rows "general_rows" 80,
    host "general_host" 88,
    sql_command "general_sql_command" 104,
    external_user "general_external_user" 120,
    ip "general_ip" 136,
);

/// `mysql_event_table_access`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct TableAccessEvent {
    pub(crate) subclass: c_uint,
    pub(crate) connection: c_ulong,
    pub(crate) sql_command: c_int,
    pub(crate) query: Text,
    pub(crate) charset: *const c_void,
    pub(crate) database: Text,
    pub(crate) table: Text,
}

assert_layout!(TableAccessEvent, "mysql_event_table_access", 80;
    subclass "event_subclass" 0,
    connection "connection_id" 8,
    sql_command "sql_command_id" 16,
    query "query" 24,
    charset "query_charset" 40,
    database "table_database" 48,
    table "table_name" 64,
);
