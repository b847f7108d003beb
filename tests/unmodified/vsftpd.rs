//! vsftpd, with what Debian configures and anonymous users: a daemon that hands sockets from process to process, locks
//! those that talk to strangers up in folders, and wants namespaces of the network for them. Its standard error is its
//! client's connection.

use crate::{
    home::{Home, noise},
    http,
    netns::OURS,
    running::PATIENCE,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    thread,
    time::{Duration, Instant},
};

/// A server whose standard error is its client's connection, and which tries to execute a static program: the headers
/// of one.
const SAYS: &str = r#"
import os, socket, struct
header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 2, os.uname().machine == "x86_64" and 62 or 183,
    1, 0, 64, 0, 0, 64, 56, 0, 64, 0, 0)
with open("static", "wb") as file: file.write(header)
os.chmod("static", 0o755)
listener = socket.create_server(("0.0.0.0", 7000))
print("listens")
connection, _ = listener.accept()
os.dup2(connection.fileno(), 2)
try: os.execv("./static", ["static"])
except PermissionError: connection.sendall(b"refused\n")
"#;

/// Each way into a network namespace of its own, without and with a socket of the stack's. Says the errors, 0 for none.
const LEAVES: &str = r#"
import ctypes, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
NEWNET, FORKS = 0x40000000, 0x40000000 | 17
CLONE, UNSHARE = (56, 272) if platform.machine() == "x86_64" else (220, 97)
stack = ctypes.create_string_buffer(1 << 20)
nothing = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: 0)
top = ctypes.c_void_p(ctypes.addressof(stack) + len(stack) - 64)
arguments = ctypes.create_string_buffer(NEWNET.to_bytes(8, "little") + bytes(56), 88)
ways = [lambda: libc.unshare(NEWNET), lambda: libc.syscall(UNSHARE, NEWNET),
        lambda: libc.clone(nothing, top, FORKS, None), lambda: libc.syscall(CLONE, FORKS, 0, 0, 0, 0),
        lambda: libc.syscall(435, arguments, ctypes.sizeof(arguments))]
def tried(way):
    ctypes.set_errno(0)
    pid = os.fork()
    if pid == 0:
        result = way()
        if result > 0: os.waitpid(result, 0x40000000)
        os._exit(ctypes.get_errno() if result < 0 else 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print([tried(way) for way in ways])
one = socket.socket()
print([tried(way) for way in ways])
"#;

both_ways! {
    fn files_come_by_either_way_of_opening_the_data_connection(home: &Home) {
        let folder = |name: &str| {
            let folder = home.folder.join(name);
            fs::create_dir(&folder).expect("a folder");
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("its mode");
            folder
        };
        let (root, empty) = (folder("root"), folder("empty"));
        let file = noise(300_000);
        fs::write(root.join("file"), &file).expect("a file");
        let config = format!(
            "listen=YES\nlisten_ipv6=NO\nanonymous_enable=YES\nno_anon_password=YES\nlocal_enable=YES\n\
             dirmessage_enable=YES\nuse_localtime=YES\nxferlog_enable=NO\nconnect_from_port_20=YES\n\
             pam_service_name=vsftpd\nssl_enable=NO\nsecure_chroot_dir={}\nanon_root={}\n",
            empty.display(),
            root.display(),
        );
        let config = home.file("vsftpd.conf", config.as_bytes()).display().to_string();
        let server = home.start(&["vsftpd", &config]);
        home.namespace.inside(|| {
            let end = Instant::now() + PATIENCE;
            while http::connect(21, Duration::from_secs(2)).is_err() {
                assert!(Instant::now() < end, "vsftpd does not listen");
                thread::sleep(Duration::from_millis(20));
            }
        });
        for way in [&["--ftp-pasv"][..], &["--ftp-port", "-"]] {
            let fetch = |path: &str| {
                let url = format!("ftp://{OURS}/{path}");
                home.run_kernels(&[&["curl", "-sS", &url], way].concat()).bytes()
            };
            assert!(String::from_utf8_lossy(&fetch("")).contains(" 300000 "));
            assert!(fetch("file") == file, "{way:?}");
        }
        server.end_by(libc::SIGTERM);
    }

    fn no_line_is_written_into_a_connection(home: &Home) {
        let server = home.start(&["/usr/bin/python3", "-c", SAYS]);
        server.says("listens");
        assert_eq!(home.run_kernels(&["nc.openbsd", "-d", OURS, "7000"]).text(), "refused\n");
        let outcome = server.ended();
        assert_eq!((&*outcome.stderr, &*outcome.stdout), ("", &b"listens\n"[..]));
    }

    fn who_has_a_socket_of_the_stacks_gets_no_network_of_its_own(home: &Home) {
        assert_eq!(home.run(&["/usr/bin/python3", "-c", LEAVES]).text(), "[0, 0, 0, 0, 0]\n[22, 22, 22, 22, 22]\n");
    }
}
