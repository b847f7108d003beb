"""Stacks: each an IP address and a view of the network of its own."""

import errno
import math
import warnings

from . import _socket
from ._library import call, configuration_failure, lib


class Stack:
    """Stack(spec): a stack beside the default one, for example Stack("tap:t0,ip=10.97.0.2/24,gw=10.97.0.1").

    Raises ConfigurationError with what is wrong and how to cure it. Closing the stack, or leaving its `with` block, closes
    its sockets and waits for what was sent; a socket keeps its stack alive."""

    def __init__(self, spec):
        self._pointer = None
        self._spec = spec
        made = call(lib.sockeye_stack_new, spec.encode())
        if made < 0:
            raise configuration_failure(-made)
        self._pointer = made

    spec = property(lambda self: self._spec, doc="The specification it was made from.")
    closed = property(lambda self: not self._pointer, doc="Whether it was closed.")

    def _handle(self):
        if not self._pointer:
            raise OSError(errno.EINVAL, "the stack is closed")
        return self._pointer

    def socket(self, family=-1, type=-1, proto=-1, *, pollable=False):
        """A socket on this stack."""
        return _socket.socket(family, type, proto, stack=self, pollable=pollable)

    def create_connection(self, address, *arguments, **options):
        """sockeye.create_connection() on this stack."""
        return _socket.create_connection(address, *arguments, stack=self, **options)

    def create_server(self, address, **options):
        """sockeye.create_server() on this stack."""
        return _socket.create_server(address, stack=self, **options)

    def close(self, timeout=None):
        """Ends the stack: closes its sockets, waits until the peers have acknowledged what was sent, and lets go of its
        device. After timeout seconds, by default what SOCKEYE_EXIT_WAIT says (2), what is left is reset; with a timeout
        given that raises TimeoutError, and 0 resets everything at once."""
        if timeout is not None and timeout < 0:
            raise ValueError("the time-out is negative")
        pointer, self._pointer = self._pointer, None
        if not pointer:
            return
        if timeout is None:
            lib.sockeye_stack_free(pointer)
            return
        failed = call(lib.sockeye_stack_free_within, pointer, min(math.ceil(timeout * 1000), 2**31 - 1))
        if failed == -errno.ETIMEDOUT and timeout:
            raise TimeoutError(errno.ETIMEDOUT, "the peers did not acknowledge all that was sent; the rest was reset")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __del__(self):
        if getattr(self, "_pointer", None):
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self)
            self.close()

    def __repr__(self):
        return f"<sockeye.Stack {self._spec!r}{' [closed]' if self.closed else ''}>"
