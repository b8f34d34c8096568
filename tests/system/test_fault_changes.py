# SPDX-License-Identifier: LGPL-2.1-or-later
"""The source changes after each answer of a run: the run ends well, the next one
makes the user equal to the source, and one more changes nothing."""

import os
import random

import pytest

from lab import Dovecot, mailgen, snapshot
from lab.latency import Fault, Link
from test_source_faults import findings, report

# what the gate runs of each change; --long runs all
LAST, SAMPLE = 30, 2


@pytest.fixture(scope="module")
def here(version, ca):
    settings = {"mailbox_list_drop_noselect": False}
    with Dovecot(version, ca=ca, plugins=("migration_imapc",),
                 settings=settings if version == "2.4" else None) as server:
        yield server


def doveadm(user, *words):
    command, *rest = words
    user.server.doveadm(*command.split(), "-u", user.name, *rest).ok()


CHANGES = {
    "append": lambda user: mailgen.append(
        user, "Work", mailgen.mails(2, seed="new")),
    "flag": lambda user: doveadm(
        user, "flags add", "\\Flagged $Mine", "mailbox", "Work", "ALL"),
    "expunge": lambda user: doveadm(
        user, "expunge", "mailbox", "Work", "2:3"),
    "expunge all": lambda user: doveadm(
        user, "expunge", "mailbox", "Work", "ALL"),
    "delete": lambda user: doveadm(user, "mailbox delete", "Work"),
    "rename": lambda user: doveadm(user, "mailbox rename", "Work", "Play"),
    "create": lambda user: doveadm(user, "mailbox create", "New"),
    "uidvalidity": lambda user: doveadm(
        user, "mailbox update", "--uid-validity", "1234567890", "Work"),
}


def backup(here, theirs, ours, port=None, **settings):
    result = here.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:",
        o={**here.imapc(theirs.server, user=theirs.name, port=port),
           **here.plugin_options({
               "migration_report_path": f"{ours.home}/report.json",
               **settings})})
    assert "Panic" not in result.err and result.rc >= 0, result
    return result


def numbers(version, change):
    if "DM_LONG" in os.environ:
        return range(1, LAST + 1)
    return random.Random(f"{version} {change}").sample(range(3, 18), SAMPLE)


@pytest.mark.parametrize("again", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_during_the_run(source, here, change, again):
    """In a first run, and in a later one that has little to do."""
    for number in numbers(here.version, f"{change} {again}"):
        theirs, ours = source.user(), here.user(driver="sdbox")
        mailgen.deliver(theirs, {
            "INBOX": mailgen.mails(4), "Sent": mailgen.mails(2, seed=3),
            "Work": mailgen.mails(5, seed=9)})
        if again:
            backup(here, theirs, ours).ok()
            for name in ("INBOX", "Work"):
                mailgen.append(theirs, name, mailgen.mails(1, seed="more"))
        with Link(0) as link:
            port = link.to(source.ports["imap"], Fault(
                lambda: CHANGES[change](theirs), after_answers=number))
            result = backup(here, theirs, ours, port)
        if not link.broken:
            assert number > 8
            break
        where = f"{change} after answer {number}: {result}"
        assert result.rc in (0, 2, 3), where
        assert {found["what"] for found in report(ours)["findings"]} <= {
            "deletion-refused", "mailbox-gone", "mailbox-deleted",
            "mailbox-moved", "mailbox-made-again", "uidvalidity-changed"}, where
        # what was deleted is to be deleted
        unlimited = {"migration_max_deletes": "unlimited"}
        result = backup(here, theirs, ours, **unlimited)
        assert result.rc == 0, (where, result)
        assert snapshot.of(ours, pop3=False) == snapshot.of(
            theirs, pop3=False), where
        assert findings(ours, "mail-unreadable") == []
        backup(here, theirs, ours, **unlimited).ok()
        counters = report(ours)["counters"]
        assert counters["mails_saved"] == counters["mails_expunged"] == 0
