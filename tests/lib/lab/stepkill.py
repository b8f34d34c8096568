# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kill a doveadm before the n-th call that changes one of a user's files.

    killed = stepkill.run(dest, ours, n, "backup", "-R", …, conf=conf)

Or let that call and all later ones fail:

    process = stepkill.fail(dest, ours, n, "EDQUOT", "backup", "-R", …)
"""

import errno
import os
import signal
import subprocess
import time

from lab import preload


def run(server, user, step, *args, **options):
    """Returns whether it was killed: False means that it has fewer steps."""
    process = _start(server, user, step, 0, args, options)
    return process.returncode == -signal.SIGKILL


def fail(server, user, step, error, *args, **options):
    """From that step on, what needs room fails with EDQUOT or ENOSPC, or what
    changes anything with EROFS. Returns the exit code and what was logged."""
    process = _start(server, user, step, getattr(errno, error), args, options)
    return process.returncode, process.err


def _start(server, user, step, error, args, options):
    process = server.start_doveadm(
        *args, **options, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, environment=preload.environment("stepkill", {
            "STEPKILL_STEP": str(step), "STEPKILL_ERRNO": str(error),
            "STEPKILL_FOLDER": f"{user.home}/"}))
    process.err = process.communicate(timeout=300)[1]
    age_locks(user, every=error == errno.EROFS)
    return process


def age_locks(user, every=False):
    """A process that is killed between making a lock file and writing its
    process id into it, or while it writes a new index log, leaves a lock that
    Dovecot overrides only after minutes, and that of subscriptions after half a
    minute; so does one that cannot delete it (every). Whose the others are, it
    looks only after seconds. No test waits for that."""
    for folder, _, names in os.walk(user.home):
        for name in names:
            path = f"{folder}/{name}"
            if name.endswith(".newlock") or (
                    name.endswith("lock") and
                    (every or name == "subscriptions.lock" or
                     not os.path.getsize(path))):
                os.unlink(path)
            elif name.endswith(".lock"):
                os.utime(path, (time.time() - 60,) * 2)
