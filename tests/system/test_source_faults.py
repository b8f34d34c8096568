# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: mails that the source does not give, mails and mailboxes
that change while they are read, lost connections, throttling.

Whatever happens, the run goes on with everything else; what was not copied
exactly is a finding, and exit code 3."""

import email
import hashlib
import json
import os

import pytest

from lab import interrupt, mailgen, places, snapshot
from lab.scripted import ImapServer

# bad: what the server does whenever the text of this mail is asked for
BAD_UID = 4

# for a server that falls silent: a sound one does not for so long
SILENCE = {"timeout": "3s"}


def texts_asked(items):
    return "BODY.PEEK[" in items and "HEADER.FIELDS" not in items


def always(reply, uid=BAD_UID, wanted=texts_asked):
    """This mail is answered so."""
    return lambda name, number, items: (
        reply if number == uid and wanted(items) else None)


def whole_only(reply, uid=BAD_UID):
    """Header and parts can be read, but not the whole mail."""
    return always(reply, uid, lambda items: "BODY.PEEK[]" in items)


def backup(dest, server, user, command=("backup", "-R"), one_by_one=False,
           **settings):
    options = {"migration_report_path": f"{user.home}/report.json",
               "migration_imapc_patience": "1s"}
    options.update({f"migration_imapc_{name}": value
                    for name, value in settings.items()})
    imapc = dest.imapc(server, user="user", password="secret")
    if one_by_one:
        imapc = dest.opened_one_by_one(imapc)
    result = dest.doveadm(*command, "-u", user.name, "imapc:", timeout=120,
                          o={**imapc, **dest.plugin_options(options)})
    assert "Panic" not in result.err and result.rc >= 0, str(result)
    return result


def report(user):
    with open(f"{user.home}/report.json", encoding="utf-8") as file:
        return json.load(file)


def findings(user, what="mail-unreadable"):
    return [found for found in report(user)["findings"]
            if found["what"] == what]


def folders(count=9):
    return {"INBOX": mailgen.mails(count), "Later": mailgen.mails(3, seed=2)}


def seen(server):
    """What a destination must have of a scripted server's mails."""
    return {name: {uid: (tuple(sorted(mail.flags)),
                         tuple(sorted(mail.keywords)), mail.date,
                         hashlib.sha256(mail.text).hexdigest())
                   for uid, mail in zip(server.uids(name), mails)}
            for name, mails in server.folders.items() if mails}


def stored(user):
    return {name: {uid: (mail.flags, mail.keywords, mail.date, mail.sha256)
                   for uid, mail in box.mails.items()}
            for name, box in snapshot.of(user).mailboxes.items() if box.mails}


def text_of(user, mailbox, uid):
    result = user.server.doveadm("fetch", "-u", user.name, "text", "mailbox",
                                 mailbox, "uid", str(uid)).ok()
    return email.message_from_string(result.out.partition("text:\n")[2])


def assert_one_placeholder(server, user, uid=BAD_UID):
    """All is as at the source but this mail. Returns its placeholder."""
    theirs, ours = seen(server), stored(user)
    true, placeholder = theirs["INBOX"].pop(uid), ours["INBOX"].pop(uid)
    assert ours == theirs
    # all but the text
    assert placeholder[:3] == true[:3] and placeholder[3] != true[3]
    message = text_of(user, "INBOX", uid)
    assert f"uid={uid};" in message["X-Migration-Placeholder"]
    return message


def expunged_when_read():
    """The mail is listed, and expunged before its text is asked for."""
    expunged = set()

    def bad(name, uid, items):
        if (name, uid) == ("INBOX", BAD_UID) and texts_asked(items):
            expunged.add(uid)
        return "gone" if name == "INBOX" and uid in expunged else None
    return bad


def numbered_folders():
    """UIDs that stay when mails are expunged"""
    mailboxes = folders()
    for mails in mailboxes.values():
        for uid, mail in enumerate(mails, 1):
            mail.uid = uid
    return mailboxes


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_mail_that_is_expunged_during_the_run(dest, driver):
    """Stock ends the run. Here its stand-in goes at the end of the run."""
    ours = dest.user(driver=driver)
    with ImapServer(numbered_folders(), bad=expunged_when_read()) as server:
        for _ in range(2):
            result = backup(dest, server, ours)
            assert result.rc == 0, str(result)
            assert report(ours)["findings"] == []
            server.folders["INBOX"] = [
                mail for mail in server.folders["INBOX"]
                if mail.uid != BAD_UID]
            assert stored(ours) == seen(server)
        assert report(ours)["counters"]["mails_expunged"] == 0
    # nothing of it is left that could come back
    dest.doveadm("purge", "-u", ours.name).ok()
    dest.doveadm("force-resync", "-u", ours.name, "INBOX").ok()
    assert BAD_UID not in stored(ours)["INBOX"]
    assert len(stored(ours)["INBOX"]) == 8


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_expunged_and_killed(dest, driver):
    """A run that is killed before it has deleted the stand-in: the next one
    does, and no deletion is refused."""
    ours = dest.user(driver=driver)
    expunged, hangs = expunged_when_read(), []

    def bad(name, uid, items):
        if name != "Later" or not texts_asked(items):
            return expunged(name, uid, items)
        hangs.append(uid)
        return "hang"

    with ImapServer(numbered_folders(), bad=bad) as server:
        process = dest.start_doveadm(
            "backup", "-R", "-u", ours.name, "imapc:",
            o=dest.imapc(server, user="user", password="secret"))
        places.wait_for(lambda: hangs and interrupt.is_idle(process.pid),
                        "it waits for the last mails")
        process.kill()
        process.wait(30)
        assert os.path.exists(f"{ours.home}/dovecot-migration-placeholders")
        server.bad = sound
        server.folders["INBOX"] = [mail for mail in server.folders["INBOX"]
                                   if mail.uid != BAD_UID]
        result = backup(dest, server, ours)
        # mdbox-killed-commit
        result = backup(dest, server, ours)
        assert result.rc == 0, str(result)
        assert findings(ours, "deletion-refused") == []
        assert stored(ours) == seen(server)


FAULTS = {
    "no": "NO Something is wrong with it",
    "serverbug": "NO [SERVERBUG] Index is broken",
    "bad": "BAD Command Argument Error 11",
    "empty": "empty",
    "truncate": "truncate",
    "close": "close",
    "reset": "reset",
    "hang": "hang",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_unreadable_mail(dest, fault):
    ours = dest.user(driver="mdbox")
    with ImapServer(folders(), bad=always(FAULTS[fault])) as server:
        result = backup(dest, server, ours, **(
            SILENCE if fault in ("truncate", "hang") else {}))
        assert result.rc == 3, str(result)
        placeholder = assert_one_placeholder(server, ours)
    found = findings(ours)
    assert [(f["mailbox"], f["uid"], f["severity"]) for f in found] == [
        ("INBOX", BAD_UID, "error")]
    words = FAULTS[fault].partition(" ")[2]
    assert words in found[0]["why"]
    assert words in placeholder.get_payload()[0].get_payload()


WHOLE_ONLY = ["no", "bad", "empty", "close"]


@pytest.mark.parametrize("fault", WHOLE_ONLY)
def test_mail_that_can_be_read_in_pieces(dest, fault):
    """It arrives as it is: nothing is to be told."""
    ours = dest.user(driver="mdbox")
    with ImapServer(folders(), bad=whole_only(FAULTS[fault])) as server:
        result = backup(dest, server, ours)
        assert result.rc == 0, str(result)
        assert stored(ours) == seen(server)
    assert report(ours)["findings"] == []


def test_temporary_failure_is_not_unreadable(dest):
    """The server has its reasons twice, then the mail comes."""
    ours = dest.user(driver="mdbox")
    times = iter(range(4))

    def bad(name, uid, items):
        if uid != BAD_UID or not texts_asked(items):
            return None
        return "NO [UNAVAILABLE] Not now" if next(times, 9) < 4 else None

    with ImapServer(folders(), bad=bad) as server:
        result = backup(dest, server, ours, patience="10s")
        assert result.rc == 0, str(result)
        assert stored(ours) == seen(server)
    assert report(ours)["findings"] == []
    waits = {wait["cause"]: wait["times"] for wait in report(ours)["waited"]}
    assert waits["temporary"] >= 2


def test_size_that_is_wrong(dest):
    """A server that guesses sizes sends the same text each time."""
    ours = dest.user(driver="mdbox")
    with ImapServer(folders(), size=lambda mail: len(mail.text) + 7) as server:
        result = backup(dest, server, ours)
        assert result.rc == 0, str(result)
        assert stored(ours) == seen(server)


def test_parts_that_can_be_read(dest):
    """The placeholder has the parts; the second one is broken."""
    ours = dest.user(driver="mdbox")
    mails = folders()
    mails["INBOX"][BAD_UID - 1].text = (
        b"From: a@example.com\r\nSubject: three parts\r\nMessage-ID: <3@x>\r\n"
        b"Content-Type: multipart/mixed; boundary=xyz\r\n\r\n"
        b"--xyz\r\nContent-Type: text/plain\r\n\r\nThe first part\r\n"
        b"--xyz\r\nContent-Type: text/plain\r\n\r\nThe second part\r\n"
        b"--xyz\r\nContent-Type: text/html\r\n\r\nThe third part\r\n"
        b"--xyz--\r\n")
    wanted = ("BODY.PEEK[HEADER]", "BODY.PEEK[1", "BODY.PEEK[3",
              "BODY.PEEK[2.MIME]", "BODYSTRUCTURE")
    bad = always("NO Broken", wanted=lambda items: (
        texts_asked(items) and not any(w in items for w in wanted)))
    with ImapServer(mails, bad=bad) as server:
        result = backup(dest, server, ours)
        assert result.rc == 3, str(result)
        placeholder = assert_one_placeholder(server, ours)
    assert placeholder["Subject"] == "three parts"
    assert placeholder["Message-ID"] == "<3@x>"
    parts = placeholder.get_payload()
    assert [part.get_content_type() for part in parts] == [
        "text/plain", "text/plain", "text/html"]
    assert "The first part" in parts[1].get_payload()
    assert "The third part" in parts[2].get_payload()


def test_unreadable_fail(dest):
    """migration_imapc_unreadable = fail ends the run there."""
    ours = dest.user(driver="mdbox")
    with ImapServer(folders(), bad=always("NO Broken")) as server:
        result = backup(dest, server, ours, unreadable="fail")
    assert result.rc == 75, str(result)
    assert [(f["mailbox"], f["uid"]) for f in findings(ours)] == [
        ("INBOX", BAD_UID)]
    assert list(stored(ours)["INBOX"]) == [1, 2, 3]


def verify(dest, server, user):
    return dest.doveadm(
        "migration", "verify", "--full", "-u", user.name, "imapc:",
        o=dest.imapc(server, user="user", password="secret"))


def sound(name, uid, items):
    return None


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_cured_mail_takes_its_place(dest, driver):
    """Its UID is the same, a further run finds nothing to do."""
    ours = dest.user(driver=driver)
    with ImapServer(folders(), bad=always("NO Broken")) as server:
        assert backup(dest, server, ours).rc == 3
        # not readable yet: still told, still there
        result = backup(dest, server, ours)
        assert result.rc == 3, str(result)
        assert [f["uid"] for f in findings(ours)] == [BAD_UID]
        server.bad = sound
        assert verify(dest, server, ours).rc == 3

        result = backup(dest, server, ours)
        assert result.rc == 0, str(result)
        assert [f["uid"] for f in findings(ours, "placeholder-replaced")] == [
            BAD_UID]
        assert stored(ours) == seen(server)
        result = backup(dest, server, ours)
        assert result.rc == 0 and report(ours)["findings"] == []
        assert report(ours)["counters"]["mails_fetched"] == 0
        result = verify(dest, server, ours)
        assert result.rc == 0, str(result)
    assert sorted(snapshot.of(ours).mailboxes) == ["INBOX", "Later"]
    dest.doveadm("force-resync", "-u", ours.name, "*").ok()
    assert stored(ours) == seen(server)


def test_placeholder_that_cannot_be_looked_at(dest):
    """The source refuses a second connection: nobody knows whether the mail can
    be read now, so the run is not complete."""
    ours = dest.user(driver="sdbox")
    with ImapServer(folders(), bad=always("NO Broken")) as server:
        assert backup(dest, server, ours).rc == 3
        server.bad = sound
        server.max_connections = 1
        result = backup(dest, server, ours)
        assert result.rc == 3, str(result)
        assert [f["uid"] for f in findings(ours)] == [BAD_UID]
        assert "could not be asked for it again" in findings(ours)[0]["why"]
        server.max_connections = 0
        assert backup(dest, server, ours).rc == 0
        assert stored(ours) == seen(server)


MANY = 10000 if "DM_LONG" in os.environ else 500


def test_one_unreadable_mail_among_many(dest):
    """All others arrive, one placeholder, one finding; then it is cured."""
    ours = dest.user(driver="mdbox")
    bad_uid = MANY // 2
    mails = [mailgen.Mail(b"From: a@example.com\r\nSubject: %d\r\n"
                          b"Date: Fri, 01 Mar 2019 00:00:00 +0000\r\n"
                          b"Message-ID: <%d@x>\r\n\r\nText %d\r\n" %
                          (number, number, number))
             for number in range(MANY)]
    with ImapServer({"INBOX": mails},
                    bad=always("NO Broken", bad_uid)) as server:
        result = backup(dest, server, ours)
        assert result.rc == 3, str(result)
        found = report(ours)["findings"]
        assert [(f["what"], f["uid"]) for f in found] == [
            ("mail-unreadable", bad_uid)]
        # what doc/many-users.md says of connections
        assert server.most_at_once == 2
        # not by a client, which would keep the placeholder
        texts = dest.doveadm("fetch", "-u", ours.name, "body", "mailbox",
                             "INBOX").ok().out.split("body:\n")[1:]
        assert len(texts) == MANY
        assert [number + 1 for number, text in enumerate(texts)
                if text != f"Text {number}\n"] == [bad_uid]
        server.bad = sound
        result = backup(dest, server, ours)
        assert result.rc == 0, str(result)
        assert [f["what"] for f in report(ours)["findings"]] == [
            "placeholder-replaced"]
        result = verify(dest, server, ours)
        assert result.rc == 0, str(result)
        # nothing of the others was asked for again: the mailbox had not
        # changed, and a placeholder is asked for all the same
        assert report(ours)["counters"]["mails_fetched"] == 0
        assert stored(ours) == seen(server)


def test_cured_mail_of_an_opened_mailbox(dest):
    """A client may have kept what it saw under the UID: nothing changes
    there."""
    ours = dest.user(driver="mdbox")
    with ImapServer(folders(), bad=always("NO Broken")) as server:
        assert backup(dest, server, ours).rc == 3
        assert_one_placeholder(server, ours)
        server.bad = sound
        result = backup(dest, server, ours, command=("sync", "-1R"))
        assert result.rc == 0, str(result)
        assert [f["uid"] for f in findings(ours, "placeholder-kept")] == [
            BAD_UID]
        mails = stored(ours)["INBOX"]
        assert list(mails) == [*range(1, 10), 10]
        assert mails[10] == seen(server)["INBOX"][BAD_UID]
        result = backup(dest, server, ours, command=("sync", "-1R"))
        assert result.rc == 0 and report(ours)["findings"] == []
        assert stored(ours)["INBOX"] == mails
