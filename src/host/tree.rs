//! Trees of programs behind the fence ([`sockeye_shim::fence`]). A tree gives the host the descriptor that tells its
//! end, and the host lives as long: a host born inside would carry the fence's filter, and the tree would never
//! end. Another stack's host that a program of the tree wants is therefore started from here.

use super::{
    end::End,
    request::has_gone,
    slot::{Host, Item},
};
use crate::sys::{daemon, fence, steward, unix};
use sockeye_shim::format::{FILLERS, MEANT, Op, Request, Response, Token, token_to_text};
use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::Command,
};

/// The running host's own program, also when its file has been replaced.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// What a descriptor is for that a program gives.
#[derive(Clone, Copy)]
pub enum Gift {
    /// It tells the end of a tree.
    Tree,
    /// Where a new host is to say why it does not come up; the token that the new host is to have.
    Words(Token),
}

/// The command that becomes a host; nothing if the text that comes with an [`Op::Start`] is none of the form.
fn command(token: Token, meant: &[u8]) -> Option<Command> {
    let mut parts = meant.strip_suffix(&[0])?.split(|&byte| byte == 0).map(OsStr::from_bytes);
    let (folder, net, name) = (parts.next()?, parts.next()?, parts.next()?);
    let mut command = Command::new(OWN_PROGRAM);
    command.arg0("sockeye").current_dir(folder);
    command.args(["host", "--quiet", "--net"]).arg(net).arg("--stack").arg(name);
    // It has the variables of the program that wants it, not ours.
    for filler in FILLERS {
        command.env_remove(filler);
    }
    for filled in parts {
        let filled = filled.to_str()?;
        let (filler, value) = filled.split_once('=').filter(|(filler, _)| FILLERS.contains(filler))?;
        command.env(filler, value);
    }
    if token == [0; 16] {
        command.env_remove("SOCKEYE_TOKEN");
    } else {
        command.env("SOCKEYE_TOKEN", OsStr::from_bytes(&token_to_text(&token)));
    }
    Some(command)
}

/// What the steward does with a program that wants another host ([`Op::Start`]): it reads from the program itself what
/// that is to be, starts it, and answers.
pub fn start_for(asker: OwnedFd, token: &[u8]) {
    let errno = start(&asker, token).unwrap_or_else(|error| error.raw_os_error().unwrap_or(libc::EINVAL));
    // A program that does not wait for its answer any more has gone.
    let _gone = unix::send(asker.as_fd(), &Response::new(errno).to_bytes(), 0);
}

fn start(asker: &OwnedFd, token: &[u8]) -> io::Result<i32> {
    let mut meant = [0; MEANT];
    let (len, [words, _]) = unix::recv_lent(asker.as_fd(), &mut meant)?;
    let (token, words) = token.try_into().ok().zip(words).ok_or(io::ErrorKind::InvalidInput)?;
    let command = command(token, &meant[..len]).ok_or(io::ErrorKind::InvalidInput)?;
    daemon::spawn_to(command, words).map(|()| 0)
}

impl Host {
    /// A program has announced a descriptor, which comes in a packet of its own: only who has shown the token gets that
    /// far, since what strangers send may take long to close. `uid` is the program's user.
    pub fn await_gift(&mut self, number: u64, asker: End, request: &Request, uid: Option<u32>, is_new: bool) {
        let gift = match request.op {
            Op::Start if uid.is_none_or(|uid| uid != 0 && uid != self.guard.uid) => {
                // A new host acts with the rights that this one was started with.
                let _gone = unix::send(asker.as_fd(), &Response::new(libc::EPERM).to_bytes(), 0);
                return;
            }
            Op::Start => Gift::Words(request.token),
            _ => Gift::Tree,
        };
        if is_new && self.interest.add(&asker, libc::EPOLLIN | libc::EPOLLRDHUP, number).is_err() {
            return;
        }
        self.take_gift(number, asker, gift);
    }

    /// Takes the descriptor if it has come, and answers.
    pub fn take_gift(&mut self, number: u64, mut giver: End, gift: Gift) {
        let errno = match gift {
            Gift::Words(token) => {
                if unix::recv(giver.as_fd(), &mut [0], libc::MSG_PEEK).is_err_and(|error| is_early(&error)) {
                    return self.put(number, Item::Giver(giver, gift), None);
                }
                // Nobody is there any more whom a new host would serve.
                if has_gone(&mut giver) {
                    return;
                }
                match steward::pass_on(giver.as_fd(), &token) {
                    Ok(()) => return,
                    Err(error) => {
                        log::warn!("another host cannot be started: {error}");
                        libc::EPERM
                    }
                }
            }
            Gift::Tree => match unix::recv_descriptor(giver.as_fd()) {
                Err(error) if is_early(&error) => return self.put(number, Item::Giver(giver, gift), None),
                Err(error) => error.raw_os_error().unwrap_or(libc::EINVAL),
                Ok(None) => libc::EINVAL,
                Ok(Some(given)) => self.live_with(given),
            },
        };
        // A program that does not wait for its answer any more has gone.
        let _gone = unix::send(giver.as_fd(), &Response::new(errno).to_bytes(), 0);
    }

    /// Stays until `tree` hangs up. Whatever else a program could give might never do so.
    fn live_with(&mut self, tree: OwnedFd) -> i32 {
        if !fence::is_listener(&tree) {
            return libc::EINVAL;
        }
        let number = self.reserve();
        match self.interest.add(&tree, 0, number) {
            Ok(()) => {
                self.put(number, Item::Tree(tree), None);
                0
            }
            Err(_) => libc::EINVAL,
        }
    }
}

/// What is awaited has not come yet.
fn is_early(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
