//! What the operator asks: which sockets there are, and that the host end.

use super::slot::{Host, Item, Slot};
use crate::{
    addr::Endpoint,
    socket::detached::Detached,
    stack::{Protocol, SocketId, diag::Standing},
    sys::{log, plain, unix},
};
use sockeye_shim::{
    address::Address,
    format::{DATA, Data, Response},
    report::Report,
};
use std::{
    collections::{HashMap, HashSet},
    os::fd::{AsFd, BorrowedFd},
};

/// Sockets told in one answer: what a socket's buffer holds.
const AT_ONCE: usize = 64;

impl Host {
    /// Sends a report for each of some sockets, beginning with `from`, and returns the response that ends the answer.
    pub fn show_sockets(&self, to: BorrowedFd<'_>, from: u64) -> Response {
        let (standings, next) = self.engine.with(|stack, now| stack.standings(from, AT_ONCE, now));
        let asked: HashSet<SocketId> = standings.iter().filter_map(|standing| standing.id).collect();
        let socket = |slot: &'_ Slot| slot.item.socket().map(Detached::id).filter(|id| asked.contains(id));
        let slots: HashMap<SocketId, &Slot> =
            self.slots.values().filter_map(|slot| Some((socket(slot)?, slot))).collect();
        for standing in standings {
            let end = standing.id.and_then(|id| slots.get(&id)).map_or((0, 0), |slot| names(slot));
            if unix::send(to, &report(&standing, end).to_bytes(), 0).is_err() {
                // Whoever asked has gone.
                return Response::new(libc::EPIPE);
            }
        }
        let next = next.unwrap_or(0).to_le_bytes();
        Response { data: Data::of(&next).unwrap_or(Data::NONE), ..Response::new(0) }
    }

    /// What the stack has counted, from the counter numbered `from` on; `mark` makes it what later answers compare with.
    pub fn show_counters(&mut self, from: u64, mark: bool) -> Response {
        let counted = self.engine.counters();
        let (mut bytes, mut next) = (vec![0; 8], 0);
        let both = counted.iter().zip(self.marked.iter()).enumerate();
        for (at, ((name, value), (_, marked))) in both.skip(usize::try_from(from).unwrap_or(usize::MAX)) {
            if bytes.len() + 17 + name.len() > DATA {
                next = at as u64;
                break;
            }
            bytes.extend(value.to_le_bytes());
            bytes.extend(marked.to_le_bytes());
            bytes.push(name.len() as u8);
            bytes.extend(name.bytes());
        }
        bytes[..8].copy_from_slice(&next.to_le_bytes());
        if next == 0 && mark {
            self.marked = counted;
        }
        Response { data: Data::of(&bytes).unwrap_or(Data::NONE), ..Response::new(0) }
    }

    /// What the stack is, from that byte of the text on.
    pub fn describe(&self, from: u64) -> Response {
        let config = &self.config;
        let addresses: Vec<String> = config.addresses.iter().map(ToString::to_string).collect();
        let device = if config.name.is_empty() { config.kind.to_string() } else { config.name.clone() };
        let is_socket = |slot: &&Slot| slot.item.socket().is_some();
        let text = format!(
            "pid={}\nage={}\nprograms={}\nsockets={}\ndevice={device}\naddresses={}\nnet={config}\n",
            std::process::id(),
            self.engine.now().since(self.life.began()).as_secs(),
            self.life.users(),
            self.slots.values().filter(is_socket).count(),
            addresses.join(" "),
        );
        let rest = usize::try_from(from).ok().and_then(|from| text.as_bytes().get(from..)).unwrap_or_default();
        let piece = &rest[..rest.len().min(DATA - 8)];
        let next = if piece.len() < rest.len() { from + piece.len() as u64 } else { 0 };
        let data = Data::of(&[&next.to_le_bytes()[..], piece].concat());
        Response { data: data.unwrap_or(Data::NONE), ..Response::new(0) }
    }

    /// What the log has from that byte on.
    pub fn show_log(from: u64) -> Response {
        let (from, piece) = log::read(from, DATA - 8);
        let next = from + piece.len() as u64;
        let data = Data::of(&[&next.to_le_bytes()[..], &piece].concat());
        Response { data: data.unwrap_or(Data::NONE), ..Response::new(0) }
    }

    /// Makes the loop end, and says who used the stack until now.
    pub fn stop(&mut self) -> [u8; 8] {
        let users = self.life.stop();
        let is_open = |item: &Item| matches!(item, Item::Bridge(_) | Item::Connecting(_));
        let open = self.slots.values().filter(|slot| is_open(&slot.item)).count();
        let mut counts = [0; 8];
        let (first, second) = counts.split_at_mut(4);
        first.copy_from_slice(&(users as u32).to_le_bytes());
        second.copy_from_slice(&(open as u32).to_le_bytes());
        counts
    }
}

/// How a socket's program is found: by the id that it knows, or by our own end's inode.
fn names(slot: &Slot) -> (u64, u32) {
    let end = match &slot.item {
        Item::Connecting(connecting) => unix::inode(connecting.end().as_fd()),
        Item::Bridge(bridge) => unix::inode(bridge.end().as_fd()),
        Item::Datagram(datagram) => unix::inode(datagram.end().as_fd()),
        _ => 0,
    };
    (slot.id.unwrap_or(0), end)
}

fn address(endpoint: Endpoint) -> Address {
    super::request::mapped(endpoint)
}

fn report(standing: &Standing, (socket, end): (u64, u32)) -> Report {
    let Standing { id: _, protocol, state, local, remote, recv_queue, send_queue, congestion, info } = standing;
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(congestion.unwrap_or_default().bytes()) {
        *to = from;
    }
    let protocol = match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
    };
    Report {
        protocol: protocol as u16,
        state: *state as i32,
        id: socket,
        end,
        recv_queue: *recv_queue,
        send_queue: *send_queue,
        local: address(*local),
        remote: remote.map_or(Address::NONE, address),
        congestion: name,
        info: info.as_ref().and_then(|info| Data::of(plain::tcp_info_bytes(info))).unwrap_or(Data::NONE),
    }
}
