# SPDX-License-Identifier: LGPL-2.1-or-later
"""OAuth2 against a token server and IMAP servers that check the bearer."""

import base64
import json
import os
import re
import subprocess

import pytest

from lab import mailgen, oauth2, places, snapshot
from lab.scripted import (BearerImapServer, ConnectProxy, On, Provider,
                          TokenServer)

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


def test_tokens_do_not_reach_any_log(dest, ca, keys, folder):
    """Also not if the server leaves AUTHENTICATE without an answer, answers
    BAD, or repeats the request."""
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider,
                             faults=[On("AUTHENTICATE", "BAD what?")]
                             ) as server:
        o = options(dest, server, ca, **google(keys, folder, tokens))
        result = backup(dest, dest.user(), o, debug=True)
        assert result.rc in (75, 77), result
        assert "AUTHENTICATE" in result.err
        assert provider.issued >= 1
        no_secrets(provider, result, dest.log())


def test_silent_server_does_not_bring_the_token_into_the_log(
        dest, ca, keys, folder):
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider,
                             faults=[On("AUTHENTICATE", "hang")]) as server:
        o = options(dest, server, ca, timeout=1,
                    **google(keys, folder, tokens))
        o.update(dest.plugin_options({"migration_imapc_timeout": "1s"}))
        result = backup(dest, dest.user(), o, debug=True)
        assert result.rc == 75, result
        no_secrets(provider, result)


def test_rawlog_is_refused(dest, ca, keys, folder):
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        o = options(dest, server, ca, **google(keys, folder, tokens))
        o["imapc_rawlog_dir"] = folder
        result = backup(dest, dest.user(), o)
        assert result.rc != 0
        assert "imapc_rawlog_dir" in result.err
        assert provider.issued == 0 and server.connection_count == 0
        assert os.listdir(folder) == ["account.json"]


@pytest.mark.parametrize("mechanisms, sasl_ir, used", [
    (("XOAUTH2", "OAUTHBEARER"), True, "XOAUTH2"),
    (("XOAUTH2",), False, "XOAUTH2"),
    (("OAUTHBEARER",), True, "OAUTHBEARER"),
    (("PLAIN", "OAUTHBEARER"), False, "OAUTHBEARER"),
])
def test_mechanism(dest, ca, folder, mechanisms, sasl_ir, used):
    provider = Provider()
    oauth2.write(f"{folder}/token", provider.issue("jane") + "\n")
    with BearerImapServer({"INBOX": mailgen.mails(2)}, provider,
                          mechanisms=mechanisms, sasl_ir=sasl_ir) as server:
        backup(dest, dest.user(), options(
            dest, server, ca, provider="custom",
            token_file=f"{folder}/token")).ok()
        assert server.logins == [("jane", used, True)]


def test_mechanism_of_the_administrator(dest, ca, folder):
    provider = Provider()
    oauth2.write(f"{folder}/token", provider.issue("jane"))
    with BearerImapServer({"INBOX": []}, provider) as server:
        o = options(dest, server, ca, provider="custom",
                    token_file=f"{folder}/token")
        o["imapc_sasl_mechanisms"] = "oauthbearer"
        backup(dest, dest.user(), o).ok()
        assert server.logins == [("jane", "OAUTHBEARER", True)]


# -- where tokens come from

def test_refresh_token_is_replaced(dest, ca, folder):
    """Each use of the token gives another one, which must be in the file
    before the next use, with the mode that the file had."""
    provider = Provider()
    first = provider.secret("refresh-the-first")
    path = oauth2.write(f"{folder}/refresh", first + "\n")
    secret = oauth2.write(f"{folder}/secret", "client-secret-1\n")
    with TokenServer(provider, ca, clients={"app": "client-secret-1"},
                     refresh_tokens={first: "jane"}, rotate=True) as tokens, \
            BearerImapServer({"INBOX": mailgen.mails(3)}, provider) as server:
        o = options(dest, server, ca, provider="custom", client_id="app",
                    token_url=tokens.token_url, client_secret_file=secret,
                    refresh_token_file=path)
        ours = dest.user()
        results = [backup(dest, ours, o, debug=True).ok() for _ in range(3)]
        used = [form["refresh_token"] for form in tokens.requests_for]
        assert used[0] == first and len(set(used)) == 3
        assert list(tokens.refresh_tokens) == [oauth2.read(path).strip()]
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert sorted(os.listdir(folder)) == ["refresh", "secret"]
        no_secrets(provider, *results)


def test_refresh_token_is_replaced_by_many_processes(dest, ca, folder):
    """Without a shared cache each asks for itself: one after the other, and
    each with the token that the one before it was given."""
    provider = Provider()
    first = provider.secret("refresh-the-first")
    path = oauth2.write(f"{folder}/refresh", first)
    with TokenServer(provider, ca, clients={"app": None}, delay=0.1,
                     refresh_tokens={first: "jane"}, rotate=True) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        o = options(dest, server, ca, provider="custom", client_id="app",
                    token_url=tokens.token_url, refresh_token_file=path)
        runs = [dest.start_doveadm("backup", "-R", "-u", dest.user().name,
                                   "imapc:", o=o, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
                for _ in range(6)]
        outputs = [run.communicate(timeout=120)[0] for run in runs]
        assert [run.returncode for run in runs] == [0] * 6, outputs
        used = [form["refresh_token"] for form in tokens.requests_for]
        assert used[0] == first and len(used) == len(set(used)) == 6
        assert list(tokens.refresh_tokens) == [oauth2.read(path).strip()]
        no_secrets(provider, outputs)


def test_refresh_token_that_cannot_be_stored(dest, ca, folder):
    """The run goes on with the token that it has, and the administrator is
    told."""
    provider = Provider()
    first = provider.secret("refresh-the-first")
    os.mkdir(f"{folder}/fixed")
    path = oauth2.write(f"{folder}/fixed/refresh", first)
    os.chown(f"{folder}/fixed", 0, 0)
    with TokenServer(provider, ca, clients={"app": None}, rotate=True,
                     refresh_tokens={first: "jane"}) as tokens, \
            BearerImapServer({"INBOX": mailgen.mails(3)}, provider) as server:
        result = backup(dest, dest.user(), options(
            dest, server, ca, provider="custom", client_id="app",
            token_url=tokens.token_url, refresh_token_file=path)).ok()
        assert "cannot be stored" in result.err
        assert oauth2.read(path) == first
        no_secrets(provider, result)


def test_microsoft_by_secret_one_token_for_all(dest, ca, folder):
    provider = Provider()
    secret = oauth2.write(f"{folder}/secret", "Q~secret-of-app")
    with TokenServer(provider, ca,
                     clients={"app-id": "Q~secret-of-app"}) as tokens, \
            BearerImapServer({"INBOX": mailgen.mails(3)}, provider,
                             like="microsoft") as server:
        for user in ("jane@example.com", "joe@example.com"):
            backup(dest, dest.user(), options(
                dest, server, ca, user=user, provider="microsoft",
                tenant="tenant-id", client_id="app-id",
                client_secret_file=secret, token_url=tokens.token_url,
                cache_dir=f"{folder}/cache")).ok()
        assert [login[0] for login in server.logins] == [
            "jane@example.com", "joe@example.com"]
        assert len(tokens.requests_for) == 1
        assert tokens.requests_for[0] == {
            "grant_type": "client_credentials", "client_id": "app-id",
            "client_secret": "Q~secret-of-app",
            "scope": "https://outlook.office365.com/.default"}


@pytest.mark.parametrize("form", ["pkcs8", "pkcs1"])
def test_microsoft_by_certificate(dest, ca, keys, folder, form):
    provider = Provider()
    with TokenServer(provider, ca, clients={"app-id": None},
                     public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mailgen.mails(3)}, provider,
                             like="microsoft") as server:
        result = backup(dest, dest.user(), options(
            dest, server, ca, provider="microsoft", tenant="tenant-id",
            client_id="app-id", key_file=getattr(keys, form),
            certificate_file=keys.certificate,
            token_url=tokens.token_url), debug=True).ok()
        assertion = tokens.requests_for[0]["client_assertion"]
        header = json.loads(base64.urlsafe_b64decode(
            assertion.split(".")[0] + "=="))
        assert {name: header[name] for name in ("x5t", "x5t#S256")} == (
            keys.fingerprints())
        no_secrets(provider, result)


@pytest.mark.parametrize("form", ["pkcs8", "pkcs1"])
def test_service_account_keys(dest, ca, keys, folder, form):
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        path = keys.service_account(f"{folder}/account.json",
                                    tokens.token_url, getattr(keys, form))
        backup(dest, dest.user(), options(
            dest, server, ca, provider="google", key_file=path)).ok()
        # what was sent verifies with openssl, and is byte for byte base64url
        jwt = tokens.requests_for[0]["assertion"]
        for part in jwt.split("."):
            binary = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
            assert base64.urlsafe_b64encode(binary).rstrip(
                b"=").decode() == part
        assert tokens.verified(jwt)["sub"] == "jane"
        assert tokens.verified(jwt[:-8] + "AAAAAAAA") is None


def broken_keys(keys, folder, url):
    yield "missing", f"{folder}/missing.json", "No such file"
    yield "empty", oauth2.write(f"{folder}/k1", ""), "not complete JSON"
    yield "cut", oauth2.write(f"{folder}/k2", oauth2.read(
        keys.service_account(f"{folder}/a", url))[:700]), "not complete JSON"
    yield "pem", oauth2.write(f"{folder}/k3", oauth2.read(
        keys.pkcs8)), "not complete JSON"
    yield "other", keys.service_account(
        f"{folder}/k4", url, type="authorized_user"), "belongs to a user"
    yield "no key", keys.service_account(
        f"{folder}/k5", url, private_key=None), '"private_key"'
    yield "bad key", keys.service_account(
        f"{folder}/k6", url, private_key="-----BEGIN PRIVATE KEY-----\nAAAA\n"
        "-----END PRIVATE KEY-----\n"), "no usable private key"
    yield "readable", oauth2.own(keys.service_account(
        f"{folder}/k7", url), 0o644), "chmod 600"
    yield "directory", folder, "is not a file"
    yield "http", keys.service_account(
        f"{folder}/k8", "http://127.0.0.1/token"), "https://"


def test_bad_key_files(dest, ca, keys, folder):
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        ours = dest.user()
        for name, path, error in broken_keys(keys, folder, tokens.token_url):
            result = backup(dest, ours, options(
                dest, server, ca, provider="google", key_file=path))
            assert result.rc == 77, f"{name}: {result}"
            assert "migration_oauth2_key_file" in result.err, result
            assert error in result.err, f"{name}: {result}"
            assert "PRIVATE" not in result.err
        assert tokens.requests_for == [] and server.connection_count == 0


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_secrets_that_are_open_to_others(dest, ca, keys, folder, mode):
    """Whatever kind of secret it is, it is not used."""
    provider = Provider()
    path = oauth2.write(f"{folder}/secret", provider.secret("the-secret"))
    client = {"provider": "microsoft", "tenant": "t", "client_id": "app"}
    with BearerImapServer({"INBOX": []}, provider) as server:
        for name, more in (("token_file", {"provider": "custom"}),
                           ("client_secret_file", client),
                           ("refresh_token_file", client),
                           ("key_file", {**client, "certificate_file":
                                         keys.certificate}),
                           ("certificate_file",
                            {**client, "key_file": keys.pkcs8})):
            oauth2.own(path, mode)
            result = backup(dest, dest.user(), options(
                dest, server, ca, **more, **{name: path}))
            assert result.rc == 77, f"{name}: {result}"
            assert f"migration_oauth2_{name}: " in result.err, result
            assert f"{path} has mode 0{mode:o}" in result.err, result
            no_secrets(provider, result)
        assert server.connection_count == 0


def test_encrypted_key(dest, ca, keys, folder):
    """OpenSSL must not ask for the passphrase on the terminal."""
    provider = Provider()
    locked = f"{folder}/locked.pem"
    oauth2.Keys._openssl("pkey", "-in", keys.pkcs8, "-aes256", "-passout",
                         "pass:topsecret", "-out", locked)
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        path = keys.service_account(f"{folder}/account.json",
                                    tokens.token_url, locked)
        result = backup(dest, dest.user(), options(
            dest, server, ca, provider="google", key_file=path))
        assert result.rc == 77 and "encrypted" in result.err, result


def test_token_file_is_read_at_each_login(dest, ca, folder):
    provider = Provider()
    path = f"{folder}/token"
    with BearerImapServer({"INBOX": mailgen.mails(3)}, provider) as server:
        o = options(dest, server, ca, provider="custom", token_file=path)
        ours = dest.user()
        for _ in range(2):
            provider.revoke_all()
            oauth2.write(path, provider.issue("jane"))
            backup(dest, ours, o).ok()
        assert [login[2] for login in server.logins] == [True, True]


def script(folder, text):
    path = f"{folder}/command.sh"
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def test_token_command(dest, ca, folder):
    """Called for each user with the arguments of the setting. With a lifetime
    its token is shared; without, it is called for each login."""
    provider = Provider()
    oauth2.write(f"{folder}/token", provider.issue("jane"))
    calls = oauth2.write(f"{folder}/calls", "")
    with BearerImapServer({"INBOX": []}, provider) as server:
        ours = dest.user()
        for lifetime, expected in (("", "-u jane\n" * 2),
                                   ("1800", "-u jane\n")):
            oauth2.write(calls, "")
            path = script(folder, f'echo "$@" >> {calls}\n'
                                  f"cat {folder}/token\n"
                                  f"echo; echo {lifetime}\n")
            o = options(dest, server, ca, provider="custom",
                        token_command=f"{path} -u jane",
                        cache_dir=f"{folder}/cache")
            for _ in range(2):
                backup(dest, ours, o).ok()
            assert oauth2.read(calls) == expected


def test_token_command_that_fails(dest, ca, folder):
    provider = Provider()
    with BearerImapServer({"INBOX": []}, provider) as server:
        for text, error, rc in (
                ("echo the vault is locked >&2; exit 1",
                 "the vault is locked", 75),
                ("echo Usage: get-token USER",
                 "something else than a token", 77)):
            result = backup(dest, dest.user(), options(
                dest, server, ca, provider="custom",
                token_command=script(folder, text)))
            assert result.rc == rc and error in result.err, result
        result = backup(dest, dest.user(), options(
            dest, server, ca, provider="custom",
            token_command=f"{folder}/nothing"))
        assert result.rc == 77 and "cannot be started" in result.err, result
        assert server.connection_count == 0


# -- what goes wrong

WRONG = [
    # (settings of the token server, exit code, words of the error as
    # regular expressions)
    ("scope", 77, ["domain-wide delegation", "admin console",
                   "stops the run"]),
    ("unknown user", 77, ["jane", "unknown or suspended"]),
    ("clock", 77, [r"360\d seconds behind", "set the clock"]),
    ("signature", 77, ["key of migration_oauth2_key_file was deleted"]),
    ("throttled", 75, ["fewer requests", "HTTP status 429"]),
    ("down", 75, ["temporary problem", "HTTP status 503"]),
    ("certificate", 77, ["ssl_client_ca_file"]),
    ("unreachable", 75, ["cannot ask https://"]),
    ("silent", 75, ["cannot ask https://", "migration_oauth2_timeout"]),
    ("html", 77, ["migration_oauth2_token_url"]),
    ("echo", 77, ["<hidden>"]),
]


@pytest.mark.parametrize("what, rc, words", WRONG,
                         ids=[row[0] for row in WRONG])
def test_refusals_of_google(dest, ca, keys, folder, what, rc, words):
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        settings = google(keys, folder, tokens)
        if what in ("down", "unreachable"):
            # it is asked again as long as there is time
            settings["timeout"] = "4s"
        if what == "scope":
            settings["scope"] = "https://www.googleapis.com/auth/x"
        elif what == "unknown user":
            tokens.users = ["somebody else"]
        elif what == "clock":
            tokens.clock = 3600
        elif what == "signature":
            other = oauth2.Keys(folder)
            settings["key_file"] = other.service_account(
                f"{folder}/other.json", tokens.token_url)
        elif what == "throttled":
            tokens.answers = [(429, {"Retry-After": "60"}, {})] * 9
        elif what == "down":
            tokens.answers = [(503, {}, {"error": "x"})] * 9
        elif what == "silent":
            settings["timeout"] = "1s"
            tokens.delay = 2
        elif what == "unreachable":
            settings["token_url"] = (
                f"https://127.0.0.1:{places.free_port()}/")
        elif what == "html":
            tokens.answers = [(200, {}, "<html>")]
        o = options(dest, server, ca, **settings)
        if what == "certificate":
            o["ssl_client_ca_file"] = f"{folder}/wrong.pem"
            oauth2.write(o["ssl_client_ca_file"],
                         oauth2.read(keys.certificate), 0o644)
        if what == "echo":
            tokens.answer = lambda form: {
                "error": "invalid_request",
                "error_description": f"what is {form['assertion']}?"}
        result = backup(dest, dest.user(), o, debug=True)
        assert result.rc == rc, result
        for word in words:
            assert re.search(word, result.err), result
        for form in tokens.requests_for:
            provider.secret(form["assertion"])
        no_secrets(provider, result)
        assert server.connection_count == 0


def test_retry_after_is_waited_for(dest, ca, keys, folder):
    """Other processes wait as well, and then it goes on."""
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public, answers=[
            (503, {}, {"error": "temporarily_unavailable"}),
            (429, {"Retry-After": "1"}, {}),
            ]) as tokens, \
            BearerImapServer({"INBOX": mailgen.mails(3)}, provider) as server:
        ours = dest.user()
        result = backup(dest, ours, options(
            dest, server, ca, **google(keys, folder, tokens)),
            debug=True).ok()
        assert "again in 1000 ms" in result.err
        assert len(tokens.requests_for) == 3
        assert snapshot.of(ours).count() == 3


def test_throttled_for_longer_is_told_to_other_processes(
        dest, ca, keys, folder):
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public, answers=[
            (429, {"Retry-After": "300"}, {})]) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        o = options(dest, server, ca, cache_dir=f"{folder}/cache",
                    **google(keys, folder, tokens))
        for error in ("HTTP status 429", "for 300 more seconds"):
            result = backup(dest, dest.user(), o)
            assert result.rc == 75 and error in result.err, result
        assert len(tokens.requests_for) == 1


def test_problem_of_all_users_is_asked_once(dest, ca, keys, folder):
    """Secret expired: the first user of a run finds out, the others are not
    tried."""
    provider = Provider()
    secret = oauth2.write(f"{folder}/secret", "expired")
    with TokenServer(provider, ca, clients={"app": "new"}) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        o = options(dest, server, ca, user="%{user}", provider="microsoft",
                    tenant="t", client_id="app", client_secret_file=secret,
                    token_url=tokens.token_url)
        users = [dest.user() for _ in range(3)]
        result = dest.doveadm("backup", "-R", "-F", dest.users_file(*users),
                              "imapc:", o=o)
        assert result.rc == 77, result
        assert "secret or certificate is wrong or has expired" in result.err
        assert len(tokens.requests_for) == 1
        assert server.connection_count == 0


def test_problem_of_one_user_is_his_own(dest, ca, keys, folder):
    """Unknown or suspended there: the others are migrated."""
    provider = Provider()
    users = [dest.user() for _ in range(3)]
    with TokenServer(provider, ca, public_key=keys.public,
                     users=[user.name for user in users[1:]]) as tokens, \
            BearerImapServer({"INBOX": mailgen.mails(3)}, provider) as server:
        o = options(dest, server, ca, **google(keys, folder, tokens))
        del o["imapc_user"]
        result = dest.doveadm("backup", "-R", "-F", dest.users_file(*users),
                              "imapc:", o=o)
        assert result.rc == 77, result
        assert "unknown or suspended" in result.err
        assert "stops the run" not in result.err
        assert [snapshot.of(user).count() for user in users] == [0, 3, 3]
        assert len(tokens.requests_for) == 3


def test_revoked_consent(dest, ca, folder):
    provider = Provider()
    path = oauth2.write(f"{folder}/refresh", "refresh-revoked")
    with TokenServer(provider, ca, clients={"app": None}) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        result = backup(dest, dest.user(), options(
            dest, server, ca, provider="custom", client_id="app",
            token_url=tokens.token_url, refresh_token_file=path))
        assert result.rc == 77 and "consent again" in result.err, result
        assert "refresh-revoked" not in result.err


@pytest.mark.parametrize("like", ["google", "microsoft"])
def test_one_new_token_after_a_refusal(dest, ca, keys, folder, like):
    """The cached token was revoked: the second one is taken."""
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": mailgen.mails(3)}, provider,
                             like=like) as server:
        o = options(dest, server, ca, cache_dir=f"{folder}/cache",
                    **google(keys, folder, tokens))
        backup(dest, dest.user(), o).ok()
        provider.revoke_all()
        result = backup(dest, dest.user(), o, debug=True).ok()
        assert [login[2] for login in server.logins] == [True, False, True]
        assert len(tokens.requests_for) == 2
        assert " Error: " not in result.err
        if like == "google":
            assert "status 401" in result.err


@pytest.mark.parametrize("like", ["google", "microsoft"])
def test_refused_twice(dest, ca, keys, folder, like):
    """No permission for the mailbox: a new token does not help."""
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider, like=like) as server:
        provider.accepts = lambda user, token: False
        result = backup(dest, dest.user(), options(
            dest, server, ca, **google(keys, folder, tokens)))
        assert result.rc == 77, result
        assert "also with a new token" in result.err, result.err
        assert ("AUTHENTICATE failed." if like == "microsoft" else
                "Invalid credentials (Failure)") in result.err
        if like == "google":
            assert "status 401, schemes bearer" in result.err
        assert [login[2] for login in server.logins] == [False, False]
        assert len(tokens.requests_for) == 2
        no_secrets(provider, result)


def test_wrong_settings(dest, ca, folder):
    provider = Provider()
    with BearerImapServer({"INBOX": []}, provider) as server:
        for settings, error in (
                ({"token_file": f"{folder}/x"}, "migration_oauth2_provider"),
                ({"provider": "google"}, "where tokens come from"),
                ({"provider": "gogle", "token_file": "/x"}, "gogle"),
                ({"provider": "custom", "token_file": "x"},
                 "migration_oauth2_token_file"),
                ({"provider": "custom", "client_id": "x",
                  "refresh_token_file": "/x", "token_url": "http://x/"},
                 "migration_oauth2_token_url"),
                ({"provider": "custom", "token_file": "/x",
                  "timeout": "0"}, "migration_oauth2_timeout")):
            result = backup(dest, dest.user(), options(
                dest, server, ca, **settings))
            assert result.rc != 0, (settings, result)
            assert error in result.err, (settings, result)
        assert server.connection_count == 0


# -- many processes

def test_fifty_processes_ask_once(dest, ca, keys, folder):
    provider = Provider()
    secret = oauth2.write(f"{folder}/secret", "s3cret-of-app")
    with TokenServer(provider, ca, clients={"app": "s3cret-of-app"},
                     delay=0.5) as tokens, \
            BearerImapServer({"INBOX": []}, provider,
                             like="microsoft") as server:
        o = options(dest, server, ca, user="%{user}", provider="microsoft",
                    tenant="t", client_id="app", client_secret_file=secret,
                    token_url=tokens.token_url, cache_dir=f"{folder}/cache")
        users = [dest.user() for _ in range(50)]
        runs = [dest.start_doveadm("backup", "-R", "-u", user.name, "imapc:",
                                   o=o, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
                for user in users]
        titles = process_titles()
        outputs = [run.communicate(timeout=120)[0] for run in runs]
        assert [run.returncode for run in runs] == [0] * 50, outputs
        assert len(tokens.requests_for) == 1
        assert len(server.logins) == 50
        assert sum("doveadm" in title for title in titles) > 0
        no_secrets(provider, outputs, titles, dest.log())
        cached = os.listdir(f"{folder}/cache")
        assert len(cached) == 2
        for name in cached:
            mode = os.stat(f"{folder}/cache/{name}").st_mode & 0o777
            assert mode == 0o600, name
        assert os.stat(f"{folder}/cache").st_mode & 0o777 == 0o700


def process_titles():
    titles = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    titles.append(file.read().decode("utf-8", "replace"))
            except OSError:
                pass
    return titles


def test_cache_that_others_can_write_to(dest, ca, keys, folder):
    provider = Provider()
    os.mkdir(f"{folder}/cache")
    os.chmod(f"{folder}/cache", 0o777)
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        result = backup(dest, dest.user(), options(
            dest, server, ca, cache_dir=f"{folder}/cache",
            **google(keys, folder, tokens)))
        assert result.rc == 77, result
        assert "migration_oauth2_cache_dir" in result.err


def test_damaged_cache_is_replaced(dest, ca, keys, folder):
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server:
        o = options(dest, server, ca, cache_dir=f"{folder}/cache",
                    **google(keys, folder, tokens))
        backup(dest, dest.user(), o).ok()
        name = next(name for name in os.listdir(f"{folder}/cache")
                    if name.endswith(".token"))
        oauth2.write(f"{folder}/cache/{name}", "migration-oauth2 1\nobt")
        for _ in range(2):
            backup(dest, dest.user(), o).ok()
        assert len(tokens.requests_for) == 2


def test_proxy(dest, ca, keys, folder):
    """The request goes through an HTTP proxy by CONNECT."""
    provider = Provider()
    with TokenServer(provider, ca, public_key=keys.public) as tokens, \
            BearerImapServer({"INBOX": []}, provider) as server, \
            ConnectProxy() as proxy:
        backup(dest, dest.user(), options(
            dest, server, ca, proxy=f"http://127.0.0.1:{proxy.port}/",
            **google(keys, folder, tokens))).ok()
        assert proxy.received == [f"CONNECT 127.0.0.1:{tokens.port}"]
