# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: what the source's mailboxes are called at the destination."""

import json
import os

import pytest

from lab import imap, mailgen, snapshot
from lab.scripted import ImapServer


def backup(dest, user, server, *words, report=None, plugin=None, conf=None,
           **settings):
    plugin = dict(plugin or {})
    if report is not None:
        plugin["migration_report_path"] = report
    result = dest.doveadm(
        "backup", "-R", *words, "-u", user.name, "imapc:", conf=conf,
        o={**dest.imapc(server, user="user", password="secret"), **settings,
           **dest.plugin_options(plugin)})
    assert "Panic" not in result.err, str(result)
    return result


def findings(report):
    with open(report, encoding="utf-8") as file:
        return [(f["what"], f.get("mailbox"))
                for f in json.load(file)["findings"]]


def folders(*names, count=1):
    return {name: mailgen.mails(count, seed=name) for name in names}


def mailboxes(user):
    return sorted(snapshot.of(user, pop3=False).mailboxes)


# -- odd names

# with "." between levels
ODD = ["pct%", "50%25off", "%41", "a~b", "~x", "ü%~", "a*b", 'q"uote',
       "back\\slash", "sl/ash", "^x", "a&b", " blank", "blank ", "a=b", "a=41",
       "deep.er.and.er", "deep", "\ttab", "cur", "a.cur", "dbox-Mails",
       "subscriptions", "dovecot.index", "e\u0301", "\u00e9", "Sent", "SENT",
       "x" * 250, "..."]
# no modified UTF-7, or not as it should be
RAW = ["&bad", "&AGE-", "&&"]


@pytest.mark.parametrize("driver", ["mdbox", "sdbox", "maildir"])
def test_odd_names(dest, driver):
    """imapc-percent and others: nothing is lost, and the second run, which
    stock ends with 2 for ever, has nothing to do but to list."""
    raw = [f"INBOX.{name}" for name in RAW]
    tree = folders("INBOX", *(f"INBOX.{name}" for name in ODD), *raw)
    ours = dest.user(driver=driver)
    with ImapServer(tree, prefix="INBOX.", separator=".",
                    raw_names=raw) as server:
        assert backup(dest, ours, server).rc == 0
        after = snapshot.of(ours, pop3=False)
        del server.received[:]
        assert backup(dest, ours, server).rc == 0
        assert {c.split()[0] for c in server.received} == {
            "ID", "LOGIN", "NAMESPACE", "LIST", "STATUS", "LSUB", "LOGOUT"}
    assert snapshot.of(ours, pop3=False) == after
    held = [name for name, box in after.mailboxes.items() if box.mails]
    assert len(held) == len(tree) == len(after.subscriptions)
    wire = {"INBOX", "pct%", "a~b", "a*b", 'q"uote', "a&-b", "deep/er/and/er",
            " blank", "blank ", "a=b", "a=3D41", "==26bad", "==26AGE-",
            "=09tab", "=7Ex", "sl=2Fash", "&AOk-", "e&AwE-"}
    assert wire <= {imap.encode_name(name) for name in held}


def test_percent_is_kept_where_dsync_knows_it_again(dest):
    ours = dest.user(driver="mdbox")
    with ImapServer(folders("INBOX", "pct%", "50%25off", "%41")) as server:
        for _ in range(2):
            assert backup(dest, ours, server).rc == 0
    assert mailboxes(ours) == (
        ["%41", "50%25off", "INBOX", "pct%"] if dest.version == "2.3" else
        ["50=2525off", "=2541", "INBOX", "pct%"])


# -- prefixes

@pytest.mark.parametrize("written", ["", "INBOX", "INBOX."])
def test_prefix(dest, written):
    """imapc-prefix-separator, imapc-prefix-neighbour: stock panics at the last
    one, and at INBOXen with the one before."""
    ours = dest.user(driver="mdbox")
    report = f"{ours.home}/report.json"
    with ImapServer(folders("INBOX", "INBOX.Sent", "INBOX.a.b", "INBOXen",
                            "INBOXen.Old"),
                    prefix="INBOX.", separator=".") as server:
        result = backup(dest, ours, server, report=report,
                        imapc_list_prefix=written)
    assert result.rc == 0, str(result)
    if written:
        assert mailboxes(ours) == ["INBOX", "Sent", "a/b"]
        assert ("mailbox-outside-prefix", "INBOXen") in findings(report)
    else:
        assert mailboxes(ours) == ["INBOX", "INBOXen", "INBOXen/Old", "Sent",
                                   "a/b"]
        assert findings(report) == []
    assert snapshot.of(ours, pop3=False).subscriptions == mailboxes(ours)


def test_prefix_without_namespace(dest):
    """A server that does not say what its prefix is."""
    ours = dest.user(driver="mdbox")
    with ImapServer(folders("INBOX", "INBOX.Sent", "INBOX.a.b"),
                    prefix="INBOX.", separator=".",
                    capabilities="IMAP4rev1") as server:
        assert backup(dest, ours, server).rc == 0
    assert mailboxes(ours) == ["INBOX", "Sent", "a/b"]


def test_inbox_below_the_inbox(dest):
    """imapc-inbox-inbox: stock leaves INBOX.INBOX out and ends with 0."""
    ours = dest.user(driver="mdbox")
    report = f"{ours.home}/report.json"
    with ImapServer(folders("INBOX", "INBOX.INBOX", "INBOX.inbox",
                            "INBOX.Sent", count=2),
                    prefix="INBOX.", separator=".") as server:
        for _ in range(2):
            result = backup(dest, ours, server, report=report)
            assert result.rc == 0, str(result)
    assert findings(report) == [("mailbox-renamed", "INBOX.INBOX"),
                                ("mailbox-renamed", "INBOX.inbox")]
    assert mailboxes(ours) == ["=49NBOX", "=69nbox", "INBOX", "Sent"]
    assert snapshot.of(ours, pop3=False).count() == 8


def test_folder_with_separator(dest):
    """folder-with-separator"""
    ours = dest.user(driver="mdbox")
    with ImapServer(folders("INBOX", "Old/a"), noselect=["Old/"]) as server:
        for _ in range(2):
            assert backup(dest, ours, server).rc == 0
    assert mailboxes(ours) == ["INBOX", "Old/a"]


# -- migration_imapc_map

MAP = ("\\Sent = Sent; Alt = Neu; Archiv/* = Archive/*; !Spam*; "
       '"a;b" = "c=d"')


def test_map(dest):
    ours = dest.user(driver="mdbox")
    report = f"{ours.home}/report.json"
    tree = folders("INBOX", "INBOX.Gesendet", "INBOX.Gesendet.2020",
                   "INBOX.Alt", "INBOX.Alt.Kind", "INBOX.Archiv",
                   "INBOX.Archiv.1", "INBOX.Spam", "INBOX.Spam.x", "INBOX.a;b")
    wanted = ["Archiv", "Archive/1", "INBOX", "Neu", "Neu/Kind", "Sent",
              "Sent/2020", "c=d"]
    with ImapServer(tree, prefix="INBOX.", separator=".",
                    special_use={"INBOX.Gesendet": "\\Sent"}) as server:
        for _ in range(2):
            result = backup(dest, ours, server, report=report,
                            plugin={"migration_imapc_map": MAP})
            assert result.rc == 0, str(result)
            after = snapshot.of(ours, pop3=False)
            assert sorted(after.mailboxes) == wanted == after.subscriptions
        assert ("mailbox-left-out", "INBOX.Spam") in findings(report)
        assert ("mailbox-renamed", "INBOX.Gesendet") in findings(report)
        # another map: the same mailboxes get other names, nothing is fetched
        del server.received[:]
        assert backup(dest, ours, server,
                      plugin={"migration_imapc_map": "!Spam*"}).rc == 0
        assert not [c for c in server.received if "BODY.PEEK[]" in c]
    assert mailboxes(ours) == ["Alt", "Alt/Kind", "Archiv", "Archiv/1",
                               "Gesendet", "Gesendet/2020", "INBOX", "a;b"]


@pytest.mark.parametrize("rules, words", [
    ("a = c; b = c", "a and b would both become c"),
    ("a = b", "a and b would both become b"),
    ("INBOX = Old", "the INBOX stays INBOX"),
    ("a = ../b", "the destination cannot have a mailbox ../b"),
])
def test_map_that_cannot_be_followed(dest, rules, words):
    ours = dest.user(driver="mdbox")
    with ImapServer(folders("INBOX", "a", "b")) as server:
        result = backup(dest, ours, server,
                        plugin={"migration_imapc_map": rules})
    assert result.rc == 64, str(result)
    assert f"migration_imapc_map: {words}" in result.err
    assert snapshot.of(ours, pop3=False).count() == 0


def test_map_that_is_none(dest):
    ours = dest.user()
    with ImapServer(folders("INBOX")) as server:
        result = backup(dest, ours, server,
                        plugin={"migration_imapc_map": "Sent"})
    assert result.rc != 0
    assert 'migration_imapc_map: rule "Sent": it has no "="' in result.err


def test_special_use_goes_where_the_destination_has_it(dest):
    ours = dest.user(driver="mdbox")
    report = f"{ours.home}/report.json"
    conf = dest.write_conf(
        f"{dest.dir}/special-use.conf", plugins=("migration_imapc",),
        settings={"namespace inbox": {
            "mailbox Sent": {"special_use": "\\Sent"},
            "mailbox Junk": {"special_use": "\\Junk"},
            "mailbox Trash": {"special_use": "\\Trash"}}})
    with ImapServer(folders("INBOX", "Gesendet", "Spam", "Bin", "Trash"),
                    special_use={"Gesendet": "\\Sent", "Spam": "\\Junk",
                                 "Bin": "\\Trash"}) as server:
        for _ in range(2):
            result = backup(dest, ours, server, report=report, conf=conf)
            assert result.rc == 0, str(result)
    # Trash is another mailbox at the source
    assert mailboxes(ours) == ["Bin", "INBOX", "Junk", "Sent", "Trash"]
    assert ("special-use-not-mapped", "Bin") in findings(report)
    # what the destination's configuration would have to say
    with open(report, encoding="utf-8") as file:
        assert json.load(file)["special_use_missing"] == [
            'mailbox "Bin" { special_use = \\Trash }']


# -- what names say where the server says nothing

@pytest.mark.parametrize("asked", [False, True])
def test_localized_names(dest, asked):
    """migration_imapc_localized_names; two of one use, or a name below another
    one, prove nothing."""
    ours = dest.user(driver="sdbox")
    report = f"{ours.home}/report.json"
    conf = dest.write_conf(
        f"{dest.dir}/localized-{asked}.conf", plugins=("migration_imapc",),
        settings={"namespace inbox": {
            f"mailbox {name}": {"special_use": f"\\{name}"}
            for name in ("Sent", "Junk", "Trash", "Drafts")}})
    names = ("Gesendete Objekte", "Entwürfe", "Papierkorb", "Corbeille",
             "Old/Spamverdacht")
    plugin = {"migration_imapc_localized_names": "yes"} if asked else {}
    with ImapServer(folders("INBOX", *(f"INBOX/{name}" for name in names)),
                    prefix="INBOX/") as server:
        for _ in range(2):
            result = backup(dest, ours, server, report=report, conf=conf,
                            plugin=plugin)
            assert result.rc == 0, str(result)
    expected = set(names) | {"INBOX", "Old"}
    if asked:
        expected |= {"Sent", "Drafts"}
        expected -= {"Gesendete Objekte", "Entwürfe"}
        assert ("mailbox-renamed", "INBOX/Gesendete Objekte") in findings(report)
    assert set(mailboxes(ours)) - {"Old"} == expected - {"Old"}


# -- trees of servers that are not here

EXCHANGE_LIKE = dict(
    tree=folders("INBOX", "Sent Items", "Deleted Items", "Junk Email", "Drafts",
                 "Archive", "Conversation History", "INBOX/Sub/a&b", "R&D 50%",
                 "Übersicht", "with.dot", "~x", "a=41", "x" * 200),
    server=dict(separator="/", identity='"name" "Microsoft.Exchange.Imap4.'
                'Imap4Server" "version" "15.2"', noselect=["INBOX/Sub"]))
GMAIL_LIKE = dict(
    tree=folders("INBOX", "[Gmail]/Alle Nachrichten", "[Gmail]/Gesendet",
                 "[Gmail]/Papierkorb", "Work/Sub", "Work", "a^b", "50% off"),
    server=dict(separator="/", noselect=["[Gmail]"],
                special_use={"[Gmail]/Alle Nachrichten": "\\All",
                             "[Gmail]/Gesendet": "\\Sent",
                             "[Gmail]/Papierkorb": "\\Trash"}))
FORMS = ["mdbox", "maildir-fs", "sdbox", "maildir"]
LIKE = ([(like, form) for like in (EXCHANGE_LIKE, GMAIL_LIKE) for form in FORMS]
        if os.environ.get("DM_LONG") else
        [(EXCHANGE_LIKE, "maildir"), (GMAIL_LIKE, "sdbox")])


@pytest.mark.parametrize("like, form", LIKE, ids=[
    f"{'exchange' if like is EXCHANGE_LIKE else 'gmail'}-{form}"
    for like, form in LIKE])
def test_trees_of_others(dest, like, form):
    """Every mail in its place, what nobody can open is opened by nobody, verify
    compares through the names, and a second run has nothing to do."""
    fields = {}
    if form == "maildir-fs":
        fields = ({"mail": "maildir:~/Maildir:LAYOUT=fs"}
                  if dest.version == "2.3" else
                  {"mailbox_list_layout": "fs"})
    ours = dest.user(driver=form.split("-")[0], fields=fields)
    report = f"{ours.home}/report.json"
    plugin = {"migration_imapc_map": "\\Sent = Sent; Work = Old/Arbeit"}
    with ImapServer(like["tree"], **like["server"]) as server:
        for _ in range(2):
            del server.received[:]
            result = backup(dest, ours, server, report=report, plugin=plugin)
            assert result.rc == 0, str(result)
        assert not any("EXAMINE" in line for line in server.received)
        assert not any("UID FETCH" in line for line in server.received)
        after = snapshot.of(ours, pop3=False)
        held = {name for name, box in after.mailboxes.items() if box.mails}
        assert len(held) == len(like["tree"])
        if like is GMAIL_LIKE:
            assert {"Sent", "Old/Arbeit", "Old/Arbeit/Sub", "50% off"} <= held
        else:
            assert {"INBOX/Sub/a&b", "R&D 50%", "Sent Items"} <= held
        # a parent that nobody could open at the source
        parent = like["server"]["noselect"][0]
        listed = dest.doveadm("mailbox", "status", "-u", ours.name, "messages",
                              parent)
        assert listed.rc != 0 or "messages=0" in listed.out
        if form.startswith(("mdbox", "sdbox")):
            assert parent not in after.mailboxes, sorted(after.mailboxes)

        verified = dest.doveadm(
            "migration", "verify", "--full", "-u", ours.name, "imapc:",
            o={**dest.imapc(server, user="user", password="secret"),
               **dest.plugin_options({"migration_report_path": report,
                                      **plugin})})
        assert verified.rc == 0, str(verified)
        with open(report, encoding="utf-8") as file:
            section = json.load(file)["verify"]
        assert {box["mailbox"] for box in section["mailboxes"]} >= held
        # and sees what is missing there
        victim = "Sent" if like is GMAIL_LIKE else "R&D 50%"
        dest.doveadm("expunge", "-u", ours.name, "mailbox", victim, "all").ok()
        missed = dest.doveadm(
            "migration", "verify", "-u", ours.name, "imapc:",
            o={**dest.imapc(server, user="user", password="secret"),
               **dest.plugin_options({"migration_report_path": report,
                                      **plugin})})
        assert missed.rc != 0
        assert ("mail-missing", victim) in findings(report)


def test_an_import_follows_the_map(dest):
    """Under its names the destination has the mails already: twice is once."""
    ours = dest.user(driver="mdbox")
    options = ({"mail_plugins/migration_import": "yes"}
               if dest.version == "2.4" else
               {"mail_plugins": "migration_imapc migration_import"})
    with ImapServer(folders("INBOX", "Alt", "Alt/Tief", "Spam"),
                    special_use={"Spam": "\\Junk"}) as server:
        for _ in range(2):
            dest.doveadm("import", "-u", ours.name, "imapc:", "", "all",
                         o={**dest.imapc(server, user="user",
                                         password="secret"), **options,
                            **dest.plugin_options({
                                "migration_imapc_map":
                                    "Alt = Neu; !\\Junk"})}).ok()
    after = snapshot.of(ours, pop3=False)
    assert {name: len(box.mails) for name, box in after.mailboxes.items()
            if box.mails} == {"INBOX": 1, "Neu": 1, "Neu/Tief": 1}


def test_what_is_not_carried_is_said(dest):
    ours = dest.user(driver="sdbox")
    report = f"{ours.home}/report.json"
    with ImapServer(folders("INBOX", "Flat"), special_use={
            "Flat": "\\NoInferiors"}, capabilities="IMAP4rev1 LITERAL+ SASL-IR "
            "AUTH=PLAIN NAMESPACE ACL METADATA") as server:
        assert backup(dest, ours, server, report=report).rc == 0
    with open(report, encoding="utf-8") as file:
        said = {item["what"]: item for item in json.load(file)["not_carried"]}
    assert said["noinferiors"]["mailboxes"] == ["Flat"]
    assert set(said) == {"noinferiors", "acl", "metadata"}
