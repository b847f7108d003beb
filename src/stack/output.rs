//! Datagrams and frames on their way out.

use super::{
    SocketId, Stack,
    net::{Hop, prepend_ipv4, v4},
    settings::MtuDiscover,
    tcp::Transmit,
};
use crate::{
    addr::Flow,
    buf::Frame,
    error::{Error, Result},
    ip::{IfaceId, fragment},
    time::Instant,
    wire::{checksum, ipv4},
};

/// Datagrams and segments moved inside the stack in one call, and frames whose neighbours were not found: neither
/// recursion nor starvation.
const LOCAL_BUDGET: usize = 128;

impl Stack {
    /// Takes the next copy of what passed over the loopback, if the configuration has a capture.
    pub fn poll_overheard(&mut self) -> Option<Frame> {
        self.net.overheard.as_mut()?.pop_front()
    }

    /// Takes the next frame for the device (complete for its medium; checksum and segmentation may be left to do).
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Frame> {
        loop {
            if let Some(frame) = self.net.out.pop_front() {
                return Some(frame);
            }
            let Some(id) = self.dirty.pop_front() else {
                if self.net.local.is_empty() && self.dirty_local.is_empty() {
                    return None;
                }
                self.settle(now);
                if self.net.out.is_empty() && self.dirty.is_empty() {
                    return None;
                }
                continue;
            };
            let mut sent = Transmit::Nothing;
            self.transmit_or_rest(id, &mut sent, now);
            match sent {
                Transmit::Nothing => {}
                Transmit::Elsewhere => self.dirty.push_back(id),
                Transmit::Frame(frame) => {
                    self.dirty.push_back(id);
                    return Some(frame);
                }
            }
        }
    }

    /// Fills in the next frame of a socket, in place: one that is handed through `guarded` is copied at each of its
    /// steps. Without one the socket rests until something happens to it.
    fn transmit_or_rest(&mut self, id: SocketId, sent: &mut Transmit, now: Instant) {
        self.guarded(id, now, |stack| {
            *sent = stack.transmit(id, now);
            if let Transmit::Nothing = sent {
                stack.on_drained(id, now);
            }
        });
    }

    /// Moves what goes from ourselves to ourselves, up to a limit, and tells sockets of unreachable neighbours. Every
    /// entry into the stack ends with this.
    pub(super) fn settle(&mut self, now: Instant) {
        for _ in 0..LOCAL_BUDGET {
            if let Some((iface, packet)) = self.net.local.pop_front() {
                self.guarded_for_nobody(|stack| stack.on_ip(iface, true, packet, now));
            } else if let Some(id) = self.dirty_local.pop_front() {
                self.transmit_locally(id, now);
            } else {
                break;
            }
        }
        for _ in 0..LOCAL_BUDGET {
            let Some(frame) = self.net.neighbours.poll_failed() else { break };
            self.guarded_for_nobody(|stack| stack.on_neighbour_failed(&frame, now));
        }
    }

    fn transmit_locally(&mut self, id: SocketId, now: Instant) {
        let mut sent = Transmit::Nothing;
        self.transmit_or_rest(id, &mut sent, now);
        match sent {
            Transmit::Nothing => {}
            Transmit::Elsewhere => self.dirty_local.push_back(id),
            Transmit::Frame(frame) => {
                self.dirty.push_back(id);
                let _full = self.net.push_out(frame, &mut self.world.cx(now));
            }
        }
    }

    /// Sends one datagram of `flow`: `frame` holds what follows the IP header, `header` what is not in the flow. What
    /// is too large is fragmented if `discover` allows.
    ///
    /// # Errors
    /// `MessageTooLong`, `NoBuffers`.
    pub(super) fn send_ip(
        &mut self,
        mut frame: Frame,
        flow: Flow,
        header: ipv4::Header,
        hop: &Hop,
        discover: MtuDiscover,
        now: Instant,
    ) -> Result<()> {
        let (Some(src), Some(dst)) = (v4(flow.local.addr), v4(flow.remote.addr)) else {
            return Err(Error::FamilyNotSupported);
        };
        let mut cx = self.world.cx(now);
        cx.mib.ip_out_requests += 1;
        let limit = discover.limit(&hop.path);
        let fits = frame.len() + ipv4::MIN_HEADER <= limit as usize;
        let dont_fragment = match discover {
            MtuDiscover::Dont | MtuDiscover::Interface | MtuDiscover::Omit => false,
            MtuDiscover::Want => fits && !hop.no_df,
            MtuDiscover::Do | MtuDiscover::Probe => !hop.no_df,
        };
        if !fits && matches!(discover, MtuDiscover::Do | MtuDiscover::Probe | MtuDiscover::Interface) {
            cx.mib.ip_frag_fails += 1;
            return Err(Error::MessageTooLong);
        }
        let id = self.net.idents.take(flow.local.addr, flow.remote.addr, header.protocol, 1);
        let header = ipv4::Header { id, dont_fragment, src, dst, ..header };
        if hop.echo {
            let mut copy = frame.clone();
            prepend_ipv4(&mut copy, header);
            // It comes back by the interface it leaves by (Linux's dev_loopback_xmit).
            self.net.deliver_locally(&copy, IfaceId::DEVICE, &mut cx);
        }
        if fits {
            prepend_ipv4(&mut frame, header);
            return match self.net.forward(frame, hop.link, &mut cx) {
                Some(frame) => self.net.push_out(frame, &mut cx),
                None => Ok(()),
            };
        }
        checksum::finish(&mut frame);
        cx.mib.ip_frag_oks += 1;
        for fragment in fragment::split(&header, &frame, limit) {
            cx.mib.ip_frag_creates += 1;
            if let Some(fragment) = self.net.forward(fragment, hop.link, &mut cx) {
                self.net.push_out(fragment, &mut cx)?;
            }
        }
        Ok(())
    }
}
