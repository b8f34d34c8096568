# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: connections that fail for a while, and servers that ask for
patience. The run waits and goes on; what it cannot wait for ends it with 75."""

import os
import re
import subprocess

import pytest

from lab import mailgen, places, snapshot
from lab.latency import Fault, Link
from lab.scripted import ImapServer, On
from test_source_faults import (SILENCE, backup, findings, folders, report,
                                seen, stored)

PATIENT = {"patience": "20s"}

# the command at which the server fails, a few times in a row
STAGES = {
    "greeting": "greeting",
    "login": "LOGIN",
    "list": "LIST",
    "status": "STATUS",
    "lsub": "LSUB",
    "examine": "EXAMINE",
    "flags": r"UID FETCH 1:\* \(FLAGS",
    "body": r"UID FETCH .*BODY\.PEEK\[\]",
}


@pytest.mark.parametrize("stage", STAGES)
def test_lost_several_times(dest, stage):
    """Three connections in a row end at the same command."""
    ours = dest.user(driver="mdbox")
    reply = "close" if list(STAGES).index(stage) % 2 else "reset"
    with ImapServer(folders(), faults=[On(STAGES[stage], reply,
                                          times=3)]) as server:
        result = backup(dest, server, ours, **PATIENT)
        assert result.rc == 0, str(result)
        assert stored(ours) == seen(server)
    assert report(ours)["findings"] == []
    counters = report(ours)["counters"]
    assert counters["retries"] + counters["reconnects"] >= 1


# what providers say, and where, and what is waited for at the second time.
# None: it may be over by then, because each mail is asked for in several ways
REFUSALS = {
    "gmail bandwidth": ("LOGIN", "NO [ALERT] Account exceeded command or "
                        "bandwidth limits. (Failure)", "quota"),
    "gmail connections": ("LOGIN", "NO [ALERT] Too many simultaneous "
                          "connections. (Failure)", "too-many-connections"),
    "gmail overquota": ("EXAMINE", "* BYE [OVERQUOTA] Account exceeded "
                        "command or bandwidth limits", "quota"),
    "gmail session": ("EXAMINE", "* BYE Session expired, please login again",
                      None),
    "microsoft": ("LOGIN", "BAD Request is throttled. Suggested Backoff "
                  "Time: 300 milliseconds", "throttled"),
    "microsoft fetch": (r"UID FETCH .*BODY\.PEEK\[\]",
                        "NO Request is throttled. Suggested Backoff Time: "
                        "300 milliseconds", None),
    "microsoft half": ("LIST", "BAD User is authenticated but not "
                       "connected.", "not-connected"),
    "yahoo": (r"UID FETCH .*BODY\.PEEK\[\]",
              "NO [LIMIT] UID FETCH Rate limit hit.", None),
    "inuse": ("EXAMINE", "NO [INUSE] Mailbox is locked", None),
    "unavailable": ("LOGIN", "NO [UNAVAILABLE] Come back later", "temporary"),
    "greeting": ("greeting", "* BYE Too many connections",
                 "too-many-connections"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_throttled_for_a_while(dest, case):
    """Waited for, then everything is there."""
    command, reply, cause = REFUSALS[case]
    ours = dest.user(driver="mdbox")
    with ImapServer(folders(), faults=[On(command, reply, times=2)]) as server:
        result = backup(dest, server, ours, **PATIENT)
        assert result.rc == 0, str(result)
        assert "secret" not in result.err
        assert stored(ours) == seen(server)
    assert report(ours)["findings"] == []
    causes = [wait["cause"] for wait in report(ours)["waited"]]
    assert cause is None or cause in causes, causes


@pytest.mark.parametrize("case", ["gmail bandwidth", "microsoft", "yahoo",
                                  "unavailable", "greeting"])
def test_throttled_for_long(dest, case):
    """Never taken for a wrong password or for a broken mail."""
    command, reply, _ = REFUSALS[case]
    reply = reply.replace(" 300 ", " 3000000 ")
    ours = dest.user(driver="mdbox")
    with ImapServer(folders(), faults=[On(command, reply)]) as server:
        result = backup(dest, server, ours)
        assert result.rc == 75, str(result)
        assert findings(ours) == []
        found = findings(ours, "source-unavailable")
        assert len(found) == 1
        if case in ("gmail bandwidth", "microsoft"):
            assert "continue after " in found[0]["why"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
                                report(ours)["continue_after"])
        server.faults.clear()
        result = backup(dest, server, ours)
        assert result.rc == 0, str(result)
        assert stored(ours) == seen(server)


def test_half_open_again_and_again(dest):
    """Silent three times, each time within a mail."""
    ours = dest.user(driver="mdbox")
    mails = {"INBOX": mailgen.mails(30, size=10000)}
    with ImapServer(mails) as server, Link(round_trip=0.002) as link:
        real, port = server.port, link.to(
            server.port, Fault("hang", after_bytes=100000, times=3))
        server.ports["imap"] = port
        result = backup(dest, server, ours, **PATIENT, **SILENCE)
        server.ports["imap"] = real
        assert result.rc == 0, str(result)
        assert stored(ours) == seen(server)


@pytest.mark.parametrize("ssl, after_bytes", [
    ("imaps", 300), ("starttls", 900)])
def test_tls_that_breaks_in_its_handshake(source, dest, ssl, after_bytes):
    """Three times in a row."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(5)})
    with Link(0) as link:
        port = link.to(source.ports["imaps" if ssl == "imaps" else "imap"],
                       Fault("cut", after_bytes=after_bytes, times=3))
        result = dest.doveadm(
            "backup", "-R", "-u", ours.name, "imapc:",
            o={**dest.imapc(source, user=theirs.name, ssl=ssl, port=port),
               **dest.plugin_options({"migration_imapc_patience": "20s"})})
    assert result.rc == 0 and "Panic" not in result.err, str(result)
    assert link.broken == 3
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_wrong_password_is_not_tried_again(dest):
    ours = dest.user()
    with ImapServer(folders(), users={"user": "other"}) as server:
        assert backup(dest, server, ours, **PATIENT).rc == 77
        assert server.count("LOGIN|AUTHENTICATE") == 1


@pytest.fixture
def hosts(version):
    """A hosts file that only this version's servers see, empty so far."""
    folder = places.scratch("h")
    path, etc = f"{folder}/hosts", f"{places.root(version).rstrip('/')}/etc"
    os.mkdir(f"{folder}/etc")
    os.symlink(path, f"{folder}/etc/hosts")
    with open(path, "w", encoding="ascii") as file:
        file.write("127.0.0.1 localhost\n")
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir={folder}/etc:{etc}", etc], check=True)
    yield path
    subprocess.run(["umount", "-l", etc], check=True)


def test_a_name_that_is_found_later(dest, hosts):
    """The name server does not answer at first."""
    ours = dest.user(driver="mdbox")
    with ImapServer(folders()) as server:
        options = {**dest.imapc(server, user="user", password="secret"),
                   "imapc_host": "imap.example.com"}
        process = dest.start_doveadm(
            "backup", "-R", "-u", ours.name, "imapc:", o=options,
            stderr=subprocess.PIPE, text=True)
        first = process.stderr.readline()
        assert "imap.example.com" in first, first
        assert server.connection_count == 0
        with open(hosts, "a", encoding="ascii") as file:
            file.write("127.0.0.1 imap.example.com\n")
        err = process.communicate(timeout=60)[1]
        assert process.returncode == 0, first + err
        assert stored(ours) == seen(server)
