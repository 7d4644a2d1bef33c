//! Certificate authorities that are trusted without being named: none.
//!
//! The `mysql` crate trusts, beside the file that `ssl-ca` names, the public authorities that the crate
//! `webpki-roots` lists. A database server's certificate comes from an authority of one's own: with
//! `ssl-mode=VERIFY_CA`, where the name is not compared, whoever holds any public certificate could pass for
//! that server. This crate takes the place of that list.
#![forbid(unsafe_code)]

use pki_types::{Der, TrustAnchor};

/// One authority that nobody is: rustls refuses an empty list, also where nothing is to be verified. Its name
/// and its key are no DER, so no certificate can be verified against it.
pub const TLS_SERVER_ROOTS: &[TrustAnchor<'static>] = &[TrustAnchor {
    subject: Der::from_slice(b"\xffnobody"),
    subject_public_key_info: Der::from_slice(b"\xffno key"),
    name_constraints: None,
}];
