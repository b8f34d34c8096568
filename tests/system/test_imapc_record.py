# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: mailboxes that did not change are not asked for anything,
and no change is ever overlooked."""

import os

import pytest

from lab import mailgen, snapshot
from lab.latency import Link

FOLDERS = 12
RECORD = ".dovecot-migration-record"


class Pair:
    """A source user and his copy, with a long wire between them."""

    def __init__(self, source, dest, link, driver="mdbox"):
        self.theirs, self.ours = source.user(), dest.user(driver=driver)
        self.dest, self.link = dest, link
        self.settings = dest.imapc(source, user=self.theirs.name,
                                   port=link.to(source.ports["imap"]))
        self.path = f"{self.ours.home}/{RECORD}"
        mailgen.deliver(self.theirs, {
            "INBOX" if n == 0 else f"Box{n}": mailgen.mails(8, seed=n)
            for n in range(FOLDERS)})

    def run(self, *options, command=("backup", "-R")):
        self.link.reset()
        result = self.dest.doveadm(*command, *options, "-u", self.ours.name,
                                   "imapc:", o=self.settings, debug=True).ok()
        return result

    def examined(self):
        return self.link.count(r"\d+ EXAMINE ")

    def same(self):
        return snapshot.of(self.ours) == snapshot.of(self.theirs)


@pytest.fixture
def link():
    with Link(round_trip=0.05) as link:
        yield link


def flag(user, mailbox, uid, flags, sign="+"):
    client = mailgen.login(user)
    client.command("SELECT", mailbox)
    client.command("UID STORE", str(uid), f"{sign}FLAGS", f"({flags})")
    client.logout()


@pytest.mark.parametrize("driver", ["mdbox", "sdbox", "maildir"])
def test_unchanged_mailboxes_cost_nothing(source, dest, link, driver):
    pair = Pair(source, dest, link, driver)
    pair.run()
    assert pair.same() and os.path.exists(pair.path)
    pair.run()
    # dsync itself touches some formats' mailboxes once more
    if pair.examined() > 0:
        pair.run()
    assert pair.examined() == 0 and link.waits <= 5
    assert pair.same()


def test_only_what_changed_is_asked_for(source, dest, link):
    pair = Pair(source, dest, link)
    pair.run()
    flag(pair.theirs, "Box3", 2, "\\Flagged Mine")
    mailgen.append(pair.theirs, "Box5", mailgen.mails(2, seed="new"))
    pair.run()
    assert link.count(r'\d+ EXAMINE "(Box3|Box5)"') == pair.examined() > 0
    assert link.waits <= 10
    assert pair.same()


def test_changes_of_both_sides_are_found(source, dest, link):
    """One change on each side, so that counters that have nothing to do with
    each other may be equal again."""
    pair = Pair(source, dest, link)
    pair.run()
    flag(pair.theirs, "Box2", 1, "\\Flagged")
    flag(pair.ours, "Box2", 2, "\\Deleted")
    flag(pair.ours, "Box4", 3, "\\Answered")
    pair.run()
    assert pair.same()
    pair.run()
    assert pair.same()


def test_a_change_of_the_destination_alone_is_found(source, dest, link):
    pair = Pair(source, dest, link)
    pair.run()
    flag(pair.ours, "INBOX", 3, "Local")
    assert not pair.same()
    pair.run()
    assert pair.same() and pair.examined() >= 1


@pytest.mark.parametrize("content", ["", "nonsense\n", None])
def test_the_record_can_be_lost(source, dest, link, content):
    pair = Pair(source, dest, link)
    pair.run()
    if content is None:
        os.remove(pair.path)
    else:
        with open(pair.path, "w", encoding="utf-8") as file:
            file.write(content)
    flag(pair.ours, "INBOX", 3, "Local")
    result = pair.run()
    assert "is not used: " in result.err
    assert pair.examined() >= FOLDERS and pair.same()
    pair.run()
    assert pair.examined() < FOLDERS


def test_the_record_is_of_one_server_and_command(source, dest, link):
    pair = Pair(source, dest, link)
    pair.run()
    pair.run(command=("sync", "-1R"))
    assert pair.examined() >= FOLDERS
    pair.settings["imapc_port"] = link.to(source.ports["imap"])
    pair.run(command=("sync", "-1R"))
    assert pair.examined() >= FOLDERS


def test_full_sync_compares_everything(source, dest, link):
    pair = Pair(source, dest, link)
    pair.run()
    result = pair.run("-f")
    assert "-f compares everything" in result.err
    assert pair.examined() >= FOLDERS and pair.same()


def test_a_sync_of_both_directions(source, dest, link):
    """It reads like a backup, and what it changes at the source costs what the
    change costs."""
    pair = Pair(source, dest, link)
    sync = ("sync",)
    pair.run(command=sync)
    assert link.waits <= 14 and pair.same()
    pair.run(command=sync)
    assert link.waits <= 7 and pair.examined() == 0
    mailgen.append(pair.theirs, "Box2", mailgen.mails(2, seed="theirs"))
    flag(pair.theirs, "Box3", 2, "\\Flagged Mine")
    pair.run(command=sync)
    assert link.waits <= 10 and pair.same()
    assert link.count(r"\d+ SELECT ") == 0
    # header fields of what was there before are the destination's
    assert link.count(r"\d+ UID FETCH .* \(CHANGEDSINCE \d+\)") == 2
    assert link.count(r"\d+ UID FETCH .*HEADER\.FIELDS") <= 1
    mailgen.append(pair.ours, "Box5", mailgen.mails(2, seed="ours"))
    flag(pair.ours, "Box6", 3, "\\Answered Ours")
    flag(pair.theirs, "Box6", 4, "\\Seen", sign="-")
    client = mailgen.login(pair.ours)
    client.command("SELECT", "Box7")
    client.command("UID STORE", "1", "+FLAGS", "(\\Deleted)")
    client.command("EXPUNGE")
    client.logout()
    pair.run(command=sync)
    assert pair.same()
    mails = snapshot.of(pair.theirs).mailboxes
    assert len(mails["Box5"].mails) == 10 and len(mails["Box7"].mails) == 7
    # the two mails came to the server, the flags, and nothing else
    assert link.count(r"\d+ APPEND ") == 2 and link.waits <= 40
    # what was compared with what the source changes to was fetched before
    assert link.count(r"\d+ UID FETCH \d+ .*HEADER") == 0
    pair.run(command=sync)
    pair.run(command=sync)
    assert link.waits <= 7 and pair.same()


@pytest.mark.parametrize("command", [("backup", "-R"), ("sync", "-1R")],
                         ids=" ".join)
@pytest.mark.parametrize("state", ["", "AQAAAA=="])
def test_a_state_is_refused(source, dest, link, command, state):
    """dsync-state-one-sided: with -s dsync would look for changes at the
    destination only."""
    ours = dest.user(driver="mdbox")
    settings = dest.imapc(source, port=link.to(source.ports["imap"]))
    result = dest.doveadm(*command, "-s", state, "-u", ours.name, "imapc:",
                          o=settings)
    assert result.rc == 64 and "-s is refused" in result.err
    assert "migration_imapc_record" in result.err
    assert link.connections == 0


def test_a_filter_is_no_reason_to_forget_the_rest(source, dest, link):
    """What was not copied because of a filter is not the same."""
    pair = Pair(source, dest, link)
    pair.run("-t", "2035-01-01")
    pair.run("-t", "2035-01-01")
    assert pair.examined() >= FOLDERS
    pair.run()
    assert pair.same()


def test_an_index_directory(source, dest, link):
    """imapc:~/dir, stock's way to shorten the next run, costs no wait: the
    record does more, and without it what imapc: alone does is done."""
    pair = Pair(source, dest, link)
    location = f"imapc:{pair.ours.home}/index"
    for limit in (8, 7):
        link.reset()
        dest.doveadm("backup", "-R", "-u", pair.ours.name, location,
                     o=pair.settings).ok()
        assert link.waits <= limit and pair.same()
    # once more: dsync itself touches some mailboxes
    link.reset()
    dest.doveadm("backup", "-R", "-u", pair.ours.name, location,
                 o=pair.settings).ok()
    assert pair.examined() == 0


def test_no_record(source, dest, link):
    pair = Pair(source, dest, link)
    pair.settings.update(dest.plugin_options({"migration_imapc_record": ""}))
    pair.run()
    pair.run()
    assert not os.path.exists(pair.path) and pair.examined() >= FOLDERS
