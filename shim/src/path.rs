//! The secret path: where a program that knows its stack's token comes to the host before anybody else.
//!
//! It is `/tmp/sockeye-HASH/NAME.ctl`, and both parts are hashes under the token: whoever knows that finds them, and
//! nobody finds it by them. Everybody sees the folder, which nobody but the host's user can list. Its name is known to
//! who has seen it once; if they make the folder again before a host with the same token does, every program that looks
//! for the socket there tells them NAME, and nothing more. Who is in a chroot, or has a `/tmp` of its own, comes by the
//! public name ([`Meaning::Control`]).
//!
//! Unlike that name a path is seen from all network namespaces, and stacks of one name and token may run in several. So
//! the namespace is hashed, too: that of the host, which is where its programs met it.
//!
//! [`Meaning::Control`]: crate::name::Meaning::Control

use crate::{format::Token, name::STACK_MAX, siphash::siphash_2_4};

/// What the folder's name begins with.
const FOLDER: &[u8] = b"/tmp/sockeye-";
/// The hexadecimal digits of one hash.
const HASH: usize = 16;
const SOCKET: &[u8] = b".ctl";
const LEN: usize = FOLDER.len() + HASH + 1 + 2 * HASH + SOCKET.len();

/// What is derived from the token; the number is hashed before the stack's name.
#[derive(Clone, Copy)]
enum Part {
    Folder = 1,
    /// The first half of the socket's name.
    High = 2,
    /// The second.
    Low = 3,
}

/// Where requests of programs with this token go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path([u8; LEN]);

impl Path {
    /// That of the stack of this name in a network namespace ([`network_of`](crate::kernel::network_of)); nothing
    /// without a token, or with a name that no stack can have.
    pub fn of(stack: &[u8], token: &Token, network: u64) -> Option<Self> {
        if *token == [0; 16] || stack.len() > STACK_MAX {
            return None;
        }
        let hash = |part| hash(part, (stack, network), token);
        let mut path = [0; LEN];
        let mut room = &mut path[..];
        let [folder, high, low] = [Part::Folder, Part::High, Part::Low].map(hash);
        for piece in [FOLDER, &folder, b"/", &high, &low, SOCKET] {
            let (to, rest) = core::mem::take(&mut room).split_at_mut(piece.len());
            to.copy_from_slice(piece);
            room = rest;
        }
        Some(Self(path))
    }

    /// The bytes, without a NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The folder's.
    pub fn folder(&self) -> &[u8] {
        &self.0[..FOLDER.len() + HASH]
    }
}

/// The digits of one part. Stacks may share a token, as those of a tree of programs do: name and namespace make them
/// differ.
fn hash(part: Part, (stack, network): (&[u8], u64), token: &Token) -> [u8; HASH] {
    const HEAD: usize = 1 + size_of::<u64>();
    let mut data = [0; HEAD + STACK_MAX];
    data[0] = part as u8;
    data[1..HEAD].copy_from_slice(&network.to_ne_bytes());
    data[HEAD..HEAD + stack.len()].copy_from_slice(stack);
    let hash = siphash_2_4(token, &data[..HEAD + stack.len()]);
    core::array::from_fn(|place| b"0123456789abcdef"[(hash >> (60 - 4 * place) & 15) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::token_to_text;

    /// The socket's name and the folder's.
    fn names(path: &Path) -> (&[u8], &[u8]) {
        (&path.as_bytes()[path.folder().len() + 1..], path.folder())
    }

    #[test]
    fn the_path_tells_nothing_of_the_token() {
        for token in [[0xab; 16], core::array::from_fn(|i| 17 * i as u8)] {
            let path = Path::of(b"tap-t0", &token, 3).unwrap();
            let text = token_to_text(&token);
            // Not even a quarter of it.
            let told = text.windows(8).find(|part| path.as_bytes().windows(8).any(|of_path| of_path == *part));
            assert_eq!(told, None, "{}", core::str::from_utf8(path.as_bytes()).unwrap());
            let (socket, folder) = names(&path);
            let digits = socket.strip_suffix(SOCKET).unwrap();
            assert!(digits.len() == 2 * HASH && digits.iter().all(u8::is_ascii_hexdigit));
            let folder = folder.strip_prefix(FOLDER).unwrap();
            assert!(digits[..HASH] != digits[HASH..], "each half is a hash of its own");
            assert!(digits.chunks(HASH).all(|half| half != folder), "everybody sees the folder");
        }
    }

    #[test]
    fn no_two_stacks_tokens_or_namespaces_share_a_name() {
        let path = Path::of(b"tap-t0", &[0xab; 16], 3).unwrap();
        let others = [(b"tap-t1", [0xab; 16], 3), (b"tap-t0", [0xac; 16], 3), (b"tap-t0", [0xab; 16], 4)];
        for (stack, token, network) in others {
            let ((socket, folder), other) = (names(&path), Path::of(stack, &token, network).unwrap());
            assert_ne!(folder, names(&other).1);
            assert_ne!(socket, names(&other).0);
        }
        assert_eq!(Path::of(b"tap-t0", &[0xab; 16], 3), Some(path));
        assert_eq!(Path::of(b"tap-t0", &[0; 16], 3), None);
        let of_length = |len| Path::of(&[b'x'; STACK_MAX + 1][..len], &[1; 16], 3);
        assert!(of_length(STACK_MAX).is_some() && of_length(STACK_MAX + 1).is_none());
    }
}
