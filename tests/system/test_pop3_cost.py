# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the POP3 server is asked for, counted: waits, TOPs and bytes of large
maildrops, and the memory for large mails."""

import glob
import os
import resource
import subprocess

import pytest

from lab import mailgen
from lab.latency import Link
from lab.scripted import On, Pop3Server
from test_pop3_uidl import pop3_conf, with_uidls


@pytest.fixture(scope="module")
def conf(source, dest):
    return pop3_conf(dest, source, "pop3-cost")


def deliver_both(theirs, ours, mails):
    """The same mails here as there, without UIDLs here."""
    mailgen.deliver(theirs, {"INBOX": mails})
    for mail in mails:
        mail.uidl = None
    mailgen.deliver(ours, {"INBOX": mails})


@pytest.mark.parametrize("count,reverse,waits", [
    (2000, False, 10), (10000, True, 10), (20000, False, 12)])
def test_large_maildrop(source, dest, conf, count, reverse, waits):
    """Greeting to QUIT at 100 ms, UIDLs that say nothing, in UID order or
    newest first."""
    ours = dest.user(driver="maildir")
    theirs = source.user(ours.name)
    mails = with_uidls(mailgen.mails(count, size=(300, 3000), flags=False),
                       order=(lambda n: count - n + 1) if reverse else None)
    deliver_both(theirs, ours, mails)
    with Link(round_trip=0.1) as link:
        run = dest.doveadm("migration", "uidl", "-n", "-u", ours.name,
                           conf=conf,
                           o={"pop3c_port": link.to(source.ports["pop3"])})
        assert run.ok().out.count(" set ") == count
        assert link.waits <= waits
        assert 0 < link.count(r"TOP ") <= 20
        assert link.count(r"QUIT") == 1
        assert link.bytes_down + link.bytes_up <= 100 * count


MEGABYTE = b"0123456789abcde\r\n" * (2**20 // 17)
HEADER = (b"From: a@example.org\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\n"
          b"Message-ID: <large@example.org>\r\nSubject: large\r\n\r\n")


def test_answer_of_100_megabytes_is_streamed(source, dest, conf, folder):
    """Two mails with one header and one size: only their texts can say which
    is which, and no text is held in memory."""
    if dest.version == "2.4" and os.environ.get("DM_LONG") != "1":
        pytest.skip("seconds long, and the code is the same: with --long")
    ours = dest.user(driver="maildir")
    theirs = source.user(ours.name)
    tails = [b"one\r\n", b"two\r\n"]
    mails = [mailgen.Mail(HEADER + tail) for tail in tails]
    mailgen.deliver(ours, {"INBOX": mails})
    size = len(HEADER) + 100 * len(MEGABYTE) + 5
    for uid, tail in enumerate(tails, 1):
        _write_large(ours, uid, tail)

    def top(session, command):
        tail = tails[2 - int(command.split()[1])]
        session.connection.send(b"+OK\r\n" + HEADER)
        for _ in range(100):
            session.connection.send(MEGABYTE)
        session.connection.send(tail + b".\r\n")

    with Pop3Server(mails, users={theirs.name: source.master_password},
                    uidls=["second", "first"], size=lambda mail: size,
                    faults=[On(r"TOP \d+ \d\d", top)]) as server:
        with open(f"{folder}/out", "w+") as out:
            run = dest.start_doveadm(
                "-f", "tab", "migration", "uidl", "-n", "-u", ours.name,
                conf=conf, stdout=out, stderr=subprocess.STDOUT,
                preexec_fn=_limit_memory,
                o={"pop3c_port": server.port,
                   _setting(dest, "migration_pop3_body_limit"): "1G"})
            run.wait(300)
            out.seek(0)
            said = out.read()
        assert run.returncode == 0, said
        assert server.count(r"TOP \d+ \d\d") == 2
    rows = [line.split("\t") for line in said.splitlines()
            if line.startswith("INBOX\t")]
    assert [(row[1], "first" in row[3]) for row in rows] == [
        ("1", True), ("2", False)], said


def _limit_memory():
    """All that a process may have of its own, less than one of the texts."""
    resource.setrlimit(resource.RLIMIT_DATA, (64 * 2**20, 64 * 2**20))


def _setting(dest, name):
    return f"plugin/{name}" if dest.version == "2.3" else name


def _write_large(user, uid, tail):
    """Put the large text in the place of the mail's, in the Maildir."""
    with open(f"{user.mail_path}/dovecot-uidlist") as file:
        uidlist = file.read()
    base = uidlist.splitlines()[uid].split(":", 1)[1]
    path, = glob.glob(f"{user.mail_path}/cur/{glob.escape(base)}:2,*")
    # a name that does not tell the size
    plain = base.split(",")[0]
    with open(f"{user.mail_path}/dovecot-uidlist", "w") as file:
        file.write(uidlist.replace(base, plain))
    with open(path, "wb") as file:
        file.write(HEADER.replace(b"\r\n", b"\n"))
        for _ in range(100):
            file.write(MEGABYTE.replace(b"\r\n", b"\n"))
        file.write(tail.replace(b"\r\n", b"\n"))
    os.rename(path, path.replace(base, plain))
