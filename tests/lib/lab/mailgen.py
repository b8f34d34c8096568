# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sample mail: the same for the same seed, on every machine.

    folders = mailgen.account(seed=1)              {name: [Mail, …]}
    mailgen.deliver(user, folders)                 straight into his Maildir
    mailgen.append(user, "INBOX", mailgen.mails(3, seed=2))        over IMAP
"""

import calendar
import dataclasses
import os
import random
import time

from lab import imap, places

_WORDS = ("meeting invoice report holiday budget release coffee train project "
          "minutes letter answer contract garden music school weather offer "
          "delivery password ticket calendar photo family office order price "
          "the and with from about after before please thanks regards").split()
_PEOPLE = ("anna.berg", "john.smith", "maria.rossi", "li.wei", "olga.petrova",
           "pierre.martin", "jose.garcia", "news", "no-reply", "support")
FLAG_LETTERS = {"\\Seen": "S", "\\Answered": "R", "\\Flagged": "F",
                "\\Deleted": "T", "\\Draft": "D"}

# 2019-03-01; every sample mail is dated from here on
_EPOCH = 1551398400


@dataclasses.dataclass
class Mail:
    """A mail as IMAP shows it. uid, uidl and pop3_order are for deliver()
    only; without a uid a mail gets the next one."""
    text: bytes
    flags: tuple = ()
    keywords: tuple = ()
    date: int = _EPOCH
    uid: int = None
    uidl: str = None
    pop3_order: int = None


def mails(count, seed=1, size=(400, 4000), flags=True, start=_EPOCH):
    """count ordinary mails. size: of the body, a number or a range."""
    rnd = random.Random(f"{seed}/mails")
    filler = _filler(rnd, 1 << 16)
    result = []
    for number in range(count):
        date = start + number * 5400 + rnd.randrange(3600)
        length = size if isinstance(size, int) else rnd.randint(*size)
        text = (_header(rnd, seed, number, date) + b"\r\n" +
                _body(rnd, filler, length))
        result.append(Mail(text, date=date,
                           flags=_random_flags(rnd) if flags else (),
                           keywords=_random_keywords(rnd) if flags else ()))
    return result


def account(seed=1, inbox=60, folder_size=20, odd=True):
    """A whole account of about 300 mails in 12 folders, with non-ASCII and
    nested names, keywords, and odd mails in the INBOX."""
    names = ("INBOX", "Sent", "Drafts", "Trash", "Archive", "Archive/2023",
             "Archive/2024", "Entwürfe & Übriges", "Projekte",
             "Projekte/Größe", "日本語", "Empty")
    folders = {}
    for name in names:
        count = {"INBOX": inbox, "Empty": 0}.get(name, folder_size)
        folders[name] = mails(count, seed=f"{seed}/{name}")
    if odd:
        folders["INBOX"] += odd_mails(cr_cr_lf=False)
    return folders


def odd_mails(nul=True, cr_cr_lf=True, big=True):
    """Mails that real servers have and that break careless programs.

    nul       with NUL bytes, which many servers refuse or change
    cr_cr_lf  with line ends that Dovecot shortens when it saves a mail
    big       with one of 5 MB
    """
    plain = (b"From: odd@example.com\r\nTo: u@example.com\r\nSubject: %s\r\n"
             b"Date: Fri, 1 Mar 2019 10:00:00 +0000\r\n"
             b"Message-ID: <%s@odd>\r\n\r\n")

    def odd(name, body):
        return plain % (name, name) + body

    twin = odd(b"twin", b"the very same mail twice\r\n")
    texts = [
        b"From: \xe4\xf6\xfc@example.com\r\nSubject: 8-bit \xff\xfe\r\n"
        b"Message-ID: <8bit@odd>\r\n\r\nLatin-1 in the header\r\n",
        "Subject: UTF-8 Grüße 日本\r\nMessage-ID: <utf8@odd>\r\n\r\n"
        "UTF-8 in the header\r\n".encode(),
        b"\r\nno header at all\r\n",
        b"this line has no colon\r\nSubject: late\r\n\r\nbody\r\n",
        b"Subject: continued by white space only\r\n \r\n\t\r\nX-A: b\r\n\r\n"
        b"body\r\n",
        b"Subject: header only\r\nMessage-ID: <headeronly@odd>\r\n\r\n",
        b"Subject: header without an end\r\nMessage-ID: <noend@odd>\r\n",
        odd(b"no-final-newline", b"the last line just ends"),
        odd(b"bare-cr", b"one\rtwo\r\n"),
        odd(b"dots", b".\r\n..\r\n.dot\r\n\r\n.\r\n"),
        odd(b"long-line", b"x" * 10000 + b"\r\n"),
        odd(b"long-header", b"body\r\n").replace(
            b"Date:", b"X-Long: " + b"y" * 10000 + b"\r\nDate:"),
        twin, twin,
        odd(b"same-size", b"these two have one size\r\n"),
        odd(b"same-size", b"these two have one SIZE\r\n").replace(
            b"<same-size@", b"<size-same@"),
        odd(b"same-header", b"but this is the first body\r\n"),
        odd(b"same-header", b"and that is another, longer, body\r\n"),
        odd(b"from-line", b"From here on it is text\r\n>From too\r\n"),
    ]
    if cr_cr_lf:
        texts.append(odd(b"cr-cr-lf", b"one\r\r\ntwo\r\r\nthree\r\n"))
    if nul:
        texts.append(odd(b"nul", b"a NUL \0 in the body\r\n"))
    if big:
        texts.append(odd(b"five-megabytes", b"z" * 70 + b"\r\n")
                     + (b"q" * 70 + b"\r\n") * (5 * 1024 * 1024 // 72))
    # 1970, 2038 and a leap day among the dates
    dates = [86400, 2147483647, calendar.timegm((2020, 2, 29, 0, 0, 0))]
    return [Mail(text, date=dates[i] if i < len(dates) else _EPOCH + i,
                 flags=("\\Seen",) if i % 3 == 0 else ())
            for i, text in enumerate(texts)]


# -- into a mailbox

def deliver(user, folders, subscribed=None, uidvalidity=1551398400):
    """Write new mailboxes straight into a user's Maildir, quickly, with the
    UIDs wanted. subscribed: names; default all."""
    assert user.driver == "maildir", user.driver
    top = places.mail_folder(user.mail_path)
    for number, (name, mail_list) in enumerate(folders.items()):
        path = top if name == "INBOX" else (
            f"{top}/.{_maildir_name(name)}")
        _write_maildir(path, mail_list, uidvalidity + number)
    names = folders if subscribed is None else subscribed
    _write_owned(f"{top}/subscriptions", "".join(
        f"{_maildir_name(name)}\n" for name in names).encode())


def append(user, mailbox, mail_list, create=False):
    """Append mails over IMAP. mailbox is the name that the server shows."""
    client = login(user)
    name = imap.quote(imap.encode_name(mailbox))
    if create:
        client.command("CREATE", name)
        client.command("SUBSCRIBE", name)
    for mail in mail_list:
        client.command("APPEND", name,
                       f"({' '.join((*mail.flags, *mail.keywords))})",
                       f'"{internaldate(mail.date)}"', mail.text)
    client.logout()


def login(user):
    """An IMAP connection as this user."""
    server = user.server
    client = imap.Client(server.ports["imap"])
    return client.login(user.name, user.password)


def internaldate(epoch):
    return time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(epoch))


def _write_maildir(path, mail_list, uidvalidity):
    assert not os.path.exists(f"{path}/dovecot-uidlist"), path
    for folder in (path, f"{path}/cur", f"{path}/new", f"{path}/tmp"):
        places.mail_folder(folder)
    _write_owned(f"{path}/maildirfolder", b"")
    keywords = sorted({k for mail in mail_list for k in mail.keywords})
    assert len(keywords) <= 26, "Maildir names have room for 26 keywords"
    uid, lines = 0, []
    for number, mail in enumerate(mail_list):
        text = _maildir_text(mail.text)
        letters = [FLAG_LETTERS[flag] for flag in mail.flags]
        letters += [chr(97 + keywords.index(k)) for k in mail.keywords]
        base = (f"{_EPOCH + number}.M{number}P1.lab,S={len(text)}"
                f",W={_virtual_size(text)}")
        name = f"{path}/cur/{base}:2,{''.join(sorted(letters))}"
        _write_owned(name, text)
        os.utime(name, (mail.date, mail.date))
        uid = mail.uid if mail.uid is not None else uid + 1
        lines.append(f"{uid}{_uidlist_fields(mail)} :{base}\n")
    head = f"3 V{uidvalidity} N{uid + 1} G{uidvalidity:032x}\n"
    _write_owned(f"{path}/dovecot-uidlist", (head + "".join(lines)).encode())
    if keywords:
        _write_owned(f"{path}/dovecot-keywords", "".join(
            f"{i} {k}\n" for i, k in enumerate(keywords)).encode())


def _uidlist_fields(mail):
    fields = ""
    if mail.uidl is not None:
        fields += f" P{mail.uidl}"
    if mail.pop3_order is not None:
        fields += f" O{mail.pop3_order}"
    return fields


def _maildir_text(text):
    """As a Maildir stores it: LF. A mail with other line ends stays as it
    is, or they would be lost."""
    crlf = text.count(b"\r\n")
    if text.count(b"\r") == crlf and text.count(b"\n") == crlf:
        return text.replace(b"\r\n", b"\n")
    return text


def _virtual_size(text):
    return len(text) + text.count(b"\n") - text.count(b"\r\n")


def _maildir_name(name):
    assert "." not in name, "Maildir++ uses the dot as separator"
    return imap.encode_name(name).replace("/", ".")


def _write_owned(path, data):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchown(file.fileno(), places.MAIL_UID, places.MAIL_UID)
    except OSError:
        os.unlink(path)
        raise


# -- text

def _header(rnd, seed, number, date):
    sender, receiver = rnd.sample(_PEOPLE, 2)
    subject = " ".join(rnd.choices(_WORDS, k=rnd.randint(1, 7)))
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(date))
    lines = [
        f"Received: from mx{rnd.randrange(9)}.example.net by example.com\r\n"
        f"\twith ESMTP id {rnd.getrandbits(48):012x}; {stamp}",
        f"From: {sender}@example.org",
        f"To: {receiver}@example.com",
        f"Subject: {subject}",
        f"Date: {stamp}",
        f"Message-ID: <{number}.{rnd.getrandbits(64):016x}@example.org>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
    ]
    if rnd.random() < 0.2:
        lines.append(f"X-Mailer: Sampler {rnd.randrange(1, 9)}.0 ({seed})")
    return ("\r\n".join(lines) + "\r\n").encode()


def _filler(rnd, size):
    """Text in lines, from which bodies are cut."""
    lines, length = [], 0
    while length < size:
        line = " ".join(rnd.choices(_WORDS, k=rnd.randint(3, 11)))
        lines.append(line)
        length += len(line) + 2
    return ("\r\n".join(lines) + "\r\n").encode()


def _body(rnd, filler, size):
    """size bytes that end with CR LF and contain no split line end."""
    if size < 2:
        return b"\r\n"
    body = b""
    while len(body) < size - 2:
        start = filler.index(b"\r\n", rnd.randrange(len(filler) // 2)) + 2
        body += filler[start:start + size - 2 - len(body)]
    if body.endswith(b"\r"):
        body = body[:-1] + b"."
    return body + b"\r\n"


def _random_flags(rnd):
    flags = []
    for flag, share in (("\\Seen", 0.7), ("\\Answered", 0.15),
                        ("\\Flagged", 0.1), ("\\Deleted", 0.02),
                        ("\\Draft", 0.03)):
        if rnd.random() < share:
            flags.append(flag)
    return tuple(flags)


def _random_keywords(rnd):
    return tuple(keyword for keyword in
                 ("$Forwarded", "$Label1", "Work", "NonJunk")
                 if rnd.random() < 0.08)
