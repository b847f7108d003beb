//! poll(2) and epoll(7) on the readiness the stack tells.

use super::{
    calls::{Args, Progress, Result, Stop, field, wait as wait_for},
    host::{File, Host, Watch},
    names,
    script::Expr,
};
use sockeye::{error::Error, ready::Ready, stack::with_bands, time::Duration};
use std::collections::BTreeMap;

const POLL: [&str; 9] =
    ["POLLIN", "POLLPRI", "POLLOUT", "POLLERR", "POLLHUP", "POLLNVAL", "POLLRDNORM", "POLLWRNORM", "POLLRDHUP"];
const EPOLL: [&str; 10] = [
    "EPOLLIN",
    "EPOLLPRI",
    "EPOLLOUT",
    "EPOLLERR",
    "EPOLLHUP",
    "EPOLLRDNORM",
    "EPOLLWRNORM",
    "EPOLLRDHUP",
    "EPOLLET",
    "EPOLLONESHOT",
];

fn int(fields: &[(String, Expr)], name: &str) -> Result<i64> {
    match field(fields, name) {
        Some(Expr::Int(value, _)) => Ok(*value),
        _ => Err(Stop::Script(format!("{name}= needs a number"))),
    }
}

fn events(bits: i64, names: &[&str]) -> Expr {
    Expr::Int(bits, if bits == 0 { "0".into() } else { names::flags(bits, names) })
}

/// How long to wait: milliseconds, negative for ever.
fn timeout(millis: i64) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

/// Waits as [`wait_for`] does; the time being over is no error.
fn waits(host: &Host, progress: &mut Progress, millis: i64) -> Result<i64> {
    match wait_for(progress, host.now, millis == 0, timeout(millis), Error::WouldBlock) {
        Err(Stop::Errno(_)) => Ok(0),
        other => other,
    }
}

/// poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 0) = 1
pub fn poll(host: &mut Host, args: &mut Args<'_>, progress: &mut Progress) -> Result<i64> {
    args.count(3)?;
    let Expr::List(entries) = args.given[0].clone() else { return Err(Stop::Script("poll() takes [{...}]".into())) };
    if entries.len() as i64 != args.int(1)? {
        return Err(Stop::Script("the list has another length".into()));
    }
    let (mut count, mut shown) = (0, Vec::new());
    for entry in &entries {
        let Expr::Struct(fields) = entry else { return Err(Stop::Script("poll() takes [{...}]".into())) };
        let asked = int(fields, "events")?;
        let revents = match host.socket(int(fields, "fd")?) {
            Ok(socket) => {
                let (id, protocol) = (socket.id, socket.protocol);
                let mask = Ready(asked as u32) | Ready::ERR | Ready::HUP;
                (with_bands(host.stack.ready(id), protocol) & mask).0
            }
            Err(_) => 0x20,
        };
        count += i64::from(revents != 0);
        let mut fields = fields.clone();
        for (name, value) in &mut fields {
            if name == "revents" {
                *value = events(revents.into(), &POLL);
            }
        }
        shown.push(Expr::Struct(fields));
    }
    if count == 0 {
        waits(host, progress, args.int(2)?)?;
    }
    args.given[0] = Expr::List(shown);
    Ok(count)
}

pub fn create(host: &mut Host, args: &Args<'_>) -> Result<i64> {
    args.count(1)?;
    let size = args.int(0)?;
    if args.call.name == "epoll_create" && size <= 0 || args.call.name == "epoll_create1" && size & !0x8_0000 != 0 {
        return Err(Error::Invalid.into());
    }
    let fd = args.new_fd()?;
    host.install_file(fd, File::Epoll(BTreeMap::new()))?;
    Ok(fd)
}

fn watches(host: &mut Host, fd: i64) -> Result<&mut BTreeMap<i64, Watch>> {
    match host.files.get_mut(&fd) {
        Some(File::Epoll(watches)) => Ok(watches),
        Some(File::Socket(_)) => Err(Error::Invalid.into()),
        None => Err(Error::BadDescriptor.into()),
    }
}

/// epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN, fd=4}) = 0
pub fn control(host: &mut Host, args: &Args<'_>) -> Result<i64> {
    args.count(4)?;
    let (epoll, fd) = (args.int(0)?, args.int(2)?);
    let socket = host.socket(fd)?;
    let (id, protocol) = (socket.id, socket.protocol);
    let is_known = watches(host, epoll)?.contains_key(&fd);
    let op = args.int(1)? as i32;
    match (op, is_known) {
        (libc::EPOLL_CTL_ADD, true) => return Err(Error::Exists.into()),
        (libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL, false) => return Err(Error::NotFound.into()),
        (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD, _) => {}
        (libc::EPOLL_CTL_DEL, true) => {
            watches(host, epoll)?.remove(&fd);
            return Ok(0);
        }
        _ => return Err(Error::Invalid.into()),
    }
    let Expr::Struct(fields) = &args.given[3] else { return Err(Stop::Script("an event is {events=, fd=}".into())) };
    let data = fields.iter().find(|(name, _)| matches!(name.as_str(), "fd" | "ptr" | "u32" | "u64"));
    let data = match data {
        Some((name, Expr::Int(value, _))) => (name.clone(), *value),
        _ => return Err(Stop::Script("an event needs its fd=, ptr=, u32= or u64=".into())),
    };
    let events = int(fields, "events")? as u32;
    watches(host, epoll)?.insert(fd, Watch { id, protocol, events, data, edge: true, spent: false });
    Ok(0)
}

/// epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1; several events are a list.
pub fn wait(host: &mut Host, args: &mut Args<'_>, progress: &mut Progress) -> Result<i64> {
    args.count(4)?;
    let (epoll, most) = (args.int(0)?, args.int(2)?);
    if most <= 0 {
        return Err(Error::Invalid.into());
    }
    let found = collect(host, epoll, most as usize)?;
    if found.is_empty() {
        return waits(host, progress, args.int(3)?);
    }
    let count = found.len() as i64;
    args.given[1] = match (&args.given[1], <[Expr; 1]>::try_from(found)) {
        (Expr::Any, _) => Expr::Any,
        (Expr::List(_), Ok([one])) => Expr::List(vec![one]),
        (_, Ok([one])) => one,
        (_, Err(many)) => Expr::List(many),
    };
    Ok(count)
}

fn collect(host: &mut Host, epoll: i64, most: usize) -> Result<Vec<Expr>> {
    let mut entries: Vec<_> = watches(host, epoll)?.clone().into_iter().collect();
    let mut found = Vec::new();
    for (_, watch) in &mut entries {
        if found.len() >= most || watch.spent {
            continue;
        }
        let is_edge = watch.events & libc::EPOLLET as u32 != 0;
        if is_edge && !watch.edge {
            continue;
        }
        watch.edge = false;
        let asked = watch.events & !(libc::EPOLLET | libc::EPOLLONESHOT | libc::EPOLLEXCLUSIVE) as u32;
        let ready = with_bands(host.stack.ready(watch.id), watch.protocol) & (Ready(asked) | Ready::ERR | Ready::HUP);
        if ready.is_empty() {
            continue;
        }
        watch.spent = watch.events & libc::EPOLLONESHOT as u32 != 0;
        let (name, value) = watch.data.clone();
        found.push(Expr::Struct(vec![("events".into(), events(ready.0.into(), &EPOLL)), (name, Expr::int(value))]));
    }
    *watches(host, epoll)? = entries.into_iter().collect();
    Ok(found)
}
