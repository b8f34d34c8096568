# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many users: one's failure stops nobody, the summary names him, the exit code
tells the truth; and the way of doc/many-users.md with GNU parallel."""

import itertools
import os
import re
import subprocess

import pytest

from lab import Dovecot, mailgen


SERIAL = itertools.count()


@pytest.fixture
def here(version, ca):
    """A server whose userdb tells all users, who are there before it starts.
    The first one cannot be initialized: his home is no path."""
    names = f"many{os.getpid():x}-{next(SERIAL)}-"
    server = Dovecot(version, ca=ca, driver="sdbox", one_users_file=True,
                     plugins=("migration_imapc",))
    for number in range(7):
        server.user(f"{names}{number}",
                    fields={} if number else {"home": "relative"})
    with server:
        yield server


@pytest.fixture
def conf(here, source, folder):
    return here.write_conf(f"{folder}/migration.conf",
                           settings=here.imapc(source),
                           plugins=("migration_imapc",),
                           # the source refuses logins, which are tried again
                           plugin_settings={"migration_imapc_patience": "1s"})


def has_mail_there(source, user):
    mailgen.deliver(source.user(user.name), {"INBOX": mailgen.mails(2)})


def mails(user):
    result = user.server.doveadm("-f", "flow", "mailbox", "status", "-u",
                                 user.name, "messages", "INBOX").ok()
    return int(re.search(r"messages=(\d+)", result.out)[1])


def summary(result):
    line, = re.findall(r"Info: ([\w -]+: \d+ users.*)", result.err)
    return line


def test_one_failure_stops_nobody(source, here, conf):
    wrong, first, unknown, last, *_ = here.users.values()
    has_mail_there(source, first)
    has_mail_there(source, last)
    listed = here.users_file(first, wrong, unknown, last)
    with open(listed, "a") as file:
        file.write("nobody-of-this-name\n")
    result = here.doveadm("backup", "-R", "-F", listed, "imapc:", conf=conf)
    assert summary(result) == (
        f"backup: 5 users: 2 done, 2 to be run again ({wrong.name}, "
        f"{unknown.name}), 1 failed (nobody-of-this-name)")
    assert result.rc == 75, result
    assert "User nobody-of-this-name doesn't exist" in result.err
    for user in (first, last):
        assert mails(user) == 2

    # commands of our own
    good = here.users_file(first, last)
    result = here.doveadm("migration", "verify", "-F", good, "imapc:",
                          conf=conf).ok()
    assert summary(result) == "migration verify: 2 users: 2 done"
    result = here.doveadm("migration", "status", "-F", good, conf=conf).ok()
    assert summary(result) == "migration status: 2 users: 2 done"
    assert len(re.findall("finished", result.out)) == 2

    # -A and -u mask take the same way
    count = len(here.users)
    for whom in (["-A"], ["-u", f"{first.name[:-1]}?"]):
        result = here.doveadm("migration", "status", *whom, conf=conf)
        assert result.rc == 75, result
        assert re.match(rf"migration status: {count} users: 2 done, "
                        rf"2 to be run again \({wrong.name}, {unknown.name}\), "
                        rf"{count - 4} failed ", summary(result))

    # a single user has no summary
    result = here.doveadm("backup", "-R", "-u", first.name, "imapc:",
                          conf=conf).ok()
    assert " users" not in result.err


def parallel(here, conf, folder, *options):
    """As in doc/many-users.md."""
    line = here.command_line()
    line[line.index("-c") + 1] = conf
    return subprocess.run(
        ["parallel", "--joblog", f"{folder}/joblog", *options, "-j", "2",
         "--plain", *line, "backup", "-R", "-u", "{}", "imapc:", "::::",
         f"{folder}/users"], capture_output=True, text=True, timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C.UTF-8"})


def joblog(folder):
    """[(user, exit code)] in the order of the users"""
    with open(f"{folder}/joblog") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    return [(re.search(r"-u (\S+)", row[8])[1], int(row[6]))
            for row in sorted(rows, key=lambda row: int(row[0]))]


def test_gnu_parallel(source, here, conf, folder):
    *_, one, late, two = here.users.values()
    users = [one, late, two]
    has_mail_there(source, one)
    has_mail_there(source, two)
    with open(f"{folder}/users", "w") as file:
        file.write("".join(f"{user.name}\n" for user in users))
    done = parallel(here, conf, folder)
    assert done.returncode == 1, done.stderr        # one job failed
    assert joblog(folder) == [(one.name, 0), (late.name, 75), (two.name, 0)]
    # he gets his account; the others are not run again
    has_mail_there(source, late)
    done = parallel(here, conf, folder, "--resume-failed")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("backup imapc: of") == 1
    assert (late.name, 0) in joblog(folder)
    assert mails(late) == 2
