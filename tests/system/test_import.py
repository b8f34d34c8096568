# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stock `doveadm import` with migration_import: what is there already is left
out, UIDs are kept, from and into every local format."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import time

import pytest

from lab import Dovecot, mailgen, places, snapshot
from lab.mailgen import Mail

DRIVERS = ("maildir", "sdbox", "mdbox", "mbox")


@pytest.fixture(scope="module")
def server(version):
    with Dovecot(version, plugins=["migration_import"],
                 driver="sdbox") as dovecot:
        yield dovecot
        assert " Panic: " not in dovecot.log()


def account(driver="sdbox"):
    """Flat, since an mbox with mails can have no children. Without mails
    that the destination's format itself cannot keep."""
    odd = [] if driver == "mbox" else mailgen.odd_mails(cr_cr_lf=False,
                                                        big=False)
    return {
        "INBOX": mailgen.mails(25, seed="i") + odd,
        "Sent": mailgen.mails(10, seed="s"),
        "Größe": mailgen.mails(3, seed="g"),
    }


def location(user):
    """Where another user's mail is, for the command line."""
    if user.driver == "mbox" and user.server.version == "2.3":
        return f"mbox:{user.mail_path}:INBOX={user.mail_path}/inbox"
    return f"{user.driver}:{user.mail_path}"


def run_import(user, source, parent="", query=("all",), words=(), **kw):
    result = user.server.doveadm("import", "-u", user.name, *words, source,
                                 parent, *query, **kw)
    assert "Panic" not in result.err, str(result)
    return result


def counters(user, source, o=None, **kw):
    """Import and read the run's report: (saved, left out)."""
    path = f"{user.home}/report.json"
    settings = {"migration_report_path": path, **(o or {})}
    run_import(user, source, o=user.server.plugin_options(settings),
               **kw).ok()
    return report_counts(path)


def report_counts(path):
    with open(path) as file:
        report = json.load(file)
    return (report["counters"]["mails_saved"],
            report["counters"]["mails_skipped"])


@pytest.mark.parametrize("driver", DRIVERS)
def test_into_each_format_twice(server, driver):
    """The first run makes an exact copy, the second one changes nothing."""
    theirs, ours = server.user(driver="maildir"), server.user(driver=driver)
    mailgen.deliver(theirs, account(driver))
    before = snapshot.of(theirs)

    run_import(ours, location(theirs), words=["-s"]).ok()
    assert snapshot.of(ours) == before
    assert counters(ours, location(theirs)) == (0, before.count())
    assert snapshot.of(ours) == before
    assert snapshot.of(theirs) == before


@pytest.mark.parametrize("dest_driver", DRIVERS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_odd_mails_from_each_format_twice(server, driver, dest_driver):
    """Some formats change odd mails when they save them, and mbox has no
    GUIDs. The mail is the same one for all that."""
    theirs = server.user(driver=driver)
    ours = server.user(driver=dest_driver)
    mailgen.append(theirs, "INBOX", mailgen.odd_mails(big=False))
    before = snapshot.of(theirs)

    assert counters(ours, location(theirs)) == (before.count(), 0)
    after = snapshot.of(ours)
    assert counters(ours, location(theirs)) == (0, before.count())
    assert snapshot.of(ours) == after
    assert snapshot.of(theirs) == before


# -- what belongs to a mail

FIELDS = ("uid", "guid", "date.received", "date.saved", "pop3.uidl",
          "pop3.order")


def fetch(user, mailbox="INBOX", fields=FIELDS):
    """Rows of doveadm fetch, as {field: value}."""
    result = user.server.doveadm("-f", "json", "fetch", "-u", user.name,
                                 " ".join(fields), "mailbox", mailbox).ok()
    return json.loads(result.out)


def with_uidls(count, seed="u"):
    """Mails in another POP3 order than that of their UIDs."""
    mails = mailgen.mails(count, seed=seed)
    for number, mail in enumerate(mails):
        mail.uid = 3 * number + 5
        mail.uidl = f"uidl-{seed}-{number}"
        mail.pop3_order = count - number
    return mails


@pytest.mark.parametrize("driver", ("maildir", "sdbox", "mdbox"))
def test_metadata_survives(server, driver):
    theirs, ours = server.user(driver="maildir"), server.user(driver=driver)
    mailgen.deliver(theirs, {"INBOX": with_uidls(12)})
    # Dovecot itself gives the mails another save date than the clock's
    first = server.user(driver="mdbox")
    run_import(first, location(theirs)).ok()
    seen = snapshot.of(first)
    before = fetch(first)
    assert [row["pop3.uidl"] for row in before] == [
        f"uidl-u-{number}" for number in range(12)]

    wait_for_the_next_second()
    run_import(ours, location(first)).ok()
    assert fetch(ours) == before
    # as IMAP and POP3 clients see it, which are not asked the same way
    assert snapshot.of(ours) == seen
    assert [uidl for uidl, _ in seen.pop3] == [
        f"uidl-u-{number}" for number in reversed(range(12))]


def wait_for_the_next_second():
    """Save dates have seconds only: a new one must be seen to be another."""
    start = int(time.time())
    places.wait_for(lambda: int(time.time()) > start, "the next second")


@pytest.mark.parametrize("driver", ("maildir", "sdbox", "mdbox"))
def test_uidls_of_mails_added_to_others(server, driver):
    """QUIRKS: sdbox-uidl-max"""
    theirs, ours = server.user(driver="maildir"), server.user(driver=driver)
    mailgen.deliver(theirs, {"INBOX": with_uidls(12)})
    mailgen.append(ours, "INBOX", mailgen.mails(3, seed="new"))
    snapshot.of(ours)

    run_import(ours, location(theirs)).ok()
    uidls = [uidl for uidl, _ in snapshot.of(ours).pop3]
    assert len(uidls) == 15
    assert [uidl for uidl in uidls if uidl.startswith("uidl-u-")] == [
        f"uidl-u-{number}" for number in reversed(range(12))]


# -- flags

POLICIES = {
    # flags and keywords here, in the source, and what comes of it
    "merge-flags": [
        ((), ("\\Seen",), ("\\Seen",)),
        (("\\Seen",), (), ("\\Seen",)),
        (("\\Flagged", "a"), ("\\Answered", "b"),
         ("\\Answered", "\\Flagged", "a", "b")),
        (("\\Deleted",), ("\\Deleted",), ("\\Deleted",)),
        (("\\Deleted", "\\Seen"), (), ("\\Seen",)),
        ((), ("\\Deleted",), ()),
        (("CASE",), ("case",), ("CASE",)),
    ],
    "skip": [
        ((), ("\\Seen",), ()),
        (("\\Flagged", "a"), ("\\Answered", "b"), ("\\Flagged", "a")),
        (("\\Deleted", "\\Seen"), (), ("\\Deleted", "\\Seen")),
    ],
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_flags_of_mails_that_are_there(server, driver, policy):
    theirs, ours = server.user(driver="mdbox"), server.user(driver=driver)
    rows = POLICIES[policy]
    for number, (here, there, _) in enumerate(rows):
        text = mailgen.mails(1, seed=f"f{number}")[0].text
        mailgen.append(ours, "INBOX", [Mail(text, here)])
        mailgen.append(theirs, "INBOX", [Mail(text, there)])
    before = snapshot.of(ours)

    assert counters(ours, location(theirs),
                    o={"migration_import_duplicates": policy}) == (
                        0, len(rows))
    box = snapshot.of(ours).mailboxes["INBOX"]
    assert [mail.flags + mail.keywords for mail in box.mails.values()] == [
        wanted for _, _, wanted in rows]
    assert list(box.mails) == list(before.mailboxes["INBOX"].mails)


def test_duplicates_are_imported_if_wanted(server):
    theirs, ours = server.user(driver="maildir"), server.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(5)})
    options = {"migration_import_duplicates": "import"}
    assert counters(ours, location(theirs), o=options) == (5, 0)
    assert counters(ours, location(theirs), o=options) == (5, 0)
    assert snapshot.of(ours).count() == 10


# -- which mail is which

HEADER = (b"From: a@example.org\r\nDate: Fri, 1 Mar 2019 10:00:00 +0000\r\n"
          b"Message-ID: <one@example.org>\r\n")


@pytest.mark.parametrize("driver", DRIVERS)
def test_two_mails_with_one_message_id(server, driver):
    """Equal headers and sizes, another body; and another header."""
    theirs, ours = server.user(driver=driver), server.user(driver=driver)
    texts = [HEADER + b"\r\nbody one\r\n", HEADER + b"\r\nbody two\r\n",
             HEADER + b"X-A: b\r\n\r\nbody one\r\n"]
    mailgen.append(ours, "INBOX", [Mail(texts[0])])
    mailgen.append(theirs, "INBOX", [Mail(text) for text in texts])

    assert counters(ours, location(theirs)) == (2, 1)
    assert counters(ours, location(theirs)) == (0, 3)
    assert texts_of(ours) == texts_of(theirs)


def texts_of(user):
    """The INBOX as a set with multiplicity."""
    return sorted(mail.sha256 for mail in
                  snapshot.of(user).mailboxes["INBOX"].mails.values())


@pytest.mark.parametrize("driver", DRIVERS)
def test_twins_stay_twins(server, driver):
    """Twice in the source and once here: twice, and never four times."""
    theirs, ours = server.user(driver=driver), server.user(driver=driver)
    twin, other = mailgen.mails(2, flags=False)
    mailgen.append(ours, "INBOX", [twin])
    mailgen.append(theirs, "INBOX", [twin, other, twin])

    assert counters(ours, location(theirs)) == (2, 1)
    assert counters(ours, location(theirs)) == (0, 3)
    assert texts_of(ours) == texts_of(theirs)


def test_no_body_is_read_without_need(server):
    """GUIDs settle it: the files of the source may even be gone."""
    theirs, ours = server.user(driver="maildir"), server.user(driver="mdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(10)})
    run_import(ours, location(theirs)).ok()
    for name in os.listdir(f"{theirs.mail_path}/cur"):
        os.truncate(f"{theirs.mail_path}/cur/{name}", 0)
    assert counters(ours, location(theirs)) == (0, 10)


# -- UIDs

def uids(user, mailbox="INBOX"):
    return list(snapshot.of(user, pop3=False).mailboxes[mailbox].mails)


def at_uids(numbers, seed="at"):
    mails = mailgen.mails(len(numbers), seed=seed)
    for mail, uid in zip(mails, numbers):
        mail.uid = uid
    return mails


@pytest.mark.parametrize("driver", DRIVERS)
def test_uids_kept_where_they_are_free(server, driver):
    """UIDs below UIDNEXT have meant other mails: those mails get new ones,
    above all that are kept."""
    theirs, ours = server.user(driver="maildir"), server.user(driver=driver)
    mailgen.append(ours, "INBOX", mailgen.mails(5, seed="new"))
    uidvalidity = snapshot.of(ours).mailboxes["INBOX"].uidvalidity
    mailgen.deliver(theirs, {"INBOX": at_uids([2, 5, 6, 10, 20])})

    result = run_import(ours, location(theirs)).ok()
    assert "uid-changed" in result.err
    box = snapshot.of(ours).mailboxes["INBOX"]
    assert list(box.mails) == [1, 2, 3, 4, 5, 6, 10, 20, 21, 22]
    assert box.uidvalidity == uidvalidity
    assert {box.mails[uid] for uid in (6, 10, 20, 21, 22)} == set(
        snapshot.of(theirs).mailboxes["INBOX"].mails.values())
    result = run_import(ours, location(theirs)).ok()
    assert "0 findings: complete" in result.err
    assert snapshot.of(ours).mailboxes["INBOX"] == box


@pytest.mark.parametrize("driver", DRIVERS)
def test_uids_none_of_which_is_free(server, driver):
    theirs, ours = server.user(driver="maildir"), server.user(driver=driver)
    mailgen.append(ours, "INBOX", mailgen.mails(5, seed="new"))
    mailgen.deliver(theirs, {"INBOX": at_uids([1, 2, 3])})
    run_import(ours, location(theirs)).ok()
    assert uids(ours) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("driver", DRIVERS)
def test_empty_mailbox_takes_the_uidvalidity(server, driver):
    theirs, ours = server.user(driver="maildir"), server.user(driver=driver)
    mailgen.deliver(theirs, {"INBOX": at_uids([7, 9])}, uidvalidity=12345)
    assert snapshot.of(ours).mailboxes["INBOX"].uidvalidity != 12345
    run_import(ours, location(theirs)).ok()
    assert (snapshot.of(ours).mailboxes["INBOX"] ==
            snapshot.of(theirs).mailboxes["INBOX"])


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("free", (True, False))
def test_emptied_mailbox(server, driver, free):
    """Clients know other mails by its UIDs. It takes the UIDVALIDITY and the
    UIDs of the source if the UIDs that it has given away are not among them,
    else neither."""
    theirs, ours = server.user(driver="maildir"), server.user(driver=driver)
    mailgen.append(ours, "INBOX", mailgen.mails(3, seed="gone"))
    server.doveadm("expunge", "-u", ours.name, "mailbox", "INBOX", "all").ok()
    uidvalidity = snapshot.of(ours).mailboxes["INBOX"].uidvalidity
    mailgen.deliver(theirs, {"INBOX": at_uids([4, 6] if free else [2, 6])},
                    uidvalidity=12345)
    run_import(ours, location(theirs)).ok()
    box = snapshot.of(ours).mailboxes["INBOX"]
    if free:
        assert box == snapshot.of(theirs).mailboxes["INBOX"]
    else:
        assert (box.uidvalidity, list(box.mails)) == (uidvalidity, [6, 7])


@pytest.mark.parametrize("driver", DRIVERS)
def test_uidnext_is_kept(server, driver):
    """The source's last mail is gone; its UID must not be used again."""
    theirs, ours = server.user(driver="maildir"), server.user(driver=driver)
    mailgen.deliver(theirs, {"INBOX": at_uids([1, 2, 30])})
    server.doveadm("expunge", "-u", theirs.name, "mailbox", "INBOX",
                   "uid", "30").ok()
    run_import(ours, location(theirs)).ok()
    assert (snapshot.of(ours).mailboxes["INBOX"] ==
            snapshot.of(theirs).mailboxes["INBOX"])
    mailgen.append(ours, "INBOX", mailgen.mails(1, seed="new"))
    assert uids(ours) == [1, 2, 31]


# -- several users

def users_with_old_mail(server, names=(None, None, None)):
    """Users whose old Maildir lies in their home, as ~/old."""
    users = [server.user(name) for name in names]
    for number, user in enumerate(users):
        mailgen.deliver(dataclasses.replace(user, driver="maildir"),
                        {"INBOX": old_mail(number)})
        os.rename(f"{user.home}/Maildir", f"{user.home}/old")
    return users


def old_mail(number):
    return mailgen.mails(4 + number, seed=f"old{number}")


def digests(mails):
    return sorted(hashlib.sha256(mail.text).hexdigest() for mail in mails)


def test_each_user_gets_his_own_mail(server):
    """Stock gives the first user's mail to everybody, and on 2.3 what it
    writes for him belongs to root."""
    users = users_with_old_mail(server)
    for expected in (True, False):
        result = server.doveadm("-v", "import", "-F",
                                server.users_file(*users),
                                "maildir:~/old", "", "all").ok()
        assert ("15 saved" in result.err) is False
        for number, user in enumerate(users):
            assert (f"{4 + number} saved" in result.err) is expected
            assert texts_of(user) == digests(old_mail(number))


@pytest.mark.parametrize("how, place", (
    ("-A", "maildir:~/old"), ("-A", "%h"), ("mask", "%u")))
def test_all_users_get_their_own_mail(version, how, place):
    """His own source, by his home or his name, whatever names them."""
    server = Dovecot(version, plugins=["migration_import"], driver="sdbox",
                     one_users_file=True)
    names = [f"{name}@example.org" for name in ("ann", "bob", "cy")]
    users = users_with_old_mail(server, names)
    if place == "%u":
        place = f"maildir:{os.path.dirname(users[0].home)}/%u/old"
    elif place == "%h":
        place = "maildir:%h/old"
    if version == "2.4":
        place = place.replace("%u", "%{user}").replace("%h", "%{home}")
    words = ["-A"] if how == "-A" else ["-u", "*@example.org"]
    with server:
        for _ in range(2):
            server.doveadm("import", *words, place, "", "all").ok()
            for number, user in enumerate(users):
                assert texts_of(user) == digests(old_mail(number))
                assert owner_of_all(user) == {places.MAIL_UID}
        assert " Panic: " not in server.log()


def owner_of_all(user):
    """What Dovecot has written for the user must be his."""
    return {os.lstat(f"{folder}/{name}").st_uid
            for folder, _, names in os.walk(user.mail_path)
            for name in names}


def test_one_source_for_each_user_with_U(server):
    """-U names one source for all of them; nothing is wrong with that."""
    users = users_with_old_mail(server)
    server.doveadm("import", "-F", server.users_file(*users), "-U",
                   users[0].name, "maildir:~/old", "", "all").ok()
    for user in users:
        assert texts_of(user) == digests(old_mail(0))


def test_another_users_mail_is_refused(server):
    """Without the doveadm module stock goes its own way."""
    users = users_with_old_mail(server)
    folder = "/usr/lib/dovecot/modules/doveadm"
    hide = (f"mount -t tmpfs tmpfs {server.root.rstrip('/')}{folder} && "
            "exec \"$@\"")
    words = server.command_line("import", "-F", server.users_file(*users),
                                "maildir:~/old", "", "all")
    done = subprocess.run(["unshare", "-m", "sh", "-c", hide, "sh", *words],
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.count("lib20_doveadm_migration_plugin") == 2
    for user in users[1:]:
        assert not os.path.exists(f"{user.home}/sdbox/mailboxes/INBOX")


# -- what goes wrong

@pytest.mark.parametrize("source, parent, words, error, rc", (
    ("", "", [], None, 64),
    ("maildir:~/Maildir", "b\udce4d", [],
     "parent mailbox b?d is not UTF-8", 64),
    ("maildir:~/Maildir", "", ["-U", "nobody-here"],
     "User nobody-here doesn't exist", 67)))
def test_wrong_words(server, source, parent, words, error, rc):
    """Stock panics or crashes. QUIRKS: import-unknown-source-user"""
    ours = server.user()
    result = run_import(ours, source, parent=parent, words=words)
    assert result.rc == rc, str(result)
    error = error or ("The location to import from is missing"
                      if server.version == "2.3" else
                      "be in mail_driver:mail_path syntax")
    assert error in result.err
    assert not os.path.exists(f"{ours.mail_path}/mailboxes")
    if source == "":
        plan = server.doveadm("migration", "plan", "-u", ours.name,
                              "--mode", "import", source)
        assert plan.rc == 78 and error in plan.err, str(plan)


def test_one_of_several_may_not_read_his_mail(server):
    """The others get theirs, and the exit code tells that one did not."""
    users = users_with_old_mail(server)
    os.chmod(f"{users[1].home}/old", 0)
    result = server.doveadm("import", "-F", server.users_file(*users),
                            "maildir:~/old", "", "all")
    assert result.rc != 0, str(result)
    assert f"opendir({users[1].home}/old) failed: Permission" in result.err
    for number in (0, 2):
        assert texts_of(users[number]) == digests(old_mail(number))


# before the first byte, and in the middle
BREAK = {
    "unreadable": lambda path: os.chmod(path, 0),
    "cut short": lambda path: os.truncate(path, 200),
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("how", BREAK)
def test_broken_mail_costs_no_other(server, driver, how):
    """QUIRKS: sdbox-failed-save, mbox-cancelled-save. The mail is named, the
    others are there; the next run brings it, with its UID."""
    theirs, ours = server.user(driver="maildir"), server.user(driver=driver)
    mailgen.deliver(theirs, {"INBOX": at_uids([1, 2, 5]),
                             "Sent": at_uids([4], seed="s")})
    before = snapshot.of(theirs)
    intact = f"{theirs.home}/intact"
    subprocess.run(["cp", "-a", theirs.mail_path, intact], check=True)
    name, = [name for name in os.listdir(f"{theirs.mail_path}/cur")
             if ".M2P" in name]
    BREAK[how](f"{theirs.mail_path}/cur/{name}")

    result = run_import(ours, location(theirs))
    assert result.rc != 0
    assert "mail-not-imported" in result.err
    assert uids(ours) == [1, 2]
    assert texts_of(ours) == digests(at_uids([1, 2, 5])[:2])
    assert uids(ours, "Sent") == [4]

    shutil.rmtree(theirs.mail_path)
    subprocess.run(["cp", "-a", intact, theirs.mail_path], check=True)
    assert counters(ours, location(theirs)) == (1, 3)
    if (driver, how) == ("mbox", "cut short"):
        # had already written the mail's UID into the file
        assert texts_of(ours) == texts_of(theirs)
    else:
        assert snapshot.of(ours).mailboxes == before.mailboxes
