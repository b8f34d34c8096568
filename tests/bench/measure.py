# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a command and says what it cost: waits and bytes on a long wire, time,
memory and instructions without one."""

import json
import os
import re
import subprocess
import sys
import time

from lab import places
from lab.latency import Link

TIMEOUT = 4 * 3600

# A process of its own, because a child's peak memory is never less than that
# of the process which started it.
_WAITER = """
import json, os, sys
pid = os.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as file:
    json.dump([usage.ru_utime + usage.ru_stime, usage.ru_maxrss], file)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
"""


class Failed(Exception):
    """A tool did not do its work."""


def run(words, environment=None):
    """Runs a command that must end with 0. Returns its seconds by the clock,
    those of the processor (user and system), and its peak memory in KiB."""
    folder = places.scratch("b")
    try:
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-ISc", _WAITER, f"{folder}/usage", *words],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                 "HOME": folder, **(environment or {})},
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=TIMEOUT)
        seconds = time.monotonic() - begin
        if done.returncode != 0:
            raise Failed(f"{words[-6:]}: exit code {done.returncode}\n"
                         f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
        with open(f"{folder}/usage") as file:
            return seconds, *json.load(file)
    finally:
        places.remove(folder)


def on_wire(tool, job, round_trip):
    """Waits, connections and bytes of the last run of a job."""
    # one port for all its runs: what a run remembers is of one server
    with Link(round_trip=round_trip) as link:
        ports = {name: link.to(port)
                 for name, port in job.source.ports.items()
                 if name in ("imap", "pop3")}
        copy = tool.begin(job, ports)
        for number in range(job.work.runs):
            if number > 0:
                job.change()
            link.reset()
            seconds, _, _ = run(tool.command(copy))
        check(tool, copy, job)
        return {"waits": link.waits, "connections": link.connections,
                "bytes": link.bytes_down + link.bytes_up,
                "seconds_far": round(seconds, 2)}


def nearby(tool, job):
    """What run() says of the last run, on loopback."""
    copy = tool.begin(job, job.source.ports)
    for number in range(job.work.runs):
        if number > 0:
            job.change()
        result = run(tool.command(copy))
    check(tool, copy, job)
    return result


def instructions(tool, job):
    """Instructions of the last run, counted by cachegrind."""
    folder = places.scratch("i")
    os.chmod(folder, 0o777)
    try:
        copy = tool.begin(job, job.source.ports)
        for number in range(1, job.work.runs):
            run(tool.command(copy))
            job.change()
        # doveadm writes it as the user whose mail it moves
        count = f"{folder}/count"
        with open(count, "w"):
            os.chown(count, places.MAIL_UID, places.MAIL_UID)
        run(tool.command(copy, before=[
            "/usr/bin/valgrind", "-q", "--tool=cachegrind", "--cache-sim=no",
            # doveadm becomes doveconf, which becomes doveadm again
            "--trace-children=yes", f"--cachegrind-out-file={count}"]))
        check(tool, copy, job)
        with open(count) as file:
            return int(re.search(r"^summary: (\d+)", file.read(), re.M)[1])
    finally:
        places.remove(folder)


def check(tool, copy, job):
    """A tool that leaves mails out is fast, but not a tool."""
    arrived = tool.mails(copy)
    if arrived is not None and arrived != job.mails:
        raise Failed(f"{tool.name}: {arrived} of {job.mails} mails arrived")
