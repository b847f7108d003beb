//! The only host calls.
