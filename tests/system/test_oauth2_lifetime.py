# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migrations that take longer than a token lives.

DM_LONG=1 runs through 20 lifetimes instead of 2, and with both ways to end a
session.
"""

import os

import pytest

from lab import mailgen, snapshot
from lab.scripted import BearerImapServer, On, Provider, TokenServer
from test_oauth2 import backup, folder, google, keys, no_secrets, options

LONG = os.environ.get("DM_LONG") == "1"
LIFETIMES = 20 if LONG else 2
# seconds; short, but with room for a machine that is busy
LIFE = 2 if LONG else 4
ENDS = ("bye", "cut") if LONG else ("cut",)
MAILS = 50 * LIFETIMES


@pytest.fixture(scope="module")
def mails():
    return mailgen.mails(MAILS, size=(300, 900))


def slow(seconds_for_all):
    """The pace at which all mails take so long."""
    return seconds_for_all / MAILS


def migrate(dest, ca, keys, folder, server, provider, tokens, **settings):
    ours = dest.user()
    o = options(dest, server, ca, **google(keys, folder, tokens), **settings)
    # what is under way takes a small part of a token's life, as in real life
    o.update(dest.plugin_options({"migration_imapc_prefetch": 4}))
    result = backup(dest, ours, o, debug=True)
    no_secrets(provider, result)
    return ours, result


@pytest.mark.parametrize("ends", ENDS)
def test_sessions_are_ended_before_the_server_does(dest, ca, keys, folder,
                                                   mails, ends):
    """Every mail is fetched once. (On a busy machine the server may be faster
    now and then.)"""
    provider = Provider(lifetime=LIFE)
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mails}, provider, ends=ends,
                             pace=slow(LIFETIMES * LIFE)) as server:
        ours, result = migrate(dest, ca, keys, folder, server, provider,
                               tokens)
        result.ok()
        assert snapshot.of(ours).count() == MAILS
        assert len(server.logins) >= LIFETIMES
        planned = result.err.count("before the server ends the session")
        assert planned >= 1
        assert planned + server.ended_sessions >= LIFETIMES - 1
        assert set(server.texts.values()) == {1}
        assert len(server.texts) == MAILS


@pytest.mark.parametrize("ends", ENDS)
def test_sessions_that_end_earlier_than_the_token_says(
        dest, ca, keys, folder, mails, ends):
    """In the middle of a mail, too. It goes on with new tokens, as often as
    needed, and what was complete is not fetched again."""
    provider = Provider(lifetime=8, real_lifetime=2)
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mails}, provider, ends=ends,
                             pace=slow(LIFETIMES * 2)) as server:
        ours, result = migrate(dest, ca, keys, folder, server, provider,
                               tokens)
        result.ok()
        assert snapshot.of(ours).count() == MAILS
        assert server.ended_sessions >= LIFETIMES - 1
        assert all(login[2] for login in server.logins)
        assert len(server.texts) == MAILS
        assert set(server.texts.values()) == {1}


def test_token_revoked_in_the_middle(dest, ca, keys, folder, mails):
    """The session ends, and the token that should still be good is refused."""
    provider = Provider(lifetime=3600)
    revoked = []

    def revoke(session, command):
        if not revoked:
            revoked.append(command)
            provider.revoke_all()
        session.connection.misbehave("close")

    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mails}, provider, faults=[
                On("UID FETCH .*BODY", revoke, times=1, skip=5)]) as server:
        ours, result = migrate(dest, ca, keys, folder, server, provider,
                               tokens)
        result.ok()
        assert revoked and snapshot.of(ours).count() == MAILS
        accepted = [login[2] for login in server.logins]
        assert accepted[:3] == [True, False, True] and all(accepted[2:])
