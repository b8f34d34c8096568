# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 after each answer of the server: the next run completes what a run
without the kill would have made, and one more changes nothing."""

import os
import random
import signal

import pytest

from lab import Dovecot, interrupt, mailgen, places, snapshot, stepkill
from lab.latency import Fault, Link

LONG = "DM_LONG" in os.environ
# what the gate runs; --long runs all
SAMPLE = (3, 8, 12, 15)
LAST = 40


@pytest.fixture(scope="module")
def here(version, ca):
    settings = {"mailbox_list_drop_noselect": False}
    with Dovecot(version, ca=ca, plugins=("migration_imapc",),
                 settings=settings if version == "2.4" else None) as server:
        yield server


@pytest.fixture(scope="module")
def theirs(source):
    user = source.user()
    mailgen.deliver(user, {
        "INBOX": mailgen.mails(5), "Drafts": [],
        "Sent": mailgen.mails(4, seed=3), "Work": mailgen.mails(3, seed=9)})
    return user


@pytest.fixture(scope="module")
def wanted(theirs):
    return snapshot.of(theirs, pop3=False)


def backup(here, theirs, ours):
    return here.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:",
        o=here.imapc(theirs.server, user=theirs.name)).ok()


def start(here, theirs, ours):
    return lambda port: here.start_doveadm(
        "backup", "-R", "-u", ours.name, "imapc:",
        o=here.imapc(theirs.server, user=theirs.name, port=port))


def kill(here, theirs, ours, number):
    with Link(0) as link:
        return interrupt.after_answer(link, theirs.server.ports["imap"],
                                      number, start(here, theirs, ours))[1]


def numbers():
    return range(1, LAST + 1) if LONG else SAMPLE


@pytest.mark.parametrize("number", numbers())
@pytest.mark.parametrize("driver", ["maildir", "sdbox", "mdbox"])
def test_a_first_run(here, theirs, wanted, driver, number):
    ours = here.user(driver=driver)
    killed = kill(here, theirs, ours, number)
    if not killed and number > 10:
        pytest.skip(f"the server gives less than {number} answers")
    assert killed
    backup(here, theirs, ours)
    assert snapshot.of(ours, pop3=False) == wanted
    backup(here, theirs, ours)
    assert snapshot.of(ours, pop3=False) == wanted


@pytest.mark.parametrize("driver", ["maildir", "sdbox", "mdbox"])
def test_again_and_again(here, theirs, wanted, driver):
    """One user whose runs are killed a little later each time."""
    ours = here.user(driver=driver)
    for number in range(1, LAST, 2):
        if not kill(here, theirs, ours, number):
            break
    assert number > 5
    backup(here, theirs, ours)
    assert snapshot.of(ours, pop3=False) == wanted


def steps(version, driver, changed):
    """All calls that change a file with --long, else two that are always the
    same."""
    if LONG:
        return range(1, 1000)
    return random.Random(f"{version} {driver} {changed}").sample(
        range(1, 40), 2)


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("driver", ["maildir", "sdbox", "mdbox"])
def test_at_a_step(here, source, driver, changed):
    """Before a call that changes one of the user's files, in a first run or in
    one that finds changes. One run more is all it takes."""
    killed = 0
    for step in steps(here.version, driver, changed):
        theirs, ours = source.user(), here.user(driver=driver)
        options = {**here.imapc(theirs.server, user=theirs.name),
                   **here.plugin_options(
                       {"migration_max_deletes": "unlimited"})}
        mailgen.deliver(theirs, {"INBOX": mailgen.mails(5),
                                 "Sent": mailgen.mails(3, seed=3)})
        if changed:
            backup(here, theirs, ours)
            mailgen.append(theirs, "INBOX", mailgen.mails(2, seed="new"))
            theirs.server.doveadm("flags", "add", "-u", theirs.name,
                                  "\\Flagged", "mailbox", "INBOX", "2:3").ok()
            theirs.server.doveadm("expunge", "-u", theirs.name, "mailbox",
                                  "INBOX", "1").ok()
        if not stepkill.run(here, ours, step, "backup", "-R", "-u", ours.name,
                            "imapc:", o=options):
            break
        killed += 1
        for _ in range(2):
            here.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                         o=options).ok()
            assert snapshot.of(ours, pop3=False) == snapshot.of(
                theirs, pop3=False), step
    assert killed >= (40 if LONG else 2), killed


def kill_processes(server, program=""):
    """kill -9 to all processes of a server that run this program, or any. Those
    that are dead do not count."""
    master = server.pid
    killed = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                title, _, rest = file.read().partition(") ")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if int(parent) == master and state != "Z" and (
                not program or title.endswith(f"({program}")):
            os.kill(int(name), signal.SIGKILL)
            killed += 1
    return killed


@pytest.fixture(scope="module")
def mortal(version):
    """A source of our own, whose log is full of deaths."""
    with Dovecot(version, driver="maildir") as server:
        user = server.user()
        mailgen.deliver(user, {"INBOX": mailgen.mails(5),
                               "Work": mailgen.mails(3, seed=9)})
        yield user


@pytest.mark.parametrize("number", numbers())
def test_a_killed_source_server(here, mortal, number):
    """It answers again at once, and the same run goes on."""
    theirs, ours, killed = mortal, here.user(driver="sdbox"), []
    wanted = snapshot.of(theirs, pop3=False)

    def kill_it():
        killed.append(kill_processes(theirs.server, "imap") or
                      # it has answered what came before the login
                      kill_processes(theirs.server, "imap-login"))
    with Link(0) as link:
        port = link.to(theirs.server.ports["imap"],
                       Fault(kill_it, after_answers=number))
        result = here.doveadm(
            "backup", "-R", "-u", ours.name, "imapc:",
            o=here.imapc(theirs.server, user=theirs.name, port=port,
                         password=theirs.password))
    # none, or the last: nobody is there any more
    if killed in ([], [0]) and number > 10:
        pytest.skip(f"the server gives less than {number} answers")
    assert killed == [1]
    assert result.rc == 0 and "Panic" not in result.err, result
    assert snapshot.of(ours, pop3=False) == wanted
    here.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o=here.imapc(theirs.server, user=theirs.name,
                              password=theirs.password)).ok()
    assert snapshot.of(ours, pop3=False) == wanted


def test_a_killed_doveadm_service(version, here, theirs, wanted):
    """The run is in a server's process: doveadm -S."""
    killed = []
    settings = {"mailbox_list_drop_noselect": False} \
        if version == "2.4" else {}
    with Link(0) as link:
        port = link.to(theirs.server.ports["imap"], Fault(
            lambda: killed.append(kill_processes(server, "doveadm-server")),
            after_answers=9))
        with Dovecot(version, listeners=("imap", "doveadm"),
                     plugins=("migration_imapc",),
                     settings={**settings, **here.imapc(
                         theirs.server, user=theirs.name, port=port)}
                     ) as server:
            ours = server.user(driver="mdbox")

            def run():
                return server.doveadm(
                    "backup", "-S", f"127.0.0.1:{server.ports['doveadm']}",
                    "-R", "-u", ours.name, "imapc:")
            result = run()
            # its end may be seen before it is counted
            places.wait_for(lambda: killed, "nothing was killed")
            assert killed == [1] and result.rc == 75, (killed, result)
            for _ in range(2):
                run().ok()
                assert snapshot.of(ours, pop3=False) == wanted


@pytest.mark.parametrize("number", (8, 14))
def test_a_source_server_that_starts_again(here, mortal, number):
    """Its master and everything else is killed; the same run goes on."""
    theirs, ours = mortal, here.user(driver="maildir")
    wanted = snapshot.of(theirs, pop3=False)

    def kill_and_start():
        os.kill(theirs.server.pid, signal.SIGSTOP)
        # who is not dead yet listens
        places.wait_for(lambda: not kill_processes(theirs.server),
                        "death of all processes")
        theirs.server.kill()
        theirs.server.start()
    with Link(0) as link:
        result = here.doveadm(
            "backup", "-R", "-u", ours.name, "imapc:",
            o=here.imapc(theirs.server, user=theirs.name,
                         password=theirs.password, port=link.to(
                             theirs.server.ports["imap"], Fault(
                                 kill_and_start, after_answers=number))))
        assert link.broken
    assert result.rc == 0 and "Panic" not in result.err, result
    assert snapshot.of(ours, pop3=False) == wanted


def deliver_late(ours, mail):
    """As LMTP and the LDA do it."""
    result = ours.server.run("/usr/lib/dovecot/dovecot-lda", "-c",
                             ours.server.conf, "-d", ours.name,
                             stdin=mail.text.decode())
    assert result.rc == 0, str(result)


def sums(user, mailbox="INBOX"):
    return [mail.sha256
            for mail in snapshot.of(user, pop3=False).mailboxes[mailbox]
            .mails.values()]


@pytest.mark.parametrize("number", numbers()[::2])
def test_a_destination_in_use(here, source, number):
    """While the run is on, new mail is delivered to the destination, and a
    client of it sets a flag and is killed."""
    theirs, ours = source.user(), here.user(driver="sdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(5),
                             "Work": mailgen.mails(3, seed=9)})
    backup(here, theirs, ours)
    mailgen.append(theirs, "INBOX", mailgen.mails(2, seed=4))
    late = mailgen.mails(1, seed="late")[0]
    killed = []

    def use():
        client = mailgen.login(ours)
        client.command("SELECT", "INBOX")
        client.command("UID", "STORE", "2", "+FLAGS", "(\\Flagged \\Answered)")
        killed.append(kill_processes(here, "imap"))
        deliver_late(ours, late)

    before = set(sums(ours))
    with Link(0) as link:
        port = link.to(theirs.server.ports["imap"],
                       Fault(use, after_answers=number))
        result = here.doveadm(
            "backup", "-R", "-u", ours.name, "imapc:",
            o=here.imapc(theirs.server, user=theirs.name, port=port))
    if not killed:
        pytest.skip(f"the server gives less than {number} answers")
    assert result.rc in (0, 2, 3) and "Panic" not in result.err, str(result)
    assert killed[0] >= 1
    own = set(sums(ours)) - set(sums(theirs))
    assert len(own) == 1 and before <= set(sums(ours)), str(result)

    # it is only at the destination: kept, told, and everything else is brought
    def again(*command, rc, **settings):
        result = here.doveadm(
            *command, "-u", ours.name, "imapc:",
            o={**here.imapc(theirs.server, user=theirs.name),
               **here.plugin_options(settings)})
        assert result.rc == rc, str(result)

    again("backup", "-R", rc=3)
    assert own <= set(sums(ours))
    again("sync", "-1R", rc=0)
    assert set(sums(ours)) == set(sums(theirs)) | own
    assert len(sums(ours)) == len(sums(theirs)) + 1
    again("backup", "-R", rc=0, migration_max_deletes="unlimited")
    assert snapshot.of(ours, pop3=False) == snapshot.of(theirs, pop3=False)
