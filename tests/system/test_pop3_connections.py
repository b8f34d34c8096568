# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_pop3_max_connections: runs of several users share the sessions that
the old POP3 server allows one address; a server that has no room is waited for."""

import json
import subprocess

import pytest

from lab import mailgen
from lab.scripted import ImapServer, On, Pop3Server
from test_connection_cap import other_runs
from test_source_faults import findings, report

ALL_IN_USE = ("All 1 connections that migrations on this machine may have to "
              "127.0.0.1:{} ({}_max_connections) are in use by others")
TOO_MANY = "-ERR Too many connections from your address"


@pytest.fixture
def old():
    """The old server, and its POP3 server that lets in one at a time."""
    mails = mailgen.mails(3)
    with ImapServer({"INBOX": mails}) as imap, Pop3Server(mails) as pop3:
        pop3.max_connections = 1
        yield imap, pop3
        assert pop3.refused == 0


class Runs:
    def __init__(self, dest, imap, pop3):
        self.dest = dest
        self.conf = dest.write_conf(
            f"{dest.dir}/pop3-cap.conf", namespaces=[dest.pop3c_namespace()],
            plugins=("migration_imapc", "migration_pop3"),
            settings={**dest.imapc(imap, user="user", password="secret"),
                      **dest.pop3c(pop3, user="user", password="secret")},
            plugin_settings={"migration_pop3_mailbox": "POP3-SOURCE/INBOX",
                             "migration_pop3_max_connections": "1"})

    def options(self, user, settings):
        return dict(conf=self.conf, o=self.dest.plugin_options({
            "migration_report_path": f"{user.home}/report.json",
            **{f"migration_{name}": value
               for name, value in settings.items()}}))

    def run(self, user, *command, **settings):
        command = command or ("backup", "-R", "-u", user.name, "imapc:")
        return self.dest.doveadm(*command, **self.options(user, settings))

    def start(self, user, **settings):
        return self.dest.start_doveadm(
            "backup", "-R", "-u", user.name, "imapc:",
            stderr=subprocess.PIPE, text=True, **self.options(user, settings))

    def uidls(self, user):
        out = self.run(user, "-f", "tab", "fetch", "-u", user.name,
                       "pop3.uidl", "mailbox", "INBOX").ok().out
        return out.split()[1:]


def test_sessions_are_shared(dest, old):
    """Runs and commands wait, end with 75 when their patience does, and go on
    the moment the one that has the session is killed."""
    imap, pop3 = old
    runs = Runs(dest, *old)
    first, second = dest.user(), dest.user()
    wanted = [f"uidl-{number}" for number in (1, 2, 3)]
    in_use = ALL_IN_USE.format(pop3.port, "migration_pop3")
    pop3.faults.append(On("UIDL", "hang", times=1))
    holder = runs.start(first, pop3_timeout="60s")
    while pop3.count("UIDL") == 0:
        assert holder.poll() is None, holder.stderr.read()

    result = runs.run(second, pop3_patience="1s")
    assert result.rc == 75 and in_use in result.err, str(result)
    assert len(findings(second, "connections-in-use")) == 1
    assert {w["cause"] for w in report(second)["waited"]} == {"connections"}
    for command in ("auth-test", "uidl", "verify"):
        result = runs.run(second, "-f", "json", "migration", command, "-u",
                          second.name, *(["imapc:"] * (command == "verify")),
                          pop3_patience="0")
        assert result.rc == 75, (command, result)
        assert in_use in result.out + result.err, (command, result)

    waiter = runs.start(second)
    assert any("Waiting for one of the 1 connections" in line
               for line in waiter.stderr)
    holder.kill()
    holder.communicate()
    err = waiter.communicate(timeout=60)[1]
    assert waiter.returncode == 0, err
    assert runs.uidls(second) == wanted
    # and so does the one that was killed
    assert runs.run(first).rc == 0
    assert runs.uidls(first) == wanted


def test_a_server_without_room(dest, old):
    """What it says is waited for, and its silence if another run is there."""
    imap, pop3 = old
    runs = Runs(dest, *old)
    ours = dest.user()
    pop3.faults.append(On("greeting", TOO_MANY))
    result = runs.run(ours, pop3_patience="1s")
    assert result.rc == 75, str(result)
    assert [found["severity"] for found in findings(
        ours, "source-unavailable")] == ["warning"]
    assert "Too many connections" in report(ours)["findings"][0]["why"]
    assert {w["cause"] for w in report(ours)["waited"]} == {
        "too-many-connections"}
    assert pop3.connection_count > 2

    # courier-maxperip
    for reply, others in ((TOO_MANY, 0), ("close", 1)):
        pop3.faults[:] = [On("greeting", reply, times=3)]
        ours = dest.user()
        with other_runs(pop3, others, first=1):
            result = runs.run(ours, pop3_max_connections="auto")
        assert result.rc == 0, str(result)
        assert len(runs.uidls(ours)) == 3


def test_the_login_test_counts(dest, old):
    """doveadm migration auth-test has its connection like any other run."""
    imap, pop3 = old
    runs = Runs(dest, *old)
    ours = dest.user()
    with other_runs(imap, 1):
        result = runs.run(ours, "-f", "json", "migration", "auth-test", "-u",
                          ours.name, imapc_max_connections="1",
                          imapc_patience="0")
    rows = {(row["part"], row["item"]): row["value"]
            for row in json.loads(result.out)}
    assert result.rc == 75, str(result)
    assert rows["imap", "login"] == ALL_IN_USE.format(
        imap.port, "migration_imapc")
    assert rows["pop3", "login"] == "ok, user"
    assert imap.connection_count == 0


def test_what_is_no_number_is_refused(dest, old):
    ours = dest.user()
    result = Runs(dest, *old).run(ours, pop3_max_connections="none")
    assert result.rc not in (0, 2)
    assert "migration_pop3_max_connections must be" in result.err
