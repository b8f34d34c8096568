# SPDX-License-Identifier: LGPL-2.1-or-later
"""SIGKILL at each call by which the destination is changed, and new runs: the
lists of mails, UIDLs and their order are the source's."""

import os
import random

import pytest

from lab import mailgen, snapshot, stepkill
from test_pop3_uidl import FORMATS, backup, pop3_conf, with_uidls

LONG = os.environ.get("DM_LONG") == "1"
# a whole run has at least so many steps
STEPS = {"sdbox": 150, "mdbox": 140, "maildir": 200}


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
    """All of them with --long, else three that are always the same."""
    if LONG:
        return range(1, 1000)
    return random.Random(f"{version} {driver}").sample(
        range(1, STEPS[driver]), 3)


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
    assert killed >= (STEPS[driver] if LONG else 3)
    print(f"{driver}: killed at {killed} steps")


def finish(dest, conf, ours, server):
    """sdbox-killed-commit, mdbox-killed-commit: the first run finds what the
    killed one left, the second one clears it up."""
    backup(dest, conf, ours, o=server)
    backup(dest, conf, ours, o=server)
    backup(dest, conf, ours, o=server).ok()
