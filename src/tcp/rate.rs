//! How fast the path delivers: samples of the delivery rate (draft-ietf-ccwg-bbr section 4.1, Linux's tcp_rate.c).
//!
//! Everything sent is stamped with what had been delivered by then. When it is delivered itself, the difference over
//! the time that passed is a sample. The time is that of sending or that of acknowledging, whichever was longer: the
//! rate can be neither faster than we sent nor than acknowledgements came, however these were bunched.

use super::send_queue::Sent;
use crate::{
    time::{Duration, Instant},
    wire::seq::SeqNum,
};

/// How the delivery stood when a stretch was sent. Amounts are bytes and wrap, times microseconds.
#[derive(Copy, Clone, Debug, Default)]
pub struct Stamp {
    /// What had been delivered, and what lost.
    delivered: u32,
    lost: u32,
    /// What was in flight, this stretch included.
    in_flight: u32,
    /// How long ago the latest delivery was, and the sending of what was then delivered last.
    delivered_ago: u32,
    first_sent_ago: u32,
    /// The application had less to send than the window allowed.
    app_limited: bool,
}

/// What an acknowledgement says about the path. Amounts are bytes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct RateSample {
    /// What has been delivered on this connection.
    pub delivered_total: u64,
    /// What had been when the latest of what is newly delivered was sent; `delivered_total` if nothing is.
    pub prior_delivered: u64,
    /// Delivered since then.
    pub delivered: u32,
    /// How long that took; zero if nothing was delivered or it took less than the path's shortest round trip: such a
    /// sample says nothing about the rate.
    pub interval: Duration,
    /// The rate was the application's rather than the path's.
    pub app_limited: bool,
    /// In flight when it was sent, itself included.
    pub tx_in_flight: u32,
    /// Lost since it was sent.
    pub lost: u32,
    /// Newly found lost since the sample before.
    pub newly_lost: u32,
    /// Newly delivered by this acknowledgement.
    pub newly_acked: u32,
}

impl RateSample {
    /// Bytes a second, if the sample says.
    pub fn rate(&self) -> Option<u64> {
        bytes_per_second(self.delivered, self.interval)
    }
}

/// Bytes a second; `None` if it took no time.
fn bytes_per_second(bytes: u32, interval: Duration) -> Option<u64> {
    let nanos = u64::try_from(interval.as_nanos()).ok().filter(|nanos| *nanos > 0)?;
    // Below 2^32 bytes times 10^9: within 62 bits.
    Some(u64::from(bytes) * 1_000_000_000 / nanos)
}

/// The latest sent of what an acknowledgement delivers.
#[derive(Copy, Clone, Debug)]
struct Latest {
    at: Instant,
    end: SeqNum,
    stamp: Stamp,
}

/// The connection's account of what was delivered.
#[derive(Debug, Default)]
pub struct DeliveryRate {
    delivered: u64,
    /// Wraps.
    lost: u32,
    delivered_at: Instant,
    /// When what was delivered last had been sent.
    first_sent_at: Instant,
    /// Samples of what was sent before so much is delivered are the application's; 0 if none.
    app_limited_until: u64,
    latest: Option<Latest>,
    /// `delivered` and `lost` at the sample before; they wrap.
    sampled: (u32, u32),
    /// The rate to report: bytes, microseconds.
    reported: (u32, u32),
    reported_app_limited: bool,
}

/// Microseconds from `earlier` to `later`, saturated: more than an hour.
fn micros(later: Instant, earlier: Instant) -> u32 {
    u32::try_from(later.since(earlier).as_micros()).unwrap_or(u32::MAX)
}

impl DeliveryRate {
    /// `len` bytes are being sent, `in_flight` bytes being in flight already.
    pub fn on_sent(&mut self, len: u32, in_flight: u32, now: Instant) -> Stamp {
        if in_flight == 0 {
            // The time without anything in flight belongs to no sample.
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        Stamp {
            delivered: self.delivered as u32,
            lost: self.lost,
            in_flight: in_flight.saturating_add(len),
            delivered_ago: micros(now, self.delivered_at),
            first_sent_ago: micros(now, self.first_sent_at),
            app_limited: self.app_limited_until != 0,
        }
    }

    /// `len` bytes of `sent` were delivered.
    pub fn on_delivered(&mut self, sent: &Sent, len: u32) {
        self.delivered += u64::from(len);
        let (at, end) = (sent.at, sent.end);
        if self.latest.is_none_or(|latest| (latest.at, latest.end) <= (at, end)) {
            self.latest = Some(Latest { at, end, stamp: sent.stamp });
        }
    }

    /// So many bytes were found lost.
    pub fn on_lost(&mut self, len: u32) {
        self.lost = self.lost.wrapping_add(len);
    }

    /// The application has nothing more to send while the window would allow it, with `in_flight` bytes in flight.
    pub fn on_app_limited(&mut self, in_flight: u32) {
        self.app_limited_until = (self.delivered + u64::from(in_flight)).max(1);
    }

    /// What was delivered, bytes.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Takes the sample of the acknowledgement that was just handled.
    pub fn take_sample(&mut self, min_rtt: Option<Duration>, now: Instant) -> RateSample {
        let (acked_before, lost_before) = std::mem::replace(&mut self.sampled, (self.delivered as u32, self.lost));
        let mut sample = RateSample {
            delivered_total: self.delivered,
            prior_delivered: self.delivered,
            newly_acked: (self.delivered as u32).wrapping_sub(acked_before),
            newly_lost: self.lost.wrapping_sub(lost_before),
            ..RateSample::default()
        };
        if self.app_limited_until != 0 && self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        let Some(Latest { at, stamp, .. }) = self.latest.take() else { return sample };
        let ago = |micros: u32| Duration::from_micros(micros.into());
        sample.delivered = (self.delivered as u32).wrapping_sub(stamp.delivered);
        sample.prior_delivered = self.delivered.saturating_sub(sample.delivered.into());
        sample.app_limited = stamp.app_limited;
        sample.tx_in_flight = stamp.in_flight;
        sample.lost = self.lost.wrapping_sub(stamp.lost);
        let interval = ago(stamp.first_sent_ago).max(now.since(at) + ago(stamp.delivered_ago));
        self.first_sent_at = at;
        self.delivered_at = now;
        if min_rtt.is_none_or(|min| interval >= min) {
            sample.interval = interval;
            self.report(&sample);
        }
        sample
    }

    /// Keeps a sample for TCP_INFO; one of the application's only if it is faster.
    fn report(&mut self, sample: &RateSample) {
        let faster = sample.rate().unwrap_or(0) >= self.reported_rate();
        if !sample.app_limited || faster {
            self.reported = (sample.delivered, u32::try_from(sample.interval.as_micros()).unwrap_or(u32::MAX));
            self.reported_app_limited = sample.app_limited;
        }
    }

    /// The rate to report, bytes a second (tcpi_delivery_rate); 0 before the first sample.
    pub fn reported_rate(&self) -> u64 {
        bytes_per_second(self.reported.0, Duration::from_micros(self.reported.1.into())).unwrap_or(0)
    }

    /// Whether that was the application's rate rather than the path's; before the first sample, as in Linux, it was.
    pub fn is_reported_app_limited(&self) -> bool {
        self.reported_app_limited || self.reported.0 == 0
    }
}

#[cfg(test)]
mod tests;
