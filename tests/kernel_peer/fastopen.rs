//! TCP Fast Open with the kernel, both ways.

use crate::{
    kernel,
    netns::{KERNEL, Namespace},
    program::Puppet,
};

/// tcpi_options: data in the SYN was taken.
const SYN_DATA: u8 = 32;

#[test]
fn we_open_fast_and_the_kernel_takes_the_data_of_the_second_syn() {
    let namespace = Namespace::new();
    namespace.sysctl("ipv4/tcp_fastopen", "3");
    let (listener, port) = kernel::listener(&namespace);
    kernel::fast_open_queue(&listener, 5);
    let mut app = Puppet::new(&namespace, "");
    for taken in [false, true] {
        let fd = app.number("socket tcp");
        app.gives(format!("sendto {fd} {KERNEL} {port} 100 fastopen"), "100");
        let mut peer = kernel::accepted(&listener);
        assert_eq!(kernel::read(&mut peer, 100).len(), 100);
        assert_eq!(kernel::tcp_info(&peer).options & SYN_DATA != 0, taken);
        app.gives(format!("close {fd}"), "0");
    }
}

#[test]
fn the_kernel_opens_fast_and_we_take_the_data_of_the_second_syn() {
    let namespace = Namespace::new();
    namespace.sysctl("ipv4/tcp_fastopen", "3");
    let mut app = Puppet::new(&namespace, ",sysctl=tcp_fastopen:3");
    let listener = app.listening(7, 5);
    app.gives(format!("set {listener} fastopen 5"), "0");
    for taken in [false, true] {
        let peer = kernel::send_fast(&namespace, 7, b"hello");
        let fd = app.number(format!("accept {listener}"));
        app.gives(format!("recv {fd} 100"), "5 hello");
        assert_eq!(kernel::tcp_info(&peer).options & SYN_DATA != 0, taken);
        app.gives(format!("close {fd}"), "0");
    }
}
