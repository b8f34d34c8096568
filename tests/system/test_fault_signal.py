# SPDX-License-Identifier: LGPL-2.1-or-later
"""SIGTERM and SIGINT end a run with a report, also while the server says
nothing; the next run completes it. A second run of the same user is refused."""

import json
import os
import signal
import subprocess

import pytest

from lab import Dovecot, interrupt, mailgen, places, snapshot
from lab.latency import Fault, Link
from lab.scripted import ImapServer, On

SAMPLE = (1, 3, 8, 12)
LAST = 30


@pytest.fixture(scope="module")
def here(version, ca):
    settings = {"mailbox_list_drop_noselect": False}
    with Dovecot(version, ca=ca, plugins=("migration_imapc",), driver="sdbox",
                 settings=settings if version == "2.4" else None) as server:
        yield server


@pytest.fixture(scope="module")
def theirs(source):
    user = source.user()
    mailgen.deliver(user, {"INBOX": mailgen.mails(30),
                           "Sent": mailgen.mails(4, seed=3)})
    return user


def start(here, theirs, ours, *command):
    command = command or ("backup", "-R", "-u", ours.name, "imapc:")
    return lambda port: here.start_doveadm(
        *command, o=here.imapc(theirs.server, user=theirs.name, port=port),
        stderr=subprocess.PIPE, text=True)


def report(user):
    with open(f"{user.home}/dovecot-migration-report.json") as file:
        return json.load(file)


def complete(here, theirs, ours):
    here.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o=here.imapc(theirs.server, user=theirs.name)).ok()
    assert snapshot.of(ours, pop3=False) == snapshot.of(theirs, pop3=False)
    assert report(ours)["result"] == "complete"


def numbers():
    return range(1, LAST + 1) if "DM_LONG" in os.environ else SAMPLE


@pytest.mark.parametrize("number", numbers())
@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_a_silent_server(here, theirs, signo, number):
    ours = here.user()
    with Link(0) as link:
        process, stopped = interrupt.after_answer(
            link, theirs.server.ports["imap"], number,
            start(here, theirs, ours), signo)
        err = process.stderr.read()
    if not stopped and number > 10:
        pytest.skip(f"the server gives less than {number} answers")
    assert stopped and "Panic" not in err
    if process.returncode == 0 and number > 10:
        # only the logout was left (test_at_the_logout)
        complete(here, theirs, ours)
        return
    assert process.returncode == 75, err
    assert "run again later" in err
    found = report(ours)
    assert found["exit_code"] == 75
    assert found["result"] == "temporary failure, run again later"
    assert found["next_run"].startswith("Goes on from here")
    assert [finding["why"] for finding in found["findings"]
            if finding["what"] == "interrupted"] == [
        f"The run was ended by signal {int(signo)}"]
    complete(here, theirs, ours)


def test_inside_of_a_mail(here, theirs):
    ours = here.user()
    with Link(0) as link:
        process = start(here, theirs, ours)(link.to(
            theirs.server.ports["imap"], Fault("hang", after_bytes=20000)))
        places.wait_for(lambda: link.broken, "the server stops")
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        err = process.stderr.read()
    assert process.returncode == 75, err
    assert report(ours)["exit_code"] == 75
    complete(here, theirs, ours)


def test_at_the_logout(here):
    """dsync-late-signal: all is done, only the server's farewell is missing."""
    ours = here.user()
    with ImapServer({"INBOX": mailgen.mails(2)},
                    faults=[On("LOGOUT", "hang")]) as server:
        process = here.start_doveadm(
            "backup", "-R", "-u", ours.name, "imapc:", stderr=subprocess.PIPE,
            text=True, o=here.imapc(server, user="user", password="secret"))
        places.wait_for(lambda: server.count("LOGOUT"), "it logs out")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Panic" not in err, err
    assert report(ours)["result"] == "complete"


def test_import(here, theirs):
    ours = here.user()
    with Link(0) as link:
        process = start(here, theirs, ours, "import", "-u", ours.name,
                        "imapc:", "", "ALL")(link.to(
                            theirs.server.ports["imap"],
                            Fault("hang", after_bytes=20000)))
        places.wait_for(lambda: link.broken, "the server stops")
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        err = process.stderr.read()
    assert process.returncode == 75, err
    assert report(ours)["exit_code"] == 75


@pytest.mark.parametrize("second", [("backup", "-R"), ("sync", "-1R")],
                         ids=lambda words: words[0])
def test_two_runs_of_one_user(here, theirs, second):
    ours, other = here.user(), here.user()
    with Link(0) as link:
        process = start(here, theirs, ours)(link.to(
            theirs.server.ports["imap"], Fault("hang", after_bytes=20000)))
        places.wait_for(lambda: link.broken, "the server stops")
        result = here.doveadm(
            *second, "-u", ours.name, "imapc:",
            o=here.imapc(theirs.server, user=theirs.name))
        assert result.rc == 75, result
        assert (f"Another migration of this user is running: process "
                f"{process.pid} on " in result.err)
        assert ", backup imapc: since 2" in result.err
        # other users and commands that write nothing are not concerned
        complete(here, theirs, other)
        here.doveadm("migration", "verify", "-u", ours.name, "imapc:",
                     o=here.imapc(theirs.server, user=theirs.name))
        process.kill()
        process.wait(30)
    # the lock went with the process
    complete(here, theirs, ours)


def test_a_home_that_cannot_be_written(here, theirs):
    """No lock, and a report that is missed: the mails arrive all the same."""
    ours = here.user()
    os.mkdir(f"{ours.home}/dovecot-migration-lock")
    result = here.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                          o=here.imapc(theirs.server, user=theirs.name))
    assert result.rc == 0, result
    assert snapshot.of(ours, pop3=False) == snapshot.of(theirs, pop3=False)
