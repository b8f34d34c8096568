# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sample mailbox of tests/corpora, put into a lab user's Maildir."""

import collections
import datetime
import os

from lab import imap, places

FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "corpora",
                      "sample")

UIDVALIDITY = 1204455600
# a server that this mailbox was on before: nothing on the present one would
# compute such UIDLs
OLD_UIDVALIDITY = 1076582350

Mail = collections.namedtuple(
    "Mail", "mailbox file uid flags keywords date")

_FLAG_LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R",
                 "\\Seen": "S", "\\Deleted": "T"}


def mails():
    """(mailbox names in order, mails)."""
    names, found = [], []
    with open(f"{FOLDER}/manifest.tsv", encoding="utf-8") as file:
        for line in file:
            if line.startswith("#"):
                continue
            mailbox, path, uid, flags, keywords, date = line.strip().split("\t")
            if mailbox not in names:
                names.append(mailbox)
            if path != "-":
                found.append(Mail(mailbox, path, int(uid), _words(flags),
                                  _words(keywords), _time(date)))
    return names, found


def deliver(user):
    """Write the sample mailbox into the Maildir of a lab user whose server
    has not seen him yet. Returns the number of mails."""
    names, found = mails()
    for number, name in enumerate(names, 1):
        _write_mailbox(_maildir_folder(user, name), UIDVALIDITY + number,
                       [mail for mail in found if mail.mailbox == name])
    _write(f"{user.mail_path}/subscriptions", "V\t2\n\n" + "".join(
        imap.encode_name(name).replace("/", "\t") + "\n"
        for name in names if name != "Junk"))
    _own(user.mail_path)
    return len(found)


def _write_mailbox(path, uidvalidity, found):
    for sub in ("cur", "new", "tmp"):
        os.makedirs(f"{path}/{sub}", exist_ok=True)
    if not path.endswith("/Maildir"):
        _write(f"{path}/maildirfolder", "")
    keywords = sorted({word for mail in found for word in mail.keywords})
    _write(f"{path}/dovecot-keywords", "".join(
        f"{number} {word}\n" for number, word in enumerate(keywords)))
    next_uid = found[-1].uid + 1 if found else 1
    lines = [f"3 V{uidvalidity} N{next_uid} G{uidvalidity:032x}\n"]
    for index, mail in enumerate(found):
        base = f"{mail.date}.M{mail.uid}P1.sample"
        letters = sorted(_FLAG_LETTERS[flag] for flag in mail.flags)
        letters += [chr(ord("a") + keywords.index(word))
                    for word in sorted(mail.keywords)]
        target = f"{path}/cur/{base}:2,{''.join(letters)}"
        with open(f"{FOLDER}/{mail.file}", "rb") as source:
            content = source.read()
        with open(target, "wb") as file:
            file.write(content)
        os.utime(target, (mail.date, mail.date))
        extra = _pop3(mail, index) if mail.mailbox == "INBOX" else ""
        lines.append(f"{mail.uid} {extra}:{base}\n")
    _write(f"{path}/dovecot-uidlist", "".join(lines))


def _pop3(mail, index):
    """UIDL and order of an INBOX mail, as dovecot-uidlist has them. Every
    tenth mail changes places with its predecessor."""
    order = index + 1
    if index % 10 == 9:
        order -= 1
    elif index % 10 == 8:
        order += 1
    return (f"PUID{mail.uid * 7 % 1000}.{mail.uid}-{OLD_UIDVALIDITY} "
            f"O{order} ")


def _maildir_folder(user, name):
    if name == "INBOX":
        return user.mail_path
    return f"{user.mail_path}/." + imap.encode_name(name).replace("/", ".")


def _words(text):
    return () if text == "-" else tuple(text.split(" "))


def _time(text):
    return int(datetime.datetime.strptime(
        text, "%d-%b-%Y %H:%M:%S %z").timestamp())


def _write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _own(path):
    for folder, _, files in os.walk(path):
        for entry in [folder, *(f"{folder}/{name}" for name in files)]:
            os.chown(entry, places.MAIL_UID, places.MAIL_UID)
