# SPDX-License-Identifier: LGPL-2.1-or-later
"""SIGKILL at each call by which a mail takes its placeholder's place: the next
runs complete it, and leave nothing behind. And before: after the placeholder was
saved."""

import os
import random
import shutil

import pytest

from lab import snapshot, stepkill
from lab.scripted import ImapServer
from test_source_faults import (BAD_UID, always, backup, findings, folders,
                                seen, sound, stored)

LONG = "DM_LONG" in os.environ
# a run that heals has at least so many steps
STEPS = {"sdbox": 60, "mdbox": 60, "maildir": 60}


def steps(version, driver):
    """All of them with --long, else a few that are always the same."""
    if LONG:
        return range(1, 1000)
    return random.Random(f"{version} {driver}").sample(
        range(1, STEPS[driver]), 3)


def restore(user, template):
    shutil.rmtree(user.home)
    shutil.copytree(template, user.home, symlinks=True)
    status = os.stat(template)
    for path, dirs, files in os.walk(user.home):
        for name in [*dirs, *files, "."]:
            os.chown(f"{path}/{name}", status.st_uid, status.st_gid)


def was_killed(dest, server, ours, step):
    """A backup that is killed at that step, if it has as many."""
    return stepkill.run(
        dest, ours, step, "backup", "-R", "-u", ours.name, "imapc:",
        o=dest.imapc(server, user="user", password="secret"))


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_killed_while_it_heals(dest, folder, driver):
    ours = dest.user(driver=driver)
    killed = 0
    with ImapServer(folders(4), bad=always("NO Broken")) as server:
        assert backup(dest, server, ours).rc == 3
        server.bad = sound
        template = f"{folder}/template"
        shutil.copytree(ours.home, template, symlinks=True)
        shutil.copystat(ours.home, template)
        owner = os.stat(ours.home)
        os.chown(template, owner.st_uid, owner.st_gid)
        for step in steps(dest.version, driver):
            restore(ours, template)
            if not was_killed(dest, server, ours, step):
                break
            killed += 1
            result = backup(dest, server, ours)
            assert result.rc == 0, (step, str(result))
            assert findings(ours, "deletion-refused") == [], step
            assert stored(ours) == seen(server), step
            assert sorted(snapshot.of(ours).mailboxes) == [
                "INBOX", "Later"], step
            result = backup(dest, server, ours)
            assert result.rc == 0 and findings(ours) == [], step
            assert stored(ours)["INBOX"][BAD_UID] == seen(
                server)["INBOX"][BAD_UID]
    assert killed >= (STEPS[driver] if LONG else 3), killed


@pytest.mark.parametrize("driver", ["sdbox", "mdbox"])
def test_killed_after_a_placeholder_was_saved(dest, driver):
    """No client has seen it, so the mail takes its place."""
    killed = 0
    with ImapServer(folders(5)) as server:
        for step in range(40, 1000) if LONG else (95, 105):
            ours = dest.user(driver=driver)
            server.bad = always("NO Broken")
            if not was_killed(dest, server, ours, step):
                break
            killed += 1
            server.bad = sound
            result = backup(dest, server, ours)
            assert result.rc == 0, (step, str(result))
            assert stored(ours) == seen(server), step
    assert killed >= (STEPS[driver] if LONG else 2), killed
