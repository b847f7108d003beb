"""Waiting for several descriptors, sockets of stacks and the kernel's together: poll, select, and a selector."""

import errno
import math
import selectors
import time
from collections.abc import Mapping
from ctypes import byref

from ._library import call, epoll_event, failure, lib, pollfd, restarted

# poll(2) and epoll(7) have the same values for these.
POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDHUP = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x2000
_EPOLL_CLOEXEC = 0x80000
_ADD, _DEL, _MOD = 1, 2, 3


def _descriptor(thing):
    fd = thing if isinstance(thing, int) else thing.fileno()
    if fd < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({fd})")
    return fd


def _until_ready(attempt, seconds):
    """Attempts with what is left of the time in milliseconds, until something is ready or none is left (PEP 475)."""
    deadline = None if seconds is None else time.monotonic() + max(0, seconds)
    while True:
        left = -1 if deadline is None else max(0, math.ceil((deadline - time.monotonic()) * 1000))
        ready = attempt(min(left, 2**31 - 1))
        if ready > 0 or (ready == 0 and (deadline is None or time.monotonic() >= deadline)):
            return ready
        if ready < 0 and ready != -errno.EINTR:
            raise failure(-ready)


class poll:
    """poll(): what select.poll() is, for sockets of stacks and everything else that has a descriptor."""

    def __init__(self):
        self._asked = {}

    def register(self, fd, eventmask=POLLIN | POLLPRI | POLLOUT):
        """Asks for the events of a descriptor."""
        self._asked[_descriptor(fd)] = eventmask

    def modify(self, fd, eventmask):
        """Asks for other events of a descriptor that is registered."""
        if _descriptor(fd) not in self._asked:
            raise failure(errno.ENOENT)
        self._asked[_descriptor(fd)] = eventmask

    def unregister(self, fd):
        """Asks for no more; KeyError if it was not registered."""
        del self._asked[_descriptor(fd)]

    def poll(self, timeout=None):
        """Waits `timeout` milliseconds (None, or less than 0: for ever); the ready ones as (fd, events)."""
        # struct pollfd has 16 bits, of which Python's short takes the highest for a sign.
        entries = (pollfd * len(self._asked))(*[(fd, asked & 0x7FFF, 0) for fd, asked in self._asked.items()])
        seconds = None if timeout is None or timeout < 0 else timeout / 1000
        _until_ready(lambda left: call(lib.sockeye_poll, entries, len(entries), left), seconds)
        return [(entry.fd, entry.revents & 0xFFFF) for entry in entries if entry.revents]


def select(rlist, wlist, xlist, timeout=None):
    """What select.select() does, for sockets of stacks and everything else; without a highest descriptor."""
    waiting = [(things, mask) for things, mask in ((rlist, POLLIN), (wlist, POLLOUT), (xlist, POLLPRI))]
    waiting = [([(thing, _descriptor(thing)) for thing in things], mask) for things, mask in waiting]
    asked = {}
    for things, mask in waiting:
        for _, fd in things:
            asked[fd] = asked.get(fd, 0) | mask
    poller = poll()
    for fd, mask in asked.items():
        poller.register(fd, mask)
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    ready = dict(poller.poll(None if timeout is None else timeout * 1000))
    if any(events & POLLNVAL for events in ready.values()):
        raise failure(errno.EBADF)
    # As in the kernel's select(2): the end and an error are readable, an error is writable.
    counts = {POLLIN: POLLIN | POLLHUP | POLLERR, POLLOUT: POLLOUT | POLLERR, POLLPRI: POLLPRI}
    return tuple([thing for thing, fd in things if ready.get(fd, 0) & counts[mask]] for things, mask in waiting)


class Selector(selectors.BaseSelector):
    """A selector on sockeye_epoll_wait(): waits for sockets of stacks and for the kernel's descriptors together.

    asyncio.SelectorEventLoop(sockeye.Selector()) is an event loop for both."""

    def __init__(self):
        self._epoll = restarted(lib.sockeye_epoll_create1, _EPOLL_CLOEXEC)
        self._keys = {}

    def fileno(self):
        """The descriptor of the epoll instance, of use to the library alone."""
        return self._epoll

    def _control(self, operation, fd, events):
        mask = (POLLIN if events & selectors.EVENT_READ else 0) | (POLLOUT if events & selectors.EVENT_WRITE else 0)
        restarted(lib.sockeye_epoll_ctl, self._epoll, operation, fd, byref(epoll_event(mask, fd)))

    def _registered(self, fileobj):
        """The descriptor something was registered under, also when it has been closed since."""
        try:
            fd = _descriptor(fileobj)
        except ValueError:
            fd = next((key.fd for key in self._keys.values() if key.fileobj is fileobj), -1)
        if fd not in self._keys:
            raise KeyError(f"{fileobj!r} is not registered")
        return fd

    def register(self, fileobj, events, data=None):
        """Waits for EVENT_READ, EVENT_WRITE or both of an object."""
        if not events or events & ~(selectors.EVENT_READ | selectors.EVENT_WRITE):
            raise ValueError(f"Invalid events: {events!r}")
        fd = _descriptor(fileobj)
        if fd in self._keys:
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered")
        self._control(_ADD, fd, events)
        key = self._keys[fd] = selectors.SelectorKey(fileobj, fd, events, data)
        return key

    def unregister(self, fileobj):
        """Waits for it no more."""
        key = self._keys.pop(self._registered(fileobj))
        try:
            self._control(_DEL, key.fd, 0)
        except OSError:
            pass  # it was closed, and is gone from the epoll instance already
        return key

    def modify(self, fileobj, events, data=None):
        """Waits for other events, or with other data."""
        if not events or events & ~(selectors.EVENT_READ | selectors.EVENT_WRITE):
            raise ValueError(f"Invalid events: {events!r}")
        key = self._keys[self._registered(fileobj)]
        if events != key.events:
            self._control(_MOD, key.fd, events)
        key = self._keys[key.fd] = key._replace(events=events, data=data)
        return key

    def select(self, timeout=None):
        """Waits `timeout` seconds (None: for ever); the ready ones as (key, events)."""
        room = max(len(self._keys), 1)
        events = (epoll_event * room)()
        count = _until_ready(lambda left: call(lib.sockeye_epoll_wait, self._epoll, events, room, left), timeout)
        ready = []
        for event in events[:count]:
            key = self._keys.get(event.data)
            # The end and an error are for whoever waits, as with the standard library's selectors.
            found = selectors.EVENT_READ if event.events & ~POLLOUT else 0
            found |= selectors.EVENT_WRITE if event.events & ~POLLIN else 0
            if key and found & key.events:
                ready.append((key, found & key.events))
        return ready

    def close(self):
        """Lets go of all."""
        fd, self._epoll = self._epoll, -1
        self._keys.clear()
        if fd >= 0:
            restarted(lib.sockeye_close, fd)

    def get_map(self):
        """The keys by what was registered."""
        return None if self._epoll < 0 else _Map(self)


class _Map(Mapping):
    """The keys by what was registered: an object, or its descriptor."""

    def __init__(self, selector):
        self._selector = selector

    def __len__(self):
        return len(self._selector._keys)

    def __getitem__(self, fileobj):
        return self._selector._keys[self._selector._registered(fileobj)]

    def __iter__(self):
        return iter(self._selector._keys)
