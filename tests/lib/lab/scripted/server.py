# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all scripted servers have in common: a listener, a thread for each
connection, TLS, a record of what clients sent, and faults at commands."""

import dataclasses
import re
import select
import socket
import struct
import threading

from lab import places


class Disconnect(Exception):
    """Ends a connection from within a command."""


@dataclasses.dataclass
class On:
    """Misbehave at a command.

    command  regular expression, matched at the beginning of the command (for
             IMAP: without the tag), without regard to case; "greeting" for
             the greeting
    reply    "close"   close the connection instead of answering
             "reset"   the same with a TCP reset
             "hang"    never answer, nor anything after
             other text is the answer. IMAP: "NO …", "BAD …" or "OK …" get the
             tag and come without data; "* BYE …" ends the connection. POP3:
             sent as it is, lines separated by \\n
             a function (connection, command) answers by itself
    times    how often; None for always
    skip     so many matching commands before the first are sound
    """
    command: str
    reply: object
    times: int = None
    skip: int = 0


class Server:
    """Use with `with`. port is open on 127.0.0.1 from the beginning.

    received     every command, in order, from all connections
    max_connections  more at once are closed without a word, as couriertcpd
                 does; refused counts them
    ports, ca    as lab.Dovecot has them, so that its imapc() and pop3c() work
    """

    protocol = None             # "imap", "pop3" or "http"

    def __init__(self, faults=(), ca=None, tls=False):
        """ca: offers STARTTLS; tls: TLS from the first byte instead"""
        self.ca = ca
        self.implicit_tls = tls
        self.faults = [dataclasses.replace(fault) for fault in faults]
        self.received = []
        self.errors = []
        self.connection_count = 0
        self.most_at_once = 0
        self.max_connections = None
        self.refused = 0
        self._lock = threading.Lock()
        self._open = set()
        self._threads = []
        self._stopping = threading.Event()
        self.port = places.free_port()
        self.ports = {self.protocol: self.port,
                      f"{self.protocol}s": self.port}
        self._listener = socket.create_server(("127.0.0.1", self.port),
                                              backlog=64)

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind, value, traceback):
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            still_open = list(self._open)
        for connection in still_open:
            connection.abort()
        for thread in self._threads:
            thread.join(10)
        if kind is None:
            self.check()
        elif self.errors:
            # what the client did wrong may explain what the test saw
            value.add_note("\n".join(self.errors))

    def check(self):
        """Called at the end: a fault of the server or an unexpected command
        must not go unnoticed."""
        assert self.errors == [], "\n".join(self.errors)

    def count(self, pattern):
        """How many received commands match, e.g. "TOP " or "UID FETCH"."""
        expression = re.compile(pattern, re.IGNORECASE)
        return sum(expression.match(command) is not None
                   for command in self.received)

    def fault_for(self, command):
        """The reply that takes the place of the right one, or None."""
        with self._lock:
            for fault in self.faults:
                if not re.match(fault.command, command, re.IGNORECASE):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                elif fault.times is None or fault.times > 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault.reply
        return None

    def record(self, command):
        with self._lock:
            self.received.append(command)

    def serve(self, connection):
        raise NotImplementedError

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,),
                                      daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock):
        connection = Connection(self, sock)
        with self._lock:
            # a connection that the client has closed counts no more, even
            # when its thread was not yet told
            at_once = 1 + sum(not other.left() for other in self._open)
            if self.max_connections and at_once > self.max_connections:
                self.refused += 1
                connection.close()
                return
            self.most_at_once = max(self.most_at_once, at_once)
            self._open.add(connection)
            self.connection_count += 1
            connection.number = self.connection_count
        try:
            if self.implicit_tls:
                connection.start_tls()
            self.serve(connection)
        except (Disconnect, OSError):
            pass
        except Exception as error:          # a fault of the test or the lab
            self.errors.append(f"{type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


class Connection:
    """One client: lines in, bytes out."""

    def __init__(self, server, sock):
        self.server = server
        self.number = 0
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._file = sock.makefile("rb")

    def left(self):
        """Whether the client has closed the connection."""
        poll = select.poll()
        try:
            poll.register(self._sock, select.POLLRDHUP)
        except ValueError:      # closed here, too
            return True
        return bool(poll.poll(0))

    def read_line(self):
        """One line without its end; Disconnect at the end of input."""
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise Disconnect
        return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")

    def waiting_lines(self):
        """The whole lines that have come already, of a client without TLS."""
        self._sock.setblocking(False)
        try:
            count = self._file.peek().count(b"\n")
        finally:
            self._sock.setblocking(True)
        return [self.read_line() for _ in range(count)]

    def read(self, count):
        data = self._file.read(count)
        if len(data) < count:
            raise Disconnect
        return data

    def read_some(self):
        """What has come, at least one byte; b"" at the end of input."""
        return self._file.read1(65536)

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        self._sock.sendall(data)

    def send_line(self, line):
        self.send(line + "\r\n")

    def start_tls(self):
        context = self.server.ca.server_context()
        self._sock = context.wrap_socket(self._sock, server_side=True)
        self._file = self._sock.makefile("rb")

    def misbehave(self, reply):
        """The replies that all protocols share. False: another one."""
        if reply == "close":
            raise Disconnect
        if reply == "reset":
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  struct.pack("ii", 1, 0))
            raise Disconnect
        if reply == "hang":
            self.hang()
        return False

    def hang(self):
        """Read on, but never answer."""
        while self._file.read(1):
            pass
        raise Disconnect

    def abort(self):
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        try:
            self._file.close()
            self._sock.close()
        except OSError:
            pass
