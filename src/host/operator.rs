//! What the operator asks: which sockets there are, and that the host end.

use super::slot::{Host, Item, Slot};
use crate::{
    socket::{detached::Detached, inspect},
    stack::{SocketId, diag::Standing},
    sys::{readiness, unix},
};
use sockeye_shim::format::Response;
use std::{
    collections::{HashMap, HashSet},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

impl Host {
    /// Sends a report for each of some sockets, beginning with `from`, and returns the response that ends the answer.
    pub fn show_sockets(&self, to: BorrowedFd<'_>, from: u64) -> Response {
        inspect::sockets(self.engine, to, from, |standings| self.ends_of(standings))
    }

    fn ends_of(&self, standings: &[Standing]) -> Vec<(u32, u32)> {
        let asked: HashSet<SocketId> = inspect::ids(standings).collect();
        let socket = |slot: &'_ Slot| slot.item.socket().map(Detached::id).filter(|id| asked.contains(id));
        let slots: HashMap<SocketId, &Slot> =
            self.slots.values().filter_map(|slot| Some((socket(slot)?, slot))).collect();
        let end = |standing: &Standing| slots.get(&standing.id?).map(|slot| names(slot));
        standings.iter().map(|standing| end(standing).unwrap_or_default()).collect()
    }

    /// What the stack has counted, from the counter numbered `from` on; `mark` makes it what later answers compare
    /// with.
    pub fn show_counters(&mut self, from: u64, mark: bool) -> Response {
        inspect::counters(self.engine, &mut self.marked, from, mark)
    }

    /// What the stack is, from that byte of the text on.
    pub fn describe(&self, from: u64) -> Response {
        let sockets = self.slots.values().filter(|slot| slot.item.socket().is_some()).count();
        inspect::description(
            "host",
            (&self.config, self.engine.loss()),
            self.life.began(),
            (self.programs(), sockets),
            from,
        )
    }

    /// How many processes use the stack: those that have asked something and have not ended meanwhile. Of a tree behind
    /// the fence there may be others that never have, one at least.
    fn programs(&self) -> usize {
        let end = |item: &Item| match item {
            Item::Client(fd, _) => Some((false, fd.as_raw_fd())),
            Item::Tree(fd) => Some((true, fd.as_raw_fd())),
            _ => None,
        };
        let (trees, clients): (Vec<_>, Vec<_>) =
            self.slots.values().filter_map(|slot| end(&slot.item)).partition(|(is_tree, _)| *is_tree);
        let lasting = |ends: Vec<(bool, i32)>| {
            let poll = |(is_tree, fd)| libc::pollfd { fd, events: if is_tree { 0 } else { libc::POLLIN }, revents: 0 };
            let mut fds: Vec<_> = ends.into_iter().map(poll).collect();
            readiness::look(&mut fds);
            fds.iter().filter(|fd| fd.revents == 0).count()
        };
        lasting(clients).max(lasting(trees))
    }

    /// Makes the loop end, and says who used the stack until now.
    pub fn stop(&mut self) -> [u8; 8] {
        let users = self.programs();
        self.life.stop();
        let is_open = |item: &Item| matches!(item, Item::Bridge(_) | Item::Connecting(_));
        let open = self.slots.values().filter(|slot| is_open(&slot.item)).count();
        let mut counts = [0; 8];
        let (first, second) = counts.split_at_mut(4);
        first.copy_from_slice(&u32::try_from(users).unwrap_or(u32::MAX).to_le_bytes());
        second.copy_from_slice(&u32::try_from(open).unwrap_or(u32::MAX).to_le_bytes());
        counts
    }
}

/// How a socket's program is found: by the inode of its own file, or by that of our end.
fn names(slot: &Slot) -> (u32, u32) {
    let own = if let Item::Held(held) = &slot.item { held.inode } else { 0 };
    let end = match &slot.item {
        Item::Connecting(connecting) => unix::inode(connecting.end().as_fd()),
        Item::Bridge(bridge) => unix::inode(bridge.end().as_fd()),
        Item::Datagram(datagram) => unix::inode(datagram.end().as_fd()),
        _ => 0,
    };
    (own, end)
}
