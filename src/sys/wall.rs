//! The time of day, for captures; the stack itself knows only the monotonic clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the Unix epoch; zero when the machine's clock is set before it.
#[allow(clippy::disallowed_methods, reason = "this is where it is read")]
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
