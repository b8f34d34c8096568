# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gmail with tokens that live for less time than the migration takes.

DM_LONG=1 has both ways to end a session, and each mailbox format.
"""

import os

import pytest

import lab
from lab import gmail, oauth2, snapshot
from lab.gmail import BearerGmailServer
from lab.gmail_model import expected
from lab.scripted import Provider, TokenServer
from test_oauth2 import backup, folder, no_secrets, options

LONG = os.environ.get("DM_LONG") == "1"
MESSAGES = 60
# seconds for all messages
PACE = 6
# messages of one command at most
PREFETCH = 4
# how sessions end, and the seconds that a token lives: as the server of tokens
# tells, and really
CASES = [(ends, driver, life)
         for ends in ("bye", "cut") for driver in ("mdbox", "maildir", "sdbox")
         for life in ((3, 3), (8, 2))] if LONG else [
             ("bye", "mdbox", (3, 3)), ("cut", "maildir", (8, 2))]


@pytest.fixture(scope="module")
def dest(version, ca):
    with lab.Dovecot(version, ca=ca, driver="mdbox",
                     plugins=("migration_imapc", "migration_gmail")) as server:
        yield server
        assert " Panic: " not in server.log()


def found(user):
    return {name: {uid: (set(mail.flags), set(mail.keywords), mail.sha256)
                   for uid, mail in box.mails.items()}
            for name, box in snapshot.of(user).mailboxes.items() if box.mails}


@pytest.mark.parametrize("ends, driver, life", CASES)
def test_sessions_end_with_their_tokens(dest, ca, folder, ends, driver, life):
    """With a new token by the refresh token it goes on. No message is downloaded
    twice if the session is ended by ourselves, in time. If Google is faster, the
    command that it was at is sent again."""
    told, real = life
    account, user = gmail.sample(MESSAGES), dest.user(driver=driver)
    provider = Provider(lifetime=told, real_lifetime=real)
    with TokenServer(provider, ca, clients={"app": "client-secret-1"},
                     refresh_tokens={"1//refresh": "jane"}) as tokens, \
            BearerGmailServer(account, provider, ends=ends,
                              pace=PACE / MESSAGES) as server:
        o = options(
            dest, server, ca, provider="google", client_id="app",
            client_secret_file=oauth2.write(f"{folder}/secret",
                                            "client-secret-1\n"),
            refresh_token_file=oauth2.write(f"{folder}/refresh",
                                            "1//refresh\n"),
            token_url=tokens.token_url)
        # what is under way takes a small part of a token's life
        o.update(dest.plugin_options({"migration_imapc_prefetch": PREFETCH}))
        result = backup(dest, user, o, debug=True).ok()
        assert found(user) == {
            name: box for name, box in expected(account, "folders").items()
            if box}
        planned = result.err.count("before the server ends the session")
        assert planned + server.ended_sessions >= 1
        assert told == real or server.ended_sessions >= 1
        # the last session may end when there is nothing left to do
        assert len(server.logins) >= planned + server.ended_sessions
        assert len(server.logins) >= 2
        assert len(server.texts) == MESSAGES
        downloads = sum(server.texts.values())
        assert downloads - MESSAGES <= server.ended_sessions * (PREFETCH - 1)
        assert all(accepted for _, _, accepted in server.logins)
        assert {form["grant_type"] for form in tokens.requests_for} == {
            "refresh_token"}
        assert provider.issued == len(tokens.requests_for) >= 2
        assert server.most_sessions == 1

        again = backup(dest, user, o).ok()
        assert sum(server.texts.values()) == downloads
    no_secrets(provider, result, again)
