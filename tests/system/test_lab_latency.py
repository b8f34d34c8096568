# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab itself: the long wire."""

import socket
import threading
import time

import pytest

from lab import imap, mailgen, places
from lab.latency import Fault, Link


class Echo:
    """A server that answers each line with itself, repeated `times` times."""

    def __init__(self, times=1):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._times = times
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,),
                             daemon=True).start()

    def _serve(self, client):
        with client, client.makefile("rwb") as file:
            try:
                for line in file:
                    file.write(line * self._times)
                    file.flush()
            except OSError:
                pass


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port), 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def ask(sock, text):
    """Send and read the same number of bytes back."""
    sock.sendall(text)
    answer = b""
    while len(answer) < len(text):
        data = sock.recv(len(text) - len(answer))
        assert data, "closed"
        answer += data
    return answer


def test_each_question_and_answer_is_one_wait():
    with Echo() as server, Link(0.05) as link:
        sock = connect(link.to(server.port))
        started = time.monotonic()
        for number in range(6):
            assert ask(sock, b"line %d\r\n" % number) == b"line %d\r\n" % number
        assert time.monotonic() - started >= 6 * 0.05
        assert (link.waits, link.connections) == (6, 1)
        assert link.bytes_up == link.bytes_down == 6 * 8
        assert link.sent() == [b"".join(b"line %d\r\n" % n for n in range(6))]
        assert link.count("LINE [0-2]") == 3


def test_pipelined_questions_are_one_wait():
    with Echo() as server, Link(1) as link:
        sock = connect(link.to(server.port))
        sock.sendall(b"a\r\n")
        places.wait_for(lambda: link.bytes_up == 3, "the first is sent")
        assert ask(sock, b"b\r\n")[0:1] == b"a"
        assert link.waits == 1


def test_connections_share_one_wire():
    with Echo() as first, Echo() as second, Link(0.4) as link:
        socks = [connect(link.to(server.port)) for server in (first, second)]
        ask(socks[0], b"warm up\r\n")
        ask(socks[1], b"warm up\r\n")
        link.reset()
        for sock in socks:
            sock.sendall(b"both at once\r\n")
        for sock in socks:
            assert sock.recv(100) == b"both at once\r\n"
        assert (link.waits, link.connections) == (1, 0)
        ask(socks[0], b"one\r\n")
        ask(socks[1], b"after the other\r\n")
        assert link.waits == 3


def test_much_data_arrives_whole():
    data = bytes(range(32, 127)) * 100_000 + b"\n"
    with Echo() as server, Link(0.02) as link:
        sock = connect(link.to(server.port))
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        with sock.makefile("rb") as file:
            assert file.readline() == data
        sender.join()
        assert link.bytes_up == link.bytes_down == len(data)


@pytest.mark.parametrize("fault", [
    Fault("cut", after_bytes=10), Fault("close", at_text=b"stop")])
def test_a_broken_connection_delivers_what_came_before(fault):
    with Echo() as server, Link(0.02) as link:
        port = link.to(server.port, fault)
        sock = connect(port)
        sock.sendall(b"0123456789stop and more\r\n")
        answer = b""
        try:
            while data := sock.recv(100):
                answer += data
        except ConnectionResetError:
            assert fault.action == "cut"
        assert b"0123456789".startswith(answer)
        assert fault.action == "cut" or answer == b"0123456789"
        again = connect(port)
        assert ask(again, b"0123456789stop\r\n") == b"0123456789stop\r\n"


def test_a_hanging_connection_says_nothing_more():
    with Echo() as server, Link(0.02) as link:
        sock = connect(link.to(server.port, Fault("hang", at_text=b"stop")))
        assert ask(sock, b"go\r\n") == b"go\r\n"
        sock.sendall(b"stop\r\n")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(100)


def test_a_refused_connection():
    with Link() as link, pytest.raises(ConnectionRefusedError):
        connect(link.to(1, "refuse"))


def test_a_server_that_closes_is_seen_by_the_client():
    with Echo() as server, Link(0.02) as link:
        sock = connect(link.to(server.port))
        ask(sock, b"hello\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
        assert link.waits == 1


def test_tls_passes_through(source, ca):
    user = source.user()
    mailgen.append(user, "INBOX", mailgen.mails(1))
    with Link(0.02) as link:
        client = imap.Client(link.to(source.ports["imaps"]),
                             tls=ca.client_context())
        client.login(user.name, user.password)
        assert [b"1", b"EXISTS"] in [
            reply[1:] for reply in client.command("SELECT", "INBOX")]
        client.logout()
        assert link.waits >= 4
        assert b"LOGIN" not in link.sent()[0]


def test_stock_needs_a_wait_for_each_mail(source, dest):
    """The measure by which the suite is judged: stock's own number, without
    plugins, is the number of mails and nine."""
    theirs, ours = source.user(), dest.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(200, size=200)})
    with Link(0.002) as link:
        settings = dest.imapc(source, user=theirs.name,
                              port=link.to(source.ports["imap"]))
        dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                     o={**settings, "mail_plugins": ""}).ok()
    assert 207 <= link.waits <= 211
    assert link.count(r"\d+ UID FETCH") == 201
