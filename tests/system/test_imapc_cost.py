# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: what a first run costs this machine, against stock with the
best settings that it has: instructions, memory, file descriptors, and whether
the network is used meanwhile. Counts, not times; ./dev bench has the times."""

import os

import pytest

from lab import mailgen, readlog, stocks_best, usage

LONG = "DM_LONG" in os.environ


def settings(source, dest, theirs, stock=False):
    return {**dest.imapc(source, user=theirs.name),
            **(stocks_best(dest.version) if stock else {})}


def command(source, dest, theirs, before=(), stock=False, more=None,
            ours=None):
    words = [word for key, value in
             {**settings(source, dest, theirs, stock), **(more or {})}.items()
             for word in ("-o", f"{key}={value}")]
    return dest.program(*before, "/usr/bin/doveadm", "-c", dest.conf, *words,
                        "backup", "-R", "-u", (ours or dest.user()).name,
                        "imapc:")


def instructions(server, theirs, source, **more):
    return usage.instructions(
        lambda before: command(source, server, theirs, before, **more))


def deliver(source, mailboxes, mails):
    """A new account at the source."""
    theirs = source.user()
    mailgen.deliver(theirs, {
        f"Box{number}" if number else "INBOX":
        mailgen.mails(mails, seed=number, size=(400, 2000))
        for number in range(mailboxes)})
    # the source's indexes exist then
    source.doveadm("index", "-u", theirs.name, "*").ok()
    return theirs


def compare(count_ours, count_stocks, most=1):
    """Ours are never more than stock's, or `most` times as many."""
    ours, best = [], []
    # a busy machine makes many short reads: the smallest counts are compared
    for _ in range(3):
        ours.append(count_ours())
        best.append(count_stocks())
        if min(ours) <= min(best) * most:
            return
    pytest.fail(f"{ours} instructions, stock {best}")


def quiet(dest):
    """The status file is written once a second, however slow valgrind makes the
    rest."""
    return dest.plugin_options({"migration_status_path": ""})


@pytest.mark.parametrize("mailboxes, mails", [
    (1, 3000), (100, 100), (20, 10)] if LONG else [(1, 400)])
def test_instructions(source, dest, stock, mailboxes, mails):
    """Of a first run."""
    theirs = deliver(source, mailboxes, mails)
    compare(lambda: instructions(dest, theirs, source, more=quiet(dest)),
            lambda: instructions(stock, theirs, source, stock=True),
            # what each mailbox costs shows where there is next to nothing in it
            most=1.02 if mails <= 10 else 1)


def change(theirs, mailboxes, seed):
    """Something in each mailbox: a new mail, or a flag."""
    client = mailgen.login(theirs)
    for number in range(mailboxes):
        name = f"Box{number}" if number else "INBOX"
        if number % 2 == 0:
            mail, = mailgen.mails(1, seed=f"{seed} {number}", flags=False)
            client.command("APPEND", name, mail.text)
        else:
            client.command("SELECT", name)
            client.command("STORE", str(seed + 1), "+FLAGS", "(changed)")
    client.logout()


@pytest.mark.parametrize("mailboxes, mails", [
    (100, 100)] if LONG else [(4, 80)])
def test_instructions_of_changes(source, dest, stock, mailboxes, mails):
    """Of a second run, when something changed in each mailbox."""
    theirs, runs = deliver(source, mailboxes, mails), 0

    def count(server, **more):
        nonlocal runs
        more["ours"] = server.user()
        usage.run(command(source, server, theirs, **more))
        change(theirs, mailboxes, runs)
        runs += 1
        return instructions(server, theirs, source, **more)

    compare(lambda: count(dest, more=quiet(dest)),
            lambda: count(stock, stock=True))


def test_reading_goes_on_while_mails_are_saved(source, dest):
    """What the server sent is read between the mails that are saved, after
    256 kB of them at most; it was asked for long before."""
    theirs, ours, count, size = source.user(), dest.user(), 600, 20000
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(count, size=size)})
    log = readlog.run(dest, ours, source.ports["imap"], "backup", "-R", "-u",
                      ours.name, "imapc:",
                      o=settings(source, dest, theirs))
    assert [what for what, _ in log].count("mail") == count
    assert sum(bytes for what, bytes in log if what == "read") > count * size
    assert readlog.longest_row(log) <= 256 * 1024 // size + 1


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
