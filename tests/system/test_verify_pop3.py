# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm migration verify: the UIDLs and the order that the destination's
POP3 server gives, against the source's POP3 server."""

import json

import pytest

import lab
from lab import mailgen, snapshot
from lab.scripted import Pop3Server

EQUAL, DIFFERENT = 0, 3
UIDLS = ["a1", "b-2", "c.3", "d:4", "e{5}"]


def mails(uidls=UIDLS, orders=(None,) * 9):
    """The same five mails, with these UIDLs; None: none of its own."""
    result = mailgen.mails(len(UIDLS), seed="pop3", flags=False)
    for mail, uidl, order in zip(result, uidls, orders):
        mail.uidl, mail.pop3_order = uidl, order
    return result


class Pair:
    """One account, written into the Maildirs of both sides."""

    def __init__(self, source, dest, folder, source_mails, dest_mails,
                 **plugin_settings):
        self.source_user = source.user()
        self.user = dest.user(self.source_user.name, driver="maildir")
        mailgen.deliver(self.source_user, {"INBOX": source_mails})
        mailgen.deliver(self.user, {"INBOX": dest_mails})
        self.conf = dest.write_conf(
            f"{folder}/dovecot.conf", namespaces=[dest.pop3c_namespace()],
            plugin_settings={"migration_pop3_mailbox": "POP3-SOURCE/INBOX",
                             **plugin_settings},
            settings={**dest.imapc(source), **dest.pop3c(source)})
        self.dest = dest

    def verify(self, *args, **options):
        return self.dest.doveadm("-f", "json", "migration", "verify", "-u",
                                 self.user.name, *args, "imapc:",
                                 conf=self.conf, **options)

    def rows(self, *args):
        result = self.verify(*args)
        return result, {row["mailbox"]: row for row in json.loads(result.out)}

    def differences(self, *args):
        result = self.verify("-d", *args)
        return result, [(row["mailbox"], int(row["uid"]), row["what"],
                         row["source"], row["destination"], row["weight"])
                        for row in json.loads(result.out)]


def served(user):
    return [uidl for uidl, *_ in snapshot.of(user).pop3]


@pytest.fixture
def make(source, dest, folder):
    return lambda *args, **settings: Pair(source, dest, folder, *args,
                                          **settings)


def test_equal(make):
    pair = make(mails(), mails())
    assert snapshot.of(pair.user).pop3 == snapshot.of(pair.source_user).pop3
    result, rows = pair.rows()
    assert result.rc == EQUAL, result
    assert set(rows) == {"INBOX", "INBOX (POP3)"}
    row = rows["INBOX (POP3)"]
    assert (int(row["source"]), int(row["destination"])) == (5, 5)
    assert row["result"] == "equal"


def test_order_of_its_own(make):
    """The order that POP3 shows is not that of the UIDs, on both sides."""
    orders = (5, 1, 4, 2, 3)
    pair = make(mails(orders=orders), mails(orders=orders))
    assert served(pair.user) == [
        "b-2", "d:4", "e{5}", "c.3", "a1"]
    assert pair.verify().rc == EQUAL


def test_wrong_uidl(make):
    pair = make(mails(), mails(["a1", "b-2", "x", "d:4", "e{5}"]))
    result, found = pair.differences()
    assert result.rc == DIFFERENT, result
    assert sorted(found) == [
        ("INBOX (POP3)", 0, "uidl", "c.3", "", "different"),
        ("INBOX (POP3)", 3, "uidl", "", "x", "different")]
    assert "2 uidl" in pair.rows()[1]["INBOX (POP3)"]["result"]


def test_no_uidl(make):
    """What the destination's server makes up is another UIDL."""
    pair = make(mails(), mails(["a1", None, "c.3", "d:4", "e{5}"]))
    made_up = served(pair.user)[1]
    result, found = pair.differences()
    assert result.rc == DIFFERENT, result
    assert sorted(found) == [
        ("INBOX (POP3)", 0, "uidl", "b-2", "", "different"),
        ("INBOX (POP3)", 2, "uidl", "", made_up, "different")]
    assert "pop3_uidl_format" in result.out


def test_same_formula(make):
    """Neither side stores UIDLs, both make up the same."""
    pair = make(mails([None] * 5), mails([None] * 5))
    assert served(pair.user) == served(pair.source_user)
    assert pair.verify().rc == EQUAL


@pytest.mark.parametrize("two_three, two_four", [
    ("%v.%u", "%{uidvalidity}.%{uid}"), ("%f", "%{filename}"),
    ("%08Xv%08Xu", "%{uidvalidity | hex(8)}%{uid | hex(8)}")])
def test_formula_of_the_destination(make, dest, two_three, two_four):
    """Another formula makes other UIDLs: the ones that POP3 really gives."""
    pair = make(mails([None] * 5), mails([None] * 5))
    formula = two_three if dest.version == "2.3" else two_four
    result = pair.dest.doveadm(
        "-f", "json", "migration", "verify", "-d", "-u", pair.user.name,
        "imapc:", conf=pair.conf, o={"pop3_uidl_format": formula})
    assert result.rc == DIFFERENT, result
    with open(f"{pair.user.mail_path}/dovecot-uidlist") as file:
        head, *lines = file.read().splitlines()
    uidvalidity = head.split("V")[1].split()[0]
    file_names = [line.split(":", 1)[1] for line in lines]
    expected = [{"%v": f"{uidvalidity}.{uid}", "%f": name.split(",")[0],
                 "%0": f"{int(uidvalidity):08x}{uid:08x}"}[two_three[:2]]
                for uid, name in enumerate(file_names, 1)]
    found = [row["destination"] for row in json.loads(result.out)
             if row["destination"]]
    assert [name.split(",")[0] for name in found] == expected


def test_wrong_order(make):
    pair = make(mails(orders=(1, 2, 3, 4, 5)), mails(orders=(1, 2, 4, 3, 5)))
    result, found = pair.differences()
    assert result.rc == DIFFERENT, result
    assert found == [("INBOX (POP3)", 0, "pop3-order", "c.3", "d:4",
                      "different")]


def test_uidl_on_another_mail(make):
    """Both lists are the same, but two mails have changed their UIDLs."""
    pair = make(mails(orders=(1, 2, 3, 4, 5)),
                mails(["a1", "c.3", "b-2", "d:4", "e{5}"], (1, 3, 2, 4, 5)))
    assert served(pair.user) == served(pair.source_user)
    result, found = pair.differences()
    assert result.rc == DIFFERENT, result
    assert sorted(found) == [
        ("INBOX (POP3)", 2, "uidl-other-mail", "c.3", "c.3", "different"),
        ("INBOX (POP3)", 3, "uidl-other-mail", "b-2", "b-2", "different")]
    assert int(pair.rows()[1]["INBOX (POP3)"]["texts"]) == 5
    # their sizes differ, so they are looked at in any sample
    assert pair.verify("--sample", "0").rc == DIFFERENT


def test_pop3_server_without_uidl(dest, folder, source):
    theirs = source.user()
    ours = dest.user(theirs.name, driver="maildir")
    mailgen.deliver(theirs, {"INBOX": mails()})
    mailgen.deliver(ours, {"INBOX": mails()})
    with Pop3Server(mails(), users={theirs.name: source.master_password},
                    no_uidl=True) as server:
        conf = dest.write_conf(
            f"{folder}/dovecot.conf", namespaces=[dest.pop3c_namespace()],
            plugin_settings={"migration_pop3_mailbox": "POP3-SOURCE/INBOX"},
            settings={**dest.imapc(source),
                      **dest.pop3c(source, port=server.port)})
        result = dest.doveadm("-f", "json", "migration", "verify", "-u",
                              ours.name, "imapc:", conf=conf)
    assert result.rc not in (EQUAL, DIFFERENT), result
    assert "UIDL" in result.err


def test_repeated_uidl(make):
    """Quirk repeated-uidl."""
    uidls = ["a", "a", "b", "b", "c"]
    assert make(mails(uidls), mails(uidls)).verify().rc == EQUAL


def test_extra_mails_are_allowed_on_demand(make):
    """A mail that came at the destination, and one that the source's POP3
    does not show, are not in the source's list."""
    pair = make(mails()[:4], mails())
    assert pair.verify().rc == DIFFERENT
    assert pair.verify("--allow-extra").rc == EQUAL
    result, found = pair.differences("--allow-extra")
    assert ("INBOX (POP3)", 5, "uidl", "", "e{5}", "expected") in found

    pair = make(mails()[:4], mails(), migration_pop3_ignore_extra_uidls=True)
    result, rows = pair.rows()
    assert result.rc == DIFFERENT
    assert "1 mail-extra" in rows["INBOX"]["result"]
    assert rows["INBOX (POP3)"]["result"] == "equal (expected: 1 uidl)"


def test_not_compared_without_the_inbox(make):
    pair = make(mails(), mails(["wrong"] * 5))
    assert pair.verify().rc == DIFFERENT
    assert pair.verify("-x", "INBOX").rc == EQUAL


def test_pop3_server_refuses(make):
    pair = make(mails(), mails())
    result = pair.verify(o={"pop3c_password": "wrong"})
    assert result.rc in (75, 77), result
    assert "Source: POP3: " in result.err
    assert "uthentication failed" in result.err
    assert json.loads(result.out)[0]["result"] == "equal"


def test_namespace_is_not_pop3c(make):
    pair = make(mails(), mails(), migration_pop3_mailbox="Nowhere/INBOX")
    result = pair.verify()
    assert result.rc not in (EQUAL, DIFFERENT), result
    assert "migration_pop3_mailbox" in result.err
    assert "pop3c" in result.err


@pytest.fixture(scope="module")
def formula_source(version):
    """A source whose UIDLs the destination would not make up."""
    formula = "x%u" if version == "2.3" else "x%{uid}"
    with lab.Dovecot(version, master_password="one-for-all",
                     settings={"pop3_uidl_format": formula}) as server:
        yield server


@pytest.mark.parametrize("driver", ["sdbox", "mdbox"])
def test_uidls_on_disk_that_pop3_does_not_serve(formula_source, dest, folder,
                                                driver):
    """Quirk sdbox-uidl-max: after stock's second run the new mails' UIDLs are
    stored, and POP3 gives others. verify tells what POP3 gives."""
    theirs = formula_source.user()
    ours = dest.user(theirs.name, driver=driver)
    mailgen.deliver(theirs, {"INBOX": mails([None] * 5)})

    def conf(name, **settings):
        return dest.write_conf(
            f"{folder}/{name}.conf", namespaces=[dest.pop3c_namespace()],
            settings={**dest.imapc(formula_source),
                      **dest.pop3c(formula_source)}, **settings)
    stock = conf("stock", plugins=["pop3_migration"], plugin_settings={
        "pop3_migration_mailbox": "POP3-SOURCE/INBOX"})
    proof = conf("proof", plugin_settings={
        "migration_pop3_mailbox": "POP3-SOURCE/INBOX"})

    for number in range(2):
        dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                     conf=stock).ok()
        equal = served(ours) == served(theirs)
        result = dest.doveadm("migration", "verify", "-u", ours.name,
                              "imapc:", conf=proof)
        assert result.rc == (EQUAL if equal else DIFFERENT), result
        assert equal == (number == 0 or driver == "mdbox")
        mailgen.append(theirs, "INBOX", mailgen.mails(1, seed="late"))


@pytest.mark.parametrize("broken", ["", "missing", "order", "other mail"])
def test_maildrop_of_several_folders(source, dest, folder, broken):
    """With migration_pop3_all_mailboxes the UIDLs of all folders are one list;
    mails without a UIDL are none of it."""
    theirs = source.user()
    ours = dest.user(theirs.name, driver="maildir")
    inbox = mailgen.mails(4, seed="inbox", flags=False)
    work = mailgen.mails(4, seed="work", flags=False)
    drop = [mail for pair in zip(work, inbox) for mail in pair]
    mailgen.deliver(theirs, {"INBOX": inbox, "Work/Old": work,
                             "Other": mailgen.mails(2, seed="other")})
    for number, mail in enumerate(drop):
        mail.uidl, mail.pop3_order = f"drop-{number}", number + 1
    if broken == "missing":
        work[1].uidl = None
    elif broken == "order":
        inbox[1].pop3_order, work[3].pop3_order = 7, 4
    elif broken == "other mail":
        inbox[1].uidl, work[3].uidl = work[3].uidl, inbox[1].uidl
        inbox[1].pop3_order, work[3].pop3_order = 7, 4
    mailgen.deliver(ours, {"INBOX": inbox, "Work/Old": work,
                           "Other": mailgen.mails(2, seed="other")})
    for number, mail in enumerate(drop):
        mail.uidl = f"drop-{number}"
    with Pop3Server(drop, users={
            theirs.name: source.master_password}) as server:
        conf = dest.write_conf(
            f"{folder}/dovecot.conf", namespaces=[dest.pop3c_namespace()],
            plugin_settings={"migration_pop3_mailbox": "POP3-SOURCE/INBOX",
                             "migration_pop3_all_mailboxes": "yes"},
            settings={**dest.imapc(source), **dest.pop3c(source),
                      "pop3c_port": server.port})
        verify = ["-f", "json", "migration", "verify", "--full", "-u",
                  ours.name, "imapc:"]
        result = dest.doveadm(*verify, conf=conf)
        differences = json.loads(
            dest.doveadm(*verify, "-d", conf=conf).out)
    (row,) = [row for row in json.loads(result.out)
              if row["mailbox"] == "all mailboxes (POP3)"]
    assert result.rc == (DIFFERENT if broken else EQUAL)
    assert row["source"] == "8"
    assert row["destination"] == ("7" if broken == "missing" else "8")
    assert [found["what"] for found in differences
            if found["mailbox"] == row["mailbox"]] == {
                "": [], "missing": ["uidl"], "order": ["pop3-order"],
                "other mail": ["uidl-other-mail"] * 2}[broken]
