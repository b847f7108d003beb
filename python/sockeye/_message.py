"""What sendmsg and recvmsg carry: buffers as memory, scattered buffers, and control messages."""

import ctypes
import socket as _standard
import struct
from ctypes import byref, c_char, c_void_p

from ._library import iovec, msghdr

# struct cmsghdr: length, level, type.
_HEADER = struct.Struct("@Nii")


def readable(data):
    """Address and length of a bytes-like object's memory, and what must live as long as they are used."""
    if isinstance(data, bytes):
        return ctypes.cast(data, c_void_p).value, len(data), data
    view = memoryview(data)
    if view.nbytes == 0:
        return 0, 0, view
    if view.readonly or not view.c_contiguous:
        return readable(view.tobytes())
    return writable(view)


def writable(buffer):
    """The same of an object that is to be written to."""
    view = memoryview(buffer)
    if view.readonly:
        raise TypeError("read-write bytes-like object expected")
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    if view.nbytes == 0:
        return 0, 0, view
    memory = c_char.from_buffer(view)
    return ctypes.addressof(memory), view.nbytes, memory


class Message:
    """A struct msghdr, with all it points to."""

    def __init__(self, buffers, control, name):
        """`buffers`: what readable() and writable() returned; `control`, `name`: memory, or None."""
        self.kept = [kept for _, _, kept in buffers]
        self.vector = (iovec * len(buffers))(*[(address, length) for address, length, _ in buffers])
        self.control, self.name = control, name
        self.header = msghdr(msg_iov=self.vector, msg_iovlen=len(buffers))
        if control:
            self.header.msg_control = ctypes.addressof(control)
            self.header.msg_controllen = len(control)
        if name:
            self.header.msg_name = ctypes.addressof(name)
            self.header.msg_namelen = len(name)

    def pointer(self):
        """What the library takes."""
        return byref(self.header)


def pack_control(messages):
    """(level, type, data) tuples as cmsg(3) lays them out; None for none."""
    packed = bytearray()
    for level, kind, data in messages:
        data = bytes(data)
        packed += _HEADER.pack(_standard.CMSG_LEN(len(data)), level, kind) + data
        packed += bytes(-len(packed) % ctypes.sizeof(ctypes.c_size_t))
    return (c_char * len(packed)).from_buffer(packed) if packed else None


def unpack_control(packed):
    """The tuples again. A last message that was cut short is given as far as it goes."""
    messages, at = [], 0
    while at + _HEADER.size <= len(packed):
        length, level, kind = _HEADER.unpack_from(packed, at)
        if length < _HEADER.size:
            break
        messages.append((level, kind, packed[at + _HEADER.size : at + length]))
        at += length + -length % ctypes.sizeof(ctypes.c_size_t)
    return messages
