//! The life of a listener: its port is free again as soon as its last descriptor is closed, and not before.

use crate::home::Home;

/// Takes a port and leaves it, again and again.
const CYCLES: &str = "
import socket
for _ in range(300):
    s = socket.socket()
    s.bind(('0.0.0.0', 7000))
    s.listen()
    s.close()
print('done')
";

/// Whether a port is free, with a duplicate and with a child that has the listener.
const SHARES: &str = "
import os, socket
def take():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind(('0.0.0.0', 7001))
        s.listen()
        return s
    except OSError as error:
        s.close()
        return error.errno
one = take()
two = one.dup()
one.close()
print(take())
socket.create_connection(('127.0.0.1', 7001)).close()
two.accept()[0].close()
two.close()
three = take()
ours, theirs = os.pipe()
if os.fork() == 0:
    os.close(theirs)
    os.read(ours, 1)
    three.close()
    os._exit(0)
os.close(ours)
three.close()
print(take())
os.close(theirs)
os.wait()
take().close()
print('done')
";

/// Executes a program by execveat(2), with an empty environment: it is on the stack all the same.
const EXECUTES: &str = "
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
text = b'import socket; s = socket.socket(); s.bind((\"10.97.0.2\", 0)); print(s.getsockname()[0])'
arguments = (ctypes.c_char_p * 4)(b'python3', b'-c', text, None)
variables = (ctypes.c_char_p * 1)(None)
if sys.argv[1] == 'function':
    libc.execveat(-100, b'/usr/bin/python3', arguments, variables, 0)
else:
    libc.syscall(322, -100, b'/usr/bin/python3', arguments, variables, 0)
print(ctypes.get_errno())
";

both_ways! {
    fn a_port_is_free_at_once(home: &Home) {
        assert_eq!(home.run(&["python3", "-c", CYCLES]).text(), "done\n");
    }

    fn a_port_is_taken_while_any_has_the_listener(home: &Home) {
        assert_eq!(home.run(&["python3", "-c", SHARES]).text(), "98\n98\ndone\n");
    }

    fn a_program_executed_by_execveat_stays_on_the_stack(home: &Home) {
        for way in ["function", "call"] {
            assert_eq!(home.run(&["python3", "-c", EXECUTES, way]).text(), "10.97.0.2\n", "{way}");
        }
    }
}
