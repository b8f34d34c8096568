# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trees of odd names from real servers to all kinds of destinations."""

import itertools
import os

import pytest

import lab
from lab import courier, imap, mailgen, snapshot
from lab.latency import Link

# with "/" between levels; what a server refuses is left out there
TREE = ["Sent", "Drafts", "Trash", "Junk", "Archive", "Archive/2023",
        "Archive/2024", "Archive/2024/Q1/a/b/c/d", "Sent Items",
        "Entwürfe & Übriges", "台北", "日本語/メール", "~tilde", "a~b", "50% off",
        "50%25off", "with.dot", "star*", 'qu"ote', "back\\slash", "^caret",
        "amp&ersand", "(paren)", "[Mailbox]", "a=b", "a=41", "x" * 120, "cur",
        "subscriptions", "NIL"]

SOURCES = {
    "cyrus": lambda version: lab.Cyrus(),
    "cyrus-altnamespace": lambda version: lab.Cyrus(altnamespace=True),
    "courier": lambda version: lab.Courier(),
    "dovecot": lambda version: lab.Dovecot(
        version, prefix="INBOX.", separator=".", driver="mdbox"),
    "dovecot-slash": lambda version: lab.Dovecot(version, driver="sdbox"),
}


def fill(user):
    """Returns the names that the server took."""
    server, taken = user.server, []
    if isinstance(server, lab.Courier):
        # a login needs a Maildir
        courier.deliver(user, mailgen.mails(2))
    else:
        mailgen.append(user, "INBOX", mailgen.mails(2))
    for name in TREE:
        wire = server.prefix + name.replace("/", server.separator)
        if name.replace("/", "").count(server.separator):
            continue
        try:
            mailgen.append(user, wire, mailgen.mails(1, seed=name),
                           create=True)
        except imap.ImapError:
            continue
        taken.append(name)
    return taken


FORMATS = {"sdbox": "sdbox", "mdbox": "mdbox", "maildir": "maildir",
           "maildir-fs": "maildir"}


# one destination for each source, all with --long
PAIRS = (list(itertools.product(SOURCES, FORMATS)) if os.environ.get("DM_LONG")
         else list(zip(SOURCES, ["sdbox", "mdbox", "sdbox", "maildir-fs",
                                 "maildir"])))


@pytest.fixture(scope="module")
def theirs(request, version):
    with SOURCES[request.param](version) as server:
        user = server.user()
        yield user, fill(user)


@pytest.mark.parametrize("theirs, form", PAIRS, indirect=["theirs"])
def test_tree(dest, theirs, form):
    """Every folder, mail and subscription is in its place, under its name where
    the destination can have it; the second run lists and does no more."""
    user, taken = theirs
    assert len(taken) > 20
    fields = {}
    if form == "maildir-fs":
        fields = ({"mail": "maildir:~/Maildir:LAYOUT=fs"}
                  if dest.version == "2.3" else
                  {"mailbox_list_layout": "fs"})
    ours = dest.user(driver=FORMATS[form], fields=fields)
    before = snapshot.of(user, pop3=False)
    with Link(round_trip=0) as link:
        settings = dest.imapc(user.server, user=user.name,
                              password=user.password,
                              port=link.to(user.server.ports["imap"]))
        for _ in range(2):
            link.reset()
            dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                         o=settings).ok()
            after = snapshot.of(ours, pop3=False)
            assert after.count() == before.count() == len(taken) + 2
            held = [name for name, box in after.mailboxes.items() if box.mails]
            assert len(held) == len(taken) + 1
            # what is not called as before is escaped
            for name in taken:
                box = after.mailboxes.get(name)
                if box is not None and name in before.mailboxes:
                    assert box == before.mailboxes[name]
            lost = set(taken) - set(held)
            assert len(lost) == len([n for n in held if "=" in n] ) - len(
                [n for n in taken if "=" in n and n in held])
            assert lost <= {"~tilde", "50%25off", "with.dot", "a=41", "cur",
                            "subscriptions"}
            assert set(taken) - lost <= set(after.subscriptions)
            assert len([n for n in after.subscriptions if n != "INBOX"]) == \
                len(taken)
    # Courier's mailboxes may have to be selected
    if not isinstance(user.server, lab.Courier):
        assert link.count(r"\S+ (UID FETCH|SELECT|EXAMINE)") == 0
