//! Which sockets there are: what sock_diag(7) tells ss(8).

use super::{
    Protocol, SocketId, Stack,
    sockets::{Body, Entry},
};
use crate::{
    addr::Endpoint,
    tcp::{self, State},
    time::Instant,
};

/// One socket.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its id; none for a connection in TIME-WAIT that nobody owns.
    pub id: Option<SocketId>,
    /// What it speaks.
    pub protocol: Protocol,
    /// IPV6_V6ONLY: `::` is then no address of IPv4's.
    pub is_v6only: bool,
    /// Its state; a datagram socket's is `Established` with a peer and `Closed` without, as in Linux.
    pub state: State,
    /// Own end.
    pub local: Endpoint,
    /// Far end.
    pub remote: Option<Endpoint>,
    /// Bytes to be read; a listener's connections to be accepted.
    pub recv_queue: u32,
    /// Bytes not acknowledged; how many connections a listener holds at most.
    pub send_queue: u32,
    /// The congestion control of a connection.
    pub congestion: Option<&'static str>,
    /// TCP_INFO of a connection.
    pub info: Option<tcp::info::Info>,
}

/// Where the connections in TIME-WAIT begin, behind all other sockets.
const TIME_WAITS: u64 = 1 << 32;

impl Stack {
    /// At most `limit` sockets that have a port, and where to go on: begin with 0, end when there is no next.
    pub fn standings(&self, from: u64, limit: usize, now: Instant) -> (Vec<Standing>, Option<u64>) {
        let mut found = Vec::new();
        if let Ok(first) = u32::try_from(from) {
            for (id, entry) in self.sockets.iter_from(first) {
                if found.len() == limit {
                    return (found, Some(id.index.into()));
                }
                found.extend(standing(id, entry, now));
            }
        }
        let skip = usize::try_from(from.saturating_sub(TIME_WAITS)).unwrap_or(usize::MAX);
        let room = limit - found.len();
        let mut waiting = self.time_waits.flows().skip(skip);
        found.extend(waiting.by_ref().take(room).map(|flow| Standing {
            id: None,
            protocol: Protocol::Tcp,
            is_v6only: false,
            state: State::TimeWait,
            local: flow.local,
            remote: Some(flow.remote),
            recv_queue: 0,
            send_queue: 0,
            congestion: None,
            info: None,
        }));
        let next = waiting.next().map(|_| TIME_WAITS + (skip + room) as u64);
        (found, next)
    }
}

fn standing(id: SocketId, entry: &Entry, now: Instant) -> Option<Standing> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let bare = |protocol, state, remote| Standing {
        id: Some(id),
        protocol,
        is_v6only: entry.settings.v6only,
        state,
        local: entry.local,
        remote,
        recv_queue: 0,
        send_queue: 0,
        congestion: None,
        info: None,
    };
    match &entry.body {
        // Linux's are in no table before they connect or listen either.
        Body::Idle(_) => None,
        Body::Listener(listener) => {
            let info = listener.info();
            let (recv_queue, send_queue) = (info.unacked, info.sacked);
            Some(Standing { recv_queue, send_queue, ..bare(Protocol::Tcp, State::Listen, None) })
        }
        Body::Connection(connection) if connection.state() == State::Closed => None,
        Body::Connection(connection) => Some(Standing {
            local: connection.flow().local,
            recv_queue: length(connection.readable()),
            send_queue: length(connection.unacknowledged()),
            congestion: Some(connection.settings.congestion),
            info: Some(connection.info(now)),
            ..bare(Protocol::Tcp, connection.state(), Some(connection.flow().remote))
        }),
        Body::Datagram(_) if entry.local.port == 0 => None,
        Body::Datagram(socket) => {
            let state = if socket.remote.is_some() { State::Established } else { State::Closed };
            Some(Standing {
                recv_queue: length(socket.readable()),
                send_queue: length(socket.unsent()),
                ..bare(Protocol::Udp, state, socket.remote)
            })
        }
    }
}
