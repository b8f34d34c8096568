# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm migration verify --proof: a record that says what was compared, is
compared with another one, and is gone on from."""

import json
import os
import signal
import subprocess

import pytest

from lab import mailgen, places
from lab.latency import Fault, Link

EQUAL, DIFFERENT, USAGE, DATA = 0, 3, 64, 65


class Compared:
    def __init__(self, source, dest):
        self.dest = dest
        self.theirs, self.ours = source.user(), dest.user(driver="sdbox")
        mailgen.deliver(self.theirs, {
            "INBOX": mailgen.mails(60, size=(50, 200)),
            "Sent": mailgen.mails(12, seed=2, size=200),
            "Entwürfe": mailgen.mails(3, seed=3, size=200), "Empty": []})
        self.settings = dest.imapc(source, user=self.theirs.name)
        dest.doveadm("backup", "-R", "-u", self.ours.name, "imapc:",
                     o=self.settings).ok()

    def verify(self, *args, user=None, port=None, name="proof"):
        settings = {**self.settings, **({"imapc_port": port} if port else {})}
        return self.dest.doveadm(
            "-f", "json", "migration", "verify", *args, "-u",
            user or self.ours.name, "--proof", f"~/{name}.json", "imapc:",
            o=settings)

    def proof(self, name="proof"):
        with open(f"{self.ours.home}/{name}.json") as file:
            return json.load(file)

    def compare(self, before, after, form="json"):
        return self.dest.doveadm(
            "-f", form, "migration", "compare-proof",
            f"{self.ours.home}/{before}.json",
            f"{self.ours.home}/{after}.json")


@pytest.fixture
def compared(source, dest):
    return Compared(source, dest)


def test_a_record_and_what_has_changed_since(compared, schema):
    result = compared.verify()
    assert result.rc == EQUAL, result
    schema("verify.schema.json", json.loads(result.out))
    first = compared.proof()
    schema("proof.schema.json", first)
    assert first["complete"] and first["equal"]
    assert first["user"] == compared.ours.name
    boxes = {box["mailbox"]: box for box in first["mailboxes"]}
    assert set(boxes) == {"INBOX", "Sent", "Entwürfe", "Empty"}
    for box in boxes.values():
        assert box["source"]["sha256"] == box["destination"]["sha256"]
    assert (boxes["INBOX"]["texts"], boxes["Sent"]["texts"]) == (10, 10)
    sentence = ("23 of 75 texts compared, none of them differs: with 95 % "
                "confidence fewer than 17 mails differ (22.67 %)")
    assert first["sample"]["statement"] == sentence
    assert sentence in result.err
    assert "with 99 % confidence fewer than 26 mails" in compared.verify(
        "--confidence", "99").err
    assert compared.compare("proof", "proof").rc == EQUAL

    full = compared.verify("--full", name="full")
    assert "75 of 75 texts compared, none differs" in full.err
    compared.dest.doveadm("flags", "add", "-u", compared.ours.name,
                          "\\Draft", "mailbox", "Sent", "uid", "2").ok()
    compared.dest.doveadm("expunge", "-u", compared.ours.name, "mailbox",
                          "INBOX", "uid", "7").ok()
    compared.dest.doveadm("mailbox", "create", "-u", compared.ours.name,
                          "Mine").ok()
    result = compared.verify("--full", "--details", name="later")
    assert result.rc == DIFFERENT, result
    schema("verify.schema.json", json.loads(result.out))
    later = compared.proof("later")
    schema("proof.schema.json", later)
    assert later["complete"] and not later["equal"]
    result = compared.compare("full", "later")
    assert result.rc == DIFFERENT, result
    schema("compare-proof.schema.json", json.loads(result.out))
    assert {(row["mailbox"], row["side"], row["what"])
            for row in json.loads(result.out)} == {
        ("INBOX", "destination", "mails"), ("INBOX", "destination", "uids"),
        ("INBOX", "destination", "flags"), ("INBOX", "destination", "dates"),
        ("INBOX", "destination", "sizes"), ("INBOX", "", "equal"),
        ("Sent", "destination", "flags"), ("Sent", "", "equal"),
        ("Mine", "destination", "mailbox")}
    assert compared.compare("full", "later", form="table").out.startswith(
        "Mailbox")


def test_going_on(compared, source):
    """What was compared is not read again, unless it changed."""
    assert compared.verify("--full", "-m", "INBOX").rc == EQUAL
    with Link() as link:
        port = link.to(source.ports["imap"])
        result = compared.verify("--full", "--resume", port=port)
        assert result.rc == EQUAL, result
        assert "Going on from the proof of " in result.err
        # the texts of the other mailboxes only
        assert 0 < link.bytes_down < 30000
        assert "75 of 75 texts compared, none differs" in result.err
        once = compared.proof()
        assert compared.verify("--full").rc == EQUAL
        assert [box["source"] for box in compared.proof()["mailboxes"]] == [
            box["source"] for box in once["mailboxes"]]

        # a sample proves less than all: read all
        link.reset()
        assert compared.verify(name="sample").rc == EQUAL
        result = compared.verify("--full", "--resume", name="sample",
                                 port=port)
        assert result.rc == EQUAL, result
        assert "75 of 75" in result.err and link.bytes_down > 30000

        # changed on one side
        mailgen.append(compared.theirs, "Sent", mailgen.mails(1, seed=9))
        result = compared.verify("--full", "--resume")
        assert result.rc == DIFFERENT, result
        [sent] = [row["result"] for row in json.loads(result.out)
                  if row["mailbox"] == "Sent"]
        assert sent.startswith("different: 1 mail-missing")


def test_a_run_that_ends_before_its_time(compared, source):
    """The file is whole, says that it is not complete, and is gone on from."""
    with Link() as link:
        port = link.to(source.ports["imap"], Fault("hang", after_bytes=9000))
        process = compared.dest.start_doveadm(
            "migration", "verify", "--full", "-u", compared.ours.name,
            "--proof", "~/proof.json", "imapc:",
            o={**compared.settings, "imapc_port": port},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        places.wait_for(lambda: link.broken, "the source is silent")
        process.send_signal(signal.SIGTERM)
        err = process.communicate(timeout=30)[1]
    assert process.returncode == 75, err
    assert not compared.proof()["equal"]
    assert compared.verify("--full", "--resume").rc == EQUAL
    assert compared.proof()["complete"] and compared.proof()["equal"]


def test_an_import_under_a_parent(compared, source, dest):
    theirs, ours = compared.theirs, compared.dest.user(driver="sdbox")
    settings = dest.imapc(source, user=theirs.name)
    dest.doveadm("import", "-u", ours.name, "imapc:", "Old", "all",
                 o=settings).ok()
    mailgen.append(ours, "INBOX", mailgen.mails(2, seed="own"))

    def verify(*args):
        result = dest.doveadm("-f", "json", "migration", "verify", "-u",
                              ours.name, *args, "imapc:", o=settings)
        return result.rc, {row["mailbox"]: (row["destination"],
                                            row["result"].split(":")[0])
                           for row in json.loads(result.out or "[]")}

    rc, rows = verify("--mode", "import", "--parent", "Old", "--full")
    assert rc == EQUAL, rows
    assert rows["Old/INBOX"] == ("60", "equal") and "INBOX" not in rows
    rc, rows = verify("-M", "import")
    assert rc == DIFFERENT and rows["INBOX"] == ("0", "different"), rows
    assert verify("--parent", "Old")[0] == USAGE
    assert verify("-M", "sync")[0] == USAGE


def test_wrong_usage(compared):
    dest, ours = compared.dest, compared.ours
    for args, rc, word in (
            (("--resume",), USAGE, "--proof is needed"),
            (("--proof", "here.json"), USAGE, "must begin with / or ~/"),
            (("--confidence", "100"), USAGE, "from 1 to 99")):
        result = dest.doveadm("migration", "verify", "-u", ours.name, *args,
                              "imapc:", o=compared.settings)
        assert result.rc == rc and word in result.err, result
    path = f"{ours.home}/proof.json"
    for text, word in (("{", "nothing to go on from"),
                       ('{"proof_version": 9}', "newer than this program"),
                       ('{"proof_version": 1, "user": "x", "location": "y"}',
                        "it is about user x")):
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o644)
        result = compared.verify("--resume")
        assert result.rc == DATA and word in result.err, result
    assert compared.compare("proof", "none").rc == DATA
