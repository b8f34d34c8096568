# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a POP3 client sees, mail by mail: the UIDL and the text behind it.

    before = maildrop.of(source_user)
    …
    assert maildrop.differences(before, maildrop.of(dest_user)) == []

Texts are compared by oddmail.fingerprint(), so that two servers may differ in
how they show a NUL and a CR CR LF. Read with TOP: RETR would mark the mails
as read on many servers.
"""

import dataclasses
import poplib

from lab import oddmail

poplib._MAXLINE = 1 << 24

_ALL_LINES = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Item:
    uidl: str
    text: str                   # fingerprint
    name: str = dataclasses.field(compare=False)


def of(user):
    """The maildrop of a lab user, in POP3 order."""
    return read(user.server.ports["pop3"], user.name, user.password)


def read(port, name, password):
    client = poplib.POP3("127.0.0.1", port, timeout=120)
    if "UTF8" in client.capa():
        # without it Courier shows a stand-in for mail with 8-bit headers
        client.utf8()
    client.user(name)
    client.pass_(password)
    items = []
    for line in client.uidl()[1]:
        number, _, uidl = line.partition(b" ")
        text = b"\n".join(client.top(int(number), _ALL_LINES)[1])
        items.append(Item(uidl.decode("ascii", "backslashreplace"),
                          oddmail.fingerprint(text), oddmail.name_of(text)))
    client.quit()
    return items


def delete(user, numbers):
    """DELE these message numbers, as a client that keeps no mail on the
    server does."""
    client = poplib.POP3("127.0.0.1", user.server.ports["pop3"], timeout=120)
    client.user(user.name)
    client.pass_(user.password)
    for number in numbers:
        client.dele(number)
    client.quit()


def differences(left, right, limit=25):
    """Lines that say what a client would notice; none if nothing."""
    lines = list(_differences(left, right))
    if len(lines) > limit:
        lines[limit:] = [f"… and {len(lines) - limit} more differences"]
    return lines


def _differences(left, right):
    if len(left) != len(right):
        yield f"{len(left)} mails != {len(right)} mails"
    by_uidl = {item.uidl: item for item in right}
    for item in left:
        other = by_uidl.get(item.uidl)
        if other is None:
            yield f"UIDL {item.uidl} is lost: {item.name}"
        elif other.text != item.text:
            yield (f"UIDL {item.uidl} is on another mail: {item.name} "
                   f"!= {other.name}")
    known = {item.uidl for item in left}
    for item in right:
        if item.uidl not in known:
            yield f"UIDL {item.uidl} is new: {item.name}"
    if left != right:
        for number, (a, b) in enumerate(zip(left, right), 1):
            if a != b:
                yield f"order differs at {number}: {a.uidl} != {b.uidl}"
                break
