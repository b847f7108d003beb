//! The manual page sockeye(1), made from the command line's own texts and what they leave out. docs/sockeye.1 is a
//! copy, which tests/cli.rs compares.

use crate::arguments::Arguments;
use clap::CommandFactory;
use clap_mangen::Man;
use std::io;

/// The page in man(7)'s language.
pub fn page() -> String {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = write(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}

fn write(page: &mut Vec<u8>) -> io::Result<()> {
    let command = Arguments::command();
    let man = Man::new(command.clone()).manual("Sockeye manual").date("");
    man.render_title(page)?;
    man.render_name_section(page)?;
    page.extend_from_slice(BEFORE.as_bytes());
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = sub.get_name().to_owned();
        let sub = sub.clone().bin_name(format!("sockeye {name}")).display_name(format!("sockeye {name}"));
        let man = Man::new(sub.disable_help_flag(true).disable_version_flag(true));
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section)?;
        section.extend_from_slice(b".PP\n");
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        page.extend_from_slice(format!(".SS \"{name}\"\n").as_bytes());
        let text = String::from_utf8_lossy(&section);
        let body = text
            .lines()
            .filter(|line| !line.starts_with(".SH") && !line.starts_with(".ie") && !line.starts_with(".el"));
        for line in body {
            page.extend_from_slice(line.as_bytes());
            page.push(b'\n');
        }
    }
    page.extend_from_slice(AFTER.as_bytes());
    Ok(())
}

const BEFORE: &str = r#".SH SYNOPSIS
.B sockeye
.I COMMAND
.RI [ OPTIONS ]
.SH DESCRIPTION
Sockeye is a TCP/IP stack outside the kernel, described in
.BR sockeye (7).
A stack's frames go through a TAP or TUN device; the kernel, at the device's other end, is its neighbour.
This program makes such devices ready, runs programs on stacks, and shows what they do.
.SH COMMANDS
"#;

const AFTER: &str = r#".SH EXIT STATUS
0, or 1 when a command failed, or 2 when the command line was not understood.
Errors are one line on standard error, with the cure.
.PP
.B run
ends as the program does, which replaces it;
with 125 when it failed itself, for a program that cannot be run on a stack too (static, Go, 32\-bit, with rights of its own);
with 126 when the program is not executable, and 127 when there is none.
.SH ENVIRONMENT
.TP
.BR SOCKEYE_NET ", " SOCKEYE_STACK
What
.B run
uses without
.B \-\-net
and
.BR \-\-stack .
.TP
.BR SOCKEYE_LINK ", " SOCKEYE_PCAP ", " SOCKEYE_LOG
Fill what the specification leaves unset.
.TP
.B SOCKEYE_CC
The congestion control that the program's sockets begin with, which
.B \-\-cc
sets.
.TP
.B SOCKEYE_TOKEN
The right to use a stack: 32 hexadecimal digits, which
.B run
gives to the program.
Programs of the user whose stack it is do without.
Those of another user are given it, except that root's go to no other user's host:
.B sudo sockeye run
does not join a stack that was started without
.BR sudo .
.TP
.B SOCKEYE_ALLOW_KERNEL
.BR 1 ", " on ", " yes " or " true :
as
.BR \-\-allow\-kernel .
.BR 0 ", " off ", " no " or " false :
as if it was not set.
.TP
.B SOCKEYE_HOST
The program that holds stacks, instead of
.B sockeye
itself.
.SH EXAMPLES
.EX
export $(sudo sockeye up t0 \-\-nat | tail \-n 1)
sockeye run \-\- curl \-sS http://example.org/
sockeye run \-\- python3 \-m http.server 80 &
sockeye ls
sockeye ss \-tlnp
sockeye nstat
sockeye stop
kill %1
sudo sockeye down t0
.EE
.SH NOTES
What
.B up \-\-nat
changes is kept in the packet filter itself:
in nft's table
.BR "ip sockeye" ,
or in chains of iptables' table
.B nat
whose names begin with
.BR sockeye .
.SH SEE ALSO
.BR sockeye (7),
.BR ip-tuntap (8),
.BR nft (8),
.BR iptables (8)
"#;
