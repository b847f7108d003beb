//! What an operator is shown of a stack: its sockets, what it has counted, what it is, and the log. A host answers with
//! it for the stack that it holds, and a program for each that it has made ([`super::listed`]).

use crate::{
    addr::Endpoint,
    counters::Counters,
    engine::{Engine, Loss},
    stack::{Config, Protocol, SocketId, diag::Standing},
    sys::{log, plain, unix},
    time::Instant,
};
use sockeye_shim::{
    address::Address,
    format::{DATA, Data, Response},
    report::Report,
};
use std::{net::IpAddr, os::fd::BorrowedFd};

/// Sockets told in one answer: what a socket's buffer holds.
const AT_ONCE: usize = 64;

/// An endpoint as requests and names carry it.
pub fn mapped(endpoint: Endpoint) -> Address {
    match endpoint.addr {
        IpAddr::V4(v4) => Address::v4(v4.octets(), endpoint.port),
        IpAddr::V6(v6) => Address::v6(v6.octets(), endpoint.port),
    }
}

/// Sends a report for each of some sockets, beginning with `from`, and returns the response that ends the answer.
/// `ends` says how their programs are found: by the id that a program knows, or by an inode.
pub fn sockets(
    engine: &'static Engine,
    to: BorrowedFd<'_>,
    from: u64,
    ends: impl FnOnce(&[Standing]) -> Vec<(u32, u32)>,
) -> Response {
    let (standings, next) = engine.with(|stack, now| stack.standings(from, AT_ONCE, now));
    let ends = ends(&standings);
    for (standing, end) in standings.iter().zip(ends) {
        if unix::send(to, &report(standing, end).to_bytes(), 0).is_err() {
            // Whoever asked has gone.
            return Response::new(libc::EPIPE);
        }
    }
    answer(&next.unwrap_or(0).to_le_bytes())
}

/// What the stack has counted, from the counter numbered `from` on; `mark` makes it what later answers compare with,
/// which `marked` is.
pub fn counters(engine: &'static Engine, marked: &mut Counters, from: u64, mark: bool) -> Response {
    let counted = engine.counters();
    let (mut bytes, mut next) = (vec![0; 8], 0);
    let both = counted.iter().zip(marked.iter()).enumerate();
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
        *marked = counted;
    }
    answer(&bytes)
}

/// What the stack is, from the byte `from` of the text on. `home` is `host`, or `process` for one that no other uses.
pub fn description(
    home: &str,
    (config, loss): (&Config, Option<&Loss>),
    began: Instant,
    (programs, sockets): (usize, usize),
    from: u64,
) -> Response {
    let addresses: Vec<String> = config.addresses.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "home={home}\npid={}\nage={}\nprograms={programs}\nsockets={sockets}\nwarnings={}\ndevice={}\n\
         addresses={}\nnet={config}\n",
        std::process::id(),
        crate::engine::now().since(began).as_secs(),
        log::warnings(),
        device(config),
        addresses.join(" "),
    );
    text.extend(loss.map(|loss| format!("lost={loss}\n")));
    let rest = usize::try_from(from).ok().and_then(|from| text.as_bytes().get(from..)).unwrap_or_default();
    let piece = &rest[..rest.len().min(DATA - 8)];
    let next = if piece.len() < rest.len() { from + piece.len() as u64 } else { 0 };
    answer(&[&next.to_le_bytes()[..], piece].concat())
}

/// The device's name, or its kind where it has none.
pub fn device(config: &Config) -> String {
    if config.name.is_empty() { config.kind.to_string() } else { config.name.clone() }
}

/// What the log has from that byte on.
pub fn log(from: u64) -> Response {
    let (from, piece) = log::read(from, DATA - 8);
    let next = from + piece.len() as u64;
    answer(&[&next.to_le_bytes()[..], &piece].concat())
}

fn answer(bytes: &[u8]) -> Response {
    Response { data: Data::of(bytes).unwrap_or(Data::NONE), ..Response::new(0) }
}

/// The sockets among some standings.
pub fn ids(standings: &[Standing]) -> impl Iterator<Item = SocketId> {
    standings.iter().filter_map(|standing| standing.id)
}

fn report(standing: &Standing, (socket, end): (u32, u32)) -> Report {
    let Standing { id: _, protocol, is_v6only, state, local, remote, recv_queue, send_queue, congestion, info } =
        standing;
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
        is_v6only: *is_v6only,
        state: *state as i32,
        own: socket,
        end,
        recv_queue: *recv_queue,
        send_queue: *send_queue,
        local: mapped(*local),
        remote: remote.map_or(Address::NONE, mapped),
        congestion: name,
        info: info.as_ref().and_then(|info| Data::of(plain::tcp_info_bytes(info))).unwrap_or(Data::NONE),
    }
}
