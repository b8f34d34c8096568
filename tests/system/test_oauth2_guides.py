# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configurations of the OAuth2 guides migrate as they are written.

Only what is the reader's own is replaced: folders, hosts, ports, the CA and the
address of the token server.
"""

import os
import re

import pytest

from lab import Dovecot, VERSIONS, mailgen, oauth2, places, snapshot
from lab.scripted import (BearerImapServer, BearerPop3Server, Provider,
                          TokenServer)
from test_oauth2 import keys, no_secrets

TOP = os.environ["DM_SRC"]
GUIDES = ("google-workspace", "gmail", "microsoft-365")
USER = "jane@example.com"
BLOCK = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)


def read(guide):
    return oauth2.read(f"{TOP}/doc/oauth2-{guide}.md")


def configuration(guide, version):
    found = [text for kind, word, text in BLOCK.findall(read(guide))
             if kind == "conf" and word == version]
    assert len(found) == 1
    return found[0]


def secrets_of(guide, folder, keys, tokens):
    """Make the files that the guide says, in folder in place of /etc/dovecot."""
    os.makedirs(f"{folder}/oauth2")
    oauth2.own(f"{folder}/oauth2", 0o700)
    if guide == "google-workspace":
        tokens.public_key = keys.public
        keys.service_account(f"{folder}/oauth2-google.json", tokens.token_url)
    elif guide == "gmail":
        client = "1234567890-abc.apps.googleusercontent.com"
        tokens.clients[client] = "GOCSPX-secret"
        tokens.refresh_tokens["1//refresh-jane"] = USER
        oauth2.write(f"{folder}/oauth2/secret", "GOCSPX-secret\n")
        oauth2.write(f"{folder}/oauth2/{USER}.refresh", "1//refresh-jane\n")
    else:
        client = "55555555-6666-7777-8888-999999999999"
        tokens.clients[client] = "abc8Q~secret"
        oauth2.write(f"{folder}/oauth2-microsoft.secret", "abc8Q~secret\n")


def own(text, version, folder, ca, imap, pop3, tokens):
    for example, value in (
            (r"imapc_host = .*", "imapc_host = 127.0.0.1"),
            (r"pop3c_host = .*", "pop3c_host = 127.0.0.1"),
            (r"imapc_port = .*", f"imapc_port = {imap.port}"),
            (r"pop3c_port = .*", f"pop3c_port = {pop3.port}"),
            (r"/etc/ssl/certs/ca-certificates.crt", ca.ca),
            (r"/etc/dovecot/", f"{folder}/"),
            (r"/var/lib/dovecot-migration", folder)):
        text, count = re.subn(example, value, text)
        assert count > 0 or example.startswith("/etc/dovecot"), example
    setting = f"migration_oauth2_token_url = {tokens.token_url}\n"
    return (text.replace("plugin {\n", "plugin {\n  " + setting)
            if version == "2.3" else text + setting)


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("version", VERSIONS)
def test_guide(version, ca, keys, guide):
    provider = Provider()
    mails = mailgen.mails(4)
    with Dovecot(version, driver="mdbox") as dest, \
            TokenServer(provider, ca, users=[USER]) as tokens, \
            BearerImapServer({"INBOX": mails}, provider, ca=ca,
                             tls=True) as imap, \
            BearerPop3Server(mails, provider, ca=ca, tls=True,
                             like="microsoft") as pop3:
        os.chown(dest.dir, places.MAIL_UID, places.MAIL_UID)
        secrets_of(guide, dest.dir, keys, tokens)
        text = own(configuration(guide, version), version, dest.dir, ca, imap,
                   pop3, tokens)
        with open(f"{dest.dir}/migration-oauth2.conf", "w",
                  encoding="utf-8") as file:
            file.write(text)
        ours = dest.user(USER)
        ran = []
        for line in commands(guide):
            line = line.replace("/etc/dovecot/", f"{dest.dir}/")
            line = re.sub(r"-u jane(?= |$)", f"-u {USER}", line)
            result = dest.run("/usr/bin/doveadm", *line.split()[1:]).ok()
            ran.append(result)
            no_secrets(provider, result)
        assert len(ran) == 3
        no_secrets(provider, dest.log(), oauth2.read(
            f"{ours.home}/migration-report.json"))
        assert snapshot.of(ours).count() == len(mails)
        assert [login[2] for login in imap.logins + pop3.logins] == (
            [True] * len(imap.logins + pop3.logins))
        assert pop3.logins and len(tokens.requests_for) == 1


def commands(guide):
    return [line for kind, _, text in BLOCK.findall(read(guide))
            if kind == "sh" for line in text.splitlines()
            if line.startswith("doveadm ")]


@pytest.mark.parametrize("guide", GUIDES)
def test_example_of_each_guide_is_accepted(version, guide):
    """The text itself, with the server's own configuration beside it."""
    # nothing has to run for that
    dest = Dovecot(version)
    path = f"{dest.dir}/migration-oauth2.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write(configuration(guide, version).replace(
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/ssl/certs/ca-certificates.crt" if os.path.exists(
                f"{dest.root}/etc/ssl/certs/ca-certificates.crt")
            else "/etc/passwd"))
    result = dest.doveconf("-n", conf=path).ok()
    places.remove(dest.dir)
    assert result.err == ""
    assert "migration_oauth2_provider" in result.out
