//! ICMP errors and the path's MTU (RFC 5927, RFC 1191).

use crate::{
    error::Error,
    tcp::{
        IcmpVerdict, Settings, State,
        testing::{Tester, seg},
    },
    time::Duration,
};

impl Tester {
    fn icmp(&mut self, verdict: IcmpVerdict, seq: u32) {
        let seq = self.iss + seq;
        self.connection.on_icmp(verdict, seq, &mut self.world.cx());
    }
}

#[test]
fn an_error_ends_an_attempt_if_it_quotes_our_syn() {
    let mut t = Tester::connecting(Settings::default());
    t.output();
    t.icmp(IcmpVerdict::Error(Error::HostUnreachable), 5);
    assert_eq!(t.state(), State::SynSent);
    t.icmp(IcmpVerdict::Error(Error::HostUnreachable), 0);
    assert_eq!((t.state(), t.connection.take_error()), (State::Closed, Some(Error::HostUnreachable)));
}

#[test]
fn an_established_connection_outlives_it_and_names_it_if_it_dies() {
    let mut t = Tester::established();
    t.write(10).unwrap();
    t.output();
    t.icmp(IcmpVerdict::Error(Error::HostUnreachable), 1);
    assert_eq!((t.state(), t.connection.take_error()), (State::Established, None));
    t.wait(Duration::from_secs(2000));
    assert_eq!(t.connection.take_error(), Some(Error::HostUnreachable));
}

#[test]
fn a_smaller_path_sends_what_is_out_again_in_smaller_segments() {
    let mut t = Tester::established();
    t.write(2500).unwrap();
    assert_eq!(t.output().len(), 3);
    t.icmp(IcmpVerdict::PacketTooBig(640), 100_000);
    assert_eq!(t.output(), [""; 0]);
    t.icmp(IcmpVerdict::PacketTooBig(640), 1);
    let lines = t.output();
    assert_eq!(lines[0], ". 1:601(600) ack 1");
    assert_eq!(t.connection.mss(), 600);
    assert!(t.connection.info(t.world.now).snd_cwnd >= 10);
    // One that says more is not believed.
    t.icmp(IcmpVerdict::PacketTooBig(9000), 1);
    assert_eq!(t.connection.mss(), 600);
    assert_eq!(lines.len(), 4, "{lines:?}");
    t.inject(seg(".", 1, 2501, 0));
    assert_eq!(t.connection.unacknowledged(), 0);
}
