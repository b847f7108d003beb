"""The socket class: what the standard library's socket.socket does, on a socket of a stack."""

import ctypes
import errno
import fcntl
import io
import socket as _standard
import termios
import time
import warnings
from ctypes import byref, c_char, c_int, c_long, c_uint32, create_string_buffer

from . import _address
from ._library import call, configuration_failure, failure, lib, pollfd, restarted
from ._message import Message, pack_control, readable, unpack_control, writable

_POLLIN, _POLLOUT = 1, 4
# Of include/sockeye.h; tests/test_signatures.py holds them to it.
SOL_SOCKEYE, SOCKEYE_POLLABLE = 21337, 1


def _deadline(timeout):
    return None if timeout is None else time.monotonic() + timeout


def _await(fd, events, deadline):
    """Waits for a descriptor; says whether it is ready before the deadline."""
    one = pollfd(fd, events, 0)
    while True:
        left = -1 if deadline is None else max(0, int((deadline - time.monotonic()) * 1000 + 0.999))
        ready = call(lib.sockeye_poll, byref(one), 1, min(left, 2**31 - 1))
        if ready > 0 or (ready == 0 and deadline is not None and time.monotonic() >= deadline):
            return ready > 0
        if ready < 0 and ready != -errno.EINTR:
            raise failure(-ready)


def _as(enumeration, value):
    try:
        return enumeration(value)
    except ValueError:
        return value


class socket:
    """socket(family=AF_INET, type=SOCK_STREAM, proto=0, fileno=None, *, stack=None, pollable=False)

    A socket of `stack`, or of the default stack, which the variable SOCKEYE_NET describes. What the methods take, return
    and raise is what those of the standard library's socket.socket do. A pollable socket can be waited for by the
    standard library's selectors and event loops."""

    __slots__ = ("__weakref__", "_fd", "_family", "_type", "_proto", "_timeout", "_stack", "_io_refs", "_closed")

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None, *, stack=None, pollable=False):
        self._fd, self._io_refs, self._closed, self._stack = -1, 0, True, stack
        default = _standard.getdefaulttimeout()
        if fileno is None:
            family = _standard.AF_INET if family == -1 else family
            type = _standard.SOCK_STREAM if type == -1 else type
            proto = 0 if proto == -1 else proto
            wanted = type | _standard.SOCK_CLOEXEC
            if stack is None:
                made = call(lib.sockeye_socket, family, wanted, proto)
            else:
                made = call(lib.sockeye_msocket, stack._handle(), family, wanted, proto)
            if made < 0:
                unconfigured = stack is None and made == -errno.ENETDOWN
                raise configuration_failure(-made) if unconfigured else failure(-made)
            self._fd = made
        else:
            self._fd = fileno.__index__()
            try:
                family = self.getsockopt(_standard.SOL_SOCKET, _standard.SO_DOMAIN) if family == -1 else family
                type = self.getsockopt(_standard.SOL_SOCKET, _standard.SO_TYPE) if type == -1 else type
                proto = self.getsockopt(_standard.SOL_SOCKET, _standard.SO_PROTOCOL) if proto == -1 else proto
            except OSError:
                self._fd = -1
                raise
        self._closed = False
        self._family, self._proto = family, proto
        self._type = type & ~(_standard.SOCK_NONBLOCK | _standard.SOCK_CLOEXEC)
        self._timeout = 0.0 if type & _standard.SOCK_NONBLOCK else None
        if self._timeout is None and default is not None:
            self.settimeout(default)
        if pollable:
            self.pollable = True

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if not self._closed:
            self.close()

    def __del__(self):
        if getattr(self, "_fd", -1) >= 0:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self)
            self._io_refs = 0
            self.close()

    def __repr__(self):
        text = f"<sockeye.socket{' [closed]' if self._closed else ''} fd={self._fd}, family={int(self._family)}"
        text += f", type={int(self._type)}, proto={self._proto}"
        for name, ask in ("laddr", self.getsockname), ("raddr", self.getpeername):
            try:
                text += f", {name}={ask()}"
            except OSError:
                pass
        return text + ">"

    def __getstate__(self):
        raise TypeError(f"cannot pickle {self.__class__.__name__!r} object")

    family = property(lambda self: _as(_standard.AddressFamily, self._family), doc="The address family.")
    type = property(lambda self: _as(_standard.SocketKind, self._type), doc="The socket type.")
    proto = property(lambda self: self._proto, doc="The protocol, as it was given.")
    timeout = property(lambda self: self._timeout, doc="The timeout in seconds; None for none.")
    stack = property(lambda self: self._stack, doc="The stack the socket was made on; None for the default one.")

    @property
    def pollable(self):
        """Whether the kernel's poll, select and epoll see what the socket is ready for, so that the standard library's
        selectors and event loops can wait for it. Set it before they know the socket. Connections that a pollable
        socket accepts are pollable."""
        return bool(self.getsockopt(SOL_SOCKEYE, SOCKEYE_POLLABLE))

    @pollable.setter
    def pollable(self, flag):
        self.setsockopt(SOL_SOCKEYE, SOCKEYE_POLLABLE, int(bool(flag)))

    # Life

    def fileno(self):
        """The descriptor, -1 when closed. It is of use to this package and the C library, and may be waited for
        everywhere if the socket is pollable."""
        return self._fd

    def detach(self):
        """Gives the open descriptor away; the object is closed."""
        self._closed = True
        fd, self._fd = self._fd, -1
        return fd

    def close(self):
        """Closes the socket, or as soon as the last file of makefile() is closed."""
        self._closed = True
        if self._io_refs <= 0:
            self._real_close()

    def _real_close(self):
        fd, self._fd = self._fd, -1
        # The descriptor is gone whatever close(2) says; a reset peer is no failure of it.
        result = call(lib.sockeye_close, fd) if fd >= 0 else 0
        if result not in (0, -errno.ECONNRESET, -errno.EINTR):
            raise failure(-result)

    def _decref_socketios(self):
        self._io_refs = max(0, self._io_refs - 1)
        if self._closed:
            self.close()

    def _with(self, fd):
        """A socket of the same kind and stack for a new descriptor."""
        return socket(self._family, self._type, self._proto, fileno=fd, stack=self._stack)

    def dup(self):
        """A second socket object for the same open socket."""
        other = self._with(restarted(lib.sockeye_fcntl, self._fd, fcntl.F_DUPFD_CLOEXEC, c_long(0)))
        other.settimeout(self._timeout)
        return other

    def get_inheritable(self):
        """Whether a program that is executed keeps the descriptor. (It has no stack to use it with.)"""
        return not restarted(lib.sockeye_fcntl, self._fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC

    def set_inheritable(self, inheritable):
        """Sets that."""
        restarted(lib.sockeye_fcntl, self._fd, fcntl.F_SETFD, c_long(0 if inheritable else fcntl.FD_CLOEXEC))

    # Waiting

    def settimeout(self, value):
        """Seconds that a call may wait; None: for ever; 0: not at all."""
        if value is not None:
            if not hasattr(value, "__float__") and not hasattr(value, "__index__"):
                raise TypeError(f"{type(value).__name__!r} object cannot be interpreted as an integer")
            value = float(value)
            if not value >= 0:
                raise ValueError("Timeout value out of range")
        restarted(lib.sockeye_ioctl, self._fd, termios.FIONBIO, byref(c_int(value is not None)))
        self._timeout = value

    def gettimeout(self):
        """What was set so."""
        return self._timeout

    def setblocking(self, flag):
        """settimeout(None) or settimeout(0.0)."""
        self.settimeout(None if flag else 0.0)

    def getblocking(self):
        """Whether a call may wait."""
        return self._timeout != 0.0

    def _call(self, events, function, *arguments, deadline=None):
        """Calls a function until it has worked, failed, or the time is over. Tries first: what is there needs no wait."""
        while True:
            result = call(function, self._fd, *arguments)
            if result >= 0:
                return result
            if result == -errno.EINTR:
                continue
            if result != -errno.EAGAIN or not self._timeout:
                raise failure(-result)
            deadline = deadline or _deadline(self._timeout)
            if not _await(self._fd, events, deadline):
                raise TimeoutError("timed out")

    # Names

    def bind(self, address):
        """Sets the local address."""
        packed = _address.pack(self._family, address, "bind")
        restarted(lib.sockeye_bind, self._fd, packed, len(packed))

    def _name(self, function):
        packed, length = create_string_buffer(_address.LONGEST), c_uint32(_address.LONGEST)
        restarted(function, self._fd, packed, byref(length))
        return _address.unpack(packed.raw[: length.value])

    def getsockname(self):
        """The local address."""
        return self._name(lib.sockeye_getsockname)

    def getpeername(self):
        """The peer's address."""
        return self._name(lib.sockeye_getpeername)

    # Connections

    def listen(self, backlog=128):
        """Waits for connections."""
        restarted(lib.sockeye_listen, self._fd, max(0, backlog))

    def accept(self):
        """A connection that was made to a listening socket, and its peer's address."""
        packed, length = create_string_buffer(_address.LONGEST), c_uint32(_address.LONGEST)
        fd = self._call(_POLLIN, lib.sockeye_accept4, packed, byref(length), _standard.SOCK_CLOEXEC)
        made = self._with(fd)
        if self.pollable:
            try:
                made.pollable = True
            except BaseException:
                made.close()
                raise
        return made, _address.unpack(packed.raw[: length.value])

    def _connect(self, address, caller):
        packed = _address.pack(self._family, address, caller)
        number = -call(lib.sockeye_connect, self._fd, packed, len(packed))
        # An interrupted connection goes on by itself: connecting once more would be EALREADY.
        waits = number == errno.EINTR and self._timeout != 0.0 or number == errno.EINPROGRESS and self._timeout
        if not waits:
            return number
        if not _await(self._fd, _POLLOUT, _deadline(self._timeout)):
            return None
        return self.getsockopt(_standard.SOL_SOCKET, _standard.SO_ERROR)

    def connect(self, address):
        """Connects the socket."""
        number = self._connect(address, "connect")
        if number is None:
            raise TimeoutError("timed out")
        if number:
            raise failure(number)

    def connect_ex(self, address):
        """The same, with the errno as its result."""
        number = self._connect(address, "connect_ex")
        return errno.EWOULDBLOCK if number is None else number

    def shutdown(self, how):
        """Ends one or both directions."""
        restarted(lib.sockeye_shutdown, self._fd, how)

    # Options

    def getsockopt(self, level, optname, buflen=0):
        """An option: a number, or up to `buflen` bytes."""
        if not 0 <= buflen <= 1024:
            raise OSError("getsockopt buflen out of range")
        value = create_string_buffer(buflen) if buflen else c_int()
        length = c_uint32(buflen or ctypes.sizeof(value))
        restarted(lib.sockeye_getsockopt, self._fd, level, optname, byref(value), byref(length))
        return value.raw[: length.value] if buflen else value.value

    def setsockopt(self, level, optname, value, optlen=None):
        """Sets an option to a number, to bytes, or to None with a length."""
        if value is None:
            if optlen is None:
                raise TypeError("an option without a value needs its length")
            address, length, kept = None, optlen, None
        elif hasattr(value, "__index__"):
            kept = c_int(value.__index__())
            if kept.value != value:
                raise OverflowError("Python int too large to convert to C int")
            address, length = ctypes.addressof(kept), ctypes.sizeof(kept)
        else:
            address, length, kept = readable(value)
        restarted(lib.sockeye_setsockopt, self._fd, level, optname, address, length)
        del kept

    # Sending

    def send(self, data, flags=0):
        """Sends bytes; how many is the result."""
        address, length, _kept = readable(data)
        return self._call(_POLLOUT, lib.sockeye_send, address, length, flags)

    def sendall(self, data, flags=0):
        """Sends all bytes, within one timeout."""
        address, length, _kept = readable(data)
        deadline = _deadline(self._timeout)
        while True:
            sent = self._call(_POLLOUT, lib.sockeye_send, address, length, flags, deadline=deadline)
            address, length = address + sent, length - sent
            if length <= 0:
                return
            if self._timeout and time.monotonic() >= deadline:
                raise TimeoutError("timed out")

    def sendto(self, data, *flags_and_address):
        """sendto(data[, flags], address): sends a datagram."""
        if len(flags_and_address) not in (1, 2):
            raise TypeError(f"sendto() takes 2 or 3 arguments ({1 + len(flags_and_address)} given)")
        flags = flags_and_address[0] if len(flags_and_address) == 2 else 0
        packed = _address.pack(self._family, flags_and_address[-1], "sendto")
        address, length, _kept = readable(data)
        return self._call(_POLLOUT, lib.sockeye_sendto, address, length, flags, packed, len(packed))

    def sendmsg(self, buffers, ancdata=(), flags=0, address=None):
        """Sends from several buffers, with control messages."""
        name = None
        if address is not None:
            packed = _address.pack(self._family, address, "sendmsg")
            name = (c_char * len(packed)).from_buffer_copy(packed)
        message = Message([readable(data) for data in buffers], pack_control(ancdata), name)
        return self._call(_POLLOUT, lib.sockeye_sendmsg, message.pointer(), flags)

    def sendfile(self, file, offset=0, count=None):
        """Sends an open binary file from `offset`; the number of bytes sent is the result."""
        if self._timeout == 0:
            raise ValueError("non-blocking sockets are not supported")
        if "b" not in getattr(file, "mode", "b"):
            raise ValueError("file should be opened in binary mode")
        if not self._type & _standard.SOCK_STREAM:
            raise ValueError("only SOCK_STREAM type sockets are supported")
        if count is not None and count <= 0:
            raise ValueError(f"count must be a positive integer (got {count!r})")
        file.seek(offset)
        sent = 0
        try:
            while count is None or sent < count:
                piece = file.read(65536 if count is None else min(65536, count - sent))
                if not piece:
                    break
                self.sendall(piece)
                sent += len(piece)
        finally:
            file.seek(offset + sent)
        return sent

    # Receiving

    def recv(self, bufsize, flags=0):
        """Up to `bufsize` bytes; none at the end of a stream."""
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        buffer = bytearray(bufsize)
        count = self.recv_into(buffer, bufsize, flags)
        return bytes(memoryview(buffer)[:count])

    def _room(self, buffer, nbytes, caller):
        address, length, kept = writable(buffer)
        if nbytes < 0:
            raise ValueError(f"negative buffersize in {caller}")
        if nbytes > length:
            raise ValueError(f"buffer too small for requested bytes ({caller})")
        return address, nbytes or length, kept

    def recv_into(self, buffer, nbytes=0, flags=0):
        """Receives into a buffer; the number of bytes is the result."""
        address, length, _kept = self._room(buffer, nbytes, "recv_into")
        if length == 0:  # as the standard library: no call at all
            return 0
        return self._call(_POLLIN, lib.sockeye_recv, address, length, flags)

    def recvfrom(self, bufsize, flags=0):
        """A datagram and its sender."""
        if bufsize < 0:
            raise ValueError("negative buffersize in recvfrom")
        buffer = bytearray(bufsize)
        count, sender = self.recvfrom_into(buffer, bufsize, flags)
        return bytes(memoryview(buffer)[:count]), sender

    def recvfrom_into(self, buffer, nbytes=0, flags=0):
        """A datagram into a buffer: its length and sender are the result."""
        address, room, _kept = self._room(buffer, nbytes, "recvfrom_into")
        packed, length = create_string_buffer(_address.LONGEST), c_uint32(_address.LONGEST)
        count = self._call(_POLLIN, lib.sockeye_recvfrom, address, room, flags, packed, byref(length))
        return count, _address.unpack(packed.raw[: length.value])

    def recvmsg(self, bufsize, ancbufsize=0, flags=0):
        """(bytes, control messages, flags, address)."""
        if bufsize < 0:
            raise ValueError("negative buffer size in recvmsg()")
        buffer = bytearray(bufsize)
        count, *rest = self.recvmsg_into([buffer], ancbufsize, flags)
        return (bytes(memoryview(buffer)[:count]), *rest)

    def recvmsg_into(self, buffers, ancbufsize=0, flags=0):
        """The same into several buffers, with the number of bytes instead of them."""
        if ancbufsize < 0:
            raise ValueError("invalid ancillary data buffer length")
        control = (c_char * ancbufsize)() if ancbufsize else None
        name = create_string_buffer(_address.LONGEST)
        message = Message([writable(buffer) for buffer in buffers], control, name)
        count = self._call(_POLLIN, lib.sockeye_recvmsg, message.pointer(), flags)
        ancillary = unpack_control(control.raw[: message.header.msg_controllen]) if control else []
        sender = _address.unpack(name.raw[: message.header.msg_namelen])
        return count, ancillary, message.header.msg_flags, sender

    # Files

    def makefile(self, mode="r", buffering=None, *, encoding=None, errors=None, newline=None):
        """A file object on the socket, as open() takes mode, buffering and encoding."""
        if not set(mode) <= {"r", "w", "b"}:
            raise ValueError(f"invalid mode {mode!r} (only r, w, b allowed)")
        writing = "w" in mode
        reading = "r" in mode or not writing
        binary = "b" in mode
        if buffering is None or buffering < 0:
            buffering = io.DEFAULT_BUFFER_SIZE
        if buffering == 0 and not binary:
            raise ValueError("unbuffered streams must be binary")
        # The standard library's raw file asks nothing of its socket but methods that are here too.
        raw = _standard.SocketIO(self, ("r" if reading else "") + ("w" if writing else ""))
        self._io_refs += 1
        if buffering == 0:
            return raw
        if reading and writing:
            buffered = io.BufferedRWPair(raw, raw, buffering)
        else:
            buffered = (io.BufferedReader if reading else io.BufferedWriter)(raw, buffering)
        if binary:
            return buffered
        text = io.TextIOWrapper(buffered, encoding, errors, newline)
        text.mode = mode
        return text


def fromfd(fd, family, type, proto=0):
    """A socket object for a second descriptor of an open socket."""
    return socket(family, type, proto, restarted(lib.sockeye_fcntl, fd, fcntl.F_DUPFD_CLOEXEC, c_long(0)))


def create_connection(address, timeout=_standard._GLOBAL_DEFAULT_TIMEOUT, source_address=None, *, stack=None, pollable=False):
    """A TCP socket connected to `address`, within `timeout` seconds."""
    made = socket(_family(address), _standard.SOCK_STREAM, stack=stack, pollable=pollable)
    try:
        if timeout is not _standard._GLOBAL_DEFAULT_TIMEOUT:
            made.settimeout(timeout)
        if source_address:
            made.bind(source_address)
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def create_server(address, *, family=None, backlog=None, reuse_port=False, stack=None, pollable=False):
    """A TCP socket that listens at `address`."""
    family = _family(address) if family is None else family
    made = socket(family, _standard.SOCK_STREAM, stack=stack, pollable=pollable)
    try:
        made.setsockopt(_standard.SOL_SOCKET, _standard.SO_REUSEADDR, 1)
        if reuse_port:
            made.setsockopt(_standard.SOL_SOCKET, _standard.SO_REUSEPORT, 1)
        try:
            made.bind(address)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} (while attempting to bind on address {address!r})") from None
        made.listen(*(() if backlog is None else (backlog,)))
    except BaseException:
        made.close()
        raise
    return made


def _family(address):
    return _standard.AF_INET6 if isinstance(address[0], str) and ":" in address[0] else _standard.AF_INET
