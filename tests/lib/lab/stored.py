# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a destination has of a user, as it is stored and as doveadm shows it:
more than a client asks for.

    stored.files(user)      {folder: [what each file of mail holds, …]}
    stored.mails(user)      {mailbox: {UID: {field: value}}}
    stored.mailboxes(user)  {mailbox: {field: value}}
    stored.size(user)       bytes of mail
"""

import hashlib
import os
import re

# without what is made up anew in each run: the GUID, unless the source has one,
# and the date of saving
FIELDS = ("flags", "date.received.unixtime", "size.physical", "size.virtual",
          "pop3.uidl", "pop3.order")
STATUS = ("messages", "recent", "uidnext", "uidvalidity", "unseen",
          "highestmodseq", "vsize", "guid")


def mails(user):
    rows = _table(user.server.doveadm(
        "-f", "tab", "fetch", "-u", user.name,
        " ".join(("mailbox", "uid", *FIELDS)), "all").ok().out)
    result = {}
    for row in rows:
        result.setdefault(row.pop("mailbox"), {})[int(row.pop("uid"))] = row
    return result


def mailboxes(user):
    rows = _table(user.server.doveadm(
        "-f", "tab", "mailbox", "status", "-u", user.name, " ".join(STATUS),
        "*").ok().out)
    return {row.pop("mailbox"): row for row in rows}


def _table(text):
    head, *rows = text.splitlines()
    names = head.split("\t")
    return [dict(zip(names, row.split("\t"), strict=True)) for row in rows]


def files(user):
    """In the order of their UIDs or as they lie in a file of mdbox. Left out is
    what is made up anew for each destination: GUIDs and Maildir's names."""
    result = {}
    for folder, _, names in os.walk(user.mail_path):
        found = []
        for name in names:
            with open(f"{folder}/{name}", "rb") as file:
                data = file.read()
            if re.fullmatch(r"[um]\.\d+", name):
                found += [(name, *one) for one in _dbox(data)]
            elif os.path.basename(folder) in ("cur", "new"):
                found.append((_uid(folder, name), *_maildir(
                    folder, name, data)))
        if found:
            where = os.path.relpath(folder, user.mail_path)
            result.setdefault(re.sub(r"/?(cur|new)$", "", where),
                              []).extend(found)
    for found in result.values():
        found.sort(key=lambda one: _number(one[0]))
    return result


def size(user):
    """Bytes that the mails take, each inode once. The index is left out."""
    inodes = {}
    for folder, _, files in os.walk(user.home):
        for name in files:
            if name.startswith(("dovecot", "maildirfolder", "subscriptions",
                                "mailboxes")):
                continue
            info = os.stat(os.path.join(folder, name))
            inodes[info.st_ino] = info.st_size
    return sum(inodes.values())


def _number(name):
    return int(str(name).rpartition(".")[2])


def _dbox(data):
    """A file of sdbox or mdbox: [(metadata, digest), …]"""
    head, _, rest = data.partition(b"\n")
    head_size = int(re.search(rb" M([0-9a-f]+) ", head)[1], 16)
    while rest:
        assert rest[:2] == b"\1\2", rest[:40]
        size = int(rest[4:head_size].split()[0], 16)
        text = rest[head_size:head_size + size]
        rest = rest[head_size + size:]
        magic, rest = rest[:4], rest[4:]
        assert magic == b"\n\1\3\n", magic
        lines, _, rest = rest.partition(b"\n\n")
        yield ({line[:1].decode(): line[1:].decode()
                for line in lines.split(b"\n") if line[:1] != b"G"},
               hashlib.sha256(text).hexdigest())


def _maildir(folder, name, data):
    base, _, letters = name.partition(":2,")
    keywords = []
    if re.search("[a-z]", letters):
        with open(f"{os.path.dirname(folder)}/dovecot-keywords") as file:
            keywords = [line.split(" ", 1)[1].strip() for line in file]
    return (dict(part.split("=") for part in base.split(",")[1:]),
            sorted(letter if letter.isupper() else keywords[ord(letter) - 97]
                   for letter in letters),
            int(os.stat(f"{folder}/{name}").st_mtime),
            hashlib.sha256(data).hexdigest())


def _uid(folder, name):
    base = name.partition(":2,")[0].partition(",")[0]
    with open(f"{os.path.dirname(folder)}/dovecot-uidlist", "rb") as file:
        for line in file.read().decode().splitlines()[1:]:
            if line.partition(" :")[2].partition(",")[0] == base:
                return int(line.split(" ", 1)[0])
    raise AssertionError(f"{name} is in no dovecot-uidlist")
