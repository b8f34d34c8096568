# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: what goes over the wire, and how much of it at once."""

import re

from lab import mailgen
from lab.latency import Link


def backup(source, dest, theirs, link, debug=False, **settings):
    """A first run over the link. Returns what doveadm said."""
    ours = dest.user(driver="mdbox")
    port = link.to(source.ports["imap"])
    result = dest.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:", debug=debug,
        o={**dest.imapc(source, user=theirs.name, port=port),
           **dest.plugin_options(settings)}).ok()
    listed = dest.doveadm("search", "-u", ours.name, "all").ok()
    return result, len(listed.out.splitlines())


def test_waits_do_not_grow_with_the_distance(source, dest):
    """10 ms or half a second: the same few waits. And the bytes are those of
    the mails, and little else."""
    theirs = source.user()
    mails = mailgen.mails(800, size=(200, 1500))
    mailgen.deliver(theirs, {"INBOX": mails})
    waits = {}
    for round_trip in (0.01, 0.1, 0.5):
        with Link(round_trip=round_trip) as link:
            _, count = backup(source, dest, theirs, link)
            assert count == 800 and link.connections == 1
            assert (link.bytes_down + link.bytes_up <=
                    1.02 * sum(len(mail.text) for mail in mails) + 200 * 800)
            waits[round_trip] = link.waits
    assert max(waits.values()) <= 8, waits


def test_a_slow_line_is_not_flooded(source, dest):
    """700 kB/s, 200 ms: the window becomes what such a line carries in some two
    seconds, and the line is never without work."""
    theirs = source.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(90, size=50000)})
    with Link(round_trip=0.2, rate=700000) as link:
        result, count = backup(source, dest, theirs, link, debug=True)
        assert count == 90
        assert link.waits <= 8
    windows = [int(kilobytes) for kilobytes in re.findall(
        r"asking for (\d+) kB of texts ahead", result.err)]
    # measured: 700 kB/s x (2 s + two round trips), and never more than that
    assert windows and 1024 <= windows[-1] <= 2048, windows
    assert max(windows) <= 4096


def test_a_fast_line_is_used(source, dest):
    """Nothing to wait for: the window grows."""
    theirs = source.user()
    mails = mailgen.mails(360, size=50000)
    mailgen.deliver(theirs, {"INBOX": mails})
    with Link(round_trip=0.05) as link:
        result, count = backup(source, dest, theirs, link, debug=True,
                               migration_imapc_prefetch_size="24M")
        assert count == 360 and link.waits <= 9
    windows = [int(kilobytes) for kilobytes in re.findall(
        r"asking for (\d+) kB of texts ahead", result.err)]
    # how far depends on what this machine can do
    assert max(windows) > 4096, windows
