# SPDX-License-Identifier: LGPL-2.1-or-later
"""POP3 clients notice nothing: real servers of many kinds, an INBOX of odd
mail, stock `doveadm backup -R` over imapc: and the plugins.

The maildrop (UIDLs, their order, the text behind each) is compared before and
after, after a second run, after changes on both sides, and after kill -9 in
the middle. One destination format for each source and Dovecot version; all of
them with DM_LONG=1.
"""

import contextlib
import functools
import os
import random
import subprocess

import pytest

import lab
from lab import (courier, cyrus, maildrop, mailgen, oddmail, places,
                 snapshot)
from lab.latency import Fault, Link

DRIVERS = ("sdbox", "mdbox", "maildir")
LONG = os.environ.get("DM_LONG") == "1"

# RETR and TOP of the test itself must leave no trace on either side
QUIET = {"pop3_no_flag_updates": True}


class Source:
    """A server, and how mail gets into it. Every test has its own user."""

    without = (oddmail.EMPTY,)          # kinds of odd mail that it refuses
    imapc = {}                          # settings of the guide for it
    plugin = {}
    extra = staticmethod(lambda version: "")    # configuration, both sides
    settings = {}                               # of both sides

    def __init__(self, version, driver="maildir", **settings):
        self.server = self.make(version, driver,
                                {**QUIET, **self.settings, **settings})

    def make(self, version, driver, settings):
        return lab.Dovecot(version, driver=driver, settings=settings,
                           extra=self.extra(version))

    def mails(self):
        return oddmail.inbox(without=self.without)

    def fill(self, user, mails):
        """The first mail of a new user."""
        mailgen.append(user, "INBOX", mails)

    def add(self, user, mails):
        """Mail that comes later."""
        mailgen.append(user, "INBOX", mails)

    def prepare(self, user):
        """What a user's home needs, on both sides."""


class Maildir(Source):
    """Dovecot on Maildir, where mail is written as it is."""

    without = ()

    def fill(self, user, mails):
        mailgen.deliver(user, {"INBOX": mails})


class SavedOrder(Maildir):
    """UIDLs and POP3 order from the server before this one: in no order that
    IMAP knows, and nobody can compute them."""

    def fill(self, user, mails):
        orders = list(range(1, len(mails) + 1))
        random.Random("saved order").shuffle(orders)
        for number, mail in enumerate(mails):
            mail.uidl = f"UID{number * 7919 % 100003}-1076582350"
            mail.pop3_order = orders[number]
        super().fill(user, mails)


class XUidl(Source):
    """UIDLs from the mails' X-UIDL fields, as qpopper left them, for three of
    four mails; computed ones for the rest."""

    settings = {"pop3_reuse_xuidl": True}

    def fill(self, user, mails):
        for number, mail in enumerate(mails):
            if number % 4 and mail.text.startswith(b"From: "):
                mail.text = b'X-UIDL: %08x!"#$\r\n' % (
                    number * 2654435761 % 2**32) + mail.text
        super().fill(user, mails)


class DeletedFlag(Maildir):
    """A DELE hides a mail from POP3 and keeps it in IMAP."""

    settings = {"pop3_deleted_flag": "POP3Deleted"}

    def fill(self, user, mails):
        super().fill(user, mails)
        maildrop.delete(user, range(3, len(mails), 11))


class Merged(Source):
    """POP3 shows the mail of all folders, through the virtual plugin."""

    without = ()
    plugin = {"migration_pop3_all_mailboxes": True}

    @staticmethod
    def extra(version):
        location = ("location = virtual:~/virtual" if version == "2.3" else
                    "mail_driver = virtual\n    mail_path = ~/virtual")
        return f"""
protocol pop3 {{
  mail_plugins = virtual
  namespace inbox {{
    inbox = no
    prefix = RealMails/
    hidden = yes
    list = no
  }}
  namespace merged {{
    inbox = yes
    prefix =
    separator = /
    {location}
  }}
}}
"""

    def prepare(self, user):
        # 2.3 calls the INBOX RealMails, 2.4 RealMails/INBOX
        inbox = ("RealMails" if user.server.version == "2.3" else
                 "RealMails/INBOX")
        folder = places.mail_folder(f"{user.home}/virtual/INBOX")
        os.chown(os.path.dirname(folder), places.MAIL_UID, places.MAIL_UID)
        with open(f"{folder}/dovecot-virtual", "w") as file:
            file.write(f"{inbox}\nRealMails/*\n  all\n")

    def fill(self, user, mails):
        third = len(mails) // 3
        mailgen.deliver(user, {"INBOX": mails[:third],
                               "Work": mails[third:2 * third],
                               "Lists": mails[2 * third:]})
        maildrop.of(user)
        # a second lot: POP3 order then is not that of the folders
        mailgen.append(user, "Work", mailgen.mails(5, seed="merged work"))
        mailgen.append(user, "INBOX", mailgen.mails(5, seed="merged inbox"))


class Courier(Source):
    """courier-orders, courier-utf8; nobody can compute its UIDLs."""

    without = ()
    imapc = {"imapc_list_prefix": "INBOX"}

    def make(self, version, driver, settings):
        return lab.Courier()

    def fill(self, user, mails):
        courier.deliver(user, mails, batches=4)

    def add(self, user, mails):
        courier.deliver(user, mails)


class Cyrus(Source):
    style = {}
    imapc = {"imapc_list_prefix": "INBOX"}

    def make(self, version, driver, settings):
        return lab.Cyrus(**self.style)

    def fill(self, user, mails):
        cyrus.append(user, "INBOX", mails)

    add = fill


class CyrusAlt(Cyrus):
    style = {"altnamespace": True, "uidl_format": "courier"}
    imapc = {}


def with_format(driver, old, new):
    """A Dovecot with this pop3_uidl_format, in the words of 2.3 and 2.4."""
    base = Maildir if driver == "maildir" else Source

    def make(version):
        return base(version, driver,
                    pop3_uidl_format=old if version == "2.3" else new)
    return make


SOURCES = {
    "dovecot-hex": with_format("mdbox", "%08Xu%08Xv",
                               "%{uid | hex(8)}%{uidvalidity | hex(8)}"),
    "dovecot-cyrus-style": with_format("mbox", "%v.%u",
                                       "%{uidvalidity}.%{uid}"),
    "dovecot-filename": with_format("maildir", "%f", "%{filename}"),
    "dovecot-guid": with_format("sdbox", "%g", "%{guid}"),
    "dovecot-saved-order": SavedOrder,
    "dovecot-x-uidl": XUidl,
    "dovecot-deleted-flag": DeletedFlag,
    "dovecot-merged": Merged,
    "courier": Courier,
    "cyrus": Cyrus,
    "cyrus-alt": CyrusAlt,
}


class Migration:
    """One source and the destination for its users, running."""

    def __init__(self, source, dest):
        self.source = source
        self.dest = dest
        self.conf = dest.write_conf(
            f"{dest.dir}/migration.conf",
            namespaces=[dest.pop3c_namespace()],
            plugins=["migration_imapc", "migration_pop3"],
            plugin_settings={"migration_pop3_mailbox": "POP3-SOURCE/INBOX",
                             **source.plugin})

    def users(self, driver, mails=None):
        theirs = self.source.server.user()
        ours = self.dest.user(driver=driver)
        self.source.prepare(theirs)
        self.source.prepare(ours)
        self.source.fill(theirs, mails or self.source.mails())
        return theirs, ours

    def words(self, theirs, ours, *command, port=None):
        """Arguments and options of doveadm."""
        server = self.source.server
        login = {"user": theirs.name, "password": theirs.password}
        options = {**self.dest.imapc(server, port=port, **login),
                   **self.dest.pop3c(server, **login), **self.source.imapc}
        command = command or ("backup", "-R")
        return (*command, "-u", ours.name, "imapc:"), options

    def run(self, theirs, ours, *command):
        words, options = self.words(theirs, ours, *command)
        return self.dest.doveadm(*words, o=options, conf=self.conf)

    def kill(self, theirs, ours, after_bytes):
        """Start a run that stops in the middle, and kill it there."""
        with Link(round_trip=0) as link:
            port = link.to(self.source.server.ports["imap"],
                           Fault("hang", after_bytes=after_bytes))
            words, options = self.words(theirs, ours, port=port)
            process = self.dest.start_doveadm(*words, o=options,
                                              conf=self.conf,
                                              stderr=subprocess.DEVNULL)
            try:
                places.wait_for(lambda: link.bytes_down >= after_bytes or
                                process.poll() is not None, "half of a run")
                # it was in the middle
                assert process.poll() is None
            finally:
                process.kill()
                process.wait(30)


@pytest.fixture(scope="module")
def migrations(version):
    """name -> Migration, started when the first test wants it."""
    dests = []
    with contextlib.ExitStack() as stack:
        @functools.cache
        def get(name):
            source = SOURCES[name](version)
            dest = lab.Dovecot(version, driver="sdbox",
                               settings={**QUIET, **source.settings},
                               extra=source.extra(version))
            for server in (source.server, dest):
                stack.enter_context(server)
            dests.append(dest)
            return Migration(source, dest)
        yield get
        crashes = [line for dest in dests for line in dest.log().splitlines()
                   if " Panic: " in line or "killed with signal" in line]
        assert crashes == []


def matrix(seed):
    """Every source, with one destination format for each version."""
    rows = []
    for number, name in enumerate(SOURCES):
        drivers = DRIVERS if LONG else [DRIVERS[(number + seed) % 3]]
        rows += [pytest.param(name, driver, id=f"{name}-{driver}")
                 for driver in drivers]
    return rows


def chosen(version, driver):
    """On 2.4 the formats are one further, so that both together meet more of
    the combinations."""
    if LONG or version == "2.3":
        return driver
    return DRIVERS[(DRIVERS.index(driver) + 1) % 3]


@pytest.mark.parametrize("name, driver", matrix(0))
def test_clients_notice_nothing(migrations, version, name, driver):
    migration = migrations(name)
    theirs, ours = migration.users(chosen(version, driver))
    before = maildrop.of(theirs)
    assert len(before) >= 150
    # flags, too: nothing may look as if it had been read
    source_before = snapshot.of(theirs, bodies=False, pop3=False)

    for _ in range(2):
        result = migration.run(theirs, ours).ok()
        assert [line for line in result.err.splitlines()
                if " Error: " in line or " Warning: " in line] == []
        assert maildrop.differences(before, maildrop.of(ours)) == []
    assert snapshot.of(theirs, bodies=False, pop3=False) == source_before
    assert maildrop.differences(before, maildrop.of(theirs)) == []


@pytest.mark.parametrize("name, driver", matrix(1))
def test_after_deletions_on_both_sides(migrations, version, name, driver):
    migration = migrations(name)
    theirs, ours = migration.users(chosen(version, driver))
    migration.run(theirs, ours).ok()

    expunge(theirs, [2, 3, 40, 41, 60])
    maildrop.delete(theirs, [5, 6, 50, 90])
    migration.source.add(theirs, late_mails())
    before = maildrop.of(theirs)
    migration.run(theirs, ours).ok()
    assert maildrop.differences(before, maildrop.of(ours)) == []

    # the user is on the new server already and deletes mail there
    expunge(ours, [3, 20, 55])
    still_here = {item.uidl for item in maildrop.of(ours)}
    gone = {item.uidl for item in before} - still_here
    assert 2 <= len(gone) <= 3         # one may be hidden from POP3 already
    expunge(theirs, [1, 7])
    migration.source.add(theirs, mailgen.mails(4, seed="last"))
    migration.run(theirs, ours, "sync", "-1", "-R").ok()
    expected = [item for item in maildrop.of(theirs) if item.uidl not in gone]
    assert maildrop.differences(expected, maildrop.of(ours)) == []


@pytest.mark.parametrize("name, driver", matrix(2))
def test_after_kill_in_the_middle(migrations, version, name, driver):
    migration = migrations(name)
    mails = oddmail.inbox(without=(*migration.source.without, oddmail.BIG))
    theirs, ours = migration.users(chosen(version, driver), mails)
    before = maildrop.of(theirs)
    size = sum(len(mail.text) for mail in mails)

    migration.kill(theirs, ours, size // 3)
    migration.kill(theirs, ours, size // 2)
    finish(migration, theirs, ours)
    assert maildrop.differences(before, maildrop.of(ours)) == []
    migration.run(theirs, ours).ok()
    assert maildrop.differences(before, maildrop.of(ours)) == []


def finish(migration, theirs, ours):
    """Run after a kill until nothing is left to do. sdbox can be in the way
    of the first run with a file that was killed between its rename and its
    entry in the index."""
    for _ in range(3):
        result = migration.run(theirs, ours)
        if result.rc == 0:
            return
    result.ok()


def expunge(user, numbers):
    """Over IMAP, these message numbers of the INBOX."""
    client = mailgen.login(user)
    client.command("SELECT", "INBOX")
    client.command("STORE", ",".join(map(str, numbers)),
                   "+FLAGS.SILENT", "(\\Deleted)")
    client.command("EXPUNGE")
    client.logout()


def late_mails():
    """Ordinary mail, and mail that is already there once more."""
    again = [mail for mail in oddmail.odd_mails()
             if mail.kind in ("twins", "equal header", "8-bit")]
    return mailgen.mails(10, seed="late") + [
        mailgen.Mail(odd.text, date=1600000000) for odd in again[::3]]
