# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: servers with limits, and with ways of their own to say what
IMAP lets them say. Backup and import arrive complete from each of them."""

import re
import time

import pytest

from lab import mailgen, snapshot
from lab.scripted import ImapServer, On

LIMIT = 9
# quirk: command-line-limit (RFC 2683 advises 1,000 octets, some servers take
# no more)
LINE = 1000


def every_third(mails):
    """UIDs with gaps, so that a set of them is long."""
    for number, mail in enumerate(mails):
        mail.uid = 1000 + 3 * number
    return mails


# one text is larger than what imapc keeps in memory
FOLDERS = {"INBOX": every_third(mailgen.mails(280, size=(100, 400))),
           "A": mailgen.mails(8, seed=2) + mailgen.mails(2, size=60000),
           "B": mailgen.mails(25, seed=3)}


def asked(session, command):
    """The numbers and mails of a UID FETCH, and the items."""
    uids = session.server.uids(session.mailbox)
    chosen = set()
    numbers, items = command.split(" ", 3)[2:]
    for part in numbers.split(","):
        first, _, last = part.partition(":")
        last = last or first
        chosen |= set(range(int(first),
                            (uids[-1] if last == "*" else int(last)) + 1))
    return [(number, uid, mail) for number, (uid, mail) in enumerate(
        zip(uids, session.mails()), 1) if uid in chosen], items


def message_limit(session, command):
    """RFC 9738: the newest ones, and how far it went."""
    found, items = asked(session, command)
    for entry in found[-LIMIT:]:
        session.send_fetch(*entry, items)
    code = (f"[MESSAGELIMIT {LIMIT} {found[-LIMIT][1]}] "
            if len(found) > LIMIT else "")
    session.send(f"{session.tag} OK {code}Done")


def limit(session, command):
    """quirk: fetch-limit. Nothing at all if it is too much."""
    found, items = asked(session, command)
    if len(found) > LIMIT:
        session.send(f"{session.tag} NO [LIMIT] Too many messages")
        return
    for entry in found:
        session.send_fetch(*entry, items)
    session.send(f"{session.tag} OK Done")


def backwards(session, command):
    """quirk: fetch-order."""
    found, items = asked(session, command)
    for entry in reversed(found):
        session.send_fetch(*entry, items)
    session.send(f"{session.tag} OK Done")


def in_pieces(session, command):
    """quirk: fetch-split. One response for each item, and in between things
    that nobody asked for."""
    found, items = asked(session, command)
    parts = re.findall(r"[\w.]+(?:\[[^\]]*\])?", items)
    for number, uid, mail in found:
        for part in parts:
            session.send_fetch(number, uid, mail, f"({part})")
            session.send(f"* {number} FETCH (FLAGS (\\Seen))")
    session.send(f"* {len(session.mails())} EXISTS")
    session.send("* 0 RECENT")
    session.send("* OK [ALERT] Be nice")
    session.send(f"{session.tag} OK Done")


def slowly(session, command):
    """A few bytes at a time."""
    found, items = asked(session, command)
    send = session.connection.send

    def dribble(data):
        for first in range(0, len(data), 700):
            send(data[first:first + 700])
            time.sleep(0.0002)

    session.connection.send = dribble
    for entry in found:
        session.send_fetch(*entry, items)
    del session.connection.send
    session.send(f"{session.tag} OK Done")


MANNERS = [message_limit, limit, backwards, in_pieces, slowly]


def run(dest, server, ours, command):
    words = {"backup": ["backup", "-R", "-u", ours.name, "imapc:"],
             "import": ["import", "-s", "-u", ours.name, "imapc:", "", "all"]}
    dest.doveadm(*words[command], timeout=100,
                 o=dest.imapc(server, user="user", password="secret")).ok()


@pytest.mark.parametrize("command", ["backup", "import"])
@pytest.mark.parametrize("manner", MANNERS)
def test_manners(dest, manner, command):
    ours = dest.user(driver="mdbox")
    with ImapServer(FOLDERS, faults=[On("UID FETCH", manner)]) as server:
        run(dest, server, ours, command)
        bodies = server.count(r"UID FETCH .*BODY\.PEEK\[\]")
        lines = [len(line) for line in server.received]
        server.faults.clear()
        if command == "backup":
            assert (snapshot.of(ours, pop3=False) ==
                    snapshot.take(server.port, "user", "secret"))
    mailboxes = snapshot.of(ours, pop3=False).mailboxes
    for name, mails in FOLDERS.items():
        arrived = mailboxes[name].mails.values()
        assert [mail.size for mail in arrived] == [
            len(mail.text) for mail in mails]
    # halved until it fits, not asked for one by one
    assert bodies < sum(map(len, FOLDERS.values())) / 2
    assert max(lines) < LINE


def test_a_limit_that_is_told(dest):
    """With MESSAGELIMIT in CAPABILITY no command is too large."""
    ours = dest.user(driver="mdbox")
    refused = []

    def strict(session, command):
        if len(asked(session, command)[0]) > LIMIT:
            refused.append(command)
        limit(session, command)

    with ImapServer(FOLDERS, faults=[On("UID FETCH", strict)],
                    capabilities="IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN "
                    f"CONDSTORE MESSAGELIMIT={LIMIT}") as server:
        run(dest, server, ours, "backup")
        server.faults.clear()
        assert (snapshot.of(ours, pop3=False) ==
                snapshot.take(server.port, "user", "secret"))
    assert refused == []


def test_a_mail_goes_while_mails_are_fetched(dest):
    """EXPUNGE that nobody asked for: the others arrive, the rest is for the
    next run."""
    ours = dest.user(driver="mdbox")
    gone = []

    def expunge(session, command):
        found, items = asked(session, command)
        if "BODY.PEEK[]" in items and session.mailbox == "B" and not gone:
            number, uid, _ = found[len(found) // 2]
            gone.append(uid)
            session.send(f"* {number} EXPUNGE")
        for entry in found:
            if session.mailbox != "B" or entry[1] not in gone:
                session.send_fetch(*entry, items)
        session.send(f"{session.tag} OK Done")

    with ImapServer({**FOLDERS}, faults=[On("UID FETCH", expunge)]) as server:
        result = dest.doveadm(
            "backup", "-R", "-u", ours.name, "imapc:", timeout=100,
            o=dest.imapc(server, user="user", password="secret"))
    assert result.rc in (0, 2), str(result)
    mails = snapshot.of(ours, pop3=False).mailboxes["B"].mails
    assert len(gone) == 1 and sorted(mails) == [
        uid for uid in range(1, 26) if uid not in gone]
