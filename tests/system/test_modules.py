# SPDX-License-Identifier: LGPL-2.1-or-later
"""The modules load in stock processes, only where they are enabled, and a
wrong ABI or a wrong setting is refused by name."""

import os
import shutil

import pytest

from lab import Dovecot, VERSIONS, imap, places, snapshot

PLUGINS = ("migration_imapc", "migration_pop3", "migration_gmail",
           "migration_import")
NUMBERS = {"migration_imapc": "05", "migration_pop3": "06",
           "migration_gmail": "07", "migration_import": "08"}

# a wrong value of each kind: plugin, setting, value, what the error must say
WRONG = [
    ("migration_imapc", "migration_imapc_prefetch", "0"),
    ("migration_imapc", "migration_imapc_prefetch", "many"),
    ("migration_pop3", "migration_pop3_all_mailboxes", "perhaps"),
    ("migration_gmail", "migration_gmail_labels", "stickers"),
    ("migration_import", "migration_import_duplicates", "sometimes"),
]


@pytest.fixture(params=VERSIONS, scope="module")
def server(request):
    with Dovecot(request.param, plugins=PLUGINS) as dovecot:
        yield dovecot


@pytest.fixture(params=VERSIONS, scope="module")
def plain(request):
    """Installed, but not enabled."""
    with Dovecot(request.param) as dovecot:
        yield dovecot


def loaded_modules(process_id):
    with open(f"/proc/{process_id}/maps") as maps:
        names = {os.path.basename(line.split()[-1]) for line in maps}
    return {name for name in names if "migration" in name}


def session_process(server):
    """The one imap process that this server's master has."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        if name == "imap" and int(rest.split()[1]) == server.pid:
            found.append(entry)
    assert len(found) == 1, found
    return found[0]


def test_enabled_in_doveadm(server):
    user = server.user()
    result = server.doveadm("mailbox", "list", "-u", user.name, debug=True).ok()
    for name in PLUGINS:
        assert f"lib{NUMBERS[name]}_{name}_plugin.so" in result.err
    assert "Error" not in result.err


def test_sessions_are_as_without_the_plugins(server, plain):
    """An IMAP and a POP3 session behave the same, and log no word of ours."""
    seen = []
    for dovecot in (server, plain):
        user = dovecot.user()
        client = imap.Client(dovecot.ports["imap"]).login(user.name,
                                                          user.password)
        client.command("CREATE", "Box")
        client.command("SUBSCRIBE", "Box")
        client.command("APPEND", "Box", "(\\Seen word)",
                       '"01-Jan-2025 10:00:00 +0000"', b"Subject: x\r\n\r\ny\r\n")
        client.command("SELECT", "Box")
        client.command("COPY", "1", "INBOX")
        client.logout()
        snap = snapshot.of(user)
        for box in snap.mailboxes.values():
            box.uidvalidity = 0
        seen.append((snap.mailboxes, snap.subscriptions,
                     [size for _, size in snap.pop3]))
        assert "migration" not in dovecot.log()
    if server.version == plain.version:
        assert seen[0] == seen[1]


def test_nothing_is_loaded_where_not_enabled(plain):
    user = plain.user()
    client = imap.Client(plain.ports["imap"]).login(user.name, user.password)
    assert loaded_modules(session_process(plain)) == set()
    client.logout()
    result = plain.doveadm("mailbox", "list", "-u", user.name, debug=True).ok()
    assert "_migration_imapc_plugin.so" not in result.err


@pytest.mark.parametrize("plugin,setting,value", WRONG)
def test_wrong_setting_is_refused_by_name(server, plugin, setting, value):
    user = server.user()
    result = server.doveadm("mailbox", "list", "-u", user.name,
                            o=server.plugin_options({setting: value}))
    assert result.rc != 0
    assert setting in result.err
    assert "Panic" not in result.err


@pytest.mark.parametrize("plugin,setting,value", WRONG)
def test_wrong_setting_does_not_lock_users_out_of_2_3(plugin, setting, value):
    """2.3 cannot check plugin { } when it reads its configuration. A
    mistake there ends migrations, not the users' sessions."""
    with Dovecot("2.3", plugins=PLUGINS,
                 plugin_settings={setting: value}) as dovecot:
        user = dovecot.user()
        assert "INBOX" in snapshot.of(user).mailboxes
        assert dovecot.doveadm("mailbox", "list", "-u", user.name).rc != 0


@pytest.mark.parametrize("plugin,setting,value", WRONG)
def test_wrong_setting_is_refused_by_doveconf_of_2_4(plugin, setting, value):
    dovecot = Dovecot("2.4", plugins=PLUGINS, plugin_settings={setting: value})
    result = dovecot.doveconf("-n")
    assert result.rc != 0
    assert setting in result.err


def test_unknown_setting_is_refused_by_doveconf_of_2_4():
    dovecot = Dovecot("2.4", plugin_settings={"migration_imapc_speed": 1})
    result = dovecot.doveconf("-n")
    assert result.rc != 0
    assert "migration_imapc_speed" in result.err


@pytest.mark.parametrize("name", PLUGINS)
def test_module_of_another_abi_is_refused(server, name):
    """The version symbol exists, so Dovecot can compare it."""
    folder = places.scratch("abi")
    module = f"lib{NUMBERS[name]}_{name}_plugin.so"
    root = "" if server.root == "/" else server.root
    with open(f"{root}/usr/lib/dovecot/modules/{module}", "rb") as file:
        content = file.read()
    abi = {"2.3": (b"2.3.ABIv19(", b"2.3.ABIv18("),
           "2.4": (b"2.4.ABIv1\0", b"2.4.ABIv9\0")}[server.version]
    assert content.count(abi[0]) == 1
    with open(f"{folder}/{module}", "wb") as file:
        file.write(content.replace(*abi))
    user = server.user()
    result = server.doveadm("mailbox", "list", "-u", user.name,
                            o={"mail_plugin_dir": folder,
                               "mail_plugins": name})
    shutil.rmtree(folder)
    assert result.rc != 0
    assert "ABI version" in result.err
