//! What programs are told of interfaces: the stack's, and none of the kernel's.

use crate::home::Home;

const NAMES: &str = "
import socket
print(socket.if_nameindex(), socket.if_nametoindex('t0'), socket.if_indextoname(1))
try:
    socket.if_nametoindex('dummy9')
except OSError:
    print('none')
";

/// getifaddrs(3) and ioctl(2) by ctypes and fcntl: family and address of each entry.
const ADDRESSES: &str = "
import ctypes, fcntl, socket, struct
class Entry(ctypes.Structure): pass
Entry._fields_ = [('next', ctypes.POINTER(Entry)), ('name', ctypes.c_char_p), ('flags', ctypes.c_uint),
    ('address', ctypes.c_void_p), ('mask', ctypes.c_void_p), ('far', ctypes.c_void_p), ('data', ctypes.c_void_p)]
libc = ctypes.CDLL(None)
first = ctypes.POINTER(Entry)()
assert libc.getifaddrs(ctypes.byref(first)) == 0
text = lambda at: socket.inet_ntoa(ctypes.string_at(at + 4, 4))
at = first
while at:
    entry = at.contents
    family, = struct.unpack('H', ctypes.string_at(entry.address, 2))
    if family == socket.AF_INET:
        print(entry.name.decode(), text(entry.address), text(entry.mask), text(entry.far))
    else:
        print(entry.name.decode(), family, hex(entry.flags))
    at = entry.next
libc.freeifaddrs(first)
s = socket.socket()
ask = lambda request, name: fcntl.ioctl(s, request, struct.pack('40s', name))
print(socket.inet_ntoa(ask(0x8915, b't0')[20:24]), struct.unpack('i', ask(0x8921, b't0')[16:20])[0])
try:
    ask(0x8914, b't0')
except OSError as error:
    print(error.errno)
try:
    ask(0x8915, b'dummy9')
except OSError as error:
    print(error.errno)
";

both_ways! {
    fn names_and_indexes_are_the_stacks(home: &Home) {
        home.namespace.ip("link add dummy9 type veth peer name dummy8");
        let said = home.run(&["python3", "-c", NAMES]);
        home.namespace.ip("link del dummy9");
        assert_eq!(said.text(), "[(1, 'lo'), (2, 't0')] 2 lo\nnone\n");
    }

    fn addresses_are_the_stacks(home: &Home) {
        let expected = "lo 17 0x10049\nt0 17 0x11043\nlo 127.0.0.1 255.0.0.0 127.0.0.1\n\
            t0 10.97.0.2 255.255.255.0 10.97.0.255\n10.97.0.2 1500\n1\n19\n";
        assert_eq!(home.run(&["python3", "-c", ADDRESSES]).text(), expected);
    }

    fn hostname_knows_the_stacks_address(home: &Home) {
        assert_eq!(home.run(&["hostname", "-I"]).text().trim_end(), "10.97.0.2");
    }
}
