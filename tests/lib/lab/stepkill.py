# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kill a doveadm before the n-th call that changes one of a user's files.

    killed = stepkill.run(dest, ours, n, "backup", "-R", …, conf=conf)
"""

import functools
import os
import signal
import subprocess

from lab import places


@functools.cache
def _library():
    path = f"{places.scratch('k')}/stepkill.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O", "-Wall", "-Werror", "-o", path,
         os.path.join(os.path.dirname(__file__), "stepkill.c")], check=True)
    return path


def run(server, user, step, *args, **options):
    """Returns whether it was killed: False means that it has fewer steps."""
    environment = {"LD_PRELOAD": _library(), "STEPKILL_STEP": str(step),
                   "STEPKILL_FOLDER": f"{user.home}/"}
    # doveadm starts itself again by doveconf, which cleans the environment
    environment["DOVECOT_PRESERVE_ENVS"] = " ".join(environment)
    process = server.start_doveadm(
        *args, **options, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        environment=environment)
    process.wait(300)
    _age_locks(user)
    return process.returncode == -signal.SIGKILL


def _age_locks(user):
    """A process that is killed between making a lock file and writing its
    process id into it, or while it writes a new index log, leaves a lock that
    Dovecot overrides only after minutes. No test waits for that."""
    for folder, _, names in os.walk(user.home):
        for name in names:
            path = f"{folder}/{name}"
            if name.endswith(".newlock") or (
                    name.endswith("lock") and not os.path.getsize(path)):
                os.unlink(path)
