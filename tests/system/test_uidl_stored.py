# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm migration uidl: UIDLs and POP3 order of the old server come onto mail
that is already migrated, on each format that can hold them."""

import json
import glob
import os
import re

import pytest

from conftest import PLUGINS
from lab import mailgen, snapshot
from lab.latency import Link

FORMATS = ["sdbox", "mdbox", "maildir"]


@pytest.fixture(scope="module")
def plain(source, dest):
    """A migration that knows nothing of POP3."""
    return dest.write_conf(f"{dest.dir}/uidl-plain.conf", plugins=list(PLUGINS),
                           settings=dest.imapc(source))


@pytest.fixture(scope="module")
def conf(source, dest):
    return _pop3_conf(source, dest, "uidl", [*PLUGINS, "migration_pop3"],
                      "migration_pop3_mailbox")


@pytest.fixture(scope="module")
def stock(source, dest):
    """Dovecot's own plugin."""
    return _pop3_conf(source, dest, "uidl-stock", ["pop3_migration"],
                      "pop3_migration_mailbox")


def _pop3_conf(source, dest, name, plugins, setting):
    return dest.write_conf(
        f"{dest.dir}/{name}.conf", namespaces=[dest.pop3c_namespace()],
        plugins=plugins, plugin_settings={setting: "POP3-SOURCE/INBOX"},
        settings={**dest.imapc(source), **dest.pop3c(source)})


def backup(dest, conf, user):
    return dest.doveadm("backup", "-R", "-u", user.name, "imapc:",
                        conf=conf).ok()


def uidl(dest, conf, user, *words, **options):
    return dest.doveadm("migration", "uidl", "-u", user.name, *words,
                        conf=conf, **options)


def with_uidls(mails, prefix="old", order=None):
    for number, mail in enumerate(mails, 1):
        mail.uidl = f"{prefix}-{number * 7}"
        mail.pop3_order = order(number) if order else None
    return mails


def name_uidls(user, uids):
    """UIDLs for mails that came after mailgen.deliver(), in the Maildir."""
    path = f"{user.mail_path}/dovecot-uidlist"
    with open(path) as file:
        lines = file.read().splitlines(keepends=True)
    with open(path, "w") as file:
        for line in lines:
            uid, _, rest = line.partition(" ")
            file.write(f"{uid} Plater-{uid} {rest}"
                       if int(uid) in uids and line is not lines[0] else line)


def rows(run):
    """The table's rows as lists of words, without the head."""
    return [line.split() for line in run.out.splitlines()[1:]]


@pytest.mark.parametrize("driver", FORMATS)
def test_uidls_come_onto_migrated_mail(source, dest, plain, conf, driver,
                                       schema):
    ours = dest.user(driver=driver)
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {
        "INBOX": with_uidls(mailgen.mails(40) + mailgen.odd_mails(
            big=False, nul=False, cr_cr_lf=False),
            order=lambda number: 1000 - number * 37 % 101),
        "Sent": mailgen.mails(3)})
    backup(dest, plain, ours)
    wanted, bare = snapshot.of(theirs), snapshot.of(ours)
    assert bare != wanted

    # what would change, and nothing is written
    shown = uidl(dest, conf, ours, "--dry-run").ok()
    assert [row[:3] for row in rows(shown)] == [
        ["INBOX", str(uid), "set"]
        for uid in sorted(wanted.mailboxes["INBOX"].mails)]
    assert snapshot.of(ours) == bare
    for words in (("--dry-run",), ()):
        done = dest.doveadm("-f", "json", "migration", "uidl", "-u", ours.name,
                            *words, conf=conf).ok()
        schema("uidl.schema.json", json.loads(done.out))
        assert len(json.loads(done.out)) == (len(rows(shown)) if words else 1)
    assert snapshot.of(ours) == wanted

    # for good: again, rebuilt, without a cache
    assert rows(uidl(dest, conf, ours, "--dry-run").ok()) == []
    again = rows(uidl(dest, conf, ours).ok())
    assert again == [["INBOX", str(len(wanted.pop3)), "0", "0", "right"]]
    dest.doveadm("force-resync", "-u", ours.name, "INBOX").ok()
    assert snapshot.of(ours) == wanted
    dest.doveadm("purge", "-u", ours.name)
    assert snapshot.of(ours) == wanted
    backup(dest, conf, ours)
    assert snapshot.of(ours) == wanted


@pytest.mark.parametrize("driver", FORMATS)
def test_wrong_uidls_are_corrected(source, dest, conf, driver):
    """Migrated from a maildrop that was not his: every UIDL is another's."""
    mails = mailgen.mails(30)
    ours, other = dest.user(driver=driver), source.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mails, "right",
                                                 lambda n: 500 - n)})
    wanted = snapshot.of(theirs)
    mailgen.deliver(other, {"INBOX": with_uidls(mails, "wrong",
                                                lambda n: n * 7 % 31 + 1)})
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", conf=conf,
                 o={"pop3c_user": other.name}).ok()
    assert snapshot.of(ours).pop3 == snapshot.of(other).pop3

    run = uidl(dest, conf, ours).ok()
    assert rows(run) == [["INBOX", "30", "30", "0", "right"]]
    assert snapshot.of(ours) == wanted


def test_hidden_uidls_of_an_sdbox_are_only_shown(source, dest, stock, conf):
    """What stock leaves on sdbox after a second run: UIDLs that are stored, and
    that POP3 does not see. No mail is written for that."""
    ours = dest.user(driver="sdbox")
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(10))})
    backup(dest, stock, ours)
    mailgen.append(theirs, "INBOX", mailgen.mails(5, seed="later"))
    name_uidls(theirs, range(11, 16))
    backup(dest, stock, ours)
    wanted = snapshot.of(theirs)
    assert [uidl for uidl, _ in wanted.pop3[10:]] == [
        f"later-{uid}" for uid in range(11, 16)]
    assert snapshot.of(ours).pop3[:10] == wanted.pop3[:10]
    assert snapshot.of(ours).pop3 != wanted.pop3

    shown = rows(uidl(dest, conf, ours, "--dry-run").ok())
    assert {row[2] for row in shown} == {"show"}
    run = uidl(dest, conf, ours).ok()
    assert rows(run) == [["INBOX", "15", "0", str(len(shown)), "right"]]
    assert snapshot.of(ours) == wanted


@pytest.mark.parametrize("driver", FORMATS)
def test_maildrop_that_merges_mailboxes(source, dest, plain, conf, driver):
    """Each UIDL goes to its mail in its mailbox, each mail has a number."""
    mails = mailgen.mails(15)
    ours, merged = dest.user(driver=driver), source.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": mails[:10], "Sent": mails[10:]})
    mailgen.deliver(merged, {"INBOX": with_uidls(mails, "merged",
                                                 lambda n: n * 7 % 16)})
    backup(dest, plain, ours)
    together = {"pop3c_user": merged.name, _setting(
        dest, "migration_pop3_all_mailboxes"): True}
    uidl(dest, conf, ours, o=together).ok()
    listed = dest.doveadm("-f", "tab", "fetch", "-u", ours.name,
                          "pop3.order pop3.uidl", "all").ok()
    stored = [line.split("\t") for line in listed.out.splitlines()[1:]]
    assert [uidl for _, uidl in sorted(stored, key=lambda row: int(row[0]))
            ] == [uidl for uidl, _ in snapshot.of(merged).pop3]
    assert rows(uidl(dest, conf, ours, "--dry-run", o=together).ok()) == []


def test_copies_that_are_one_stored_mail(source, dest, plain, conf):
    """mdbox has one place for both UIDLs: one is stored, one is shown, a warning
    says so, and a second run writes nothing."""
    mails = mailgen.mails(3)
    twin = mailgen.Mail(mails[1].text)
    ours, listed = dest.user(driver="mdbox"), source.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": mails})
    backup(dest, plain, ours)
    dest.doveadm("copy", "-u", ours.name, "INBOX", "mailbox", "INBOX",
                 "uid", "2").ok()
    mailgen.deliver(listed, {"INBOX": with_uidls([*mails, twin],
                                                 order=lambda n: 9 - n)})
    drop = {"pop3c_user": listed.name}
    wanted = snapshot.of(listed).pop3
    for written, shown in ((3, 1), (0, 0), (0, 0)):
        run = uidl(dest, conf, ours, o=drop).ok()
        assert rows(run) == [["INBOX", "4", str(written), str(shown),
                              "right"]]
        assert "warning: uidl-shared: 1" in run.err
        assert "It and UID 2 of INBOX are one stored mail" in run.err
        assert snapshot.of(ours).pop3 == wanted

    # what only the cache knew is shown again, without writing
    for path in glob.glob(f"{ours.mail_path}/**/dovecot.index.cache",
                          recursive=True):
        os.unlink(path)
    run = uidl(dest, conf, ours, o=drop).ok()
    assert rows(run) == [["INBOX", "4", "0", "1", "right"]]
    assert snapshot.of(ours).pop3 == wanted


def test_copies_in_two_mailboxes(source, dest, plain, conf):
    """The same across mailboxes, of a maildrop that merges them."""
    mails = mailgen.mails(3)
    twin = mailgen.Mail(mails[1].text)
    ours, merged = dest.user(driver="mdbox"), source.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": mails, "Archive": []})
    backup(dest, plain, ours)
    dest.doveadm("copy", "-u", ours.name, "Archive", "mailbox", "INBOX",
                 "uid", "2").ok()
    mailgen.deliver(merged, {"INBOX": with_uidls([*mails, twin])})
    together = {"pop3c_user": merged.name,
                _setting(dest, "migration_pop3_all_mailboxes"): True}
    for written in (3, 0):
        run = uidl(dest, conf, ours, o=together).ok()
        assert sum(int(row[2]) for row in rows(run)) == written
        assert "warning: uidl-shared: 1" in run.err
        listed = dest.doveadm("-f", "tab", "fetch", "-u", ours.name,
                              "pop3.order pop3.uidl", "all").ok()
        stored = sorted((int(order), uidl) for order, uidl in (
            line.split("\t") for line in listed.out.splitlines()[1:]))
        assert [uidl for _, uidl in stored] == [
            uidl for uidl, _ in snapshot.of(merged).pop3]


def test_copies_that_the_old_server_does_not_have(source, dest, plain, conf):
    """The mail keeps its UIDL in each run, and its copies get none."""
    ours = dest.user(driver="mdbox")
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(3)),
                             "Archive": []})
    backup(dest, plain, ours)
    for name in ("INBOX", "Archive"):
        dest.doveadm("copy", "-u", ours.name, name, "mailbox", "INBOX",
                     "uid", "2").ok()
    every = {_setting(dest, "migration_pop3_all_mailboxes"): True}
    for written in (3, 0, 0):
        run = uidl(dest, conf, ours, o=every).ok()
        assert sum(int(row[2]) for row in rows(run)) == written
        assert "uidl-shared" not in run.err
        listed = dest.doveadm("-f", "tab", "fetch", "-u", ours.name,
                              "pop3.uidl", "all").ok().out.splitlines()[1:]
        assert sorted(listed) == ["", "", "old-14", "old-21", "old-7"]
    assert rows(uidl(dest, conf, ours, "--dry-run", o=every).ok()) == []


def _setting(dest, name):
    return f"plugin/{name}" if dest.version == "2.3" else name


def test_nothing_is_downloaded_again(source, dest, plain, conf):
    ours = dest.user(driver="mdbox")
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(
        mailgen.mails(500, size=(300, 9000)))})
    backup(dest, plain, ours)
    with Link(round_trip=0) as link:
        uidl(dest, conf, ours,
             o={"pop3c_port": link.to(source.ports["pop3"]),
                "imapc_port": "1"}).ok()
        assert link.count(r"RETR ") == 0
        assert 0 < link.count(r"TOP ") <= 20
    assert snapshot.of(ours, bodies=False) == snapshot.of(theirs, bodies=False)


def test_mail_that_is_not_here_is_reported(source, dest, plain, conf):
    """The others get their UIDLs all the same."""
    ours = dest.user(driver="sdbox")
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(12))})
    backup(dest, plain, ours)
    dest.doveadm("expunge", "-u", ours.name, "mailbox", "INBOX",
                 "uid", "5").ok()
    run = uidl(dest, conf, ours)
    assert run.rc == 3, run
    assert "old-35" in run.err
    assert [u for u, _ in snapshot.of(ours).pop3] == [
        f"old-{n * 7}" for n in range(1, 13) if n != 5]


def test_format_without_room_is_named(source, dest, plain, conf):
    ours = dest.user(driver="mbox")
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(3))})
    backup(dest, plain, ours)
    before = snapshot.of(ours)
    run = uidl(dest, conf, ours)
    assert run.rc == 78, run
    lines = [line for line in run.err.splitlines() if "Error: " in line]
    assert len(lines) == 1 and re.search(
        r"INBOX: mbox has no place for POP3 UIDLs and order: "
        r"migrate to maildir, sdbox or mdbox", lines[0]), lines
    assert snapshot.of(ours) == before


@pytest.mark.parametrize("settings,rc,text", [
    ({"pop3c_password": "wrong"}, 77, "127.0.0.1"),
    ({"pop3c_port": "1"}, 75, "127.0.0.1"),
])
def test_server_that_cannot_be_asked(source, dest, plain, conf, settings, rc,
                                     text):
    ours = dest.user(driver="sdbox")
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(3))})
    backup(dest, plain, ours)
    before = snapshot.of(ours)
    run = uidl(dest, conf, ours, o=settings)
    assert run.rc == rc, run
    lines = [line for line in run.err.splitlines() if "Error: " in line]
    assert len(lines) == 1 and text in lines[0], lines
    assert snapshot.of(ours) == before


def test_location(source, dest, plain):
    """No namespace, no plugin: the pop3c_* settings and a location."""
    ours = dest.user(driver="mdbox")
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(8),
                                                 order=lambda n: 20 - n)})
    backup(dest, plain, ours)
    before = snapshot.of(ours)
    conf = dest.write_conf(f"{dest.dir}/uidl-location.conf",
                           settings={**dest.imapc(source),
                                     **dest.pop3c(source)})
    assert len(rows(uidl(dest, conf, ours, "-n", "pop3c:").ok())) == 8
    assert snapshot.of(ours) == before
    uidl(dest, conf, ours, "pop3c:").ok()
    assert snapshot.of(ours) == snapshot.of(theirs)

    run = uidl(dest, conf, ours, "imapc:")
    assert run.rc == 64, run
    assert "The location imapc: is no POP3 server's" in run.err


def test_no_pop3_server_configured(dest, plain):
    ours = dest.user(driver="sdbox")
    run = uidl(dest, plain, ours)
    assert run.rc == 78, run
    assert "no namespace with a pop3c location" in run.err
