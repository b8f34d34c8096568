# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: of a mailbox that changed only the changes are fetched, and
the result is the same as if all had been."""

import os
import random
import re

import pytest

import lab
from lab import mailgen, snapshot
from lab.latency import Link

MAILS = 30
FOLDERS = ("INBOX", "Box1", "Box2", "Box3")
ONLY_CHANGES = r"\d+ UID FETCH .* \(CHANGEDSINCE \d+\)"
# imapc_features of 2.3 has no "modseq" by default
ALL_MAILS = r"\d+ UID FETCH 1:\* \(FLAGS MODSEQ "


@pytest.fixture(scope="module")
def cyrus():
    with lab.Cyrus() as server:
        yield server


@pytest.fixture
def link():
    with Link(round_trip=0.02, keep=True) as link:
        yield link


def there(user, mailbox):
    """What the user's server calls the mailbox."""
    return mailbox if mailbox == "INBOX" else user.server.prefix + mailbox


class Pair:
    """A source user and his copy. Both were the same when it begins, and the
    record says so."""

    def __init__(self, source, dest, link, driver="mdbox", mails=MAILS):
        self.theirs, self.ours = source.user(), dest.user(driver=driver)
        self.dest, self.link = dest, link
        self.settings = dest.imapc(source, user=self.theirs.name,
                                   password=self.theirs.password,
                                   port=link.to(source.ports["imap"]))
        self.settings.update(dest.plugin_options(
            {"migration_max_deletes": "unlimited"}))
        for number, name in enumerate(FOLDERS):
            mailgen.append(self.theirs, there(self.theirs, name),
                           mailgen.mails(mails, seed=f"old {number}",
                                         size=(200, 900)),
                           create=name != "INBOX")
        self.run()
        self.run()

    def run(self, *options):
        self.link.reset()
        result = self.dest.doveadm("backup", "-R", *options,
                                   "-u", self.ours.name, "imapc:",
                                   o=self.settings, debug=True).ok()
        self.flags = len(re.findall(rb"^\* \d+ FETCH .*FLAGS",
                                    b"".join(self.link.received()), re.M))
        return result

    def check(self):
        theirs, ours = snapshot.of(self.theirs), snapshot.of(self.ours)
        for one in (theirs, ours):
            for mailbox in one.mailboxes.values():
                # tells when a mail was looked at, not what was migrated
                mailbox.uidnext = max([mailbox.uidnext, *mailbox.mails])
        assert ours.mailboxes == theirs.mailboxes


def change(user, mailbox, *commands):
    client = mailgen.login(user)
    client.command("SELECT", f'"{there(user, mailbox)}"')
    for command in commands:
        client.command(*command.split(" ", 3))
    client.logout()


def change_all(pair):
    """4 mails change, 2 are gone, 3 are new; Box3 stays."""
    change(pair.theirs, "INBOX", "UID STORE 3:4 +FLAGS (\\Flagged Mine)",
           "UID STORE 7 FLAGS ()")
    change(pair.theirs, "Box1", "UID STORE 5,9 +FLAGS (\\Deleted)", "EXPUNGE",
           "UID STORE 12 -FLAGS (\\Seen)", "UID STORE 13 +FLAGS (\\Draft)")
    for mailbox, count in (("Box1", 2), ("Box2", 1)):
        mailgen.append(pair.theirs, there(pair.theirs, mailbox),
                       mailgen.mails(count, seed=f"new {mailbox}"))


def check_changes(pair):
    change_all(pair)
    pair.run()
    assert pair.link.count(ONLY_CHANGES) == 3, pair.link.sent()
    assert pair.link.count(ALL_MAILS) == 0
    assert 8 <= pair.flags <= 8 + 3, pair.link.received()
    # nor headers of what is at the destination
    assert pair.link.count(r"\d+ UID FETCH .*HEADER\.FIELDS") <= 2
    assert pair.link.waits <= 10
    # looking at it changes it: what is recent
    pair.run()
    assert pair.flags == 0
    pair.check()


@pytest.mark.parametrize("driver", ["mdbox", "maildir"])
def test_only_changes(source, dest, link, driver):
    check_changes(Pair(source, dest, link, driver))


def test_only_changes_of_cyrus(cyrus, dest, link):
    check_changes(Pair(cyrus, dest, link))


def test_the_destination_changed_too(source, dest, link):
    """Then it says nothing of what the source had."""
    pair = Pair(source, dest, link)
    change(pair.theirs, "Box1", "UID STORE 3 +FLAGS (Mine)")
    change(pair.ours, "Box1", "UID STORE 4 +FLAGS (Ours)")
    change(pair.theirs, "Box2", "UID STORE 3 +FLAGS (Mine)")
    result = pair.run()
    assert "the destination has changed: " in result.err
    assert pair.link.count(ONLY_CHANGES) == 1
    assert pair.link.count(ALL_MAILS) == 1
    pair.check()


@pytest.mark.parametrize("asked, instead, reason", [
    # changedsince-doubtful: a server that overlooks changes
    (rb"CHANGEDSINCE \d+", b"CHANGEDSINCE 99999",
     "HIGHESTMODSEQ has risen and nothing has changed"),
    (rb"SEARCH RETURN \(ALL\) ALL", b"SEARCH RETURN (ALL) UID 1:9",
     f"SEARCH found 9 of {MAILS} mails"),
    # BAD, and imapc closes the connection
    (rb"CHANGEDSINCE", b"CHANGEDSINK", "the server does not tell what changed"),
], ids=["overlooks", "finds less", "refuses"])
def test_answers_that_are_not_believed(source, dest, link, asked, instead,
                                       reason):
    pair = Pair(source, dest, link)
    for mailbox in FOLDERS:
        change(pair.theirs, mailbox, "UID STORE 3 +FLAGS (Mine)")
    link.rewrite = lambda data: re.sub(asked, instead, data)
    result = pair.run()
    assert result.err.count("asking for all mails, not only for what changed: "
                            + reason) >= len(FOLDERS) - 1, result.err
    assert link.count(ALL_MAILS) >= len(FOLDERS) and link.waits <= 16
    pair.check()


class Schedule:
    """Random changes of the source, now and then of the destination, too."""

    def __init__(self, pair, seed):
        self.pair, self.rnd, self.log = pair, random.Random(seed), []
        self.serial = 0

    def step(self):
        user = self.pair.theirs if self.rnd.random() < 0.9 else self.pair.ours
        mailbox = self.rnd.choice(FOLDERS)
        client = mailgen.login(user)
        client.command("SELECT", f'"{mailbox}"')
        uids = sorted(snapshot.of(user, bodies=False).mailboxes[mailbox].mails)
        # other changes of the destination end in a mailbox that is made anew
        action = "flags" if user is self.pair.ours else self.rnd.choice(
            ["flags", "flags", "flags", "expunge", "append", "copy", "nothing"])
        some = ",".join(map(str, self.rnd.sample(
            uids, min(len(uids), self.rnd.randrange(1, 6)))))
        self.log.append((user.name, mailbox, action, some))
        if action == "append":
            self.serial += 1
            mailgen.append(user, mailbox, mailgen.mails(
                self.rnd.randrange(1, 4), seed=f"new {self.serial}"))
        elif action == "copy" and some:
            client.command("UID COPY", some, self.rnd.choice(FOLDERS))
        elif action == "expunge" and some:
            if self.rnd.random() < 0.1:
                some = "1:*"
            client.command("UID STORE", some, "+FLAGS", "(\\Deleted)")
            client.command("EXPUNGE")
        elif action == "flags" and some:
            client.command("UID STORE", some, self.rnd.choice(
                ["FLAGS", "+FLAGS", "-FLAGS"]), self.rnd.choice(
                ["(\\Seen)", "(\\Flagged Mine)", "(\\Answered)", "(Yours)",
                 "(\\Deleted)"]))
        client.logout()


def seeds():
    if "DM_SEED" in os.environ:
        return [int(os.environ["DM_SEED"])]
    return range(30 if "DM_LONG" in os.environ else 2)


@pytest.mark.parametrize("seed", seeds())
def test_random_changes(source, dest, link, seed):
    """Whatever changes, each run makes both sides the same."""
    pair = Pair(source, dest, link,
                driver=["mdbox", "sdbox", "maildir"][seed % 3], mails=12)
    schedule = Schedule(pair, seed)
    asked = 0
    for _ in range(5):
        for _ in range(schedule.rnd.randrange(1, 6)):
            schedule.step()
        pair.run()
        asked += pair.link.count(ONLY_CHANGES)
        print(schedule.log)
        pair.check()
    assert asked > 0
