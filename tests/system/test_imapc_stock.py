# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: what is at the destination in the end is what stock puts
there, mail by mail and file by file: the engine is faster, and nothing else.

What may differ, and does not count: GUIDs of mails, which both destinations
make up (where the source has them: test_gmail_copies.py::test_result_is_stocks),
the names of Maildir's files, and the date of saving: that of the run, whatever
the source says.
"""

import os

import pytest

import lab
from lab import cyrus as cyrus_server
from lab import mailgen, oddmail, snapshot, stored

DRIVERS = ("sdbox", "mdbox", "maildir")
SOURCES = ("2.3", "2.4", "cyrus")


@pytest.fixture(scope="module")
def sources():
    with lab.Dovecot("2.3", master_password="one-for-all") as old, \
            lab.Dovecot("2.4", master_password="one-for-all") as new, \
            lab.Cyrus(altnamespace=True) as cyrus:
        yield dict(zip(SOURCES, (old, new, cyrus)))


def fill(user):
    """Every kind of odd mail that the server takes (no header, nothing at all,
    NUL, 5 MB, twins …), mailboxes that are empty, nested, not in ASCII."""
    rest = {"Sent": mailgen.mails(12, seed=2), "Archive": [],
            "Archive/2024": mailgen.mails(130, seed=3, size=(100, 300)),
            "Entwürfe & Übriges": mailgen.mails(3, seed=4)}
    inbox = oddmail.inbox(ordinary=10)
    if isinstance(user.server, lab.Cyrus):
        cyrus_server.append(user, "INBOX", inbox)
        for name, mails in rest.items():
            mailgen.append(user, name, mails, create=True)
    else:
        mailgen.deliver(user, {"INBOX": inbox, **rest},
                        subscribed=["INBOX", "Archive/2024"])


def change(user):
    client = mailgen.login(user)
    client.command("SELECT", "INBOX")
    client.command("UID STORE", "5,9:11", "+FLAGS", "(\\Flagged Later)")
    client.command("UID STORE", "3,7", "+FLAGS", "(\\Deleted)")
    client.command("EXPUNGE")
    client.command("CREATE", "Later")
    client.logout()
    mailgen.append(user, "INBOX", mailgen.mails(4, seed="later"))
    mailgen.append(user, "Later", mailgen.mails(2, seed="latest"))


def result(user):
    """All of it. What a client sees is read last: looking changes it."""
    return {"files": stored.files(user), "mails": stored.mails(user),
            "mailboxes": stored.mailboxes(user), "seen": snapshot.of(user)}


def cases():
    """Everything, or in the gate each source and format once on each Dovecot."""
    for number, version in enumerate(lab.VERSIONS):
        for driver in range(3):
            for source in range(3):
                if "DM_LONG" in os.environ or driver == (source + number) % 3:
                    yield version, SOURCES[source], DRIVERS[driver]


@pytest.mark.parametrize("version, kind, driver", cases(),
                         indirect=["version"],
                         scope="session")
def test_the_result_is_stocks(dest, stock, sources, kind, driver):
    theirs = sources[kind].user()
    fill(theirs)
    users = [dest.user(driver=driver), stock.user(driver=driver)]
    settings = dest.imapc(theirs.server, user=theirs.name,
                          password=theirs.password)
    unlimited = dest.plugin_options({"migration_max_deletes": "unlimited"})
    stocks_settings = {**settings, **lab.stocks_best(stock.version)}
    if kind == "cyrus" and stock.version == "2.4":
        # it ends with 65 at a server with METADATA if the destination has none
        stocks_settings["imapc_features"] = "no-metadata"
    for step in ("first run", "changes"):
        if step == "changes":
            change(theirs)
        dest.doveadm("backup", "-R", "-u", users[0].name, "imapc:",
                     o={**settings, **unlimited}).ok()
        stock.doveadm("backup", "-R", "-u", users[1].name, "imapc:",
                      o=stocks_settings).ok()
        ours, stocks = [result(user) for user in users]
        for part, value in ours.items():
            assert value == stocks[part], f"{step}: {part}"
        # mdbox keeps what was expunged
        assert sum(map(len, ours["files"].values())) >= ours["seen"].count() > 270
    dest.doveadm("migration", "verify", "--full", "-u", users[0].name, "imapc:",
                 o=settings).ok()
