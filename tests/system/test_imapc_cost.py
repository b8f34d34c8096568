# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: what a first run costs this machine, against stock with the
best settings that it has: instructions, memory, file descriptors. Counts, not
times; ./dev bench has the times."""

import os

import pytest

from lab import mailgen, stocks_best, usage

LONG = "DM_LONG" in os.environ


def command(source, dest, theirs, before=(), stock=False):
    settings = dest.imapc(source, user=theirs.name)
    if stock:
        settings.update(stocks_best(dest.version))
    words = [word for key, value in settings.items()
             for word in ("-o", f"{key}={value}")]
    return dest.program(*before, "/usr/bin/doveadm", "-c", dest.conf, *words,
                        "backup", "-R", "-u", dest.user().name, "imapc:")


def instructions(server, theirs, source, **more):
    return usage.instructions(
        lambda before: command(source, server, theirs, before, **more))


# What is measured is 1.02 on 2.3 and 1.05 on 2.4, where fewer than 3 % are the
# start of the plugins; see doc/performance.md.
MOST = {"2.3": 1.06, "2.4": 1.10}


def test_instructions(source, dest, stock):
    theirs = source.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(
        3000 if LONG else 300, size=(400, 2000))})
    # the source's indexes exist then
    usage.run(command(source, dest, theirs))
    ours = instructions(dest, theirs, source)
    best = instructions(stock, theirs, source, stock=True)
    assert ours <= MOST[dest.version] * best, (ours, best, ours / best)


def test_memory(source, dest, stock):
    """Never more than 64 MiB above stock: a huge mail in one mailbox, very
    many small ones in another."""
    huge, many = (50000000, 200000) if LONG else (12000000, 1500)
    theirs = source.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(many, size=(300, 1200)),
                             "Huge": mailgen.mails(1, size=huge)})
    peaks = [usage.run(command(source, server, theirs, stock=server is stock),
                       timeout=3600)[2] for server in (dest, stock)]
    print(f"peak of memory: {peaks[0]} KiB, stock's: {peaks[1]} KiB")
    assert peaks[0] <= peaks[1] + 64 * 1024, peaks
    # mails that are larger than what is kept in memory lie in files
    assert peaks[0] < 100 * 1024 or LONG, peaks


def test_file_descriptors(source, dest):
    """Mails above 32 kB take a file each while they are ahead, but not more
    files than a process may have."""
    theirs = source.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(500, size=33000)})
    usage.run(command(source, dest, theirs,
                      before=["/bin/sh", "-c", 'ulimit -n 300; exec "$@"',
                              "sh"]))
