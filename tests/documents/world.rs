//! The world of somebody who follows a document: a machine with Sockeye installed, an ordinary user who may use sudo,
//! and behind a router's address the Internet, which is a name server and a web server.

use crate::{build, netns::Namespace};
use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::{self, Command, Stdio},
    thread,
};

/// The one address of the Internet: every name leads there.
const INTERNET: [u8; 4] = [192, 0, 2, 80];
/// What its web server says.
pub const PAGE: &str = "Example Domain\n";

/// Makes the machine and runs the user's shell: mounts of its own over /etc and /usr/local, so that what is installed
/// is installed for it alone. In the environment: STAGE, a folder; REPOSITORY.
const MACHINE: &str = r#"
set -e
mount -t tmpfs -o mode=755 machine "$STAGE/machine"
for place in etc usr/local; do
    mkdir -p "$STAGE/machine/$place/upper" "$STAGE/machine/$place/work"
    mount -t overlay -o "lowerdir=/$place,upperdir=$STAGE/machine/$place/upper,workdir=$STAGE/machine/$place/work" overlay "/$place"
done
rm -f /etc/resolv.conf
echo nameserver 192.0.2.80 >/etc/resolv.conf
useradd --create-home --home-dir "$STAGE/machine/home" --shell /bin/bash reader
mkdir -p /etc/sudoers.d
# As udev makes it; a container's is often root's alone.
mknod -m 666 "$STAGE/machine/tun" c 10 200
mount --bind "$STAGE/machine/tun" /dev/net/tun
echo 'reader ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/reader
echo "127.0.0.1 $(uname -n)" >>/etc/hosts
make --silent --directory "$REPOSITORY" install CARGO=none CARGO_TARGET_DIR="$STAGE/target" PREFIX=/usr/local
cp -r "$REPOSITORY/examples" "$REPOSITORY/python" "$STAGE/machine/home"
chown -R reader: "$STAGE/machine/home"
cd "$STAGE/machine/home"
# Not by exec: this shell is the namespace's init, and buries the orphans.
setpriv --reuid reader --regid reader --init-groups env -i HOME="$PWD" USER=reader LC_ALL=C.UTF-8 \
    PATH=/usr/local/bin:/usr/bin:/bin timeout --kill-after 5 100 bash "$STAGE/session"
exit $?
"#;

pub struct World {
    near: Namespace,
    /// Gone with it.
    stage: PathBuf,
    _far: Namespace,
}

impl World {
    /// For the document of this name.
    pub fn new(name: &str) -> Self {
        let (near, far) = (Namespace::bare(), Namespace::bare());
        near.join(&far, ("eth0", 1500, "192.0.2.1/24"), ("eth1", 1500, "192.0.2.80/24"));
        far.inside(|| {
            let names = UdpSocket::bind((Ipv4Addr::from(INTERNET), 53)).expect("a name server's socket");
            thread::spawn(move || serve_names(&names));
            let pages = TcpListener::bind((Ipv4Addr::from(INTERNET), 80)).expect("a web server's socket");
            thread::spawn(move || pages.incoming().for_each(|client| serve_page(&client.expect("a client"))));
        });
        let stage =
            env::temp_dir().join(format!("sockeye-documents-{}-{}", process::id(), name.replace(['/', '.'], "-")));
        let release = stage.join("target/release");
        fs::create_dir_all(&release).expect("a folder");
        fs::create_dir_all(stage.join("machine")).expect("a folder");
        for (from, to) in built() {
            fs::copy(&from, release.join(to)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        Self { near, stage, _far: far }
    }

    /// Whether the user's shell went through `script`, and what it printed.
    pub fn play(&self, script: &str) -> (bool, String) {
        fs::write(self.stage.join("session"), script).expect("a script");
        let log = self.stage.join("log");
        let output = fs::File::create(&log).expect("a log");
        let run = || {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", MACHINE]);
            command.env("STAGE", &self.stage).env("REPOSITORY", env!("CARGO_MANIFEST_DIR"));
            command.stdin(Stdio::null()).stdout(output.try_clone().expect("a descriptor")).stderr(output);
            command.status().expect("unshare runs")
        };
        let status = self.near.inside(run);
        (status.success(), String::from_utf8_lossy(&fs::read(&log).expect("a log")).into_owned())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.stage);
    }
}

/// What `make` leaves in target/release, as cargo has made it for this test.
fn built() -> [(PathBuf, &'static str); 4] {
    let library = build::library();
    [
        (env!("CARGO_BIN_EXE_sockeye").into(), "sockeye"),
        (library.join("libsockeye.so"), "libsockeye.so"),
        (library.join("libsockeye.a"), "libsockeye.a"),
        (build::preload().into(), "libsockeye_preload.so"),
    ]
}

/// Every name has one IPv4 address, and nothing else.
fn serve_names(socket: &UdpSocket) {
    let mut query = [0; 512];
    loop {
        let (len, client) = socket.recv_from(&mut query).expect("a query");
        let question = query[12..len].iter().position(|&byte| byte == 0).map(|end| &query[12..12 + end + 5]);
        let Some(question) = question else { continue };
        let is_address = question.ends_with(&[0, 1, 0, 1]);
        let mut answer = [&query[..2], &[0x81, 0x80, 0, 1, 0, is_address.into(), 0, 0, 0, 0], question].concat();
        if is_address {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(INTERNET);
        }
        socket.send_to(&answer, client).expect("an answer leaves");
    }
}

/// The same page for everybody.
fn serve_page(mut client: &TcpStream) {
    let head = BufReader::new(client).lines();
    head.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
    let _ = write!(client, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{PAGE}", PAGE.len());
}
