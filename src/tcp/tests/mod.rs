//! Connections as packet traces, one theme a file, and simulations of two of them.

mod transfer;
