# SPDX-License-Identifier: LGPL-2.1-or-later
"""SIGKILL at each call by which the destination is changed, and new runs: the
lists of mails, UIDLs and their order are the source's."""

import os
import random

import pytest

from lab import mailgen, snapshot, stepkill
from test_pop3_uidl import FORMATS, backup, pop3_conf, with_uidls

LONG = os.environ.get("DM_LONG") == "1"
# about how many steps a whole run has
STEPS = {"sdbox": 160, "mdbox": 120, "maildir": 120}


@pytest.fixture(scope="module")
def conf(source, dest):
    return pop3_conf(dest, source, "pop3-killed",
                     settings={"dsync_commit_msgs_interval": 5})


@pytest.fixture(scope="module")
def theirs(source):
    user = source.user()
    mailgen.deliver(user, {"INBOX": with_uidls(
        mailgen.mails(14, size=700), order=lambda n: n * 5 % 17 + 1),
        "Sent": mailgen.mails(2, size=700)})
    return user


def steps(version, driver):
    """All of them with --long, else two that are always the same."""
    if LONG:
        return range(1, 1000)
    return random.Random(f"{version} {driver}").sample(
        range(1, STEPS[driver]), 2)


@pytest.mark.parametrize("driver", FORMATS)
def test_killed_at_a_step(source, dest, conf, theirs, driver):
    before = snapshot.of(theirs)
    killed = 0
    for step in steps(dest.version, driver):
        ours = dest.user(driver=driver)
        server = {"imapc_user": theirs.name, "pop3c_user": theirs.name}
        if not stepkill.run(dest, ours, step, "backup", "-R", "-u", ours.name,
                            "imapc:", conf=conf, o=server):
            break
        killed += 1
        finish(dest, conf, ours, server)
        assert snapshot.of(ours) == before, f"killed at step {step}"
    # the steps were there
    assert killed >= (50 if LONG else 2)
    print(f"{driver}: killed at {killed} steps")


def finish(dest, conf, ours, server):
    """sdbox-killed-commit: the first run can find a file that the index does
    not have."""
    for _ in range(3):
        run = backup(dest, conf, ours, o=server)
        if run.rc == 0:
            break
    run.ok()
