# SPDX-License-Identifier: LGPL-2.1-or-later
"""courier-examine: mailboxes that nobody has selected yet, whose UIDVALIDITY is
the time of the question. Stock copies them again at each run."""

import time

import pytest

from lab import Courier, Dovecot, courier, mailgen, snapshot


@pytest.fixture(scope="module")
def theirs():
    with Courier() as server:
        yield server


def test_mailboxes_that_nobody_has_selected(version, theirs):
    user = theirs.user()
    courier.deliver(user, mailgen.mails(6))
    courier.deliver(user, mailgen.mails(4, seed=3), "Work")
    settings = {"mailbox_list_drop_noselect": False}
    with Dovecot(version, driver="sdbox", plugins=("migration_imapc",),
                 settings=settings if version == "2.4" else None) as dest:
        ours = dest.user()

        def backup():
            result = dest.doveadm(
                "backup", "-R", "-u", ours.name, "imapc:",
                o=dest.imapc(theirs, user=user.name,
                             password=user.password)).ok()
            # another second, another UIDVALIDITY
            time.sleep(1.1)
            return result

        backup()
        assert "source-selected" in backup().err
        before = snapshot.of(ours, pop3=False)
        assert before.count() == 10
        for _ in range(2):
            result = backup()
            assert "0 findings: complete" in result.err
            assert " saved" not in result.err
            assert snapshot.of(ours, pop3=False) == before
