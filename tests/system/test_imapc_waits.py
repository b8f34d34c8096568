# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc: how often a migration waits for the source.

The numbers are counts of the lab's wire at 100 ms, so they are the same on
every machine but for the few waits that depend on which side is faster at the
moment. Stock needs a wait for each mail, or one for each batch of mails with
mail_prefetch_count."""

import os

import pytest

from lab import mailgen, snapshot
from lab.latency import Link

MAILS = 2000


@pytest.fixture(scope="module")
def large(source):
    """A user with one folder of 2,000 mails. Read only."""
    user = source.user()
    mailgen.deliver(user, {"INBOX": mailgen.mails(MAILS, size=(200, 1500))})
    return user


@pytest.fixture
def link():
    with Link(round_trip=0.1) as link:
        yield link


def through(link, source, dest, user, **settings):
    """Settings that reach the source's user through the long wire."""
    return {**dest.imapc(source, user=user.name,
                         port=link.to(source.ports["imap"])), **settings}


def count_mails(dest, user, query="all"):
    listed = dest.doveadm("search", "-u", user.name, *query.split()).ok()
    return len(listed.out.splitlines())


def test_backup_and_second_run(source, dest, large, link):
    ours = dest.user(driver="mdbox")
    settings = through(link, source, dest, large)

    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o=settings).ok()
    assert link.waits <= 8 and link.connections == 1
    assert snapshot.of(ours) == snapshot.of(large)
    # each text came once, dates and sizes came with the flags
    assert link.count(r"\d+ UID FETCH .*BODY\.PEEK\[\]") <= 20
    assert link.count(r"\d+ UID FETCH 1:\* \(FLAGS .*RFC822\.SIZE") == 1
    assert link.count(r"\d+ LIST .*\*") == 1

    link.reset()
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o=settings).ok()
    assert link.waits <= 7
    assert link.count(r"\d+ UID FETCH .*BODY\.PEEK\[\]") == 0
    assert link.count(r"\d+ LIST .*\*") == 1


@pytest.mark.skipif("DM_LONG" not in os.environ,
                    reason="20,000 mails: only in the long form")
def test_a_mailbox_of_20000(source, dest, link):
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(20000, size=(200, 1500))})
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", timeout=600,
                 o=through(link, source, dest, theirs)).ok()
    print(f"{link.waits} waits")
    assert link.waits <= 9 and link.connections == 1
    assert count_mails(dest, ours) == 20000


def test_sync_once(source, dest, large, link):
    ours = dest.user(driver="mdbox")
    dest.doveadm("sync", "-1R", "-u", ours.name, "imapc:",
                 o=through(link, source, dest, large)).ok()
    assert link.waits <= 30
    assert count_mails(dest, ours) == MAILS


@pytest.mark.parametrize("option, query", [
    (("-t", "2019-03-31"), "savedsince 1970-01-01 since 2019-03-31"),
    (("-e", "2019-03-31"), "before 2019-03-31"),
    (("-I", "1000"), "not larger 1000"),
])
def test_filters(source, dest, large, link, option, query):
    """Date and size are asked of all mails at once, not of each one, and no
    text is fetched to learn a size."""
    ours = dest.user(driver="mdbox")
    dest.doveadm("backup", "-R", *option, "-u", ours.name, "imapc:",
                 o=through(link, source, dest, large)).ok()
    assert link.waits <= 10
    wanted = count_mails(source, large, query)
    assert 0 < wanted < MAILS
    assert count_mails(dest, ours) == pytest.approx(wanted, abs=1)
    # no text of a mail that is not wanted
    assert link.bytes_down < MAILS * 250 + wanted * 2500


@pytest.mark.parametrize("option", [("-t", "2019-03-31"), ("-I", "1000")])
def test_filters_with_mails_at_the_destination(source, dest, large, link,
                                               option):
    """Then the header fields of many mails are on their way already when dsync
    asks for the first mail's date."""
    ours = dest.user(driver="mdbox")
    settings = through(link, source, dest, large)
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o=settings).ok()
    link.reset()
    dest.doveadm("sync", "-1R", *option, "-u", ours.name, "imapc:",
                 o=settings).ok()
    assert link.waits <= 40
    assert count_mails(dest, ours) == MAILS


def test_filters_of_many_mailboxes(source, dest, link):
    """Dates are known with the flags; texts of the other mailboxes are asked
    for once it is known which are wanted: a wait for each."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {
        name: mailgen.mails(30, seed=name) for name in ("INBOX", "A", "B")})
    result = dest.doveadm("backup", "-R", "-t", "2019-03-02", "-u", ours.name,
                          "imapc:", o=through(link, source, dest, theirs),
                          debug=True).ok()
    assert result.err.count("not all new mails are wanted") == 1
    assert link.waits <= 10
    wanted = count_mails(source, theirs,
                         "savedsince 1970-01-01 since 2019-03-02")
    assert 0 < wanted < 90
    assert link.bytes_down < 90 * 300 + wanted * 5000


def mails_of(user):
    """Without UIDs and UIDVALIDITY, which stock's import does not keep."""
    return {name: list(box.mails.values())
            for name, box in snapshot.of(user).mailboxes.items()}


@pytest.mark.parametrize("query", ["all", "mailbox INBOX"])
def test_import(source, dest, large, link, query):
    """Also of a mailbox that only the query names."""
    ours = dest.user(driver="mdbox")
    dest.doveadm("import", "-u", ours.name, "imapc:", "", *query.split(),
                 o=through(link, source, dest, large)).ok()
    assert link.waits <= 10 and link.connections == 1
    assert mails_of(ours) == mails_of(large)


def test_import_downloads_nothing_that_is_here(source, dest, link):
    """Neither what an import brought nor what a backup did. Two mails to which
    both sides gave one UID are both there after it."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mails = {name: mailgen.mails(60, seed=name, size=3000)
             for name in ("INBOX", "A", "B")}
    mailgen.deliver(theirs, mails)
    conf = dest.write_conf(f"{dest.dir}/import.conf",
                           plugins=("migration_imapc", "migration_import"))
    settings = through(link, source, dest, theirs)

    def run(*command):
        link.reset()
        dest.doveadm(*command, "-u", ours.name, "imapc:", *(
            ("", "all") if command[0] == "import" else ()),
            conf=conf, o=settings).ok()
        return sum(texts_asked_for(link))

    assert run("import") == 180 and link.waits <= 14
    assert run("import") == 0 and link.waits <= 14
    mailgen.append(theirs, "B", mailgen.mails(3, seed="new"))
    assert run("import") == 3 and link.waits <= 14
    assert mails_of(ours) == mails_of(theirs)
    ours = dest.user(driver="maildir")
    assert run("backup", "-R") == 183
    assert run("import") == 0
    # from here on both have given the next UIDs to other mails, of one size and
    # date
    for user, text in ((theirs, b"1"), (ours, b"2")):
        mailgen.append(user, "A", [
            mailgen.Mail(header + b"\r\n" + text, date=1)
            for header in (b"Message-ID: <%s@x>\r\n" % text,
                           b"Subject: no Message-ID\r\n")])
    assert run("import") == 2
    assert len(snapshot.of(ours).mailboxes["A"].mails) == 64


def test_import_of_many_mailboxes(source, dest, link):
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {
        "INBOX" if n == 0 else f"Box{n}": mailgen.mails(5, seed=n)
        for n in range(30)})
    dest.doveadm("import", "-u", ours.name, "imapc:", "", "all",
                 o=through(link, source, dest, theirs)).ok()
    assert link.waits <= 14 and link.connections == 1
    assert mails_of(ours) == mails_of(theirs)


@pytest.mark.parametrize("query", [
    ("before", "2019-03-31"), ("not", "larger", "1000"), ("seen",),
    # only the server can tell
    ("from", "anna")], ids=" ".join)
def test_import_with_a_query(source, dest, large, link, query):
    """What is known of all mails decides, or the server searches; only what was
    found is fetched."""
    ours = dest.user(driver="mdbox")
    dest.doveadm("import", "-u", ours.name, "imapc:", "", "mailbox", "INBOX",
                 *query, o=through(link, source, dest, large)).ok()
    assert link.waits <= (10 if query[0] != "from" else 30)
    wanted = count_mails(source, large, " ".join(query))
    assert count_mails(dest, ours) == wanted > 0
    assert link.bytes_down < MAILS * 250 + wanted * 2500
    assert wanted < MAILS


def test_guid_forced(source, dest, link):
    """It is left out (imapc-unsafe-features), so it costs nothing."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(600, size=200)})
    settings = through(link, source, dest, theirs,
                       imapc_features="guid-forced")
    for limit in (8, 7):
        link.reset()
        dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                     o=settings).ok()
        assert link.waits <= limit
    assert count_mails(dest, ours) == 600


def test_limits_of_our_own(source, dest, large, link):
    """A limit that is not reached costs no wait. At one that is, nothing more
    than it allows is downloaded, and nothing in vain."""
    settings = through(link, source, dest, large)
    wide = dest.plugin_options({"migration_imapc_daily_limit": "1G",
                                "migration_imapc_max_rate": "100M",
                                "migration_imapc_max_mail_rate": 100000})
    ours = dest.user(driver="mdbox")
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o={**settings, **wide}).ok()
    assert link.waits <= 8
    assert snapshot.of(ours) == snapshot.of(large)

    ours, total = dest.user(driver="mdbox"), link.bytes_down
    link.reset()
    narrow = dest.plugin_options({"migration_imapc_daily_limit": "1M"})
    assert dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                        o={**settings, **narrow}).rc == 75
    assert link.waits <= 10
    # the metadata of all mails comes, too
    assert 1000000 < link.bytes_down < 1000000 + MAILS * 250 < total
    stored = [mail.size for mail in snapshot.of(
        ours).mailboxes["INBOX"].mails.values()]
    assert 2**20 - 3000 < sum(stored) <= 2**20


def test_doveadm_fetch(source, dest, large, link):
    ours = dest.user()
    settings = through(link, source, dest, large)
    settings.update({"mail_location": "imapc:"} if dest.version == "2.3" else
                    {"mail_driver": "imapc", "mail_path": ""})
    result = dest.doveadm("fetch", "-u", ours.name, "uid date.received "
                          "size.virtual", "mailbox", "INBOX", "all",
                          o=settings).ok()
    assert result.out.count("size.virtual:") == MAILS
    assert link.waits <= 30


def test_a_session_of_a_user(source, dest):
    """The imap process that shows a user his mail on another server by imapc:
    the plugin stays out of the way, the same commands go out as without it."""
    script = "".join(f"{n} {command}\r\n" for n, command in enumerate([
        'LIST "" *', "STATUS A (MESSAGES)", "SELECT INBOX",
        "UID FETCH 1:3 (BODY.PEEK[])", "FETCH 2 (INTERNALDATE FLAGS)",
        "UID STORE 4 +FLAGS (\\Flagged)", "NOOP", "EXAMINE A",
        "FETCH 1:* (BODY.PEEK[HEADER])", "CLOSE", "LOGOUT"]))
    sent = []
    for plugins in ("", "migration_imapc"):
        theirs = source.user()
        mailgen.deliver(theirs, {"INBOX": mailgen.mails(5),
                                 "A": mailgen.mails(2)})
        with Link(round_trip=0) as link:
            settings = through(link, source, dest, theirs,
                               mail_plugins=plugins)
            settings.update({"mail_location": "imapc:"}
                            if dest.version == "2.3" else
                            {"mail_driver": "imapc", "mail_path": ""})
            options = [word for key, value in settings.items()
                       for word in ("-o", f"{key}={value}")]
            result = dest.run("/usr/bin/doveadm", "-c", dest.conf, "exec",
                              "imap", *options, "-u", dest.user().name,
                              stdin=script, timeout=60)
            sent.append([line.split(b" ", 1)[1] for data in link.sent()
                         for line in data.split(b"\r\n")
                         if b" " in line and b" LOGIN " not in line])
        assert "10 OK" in result.out, str(result)
    assert sent[0] == sent[1]


def test_many_mailboxes(source, dest, link):
    """One LIST for all mailboxes and their states; a mailbox costs no wait."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    folders = {f"Folder {n}": mailgen.mails(4, seed=n) for n in range(39)}
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(4), **folders})
    result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                          o=through(link, source, dest, theirs),
                          debug=True).ok()
    assert ("asked STATUS of 0 mailboxes in one burst, state of 40 mailboxes "
            "is known" in result.err)
    assert link.count(r"\d+ STATUS ") == 0
    assert link.count(r"\d+ LIST .*\*") == 1
    assert link.waits <= 8
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_status_of_the_wanted_mailboxes_only(source, dest, link):
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {name: mailgen.mails(2, seed=name)
                             for name in ("INBOX", "A", "B", "C")})
    dest.doveadm("backup", "-R", "-m", "B", "-u", ours.name, "imapc:",
                 o=through(link, source, dest, theirs)).ok()
    assert link.count(r"\d+ STATUS ") == 1
    assert count_mails(dest, ours, "mailbox B all") == 2


def texts_asked_for(link):
    """How many texts each command asked for."""
    counts = []
    for line in link.sent()[0].decode().split("\r\n"):
        if "BODY.PEEK[]" in line:
            ranges = [part.split(":") for part in line.split(" ")[3].split(",")]
            counts.append(sum(int(part[-1]) - int(part[0]) + 1
                              for part in ranges))
    return counts


def test_window_is_bounded_by_bytes(source, dest):
    """Large mails are not asked for all at once. 40 mails of 1 MB, 4 MB
    allowed: no command asks for more than the window holds."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(40, size=1000000)})
    with Link(round_trip=0.01) as link:
        dest.doveadm(
            "backup", "-R", "-u", ours.name, "imapc:",
            o={**through(link, source, dest, theirs),
               **dest.plugin_options({"migration_imapc_prefetch_size": "4M"})}
        ).ok()
        counts = texts_asked_for(link)
    assert sum(counts) == 40
    assert max(counts) <= 4
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_window_is_bounded_by_mails(source, dest):
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(100, size=300)})
    with Link(round_trip=0.01) as link:
        dest.doveadm(
            "backup", "-R", "-u", ours.name, "imapc:",
            o={**through(link, source, dest, theirs),
               **dest.plugin_options({"migration_imapc_prefetch": 10})}).ok()
        counts = texts_asked_for(link)
    assert sum(counts) == 100 and max(counts) <= 10
    assert count_mails(dest, ours) == 100


def test_recent_stays(source, dest):
    """Asking for sizes beside the flags must not make mails old."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.append(theirs, "INBOX", mailgen.mails(6, flags=False))
    for user in (theirs, ours):
        if user is ours:
            dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                         o=dest.imapc(source, user=theirs.name)).ok()
        client = mailgen.login(user)
        reply = client.command("STATUS", "INBOX", "(RECENT MESSAGES)")
        client.logout()
        assert [b"MESSAGES", b"6", b"RECENT", b"6"] == reply[0][-1]


def test_sizes_come_with_the_flags(source, dest, link):
    """They cost no wait: the command that brings the flags brings them, too."""
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(20)})
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o=through(link, source, dest, theirs)).ok()
    assert link.count(r"\d+ UID FETCH 1:\* \(FLAGS .*RFC822\.SIZE") == 1
    # one command for all texts, because the sizes were known
    assert link.count(r"\d+ UID FETCH .*BODY\.PEEK\[\]") == 1
    assert link.waits <= 10


def test_what_the_administrator_says_is_done(source, dest, link):
    """imapc_features gets what 2.4 has by default, but what stands in it is
    followed, if that costs a wait for each mailbox, too."""
    words, why = {
        "2.3": ("fetch-msn-workarounds", "has fetch-msn-workarounds"),
        "2.4": ("no-fetch-size", "has sizes or header fields off"),
    }[dest.version]
    theirs, ours = source.user(), dest.user(driver="mdbox")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(20),
                             "A": mailgen.mails(5, seed=2)})
    result = dest.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:", debug=True,
        o=through(link, source, dest, theirs, imapc_features=words)).ok()
    assert f"before they are opened: imapc_features {why}" in result.err
    assert ("adding to imapc_features: rfc822.size fetch-headers delay-login"
            in result.err) == (dest.version == "2.3")
    if dest.version == "2.4":
        assert link.count(r"\d+ UID FETCH .*RFC822\.SIZE") == 0
    assert snapshot.of(ours) == snapshot.of(theirs)
