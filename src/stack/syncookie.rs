//! SYN cookies (RFC 4987 section 3.6): when a listener's SYN queue is full, the sequence number of the SYN-ACK holds
//! what must be known of the peer, its time stamp what should be, and nothing is kept. The coding is Linux's.

use super::{SocketId, Stack, net::Hop};
use crate::{
    addr::Flow,
    buf::Packet,
    rng::Key,
    tcp::{self, Connection, ecn},
    time::{Duration, Instant},
    wire::{
        seq::SeqNum,
        tcp::{Flags, Header, Options, Timestamps},
    },
};

/// The segment sizes that a cookie can tell; a peer's is rounded down.
const SIZES: [u16; 4] = [536, 1300, 1440, 1460];
/// A cookie is good in the minute it is made and in the next.
const MINUTES: u32 = 2;
/// So long after the last cookie an acknowledgement can be of one.
pub const VALID: Duration = Duration::from_secs(120);
/// The bits of the time stamp: window scale (all set: none), SACK, ECN.
mod stamp {
    pub const MASK: u32 = 0x3f;
    pub const NO_SCALE: u32 = 0xf;
    pub const SACK: u32 = 0x10;
    pub const ECN: u32 = 0x20;
}

/// The cookie for a SYN with sequence number `seq`, telling the size at `index`.
fn bake(key: &Key, flow: &Flow, seq: SeqNum, index: u32, minute: u32) -> SeqNum {
    let fixed = key.hash(&("syn", flow)) as u32;
    let timed = key.hash(&("minute", flow, minute)) as u32;
    let body = timed.wrapping_add(index) & 0x00ff_ffff;
    SeqNum(fixed.wrapping_add(seq.0).wrapping_add(minute << 24).wrapping_add(body))
}

/// The index in a cookie, if it is ours and not too old.
fn taste(key: &Key, flow: &Flow, seq: SeqNum, cookie: SeqNum, minute: u32) -> Option<usize> {
    let fixed = key.hash(&("syn", flow)) as u32;
    let rest = cookie.0.wrapping_sub(fixed).wrapping_sub(seq.0);
    let age = (minute.wrapping_sub(rest >> 24)) & 0xff;
    if age >= MINUTES {
        return None;
    }
    let timed = key.hash(&("minute", flow, minute.wrapping_sub(age))) as u32;
    let index = (rest.wrapping_sub(timed) & 0x00ff_ffff) as usize;
    (index < SIZES.len()).then_some(index)
}

/// The minute since the stack began to count.
fn minute(now: Instant) -> u32 {
    (now.as_millis() / 60_000) as u32
}

/// The largest size no larger than the peer's, by its index.
fn index_of(mss: Option<u16>) -> u32 {
    let mss = mss.unwrap_or(SIZES[0]);
    SIZES.iter().rposition(|size| *size <= mss).unwrap_or(0) as u32
}

/// The latest time stamp, no later than `val`, that tells these options.
fn stamped(val: u32, options: &Options, ecn: bool) -> u32 {
    let scale = options.window_scale.map_or(stamp::NO_SCALE, |shift| u32::from(shift.min(14)));
    let sack = if options.sack_permitted { stamp::SACK } else { 0 };
    let ecn = if ecn { stamp::ECN } else { 0 };
    let told = val & !stamp::MASK | scale | sack | ecn;
    if told & stamp::MASK > val & stamp::MASK { told.wrapping_sub(stamp::MASK + 1) } else { told }
}

/// The SYN that `ack`, the last segment of a handshake by cookie, answers for; `tcp_ecn` is `knob`.
fn remembered(ack: &Header, mss: u16, knob: u32) -> Header {
    let mut options = Options { mss: Some(mss), ..Options::default() };
    let mut flags = Flags::SYN;
    if let Some(Timestamps { val, ecr }) = ack.options.timestamps {
        options.timestamps = Some(Timestamps { val, ecr: 0 });
        options.sack_permitted = ecr & stamp::SACK != 0;
        options.window_scale = Some(ecr & stamp::NO_SCALE).filter(|s| *s != stamp::NO_SCALE).map(|s| s as u8);
        if ecr & stamp::ECN != 0 {
            flags = flags.with(ecn::asked_before(ack.flags, knob));
        }
    }
    Header { seq: ack.seq - 1, ack: SeqNum(0), flags, options, ..*ack }
}

impl Stack {
    /// Answers a SYN, which came with ECN field `field`, by a cookie.
    pub(super) fn send_cookie(
        &mut self,
        flow: Flow,
        (syn, field): (&Header, u8),
        settings: tcp::Settings,
        hop: &Hop,
        now: Instant,
    ) {
        let mut syn = *syn;
        if syn.options.timestamps.is_none() {
            // There is nowhere to keep these.
            syn.options.window_scale = None;
            syn.options.sack_permitted = false;
            syn.flags = Flags::SYN;
        }
        let iss = bake(&self.secret, &flow, syn.seq, index_of(syn.options.mss), minute(now));
        let mut cx = self.world.cx(now);
        let mut half = Connection::resume(flow, &syn, iss, settings, hop.path, &self.secret, &mut cx);
        half.note_syn_field(field);
        let mut reply = half.syn_ack(now);
        let ecn = ecn::is_answer(reply.flags);
        if let Some(stamps) = &mut reply.options.timestamps {
            stamps.val = stamped(stamps.val, &syn.options, ecn);
        }
        self.world.mib.tcp_syncookies_sent += 1;
        self.send_segment(flow, &reply, now);
    }

    /// An acknowledgement came to listener `id` that may be of a cookie. Gives it back if it is not.
    pub(super) fn on_cookie(
        &mut self,
        id: SocketId,
        flow: Flow,
        ack: &Header,
        payload: Packet,
        now: Instant,
    ) -> Result<(), Packet> {
        let knobs = self.knobs.clone();
        let Some(listener) = self.listener_mut(id) else { return Err(payload) };
        let recent = listener.cookies_at.is_some_and(|at| now.since(at) < VALID);
        if ack.flags.contains(Flags::SYN) || knobs.syncookies == 0 || !(recent || knobs.syncookies == 2) {
            return Err(payload);
        }
        let is_full = listener.is_full();
        let ecn = knobs.ecn;
        let options = tcp::Settings { knobs, ..listener.settings.clone() };
        let (seq, cookie) = (ack.seq - 1, ack.ack - 1);
        let Some(index) = taste(&self.secret, &flow, seq, cookie, minute(now)) else {
            self.world.mib.tcp_syncookies_failed += 1;
            return Err(payload);
        };
        self.world.mib.tcp_syncookies_recv += 1;
        if is_full {
            self.world.mib.tcp_listen_overflows += 1;
            self.world.mib.tcp_listen_drops += 1;
            return Ok(());
        }
        let Some(settings) = self.sockets.lookup(id).map(|entry| entry.settings.clone()) else { return Err(payload) };
        let Ok(hop) = self.net.hop(flow.remote.addr, settings.via(flow.remote.addr), now) else { return Ok(()) };
        let syn = remembered(ack, SIZES[index], ecn);
        let mut cx = self.world.cx(now);
        let connection = Connection::resume(flow, &syn, cookie, options, hop.path, &self.secret, &mut cx);
        if let Some(child) = self.add_child(id, flow, connection, settings, hop, now) {
            self.on_connection_segment(child, ack, payload, now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{addr::Endpoint, rng::SeededRng};

    fn flow(port: u16) -> Flow {
        let end = |addr: &str, port| Endpoint::new(addr.parse().unwrap(), port);
        Flow { local: end("10.0.0.1", 80), remote: end("10.0.0.2", port) }
    }

    #[test]
    fn a_cookie_tells_the_size_for_two_minutes_to_its_own_peer_only() {
        let key = Key::random(&mut SeededRng::new([1, 2]));
        for (index, seq) in [(0, 7), (1, u32::MAX), (2, 0x8000_0000), (3, 0)] {
            let cookie = bake(&key, &flow(1), SeqNum(seq), index, 300);
            let told = |flow: &Flow, minute| taste(&key, flow, SeqNum(seq), cookie, minute);
            assert_eq!(told(&flow(1), 300), Some(index as usize));
            assert_eq!(told(&flow(1), 301), Some(index as usize));
            assert_eq!(told(&flow(1), 302), None);
            assert_eq!(told(&flow(2), 300), None);
        }
    }

    #[test]
    fn a_peers_size_is_rounded_down() {
        for (mss, index) in [(None, 0), (Some(100), 0), (Some(1299), 0), (Some(1459), 2), (Some(9000), 3)] {
            assert_eq!(index_of(mss), index, "{mss:?}");
        }
    }

    #[test]
    fn the_time_stamp_brings_the_options_back_and_is_not_from_the_future() {
        for val in [0, 63, 64, 1_000_000, u32::MAX] {
            for (scale, sack, ecn) in [(Some(0), true, false), (Some(14), false, true), (None, true, true)] {
                let options = Options { window_scale: scale, sack_permitted: sack, ..Options::default() };
                let ecr = stamped(val, &options, ecn);
                assert!(val.wrapping_sub(ecr) < 64);
                let mut ack = Header::default();
                ack.options.timestamps = Some(Timestamps { val: 5, ecr });
                let syn = remembered(&ack, 1460, 1);
                assert_eq!((syn.options.window_scale, syn.options.sack_permitted), (scale, sack));
                assert_eq!(syn.flags.contains(Flags::CWR), ecn);
            }
        }
    }
}
