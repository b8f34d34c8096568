# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dovecot's migration guide over imapc: from one Dovecot to another.

Each test migrates a whole account and compares everything that its owner can
see, over IMAP and POP3.
"""

import pytest

import lab
from lab import imap, mailgen, snapshot
from lab.latency import Link

DRIVERS = ("sdbox", "mdbox", "maildir")


@pytest.fixture(scope="module")
def other_source(version):
    """A source of the other version."""
    other = {"2.3": "2.4", "2.4": "2.3"}[version]
    with lab.Dovecot(other, master_password="one-for-all") as server:
        yield server


def migrate(ours, theirs, *command, migration_max_deletes=None, **options):
    """doveadm on ours' server, from theirs' one. Options are imapc()'s."""
    dest = ours.server
    settings = dest.imapc(theirs.server, user=theirs.name, **options)
    if migration_max_deletes is not None:
        settings.update(dest.plugin_options(
            {"migration_max_deletes": migration_max_deletes}))
    return dest.doveadm(*command, "-u", ours.name, "imapc:", o=settings)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("command", [("backup", "-R"), ("sync", "-1R")],
                         ids=["backup", "sync"])
def test_everything_arrives_and_a_second_run_changes_nothing(
        source, dest, command, driver):
    theirs, ours = source.user(), dest.user(driver=driver)
    mailgen.deliver(theirs, mailgen.account(), subscribed=["INBOX", "Sent"])

    migrate(ours, theirs, *command).ok()

    before = snapshot.of(theirs)
    assert before.count() > 250
    assert snapshot.of(ours) == before

    with Link(0) as link:
        port = link.to(source.ports["imap"])
        migrate(ours, theirs, *command, port=port).ok()
        assert link.count(r"\S+ UID FETCH .*BODY\.PEEK\[\]") == 0
        assert link.count(r"\S+ (APPEND|STORE|UID STORE|EXPUNGE)") == 0
    assert snapshot.of(ours) == before
    assert snapshot.of(theirs) == before


@pytest.mark.parametrize("login", ["individual password", "master user",
                                   "master password"])
def test_logins(source, dest, login):
    theirs, ours = source.user(), dest.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(3)})
    options = {
        "individual password": {"password": theirs.password},
        "master user": {"master": "boss"},
        "master password": {"password": source.master_password},
    }[login]

    migrate(ours, theirs, "backup", "-R", **options).ok()

    assert snapshot.of(ours) == snapshot.of(theirs)


def test_from_the_other_version(other_source, dest):
    theirs, ours = other_source.user(), dest.user()
    mailgen.deliver(theirs, mailgen.account())

    migrate(ours, theirs, "backup", "-R").ok()

    assert snapshot.of(ours) == snapshot.of(theirs)


def change_source(user):
    """What happens in an account while its owner goes on working."""
    client = mailgen.login(user)
    client.command("SELECT", "INBOX")
    client.command("UID STORE", "2:3", "+FLAGS", "(\\Deleted)")
    client.command("EXPUNGE")
    client.command("UID STORE", "5", "FLAGS", "(\\Flagged NewKeyword)")
    client.command("UID STORE", "6", "FLAGS", "()")
    client.command("CLOSE")
    client.command("DELETE", "Trash")
    client.command("UNSUBSCRIBE", "Trash")
    renamed = imap.quote(imap.encode_name("Brouillons été"))
    client.command("RENAME", "Drafts", renamed)
    client.command("SUBSCRIBE", renamed)
    client.command("UNSUBSCRIBE", "Drafts")
    client.logout()
    mailgen.append(user, "INBOX", mailgen.mails(3, seed="new"))
    mailgen.append(user, "Archive/2025", mailgen.mails(2, seed="2025"),
                   create=True)


@pytest.mark.parametrize("driver", DRIVERS)
def test_backup_follows_the_source(source, dest, driver):
    theirs, ours = source.user(), dest.user(driver=driver)
    mailgen.deliver(theirs, mailgen.account(odd=False, folder_size=8))
    migrate(ours, theirs, "backup", "-R").ok()

    change_source(theirs)
    # two mailboxes are deleted, which the default refuses
    assert migrate(ours, theirs, "backup", "-R").rc == 3
    for _ in range(2):
        migrate(ours, theirs, "backup", "-R",
                migration_max_deletes="unlimited").ok()
        assert snapshot.of(ours) == snapshot.of(theirs)


def test_one_way_sync_brings_news_and_keeps_local_changes(source, dest):
    theirs, ours = source.user(), dest.user()
    mailgen.deliver(theirs, mailgen.account(odd=False, folder_size=8))
    migrate(ours, theirs, "sync", "-1R").ok()
    old = snapshot.of(ours)

    mailgen.append(ours, "Own", mailgen.mails(2, seed="local"), create=True)
    mailgen.append(ours, "Sent", mailgen.mails(1, seed="local"))
    client = mailgen.login(ours)
    client.command("SELECT", "Archive")
    client.command("UID STORE", "4", "+FLAGS", "(Local)")
    client.logout()
    change_source(theirs)
    migrate(ours, theirs, "sync", "-1R").ok()

    before, after = snapshot.of(theirs), snapshot.of(ours)
    changed_here = ("Own", "Sent", "Archive")
    gone_there = ("Drafts", "Trash")
    assert after.without(*changed_here, *gone_there) == before.without(
        *changed_here)
    assert len(after.mailboxes["Own"].mails) == 2
    assert len(after.mailboxes["Sent"].mails) == 9
    assert after.mailboxes["Archive"].mails[4].keywords[-1] == "Local"
    for name in gone_there:
        assert after.mailboxes[name] == old.mailboxes[name]


def test_import_and_filters(source, dest):
    """Import gives new UIDs; what it brings is otherwise the same."""
    theirs, ours = source.user(), dest.user()
    mailgen.deliver(theirs, {
        "INBOX": mailgen.mails(6, size=300, start=1546300800),     # 2019
        "Sent": mailgen.mails(4, size=5000, start=1577836800)})    # 2020
    dest.doveadm("import", "-u", ours.name, "imapc:", "Old", "ALL",
                 o=dest.imapc(source, user=theirs.name)).ok()
    before, after = snapshot.of(theirs), snapshot.of(ours)
    for name in ("INBOX", "Sent"):
        assert (list(after.mailboxes[f"Old/{name}"].mails.values()) ==
                list(before.mailboxes[name].mails.values()))

    for option, expected in ((("-t", "2019-06-01"), {"Sent"}),
                             (("-e", "2019-06-01"), {"INBOX"}),
                             (("-I", "4000"), {"INBOX"})):
        ours = dest.user()
        migrate(ours, theirs, "sync", "-1R", *option).ok()
        after = snapshot.of(ours)
        arrived = {name for name, box in after.mailboxes.items() if box.mails}
        assert arrived == expected, option
        for name in arrived:
            assert (after.mailboxes[name].mails ==
                    before.mailboxes[name].mails)


def test_list_and_fetch_on_the_source(source, dest):
    """doveadm's own commands see the source as its owner does."""
    theirs, ours = source.user(), dest.user()
    mailgen.deliver(theirs, mailgen.account(odd=False, folder_size=3))
    before = snapshot.of(theirs)
    location = ({"mail_location": "imapc:"} if dest.version == "2.3" else
                {"mail_driver": "imapc", "mail_path": ""})
    settings = {**dest.imapc(source, user=theirs.name), **location}

    listed = dest.doveadm("mailbox", "list", "-u", ours.name, o=settings).ok()
    assert set(listed.out.splitlines()) == before.mailboxes.keys()

    fetched = dest.doveadm(
        "-f", "tab", "fetch", "-u", ours.name,
        "uid size.virtual date.received.unixtime", "mailbox", "INBOX", "all",
        o=settings).ok()
    rows = [tuple(map(int, line.split("\t")))
            for line in fetched.out.splitlines()[1:]]
    assert rows == [(uid, mail.size, mail.date) for uid, mail in
                    before.mailboxes["INBOX"].mails.items()]
