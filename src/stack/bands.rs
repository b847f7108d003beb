//! The bands of poll(2) that Linux reports along with readiness.

use super::Protocol;
use crate::ready::Ready;

/// Room for data of the priority band, which Linux reports of datagram sockets.
pub const WRBAND: Ready = Ready(0x200);

/// What is ready, with the bands of poll(2) that Linux reports along with IN and OUT.
pub fn with_bands(mut ready: Ready, protocol: Protocol) -> Ready {
    if ready.intersects(Ready::IN) {
        ready |= Ready::RDNORM;
    }
    if ready.intersects(Ready::OUT) {
        ready |= Ready::WRNORM;
        if protocol == Protocol::Udp {
            ready |= WRBAND;
        }
    }
    ready
}
