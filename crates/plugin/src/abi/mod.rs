//! The servers' plugin interface, by hand: what both families share.
//!
//! Sources: `mysql/plugin.h` and `mysql/plugin_audit.h` of MariaDB 10.11 and 11.8 (they agree) and
//! of MySQL 9.7. Each layout is asserted when it is compiled; `tests/tools/plugin-layout` holds the
//! asserted numbers against the servers' own headers.

pub(crate) mod maria;
pub(crate) mod mysql;

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

/// A plugin of the audit kind.
pub(crate) const AUDIT_PLUGIN: c_int = 5;
/// The licence that the servers call BSD: the nearest they have to MIT.
pub(crate) const LICENSE_BSD: c_int = 2;
/// The class of connection events, in both families.
pub(crate) const CONNECTION_CLASS: u32 = 1;

/// A value that servers read, and write, as they like.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct Foreign<T>(UnsafeCell<T>);

// SAFETY: nothing here makes a reference to the value; servers guard what they write by locks of
// their own.
unsafe impl<T> Sync for Foreign<T> {}

impl<T> Foreign<T> {
    pub(crate) const fn new(value: T) -> Foreign<T> {
        Foreign(UnsafeCell::new(value))
    }

    pub(crate) const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// `assert_layout!(Type, "C name", size; field "C field" offset, …)`: breaks the build where a
/// layout is another. `tests/tools/plugin-layout` reads these lines.
macro_rules! assert_layout {
    ($type:ty, $name:literal, $size:literal; $($field:ident $c_field:literal $offset:literal,)*) => {
        const _: () = {
            assert!(std::mem::size_of::<$type>() == $size);
            $(assert!(std::mem::offset_of!($type, $field) == $offset);)*
        };
    };
}
pub(crate) use assert_layout;

/// A text with its length (`MYSQL_LEX_CSTRING`). Not always ended by NUL, and null for none.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    pub(crate) pointer: *const c_char,
    pub(crate) length: usize,
}

impl Text {
    /// The bytes; `None` where the server passes none.
    ///
    /// # Safety
    /// What the server passed, and only while its call lasts.
    pub(crate) unsafe fn bytes<'a>(self) -> Option<&'a [u8]> {
        if self.pointer.is_null() || self.length > isize::MAX as usize {
            return None;
        }
        // SAFETY: the caller says that the server passed it, with the length it has.
        Some(unsafe { std::slice::from_raw_parts(self.pointer.cast(), self.length) })
    }
}

/// A status variable (`st_mysql_show_var`). MariaDB's has no scope; the padding is there.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct StatusVariable {
    name: *const c_char,
    value: *const c_void,
    kind: c_int,
    scope: c_int,
}

assert_layout!(StatusVariable, "st_mysql_show_var", 24;
    name "name" 0,
    value "value" 8,
    kind "type" 16,
);

impl StatusVariable {
    const BOOL: c_int = 1;
    const LONGLONG: c_int = 4;
    const GLOBAL: c_int = 1;

    /// A counter of 64 bits.
    pub(crate) const fn counter(
        name: &'static std::ffi::CStr,
        value: &'static std::sync::atomic::AtomicU64,
    ) -> StatusVariable {
        let (value, kind) = (value.as_ptr() as *const c_void, Self::LONGLONG);
        StatusVariable { name: name.as_ptr(), value, kind, scope: Self::GLOBAL }
    }

    /// ON or OFF.
    pub(crate) const fn switch(
        name: &'static std::ffi::CStr,
        value: &'static std::sync::atomic::AtomicBool,
    ) -> StatusVariable {
        let (value, kind) = (value.as_ptr() as *const c_void, Self::BOOL);
        StatusVariable { name: name.as_ptr(), value, kind, scope: Self::GLOBAL }
    }

    /// What ends an array.
    pub(crate) const END: StatusVariable =
        StatusVariable { name: ptr::null(), value: ptr::null(), kind: 0, scope: 0 };
}

/// Looks at a value that somebody wants to set; 0 accepts it.
pub(crate) type Check =
    unsafe extern "C" fn(*mut c_void, *mut SystemVariable, *mut c_void, *mut Value) -> c_int;
/// Takes over a value that was checked.
pub(crate) type Update =
    unsafe extern "C" fn(*mut c_void, *mut SystemVariable, *mut c_void, *const c_void);

/// What all system variables begin with (`MYSQL_PLUGIN_VAR_HEADER`).
#[repr(C)]
#[derive(Debug)]
pub(crate) struct SystemVariable {
    pub(crate) flags: c_int,
    pub(crate) name: *const c_char,
    pub(crate) comment: *const c_char,
    pub(crate) check: Option<Check>,
    pub(crate) update: Option<Update>,
}

assert_layout!(SystemVariable, "st_mysql_sys_var", 40;
    flags "flags" 0,
    name "name" 8,
    comment "comment" 16,
    check "check" 24,
    update "update" 32,
);

impl SystemVariable {
    pub(crate) const BOOL: c_int = 0x0001;
    pub(crate) const LONGLONG: c_int = 0x0004;
    pub(crate) const STR: c_int = 0x0005;
    pub(crate) const UNSIGNED: c_int = 0x0080;
    pub(crate) const READONLY: c_int = 0x0200;
    pub(crate) const OPCMDARG: c_int = 0x2000;
}

/// ON or OFF.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct BoolVariable {
    pub(crate) head: SystemVariable,
    pub(crate) value: *mut bool,
    pub(crate) default: bool,
}

assert_layout!(BoolVariable, "sys_var_bool", 56;
    value "value" 40,
    default "def_val" 48,
);

/// An unsigned number of 64 bits.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct NumberVariable {
    pub(crate) head: SystemVariable,
    pub(crate) value: *mut u64,
    pub(crate) default: u64,
    pub(crate) minimum: u64,
    pub(crate) maximum: u64,
    pub(crate) block: u64,
}

assert_layout!(NumberVariable, "sys_var_ulonglong", 80;
    value "value" 40,
    default "def_val" 48,
    minimum "min_val" 56,
    maximum "max_val" 64,
    block "blk_sz" 72,
);

/// A text, ended by NUL.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct TextVariable {
    pub(crate) head: SystemVariable,
    pub(crate) value: *mut *const c_char,
    pub(crate) default: *const c_char,
}

assert_layout!(TextVariable, "sys_var_str", 56;
    value "value" 40,
    default "def_val" 48,
);

/// A value that somebody wants to set (`st_mysql_value`): what gives it in the form asked for.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Value {
    value_type: unsafe extern "C" fn(*mut Value) -> c_int,
    pub(crate) val_str: unsafe extern "C" fn(*mut Value, *mut c_char, *mut c_int) -> *const c_char,
    val_real: unsafe extern "C" fn(*mut Value, *mut f64) -> c_int,
    val_int: unsafe extern "C" fn(*mut Value, *mut i64) -> c_int,
    is_unsigned: unsafe extern "C" fn(*mut Value) -> c_int,
}

assert_layout!(Value, "st_mysql_value", 40;
    value_type "value_type" 0,
    val_str "val_str" 8,
    val_real "val_real" 16,
    val_int "val_int" 24,
    is_unsigned "is_unsigned" 32,
);
