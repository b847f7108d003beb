//! Resets for segments that belong to no connection.

use crate::wire::tcp::Header;

/// The reset that answers `seg`, if it deserves one (RFC 9293 section 3.10.7.1).
pub fn reset_for(_seg: &Header, _payload_len: usize) -> Option<Header> {
    unimplemented!()
}
