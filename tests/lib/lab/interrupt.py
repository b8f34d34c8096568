# SPDX-License-Identifier: LGPL-2.1-or-later
"""End a doveadm in the middle of its work.

    with Link(0) as link:
        killed = interrupt.after_answer(
            link, port, n, lambda port: dest.start_doveadm(…))
"""

import os
import signal
import subprocess
import time

from lab.latency import Fault


def after_answer(link, port, number, start, signo=signal.SIGKILL):
    """start(port) starts a doveadm whose server is reached by that port. The
    n-th tagged IMAP answer is the last thing that it gets of the server; when
    it has nothing left to do it gets the signal.

    Returns the process, which has ended, and whether it got so far."""
    link.reset()
    process = start(link.to(port, Fault("hang", after_answers=number)))
    while process.poll() is None:
        if link.broken and is_idle(process.pid):
            process.send_signal(signo)
            process.wait(30)
            return process, True
        time.sleep(0.01)
    return process, False


def is_idle(pid):
    """Whether it waits and does nothing else for a while."""
    before = _work(pid)
    for _ in range(5):
        time.sleep(0.01)
        now = _work(pid)
        if now is None or now != before or now[0] != "S":
            return False
    return True


def _work(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        with open(f"/proc/{pid}/status") as file:
            switches = [line for line in file if "ctxt_switches" in line]
    except OSError:
        return None
    return [fields[0], fields[11], fields[12], *switches]
