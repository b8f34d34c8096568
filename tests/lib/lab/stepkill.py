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
    process = server.start_doveadm(
        *args, **options, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        environment={"LD_PRELOAD": _library(), "STEPKILL_STEP": str(step),
                     "STEPKILL_FOLDER": f"{user.home}/"})
    process.wait(300)
    return process.returncode == -signal.SIGKILL
