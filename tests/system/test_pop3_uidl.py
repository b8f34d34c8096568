# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_pop3 between real servers: what the destination's POP3 server lists
is what the source's listed, byte by byte and in order."""

import json

import pytest

import lab
from conftest import plugins
from lab import imap, mailgen, snapshot
from lab.latency import Fault, Link
from lab.scripted import On, Pop3Server

FORMATS = ["sdbox", "mdbox", "maildir"]


def pop3_conf(dest, source, name, settings=None, plugin_settings=None,
              words=None, namespace=True, mailbox="POP3-SOURCE/INBOX",
              **options):
    """The configuration of Dovecot's migration guide, with migration_pop3 in
    place of pop3_migration."""
    return dest.write_conf(
        f"{dest.dir}/{name}.conf",
        namespaces=[dest.pop3c_namespace()] if namespace else [],
        plugins=words or [*plugins(dest.version), "migration_pop3"],
        plugin_settings={"migration_pop3_mailbox": mailbox,
                         **(plugin_settings or {})},
        settings={**dest.imapc(source), **dest.pop3c(source, **options),
                  **(settings or {})})


@pytest.fixture(scope="module")
def conf(source, dest):
    return pop3_conf(dest, source, "pop3")


def backup(dest, conf, user, command=("backup",), **options):
    return dest.doveadm(*command, "-R", "-u", user.name, "imapc:", conf=conf,
                        **options)


def with_uidls(mails, order=None):
    """Give mails UIDLs of all kinds, and an order of their own."""
    kinds = ["{n}", "0000{n}.x", "<{n}@old.example.org>", "x" * 60 + "{n}",
             "!\"#$%&'()*+,-./:;<=>?@[]^_`{{|}}~{n}"]
    for number, mail in enumerate(mails, 1):
        mail.uidl = kinds[number % len(kinds)].format(n=number * 7)
        mail.pop3_order = order(number) if order else None
    return mails


def expunge(user, mailbox, uids):
    client = mailgen.login(user)
    client.command("SELECT", mailbox)
    for uid in uids:
        client.command("UID", "STORE", str(uid), "+FLAGS.SILENT", "(\\Deleted)")
    client.command("EXPUNGE")
    client.logout()


@pytest.mark.parametrize("driver", FORMATS)
def test_uidls_and_order_are_kept(source, dest, conf, driver):
    """POP3 order other than UID order, over three runs: a first one, one that
    changes nothing, and one after deletions and deliveries."""
    ours = dest.user(driver=driver)
    theirs = source.user(ours.name)
    mails = with_uidls(mailgen.mails(40) + mailgen.odd_mails(big=False,
                                                             nul=False,
                                                             cr_cr_lf=False),
                       order=lambda number: 1000 - number * 37 % 101)
    mailgen.deliver(theirs, {"INBOX": mails, "Sent": mailgen.mails(5)})
    before = snapshot.of(theirs)
    assert [uidl for uidl, _ in before.pop3] != [m.uidl for m in mails]

    for _ in range(2):
        backup(dest, conf, ours).ok()
        assert snapshot.of(ours) == before

    expunge(theirs, "INBOX", [1, 5, 6, 20])
    mailgen.append(theirs, "INBOX", mailgen.mails(6, seed="later"))
    backup(dest, conf, ours).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_sync_keeps_uidls(source, dest, conf):
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(20))})
    backup(dest, conf, ours, command=("sync", "-1")).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_uidls_in_uid_order_need_no_order(source, dest, conf):
    """Dovecot's own UIDLs: the format is found and confirmed."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(50)})
    run = backup(dest, conf, ours, debug=True).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)
    assert "50 UIDLs matched by the UIDL's format" in run.err


def test_other_uidvalidity_does_not_matter(source, dest, conf):
    """Stored UIDLs stay when the formula would give others."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(10)}, uidvalidity=777)
    backup(dest, conf, ours).ok()
    expected = snapshot.of(theirs).pop3
    dest.doveadm("mailbox", "update", "--uid-validity", "778", "-u", ours.name,
                 "INBOX").ok()
    assert snapshot.of(ours).pop3 == expected
