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


def seeds(sample=SAMPLE, every=ALL):
    if "DM_SEED" in os.environ:
        first, _, last = os.environ["DM_SEED"].partition("-")
        return range(int(first), int(last or first) + 1)
    return range(every if "DM_LONG" in os.environ else sample)


@pytest.fixture(scope="module")
def here(version, ca):
    settings = {"mailbox_list_drop_noselect": False}
    with Dovecot(version, ca=ca, plugins=("migration_imapc",),
                 settings=settings if version == "2.4" else None) as server:
        yield server


class Schedule:
    """Runs of one user, disturbed or not. A subclass has the source."""

    def __init__(self, seed, here):
        self.seed = seed
        self.rnd = random.Random(f"faults {seed}")
        self.ours = here.user(driver=self.rnd.choice(
            ("maildir", "sdbox", "mdbox")))
        # what the server was asked for can be on its way for a while
        self.round_trip = self.rnd.choice((0, 0, 0.005, 0.02))
        self.serial = 0
        # of all mails that the source ever had
        self.sums = set()
        self.log = [self.ours.driver, f"{self.round_trip} s"]

    def known(self, mails):
        self.sums.update(hashlib.sha256(mail.text).hexdigest()
                         for mail in mails)
        return mails

    def change(self):
        """What the source's user does."""
        for _ in range(self.rnd.randrange(3)):
            what = self.rnd.choice(self.changes)
            self.log.append(what.__name__)
            what(self)

    def options(self, port, **settings):
        server = self.ours.server
        return {**self.source_options(port),
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
        kind = self.rnd.choice(("cut", "close", "hang", "bytes", "kill",
                                "term", "any time"))
        number = self.rnd.randint(1, 16)
        self.log.append(f"{kind} {number}")
        if kind in ("kill", "term"):
            process, _ = interrupt.after_answer(
                link, self.port, number, self.start,
                signal.SIGKILL if kind == "kill" else signal.SIGTERM)
        elif kind == "any time":
            process = self.start(self.port)
            time.sleep(self.rnd.random() * 0.3)
            process.kill()
        else:
            fault = (Fault("cut", after_bytes=number * 900)
                     if kind == "bytes" else
                     Fault(kind, after_answers=number,
                           times=self.rnd.randint(1, 3)))
            link.reset()
            process = self.start(link.to(self.port, fault))
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
        self.ours.server.doveadm(
            "backup", "-R", "-u", self.ours.name, "imapc:",
            o=self.options(self.port)).ok()
        self.assert_equal()
        with open(f"{self.ours.home}/dovecot-migration-report.json") as file:
            return json.load(file)["counters"]

    def play(self):
        try:
            with Link(self.round_trip) as link:
                for _ in range(self.rnd.randint(1, 4)):
                    self.disturbed(link)
                    if self.rnd.random() < 0.5:
                        self.look()
                    self.change()
            self.undisturbed()
            counters = self.undisturbed()
            assert counters["mails_saved"] == counters["mails_expunged"] == 0
            assert counters["mailboxes_deleted"] == 0
        except BaseException:
            print(f"DM_SEED={self.seed}: {', '.join(self.log)}")
            raise


class DovecotSchedule(Schedule):
    def __init__(self, seed, source, here):
        super().__init__(seed, here)
        self.names = ["INBOX", "Sent", "Work"]
        self.theirs = source.user()
        self.port = source.ports["imap"]
        mailgen.deliver(self.theirs, {
            name: self.known(mailgen.mails(self.rnd.randrange(12),
                                           seed=f"{seed}{name}"))
            for name in self.names})

    def source_options(self, port):
        return self.ours.server.imapc(self.theirs.server, port=port,
                                      user=self.theirs.name)

    def assert_equal(self):
        assert snapshot.of(self.ours, pop3=False) == snapshot.of(
            self.theirs, pop3=False)

    def append(self):
        self.serial += 1
        mailgen.append(
            self.theirs, self.rnd.choice(self.names), self.known(mailgen.mails(
                self.rnd.randint(1, 3), seed=f"new {self.serial}")))

    def flag(self):
        self.doveadm("flags", self.rnd.choice(("add", "remove")), "-u",
                     self.theirs.name, "\\Flagged", "mailbox",
                     self.rnd.choice(self.names),
                     f"{self.rnd.randint(1, 8)}:*")

    def expunge(self):
        self.doveadm("expunge", "-u", self.theirs.name, "mailbox",
                     self.rnd.choice(self.names), str(self.rnd.randint(1, 5)))

    def create(self):
        self.serial += 1
        self.names.append(f"New{self.serial}")
        self.doveadm("mailbox", "create", "-u", self.theirs.name,
                     self.names[-1])

    def doveadm(self, *words):
        self.theirs.server.doveadm(*words).ok()

    changes = (append, flag, expunge, create)


@pytest.mark.parametrize("seed", seeds())
def test_a_random_schedule(source, here, seed):
    DovecotSchedule(seed, source, here).play()
