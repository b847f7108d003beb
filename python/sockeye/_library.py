"""Finds libsockeye.so, and says once what its functions look like; tests/test_signatures.py holds that to the header."""

import ctypes
import errno
import os
from ctypes import POINTER, Structure, c_char_p, c_int, c_short, c_size_t, c_ssize_t, c_uint32, c_uint64, c_ulong, c_void_p
from ctypes import get_errno, set_errno
from pathlib import Path

# The name programs are linked to; build.rs and the Makefile have it too.
SONAME = "libsockeye.so.0"


class pollfd(Structure):
    """struct pollfd of poll(2)."""

    _fields_ = [("fd", c_int), ("events", c_short), ("revents", c_short)]


class iovec(Structure):
    """struct iovec of readv(2)."""

    _fields_ = [("iov_base", c_void_p), ("iov_len", c_size_t)]


class msghdr(Structure):
    """struct msghdr of recvmsg(2)."""

    _fields_ = [
        ("msg_name", c_void_p),
        ("msg_namelen", c_uint32),
        ("msg_iov", POINTER(iovec)),
        ("msg_iovlen", c_size_t),
        ("msg_control", c_void_p),
        ("msg_controllen", c_size_t),
        ("msg_flags", c_int),
    ]


class epoll_event(Structure):
    """struct epoll_event of epoll_ctl(2); glibc packs it on x86_64 alone."""

    if os.uname().machine == "x86_64":
        _pack_ = 1
        _layout_ = "ms"
    _fields_ = [("events", c_uint32), ("data", c_uint64)]


# name: (result, arguments, whether more arguments may follow)
SIGNATURES = {
    "sockeye_accept4": (c_int, (c_int, c_void_p, POINTER(c_uint32), c_int), False),
    "sockeye_bind": (c_int, (c_int, c_void_p, c_uint32), False),
    "sockeye_close": (c_int, (c_int,), False),
    "sockeye_connect": (c_int, (c_int, c_void_p, c_uint32), False),
    "sockeye_epoll_create1": (c_int, (c_int,), False),
    "sockeye_epoll_ctl": (c_int, (c_int, c_int, c_int, POINTER(epoll_event)), False),
    "sockeye_epoll_wait": (c_int, (c_int, POINTER(epoll_event), c_int, c_int), False),
    "sockeye_fcntl": (c_int, (c_int, c_int), True),
    "sockeye_getpeername": (c_int, (c_int, c_void_p, POINTER(c_uint32)), False),
    "sockeye_getsockname": (c_int, (c_int, c_void_p, POINTER(c_uint32)), False),
    "sockeye_getsockopt": (c_int, (c_int, c_int, c_int, c_void_p, POINTER(c_uint32)), False),
    "sockeye_ioctl": (c_int, (c_int, c_ulong), True),
    "sockeye_last_error": (c_char_p, (), False),
    "sockeye_listen": (c_int, (c_int, c_int), False),
    "sockeye_msocket": (c_int, (c_void_p, c_int, c_int, c_int), False),
    "sockeye_poll": (c_int, (POINTER(pollfd), c_ulong, c_int), False),
    "sockeye_recv": (c_ssize_t, (c_int, c_void_p, c_size_t, c_int), False),
    "sockeye_recvfrom": (c_ssize_t, (c_int, c_void_p, c_size_t, c_int, c_void_p, POINTER(c_uint32)), False),
    "sockeye_recvmsg": (c_ssize_t, (c_int, POINTER(msghdr), c_int), False),
    "sockeye_send": (c_ssize_t, (c_int, c_void_p, c_size_t, c_int), False),
    "sockeye_sendmsg": (c_ssize_t, (c_int, POINTER(msghdr), c_int), False),
    "sockeye_sendto": (c_ssize_t, (c_int, c_void_p, c_size_t, c_int, c_void_p, c_uint32), False),
    "sockeye_setsockopt": (c_int, (c_int, c_int, c_int, c_void_p, c_uint32), False),
    "sockeye_shutdown": (c_int, (c_int, c_int), False),
    "sockeye_socket": (c_int, (c_int, c_int, c_int), False),
    "sockeye_stack_free": (None, (c_void_p,), False),
    "sockeye_stack_free_within": (c_int, (c_void_p, c_int), False),
    "sockeye_stack_new": (c_void_p, (c_char_p,), False),
    "sockeye_version": (c_char_p, (), False),
}


def path():
    """The library's file: $SOCKEYE_LIBRARY, else the wheel's copy, else the source tree's, else the system's."""
    named = os.environ.get("SOCKEYE_LIBRARY")
    if named:
        return named
    here = Path(__file__).resolve().parent
    bundled = here / "libsockeye.so"
    if bundled.exists():
        return str(bundled)
    tree = here.parents[1]
    built = tree / "target/release/libsockeye.so"
    if (tree / "include/sockeye.h").exists() and built.exists():
        return str(built)
    return SONAME


def load():
    """The library with its signatures."""
    name = path()
    try:
        loaded = ctypes.CDLL(name, use_errno=True)
        for function, (result, arguments, _) in SIGNATURES.items():
            entry = getattr(loaded, function)
            entry.restype, entry.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        cure = "build it with `make`, install it with `make install`, or name its file in SOCKEYE_LIBRARY"
        raise ImportError(f"the Sockeye library {name!r} cannot be used: {error}; {cure}") from error
    return loaded


class ConfigurationError(OSError):
    """A stack cannot be had: the text says what is wrong with its specification or device, and how to cure it."""


def call(function, *arguments):
    """A function's result, or its errno negated.

    A signal's handler may run as soon as the function has returned, and call others: each call gives back the errno it
    found, so that the interrupted one still finds its own."""
    before = get_errno()
    result = function(*arguments)
    number = get_errno()
    set_errno(before)
    return -number if result == -1 or result is None else result


def failure(number):
    """The exception for an errno, of the class the standard library raises."""
    return OSError(number, os.strerror(number))


def configuration_failure(number):
    """The exception for a stack that could not be had."""
    text = lib.sockeye_last_error()
    return ConfigurationError(number, text.decode(errors="replace")) if text else failure(number)


def restarted(function, *arguments):
    """Calls a function, again when a signal interrupts it and its handler does not raise (PEP 475)."""
    while True:
        result = call(function, *arguments)
        if result >= 0:
            return result
        if result != -errno.EINTR:
            raise failure(-result)


lib = load()
