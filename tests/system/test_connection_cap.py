# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc_max_connections: runs of several users share the connections
that the source's server allows one address."""

import contextlib
import socket
import subprocess

from lab.scripted import ImapServer, On
from test_source_faults import (BAD_UID, always, backup, findings, folders,
                                report, seen, stored)

BODY = r"UID FETCH .*BODY\.PEEK\[\]"
COURIER = '"name" "Courier-IMAP"'


def start(dest, server, user, **settings):
    options = {"migration_report_path": f"{user.home}/report.json"}
    options.update({f"migration_imapc_{name}": value
                    for name, value in settings.items()})
    return dest.start_doveadm(
        "backup", "-R", "-u", user.name, "imapc:",
        o={**dest.imapc(server, user="user", password="secret"),
           **dest.plugin_options(options)},
        stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def other_runs(server, count, first=0):
    """So many other runs of this machine are connected to the server."""
    with contextlib.ExitStack() as stack:
        for number in range(first, first + count):
            slot = stack.enter_context(
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            slot.bind(f"\0dovecot-migration/127.0.0.1:{server.port}/{number}")
        yield


def test_two_users_and_one_connection(dest):
    """The second user waits, ends with 75 when its patience does, and goes on
    the moment the first one is killed."""
    first, second = dest.user(driver="mdbox"), dest.user(driver="mdbox")
    with ImapServer(folders(), faults=[On(BODY, "hang", times=1)]) as server:
        server.max_connections = 1
        holder = start(dest, server, first, max_connections="1",
                       timeout="60s")
        while server.count(BODY) == 0:
            assert holder.poll() is None, holder.stderr.read()

        result = backup(dest, server, second, max_connections="1",
                        patience="1s")
        assert result.rc == 75, str(result)
        assert "(migration_imapc_max_connections) are in use" in result.err
        assert [f["severity"] for f in findings(second, "connections-in-use")
                ] == ["warning"]
        assert {w["cause"] for w in report(second)["waited"]} == {
            "connections"}

        waiter = start(dest, server, second, max_connections="1")
        line = waiter.stderr.readline()
        assert "Waiting for one of the 1 connections" in line, line
        holder.kill()
        holder.communicate()
        err = waiter.communicate(timeout=60)[1]
        assert waiter.returncode == 0, line + err
        assert stored(second) == seen(server)
        # and so does the one that was killed
        assert backup(dest, server, first, max_connections="1").rc == 0
        assert stored(first) == seen(server)
        assert server.refused == 0


def test_the_two_of_one_run_take_turns(dest):
    """A mail that cannot be read wants a connection of its own: with one slot,
    and with one more that another run has. No run waits for itself."""
    for one_by_one in (False, True):
        ours = dest.user(driver="sdbox")
        with ImapServer(folders(), bad=always("NO Broken")) as server:
            server.max_connections = 1
            result = backup(dest, server, ours, max_connections="1",
                            one_by_one=one_by_one, patience="20s")
            assert result.rc == 3, str(result)
            assert [f["uid"] for f in findings(ours)] == [BAD_UID]
            assert server.refused == 0
            # a further run cures it
            server.bad = lambda *_: None
            with other_runs(server, 1):
                result = backup(dest, server, ours, max_connections="2",
                                one_by_one=one_by_one)
            assert result.rc == 0, str(result)
            assert stored(ours) == seen(server)
            assert server.refused == 0


def test_courier_is_known_to_allow_four(dest):
    """By its name before the login, or by what it says at the login: then the
    connection is given back."""
    ours = dest.user(driver="sdbox")
    with ImapServer(folders(), identity=COURIER) as server:
        for provider, connections in (("courier", 0), ("auto", 1)):
            with other_runs(server, 4):
                result = backup(dest, server, ours, provider=provider)
            assert result.rc == 75, str(result)
            assert "All 4 connections" in result.err
            assert server.connection_count == connections
            assert server.count("LIST") == 0
        # what couriertcpd says to one that is too many
        server.faults.append(On("greeting", "close", times=5))
        with other_runs(server, 1, first=2):
            result = backup(dest, server, ours, patience="20s")
        assert result.rc == 0, str(result)
        assert stored(ours) == seen(server)


def test_what_is_no_number_is_refused(dest):
    ours = dest.user()
    result = dest.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:",
        o=dest.plugin_options({"migration_imapc_max_connections": "0"}))
    assert result.rc not in (0, 2)
    assert "migration_imapc_max_connections must be" in result.err
