# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migrations that take longer than a token lives.

DM_LONG=1 runs through 20 lifetimes instead of 2, and with both ways to end a
session.
"""

import os

import pytest

from lab import mailgen, oauth2, snapshot
from lab.scripted import BearerImapServer, On, Provider, TokenServer
from test_oauth2 import backup, folder, google, keys, no_secrets, options

LONG = os.environ.get("DM_LONG") == "1"
LIFETIMES = 20 if LONG else 2
# seconds
LIFE = 2 if LONG else 1
ENDS = ("bye", "cut") if LONG else ("cut",)
MAILS = 50 * LIFETIMES if LONG else 60


@pytest.fixture(scope="module")
def mails():
    return mailgen.mails(MAILS, size=(300, 900))


def slow(seconds_for_all):
    """The pace at which all mails take so long."""
    return seconds_for_all / MAILS


def migrate(dest, ca, keys, folder, server, provider, tokens, engine="ahead",
            settings=None):
    ours = dest.user()
    o = options(dest, server, ca, **(settings or google(keys, folder, tokens)))
    # what is under way takes a small part of a token's life, as in real life
    o.update(dest.plugin_options({"migration_imapc_prefetch": 4}))
    if engine == "opened":
        o = dest.opened_one_by_one(o)
    result = backup(dest, ours, o, debug=True)
    no_secrets(provider, result)
    return ours, result


# how mails are fetched: all mailboxes ahead, or each when it is opened
ENGINES = ["ahead", "opened"]


def refresh(folder, tokens):
    """A refresh token that is replaced whenever it is used."""
    token = tokens.provider.secret("refresh-the-first")
    tokens.clients, tokens.rotate = {"app": None}, True
    tokens.refresh_tokens[token] = "jane"
    return {"provider": "custom", "client_id": "app",
            "token_url": tokens.token_url,
            "refresh_token_file": oauth2.write(f"{folder}/refresh", token)}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ends", ENDS)
def test_sessions_are_ended_before_the_server_does(dest, ca, keys, folder,
                                                   mails, ends, engine):
    """Every mail is fetched once. (Where nothing may depend on how busy the
    machine is, the server would end sessions much later. In the long form it
    ends them on time, and may be faster now and then.)"""
    provider = Provider(lifetime=LIFE, real_lifetime=LIFE if LONG else 300)
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mails}, provider, ends=ends,
                             pace=slow(LIFETIMES * LIFE)) as server:
        settings = (refresh(folder, tokens) if engine == "opened" else
                    google(keys, folder, tokens))
        ours, result = migrate(dest, ca, keys, folder, server, provider,
                               tokens, engine, settings)
        result.ok()
        one_by_one = result.err.count("not fetched before they are opened")
        assert one_by_one == (engine == "opened")
        assert snapshot.of(ours).count() == MAILS
        planned = result.err.count("before the server ends the session")
        assert planned >= 1
        assert planned + server.ended_sessions >= LIFETIMES - 1
        assert len(server.logins) >= LIFETIMES
        assert len(tokens.requests_for) >= LIFETIMES
        used = [form.get("refresh_token") for form in tokens.requests_for]
        assert len(set(used)) == (len(used) if engine == "opened" else 1)
        if not LONG:
            assert server.ended_sessions == 0
            assert all(login[2] for login in server.logins)
        assert set(server.texts.values()) == {1}
        assert len(server.texts) == MAILS


@pytest.mark.parametrize("ends", ENDS)
def test_sessions_that_end_earlier_than_the_token_says(
        dest, ca, keys, folder, mails, ends):
    """In the middle of a mail, too. It goes on with new tokens, as often as
    needed, and what was complete is not fetched again."""
    ended = 20 if LONG else 2
    provider = Provider(lifetime=8, real_lifetime=2)
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mails}, provider, ends=ends,
                             pace=slow(ended * 2 - 1)) as server:
        ours, result = migrate(dest, ca, keys, folder, server, provider,
                               tokens)
        result.ok()
        assert snapshot.of(ours).count() == MAILS
        assert server.ended_sessions >= ended - 1
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
