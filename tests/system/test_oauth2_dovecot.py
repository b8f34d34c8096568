# SPDX-License-Identifier: LGPL-2.1-or-later
"""OAuth2 with a real Dovecot as the source, for IMAP and POP3: its oauth2
passdb checks the tokens by itself (JWT) or asks the provider (introspection).
"""

import base64
import json
import os
import subprocess
import time
import urllib.parse

import pytest

from lab import Dovecot, mailgen, oauth2, snapshot
from lab.scripted import HttpServer, Provider, Route, TokenServer
from test_oauth2 import folder, google, keys, no_secrets


class JwtProvider(Provider):
    """Its tokens are JWTs."""

    def __init__(self, keys, **options):
        super().__init__(**options)
        self.keys = keys

    def issue(self, user=None):
        now = int(time.time())
        claims = {"iss": "lab", "sub": user, "aud": "mail", "iat": now - 1,
                  "nbf": now - 1, "exp": now + self.lifetime,
                  "scope": "mail", "jti": str(self.issued)}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (
            {"alg": "RS256", "typ": "JWT"}, claims))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.keys.pkcs8],
            input=signed.encode(), capture_output=True, check=True).stdout
        self.issued += 1
        return self.secret(f"{signed}.{_base64url(signature)}")


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def block_of_passdb(version, path, settings):
    """The text of the oauth2 passdb, and the file that 2.3 wants for it."""
    if version == "2.3":
        oauth2.write(path, "".join(f"{name} = {value}\n" for name, value in
                                   settings.items()), 0o644)
        return ("passdb {\n  driver = oauth2\n  mechanisms = xoauth2 "
                f"oauthbearer\n  args = {path}\n}}\n")
    keys_path = settings.pop("local_validation_key_dict", None)
    text = "".join(f"  {name} = {value}\n" for name, value in settings.items())
    if keys_path is not None:
        prefix = keys_path.removeprefix("fs:posix:prefix=")
        text += ("  oauth2_local_validation {\n    dict fs {\n      fs posix "
                 f"{{\n        prefix = {prefix}\n      }}\n    }}\n  }}\n")
    return (f"oauth2 {{\n{text}}}\npassdb oauth2 {{\n"
            "  mechanisms_filter = xoauth2 oauthbearer\n}\n")


def local_validation(folder, keys):
    os.makedirs(f"{folder}/keys/default/RS256")
    oauth2.write(f"{folder}/keys/default/RS256/default",
                 oauth2.read(keys.public), 0o644)
    for path in (folder, f"{folder}/keys", f"{folder}/keys/default",
                 f"{folder}/keys/default/RS256"):
        os.chmod(path, 0o755)
    return {"introspection_mode": "local", "username_attribute": "sub",
            "local_validation_key_dict": f"fs:posix:prefix={folder}/keys/"}


def introspection(url):
    return {"introspection_mode": "post", "introspection_url": url,
            "username_attribute": "sub", "active_attribute": "active",
            "active_value": "true"}


LONG = os.environ.get("DM_LONG") == "1"
# (how the source checks tokens, mechanism): DM_LONG=1 runs each with each
CHECKS = [("local", "xoauth2"), ("introspection", "oauthbearer")] + (
    [("local", "oauthbearer"), ("introspection", "xoauth2")] if LONG else [])


@pytest.fixture(params=["local", "introspection"])
def old_server(request, version, ca, keys, folder):
    """(the source, its provider)"""
    provider = JwtProvider(keys)

    def answer(http_request):
        form = dict(urllib.parse.parse_qsl(http_request.body.decode()))
        user = json.loads(base64.urlsafe_b64decode(
            form["token"].split(".")[1] + "=="))["sub"]
        return {"active": form["token"] in provider.secrets, "sub": user}

    with HttpServer([Route("POST /introspect", answer)]) as checker:
        settings = (local_validation(folder, keys)
                    if request.param == "local" else
                    introspection(checker.url("/introspect")))
        extra = block_of_passdb(version, f"{folder}/oauth2.conf", settings)
        with Dovecot(version, ca=ca,
                     listeners=("imap", "imaps", "pop3", "pop3s"),
                     settings={"auth_mechanisms": "plain oauthbearer xoauth2"},
                     extra=extra) as source:
            yield source, provider
            if request.param == "introspection":
                assert checker.count("POST /introspect") >= 2


@pytest.mark.parametrize("old_server, mechanism", CHECKS,
                         indirect=["old_server"])
def test_backup_with_uidls(version, ca, keys, folder, old_server, mechanism):
    source, provider = old_server
    with Dovecot(version, ca=ca, driver="mdbox") as dest, \
            TokenServer(provider, ca, public_key=keys.public) as tokens:
        theirs = source.user()
        mailgen.deliver(theirs, {"INBOX": mailgen.mails(8),
                                 "Sent": mailgen.mails(4, seed=2)})
        ours = dest.user(theirs.name)
        conf = configure(dest, source, google(keys, folder, tokens), mechanism)
        for command in (("migration", "auth-test", "-u", ours.name),
                        ("backup", "-R", "-u", ours.name, "imapc:"),
                        ("migration", "verify", "--full", "-u", ours.name,
                         "imapc:")):
            result = dest.doveadm(*command, conf=conf, debug=True).ok()
            no_secrets(provider, result)
        assert snapshot.of(ours) == snapshot.of(theirs)
        no_secrets(provider, source.log(), dest.log())
        assert f"method={mechanism}" in source.log().lower()


@pytest.mark.parametrize("old_server", ["local", "introspection"] if LONG
                         else ["local"], indirect=True)
def test_wrong_token(version, ca, keys, folder, old_server):
    """Signed by somebody else, and unknown to the provider."""
    source, provider = old_server
    other = folder + "/other"
    os.mkdir(other)
    stranger = JwtProvider(oauth2.Keys(other))
    with Dovecot(version, ca=ca, driver="mdbox") as dest, \
            TokenServer(stranger, ca, public_key=keys.public) as tokens:
        ours = dest.user(source.user().name)
        conf = configure(dest, source, google(keys, folder, tokens), None)
        result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                              conf=conf)
        assert result.rc == 77, result
        assert "also with a new token" in result.err, result
        no_secrets(stranger, result, source.log())


def configure(dest, source, settings, mechanism):
    own = {**dest.imapc(source, password="x", ssl="imaps"),
           **dest.pop3c(source, password="x", ssl="pop3s")}
    del own["imapc_password"], own["pop3c_password"]
    if mechanism is not None:
        own["imapc_sasl_mechanisms"] = mechanism
    return dest.write_conf(
        f"{dest.dir}/migration.conf",
        plugins=("migration_imapc", "migration_pop3"),
        namespaces=[dest.pop3c_namespace()], settings=own,
        plugin_settings={
            "migration_pop3_mailbox": "POP3-SOURCE/INBOX",
            **{f"migration_oauth2_{name}": value
               for name, value in settings.items()}})
