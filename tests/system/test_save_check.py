# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was saved is what was sent: no false alarm with odd mails, and no mail
that gets another one's text, whatever imapc_features says. And no secret in a
log."""

import json
import subprocess

import pytest

from lab import mailgen, oddmail, preload, snapshot

UNSAFE = {"guid-forced": "guid-forced", "zimbra": "zimbra-workarounds",
          "both": "guid-forced zimbra-workarounds"}


def report(user):
    with open(f"{user.home}/dovecot-migration-report.json") as file:
        return json.load(file)


def findings(user):
    return [(finding["what"], finding["why"])
            for finding in report(user)["findings"]]


def backup(theirs, ours, **settings):
    return ours.server.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:",
        o={**ours.server.imapc(theirs.server, user=theirs.name), **settings})


def features(server, words):
    if server.version == "2.3":
        words += " rfc822.size fetch-headers"
    return {"imapc_features": words}


@pytest.mark.parametrize("driver", ["maildir", "sdbox", "mdbox"])
def test_odd_mails_are_no_alarm(source, dest, driver):
    theirs, ours = source.user(), dest.user(driver=driver)
    mailgen.deliver(theirs, {"INBOX": oddmail.inbox()})
    backup(theirs, ours).ok()
    assert [found for found in findings(ours)
            if found[0] == "saved-size-differs"] == []


@pytest.mark.parametrize("driver", ["maildir", "sdbox", "mdbox"])
def test_a_mail_that_is_saved_cut(source, dest, driver):
    """Another plugin spoils the third mail. What the finding says to do makes
    it good."""
    theirs, ours = source.user(), dest.user(driver=driver)
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(5)})
    process = dest.start_doveadm(
        "backup", "-R", "-u", ours.name, "imapc:",
        o=dest.imapc(source, user=theirs.name), stderr=subprocess.PIPE,
        text=True,
        environment=preload.environment("savecut", {"SAVECUT_NUMBER": "3"}))
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 3, err
    wanted, got = (snapshot.of(user, pop3=False).mailboxes["INBOX"].mails
                   for user in (theirs, ours))
    [uid] = [uid for uid in wanted if got[uid] != wanted[uid]]
    [found] = report(ours)["findings"]
    assert (found["what"], found["mailbox"], found["uid"]) == (
        "saved-size-differs", "INBOX", uid)
    assert "Look for plugins that change mails" in err
    dest.doveadm("expunge", "-u", ours.name, "mailbox", "INBOX", "uid",
                 str(uid)).ok()
    backup(theirs, ours).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)


@pytest.mark.parametrize("words", UNSAFE)
def test_features_that_mix_up_mails(source, dest, words):
    theirs, ours = source.user(), dest.user()
    # one header, other texts
    mails = mailgen.mails(6, flags=False)
    for number, mail in enumerate(mails[2:]):
        mail.text = (mails[0].text[:mails[0].text.index(b"\r\n\r\n") + 4] +
                     b"Text number %d\r\n" % number)
    mailgen.deliver(theirs, {"INBOX": mails,
                             "Sent": mailgen.mails(3, seed=2)})
    for _ in range(2):
        backup(theirs, ours, **features(dest, UNSAFE[words])).ok()
        assert snapshot.of(ours) == snapshot.of(theirs)
    [(what, why)] = findings(ours)
    assert what == "feature-ignored"
    assert all(word in why for word in UNSAFE[words].split())


def test_no_secret_in_a_log(source, dest):
    """-D shows much, and no password."""
    theirs, ours = source.user(), dest.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(3)})
    result = dest.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:", debug=True,
        o=dest.imapc(source, user=theirs.name)).ok()
    assert source.master_password not in result.err + result.out + dest.log()
    wrong = dest.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:", debug=True,
        o=dest.imapc(source, user=theirs.name, password="wrong-Secret-9"))
    assert wrong.rc == 77, wrong
    assert "wrong-Secret-9" not in wrong.err + wrong.out + dest.log()
    with open(f"{ours.home}/dovecot-migration-report.json") as file:
        assert "wrong-Secret-9" not in file.read()
