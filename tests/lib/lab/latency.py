# SPDX-License-Identifier: LGPL-2.1-or-later
"""A long wire on loopback: it delays, counts and, if told to, breaks.

    with Link(round_trip=0.1) as link:
        port = link.to(source.ports["imap"])
        …
    assert link.waits <= 60

All proxies of one Link share one clock and one set of counters, so the IMAP
and the POP3 connections of a run are counted together.

What counts as a **wait**: a burst that the client starts while the wire is
idle. The wire is idle when every byte that the client sent has been handed to
the server and every byte that the server sent has been handed to the client,
on all connections of the Link, and no connection is being set up. More bytes
that the client sends while anything is still under way belong to the burst
before. Setting up a connection is no burst: it shows in `connections`. So
(waits + connections one after the other) x round trip is the time that a run
spends only on distance.

TLS passes through unread. Closing a connection travels as slowly as data but
is neither a burst nor traffic.
"""

import collections
import dataclasses
import heapq
import itertools
import re
import selectors
import socket
import struct
import threading
import time

from lab import places

_ANSWER = re.compile(rb"^\w*\d (?:OK|NO|BAD)[^\n]*\n", re.MULTILINE)

# How much may be under way in one direction of a connection: a TCP window.
_WINDOW = 8 << 20
_READ_SIZE = 1 << 18


@dataclasses.dataclass
class Fault:
    """Break connections.

    action      "cut" (reset), "close" (in order) or "hang" (nothing passes); a
                function is called, and then the wire goes on
    after_bytes when the server has sent so many bytes
    after_answers when so many tagged IMAP replies were passed on
    at_text     where the server's data contain these bytes (they are not
                delivered); must not be split by TCP, so use short ones
    nth         ... the n-th time
    times       how many connections are broken; later ones are sound
    """
    action: object = "cut"
    after_bytes: int = None
    after_answers: int = None
    at_text: bytes = None
    nth: int = 1
    times: int = 1


class Link:
    """round_trip in seconds, half of it each way. rate: bytes a second that
    the wire carries to the client, None for any. keep: received() gives what
    clients got."""

    def __init__(self, round_trip=0.1, rate=None, keep=False):
        self.waits = 0
        self.connections = 0
        self.bytes_up = 0
        self.bytes_down = 0
        # faults that happened
        self.broken = 0
        # a function of what a client sent at once: what the server gets
        self.rewrite = None
        self._delay = round_trip / 2
        self._rate = rate
        # in pieces of 20 ms
        self.read_size = (_READ_SIZE if rate is None else
                          max(1000, min(_READ_SIZE, rate // 50)))
        self._free_at = 0               # when the wire can take more
        self._in_flight = 0
        self._due = []          # a heap of (time, number, function, *args)
        self._number = itertools.count()
        self._sent = []                     # per connection, by the client
        self._received = [] if keep else None
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._sockets = {self._wake_read, self._wake_write}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stopping = True
        self._wake_write.send(b"x")
        self._thread.join(30)
        for sock in self._sockets:
            sock.close()

    def to(self, port, fault=None, host="127.0.0.1"):
        """Put the wire in front of this server port; return the port that
        clients shall use. fault: a Fault, or "refuse" for a port that nobody
        listens on."""
        near = places.free_port()
        if fault == "refuse":
            return near
        if fault is not None:
            fault = dataclasses.replace(fault)
        listener = socket.create_server(("127.0.0.1", near), backlog=64)
        listener.setblocking(False)
        self._sockets.add(listener)
        self._selector.register(
            listener, selectors.EVENT_READ,
            lambda _: self._accept(listener, (host, port), fault))
        self._wake_write.send(b"x")
        return near

    def reset(self):
        """Count from zero, e.g. for the second run through the same wire."""
        self.waits = self.connections = 0
        self.bytes_up = self.bytes_down = 0
        self.broken = 0
        self._sent.clear()
        if self._received is not None:
            self._received.clear()

    def received(self):
        """What servers sent and clients got: one item for a connection."""
        return [bytes(data) for data in self._received]

    def sent(self):
        """What clients sent, a list of bytes: one item for a connection."""
        return [bytes(data) for data in self._sent]

    def count(self, pattern):
        """How many lines sent by clients match this regular expression, e.g.
        r"TOP " or r"\\S+ UID FETCH". (Not through TLS.)"""
        expression = re.compile(pattern.encode(), re.IGNORECASE)
        return sum(expression.match(line) is not None
                   for data in self.sent() for line in data.split(b"\r\n"))

    # -- the wire; everything below runs in the thread

    def _run(self):
        while not self._stopping:
            timeout = None
            if self._due:
                timeout = max(0, self._due[0][0] - time.monotonic())
            for key, events in self._selector.select(timeout):
                if key.data is None:
                    self._wake_read.recv(100)
                else:
                    key.data(events)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, _, function, *args = heapq.heappop(self._due)
                function(*args)

    def _after_delay(self, function, *args, size=0):
        """size: so many bytes go to the client."""
        due = time.monotonic()
        if self._rate is not None and size > 0:
            self._free_at = max(due, self._free_at) + size / self._rate
            due = self._free_at
        heapq.heappush(self._due, (due + self._delay, next(self._number),
                                   function, *args))

    def _accept(self, listener, address, fault):
        near, _ = listener.accept()
        self._sockets.add(near)
        self.connections += 1
        self._in_flight += 1
        self._sent.append(bytearray())
        self._after_delay(self._connect, near, address, fault,
                          self._sent[-1])

    def _connect(self, near, address, fault, sent):
        self._in_flight -= 1
        try:
            far = socket.create_connection(address, timeout=5)
        except OSError:
            self._reset_socket(near)
            return
        self._sockets.add(far)
        broken = None
        if fault is not None and fault.times > 0:
            fault.times -= 1
            broken = fault
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(self, near, far, broken, sent)
        connection.start()

    def _burst(self):
        if self._in_flight == 0:
            self.waits += 1

    def _reset_socket(self, sock):
        # linger 0: closing sends a reset
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack("ii", 1, 0))
        self._close_socket(sock)

    def _close_socket(self, sock):
        try:
            self._selector.unregister(sock)
        except KeyError:
            pass
        self._sockets.discard(sock)
        sock.close()


class _Connection:
    """A client's socket and a server's socket, a _Lane each way."""

    def __init__(self, link, near, far, fault, sent):
        self.link = link
        self.fault = fault
        self.sent = sent
        self.received = 0
        self.kept = bytearray()
        if link._received is not None:
            link._received.append(self.kept)
        self.answers = 0
        self.texts = 0
        self.hanging = False
        self.up = _Lane(self, near, far)
        self.down = _Lane(self, far, near)
        self.closed = False

    def start(self):
        for source, sink in ((self.up, self.down), (self.down, self.up)):
            # a socket is read for one lane and written for the other
            self.link._selector.register(
                source.source, selectors.EVENT_READ,
                lambda events, r=source, w=sink: self._on_event(events, r, w))

    def _on_event(self, events, read, write):
        if events & selectors.EVENT_WRITE and not self.closed:
            write.flush()
        if events & selectors.EVENT_READ and not self.closed:
            read.read()

    def on_data(self, lane, data):
        """Data entered a lane. Return what shall travel on."""
        if lane is self.up:
            self.link._burst()
            self.link.bytes_up += len(data)
            self.sent += data
            return self.link.rewrite(data) if self.link.rewrite else data
        if self.fault is not None:
            data = self._up_to_fault(data)
        self.link.bytes_down += len(data)
        self.received += len(data)
        if self.link._received is not None:
            self.kept += data
        return data

    def _up_to_fault(self, data):
        fault, end = self.fault, None
        if fault.after_bytes is not None and (
                self.received + len(data) >= fault.after_bytes):
            end = fault.after_bytes - self.received
        if fault.at_text is not None:
            for found in re.finditer(re.escape(fault.at_text), data):
                self.texts += 1
                if self.texts == fault.nth:
                    end = found.start()
        if fault.after_answers is not None:
            for answer in _ANSWER.finditer(data):
                self.answers += 1
                if self.answers == fault.after_answers:
                    end = answer.end()
        if end is None:
            return data
        self.link.broken += 1
        if callable(fault.action):
            self.fault = None
            fault.action()
            return data
        self.hanging = True
        return data[:end]

    def break_if_due(self):
        """After the data before the fault were sent on their way."""
        if self.hanging and self.fault is not None:
            self.link._after_delay(self._break, self.fault.action)
            self.fault = None

    def _break(self, action):
        if action == "cut":
            self.close(reset=True)
        elif action == "close":
            self.down.flush()
            self.close()

    def close(self, reset=False):
        if self.closed:
            return
        self.closed = True
        for lane in (self.up, self.down):
            self.link._in_flight -= lane.in_flight
            lane.in_flight = 0
        if reset:
            self.link._reset_socket(self.up.source)
        else:
            self.link._close_socket(self.up.source)
        self.link._close_socket(self.down.source)


class _Lane:
    """One direction: what was read from source reaches sink after the
    delay."""

    def __init__(self, connection, source, sink):
        self.connection = connection
        self.link = connection.link
        self.source, self.sink = source, sink
        self.in_flight = 0              # bytes read and not yet written
        self.pending = collections.deque()      # due, but sink was full
        self.ended = False

    def read(self):
        try:
            data = self.source.recv(self.link.read_size)
        except BlockingIOError:
            return
        except OSError:
            self.connection.close(reset=True)
            return
        if not data:
            self.ended = True
            self._watch(self.source)
            self.link._after_delay(self._deliver, None)
            return
        if self.connection.hanging:
            return
        data = self.connection.on_data(self, data)
        if data:
            self.in_flight += len(data)
            self.link._in_flight += len(data)
            self.link._after_delay(
                self._deliver, data,
                size=len(data) if self is self.connection.down else 0)
            self._watch(self.source)
        self.connection.break_if_due()

    def _deliver(self, data):
        if not self.connection.closed:
            self.pending.append(data)
            self.flush()

    def flush(self):
        while self.pending:
            data = self.pending[0]
            if data is None:
                self._end()
                return
            try:
                count = self.sink.send(data)
            except BlockingIOError:
                break
            except OSError:
                self.connection.close(reset=True)
                return
            self.in_flight -= count
            self.link._in_flight -= count
            if count < len(data):
                self.pending[0] = memoryview(data)[count:]
                break
            self.pending.popleft()
        self._watch(self.source)
        self._watch(self.sink)

    def _end(self):
        self.pending.clear()
        try:
            self.sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        if self.connection.up.ended and self.connection.down.ended:
            self.connection.close()

    def _watch(self, sock):
        """Read while the window is open, write while something is due."""
        up, down = self.connection.up, self.connection.down
        reading, writing = (up, down) if sock is up.source else (down, up)
        events = 0
        if not reading.ended and reading.in_flight < _WINDOW:
            events |= selectors.EVENT_READ
        if writing.pending:
            events |= selectors.EVENT_WRITE
        selector = self.link._selector
        registered = sock in selector.get_map()
        if events and registered:
            key = selector.get_key(sock)
            if key.events != events:
                selector.modify(sock, events, key.data)
        elif events:
            selector.register(sock, events, lambda e, r=reading, w=writing:
                              self.connection._on_event(e, r, w))
        elif registered:
            selector.unregister(sock)
