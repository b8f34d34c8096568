# SPDX-License-Identifier: LGPL-2.1-or-later
"""OAuth2 for the old POP3 server, and `doveadm migration auth-test`."""

import json
import os

import pytest

from lab import mailgen, oauth2, snapshot
from lab.dovecot import Dovecot
from lab.scripted import (BearerImapServer, BearerPop3Server, Provider,
                          TokenServer)
from test_oauth2 import folder, google, keys, no_secrets

LONG = os.environ.get("DM_LONG") == "1"


@pytest.fixture(scope="module")
def dest(version, ca):
    """Without imapc_password and pop3c_password, which nobody has."""
    server = Dovecot(version, ca=ca, driver="mdbox",
                     plugins=("migration_imapc", "migration_pop3"))
    with server:
        yield server
        assert " Panic: " not in server.log()


def configure(dest, folder, imap, pop3, settings, imapc_user="jane",
              more=None, plugins=("migration_imapc", "migration_pop3")):
    """A configuration for migrations; returns its path."""
    own = {"imapc_host": "127.0.0.1", "imapc_port": imap.port,
           "imapc_user": imapc_user, "pop3c_host": "127.0.0.1",
           "pop3c_port": pop3.port, "pop3c_user": imapc_user}
    if dest.version == "2.3":
        own["imapc_features"] = "rfc822.size fetch-headers"
    return dest.write_conf(
        f"{dest.dir}/{os.path.basename(folder)}.conf",
        plugins=plugins,
        namespaces=[dest.pop3c_namespace()], settings=own,
        plugin_settings={
            "migration_pop3_mailbox": "POP3-SOURCE/INBOX",
            **{f"migration_oauth2_{name}": value
               for name, value in settings.items()}, **(more or {})})


@pytest.mark.parametrize("like, mechanisms", [
    ("google", ("XOAUTH2", "OAUTHBEARER")),
    ("google", ("OAUTHBEARER",)),
    ("microsoft", ("XOAUTH2",)),
])
def test_uidls(dest, ca, keys, folder, like, mechanisms):
    """One token for both protocols, the token on a line of its own."""
    provider = Provider()
    mails = mailgen.mails(20)
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mails}, provider) as imap, \
            BearerPop3Server(mails, provider, like=like,
                             mechanisms=mechanisms) as pop3:
        ours = dest.user()
        conf = configure(dest, folder, imap, pop3,
                         google(keys, folder, tokens))
        result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                              conf=conf, debug=True).ok()
        assert pop3.logins == [("jane", mechanisms[0], True)]
        assert len(tokens.requests_for) == 1
        assert sorted(pop3.uidl(n + 1) for n in range(20)) == sorted(
            uidls(ours, conf))
        no_secrets(provider, result)


def uidls(user, conf):
    result = user.server.doveadm("-f", "tab", "fetch", "-u", user.name,
                                 "pop3.uidl", "mailbox", "INBOX",
                                 conf=conf).ok()
    return [line.strip() for line in result.out.splitlines()[1:]]


@pytest.mark.parametrize("location", [(), ("pop3c:",)])
def test_uidls_onto_mail_that_is_here(dest, ca, keys, folder, location):
    """doveadm migration uidl needs no word in mail_plugins, and no
    password."""
    provider = Provider()
    mails = mailgen.mails(5)
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mails}, provider) as imap, \
            BearerPop3Server(mails, provider) as pop3:
        ours = dest.user(driver="maildir")
        mailgen.deliver(ours, {"INBOX": mails})
        conf = configure(dest, folder, imap, pop3,
                         google(keys, folder, tokens), plugins=())
        result = dest.doveadm("migration", "uidl", "-u", ours.name, *location,
                              conf=conf, debug=True).ok()
        assert uidls(ours, dest.conf) == [pop3.uidl(n + 1)
                                     for n in range(len(mails))]
        assert [login[2] for login in pop3.logins] == [True]
        no_secrets(provider, result)


def test_settings_of_each_user(dest, ca, keys, folder):
    """In the userdb, for both protocols. One run of many users keeps their
    tokens apart."""
    provider = Provider()
    mails = mailgen.mails(4)
    names = {name: provider.secret(f"refresh-of-{name}")
             for name in ("jane", "joe")}
    with TokenServer(provider, ca, public_key=keys.public,
                     clients={"app": None},
                     refresh_tokens={token: name for name, token in
                                     names.items()}) as tokens, \
            BearerImapServer({"INBOX": mails}, provider) as imap, \
            BearerPop3Server(mails, provider) as pop3:
        users = [dest.user(fields={
            "imapc_user": name, "pop3c_user": name,
            "migration_oauth2_refresh_token_file": oauth2.write(
                f"{folder}/{name}", token)}) for name, token in names.items()]
        # another source of tokens, another provider
        users.append(dest.user(fields={
            "imapc_user": "jim", "pop3c_user": "jim",
            "migration_oauth2_provider": "google",
            "migration_oauth2_key_file": keys.service_account(
                f"{folder}/account.json", tokens.token_url)}))
        conf = configure(dest, folder, imap, pop3, {
            "provider": "custom", "client_id": "app",
            "token_url": tokens.token_url, "cache_dir": f"{folder}/cache"})
        result = dest.doveadm("backup", "-R", "-F", dest.users_file(*users),
                              "imapc:", conf=conf, debug=True).ok()
        for server in (imap, pop3):
            assert [(login[0], login[2]) for login in server.logins] == [
                ("jane", True), ("joe", True), ("jim", True)]
        assert [form.get("refresh_token") for form in
                tokens.requests_for] == [*names.values(), None]
        for user in users:
            assert snapshot.of(user).count() == len(mails)
            assert uidls(user, conf) == [pop3.uidl(n + 1)
                                         for n in range(len(mails))]
        no_secrets(provider, result)


@pytest.mark.parametrize("like", ["google", "microsoft"])
def test_one_new_token_after_a_refusal(dest, ca, keys, folder, like):
    provider = Provider()
    mails = mailgen.mails(3)
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mails}, provider) as imap, \
            BearerPop3Server(mails, provider, like=like) as pop3:
        conf = configure(dest, folder, imap, pop3,
                         google(keys, folder, tokens))
        accepts, seen = provider.accepts, []

        def second_only(user, token):
            seen.append(token)
            return len(seen) != 2 and accepts(user, token)

        provider.accepts = second_only
        dest.doveadm("backup", "-R", "-u", dest.user().name, "imapc:",
                     conf=conf).ok()
        assert [login[2] for login in pop3.logins] == [False, True]
        assert len(tokens.requests_for) == 2


@pytest.mark.parametrize("like", ["google", "microsoft"])
def test_refused(dest, ca, keys, folder, like):
    """Only POP3 is not allowed."""
    provider = Provider()
    mails = mailgen.mails(3)
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mails}, provider) as imap, \
            BearerPop3Server(mails, Provider(), like=like) as pop3:
        conf = configure(dest, folder, imap, pop3,
                         google(keys, folder, tokens))
        result = dest.doveadm("backup", "-R", "-u", dest.user().name,
                              "imapc:", conf=conf)
        assert result.rc != 0, result
        assert "also with a new one" in result.err, result
        if like == "google":
            assert "status 401, schemes bearer" in result.err
        assert len(pop3.logins) == 2
        no_secrets(provider, result)


@pytest.mark.parametrize("ends", ["bye", "cut", None] if LONG else
                         ["cut", None])
def test_lives_through_lifetimes(dest, ca, keys, folder, ends):
    """Sessions end with the token: before every command, or in the middle of
    a mail; or the server does not mind, and we end them. Headers that were
    read are not read again. 20 lifetimes with DM_LONG=1."""
    lifetimes = 20 if LONG else 2
    provider = Provider(lifetime=1)
    mails = mailgen.mails(30 * lifetimes, size=(300, 600))
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mails}, provider, ends=None) as imap, \
            BearerPop3Server(mails, provider, ends=ends, pace=1 / 30,
                             pipelining=False) as pop3:
        ours = dest.user()
        # every header is needed
        conf = configure(dest, folder, imap, pop3,
                         google(keys, folder, tokens),
                         more={"migration_pop3_skip_size_check": True})
        result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                              conf=conf, debug=True).ok()
        assert len(pop3.texts) == len(mails)
        assert len(pop3.logins) >= lifetimes
        assert set(pop3.texts.values()) == {1}
        assert uidls(ours, conf) == [pop3.uidl(n + 1)
                                     for n in range(len(mails))]
        no_secrets(provider, result)


# -- doveadm migration auth-test

def auth_test(dest, conf, *args, user, **options):
    result = dest.doveadm("-f", "json", "migration", "auth-test", "-u",
                          user.name, *args, conf=conf, **options)
    rows = json.loads(result.out) if result.out else []
    return result, {(row["part"], row["item"]): row["value"] for row in rows}


def test_auth_test(dest, ca, keys, folder, schema):
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as imap, \
            BearerPop3Server([], provider) as pop3:
        conf = configure(dest, folder, imap, pop3,
                         google(keys, folder, tokens))
        for args in ((), ("imapc:",)):
            result, rows = auth_test(dest, conf, *args, user=dest.user())
            result.ok()
            schema("auth-test.schema.json", json.loads(result.out))
            assert rows["token", "source"] == "google, service account"
            assert rows["token", "user"] == "jane"
            assert rows["token", "scopes"] == "https://mail.google.com/"
            seconds, word = rows["token", "expires in"].split()
            assert 3500 < int(seconds) <= 3600 and word == "seconds"
            assert rows["imap", "server"] == f"127.0.0.1:{imap.port}"
            assert rows["imap", "login"] == "ok, jane"
            assert rows["imap", "capabilities"] == imap.capabilities
            assert rows["pop3", "server"] == f"127.0.0.1:{pop3.port}"
            assert rows["pop3", "login"] == "ok, jane"
            assert "SASL PLAIN XOAUTH2" in rows["pop3", "capabilities"]
            no_secrets(provider, result)
        # nothing was looked at but the login
        assert imap.count("SELECT|EXAMINE") == 0
        assert pop3.count("UIDL|LIST|TOP|RETR") == 0
        assert len(tokens.requests_for) == 2


@pytest.mark.parametrize("what, rc, words", [
    ("no token", 77, {("token", "error"): "unknown or suspended"}),
    ("throttled", 75, {("token", "error"): "fewer requests"}),
    ("imap refused", 77, {("imap", "login"): "also with a new token",
                          ("pop3", "login"): "ok, jane"}),
    ("imap down", 75, {("imap", "login"): "Disconnected",
                       ("pop3", "login"): "ok, jane"}),
    ("pop3 refused", 77, {("imap", "login"): "ok, jane",
                          ("pop3", "login"): "also with a new one"}),
])
def test_auth_test_says_what_is_wrong(dest, ca, keys, folder, what, rc, words):
    provider, other = Provider(), Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, other if what == "imap refused"
                             else provider) as imap, \
            BearerPop3Server([], other if what == "pop3 refused"
                             else provider) as pop3:
        if what == "no token":
            tokens.users = []
        if what == "throttled":
            tokens.answers = [(429, {"Retry-After": "90"}, {})] * 5
        if what == "imap down":
            imap.greeting = "* BYE down"
        conf = configure(dest, folder, imap, pop3, google(
            keys, folder, tokens))
        result, rows = auth_test(dest, conf, user=dest.user())
        assert result.rc == rc, result
        for item, word in words.items():
            assert word in rows[item], rows
        no_secrets(provider, result)
        no_secrets(other, result)


def test_auth_test_with_passwords(dest, source, folder):
    """It is of use without OAuth2, too."""
    user = source.user()
    ours = dest.user()
    good, rows = auth_test(dest, dest.conf, user=ours, o=dest.imapc(
        source, user=user.name))
    good.ok()
    assert rows["imap", "login"] == f"ok, {user.name}"
    assert "password" in rows["token", "source"]
    assert "not tried" in rows["pop3", "login"]
    bad, rows = auth_test(dest, dest.conf, user=ours, o=dest.imapc(
        source, user=user.name, password="wrong"))
    assert bad.rc == 77 and "Authentication failed" in rows["imap", "login"]
