# SPDX-License-Identifier: LGPL-2.1-or-later
"""The destination's disk is full or read-only, or a commit was killed: what is
there is right, the exit code says to try again, and when there is room the next
run completes the user without doubles."""

import contextlib
import errno
import glob
import os
import random
import subprocess

import pytest

from lab import Dovecot, mailgen, places, snapshot, stepkill

DRIVERS = ("maildir", "sdbox", "mdbox")


def configuration(version):
    settings = {"protocols": "imap"}
    if version == "2.4":
        settings["mailbox_list_drop_noselect"] = False
    return {"plugins": ("migration_imapc",), "settings": settings}


@pytest.fixture(scope="module")
def here(version, ca):
    with Dovecot(version, ca=ca, **configuration(version)) as server:
        yield server


@pytest.fixture(scope="module")
def theirs(source):
    user = source.user()
    mailgen.deliver(user, {"INBOX": mailgen.mails(40, size=9000),
                           "Sent": mailgen.mails(10, seed=3, size=3000)})
    return user


@contextlib.contextmanager
def small_disk(user, size):
    """The user's home is a file system of this size."""
    # where his server sees it
    path = f"{user.server.root.rstrip('/')}{user.home}"
    mount("-t", "tmpfs", "-o", f"size={size},mode=700,uid={places.MAIL_UID},"
          f"gid={places.MAIL_UID}", "tmpfs", path)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def mount(*words):
    """A server's process can have a file open a moment longer than a client
    sees it."""
    places.wait_for(lambda: subprocess.run(["mount", *words]).returncode == 0,
                    f"mount {words}")


def backup(theirs, ours, **how):
    result = ours.server.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:",
        o=ours.server.imapc(theirs.server, user=theirs.name), **how)
    assert "Panic" not in result.err and result.rc >= 0, result
    return result


def assert_part_of(ours, theirs):
    """Each mail that is there is the source's, and none is there twice."""
    wanted = snapshot.of(theirs, pop3=False).mailboxes
    for name, box in snapshot.of(ours, pop3=False).mailboxes.items():
        for uid, mail in box.mails.items():
            assert wanted[name].mails[uid].sha256 == mail.sha256, (name, uid)


def assert_completes(theirs, ours):
    backup(theirs, ours).ok()
    wanted = snapshot.of(theirs, pop3=False)
    assert snapshot.of(ours, pop3=False) == wanted
    ours.server.doveadm("migration", "verify", "--full", "-u", ours.name,
                        "imapc:", o=ours.server.imapc(
                            theirs.server, user=theirs.name)).ok()
    backup(theirs, ours).ok()
    assert snapshot.of(ours, pop3=False) == wanted


@pytest.mark.parametrize("size", ["120k", "250k", "330k"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_full_disk(here, theirs, driver, size):
    if size != "250k" and "DM_LONG" not in os.environ:
        pytest.skip("other sizes: ./dev test --long")
    ours = here.user(driver=driver)
    with small_disk(ours, size) as path:
        result = backup(theirs, ours)
        assert result.rc == 75, result
        assert "No space left" in result.err or "quota" in result.err, result
        mount("-o", "remount,size=50m", path)
        assert_part_of(ours, theirs)
        assert_completes(theirs, ours)


def test_a_failed_save_keeps_the_others(here, theirs):
    """sdbox-failed-save: stock unlinks all mails of the commit."""
    ours = here.user(driver="sdbox")
    with small_disk(ours, "250k") as path:
        assert backup(theirs, ours).rc == 75
        kept = len(glob.glob(f"{path}/sdbox/mailboxes/INBOX/dbox-Mails/u.*"))
        mount("-o", "remount,size=50m", path)
        assert kept > 5
        assert len(snapshot.of(ours, pop3=False)
                   .mailboxes["INBOX"].mails) == kept


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_read_only_destination(here, theirs, driver):
    ours = here.user(driver=driver)
    with small_disk(ours, "50m") as path:
        mount("-o", "remount,ro", path)
        result = backup(theirs, ours)
        assert result.rc in (75, 77), result
        mount("-o", "remount,rw", path)
        assert_completes(theirs, ours)
        # and one that has something
        before = snapshot.of(ours, pop3=False)
        mount("-o", "remount,ro", path)
        backup(theirs, ours)
        mount("-o", "remount,rw", path)
        assert snapshot.of(ours, pop3=False) == before


def steps(version, driver, error):
    if "DM_LONG" in os.environ:
        return range(1, 1000)
    chosen = random.Random(f"{version} {driver} {error}").sample(
        range(1, 60), 2)
    # mdbox-born-without-room: the map has no UIDVALIDITY yet;
    # dbox-sync-without-mail: the first commit
    return [20, 102] if driver == "mdbox" else chosen


@pytest.fixture(scope="module")
def few(source):
    user = source.user()
    mailgen.deliver(user, {"INBOX": mailgen.mails(5),
                           "Sent": mailgen.mails(3, seed=3)})
    return user


ERRORS = ("EDQUOT", "ENOSPC", "EROFS")


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_no_room_from_any_moment_on(here, few, driver, error):
    """Every call that changes a file fails in its turn, and all after it."""
    if DRIVERS.index(driver) != ERRORS.index(error) and \
            "DM_LONG" not in os.environ:
        pytest.skip("each error with each format: ./dev test --long")
    for step in steps(here.version, driver, error):
        ours = here.user(driver=driver)
        rc, err = stepkill.fail(
            here, ours, step, error, "backup", "-R", "-u", ours.name, "imapc:",
            o=here.imapc(few.server, user=few.name))
        assert "Panic" not in err and rc >= 0, (step, err)
        assert rc in (0, 3, 73, 75, 77), (step, rc, err)
        if rc == 0 and os.strerror(getattr(errno, error)) not in err:
            break
        assert_part_of(ours, few)
        assert_completes(few, ours)
    assert "DM_LONG" not in os.environ or step > 60


def test_a_quota_of_dovecots(version, theirs):
    """dsync does not ask for it, and so a migrated mailbox may have more than
    its quota. (import asks: test_import_forms.py.)"""
    settings = configuration(version)
    plugin_settings = {}
    if version == "2.3":
        plugin_settings = {"quota": "count:User quota", "quota_vsizes": True,
                           "quota_rule": "*:messages=20"}
    else:
        settings["settings"]["quota user"] = {"quota_message_count": 20}
    settings["plugins"] = ("quota", "migration_imapc")
    with Dovecot(version, plugin_settings=plugin_settings,
                 **settings) as quota:
        ours = quota.user(driver="sdbox")
        backup(theirs, ours).ok()
        assert snapshot.of(ours, pop3=False) == snapshot.of(theirs, pop3=False)


@pytest.mark.parametrize("number", [1, 20, 40])
def test_a_commit_that_was_killed(here, theirs, number):
    """sdbox-killed-commit: mail files that the index does not have."""
    ours = here.user(driver="sdbox")
    backup(theirs, ours).ok()
    box = f"{ours.home}/sdbox/mailboxes/INBOX/dbox-Mails"
    spare = here.user(driver="sdbox")
    backup(theirs, spare).ok()
    # what a kill leaves: all files, and an index that ends before them
    for path in glob.glob(f"{box}/dovecot.index*"):
        os.unlink(path)
    for uid in range(number, 41):
        os.unlink(f"{box}/u.{uid}")
    here.doveadm("force-resync", "-u", ours.name, "INBOX")
    assert len(snapshot.of(ours, pop3=False).mailboxes["INBOX"].mails
               ) == number - 1
    for uid in range(number, 41):
        os.rename(f"{spare.home}/sdbox/mailboxes/INBOX/dbox-Mails/u.{uid}",
                  f"{box}/u.{uid}")
    result = backup(theirs, ours)
    assert result.rc == 0, result
    assert "mails of an interrupted run are added to the index" in result.err
    assert_completes(theirs, ours)
