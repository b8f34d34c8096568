# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a command costs: time, memory, instructions.

    seconds, processor, memory = usage.run(dest.program("/usr/bin/doveadm", …))
    count = usage.instructions(lambda before: dest.program(*before, …))
"""

import json
import os
import re
import subprocess
import sys

from lab import places

# A process of its own, because a child's peak memory is never less than that
# of the process which started it. Its own start does not count.
_WAITER = """
import json, os, sys, time
begin = time.monotonic()
pid = os.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
seconds = time.monotonic() - begin
with open(sys.argv[1], "w") as file:
    json.dump([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss], file)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
"""


class Failed(Exception):
    """A command did not do its work."""


def run(words, timeout=600):
    """Runs a command that must end with 0. Returns its seconds by the clock,
    those of the processor (user and system), and its peak memory in KiB."""
    folder = places.scratch("b")
    try:
        done = subprocess.run(
            [sys.executable, "-ISc", _WAITER, f"{folder}/usage", *words],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                 "HOME": folder},
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=timeout)
        if done.returncode != 0:
            raise Failed(f"{words[-6:]}: exit code {done.returncode}\n"
                         f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
        with open(f"{folder}/usage") as file:
            return json.load(file)
    finally:
        places.remove(folder)


def instructions(command, timeout=600):
    """How many instructions a doveadm takes, counted by cachegrind: of the
    process, not of the kernel. command(before) returns the words of a command
    with `before` in front of the program."""
    folder = places.scratch("i")
    os.chmod(folder, 0o777)
    try:
        # doveadm writes it as the user whose mail it moves
        count = f"{folder}/count"
        with open(count, "w"):
            os.chown(count, places.MAIL_UID, places.MAIL_UID)
        run(command(["/usr/bin/valgrind", "-q", "--tool=cachegrind",
                     "--cache-sim=no",
                     # doveadm becomes doveconf, which becomes doveadm again
                     "--trace-children=yes",
                     f"--cachegrind-out-file={count}"]), timeout)
        with open(count) as file:
            return int(re.search(r"^summary: (\d+)", file.read(), re.M)[1])
    finally:
        places.remove(folder)
