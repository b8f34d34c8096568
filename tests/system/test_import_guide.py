# SPDX-License-Identifier: LGPL-2.1-or-later
"""What Dovecot's import guide says of places that belong to others: another
system user, a server, a storage that must not be written to."""

import hashlib
import os
import pathlib
import re
import subprocess

import pytest

from lab import Dovecot, mailgen, places, snapshot
from test_import import (DRIVERS, counters, location, report_counts, run_import,
                         texts_of)

OTHER_UID = 4711


@pytest.fixture(scope="module")
def server(version):
    with Dovecot(version, plugins=["migration_import"],
                 driver="sdbox") as dovecot:
        yield dovecot
        assert " Panic: " not in dovecot.log()


def tree(path):
    """Everything that an import could change in a source."""
    result = {}
    for folder, _, files in os.walk(path):
        for name in [".", *files]:
            info = os.stat(f"{folder}/{name}")
            content = b""
            if name != ".":
                with open(f"{folder}/{name}", "rb") as file:
                    content = file.read()
            result[f"{folder}/{name}"] = (
                info.st_mtime_ns, info.st_ctime_ns, info.st_nlink,
                info.st_mode, info.st_ino, hashlib.sha256(content).digest())
    return result


def give_to(uid, path, mode):
    subprocess.run(["chown", "-R", f"{uid}:{uid}", path], check=True)
    subprocess.run(["chmod", "-R", mode, path], check=True)


def filled(server, driver, uid=None):
    theirs = server.user(driver=driver)
    for name in ("INBOX", "Sent"):
        mailgen.append(theirs, name, mailgen.mails(4, seed=name),
                       create=name != "INBOX")
    wanted = snapshot.of(theirs)
    if uid is not None:
        give_to(uid, theirs.mail_path, "a=rX")
    return theirs, wanted


def sources(theirs):
    """The location and the options, with what the format needs to be read
    without writing, and with all of it elsewhere."""
    path, two = theirs.mail_path, theirs.server.version == "2.3"
    word = location(theirs)
    if theirs.driver in ("sdbox", "mdbox"):
        # UIDs and flags are in its index
        return [(word, [])]
    if two:
        return [(f"{word}:INDEX=MEMORY:CONTROL={path}-control", []),
                (f"{word}:INDEX={path}-index:CONTROL={path}-control", [])]
    control = ["-p", f"mail_control_path={path}-control"]
    return [(word, ["-p", "mail_index_path=MEMORY", *control]),
            (word, ["-p", f"mail_index_path={path}-index", *control])]


def copy_indexes(theirs):
    """As doc/import.md says. Returns where they are."""
    guide = pathlib.Path(__file__).parents[2] / "doc" / "import.md"
    command = re.search(r"^tar -C .*$", guide.read_text(), re.M)[0]
    folder = places.mail_folder(f"{theirs.home}/index")
    subprocess.run(
        ["setpriv", f"--reuid={places.MAIL_UID}", f"--regid={places.MAIL_UID}",
         "--clear-groups", "sh", "-ec",
         command.replace("/srv/old/jane/mdbox", theirs.mail_path).replace(
             "~/index", folder)], check=True)
    return folder


@pytest.mark.parametrize("driver", DRIVERS)
def test_read_only_source_of_another_user(server, driver):
    """A source that belongs to another system user and may only be read is
    imported, and not a byte of it changes, nor a time. 2.3's dbox has to write to
    its index, and says that it cannot; doc/import.md has the way."""
    theirs, wanted = filled(server, driver, OTHER_UID)
    before = tree(theirs.mail_path)
    if server.version == "2.3" and driver in ("sdbox", "mdbox"):
        result = run_import(server.user(), location(theirs))
        assert "source-empty" in result.err
        assert tree(theirs.mail_path) == before
        ours = server.user()
        source = f"{location(theirs)}:INDEX={copy_indexes(theirs)}"
        assert counters(ours, source) == (8, 0)
        assert counters(ours, source) == (0, 8)
        assert snapshot.of(ours).mailboxes == wanted.mailboxes
        assert tree(theirs.mail_path) == before
        return
    for source, words in sources(theirs):
        ours = server.user()
        assert counters(ours, source, words=words) == (8, 0)
        assert counters(ours, source, words=words) == (0, 8)
        assert texts_of(ours) == sorted(
            mail.sha256 for mail in wanted.mailboxes["INBOX"].mails.values())
        assert tree(theirs.mail_path) == before


@pytest.mark.parametrize("driver", DRIVERS)
def test_source_that_may_not_be_read(server, driver):
    """It is told, and nothing is made."""
    theirs, _ = filled(server, driver)
    give_to(OTHER_UID, theirs.mail_path, "u=rwX,go=")
    ours = server.user()
    result = run_import(ours, location(theirs))
    assert result.rc != 0, str(result)
    assert "ermission denied" in result.err
    assert texts_of(ours) == []
    assert list(snapshot.of(ours).mailboxes) == ["INBOX"]


def test_imapc_to_another_system_user(server, version):
    """The guide's way if the mail belongs to another uid: a server reads it."""
    with Dovecot(version, driver="maildir") as old:
        theirs = old.user(fields={"uid": OTHER_UID, "gid": OTHER_UID})
        subprocess.run(["chown", "-R", f"{OTHER_UID}:{OTHER_UID}",
                        theirs.home], check=True)
        mailgen.append(theirs, "INBOX", mailgen.mails(5))
        assert os.stat(theirs.mail_path).st_uid == OTHER_UID
        ours = server.user()
        path = f"{ours.home}/report.json"
        options = server.imapc(old, user=theirs.name,
                               password=theirs.password) | (
            server.plugin_options({"migration_report_path": path}))
        for expected in ((5, 0), (0, 5)):
            run_import(ours, "imapc:", words=["-s"], o=options).ok()
            assert report_counts(path) == expected
        assert (snapshot.of(ours).mailboxes ==
                snapshot.of(theirs).mailboxes)
