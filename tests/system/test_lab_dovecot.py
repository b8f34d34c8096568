# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab itself: real servers, sample mail, reading back."""

import dataclasses
import hashlib

import pytest

from lab import imap, mailgen, places, snapshot


def test_delivered_mail_is_served_as_it_was_written(source):
    user = source.user()
    folders = mailgen.account(seed=3)
    mailgen.deliver(user, folders)

    seen = snapshot.of(user)

    assert seen.subscriptions == sorted(folders)
    assert seen.mailboxes.keys() == folders.keys()
    for name, mails in folders.items():
        got = seen.mailboxes[name].mails
        assert list(got) == list(range(1, len(mails) + 1))
        for mail, written in zip(got.values(), mails):
            if b"\0" in written.text:
                continue              # IMAP has no NUL: Dovecot sends 0x80
            assert mail == snapshot.Mail(
                flags=tuple(sorted(written.flags)),
                keywords=tuple(sorted(written.keywords)),
                date=written.date, size=len(written.text),
                sha256=hashlib.sha256(written.text).hexdigest())


def test_appended_mail_keeps_its_bytes(source):
    user = source.user()
    mails = mailgen.odd_mails(nul=False)
    mailgen.append(user, "Odd", mails, create=True)

    seen = snapshot.of(user).mailboxes["Odd"].mails

    # APPEND puts today in place of a date in the future (2038)
    assert [mail.date for mail in seen.values()][2:] == [
        mail.date for mail in mails[2:]]
    expected = [hashlib.sha256(mail.text).hexdigest() for mail in mails
                if b"\r\r\n" not in mail.text]
    assert [mail.sha256 for mail, m in zip(seen.values(), mails)
            if b"\r\r\n" not in m.text] == expected


def test_delivered_uids_uidls_and_order_are_served(source):
    user = source.user()
    mails = mailgen.mails(4)
    for mail, uid, order in zip(mails, (5, 7, 20, 21), (4, 3, 2, 1)):
        mail.uid, mail.uidl, mail.pop3_order = uid, f"uidl-{uid}", order
    mailgen.deliver(user, {"INBOX": mails}, uidvalidity=77)

    seen = snapshot.of(user)

    inbox = seen.mailboxes["INBOX"]
    assert (inbox.uidvalidity, inbox.uidnext) == (77, 22)
    assert list(inbox.mails) == [5, 7, 20, 21]
    assert [uidl for uidl, _ in seen.pop3] == [
        "uidl-21", "uidl-20", "uidl-7", "uidl-5"]


def test_the_same_seed_gives_the_same_mail():
    assert mailgen.mails(20, seed=5) == mailgen.mails(20, seed=5)
    assert mailgen.mails(20, seed=5) != mailgen.mails(20, seed=6)


def test_mail_bodies_have_the_size_asked_for():
    for size in (2, 3, 79, 500, 5000):
        for mail in mailgen.mails(20, seed=size, size=size):
            head, body = mail.text.split(b"\r\n\r\n", 1)
            assert len(body) == size
            assert mail.text.replace(b"\r\n", b"").count(b"\r") == 0


def test_differences_name_the_mail(source):
    user = source.user()
    mailgen.deliver(user, {"INBOX": mailgen.mails(3), "A": []})
    left = snapshot.of(user)
    assert snapshot.differences(left, left) == []

    changed = left.mailboxes["INBOX"].mails | {
        2: dataclasses.replace(left.mailboxes["INBOX"].mails[2],
                               flags=("\\Odd",))}
    del changed[3]
    right = dataclasses.replace(
        left.without("A"),
        mailboxes={"INBOX": dataclasses.replace(
            left.mailboxes["INBOX"], mails=changed)}, pop3=None)

    assert left != right
    text = "\n".join(snapshot.differences(left, right))
    assert "A: only on the left" in text
    assert "INBOX UID 2: flags" in text
    assert "INBOX UID 3: only on the left" in text
    assert "POP3: read on one side only" in text


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_a_user_can_have_his_own_storage(source, driver):
    user = source.user(driver=driver)
    mailgen.append(user, "INBOX", mailgen.mails(1))
    assert snapshot.of(user).count() == 1
    fetched = source.doveadm("fetch", "-u", user.name, "uid", "all").ok()
    assert fetched.out.split() == ["uid:", "1"]


def test_logins_by_master_user_and_master_password(source):
    user = source.user()
    for name, password in ((f"{user.name}*boss", "boss-secret"),
                           (user.name, "one-for-all")):
        client = imap.Client(source.ports["imap"]).login(name, password)
        client.logout()
    with pytest.raises(imap.ImapError, match="AUTHENTICATIONFAILED"):
        imap.Client(source.ports["imap"]).login(user.name, "wrong")


def test_tls_with_the_labs_authority(source, ca):
    user = source.user()
    context = ca.client_context()
    client = imap.Client(source.ports["imaps"], tls=context)
    client.login(user.name, user.password).logout()
    client = imap.Client(source.ports["imap"])
    client.starttls(context)
    client.login(user.name, user.password).logout()


def test_wrong_configuration_is_seen_by_doveconf(source, folder):
    assert source.doveconf("-n").ok().out != ""
    bad = source.write_conf(f"{folder}/bad.conf",
                            settings={"no_such_setting": "x"})
    result = source.doveconf("-n", conf=bad)
    assert result.rc != 0 and "no_such_setting" in result.err


@pytest.mark.parametrize("plain, wire", [
    ("INBOX", "INBOX"), ("a&b", "a&-b"), ("Entwürfe", "Entw&APw-rfe"),
    ("日本語/受信", "&ZeVnLIqe-/&U9dP4Q-"), ("~peter", "~peter")])
def test_mailbox_names_on_the_wire(plain, wire):
    assert imap.encode_name(plain) == wire
    assert imap.decode_name(wire) == plain


def test_ports_are_never_given_twice():
    ports = [places.free_port() for _ in range(50)]
    assert len(set(ports)) == 50
