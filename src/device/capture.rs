//! A capture of what the stack sends and receives, in pcapng, around any device. Directions and nanoseconds are kept;
//! checksums that an offload would finish are finished in the copy; super-frames are recorded as they are. What passes
//! over the stack's loopback is in it too, as the traffic of a second interface, `lo`.

use super::{Device, segment};
use crate::{
    buf::{Frame, Packet},
    stack::{Capabilities, Medium},
    sys::{self, transfer},
    time::{Duration, Instant},
};
use parking_lot::Mutex;
use pcap_file::{
    DataLink, PcapError,
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
        },
    },
};
use std::{
    borrow::Cow,
    fs::{File, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::{AsFd, RawFd},
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// What was recorded is in the file after this time at the latest.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// Bytes recorded before they are written out at once.
const BUFFER: usize = 256 * 1024;
/// Larger than any frame.
const SNAP_LENGTH: u32 = 262_144;
/// Flags of a packet block: received, or sent.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// The loopback as tcpdump shows Linux's: an Ethernet header without addresses in front of each datagram.
const LOOPBACK_HEADER: [u8; 14] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0];

/// A device whose traffic is recorded.
pub struct Capture {
    inner: Box<dyn Device>,
    medium: Medium,
    /// The interface and the file, for log lines.
    what: String,
    recorder: Mutex<Option<Recorder>>,
    /// When what is buffered must be written out, in nanoseconds; `u64::MAX` when nothing is.
    flush_at: AtomicU64,
}

struct Recorder {
    writer: PcapNgWriter<Sink>,
    medium: Medium,
    /// How many interfaces the file describes.
    interfaces: u32,
    /// The loopback's number in the file, once something has passed over it.
    loopback: Option<u32>,
    /// Time of day.
    wall: fn() -> Duration,
    /// The time of day at the origin of the stack's clock, known from the first frame on.
    origin: Option<Duration>,
}

/// The file behind a buffer of our own: std's would write by libc's wrappers.
struct Sink {
    file: File,
    buffer: Vec<u8>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut from = 0;
        while from < self.buffer.len() {
            match transfer::write(self.file.as_fd(), &self.buffer[from..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => from += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.clear();
        Ok(())
    }
}

/// Makes a file, or empties one, that nobody but its owner can read: what goes over a wire is not everybody's. A device
/// or another's file is taken as it is.
fn create_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let present = file.metadata()?;
    if present.is_file() && present.uid() == sys::unix::own_uid() && present.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

impl Recorder {
    fn create(path: &Path, name: Option<&str>, medium: Medium, wall: fn() -> Duration) -> io::Result<Self> {
        if std::fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo()) {
            let problem = "it is a pipe, whose reader could stop the stack or end the program";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let sink = Sink { file: create_private(path)?, buffer: Vec::new() };
        let writer = PcapNgWriter::new(sink).map_err(io_error)?;
        let mut recorder = Self { writer, medium, interfaces: 0, loopback: None, wall, origin: None };
        match name {
            Some(name) => _ = recorder.describe(name)?,
            None => recorder.loopback = Some(recorder.describe("lo")?),
        }
        recorder.writer.get_mut().flush()?;
        Ok(recorder)
    }

    /// Adds an interface to the file, and returns its number. All are of one link type: libpcap reads no others.
    fn describe(&mut self, name: &str) -> io::Result<u32> {
        let interface = InterfaceDescriptionBlock {
            linktype: match self.medium {
                Medium::Ethernet => DataLink::ETHERNET,
                Medium::Ip => DataLink::RAW,
            },
            snaplen: SNAP_LENGTH,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                // Time stamps count units of 10^-9 seconds.
                InterfaceDescriptionOption::IfTsResol(9),
            ],
        };
        self.writer.write_pcapng_block(interface.into_owned()).map_err(io_error)?;
        self.interfaces += 1;
        Ok(self.interfaces - 1)
    }

    fn record_loopback(&mut self, datagram: &[u8], now: Instant) -> io::Result<()> {
        let interface = match self.loopback {
            Some(interface) => interface,
            None => {
                let interface = self.describe("lo")?;
                *self.loopback.insert(interface)
            }
        };
        match self.medium {
            Medium::Ethernet => self.record(interface, &[&LOOPBACK_HEADER[..], datagram].concat(), INBOUND, now),
            Medium::Ip => self.record(interface, datagram, INBOUND, now),
        }
    }

    fn record(&mut self, interface_id: u32, bytes: &[u8], direction: u32, now: Instant) -> io::Result<()> {
        let since_start = Duration::from_nanos(now.as_nanos());
        let origin = *self.origin.get_or_insert_with(|| (self.wall)().saturating_sub(since_start));
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: origin + since_start,
            original_len: bytes.len() as u32,
            data: Cow::Borrowed(bytes),
            options: vec![EnhancedPacketOption::Flags(direction)],
        };
        self.writer.write_pcapng_block(block).map_err(io_error)?;
        if self.writer.get_ref().buffer.len() >= BUFFER { self.writer.get_mut().flush() } else { Ok(()) }
    }
}

impl Capture {
    /// Records the traffic of `inner`, an interface called `name`, or of the loopback alone, in a new file at `path`.
    /// `wall` tells the time of day since the Unix epoch.
    ///
    /// # Errors
    /// The file cannot be made or written.
    pub fn create(inner: Box<dyn Device>, name: Option<&str>, path: &Path, wall: fn() -> Duration) -> io::Result<Self> {
        let medium = inner.capabilities().medium;
        let recorder = Recorder::create(path, name, medium, wall)?;
        let flush_at = AtomicU64::new(u64::MAX);
        let what = format!("{} in {}", name.unwrap_or("lo"), path.display());
        Ok(Self { inner, medium, what, recorder: Mutex::new(Some(recorder)), flush_at })
    }

    /// Does something with the recorder. When that fails the capture ends, and the stack goes on.
    fn with(&self, act: impl FnOnce(&mut Recorder) -> io::Result<()>) {
        let mut recorder = self.recorder.lock();
        if let Some(Err(error)) = recorder.as_mut().map(act) {
            log::error!("the capture of {} ends here: {error}", self.what);
            *recorder = None;
            self.flush_at.store(u64::MAX, Relaxed);
        }
    }

    fn record(&self, bytes: &[u8], direction: u32, now: Instant) {
        self.flush_soon(now);
        self.with(|recorder| recorder.record(0, bytes, direction, now));
    }

    fn flush_soon(&self, now: Instant) {
        if self.flush_at.load(Relaxed) == u64::MAX {
            self.flush_at.store((now + FLUSH_AFTER).as_nanos(), Relaxed);
        }
    }

    fn is_recording(&self) -> bool {
        self.recorder.lock().is_some()
    }

    fn flush_file(&self) {
        self.flush_at.store(u64::MAX, Relaxed);
        self.with(|recorder| recorder.writer.get_mut().flush());
    }
}

impl Device for Capture {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn recv(&self, now: Instant) -> io::Result<Option<Packet>> {
        let packet = self.inner.recv(now)?;
        if let Some(packet) = packet.as_ref().filter(|_| self.is_recording()) {
            if packet.meta.checksum_ok {
                let mut bytes = packet.bytes().to_vec();
                segment::complete_received(&mut bytes, self.medium);
                self.record(&bytes, INBOUND, now);
            } else {
                self.record(packet.bytes(), INBOUND, now);
            }
        }
        Ok(packet)
    }

    fn send(&self, frame: &Frame, now: Instant) -> io::Result<()> {
        // Before it leaves, or its answer might be recorded first.
        if self.is_recording() {
            let mut copy = frame.clone();
            segment::complete(&mut copy);
            self.record(&copy.to_vec(), OUTBOUND, now);
        }
        self.inner.send(frame, now)
    }

    fn poll_fd(&self) -> Option<RawFd> {
        self.inner.poll_fd()
    }

    fn deadline(&self) -> Option<Instant> {
        let flush_at = Some(self.flush_at.load(Relaxed)).filter(|at| *at != u64::MAX).map(Instant::from_nanos);
        [flush_at, self.inner.deadline()].into_iter().flatten().min()
    }

    fn on_timer(&self, now: Instant) -> io::Result<()> {
        if self.flush_at.load(Relaxed) <= now.as_nanos() {
            self.flush_file();
        }
        self.inner.on_timer(now)
    }

    fn is_up(&self) -> bool {
        self.inner.is_up()
    }

    fn holds_frames(&self) -> bool {
        self.inner.holds_frames()
    }

    fn on_loopback(&self, frame: &Frame, now: Instant) {
        if self.is_recording() {
            let mut copy = frame.clone();
            segment::complete(&mut copy);
            self.flush_soon(now);
            self.with(|recorder| recorder.record_loopback(&copy.to_vec(), now));
        }
    }

    fn flush(&self) {
        self.flush_file();
        self.inner.flush();
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.flush_file();
    }
}

#[cfg(test)]
#[path = "capture/tests.rs"]
mod tests;
