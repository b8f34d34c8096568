# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab itself: scripted servers, checked with Python's own clients."""

import base64
import imaplib
import json
import os
import poplib
import socket
import urllib.error
import urllib.request

import pytest

from lab import imap, mailgen, snapshot
from lab.scripted import (HttpServer, ImapServer, On, Pop3Server, Route,
                          Transcript)

TRANSCRIPTS = os.path.join(os.path.dirname(__file__), "..", "corpora",
                           "transcripts")


def imap_client(server):
    client = imaplib.IMAP4("127.0.0.1", server.port, timeout=10)
    client.login("user", "secret")
    return client


def pop3_client(server):
    client = poplib.POP3("127.0.0.1", server.port, timeout=10)
    client.user("user")
    client.pass_("secret")
    return client


# -- IMAP over data

def test_imap_server_serves_an_account():
    folders = {"INBOX": mailgen.odd_mails(big=False),
               "Entwürfe": mailgen.mails(3), "Empty": []}
    folders["Entwürfe"][1].uid = 17
    with ImapServer(folders, uidvalidity=5, subscriptions=["Entwürfe"],
                    noselect=["Nothing"]) as server:
        seen = snapshot.take(server.port, "user", "secret")
    assert list(seen.mailboxes) == ["INBOX", "Entwürfe", "Empty"]
    assert seen.subscriptions == ["Entwürfe"]
    drafts = seen.mailboxes["Entwürfe"]
    assert (drafts.uidvalidity, drafts.uidnext) == (5, 19)
    assert list(drafts.mails) == [1, 17, 18]
    for mail, written in zip(seen.mailboxes["INBOX"].mails.values(),
                             folders["INBOX"]):
        assert (mail.size, mail.date) == (len(written.text), written.date)


def test_imap_server_with_a_standard_client():
    mails = mailgen.mails(2)
    with ImapServer({"INBOX": mails}) as server:
        client = imap_client(server)
        assert client.select("INBOX", readonly=True) == ("OK", [b"2"])
        _, data = client.fetch("1", "(RFC822.SIZE BODY.PEEK[])")
        assert data[0][1] == mails[0].text
        _, data = client.uid("FETCH", "2:*",
                             "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert data[0][1].startswith(b"Subject: ")
        assert client.uid("SEARCH", "ALL") == ("OK", [b"1 2"])
        client.logout()
        assert server.count("UID FETCH") == 1
        assert server.connection_count == 1


@pytest.mark.parametrize("reply, error", [
    ("NO [SERVERBUG] oh", "SERVERBUG"), ("BAD what", "BAD"),
    ("close", "EOF"), ("* BYE Session expired", "EOF|expired"),
    ("reset", "reset|EOF")])
def test_imap_faults_at_a_command(reply, error):
    fault = On(r"UID FETCH 2 ", reply, times=1)
    with ImapServer({"INBOX": mailgen.mails(3)}, faults=[fault]) as server:
        client = imap_client(server)
        client.select("INBOX")
        assert client.uid("FETCH", "1", "(FLAGS)")[0] == "OK"
        with pytest.raises((imaplib.IMAP4.error, OSError), match=error):
            status, data = client.uid("FETCH", "2", "(FLAGS)")
            raise OSError(f"{status} {data}")
        if reply.startswith(("NO", "BAD")):
            assert client.uid("FETCH", "2", "(FLAGS)")[0] == "OK"


def test_imap_fault_ok_without_data():
    fault = On("UID FETCH", "OK Completed", skip=1)
    with ImapServer({"INBOX": mailgen.mails(1)}, faults=[fault]) as server:
        client = imap_client(server)
        client.select("INBOX")
        assert client.uid("FETCH", "1", "(UID)")[1] == [b"1 (UID 1)"]
        assert client.uid("FETCH", "1", "(UID)")[1] == [None]


def test_imap_greeting_and_login_refused():
    with ImapServer({}, greeting="* BYE Too busy") as server, pytest.raises(
            imaplib.IMAP4.error):
        imap_client(server)
    with ImapServer({}, faults=[On("LOGIN", "NO [UNAVAILABLE] x")]) as server:
        with pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"):
            imap_client(server)
    with ImapServer({}) as server, pytest.raises(imaplib.IMAP4.error):
        imaplib.IMAP4("127.0.0.1", server.port).login("user", "wrong")


def test_imap_changes_are_errors_of_the_client():
    with pytest.raises(AssertionError, match="unexpected command: .*STORE"):
        with ImapServer({"INBOX": mailgen.mails(1)}) as server:
            client = imap_client(server)
            client.select("INBOX")
            with pytest.raises(imaplib.IMAP4.error):
                client.uid("STORE", "1", "+FLAGS", "(\\Seen)")


def test_imap_tls_and_starttls(ca):
    context = ca.client_context()
    with ImapServer({"INBOX": []}, ca=ca, tls=True) as server:
        imap.Client(server.port, tls=context).login("user", "secret").logout()
    with ImapServer({"INBOX": []}, ca=ca) as server:
        client = imaplib.IMAP4("127.0.0.1", server.port)
        client.starttls(context)
        client.login("user", "secret")
    with ImapServer({"INBOX": []}, ca=ca,
                    faults=[On("STARTTLS", "NO Not now")]) as server:
        client = imaplib.IMAP4("127.0.0.1", server.port)
        with pytest.raises(imaplib.IMAP4.error):
            client.starttls(context)


def test_imap_master_login_and_further_items():
    with ImapServer({"INBOX": mailgen.mails(1)}, users={"boss": "pw"},
                    extra=lambda name, mail: {"X-GM-MSGID": "1234"}) as server:
        client = imaplib.IMAP4("127.0.0.1", server.port)
        client.authenticate("PLAIN", lambda _: b"user\0boss\0pw")
        client.select()
        assert client.fetch("1", "(X-GM-MSGID)")[1] == [
            b"1 (UID 1 X-GM-MSGID 1234)"]


def test_stock_backup_from_a_scripted_server(dest):
    ours = dest.user()
    folders = {"INBOX": mailgen.odd_mails(nul=False, cr_cr_lf=False),
               "Sent": mailgen.mails(5), "A/B": mailgen.mails(2)}
    with ImapServer(folders, noselect=["A"]) as server:
        dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                     o=dest.imapc(server, user="user",
                                  password="secret")).ok()
        theirs = snapshot.take(server.port, "user", "secret")
        assert snapshot.of(ours, pop3=False) == theirs


# -- POP3 over data

def test_pop3_server_serves_mails():
    mails = mailgen.odd_mails(nul=False, big=False)
    with Pop3Server(mails, retr_allowed=True) as server:
        client = pop3_client(server)
        assert client.stat() == (len(mails), sum(len(m.text) for m in mails))
        assert client.uidl(2).endswith(b" 2 uidl-2")
        for number, mail in enumerate(mails, 1):
            # a client of lines cannot see the end of a last line
            lines = b"\r\n".join(client.retr(number)[1])
            assert lines in (mail.text, mail.text.removesuffix(b"\r\n"))
        dots = next(n for n, mail in enumerate(mails, 1)
                    if b"Subject: dots" in mail.text)
        assert client.top(dots, 2)[1][-2:] == [b".", b".."]
        client.quit()
        assert server.count("TOP") == 1
        assert server.received[-1] == "QUIT"


def test_pop3_pipelining():
    mails = mailgen.mails(3)
    with Pop3Server(mails) as server:
        with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
            sock.sendall(b"USER user\r\nPASS secret\r\nTOP 1 0\r\nTOP 3 0\r\n"
                         b"QUIT\r\n")
            data = b"".join(iter(lambda: sock.recv(65536), b""))
        assert data.count(b"Message-ID:") == 2
        assert data.endswith(b"+OK Bye\r\n")


@pytest.mark.parametrize("options, command, error", [
    ({"no_uidl": True}, "uidl", "Unknown"),
    ({"no_top": True}, "top", "Unknown"),
    ({"faults": [On("LIST$", "-ERR [SYS/TEMP] later")]}, "list", "SYS/TEMP"),
    ({"faults": [On("UIDL", "close")]}, "uidl", "EOF"),
    ({"faults": [On("TOP 1 0", "-ERR\nhalf")]}, "top", "ERR")])
def test_pop3_faults(options, command, error):
    with Pop3Server(mailgen.mails(2), **options) as server:
        client = pop3_client(server)
        arguments = (1, 0) if command == "top" else ()
        with pytest.raises(poplib.error_proto, match=error):
            getattr(client, command)(*arguments)


def test_pop3_odd_uidls_and_sizes():
    with Pop3Server(mailgen.mails(3), uidls=["same", "same", ""],
                    size=lambda mail: 7) as server:
        client = pop3_client(server)
        assert client.uidl()[1] == [b"1 same", b"2 same", b"3 "]
        assert client.list()[1] == [b"1 7", b"2 7", b"3 7"]


def test_pop3_hang_and_greeting():
    with Pop3Server([], faults=[On("greeting", "-ERR closed")]) as server:
        with pytest.raises(poplib.error_proto, match="closed"):
            pop3_client(server)
    with Pop3Server([], faults=[On("STAT", "hang")]) as server:
        client = pop3_client(server)
        client.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.stat()


def test_pop3_retr_is_an_error_of_the_client():
    with pytest.raises(AssertionError, match="RETR 1"):
        with Pop3Server(mailgen.mails(1)) as server:
            pop3_client(server).retr(1)


def test_pop3_tls_and_sasl(ca):
    context = ca.client_context()
    with Pop3Server([], ca=ca, tls=True) as server:
        poplib.POP3_SSL("127.0.0.1", server.port, context=context).quit()
    with Pop3Server([], ca=ca, users={"boss": "pw"}) as server:
        client = poplib.POP3("127.0.0.1", server.port)
        assert "STLS" in client.capa()
        client.stls(context)
        plain = base64.b64encode(b"user\0boss\0pw").decode()
        assert client._shortcmd(f"AUTH PLAIN {plain}").startswith(b"+OK")
    with Pop3Server([], ca=ca, faults=[On("STLS", "-ERR no")]) as server:
        client = poplib.POP3("127.0.0.1", server.port)
        with pytest.raises(poplib.error_proto):
            client.stls(context)


# -- HTTP

def test_http_server(ca):
    routes = [Route("GET /json", {"a": 1}),
              Route("POST /echo", lambda request: request.body),
              Route("GET /teapot", "short", status=418)]
    with HttpServer(routes, faults=[On("GET /busy", "503 Busy")]) as server:
        with urllib.request.urlopen(server.url("/json")) as answer:
            assert json.load(answer) == {"a": 1}
        with urllib.request.urlopen(server.url("/echo"), b"x=y") as answer:
            assert answer.read() == b"x=y"
        for path, status in (("/busy", 503), ("/none", 404),
                             ("/teapot", 418)):
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(server.url(path))
            assert error.value.code == status
        assert server.requests[1].headers["content-length"] == "3"
    with HttpServer(routes, ca=ca, tls=True) as server:
        with urllib.request.urlopen(server.url("/json"),
                                    context=ca.client_context()) as answer:
            assert answer.status == 200


# -- transcripts

def play(name):
    return Transcript(os.path.join(TRANSCRIPTS, name))


def test_every_transcript_says_what_it_plays():
    names = sorted(os.listdir(TRANSCRIPTS))
    assert names
    for name in names:
        script = play(name)
        script._listener.close()
        assert script.headers["Plays"] and script.headers["Source"]
        assert name.endswith(f".{script.protocol}")


def test_an_imap_transcript():
    with play("messagelimit.imap") as server:
        client = imap_client(server)
        client.select('"INBOX"')
        assert client.uid("FETCH", "1:*", "(FLAGS)")[1] == [
            b"3 (UID 11 FLAGS (\\Seen))", b"2 (UID 9 FLAGS ())"]
        _, data = client.uid("FETCH", "1:8", "(BODY.PEEK[])")
        assert data[0][1].decode() == ("From: grüße@example.com\r\n"
                                       "Subject: a literal\r\n\r\n.\r\n")
        client.logout()


def test_a_pop3_transcript_over_two_connections():
    with play("in-use.pop3") as server:
        client = poplib.POP3("127.0.0.1", server.port)
        client.user("u")
        with pytest.raises(poplib.error_proto, match="IN-USE"):
            client.pass_("p")
        client.quit()
        client = poplib.POP3("127.0.0.1", server.port)
        client.user("u")
        client.pass_("p")
        assert len(client.uidl()[1]) == 2
        client.quit()


def test_an_http_transcript():
    with play("refresh-token.http") as server:
        url = f"http://127.0.0.1:{server.port}/token"
        with urllib.request.urlopen(
                url, b"grant_type=refresh_token&refresh_token=good") as answer:
            assert json.load(answer)["token_type"] == "Bearer"
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(url, b"refresh_token=revoked")
        assert json.load(error.value) == {"error": "invalid_grant"}


HEAD = "Protocol: pop3\nPlays: a test\nSource: none\n"


def test_a_mismatch_shows_both_lines():
    with pytest.raises(AssertionError) as failure:
        with Transcript(text=HEAD + "S: +OK\nC: USER $name\nS: +OK\n"
                                    "C: PASS $name\nS: +OK\n") as server:
            client = poplib.POP3("127.0.0.1", server.port)
            client.user("anna")
            with pytest.raises((poplib.error_proto, OSError)):
                client.pass_("berta")
    assert "transcript:7: expected: PASS $name" in str(failure.value)
    assert "got:      PASS berta" in str(failure.value)


def test_a_transcript_must_be_played_to_its_end():
    with pytest.raises(AssertionError, match="not played to the end|closed"):
        with Transcript(text=HEAD + "S: +OK\nC: QUIT\nS: +OK\n") as server:
            poplib.POP3("127.0.0.1", server.port).close()


def test_a_command_that_may_always_come():
    with Transcript(text=HEAD + "always C: NOOP $x => +OK noop $x\n"
                    "S: +OK\nC: NOOP last\nS: +OK\nclose\n") as server:
        client = poplib.POP3("127.0.0.1", server.port)
        for word in ("a", "b"):
            assert client._shortcmd(f"NOOP {word}") == b"+OK noop " + (
                word.encode())
        client._shortcmd("NOOP last")


def test_a_transcript_without_its_source_is_refused():
    with pytest.raises(ValueError, match="Source"):
        Transcript(text="Protocol: pop3\nPlays: x\nS: +OK\n")
