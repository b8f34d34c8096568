# SPDX-License-Identifier: LGPL-2.1-or-later
"""In which order a doveadm reads from its source and saves mails.

    log = readlog.run(dest, ours, port, "backup", "-R", …, o=…)
    readlog.longest_row(log)
"""

import os
import subprocess

from lab import places, preload


def run(server, user, port, *args, **options):
    """Runs a doveadm that saves into the sdbox of a user what it reads from a
    port. Returns a list of pairs: ("read", bytes that were read at once) or
    ("mail", bytes that had arrived and were not read when a mail was
    saved)."""
    folder = places.scratch("r")
    log = f"{folder}/log"
    with open(log, "w"):
        os.chown(log, places.MAIL_UID, places.MAIL_UID)
    try:
        process = server.start_doveadm(
            *args, **options, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
            environment=preload.environment("readlog", {
                "READLOG_PORT": str(port), "READLOG_FILE": log,
                "READLOG_FOLDER": f"{user.home}/"}))
        error = process.communicate(timeout=300)[1]
        assert process.returncode == 0, error
        with open(log) as file:
            return [(word, int(count)) for word, count in
                    map(str.split, file)]
    finally:
        places.remove(folder)


def longest_row(log):
    """The most mails that were saved one after the other while something could
    have been read."""
    longest = row = 0
    for what, count in log:
        row = row + 1 if what == "mail" and count > 0 else 0
        longest = max(longest, row)
    return longest
