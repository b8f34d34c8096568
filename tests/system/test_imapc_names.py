# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: names of mailboxes that stock loses, changes or panics at."""

import json

from lab import mailgen, snapshot
from lab.scripted import ImapServer


def backup(dest, user, server, report=None, **settings):
    if report is not None:
        settings.update(dest.plugin_options({"migration_report_path": report}))
    result = dest.doveadm(
        "backup", "-R", "-u", user.name, "imapc:",
        o={**dest.imapc(server, user="user", password="secret"), **settings})
    assert "Panic" not in result.err, str(result)
    return result


def findings(report):
    with open(report, encoding="utf-8") as file:
        return [(f["what"], f.get("mailbox"))
                for f in json.load(file)["findings"]]


def test_percent(dest):
    """imapc-percent: names arrive as they are, and the second run has nothing
    to do (stock ends it with 2, "rename to itself", for ever)."""
    names = ["INBOX", "pct%", "50%25off", "%41", "a~b", "ü%~", "a*b", 'q"uote']
    # On 2.4 the destination's own list, which is not ours to change, does not
    # escape a % either: names with % and two hex digits arrive as they are,
    # but dsync does not know them again.
    known_again = [name for name in names
                   if dest.version == "2.3" or name not in ("50%25off", "%41")]
    ours, again = dest.user(driver="mdbox"), dest.user(driver="mdbox")
    with ImapServer({n: mailgen.mails(1, seed=n) for n in names}) as server:
        assert backup(dest, ours, server).rc == 0
    with ImapServer({n: mailgen.mails(1, seed=n)
                     for n in known_again}) as server:
        for _ in range(2):
            assert backup(dest, again, server).rc == 0
    seen = snapshot.of(ours)
    assert sorted(seen.mailboxes) == sorted(names) == seen.subscriptions


def test_neighbour_of_the_prefix(dest):
    """imapc-prefix-neighbour: stock panics."""
    folders = {name: mailgen.mails(1) for name in
               ("INBOX", "INBOX.Sent", "INBOXen", "INBOXen.Old")}
    ours = dest.user(driver="mdbox")
    report = f"{ours.home}/report.json"
    with ImapServer(folders, prefix="INBOX.", separator=".") as server:
        result = backup(dest, ours, server, report, imapc_list_prefix="INBOX")
    assert result.rc == 0, str(result)
    assert sorted(snapshot.of(ours).mailboxes) == ["INBOX", "Sent"]
    assert ("mailbox-outside-prefix", "INBOXen") in findings(report)


def test_inbox_below_the_inbox(dest):
    """imapc-inbox-inbox: stock leaves INBOX.INBOX out and ends with 0."""
    folders = {name: mailgen.mails(2, seed=name) for name in
               ("INBOX", "INBOX.INBOX", "INBOX.Sent")}
    ours = dest.user(driver="mdbox")
    report = f"{ours.home}/report.json"
    with ImapServer(folders, prefix="INBOX.", separator=".") as server:
        result = backup(dest, ours, server, report, imapc_list_prefix="INBOX")
    assert findings(report) == [("mailbox-name-taken", "INBOX.INBOX")]
    assert result.rc not in (0, 75), str(result)
    assert len(snapshot.of(ours).mailboxes["Sent"].mails) == 2
