//! Splitting a datagram that is too large for its path (RFC 791 section 3.2).

use crate::{
    buf::{Frame, Slice},
    wire::ipv4::{Header, MIN_HEADER},
};

/// The fragments of the datagram with `header` and the bytes of `payload` (transport header included, checksum
/// finished), each at most `mtu` bytes. The payload is copied once and shared by the fragments.
pub fn split(header: &Header, payload: &Frame, mtu: u32) -> Vec<Frame> {
    let room = (mtu as usize).saturating_sub(MIN_HEADER).max(8) & !7;
    let bytes = Slice::copy_from(&payload.to_vec());
    (0..bytes.len())
        .step_by(room)
        .map(|start| {
            let end = bytes.len().min(start + room);
            let mut fragment = Frame::new();
            let header = Header {
                total_len: (MIN_HEADER + end - start) as u16,
                more_fragments: end < bytes.len(),
                fragment_offset: start as u16,
                dont_fragment: false,
                ..*header
            };
            header.emit(fragment.prepend(MIN_HEADER));
            fragment.push(bytes.part(start, end));
            fragment
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_fill_the_path_in_units_of_eight_bytes_and_cover_the_payload() {
        let data: Vec<u8> = (0..4000u32).map(|i| (i % 251) as u8).collect();
        let mut payload = Frame::new();
        payload.append(8).copy_from_slice(&data[..8]);
        payload.push_bytes(&data[8..]);
        let fragments = split(&Header { id: 7, ..Header::default() }, &payload, 1501);
        let mut seen = Vec::new();
        for fragment in &fragments {
            let bytes = fragment.to_vec();
            let (header, len) = Header::parse(&bytes).unwrap();
            assert_eq!((usize::from(header.fragment_offset), header.id), (seen.len(), 7));
            assert!(bytes.len() <= 1500 && (bytes.len() - len) % 8 == 0);
            seen.extend_from_slice(&bytes[len..]);
            assert_eq!(header.more_fragments, seen.len() < data.len());
        }
        assert_eq!((fragments.len(), seen), (3, data));
    }
}
