"""One script, run on the standard library's sockets and on ours: both must say the same."""

import io
import os
import pickle
import signal
import socket as standard
import threading
import time
import unittest
import warnings

import sockeye

ENOUGH = 10
# The socket module has no name for it.
IP_RECVTTL = 12


class Kernel:
    """The kernel's network, with the names a Stack has."""

    socket = staticmethod(standard.socket)
    create_connection = staticmethod(standard.create_connection)
    create_server = staticmethod(standard.create_server)


def said(call, *arguments, **options):
    """What a call returns or raises, as something to compare."""
    try:
        return call(*arguments, **options)
    except Exception as error:
        text = str(error) if isinstance(error, (OSError, OverflowError)) else ""
        return type(error).__name__, getattr(error, "errno", None), text


def pair(net):
    """Two ends of a connection."""
    with net.create_server(("127.0.0.1", 0)) as listener:
        client = net.create_connection(listener.getsockname(), ENOUGH)
        client.settimeout(None)
        server, peer = listener.accept()
        assert peer == client.getsockname() and server.getpeername() == peer
    return client, server


def attributes(net):
    with net.socket() as made:
        yield made.family, made.type, made.proto, made.timeout, made.gettimeout(), made.getblocking()
        yield made.fileno() >= 0, made.get_inheritable()
        yield made.getsockname(), said(made.getpeername)
        made.setblocking(False)
        yield made.gettimeout(), made.getblocking()
        made.settimeout(1.5)
        yield made.gettimeout(), made.getblocking(), said(made.settimeout, -1), said(made.settimeout, "x")
        yield said(pickle.dumps, made)
        made.set_inheritable(True)
        yield made.get_inheritable()
    yield made.fileno(), said(made.recv, 1), said(made.getsockname), said(made.settimeout, 1)
    yield made.close()
    made = net.socket(standard.AF_INET, standard.SOCK_DGRAM | standard.SOCK_NONBLOCK)
    yield made.type, made.gettimeout(), said(made.recv, 10)
    fd = made.detach()
    yield fd >= 0, made.fileno(), made.close()
    again = type(made)(fileno=fd)
    yield again.family, again.type, again.proto, again.fileno() == fd
    again.close()
    yield said(type(made), fileno=fd), said(net.socket, standard.AF_INET, 77), said(net.socket, standard.AF_INET, 1, 17)


def unhappy_connections(net):
    with net.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()
        with net.socket() as other:
            yield said(other.bind, nobody)
        yield said(net.create_server, nobody)[:2]
    with net.socket() as made:
        yield said(made.connect, nobody)
    with net.socket() as made:
        yield made.connect_ex(nobody)
    with net.socket() as made:
        made.settimeout(ENOUGH)
        yield said(made.connect, nobody)
    with net.socket() as made:
        yield said(made.connect, "127.0.0.1"), said(made.connect, ("127.0.0.1", 70000)), said(made.connect, (1, 2))
        yield said(made.connect, ("127.0.0.1",)), said(made.send, b"x"), said(made.recv, 1), said(made.recv, -1)
        yield said(made.shutdown, standard.SHUT_WR), said(made.bind, ("192.0.2.1", 0)), said(made.accept)
        yield said(made.bind, ("127.1", 0)), made.getsockname()[0]
    with net.socket() as made:
        yield said(made.bind, ("localhost", 0)), made.getsockname()[0]


def a_stream(net):
    client, server = pair(net)
    yield client.send(b"hello"), server.recv(100), server.send(bytearray(b"world")), client.recv(3), client.recv(3)
    yield client.send(b""), client.sendall(memoryview(b"..abc..")[2:5]), server.recv(2), server.recv(2)
    room = bytearray(6)
    client.sendall(b"into")
    yield server.recv_into(room), bytes(room), said(server.recv_into, b"fixed"), said(server.recv_into, room, 7)
    client.sendall(b"from")
    yield server.recvfrom(10)
    client.sendall(b"look")
    yield server.recv(2, standard.MSG_PEEK), server.recv(10)
    yield client.sendmsg([b"one ", bytearray(b"two "), b"", memoryview(b"three")]), server.recvmsg(100)
    client.sendall(b"scattered")
    first, second = bytearray(4), bytearray(20)
    yield server.recvmsg_into([first, second]), bytes(first), bytes(second)
    yield server.recv(0), said(server.recv, 1, standard.MSG_DONTWAIT)
    client.shutdown(standard.SHUT_WR)
    yield server.recv(10), server.send(b"still"), client.recv(10), said(client.send, b"x")
    server.close()
    yield client.recv(10)
    client.close()


def resets(net):
    client, server = pair(net)
    client.setsockopt(standard.SOL_SOCKET, standard.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    yield said(server.recv, 1), server.recv(1), said(server.send, b"x")
    server.close()


def much(net):
    client, server = pair(net)
    data = os.urandom(3_000_000)
    sender = threading.Thread(target=lambda: (client.sendall(data), client.close()))
    sender.start()
    got = bytearray()
    while piece := server.recv(65536):
        got += piece
    sender.join()
    server.close()
    yield got == data


def timeouts(net):
    client, server = pair(net)
    server.settimeout(0.05)
    began = time.monotonic()
    yield said(server.recv, 1)
    yield 0.04 < time.monotonic() - began < 2
    client.settimeout(0.05)
    yield said(client.sendall, bytes(50_000_000))
    server.setblocking(False)
    while isinstance(said(server.recv, 1_000_000), bytes):
        pass
    yield said(server.recv, 1), said(server.recv_into, bytearray(1))
    client.close(), server.close()
    with net.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.01)
        yield said(listener.accept)
        with net.create_connection(listener.getsockname(), ENOUGH) as made:
            yield made.gettimeout()
            accepted, _ = listener.accept()
            with accepted:
                yield accepted.gettimeout(), accepted.getblocking(), accepted.family, accepted.type
        listener.setblocking(False)
        yield said(listener.accept)


def options(net):
    level = standard.SOL_SOCKET
    with net.socket() as made:
        yield made.getsockopt(level, standard.SO_TYPE), made.getsockopt(level, standard.SO_TYPE, 4)
        yield made.setsockopt(level, standard.SO_KEEPALIVE, True), made.getsockopt(level, standard.SO_KEEPALIVE)
        yield made.setsockopt(standard.IPPROTO_TCP, standard.TCP_NODELAY, b"\1\0\0\0")
        yield made.getsockopt(standard.IPPROTO_TCP, standard.TCP_NODELAY)
        yield said(made.getsockopt, level, 9999), said(made.setsockopt, level, 9999, 1)
        yield said(made.getsockopt, level, 1, 5000), said(made.setsockopt, level, standard.SO_KEEPALIVE, "1")[0]
        yield said(made.setsockopt, level, standard.SO_KEEPALIVE, None)[0]


def datagrams(net):
    with net.socket(type=standard.SOCK_DGRAM) as one, net.socket(type=standard.SOCK_DGRAM) as two:
        one.bind(("127.0.0.1", 0)), two.bind(("127.0.0.1", 0))
        yield one.sendto(b"data", two.getsockname()), one.sendto(b"more", 0, two.getsockname())
        first, sender = two.recvfrom(100)
        yield first, sender == one.getsockname()
        room = bytearray(10)
        count, sender = two.recvfrom_into(room)
        yield count, sender == one.getsockname(), bytes(room)
        yield said(one.sendto, b"x"), said(one.sendto, b"x", 5), said(one.sendto, bytes(70000), two.getsockname())
        two.setsockopt(standard.IPPROTO_IP, IP_RECVTTL, 1)
        ttl = [(standard.IPPROTO_IP, standard.IP_TTL, (9).to_bytes(4, "little"))]
        yield one.sendmsg([b"with ", b"ttl"], ttl, 0, two.getsockname())
        data, ancillary, flags, sender = two.recvmsg(100, standard.CMSG_SPACE(4))
        yield data, ancillary, flags, sender == one.getsockname()
        one.sendto(b"too long", two.getsockname())
        yield two.recvmsg(3)[::2]
        one.connect(two.getsockname())
        yield one.send(b""), two.recv(10)
        two.settimeout(0.01)
        yield said(two.recv, 10)


def files(net):
    client, server = pair(net)
    with client.makefile("rw", newline="\n") as both, server.makefile("rb") as reader:
        yield both.mode, reader.mode, both.write("line\nänother\n"), both.flush(), reader.readline(), reader.readline()
        client.close()
        yield client.fileno() >= 0, both.write("last"), both.flush()
    yield client.fileno(), server.recv(4), server.recv(4)
    yield said(server.makefile, "x"), said(server.makefile, "r", 0)
    with server.makefile("wb", 0) as raw:
        yield type(raw).__name__, raw.writable(), raw.readable(), raw.mode, said(raw.read, 1)[0]
    server.close()
    yield said(server.recv, 1)
    client, server = pair(net)
    yield client.sendfile(io.BytesIO(b"0123456789"), 2, 5), server.recv(100)
    server.settimeout(0.01)
    with server.makefile("rb") as reader:
        yield said(reader.read, 1), said(reader.read, 1)
    client.close(), server.close()


def duplicates(net):
    client, server = pair(net)
    client.settimeout(3)
    other = client.dup()
    yield other.fileno() != client.fileno(), other.gettimeout(), other.getsockname() == client.getsockname()
    client.close()
    yield other.send(b"by the other"), server.recv(100)
    other.close()
    yield server.recv(1)
    server.close()


def signals(net):
    client, server = pair(net)
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: (heard.append(1), len(heard) == 2 and client.send(b"late")))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03, 0.03)
        yield server.recv(10), len(heard) >= 2
        server.settimeout(ENOUGH)
        del heard[:]
        yield server.recv(10), len(heard) >= 2
        server.settimeout(0.15)
        heard[:] = [1, 1, 1]
        yield said(server.recv, 10)
        signal.setitimer(signal.ITIMER_REAL, 0)

        def give_up(*_):
            raise KeyError("from the handler")

        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        server.settimeout(None)
        yield said(server.recv, 10)[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        client.close(), server.close()


def forgotten(net):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = net.socket()
        del made
    yield [(each.category, str(each.message)[:9]) for each in caught]


SCRIPTS = (
    attributes, unhappy_connections, a_stream, resets, much, timeouts, options, datagrams, files, duplicates, signals, forgotten,
)  # fmt: skip


class AsStandard(unittest.TestCase):
    maxDiff = None


def case(script):
    def test(self):
        expected = list(script(Kernel))
        with sockeye.Stack("null:") as stack:
            found = list(script(stack))
        for number, (theirs, ours) in enumerate(zip(expected, found)):
            self.assertEqual(ours, theirs, f"step {number} of {script.__name__}")
        self.assertEqual(len(found), len(expected))

    return test


for script in SCRIPTS:
    setattr(AsStandard, f"test_{script.__name__}_as_the_standard_librarys", case(script))


if __name__ == "__main__":
    unittest.main()
