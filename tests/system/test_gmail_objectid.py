# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that are not Gmail and give ids: one download, one stored copy."""

import os

import pytest

import lab
from lab import imap, mailgen, snapshot
from lab.cyrus import append

DRIVERS = ["mdbox", "sdbox", "maildir"]


@pytest.fixture(scope="module")
def cyrus():
    with lab.Cyrus() as server:
        yield server


@pytest.fixture(scope="module")
def dest(version):
    with lab.Dovecot(version, driver="mdbox",
                     plugins=("migration_imapc", "migration_gmail")) as server:
        yield server
        assert " Panic: " not in server.log()


def run(dest, user, cyrus, theirs, *command, ids=True, debug=False):
    o = dest.imapc(cyrus, user=theirs.name, password=theirs.password)
    o["imapc_list_prefix"] = "INBOX"
    o.update(dest.plugin_options({"migration_gmail_objectid": ids}))
    return dest.doveadm(*command, "-u", user.name, "imapc:", o=o, debug=debug)


def shared(result):
    return result.err.count(": shared with mailbox ")


def inodes(user):
    return {os.stat(os.path.join(folder, name)).st_ino
            for folder, _, names in os.walk(user.home) for name in names
            if name.startswith("u.") or
            os.path.basename(folder) in ("cur", "new")}


def account(cyrus):
    """10 mails in the INBOX, copied to two other mailboxes; two mails with one
    text in one mailbox."""
    theirs = cyrus.user()
    mails = mailgen.mails(10, seed="objectid", size=5000)
    append(theirs, "INBOX", [*mails, mails[3]])
    client = mailgen.login(theirs)
    for name in ("INBOX.Copies", "INBOX.More"):
        client.command("CREATE", imap.quote(name))
    client.command("SELECT", "INBOX")
    client.command("UID COPY", "1:10", imap.quote("INBOX.Copies"))
    client.command("UID COPY", "2:5", imap.quote("INBOX.More"))
    client.logout()
    return theirs


@pytest.mark.parametrize("driver", DRIVERS)
def test_cyrus(dest, cyrus, driver):
    theirs, user = account(cyrus), dest.user(driver=driver)
    result = run(dest, user, cyrus, theirs, "backup", "-R", debug=True).ok()
    assert "has OBJECTID" in result.err
    assert snapshot.of(user, pop3=False) == snapshot.of(theirs, pop3=False)
    # 25 mails with 10 texts
    assert shared(result) == 15
    if driver != "mdbox":
        assert len(inodes(user)) == 10

    again = run(dest, user, cyrus, theirs, "backup", "-R", debug=True).ok()
    assert shared(again) == 0

    # a copy that is made later
    client = mailgen.login(theirs)
    client.command("SELECT", "INBOX")
    client.command("UID COPY", "7:9", imap.quote("INBOX.More"))
    client.command("UID STORE", "4", "+FLAGS", "(\\Deleted)")
    client.command("EXPUNGE")
    client.logout()
    later = run(dest, user, cyrus, theirs, "backup", "-R", debug=True).ok()
    assert shared(later) == 3
    assert snapshot.of(user, pop3=False) == snapshot.of(theirs, pop3=False)
    run(dest, user, cyrus, theirs, "migration", "verify", "--full").ok()


def test_it_is_not_the_default(dest, cyrus):
    theirs, user = account(cyrus), dest.user()
    result = run(dest, user, cyrus, theirs, "backup", "-R", ids=False,
                 debug=True).ok()
    assert shared(result) == 0
    assert "migration_gmail_objectid" not in result.err
    assert snapshot.of(user, pop3=False) == snapshot.of(theirs, pop3=False)


def test_server_without_ids(dest, version):
    with lab.Dovecot(version) as source:
        theirs, user = source.user(), dest.user()
        mailgen.deliver(theirs, mailgen.account())
        o = dest.imapc(source, user=theirs.name, password=theirs.password)
        o.update(dest.plugin_options({"migration_gmail_objectid": True}))
        result = dest.doveadm("backup", "-R", "-u", user.name, "imapc:", o=o,
                              debug=True).ok()
        assert "has no OBJECTID" in result.err
        assert snapshot.of(user) == snapshot.of(theirs)
