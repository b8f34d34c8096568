# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gmail: 500 messages with all that labels can be, for each policy, mailbox
format and way to leave folders out. The result is the model's, each message is
downloaded once and stored once."""

import itertools
import json
import os

import pytest

import lab
from lab import gmail, places, snapshot, stored
from lab.gmail import GmailServer
from lab.gmail_model import digest, expected, not_in

ALL = "[Gmail]/All Mail"
FINDINGS = 3
MESSAGES = 500

POLICIES = ["folders", "keywords", "both"]
DRIVERS = ["mdbox", "sdbox", "maildir"]
KEEP = ["whole", "archived", "none"]
EXCLUDES = [
    (),
    ("-x", "\\All"),
    ("-x", "\\Flagged", "-x", "\\Important", "-x", "\\All"),
    ("-x", "\\Flagged", "-x", "\\Important", "-O", "-$GMailHaveLabels"),
    ("-x", "\\Flagged", "-x", "\\Important", "-x", "\\Sent",
     "-O", "-$GMailHaveLabels"),
    ("-x", "INBOX", "-x", "Work*"),
]
EVERYTHING = list(itertools.product(POLICIES, DRIVERS, KEEP, EXCLUDES))
# in the gate: each value of each column at least once
SAMPLE = [("folders", "mdbox", "whole", EXCLUDES[3]),
          ("keywords", "sdbox", "archived", EXCLUDES[5]),
          ("folders", "mdbox", "archived", EXCLUDES[2]),
          ("both", "maildir", "whole", EXCLUDES[0])]
if os.environ.get("DM_LONG"):
    SAMPLE = EVERYTHING


@pytest.fixture(scope="module")
def dest(version):
    with lab.Dovecot(
            version, driver="mdbox",
            plugins=("quota", "migration_imapc", "migration_gmail"),
            plugin_settings={"quota": "count:User quota",
                             "quota_vsizes": True}
            if version == "2.3" else None,
            extra="" if version == "2.3" else 'quota "User quota" {\n}\n'
            ) as server:
        yield server
        assert " Panic: " not in server.log()


@pytest.fixture(scope="module")
def account():
    return gmail.sample(MESSAGES, seed="matrix")


def run(dest, user, server, command, words, report, policy, keep):
    o = dest.imapc(server, user="user", password="secret")
    o.update(dest.plugin_options({
        "migration_gmail_labels": policy, "migration_gmail_all": keep,
        "migration_report_path": report}))
    return dest.doveadm(*command, *words, "-u", user.name, "imapc:", o=o)


def quota(dest, user):
    """(messages, KiB)"""
    result = dest.doveadm("-f", "tab", "quota", "get", "-u", user.name).ok()
    values = {line.split("\t")[1]: int(line.split("\t")[2])
              for line in result.out.splitlines()[1:]}
    return values["MESSAGE"], values["STORAGE"]


def content(user):
    return {folder: {uid: (set(mail.flags), set(mail.keywords), mail.sha256)
                     for uid, mail in box.mails.items()}
            for folder, box in snapshot.of(user).mailboxes.items()
            if box.mails}


def by_text(box):
    """Without the UIDs, which archived mail has of its own."""
    assert len({mail[2] for mail in box.values()}) == len(box)
    return {mail[2]: mail[:2] for mail in box.values()}


def model(account, policy, keep, words):
    """(mailboxes, UIDs in All Mail that are left out)"""
    masks = [mask for flag, mask in zip(words, words[1:]) if flag == "-x"]
    boxes = expected(account, policy, masks, "-O" in words)
    if keep != "whole":
        boxes.pop(ALL, None)
    rest = not_in(account, policy, boxes)
    if keep == "archived":
        boxes[ALL] = rest
        rest = {}
    return {name: box for name, box in boxes.items() if box}, set(rest)


@pytest.mark.parametrize(
    "policy, driver, keep, words", SAMPLE, ids=lambda value: value if
    isinstance(value, str) else " ".join(value) or "everything")
def test_matrix(dest, folder, account, policy, driver, keep, words):
    user, report = dest.user(driver=driver), f"{places.mail_folder(folder)}/r"
    boxes, left_out = model(account, policy, keep, words)
    with GmailServer(account) as server:
        result = run(dest, user, server, ("backup", "-R"), words, report,
                     policy, keep)
        fetched = server.body_bytes
        again = run(dest, user, server, ("backup", "-R"), words, report,
                    policy, keep)
        # -x '\\All' makes dsync delete what the end of the first run brought,
        # doc/gmail.md says so
        if keep != "archived" or "\\All" not in words:
            assert server.body_bytes == fetched
        if "-O" not in words:
            verified = run(dest, user, server, ("migration", "verify"),
                           words, report, policy, keep)
            assert verified.rc == (FINDINGS if keep == "none" and left_out
                                   else 0), str(verified)
    found = content(user)
    if keep == "archived":
        assert by_text(found.pop(ALL, {})) == by_text(boxes.get(ALL, {}))
        archive = boxes.pop(ALL, {})
    else:
        archive = {}
    assert found == boxes
    with open(report) as file:
        written = json.load(file)
    if "-O" in words:
        reported = [finding["uid"] for finding in written["findings"]
                    if finding["what"] == "gmail-message-left-out"]
        assert sorted(reported) == sorted(left_out)
    assert result.rc == again.rc == (FINDINGS if left_out else 0)

    # each message that is there was downloaded once ...
    sizes = {digest(message.mail): len(message.mail.text)
             for message in account.messages}
    here = {mail[2] for box in (*found.values(), archive) for mail in
            box.values()}
    wanted = sum(sizes[text] for text in here)
    assert wanted <= fetched <= wanted * 1.02
    # ... and is stored once: dbox adds a header and metadata to it
    size = stored.size(user)
    assert size < wanted + 400 * len(here)
    # every copy counts in the quota
    copies = [mail[2] for box in (*found.values(), archive) for mail in
              box.values()]
    messages, kilobytes = quota(dest, user)
    assert messages == len(copies)
    assert kilobytes == -(-sum(sizes[text] for text in copies) // 1024)
    print(f"{policy} {driver} {keep} {' '.join(words)}: {len(here)} messages "
          f"in {messages} copies: {wanted} bytes, downloaded {fetched}, "
          f"stored {size}, quota {kilobytes} KiB")


def test_sample_has_all_of_it(account):
    """What the issue of labels is about is in the 500 messages."""
    assert len(account.messages) >= 500
    users = [{label for label in message.labels if label[0] != "\\"}
             for message in account.messages]
    assert {len(labels) for labels in users} >= {0, 1, 2, 3, 4, 5}
    labels = [message.labels for message in account.messages]
    for combination in (set(), {"\\Starred"}, {"\\Important"},
                        {"\\Sent", "Work"}, {"\\Spam"}, {"\\Draft"},
                        {"\\Chat"}, {"\\Trash", "Work"}):
        assert combination in labels
    assert {"Work", "work", "Work/2024", "日本", "(done) [x]"} <= set(
        account.user_labels)
    ids = [mailgen_id(message.mail.text) for message in account.messages]
    assert len(ids) - len(set(ids)) == 1


def mailgen_id(text):
    return next(line for line in text.splitlines()
                if line.lower().startswith(b"message-id:"))
