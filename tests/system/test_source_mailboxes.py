# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: mailboxes that the source does not open. All others are
migrated, nothing of the mailbox is deleted at the destination, the finding has
the server's words, and the next run brings what it opens by then."""

import pytest

from lab import mailgen
from lab.scripted import ImapServer, On
from test_source_faults import backup, findings, report, seen, stored

# migration_imapc's own engine, and imapc's one mailbox after the other
ENGINES = ["ahead", "stock"]


def no_flags(name, uid, items):
    """FETCH of flags fails, in one mailbox only."""
    return "NO [SERVERBUG] No flags" if name == "Bad" and "FLAGS" in items \
        else None


def sound(name, uid, items):
    return None


# fault, exit code, words
CASES = {
    "inuse": (On('EXAMINE "?Bad', "NO [INUSE] Locked for a backup"),
              75, "Locked for a backup"),
    "serverbug": (On('EXAMINE "?Bad', "NO [SERVERBUG] Index is broken"),
                  75, "Index is broken"),
    "unavailable": (On('EXAMINE "?Bad', "NO [UNAVAILABLE] Disk is away"),
                    75, "Disk is away"),
    "limit": (On('EXAMINE "?Bad', "NO [LIMIT] Too many keywords"),
              75, "Too many keywords"),
    "limit, with a wait": (
        On('EXAMINE "?Bad', "NO [LIMIT] Wait 400 milliseconds"),
        75, "Wait 400"),
    "limit, with a long wait": (
        On('EXAMINE "?Bad', "NO [LIMIT] Wait 2 hours"), 75, "Wait 2 hours"),
    "status limit": (On('STATUS "?Bad', "NO [LIMIT] Not so fast"), 75,
                     "Not so fast"),
    "noperm": (On('EXAMINE "?Bad', "NO [NOPERM] Not for you"),
               3, "Not for you"),
    "no": (On('EXAMINE "?Bad', "NO Mailbox is corrupted"),
           3, "Mailbox is corrupted"),
    "bad": (On('EXAMINE "?Bad', "BAD Can't parse it"), 75, "Can't parse it"),
    "close": (On('EXAMINE "?Bad', "close"), 75, ""),
    "status": (On('(STATUS|EXAMINE) "?Bad', "NO [NOPERM] Not for you"),
               3, "Not for you"),
    "status busy": (On('STATUS "?Bad', "NO [INUSE] Locked"), 75, "Locked"),
    "status bad": (On('STATUS "?Bad', "BAD Can't parse it"), 75,
                   "Can't parse it"),
    "status close": (On('STATUS "?Bad', "close"), 75, ""),
    "flags": (no_flags, 75, "No flags"),
}


def folders():
    return {"INBOX": mailgen.mails(3), "Bad": mailgen.mails(4, seed=5),
            "Also good": mailgen.mails(3, seed=3),
            "Later": mailgen.mails(3, seed=2)}


# those that stock's own EXAMINE and STATUS have to answer for
STOCK = ("inuse", "limit", "no", "bad", "status")
# ... and those that differ if the destination has no such mailbox
NEW_USER = ("no", "status")


@pytest.mark.parametrize("case, engine", [
    (case, engine) for case in CASES for engine in ENGINES
    if engine == "ahead" or case in STOCK])
def test_a_mailbox_that_is_not_opened(dest, case, engine):
    fault, rc, words = CASES[case]
    # a connection that is lost counts against the mailbox at the third time
    patience = "4s" if "bad" in case or "close" in case else "1s"
    settings = {"patience": patience, "one_by_one": engine == "stock"}
    users = [dest.user(driver="mdbox")]
    with ImapServer(folders()) as server:
        assert backup(dest, server, users[0], **settings).rc == 0
        for mails in server.folders.values():
            mails += mailgen.mails(2, seed=9)
        if case in NEW_USER:
            users.append(dest.user(driver="mdbox"))
        if callable(fault):
            server.bad = fault
        else:
            server.faults = [fault]
        for ours in users:
            before = stored(ours).get("Bad")
            result = backup(dest, server, ours, **settings)
            assert result.rc == rc, str(result)
            wanted, have = seen(server), stored(ours)
            assert have.pop("Bad", None) == before
            del wanted["Bad"]
            assert have == wanted
            [found] = findings(ours, "mailbox-unavailable")
            assert found["mailbox"] == "Bad" and words in found["why"]
            assert found["severity"] == "error"
        server.faults, server.bad = [], sound
        for ours in users:
            result = backup(dest, server, ours, **settings)
            assert result.rc == 0, str(result)
            assert stored(ours) == seen(server)
            assert report(ours)["findings"] == []


def test_a_limit_of_the_account(dest):
    """It is not taken for one of the first mailboxes."""
    ours = dest.user(driver="mdbox")
    with ImapServer({**folders(), "More": mailgen.mails(1)},
                    faults=[On("EXAMINE", "NO [LIMIT] Busy")]) as server:
        assert backup(dest, server, ours).rc == 75
        assert [found["what"] for found in report(ours)["findings"]] == [
            "source-unavailable"]
        server.faults = []
        assert backup(dest, server, ours).rc == 0
        assert stored(ours) == seen(server)
