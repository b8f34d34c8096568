# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gmail: whatever is left out of a run, no message is lost without a word."""

import hashlib
import json
import os
import subprocess

import pytest

import lab
from lab import gmail, places, snapshot
from lab.gmail import GmailServer
from lab.latency import Link

# A run with findings of severity "error", as README.md says
FINDINGS = 3
# ... and one that was ended
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


def backup(dest, user, server, report, *words, command=("backup", "-R"),
           policy="folders"):
    o = dest.imapc(server, user="user", password="secret")
    o.update(dest.plugin_options({"migration_report_path": report,
                                  "migration_gmail_labels": policy}))
    return dest.doveadm(*command, *words, "-u", user.name, "imapc:", o=o)


def left_out(report):
    """UIDs in All Mail that the report names."""
    with open(report) as file:
        return {finding["uid"] for finding in json.load(file)["findings"]
                if finding["what"] == "gmail-message-left-out"}


def missing(account, user):
    """UIDs in All Mail of messages that the destination has nowhere."""
    texts = {mail.sha256 for box in snapshot.of(user).mailboxes.values()
             for mail in box.mails.values()}
    return {mail.uid for mail in account.folders["[Gmail]/All Mail"]
            if hashlib.sha256(mail.text).hexdigest() not in texts}


EXCLUDES = [
    ("-x", "\\All"),
    ("-x", "\\Flagged", "-x", "\\Important", "-x", "\\All"),
    ("-x", "\\Flagged", "-x", "\\Important", "-O", "-$GMailHaveLabels"),
    ("-x", "\\Flagged", "-x", "\\Important", "-x", "\\Sent",
     "-O", "-$GMailHaveLabels"),
    ("-x", "Work*", "-x", "\\All"),
    ("-x", "INBOX", "-x", "\\All"),
]


@pytest.mark.parametrize("words", EXCLUDES, ids=" ".join)
def test_what_is_left_out_is_reported(dest, report, words):
    account, user = gmail.sample(80), dest.user()
    with GmailServer(account) as server:
        result = backup(dest, user, server, report, *words)
    lost = missing(account, user)
    assert lost
    assert left_out(report) == lost
    assert result.rc == FINDINGS


def test_keywords_without_all_mail(dest, report):
    account, user = gmail.sample(60), dest.user()
    with GmailServer(account) as server:
        result = backup(dest, user, server, report, "-x", "\\All",
                        policy="keywords")
    assert left_out(report) == missing(account, user) != set()
    assert result.rc == FINDINGS


def test_nothing_is_left_out(dest, report):
    """All Mail alone has everything, and so have the folders if nothing is
    archived; and the check costs nothing if All Mail was migrated."""
    account, user = gmail.sample(40), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server, report, "-x", "\\Flagged",
               "-x", "\\Important", "-x", "Work*").ok()
        assert left_out(report) == missing(account, user) == set()
        # the second one is for its texts
        assert server.count('EXAMINE .*All Mail') <= 2
        assert server.count(r'UID FETCH 1:\* .*X-GM-LABELS') == sum(
            bool(mails) and not name.startswith("Work") and
            account.special_use.get(name) not in ("\\Flagged", "\\Important")
            for name, mails in account.folders.items())

    for message in account.messages:
        if message.in_all_mail:
            account.label(message, "+\\Inbox")
    user = dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server, report, "-x", "\\All").ok()
    assert left_out(report) == missing(account, user) == set()


def test_a_run_that_was_ended_left_nothing_out(dest, report):
    """What did not get its turn is the next run's."""
    account, user = gmail.sample(80), dest.user()
    with GmailServer(account) as server, Link(round_trip=0.02,
                                              rate=50000) as link:
        o = dest.imapc(server, user="user", password="secret",
                       port=link.to(server.port))
        o.update(dest.plugin_options({"migration_report_path": report}))
        process = dest.start_doveadm(
            "backup", "-R", "-x", "\\All", "-u", user.name, "imapc:", o=o,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        places.wait_for(lambda: server.bodies >= 10, "some downloads")
        process.terminate()
        assert process.wait(60) == TRY_AGAIN
    assert left_out(report) == set()


def test_a_run_that_failed_left_nothing_out(dest, report):
    account, user = gmail.sample(40), dest.user(driver="sdbox")
    folder = f"{user.home}/sdbox/mailboxes/Junk/dbox-Mails"
    with GmailServer(account) as server:
        assert backup(dest, user, server, report, "-x", "\\All"
                      ).rc == FINDINGS
        expected = left_out(report)

        account.add("Junk")
        account.add("Work")
        os.chmod(folder, 0o500)
        result = backup(dest, user, server, report, "-x", "\\All")
        assert result.rc not in (0, FINDINGS), result
        assert left_out(report) == set()
        assert missing(account, user) > expected

        os.chmod(folder, 0o700)
        assert backup(dest, user, server, report, "-x", "\\All"
                      ).rc == FINDINGS
        assert left_out(report) == missing(account, user) == expected


def test_archived_between_two_runs(dest, report):
    """The mail that was there in the first run goes with its last label."""
    account, user = gmail.sample(30), dest.user()
    for message in account.messages:
        if message.in_all_mail and not message.labels - {"\\Muted"}:
            account.label(message, "+\\Inbox")
    archived = account.add("\\Inbox")
    words = ("-x", "\\All")
    with GmailServer(account) as server:
        backup(dest, user, server, report, *words).ok()
        account.archive(archived)
        result = backup(dest, user, server, report, *words)
    assert result.rc == FINDINGS
    assert left_out(report) == missing(account, user) == {
        mail.uid for mail in account.folders["[Gmail]/All Mail"]
        if mail.message is archived}


def test_a_run_for_one_mailbox_is_about_that_mailbox(dest, report):
    account, user = gmail.sample(30), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server, report, "-m", "INBOX").ok()
    assert left_out(report) == set()


def test_sync_reports_too(dest, report):
    account, user = gmail.sample(30), dest.user()
    with GmailServer(account) as server:
        result = backup(dest, user, server, report, "-x", "\\All",
                        command=("sync", "-1", "-R"))
    assert result.rc == FINDINGS
    assert left_out(report) == missing(account, user) != set()
