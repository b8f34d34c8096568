# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mailboxes that were renamed at the source between two runs are renamed at the
destination, and nothing of them is fetched again."""

import json
import os
import random
import re

import pytest

import lab
from lab import mailgen, snapshot
from lab.latency import Link
from lab.mailgen import Mail
from lab.scripted import ImapServer, On


class Pair:
    """A source's user and his copy, and the wire between them."""

    def __init__(self, source, dest, driver="sdbox", **folders):
        self.theirs, self.ours = source.user(), dest.user(driver=driver)
        self.dest = dest
        self.link = Link()
        self.settings = dest.imapc(source, user=self.theirs.name,
                                   port=self.link.to(source.ports["imap"]))
        self.report = f"{self.ours.home}/report.json"
        mailgen.deliver(self.theirs, {"INBOX": mailgen.mails(2), **folders})

    def __enter__(self):
        self.link.__enter__()
        return self

    def __exit__(self, *args):
        self.link.__exit__(*args)

    def run(self, *command, rc=0, **ours):
        self.link.reset()
        ours["migration_report_path"] = self.report
        result = self.dest.doveadm(
            *(command or ("backup", "-R")), "-u", self.ours.name, "imapc:",
            o={**self.settings, **self.dest.plugin_options(ours)}, debug=True)
        assert result.rc == rc and "Panic" not in result.err, str(result)
        return result

    def rename(self, *pairs):
        client = mailgen.login(self.theirs)
        for old, new in pairs:
            client.command("RENAME", old, new)
        client.logout()

    def texts(self):
        return self.link.count(r"\d+ UID FETCH .*BODY(\.PEEK)?\[\]")

    def same(self):
        return snapshot.of(self.ours) == snapshot.of(self.theirs)

    def renamed(self):
        with open(self.report, encoding="utf-8") as file:
            return {finding["mailbox"] for finding in json.load(file)["findings"]
                    if finding["what"] == "mailbox-moved"}


def box(seed, count=3):
    return mailgen.mails(count, seed=f"box {seed}", size=(100, 300))


@pytest.fixture
def pair(source, dest):
    def make(driver="sdbox", **folders):
        return Pair(source, dest, driver, **folders)
    return make


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_twenty_of_a_hundred(version, pair, driver):
    """20 of 100 folders, some of them below others, by the GUIDs that Dovecot
    tells."""
    if "DM_LONG" not in os.environ and driver != {"2.3": "sdbox",
                                                  "2.4": "maildir"}[version]:
        pytest.skip("the other formats on this version: ./dev test --long")
    folders = {f"Box{n:02}": box(n, 2) for n in range(100)}
    rnd = random.Random(driver)
    moved = rnd.sample(sorted(folders), 20)
    others = sorted(set(folders) - set(moved))
    with pair(driver, **folders) as run:
        run.run()
        assert run.same()
        run.rename(*[(name, f"New{number}" if number < 10 else
                      f"{others[number]}/Sub{number}")
                     for number, name in enumerate(moved)])
        rows = json.loads(run.run("-f", "json", "migration", "plan").out)
        assert [row["action"] for row in rows] == ["rename"] * 20, rows
        run.run()
        assert run.texts() == 0 and len(run.renamed()) == 20
        assert run.same()
        run.run()
        assert run.texts() == 0 and run.same() and run.renamed() == set()


CASES = {
    "swapped": [("A", "T"), ("B", "A"), ("T", "B")],
    "in a ring": [("A", "T"), ("C", "A"), ("B", "C"), ("T", "B")],
    "below each other": [("A", "B/A"), ("C", "B/A/C")],
    "out of a parent": [("P/X", "X"), ("P/X2", "Y")],
    "the parent": [("P", "Q")],
    "parent and child": [("P/X", "T"), ("P", "T/P")],
    "parent and child swapped": [("P/X", "T"), ("P", "T2"), ("T2", "T/X"),
                                 ("T", "P")],
}


@pytest.mark.parametrize("case", CASES)
def test_ways_of_renaming(pair, case):
    with pair(A=box("a"), B=box("b"), C=box("c"), P=box("p"),
              **{"P/X": box("x"), "P/X2": box("x2")}) as run:
        run.run()
        run.rename(*CASES[case])
        run.run()
        assert run.texts() == 0
        assert run.same()
        run.run()
        assert run.texts() == 0 and run.same()


def test_renamed_and_a_new_one_of_the_old_name(pair):
    with pair(A=box("a"), B=box("b")) as run:
        run.run()
        run.rename(("A", "Z"), ("B", "A"))
        mailgen.append(run.theirs, "B", box("new", 2), create=True)
        run.run()
        assert run.texts() == 1 and run.renamed() == {"A", "Z"}
        assert run.same()
        mailgen.append(run.theirs, "Z", box("more", 1))
        run.run()
        assert run.texts() == 1 and run.same()
        # sync does not rename, and knows what is which
        run.run("sync", "-1R")
        assert run.texts() == 0 and run.same()


def test_deleted_and_made_again_is_another_one(pair):
    with pair(A=box("a"), B=box("b")) as run:
        run.run()
        client = mailgen.login(run.theirs)
        client.command("DELETE", "A")
        client.logout()
        mailgen.append(run.theirs, "A", box("new"), create=True)
        run.run(migration_max_deletes="unlimited")
        assert run.renamed() == set() and run.same()


@pytest.mark.parametrize("known", ["MAILBOXID", "UIDVALIDITY", "mails"])
def test_other_servers(dest, known):
    """By MAILBOXID, by a UIDVALIDITY of their own, or by the mails."""
    ours = dest.user(driver="sdbox")
    folders = {"INBOX": box("i"), **{f"Box{n}": box(n) for n in range(8)}}
    ids, uidvalidity = {}, 1000
    if known == "MAILBOXID":
        ids = {name: f"F{number}" for number, name in enumerate(folders)}
    if known == "UIDVALIDITY":
        uidvalidity = {name: 1000 + number
                       for number, name in enumerate(folders)}
    with ImapServer(folders, mailbox_ids=ids, uidvalidity=uidvalidity,
                    capabilities="IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN UIDPLUS "
                    "NAMESPACE CONDSTORE OBJECTID") as server:
        settings = dest.imapc(server, user="user", password="secret")

        def backup():
            server.received.clear()
            dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                         o=settings).ok()
            return [line for line in server.received if "BODY.PEEK[]" in line]

        backup()
        for old, new in (("Box1", "Later"), ("Box2", "Box3/Sub"),
                         ("Box4", "Later/Box4")):
            for names in (server.folders, ids, uidvalidity):
                if isinstance(names, dict) and old in names:
                    names[new] = names.pop(old)
        server.subscriptions = list(server.folders)
        assert backup() == []
        assert set(snapshot.of(ours).mailboxes) == set(server.folders)
        assert backup() == []
        # which mailbox is which was decided once
        assert not any("BODY.PEEK[HEADER]" in line for line in server.received)


@pytest.mark.parametrize("headers, renamed", [("exact", False),
                                              ("changed", True)])
def test_headers_that_are_made_apart(dest, headers, renamed):
    """header-apart: a server whose BODY[HEADER] is not the header of the mail."""
    ours = dest.user(driver="sdbox")
    with ImapServer({"INBOX": [], "Was": box("was", 9)},
                    header=lambda mail: re.sub(rb"(?m)^From:.*\r\n", b"",
                                               mail.text)) as server:
        def backup():
            server.received.clear()
            dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o={
                **dest.imapc(server, user="user", password="secret"),
                **dest.plugin_options({
                    "migration_imapc_headers": headers,
                    "migration_max_deletes": "unlimited"})}).ok()
            return [line for line in server.received if "BODY.PEEK[]" in line]

        backup()
        server.folders["Now"] = server.folders.pop("Was")
        server.subscriptions = ["INBOX", "Now"]
        # of three mails, to know it by; or of all of them
        uids = {re.match(r"UID FETCH (\S+)", line)[1] for line in backup()}
    assert set(snapshot.of(ours).mailboxes) == {"INBOX", "Now"}
    assert (uids == {"1", "5", "9"}) == renamed, uids


def test_a_mailbox_whose_state_is_refused_is_no_other(dest):
    """Its copy is not taken for that of a new mailbox with the same UIDVALIDITY,
    also not once the copy has another GUID than imapc's."""
    ours = dest.user(driver="sdbox")
    uidvalidity = {"INBOX": 1, "Was": 7}
    with ImapServer({"INBOX": box("i"), "Was": box("b")},
                    uidvalidity=uidvalidity) as server:
        settings = dest.imapc(server, user="user", password="secret")

        def backup(rc=0):
            result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                                  o=settings)
            assert result.rc == rc, str(result)
            return {name: len(mailbox.mails) for name, mailbox in
                    snapshot.of(ours).mailboxes.items()}

        backup()
        server.folders["Bad"] = server.folders.pop("Was")
        uidvalidity["Bad"] = uidvalidity.pop("Was")
        server.subscriptions = list(server.folders)
        assert backup() == {"INBOX": 3, "Bad": 3}
        server.folders["New"], uidvalidity["New"] = box("new", 4), 7
        server.faults = [On('(STATUS|EXAMINE) "?Bad', "NO [NOPERM] No")]
        assert backup(3) == {"INBOX": 3, "Bad": 3, "New": 4}
        server.faults = []
        assert backup() == {"INBOX": 3, "Bad": 3, "New": 4}


def test_cyrus(dest):
    ours = dest.user(driver="sdbox")
    with lab.Cyrus() as server, Link() as link:
        theirs = server.user()
        prefix, sep = server.prefix, server.separator
        names = [f"{prefix}Box{n}" for n in range(10)]
        for number, name in enumerate(names):
            mailgen.append(theirs, name, box(number), create=True)
        settings = {**dest.imapc(server, user=theirs.name,
                                 password=theirs.password,
                                 port=link.to(server.ports["imap"])),
                    "imapc_list_prefix": prefix[:-1]}

        def backup():
            link.reset()
            dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                         o=settings).ok()
            assert (snapshot.of(ours, pop3=False)
                    == snapshot.of(theirs, pop3=False))
            return link.count(r"\d+ UID FETCH .*BODY(\.PEEK)?\[\]")

        assert backup() > 0
        backup()
        client = mailgen.login(theirs)
        for old, new in ((names[1], f"{prefix}Later"),
                         (names[2], f"{names[3]}{sep}Sub"),
                         (names[4], f"{prefix}T"), (names[5], names[4]),
                         (f"{prefix}T", names[5])):
            client.command("RENAME", old, new)
            client.command("UNSUBSCRIBE", old)
            client.command("SUBSCRIBE", new)
        client.logout()
        assert backup() == 0
        assert backup() == 0
