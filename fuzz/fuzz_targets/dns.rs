//! What a name server says: any bytes, and bytes behind a head that is the question's.
#![no_main]

mod bytes;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sockeye::host::dns::{Kind, Question, Verdict};

const ID: u16 = 0x1234;

fuzz_target!(|data: &[u8]| {
    let mut input = Bytes::new(data);
    let question = match input.u8() % 4 {
        0 => Question::of_name("www.a.example", Kind::V4),
        1 => Question::of_name("a.example.", Kind::V6),
        2 => Some(Question::of_address([192, 0, 2, 1].into())),
        _ => Some(Question::of_address([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into())),
    };
    let question = question.expect("a name");
    let asked = question.message(ID).expect("a message");
    let is_framed = input.u8() & 1 == 1;
    let counts = input.take(6);
    let rest = input.rest();
    let mut answer = asked.clone();
    if is_framed {
        // A response, recursion available; the counts of the other sections are the fuzzer's.
        answer[2] |= 0x80;
        answer[6..6 + counts.len()].copy_from_slice(counts);
        answer.extend_from_slice(rest);
    } else {
        answer = rest.to_vec();
    }
    if let Verdict::Found(found) = question.judge(ID, &answer) {
        assert!(!found.addresses.is_empty() || found.name.is_some(), "found, and nothing");
        assert!(found.name.is_none_or(|name| name.len() <= 255));
    }
    assert_eq!(question.judge(ID ^ 1, &answer[..answer.len().min(asked.len())]), Verdict::Foreign);
});
