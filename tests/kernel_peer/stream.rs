//! The stream both ends can check, as `tests/programs/peer.h` has it.

use std::io::{self, Read, Write};

/// Word `i` of the stream is `i` times this; the hash multiplies by it as well.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A 64-bit hash of a stream, the same however the stream is cut into pieces.
#[derive(Default)]
pub struct Hash {
    state: u64,
    carry: u64,
    bytes: u64,
}

impl Hash {
    fn word(&mut self, word: u64) {
        self.state = (self.state ^ word).wrapping_mul(STEP);
        self.state ^= self.state >> 32;
    }

    /// The next bytes of the stream.
    pub fn update(&mut self, data: &[u8]) {
        let ragged = (self.bytes.wrapping_neg() % 8).min(data.len() as u64) as usize;
        let (first, rest) = data.split_at(ragged);
        first.iter().for_each(|&byte| self.byte(byte));
        let (words, last) = rest.as_chunks::<8>();
        words.iter().for_each(|&word| self.word(u64::from_le_bytes(word)));
        self.bytes += (words.len() * 8) as u64;
        last.iter().for_each(|&byte| self.byte(byte));
    }

    fn byte(&mut self, byte: u8) {
        self.carry |= u64::from(byte) << (self.bytes % 8 * 8);
        self.bytes += 1;
        if self.bytes.is_multiple_of(8) {
            let word = std::mem::take(&mut self.carry);
            self.word(word);
        }
    }

    /// What a puppet answers to `sendn` and `recvn`: the length and the hash.
    pub fn answer(mut self) -> String {
        self.word(self.carry);
        self.word(self.bytes);
        format!("{} {:016x}", self.bytes, self.state)
    }
}

/// Fills `into` with the stream from `offset`, a multiple of 8.
pub fn fill(into: &mut [u8], offset: u64) {
    for (at, word) in (offset / 8..).zip(into.chunks_mut(8)) {
        word.copy_from_slice(&at.wrapping_mul(STEP).to_le_bytes()[..word.len()]);
    }
}

/// The first `len` bytes of the stream.
pub fn bytes(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fill(&mut bytes, 0);
    bytes
}

/// Sends `total` bytes of the stream. The number sent and its hash.
pub fn send(to: &mut impl Write, total: u64) -> io::Result<String> {
    let mut buf = vec![0; 1 << 18];
    let mut hash = Hash::default();
    while hash.bytes < total {
        let len = (total - hash.bytes).min(buf.len() as u64) as usize;
        fill(&mut buf[..len], hash.bytes);
        to.write_all(&buf[..len])?;
        hash.update(&buf[..len]);
    }
    Ok(hash.answer())
}

/// Receives until `total` bytes have come, or the end. The number received and its hash.
pub fn receive(from: &mut impl Read, total: u64) -> io::Result<String> {
    let mut buf = vec![0; 1 << 20];
    let mut hash = Hash::default();
    while hash.bytes < total {
        let want = (total - hash.bytes).min(buf.len() as u64) as usize;
        match from.read(&mut buf[..want]) {
            Ok(0) => break,
            Ok(len) => hash.update(&buf[..len]),
            // A time limit on a socket makes every interruption of the thread visible (signal(7)).
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.answer())
}

/// What [`send`] gives for `total` bytes.
pub fn answer(total: u64) -> String {
    send(&mut io::sink(), total).expect("a sink takes all")
}

#[test]
fn a_hash_does_not_depend_on_how_the_stream_is_cut() {
    let data = bytes(1003);
    let whole = answer(1003);
    for piece in [1, 3, 7, 8, 9, 64, 1000] {
        let mut hash = Hash::default();
        data.chunks(piece).for_each(|piece| hash.update(piece));
        assert_eq!(hash.answer(), whole, "in pieces of {piece}");
    }
    assert_ne!(answer(1002), whole);
}
