//! F-RTO: whether a retransmission time-out was spurious, told by the two acknowledgements after it (RFC 5682, with
//! SACK as in its section 3; as Linux).

use super::AckNews;
use crate::wire::seq::SeqNum;

/// How far the question is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Frto {
    /// It is not asked.
    #[default]
    Off,
    /// The first segment was sent again; the first acknowledgement has not come.
    First,
    /// That acknowledged new data: two new segments are sent, and what they bring decides (step 2.b).
    Second,
}

/// What an acknowledgement says of a time-out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was spurious: originals arrive.
    Spurious,
    /// Send new data and ask again.
    Probe,
    /// Go on: repair what is lost.
    Repair,
}

impl Frto {
    /// A time-out: `fresh` unless losses were being repaired already.
    pub fn on_timeout(&mut self, fresh: bool) {
        *self = if fresh { Self::First } else { Self::Off };
    }

    /// Nothing is asked any more.
    pub fn stop(&mut self) {
        *self = Self::Off;
    }

    /// Whether new data goes before what is lost.
    pub fn wants_new(self) -> bool {
        self == Self::Second
    }

    /// Judges an acknowledgement (RFC 5682 section 2.1, steps 2 and 3). `recover` is behind what was out at the
    /// time-out, `sack` whether the peer has SACK, `has_new` whether there is new data that the peer's window takes.
    pub fn on_ack(&mut self, news: &AckNews, resent: bool, recover: SeqNum, sack: bool, has_new: bool) -> Verdict {
        if *self == Self::Off {
            return Verdict::Repair;
        }
        // Step 3.b: something that was sent only once, before the time-out, has arrived now. Without SACK an
        // acknowledgement that covers what was sent again as well may be of what had arrived long before.
        let original = news.heard.lowest.is_some_and(|(_, end)| end <= recover);
        if original && (sack || !resent) {
            self.stop();
            return Verdict::Spurious;
        }
        match *self {
            Self::First if news.advanced > 0 && has_new => {
                *self = Self::Second;
                Verdict::Probe
            }
            // Step 3.a: the new data brings no new acknowledgement.
            _ => {
                if news.advanced > 0 || news.sacked > 0 || news.repeats {
                    self.stop();
                }
                Verdict::Repair
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::send_queue::by_time::Heard;

    fn news(advanced: u32, original: Option<u32>) -> AckNews {
        let heard = Heard { lowest: original.map(|end| (SeqNum(end - 100), SeqNum(end))), ..Heard::default() };
        AckNews { advanced, repeats: advanced == 0, heard, ..AckNews::default() }
    }

    fn judge(frto: &mut Frto, news: &AckNews, resent: bool) -> Verdict {
        frto.on_ack(news, resent, SeqNum(1000), true, true)
    }

    #[test]
    fn an_original_that_arrives_after_the_time_out_shows_it_spurious() {
        let mut frto = Frto::First;
        assert_eq!(judge(&mut frto, &news(100, None), true), Verdict::Probe);
        assert!(frto.wants_new());
        assert_eq!(judge(&mut frto, &news(100, Some(300)), false), Verdict::Spurious);
        assert_eq!(frto, Frto::Off);
    }

    #[test]
    fn a_duplicate_in_answer_to_new_data_shows_it_real() {
        let mut frto = Frto::Second;
        assert_eq!(judge(&mut frto, &news(0, Some(1100)), false), Verdict::Repair);
        assert_eq!(frto, Frto::Off);
    }

    #[test]
    fn a_duplicate_before_anything_else_ends_the_question() {
        let mut frto = Frto::First;
        assert_eq!(judge(&mut frto, &news(0, None), false), Verdict::Repair);
        assert_eq!(frto, Frto::Off);
    }

    #[test]
    fn without_sack_what_covers_the_retransmission_proves_nothing() {
        let mut frto = Frto::First;
        assert_eq!(frto.on_ack(&news(300, Some(300)), true, SeqNum(1000), false, false), Verdict::Repair);
    }
}
