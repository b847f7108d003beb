//! The program `sockeye`: what it makes, says and answers.

#[allow(dead_code, reason = "other tests use the rest")]
mod netns;

use netns::Namespace;
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    time::Duration,
};

/// How a run ended: exit code, standard output, standard error.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

fn ended(output: std::io::Result<Output>) -> Ended {
    let Output { status, stdout, stderr } = output.expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ended { code: status.code(), out: text(stdout), err: text(stderr) }
}

fn command(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.args(words.split_whitespace()).env_remove("SUDO_UID");
    command
}

fn sockeye(words: &str) -> Ended {
    ended(command(words).output())
}

impl Namespace {
    fn sockeye(&self, words: &str) -> Ended {
        self.inside(|| sockeye(words))
    }

    /// The standard output of a run that must succeed.
    fn works(&self, words: &str) -> String {
        let ended = self.sockeye(words);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "sockeye {words}");
        ended.out
    }

    /// The line on standard error of a run that must fail, and say nothing else.
    fn fails(&self, words: &str) -> String {
        let ended = self.sockeye(words);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.lines().count()), (Some(1), "", 1), "{words}: {ended:?}");
        ended.err.trim_start_matches("sockeye: ").trim_end().to_owned()
    }

    /// What a program of the system prints, errors too.
    fn prints(&self, program: &str, words: &str) -> String {
        let Ended { out, err, .. } = ended(self.inside(|| Command::new(program).args(words.split(' ')).output()));
        out + &err
    }

    fn is_forwarding(&self) -> bool {
        self.prints("cat", "/proc/sys/net/ipv4/ip_forward") == "1\n"
    }
}

#[test]
fn up_makes_a_device_that_stays_and_down_removes_it() {
    let namespace = Namespace::bare();
    assert_eq!(
        namespace.works("up t0"),
        "t0: made, a TAP device that stays; user 0 may open it\n\
         t0: the kernel's side is up and has the address 10.97.0.1/24\n\
         SOCKEYE_NET=tap:t0,ip=10.97.0.2/24,gw=10.97.0.1\n"
    );
    let shown = namespace.prints("ip", "-d address show t0");
    for words in ["tun type tap", "persist on user root", "inet 10.97.0.1/24 brd 10.97.0.255", ",UP>"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert_eq!(namespace.works("down t0"), "t0: removed, a TAP device\n");
    assert_eq!(namespace.devices(), ["lo"]);
}

#[test]
fn up_completes_what_is_there() {
    let namespace = Namespace::bare();
    namespace.ip("tuntap add dev t0 mode tap");
    let said = namespace.works("up t0 --ip 10.98.0.1/30");
    let anybodys = "t0: is there already, a TAP device; every user may open it; --user gives it to one\n";
    assert!(said.starts_with(anybodys), "{said}");
    let said = namespace.works("up t0 --user 1");
    assert!(said.starts_with("t0: is there already, a TAP device; user 1 may open it now\n"), "{said}");
    let side = "t0: the kernel's side is up and has the address 10.98.0.1/30\n";
    let spec = "SOCKEYE_NET=tap:t0,ip=10.98.0.2/30,gw=10.98.0.1\n";
    let again = format!("t0: is there already, a TAP device; user 1 may open it\n{side}{spec}");
    assert_eq!(namespace.works("up t0"), again);
    let other = ended(namespace.inside(|| command("up t0").env("SUDO_UID", "2").output())).out;
    assert_eq!(other, again.replacen("open it\n", "open it; --user 2 gives it to user 2\n", 1));
    assert!(namespace.fails("up t0 --ip 10.98.0.2/30").starts_with("t0: has the address 10.98.0.1/30 already; "));
    assert!(namespace.fails("up t0 --tun").starts_with("t0: is a TAP device already; use another name"));
    assert!(namespace.prints("ip", "-d link show t0").contains("persist on user daemon"));
}

#[test]
fn a_tun_device_is_a_device_like_any_other() {
    let namespace = Namespace::bare();
    assert!(namespace.works("up u0 --tun").ends_with("SOCKEYE_NET=tun:u0,ip=10.97.0.2/24,gw=10.97.0.1\n"));
    assert_eq!(namespace.works("down u0"), "u0: removed, a TUN device\n");
}

#[test]
fn another_devices_network_is_not_taken_away() {
    let namespace = Namespace::new();
    let line = namespace.fails("up t1");
    assert_eq!(line, "t1: the network 10.97.0.0/24 is reached through t0; choose another, as --ip 10.98.0.1/24");
    assert_eq!(namespace.devices(), ["lo", "t0"], "nothing is left behind");
}

#[test]
fn what_is_no_device_of_ours_is_left_alone() {
    let namespace = Namespace::bare();
    assert!(namespace.fails("down lo").starts_with("lo: is no TAP or TUN device; "));
    assert!(namespace.fails("up lo").ends_with("is no TAP or TUN device; use another name"));
    assert!(namespace.fails("down t0").starts_with("t0: there is no such device; "));
    assert!(namespace.fails("up t/0").starts_with("`t/0` is no name for a device; "));
    assert!(namespace.fails("up t0 --ip 10.0.0.0/24").starts_with("--ip: `10.0.0.0/24` is the network itself"));
    assert!(namespace.fails("up t0 --ip fd00::1/64").starts_with("--ip: `fd00::1/64` is IPv6"));
    assert!(namespace.fails("up t0 --user no-such-user").starts_with("t0: there is no user `no-such-user`; "));
    assert_eq!(namespace.devices(), ["lo"]);
}

#[test]
fn the_one_who_called_sudo_owns_the_device() {
    let namespace = Namespace::bare();
    let ended = ended(namespace.inside(|| command("up t0").env("SUDO_UID", "1").output()));
    assert!(ended.out.starts_with("t0: made, a TAP device that stays; user 1 may open it\n"), "{ended:?}");
}

#[test]
fn without_rights_the_line_says_which_are_needed() {
    let namespace = Namespace::bare();
    let program = format!("--reuid 65534 --clear-groups --bounding-set=-all {} up t0", env!("CARGO_BIN_EXE_sockeye"));
    let line = namespace.prints("setpriv", &program);
    assert!(line.starts_with("sockeye: tap t0: ") && line.contains("root"), "{line}");
    assert_eq!(namespace.devices(), ["lo"]);
}

/// Two devices, of which the first goes first. `run` runs our program, `rules` tells what the packet filter has.
fn masquerades(namespace: &Namespace, tool: &str, run: impl Fn(&str) -> String, rules: impl Fn() -> String) {
    let said = run("up t0 --nat");
    let first = format!("t0: 10.97.0.0/24 goes out masqueraded (by {tool}); IPv4 forwarding is turned on\n");
    assert!(said.contains(&first), "{said}");
    let said = run("up t1 --ip 10.98.0.1/24 --nat");
    let second = format!("t1: 10.98.0.0/24 goes out masqueraded (by {tool}); IPv4 forwarding was on\n");
    assert!(said.contains(&second), "{said}");
    let once = rules();
    run("up t0 --nat");
    let count = |text: &str| text.to_lowercase().matches("masquerade").count();
    assert_eq!((count(&once), count(&rules())), (2, 2), "{}", rules());

    assert_eq!(run("down t0"), "t0: removed, a TAP device\nt0: is masqueraded no more\n");
    assert!(namespace.is_forwarding() && count(&rules()) == 1, "{}", rules());
    let said = run("down t1");
    assert!(said.ends_with("t1: is masqueraded no more; IPv4 forwarding is turned off again\n"), "{said}");
    assert!(!namespace.is_forwarding() && !rules().contains("sockeye"), "{}", rules());
}

#[test]
fn nat_by_nft_is_made_once_and_undone_with_the_last_device() {
    let namespace = Namespace::bare();
    masquerades(&namespace, "nft", |words| namespace.works(words), || namespace.prints("nft", "list ruleset"));
}

/// Our program in a mount namespace where these tools are not to be found.
fn without(namespace: &Namespace, tools: &str, words: &str) -> Ended {
    let hide = format!(
        "for tool in {tools}; do mount --bind /dev/null \"$(readlink -f \"$(command -v $tool)\")\" || exit 9; done; \
         exec \"$@\""
    );
    let run = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &hide, "sh", env!("CARGO_BIN_EXE_sockeye")]);
        command.args(words.split(' ')).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env_remove("SUDO_UID").output()
    };
    ended(namespace.inside(run))
}

#[test]
fn nat_by_iptables_is_made_once_and_undone_with_the_last_device() {
    let namespace = Namespace::bare();
    let run = |words: &str| {
        let ended = without(&namespace, "nft", words);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{words}");
        ended.out
    };
    masquerades(&namespace, "iptables", run, || namespace.prints("iptables", "-t nat -S"));
}

#[test]
fn nat_without_a_tool_names_the_cure_and_makes_nothing() {
    let namespace = Namespace::bare();
    let ended = without(&namespace, "nft iptables", "up t0 --nat");
    let cure = "sockeye: t0: --nat needs nft or iptables; install one (Debian: apt-get install nftables)\n";
    assert_eq!(ended, Ended { code: Some(1), out: String::new(), err: cure.to_owned() });
    assert_eq!(namespace.devices(), ["lo"]);
}

/// What `up t0 --nat` says on a machine with these resolv.conf(5), its own and the one of systemd-resolved: the
/// specification, and on standard error what is missing.
fn resolving(own: &str, systemd: &str) -> (String, String) {
    let Ended { code, out, err } = resolving_for(&Namespace::bare(), "up t0 --nat", own, systemd);
    assert_eq!(code, Some(0), "{own}");
    (out.split_once("IPv4 forwarding is turned on\n").expect("it masquerades").1.to_owned(), err)
}

/// Our program on a machine with these resolv.conf(5).
fn resolving_for(namespace: &Namespace, words: &str, own: &str, systemd: &str) -> Ended {
    let arrange = "mount -t tmpfs run /run && mkdir -p /run/systemd/resolve \
        && printf \"$2\" >/run/systemd/resolve/resolv.conf && printf \"$1\" >/run/own \
        && conf=$(readlink -m /etc/resolv.conf) && mkdir -p \"${conf%/*}\" && touch \"$conf\" \
        && mount --bind /run/own \"$conf\" && shift 2 && exec \"$0\" \"$@\"";
    let run = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", arrange, env!("CARGO_BIN_EXE_sockeye"), own, systemd]);
        command.args(words.split(' ')).env_remove("SUDO_UID").output()
    };
    ended(namespace.inside(run))
}

#[test]
fn up_tells_no_less_when_it_is_repeated_without_nat() {
    let namespace = Namespace::bare();
    let says = |words: &str| resolving_for(&namespace, words, "nameserver 192.0.2.1\\n", "").out;
    let first = says("up t0 --nat");
    let second =
        first.replace("made, a TAP device that stays; user 0", "is there already, a TAP device; user 0").replace(
            "masqueraded (by nft); IPv4 forwarding is turned on",
            "masqueraded already (by nft); IPv4 forwarding is on",
        );
    assert!(first.ends_with(",gw=10.97.0.1,dns=192.0.2.1\n"), "{first}");
    assert_eq!(says("up t0"), second);
    namespace.sysctl("ipv4/ip_forward", "0");
    assert!(says("up t0").contains("IPv4 forwarding is off: --nat turns it on\n"));
    // Who may not look at the packet filter is told so, and loses nothing of the rest.
    let stranger = format!("--reuid 65534 --clear-groups {} up t0", env!("CARGO_BIN_EXE_sockeye"));
    let said = namespace.prints("setpriv", &stranger);
    assert!(said.contains("t0: whether it is masqueraded is root's to see; `sudo sockeye up t0` says so\n"), "{said}");
    assert_eq!(says("up t1 --ip 10.98.0.1/24").lines().count(), 3, "another device has nothing of it");
}

#[test]
fn who_removes_a_device_without_roots_rights_is_told_what_may_be_left() {
    let namespace = Namespace::bare();
    namespace.works("up t0 --user 65534 --nat");
    // /dev/net/tun may be root's alone.
    let opens = "--inh-caps +dac_override --ambient-caps +dac_override";
    let words = format!("--reuid 65534 --clear-groups {opens} {} down t0", env!("CARGO_BIN_EXE_sockeye"));
    let said = namespace.prints("setpriv", &words);
    let told = "t0: whether it was masqueraded is root's to see; if it was, `sudo sockeye down t0` undoes that\n";
    assert_eq!(said, format!("t0: removed, a TAP device\n{told}"));
    assert!(namespace.works("down t0").contains("is masqueraded no more; IPv4 forwarding is turned off again\n"));
    assert!(!namespace.is_forwarding());
}

#[test]
fn a_stack_that_is_let_out_is_told_the_machines_name_servers() {
    let with = |dns: &str| (format!("SOCKEYE_NET=tap:t0,ip=10.97.0.2/24,gw=10.97.0.1,dns={dns}\n"), String::new());
    assert_eq!(resolving("nameserver 192.0.2.1\\nnameserver 192.0.2.2\\n", ""), with("192.0.2.1+192.0.2.2"));
    assert_eq!(resolving("nameserver 127.0.0.53\\n", "nameserver 192.0.2.3\\n"), with("192.0.2.3"));
    let without = "SOCKEYE_NET=tap:t0,ip=10.97.0.2/24,gw=10.97.0.1\n";
    let cure = "add dns=ADDRESS to the specification, or names are not found\n";
    let line = "t0: /etc/resolv.conf names 127.0.0.1 and fe80::1, which a stack cannot reach: ";
    assert_eq!(
        resolving("nameserver 127.0.0.1\\nnameserver fe80::1\\n", "nameserver 127.0.0.53\\n"),
        (without.to_owned(), line.to_owned() + cure)
    );
    let line = "t0: /etc/resolv.conf names no server: ";
    assert_eq!(resolving("", ""), (without.to_owned(), line.to_owned() + cure));
}

#[test]
fn forwarding_that_was_on_stays_on() {
    let namespace = Namespace::bare();
    namespace.sysctl("ipv4/ip_forward", "1");
    assert!(namespace.works("up t0 --nat").contains("(by nft); IPv4 forwarding was on\n"));
    assert!(namespace.works("down t0").ends_with("t0: is masqueraded no more\n"));
    assert!(namespace.is_forwarding());
}

#[test]
fn packets_go_out_under_the_kernels_address_and_answers_come_back() {
    let (near, far) = (Namespace::bare(), Namespace::bare());
    near.join(&far, ("out", 1500, "192.0.2.1/24"), ("in", 1500, "192.0.2.2/24"));
    near.works("up t0 --nat");
    // A third namespace stands for what is behind the device: its packets come to the kernel from 10.97.0.0/24.
    let behind = Namespace::bare();
    near.join(&behind, ("b0", 1500, "10.97.1.1/24"), ("b1", 1500, "10.97.0.2/24"));
    behind.ip("route add default dev b1");
    near.ip("route add 10.97.0.2/32 dev b0");
    near.sysctl("ipv4/conf/b0/proxy_arp", "1");
    let listener = far.inside(|| TcpListener::bind("192.0.2.2:80")).expect("a listener");
    let server = "192.0.2.2:80".parse().expect("an address");
    let client = behind.inside(|| TcpStream::connect_timeout(&server, Duration::from_secs(5))).expect("a way out");
    let (_, peer) = listener.accept().expect("a connection");
    assert_eq!(peer.ip().to_string(), "192.0.2.1", "not {:?}", client.local_addr());
}

#[test]
fn the_manual_in_docs_is_the_one_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sockeye.1");
    let printed = sockeye("man").out;
    if std::env::var_os("SOCKEYE_BLESS").is_some() {
        fs::write(&path, &printed).expect("docs/sockeye.1 is writable");
    }
    let kept = fs::read_to_string(&path).expect("docs/sockeye.1");
    assert!(kept == printed, "docs/sockeye.1 is old; write it anew: SOCKEYE_BLESS=1 cargo test --test cli");
}

#[test]
fn the_version_is_the_packages() {
    let version = format!("sockeye {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(sockeye("version"), Ended { code: Some(0), out: version.clone(), err: String::new() });
    assert_eq!(sockeye("--version").out, version);
}

#[test]
fn a_command_line_that_is_not_understood_ends_with_2() {
    for words in ["", "no-such-command", "up", "up t0 --no-such-option", "completions no-such-shell"] {
        let Ended { code, out, err } = sockeye(words);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{words}");
        assert!(err.contains("Usage: sockeye") || err.contains("possible values"), "{words}: {err}");
    }
}

#[test]
fn completions_know_the_options() {
    for shell in ["bash", "zsh", "fish"] {
        let Ended { code, out, .. } = sockeye(&format!("completions {shell}"));
        assert!(code == Some(0) && out.contains("nat") && out.contains("down"), "{shell}");
    }
    let syntax = Command::new("bash").args(["-n", "-c", &sockeye("completions bash").out]).status();
    assert!(syntax.expect("bash").success());
}

#[test]
fn help_is_there_for_every_command_and_a_mistyped_one_is_guessed() {
    for name in ["run", "ls", "ss", "nstat", "log", "stop", "up", "down", "host", "demo", "version"] {
        let (help, option) = (sockeye(&format!("help {name}")), sockeye(&format!("{name} --help")));
        assert_eq!((help.code, help.err.as_str()), (Some(0), ""), "{name}");
        assert!(help.out.contains(&format!("Usage: sockeye {name}")), "{}", help.out);
        assert_eq!(help, option, "{name}");
    }
    for (wrong, right) in [("nstta", "'nstat'"), ("rum", "'run'"), ("ss --processe", "'--processes'")] {
        let Ended { code, out, err } = sockeye(wrong);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{wrong}");
        assert!(err.contains("similar") && err.contains(right), "{wrong}: {err}");
    }
}
