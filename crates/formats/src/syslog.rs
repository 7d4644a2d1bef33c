//! Placeholder.
use crate::event::Sink;
use crate::reader::{State, Window};
pub(crate) fn take<S: Sink>(_: &mut State, window: &Window<'_>, _: &mut S) -> Option<usize> {
    Some(window.end)
}
