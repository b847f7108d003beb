//! What the stack counts, named as `nstat` names it. One table; every layer adds to it through its context.

use std::ffi::CStr;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $mib:literal,)*) => {
        /// Event counters of one stack since it was made.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            /// Every counter with the name `nstat` gives it.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($mib, self.$name),)*].into_iter()
            }
        }

        /// The names, as C has texts, in the same order.
        pub const NAMES: &[&CStr] = &[$(match CStr::from_bytes_with_nul(concat!($mib, "\0").as_bytes()) {
            Ok(name) => name,
            Err(_) => c"",
        },)*];
    };
}

counters! {
    /// Datagrams received, including those in error.
    ip_in_receives = "IpInReceives",
    /// Datagrams dropped for a bad header.
    ip_in_hdr_errors = "IpInHdrErrors",
    /// Datagrams for an address that is not ours.
    ip_in_addr_errors = "IpInAddrErrors",
    /// Datagrams of a protocol nobody handles.
    ip_in_unknown_protos = "IpInUnknownProtos",
    /// Datagrams handed to a protocol.
    ip_in_delivers = "IpInDelivers",
    /// Datagrams sent.
    ip_out_requests = "IpOutRequests",
    /// Datagrams dropped on the way out.
    ip_out_discards = "IpOutDiscards",
    /// Datagrams without a route.
    ip_out_no_routes = "IpOutNoRoutes",
    /// Reassemblies that timed out.
    ip_reasm_timeout = "IpReasmTimeout",
    /// Fragments received.
    ip_reasm_reqds = "IpReasmReqds",
    /// Datagrams reassembled.
    ip_reasm_oks = "IpReasmOKs",
    /// Reassemblies that failed (overlap, limits, time).
    ip_reasm_fails = "IpReasmFails",
    /// Datagrams fragmented.
    ip_frag_oks = "IpFragOKs",
    /// Datagrams that could not be fragmented.
    ip_frag_fails = "IpFragFails",
    /// Fragments made.
    ip_frag_creates = "IpFragCreates",
    /// Datagrams received that are not capable of ECN.
    ip_in_no_ect_pkts = "IpExtInNoECTPkts",
    /// Datagrams received with ECT(1).
    ip_in_ect1_pkts = "IpExtInECT1Pkts",
    /// Datagrams received with ECT(0).
    ip_in_ect0_pkts = "IpExtInECT0Pkts",
    /// Datagrams received that met congestion.
    ip_in_ce_pkts = "IpExtInCEPkts",
    /// ICMP messages received.
    icmp_in_msgs = "IcmpInMsgs",
    /// ICMP messages dropped as malformed.
    icmp_in_errors = "IcmpInErrors",
    /// ICMP checksum errors.
    icmp_in_csum_errors = "IcmpInCsumErrors",
    /// ICMP messages sent.
    icmp_out_msgs = "IcmpOutMsgs",
    /// ICMP messages held back by the rate limit.
    icmp_out_rate_limited = "IcmpOutRateLimitGlobal",
    /// ARP messages received.
    arp_in = "ArpIn",
    /// ARP requests and replies sent.
    arp_out = "ArpOut",
    /// Addresses that could not be resolved.
    arp_failed = "ArpFailed",
    /// Datagrams dropped because too much waited for an address to be resolved.
    arp_unresolved_discards = "ArpUnresolvedDiscards",
    /// Datagrams delivered to sockets.
    udp_in_datagrams = "UdpInDatagrams",
    /// Datagrams to a port without a socket.
    udp_no_ports = "UdpNoPorts",
    /// Datagrams dropped as malformed or for lack of room.
    udp_in_errors = "UdpInErrors",
    /// Datagrams sent.
    udp_out_datagrams = "UdpOutDatagrams",
    /// Datagrams dropped because the receive buffer was full.
    udp_rcvbuf_errors = "UdpRcvbufErrors",
    /// UDP checksum errors.
    udp_in_csum_errors = "UdpInCsumErrors",
    /// Connections opened by connect().
    tcp_active_opens = "TcpActiveOpens",
    /// Connections opened by a peer.
    tcp_passive_opens = "TcpPassiveOpens",
    /// Handshakes that failed.
    tcp_attempt_fails = "TcpAttemptFails",
    /// Established connections that were reset.
    tcp_estab_resets = "TcpEstabResets",
    /// Segments received.
    tcp_in_segs = "TcpInSegs",
    /// Segments sent, without pure retransmissions.
    tcp_out_segs = "TcpOutSegs",
    /// Segments retransmitted.
    tcp_retrans_segs = "TcpRetransSegs",
    /// Segments received in error.
    tcp_in_errs = "TcpInErrs",
    /// RST segments sent.
    tcp_out_rsts = "TcpOutRsts",
    /// TCP checksum errors.
    tcp_in_csum_errors = "TcpInCsumErrors",
    /// Connections refused because the accept queue was full.
    tcp_listen_overflows = "TcpExtListenOverflows",
    /// SYNs dropped by a listener.
    tcp_listen_drops = "TcpExtListenDrops",
    /// Segments dropped by PAWS in an established connection.
    tcp_paws_estab = "TcpExtPAWSEstab",
    /// Delayed acknowledgements sent.
    tcp_delayed_acks = "TcpExtDelayedACKs",
    /// Retransmission time-outs.
    tcp_timeouts = "TcpExtTCPTimeouts",
    /// Times fast recovery was entered by NewReno.
    tcp_reno_recovery = "TcpExtTCPRenoRecovery",
    /// Times fast recovery was entered with SACK.
    tcp_sack_recovery = "TcpExtTCPSackRecovery",
    /// Segments retransmitted in fast recovery.
    tcp_fast_retrans = "TcpExtTCPFastRetrans",
    /// Segments retransmitted after a time-out.
    tcp_slow_start_retrans = "TcpExtTCPSlowStartRetrans",
    /// Retransmissions that were lost in their turn.
    tcp_lost_retransmit = "TcpExtTCPLostRetransmit",
    /// Tail loss probes sent.
    tcp_loss_probes = "TcpExtTCPLossProbes",
    /// Losses that a tail loss probe repaired.
    tcp_loss_probe_recovery = "TcpExtTCPLossProbeRecovery",
    /// Times a peer threw away what it had reported by SACK.
    tcp_sack_reneging = "TcpExtTCPSACKReneging",
    /// Times segments were seen to be reordered.
    tcp_sack_reorder = "TcpExtTCPSACKReorder",
    /// Duplicates of acknowledged data reported to the peer.
    tcp_dsack_old_sent = "TcpExtTCPDSACKOldSent",
    /// Duplicates of out-of-order data reported to the peer.
    tcp_dsack_ofo_sent = "TcpExtTCPDSACKOfoSent",
    /// Duplicates the peer reported.
    tcp_dsack_recv = "TcpExtTCPDSACKRecv",
    /// Duplicates of out-of-order data the peer reported.
    tcp_dsack_ofo_recv = "TcpExtTCPDSACKOfoRecv",
    /// Recoveries that were undone at their end by time stamps.
    tcp_full_undo = "TcpExtTCPFullUndo",
    /// Recoveries that were undone before their end by time stamps.
    tcp_partial_undo = "TcpExtTCPPartialUndo",
    /// Recoveries that were undone because everything sent again was a duplicate.
    tcp_dsack_undo = "TcpExtTCPDSACKUndo",
    /// Time-outs that were undone.
    tcp_loss_undo = "TcpExtTCPLossUndo",
    /// Time-outs that F-RTO found to be spurious.
    tcp_spurious_rtos = "TcpExtTCPSpuriousRTOs",
    /// Segments queued out of order.
    tcp_ofo_queue = "TcpExtTCPOFOQueue",
    /// Times all connections together came to hold more than the pressure threshold.
    tcp_memory_pressures = "TcpExtTCPMemoryPressures",
    /// Times a receive queue had to be made smaller.
    tcp_prune_called = "TcpExtPruneCalled",
    /// Times out-of-order data was dropped for it.
    tcp_ofo_pruned = "TcpExtOfoPruned",
    /// Segments in order dropped because that was not enough.
    tcp_rcv_pruned = "TcpExtRcvPruned",
    /// Connections without an owner reset because there are too many, or no memory.
    tcp_abort_on_memory = "TcpExtTCPAbortOnMemory",
    /// Out-of-order segments dropped for lack of room.
    tcp_ofo_drop = "TcpExtTCPOFODrop",
    /// Segments dropped because the receive queue was full.
    tcp_rcvq_drop = "TcpExtTCPRcvQDrop",
    /// Segments with data or a number beyond the window.
    tcp_beyond_window = "TcpExtBeyondWindow",
    /// Segments delivered whose acknowledgement told of congestion.
    tcp_delivered_ce = "TcpExtTCPDeliveredCE",
    /// SYNs answered by a cookie because the SYN queue was full.
    tcp_req_q_full_do_cookies = "TcpExtTCPReqQFullDoCookies",
    /// SYNs dropped because the SYN queue was full.
    tcp_req_q_full_drop = "TcpExtTCPReqQFullDrop",
    /// SYN cookies sent.
    tcp_syncookies_sent = "TcpExtSyncookiesSent",
    /// SYN cookies that came back.
    tcp_syncookies_recv = "TcpExtSyncookiesRecv",
    /// What came back and was no cookie of ours.
    tcp_syncookies_failed = "TcpExtSyncookiesFailed",
    /// Connections whose data in the SYN was acknowledged.
    tcp_fast_open_active = "TcpExtTCPFastOpenActive",
    /// Connections whose data in the SYN was not.
    tcp_fast_open_active_fail = "TcpExtTCPFastOpenActiveFail",
    /// Connections made of a SYN with data.
    tcp_fast_open_passive = "TcpExtTCPFastOpenPassive",
    /// Fast Open cookies that were not ours.
    tcp_fast_open_passive_fail = "TcpExtTCPFastOpenPassiveFail",
    /// SYNs with data that found a listener's queue of unconfirmed connections full.
    tcp_fast_open_listen_overflow = "TcpExtTCPFastOpenListenOverflow",
    /// SYNs that asked for a Fast Open cookie.
    tcp_fast_open_cookie_reqd = "TcpExtTCPFastOpenCookieReqd",
    /// Probes of a path's MTU that arrived.
    tcp_mtup_success = "TcpExtTCPMTUPSuccess",
    /// Probes of a path's MTU that were lost.
    tcp_mtup_fail = "TcpExtTCPMTUPFail",
    /// ICMP errors that quoted no segment in flight.
    tcp_out_of_window_icmps = "TcpExtOutOfWindowIcmps",
    /// Zero-window probes sent.
    tcp_win_probe = "TcpExtTCPWinProbe",
    /// Keepalive probes sent.
    tcp_keep_alive = "TcpExtTCPKeepAlive",
    /// Challenge acknowledgements sent (RFC 5961).
    tcp_challenge_ack = "TcpExtTCPChallengeACK",
    /// Challenge acknowledgements not sent, so soon after another.
    tcp_ack_skipped_challenge = "TcpExtTCPACKSkippedChallenge",
    /// Acknowledgements of segments outside the window not sent, so soon after another.
    tcp_ack_skipped_seq = "TcpExtTCPACKSkippedSeq",
    /// Segments in TIME-WAIT not answered, because one was answered a moment ago.
    tcp_ack_skipped_time_wait = "TcpExtTCPACKSkippedTimeWait",
    /// The same of segments with an old time stamp.
    tcp_ack_skipped_paws = "TcpExtTCPACKSkippedPAWS",
    /// SYNs seen in an established connection.
    tcp_syn_challenge = "TcpExtTCPSYNChallenge",
    /// Connections reset because data was unread or arrived after close.
    tcp_abort_on_close = "TcpExtTCPAbortOnClose",
    /// Connections reset because data arrived after close.
    tcp_abort_on_data = "TcpExtTCPAbortOnData",
    /// Connections ended by a time-out.
    tcp_abort_on_timeout = "TcpExtTCPAbortOnTimeout",
    /// Connections ended by SO_LINGER with a time of zero.
    tcp_abort_on_linger = "TcpExtTCPAbortOnLinger",
    /// TIME-WAIT sockets that ended by time.
    tcp_time_waited = "TcpExtTW",
    /// TIME-WAIT sockets that gave way to a new connection.
    tcp_time_wait_recycled = "TcpExtTWRecycled",
    /// Connections that ended without TIME-WAIT, since too many were in it.
    tcp_time_wait_overflow = "TcpExtTCPTimeWaitOverflow",
    /// Frames the device did not take.
    dev_tx_dropped = "DevTxDropped",
    /// Frames received that were too short, too long or not ours.
    dev_rx_dropped = "DevRxDropped",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_of_names_agree_and_no_name_is_there_twice() {
        let names: Vec<_> = Counters::default().iter().map(|(name, _)| name).collect();
        assert!(NAMES.iter().map(|name| name.to_str().unwrap()).eq(names.iter().copied()));
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
    }
}
