# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a job with a tool and says what it cost: waits and bytes on a long
wire, time, memory and instructions without one."""

from lab import usage
from lab.latency import Link

TIMEOUT = 4 * 3600


def on_wire(tool, job, round_trip):
    """Waits, connections and bytes of the last run of a job."""
    # one port for all its runs: what a run remembers is of one server
    with Link(round_trip=round_trip) as link:
        ports = {name: link.to(port)
                 for name, port in job.source.ports.items()
                 if name in ("imap", "pop3")}
        copy = before_last_run(tool, job, ports)
        link.reset()
        seconds, _, _ = usage.run(tool.command(copy), TIMEOUT)
        check(tool, copy, job)
        return {"waits": link.waits, "connections": link.connections,
                "bytes": link.bytes_down + link.bytes_up,
                "seconds_far": round(seconds, 2)}


def nearby(tool, job):
    """What usage.run() says of the last run, on loopback."""
    copy = before_last_run(tool, job, job.source.ports)
    result = usage.run(tool.command(copy), TIMEOUT)
    check(tool, copy, job)
    return result


def instructions(tool, job):
    """Instructions of the last run."""
    copy = before_last_run(tool, job, job.source.ports)
    count = usage.instructions(lambda before: tool.command(copy, before),
                               TIMEOUT)
    check(tool, copy, job)
    return count


def before_last_run(tool, job, ports):
    """The destination when all runs but the last one are over."""
    copy = tool.begin(job, ports)
    for _ in range(1, job.work.runs):
        usage.run(tool.command(copy), TIMEOUT)
        job.change()
    return copy


def check(tool, copy, job):
    """A tool that leaves mails out is fast, but not a tool."""
    arrived = tool.mails(copy)
    if arrived is not None and arrived != job.mails:
        raise usage.Failed(
            f"{tool.name}: {arrived} of {job.mails} mails arrived")
