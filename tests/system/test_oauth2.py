# SPDX-License-Identifier: LGPL-2.1-or-later
"""OAuth2 against a token server and IMAP servers that check the bearer."""

import os

import pytest

from lab import mailgen, oauth2, places, snapshot
from lab.scripted import BearerImapServer, Provider, TokenServer

MAILS = 12


@pytest.fixture(scope="module")
def keys():
    folder = places.scratch("k")
    yield oauth2.Keys(folder)
    places.remove(folder)


@pytest.fixture
def folder():
    """A folder that belongs to the account that runs migrations."""
    path = places.scratch("t")
    os.chown(path, places.MAIL_UID, places.MAIL_UID)
    yield path
    places.remove(path)


def options(dest, server, ca, user="jane", **settings):
    """-o settings for a migration with tokens."""
    return {"imapc_host": "127.0.0.1", "imapc_port": server.port,
            "imapc_user": user, "ssl_client_ca_file": ca.ca,
            **({"imapc_features": "rfc822.size fetch-headers"}
               if dest.version == "2.3" else {}),
            **dest.plugin_options(
                {f"migration_oauth2_{name}": value
                 for name, value in settings.items()})}


def google(keys, folder, tokens, **more):
    return {"provider": "google", "key_file": keys.service_account(
        f"{folder}/account.json", tokens.token_url), **more}


def backup(dest, ours, o, **more):
    return dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o=o, **more)


def no_secrets(provider, *texts):
    for secret in provider.secrets:
        for text in texts:
            assert secret[:40] not in str(text), secret[:40]


def test_service_account(dest, ca, keys, folder):
    provider = Provider()
    mails = mailgen.mails(MAILS)
    with TokenServer(provider, ca, public_key=keys.public,
                     users=["jane"]) as tokens, \
            BearerImapServer({"INBOX": mails}, provider) as server:
        ours = dest.user()
        result = backup(dest, ours, options(
            dest, server, ca, **google(keys, folder, tokens)),
            debug=True).ok()
        assert len(tokens.requests_for) == 1
        assert server.logins == [("jane", "XOAUTH2", True)]
        assert snapshot.of(ours).count() == MAILS
        no_secrets(provider, result)
