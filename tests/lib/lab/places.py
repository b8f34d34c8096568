# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where things lie: roots, scratch folders, free ports."""

import fcntl
import itertools
import os
import shutil
import socket
import time

# Mail belongs to one unprivileged account. Both Debian releases call this
# number nobody, so files can be shared between them.
MAIL_UID = 65534

# Above the well-known ports, below the ephemeral ones: the kernel never
# gives one of these to a connecting client.
FIRST_PORT, LAST_PORT = 10000, 32000

_counter = itertools.count(1)


def work():
    """The work folder, seen at the same path from inside every root."""
    path = os.environ.get("DM_WORK", "/tmp/dm-work")
    os.makedirs(path, exist_ok=True)
    return path


def root(version):
    """The root folder in which programs of this Dovecot version live."""
    if version == "2.3":
        return os.environ.get("DM_ROOT_23", "/")
    return os.environ["DM_ROOT_24"]


def scratch(name="s"):
    """A new empty folder with a short path: a Unix socket's path may have
    108 bytes only."""
    path = f"{work()}/{os.getpid():x}{name}{next(_counter)}"
    os.mkdir(path, 0o755)
    return path


def mail_folder(path):
    """Create a folder that belongs to the mail account."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    os.chown(path, MAIL_UID, MAIL_UID)
    return path


def remove(path):
    shutil.rmtree(path, ignore_errors=True)


def free_port():
    """A port that nobody has and that no other test process will be given:
    numbers are handed out in turn, under a lock."""
    with open(f"{work()}/ports", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = int(file.read() or LAST_PORT)
        for _ in range(FIRST_PORT, LAST_PORT):
            last = last + 1 if last < LAST_PORT else FIRST_PORT
            if can_bind(last):
                break
        else:
            raise RuntimeError("no free port")
        file.truncate(0)
        file.write(str(last))
        return last


def can_bind(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_for(condition, what, seconds=30):
    """Wait until condition() is true. A time limit, never a result."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.01)
