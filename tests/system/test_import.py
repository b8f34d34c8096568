# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stock `doveadm import` with migration_import: what is there already is left
out, UIDs are kept, from and into every local format."""

import json

import pytest

from lab import Dovecot, mailgen, snapshot
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
