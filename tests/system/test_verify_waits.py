# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm migration verify: how often it waits for the source."""

import json
import os

from lab import mailgen
from lab.latency import Link

# (mailboxes, mails in each)
SIZE = (100, 100) if "DM_LONG" in os.environ else (30, 10)


def test_a_comparison_waits_for_all_mailboxes_at_once(source, dest):
    """What the mailboxes hold and the sample of their texts are on their way
    before they are compared: a wait for each mailbox would be 30."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    boxes, mails = SIZE
    mailgen.deliver(theirs, {
        "INBOX" if n == 0 else f"Box{n}": mailgen.mails(mails, seed=n)
        for n in range(boxes)})
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o=dest.imapc(source, user=theirs.name)).ok()
    with Link(round_trip=0.1) as link:
        settings = dest.imapc(source, user=theirs.name,
                              port=link.to(source.ports["imap"]))

        def verify(*args, rc=0):
            link.reset()
            result = dest.doveadm("-f", "json", "migration", "verify",
                                  "-u", ours.name, *args, "imapc:",
                                  o=settings, timeout=300)
            assert result.rc == rc, result
            rows = {row["mailbox"]: row for row in json.loads(result.out)}
            assert link.connections == 1
            return rows

        rows = verify()
        assert link.waits <= 25
        assert link.count(r"\d+ UID FETCH 1:\* ") == boxes
        assert len(rows) == boxes and all(
            row["result"] == "equal" and int(row["texts"]) == min(10, mails)
            for row in rows.values())

        assert set(verify("-s", "0", "-m", "Box1*")) == {
            name for name in rows if name.startswith("Box1")}
        assert link.waits <= 10
        # nothing is asked of mailboxes that are not compared
        assert link.count(r"\d+ EXAMINE ") == sum(
            name.startswith("Box1") for name in rows)
        assert link.count(r"BODY\.PEEK\[\]") == 0

        # differences cost a wait where they are
        mailgen.append(ours, "Box7", mailgen.mails(1, seed="new"))
        rows = verify("--full", rc=3)
        assert link.waits <= 27
        assert sum(int(row["texts"]) for row in rows.values()) == boxes * mails
        assert rows["Box7"]["result"] == "different: 1 mail-extra"
