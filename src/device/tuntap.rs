//! TAP and TUN devices: Ethernet frames or IP packets to and from the kernel by a descriptor. With a virtio-net header
//! in front of each frame, where the kernel and the user allow it, otherwise plain.

use super::{
    Device,
    error::{Cause, OpenError},
    segment,
    vnet::{self, Coalesced},
};
use crate::{
    buf::{Buf, Frame, Gso, Packet, Pool},
    stack::{Capabilities, Medium},
    sys::{
        holder::{self, Holder},
        ifreq, transfer,
        tun::{self, flag},
    },
    time::{Duration, Instant},
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// A buffer takes the virtio-net header, an Ethernet header with VLAN tags, and the largest IP packet.
const BUFFER: usize = 65_536 + 128;
/// Frames up to this many bytes are copied out, so that the buffer is read into again at once.
const SMALL: usize = 2_048;
/// Slices of a frame that are handed to writev(2) without allocating.
const FEW: usize = 20;
/// IOV_MAX of the kernel.
const MANY: usize = 1_024;
/// Largest IP packet.
const LARGEST: u32 = 65_535;

/// An open TAP or TUN device.
pub struct TunTap {
    kind: &'static str,
    name: String,
    fd: OwnedFd,
    medium: Medium,
    mtu: u32,
    offloads: Offloads,
    reading: Mutex<Reading>,
    /// `reading.datagrams` has some.
    has_datagrams: AtomicBool,
    /// The last frame was refused because the device is down, and that has been said.
    is_down: AtomicBool,
}

/// What the kernel's side of the device does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Offloads {
    /// Frames have a virtio-net header: checksums are finished and TCP is split for us.
    vnet: bool,
    /// UDP is split for us as well.
    udp: bool,
}

/// What the one who receives needs.
struct Reading {
    pool: Pool,
    /// The buffer the next frame is read into.
    buf: Option<Buf>,
    /// Datagrams that came coalesced, and wait to be taken one by one.
    datagrams: VecDeque<Packet>,
}

/// Frames passed over in one call at most because they are none.
const UNFIT: u32 = 32;

/// How often, and how long apart, a busy device is tried again.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

impl TunTap {
    /// Attaches to the TAP (`Medium::Ethernet`) or TUN device `name`; one that does not exist is made, and goes away
    /// when it is closed. The device is neither given an address nor set up. `mtu` overrides the device's.
    ///
    /// # Errors
    /// What stood in the way, with the cure.
    pub fn open(name: &str, medium: Medium, offload: bool, mtu: Option<u32>) -> Result<Self, OpenError> {
        let kind = kind_of(medium);
        let fail = |cause| OpenError::new(kind, name, cause);
        let other = |step| move |error: io::Error| fail(judge(error, step));
        if name.len() > 15 {
            return Err(fail(Cause::NameTooLong));
        }
        let (fd, offloads) = attach_patiently(name, medium, offload).map_err(fail)?;
        tun::set_nonblocking(fd.as_fd()).map_err(other("fcntl"))?;
        let mtu = match mtu {
            Some(mtu) => mtu,
            None => ifreq::mtu(name).map_err(other("reading its MTU"))?.clamp(68, LARGEST),
        };
        log::debug!("{kind} {name} is open, mtu {mtu}, {offloads:?}");
        let reading = Reading { pool: Pool::new(BUFFER), buf: None, datagrams: VecDeque::new() };
        Ok(Self {
            kind,
            name: name.to_owned(),
            fd,
            medium,
            mtu,
            offloads,
            reading: Mutex::new(reading),
            has_datagrams: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
        })
    }

    /// Hands a frame that needs nothing done in software to the kernel.
    fn write(&self, frame: &Frame) -> io::Result<()> {
        let header = vnet::Header::for_frame(frame, self.medium).emit();
        let first: &[u8] = if self.offloads.vnet { &header } else { &[] };
        let mut slices = [IoSlice::new(&[]); FEW];
        (slices[0], slices[1]) = (IoSlice::new(first), IoSlice::new(frame.head()));
        let mut used = 2;
        for slice in frame.body() {
            if used == FEW {
                return self.write_many(first, frame);
            }
            slices[used] = IoSlice::new(slice);
            used += 1;
        }
        self.write_slices(&slices[usize::from(first.is_empty())..used])
    }

    /// The same for a frame of unusually many slices.
    fn write_many(&self, first: &[u8], frame: &Frame) -> io::Result<()> {
        let body = frame.body().map(|slice| &slice[..]);
        let slices: Vec<IoSlice<'_>> = [first, frame.head()].into_iter().chain(body).map(IoSlice::new).collect();
        if slices.len() <= MANY {
            return self.write_slices(&slices);
        }
        self.write_slices(&[IoSlice::new(first), IoSlice::new(&frame.to_vec())])
    }

    fn write_slices(&self, slices: &[IoSlice<'_>]) -> io::Result<()> {
        loop {
            match transfer::writev(self.fd.as_fd(), slices) {
                Ok(_) => {
                    self.on_up();
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.on_send_error(error)),
            }
        }
    }

    fn on_up(&self) {
        if self.is_down.load(Relaxed) {
            self.is_down.store(false, Relaxed);
        }
    }

    fn on_send_error(&self, error: io::Error) -> io::Error {
        let Self { kind, name, .. } = self;
        match error.raw_os_error() {
            Some(libc::EIO) => {
                if !self.is_down.swap(true, Relaxed) {
                    log::warn!("{kind} {name} is down and drops what is sent; set it up with `ip link set {name} up`");
                }
                error
            }
            Some(libc::EBADFD | libc::EBADF | libc::ENODEV | libc::ENXIO) => self.gone(),
            // The kernel did not take this one frame: no room, or it found fault with it. The next may pass.
            _ => {
                log::debug!("{kind} {name} refused a frame: {error}");
                io::ErrorKind::WouldBlock.into()
            }
        }
    }

    fn gone(&self) -> io::Error {
        io::Error::new(io::ErrorKind::NotFound, format!("{} {} was deleted", self.kind, self.name))
    }

    /// Reads one frame: how many bytes, or `None` when there is none now.
    fn read(&self, into: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match transfer::read(self.fd.as_fd(), into) {
                Ok(len) => return Ok(Some(len)),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN | libc::ENOMEM | libc::ENOBUFS) => return Ok(None),
                    Some(libc::EBADFD | libc::EBADF | libc::ENODEV | libc::ENXIO) => return Err(self.gone()),
                    _ => return Err(error),
                },
            }
        }
    }

    /// The packet in the first `len` bytes of `buf`, which is read into again if the packet is small.
    fn packet(&self, reading: &mut Reading, buf: Buf, len: usize) -> Option<Packet> {
        let (start, header) = match self.offloads.vnet {
            true => (vnet::LEN, vnet::Header::parse(&buf[..len])?),
            false => (0, vnet::Header::default()),
        };
        let mut packet = if len <= SMALL {
            let packet = Packet::copy_from(&buf[start..len]);
            reading.buf = Some(buf);
            packet
        } else {
            Packet::new(buf, start..len)
        };
        packet.meta = header.meta();
        if header.coalesced() != Coalesced::Udp {
            return Some(packet);
        }
        // Datagrams keep their ends, which only the sender's socket asked to be coalesced (UDP_SEGMENT).
        let whole = segment::coalesced(&packet, self.medium)?;
        let each = &mut |datagram: &mut Frame| {
            reading.datagrams.push_back(datagram.to_packet());
            Ok(())
        };
        segment::split(&whole, self.medium, each).ok()?;
        let first = reading.datagrams.pop_front();
        self.has_datagrams.store(!reading.datagrams.is_empty(), Relaxed);
        first
    }
}

impl AsFd for TunTap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Device for TunTap {
    fn capabilities(&self) -> Capabilities {
        let max_frame = if self.offloads.vnet { LARGEST } else { self.mtu };
        Capabilities { medium: self.medium, mtu: self.mtu, max_frame, tx_checksum: self.offloads.vnet }
    }

    fn recv(&self, _now: Instant) -> io::Result<Option<Packet>> {
        let reading = &mut *self.reading.lock();
        if let Some(packet) = reading.datagrams.pop_front() {
            self.has_datagrams.store(!reading.datagrams.is_empty(), Relaxed);
            return Ok(Some(packet));
        }
        for _ in 0..UNFIT {
            let mut buf = reading.buf.take().unwrap_or_else(|| reading.pool.take());
            let Some(len) = self.read(&mut buf)? else {
                reading.buf = Some(buf);
                return Ok(None);
            };
            self.on_up();
            if let Some(packet) = self.packet(reading, buf, len) {
                return Ok(Some(packet));
            }
        }
        // What is there shows by its descriptor.
        Ok(None)
    }

    fn send(&self, frame: &Frame, _now: Instant) -> io::Result<()> {
        let Offloads { vnet, udp } = self.offloads;
        let is_split_for_us = |gso: Gso| vnet && (gso.tcp || udp);
        if frame.gso.is_some_and(|gso| !is_split_for_us(gso)) {
            return segment::split(frame, self.medium, &mut |segment| {
                if !vnet {
                    segment::complete(segment);
                }
                self.write(segment)
            });
        }
        if !vnet && frame.partial_checksum().is_some() {
            let mut frame = frame.clone();
            segment::complete(&mut frame);
            return self.write(&frame);
        }
        self.write(frame)
    }

    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.fd.as_raw_fd())
    }

    fn deadline(&self) -> Option<Instant> {
        self.has_datagrams.load(Relaxed).then_some(Instant::ZERO)
    }

    fn is_up(&self) -> bool {
        ifreq::is_up(&self.name).unwrap_or(false)
    }
}

const fn kind_of(medium: Medium) -> &'static str {
    match medium {
        Medium::Ethernet => "tap",
        Medium::Ip => "tun",
    }
}

/// Attaches, also when the device is busy for a moment: a process that let go of it may have a child between fork and
/// exec, which holds it that long.
fn attach_patiently(name: &str, medium: Medium, offload: bool) -> Result<(OwnedFd, Offloads), Cause> {
    for _ in 0..TRIES {
        match attach(name, medium, offload) {
            Err(Cause::Busy(_)) => std::thread::sleep(BETWEEN_TRIES),
            attached => return attached,
        }
    }
    attach(name, medium, offload).map_err(|cause| match cause {
        Cause::Busy(_) => Cause::Busy(holder::of(name)),
        cause => cause,
    })
}

/// Opens /dev/net/tun and attaches to the device, with a virtio-net header if `offload` and the kernel allow.
fn attach(name: &str, medium: Medium, offload: bool) -> Result<(OwnedFd, Offloads), Cause> {
    let fd = tun::open().map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => Cause::NoTun,
        Some(libc::EPERM | libc::EACCES) => Cause::TunForbidden,
        _ => judge(error, "opening /dev/net/tun"),
    })?;
    let (layer, mode) = match medium {
        Medium::Ethernet => (flag::TAP, tun_tap::Mode::Tap),
        Medium::Ip => (flag::TUN, tun_tap::Mode::Tun),
    };
    if offload {
        match tun::attach(fd.as_fd(), name, layer | flag::NO_PI | flag::VNET_HDR) {
            Ok(()) => return with_offload(fd),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            Err(error) => return Err(judge_attach(error, name, medium)),
        }
    }
    match tun::open_plain(name, mode) {
        // A persistent device keeps the offloads its last user asked for; a plain reader can do none of them.
        Ok(plain) => tun::set_offload(plain.as_fd(), 0)
            .map(|()| (plain, Offloads { vnet: false, udp: false }))
            .map_err(|error| judge(error, "TUNSETOFFLOAD")),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && existing_kind(name, medium).is_none() => {
            attach_queue(fd, name, layer, offload).map_err(|error| judge_attach(error, name, medium))
        }
        Err(error) => Err(judge_attach(error, name, medium)),
    }
}

/// Attaches to a device that was made with `multi_queue`: to one queue of it, and only if it is the only one in use,
/// or part of the frames would go to the other.
fn attach_queue(fd: OwnedFd, name: &str, layer: i16, offload: bool) -> io::Result<(OwnedFd, Offloads)> {
    let header = if offload { flag::VNET_HDR } else { 0 };
    tun::attach(fd.as_fd(), name, layer | flag::NO_PI | flag::MULTI_QUEUE | header)?;
    if ifreq::queues_in_use(name).is_ok_and(|queues| queues > 1) {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    if tun::flags(fd.as_fd())? & flag::VNET_HDR != 0 {
        return with_offload(fd).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    }
    tun::set_offload(fd.as_fd(), 0)?;
    Ok((fd, Offloads { vnet: false, udp: false }))
}

/// Asks for all offloads and comes down to those the kernel has.
fn with_offload(fd: OwnedFd) -> Result<(OwnedFd, Offloads), Cause> {
    const TCP: u32 = tun::TUN_F_CSUM | tun::TUN_F_TSO4 | tun::TUN_F_TSO6 | tun::TUN_F_TSO_ECN;
    tun::set_vnet_header(fd.as_fd(), vnet::LEN as i32).map_err(|error| judge(error, "TUNSETVNETHDRSZ"))?;
    for bits in [TCP | tun::TUN_F_USO4 | tun::TUN_F_USO6, TCP, TCP & !tun::TUN_F_TSO_ECN, tun::TUN_F_CSUM, 0] {
        if tun::set_offload(fd.as_fd(), bits).is_ok() {
            return Ok((fd, Offloads { vnet: true, udp: bits & tun::TUN_F_USO4 != 0 }));
        }
    }
    Ok((fd, Offloads { vnet: true, udp: false }))
}

/// What the interface `name` is, if there is one and it is not the device we are after.
fn existing_kind(name: &str, medium: Medium) -> Option<String> {
    ifreq::mtu(name).ok()?;
    match ifreq::driver(name) {
        Ok((driver, bus)) if driver == "tun" && bus == kind_of(medium) => None,
        Ok((driver, bus)) if driver == "tun" => Some(format!("a {} device", bus.to_uppercase())),
        Ok((driver, _)) => Some(format!("no TAP or TUN device, its driver is {driver}")),
        Err(_) => Some("no TAP or TUN device".to_owned()),
    }
}

/// The cause behind an error of TUNSETIFF.
fn judge_attach(error: io::Error, name: &str, medium: Medium) -> Cause {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) if ifreq::mtu(name).is_ok() => Cause::MayNotAttach,
        Some(libc::EPERM | libc::EACCES) => Cause::MayNotMake,
        Some(libc::EBUSY) => Cause::Busy(Holder::Unseen),
        Some(libc::EINVAL) => match existing_kind(name, medium) {
            Some(kind) => Cause::WrongKind(kind),
            None => judge(error, "TUNSETIFF"),
        },
        _ => judge(error, "TUNSETIFF"),
    }
}

/// The cause behind an error of any other step.
fn judge(error: io::Error, step: &'static str) -> Cause {
    match error.raw_os_error() {
        Some(libc::EMFILE) => Cause::TooManyFiles,
        Some(libc::ENFILE) => Cause::FileTableFull,
        Some(libc::ENOMEM | libc::ENOBUFS) => Cause::NoMemory,
        _ => Cause::Other(step, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shortage_has_a_cause_of_its_own() {
        let text = |errno| {
            let cause = judge(io::Error::from_raw_os_error(errno), "opening /dev/net/tun");
            OpenError::new("tap", "t0", cause).to_string()
        };
        for (errno, part) in [
            (libc::EMFILE, "the process is out of descriptors; raise the limit"),
            (libc::ENFILE, "the machine is out of descriptors; raise fs.file-max"),
            (libc::ENOMEM, "out of memory"),
            (libc::EIO, "opening /dev/net/tun failed: Input/output error"),
        ] {
            assert!(text(errno).contains(part), "{}", text(errno));
        }
    }

    #[test]
    fn a_name_the_kernel_would_cut_short_is_refused() {
        let error = TunTap::open("abcdefghijklmnop", Medium::Ip, true, None).err().unwrap();
        assert!(error.to_string().contains("at most 15 bytes"));
    }
}
