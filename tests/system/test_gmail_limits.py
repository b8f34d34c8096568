# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gmail: what may be downloaded in a day, connections, logins."""

import hashlib
import json
import math
import os
import re
import time

import pytest

import lab
from lab import gmail, places, snapshot
from lab.gmail import Account, GmailServer
from lab.scripted import On

DRIVERS = ["mdbox", "sdbox", "maildir"]
TRY_AGAIN, REFUSED = 75, 77


@pytest.fixture(scope="module")
def dest(version):
    with lab.Dovecot(version, driver="mdbox",
                     plugins=("migration_imapc", "migration_gmail")) as server:
        yield server
        assert " Panic: " not in server.log()


@pytest.fixture
def report(folder):
    return f"{places.mail_folder(folder)}/report"


def backup(dest, user, server, report=None, *, debug=False, o=None,
           **settings):
    options = dest.imapc(server, user="user", password="secret")
    if report is not None:
        settings["migration_report_path"] = report
    options.update(dest.plugin_options(settings))
    options.update(o or {})
    return dest.doveadm("backup", "-R", "-u", user.name, "imapc:", o=options,
                        debug=debug)


def read(report):
    with open(report) as file:
        return json.load(file)


def findings(report):
    return [finding["what"] for finding in read(report)["findings"]]


def texts(user):
    return {name: {uid: mail.sha256 for uid, mail in box.mails.items()}
            for name, box in snapshot.of(user).mailboxes.items() if box.mails}


def expected(account):
    return {name: {mail.uid: hashlib.sha256(mail.text).hexdigest()
                   for mail in mails}
            for name, mails in account.folders.items() if mails}


# -- the budget of a day

def counted(user):
    """The file in which the runs of a user count."""
    return f"{user.home}/dovecot-migration-downloads"


def used(user):
    with open(counted(user)) as file:
        return sum(map(int, file.read().rpartition("\t")[2].split()[1:]))


def let_hours_pass(user, hours):
    """As if the runs until now had been so long ago."""
    with open(counted(user)) as file:
        source, _, numbers = file.read().rpartition("\t")
    hour, _, rest = numbers.partition(" ")
    with open(counted(user), "w") as file:
        file.write(f"{source}\t{int(hour) - hours} {rest}")


@pytest.mark.parametrize("driver", DRIVERS)
def test_daily_limit(dest, report, driver):
    account = gmail.sample(60, size=(3000, 6000))
    limit = account.distinct_bytes() * 3 // 10
    user, had = dest.user(driver=driver), 0
    with GmailServer(account) as server:
        for day in range(1, 10):
            result = backup(dest, user, server, report,
                            migration_imapc_daily_limit=limit)
            today = server.body_bytes - had
            # nothing is downloaded that is not saved, and a day's budget is
            # used but for the mail that did not fit; in a mailbox of few mails
            # their sizes are not known before
            assert used(user) == today <= limit + 6500
            if result.rc == 0:
                break
            assert result.rc == TRY_AGAIN
            assert today > limit - 6500
            assert findings(report) == ["daily-limit"]
            assert re.search(r"The daily limit is used up .*migration_imapc_"
                             r"daily_limit\): continue after 20\d\d-",
                             result.err)
            # the report names the same time, within a day
            when = time.mktime(time.strptime(read(report)["continue_after"],
                                             "%Y-%m-%dT%H:%M:%SZ"))
            assert 0 < when - time.mktime(time.gmtime()) <= 24 * 3600

            # too early: nothing is lost, and nothing downloaded
            had = server.body_bytes
            assert backup(dest, user, server, report,
                          migration_imapc_daily_limit=limit).rc == TRY_AGAIN
            assert server.body_bytes == had
            let_hours_pass(user, 24)
        assert day == 4
        assert server.body_bytes == account.distinct_bytes()
        assert findings(report) == []
    assert texts(user) == expected(account)


def test_gmails_limit_is_the_default(dest, report):
    account, user = gmail.sample(20), dest.user()
    with GmailServer(account) as server:
        result = backup(dest, user, server, debug=True).ok()
        assert "at most 2500000000 bytes in 24 hours (Gmail's" in result.err
        with open(counted(user)) as file:
            line = file.read()
        assert line.startswith(f"127.0.0.1:{server.port}/user\t")
        # today it is spent
        with open(counted(user), "w") as file:
            file.write("another.example:993/user\t1 " + "2 " * 23 + "3\n" +
                       line.replace(f" {used(user)} ", " 2499999999 "))
        account.add("\\Inbox")
        bodies = server.bodies
        assert backup(dest, user, server, report).rc == TRY_AGAIN
        assert findings(report) == ["daily-limit"]
        assert server.bodies == bodies
        backup(dest, user, server,
               migration_imapc_daily_limit="unlimited").ok()
        assert server.bodies == bodies + 1
    with open(counted(user)) as file:
        assert file.readline().startswith("another.example:993/user\t1 2 ")
    assert texts(user) == expected(account)


def test_guide_says_how_many_days():
    with open(f"{os.environ['DM_SRC']}/doc/gmail.md") as file:
        rows = re.findall(r"^\| (\d+) GB \| (\d+) \|$", file.read(), re.M)
    assert len(rows) > 5
    for size, days in rows:
        assert int(days) == math.ceil(int(size) * 2**30 / 2500000000)


def test_copies_cost_nothing_of_it(dest):
    """Mails that are there already are copied although the day is over."""
    account, user = gmail.sample(20), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server).ok()
        for message in account.messages:
            if message.in_all_mail:
                account.label(message, "+A new one")
        backup(dest, user, server, migration_imapc_daily_limit=1).ok()
        assert server.bodies == len(account.messages)
    assert texts(user) == expected(account)


def test_archived_mail_waits_for_another_day(dest, report):
    account, user = Account(), dest.user()
    account.add_many([(labels, mail) for labels, mail in zip(
        [{"\\Inbox"}] * 5 + [set()] * 5, gmail.mailgen.mails(10, size=3000))])
    limit = account.distinct_bytes() * 3 // 4
    settings = {"migration_gmail_all": "archived",
                "migration_imapc_daily_limit": limit}
    with GmailServer(account) as server:
        assert backup(dest, user, server, report, **settings).rc == TRY_AGAIN
        assert "daily-limit" in findings(report)
        had = server.bodies
        assert 5 < had < 10
        let_hours_pass(user, 24)
        backup(dest, user, server, report, **settings).ok()
        assert server.bodies == 10
    boxes = snapshot.of(user).mailboxes
    assert len(boxes["INBOX"].mails) == len(
        boxes["[Gmail]/All Mail"].mails) == 5


def test_damaged_file_is_no_obstacle(dest):
    account, user = gmail.sample(5), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server).ok()
        with open(counted(user), "a") as file:
            file.write(f"127.0.0.1:{server.port}/user\tnonsense\n")
        account.add("\\Inbox")
        result = backup(dest, user, server).ok()
    assert "dovecot-migration-downloads is damaged" in result.err
    assert texts(user) == expected(account)


def test_rate(dest, report):
    """Pauses are counted, not measured."""
    account, user = Account(), dest.user()
    account.add_many([({"\\Inbox"}, mail)
                      for mail in gmail.mailgen.mails(8, size=50000)])
    # slower than any machine
    rate = account.distinct_bytes() // 3
    with GmailServer(account) as server:
        backup(dest, user, server, report,
               migration_imapc_prefetch_size=100000,
               migration_imapc_max_rate=rate).ok()
    # all but the last window of mails has to be waited for
    assert read(report)["counters"]["pause_msecs"] > 0
    assert texts(user) == expected(account)


def test_mail_rate(dest, report):
    account, user = Account(), dest.user()
    account.add_many([({"\\Inbox"}, mail)
                      for mail in gmail.mailgen.mails(12, size=500)])
    with GmailServer(account) as server:
        backup(dest, user, server, report, migration_imapc_prefetch=4,
               migration_imapc_max_mail_rate=4).ok()
    # all but the last window of mails has to be waited for
    assert read(report)["counters"]["pause_msecs"] > 0
    assert texts(user) == expected(account)


@pytest.mark.parametrize("value", ["0", "much", "-5"])
def test_wrong_limit_is_refused(dest, value):
    with GmailServer(Account()) as server:
        result = backup(dest, dest.user(), server,
                        migration_imapc_daily_limit=value)
    assert result.rc != 0
    assert "migration_imapc_daily_limit" in result.err
    assert server.received == []


# -- what the server does on its own

def test_one_connection(dest):
    """Of 15 that are allowed, and that the user's devices need too."""
    account, user = gmail.sample(60), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server).ok()
        assert server.most_sessions == server.connection_count == 1


def test_throttled(dest):
    """imapc pauses before its next command at this."""
    def throttle(session, _):
        session.send(f"{session.tag} {gmail.THROTTLED}")
    account, user = gmail.sample(10), dest.user()
    with GmailServer(account,
                     faults=[On("NOOP|LSUB", throttle, times=1)]) as server:
        backup(dest, user, server).ok()
    assert texts(user) == expected(account)


# -- OAuth2

def oauth2(dest, token, mechanism="xoauth2"):
    """As stock has it: the token is the password."""
    return {"imapc_sasl_mechanisms": mechanism, "imapc_password": token}


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
def test_token(dest, mechanism):
    account, user = gmail.sample(20), dest.user()
    with GmailServer(account, tokens={"T1": gmail.SCOPE_MAIL}) as server:
        backup(dest, user, server, o=oauth2(dest, "T1", mechanism)).ok()
        assert server.count("LOGIN") == 0
    assert texts(user) == expected(account)


def test_refused_token(dest):
    with GmailServer(gmail.sample(5),
                     tokens={"T1": gmail.SCOPE_MAIL}) as server:
        result = backup(dest, dest.user(), server,
                        o=oauth2(dest, "expired-token"))
    assert result.rc == REFUSED
    assert "expired-token" not in result.err


def test_administrators_scope_shows_what_is_hidden(dest, report):
    account = gmail.sample(30, account=Account(hidden={"日本", "\\All"}))
    account.add("\\Inbox", "日本")
    user = dest.user()
    tokens = {"T1": gmail.SCOPE_MAIL, "T2": gmail.SCOPE_ADMIN}
    with GmailServer(account, tokens=tokens) as server:
        backup(dest, user, server, report, o=oauth2(dest, "T1")).ok()
        assert set(findings(report)) == {"gmail-label-hidden",
                                         "gmail-all-mail-hidden"}
        assert "日本" not in texts(user)
        backup(dest, user, server, report, o=oauth2(dest, "T2")).ok()
    assert findings(report) == []
    assert texts(user) == expected(account)
    assert "日本" in texts(user)
