use super::*;
use crate::rng::{Rng, SeededRng};

/// A SYN as Linux sends it: 127.0.0.1:38734 to 127.0.0.1:80, checksum over the pseudo-header included.
fn linux_syn() -> Header {
    Header {
        src_port: 38734,
        dst_port: 80,
        seq: SeqNum(0x1234_5678),
        flags: Flags::SYN,
        window: 65_495,
        options: Options {
            mss: Some(65_495),
            sack_permitted: true,
            timestamps: Some(Timestamps { val: 0x0a0b_0c0d, ecr: 0 }),
            window_scale: Some(7),
            ..Options::default()
        },
        ..Header::default()
    }
}

const LINUX_SYN: [u8; 40] = [
    0x97, 0x4e, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x02, 0xff, 0xd7, 0x00, 0x00, 0x00,
    0x00, 0x02, 0x04, 0xff, 0xd7, 0x04, 0x02, 0x08, 0x0a, 0x0a, 0x0b, 0x0c, 0x0d, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03,
    0x03, 0x07,
];

fn emit(header: &Header) -> Vec<u8> {
    let mut bytes = vec![0xee; header.len()];
    header.emit(&mut bytes);
    bytes
}

fn parse_options(flags: Flags, options: &[u8]) -> Options {
    let mut segment = vec![0; 20];
    segment[12] = (((20 + options.len()) / 4) << 4) as u8;
    segment[13] = flags.0 as u8;
    segment.extend_from_slice(options);
    Header::parse(&segment).unwrap().0.options
}

#[test]
fn a_syn_has_linux_order_and_padding_of_options() {
    assert_eq!(emit(&linux_syn()), LINUX_SYN);
    assert_eq!(Header::parse(&LINUX_SYN), Some((linux_syn(), 40)));
}

#[test]
fn sack_permitted_without_timestamps_is_padded_in_front() {
    let header = Header { options: Options { timestamps: None, ..linux_syn().options }, ..linux_syn() };
    assert_eq!(emit(&header)[20..], [2, 4, 0xff, 0xd7, 1, 1, 4, 2, 1, 3, 3, 7]);
}

#[test]
fn a_data_segment_carries_timestamps_and_three_sack_blocks_at_most() {
    let mut header = Header { flags: Flags::ACK, ..Header::default() };
    for n in 0..4 {
        assert!(header.options.sack.push(SeqNum(n * 10), SeqNum(n * 10 + 5)));
    }
    assert!(!header.options.sack.push(SeqNum(90), SeqNum(95)));
    assert_eq!(header.len(), 20 + 4 + 32);
    assert_eq!(Header::parse(&emit(&header)).unwrap().0, header);
    header.options.timestamps = Some(Timestamps { val: 1, ecr: 2 });
    assert_eq!(header.len(), 60);
    let bytes = emit(&header);
    assert_eq!(bytes[20..36], [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 26]);
    assert_eq!(Header::parse(&bytes).unwrap().0.options.sack.as_slice(), &header.options.sack.as_slice()[..3]);
}

#[test]
fn malformed_options_end_the_list_and_keep_what_came_before() {
    let mss = Options { mss: Some(1460), ..Options::default() };
    let table: &[(&[u8], Options)] = &[
        (&[2, 4, 5, 180, 8, 0, 0, 0], mss),     // length zero
        (&[2, 4, 5, 180, 8, 1, 0, 0], mss),     // length one
        (&[2, 4, 5, 180, 8, 10, 0, 0], mss),    // longer than what is left
        (&[2, 4, 5, 180, 1, 1, 1, 8], mss),     // no room for a length
        (&[2, 4, 5, 180, 0, 3, 3, 7], mss),     // behind the end
        (&[3, 4, 5, 180, 2, 4, 5, 180], mss),   // wrong length for its kind: skipped
        (&[254, 4, 5, 180, 2, 4, 5, 180], mss), // unknown: skipped
        (&[2, 4, 0, 0], Options::default()),    // an MSS of zero
        (&[4, 2, 1, 1], Options { sack_permitted: true, ..Options::default() }),
    ];
    for (bytes, expected) in table {
        assert_eq!(parse_options(Flags::SYN, bytes), *expected, "{bytes:?}");
    }
}

#[test]
fn options_of_a_syn_are_ignored_elsewhere_and_sack_on_a_syn() {
    assert_eq!(parse_options(Flags::ACK, &[2, 4, 5, 180, 1, 3, 3, 7, 1, 1, 4, 2]), Options::default());
    assert_eq!(parse_options(Flags::SYN, &[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2]), Options::default());
}

#[test]
fn a_header_that_is_cut_or_lies_about_its_length_is_refused() {
    assert_eq!(Header::parse(&LINUX_SYN[..39]), None);
    assert_eq!(Header::parse(&LINUX_SYN[..19]), None);
    let mut short = LINUX_SYN;
    short[12] = 0x40;
    assert_eq!(Header::parse(&short), None);
}

#[test]
fn the_checksum_covers_the_pseudo_header() {
    let (src, dst) = ("127.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap());
    let mut segment = LINUX_SYN.to_vec();
    segment.extend_from_slice(b"odd");
    let sum = checksum::transport(src, dst, protocol::TCP, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    assert!(verify(src, dst, &segment));
    assert!(!verify(src, "127.0.0.2".parse().unwrap(), &segment));
    segment[42] ^= 1;
    assert!(!verify(src, dst, &segment));
}

#[test]
fn headers_and_flags_read_like_packet_scripts() {
    assert_eq!(Flags::SYN.with(Flags::ACK).to_string(), "S.");
    assert_eq!(format!("{:?}", Flags::FIN.with(Flags::PSH).with(Flags::ACK)), "FP.");
    assert_eq!(Flags::default().to_string(), "none");
    assert_eq!(
        linux_syn().to_string(),
        "38734 > 80 S 305419896 win 65495 <mss 65495,sackOK,TS val 168496141 ecr 0,wscale 7>"
    );
    let mut ack = Header { flags: Flags::ACK, ack: SeqNum(9), ..Header::default() };
    ack.options.sack.push(SeqNum(10), SeqNum(20));
    assert_eq!(ack.to_string(), "0 > 0 . 0 ack 9 win 0 <sack 10:20>");
}

#[test]
fn random_bytes_never_panic() {
    let mut rng = SeededRng::new([1, 2]);
    for _ in 0..20_000 {
        let len = rng.below(80) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.u64() as u8).collect();
        if len > 12 && rng.chance(0.8) {
            bytes[12] = 0x50 + (rng.below(11) << 4) as u8;
        }
        if let Some((header, len)) = Header::parse(&bytes) {
            assert!(len <= bytes.len());
            let again = emit(&header);
            let reparsed = Header::parse(&again).unwrap().0;
            assert_eq!(emit(&reparsed), again);
        }
    }
}

#[test]
fn what_is_emitted_is_parsed_back() {
    let mut rng = SeededRng::new([3, 4]);
    for _ in 0..5_000 {
        let syn = rng.chance(0.5);
        let mut header = Header {
            src_port: rng.u32() as u16,
            dst_port: rng.u32() as u16,
            seq: SeqNum(rng.u32()),
            ack: SeqNum(rng.u32()),
            flags: Flags(rng.u32() as u16 & 0x1fd | if syn { 2 } else { 0 }),
            window: rng.u32() as u16,
            urgent: rng.u32() as u16,
            options: Options::default(),
        };
        header.options.timestamps = rng.chance(0.5).then(|| Timestamps { val: rng.u32(), ecr: rng.u32() });
        if syn {
            header.options.mss = rng.chance(0.5).then(|| rng.u32() as u16 | 1);
            header.options.window_scale = rng.chance(0.5).then(|| rng.u32() as u8);
            header.options.sack_permitted = rng.chance(0.5);
        } else {
            for _ in 0..rng.below(4) {
                header.options.sack.push(SeqNum(rng.u32()), SeqNum(rng.u32()));
            }
        }
        let bytes = emit(&header);
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(Header::parse(&bytes), Some((header, bytes.len())));
    }
}

#[test]
fn fast_open_is_read_and_written_in_both_its_options() {
    let syn = |option| {
        let mut header = linux_syn();
        header.options.fast_open = Some(option);
        header
    };
    for (option, bytes) in [
        (FastOpen::REQUEST, &[34, 2, 1, 1][..]),
        (FastOpen::new(&[7; 8], false), &[34, 10, 7, 7, 7, 7, 7, 7, 7, 7, 1, 1]),
        (FastOpen::new(&[7; 4], true), &[254, 8, 0xf9, 0x89, 7, 7, 7, 7]),
    ] {
        let emitted = emit(&syn(option));
        assert_eq!(&emitted[40..], bytes);
        assert_eq!(Header::parse(&emitted).unwrap().0, syn(option));
    }
    let full = emit(&syn(FastOpen::new(&[7; 16], true)));
    assert_eq!(full.len(), 60, "the longest cookie finds room beside everything else");
    for odd in [
        &[34, 3, 1][..],
        &[34, 4, 1, 2],
        &[34, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[254, 4, 1, 2],
    ] {
        assert_eq!(parse_options(Flags::SYN, odd).fast_open, None, "{odd:?}");
    }
    assert_eq!(parse_options(Flags::ACK, &[34, 2, 1, 1]).fast_open, None, "only a SYN has it");
}
