//! What the application has asked of a TCP socket: the values behind its options.

use super::{Knobs, fastopen::FastOpenSettings};
use crate::time::Duration;
use std::sync::Arc;

/// Size of a socket buffer in bytes of payload.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BufferSize {
    /// Grows with the connection's bandwidth-delay product up to this many bytes.
    Auto {
        /// The most it may become.
        max: usize,
    },
    /// Fixed by SO_SNDBUF or SO_RCVBUF.
    Fixed(usize),
}

/// Options of a TCP socket; inherited by the connections a listener accepts. See tcp(7) and socket(7).
#[derive(Clone, Debug)]
pub struct Settings {
    /// TCP_NODELAY.
    pub nodelay: bool,
    /// TCP_NODELAY was switched on just now: what waits is sent.
    pub pushes: bool,
    /// TCP_CORK: partial segments wait until it is cleared, at most 200 ms.
    pub cork: bool,
    /// TCP_QUICKACK.
    pub quickack: bool,
    /// TCP_MAXSEG set by the user, bytes.
    pub maxseg: Option<u16>,
    /// SO_KEEPALIVE.
    pub keepalive: bool,
    /// TCP_KEEPIDLE.
    pub keep_idle: Duration,
    /// TCP_KEEPINTVL.
    pub keep_interval: Duration,
    /// TCP_KEEPCNT.
    pub keep_count: u32,
    /// TCP_USER_TIMEOUT; zero means the default (RFC 9293 R2, Linux's tcp_retries2).
    pub user_timeout: Duration,
    /// TCP_SYNCNT: retransmissions of a SYN before connect(2) gives up, and of a listener's SYN-ACKs; `None` leaves it
    /// to `tcp_syn_retries` and `tcp_synack_retries`.
    pub syn_retries: Option<u32>,
    /// SO_LINGER; the socket layer waits, zero aborts.
    pub linger: Option<Duration>,
    /// TCP_LINGER2: how long an orphan may stay in FIN-WAIT-2; zero leaves it to `tcp_fin_timeout`, `None` means not at
    /// all.
    pub fin_timeout: Option<Duration>,
    /// TCP_DEFER_ACCEPT; zero is off.
    pub defer_accept: Duration,
    /// TCP_WINDOW_CLAMP, bytes; 0 is off.
    pub window_clamp: u32,
    /// SO_OOBINLINE.
    pub oob_inline: bool,
    /// SO_SNDBUF.
    pub send_buffer: BufferSize,
    /// SO_RCVBUF.
    pub recv_buffer: BufferSize,
    /// SO_RCVLOWAT, bytes.
    pub recv_lowat: usize,
    /// TCP_NOTSENT_LOWAT, bytes; `None` leaves it to `tcp_notsent_lowat`.
    pub notsent_lowat: Option<u32>,
    /// SO_ZEROCOPY: MSG_ZEROCOPY means something.
    pub zerocopy: bool,
    /// SO_TIMESTAMPING, as far as it is known ([`crate::tcp::reports::stamping`]).
    pub stamping: u32,
    /// TCP_INQ: receiving tells how much is left.
    pub inq: bool,
    /// TCP_CONGESTION: the algorithm's name, one of [`crate::tcp::congestion::NAMES`].
    pub congestion: &'static str,
    /// SO_MAX_PACING_RATE, bytes a second; `u64::MAX` is no limit.
    pub max_pacing_rate: u64,
    /// TCP_FASTOPEN and what goes with it, for those who ask for it.
    pub fast_open: Option<Box<FastOpenSettings>>,
    /// What the administrator has set for the stack; the stack fills it in when a connection begins.
    pub knobs: Arc<Knobs>,
}

/// 16 MiB: the most an autotuned buffer grows to.
pub const MAX_BUFFER: usize = 16 << 20;

impl Default for Settings {
    /// Linux's defaults.
    fn default() -> Self {
        Self {
            nodelay: false,
            pushes: false,
            cork: false,
            quickack: true,
            maxseg: None,
            keepalive: false,
            keep_idle: Duration::from_secs(7200),
            keep_interval: Duration::from_secs(75),
            keep_count: 9,
            user_timeout: Duration::ZERO,
            syn_retries: None,
            linger: None,
            fin_timeout: Some(Duration::ZERO),
            defer_accept: Duration::ZERO,
            window_clamp: 0,
            oob_inline: false,
            send_buffer: BufferSize::Auto { max: MAX_BUFFER },
            recv_buffer: BufferSize::Auto { max: MAX_BUFFER },
            recv_lowat: 1,
            notsent_lowat: None,
            congestion: super::congestion::DEFAULT,
            max_pacing_rate: super::pacing::UNLIMITED,
            fast_open: None,
            knobs: Arc::default(),
            inq: false,
            zerocopy: false,
            stamping: 0,
        }
    }
}

impl Settings {
    /// How much may be queued and not sent for there to be room, bytes; `None` is any.
    pub fn notsent_limit(&self) -> Option<u32> {
        Some(self.notsent_lowat.unwrap_or(self.knobs.notsent_lowat)).filter(|limit| *limit != u32::MAX)
    }

    /// How long an orphan may stay in FIN-WAIT-2 under `knobs`; `None` is not at all.
    pub fn fin_wait(&self, knobs: &Knobs) -> Option<Duration> {
        self.fin_timeout.map(|time| if time.is_zero() { Duration::from_secs(knobs.fin_timeout.into()) } else { time })
    }

    /// Takes the administrator's settings as they are now; says whether they are others.
    pub fn follow(&mut self, knobs: &Arc<Knobs>) -> bool {
        let is_other = !Arc::ptr_eq(&self.knobs, knobs);
        if is_other {
            self.knobs = Arc::clone(knobs);
        }
        is_other
    }
}

/// Flags of a send call that the stack acts on.
#[derive(Copy, Clone, Debug, Default)]
pub struct SendFlags {
    /// MSG_OOB: the last byte is urgent.
    pub oob: bool,
    /// MSG_MORE: more data follows; partial segments (or the datagram) wait.
    pub more: bool,
    /// MSG_EOR: what is written next does not share a segment with this.
    pub end_of_record: bool,
    /// MSG_ZEROCOPY: tells when it is done with.
    pub zerocopy: bool,
    /// The call has sent data before.
    pub continues: bool,
}

/// Flags of a receive call that the stack acts on.
#[derive(Copy, Clone, Debug, Default)]
pub struct RecvFlags {
    /// MSG_OOB: read the urgent byte.
    pub oob: bool,
    /// MSG_PEEK: leave the data queued.
    pub peek: bool,
    /// MSG_TRUNC: TCP discards instead of copying; datagram sockets report the full length.
    pub trunc: bool,
}

/// The `how` of shutdown(2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// SHUT_RD
    Read,
    /// SHUT_WR
    Write,
    /// SHUT_RDWR
    Both,
}
