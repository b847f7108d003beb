//! TCP_INFO.

/// Linux's `struct tcp_info`.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Info {}
