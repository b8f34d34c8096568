# SPDX-License-Identifier: LGPL-2.1-or-later
"""No password in a log, a report or a stored mail, also if the server repeats
it in its answers."""

import base64
import os

import pytest

from lab import mailgen
from lab.scripted import ImapServer, On
from test_source_faults import BAD_UID, folders, texts_asked

PASSWORD = "s3cret-Pass-1"
PLAIN = base64.b64encode(f"\0user\0{PASSWORD}".encode()).decode()

# where the server repeats it, and what the run ends with
ECHOES = {
    "login": (On("LOGIN|AUTHENTICATE", "NO [AUTHENTICATIONFAILED] Wrong: "
                 f"{PASSWORD}"), 77),
    "login bad": (On("LOGIN|AUTHENTICATE", f"BAD Not understood: {PLAIN}"),
                  75),
    "login busy": (On("LOGIN|AUTHENTICATE", "NO [UNAVAILABLE] Busy with "
                      f"user {PASSWORD}"), 75),
    "greeting": (On("greeting", f"* BYE {PASSWORD} again?"), 75),
    "list": (On("LIST", f"NO {PASSWORD} may not list"), 64),
    "examine": (On('EXAMINE "?Later', f"NO {PASSWORD} may not open it"), 3),
    "text": (None, 3),
}


def echo(name, uid, items):
    if uid == BAD_UID and texts_asked(items):
        return f"NO user {PASSWORD} ({PLAIN}): it is broken"
    return None


def backup(dest, server, user, **settings):
    return dest.doveadm(
        "backup", "-R", "-u", user.name, "imapc:", debug=True,
        o={**dest.imapc(server, user="user", password=PASSWORD), **settings,
           **dest.plugin_options({"migration_imapc_patience": "1s"})})


def files_below(folder):
    for path, _, names in os.walk(folder):
        for name in names:
            with open(f"{path}/{name}", "rb") as file:
                yield f"{path}/{name}", file.read()


@pytest.mark.parametrize("case", ECHOES)
def test_a_server_that_repeats_the_password(dest, case):
    fault, rc = ECHOES[case]
    ours = dest.user(driver="sdbox")
    with ImapServer(folders(), users={"user": PASSWORD},
                    faults=[fault] if fault else [],
                    bad=None if fault else echo) as server:
        result = backup(dest, server, ours)
    assert result.rc == rc, result
    for secret in (PASSWORD, PLAIN):
        for text in (result.err, result.out, dest.log()):
            assert secret not in text
        for path, data in files_below(ours.home):
            assert secret.encode() not in data, path


def test_raw_logs_are_refused(dest, folder):
    ours = dest.user()
    with ImapServer({"INBOX": mailgen.mails(1)},
                    users={"user": PASSWORD}) as server:
        result = backup(dest, server, ours, imapc_rawlog_dir=folder)
        assert result.rc == 77, result
        assert f"imapc_rawlog_dir={folder} would write the password" \
            in result.err
        assert server.connection_count == 0
    assert os.listdir(folder) == []
