# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gmail: migration_gmail_all = archived and none."""

import hashlib
import json

import pytest

import lab
from lab import gmail, places, snapshot
from lab.gmail import GmailServer
from lab.scripted import On

ALL = "[Gmail]/All Mail"
FINDINGS = 3
TRY_AGAIN = 75


@pytest.fixture(scope="module")
def dest(version):
    with lab.Dovecot(version, driver="mdbox",
                     plugins=("migration_imapc", "migration_gmail")) as server:
        yield server
        assert " Panic: " not in server.log()


@pytest.fixture
def report(folder):
    return f"{places.mail_folder(folder)}/report"


def backup(dest, user, server, *words, keep="archived", policy="folders",
           report=None, command=("backup", "-R")):
    o = dest.imapc(server, user="user", password="secret")
    settings = {"migration_gmail_all": keep, "migration_gmail_labels": policy,
                "migration_imapc_patience": "1s"}
    if report is not None:
        settings["migration_report_path"] = report
    o.update(dest.plugin_options(settings))
    return dest.doveadm(*command, *words, "-u", user.name, "imapc:", o=o)


def findings(report):
    with open(report) as file:
        return [finding["what"] for finding in json.load(file)["findings"]
                if finding["severity"] != "info"]


def digest(mail):
    return hashlib.sha256(mail.text).hexdigest()


def archived(account, policy="folders", left_out=()):
    """{digest: flags} of what no other migrated folder shows."""
    elsewhere = {mail.message for folder, mails in account.folders.items()
                 for mail in mails
                 if folder != ALL and folder not in left_out and (
                     policy != "keywords" or account.label_of(folder) in {
                         "\\Inbox", "\\Sent", "\\Draft", "\\Spam", "\\Trash",
                         "\\Chat"})}
    return {digest(mail): mail.flags for mail in account.folders[ALL]
            if mail.message not in elsewhere}


def found(user):
    boxes = snapshot.of(user).mailboxes
    if ALL not in boxes:
        return {}
    mails = list(boxes[ALL].mails.values())
    assert len({mail.sha256 for mail in mails}) == len(mails)
    return {mail.sha256: mail.flags for mail in mails}


@pytest.mark.parametrize("driver", ["mdbox", "sdbox", "maildir"])
@pytest.mark.parametrize("policy", ["folders", "keywords", "both"])
def test_archived(dest, driver, policy, report):
    account, user = gmail.sample(80), dest.user(driver=driver)
    with GmailServer(account) as server:
        backup(dest, user, server, policy=policy, report=report).ok()
        assert found(user) == archived(account, policy) != {}
        assert server.bodies == len(account.messages)
        assert findings(report) == []

        before = snapshot.of(user).mailboxes[ALL]
        backup(dest, user, server, policy=policy).ok()
        assert server.bodies == len(account.messages)
        assert snapshot.of(user).mailboxes[ALL] == before


def test_whole_is_stocks_result_for_all_other_mailboxes(dest):
    account, users = gmail.sample(60), [dest.user(), dest.user()]
    for user, keep in zip(users, ("whole", "archived")):
        with GmailServer(account) as server:
            backup(dest, user, server, keep=keep).ok()
    whole, part = (snapshot.of(user).without(ALL) for user in users)
    assert whole == part


@pytest.mark.parametrize("driver", ["mdbox", "maildir"])
def test_labels_come_and_go(dest, driver, report):
    account, user = gmail.sample(60), dest.user(driver=driver)
    with GmailServer(account) as server:
        backup(dest, user, server).ok()
        bare = [mail.message for mail in account.folders[ALL]
                if digest(mail) in archived(account)]
        one_label = [message for message in account.messages
                     if message.labels == {"\\Inbox"}]
        account.label(bare[0], "+Work")
        account.archive(one_label[0])
        account.delete(bare[1])
        account.trash(bare[2])
        bodies = server.bodies
        backup(dest, user, server, report=report).ok()
        assert found(user) == archived(account)
        assert findings(report) == []
        assert server.bodies == bodies
        # neither does a label that gets another name cost a download
        account.rename_label("Two Words", "Three Words Now")
        backup(dest, user, server, report=report).ok()
        assert found(user) == archived(account)
        assert server.bodies == bodies


def test_flags_of_archived_messages_follow(dest):
    account, user = gmail.sample(40), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server).ok()
        bare = [mail.message for mail in account.folders[ALL]
                if digest(mail) in archived(account)]
        flags = set(bare[0].mail.flags) ^ {"\\Seen", "\\Answered"}
        bare[0].mail.flags = tuple(flags)
        account.label(bare[0], "+\\Muted")
        backup(dest, user, server).ok()
    assert found(user) == archived(account)
    mails = snapshot.of(user).mailboxes[ALL].mails.values()
    assert [mail.keywords for mail in mails if mail.sha256 == hashlib.sha256(
        bare[0].mail.text).hexdigest()] == [("$Muted",)]


def test_what_was_left_out_is_brought(dest, report):
    account, user = gmail.sample(60), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server, "-x", "INBOX", "-x", "Work*",
               report=report).ok()
    left_out = [name for name in account.folders
                if name == "INBOX" or name.startswith("Work")]
    assert found(user) == archived(account, left_out=left_out)
    assert findings(report) == []


SPECIAL_USE = {
    "2.3": """namespace inbox {
  mailbox "[Gmail]/All Mail" {
    special_use = \\All
  }
}
""",
    "2.4": """namespace inbox {
  mailbox all {
    name = [Gmail]/All Mail
    special_use = \\All
  }
}
"""}


def with_mails(user):
    return {name: box for name, box in snapshot.of(user).mailboxes.items()
            if box.mails}


def check_excluded(dest, driver, words, report):
    account, user = gmail.sample(60), dest.user(driver=driver)
    with GmailServer(account) as server:
        backup(dest, user, server, *words, report=report).ok()
        assert found(user) == archived(account) != {}
        before = with_mails(user)
        bodies = server.bodies
        assert bodies == len(account.messages)
        backup(dest, user, server, *words, report=report).ok()
        assert with_mails(user) == before
        account.label(next(mail.message for mail in account.folders[ALL]
                           if digest(mail) in archived(account)), "+Work")
        backup(dest, user, server, *words, report=report).ok()
        assert found(user) == archived(account)
        assert server.bodies == bodies
        if ALL not in words:
            # with and without is the same
            backup(dest, user, server, report=report).ok()
            assert found(user) == archived(account)
            assert server.bodies == bodies
        assert findings(report) == []
        verify(dest, user, server, *words)[0].ok()


@pytest.mark.parametrize("driver, words", [
    ("mdbox", ("-x", "\\All")), ("maildir", ("-x", "\\All")),
    ("sdbox", ("-x", ALL))], ids=["mdbox", "maildir", "by-name"])
def test_leaving_all_mail_out_means_the_same(dest, driver, words, report):
    """dsync takes what -x leaves out at the source for deleted. What the run
    before brought over stays, and is not downloaded again."""
    check_excluded(dest, driver, words, report)


def test_leaving_all_mail_out_if_both_sides_have_the_special_use(version,
                                                                 report):
    with lab.Dovecot(version, driver="mdbox", extra=SPECIAL_USE[version],
                     plugins=("migration_imapc", "migration_gmail")) as dest:
        check_excluded(dest, "mdbox", ("-x", "\\All"), report)
        assert " Panic: " not in dest.log()


def test_sync_takes_nothing_away(dest):
    account, user = gmail.sample(40), dest.user()
    with GmailServer(account) as server:
        command = ("sync", "-1", "-R")
        backup(dest, user, server, command=command).ok()
        assert found(user) == archived(account)
        before = archived(account)
        gone = next(mail.message for mail in account.folders[ALL]
                    if digest(mail) in before)
        account.delete(gone)
        backup(dest, user, server, command=command).ok()
    assert found(user) == before


def test_change_of_the_setting_converges(dest):
    account, user = gmail.sample(40), dest.user()
    with GmailServer(account) as server:
        for keep in ("archived", "whole", "archived"):
            # stock deletes a mailbox with UIDs of its own, and wants another
            # run
            if backup(dest, user, server, keep=keep).rc == 75:
                backup(dest, user, server, keep=keep).ok()
            expected = (archived(account) if keep == "archived" else
                        {digest(mail): mail.flags
                         for mail in account.folders[ALL]})
            assert found(user) == expected
        assert server.bodies <= 2 * len(account.messages)


def test_failed_run_is_not_completed_from_all_mail(dest):
    """What the run did not get to is not archived mail."""
    account, user = gmail.sample(60), dest.user()
    limit = On("UID FETCH .*BODY", gmail.OVER_LIMIT, skip=3)
    with GmailServer(account, faults=[limit]) as server:
        assert backup(dest, user, server).rc == 75
    assert found(user) == {}
    with GmailServer(account) as server:
        backup(dest, user, server).ok()
    assert found(user) == archived(account)


def test_archived_mail_that_cannot_be_fetched(dest, report):
    account, user = gmail.sample(30), dest.user()
    with GmailServer(account) as server:
        # all but what is archived
        backup(dest, user, server, "-x", ALL, keep="none")
        limit = On("UID FETCH .*BODY", gmail.OVER_LIMIT)
        server.faults.append(limit)
        result = backup(dest, user, server, report=report)
        # Gmail says how long to wait: the rest is for a later run
        assert result.rc == TRY_AGAIN
        assert "continue after" in result.err
        assert "gmail-archive-incomplete" in findings(report)
        server.faults.clear()
        backup(dest, user, server, report=report).ok()
    assert findings(report) == []
    assert found(user) == archived(account)


def test_none(dest, report):
    account, user = gmail.sample(40), dest.user()
    with GmailServer(account) as server:
        result = backup(dest, user, server, keep="none", report=report)
    assert result.rc == FINDINGS
    assert ALL not in snapshot.of(user).mailboxes
    assert findings(report) == (["gmail-message-left-out"] *
                                len(archived(account)))


# -- verify

def verify(dest, user, server, *words, **options):
    result = backup(dest, user, server, *words,
                    command=("-f", "tab", "migration", "verify"), **options)
    rows = dict(line.split("\t", 1) for line in result.out.splitlines()[1:])
    return result, {name: row.split("\t") for name, row in rows.items()}


@pytest.mark.parametrize("driver", ["mdbox", "sdbox", "maildir"])
@pytest.mark.parametrize("policy", ["folders", "keywords", "both"])
@pytest.mark.parametrize("keep", ["whole", "archived"])
def test_verify(dest, driver, policy, keep):
    account, user = gmail.sample(60), dest.user(driver=driver)
    with GmailServer(account) as server:
        backup(dest, user, server, keep=keep, policy=policy).ok()
        result, rows = verify(dest, user, server, "--full", keep=keep,
                              policy=policy)
    result.ok()
    if keep == "whole":
        assert set(rows) >= {name for name, box in
                             snapshot.of(user).mailboxes.items() if box.mails}
    else:
        # the mails that lie there have UIDs of their own
        assert ALL not in rows
        count = str(len(archived(account, policy)))
        assert rows[f"{ALL} (archived)"] == [count, count, count, "equal"]
        listed = dest.doveadm("mailbox", "list", "-u", user.name).ok().out
        assert ALL in listed.splitlines()


def change(dest, user, *words):
    dest.doveadm(*words[:1], "-u", user.name, *words[1:]).ok()


def test_verify_finds_what_is_wrong_in_archived_mail(dest):
    account, user = gmail.sample(80), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server).ok()
        uids = sorted(snapshot.of(user).mailboxes[ALL].mails)
        assert len(uids) >= 4
        change(dest, user, "expunge", "mailbox", ALL, "uid", uids[0])
        change(dest, user, "flags add", "\\Flagged \\Answered", "mailbox", ALL,
               "uid", uids[1])
        change(dest, user, "flags add", "Odd", "mailbox", ALL, "uid", uids[2])
        change(dest, user, "copy", ALL, "mailbox", "INBOX", "uid",
               min(snapshot.of(user).mailboxes["INBOX"].mails))
        result, rows = verify(dest, user, server)
        assert result.rc == FINDINGS
        assert rows.pop(f"{ALL} (archived)")[-1] == (
            "different: 1 mail-missing, 1 mail-extra, 1 flags, 1 keywords")
        assert {row[-1] for row in rows.values()} == {"equal"}
        # the next run repairs it
        backup(dest, user, server).ok()
        verify(dest, user, server)[0].ok()


def test_verify_knows_that_none_leaves_messages_out(dest):
    account, user = gmail.sample(40), dest.user()
    with GmailServer(account) as server:
        assert backup(dest, user, server, keep="none").rc == FINDINGS
        result, rows = verify(dest, user, server, keep="none")
    assert result.rc == FINDINGS
    count = len(archived(account))
    assert rows.pop(f"{ALL} (archived)") == [
        str(count), "0", "0", f"different: {count} mail-missing"]
    assert {row[-1] for row in rows.values()} == {"equal"}


def test_verify_of_some_mailboxes(dest):
    account, user = gmail.sample(40), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server).ok()
        assert set(verify(dest, user, server, "-m", "INBOX")[1]) == {"INBOX"}
        assert f"{ALL} (archived)" not in verify(
            dest, user, server, "-x", "*All*")[1]
