# SPDX-License-Identifier: LGPL-2.1-or-later
"""The migration guide with a server that is not Dovecot: Cyrus, in both of
its namespace styles."""

import pytest

import lab
from lab import imap, mailgen, snapshot


@pytest.fixture(scope="module", params=[False, True],
                ids=["below INBOX", "altnamespace"])
def cyrus(request):
    with lab.Cyrus(altnamespace=request.param) as server:
        yield server


def fill(user, folders):
    server = user.server
    for name, mails in folders.items():
        wire_name = name if name == "INBOX" else (
            server.prefix + name.replace("/", server.separator))
        mailgen.append(user, wire_name, mails, create=name != "INBOX")


def test_two_runs_and_changes_between_them(cyrus, dest):
    theirs, ours = cyrus.user(), dest.user(driver="mdbox")
    fill(theirs, {"INBOX": mailgen.mails(20),
                  "Sent": mailgen.mails(5, seed=2),
                  "Entwürfe & Übriges": mailgen.mails(2, seed=3),
                  "Archive": [], "Archive/2024": mailgen.mails(3, seed=4)})
    # what is deleted below is meant to be deleted here, too
    settings = {**dest.imapc(cyrus, user=theirs.name,
                             password=theirs.password),
                **dest.plugin_options({"migration_max_deletes": "unlimited"})}
    if cyrus.prefix:
        settings["imapc_list_prefix"] = "INBOX"

    def backup():
        dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                     o=settings).ok()
        assert snapshot.of(ours, pop3=False) == snapshot.of(theirs,
                                                            pop3=False)

    backup()
    assert snapshot.of(ours).count() == 30
    backup()

    client = mailgen.login(theirs)
    client.command("SELECT", "INBOX")
    client.command("UID STORE", "2:3", "+FLAGS", "(\\Deleted)")
    client.command("EXPUNGE")
    client.command("UID STORE", "5", "FLAGS", "(\\Flagged New)")
    client.command("DELETE", imap.quote(f"{cyrus.prefix}Sent"))
    client.command("UNSUBSCRIBE", imap.quote(f"{cyrus.prefix}Sent"))
    client.logout()
    fill(theirs, {"Later": mailgen.mails(2, seed=5)})
    backup()
    backup()


def test_metadata_needs_no_setting(cyrus, dest):
    """Cyrus has METADATA. A destination that keeps none leaves it out."""
    theirs, ours = cyrus.user(), dest.user()
    fill(theirs, {"INBOX": mailgen.mails(2)})
    dest.doveadm("backup", "-R", "-m", "INBOX", "-u", ours.name, "imapc:",
                 o=dest.imapc(cyrus, user=theirs.name,
                              password=theirs.password)).ok()
    assert snapshot.of(ours).count() == 2


def test_metadata_is_kept(cyrus, dest):
    """... and one that keeps it gets it: all of a mailbox by one command."""
    if dest.version == "2.3":
        pytest.skip("2.3's imapc reads no METADATA")
    theirs, ours = cyrus.user(), dest.user()
    conf = dest.write_conf(
        f"{dest.dir}/keeps.conf", plugins=("migration_imapc",),
        extra="mail_attribute {\n  dict file {\n    path = "
              "%{home}/attributes\n  }\n}\n")
    fill(theirs, {"INBOX": mailgen.mails(2), "Sent": mailgen.mails(1, seed=2)})
    client = mailgen.login(theirs)
    client.command("SETMETADATA", "INBOX", '(/private/comment "from Cyrus")')
    client.logout()
    result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", conf=conf,
                          o=dest.imapc(cyrus, user=theirs.name,
                                       password=theirs.password), debug=True)
    assert result.ok() and "METADATA was refused" not in result.err
    assert dest.doveadm("mailbox", "metadata", "get", "-u", ours.name, "INBOX",
                        "/private/comment", conf=conf).out == "from Cyrus\n"
