# SPDX-License-Identifier: LGPL-2.1-or-later
"""The migration guide: how the two servers talk. TLS, STARTTLS, and the
doveadm protocol."""

import subprocess

import pytest

import lab
from lab import mailgen, places, snapshot
from lab.latency import Link


def three_mails(user):
    mailgen.deliver(user, {"INBOX": mailgen.mails(3)})
    return snapshot.of(user)


@pytest.mark.parametrize("ssl", ["imaps", "starttls"])
def test_tls(source, dest, ssl):
    theirs, ours = source.user(), dest.user()
    before = three_mails(theirs)
    with Link(0) as link:
        port = link.to(source.ports["imaps" if ssl == "imaps" else "imap"])
        dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                     o=dest.imapc(source, user=theirs.name, ssl=ssl,
                                  port=port)).ok()
        assert b"LOGIN" not in b"".join(link.sent())
    assert snapshot.of(ours) == before


@pytest.mark.parametrize("ssl", ["imaps", "starttls"])
def test_an_unknown_authority_is_refused(source, dest, ssl):
    theirs, ours = source.user(), dest.user()
    three_mails(theirs)
    with Link(0) as link:
        settings = dest.imapc(source, user=theirs.name, ssl=ssl, port=link.to(
            source.ports["imaps" if ssl == "imaps" else "imap"]))
        settings["ssl_client_ca_file"] = lab.CA("a stranger").ca
        run = dest.start_doveadm("backup", "-R", "-u", ours.name, "imapc:",
                                 o=settings, stderr=subprocess.PIPE,
                                 text=True)
        places.wait_for(lambda: run.poll() is not None or
                        link.connections > 50, "an end")
        run.kill()
        errors = run.communicate()[1]
        assert link.connections < 20
        assert not any(b"LOGIN" in data for data in link.sent())

    assert run.returncode in (75, 77), errors
    assert "certificate" in errors
    assert snapshot.of(ours).count() == 0


@pytest.mark.parametrize("scheme, listener", [("tcp", "doveadm"),
                                              ("tcps", "doveadms")])
def test_doveadm_protocol(source, dest, ca, scheme, listener):
    """Both sides are Dovecot and trust each other: GUIDs stay, too."""
    ours = dest.user(driver="mdbox")
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, mailgen.account())
    before = snapshot.of(theirs)
    settings = {"doveadm_password": source.doveadm_password,
                "ssl_client_ca_file": ca.ca}

    for command in (("backup", "-R"), ("backup", "-R"), ("sync", "-1R")):
        dest.doveadm(*command, "-u", ours.name,
                     f"{scheme}:127.0.0.1:{source.ports[listener]}",
                     o=settings).ok()
        assert snapshot.of(ours) == before
    guids = [server.doveadm("fetch", "-u", ours.name, "guid", "mailbox",
                            "Sent", "all").ok().out
             for server in (source, dest)]
    assert guids[0] == guids[1] != ""


def test_doveadm_protocol_with_a_wrong_password(source, dest):
    ours = dest.user()
    source.user(ours.name)
    result = dest.doveadm("backup", "-R", "-u", ours.name,
                          f"tcp:127.0.0.1:{source.ports['doveadm']}",
                          o={"doveadm_password": "wrong"})
    assert result.rc in (75, 77), result
