//! Quotas as a service: parts of `quota watch`.

#![allow(dead_code, reason = "for `quota watch`")]

pub(crate) mod writes;
