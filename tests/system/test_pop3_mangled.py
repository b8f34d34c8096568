# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that show one mail differently over IMAP and POP3 (lab.mangle): no
UIDL ever goes to a wrong mail, and what cannot be matched is a finding with
the right reason."""

import dataclasses
import json
import os
import random
import re

import pytest

import lab
from lab import mangle, oddmail
from lab.mangle import Pair


@pytest.fixture(scope="module")
def dest(version):
    with lab.Dovecot(version, driver="sdbox") as server:
        server.migration_conf = server.write_conf(
            f"{server.dir}/migration.conf",
            namespaces=[server.pop3c_namespace()],
            plugins=["migration_imapc", "migration_pop3"],
            plugin_settings={
                "migration_pop3_mailbox": "POP3-SOURCE/INBOX",
                "migration_report_path": "~/report.json",
                **IGNORE})
        yield server


# What has no partner is the subject here: it shall not refuse the INBOX.
IGNORE = {"migration_pop3_ignore_missing_uidls": True,
          "migration_pop3_ignore_extra_uidls": True}


def backup(dest, source, user, ignore=True):
    login = {"user": "user", "password": "secret"}
    settings = {} if ignore else {name: False for name in IGNORE}
    return dest.doveadm(
        "backup", "-R", "-u", user.name, "imapc:",
        o={**dest.imapc(source, **login), **dest.pop3c(source, **login),
           **dest.plugin_options(settings)},
        conf=dest.migration_conf)


def stored(dest, user):
    """{UID: UIDL} of the destination's INBOX, for mails that have one."""
    result = dest.doveadm("-f", "tab", "fetch", "-u", user.name,
                          "uid pop3.uidl", "mailbox", "INBOX").ok()
    rows = [line.split("\t") for line in result.out.splitlines()[1:]]
    return {int(uid): uidl for uid, uidl in rows if uidl}


def findings(user):
    with open(f"{user.home}/report.json") as file:
        return json.load(file)["findings"]


def has_no_header(mail):
    """Its text is in lines that are no header fields."""
    return oddmail.name_of(mail.text).split(" (")[0] in (
        "empty", "no header", "cr-cr-lf")


def is_rendered(mail):
    return mail.uid % 7 == 0


def has_rendered_body(mail):
    return mail.uid % 7 == 0


# kind: which mails may stay without partner, and what the findings say
SAME_HEADER = "an IMAP mail has the same header, (but another body|which is)"
SAME_SIZE = "an IMAP mail has the same size, but another header"
LEFTOVERS = {
    "Yahoo": (has_no_header, SAME_HEADER),
    "LF sizes": (has_no_header, SAME_HEADER),
    "Oracle": (has_no_header, SAME_SIZE),
    "Courier, no UTF8": (mangle.has_8bit_header, SAME_SIZE),
    "Exchange": (lambda mail: has_rendered_body(mail) or has_no_header(mail),
                 f"{SAME_HEADER}|no IMAP mail is like it|the only IMAP mail"),
    # without Date or From, or without an empty line after the header
    "Domino": (lambda mail: not all(
        part in mail.text for part in (b"Date:", b"From:", b"\r\n\r\n")),
        f"{SAME_SIZE}|no IMAP mail is like it"),
}
NOTHING = (lambda mail: False, None)


def scattered(kind):
    """The same server with its POP3 mails in no order, and every third mail
    of the INBOX not among them: nothing may be taken from the order."""
    def shuffled(mails):
        mails = list(mails)
        random.Random("scattered").shuffle(mails)
        return mails
    return dataclasses.replace(mangle.KINDS[kind], pop3_order=shuffled,
                               pop3_hides=lambda mail: mail.uid % 3 == 0)


SEEDS = range(8) if os.environ.get("DM_LONG") == "1" else range(1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("variant", ["ordered", "scattered"])
@pytest.mark.parametrize("kind", mangle.KINDS)
def test_all_match_or_are_listed(dest, kind, variant, seed):
    user = dest.user()
    mails = oddmail.inbox(seed=f"{kind}/{seed}", without=(oddmail.BIG,))
    server = kind if variant == "ordered" else scattered(kind)
    with Pair(server, mails) as source:
        backup(dest, source, user).ok()
        uidls = stored(dest, user)
    assert source.wrong(uidls) == {}

    may_stay, reason = LEFTOVERS.get(kind, NOTHING)
    left = [mail for mail in source.shown if mail.uidl not in uidls.values()]
    assert [oddmail.name_of(mail.text) for mail in left
            if not may_stay(mail)] == []
    # no kind is so bad that more than a fifth is lost
    assert len(left) * 5 <= len(source.shown)

    listed = {}
    for finding in findings(user):
        if finding["what"] == "uidl-unmatched":
            uidl = re.search(r"\(UIDL (\S+),", finding["why"])[1]
            listed[uidl] = finding["why"].split(" has no IMAP mail: ")[1]
    assert sorted(listed) == sorted(mail.uidl for mail in left)
    assert [why for why in listed.values() if not re.match(reason, why)] == []


@pytest.mark.parametrize("kind", ["honest", "Yahoo", "Courier"])
def test_second_run_matches_only_what_is_new(dest, kind):
    user = dest.user()
    mails = oddmail.inbox(seed=kind, without=(oddmail.BIG, oddmail.EMPTY,
                                              oddmail.NUL, oddmail.CR_CR_LF))
    with Pair(kind, mails[:-5]) as source:
        backup(dest, source, user).ok()
        first = stored(dest, user)
    with Pair(kind, mails) as source:
        backup(dest, source, user).ok()
        second = stored(dest, user)
        # the new ones, and a few that only look like them
        assert source.pop3.count("TOP ") <= 30
    assert {uid: second[uid] for uid in first} == first
    assert source.wrong(second) == {}
    assert sorted(second.values()) == sorted(
        mail.uidl for mail in source.shown)


def test_inbox_with_leftovers_is_refused_before_it_is_written(dest):
    user = dest.user()
    mails = oddmail.inbox(without=(oddmail.BIG,))
    with Pair("Courier, no UTF8", mails) as source:
        result = backup(dest, source, user, ignore=False)
        assert result.rc == 3, result
        assert "INBOX" in result.err
        assert "migration_pop3_ignore_missing_uidls" in result.err
    assert stored(dest, user) == {}
    assert user_has_no_mail(dest, user)


def user_has_no_mail(dest, user):
    result = dest.doveadm("-f", "tab", "fetch", "-u", user.name, "uid",
                          "mailbox", "INBOX")
    return result.out.splitlines()[1:] == []
