//! The time of day, for captures and time stamps; the stack itself knows only the monotonic clock.

use super::clock;
use crate::time::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the Unix epoch; zero when the machine's clock is set before it. A clock that is moved by hand is this one
/// too.
#[allow(clippy::disallowed_methods, reason = "this is where it is read")]
pub fn since_epoch() -> Duration {
    if clock::is_stopped() {
        return clock::now().since(Instant::ZERO);
    }
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
