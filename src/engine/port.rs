//! The device and the frames waiting for it. No thread waits for a system call while it holds the stack: frames are
//! queued under the stack's lock and sent after it, by whoever gets the device, for everybody.

use crate::{
    buf::{Frame, Packet},
    device::Device,
    shrink,
    sys::fork,
    time::{Duration, Instant},
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    os::fd::RawFd,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Frames read in one go at most: more would only leave the cache.
const BATCH: usize = 8;
/// A frame at least this large announces more of its kind.
const BULK: usize = 4096;
/// In so many reads there is one after which the device is not read again at once: timers, and what else its reader
/// waits for, have their turn, however fast frames come.
const STREAK: u32 = 16;
/// Frames sent in one go at most: others may go on queueing them. The rest is for whoever drives.
const SHARE: usize = 1024;
/// While a device was found empty less than this ago, a call that does not wait does not look again.
const FRESH: Duration = Duration::from_micros(20);

pub(super) struct Port {
    device: Box<dyn Device>,
    queue: Mutex<VecDeque<Frame>>,
    /// What passed over the loopback, for the device's capture.
    overheard: Mutex<VecDeque<Frame>>,
    has_overheard: AtomicBool,
    /// Held by who hands them over, while nobody needs to wait who has the stack.
    recording: Mutex<()>,
    /// Held by who sends; what it guards is the batch being sent, kept for its memory.
    sending: Mutex<VecDeque<Frame>>,
    /// Whoever sent last has left frames behind.
    has_left: AtomicBool,
    /// Held by who reads.
    reading: Mutex<Reader>,
    /// When the device was last found empty, nanoseconds.
    empty_at: AtomicU64,
    /// The link refused a frame and has not been heard of since.
    down: AtomicBool,
    gone: AtomicBool,
    /// What it said when it went.
    last_words: OnceLock<String>,
    /// The loss of the device has been handed on.
    told: AtomicBool,
    dropped: AtomicU64,
}

/// What the reader expects, from what it saw.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) batch: Vec<Packet>,
    /// The device will probably have a frame at once: worth a read before a poll.
    pub(super) eager: bool,
    rounds: u32,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.fd().inspect(|fd| fork::release(*fd));
    }
}

impl Port {
    pub(super) fn new(device: Box<dyn Device>) -> Self {
        device.poll_fd().inspect(|fd| fork::hold(*fd));
        Self {
            device,
            queue: Mutex::default(),
            overheard: Mutex::default(),
            has_overheard: AtomicBool::new(false),
            recording: Mutex::default(),
            sending: Mutex::default(),
            has_left: AtomicBool::new(false),
            reading: Mutex::default(),
            empty_at: AtomicU64::new(0),
            down: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            last_words: OnceLock::new(),
            told: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn fd(&self) -> Option<RawFd> {
        self.device.poll_fd()
    }

    pub(super) fn is_up(&self) -> bool {
        self.device.is_up()
    }

    /// Whether frames that were sent have not left.
    pub(super) fn holds_frames(&self) -> bool {
        self.device.holds_frames()
    }

    /// The stack ends: what the device has held back or buffered is written out.
    pub(super) fn write_out(&self) {
        self.device.flush();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.has_left.load(Ordering::Acquire) { Some(Instant::ZERO) } else { self.device.deadline() }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// What the device said when it went, unless it is there, or that was told before.
    pub(super) fn take_loss(&self) -> Option<String> {
        let is_news = self.is_gone() && !self.told.swap(true, Ordering::AcqRel);
        self.last_words.get().filter(|_| is_news).cloned()
    }

    /// Frames the device did not take.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Queues up to `most` frames, at least one if there is one, while the stack is locked.
    pub(super) fn enqueue(&self, most: usize, mut next: impl FnMut() -> Option<Frame>) {
        let Some(first) = next() else { return };
        let mut queue = self.queue.lock();
        queue.push_back(first);
        queue.extend(std::iter::from_fn(next).take(most.saturating_sub(1)));
    }

    /// What the queues grew by in a rush is given back.
    pub(super) fn shrink(&self) {
        shrink::queue(&mut self.queue.lock());
        if let Some(mut batch) = self.sending.try_lock() {
            shrink::queue(&mut batch);
        }
    }

    /// Keeps copies of what passed over the loopback, while the stack is locked.
    pub(super) fn overhear(&self, mut next: impl FnMut() -> Option<Frame>) {
        let Some(first) = next() else { return };
        let mut overheard = self.overheard.lock();
        overheard.push_back(first);
        overheard.extend(std::iter::from_fn(next));
        self.has_overheard.store(true, Ordering::Release);
    }

    /// Hands them to the device. Whoever comes meanwhile waits, so that they stay in their order.
    fn record(&self, now: Instant) {
        if self.has_overheard.load(Ordering::Acquire) {
            let _turn = self.recording.lock();
            self.has_overheard.store(false, Ordering::Release);
            let overheard = std::mem::take(&mut *self.overheard.lock());
            overheard.iter().for_each(|frame| self.device.on_loopback(frame, now));
        }
    }

    /// Sends what is queued, unless another thread is at it, which then looks again after letting go. Who has sent its
    /// [`SHARE`] leaves the rest to whoever drives ([`Port::deadline`]).
    pub(super) fn flush(&self, now: Instant) {
        self.record(now);
        let mut share = SHARE;
        loop {
            if !self.has_left.load(Ordering::Acquire) && self.queue.lock().is_empty() {
                return;
            }
            let Some(mut batch) = self.sending.try_lock() else { return };
            if batch.is_empty() {
                std::mem::swap(&mut *self.queue.lock(), &mut batch);
            }
            let count = share.min(batch.len());
            batch.drain(..count).for_each(|frame| self.send(&frame, now));
            share -= count;
            self.has_left.store(!batch.is_empty(), Ordering::Release);
            drop(batch);
            if share == 0 {
                // Looked at after letting go: who queued meanwhile relies on it.
                self.has_left.fetch_or(!self.queue.lock().is_empty(), Ordering::AcqRel);
                return;
            }
        }
    }

    fn send(&self, frame: &Frame, now: Instant) {
        if let Err(error) = self.device.send(frame, now) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.on_error(&error);
        }
    }

    /// The device did not take a frame.
    fn on_error(&self, error: &io::Error) {
        match (error.kind(), error.raw_os_error()) {
            (ErrorKind::WouldBlock, _) => {}
            (_, Some(libc::EIO)) => self.down.store(true, Ordering::Release),
            (_, Some(libc::ENOBUFS | libc::ENOMEM)) => log::debug!("frame dropped: {error}"),
            _ => self.lose(error),
        }
    }

    fn lose(&self, error: &io::Error) {
        self.last_words.get_or_init(|| error.to_string());
        self.gone.store(true, Ordering::Release);
    }

    /// Whether the link was down and is heard of again.
    pub(super) fn came_up(&self) -> bool {
        self.down.load(Ordering::Relaxed) && self.down.swap(false, Ordering::AcqRel)
    }

    /// Whether frames that were held back may come or go now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|at| at <= now)
    }

    /// Frames that were held back leave, and those that were left behind.
    pub(super) fn on_timer(&self, now: Instant) {
        if self.has_left.load(Ordering::Acquire) {
            self.flush(now);
        }
        if self.device.deadline().is_some_and(|at| at <= now)
            && let Err(error) = self.device.on_timer(now)
        {
            self.on_error(&error);
        }
    }

    /// Waits for the reader's place.
    pub(super) fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reading.lock()
    }

    /// The reader's place, if it is free and the device was not found empty a moment ago.
    pub(super) fn try_reader(&self, now: Instant) -> Option<MutexGuard<'_, Reader>> {
        let fresh = now.since(Instant::from_nanos(self.empty_at.load(Ordering::Relaxed))) < FRESH;
        if fresh { None } else { self.reading.try_lock() }
    }

    /// Reads what is there into the reader's batch.
    pub(super) fn read(&self, reader: &mut Reader, now: Instant) {
        // One read is enough for a request that comes alone. More are tried when the first frame was bulk or the last
        // round found more than one, and once in a while to find out.
        reader.rounds = reader.rounds.wrapping_add(1);
        let more = reader.eager || reader.rounds.is_multiple_of(16);
        reader.eager = false;
        self.fill(reader, now, more);
        reader.eager &= !reader.rounds.is_multiple_of(STREAK);
    }

    fn fill(&self, reader: &mut Reader, now: Instant, mut more: bool) {
        while reader.batch.len() < BATCH && !self.is_gone() {
            match self.device.recv(now) {
                Ok(Some(packet)) => {
                    more |= packet.len() >= BULK;
                    reader.eager = packet.len() >= BULK || !reader.batch.is_empty();
                    reader.batch.push(packet);
                    if !more {
                        return;
                    }
                }
                Ok(None) => {
                    self.empty_at.store(now.as_nanos(), Ordering::Relaxed);
                    reader.eager &= reader.batch.len() > 1;
                    return;
                }
                Err(error) => {
                    self.lose(&error);
                    return;
                }
            }
        }
    }
}
