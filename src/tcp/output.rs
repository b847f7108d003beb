//! Segments that go out: which is next, how large it is, and its header (RFC 9293 sections 3.7.4, 3.8.6.2.1 and 3.10.8;
//! the congestion window: RFC 5681, RFC 6675 section 5).

use super::{
    Connection, State,
    abort::Reset,
    ack::Owed,
    congestion::{Controller, used::Moment},
    ecn::codepoint,
    limited::Doing,
    mss,
    nagle::{self, Candidate, Verdict},
    plpmtud,
    push::Push,
    recovery::Phase,
    rtt::RTO_MIN,
    timer::Timer,
};
use crate::{
    buf::{Frame, Gso},
    cx::Cx,
    time::Instant,
    wire::{
        checksum, protocol,
        seq::SeqNum,
        tcp::{Flags, Header, Options, SackBlocks},
    },
};

/// Where the checksum is in a TCP header.
const CHECKSUM_FIELD: usize = 16;

/// What waits to be sent beside data.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// A reset; it goes first.
    pub reset: Option<Reset>,
    /// The SYN or SYN-ACK.
    pub syn: bool,
    /// A segment without data and with an old number, which makes the peer answer (persist and keepalive).
    pub probe: bool,
    /// The next partial segment does not wait for company or a larger window.
    pub force: bool,
    /// The last call to send said MSG_MORE, and nothing has come in since.
    pub more: bool,
    /// What is pushed of the data.
    pub push: Push,
    /// Behind the last partial segment sent, for Nagle's algorithm (Minshall's SND.SML).
    pub small_end: Option<SeqNum>,
}

impl Pending {
    /// A SYN.
    pub fn syn() -> Self {
        Self { syn: true, ..Self::default() }
    }
}

/// A stretch of the send queue that is to leave in one frame.
#[derive(Copy, Clone, Debug)]
struct Burst {
    seq: SeqNum,
    /// Sequence numbers, the FIN included.
    len: u32,
    again: bool,
    /// It is one segment, however large: it probes the path's MTU.
    whole: bool,
}

impl Connection {
    /// Takes the next segment to be sent, if any: appends TCP header and payload to the empty `out`, with a partial
    /// checksum (the pseudo-header's sum) and segmentation left to the device if the payload is larger than the MSS.
    #[must_use]
    pub fn poll_transmit(&mut self, out: &mut Frame, cx: &mut Cx<'_>) -> bool {
        if let Some(reset) = self.pending.reset.take() {
            cx.mib.tcp_out_rsts += 1;
            self.emit(&self.reset_header(&reset, cx.now), 0, 0, out, cx);
            return true;
        }
        match self.state {
            State::Closed | State::Listen => false,
            State::SynReceived if self.is_fast_passive() && !self.pending.syn => {
                self.transmit_data(out, cx) || self.transmit_bare(out, cx)
            }
            State::SynSent | State::SynReceived => self.transmit_opening(out, cx),
            State::TimeWait => self.transmit_bare(out, cx),
            _ => self.transmit_data(out, cx) || self.transmit_bare(out, cx),
        }
    }

    /// The SYN or SYN-ACK, or what SYN-RECEIVED answers.
    fn transmit_opening(&mut self, out: &mut Frame, cx: &mut Cx<'_>) -> bool {
        if !std::mem::take(&mut self.pending.syn) {
            return self.state == State::SynReceived && self.transmit_bare(out, cx);
        }
        let header = self.syn_header(cx.now);
        if self.state == State::SynReceived {
            self.window.offer_with_syn_ack(self.rcv.rcv_nxt());
        }
        if self.opening.retries > 0 {
            cx.mib.tcp_retrans_segs += 1;
            self.stats.retransmitted_segs += 1;
        }
        self.timers.set(Timer::Retransmit, cx.now + self.clamped_to_user_timeout(self.rtt.rto(), cx.now));
        self.acks.on_told(self.rcv.rcv_nxt());
        self.timers.stop(Timer::DelayedAck);
        let data = self.syn_data(cx);
        self.emit(&header, data, data, out, cx);
        true
    }

    /// A probe or an acknowledgement.
    fn transmit_bare(&mut self, out: &mut Frame, cx: &mut Cx<'_>) -> bool {
        let probe = std::mem::take(&mut self.pending.probe);
        if !probe && self.acks.owed() != Owed::Now {
            return false;
        }
        let seq = if probe { self.snd.una() - 1 } else { self.snd.nxt() };
        let reflection = self.accecn_reflection().filter(|_| !probe);
        let mut header = self.header(seq, Flags::ACK, cx.now);
        if let Some(flags) = reflection {
            header.flags = Flags::ACK.with(flags);
        }
        self.emit(&header, 0, 0, out, cx);
        true
    }

    /// Data or the FIN, for the first time or again.
    fn transmit_data(&mut self, out: &mut Frame, cx: &mut Cx<'_>) -> bool {
        if self.snd.unacked() == 0 && self.snd.unsent() == 0 {
            self.recovery.app_limited = true;
            self.limited.set(Doing::Nothing, cx.now);
            return false;
        }
        let options = self.options(cx.now);
        let segment = u32::from(self.segment_limit()).saturating_sub(options.len() as u32).max(1);
        // The first retransmission and a probe do not wait for their time.
        let at_once = self.recovery.retransmit_now || self.recovery.tlp.due;
        let Some(burst) = self.next_burst(segment, cx) else { return false };
        if !at_once && self.is_paced_out(segment, cx.now) {
            return false;
        }
        self.send_burst(burst, if burst.whole { burst.len } else { segment }, out, cx);
        true
    }

    /// What is to leave next: a probe, what is lost, or new data; new data first while F-RTO asks for it.
    fn next_burst(&mut self, segment: u32, cx: &mut Cx<'_>) -> Option<Burst> {
        if let Some((seq, len, again)) = self.take_probe(segment) {
            cx.mib.tcp_loss_probes += 1;
            return Some(Burst { seq, len, again, whole: false });
        }
        if self.recovery.frto.wants_new() {
            let new = self.next_new(segment, cx.now);
            if new.is_some() || self.snd.nxt() > self.recovery.recover {
                return new;
            }
            self.recovery.frto.stop();
        }
        if self.search.is_some() {
            match self.judge_mtu_probe(segment, cx.now) {
                plpmtud::Verdict::No => {}
                plpmtud::Verdict::Wait => return None,
                plpmtud::Verdict::Send(len) => {
                    return Some(Burst { seq: self.snd.nxt(), len, again: false, whole: true });
                }
            }
        }
        self.next_retransmission(segment).or_else(|| self.next_new(segment, cx.now))
    }

    /// The largest payload of one frame, a whole number of segments. A frame takes at most half of the congestion
    /// window and of the peer's, so that acknowledgements of one half come while the other is on its way, and no more
    /// than leaves in about a millisecond.
    fn max_payload(&self, segment: u32) -> u32 {
        if self.path.max_frame <= self.path.mtu || self.urgent.is_sending(self.snd.una()) || self.ecn.owes_cwr() {
            return segment;
        }
        let headers = mss::ip_header(self.flow.remote.addr) + 60;
        let frame = self.path.max_frame.min(65_535).saturating_sub(headers);
        let most = frame.min(self.window_now() / 2).min(self.peer.max() / 2).min(self.frame_goal(segment));
        (most - most % segment).max(segment)
    }

    /// The next lost stretch, as far as the congestion window lets it out.
    fn next_retransmission(&mut self, segment: u32) -> Option<Burst> {
        let lost = self.snd.next_lost()?;
        let room = self.window_now().saturating_sub(self.pipe());
        let at_once = std::mem::take(&mut self.recovery.retransmit_now);
        let first = lost.start == self.snd.una();
        // What a peer that pulled its window back does not take now is not sent again, but for the first segment.
        if !first && lost.start - self.snd.una() >= self.peer.size() {
            return None;
        }
        let room = match room {
            room if room >= segment.min(lost.span()) => room,
            _ if at_once => segment,
            _ => return None,
        };
        let most = self.max_payload(segment).min((room - room % segment).max(segment));
        Some(Burst { seq: lost.start, len: lost.span().min(most), again: true, whole: false })
    }

    /// New data, or the FIN.
    fn next_new(&mut self, segment: u32, now: Instant) -> Option<Burst> {
        let all = self.snd.unsent_data();
        // A mark ends its segment, which waits for nobody then.
        let mark = self.pending.push.next_end(self.snd.nxt());
        let waiting = mark.map_or(all, |end| all.min(end - self.snd.nxt()));
        let fin = self.snd.has_fin() && !self.snd.is_fin_sent();
        if waiting == 0 && !fin {
            self.recovery.app_limited = true;
            if self.is_full {
                self.limited.set(Doing::BufferLimited, now);
            }
            return None;
        }
        let window = self.peer.usable(self.snd.una(), self.snd.nxt());
        let room = self.window_now().saturating_sub(self.pipe());
        if room < segment.min(waiting.max(1)) {
            // A window's last fraction of a segment is left alone.
            self.recovery.app_limited = false;
            self.note_window_use(true, now);
            return None;
        }
        if waiting == 0 {
            if window == 0 {
                self.start_persist(now);
                return None;
            }
            return Some(Burst { seq: self.snd.nxt(), len: 1, again: false, whole: false });
        }
        self.recovery.app_limited = window < room;
        let short = window < waiting.min(segment) && window < room;
        self.limited.set(if short { Doing::WindowLimited } else { Doing::Busy }, now);
        let candidate = Candidate {
            waiting,
            allowed: window.min(room),
            mss: segment,
            max_window: self.peer.max(),
            last: fin || waiting < all,
            small_in_flight: self.pending.small_end.is_some_and(|end| end > self.snd.una()),
            nodelay: self.settings.nodelay || self.urgent.is_sending(self.snd.una()),
            corked: self.settings.cork || self.pending.more,
        };
        let sendable = match nagle::judge(&candidate) {
            Verdict::Send(sendable) => sendable,
            Verdict::Wait if self.pending.force && window > 0 => waiting.min(window).min(segment),
            Verdict::Wait => {
                self.wait(&candidate, window, now);
                return None;
            }
        };
        let most = self.max_payload(segment);
        if sendable < waiting && sendable < most && self.is_worth_waiting(sendable, most) {
            self.recovery.app_limited = false;
            self.note_window_use(true, now);
            return None;
        }
        let len = sendable.min(most);
        let fin = fin && len == all && len < window;
        Some(Burst { seq: self.snd.nxt(), len: len + u32::from(fin), again: false, whole: false })
    }

    /// Data was sent, or the congestion window kept it from being sent: notes what is made of the window.
    fn note_window_use(&mut self, full: bool, now: Instant) {
        let moment = Moment {
            outstanding: self.snd.unacked(),
            full,
            una: self.snd.una(),
            nxt: self.snd.nxt(),
            slow_start: self.slow_start(),
        };
        let unused = self.window_use.on_sent(&moment, self.rtt.rto(), now);
        let decays = self.settings.knobs.slow_start_after_idle != 0 && self.recovery.phase == Phase::Open;
        if let Some(used) = unused.filter(|_| decays && !self.is_full) {
            self.cc.on_unused(used);
        }
    }

    /// The congestion window in slow start, else 0.
    pub(super) fn slow_start(&self) -> u32 {
        if self.cc.window() < self.cc.ssthresh() { self.cc.window() } else { 0 }
    }

    /// Whether a larger frame may soon be possible: while much is in flight, acknowledgements will let out more than
    /// this. Waiting leaves a part of the window unused, so it must be a small one (Linux's tcp_tso_should_defer).
    fn is_worth_waiting(&self, sendable: u32, most: u32) -> bool {
        let window = self.cc.window().min(self.peer.size());
        let part = window / self.settings.knobs.tso_win_divisor.max(8);
        !self.recovery.is_repairing() && sendable < part.min(most / 4) && self.pipe() > window / 2
    }

    /// Data cannot leave now; whatever will let it leave must come.
    fn wait(&mut self, candidate: &Candidate, window: u32, now: Instant) {
        if window < candidate.waiting.min(candidate.mss) {
            self.start_persist(now);
        } else if candidate.corked && !self.timers.is_set(Timer::Cork) {
            // As Linux, which makes a probe of it: never less than the 200 ms of tcp(7).
            self.timers.set(Timer::Cork, now + self.rtt.base_rto().max(RTO_MIN));
        }
    }

    /// Sends `burst` in segments of `segment` bytes.
    fn send_burst(&mut self, burst: Burst, segment: u32, out: &mut Frame, cx: &mut Cx<'_>) {
        let Burst { seq, len, again, whole } = burst;
        if let Some(silent_for) = self.stats.silent_for(cx.now).filter(|_| !again && self.snd.unacked() == 0) {
            self.cc.on_idle(silent_for);
        }
        let (data, fin) = self.snd.content(seq, len);
        let mut flags = Flags::ACK;
        if fin {
            flags = flags.with(Flags::FIN);
        }
        // As on Linux a frame of several segments is pushed, too, so that a receiver that merges segments hands them on
        // at once. What was pushed once is so again.
        let is_marked = if again { self.snd.is_pushed(seq + len) } else { self.has_mark(seq, seq + data) };
        let pushed = data > 0 && (data > segment || is_marked);
        if pushed {
            flags = flags.with(Flags::PSH);
        }
        let mut header = self.header(seq, flags, cx.now);
        if let Some(pointer) = self.urgent.pointer(seq) {
            header.flags = header.flags.with(Flags::URG);
            header.urgent = pointer;
        }
        let count = data.div_ceil(segment).max(1);
        if again {
            self.snd.on_resent(seq, len, pushed, cx.now);
            self.recovery.undo.on_resent(len, self.clock.val(cx.now));
            cx.mib.tcp_retrans_segs += u64::from(count);
            match self.recovery.phase {
                Phase::Recovery => cx.mib.tcp_fast_retrans += u64::from(count),
                Phase::Loss => cx.mib.tcp_slow_start_retrans += u64::from(count),
                _ => {}
            }
            self.stats.on_retransmitted(count, data);
            self.forget_mtu_probe();
        } else {
            if data > 0 {
                let (codepoint, cwr) = self.ecn.on_new_data();
                header.flags = header.flags.with(cwr);
                out.ecn = codepoint;
            }
            self.snd.on_sent(len, pushed, cx.now);
            if whole {
                self.on_mtu_probe_sent(seq, len, header.options.len() as u32);
            }
            if data % segment != 0 {
                self.pending.small_end = Some(seq + data);
            }
            self.acks.on_data_sent(cx.now);
            self.settings.quickack = !self.acks.is_interactive();
            self.timers.stop(Timer::Persist);
            self.timers.stop(Timer::Cork);
            self.pending.force = false;
            // TCP_NOTSENT_LOWAT: what has left makes room.
            self.note_room();
        }
        self.note_paced(data, cx.now);
        self.stats.on_data_sent(count, data, cx.now);
        self.recovery.prr.on_sent(len);
        if !again {
            let full = self.window_now().saturating_sub(self.pipe()) < segment;
            self.note_window_use(full, cx.now);
        }
        self.on_sent_for_timers(seq, again, cx.now);
        self.emit(&header, data, segment, out, cx);
    }

    /// Whether new data from `seq` to `end` has a mark of PSH in it.
    fn has_mark(&mut self, seq: SeqNum, end: SeqNum) -> bool {
        let push = &mut self.pending.push;
        end == self.snd.data_end() && push.is_finished() || push.next_end(seq).is_some_and(|mark| mark <= end)
    }

    /// The options of a segment that is not a SYN.
    fn options(&self, now: Instant) -> Options {
        let mut options =
            Options { timestamps: self.clock.option(now), sack: self.sack_option(), ..Options::default() };
        self.add_accecn_option(&mut options, now);
        options
    }

    /// The SACK blocks to be sent (RFC 2018 section 4).
    fn sack_option(&self) -> SackBlocks {
        if !self.opening.sack {
            return SackBlocks::default();
        }
        let mut held = if self.rcv.out_of_order() > 0 { self.rcv.sack_blocks() } else { SackBlocks::default() };
        if let Some(fin) = self.peer_fin.filter(|fin| *fin > self.rcv.rcv_nxt()) {
            held.add(fin);
        }
        let Some((start, end)) = self.acks.duplicate else { return held };
        // What came twice is the first block (RFC 2883 section 4).
        let mut blocks = SackBlocks::default();
        blocks.push(start, end);
        held.as_slice().iter().for_each(|&(start, end)| _ = blocks.push(start, end));
        blocks
    }

    /// A header with everything but what is special about its segment. What it acknowledges counts as told.
    pub(super) fn header(&mut self, seq: SeqNum, flags: Flags, now: Instant) -> Header {
        let rcv_nxt = self.rcv.rcv_nxt();
        let window = self.window.offer(rcv_nxt, self.rcv.readable(), u32::from(self.acks.rcv_mss()));
        self.acks.on_told(rcv_nxt);
        if self.window.is_half_full(self.rcv.readable()) {
            self.acks.slow_down();
        }
        self.timers.stop(Timer::DelayedAck);
        let options = self.options(now);
        self.acks.duplicate = None;
        self.on_accecn_sent(&options, now);
        let ecn = self.ecn.flags().with(self.take_accecn_flags());
        Header {
            src_port: self.flow.local.port,
            dst_port: self.flow.remote.port,
            seq,
            ack: rcv_nxt,
            flags: flags.with(ecn),
            window,
            urgent: 0,
            options,
        }
    }

    /// Writes the segment: `data` bytes of the send queue behind the header.
    fn emit(&mut self, header: &Header, data: u32, segment: u32, out: &mut Frame, cx: &mut Cx<'_>) {
        let len = header.len();
        header.emit(out.append(len));
        if !header.flags.contains(Flags::SYN) && self.ecn.is_always_capable() {
            out.ecn = codepoint::ECT_0;
        }
        let sum =
            checksum::pseudo_header(self.flow.local.addr, self.flow.remote.addr, protocol::TCP, len + data as usize);
        out.head_mut()[CHECKSUM_FIELD..CHECKSUM_FIELD + 2].copy_from_slice(&checksum::fold(sum).to_be_bytes());
        out.set_partial_checksum(CHECKSUM_FIELD);
        if data > 0 {
            let first = header.seq + u32::from(header.flags.contains(Flags::SYN));
            self.snd.slices(first, data, |slice| out.push(slice));
        }
        if data > segment {
            let size = u16::try_from(segment).unwrap_or(u16::MAX);
            out.gso = Some(Gso { size, tcp: true, ipv6: self.flow.remote.addr.is_ipv6() });
        }
        let count = if segment == 0 { 1 } else { data.div_ceil(segment).max(1) };
        cx.mib.tcp_out_segs += u64::from(count);
        if !(self.life.embryo && header.flags.contains(Flags::SYN)) {
            self.stats.segs_out = self.stats.segs_out.wrapping_add(count);
        }
    }
}
