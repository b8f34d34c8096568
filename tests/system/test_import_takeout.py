# SPDX-License-Identifier: LGPL-2.1-or-later
"""Archives of Google Takeout: an mbox of all mail whose mails tell their labels,
imported with the mapping of labels that a migration from Gmail over IMAP has."""

import base64
import json
import os

import pytest

from lab import Dovecot, places, snapshot, stopper
from test_import import run_import
from test_import_resume import popen_import

ARCHIVE = "All mail Including Spam and Trash"


def mail(number, labels, text=b"text"):
    """As Takeout writes it: CRLF, no Status, the labels in front."""
    return (b"From 18645335425%02d071336@xxx Thu May 07 12:42:%02d +0000 2026\n"
            b"X-GM-THRID: 18645335425%02d071336\r\n"
            b"X-Gmail-Labels: %s\r\n"
            b"Delivered-To: hans@example.org\r\n"
            b"From: Friend <friend@example.com>\r\n"
            b"Subject: mail %d\r\nMessage-ID: <m%d@example.com>\r\n"
            b"Date: Thu, 7 May 2026 12:42:%02d +0000\r\n\r\n%s\r\n\r\n" %
            (number, number, number, labels, number, number, number, text))


def encoded(labels):
    """In encoded words that are too long for one line."""
    words, text = [], labels.encode()
    while text:
        size = 30
        while size < len(text) and text[size] & 0xc0 == 0x80:
            size -= 1
        words.append(b"=?UTF-8?B?%s?=" % base64.b64encode(text[:size]))
        text = text[size:]
    return b"\r\n ".join(words)


QUOTED = b"one\r\n>From here on\r\n>>From there\r\nFrom nowhere in particular"
UNQUOTED = QUOTED.replace(b">From", b"From")

# labels, and where the mail is with migration_gmail_labels = folders; flags
MAILS = [
    (b"Inbox,Unread,Category Personal", ("INBOX",), ()),
    (b"Inbox,Starred,Opened", ("INBOX", "Starred"), ("\\Flagged", "\\Seen")),
    (b"Archived,Opened,Work/Clients", ("Work/Clients",), ("\\Seen",)),
    (b"Sent,Opened", ("Gesendet",), ("\\Seen",)),
    (b"Drafts", ("Drafts",), ("\\Draft", "\\Seen")),
    (b"Spam,Unread", ("Junk",), ()),
    (b"Trash,Work/Clients,Opened", ("Trash",), ("\\Seen",)),
    (b"Archived,Opened", (), ("\\Seen",)),
    (b'"Tax, 2025",Important,IMAP_$Forwarded,Opened',
     ("Important", "Tax, 2025"), ("\\Seen", "$Forwarded", "$Important")),
    (encoded("Posteingang,Ungelesen,Kategorie: \"Soziale Medien\",Größe"
             ",Projekt „Neubau“"),
     ("Größe", "INBOX", "Projekt „Neubau“"), ()),
]


def write_archive(user, name=ARCHIVE, end=b"", text=QUOTED):
    folder = places.mail_folder(f"{user.home}/takeout")
    with open(f"{folder}/{name}", "wb") as file:
        for number, (labels, _, _) in enumerate(MAILS):
            file.write(mail(number, labels, text if number == 2 else b"text"))
        file.write(mail(len(MAILS), b"Inbox,Opened", b"the end")[:-4] + end)
    os.chown(f"{folder}/{name}", places.MAIL_UID, places.MAIL_UID)
    return f"mbox:{folder}"


@pytest.fixture(scope="module")
def server(version):
    # whatever it is called, if the user has it
    sent = {"mailbox Gesendet": {"special_use": "\\Sent"}}
    with Dovecot(version, plugins=["migration_gmail", "migration_import"],
                 driver="sdbox", settings={"namespace inbox": sent}) as dovecot:
        yield dovecot
        assert " Panic: " not in dovecot.log()


def wanted(labels="folders", whole=True):
    """{mailbox: [number of mail]}"""
    result = {}
    for number, (_, folders, _) in enumerate(MAILS + [(0, ("INBOX",), 0)]):
        for name in folders:
            if labels == "folders" or name in ("INBOX", "Gesendet", "Drafts",
                                               "Junk", "Trash"):
                result.setdefault(name, []).append(number)
        if whole and folders not in (("Junk",), ("Trash",)):
            result.setdefault(ARCHIVE, []).append(number)
    return result


def numbers_of(user):
    """The same as the user has it, without empty mailboxes."""
    rows = json.loads(user.server.doveadm(
        "-f", "json", "fetch", "-u", user.name, "mailbox uid hdr.subject",
        "all").ok().out)
    result = {}
    for row in rows:
        result.setdefault(row["mailbox"], []).append(
            int(row["hdr.subject"].split()[1]))
    return {name: sorted(numbers) for name, numbers in result.items()}


def import_archive(user, source, parent="", words=(), **settings):
    path = f"{user.home}/report.json"
    run_import(user, source, parent, words=words, o=user.server.plugin_options(
        {"migration_report_path": path, **settings})).ok()
    with open(path) as file:
        report = json.load(file)
    assert report["findings"] == []
    return (report["counters"]["mails_saved"],
            report["counters"]["mails_skipped"])


@pytest.mark.parametrize("driver", ("sdbox", "mdbox", "maildir"))
def test_folders(server, driver):
    """Each mail is in the folder of each of its labels, and in the mailbox of
    all mail, with its flags, as it was before it was quoted."""
    ours = server.user(driver=driver)
    server.doveadm("mailbox", "create", "-u", ours.name, "Gesendet").ok()
    source = write_archive(ours)
    saved, _ = import_archive(ours, source, words=["-s"])
    assert saved == sum(map(len, wanted().values()))
    assert numbers_of(ours) == wanted()
    after = snapshot.of(ours)
    assert set(after.subscriptions) == set(wanted())
    by_number = {}
    for name, box in after.mailboxes.items():
        for mail_, number in zip(box.mails.values(),
                                 numbers_in_order(ours, name)):
            by_number.setdefault(number, set()).add(mail_)
    for number, (_, _, flags) in enumerate(MAILS):
        one, = by_number[number]
        assert set(one.flags + one.keywords) == set(flags)
    # the text as it was
    assert text_of(ours, "Work/Clients") == UNQUOTED

    assert import_archive(ours, source, words=["-s"]) == (0, saved)
    assert snapshot.of(ours) == after


def numbers_in_order(user, mailbox):
    rows = json.loads(user.server.doveadm(
        "-f", "json", "fetch", "-u", user.name, "hdr.subject", "mailbox",
        mailbox).ok().out)
    return [int(row["hdr.subject"].split()[1]) for row in rows]


def text_of(user, mailbox):
    row, = json.loads(user.server.doveadm(
        "-f", "json", "fetch", "-u", user.name, "body", "mailbox",
        mailbox).ok().out)
    return row["body"].replace("\r\n", "\n").rstrip("\n").replace(
        "\n", "\r\n").encode()


def test_policies(server):
    """Keywords instead of folders, and the archive only for what has no other
    place."""
    ours = server.user()
    source = write_archive(ours, end=b"\r\n")
    saved, _ = import_archive(ours, source, migration_gmail_labels="keywords")
    boxes = snapshot.of(ours).mailboxes
    assert set(boxes) == {"INBOX", "Sent", "Drafts", "Junk", "Trash", ARCHIVE}
    keywords = {word for mail_ in boxes[ARCHIVE].mails.values()
                for word in mail_.keywords}
    assert {"Grosse", "Tax,_2025", "$Important", "$Forwarded"} - keywords in (
        set(), {"Grosse"})
    assert import_archive(ours, source,
                          migration_gmail_labels="keywords") == (0, saved)

    ours = server.user()
    source = write_archive(ours)
    import_archive(ours, source, "Old", migration_gmail_all="archived")
    found = {name.replace("Gesendet", "Sent"): numbers
             for name, numbers in wanted(whole=False).items()}
    assert numbers_of(ours) == {
        **{f"Old/{name}": numbers for name, numbers in found.items()},
        f"Old/{ARCHIVE}": [7]}


def test_left_out_is_told(server):
    ours = server.user()
    result = run_import(ours, write_archive(ours), o=server.plugin_options(
        {"migration_gmail_all": "none"}))
    assert result.rc == 3
    assert result.err.count("gmail-message-left-out") == 1
    assert numbers_of(ours).get(ARCHIVE) is None


def test_on_top_of_mail_from_imap(server):
    """What is there already without the archive's header fields is the same
    mail, and keeps its place."""
    ours = server.user()
    source = write_archive(ours)
    text = mail(0, b"x").split(b"\n", 3)[3][:-2].replace(b"\r\n", b"\n")
    assert text.startswith(b"Delivered-To")
    server.doveadm("save", "-u", ours.name, "-m", "INBOX",
                   stdin=text.decode()).ok()
    saved, skipped = import_archive(ours, source)
    assert skipped == 1
    assert numbers_of(ours)["INBOX"] == wanted()["INBOX"]
    assert import_archive(ours, source) == (0, saved + skipped)


@pytest.mark.parametrize("driver", ("sdbox", "mdbox"))
def test_killed(server, driver):
    """Many folders are written at once; the next run completes all of them. The
    folders exist: Dovecot holds the lock of one that is being made for two
    minutes."""
    source, whole, calls = None, None, None
    for step in (None, 6, 8):
        ours = server.user(driver=driver)
        server.doveadm("mailbox", "create", "-u", ours.name,
                       *set(wanted()) - {"INBOX"}).ok()
        if step is None:
            source, whole = write_archive(ours), ours
            status, calls = stopper.run(popen_import(ours, source, {}))
            assert status == 0
            continue
        stopper.run(popen_import(ours, source, {}), calls * step // 10)
        run_import(ours, source).ok()
        assert numbers_of(ours) == numbers_of(whole)
        result = run_import(ours, source).ok()
        assert "0 findings: complete" in result.err
        assert numbers_of(ours) == numbers_of(whole)
