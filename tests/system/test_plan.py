# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm migration plan for backup, sync and import: what it says is what the
run then does and what verify then finds, in every number; and what it says
besides.

A pair of mailboxes is its seed: DM_SEED=17 ./dev test -k plan runs that one."""

import collections
import json
import os
import random

import pytest

from lab import Dovecot, mailgen
from lab.scripted import Pop3Server
from test_pop3_uidl import backup, pop3_conf, with_uidls

SAFE, CANNOT, WOULD_DELETE = 0, 3, 4
# seeds for each version and mode
SAMPLE, ALL = 2, 200
LIMITS = ("auto", "unlimited", "2", "30%")


def seeds():
    if "DM_SEED" in os.environ:
        return [int(os.environ["DM_SEED"])]
    return range(ALL if "DM_LONG" in os.environ else SAMPLE)


@pytest.fixture(scope="module")
def here(version, ca):
    settings = {"mailbox_list_drop_noselect": False}
    with Dovecot(version, ca=ca, plugins=("migration_imapc",
                                          "migration_import"),
                 settings=settings if version == "2.4" else None) as server:
        yield server


def doveadm(user, *args):
    """doveadm's commands of two words take their options after both."""
    words = 2 if args[0] in ("mailbox", "flags") else 1
    return user.server.doveadm(*args[:words], "-u", user.name,
                               *args[words:]).ok()


def state(user):
    """{mailbox: {(UID, Message-ID, size): (flags, keywords)}}"""
    result = {}
    for line in user.server.doveadm(
            "mailbox", "list", "-u", user.name).ok().out.splitlines():
        result[line] = {}
    fetched = user.server.doveadm(
        "-f", "json", "fetch", "-u", user.name,
        "mailbox uid hdr.message-id size.virtual flags", "all").ok().out
    for mail in json.loads(fetched or "[]"):
        key = (int(mail["uid"]), mail["hdr.message-id"],
               int(mail["size.virtual"]))
        result[mail["mailbox"]][key] = frozenset(
            flag for flag in mail["flags"].lower().split()
            if flag != "\\recent")
    return result


class Pair:
    """A user of the source, and his mailboxes at the destination, which have a
    past of their own."""

    def __init__(self, seed, source, here, mode):
        self.rnd = random.Random(f"plan {seed}")
        self.serial = 0
        self.mode = mode
        self.names = ["INBOX", "Sent", "Work"]
        self.theirs = source.user()
        self.ours = here.user(driver=self.rnd.choice(
            ("maildir", "sdbox", "mdbox")))
        mailgen.deliver(self.theirs, {
            name: mailgen.mails(self.rnd.randrange(12), seed=f"{seed}{name}",
                                size=(50, 900))
            for name in self.names})
        self.settings = {
            **here.imapc(source, user=self.theirs.name),
            **here.plugin_options({
                "migration_max_deletes": self.rnd.choice(LIMITS),
                "migration_report_path": f"{self.ours.home}/report.json"})}
        self.log = [self.ours.driver]

    # -- the past

    def live(self):
        for _ in range(self.rnd.randrange(3)):
            self.change(self.theirs)
        past = self.rnd.random()
        if past < 0.8:
            self.run("backup" if past < 0.7 else "sync")
        for _ in range(self.rnd.randrange(4)):
            self.change(self.theirs)
        for _ in range(self.rnd.choice((0, 0, 1, 3))):
            self.change(self.ours)

    def change(self, user):
        side = "source" if user is self.theirs else "here"
        if self.rnd.random() < 0.15:
            self.change_mailbox(user, side)
            return
        have = [name for name in state(user) if name in self.names]
        if not have:
            return
        name = self.rnd.choice(have)
        uids = sorted(uid for uid, _, _ in state(user)[name])
        what = self.rnd.choice(("new", "new", "flag", "expunge"))
        self.log.append((side, what, name))
        if what == "new" or not uids:
            self.serial += 1
            mailgen.append(user, name, mailgen.mails(
                self.rnd.randint(1, 3), seed=f"new{self.serial}", size=300))
            return
        query = ("mailbox", name, "uid", ",".join(
            map(str, self.rnd.sample(uids, min(len(uids),
                                               self.rnd.randint(1, 3))))))
        if what == "flag":
            doveadm(user, "flags", self.rnd.choice(("add", "remove")),
                    self.rnd.choice(("\\Seen", "\\Flagged", "$Done")), *query)
        else:
            doveadm(user, "expunge", *query)

    def change_mailbox(self, user, side):
        if user is self.theirs and self.rnd.random() < 0.3:
            self.renumber()
            return
        names = [name for name in state(user) if name != "INBOX"]
        if names and self.rnd.random() < 0.5:
            name = self.rnd.choice(names)
            self.log.append((side, "delete", name))
            doveadm(user, "mailbox", "delete", name)
        else:
            name = f"Own{len(self.names)}"
            self.names.append(name)
            self.log.append((side, "create", name))
            doveadm(user, "mailbox", "create", name)
            mailgen.append(user, name, mailgen.mails(2, seed=name, size=100))

    def renumber(self):
        """Another UIDVALIDITY, and other UIDs where that replaces the mailbox."""
        name = self.rnd.choice(sorted(state(self.theirs)))
        other_uids = self.mode == "backup" and self.rnd.random() < 0.5
        self.log.append(("source", "renumber", name, other_uids))
        self.serial += 1
        if other_uids and state(self.theirs)[name]:
            first = min(uid for uid, _, _ in state(self.theirs)[name])
            doveadm(self.theirs, "copy", name, "mailbox", name, "uid",
                    str(first))
            doveadm(self.theirs, "expunge", "mailbox", name, "uid", str(first))
        doveadm(self.theirs, "mailbox", "update", "--uid-validity",
                str(1700000000 + self.serial), name)

    # -- the commands

    def run(self, mode):
        command = {"backup": ("backup", "-R"), "sync": ("sync", "-1", "-R"),
                   "import": ("import",)}[mode]
        query = ("", "all") if mode == "import" else ()
        result = self.ours.server.doveadm(
            *command, "-u", self.ours.name, "imapc:", *query, o=self.settings)
        assert result.rc in (0, 3), (self.log, result)
        with open(f"{self.ours.home}/report.json") as file:
            report = json.load(file)
        return result, {box["mailbox"]: box for box in report["mailboxes"]}

    def plan(self, *args):
        result = self.ours.server.doveadm(
            "-f", "json", "migration", "plan", "-u", self.ours.name,
            "--mode", self.mode, *args, "imapc:", o=self.settings)
        assert result.rc in (SAFE, CANNOT, WOULD_DELETE), (self.log, result)
        with open(f"{self.ours.home}/report.json") as file:
            section = json.load(file)["plan"]
        rows = json.loads(result.out)
        return result, rows, section

    def verify(self, *args):
        result = self.ours.server.doveadm(
            "-f", "json", "migration", "verify", "-u", self.ours.name,
            *args, "imapc:", o=self.settings)
        return {row["mailbox"]: row for row in json.loads(result.out)}


def numbers(row, *names):
    return tuple(int(row[name]) for name in names)


def count_updates(before, after):
    """Mails that are on both sides of the run under one UID."""
    return sum(before[key] != after[key] for key in before if key in after)


def check_mailbox(pair, row, before, after, ran):
    """One row of a backup's or sync's plan against what the run did."""
    name, action = row["mailbox"], row["action"]
    copied, deleted, updated, renumbered = numbers(
        row, "copied", "deleted", "updated", "renumbered")
    was, now = before.get(name, {}), after.get(name, {})
    where = (pair.log, row)
    assert len(was) == int(row["destination"]), where
    assert len(now) == len(was) + copied - deleted, where
    assert (name in after) == (action not in ("delete", "skip")), where
    # doveadm lists an INBOX that nobody has made yet
    assert (name in before) == (action not in ("create", "skip")) or (
        name == "INBOX" and not was), where
    assert ran.get("saved", 0) == copied + renumbered, (where, ran)
    if action == "replace":
        assert ran.get("deleted", 0) == deleted, (where, ran)
        # what both have is the same mail, with the source's UID now
        same = (collections.Counter((text, size) for _, text, size in was) &
                collections.Counter((text, size) for _, text, size in now))
        assert renumbered == sum(same.values()), where
        assert (sum(size for _, _, size in now) - int(row["bytes"])
                == sum(size * count for (_, size), count in same.items())), (
            where)
        return
    new = [key for key in now if key not in was]
    gone = [key for key in was if key not in now]
    assert len(new) == copied + renumbered, where
    assert len(gone) == deleted + renumbered, where
    messages = {(text, size) for _, text, size in gone}
    assert sum(size for _, text, size in new
               if (text, size) not in messages) == int(row["bytes"]), where
    assert count_updates(was, now) == updated, where


@pytest.mark.parametrize("mode", ["backup", "sync"])
@pytest.mark.parametrize("seed", seeds())
def test_the_run_does_what_the_plan_says(source, here, mode, seed, schema):
    pair = Pair(seed, source, here, mode)
    pair.live()
    before = state(pair.ours)
    there = state(pair.theirs)
    planned, rows, section = pair.plan()
    schema("plan.schema.json", rows)
    # it reads, and writes nothing
    assert state(pair.ours) == before and state(pair.theirs) == there
    assert ({"safe": SAFE, "cannot": CANNOT, "would-delete": WOULD_DELETE}
            [section["verdict"]] == planned.rc), planned

    _, ran = pair.run(mode)
    after = state(pair.ours)
    verified = pair.verify()
    assert {row["mailbox"] for row in rows} == set(before) | set(there)
    for row in rows:
        check_mailbox(pair, row, before, after,
                      ran.get(row["mailbox"], {}))
        checked = verified.get(row["mailbox"])
        if checked is not None:
            assert int(checked["source"]) == int(row["source"]), row
            assert int(checked["destination"]) == len(
                after.get(row["mailbox"], {})), row
        if mode == "backup" and int(row["refused"]) == 0:
            assert checked is None or checked["result"].startswith("equal"), (
                pair.log, row, checked)
    for name in ("copied", "bytes", "deleted", "updated", "renumbered",
                 "refused"):
        assert section[name] == sum(int(row[name]) for row in rows), name
    # planned again there is nothing left but what was refused
    _, again, _ = pair.plan()
    for row in again:
        if mode == "backup":
            assert numbers(row, "copied", "deleted", "updated",
                           "renumbered") == (0, 0, 0, 0), (pair.log, row)


@pytest.mark.parametrize("seed", seeds())
def test_an_import_does_what_the_plan_says(source, here, seed, schema):
    pair = Pair(seed, source, here, "import")
    pair.live()
    before = state(pair.ours)
    planned, rows, _ = pair.plan()
    schema("plan.schema.json", rows)
    assert planned.rc == SAFE, planned
    assert state(pair.ours) == before
    _, ran = pair.run("import")
    after = state(pair.ours)
    for row in rows:
        name = row["mailbox"]
        was, now = before.get(name, {}), after.get(name, {})
        new = [key for key in now if key not in was]
        assert len(new) == int(row["new"]) == ran.get(name, {}).get(
            "saved", 0), (pair.log, row)
        assert sum(size for _, _, size in new) == int(row["bytes"]), (
            pair.log, row)
        assert len(was) == int(row["destination"]), (pair.log, row)
        assert all(key in now for key in was), (pair.log, row)
    verified = pair.verify("--mode", "import")
    assert set(verified) == {name for name in state(pair.theirs)}, pair.log
    for name, row in verified.items():
        assert row["result"].startswith("equal"), (pair.log, row)
        assert row["source"] == row["destination"] == str(
            len(state(pair.theirs)[name])), (pair.log, row)
    # one mail less, of two that may be the same
    [name] = [name for name in after if after[name]][:1] or [None]
    if name in verified and name is not None:
        uid = min(uid for uid, _, _ in after[name])
        doveadm(pair.ours, "expunge", "mailbox", name, "uid", str(uid))
        missing = pair.verify("--mode", "import")[name]
        gone = {text for number, text, _ in after[name] if number == uid}
        theirs = {text for _, text, _ in state(pair.theirs)[name]}
        assert ("1 mail-missing" in missing["result"]) == (gone <= theirs), (
            pair.log, missing)


# -- what else it says

def plan(user, source, *args, o=None, form="json", name=None):
    return user.server.doveadm(
        "-f", form, "migration", "plan", "-u", user.name, *args, "imapc:",
        o={**user.server.imapc(source, user=name), **(o or {})})


def by_name(result):
    return {row["mailbox"]: row for row in json.loads(result.out)}


def test_a_destination_in_use(source, here, schema):
    """Every mail and every mailbox that would go, and what may."""
    theirs, ours = source.user(), here.user(driver="sdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(20, size=100),
                             "Sent": mailgen.mails(3, seed=2, size=100)})
    options = here.plugin_options({"migration_report_path":
                                   f"{ours.home}/report.json"})

    first = plan(ours, source, o=options, name=theirs.name)
    assert first.rc == SAFE, first
    assert {name: (row["action"], row["copied"])
            for name, row in by_name(first).items()} == {
        "INBOX": ("create", "20"), "Sent": ("create", "3")}
    assert "safe: 2 mailboxes made" in first.err
    assert "Copying: about " in first.err and "with 20 mails" in first.err
    assert "IMAP4" in first.err  # what the source can do
    with open(f"{ours.home}/report.json") as file:
        section = json.load(file)["plan"]
    assert section["verdict"] == "safe"
    assert section["estimate"]["sample_mails"] == 20
    assert "IMAP4rev1" in section["source"]["capabilities"]

    here.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o=here.imapc(source, user=theirs.name)).ok()
    doveadm(theirs, "expunge", "mailbox", "INBOX", "uid", "3")
    doveadm(ours, "mailbox", "create", "Mine")
    mailgen.append(ours, "Mine", mailgen.mails(2, seed="mine", size=50))

    result = plan(ours, source, "--details", o=options, name=theirs.name)
    assert result.rc == CANNOT, result
    schema("plan.schema.json", json.loads(result.out))
    assert [(row["mailbox"], row["uid"], row["action"])
            for row in json.loads(result.out)] == [
        ("INBOX", "0", "update"), ("INBOX", "3", "delete"),
        ("Mine", "0", "refuse")]
    assert "migration_max_deletes allows 0" in result.err

    result = plan(ours, source, o={
        **options, **here.plugin_options({"migration_max_deletes": "50%"})},
        name=theirs.name)
    assert result.rc == CANNOT, result
    result = plan(ours, source, "-x", "Mine", o=options, name=theirs.name)
    assert result.rc == WOULD_DELETE, result
    assert by_name(result)["INBOX"]["deleted"] == "1"
    result = plan(ours, source, o={
        **options,
        **here.plugin_options({"migration_max_deletes": "unlimited"})},
        name=theirs.name)
    assert result.rc == WOULD_DELETE, result
    assert by_name(result)["Mine"]["action"] == "delete"
    assert plan(ours, source, "-M", "sync", "-x", "INBOX", o=options,
                name=theirs.name).rc == SAFE

    table = plan(ours, source, o=options, form="table", name=theirs.name)
    head, *lines = table.out.splitlines()
    assert head.split()[:3] == ["Mailbox", "action", "source"]
    assert len(lines) == 3 and "refuse" in table.out
    verbose = here.doveadm("-v", "-f", "json", "migration", "plan", "-u",
                           ours.name, "imapc:", o={
                               **options,
                               **here.imapc(source, user=theirs.name)})
    assert "new-uid" in json.loads(verbose.out)[0]


def test_a_daily_limit(source, here):
    theirs, ours = source.user(), here.user(driver="sdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(40, size=60000)})
    result = plan(ours, source, name=theirs.name, o=here.plugin_options(
        {"migration_imapc_daily_limit": "1M"}))
    assert result.rc == SAFE, result
    assert "; 1 MB/day: 3 days" in result.err


def test_what_the_quota_does_not_hold(version, source):
    plugins, settings = {}, {}
    if version == "2.3":
        plugins = {"quota": "count:User quota", "quota_vsizes": True,
                   "quota_rule": "*:messages=2",
                   "quota_max_mail_size": "5k"}
    else:
        settings = {"quota user": {"quota_message_count": 2},
                    "quota_mail_size": "5k"}
    theirs = source.user()
    mailgen.deliver(theirs, {"INBOX": [*mailgen.mails(2, size=100),
                                       *mailgen.mails(1, size=6000)]})
    with Dovecot(version, plugins=("quota", "migration_imapc"),
                 plugin_settings=plugins, settings=settings) as server:
        ours = server.user(driver="sdbox")
        result = plan(ours, source, name=theirs.name)
    assert result.rc == SAFE, result
    assert "quota-exceeded: 1" in result.err
    assert "room for 2 mails and any number of bytes" in result.err
    assert "mail-too-large: 1" in result.err
    assert "INBOX UID 3 It has 6" in result.err


# -- POP3

def read_report(user):
    with open(f"{user.home}/report.json", encoding="utf-8") as file:
        return json.load(file)


def uidl_findings(report):
    return [found for found in report["findings"]
            if found["what"].startswith("uidl-")]


def test_pop3_mails_without_partner(source, dest, schema):
    """Number, UIDL and reason are the run's own, and so is what becomes of the
    INBOX."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mails = with_uidls(mailgen.mails(4, size=100))
    strange = mailgen.mails(1, seed="strange")[0]
    strange.uidl = "strange-uidl"
    mailgen.deliver(theirs, {"INBOX": mails, "Sent": mailgen.mails(2)})
    reporting = {"migration_report_path": "~/report.json"}
    plugins = ["migration_imapc", "migration_import", "migration_pop3"]
    strict = pop3_conf(dest, source, "plan-strict", words=plugins,
                       plugin_settings=reporting,
                       settings=dest.imapc(source, ssl="starttls"))
    lenient = pop3_conf(
        dest, source, "plan-lenient", words=plugins, plugin_settings={
            **reporting, "migration_pop3_ignore_missing_uidls": "yes"})

    def planned(conf, *args):
        result = dest.doveadm("-f", "json", "migration", "plan", "-u",
                              ours.name, *args, "imapc:", conf=conf, o=port)
        rows = json.loads(result.out)
        schema("plan.schema.json", rows)
        return result, {row["mailbox"]: row for row in rows}, read_report(ours)

    def counts(row):
        return numbers(row, "pop3-matched", "pop3-unmatched", "pop3-none")

    # one mail that IMAP does not have, one that POP3 does not list
    with Pop3Server(mails[:1] + [strange] + mails[2:],
                    users={theirs.name: source.master_password}) as server:
        port = {"pop3c_port": server.port}
        before = state(ours)
        result, rows, report = planned(strict)
        assert result.rc == CANNOT, result
        assert rows["INBOX"]["action"] == "refuse"
        assert numbers(rows["INBOX"], "copied", "bytes", "refused") == (
            0, 0, 0)
        assert counts(rows["INBOX"]) == (3, 1, 1)
        assert counts(rows["Sent"]) == (0, 0, 0)
        assert report["plan"]["pop3"] == {
            "asked": True, "mails": 4, "matched": 3, "unmatched": 1, "none": 1}
        assert report["plan"]["verdict"] == "cannot"
        # with STARTTLS the capabilities are asked for before the login
        assert "PLAIN" in report["plan"]["source"]["auth"]
        assert "authentication by " in result.err
        [said] = [found for found in report["findings"]
                  if found["what"] == "uidl-unmatched"]
        assert said["severity"] == "error"
        assert said["why"].startswith("POP3 mail 2 (UIDL strange-uidl, ")
        assert "POP3: 3 of 4 mails have their IMAP mail" in result.err
        assert state(ours) == before

        run = backup(dest, strict, ours, o=port)
        assert run.rc == CANNOT, run
        assert uidl_findings(read_report(ours)) == uidl_findings(report)
        [line] = [line for line in run.err.splitlines()
                  if "Mailbox INBOX is left out" in line]
        assert line.partition("Mailbox ")[2] in result.err
        after = state(ours)
        assert not after["INBOX"] and len(after["Sent"]) == 2

        # the settings allow it: also for an import
        imported, import_rows, import_report = planned(lenient, "-M", "import")
        result, rows, report = planned(lenient)
        for plan_result, row in ((imported, import_rows["INBOX"]),
                                 (result, rows["INBOX"])):
            assert plan_result.rc == SAFE, plan_result
            assert counts(row) == (3, 1, 1)
        assert import_report["plan"]["pop3"] == report["plan"]["pop3"]
        assert import_rows["INBOX"]["bytes"] == rows["INBOX"]["bytes"]
        other = dest.user()
        theirs_too = {**port, "imapc_user": theirs.name,
                      "pop3c_user": theirs.name}
        dest.doveadm("import", "-u", other.name, "imapc:", "", "all",
                     conf=lenient, o=theirs_too).ok()
        assert uidl_findings(read_report(other)) == uidl_findings(
            import_report)
        assert sum(size for _, _, size in state(other)["INBOX"]) == int(
            import_rows["INBOX"]["bytes"])
        backup(dest, lenient, ours, o=port).ok()
        assert uidl_findings(read_report(ours)) == uidl_findings(report)
        sizes = [size for _, _, size in state(ours)["INBOX"]]
        assert len(sizes) == 4
        assert sum(sizes) == int(rows["INBOX"]["bytes"])

        # now there is nothing to ask for
        result, rows, report = planned(strict)
        assert result.rc == SAFE, result
        assert counts(rows["INBOX"]) == (0, 0, 0)
        assert report["plan"]["pop3"]["asked"] is False

    # the server is gone: there is no plan for the INBOX, as there is no run
    other = dest.user()
    result = dest.doveadm("migration", "plan", "-u", other.name, "imapc:",
                          conf=strict, o=theirs_too)
    assert result.rc == 75, result
    assert backup(dest, strict, other, o=theirs_too).rc == 75
    assert "Source: Mailbox INBOX: " in result.err


def test_wrong_usage(source, here):
    ours = here.user(driver="sdbox")
    for args, word in (((("-M", "twoway"), "must be backup, sync or import")),
                       (("--pop3",), "--pop3 is for --mode import only"),
                       (("-n", "No/"), "no namespace has this prefix")):
        result = plan(ours, source, *args, name=ours.name)
        assert result.rc not in (SAFE, CANNOT, WOULD_DELETE), result
        assert word in result.err, result
