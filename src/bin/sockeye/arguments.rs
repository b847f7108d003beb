//! The command line. Help texts, the manual page and the shells' completions are made from what stands here.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::{ffi::OsString, path::PathBuf};

/// A TCP/IP stack outside the kernel
#[derive(Parser)]
#[command(name = "sockeye", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Run(Run),
    Ls(Ls),
    Ss(Ss),
    Nstat(Nstat),
    Log(Log),
    Stop(Stop),
    Up(Up),
    Down(Down),
    Host(Host),
    /// Show it at work, in a network namespace of its own
    ///
    /// Runs demo/run.sh of the source tree that this program was built in, as `make demo` does, or what was installed
    /// of it: unmodified programs on a stack.
    Demo,
    /// Print the version
    Version,
    /// Print the completions for a shell
    #[command(hide = true)]
    Completions {
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

/// Run a program whose network is a stack
///
/// The program replaces this one, so that its exit status and signals are its own. Programs that use the same device,
/// or the same name of a stack, share one stack: the first starts it, the others join it and must mean the same
/// network; of link=, pcap= and log= they may say nothing. It ends when the last of them and the last connection are
/// gone.
#[derive(Args)]
pub struct Run {
    /// Name of the stack to join or to start [default: made from the device, or SOCKEYE_STACK]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// The network specification, as tap:t0,ip=10.97.0.2/24,gw=10.97.0.1 [default: SOCKEYE_NET]
    #[arg(short, long, value_name = "SPEC")]
    pub net: Option<String>,
    /// Impair the link, as delay=20ms,loss=1%,seed=7
    #[arg(long)]
    pub link: Option<String>,
    /// Write what goes over the wire to a capture file
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// The congestion control that the program's sockets begin with [default: SOCKEYE_CC, else cubic]
    #[arg(long, value_name = "NAME")]
    pub cc: Option<String>,
    /// Leave the kernel's network open to what goes past the preload library [default: SOCKEYE_ALLOW_KERNEL]
    ///
    /// Without it a seccomp filter holds the program and all it starts: sockets of the kernel's network cannot be made,
    /// by whatever means, nor rings of io_uring.
    #[arg(long)]
    pub allow_kernel: bool,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_names = ["PROGRAM", "ARGUMENTS"])]
    pub program: Vec<OsString>,
}

/// List the stacks that run
///
/// Those of this user in this network namespace, and for root those of every user: name, device, addresses, how many
/// processes use it and how many sockets they have, the process that holds it, its age, how many warnings it has said
/// (`sockeye log` shows them, also where nobody reads its standard error), and the network specification. A stack that
/// a process has for itself is called DEVICE@PID.
#[derive(Args)]
pub struct Ls {
    /// As JSON
    #[arg(short, long)]
    pub json: bool,
    /// No line of titles
    #[arg(short = 'H', long)]
    pub no_header: bool,
}

/// List the sockets of running stacks, as ss(8) does the kernel's
///
/// Without --listening and --all: connections, and datagram sockets with a peer. Shows TCP and UDP unless one of them
/// is asked for.
#[derive(Args)]
pub struct Ss {
    /// The stack [default: every stack of this user in this network namespace, named in a first column]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// TCP sockets
    #[arg(short, long)]
    pub tcp: bool,
    /// UDP sockets
    #[arg(short, long)]
    pub udp: bool,
    /// Listening sockets, and datagram sockets without a peer
    #[arg(short, long)]
    pub listening: bool,
    /// All sockets, those in TIME-WAIT too
    #[arg(short, long)]
    pub all: bool,
    /// Ports as numbers and not by their names in /etc/services
    #[arg(short, long)]
    pub numeric: bool,
    /// What TCP knows of each connection
    #[arg(short, long)]
    pub info: bool,
    /// The processes that hold each socket now, and their descriptors
    ///
    /// Those of other users are shown to root alone.
    #[arg(short, long)]
    pub processes: bool,
    /// No line of titles
    #[arg(short = 'H', long)]
    pub no_header: bool,
}

/// Show what running stacks have counted, as nstat(8) does for the kernel
///
/// The names are the kernel's. Shows what was counted since the stack was asked last, by whomever.
#[derive(Args)]
pub struct Nstat {
    /// The stack [default: every stack of this user in this network namespace]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// What was counted since the stack began
    #[arg(short = 'a', long)]
    pub ignore: bool,
    /// Counters that are zero, too
    #[arg(short, long)]
    pub zeros: bool,
    /// The next time shows what this time does, and what came since
    #[arg(short = 's', long = "noupdate")]
    pub no_update: bool,
    /// As JSON
    #[arg(short, long)]
    pub json: bool,
}

/// Show what a stack's host has said
///
/// Once it is up a host writes to the standard error of the program that started it only if that is a terminal or a
/// file: where it is a pipe, as under systemd or in CI, what it says is here alone, unless log= sends it elsewhere.
/// Its last lines, up to 256 of them or 64 KiB: what log= has it say, and whatever it is, info and what is worse.
/// What a terminal would obey is shown as "?"; of a host that is neither root's nor yours no more than 1 MiB is shown.
#[derive(Args)]
pub struct Log {
    /// The stack [default: the only one that runs in this network namespace]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// Go on with what it says later, until it ends
    #[arg(short, long)]
    pub follow: bool,
}

/// End a stack's host
///
/// Its connections are reset, and programs that use it see that. A program that was started by `sockeye run` or has
/// used the stack gets no new sockets and must be started again; another one starts the stack anew, if it knows the
/// specification. Says how many processes and connections there were.
#[derive(Args)]
pub struct Stop {
    /// The stack [default: the only one that runs in this network namespace]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
}

/// Make a TAP device that stays, give its kernel side an address, and set it up
///
/// A device that is there already is kept and completed, so that the command may be repeated. Says on standard output
/// what it did, and which network specification a program may use then. A device that was made is removed again when a
/// later step fails.
#[derive(Args)]
pub struct Up {
    /// The device: up to 15 letters, digits, dots, dashes and underscores
    pub name: String,
    /// Address of the kernel's side, and the length of its network's prefix [default: 10.97.0.1/24]
    ///
    /// A device that has an address keeps it when this is left out.
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    pub ip: Option<String>,
    /// Make a TUN device: IP without Ethernet
    #[arg(long)]
    pub tun: bool,
    /// Let the device's network out through the kernel's other interfaces, under their addresses
    ///
    /// Masquerades by nft, or iptables where there is no nft, and turns on IPv4 forwarding if it is off. A firewall
    /// that drops forwarded packets is left as it is. The specification that is printed names the machine's name
    /// servers then, also when the command is repeated without this.
    #[arg(long)]
    pub nat: bool,
    /// The user who may open the device, besides root [default: who called sudo, else who calls this]
    ///
    /// A name or a number. A device that is there already stays its owner's when this is left out.
    #[arg(long)]
    pub user: Option<String>,
}

/// Remove a TAP or TUN device, and undo its --nat
///
/// A stack that no program uses any more is waited for; one that is used keeps its device. IPv4 forwarding is turned
/// off with the last device that has --nat, if `sockeye up` had turned it on.
#[derive(Args)]
pub struct Down {
    /// The device
    pub name: String,
}

/// Own a device and a stack, and serve the sockets of programs that run with the preload library
///
/// Programs that run with LD_PRELOAD=libsockeye_preload.so start it by themselves. It ends when the last program and
/// the last connection are gone. Where a host of this name runs already there is nothing to do, which a line says.
#[derive(Args)]
pub struct Host {
    /// The network specification, such as tap:t0,ip=10.97.0.2/24,gw=10.97.0.1 [default: SOCKEYE_NET]
    #[arg(short, long, value_name = "SPEC")]
    pub net: Option<String>,
    /// The stack's name [default: SOCKEYE_STACK, else made from the device]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// Say nothing where a host of this name runs already
    #[arg(short, long)]
    pub quiet: bool,
}
