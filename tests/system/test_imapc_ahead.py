# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: fetching ahead from servers with limits and odd ways. What
arrives is always complete."""

import re

import pytest

import lab
from lab import mailgen, snapshot
from lab.latency import Fault, Link
from lab.scripted import ImapServer, On

from test_imapc_waits import mails_of

FOLDERS = {"INBOX": mailgen.mails(30), "A": mailgen.mails(10, seed=2),
           "B": mailgen.mails(5, seed=3)}


def backup(dest, ours, server, port=None, **settings):
    return dest.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:", debug=True, timeout=100,
        o={**dest.imapc(server, user="user", password="secret", port=port),
           **settings})


def complete(ours, server):
    return (snapshot.of(ours, pop3=False) ==
            snapshot.take(server.port, "user", "secret"))


@pytest.mark.parametrize("items", ["FLAGS", r"BODY\.PEEK\[\]"])
def test_a_limit_of_messages(dest, items):
    """NO [LIMIT] to every command that asks for more than 9 mails."""
    ours = dest.user(driver="mdbox")
    large = rf"UID FETCH 1:(\*|\d\d+) .*{items}"
    with ImapServer(FOLDERS, faults=[On(large, "NO [LIMIT] Too many",
                                        times=None)]) as server:
        backup(dest, ours, server).ok()
        server.faults.clear()
        assert complete(ours, server)


def test_a_refused_mailbox_does_not_end_the_run(dest):
    """EXAMINE is refused once, as if the mailbox was busy."""
    ours = dest.user(driver="mdbox")
    with ImapServer(FOLDERS, faults=[On("EXAMINE .*A", "NO [INUSE] Later",
                                        times=1)]
                    ) as server:
        result = backup(dest, ours, server).ok()
        assert "EXAMINE answers: " in result.err
        assert complete(ours, server)


def test_examine_overtakes_what_was_sent_before_it(dest):
    """pipelined-examine: texts and flags of the wrong mailbox arrive, under
    UIDs and a UIDVALIDITY that exist in both."""
    ours = dest.user(driver="mdbox")
    with ImapServer(FOLDERS, eager_examine=True) as server:
        result = backup(dest, ours, server).ok()
        assert "commands of two mailboxes are mixed up" in result.err
        server.eager_examine = False
        assert complete(ours, server)


def test_list_status_that_is_none(dest):
    ours = dest.user(driver="mdbox")
    with ImapServer(FOLDERS, faults=[On("LIST .* RETURN", "NO Not this way")]
                    ) as server:
        backup(dest, ours, server).ok()
        assert complete(ours, server)


def texts(data):
    """The texts that arrived whole, with the end of their FETCH reply."""
    for match in re.finditer(rb"BODY\[\] \{(\d+)\}\r\n", data):
        end = match.end() + int(match[1])
        if data[end:end + 3] == b")\r\n":
            yield data[match.end():end]


@pytest.mark.parametrize("command, count, size, fault", [
    (("backup", "-R"), 100, 2000, Fault("cut", after_bytes=60000, times=1000)),
    # the 201st text of each connection does not come; those before it do, which
    # a reset would throw away if they were not read yet
    (("backup", "-R"), 900, 200,
     Fault("close", at_text=b" BODY[] {", nth=201, times=1000)),
    (("import",), 900, 200,
     Fault("close", at_text=b" BODY[] {", nth=201, times=1000)),
], ids=["60 kB", "200 fetches", "import"])
def test_connections_that_are_cut_again_and_again(source, dest, command, count,
                                                  size, fault):
    """No text that was complete is sent twice."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {
        "INBOX": mailgen.mails(count, size=size),
        "A": mailgen.mails(50, seed=2, size=2000)})
    words = ("", "all") if command[0] == "import" else ()
    with Link(round_trip=0.01, keep=True) as link:
        dest.doveadm(*command, "-u", ours.name, "imapc:", *words, timeout=100,
                     o=dest.imapc(source, user=theirs.name,
                                  port=link.to(source.ports["imap"], fault))
                     ).ok()
        assert link.broken >= 2 and link.connections <= 20
        arrived = [text for data in link.received() for text in texts(data)]
        assert len(arrived) == len(set(arrived)) == count + 50
    if command[0] == "import":
        assert mails_of(ours) == mails_of(theirs)
    else:
        assert snapshot.of(ours) == snapshot.of(theirs)


def test_the_numbers(source, dest):
    """Waits for the server at 100 ms, 40 mailboxes of 25 mails."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {
        "INBOX" if n == 0 else f"Box{n}": mailgen.mails(25, seed=n)
        for n in range(40)})
    with Link(round_trip=0.1) as link:
        settings = dest.imapc(source, user=theirs.name,
                              port=link.to(source.ports["imap"]))

        def run():
            link.reset()
            dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                         o=settings).ok()
            return link.waits

        assert run() <= 14 and link.connections == 1
        assert snapshot.of(ours) == snapshot.of(theirs)
        assert run() <= 7
        mailgen.append(theirs, "Box7", mailgen.mails(10, seed="new"))
        assert run() <= 10
        assert len(re.findall(rb"BODY\.PEEK\[\]", link.sent()[0])) == 1
        assert snapshot.of(ours) == snapshot.of(theirs)


# a place for METADATA
METADATA = ("mail_attribute {\n  dict file {\n    path = %{home}/attributes\n"
            "  }\n}\nprotocol imap {\n  imap_metadata = yes\n}\n")


def test_the_numbers_with_metadata(dest, version):
    """imapc-metadata-waits: the same where both sides have METADATA, with a value in each second
    mailbox and with empty ones."""
    if version == "2.3":
        pytest.skip("2.3's imapc reads no METADATA")
    conf = dest.write_conf(f"{dest.dir}/metadata.conf", extra=METADATA,
                           plugins=("migration_imapc",))
    with lab.Dovecot(version, driver="maildir", extra=METADATA) as source, \
            Link(round_trip=0.1) as link:
        theirs, ours = source.user(), dest.user(driver="mdbox")
        mailgen.deliver(theirs, {
            "INBOX" if n == 0 else f"Box{n}":
            mailgen.mails(0 if n % 10 == 9 else 25, seed=n)
            for n in range(40)})
        client = mailgen.login(theirs)
        for n in range(1, 40, 2):
            client.command("SETMETADATA", f"Box{n}",
                           f'(/private/comment "of {n}")')
            client.command("SETMETADATA", f"Box{n}",
                           f'(/shared/vendor/x "also of {n}")')
        client.logout()
        settings = dest.imapc(source, user=theirs.name,
                              password=theirs.password,
                              port=link.to(source.ports["imap"]))

        def run():
            link.reset()
            dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                         conf=conf, o=settings).ok()
            return link.waits

        assert run() <= 14 and link.connections == 1
        assert link.count(r"\d+ GETMETADATA ") == 40
        assert snapshot.of(ours) == snapshot.of(theirs)
        for n in (1, 19, 20, 39):
            got = [dest.doveadm("mailbox", "metadata", "get", "-u", ours.name,
                                f"Box{n}", entry, conf=conf).out
                   for entry in ("/private/comment", "/shared/vendor/x")]
            assert [f"of {n}" in text for text in got] == [n % 2 == 1] * 2, got
        assert run() <= 7
        mailgen.append(theirs, "Box7", mailgen.mails(10, seed="new"))
        assert run() <= 10
