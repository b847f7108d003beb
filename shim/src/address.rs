//! Internet addresses as requests, headers and names carry them.

/// An address and a port, of either family: 18 bytes.
///
/// The IP address is in IPv6 form, an IPv4 address as `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2); what is a mapped
/// address to an AF_INET6 socket and what is an IPv4 address to an AF_INET socket are the same bytes here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The address, in network order.
    pub ip: [u8; 16],
    /// The port, as a number.
    pub port: u16,
}

/// The first 12 bytes of an IPv4-mapped address.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// The digits of an address within a name: six bits each, all of them allowed in a file name.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-";

impl Address {
    /// How many bytes [`Address::to_bytes`] makes: the port (little-endian), then the 16 bytes of the address.
    pub const SIZE: usize = 18;
    /// How many characters [`Address::to_text`] makes.
    pub const TEXT: usize = 24;
    /// No address at all: `::`, port 0. What a request without an address carries.
    pub const NONE: Self = Self { ip: [0; 16], port: 0 };

    /// An IPv4 address and a port.
    pub const fn v4(ip: [u8; 4], port: u16) -> Self {
        let [a, b, c, d] = ip;
        Self { ip: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d], port }
    }

    /// An IPv6 address and a port.
    pub const fn v6(ip: [u8; 16], port: u16) -> Self {
        Self { ip, port }
    }

    /// The IPv4 address, if it is one.
    pub fn to_v4(&self) -> Option<[u8; 4]> {
        let (mapped, rest) = self.ip.split_first_chunk::<12>()?;
        if *mapped == MAPPED { rest.first_chunk::<4>().copied() } else { None }
    }

    /// Whether it is `0.0.0.0` or `::`.
    pub fn is_unspecified(&self) -> bool {
        self.ip == [0; 16] || self.to_v4() == Some([0; 4])
    }

    /// The bytes that requests and headers carry.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..2].copy_from_slice(&self.port.to_le_bytes());
        bytes[2..].copy_from_slice(&self.ip);
        bytes
    }

    /// Reads what [`Address::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let mut ip = [0; 16];
        ip.copy_from_slice(&bytes[2..]);
        Self { ip, port: u16::from_le_bytes([bytes[0], bytes[1]]) }
    }

    /// The characters that names carry: three bytes are four digits.
    pub fn to_text(&self) -> [u8; Self::TEXT] {
        let mut text = [0; Self::TEXT];
        for (three, four) in self.to_bytes().chunks_exact(3).zip(text.chunks_exact_mut(4)) {
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            for (place, digit) in four.iter_mut().enumerate() {
                *digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            }
        }
        text
    }

    /// Reads what [`Address::to_text`] wrote; `None` if it is anything else.
    pub fn from_text(text: &[u8; Self::TEXT]) -> Option<Self> {
        let mut bytes = [0; Self::SIZE];
        for (four, three) in text.chunks_exact(4).zip(bytes.chunks_exact_mut(3)) {
            let mut bits = 0u32;
            for &digit in four {
                bits = bits << 6 | u32::from(value(digit)?);
            }
            three.copy_from_slice(&bits.to_be_bytes()[1..]);
        }
        Some(Self::from_bytes(&bytes))
    }
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'a'..=b'z' => Some(digit - b'a' + 36),
        b'_' => Some(62),
        b'-' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIX: Address = Address::v6([0xfd, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 255], 65535);

    #[test]
    fn bytes_and_text_give_the_address_back() {
        for address in [Address::v4([10, 97, 0, 2], 80), SIX, Address::NONE] {
            assert_eq!(Address::from_bytes(&address.to_bytes()), address);
            assert_eq!(Address::from_text(&address.to_text()), Some(address));
        }
    }

    #[test]
    fn an_ipv4_address_is_known_again() {
        assert_eq!(Address::v4([10, 97, 0, 2], 80).to_v4(), Some([10, 97, 0, 2]));
        assert_eq!(SIX.to_v4(), None);
        assert!(Address::v4([0; 4], 80).is_unspecified() && Address::NONE.is_unspecified() && !SIX.is_unspecified());
    }

    #[test]
    fn a_strange_character_is_no_address() {
        let mut text = SIX.to_text();
        text[23] = b'/';
        assert_eq!(Address::from_text(&text), None);
    }
}
