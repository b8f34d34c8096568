# SPDX-License-Identifier: LGPL-2.1-or-later
"""The source fails at some point of the dialogue: the run ends with an exit
code that says so and with an error that a person can read. It never crashes,
and what it leaves behind is completed by the next run."""

import os

import pytest

from lab import mailgen, places, snapshot
from lab.latency import Fault, Link
from lab.scripted import ImapServer, On

FOLDERS = {"INBOX": mailgen.mails(3), "Sent": mailgen.mails(2, seed=2)}

# the points of a first run, in order
POINTS = {
    "greeting": "greeting",
    "login": "(LOGIN|AUTHENTICATE)",
    "separator": 'LIST "" ""$',
    "list": r'LIST "" "?\*',
    "status": "STATUS",
    "subscriptions": "LSUB",
    "open": "EXAMINE",
    "flags": r"UID FETCH 1:\* \(FLAGS",
    "bodies": r"UID FETCH .*BODY\.PEEK\[\]",
    "logout": "LOGOUT",
}

# what the server does -> what the administrator must be told
FAULTS = {
    "close": "isconnected",
    "NO [UNAVAILABLE] gone fishing": "gone fishing",
    "BAD confused": "confused",
    "hang": "timed out",
}

# imapc waits 30 seconds for greeting and login, twice, whatever is set
SLOW = {("greeting", "hang"), ("login", "hang")}


def backup(dest, server, ours, **settings):
    result = dest.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:", timeout=120,
        o={**dest.imapc(server, user="user", password="secret"),
           **dest.plugin_options({"migration_imapc_patience": "5s"}),
           **settings})
    assert "Panic" not in result.err and result.rc >= 0, result
    return result


@pytest.mark.parametrize("reply", FAULTS, ids=["close", "NO", "BAD", "hang"])
@pytest.mark.parametrize("point", POINTS)
def test_a_failure_in_the_dialogue(dest, point, reply):
    if (point, reply) in SLOW and "DM_LONG" not in os.environ:
        pytest.skip("takes a minute: ./dev test --long")
    ours = dest.user()
    with ImapServer(FOLDERS, faults=[On(POINTS[point], reply)]) as server:
        # the logout has a limit of its own
        result = backup(dest, server, ours, **(
            {"imapc_cmd_timeout": "1s"}
            if reply == "hang" and point != "logout" else {}))
        if point == "logout":
            assert result.rc == 0, result
        elif result.rc == 0:
            # what was asked ahead is asked again in another way
            assert point not in ("greeting", "login"), result
            assert (snapshot.of(ours, pop3=False) ==
                    snapshot.take(server.port, "user", "secret"))
        else:
            # also at the login: [UNAVAILABLE] is no wrong password
            assert result.rc == 75, result
            assert FAULTS[reply] in result.err

        server.faults.clear()
        assert backup(dest, server, ours).rc == 0
        assert (snapshot.of(ours, pop3=False) ==
                snapshot.take(server.port, "user", "secret"))


@pytest.mark.parametrize("tenths", range(1, 10))
def test_a_cut_connection(dest, tenths):
    """Somewhere between greeting and LOGOUT, also inside a mail."""
    ours = dest.user()
    with ImapServer(FOLDERS) as server, Link(0) as link:
        total = run_length(dest, server, link)
        cut = Fault("cut", after_bytes=total * tenths // 10)
        result = backup(dest, server, ours,
                        imapc_port=link.to(server.port, cut))
        assert result.rc in (0, 75), result

        assert backup(dest, server, ours).rc == 0
        assert (snapshot.of(ours, pop3=False) ==
                snapshot.take(server.port, "user", "secret"))


def run_length(dest, server, link):
    """How many bytes the server sends in an undisturbed run."""
    link.reset()
    backup(dest, server, dest.user(), imapc_port=link.to(server.port))
    return link.bytes_down


def test_a_wrong_password(dest):
    with ImapServer(FOLDERS) as server:
        result = backup(dest, server, dest.user(), imapc_password="wrong")
    assert result.rc == 77, result
    assert "Authentication failed" in result.err


def test_nobody_listens(dest):
    with ImapServer(FOLDERS) as server:
        result = backup(dest, server, dest.user(),
                        imapc_port=places.free_port())
    assert result.rc == 75, result
    assert "refused" in result.err


def test_a_host_that_does_not_exist(dest):
    with ImapServer(FOLDERS) as server:
        result = backup(dest, server, dest.user(),
                        imapc_host="imap.invalid")
    assert result.rc == 75, result
    assert "imap.invalid" in result.err
