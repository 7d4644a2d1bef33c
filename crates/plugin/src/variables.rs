//! System variables: what makes their declarations short, and texts that may be set at any time.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::abi::{
    BoolVariable, Foreign, NumberVariable, SystemVariable, TextVariable, Update, Value,
};
use crate::guard::guard;

/// A declared variable, in static memory.
pub(crate) type Declared<T> = Foreign<T>;

/// ON or OFF, to be set at any time; `update` where setting it does something.
pub(crate) const fn switch(
    name: &'static CStr,
    comment: &'static CStr,
    value: &'static AtomicBool,
    default: bool,
    update: Option<Update>,
) -> Declared<BoolVariable> {
    let flags = SystemVariable::BOOL | SystemVariable::OPCMDARG;
    let (name, comment) = (name.as_ptr(), comment.as_ptr());
    let head = SystemVariable { flags, name, comment, check: None, update };
    Foreign::new(BoolVariable { head, value: value.as_ptr(), default })
}

/// A number, to be set at any time.
pub(crate) const fn number(
    name: &'static CStr,
    comment: &'static CStr,
    value: &'static AtomicU64,
    default: u64,
    [minimum, maximum]: [u64; 2],
) -> Declared<NumberVariable> {
    let flags = SystemVariable::LONGLONG | SystemVariable::UNSIGNED;
    let (name, comment) = (name.as_ptr(), comment.as_ptr());
    let head = SystemVariable { flags, name, comment, check: None, update: None };
    let value = value.as_ptr();
    Foreign::new(NumberVariable { head, value, default, minimum, maximum, block: 0 })
}

/// A text from the configuration, not to be set while the server runs.
pub(crate) const fn fixed_text(
    name: &'static CStr,
    comment: &'static CStr,
    value: &'static Foreign<*const c_char>,
    default: &'static CStr,
) -> Declared<TextVariable> {
    let flags = SystemVariable::STR | SystemVariable::READONLY;
    let (name, comment) = (name.as_ptr(), comment.as_ptr());
    let head = SystemVariable { flags, name, comment, check: None, update: None };
    Foreign::new(TextVariable { head, value: value.get(), default: default.as_ptr() })
}

/// The address of a variable, for the array that ends with null.
pub(crate) const fn entry<T>(variable: &'static Declared<T>) -> *mut SystemVariable {
    variable.get().cast()
}

/// A text variable's value in `init`, when the server has set it and shows it to nobody yet.
///
/// # Safety
/// The value was set by the server, or is null.
pub(crate) unsafe fn text_in_init(value: &'static Foreign<*const c_char>) -> &'static CStr {
    // SAFETY: the server sets it before `init`, in the same thread.
    let text = unsafe { *value.get() };
    if text.is_null() {
        return c"";
    }
    // SAFETY: from the command line, a configuration file or the default: it ends with NUL and
    // lives as long as the plugin is loaded.
    unsafe { CStr::from_ptr(text) }
}

/// The longest text that can be set.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;

/// A text that may be set at any time. The server reads it through a pointer; it locks global
/// variables while it reads and while it lets one be set, so the text can stay in one place.
#[derive(Debug)]
pub(crate) struct SettableText {
    pub(crate) pointer: Foreign<*const c_char>,
    bytes: Foreign<[u8; TEXT_BYTES_MAX + 1]>,
}

impl SettableText {
    pub(crate) const fn new() -> SettableText {
        SettableText {
            pointer: Foreign::new(ptr::null()),
            bytes: Foreign::new([0; TEXT_BYTES_MAX + 1]),
        }
    }

    /// The declaration that goes with it.
    pub(crate) const fn declare(
        &'static self,
        name: &'static CStr,
        comment: &'static CStr,
        update: Update,
    ) -> Declared<TextVariable> {
        let (name, comment) = (name.as_ptr(), comment.as_ptr());
        let (check, update) = (Some(check_text as _), Some(update));
        let head = SystemVariable { flags: SystemVariable::STR, name, comment, check, update };
        Foreign::new(TextVariable { head, value: self.pointer.get(), default: c"".as_ptr() })
    }

    /// Takes a text over; one that is too long is refused.
    ///
    /// # Safety
    /// While the server holds its lock of global variables, or in `init`.
    pub(crate) unsafe fn set(&'static self, text: &[u8]) -> bool {
        if text.len() > TEXT_BYTES_MAX {
            return false;
        }
        let bytes = self.bytes.get();
        // SAFETY: nobody else reads or writes now, as the caller says; there is room for the text
        // and its NUL.
        unsafe {
            ptr::copy(text.as_ptr(), bytes.cast(), text.len());
            bytes.cast::<u8>().add(text.len()).write(0);
            self.pointer.get().write(bytes.cast());
        }
        true
    }
}

/// Refuses a text that is too long, and lets one that is not reach `update`.
///
/// # Safety
/// Called by a server, with what it passes.
unsafe extern "C" fn check_text(
    _: *mut c_void,
    _: *mut SystemVariable,
    save: *mut c_void,
    value: *mut Value,
) -> c_int {
    guard(1, || {
        // With no room for it, the server makes a copy that lives as long as the statement; only
        // what fits one byte (the empty text) stays in the buffer.
        let mut buffer = [0 as c_char; 1];
        let mut length = 1 as c_int;
        let start: *mut c_char = buffer.as_mut_ptr();
        // SAFETY: the server's own function, called as it says: a buffer with its length.
        let text = unsafe { ((*value).val_str)(value, start, &raw mut length) };
        let text = if text.is_null() || ptr::eq(text, start) { c"".as_ptr() } else { text };
        if length < 0 || length as usize > TEXT_BYTES_MAX {
            return 1;
        }
        // SAFETY: for a text, `save` is where its pointer goes.
        unsafe { save.cast::<*const c_char>().write(text) };
        0
    })
}

/// What `update` of a text is passed.
///
/// # Safety
/// `save` is what the server passed to `update`, or null.
pub(crate) unsafe fn saved_text<'a>(save: *const c_void) -> &'a [u8] {
    // SAFETY: `check_text` put a pointer there, to a text that ends with NUL and lives as long as
    // the statement.
    unsafe {
        let text = save.cast::<*const c_char>().read();
        if text.is_null() { b"" } else { CStr::from_ptr(text).to_bytes() }
    }
}
