# SPDX-License-Identifier: LGPL-2.1-or-later
"""The migration guide: a separate configuration for `doveadm -c`, with the
settings for dsync that the guide recommends for difficult sources."""

import pytest

from conftest import PLUGINS
from lab import mailgen, places, snapshot
from lab.latency import Fault, Link
from lab.scripted import ImapServer


@pytest.fixture(scope="module")
def migration_conf(source, dest):
    """dest's own configuration and what is for the migration only."""
    settings = dest.imapc(source)
    del settings["imapc_password"]
    return dest.write_conf(
        f"{dest.dir}/migration.conf", plugins=PLUGINS,
        settings={**settings, "imapc_master_user": "boss",
                  "imapc_password": "boss-secret",
                  "dsync_features": "empty-header-workaround",
                  "dsync_commit_msgs_interval": 10,
                  "dsync_hashed_headers": "Date Message-ID Subject"})


def backup(dest, conf, ours, **options):
    return dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", conf=conf,
                        **options)


def test_the_configuration_is_accepted(dest, migration_conf):
    seen = dest.doveconf("-n", conf=migration_conf).ok().out
    assert "dsync_commit_msgs_interval = 10" in seen
    assert dest.doveconf("-n").ok().out.count("imapc_master_user") == 0


def test_two_runs(source, dest, migration_conf):
    ours = dest.user(driver="mdbox")
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, mailgen.account())
    before = snapshot.of(theirs)
    for _ in range(2):
        backup(dest, migration_conf, ours).ok()
        assert snapshot.of(ours) == before


def test_hashed_headers_are_asked_for(source, dest, migration_conf):
    """The second run compares by the headers that the setting names."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(5)})
    with Link(0) as link:
        port = {"imapc_port": link.to(source.ports["imap"])}
        backup(dest, migration_conf, ours, o=port).ok()
        link.reset()
        mailgen.append(theirs, "INBOX", mailgen.mails(1, seed="new"))
        backup(dest, migration_conf, ours, o=port).ok()
        assert link.count(r"\S+ UID FETCH .*HEADER\.FIELDS .*SUBJECT") > 0
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_empty_headers_do_not_stop_the_second_run(dest, migration_conf):
    """Some servers answer header requests with nothing now and then."""
    mails = mailgen.mails(4)

    def text(mail):
        return b"\r\n" + mail.text if server.empty else mail.text

    with ImapServer({"INBOX": mails}, text=text) as server:
        server.empty = False
        ours = dest.user()
        settings = {**dest.imapc(server, user="user", password="secret"),
                    "imapc_master_user": ""}
        backup(dest, migration_conf, ours, o=settings).ok()
        before = snapshot.of(ours)
        server.empty = True
        backup(dest, migration_conf, ours, o=settings).ok()
        assert snapshot.of(ours) == before


def test_what_was_committed_survives_a_kill(source, dest, migration_conf):
    """dsync_commit_msgs_interval is the grain of a resume: what was committed
    stays, and the next run fetches only the rest."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mails = mailgen.mails(400, size=1000)
    mails[349].text = b"X-Stop: here\r\n" + mails[349].text
    mailgen.deliver(theirs, {"INBOX": mails})
    with Link(0) as link:
        stuck = link.to(source.ports["imap"],
                        Fault("hang", at_text=b"X-Stop: here"))
        run = dest.start_doveadm("backup", "-R", "-u", ours.name, "imapc:",
                                 conf=migration_conf,
                                 o={"imapc_port": stuck})
        try:
            places.wait_for(lambda: snapshot.of(ours).count() >= 100,
                            "ten commits of ten mails")
        finally:
            run.kill()
            run.wait()

        link.reset()
        port = link.to(source.ports["imap"])
        backup(dest, migration_conf, ours, o={"imapc_port": port}).ok()
        assert snapshot.of(ours) == snapshot.of(theirs)
        assert link.bytes_down < sum(len(mail.text) for mail in mails)
