//! Arguments of the waiting calls: times, sets and signal masks.

use crate::{
    engine,
    error::{Error, Result},
    socket::{
        poll::Timeout,
        select::{self, SET_SIZE, Set},
    },
    sys::user,
    time::Duration,
};
use std::ffi::c_int;

/// Bytes of a set.
const SET_BYTES: usize = SET_SIZE / 8;

/// The signal mask at `addr`, if there is one.
pub(super) fn mask(addr: usize) -> Result<Option<libc::sigset_t>> {
    if addr == 0 { Ok(None) } else { user::read(addr).map(Some) }
}

/// The time at `addr`: seconds and `scale`ths of a nanosecond's milliard.
fn timeout(addr: usize, nanos_each: i64) -> Result<Timeout> {
    if addr == 0 {
        return Ok(Timeout::Never);
    }
    let [seconds, fraction] = user::read::<[libc::c_long; 2]>(addr)?;
    let seconds = u64::try_from(seconds).map_err(|_| Error::Invalid)?;
    let nanos = u32::try_from(fraction.saturating_mul(nanos_each)).ok().filter(|nanos| *nanos < 1_000_000_000);
    Ok(Timeout::from_duration(Duration::new(seconds, nanos.ok_or(Error::Invalid)?)))
}

/// The `struct timespec` at `addr`; NULL is for ever.
pub(super) fn timespec(addr: usize) -> Result<Timeout> {
    timeout(addr, 1)
}

/// The first `len` bytes of a set.
fn read_set(addr: usize, len: usize) -> Result<Option<Set>> {
    if addr == 0 {
        return Ok(None);
    }
    let mut bytes = [0; SET_BYTES];
    user::read_bytes(addr, &mut bytes[..len])?;
    let mut set = Set::default();
    for (word, bytes) in set.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    Ok(Some(set))
}

fn write_set(addr: usize, len: usize, set: Option<&Set>) -> Result<()> {
    let Some(set) = set else { return Ok(()) };
    let mut bytes = [0; SET_BYTES];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(set) {
        *bytes = word.to_ne_bytes();
    }
    user::write_bytes(addr, &bytes[..len])
}

/// select(2). Sets are read and written as far as `count` reaches, and the time is replaced by what is left of it, both
/// as on Linux.
pub(super) fn select_at(count: c_int, sets: [usize; 3], time: usize) -> Result<usize> {
    let wait = timeout(time, 1000)?;
    select_sets(count, sets, wait, None, || report_rest(wait, time))
}

/// pselect(2) as glibc has it: the time stays as it was.
pub(super) fn pselect_at(count: c_int, sets: [usize; 3], time: usize, sigmask: usize) -> Result<usize> {
    let wait = timespec(time)?;
    select_sets(count, sets, wait, mask(sigmask)?.as_ref(), || ())
}

fn select_sets(
    count: c_int,
    sets: [usize; 3],
    wait: Timeout,
    mask: Option<&libc::sigset_t>,
    after: impl FnOnce(),
) -> Result<usize> {
    let len = usize::try_from(count).ok().filter(|count| *count <= SET_SIZE).ok_or(Error::Invalid)?.div_ceil(64) * 8;
    let [mut read, mut write, mut except] = [read_set(sets[0], len)?, read_set(sets[1], len)?, read_set(sets[2], len)?];
    let found = select::select(count, [read.as_mut(), write.as_mut(), except.as_mut()], wait, mask);
    after();
    let found = found?;
    for (addr, set) in sets.into_iter().zip([&read, &write, &except]) {
        write_set(addr, len, set.as_ref())?;
    }
    Ok(found)
}

fn report_rest(wait: Timeout, time: usize) {
    if let Timeout::At(until) = wait {
        let left = until.since(engine::now());
        // A time in memory that cannot be written is left as it was.
        let _ = user::write(time, [left.as_secs() as libc::c_long, left.subsec_micros().into()]);
    }
}
