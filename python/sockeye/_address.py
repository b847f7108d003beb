"""Addresses: the standard library's tuples, and struct sockaddr_in and sockaddr_in6."""

import socket as _standard
import struct

AF_INET, AF_INET6 = _standard.AF_INET, _standard.AF_INET6

# The longest address: struct sockaddr_in6.
LONGEST = 28

_ANY = {AF_INET: bytes(4), AF_INET6: bytes(16)}
_LOOPBACK = {AF_INET: bytes((127, 0, 0, 1)), AF_INET6: bytes(15) + b"\1"}


def host(family, name):
    """The bytes of a host's address. Nothing is asked of the kernel's network: a name other than localhost fails."""
    if isinstance(name, (bytes, bytearray)):
        name = name.decode("ascii")
    if not isinstance(name, str):
        raise TypeError(f"str, bytes or bytearray expected, not {type(name).__name__}")
    if name == "":
        return _ANY[family]
    if name.lower() == "localhost":  # RFC 6761, 6.3: always the loopback address
        return _LOOPBACK[family]
    if name == "<broadcast>" and family == AF_INET:
        return b"\xff" * 4
    try:
        return _standard.inet_pton(family, name)
    except OSError:
        pass
    try:  # shortened forms: 127.1
        found = _standard.getaddrinfo(name, None, family, 0, 0, _standard.AI_NUMERICHOST)
    except _standard.gaierror:
        text = f"{name!r} is no address, and names are not resolved on a stack: look it up before"
        raise _standard.gaierror(_standard.EAI_NONAME, text) from None
    return _standard.inet_pton(family, found[0][4][0].partition("%")[0])


def pack(family, address, caller):
    """A tuple as the struct the library takes."""
    if not isinstance(address, tuple):
        raise TypeError(f"{caller}(): AF_INET address must be tuple, not {type(address).__name__}")
    longest = 4 if family == AF_INET6 else 2
    if not 2 <= len(address) <= longest:
        raise TypeError(f"{caller}(): an address is a tuple of 2{' to 4' if longest > 2 else ''} values")
    port = address[1].__index__()
    if not 0 <= port <= 65535:
        raise OverflowError(f"{caller}(): port must be 0-65535.")
    if family == AF_INET:
        return struct.pack("=H", AF_INET) + struct.pack("!H4s8x", port, host(family, address[0]))
    if family != AF_INET6:
        raise OSError(f"{caller}(): bad family")
    flow, scope = (*address[2:], 0, 0)[:2]
    if not 0 <= flow <= 0xFFFFF:
        raise OverflowError(f"{caller}(): flowinfo must be 0-1048575.")
    there = struct.pack("!HI16s", port, flow, host(family, address[0]))
    return struct.pack("=H", AF_INET6) + there + struct.pack("=I", scope)


def unpack(packed):
    """The tuple for a struct the library wrote; None where there is no address."""
    if len(packed) < 2:
        return None
    (family,) = struct.unpack_from("=H", packed)
    if family == AF_INET:
        port, there = struct.unpack_from("!H4s", packed, 2)
        return _standard.inet_ntop(AF_INET, there), port
    if family == AF_INET6:
        port, flow, there = struct.unpack_from("!HI16s", packed, 2)
        (scope,) = struct.unpack_from("=I", packed, 24)
        return _standard.inet_ntop(AF_INET6, there), port, flow, scope
    return None
