# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: what happens when the source refuses, closes or is silent.

Whatever it is: no panic, an error that says what happened, exit code 75 (try
again) or 77 (not allowed), and an end. A single interruption is overcome."""

import pytest

import lab
from lab import mailgen, snapshot
from lab.latency import Fault, Link
from lab.scripted import ImapServer, On

# where the server's data are when the connection breaks: at these bytes
POINTS = {
    "greeting": b"* OK [CAP",
    "login": b"Logged in",
    "separator": b"* LIST (",
    "list": b"* LIST (\\Has",
    "status": b"* STATUS",
    "lsub": b"* LSUB",
    "examine": b"EXISTS",
    "flags": b"1 FETCH (UID",
    "body": b"BODY[]",
    "in a body": None,
    "logout": b"* BYE",
}
IN_A_BODY = 20000
# When a hanging source counts as lost. A sound one answers sooner also on a
# machine that has much else to do.
SILENCE = "6s"


@pytest.fixture(scope="module")
def theirs(source):
    """A small account that nobody changes."""
    user = source.user()
    mailgen.deliver(user, {"INBOX": mailgen.mails(40, flags=False),
                           "A": mailgen.mails(5, seed=2, flags=False)})
    return user


def fault(point, action, times):
    if POINTS[point] is None:
        return Fault(action, after_bytes=IN_A_BODY, times=times)
    return Fault(action, at_text=POINTS[point], times=times)


def backup(dest, user, settings, command=("backup", "-R"), **limits):
    limits = {"patience": "1s", **limits}
    result = dest.doveadm(
        *command, "-u", user.name, "imapc:",
        o={**settings,
           **dest.plugin_options({f"migration_imapc_{name}": value
                                  for name, value in limits.items()})},
        timeout=120)
    assert "Panic" not in result.err and result.rc >= 0, str(result)
    return result


def errors(result):
    return [line for line in result.err.splitlines() if "Error: " in line]


# each point once, the ways taking turns
@pytest.mark.parametrize("point, action", [
    (point, "close" if number % 2 else "hang")
    for number, point in enumerate(POINTS)])
def test_one_interruption_is_overcome(source, dest, theirs, point, action):
    ours = dest.user(driver="mdbox")
    with Link(round_trip=0.002) as link:
        port = link.to(source.ports["imap"], fault(point, action, 1))
        result = backup(dest, ours,
                        dest.imapc(source, user=theirs.name, port=port),
                        timeout=SILENCE if action == "hang" else "0")
    assert result.rc == 0, str(result)
    assert link.connections == (1 if point == "logout" else 2)
    assert snapshot.of(ours) == snapshot.of(theirs)


@pytest.mark.parametrize("point, action", [
    (point, "hang" if number % 2 else "cut")
    for number, point in enumerate(POINTS)
    # at the bodies each connection gets further than the one before, and
    # what stops at each BODY[] can be read as header and text
    if point not in ("logout", "body", "in a body")])
def test_a_broken_server_ends_the_run(source, dest, theirs, point, action):
    ours = dest.user(driver="mdbox")
    with Link(round_trip=0.002) as link:
        port = link.to(source.ports["imap"], fault(point, action, 1000))
        result = backup(dest, ours,
                        dest.imapc(source, user=theirs.name, port=port),
                        timeout="1s" if action == "hang" else "0")
    if point in ("body", "in a body") and result.rc == 0:
        # each connection brought some mails more
        assert snapshot.of(ours) == snapshot.of(theirs)
        return
    assert result.rc == 75, str(result)
    # Imapc's own, and those of a second of patience. After one that was lost
    # before it came so far, because the machine was busy for a second, the
    # next is progress again.
    busy = link.connections - link.broken
    assert 2 <= link.broken and link.connections <= 12 + 4 * busy
    # the cause of each, and what could not be done because of it
    assert 1 <= len(errors(result)) <= 2 * link.connections, str(result)
    assert f":{port}" in result.err


def test_import_from_a_broken_server(source, dest, theirs):
    ours = dest.user(driver="mdbox")
    with Link(round_trip=0.002) as link:
        port = link.to(source.ports["imap"], fault("login", "cut", 1000))
        result = dest.doveadm("import", "-u", ours.name, "imapc:", "", "all",
                              o=dest.imapc(source, user=theirs.name, port=port))
    assert result.rc == 75 and "Panic" not in result.err, str(result)
    assert f"127.0.0.1:{port}" in result.err


@pytest.mark.parametrize("command", [("backup", "-R"), ("sync", "-1R")])
def test_wrong_password(source, dest, theirs, command):
    """Stock 2.3.19.1 aborts."""
    ours = dest.user(driver="mdbox")
    result = backup(dest, ours, dest.imapc(source, user=theirs.name,
                                           password="wrong"), command)
    assert result.rc == 77, str(result)
    assert len(errors(result)) == 2
    assert all("Authentication failed" in line for line in errors(result))
    assert "wrong" not in result.err


def test_wrong_password_in_import(source, dest, theirs):
    ours = dest.user(driver="mdbox")
    result = dest.doveadm("import", "-u", ours.name, "imapc:", "", "all",
                          o=dest.imapc(source, user=theirs.name,
                                       password="wrong"))
    assert result.rc == 77, str(result)
    assert "Authentication failed" in result.err and "Panic" not in result.err


def test_wrong_password_is_tried_once():
    """A second try may lock the account."""
    for version in lab.VERSIONS:
        with lab.Dovecot(version, plugins=["migration_imapc"]) as dest, \
                ImapServer({"INBOX": []}) as server:
            ours = dest.user()
            result = backup(dest, ours, dest.imapc(server, user="user",
                                                   password="wrong"))
            assert result.rc == 77, str(result)
            assert server.count("LOGIN") == 1


def test_nobody_listens(source, dest, theirs):
    ours = dest.user(driver="mdbox")
    with Link() as link:
        port = link.to(source.ports["imap"], "refuse")
        result = backup(dest, ours,
                        dest.imapc(source, user=theirs.name, port=port))
    assert result.rc == 75, str(result)
    assert f"connect(127.0.0.1, {port}) failed: Connection refused" in result.err
    assert f"Can't log in to 127.0.0.1:{port}" in result.err


def test_unknown_host(source, dest, theirs):
    ours = dest.user(driver="mdbox")
    result = backup(dest, ours, {**dest.imapc(source, user=theirs.name),
                                 "imapc_host": "no.such.host.invalid"})
    assert result.rc == 75, str(result)
    assert "no.such.host.invalid" in result.err


def test_certificate_of_an_unknown_authority(source, dest, theirs):
    ours, other = dest.user(driver="mdbox"), lab.CA()
    for ssl in ("imaps", "starttls"):
        settings = dest.imapc(source, user=theirs.name, ssl=ssl)
        settings["ssl_client_ca_file"] = other.ca
        result = backup(dest, ours, settings)
        assert result.rc == 75, str(result)
        assert "certificate" in result.err.lower()
    assert snapshot.of(ours).count() == 0


def test_server_without_tls(dest):
    """STARTTLS is wanted and not offered: the password must not leave."""
    ours = dest.user(driver="mdbox")
    with ImapServer({"INBOX": mailgen.mails(1)}) as server:
        result = backup(dest, ours, {
            **dest.imapc(server, user="user", password="secret"),
            "imapc_ssl": "starttls"})
        assert result.rc == 75, str(result)
        assert "STARTTLS" in result.err
        assert server.count("LOGIN") == 0


REFUSALS = {
    "greeting": ("greeting", "* BYE Too many connections", 75, "Too many"),
    "capability": ("CAPABILITY", "NO Not today", 75, "Not today"),
    "unavailable": ("LOGIN", "NO [UNAVAILABLE] Come back later", 75,
                    "Come back later"),
    "login bye": ("LOGIN", "* BYE Shutting down", 75, "Shutting down"),
    "list": ("LIST", "NO List is broken", 64, "List is broken"),
    "lsub": ("LSUB", "NO Lsub is broken", 64, "Lsub is broken"),
    "bad list": ("LIST", "BAD What is that?", 75, "What is that?"),
    "examine": ("EXAMINE", "NO [SERVERBUG] Index is broken", 75,
                "Index is broken"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(dest, case):
    command, reply, rc, words = REFUSALS[case]
    ours = dest.user(driver="mdbox")
    greeting = "* OK hi" if case == "capability" else None
    with ImapServer({"INBOX": mailgen.mails(3)}, greeting=greeting,
                    faults=[On(command, reply)]) as server:
        result = backup(dest, ours, dest.imapc(server, user="user",
                                               password="secret"))
    assert result.rc == rc, str(result)
    assert words in result.err


@pytest.mark.parametrize("prefix", ["INBOX.", "INBOX"])
def test_list_prefix_with_separator(dest, prefix):
    """Stock panics if imapc_list_prefix ends with the separator."""
    ours = dest.user(driver="mdbox")
    folders = {"INBOX": mailgen.mails(3), "INBOX.Sent": mailgen.mails(2),
               "INBOX.Sent.2024": mailgen.mails(1)}
    with ImapServer(folders, prefix="INBOX.", separator=".") as server:
        result = backup(dest, ours, {
            **dest.imapc(server, user="user", password="secret"),
            "imapc_list_prefix": prefix})
    assert result.rc == 0, str(result)
    ours = snapshot.of(ours)
    assert sorted(ours.mailboxes) == ["INBOX", "Sent", "Sent/2024"]
    assert ours.count() == 6


def test_list_prefix_that_ends_like_a_separator(dest):
    """A folder's name may end with a dot where the separator is another."""
    ours = dest.user(driver="mdbox")
    folders = {"INBOX": mailgen.mails(1), "Mail.": mailgen.mails(1),
               "Mail./Sent": mailgen.mails(2)}
    with ImapServer(folders) as server:
        result = backup(dest, ours, {
            **dest.imapc(server, user="user", password="secret"),
            "imapc_list_prefix": "Mail."})
    assert result.rc == 0, str(result)
    assert len(snapshot.of(ours).mailboxes["Sent"].mails) == 2


def test_many_drops(source, dest):
    """Each connection gets a little further. Stock 2.4.1 gives up at the
    second drop."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(60, size=20000)})
    with Link(round_trip=0.002) as link:
        port = link.to(source.ports["imap"], Fault(after_bytes=600000, times=9))
        settings = {**dest.imapc(source, user=theirs.name, port=port),
                    **dest.plugin_options({"migration_imapc_prefetch": 8})}
        result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                              o=settings)
    assert result.rc == 0, str(result)
    assert link.connections >= 3
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_debug_says_what_is_decided(source, dest, theirs):
    ours = dest.user(driver="mdbox")
    result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                          o=dest.imapc(source, user=theirs.name), debug=True)
    for words in ("raising mail_prefetch_count from 0 to ",
                  "logged in to 127.0.0.1:",
                  "asked STATUS of 0 mailboxes in one burst, state of 2 "
                  "mailboxes is known",
                  "mailbox INBOX: opened, 40 mails"):
        assert f"migration_imapc: {words}" in result.err, words
    assert source.master_password not in result.err
