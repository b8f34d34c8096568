# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sources of an import that are not as they should be: folders with names that
are no modified UTF-7, the user's own mail, and what is not there at all."""

import os
import shutil

import pytest

from lab import Dovecot, mailgen, places, snapshot
from test_import import (DRIVERS, location, report_counts, run_import,
                         server)  # noqa: F401: a fixture

# What the folder is called, and what the mailbox is.
BAD_NAMES = {
    b"R&D": "R&D",
    b"x&AOQ": "x&AOQ",
    b"&AGE-": "&AGE-",
    "Entwürfe".encode(): "Entwürfe",
    b"Entw\xfcrfe": "Entw==FCrfe",
    b"ctl\x01x": "ctl==01x",
    b"&ok-": "&ok-",
}


def folder(root, driver, name):
    """The folder of a mailbox, or its file with mbox."""
    return os.fsencode(root) + {"maildir": b"/.", "sdbox": b"/mailboxes/",
                                "mdbox": b"/mailboxes/",
                                "mbox": b"/"}[driver] + name


def with_bad_names(user):
    """One mail in each of them."""
    names = [f"m{number}" for number in range(len(BAD_NAMES))]
    for name in names:
        mailgen.append(user, name, mailgen.mails(1, seed=name), create=True)
    for name, bad in zip(names, BAD_NAMES):
        os.rename(folder(user.mail_path, user.driver, name.encode()),
                  folder(user.mail_path, user.driver, bad))
    # what Dovecot wrote down of them
    for name in os.listdir(user.mail_path):
        if name.startswith("dovecot.list.index"):
            os.unlink(f"{user.mail_path}/{name}")
    shutil.rmtree(f"{user.mail_path}/.imap", ignore_errors=True)


def import_counts(user, *args, **kw):
    """Import and return (saved, left out) and the report's findings."""
    path = f"{user.home}/report.json"
    result = run_import(user, *args, o=user.server.plugin_options(
        {"migration_report_path": path}), **kw).ok()
    return report_counts(path), result.err


@pytest.mark.parametrize("driver", ("maildir", "sdbox", "mbox"))
def test_badly_encoded_folders(server, driver):
    """Stock passes them over, on 2.4 with exit code 0, and renames one of them
    in the source. QUIRKS: badly-encoded-folder"""
    theirs, ours = server.user(driver=driver), server.user()
    with_bad_names(theirs)
    before = sorted(os.listdir(os.fsencode(theirs.mail_path)))

    options = ["migration", "plan", "-u", ours.name, "-M", "import",
               location(theirs)]
    planned = server.doveadm("-f", "tab", *options).ok()
    assert all(f"\n{name}\t1\t0\t0\t1\t" in "\n" + planned.out
               for name in BAD_NAMES.values())

    counts, err = import_counts(ours, location(theirs))
    assert counts == (len(BAD_NAMES), 0)
    assert "name-not-text: 2" in err
    after = snapshot.of(ours, pop3=False).mailboxes
    assert set(after) == {"INBOX", *BAD_NAMES.values()}
    assert all(len(after[name].mails) == 1 for name in BAD_NAMES.values())
    counts, _ = import_counts(ours, location(theirs))
    assert counts == (0, len(BAD_NAMES))
    assert {*before} <= {*os.listdir(os.fsencode(theirs.mail_path))}
    server.doveadm("migration", "verify", *options[2:]).ok()

    # a query names it, so that nothing is listed
    counts, _ = import_counts(server.user(), location(theirs),
                              query=("mailbox", "R&D"))
    assert counts == (1, 0)


def test_folder_that_is_called_like_the_inbox(server):
    """And one whose name is taken."""
    theirs, ours = server.user(driver="maildir"), server.user()
    mailgen.append(theirs, "INBOX", mailgen.mails(2, seed="i"))
    for name in ("m1", "m2", "==E4"):
        mailgen.append(theirs, name, mailgen.mails(1, seed=name), create=True)
    os.rename(f"{theirs.mail_path}/.m1", f"{theirs.mail_path}/.inbox")
    os.rename(f"{theirs.mail_path}/.m2",
              os.fsencode(theirs.mail_path) + b"/.\xe4")

    for wanted in ((5, 0), (0, 5)):
        assert import_counts(ours, location(theirs))[0] == wanted
    after = snapshot.of(ours, pop3=False).mailboxes
    assert {name: len(box.mails) for name, box in after.items()
            if "=~" not in name} == {"INBOX": 2, "==69nbox": 1, "==E4": 1}
    assert [len(box.mails) for name, box in after.items()
            if name.startswith("==E4=~")] == [1]


def test_folder_beside_the_inbox(server):
    """Stock passes it over without a word. QUIRKS: maildir-folder-inbox"""
    theirs, ours = server.user(driver="maildir"), server.user()
    mailgen.append(theirs, "INBOX", mailgen.mails(2, seed="i"))
    mailgen.append(theirs, "m1", mailgen.mails(1, seed="m"), create=True)
    os.rename(f"{theirs.mail_path}/.m1", f"{theirs.mail_path}/.INBOX")
    result = run_import(ours, location(theirs))
    assert result.rc != 0
    assert f"folder {theirs.mail_path}/.INBOX is not imported" in result.err
    assert set(snapshot.of(ours, pop3=False).mailboxes) == {"INBOX"}
    # the folder as the INBOX is no such case
    if server.version == "2.3":
        place = f"{location(theirs)}:INBOX={theirs.mail_path}/.INBOX"
        assert import_counts(server.user(), place)[0] == (1, 0)
    os.rename(f"{theirs.mail_path}/.INBOX", f"{theirs.mail_path}/.INBOX-old")
    assert import_counts(ours, location(theirs))[0] == (1, 2)


@pytest.mark.parametrize("driver", DRIVERS)
def test_into_himself(server, driver):
    """Below a mailbox of his own: what is there by then is not put below it
    again."""
    ours = server.user(driver=driver)
    mailgen.append(ours, "INBOX", mailgen.mails(3))
    for name in ("Sent", "Copy/own"):
        mailgen.append(ours, name, mailgen.mails(2, seed=name), create=True)
    before = snapshot.of(ours, pop3=False).mailboxes
    for wanted in ((5, 0), (0, 5)):
        counts, err = import_counts(ours, location(ours), "Copy")
        assert counts == wanted
        assert "parent-left-out" in err
    after = snapshot.of(ours, pop3=False).mailboxes
    assert set(after) == {*before, "Copy/INBOX", "Copy/Sent"}
    for name in ("INBOX", "Sent"):
        assert after[name] == before[name] == after[f"Copy/{name}"]
    assert after["Copy/own"] == before["Copy/own"]
    # all of it into itself
    counts, _ = import_counts(ours, location(ours))
    assert counts == (0, sum(len(box.mails) for box in after.values()))


@pytest.mark.parametrize("driver", DRIVERS)
def test_source_that_is_not_there(server, driver):
    """It is an error, and nothing is made: stock makes the folder, and ends
    with 0."""
    ours = server.user()
    path = f"{ours.home}/nothing-here"
    plan = ("migration", "plan", "-u", ours.name, "-M", "import")
    verify = ("migration", "verify", "-u", ours.name, "-M", "import")
    missing = f"{driver}:{path}"
    for command in (("import", "-u", ours.name, missing, "", "all"),
                    ("import", "-u", ours.name, missing, "", "mailbox", "x"),
                    (*plan, missing), (*verify, missing)):
        result = server.doveadm(*command)
        assert result.rc != 0, str(result)
        assert f"Nothing is at the source's path {path}" in result.err
        assert "to do: " in result.err
        assert not os.path.exists(path)


def test_source_user_that_is_not_there(server):
    theirs, ours = server.user(driver="maildir"), server.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(1)})
    for command, end in ((("import",), ("", "all")),
                         (("migration", "plan", "-M", "import"), ()),
                         (("migration", "verify", "-M", "import"), ())):
        result = server.doveadm(*command, "-u", ours.name, "-U", "nobody-here",
                                location(theirs), *end)
        assert result.rc == 67, str(result)
        assert "User nobody-here doesn't exist" in result.err
        assert "to do: Look at `doveadm user`." in result.err


def test_some_users_have_no_old_mail(server):
    """With -A, -F or a mask that is no error."""
    users = [server.user() for _ in range(2)]
    mailgen.append(users[0], "INBOX", mailgen.mails(2))
    os.rename(users[0].mail_path, f"{users[0].home}/old")
    result = server.doveadm("import", "-F", server.users_file(*users),
                            "sdbox:~/old", "", "all").ok()
    assert result.err.count("source-empty: 1") == 1
    assert [snapshot.of(user, pop3=False).count() for user in users] == [2, 0]
    assert not os.path.exists(f"{users[1].home}/old")


HEADER = (b"From: a@example.org\nDate: Fri, 1 Mar 2019 10:00:00 +0000\n"
          b"Message-ID: <%s@example.org>\n")


@pytest.mark.parametrize("kind, end, found", (
    ("empty", None, None), ("nul", b"\nx\0y\n\0", None),
    ("blank", b"\n\n", None), ("no-end", b"\nlast", None),
    ("no-body", b"\n", None), ("no-header-end", b"", None),
    ("cr", b"\na\r", None), ("mixed", b"\na\r\nb\n", None),
    ("from", b"\nFrom me\n>From x\n", None),
    ("status", b"Status: RO\nX-UID: 5\n\nbody\n", "mbox-own-fields"),
    ("length", b"Content-Length: 3\n\nlast", "mbox-own-fields")))
def test_what_mbox_makes_of_a_mail(server, kind, end, found):
    """It adds line ends, which is no difference, and drops its own fields.
    QUIRKS: mbox-own-fields"""
    theirs, ours = server.user(driver="maildir"), server.user(driver="mbox")
    folder_path = places.mail_folder(f"{theirs.mail_path}/cur")
    path = f"{folder_path}/1551398400.M1.h:2,"
    with open(path, "wb") as file:
        file.write(b"" if end is None else HEADER % kind.encode() + end)
    os.chown(path, places.MAIL_UID, places.MAIL_UID)
    os.chown(theirs.mail_path, places.MAIL_UID, places.MAIL_UID)
    counts, err = import_counts(ours, location(theirs))
    assert counts == (1, 0)
    assert "saved-size-differs" not in err
    assert ("mbox-own-fields" in err) == (found == "mbox-own-fields")
    counts, err = import_counts(ours, location(theirs))
    assert counts == (0, 1)


def test_mbox_with_uidls_of_digests(server):
    """It adds X-Delivery-ID, which is no difference. QUIRKS: mbox-own-fields"""
    theirs, ours = server.user(driver="maildir"), server.user(driver="mbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(3)})
    options = {"pop3_uidl_format": "%m" if server.version == "2.3" else
               "%{md5}"}
    for _ in range(2):
        result = run_import(ours, location(theirs), o=options).ok()
        assert "saved-size-differs" not in result.err
        assert "mbox-own-fields" not in result.err
    with open(f"{ours.mail_path}/inbox", "rb") as file:
        assert file.read().count(b"\nX-Delivery-ID: ") == 3


def test_missing_source_over_the_network(version):
    """The doveadm server does the work; its client tells the same."""
    with Dovecot(version, plugins=["migration_import"], driver="sdbox",
                 listeners=["doveadm"]) as dovecot:
        ours = dovecot.user()
        path = f"{ours.home}/no-such"
        result = dovecot.doveadm(
            "import", "-S", f"127.0.0.1:{dovecot.ports['doveadm']}", "-u",
            ours.name, f"maildir:{path}", "", "all")
        assert result.rc == 68, str(result)
        assert f"Nothing is at the source's path {path}" in (
            result.err + dovecot.log()), str(result)
        assert not os.path.exists(path)


def test_cache_is_not_written_anew(server):
    """It would be most of what a second run costs. QUIRKS: cache-purged-once"""
    theirs, ours = server.user(driver="maildir"), server.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(20)})
    assert import_counts(ours, location(theirs))[0] == (20, 0)
    [path] = [f"{root}/{name}" for root, _, names in os.walk(ours.mail_path)
              for name in names if name == "dovecot.index.cache"]
    before = os.stat(path)
    assert import_counts(ours, location(theirs))[0] == (0, 20)
    after = os.stat(path)
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
