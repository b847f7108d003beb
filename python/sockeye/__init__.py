"""Sockeye: sockets of a TCP/IP stack outside the kernel.

    import sockeye

    with sockeye.Stack("tap:t0,ip=10.97.0.2/24,gw=10.97.0.1") as stack:
        with stack.create_connection(("10.97.0.1", 80)) as connection:
            connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            print(connection.recv(4096))

sockeye.socket() without a stack uses the default one, which the variable SOCKEYE_NET describes. Constants (AF_INET,
SOCK_STREAM, ...) are those of the standard library's socket module."""

from ._library import ConfigurationError, lib as _lib
from ._socket import create_connection, create_server, fromfd, socket
from ._stack import Stack
from ._waiting import Selector, poll, select

__all__ = [
    "ConfigurationError",
    "Selector",
    "Stack",
    "create_connection",
    "create_server",
    "fromfd",
    "poll",
    "select",
    "socket",
    "version",
]


def version():
    """The library's version, for example "0.1.0"."""
    return _lib.sockeye_version().decode()
