# SPDX-License-Identifier: LGPL-2.1-or-later
"""The deletion guard: what a run may delete at the destination, and what
becomes of mailboxes that stock would delete as a whole."""

import json
import os

import pytest

from lab import Dovecot, mailgen, snapshot

DRIVERS = ("maildir", "sdbox", "mdbox")
# without --long
SOME_DRIVERS = {"2.3": ("maildir", "sdbox"), "2.4": ("maildir", "mdbox")}


@pytest.fixture(scope="module")
def here(version, ca):
    """A destination that makes no mailboxes of its own."""
    settings = {"mailbox_list_drop_noselect": False}
    with Dovecot(version, ca=ca, plugins=("migration_imapc",),
                 settings=settings if version == "2.4" else None) as server:
        yield server


@pytest.fixture(params=DRIVERS)
def ours(here, version, request):
    if (request.param not in SOME_DRIVERS[version] and
            "DM_LONG" not in os.environ):
        pytest.skip("the other formats on this version: ./dev test --long")
    return here.user(driver=request.param)


@pytest.fixture
def theirs(source):
    user = source.user()
    mailgen.deliver(user, {"INBOX": mailgen.mails(20),
                           "Sent": mailgen.mails(10, seed=2),
                           "Trash": mailgen.mails(5, seed=3)})
    return user


def run(theirs, ours, *command, **settings):
    """Run it; return the result and the findings {mailbox: [(what, why)]}"""
    command = command or ("backup", "-R")
    path = f"{ours.home}/report.json"
    result = ours.server.doveadm(
        *command, "-u", ours.name, "imapc:",
        o={**ours.server.imapc(theirs.server, user=theirs.name),
           **ours.server.plugin_options({"migration_report_path": path,
                                         **settings})})
    assert "Panic" not in result.err and result.rc >= 0, result
    with open(path) as file:
        report = json.load(file)
    found = {}
    for finding in report["findings"]:
        found.setdefault(finding["mailbox"], []).append(
            (finding["what"], finding["why"]))
    return result, found, report["counters"]


def expunge(user, mailbox, *uids):
    user.server.doveadm("expunge", "-u", user.name, "mailbox", mailbox, "uid",
                        ",".join(map(str, uids))).ok()


def deliver(user, mailbox, seed=77, count=1):
    mailgen.append(user, mailbox, mailgen.mails(count, seed=seed))


def mails(user, mailbox):
    box = snapshot.of(user, pop3=False).mailboxes[mailbox]
    return {mail.sha256 for mail in box.mails.values()}


def assert_equal(theirs, ours):
    assert snapshot.of(ours, pop3=False) == snapshot.of(theirs, pop3=False)


def assert_quiet(theirs, ours):
    """A further run changes nothing and finds nothing."""
    result, found, counters = run(theirs, ours)
    assert result.rc == 0 and found == {}, result
    assert counters["mails_expunged"] == counters["mailboxes_deleted"] == 0


def test_a_tenth_of_a_mailbox(theirs, ours):
    run(theirs, ours)[0].ok()
    expunge(theirs, "INBOX", 3, 17)
    result, found, counters = run(theirs, ours)
    assert result.rc == 0, result
    assert [what for what, _ in found["INBOX"]] == ["mails-deleted"]
    assert "Info: Mailbox INBOX: deleting 2 of 20 mails" in result.err
    assert counters["mails_expunged"] == 2
    assert_equal(theirs, ours)
    assert_quiet(theirs, ours)


def test_more_than_a_tenth(theirs, ours):
    run(theirs, ours)[0].ok()
    before = mails(ours, "INBOX")
    expunge(theirs, "INBOX", 3, 7, 17)
    expunge(theirs, "Sent", 1)
    deliver(theirs, "Trash")

    result, found, counters = run(theirs, ours)
    assert result.rc == 3, result
    [(what, why)] = found["INBOX"]
    assert what == "deletion-refused"
    assert "3 of 20 mails, and migration_max_deletes allows 2" in why
    assert why in result.err.replace("\n", " ")
    assert counters["mails_expunged"] == 1
    # everything else is done
    assert mails(ours, "INBOX") == before
    for name in ("Sent", "Trash"):
        assert mails(ours, name) == mails(theirs, name)
    # new mail comes although nothing is deleted
    deliver(theirs, "INBOX", seed=5)
    result, found, _ = run(theirs, ours)
    assert result.rc == 3 and list(found) == ["INBOX"], result
    assert mails(ours, "INBOX") == before | mails(theirs, "INBOX")

    result, found, _ = run(theirs, ours, migration_max_deletes="3")
    assert result.rc == 0, result
    assert found["INBOX"][0][0] == "mails-deleted"
    assert_equal(theirs, ours)
    assert_quiet(theirs, ours)


@pytest.mark.parametrize("limit", ["15%", "unlimited"])
def test_other_limits(theirs, ours, limit):
    run(theirs, ours)[0].ok()
    expunge(theirs, "INBOX", 3, 7, 17)
    run(theirs, ours, migration_max_deletes=limit)[0].ok()
    assert_equal(theirs, ours)


def test_a_mailbox_that_the_source_deleted(theirs, ours):
    run(theirs, ours)[0].ok()
    before = snapshot.of(ours, pop3=False)
    theirs.server.doveadm("mailbox", "delete", "-u", theirs.name,
                          "Trash").ok()
    for _ in range(2):
        result, found, counters = run(theirs, ours)
        assert result.rc == 3, result
        assert list(found) == ["Trash"]
        assert "5 of 5 mails, and migration_max_deletes allows 0" in (
            found["Trash"][0][1])
        assert counters["mailboxes_deleted"] == 0
        assert (snapshot.of(ours, pop3=False).mailboxes["Trash"] ==
                before.mailboxes["Trash"])
    result, found, counters = run(theirs, ours, migration_max_deletes="5")
    assert result.rc == 0, result
    assert found["Trash"][0][0] == "mailbox-deleted"
    assert counters["mailboxes_deleted"] == 1
    assert_equal(theirs, ours)


def test_an_empty_mailbox_may_go(theirs, ours):
    theirs.server.doveadm("mailbox", "create", "-u", theirs.name, "Empty").ok()
    run(theirs, ours)[0].ok()
    theirs.server.doveadm("mailbox", "delete", "-u", theirs.name, "Empty").ok()
    result, found, _ = run(theirs, ours)
    assert result.rc == 0 and found == {}, result
    assert_equal(theirs, ours)


def test_a_first_run_into_a_mailbox_in_use(theirs, ours):
    """Stock deletes the mailbox, or says INBOX can't be deleted for ever."""
    deliver(ours, "INBOX", count=3)
    before = mails(ours, "INBOX")
    for _ in range(2):
        result, found, _ = run(theirs, ours)
        assert result.rc == 3, result
        assert list(found) == ["INBOX"]
        assert "in a mailbox that no run has completed yet" in (
            found["INBOX"][0][1])
        assert mails(ours, "INBOX") == before
        assert mails(ours, "Sent") == mails(theirs, "Sent")
        assert mails(ours, "Trash") == mails(theirs, "Trash")
    run(theirs, ours, migration_max_deletes="unlimited")[0].ok()
    assert_equal(theirs, ours)
    assert_quiet(theirs, ours)


def test_new_mail_at_the_destination(theirs, ours):
    """Stock deletes the INBOX because its UIDNEXT is too high."""
    run(theirs, ours)[0].ok()
    deliver(ours, "INBOX", count=3)
    before = mails(ours, "INBOX")
    deliver(theirs, "Sent")
    result, found, counters = run(theirs, ours)
    assert result.rc == 3, result
    assert "3 of 23 mails" in found["INBOX"][0][1]
    assert counters["mailboxes_deleted"] == 0
    assert mails(ours, "INBOX") == before
    assert mails(ours, "Sent") == mails(theirs, "Sent")

    result, found, _ = run(theirs, ours, "sync", "-1R")
    assert result.rc == 0 and found == {}, result
    assert mails(ours, "INBOX") == before


def test_mails_deleted_at_the_destination(theirs, ours):
    """Nothing is only here: the mailbox is made again, in the same run.
    Stock empties it and ends with 75 or 65."""
    run(theirs, ours)[0].ok()
    expunge(ours, "INBOX", 2, 19)
    expunge(ours, "Sent", 10)
    result, found, _ = run(theirs, ours)
    assert result.rc == 0, result
    assert {what for rows in found.values() for what, _ in rows} == {
        "mailbox-made-again"}
    assert_equal(theirs, ours)
    assert_quiet(theirs, ours)


def test_other_mails_with_the_same_uids(theirs, ours):
    """A UID conflict, which ends stock's run after it deleted the mailbox."""
    run(theirs, ours)[0].ok()
    expunge(ours, "Sent", 9, 10)
    deliver(theirs, "Sent", seed=81, count=3)
    deliver(ours, "Sent", seed=82, count=2)
    before = mails(ours, "Sent")
    deliver(theirs, "Trash", seed=83)
    result, found, _ = run(theirs, ours)
    assert result.rc == 3, result
    assert list(found) == ["Sent"]
    assert "2 of 10 mails, and migration_max_deletes allows 1" in (
        found["Sent"][0][1])
    assert mails(ours, "Sent") == before
    assert mails(ours, "Trash") == mails(theirs, "Trash")


def test_a_new_uidvalidity_at_the_source(theirs, ours):
    """A server that was restored: all mails are there, with other UIDs."""
    run(theirs, ours)[0].ok()
    for mailbox in ("INBOX", "Trash"):
        theirs.server.doveadm("mailbox", "update", "-u", theirs.name,
                              "--uid-validity", "1700000000", mailbox).ok()
    result, found, counters = run(theirs, ours)
    assert result.rc == 0, result
    assert {name: what for name, [(what, _)] in found.items()} == {
        "INBOX": "uidvalidity-changed", "Trash": "uidvalidity-changed"}
    assert counters["mails_fetched"] == counters["mailboxes_deleted"] == 0
    assert_equal(theirs, ours)
    assert_quiet(theirs, ours)


def test_a_one_way_sync(theirs, ours):
    """It deletes what the source deleted since, as stock does, within the
    limit."""
    run(theirs, ours)[0].ok()
    expunge(theirs, "INBOX", 1, 2)
    result, found, counters = run(theirs, ours, "sync", "-1R")
    assert result.rc == 0, result
    assert counters["mails_expunged"] == 2
    assert mails(ours, "INBOX") == mails(theirs, "INBOX")

    before = mails(ours, "INBOX")
    expunge(theirs, "INBOX", *range(3, 11))
    result, found, counters = run(theirs, ours, "sync", "-1R")
    assert result.rc == 3, result
    assert found["INBOX"][0][0] == "deletion-refused"
    assert mails(ours, "INBOX") == before


def test_without_our_plugins(theirs, ours):
    """A dsync that is no migration stays what it is."""
    run(theirs, ours)[0].ok()
    expunge(theirs, "INBOX", *range(1, 11))
    ours.server.doveadm(
        "-o", "mail_plugins=", "backup", "-R", "-u", ours.name, "imapc:",
        o={**ours.server.imapc(theirs.server, user=theirs.name)}).ok()
    assert mails(ours, "INBOX") == mails(theirs, "INBOX")


@pytest.mark.parametrize("value", ["many", "101%", "-1"])
def test_a_wrong_limit(here, theirs, value):
    ours = here.user()
    result = here.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:",
        o={**here.imapc(theirs.server, user=theirs.name),
           **here.plugin_options({"migration_max_deletes": value})})
    assert result.rc in (75, 78, 89), result
    assert ("migration_max_deletes must be auto, unlimited, a number or a "
            f"percentage up to 100%: {value}") in result.err
    assert snapshot.of(ours, pop3=False).count() == 0


@pytest.mark.parametrize("driver", ["maildir", "sdbox"])
def test_a_mail_that_gets_another_uid_is_there_once(here, theirs, driver):
    """sync -1R moves what may be the destination's own behind the source's
    UIDs. What had the old UID is no mail that the source deleted."""
    ours = here.user(driver=driver)
    run(theirs, ours)[0].ok()
    expunge(theirs, "Trash", 4, 5)
    result, found, _ = run(theirs, ours, "sync", "-1", "-R")
    assert result.rc == 0 and found == {}, result
    assert len(snapshot.of(ours, pop3=False).mailboxes["Trash"].mails) == 5
