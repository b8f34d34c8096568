# SPDX-License-Identifier: LGPL-2.1-or-later
"""The recipes of doc/merging.md: a mail volume fails, the users go on with an
empty one, and both are brought together, in each of the three ways. No UID that
a client has ever seen may mean another mail afterwards."""

import hashlib
import json
import os
import subprocess

import pytest

from lab import Dovecot, mailgen, places, snapshot
from test_import import wait_for_the_next_second

DRIVERS = ("sdbox", "mdbox")


def volumes(version, driver):
    """Mail and indexes on a volume each, folders are listed from the latter.
    Paths are links, as mounts would be."""
    if version == "2.3":
        return {"mail_location": f"{driver}:~/mail:INDEX=~/index:"
                                 "CONTROL=~/index:ITERINDEX"}
    return {"mail_driver": driver, "mail_path": "~/mail",
            "mail_index_path": "~/index", "mail_control_path": "~/index",
            "mailbox_list_iter_from_index_dir": True}


@pytest.fixture(scope="module", params=DRIVERS)
def server(version, request):
    with Dovecot(version, plugins=["migration_import"], driver=request.param,
                 settings=volumes(version, request.param)) as dovecot:
        yield dovecot
        assert " Panic: " not in dovecot.log()


class Story:
    """What happens to a user, and all that his clients have seen."""

    def __init__(self, server, index_kept=True):
        self.server = server
        self.user = server.user()
        self.index_kept = index_kept
        self.seen = {}
        self.texts = []
        for name in ("mail-1", "index-1"):
            places.mail_folder(self.path(name))
        self.mount("mail-1", "index-1")

    def path(self, name):
        return f"{self.user.home}/{name}"

    def mount(self, mail, index):
        for link, name in (("mail", mail), ("index", index)):
            if os.path.lexists(self.path(link)):
                os.unlink(self.path(link))
            os.symlink(name, self.path(link))

    def copy(self, name, new_name):
        subprocess.run(["cp", "-a", self.path(name), self.path(new_name)],
                       check=True)

    def receive(self, seed, **counts):
        for name, count in counts.items():
            mails = mailgen.mails(count, seed=f"{seed}{name}", size=(50, 300))
            mailgen.append(self.user, name, mails,
                           create=name not in self.mailboxes())
            self.texts += [hashlib.sha256(mail.text).hexdigest()
                           for mail in mails]

    def mailboxes(self):
        return snapshot.of(self.user, pop3=False).mailboxes

    def look(self):
        """A client looks at everything. It must not find another mail where
        it has seen one."""
        boxes = self.mailboxes()
        for name, box in boxes.items():
            for uid, mail in box.mails.items():
                key = (name, box.uidvalidity, uid)
                assert self.seen.setdefault(key, mail.sha256) == mail.sha256, (
                    f"{key} has become another mail")
        return boxes

    def delete(self, name, uid):
        """A mail that clients have seen is deleted."""
        box = self.mailboxes()[name]
        self.texts.remove(box.mails[uid].sha256)
        self.server.doveadm("expunge", "-u", self.user.name, "mailbox", name,
                            "uid", uid).ok()

    def fail(self):
        """The mail volume is gone. The first look at a mail tells Dovecot."""
        if self.index_kept:
            self.copy("index-1", "index-2")
        else:
            places.mail_folder(self.path("index-2"))
            # a new mailbox's UIDVALIDITY is the time in seconds
            wait_for_the_next_second()
        places.mail_folder(self.path("mail-2"))
        for folder, _, names in os.walk(self.path("index-2/mailboxes")):
            # 2.3's mdbox crashes if a mail comes to a mailbox whose folder
            # only the index volume has (QUIRKS.md, "mdbox-no-folder")
            if "dovecot.index.log" in names:
                places.mail_folder(folder.replace("index-2", "mail-2") +
                                   "/dbox-Mails")
        subprocess.run(["chown", "-R", f"{places.MAIL_UID}:{places.MAIL_UID}",
                        self.path("mail-2")], check=True)
        self.mount("mail-2", "index-2")
        for name in ("INBOX", "Sent", "Work/deep"):
            places.wait_for(lambda name=name: self.is_empty(name),
                            f"Dovecot to find {name} empty")

    def is_empty(self, name):
        """Looks at all mails, as a client does."""
        result = self.server.doveadm("fetch", "-u", self.user.name, "text",
                                     "mailbox", name, "all")
        return result.rc == 0 and result.out == ""

    def recovered(self):
        """The failed volume with the indexes of that moment."""
        return self.location("mail-1", "index-1")

    def meanwhile(self):
        return self.location("mail-2", "index-2")

    def location(self, mail, index):
        """Words for the command line."""
        mail, index = self.path(mail), self.path(index)
        if self.server.version == "2.3":
            return [f"{self.user.driver}:{mail}:INDEX={index}:"
                    f"CONTROL={index}:ITERINDEX"]
        return ["-p", f"mail_index_path={index}",
                "-p", f"mail_control_path={index}",
                "-p", "mailbox_list_iter_from_index_dir=yes",
                f"{self.user.driver}:{mail}"]

    def run_import(self, words, parent=""):
        return self.server.doveadm("import", "-u", self.user.name, *words,
                                   parent, "all").ok()

    def plan(self, words):
        path = f"{self.user.home}/plan.json"
        self.server.doveadm(
            "migration", "plan", "-u", self.user.name, "--mode", "import",
            *words, o=self.server.plugin_options(
                {"migration_report_path": path})).ok()
        with open(path) as file:
            return json.load(file)["plan"]

    def have(self, boxes):
        return sorted(mail.sha256 for box in boxes.values()
                      for mail in box.mails.values())


def happened(server, index_kept=True):
    """Until the failed volume is recovered."""
    story = Story(server, index_kept)
    story.receive("old", INBOX=12, Sent=4, **{"Work/deep": 5})
    story.look()
    story.delete("INBOX", 12)
    story.delete("INBOX", 3)
    old = story.look()
    story.fail()
    if index_kept:
        # empty, and the folders are there
        assert {name: len(box.mails) for name, box in
                story.look().items()} == dict.fromkeys(old, 0)
    story.receive("new", INBOX=6, Sent=3)
    new = story.look()
    story.delete("INBOX", max(new["INBOX"].mails))
    return story, old, story.look()


def finish(story, words, parent=""):
    """It can be run again, and the next mail is not mistaken for another."""
    boxes = story.look()
    story.run_import(words, parent)
    assert story.look() == boxes
    story.receive("late", INBOX=2, Sent=1)
    return story.look()


INDEX_KEPT = pytest.mark.parametrize("index_kept", (True, False), ids=(
    "index kept", "index lost"))


@INDEX_KEPT
def test_recovered_mail_on_top_of_new_mail(server, index_kept):
    story, _, new = happened(server, index_kept)
    words = story.recovered()
    story.run_import(words)
    boxes = story.look()
    assert story.have(boxes) == sorted(story.texts)
    # clients keep what they know of the mailboxes in use
    for name, box in new.items():
        assert boxes[name].uidvalidity == box.uidvalidity or not box.mails
        for uid, mail in box.mails.items():
            assert boxes[name].mails[uid] == mail
    assert story.have(finish(story, words)) == sorted(story.texts)


@INDEX_KEPT
def test_new_mail_on_top_of_recovered_mail(server, index_kept):
    story, old, new = happened(server, index_kept)
    story.mount("mail-1", "index-1")
    words = story.meanwhile()
    story.run_import(words)
    boxes = story.look()
    assert story.have(boxes) == sorted(story.texts)
    # as before the failure, with what has come since behind it
    for name, box in old.items():
        assert boxes[name].uidvalidity == box.uidvalidity
        for uid, mail in box.mails.items():
            assert boxes[name].mails[uid] == mail
    if index_kept:
        # so clients keep what they have seen meanwhile, too
        for name, box in new.items():
            for uid, mail in box.mails.items():
                assert boxes[name].mails[uid] == mail
    assert story.have(finish(story, words)) == sorted(story.texts)


@INDEX_KEPT
def test_recovered_mail_apart(server, index_kept):
    story, old, new = happened(server, index_kept)
    words = story.recovered()
    story.run_import(words, "Recovered")
    boxes = story.look()
    for name, box in old.items():
        assert boxes[f"Recovered/{name}"] == box
    for name, box in new.items():
        assert boxes[name] == box
    assert story.have(finish(story, words, "Recovered")) == sorted(story.texts)


@INDEX_KEPT
def test_plan_tells_what_each_way_costs(server, index_kept):
    """What the plan says is what becomes of it."""
    story, old, new = happened(server, index_kept)
    plan = story.plan(story.recovered())
    assert plan["way"] == "new-on-recovered"
    again = {way: cost["fetched_again"] for way, cost in
             plan["ways"].items()}
    count_old = sum(len(box.mails) for box in old.values())
    count_new = sum(len(box.mails) for box in new.values())
    assert again["apart"] == count_old
    assert again["new-on-recovered"] == (0 if index_kept else count_new)
    assert {row["mailbox"]: row["destination"]
            for row in plan["mailboxes"]} == {
                **dict.fromkeys(old, 0),
                **{name: len(box.mails) for name, box in new.items()}}

    # nothing was written
    assert story.look() == new
    assert all(cost["unsafe"] == 0 for cost in plan["ways"].values())
    story.run_import(story.recovered())
    boxes = story.look()
    moved = sum((boxes[name].uidvalidity, uid, mail) != (
        box.uidvalidity, uid, boxes[name].mails.get(uid))
                for name, box in old.items()
                for uid, mail in box.mails.items())
    assert again["recovered-on-new"] == moved
    plan = story.plan(story.recovered())
    assert sum(row["new"] for row in plan["mailboxes"]) == 0
    assert sum(row["present"] for row in plan["mailboxes"]) == count_old
