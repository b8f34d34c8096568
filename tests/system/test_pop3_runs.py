# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_pop3 over several runs, several mailboxes, and runs that are cut
short."""

import json
import time

import pytest

from lab import mailgen, places, snapshot
from lab.latency import Fault, Link
from lab.scripted import On, Pop3Server
from test_pop3_uidl import (FORMATS, backup, expunge, pop3_conf, with_uidls)


@pytest.fixture(scope="module")
def conf(source, dest):
    return pop3_conf(dest, source, "pop3-runs",
                     settings={"dsync_commit_msgs_interval": 10},
                     plugin_settings={"migration_imapc_prefetch": 20})


def stored(dest, conf, user, mailbox):
    """(UIDL, order) of each mail, as they are stored."""
    out = dest.doveadm("-f", "tab", "fetch", "-u", user.name,
                       "pop3.uidl pop3.order", "mailbox", mailbox,
                       conf=conf).ok().out
    return [tuple(line.split("\t")) for line in out.splitlines()[1:]]


def wait_until_stuck(link):
    """Nothing moves on the wire any more, so all that could be is saved."""
    places.wait_for(lambda: link.count(r"\S+ UID FETCH .*BODY.PEEK\[\]") > 0,
                    "texts being fetched")
    seen = None
    while seen != link.bytes_down:
        seen = link.bytes_down
        time.sleep(0.5)


@pytest.mark.parametrize("driver", FORMATS)
def test_killed_and_resumed(source, dest, conf, driver):
    """SIGKILL at three points; after enough runs nothing is missing and no
    UIDL is on another mail (stock: 199 of 678 were left)."""
    ours = dest.user(driver=driver)
    theirs = source.user(ours.name)
    mails = with_uidls(mailgen.mails(200, size=900),
                       order=lambda n: n * 7919 % 211 + 1)
    for number in (60, 120, 180):
        mails[number].text += b"stop here %d\r\n" % number
    mailgen.deliver(theirs, {"INBOX": mails})
    before = snapshot.of(theirs)

    for number in (60, 120, 180):
        with Link(0) as link:
            stuck = link.to(source.ports["imap"], Fault(
                "hang", at_text=b"stop here %d" % number, times=99))
            run = dest.start_doveadm("backup", "-R", "-u", ours.name,
                                     "imapc:", conf=conf,
                                     o={"imapc_port": stuck})
            try:
                wait_until_stuck(link)
            finally:
                run.kill()
                run.wait()
    for _ in range(2):
        backup(dest, conf, ours)
    backup(dest, conf, ours).ok()
    assert snapshot.of(ours) == before


def test_order_stays_over_many_runs(source, dest, conf):
    """Each run deletes some of the oldest and brings some new ones (R6)."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(
        mailgen.mails(20), order=lambda n: 100 - n)})
    limit = dest.plugin_options({"migration_max_deletes": "4"})
    for number in range(5):
        backup(dest, conf, ours, o=limit).ok()
        assert snapshot.of(ours) == snapshot.of(theirs)
        expunge(theirs, "INBOX", range(number * 3 + 1, number * 3 + 4))
        mailgen.append(theirs, "INBOX", mailgen.mails(4, seed=f"r{number}"))
    backup(dest, conf, ours, o=limit).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_known_pairs_need_no_headers(source, dest, conf):
    """The second run matches what is new only."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mails = with_uidls(mailgen.mails(60))
    mailgen.deliver(theirs, {"INBOX": mails[:50]})
    backup(dest, conf, ours).ok()
    mailgen.append(theirs, "INBOX", mailgen.mails(3, seed="new"))
    with Link(0) as link:
        backup(dest, conf, ours,
               o={"pop3c_port": link.to(source.ports["pop3"])}).ok()
        assert 0 < link.count(r"TOP ") <= 3
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_a_mail_delivered_between_the_listings(source, dest, conf):
    """POP3 lists it, IMAP did not yet: no reason to leave the INBOX out."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mails = with_uidls(mailgen.mails(6))
    late = mails.pop()
    mailgen.deliver(theirs, {"INBOX": mails})

    def deliver_and_list(connection, _):
        mailgen.append(theirs, "INBOX", [late])
        connection.send_lines("+OK", [f"{number} {server.uidl(number)}"
                                      for number in range(1, 7)])

    with Pop3Server(mails + [late],
                    users={theirs.name: source.master_password},
                    faults=[On("UIDL", deliver_and_list, times=1)]) as server:
        port = {"pop3c_port": server.port}
        backup(dest, conf, ours, o=port).ok()
        assert len(snapshot.of(ours).pop3) == 5
        backup(dest, conf, ours, o=port).ok()
    assert [uidl for uidl, _ in snapshot.of(ours).pop3] == [
        mail.uidl for mail in mails + [late]]


# -- several mailboxes

@pytest.fixture(scope="module")
def all_conf(source, dest):
    return pop3_conf(dest, source, "pop3-all",
                     plugin_settings={"migration_pop3_all_mailboxes": "yes"})


@pytest.mark.parametrize("driver", FORMATS)
def test_maildrop_that_merges_folders(source, dest, all_conf, driver):
    """Each UIDL goes to its mail in its folder; a copy in a second folder gets
    none (R5); the order goes through all folders."""
    ours = dest.user(driver=driver)
    theirs = source.user(ours.name)
    inbox, archive = mailgen.mails(6, seed="i"), mailgen.mails(5, seed="a")
    copy = inbox[2]
    mailgen.deliver(theirs, {"INBOX": inbox, "Archive": archive + [copy],
                             "Other": mailgen.mails(2, seed="d")})
    drop = [mail for pair in zip(archive, inbox) for mail in pair] + inbox[5:]
    for number, mail in enumerate(drop):
        mail.uidl = f"drop-{number}"
    with Pop3Server(drop,
                    users={theirs.name: source.master_password}) as server:
        backup(dest, all_conf, ours, o={"pop3c_port": server.port}).ok()
    assert snapshot.of(ours).mailboxes == snapshot.of(theirs).mailboxes

    seen = stored(dest, all_conf, ours, "INBOX") + stored(
        dest, all_conf, ours, "Archive")
    by_order = sorted((int(order), uidl) for uidl, order in seen if uidl)
    assert [uidl for _, uidl in by_order] == [mail.uidl for mail in drop]
    assert stored(dest, all_conf, ours, "Other") == [("", "")] * 2
    assert [uidl for uidl, _ in snapshot.of(ours).pop3] == [
        mail.uidl for mail in drop if mail in inbox]


def test_leftovers_of_all_mailboxes_are_reported(source, dest, folder):
    ours = dest.user()
    theirs = source.user(ours.name)
    mails = with_uidls(mailgen.mails(3))
    strange = mailgen.mails(1, seed="strange")[0]
    strange.uidl = "strange-uidl"
    mailgen.deliver(theirs, {"INBOX": mails})
    conf = pop3_conf(dest, source, "pop3-all-report", plugin_settings={
        "migration_pop3_all_mailboxes": "yes",
        "migration_report_path": "~/report.json"})
    with Pop3Server(mails + [strange],
                    users={theirs.name: source.master_password}) as server:
        backup(dest, conf, ours, o={"pop3c_port": server.port}).ok()
    with open(f"{ours.home}/report.json", encoding="utf-8") as file:
        assert "strange-uidl" in file.read()
    assert snapshot.of(ours).pop3[:3] == snapshot.of(theirs).pop3


@pytest.mark.parametrize("driver", FORMATS)
def test_import_keeps_uidls(source, dest, driver):
    """doveadm import asks for one mail at a time; the maildrop is matched once
    all the same."""
    conf = pop3_conf(dest, source, f"import-{driver}", words=[
        "migration_imapc", "migration_import", "migration_pop3"])
    ours = dest.user(driver=driver)
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(
        mailgen.mails(30), order=lambda n: 100 - n), "Sent": mailgen.mails(3)})
    with Link(0) as link:
        port = {"pop3c_port": link.to(source.ports["pop3"])}
        for _ in range(2):
            dest.doveadm("import", "-u", ours.name, "imapc:", "", "ALL",
                         conf=conf, o=port).ok()
        assert link.connections <= 2
        assert link.count(r"TOP ") <= 60
    assert snapshot.of(ours).pop3 == snapshot.of(theirs).pop3


# -- what earlier runs left

def test_import_without_pop3_saves_nothing(source, dest):
    """A mail that came without its UIDL would keep none."""
    conf = pop3_conf(dest, source, "import-refused", words=[
        "migration_imapc", "migration_import", "migration_pop3"])
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(4))})
    words = ("import", "-u", ours.name, "imapc:", "", "ALL")
    result = dest.doveadm(*words, conf=conf,
                          o={"pop3c_port": places.free_port()})
    assert result.rc == 75, result
    assert snapshot.of(ours).mailboxes["INBOX"].mails == {}
    dest.doveadm(*words, conf=conf).ok()
    assert snapshot.of(ours).pop3 == snapshot.of(theirs).pop3


def test_uidls_that_stock_hid_are_shown(source, dest, conf):
    """sdbox-uidl-max: stock's second run stores UIDLs that POP3 never shows."""
    stock = pop3_conf(dest, source, "stock", words=["pop3_migration"],
                      plugin_settings={
                          "pop3_migration_mailbox": "POP3-SOURCE/INBOX"})
    ours = dest.user(driver="sdbox")
    theirs = source.user(ours.name)
    mails = with_uidls(mailgen.mails(12))
    uidls = [mail.uidl for mail in mails]

    def served():
        return [uidl for uidl, _ in snapshot.of(ours).pop3]

    mailgen.deliver(theirs, {"INBOX": mails[:5]})
    with Pop3Server(mails[:5],
                    users={theirs.name: source.master_password}) as server:
        port = {"pop3c_port": server.port}
        backup(dest, stock, ours, o=port).ok()
        assert served() == uidls[:5]
        mailgen.append(theirs, "INBOX", mails[5:11])
        server.mails = mails[:11]
        backup(dest, stock, ours, o=port)
        assert served() != uidls[:11]
        mailgen.append(theirs, "INBOX", mails[11:])
        server.mails = mails
        backup(dest, conf, ours, o=port).ok()
    assert served() == uidls


def test_mails_that_came_without_uidl_are_named(source, dest):
    """Migrated before the plugin was configured: another command's work."""
    conf = pop3_conf(dest, source, "late-plugin", plugin_settings={
        "migration_report_path": "~/report.json"})
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(4))})
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o=dest.imapc(source, user=theirs.name)).ok()
    mailgen.append(theirs, "INBOX", mailgen.mails(1, seed="new"))
    backup(dest, conf, ours).ok()
    with open(f"{ours.home}/report.json", encoding="utf-8") as file:
        findings = json.load(file)["findings"]
    (found,) = [f for f in findings if f["what"] == "uidl-not-stored"]
    assert found["why"].startswith("4 mails were migrated earlier without")
    assert "doveadm migration uidl" in found["why"]
    dest.doveadm("migration", "uidl", "-u", ours.name, conf=conf).ok()
    assert snapshot.of(ours).pop3 == snapshot.of(theirs).pop3


@pytest.mark.parametrize("separator", ["/", "."])
def test_known_pairs_in_nested_folders(source, dest, separator):
    """Pairs of an earlier run are found again below other folders, also where
    the two sides separate names by other characters."""
    conf = pop3_conf(dest, source, f"nested-{ord(separator)}", plugin_settings={
        "migration_pop3_all_mailboxes": "yes"})
    ours = dest.user()
    theirs = source.user(ours.name)
    inbox, deep = mailgen.mails(4, seed="in"), mailgen.mails(5, seed="deep")
    late = mailgen.mails(1, seed="late")[0]
    for number, mail in enumerate([*deep, *inbox, late]):
        mail.uidl = f"nested-{number}"
    mailgen.deliver(theirs, {"INBOX": inbox, "Work": [],
                             "Work/Old": [], "Work/Old/2019": deep})
    shown = deep + inbox
    port = {"namespace/inbox/separator": separator}
    with Pop3Server(list(shown), users={
            theirs.name: source.master_password}) as server:
        port["pop3c_port"] = server.port
        backup(dest, conf, ours, o=port).ok()
        mailgen.append(theirs, "Work/Old/2019", [late])
        server.mails = shown + [late]
        before = server.count("TOP ")
        run = backup(dest, conf, ours, o=port, debug=True).ok()
        assert server.count("TOP ") - before <= 1
    assert "9 UIDLs matched by an earlier run" in run.err
    name = separator.join(["Work", "Old", "2019"])
    out = dest.doveadm("-f", "tab", "fetch", "-u", ours.name, "pop3.uidl",
                       "mailbox", name, conf=conf,
                       o={"namespace/inbox/separator": separator}).ok().out
    assert out.splitlines()[1:] == [mail.uidl for mail in [*deep, late]]
