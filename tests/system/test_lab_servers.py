# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab itself: Courier, Cyrus, odd mail and servers with two faces are what
their descriptions say."""

import poplib

import pytest

import lab
from lab import courier, cyrus, imap, maildrop, mangle, oddmail, snapshot

poplib._MAXLINE = 1 << 24


def test_courier_has_three_orders():
    mails = oddmail.inbox()
    with lab.Courier() as server:
        user = server.user()
        courier.deliver(user, mails, batches=4)
        over_imap = [oddmail.fingerprint(text) for text in imap_texts(user)]
        over_pop3 = maildrop.of(user)
        texts = [item.text for item in over_pop3]
        assert sorted(over_imap) == sorted(texts)
        assert len(texts) == len(mails) >= 150
        assert over_imap != texts
        numbers = [int(item.uidl[3:].split("-")[0]) for item in over_pop3]
        assert sorted(numbers) == list(range(1, len(mails) + 1))
        assert numbers != sorted(numbers)
        assert [oddmail.fingerprint(mails[n - 1].text) for n in numbers
                ] != texts


@pytest.mark.parametrize("altnamespace", [False, True])
def test_cyrus_in_both_namespace_styles(altnamespace):
    mails = oddmail.inbox(without=(oddmail.BIG,))
    with lab.Cyrus(altnamespace=altnamespace) as server:
        user = server.user()
        taken = cyrus.append(user, "INBOX", mails)
        client = imap.Client(server.ports["imap"]).login(user.name,
                                                         user.password)
        client.command("CREATE", f"{server.prefix}Work")
        client.logout()
        seen = snapshot.of(user)
        over_pop3 = maildrop.of(user)
    assert sorted(seen.mailboxes) == ["INBOX", "Work"]
    assert len(mails) > len(taken) >= 150
    assert [item.text for item in over_pop3] == [
        oddmail.fingerprint(mail.text) for mail in taken]
    uidvalidity = seen.mailboxes["INBOX"].uidvalidity
    assert [item.uidl for item in over_pop3] == [
        f"{uidvalidity}.{uid}" for uid in seen.mailboxes["INBOX"].mails]


def test_odd_mail_is_what_it_says():
    mails = oddmail.inbox()
    texts = [mail.text for mail in mails]
    assert len(mails) >= 150
    assert texts == [mail.text for mail in oddmail.inbox()]
    again = {oddmail.fingerprint(text) for text in texts
             if texts.count(text) > 1}
    assert again == {oddmail.fingerprint(odd.text)
                     for odd in oddmail.odd_mails() if odd.kind == "twins"}
    assert max(map(len, texts)) > 5_000_000
    assert not any(b"\0" in mail.text for mail in oddmail.inbox(
        without=(oddmail.NUL,)))


# kind: other headers, other sizes, is POP3 order UID order
DIFFERENCES = {
    "honest": (0, 0, True),
    "Yahoo": (203, 203, True),
    "Zimbra": (27, 0, True),
    "Zimbra, no header": (46, 0, True),
    "Zimbra, popped mail": (17, 0, True),
    "Courier": (15, 0, False),
    "Courier, no UTF8": (15, 0, False),
    "Oracle": (10, 0, True),
    "Exchange": (195, 203, False),
    "Domino": (191, 191, True),
    "LF sizes": (0, 203, True),
}


@pytest.mark.parametrize("kind", mangle.KINDS)
def test_two_faces_of_one_mail(kind):
    """How many headers differ between BODY[HEADER] and TOP, and how many
    sizes: a kind that mangles nothing would test nothing."""
    mails = oddmail.inbox(without=(oddmail.BIG, oddmail.NUL, oddmail.EMPTY))
    with mangle.Pair(kind, mails) as pair:
        client = imap.Client(pair.ports["imap"]).login("user", "secret")
        client.command("EXAMINE", "INBOX")
        headers, sizes = {}, {}
        for reply in client.command(
                "UID FETCH", "1:* (RFC822.SIZE BODY.PEEK[HEADER])"):
            if reply[2:3] == [b"FETCH"]:
                values = dict(zip(reply[3][::2], reply[3][1::2]))
                uid = int(values[b"UID"])
                headers[uid] = values[b"BODY[HEADER]"].strip()
                sizes[uid] = int(values[b"RFC822.SIZE"])
        client.logout()
        pop3 = poplib.POP3("127.0.0.1", pair.ports["pop3"])
        pop3.user("user")
        pop3.pass_("secret")
        tops = [b"\r\n".join(pop3.top(number, 0)[1]).strip()
                for number in range(1, len(pair.shown) + 1)]
        list_sizes = [int(line.split()[1]) for line in pop3.list()[1]]
        pop3.quit()
    other_headers = sum(headers[mail.uid] != top
                        for mail, top in zip(pair.shown, tops))
    other_sizes = sum(sizes[mail.uid] != size
                      for mail, size in zip(pair.shown, list_sizes))
    uids = [mail.uid for mail in pair.shown]
    assert (other_headers, other_sizes, uids == sorted(uids)) == DIFFERENCES[kind]


def imap_texts(user):
    client = imap.Client(user.server.ports["imap"]).login(user.name,
                                                          user.password)
    client.command("EXAMINE", "INBOX")
    texts = []
    for reply in client.command("FETCH", "1:* (BODY.PEEK[])"):
        if reply[2:3] == [b"FETCH"]:
            texts.append(reply[3][reply[3].index(b"BODY[]") + 1])
    client.logout()
    return texts
