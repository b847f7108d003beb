//! The secret path: where a program that knows its stack's token comes to the host before anybody else.
//!
//! It is `/tmp/sockeye-HASH/TOKEN.ctl`. Everybody sees the folder, which nobody but the host's user can list; what is in
//! it is found by those alone who know the token. The folder's name tells nothing of that, and nobody can take it before
//! the host that makes up the token does. Who is in a chroot, or has a `/tmp` of its own, comes by the public name
//! ([`Meaning::Control`]).
//!
//! [`Meaning::Control`]: crate::name::Meaning::Control

use crate::{
    format::{Token, token_to_text},
    siphash::siphash_2_4,
};

/// What the folder's name begins with.
const FOLDER: &[u8] = b"/tmp/sockeye-";
const HASH: usize = 16;
const SOCKET: &[u8] = b".ctl";
const LEN: usize = FOLDER.len() + HASH + 1 + 32 + SOCKET.len();

/// Where requests of programs with this token go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path([u8; LEN]);

impl Path {
    /// That of the stack of this name; nothing without a token.
    pub fn of(stack: &[u8], token: &Token) -> Option<Self> {
        if *token == [0; 16] {
            return None;
        }
        // Stacks may share a token: a tree of programs has one.
        let hash = siphash_2_4(token, stack);
        let mut digits = [0; HASH];
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(hash >> (60 - 4 * place)) as usize & 15];
        }
        let mut path = [0; LEN];
        let mut room = &mut path[..];
        for piece in [FOLDER, &digits, b"/", &token_to_text(token), SOCKET] {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_tells_nothing_of_the_token_and_the_socket_all() {
        let path = Path::of(b"tap-t0", &[0xab; 16]).unwrap();
        let text = core::str::from_utf8(path.as_bytes()).unwrap();
        assert!(text.ends_with("/abababababababababababababababab.ctl"), "{text}");
        assert!(text.as_bytes().starts_with(path.folder()) && !path.folder().windows(4).any(|four| four == b"abab"));
        assert_ne!(path.folder(), Path::of(b"tap-t1", &[0xab; 16]).unwrap().folder(), "another stack's");
        assert_ne!(path.folder(), Path::of(b"tap-t0", &[0xac; 16]).unwrap().folder(), "another token's");
        assert_eq!(Path::of(b"tap-t0", &[0; 16]), None);
    }
}
