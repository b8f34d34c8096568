# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random fault schedules: runs that are cut, killed and stopped anywhere, with
changes at the source between them. The next undisturbed run makes the user equal
to the source, and one more changes nothing.

A schedule is its seed: DM_SEED=17 ./dev test -k random runs that one, and
DM_SEED=100-199 those."""

import hashlib
import json
import os
import random
import signal
import subprocess
import time

import pytest

from lab import Dovecot, interrupt, mailgen, snapshot
from lab.latency import Fault, Link

# schedules for each version
SAMPLE, ALL = 4, 1000


def seeds():
    if "DM_SEED" in os.environ:
        first, _, last = os.environ["DM_SEED"].partition("-")
        return range(int(first), int(last or first) + 1)
    return range(ALL if "DM_LONG" in os.environ else SAMPLE)


@pytest.fixture(scope="module")
def here(version, ca):
    settings = {"mailbox_list_drop_noselect": False}
    with Dovecot(version, ca=ca, plugins=("migration_imapc",),
                 settings=settings if version == "2.4" else None) as server:
        yield server


class Schedule:
    def __init__(self, seed, source, here):
        self.rnd = random.Random(f"faults {seed}")
        self.names = ["INBOX", "Sent", "Work"]
        self.serial = 0
        self.theirs = source.user()
        self.ours = here.user(driver=self.rnd.choice(
            ("maildir", "sdbox", "mdbox")))
        # of all mails that the source ever had
        self.sums = set()
        mailgen.deliver(self.theirs, {
            name: self.mails(self.rnd.randrange(12), f"{seed}{name}")
            for name in self.names})
        # what the server was asked for can be on its way for a while
        self.round_trip = self.rnd.choice((0, 0, 0.005, 0.02))
        self.log = [self.ours.driver, f"{self.round_trip} s"]

    def mails(self, count, seed):
        mails = mailgen.mails(count, seed=seed)
        self.sums.update(hashlib.sha256(mail.text).hexdigest()
                         for mail in mails)
        return mails

    # -- the source

    def change(self):
        """What its user does."""
        for _ in range(self.rnd.randrange(3)):
            what = self.rnd.choice((self.append, self.flag, self.expunge,
                                    self.create))
            self.log.append(what.__name__)
            what(self.rnd.choice(self.names))

    def append(self, name):
        self.serial += 1
        mailgen.append(self.theirs, name, self.mails(
            self.rnd.randint(1, 3), f"new {self.serial}"))

    def flag(self, name):
        self.doveadm("flags", self.rnd.choice(("add", "remove")), "-u",
                     self.theirs.name, "\\Flagged", "mailbox", name,
                     f"{self.rnd.randint(1, 8)}:*")

    def expunge(self, name):
        self.doveadm("expunge", "-u", self.theirs.name, "mailbox", name,
                     str(self.rnd.randint(1, 5)))

    def create(self, _):
        self.serial += 1
        self.names.append(f"New{self.serial}")
        self.doveadm("mailbox", "create", "-u", self.theirs.name,
                     self.names[-1])

    def doveadm(self, *words):
        self.theirs.server.doveadm(*words).ok()

    # -- runs

    def options(self, port, **settings):
        server = self.ours.server
        return {**server.imapc(self.theirs.server, user=self.theirs.name,
                               port=port),
                **server.plugin_options({
                    # expunges at the source are part of the play
                    "migration_max_deletes": "unlimited", **settings})}

    def start(self, port):
        return self.ours.server.start_doveadm(
            "backup", "-R", "-u", self.ours.name, "imapc:",
            # for "hang"
            o=self.options(port, migration_imapc_timeout="1s"),
            stderr=subprocess.PIPE, text=True)

    def disturbed(self, link):
        port = self.theirs.server.ports["imap"]
        kind = self.rnd.choice(("cut", "close", "hang", "bytes", "kill",
                                "term", "any time"))
        number = self.rnd.randint(1, 16)
        self.log.append(f"{kind} {number}")
        if kind in ("kill", "term"):
            process, _ = interrupt.after_answer(
                link, port, number, self.start,
                signal.SIGKILL if kind == "kill" else signal.SIGTERM)
        elif kind == "any time":
            process = self.start(port)
            time.sleep(self.rnd.random() * 0.3)
            process.kill()
        else:
            fault = (Fault("cut", after_bytes=number * 900)
                     if kind == "bytes" else
                     Fault(kind, after_answers=number,
                           times=self.rnd.randint(1, 3)))
            link.reset()
            process = self.start(link.to(port, fault))
        _, err = process.communicate(timeout=120)
        assert process.returncode in (0, 2, 3, 75, -signal.SIGKILL), err
        assert "Panic" not in err and "AddressSanitizer" not in err, err

    def look(self):
        """A client of the destination sees no mail that was changed or cut."""
        self.log.append("look")
        for name, box in snapshot.of(self.ours,
                                     pop3=False).mailboxes.items():
            for uid, mail in box.mails.items():
                assert mail.sha256 in self.sums, (name, uid)

    def undisturbed(self):
        result = self.ours.server.doveadm(
            "backup", "-R", "-u", self.ours.name, "imapc:",
            o=self.options(self.theirs.server.ports["imap"])).ok()
        assert snapshot.of(self.ours, pop3=False) == snapshot.of(
            self.theirs, pop3=False)
        with open(f"{self.ours.home}/dovecot-migration-report.json") as file:
            return result, json.load(file)["counters"]


@pytest.mark.parametrize("seed", seeds())
def test_a_random_schedule(source, here, seed):
    schedule = Schedule(seed, source, here)
    try:
        with Link(schedule.round_trip) as link:
            for _ in range(schedule.rnd.randint(1, 4)):
                schedule.disturbed(link)
                if schedule.rnd.random() < 0.5:
                    schedule.look()
                schedule.change()
        schedule.undisturbed()
        _, counters = schedule.undisturbed()
        assert counters["mails_saved"] == counters["mails_expunged"] == 0
        assert counters["mailboxes_deleted"] == 0
    except BaseException:
        print(f"DM_SEED={seed}: {', '.join(schedule.log)}")
        raise
