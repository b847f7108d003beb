//! IPPROTO_TCP (tcp(7); Linux net/ipv4/tcp.c).

use super::{
    super::{ancillary::TCP_CM_INQ, file::Handle},
    Row, Value, int, only_off, read_only, tcp_change, tcp_setting, within, write_only, zero,
};
use crate::{
    error::{Error, Result},
    sys::plain,
    tcp::{State, congestion::NAMES, fastopen::FastOpenSettings},
    time::Duration,
};

/// Names that the C library does not have for every target (linux/tcp.h).
const TCP_THIN_LINEAR_TIMEOUTS: i32 = 16;
const TCP_THIN_DUPACK: i32 = 17;
const TCP_REPAIR: i32 = 19;
const TCP_REPAIR_QUEUE: i32 = 20;
const TCP_QUEUE_SEQ: i32 = 21;
const TCP_REPAIR_OPTIONS: i32 = 22;
const TCP_TIMESTAMP: i32 = 24;
const TCP_NOTSENT_LOWAT: i32 = 25;
const TCP_CC_INFO: i32 = 26;
const TCP_SAVE_SYN: i32 = 27;
const TCP_REPAIR_WINDOW: i32 = 29;
const TCP_FASTOPEN_CONNECT: i32 = 30;
const TCP_ULP: i32 = 31;
const TCP_FASTOPEN_KEY: i32 = 33;
const TCP_FASTOPEN_NO_COOKIE: i32 = 34;
const TCP_TX_DELAY: i32 = 37;
const TCP_IS_MPTCP: i32 = 43;

/// MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL, seconds.
const MAX_KEEP_SECONDS: i32 = 32_767;
/// MAX_TCP_KEEPCNT and MAX_TCP_SYNCNT.
const MAX_COUNT: i32 = 127;
/// TCP_MIN_MSS and MAX_TCP_WINDOW, the limits of TCP_MAXSEG.
const MAXSEG: std::ops::RangeInclusive<i32> = 88..=32_767;
/// TCP_FIN_TIMEOUT_MAX, seconds.
const MAX_FIN_SECONDS: i32 = 120;
/// SOCK_MIN_RCVBUF / 2: the least TCP_WINDOW_CLAMP.
const MIN_CLAMP: u32 = 1152;
/// net.core.somaxconn
const SOMAXCONN: u32 = 4096;
/// TCP_CA_NAME_MAX
const NAME_SIZE: usize = 16;
/// The first and the longest retransmission time-out, seconds: what TCP_DEFER_ACCEPT's seconds are counted in.
const RTO_INIT: u64 = 1;
const RTO_MAX: u64 = 120;

/// Whether an option's value is a text, which may be shorter than an int.
pub(super) const fn takes_text(name: i32) -> bool {
    matches!(name, libc::TCP_CONGESTION | TCP_ULP)
}

const fn seconds(time: Duration) -> i32 {
    let seconds = time.as_secs();
    if seconds > i32::MAX as u64 { i32::MAX } else { seconds as i32 }
}

pub(super) const TABLE: &[Row] = &[
    Row {
        name: libc::TCP_NODELAY,
        get: |s| tcp_setting(s, |o| o.nodelay.into()),
        set: |s, v| int(v).and_then(|v| tcp_change(s, |o| (o.nodelay, o.pushes) = (v != 0, v != 0))),
    },
    Row {
        name: libc::TCP_MAXSEG,
        get: |s| s.with(|stack, id, _| stack.mss(id)).map(|mss| Value::Int(mss.into())),
        set: |s, v| match int(v)? {
            0 => tcp_change(s, |o| o.maxseg = None),
            mss => within(mss, MAXSEG).and_then(|mss| tcp_change(s, |o| o.maxseg = Some(mss as u16))),
        },
    },
    Row {
        name: libc::TCP_CORK,
        get: |s| tcp_setting(s, |o| o.cork.into()),
        set: |s, v| int(v).and_then(|v| tcp_change(s, |o| o.cork = v != 0)),
    },
    Row {
        name: libc::TCP_KEEPIDLE,
        get: |s| tcp_setting(s, |o| seconds(o.keep_idle)),
        set: |s, v| {
            let time = within(int(v)?, 1..=MAX_KEEP_SECONDS)?;
            tcp_change(s, |o| o.keep_idle = Duration::from_secs(time.into()))
        },
    },
    Row {
        name: libc::TCP_KEEPINTVL,
        get: |s| tcp_setting(s, |o| seconds(o.keep_interval)),
        set: |s, v| {
            let time = within(int(v)?, 1..=MAX_KEEP_SECONDS)?;
            tcp_change(s, |o| o.keep_interval = Duration::from_secs(time.into()))
        },
    },
    Row {
        name: libc::TCP_KEEPCNT,
        get: |s| tcp_setting(s, |o| o.keep_count as i32),
        set: |s, v| within(int(v)?, 1..=MAX_COUNT).and_then(|count| tcp_change(s, |o| o.keep_count = count)),
    },
    Row {
        name: libc::TCP_SYNCNT,
        get: |s| {
            let knob = s.with(|stack, _, _| Ok(stack.knobs_mut().syn_retries))?;
            tcp_setting(s, |o| o.syn_retries.unwrap_or(knob) as i32)
        },
        set: |s, v| within(int(v)?, 1..=MAX_COUNT).and_then(|count| tcp_change(s, |o| o.syn_retries = Some(count))),
    },
    Row {
        name: libc::TCP_LINGER2,
        get: |s| {
            let knobs = s.with(|stack, _, _| Ok(*stack.knobs_mut()))?;
            tcp_setting(s, |o| o.fin_wait(&knobs).map_or(-1, seconds))
        },
        set: |s, v| {
            let time = fin_timeout(int(v)?);
            tcp_change(s, |o| o.fin_timeout = time)
        },
    },
    Row {
        name: libc::TCP_DEFER_ACCEPT,
        get: |s| tcp_setting(s, |o| seconds(o.defer_accept)),
        set: |s, v| {
            let time = whole_retransmissions(int(v)?);
            tcp_change(s, |o| o.defer_accept = time)
        },
    },
    Row {
        name: libc::TCP_WINDOW_CLAMP,
        get: |s| tcp_setting(s, |o| o.window_clamp as i32),
        set: |s, v| match int(v)? {
            0 if s.with(|stack, id, _| Ok(stack.state(id)))? != State::Closed => Err(Error::Invalid),
            0 => tcp_change(s, |o| o.window_clamp = 0),
            clamp => tcp_change(s, |o| o.window_clamp = (clamp as u32).max(MIN_CLAMP)),
        },
    },
    Row {
        name: libc::TCP_INFO,
        get: |s| {
            s.with(|stack, id, now| stack.tcp_info(id, now).map(|info| Value::bytes(plain::tcp_info_bytes(&info))))
        },
        set: read_only,
    },
    Row {
        name: libc::TCP_QUICKACK,
        get: |s| tcp_setting(s, |o| o.quickack.into()),
        set: |s, v| int(v).and_then(|v| tcp_change(s, |o| o.quickack = v != 0)),
    },
    Row { name: libc::TCP_CONGESTION, get: congestion, set: set_congestion },
    Row { name: TCP_THIN_LINEAR_TIMEOUTS, get: zero, set: |_, v| only_off(v, Error::NoProtocolOption) },
    // Linux has accepted it and done nothing since RACK finds losses (4.11).
    Row { name: TCP_THIN_DUPACK, get: zero, set: |_, v| within(int(v)?, 0..=1).map(drop) },
    Row {
        name: libc::TCP_USER_TIMEOUT,
        get: |s| tcp_setting(s, |o| i32::try_from(o.user_timeout.as_millis()).unwrap_or(i32::MAX)),
        set: |s, v| {
            let millis = within(int(v)?, 0..=i32::MAX)?;
            tcp_change(s, |o| o.user_timeout = Duration::from_millis(millis.into()))
        },
    },
    // Linux asks for CAP_NET_ADMIN.
    Row { name: TCP_REPAIR, get: zero, set: |_, _| Err(Error::NotPermitted) },
    Row { name: TCP_REPAIR_QUEUE, get: write_only, set: |_, _| Err(Error::NotPermitted) },
    Row { name: TCP_QUEUE_SEQ, get: write_only, set: |_, _| Err(Error::NotPermitted) },
    Row { name: TCP_REPAIR_OPTIONS, get: write_only, set: |_, _| Err(Error::NotPermitted) },
    Row { name: TCP_REPAIR_WINDOW, get: |_| Err(Error::NotPermitted), set: |_, _| Err(Error::NotPermitted) },
    Row { name: libc::TCP_FASTOPEN, get: |s| fast_open(s, |o| o.queue as i32), set: set_fast_open_queue },
    Row { name: TCP_FASTOPEN_CONNECT, get: |s| fast_open(s, |o| o.connect.into()), set: set_fast_open_connect },
    Row {
        name: TCP_FASTOPEN_KEY,
        get: |s| s.with(|stack, id, _| stack.fast_open_keys(id).map(|keys| Value::bytes(&keys.concat()))),
        set: set_fast_open_keys,
    },
    Row { name: TCP_FASTOPEN_NO_COOKIE, get: |s| fast_open(s, |o| o.no_cookie.into()), set: set_fast_open_no_cookie },
    Row { name: TCP_TIMESTAMP, get: write_only, set: |_, _| Err(Error::NotPermitted) },
    Row {
        name: TCP_NOTSENT_LOWAT,
        get: |s| tcp_setting(s, |o| o.notsent_lowat.unwrap_or(0) as i32),
        set: |s, v| {
            let lowat = int(v)? as u32;
            tcp_change(s, |o| o.notsent_lowat = (lowat != 0).then_some(lowat))
        },
    },
    Row {
        name: TCP_CC_INFO,
        get: |s| {
            let info = s.with(|stack, id, _| stack.tcp_congestion_info(id))?;
            Ok(info.map_or(Value::bytes(&[]), |info| Value::bytes(&info.to_bytes())))
        },
        set: read_only,
    },
    Row { name: TCP_SAVE_SYN, get: zero, set: |_, v| only_off(v, Error::NoProtocolOption) },
    // No protocol above (kTLS) is known by any name.
    Row {
        name: TCP_ULP,
        get: |_| Ok(Value::bytes(&[])),
        set: |_, v| Err(if v.is_empty() { Error::Invalid } else { Error::NotFound }),
    },
    Row {
        name: TCP_CM_INQ,
        get: |s| tcp_setting(s, |o| o.inq.into()),
        set: |s, v| within(int(v)?, 0..=1).and_then(|on| tcp_change(s, |o| o.inq = on != 0)),
    },
    Row { name: TCP_TX_DELAY, get: zero, set: |_, v| only_off(v, Error::NoProtocolOption) },
    Row { name: TCP_IS_MPTCP, get: zero, set: read_only },
];

fn fast_open(s: &Handle, read: impl FnOnce(&FastOpenSettings) -> i32) -> Result<Value> {
    tcp_setting(s, |o| o.fast_open.as_deref().map_or(0, read))
}

/// Changes what belongs to Fast Open, which only a socket without a connection may (and one that listens, if
/// `listening`).
fn fast_open_change(s: &Handle, listening: bool, write: impl FnOnce(&mut FastOpenSettings)) -> Result<()> {
    match s.with(|stack, id, _| Ok(stack.state(id)))? {
        State::Closed => {}
        State::Listen if listening => {}
        _ => return Err(Error::Invalid),
    }
    tcp_change(s, |o| write(o.fast_open.get_or_insert_default()))
}

fn set_fast_open_queue(s: &Handle, value: &[u8]) -> Result<()> {
    let queue = within(int(value)?, 0..=i32::MAX)?.min(SOMAXCONN);
    fast_open_change(s, true, |o| o.queue = queue)
}

fn set_fast_open_connect(s: &Handle, value: &[u8]) -> Result<()> {
    let on = within(int(value)?, 0..=1)? == 1;
    if !s.with(|stack, _, _| Ok(stack.may_open_fast()))? {
        return Err(Error::NotSupported);
    }
    fast_open_change(s, false, |o| o.connect = on)
}

fn set_fast_open_no_cookie(s: &Handle, value: &[u8]) -> Result<()> {
    let on = within(int(value)?, 0..=1)? == 1;
    fast_open_change(s, true, |o| o.no_cookie = on)
}

/// One key or two, of 16 bytes each.
fn set_fast_open_keys(s: &Handle, value: &[u8]) -> Result<()> {
    let (keys, rest) = value.as_chunks::<16>();
    if !matches!((keys.len(), rest.len()), (1 | 2, 0)) {
        return Err(Error::Invalid);
    }
    tcp_change(s, |o| o.fast_open.get_or_insert_default().keys = keys.to_vec())
}

/// TCP_LINGER2: negative means not at all, 0 leaves it to `tcp_fin_timeout`.
fn fin_timeout(value: i32) -> Option<Duration> {
    u64::try_from(value.min(MAX_FIN_SECONDS)).ok().map(Duration::from_secs)
}

/// TCP_DEFER_ACCEPT counts in retransmissions of the SYN-ACK: the time is that of the first few that reaches the
/// seconds asked for (Linux secs_to_retrans, retrans_to_secs).
fn whole_retransmissions(seconds: i32) -> Duration {
    let Some(seconds) = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0) else { return Duration::ZERO };
    let (mut timeout, mut time, mut count) = (RTO_INIT, RTO_INIT, 1);
    while seconds > time && count < 255 {
        timeout = (timeout * 2).min(RTO_MAX);
        time += timeout;
        count += 1;
    }
    Duration::from_secs(time)
}

fn congestion(s: &Handle) -> Result<Value> {
    let mut name = [0; NAME_SIZE];
    let known = s.with(|stack, id, _| stack.tcp_settings(id).map(|settings| settings.congestion))?;
    let len = known.len().min(NAME_SIZE - 1);
    name[..len].copy_from_slice(&known.as_bytes()[..len]);
    Ok(Value::bytes(&name))
}

fn set_congestion(s: &Handle, value: &[u8]) -> Result<()> {
    if value.is_empty() {
        return Err(Error::Invalid);
    }
    let name = &value[..value.len().min(NAME_SIZE - 1)];
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let known = NAMES.iter().find(|known| known.as_bytes() == name).ok_or(Error::NotFound)?;
    tcp_change(s, |o| o.congestion = known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deferred_accepts_are_counted_in_retransmissions() {
        for (asked, got) in [(-1, 0), (0, 0), (1, 1), (2, 3), (3, 3), (4, 7), (30, 31), (100, 127), (200, 247)] {
            assert_eq!(whole_retransmissions(asked), Duration::from_secs(got), "{asked}");
        }
        assert!(whole_retransmissions(i32::MAX) < Duration::from_secs(40_000));
    }

    #[test]
    fn a_fin_timeout_is_off_the_administrators_or_at_most_two_minutes() {
        assert_eq!(fin_timeout(-5), None);
        assert_eq!([0, 10, 500].map(fin_timeout), [0, 10, 120].map(|s| Some(Duration::from_secs(s))));
    }
}
