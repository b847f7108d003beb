//! Trees of programs behind the fence ([`sockeye_shim::fence`]). A tree gives the host the descriptor that tells its
//! end, and the host lives as long: a host born inside would carry the fence's filter, and the tree would never
//! end. Another stack's host that a program of the tree wants is therefore started from here.

use super::{
    end::End,
    slot::{Host, Item},
};
use crate::sys::{daemon, unix};
use sockeye_shim::format::{FILLERS, Op, Request, Response, Token, token_to_text};
use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::Command,
};

/// The running host's own program, also when its file has been replaced.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// What a listener of seccomp(2) is called in proc(5).
const LISTENER: &str = "anon_inode:seccomp notify";

/// What a descriptor is for that a program gives.
pub enum Gift {
    /// It tells the end of a tree.
    Tree,
    /// Where a new host is to say why it does not come up.
    Words(Box<NewHost>),
}

/// A host that is to be started.
pub struct NewHost {
    token: Token,
    /// What stands behind an [`Op::Start`].
    meant: Vec<u8>,
}

impl NewHost {
    /// The command that becomes it; nothing if the text is none of the form.
    fn command(&self) -> Option<Command> {
        let mut parts = self.meant.strip_suffix(&[0])?.split(|&byte| byte == 0).map(OsStr::from_bytes);
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
        if self.token == [0; 16] {
            command.env_remove("SOCKEYE_TOKEN");
        } else {
            command.env("SOCKEYE_TOKEN", OsStr::from_bytes(&token_to_text(&self.token)));
        }
        Some(command)
    }
}

impl Host {
    /// A program has announced a descriptor, which comes in a packet of its own: only who has shown the token gets that
    /// far, since what strangers send may take long to close. `(meant, uid)` are the request's text and user.
    pub fn await_gift(
        &mut self,
        number: u64,
        asker: End,
        request: &Request,
        (meant, uid): (&[u8], Option<u32>),
        is_new: bool,
    ) {
        let gift = match request.op {
            Op::Start if uid.is_none_or(|uid| uid != 0 && uid != self.guard.uid) => {
                // A new host acts with this one's rights.
                let _gone = unix::send(asker.as_fd(), &Response::new(libc::EPERM).to_bytes(), 0);
                return;
            }
            Op::Start => Gift::Words(Box::new(NewHost { token: request.token, meant: meant.to_vec() })),
            _ => Gift::Tree,
        };
        if is_new && self.interest.add(&asker, libc::EPOLLIN | libc::EPOLLRDHUP, number).is_err() {
            return;
        }
        self.take_gift(number, asker, gift);
    }

    /// Takes the descriptor if it has come, and answers.
    pub fn take_gift(&mut self, number: u64, giver: End, gift: Gift) {
        let errno = match unix::recv_descriptor(giver.as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return self.put(number, Item::Giver(giver, gift), None);
            }
            Err(_) => return,
            Ok(None) => libc::EINVAL,
            Ok(Some(given)) => match gift {
                Gift::Tree => self.live_with(given),
                Gift::Words(new) => start(&new, given),
            },
        };
        // A program that does not wait for its answer any more has gone.
        let _gone = unix::send(giver.as_fd(), &Response::new(errno).to_bytes(), 0);
    }

    /// Stays until `tree` hangs up. Whatever else a program could give might never do so.
    fn live_with(&mut self, tree: OwnedFd) -> i32 {
        let link = fs::read_link(format!("/proc/self/fd/{}", tree.as_raw_fd()));
        if !link.is_ok_and(|link| link.as_os_str() == LISTENER) {
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

fn start(new: &NewHost, words: OwnedFd) -> i32 {
    let Some(command) = new.command() else { return libc::EINVAL };
    match daemon::spawn_to(command, words) {
        Ok(()) => 0,
        Err(error) => {
            log::warn!("another host cannot be started: {error}");
            error.raw_os_error().unwrap_or(libc::EIO)
        }
    }
}
