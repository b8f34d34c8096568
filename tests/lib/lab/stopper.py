# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kills a program at an exact system call, so that every moment of its run can
be tried, and the same one again."""

import ctypes
import os
import signal
import subprocess

_PTRACE_TRACEME = 0
_PTRACE_SYSCALL = 24
_PTRACE_SETOPTIONS = 0x4200
# system calls are told from signals; exec is an event of its own; the program
# dies with us
_OPTIONS = 0x01 | 0x10 | 0x100000
_SYSCALL_STOP = signal.SIGTRAP | 0x80

_libc = ctypes.CDLL(None, use_errno=True)


def _ptrace(request, pid, address, data):
    if _libc.ptrace(ctypes.c_long(request), ctypes.c_long(pid),
                    ctypes.c_void_p(address), ctypes.c_void_p(data)) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace({request}): {os.strerror(error)}")


def run(popen, stop_at=None):
    """Runs what popen(preexec_fn=…) starts, and kills it before the given
    system call. Returns (its exit status, negative for a signal; the number of
    system calls that it began)."""
    process = popen(preexec_fn=lambda: _libc.ptrace(_PTRACE_TRACEME, 0, 0, 0),
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid, calls, entering = process.pid, 0, False
    os.waitpid(pid, 0)
    _ptrace(_PTRACE_SETOPTIONS, pid, 0, _OPTIONS)
    pass_on = 0
    while True:
        _ptrace(_PTRACE_SYSCALL, pid, 0, pass_on)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, calls
        pass_on = 0
        if os.WSTOPSIG(status) == _SYSCALL_STOP:
            entering = not entering
            calls += entering
            if entering and calls == stop_at:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                process.returncode = -signal.SIGKILL
                return process.returncode, calls
        elif status >> 16 == 0:
            pass_on = os.WSTOPSIG(status)
