# SPDX-License-Identifier: LGPL-2.1-or-later
"""A scripted IMAP and POP3 server over one mailbox that show one mail
differently, as real servers do.

    with mangle.Pair("Zimbra", mails) as source:
        dest.doveadm("backup", …, o={**dest.imapc(source, …),
                                     **dest.pop3c(source, …)})

Mail.uidl of the mails is set: that is the truth which a test compares with.
Where a kind comes from:

[plugin]  comments in Dovecot's src/plugins/pop3-migration/
          pop3-migration-plugin.c, written for servers that were migrated
[zimbra]  Dovecot's imapc_features=zimbra-workarounds and its comments in
          src/lib-storage/index/imapc/imapc-mail-fetch.c
[courier] Courier's own behaviour, seen on courier-imap 5.0 (lab.Courier)
[exchange] Microsoft's documentation of Set-PopSettings and Set-ImapSettings:
          MessageRetrievalSortOrder, EnableExactRFC822Size and
          MessageRetrievalMimeFormat, which POP3 and IMAP have each
"""

import contextlib
import dataclasses
import re

from lab.scripted import ImapServer, Pop3Server
from lab.scripted import pop3 as pop3_server

_YAHOO_FIELDS = (b"X-Yahoo-Newman-Property: ymail-3\r\n"
                 b"Return-Path: <bounce@example.com>\r\n")


def _same(mail):
    return mail.text


def _in_order(mails):
    return list(mails)


@dataclasses.dataclass
class Kind:
    """How a server shows mail. All functions get a Mail and give bytes,
    sizes a number; pop3_order gets and gives a list."""
    imap_text: object = _same
    imap_header: object = None          # default: that of imap_text
    imap_size: object = None
    pop3_text: object = _same
    # after the client sent UTF8; without it the server does not know that
    pop3_utf8_text: object = None
    pop3_size: object = None
    pop3_order: object = _in_order
    # what POP3 does not show
    pop3_hides: object = None
    uidl: str = "uidl-{number}"
    separator: str = "/"


class Pair:
    """Looks like a lab server to dest.imapc() and dest.pop3c().

    imap, pop3  the scripted servers, e.g. for pop3.count("TOP ")
    shown       the mails that POP3 shows, in its order
    """

    ca = None
    master_users = {}
    master_password = None

    def __init__(self, kind, mails, **pop3):
        kind = KINDS[kind] if isinstance(kind, str) else kind
        self.mails = [dataclasses.replace(
            mail, uid=number, uidl=kind.uidl.format(number=number * 7))
            for number, mail in enumerate(mails, 1)]
        self.shown = kind.pop3_order(
            mail for mail in self.mails
            if kind.pop3_hides is None or not kind.pop3_hides(mail))
        self.imap = ImapServer(
            {"INBOX": self.mails}, separator=kind.separator,
            text=kind.imap_text, header=kind.imap_header,
            size=kind.imap_size)
        capabilities = list(pop3_server.CAPABILITIES)
        if kind.pop3_utf8_text is not None:
            capabilities.append("UTF8")
        self.pop3 = Pop3Server(
            self.shown, text=kind.pop3_text, size=kind.pop3_size,
            utf8_text=kind.pop3_utf8_text,
            **{"capabilities": capabilities, **pop3})
        self.ports = {**self.imap.ports, **self.pop3.ports}
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        self._stack.enter_context(self.imap)
        self._stack.enter_context(self.pop3)
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def uidls(self):
        """{IMAP UID: UIDL} as it ought to come out"""
        return {mail.uid: mail.uidl for mail in self.shown}

    def wrong(self, uidls):
        """Those of {UID: UIDL} that are on a mail with another text: the very
        same text may have either UIDL."""
        texts = {mail.uid: mail.text for mail in self.mails}
        right = {mail.uidl: mail.text for mail in self.shown}
        return {uid: uidl for uid, uidl in uidls.items()
                if right[uidl] != texts[uid]}


# -- pieces

def split(text):
    """Header with its line ends, the rest with the empty line."""
    if text.startswith(b"\r\n"):
        return b"", text
    end = text.find(b"\r\n\r\n")
    return (text, b"") if end < 0 else (text[:end + 2], text[end + 2:])


def fields(header):
    """The header's fields, each with its continuation lines."""
    return re.findall(rb"[^\n]*\n(?:[ \t][^\n]*\n)*", header)


def question_marks(text):
    """One ? for each UTF-8 sequence, and for each other 8-bit byte."""
    return re.sub(rb"[\xc0-\xff][\x80-\xbf]+|[\x80-\xff]", b"?", text)


def has_8bit_header(mail):
    return re.search(rb"[\x80-\xff]", split(mail.text)[0]) is not None


# -- Yahoo [plugin]

def _yahoo_imap(mail):
    """IMAP has two more fields and lacks those with invalid names."""
    header, rest = split(mail.text)
    kept = [field for field in fields(header)
            if re.match(rb"[!-9;-~]+:", field) or b":" not in field]
    return _YAHOO_FIELDS + b"".join(kept) + rest


def _yahoo_imap_header(mail):
    header, rest = split(_yahoo_imap(mail))
    return question_marks(header) + rest


# -- Zimbra [zimbra]

def _zimbra_header(mail):
    """BODY[HEADER] is made from parsed fields: lines without a colon and
    continuations of blanks are gone, 8-bit is ?, trailing blanks are cut."""
    header, rest = split(mail.text)
    lines = []
    for line in header.splitlines(keepends=True):
        stripped = line.rstrip(b" \t\r\n")
        if stripped and (line[:1] in b" \t" or b":" in line):
            lines.append(question_marks(stripped) + b"\r\n")
    return b"".join(lines) + (rest or b"\r\n")


def _zimbra_no_header(mail):
    """Some mails come without any header in BODY[HEADER]."""
    if mail.uid % 10 == 3:
        return b"\r\n"
    return _zimbra_header(mail)


# -- Courier [courier] [plugin]

def _courier_header(mail):
    """BODY[HEADER] ends at the first line that holds a CR alone."""
    header, rest = split(mail.text)
    end = header.find(b"\r\n\r\r\n")
    return mail.text if end < 0 else header[:end + 2] + rest


def _courier_pop3(mail):
    """courier-utf8: a client that did not send UTF8 gets a stand-in for mail with 8-bit
    headers: nothing of it is left but its place and its size in LIST."""
    if not has_8bit_header(mail):
        return mail.text
    return (b"From: postmaster@localhost\r\n"
            b"Subject: Cannot display Unicode content\r\n"
            b"MIME-Version: 1.0\r\n"
            b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
            b"This message cannot be displayed by your mail client.\r\n")


def _by_time(mails):
    """Courier's POP3 order is that of the file names: a mail that was moved
    into the INBOX is older than its UID says."""
    return sorted(mails, key=lambda mail: (mail.uid % 5 != 0, mail.uid))


# -- Oracle IMS [plugin]

def _oracle_header(mail):
    """BODY[HEADER] leaves out continuations of blanks, and ends after a line
    without a colon."""
    header, rest = split(mail.text)
    kept = []
    for line in header.splitlines(keepends=True):
        if line.strip() == b"":
            continue
        kept.append(line)
        if b":" not in line and line[:1] not in b" \t":
            return b"".join(kept)
    return b"".join(kept) + rest


# -- Exchange [exchange]

def _exchange_pop3(mail):
    """POP3 renders the mail by its own settings: other folding, other order
    of fields, a field for flagged mail, other body for every seventh."""
    header, rest = split(mail.text)
    body = rest
    if mail.uid % 7 == 0:
        body = b"\r\nThis is the plain text rendering of mail %d.\r\n" % (
            mail.uid)
    unfolded = [re.sub(rb"\r\n[ \t]+", b" ", field)
                for field in fields(header)]
    if "\\Flagged" in mail.flags:
        unfolded.append(b"X-Message-Flag: Follow up\r\n")
    return b"".join(reversed(unfolded)) + body


def _estimate(mail):
    return len(mail.text) // 100 * 100 + 97


def _newest_first(mails):
    return list(mails)[::-1]


# -- Domino: Message-ID with another domain part, seen by imapsync's users

def _domino_pop3(mail):
    return re.sub(rb"(?im)^(Message-ID: <[^@\r\n]*)@[^>\r\n]*>",
                  rb"\1@domino.example.com>", mail.text)


# -- servers that keep mail as LF files and say so in LIST

def _lf_size(mail):
    return len(mail.text.replace(b"\r\n", b"\n"))


_COURIER = Kind(imap_header=_courier_header, pop3_text=_courier_pop3,
                pop3_utf8_text=_same, pop3_size=lambda mail: len(mail.text),
                pop3_order=_by_time, uidl="UID{number}-1076582350",
                separator=".")

KINDS = {
    "honest": Kind(),
    "Yahoo": Kind(imap_text=_yahoo_imap, imap_header=_yahoo_imap_header),
    "Zimbra": Kind(imap_header=_zimbra_header, uidl="{number}.Xc3digest="),
    "Zimbra, no header": Kind(imap_header=_zimbra_no_header,
                              uidl="{number}.Xc3digest="),
    "Zimbra, popped mail": Kind(imap_header=_zimbra_header,
                                uidl="{number}.Xc3digest=",
                                pop3_hides=lambda mail: mail.uid % 4 == 0),
    "Courier": _COURIER,
    "Courier, no UTF8": dataclasses.replace(_COURIER, pop3_utf8_text=None),
    "Oracle": Kind(imap_header=_oracle_header),
    "Exchange": Kind(pop3_text=_exchange_pop3, imap_size=_estimate,
                     pop3_order=_newest_first),
    "Domino": Kind(pop3_text=_domino_pop3),
    "LF sizes": Kind(pop3_size=_lf_size),
}
