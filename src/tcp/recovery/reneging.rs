//! Peers that throw away what they have reported by SACK (RFC 2018 section 8).

use super::AckNews;
use crate::{
    tcp::{Connection, timer::Timer},
    time::{Duration, Instant},
};

/// The least time a peer has to show that it was only a matter of order (as Linux).
const PATIENCE: Duration = Duration::from_millis(10);

impl Connection {
    /// Whether the acknowledgement stops right before what the peer has reported. Acknowledgements may be reordered, so
    /// it has half a round trip to go on; then all is sent again, as after a time-out.
    pub(in crate::tcp) fn suspects_reneging(&mut self, news: &AckNews, now: Instant) -> bool {
        let suspect = news.advanced > 0 && self.snd.is_reneged();
        if suspect {
            let wait = (self.rtt.srtt().unwrap_or_default() / 2).max(PATIENCE);
            self.timers.stop(Timer::Tlp);
            self.timers.stop(Timer::Reo);
            self.timers.set(Timer::Retransmit, now + wait);
        }
        suspect
    }
}
