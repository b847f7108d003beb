//! Servers that listen on `::` beside or instead of 0.0.0.0, some of them with IPV6_V6ONLY: they start, and IPv4 comes
//! to them.

use crate::{home::Home, netcat::connected};
use std::{
    io::{Read, Write},
    time::Duration,
};

/// Starts a server; the kernel's client asks it and finds `answer` in what it says.
fn answers(home: &Home, command: &[&str], port: u16, question: &[u8], answer: &[u8]) {
    let server = home.start(command);
    let mut stream = connected(home, port);
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    stream.write_all(question).expect("a reader");
    let (mut heard, mut room) = (Vec::new(), [0; 4096]);
    while !heard.windows(answer.len()).any(|part| part == answer) {
        let n = stream.read(&mut room).expect("an answer");
        assert!(n > 0, "{command:?} said {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&room[..n]);
    }
    drop(stream);
    server.end_by(libc::SIGTERM);
}

const GET: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// Asks for the address of x.test until the server is up.
const ASKS: &str = "
import socket, time
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(('127.0.0.1', 53))
while True:
    try:
        client.send(b'\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\1x\\4test\\0\\0\\1\\0\\1')
        print(socket.inet_ntoa(client.recv(512)[-4:]))
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
";

both_ways! {
    fn nginx_by_debians_configuration(home: &Home) {
        answers(home, &["nginx", "-g", "daemon off;"], 80, GET, b"200 OK");
    }

    fn lighttpd_by_debians_configuration(home: &Home) {
        answers(home, &["lighttpd", "-D", "-f", "/etc/lighttpd/lighttpd.conf"], 80, GET, b"Server: lighttpd");
    }

    fn memcached_without_an_address(home: &Home) {
        answers(home, &["memcached", "-u", "root"], 11211, b"version\r\n", b"VERSION ");
    }

    fn mosquitto_on_every_address(home: &Home) {
        let config = home.file("mosquitto.conf", b"listener 1883\nallow_anonymous true\nuser root\n").display().to_string();
        // CONNECT of a client called "a" (MQTT 3.1.1), and CONNACK.
        let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
        answers(home, &["mosquitto", "-c", &config], 1883, connect, b"\x20\x02\x00\x00");
    }

    fn dnsmasq_on_every_address(home: &Home) {
        let server = home.start(
            &["dnsmasq", "-k", "-C", "/dev/null", "--no-resolv", "--address=/x.test/192.0.2.7", "--pid-file=", "-u", "root"],
        );
        assert_eq!(home.run(&["python3", "-c", ASKS]).text(), "192.0.2.7\n");
        server.end_by(libc::SIGTERM);
    }

    fn haproxy_with_v6only(home: &Home) {
        let text = "defaults\n mode http\n timeout connect 20s\n timeout client 20s\n timeout server 20s\n\
                    frontend a\n bind :::8081 v6only\n bind 0.0.0.0:8081\n http-request return status 200\n";
        let config = home.file("haproxy.cfg", text.as_bytes()).display().to_string();
        answers(home, &["haproxy", "-db", "-f", &config], 8081, GET, b"200 OK");
    }

    fn ncat_that_listens(home: &Home) {
        answers(home, &["ncat", "-l", "-k", "9100", "--sh-exec", "cat"], 9100, b"echo\n", b"echo\n");
    }
}
