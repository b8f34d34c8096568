# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gmail: the random fault schedules of test_fault_random.py with an account whose
labels change between the runs. What an undisturbed run makes is the model's."""

import pytest

import lab
from lab import gmail, mailgen
from lab.gmail import GmailServer
from lab.gmail_model import expected

from test_fault_random import Schedule, seeds
from test_gmail_matrix import content

LABELS = ("Work", "Two Words", "\\Starred", "\\Important")


@pytest.fixture(scope="module")
def here(version):
    with lab.Dovecot(version, plugins=("migration_imapc",
                                       "migration_gmail")) as server:
        yield server
        assert " Panic: " not in server.log()


class GmailSchedule(Schedule):
    def __init__(self, seed, here):
        super().__init__(seed, here)
        self.account = gmail.sample(self.rnd.randrange(15, 30), seed)
        self.known(message.mail for message in self.account.messages)
        self.policy = self.rnd.choice(("folders", "keywords", "both"))
        self.log.append(self.policy)

    def source_options(self, port):
        server = self.ours.server
        return {**server.imapc(self.server, user="user", password="secret",
                               port=port),
                **server.plugin_options({
                    "migration_gmail_labels": self.policy})}

    def assert_equal(self):
        boxes = expected(self.account, self.policy)
        assert content(self.ours) == {
            name: box for name, box in boxes.items() if box}

    def play(self):
        with GmailServer(self.account) as self.server:
            self.port = self.server.port
            super().play()

    def append(self):
        self.serial += 1
        mails = mailgen.mails(1, seed=f"{self.seed} new {self.serial}")
        self.known(mails)
        self.account.add("\\Inbox", "Work", mail=mails[0])

    def label(self):
        message = self.rnd.choice(self.account.messages)
        label = self.rnd.choice(LABELS)
        self.account.label(message, ("-" if label in message.labels else "+") +
                           label)

    def archive(self):
        message = self.rnd.choice(self.account.messages)
        if "\\Inbox" in message.labels:
            self.account.archive(message)

    def trash(self):
        self.account.trash(self.rnd.choice(self.account.messages))

    changes = (append, label, archive, trash)


@pytest.mark.parametrize("seed", seeds(2, 300))
def test_a_random_schedule(here, seed):
    GmailSchedule(seed, here).play()
