# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an account's owner sees, as plain data that == compares.

    before = snapshot.of(source_user)
    …
    assert snapshot.of(dest_user) == before

pytest then shows the differences mail by mail (see conftest.py); differences()
gives the same lines.
"""

import calendar
import dataclasses
import hashlib
import poplib
import re

from lab import imap

# Mails are fetched in slices, so that 100,000 of them fit into memory
_SLICE = 2000

poplib._MAXLINE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Mail:
    flags: tuple
    keywords: tuple
    date: int
    size: int
    sha256: str


@dataclasses.dataclass
class Mailbox:
    uidvalidity: int
    uidnext: int
    mails: dict


@dataclasses.dataclass
class Snapshot:
    """mailboxes  {name with / as separator and without prefix: Mailbox}
    subscriptions  sorted names
    pop3           [(UIDL, size), …] in the order served; None if not read
    """
    mailboxes: dict
    subscriptions: list
    pop3: list = None

    def count(self):
        return sum(len(box.mails) for box in self.mailboxes.values())

    def without(self, *names):
        """The same without these mailboxes."""
        return dataclasses.replace(
            self,
            mailboxes={name: box for name, box in self.mailboxes.items()
                       if name not in names},
            subscriptions=[name for name in self.subscriptions
                           if name not in names])


def of(user, bodies=True, pop3=None):
    """Read an account of a lab server back over IMAP, and over POP3 if the
    server has it. bodies=False compares no text."""
    server = user.server
    if pop3 is None:
        pop3 = "pop3" in server.ports
    return take(server.ports["imap"], user.name, user.password,
                prefix=server.prefix, separator=server.separator,
                pop3_port=server.ports["pop3"] if pop3 else None,
                bodies=bodies)


def take(imap_port, name, password, *, prefix="", separator="/",
         pop3_port=None, bodies=True):
    client = imap.Client(imap_port).login(name, password)
    mailboxes = {}
    for reply in client.command("LIST", '""', '"*"'):
        if _is_mailbox(reply, b"LIST"):
            try:
                mailbox = read_mailbox(client, reply[4].decode(), bodies)
            except imap.ImapError as error:
                # Maildir lists the parent of a folder although it is none
                if "Mailbox doesn't exist" not in str(error):
                    raise
                continue
            mailboxes[_plain_name(reply[4], prefix, separator)] = mailbox
    subscriptions = sorted(
        _plain_name(reply[4], prefix, separator)
        for reply in client.command("LSUB", '""', '"*"')
        if _is_mailbox(reply, b"LSUB"))
    client.logout()
    pop3 = (None if pop3_port is None else
            read_pop3(pop3_port, name, password))
    return Snapshot(mailboxes, subscriptions, pop3)


def read_mailbox(client, name, bodies=True):
    """name: as it is on the wire"""
    quoted = imap.quote(name)
    status = {}
    # STATUS first: an EXAMINE gives UIDNEXT only if it wants to
    for reply in client.command("STATUS", quoted, "(UIDVALIDITY UIDNEXT)"):
        if reply[1] == b"STATUS":
            status = dict(zip(reply[3][::2], map(int, reply[3][1::2])))
    exists = 0
    for reply in client.command("EXAMINE", quoted):
        if len(reply) > 2 and reply[2] == b"EXISTS":
            exists = int(reply[1])
    items = "(UID FLAGS INTERNALDATE RFC822.SIZE"
    items += " BODY.PEEK[])" if bodies else ")"
    mails = {}
    for first in range(1, exists + 1, _SLICE):
        last = min(first + _SLICE - 1, exists)
        for reply in client.command("FETCH", f"{first}:{last}", items):
            if len(reply) > 3 and reply[2] == b"FETCH":
                uid, mail = _mail(dict(zip(reply[3][::2], reply[3][1::2])))
                mails[uid] = mail
    return Mailbox(status[b"UIDVALIDITY"], status[b"UIDNEXT"], mails)


def read_pop3(port, name, password):
    client = poplib.POP3("127.0.0.1", port, timeout=120)
    client.user(name)
    client.pass_(password)
    uidls = [line.split(b" ", 1)[1].decode() for line in client.uidl()[1]]
    sizes = [int(line.split(b" ")[1]) for line in client.list()[1]]
    client.quit()
    return list(zip(uidls, sizes, strict=True))


def differences(left, right, limit=30):
    """Lines that say what differs; none if left == right."""
    lines = list(_differences(left, right))
    if len(lines) > limit:
        lines[limit:] = [f"… and {len(lines) - limit} more differences"]
    return lines


def _differences(left, right):
    for name in sorted(left.mailboxes.keys() | right.mailboxes.keys()):
        a, b = left.mailboxes.get(name), right.mailboxes.get(name)
        if a is None or b is None:
            yield f"{name}: only on the {'right' if a is None else 'left'}"
            continue
        for field in ("uidvalidity", "uidnext"):
            yield from _field(name, field, getattr(a, field),
                              getattr(b, field))
        for uid in sorted(a.mails.keys() | b.mails.keys()):
            yield from _mail_differences(f"{name} UID {uid}",
                                         a.mails.get(uid), b.mails.get(uid))
    yield from _field("subscriptions", "only left",
                      sorted(set(left.subscriptions) -
                             set(right.subscriptions)), [])
    yield from _field("subscriptions", "only right", [],
                      sorted(set(right.subscriptions) -
                             set(left.subscriptions)))
    if (left.pop3 is None) != (right.pop3 is None):
        yield "POP3: read on one side only"
    elif left.pop3 is not None:
        yield from _field("POP3", "count", len(left.pop3), len(right.pop3))
        for number, (a, b) in enumerate(zip(left.pop3, right.pop3), 1):
            yield from _field(f"POP3 {number}", "UIDL and size", a, b)


def _mail_differences(where, a, b):
    if a is None or b is None:
        yield f"{where}: only on the {'right' if a is None else 'left'}"
        return
    for field in dataclasses.fields(Mail):
        yield from _field(where, field.name, getattr(a, field.name),
                          getattr(b, field.name))


def _field(where, what, a, b):
    if a != b:
        yield f"{where}: {what}: {a!r} != {b!r}"


def _is_mailbox(reply, kind):
    return reply[1] == kind and not (
        {b"\\NOSELECT", b"\\NONEXISTENT"} & {f.upper() for f in reply[2]})


def _plain_name(wire_name, prefix, separator):
    name = wire_name.decode()
    if name.upper() == "INBOX":
        return "INBOX"
    if prefix and name.startswith(prefix):
        name = name[len(prefix):]
    return imap.decode_name(name.replace(separator, "/"))


def _mail(items):
    flags = sorted(flag.decode() for flag in items[b"FLAGS"]
                   if flag != b"\\Recent")
    body = items.get(b"BODY[]")
    return int(items[b"UID"]), Mail(
        flags=tuple(f for f in flags if f.startswith("\\")),
        keywords=tuple(f for f in flags if not f.startswith("\\")),
        date=_epoch(items[b"INTERNALDATE"].decode()),
        size=int(items[b"RFC822.SIZE"]),
        sha256="" if body is None else hashlib.sha256(body).hexdigest())


_MONTHS = {name: number for number, name in enumerate(
    "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_DATE = re.compile(r"\s*(\d+)-(\w+)-(\d+) (\d+):(\d+):(\d+) ([+-])(\d\d)(\d\d)")


def _epoch(text):
    day, month, year, hour, minute, second, sign, zone_h, zone_m = (
        _DATE.match(text).groups())
    zone = (int(zone_h) * 60 + int(zone_m)) * 60
    local = calendar.timegm((int(year), _MONTHS[month], int(day), int(hour),
                             int(minute), int(second)))
    return local - zone if sign == "+" else local + zone
