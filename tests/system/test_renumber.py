# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mailboxes that got another UIDVALIDITY at the source: their mails are taken from
what the destination has, and only what is new is fetched."""

import collections
import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import time

import pytest

import lab
from lab import courier, mailgen, snapshot, stepkill
from lab.latency import Link
from lab.scripted import ImapServer
from test_fault_heal import restore
from test_renames import Pair, box

HEADERS = r"BODY(\.PEEK)?\[HEADER"


@pytest.fixture
def pair(source, dest):
    def make(driver="sdbox", **folders):
        return Pair(source, dest, driver, **folders)
    return make


def renumber(user, mailbox, uid_validity=1700000000):
    user.server.doveadm("mailbox", "update", "-u", user.name, "--uid-validity",
                        str(uid_validity), mailbox).ok()


def texts(run):
    """How often the server was asked for the text of the mail with this UID, in
    whatever mailbox."""
    count = collections.Counter()
    for uids in re.findall(rb"UID FETCH (\S+) \([^\n]*BODY(?:\.PEEK)?\[\]",
                           b"".join(run.link.sent())):
        for part in uids.decode().split(","):
            first, _, last = part.partition(":")
            count.update(range(int(first), int(last or first) + 1))
    return count


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_a_thousand_mails(pair, driver):
    mails = mailgen.mails(1000, seed="thousand", size=(50, 200))
    with pair(driver, Big=mails) as run:
        run.run()
        renumber(run.theirs, "Big")
        run.run()
        assert run.texts() == 0 and run.link.count(r"BODY(\.PEEK)?\[\]") == 0
        assert run.same()
        assert set(snapshot.of(run.ours).mailboxes) == {"INBOX", "Big"}
        run.run()
        assert run.texts() == 0 and run.link.count(HEADERS) == 0
        assert run.same()


def again(user, mailbox, mails):
    """The mailbox deleted and made again, with these mails."""
    user.server.doveadm("mailbox", "delete", "-u", user.name, mailbox).ok()
    mailgen.append(user, mailbox, mails, create=True)


def found(run):
    with open(run.report, encoding="utf-8") as file:
        return {finding["mailbox"]: (finding["what"], finding["why"])
                for finding in json.load(file)["findings"]}


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_what_is_new_is_fetched(pair, driver):
    """Other UIDs in another order, new mails between, one that has the header of
    an old one, and two that are alike here."""
    old = mailgen.mails(12, seed="old", size=(50, 300))
    twin = mailgen.mails(1, seed="twin", size=100)
    with pair(driver, A=[*old, *twin, *twin]) as run:
        client = mailgen.login(run.theirs)
        client.command("SELECT", "A")
        client.command("UID", "STORE", "3,5", "+FLAGS", "(\\Flagged $Done)")
        client.logout()
        run.run()
        changed = dataclasses.replace(old[4],
                                      text=old[4].text + b"Another line\r\n")
        new = mailgen.mails(3, seed="new", size=(50, 300))
        again(run.theirs, "A", [*old[6:], new[0], *old[:4], changed, new[1],
                                *twin, *twin, new[2]])
        run.run(migration_max_deletes="unlimited")
        assert texts(run) == {uid: 1 for uid in (7, 12, 13, 16)}
        assert run.same()
        what, why = found(run)["A"]
        assert what == "uidvalidity-changed"
        assert "Of the source's 16 mails 12 were here" in why, why
        run.run()
        assert run.texts() == 0 and run.same() and found(run) == {}


@pytest.mark.parametrize("command", [("sync", "-1", "-R"), ("sync",)])
def test_a_sync(pair, command):
    """It takes the UIDVALIDITY over, and loses and doubles nothing."""
    with pair(A=box("a", 5)) as run:
        run.run()
        renumber(run.theirs, "A")
        run.run(*command)
        assert run.texts() == 0 and run.same()
        assert len(snapshot.of(run.ours).mailboxes["A"].mails) == 5


@pytest.mark.parametrize("uidvalidity", [7, 8])
def test_made_again_with_other_mails(dest, uidvalidity):
    """Another mailbox of the same name, also on a server that gives it the same
    UIDVALIDITY and UIDs: what is here is not lost, and nothing is mixed."""
    ours = dest.user(driver="sdbox")
    numbers = {"INBOX": 1, "A": 7}
    with ImapServer({"INBOX": box("i"), "A": box("old", 4)},
                    uidvalidity=numbers) as server:
        settings = dest.imapc(server, user="user", password="secret")

        def backup(rc=0, **limit):
            result = dest.doveadm(
                "backup", "-R", "-u", ours.name, "imapc:",
                o={**settings, **dest.plugin_options(limit)})
            assert result.rc == rc, str(result)
            return {mail.sha256 for mail in
                    snapshot.of(ours).mailboxes["A"].mails.values()}

        old = backup()
        server.folders["A"], numbers["A"] = box("new", 5), uidvalidity
        assert backup(3) == old
        new = backup(migration_max_deletes="unlimited")
        assert len(new) == 5 and not new & old
        assert backup() == new


def test_courier_renames(dest):
    """courier-rename: RENAME gives another UIDVALIDITY, and UIDs from 1."""
    with lab.Courier() as server, Link(0) as link:
        theirs, ours = server.user(), dest.user(driver="sdbox")
        courier.deliver(theirs, mailgen.mails(3))
        for name in ("Work", "Work.Old", "Other"):
            courier.deliver(theirs, mailgen.mails(6, seed=name), name)
        client = mailgen.login(theirs)
        # courier-examine: what nobody has selected has no UIDVALIDITY yet
        client.command("SELECT", "INBOX")
        for name in ("Work", "Work.Old", "Other"):
            client.command("SELECT", f"INBOX.{name}")
            client.command("SUBSCRIBE", f"INBOX.{name}")
        client.command("UID", "STORE", "2", "+FLAGS", "(\\Deleted)")
        client.command("EXPUNGE")
        settings = dest.imapc(server, user=theirs.name,
                              password=theirs.password,
                              port=link.to(server.ports["imap"]))

        def backup():
            link.reset()
            result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                                  o=settings).ok()
            assert (snapshot.of(ours, pop3=False)
                    == snapshot.of(theirs, pop3=False))
            return result, link.count(r"\d+ UID FETCH .*BODY(\.PEEK)?\[\]")

        assert backup()[1] > 0
        # seconds are Courier's UIDVALIDITY
        time.sleep(1.1)
        client.command("SELECT", "INBOX")
        for old, new in (("Work", "Projects"), ("Other", "Projects.Other")):
            client.command("RENAME", f"INBOX.{old}", f"INBOX.{new}")
            client.command("UNSUBSCRIBE", f"INBOX.{old}")
            client.command("SUBSCRIBE", f"INBOX.{new}")
        client.logout()
        rows = {row["mailbox"]: row for row in json.loads(dest.doveadm(
            "-f", "json", "migration", "plan", "-u", ours.name, "imapc:",
            o=settings).ok().out)}
        assert {name: row["old-name"] for name, row in rows.items()
                if row["old-name"]} == {
                    "Projects": "Work", "Projects/Old": "Work/Old",
                    "Projects/Other": "Other"}
        assert {(row["copied"], row["deleted"]) for row in rows.values()} == {
            ("0", "0")}, rows
        assert backup()[1] == 0
        time.sleep(1.1)
        result, count = backup()
        assert count == 0 and "0 findings" in result.err, result.err


def marked(dest, ours, mailbox):
    """Kills deletions of the mailbox until one leaves it marked as deleted."""
    for step in range(1, 100):
        assert stepkill.run(dest, ours, step, "mailbox", "delete", "-u",
                            ours.name, mailbox), step
        status = dest.doveadm("mailbox", "status", "-u", ours.name, "messages",
                              mailbox)
        if "deleted under us" in status.err:
            return
        status.ok()
    assert False, "no step leaves the mark"


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_marked_as_deleted(pair, dest, driver):
    """killed-delete: what a killed deletion leaves is in nobody's way, and a mail
    that came meanwhile stays."""
    with pair(driver, A=box("a", 3)) as run:
        run.run()
        marked(dest, run.ours, "A")
        run.run()
        assert run.same()
        if driver == "maildir":
            marked(dest, run.ours, "A")
            late = mailgen.mails(1, seed="late")[0].text
            path = f"{run.ours.home}/Maildir/.A/new/1700000000.M1.late"
            with open(path, "wb") as file:
                file.write(late)
            owner = os.stat(run.ours.home)
            os.chown(path, owner.st_uid, owner.st_gid)
            run.run(rc=3)
            assert hashlib.sha256(late).hexdigest() in {
                mail.sha256 for mail in
                snapshot.of(run.ours).mailboxes["A"].mails.values()}


def test_marked_as_deleted_and_gone(pair, dest):
    """killed-delete, of a mailbox that the source has no more, and of one whose
    name another one gets."""
    with pair("sdbox", A=box("a", 3), B=box("b", 3), C=box("c", 4)) as run:
        run.run()
        for name in ("A", "B"):
            marked(dest, run.ours, name)
            run.theirs.server.doveadm("mailbox", "delete", "-u",
                                      run.theirs.name, name).ok()
        run.rename(("C", "B"))
        # dsync renames what it remembers of the deleted one, which is no folder
        run.run(rc=2)
        # no mail of C was fetched, and there is nothing left of A
        assert run.link.count(r"\d+ UID FETCH .*BODY(\.PEEK)?\[\]") == 0
        assert set(dest.doveadm("mailbox", "list", "-u", run.ours.name)
                   .ok().out.split()) == {"INBOX", "B"}
        run.run()
        assert run.same()


LONG = "DM_LONG" in os.environ


def steps(version, driver):
    """All of them with --long, else a few that are always the same."""
    if LONG:
        return range(1, 2000)
    return random.Random(f"{version} {driver}").sample(range(1, 150), 2)


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_killed_at_any_step(pair, folder, dest, driver):
    """kill -9 at each change of a file while one mailbox is made again, and another
    one renamed: the next runs complete it and leave nothing behind, and nothing of
    what was here before is fetched."""
    mails = mailgen.mails(8, seed="killed", size=(50, 300))
    new = mailgen.mails(2, seed="new", size=(50, 300))
    with pair(driver, A=mails, B=box("b"), C=box("c")) as run:
        run.run()
        again(run.theirs, "A", [*mails[4:], *new, *mails[:3]])
        run.rename(("B", "C/B"))
        template = f"{folder}/template"
        shutil.copytree(run.ours.home, template, symlinks=True)
        owner = os.stat(run.ours.home)
        os.chown(template, owner.st_uid, owner.st_gid)
        killed = 0
        for step in steps(dest.version, driver):
            restore(run.ours, template)
            run.link.reset()
            if not stepkill.run(
                    dest, run.ours, step, "backup", "-R", "-u", run.ours.name,
                    "imapc:", o={**run.settings, **dest.plugin_options(
                        {"migration_max_deletes": "2"})}):
                break
            killed += 1
            # sdbox-killed-commit, mdbox-killed-commit: a further one
            for _ in range(3):
                result = dest.doveadm(
                    "backup", "-R", "-u", run.ours.name, "imapc:",
                    o={**run.settings, **dest.plugin_options(
                        {"migration_max_deletes": "2"})})
                assert "Panic" not in result.err, (step, str(result))
                if result.rc == 0:
                    break
            assert result.rc == 0, (step, str(result))
            assert snapshot.of(run.ours) == snapshot.of(run.theirs)
            # what was fetched, and not written yet, is fetched again
            fetched = texts(run)
            assert set(fetched) == {5, 6}, (step, fetched)
            assert max(fetched.values()) <= 2, (step, fetched)
        assert killed >= (100 if LONG else 2), killed
