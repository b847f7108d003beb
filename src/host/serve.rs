//! The loop. Requests come before bytes, so that an option set before a write holds for it. A panic in
//! what one slot does ends that slot alone: its connection is reset. One in anything else ends what was being done.

use super::{
    bridge::Verdict,
    gate::Door,
    slot::{ASKING, Host, Item, LAST_CLOSE, Slot},
};
use crate::{
    engine,
    sys::{panics, readiness},
};

/// Events taken from the kernel at once.
const EVENTS: usize = 256;

/// What there is to do: events of the kernel's, and slots that are ready.
pub struct Round {
    events: [libc::epoll_event; EVENTS],
    ready: Vec<u64>,
}

impl Default for Round {
    fn default() -> Self {
        Self { events: [libc::epoll_event { events: 0, u64: 0 }; EVENTS], ready: Vec::new() }
    }
}

impl Host {
    /// Serves until nobody uses the stack any more, or it has no network any more: the next program shall have a new
    /// host, and no program a stack that leads nowhere.
    pub fn serve(&mut self) {
        let mut round = Round::default();
        self.engine.reside();
        while !self.life.is_stopped() {
            self.parker.prepare();
            if self.engine.loss().is_some() {
                // Attempts to connect fail with their reason, and who has asked is answered.
                self.go_round(&mut round);
                return;
            }
            if self.go_round(&mut round) {
                continue;
            }
            if self.is_over() {
                return;
            }
            panics::catch(|| self.wait());
            panics::catch(|| self.on_time());
        }
    }

    /// Does what there is to do now; false if there is nothing.
    pub fn go_round(&mut self, round: &mut Round) -> bool {
        let Round { events, ready } = round;
        // Out of memory is all that can go wrong here, and passes.
        let n = readiness::take(self.interest.fd(), events).unwrap_or(0);
        ready.append(&mut self.again);
        self.inbox.take(ready);
        ready.sort_unstable();
        ready.dedup();
        if n == 0 && ready.is_empty() {
            return false;
        }
        let is_told = |slot: u64| events[..n].iter().any(|event| event.u64 == slot);
        let (is_public, is_asked) = (is_told(Door::PublicRequests as u64), is_told(ASKING));
        panics::catch(|| {
            self.hear_those_let_in(is_asked);
            self.hear_programs(is_public);
        });
        // What happened in the stack first, and the oldest first there: a program whose connection is made is to find
        // it with the listener of the same stack, as over the kernel's loopback. The kernel's event of an end that was
        // just made would show the one before the other.
        for slot in ready.drain(..) {
            self.run(slot, 0);
        }
        for event in &events[..n] {
            self.on_kernel_event(event.u64, event.events);
        }
        panics::catch(|| self.on_time());
        panics::catch(|| self.engine.tend());
        true
    }

    /// Sleeps until there is something to do.
    fn wait(&self) {
        let deadline = self.next_deadline();
        let mut kernel = [libc::pollfd { fd: self.interest.fd(), events: libc::POLLIN, revents: 0 }];
        engine::wait(&[self.engine], &mut kernel, deadline, None);
    }

    fn on_kernel_event(&mut self, slot: u64, events: u32) {
        match Door::of(slot) {
            // They were heard first.
            Some(_) => {}
            None if slot == ASKING => {}
            None if slot == LAST_CLOSE => _ = panics::catch(|| self.hear_last_closes()),
            None => self.run(slot, events),
        }
    }

    /// Does what there is to do for a slot.
    pub fn run(&mut self, number: u64, events: u32) {
        // What a program has closed before it sent a datagram is not to be where that goes.
        if let Some(Slot { item: Item::Datagram(_), .. }) = self.slots.get(&number) {
            panics::catch(|| self.hear_last_closes());
        }
        let Some(mut slot) = self.take(number) else { return };
        if let Some(end) = slot.item.end_mut() {
            end.hear(events);
        }
        let id = slot.id;
        let ran = panics::catch(|| self.act(number, slot, events));
        if let (None, Some(id)) = (ran, id) {
            self.outcomes.failed(id, libc::EIO);
        }
    }

    /// The slot's own work; what is to stay is put back.
    fn act(&mut self, number: u64, slot: Slot, events: u32) {
        let Slot { item, id } = slot;
        match item {
            Item::Asker(fd) => self.hear(number, fd, false),
            Item::Stranger(end) => self.hear_stranger(number, end),
            Item::Connecting(connecting) => self.advance(number, connecting),
            Item::Lingering(lingering) => self.linger(number, lingering, id),
            Item::Held(held) => self.deliver(number, held, id),
            Item::Datagram(datagram) => self.exchange(number, datagram, id),
            Item::Reader(reader) => self.read_on(number, reader),
            Item::Lookup(lookup) => self.go_on_with(number, lookup),
            Item::Client(fd, pid) if events == 0 => self.put(number, Item::Client(fd, pid), None),
            Item::Client(_, pid) => self.life.left(pid),
            Item::Giver(fd, gift) => self.take_gift(number, fd, gift),
            Item::Closer(fd, leaving) => self.hear_closer(number, fd, leaving),
            Item::Tree(fd) if events == 0 => self.put(number, Item::Tree(fd), None),
            // Its last process has ended.
            Item::Tree(_) => {}
            Item::Bridge(mut bridge) => {
                let now = self.engine.now();
                drop(bridge.closer.take_if(|closer| closer.is_late(now)));
                let verdict = bridge.turn(&mut self.buffer, &self.pins);
                bridge.tell_memory();
                if verdict == Verdict::More {
                    self.again.push(number);
                }
                if verdict == Verdict::Widen {
                    bridge.widen(self.waker(number));
                }
                match verdict {
                    Verdict::Over => self.part_with(number, *bridge, id),
                    Verdict::Idle | Verdict::More | Verdict::Widen => self.put(number, Item::Bridge(bridge), id),
                }
            }
        }
    }
}
