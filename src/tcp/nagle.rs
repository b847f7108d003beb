//! When a segment is worth sending: Nagle's algorithm (RFC 9293 section 3.7.4, RFC 896) in Minshall's form, as Linux,
//! TCP_CORK and MSG_MORE, and the sender's part of silly-window avoidance (RFC 9293 section 3.8.6.2.1).

/// What could be sent.
#[derive(Copy, Clone, Debug)]
pub struct Candidate {
    /// Data bytes waiting.
    pub waiting: u32,
    /// Bytes that the windows allow.
    pub allowed: u32,
    /// Effective segment size.
    pub mss: u32,
    /// The largest window the peer ever offered.
    pub max_window: u32,
    /// Behind the data comes the FIN: nothing more will.
    pub last: bool,
    /// A partial segment is on its way and not acknowledged.
    pub small_in_flight: bool,
    /// TCP_NODELAY.
    pub nodelay: bool,
    /// TCP_CORK, or the last call had MSG_MORE.
    pub corked: bool,
}

/// Whether to send.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send so many bytes: whole segments, or everything that waits.
    Send(u32),
    /// Wait for more data, an acknowledgement or a larger window.
    Wait,
}

/// Judges whether to send new data.
pub fn judge(candidate: &Candidate) -> Verdict {
    let Candidate { waiting, allowed, mss, max_window, last, small_in_flight, nodelay, corked } = *candidate;
    let sendable = waiting.min(allowed);
    if sendable == 0 {
        return Verdict::Wait;
    }
    let whole = sendable - sendable % mss;
    if sendable == waiting {
        // The end of what there is: a partial segment may have to wait, whole ones in front of it do not.
        let may_be_partial = whole == waiting || last || (!corked && (nodelay || !small_in_flight));
        return match (may_be_partial, whole) {
            (true, _) => Verdict::Send(sendable),
            (false, 0) => Verdict::Wait,
            (false, _) => Verdict::Send(whole),
        };
    }
    match whole {
        // A window smaller than a segment: worth it if it is half of what the peer ever had.
        0 if allowed >= max_window.div_ceil(2) => Verdict::Send(sendable),
        0 => Verdict::Wait,
        _ => Verdict::Send(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Candidate = Candidate {
        waiting: 100,
        allowed: 10_000,
        mss: 1000,
        max_window: 65_535,
        last: false,
        small_in_flight: false,
        nodelay: false,
        corked: false,
    };

    #[test]
    fn verdicts() {
        use Verdict::{Send, Wait};
        let table = [
            ("nothing small is out", BASE, Send(100)),
            ("a small one is out", Candidate { small_in_flight: true, ..BASE }, Wait),
            ("nodelay", Candidate { small_in_flight: true, nodelay: true, ..BASE }, Send(100)),
            ("corked", Candidate { corked: true, nodelay: true, ..BASE }, Wait),
            ("corked, but the end", Candidate { corked: true, last: true, ..BASE }, Send(100)),
            ("corked with whole segments", Candidate { corked: true, waiting: 2500, ..BASE }, Send(2000)),
            ("whole segments", Candidate { waiting: 3000, small_in_flight: true, ..BASE }, Send(3000)),
            ("a tail behind whole ones", Candidate { waiting: 2500, small_in_flight: true, ..BASE }, Send(2000)),
            ("window for some", Candidate { waiting: 5000, allowed: 2700, ..BASE }, Send(2000)),
            ("silly window", Candidate { waiting: 5000, allowed: 700, ..BASE }, Wait),
            ("half of a small peer's", Candidate { waiting: 5000, allowed: 700, max_window: 1400, ..BASE }, Send(700)),
            ("no window", Candidate { allowed: 0, ..BASE }, Wait),
            ("no data", Candidate { waiting: 0, ..BASE }, Wait),
        ];
        for (case, candidate, verdict) in table {
            assert_eq!(judge(&candidate), verdict, "{case}");
        }
    }
}
