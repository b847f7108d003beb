//! The stack under test, and the wire it is on.

use parking_lot::Mutex;
use sockeye::{
    buf::Frame,
    device::{Device, segment},
    engine::Engine,
    socket::stacks,
    stack::{Capabilities, Config, Medium},
    time::Instant,
    wire::checksum,
};
use std::{collections::VecDeque, ffi::c_void, io, os::fd::RawFd, sync::Arc};

/// Initial sequence numbers, ports and the like are the same at every run.
const SEED: [u64; 2] = [7, 7];
/// The MTU of an Ethernet, if nothing else was said.
const MTU: u32 = 1500;
/// The stack sends as Linux does to a device with TSO: it may wait for a larger frame, which is then cut here.
const LARGEST_FRAME: u32 = 65_535;

/// The packets that left the stack, each with the time it left at.
pub struct Wire {
    capabilities: Capabilities,
    sent: Mutex<VecDeque<(Instant, Vec<u8>)>>,
}

impl Wire {
    /// The packet that left first of those not asked for yet.
    pub fn take(&self) -> Option<(Instant, Vec<u8>)> {
        self.sent.lock().pop_front()
    }

    /// Whether there is one.
    pub fn has_packets(&self) -> bool {
        !self.sent.lock().is_empty()
    }
}

impl Device for Wire {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// What comes in is handed to the stack at once.
    fn recv(&self, _now: Instant) -> io::Result<Option<sockeye::buf::Packet>> {
        Ok(None)
    }

    fn send(&self, frame: &Frame, now: Instant) -> io::Result<()> {
        segment::split(frame, self.capabilities.medium, &mut |packet| {
            checksum::finish(packet);
            self.sent.lock().push_back((now, packet.to_vec()));
            Ok(())
        })
    }

    fn poll_fd(&self) -> Option<RawFd> {
        None
    }
}

/// What `userdata` points to.
pub struct Bench {
    /// The stack's number among the process's.
    pub stack: u32,
    /// Its engine.
    pub engine: &'static Engine,
    /// Its device.
    pub wire: Arc<Wire>,
    /// What the file of settings said last.
    pub sysctl: Mutex<String>,
}

impl Bench {
    /// Starts a stack on a wire of its own.
    pub fn new(config: Config) -> Box<Self> {
        let mtu = config.mtu.unwrap_or(MTU);
        let capabilities = Capabilities { medium: Medium::Ip, mtu, max_frame: LARGEST_FRAME, tx_checksum: true };
        let wire = Arc::new(Wire { capabilities, sent: Mutex::default() });
        let engine = Engine::start_in_virtual_time(config, Box::new(Arc::clone(&wire)), SEED);
        Box::new(Self { stack: stacks::adopt(engine), engine, wire, sysctl: Mutex::default() })
    }

    /// The one that `userdata` is.
    ///
    /// # Safety
    /// `userdata` is what [`crate::Interface::of`] made of a bench, which was not freed.
    pub unsafe fn at<'a>(userdata: *mut c_void) -> &'a Self {
        // SAFETY: as above.
        unsafe { &*userdata.cast() }
    }
}
