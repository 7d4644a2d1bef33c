//! Where there is no `/proc` as Linux has it: nothing is found, and that is said.

use std::net::IpAddr;

use super::{Doubt, Found, Host, ServerPlace, ServerProcess};

fn nothing() -> Found {
    Found { holders: Vec::new(), doubts: vec![Doubt::NotLinux] }
}

/// Finds nothing.
pub fn server(_: Option<u32>, _: Option<(Option<IpAddr>, u16)>) -> ServerPlace {
    ServerPlace::NotFound { at: None, needs_root: false }
}

/// Finds nothing.
pub fn of_client(_: &Host, _: u16, _: Option<&ServerPlace>) -> Found {
    nothing()
}

/// Finds nothing.
///
/// # Errors
/// None.
pub fn of_thread<E>(
    _: &ServerProcess,
    _: u32,
    _: impl FnMut() -> Result<bool, E>,
) -> Result<Found, E> {
    Ok(nothing())
}

/// Nothing is known to run.
pub fn still_runs(_: u32, _: u64) -> bool {
    false
}

/// Finds nothing.
pub fn candidates(_: &ServerProcess) -> Found {
    nothing()
}
