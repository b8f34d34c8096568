# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_pop3 between real servers: what the destination's POP3 server lists
is what the source's listed, byte by byte and in order."""

import hashlib
import json
import re

import pytest

import lab
from conftest import PLUGINS
from lab import gmail, mailgen, snapshot
from lab.latency import Link
from lab.scripted import On, Pop3Server

FORMATS = ["sdbox", "mdbox", "maildir"]


def pop3_conf(dest, source, name, settings=None, plugin_settings=None,
              words=None, namespace=True, mailbox="POP3-SOURCE/INBOX",
              **options):
    """The configuration of Dovecot's migration guide, with migration_pop3 in
    place of pop3_migration."""
    return dest.write_conf(
        f"{dest.dir}/{name}.conf",
        namespaces=[dest.pop3c_namespace()] if namespace else [],
        plugins=words or [*PLUGINS, "migration_pop3"],
        plugin_settings={"migration_pop3_mailbox": mailbox,
                         **(plugin_settings or {})},
        settings={**dest.imapc(source), **dest.pop3c(source, **options),
                  **(settings or {})})


@pytest.fixture(scope="module")
def conf(source, dest):
    return pop3_conf(dest, source, "pop3")


def backup(dest, conf, user, command=("backup",), **options):
    return dest.doveadm(*command, "-R", "-u", user.name, "imapc:", conf=conf,
                        **options)


def with_uidls(mails, order=None):
    """Give mails UIDLs of all kinds, and an order of their own."""
    kinds = ["{n}", "0000{n}.x", "<{n}@old.example.org>", "x" * 60 + "{n}",
             "!\"#$%&'()*+,-./:;<=>?@[]^_`{{|}}~{n}"]
    for number, mail in enumerate(mails, 1):
        mail.uidl = kinds[number % len(kinds)].format(n=number * 7)
        mail.pop3_order = order(number) if order else None
    return mails


def expunge(user, mailbox, uids):
    client = mailgen.login(user)
    client.command("SELECT", mailbox)
    for uid in uids:
        client.command("UID", "STORE", str(uid), "+FLAGS.SILENT", "(\\Deleted)")
    client.command("EXPUNGE")
    client.logout()


@pytest.mark.parametrize("driver", FORMATS)
def test_uidls_and_order_are_kept(source, dest, conf, driver):
    """POP3 order other than UID order, over three runs: a first one, one that
    changes nothing, and one after deletions and deliveries."""
    ours = dest.user(driver=driver)
    theirs = source.user(ours.name)
    mails = with_uidls(mailgen.mails(40) + mailgen.odd_mails(big=False,
                                                             nul=False,
                                                             cr_cr_lf=False),
                       order=lambda number: 1000 - number * 37 % 101)
    mailgen.deliver(theirs, {"INBOX": mails, "Sent": mailgen.mails(5)})
    before = snapshot.of(theirs)
    assert [uidl for uidl, _ in before.pop3] != [m.uidl for m in mails]

    for _ in range(2):
        backup(dest, conf, ours).ok()
        assert snapshot.of(ours) == before

    expunge(theirs, "INBOX", [1, 5, 6, 20])
    mailgen.append(theirs, "INBOX", mailgen.mails(6, seed="later"))
    backup(dest, conf, ours).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_sync_keeps_uidls(source, dest, conf):
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(20))})
    backup(dest, conf, ours, command=("sync", "-1")).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_uidls_in_uid_order_need_no_order(source, dest, conf):
    """Dovecot's own UIDLs: the format is found and confirmed."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(50)})
    run = backup(dest, conf, ours, debug=True).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)
    assert "50 UIDLs matched by the UIDL's format" in run.err


def test_other_uidvalidity_does_not_matter(source, dest, conf):
    """Stored UIDLs stay when the formula would give others."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(10)}, uidvalidity=777)
    backup(dest, conf, ours).ok()
    expected = snapshot.of(theirs).pop3
    dest.doveadm("mailbox", "update", "--uid-validity", "778", "-u", ours.name,
                 "INBOX").ok()
    assert snapshot.of(ours).pop3 == expected


# -- cost

@pytest.mark.parametrize("count,tops", [(2000, 20), (2000, 0)])
def test_waits_do_not_grow_with_the_mailbox(source, dest, conf, count, tops):
    """POP3 and IMAP of one mailbox at 100 ms, in waits. With UIDLs that say
    nothing the order is confirmed by 20 headers, with Dovecot's own by 8."""
    ours = dest.user(driver="mdbox")
    theirs = source.user(ours.name)
    mails = mailgen.mails(count, size=(300, 9000))
    mailgen.deliver(theirs, {
        "INBOX": with_uidls(mails) if tops else mails})
    with Link(round_trip=0.1) as link, Link(round_trip=0.1) as pop3:
        backup(dest, conf, ours,
               o={"imapc_port": link.to(source.ports["imap"]),
                  "pop3c_port": pop3.to(source.ports["pop3"])}).ok()
        assert link.waits + pop3.waits <= 60
        assert link.count(r"\S+ UID FETCH .*RFC822.SIZE") <= 4
        # POP3 alone: greeting to QUIT
        assert pop3.waits <= 10
        assert 0 < pop3.count(r"TOP ") <= max(tops, 8)
        assert pop3.count(r"RETR ") == 0
        assert pop3.count(r"QUIT") == 1
        assert pop3.bytes_down + pop3.bytes_up <= 100 * count
    with Link(round_trip=0) as link:
        backup(dest, conf, ours,
               o={"imapc_port": link.to(source.ports["imap"]),
                  "pop3c_port": link.to(source.ports["pop3"])}).ok()
        assert link.count(r"UIDL") == 0
    assert snapshot.of(ours, bodies=False) == snapshot.of(theirs, bodies=False)


def test_client_alone_takes_few_waits(source, dest, conf):
    """Greeting to QUIT, also when each header must be read."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(
        mailgen.mails(600, size=1000), order=lambda n: n * 7919 % 601 + 1)})
    with Link(round_trip=0.1) as link:
        backup(dest, conf, ours,
               o={"pop3c_port": link.to(source.ports["pop3"])}).ok()
        assert link.count(r"TOP ") > 100
        assert link.waits <= 10
    assert snapshot.of(ours) == snapshot.of(theirs)


# -- logins and TLS

@pytest.mark.parametrize("ssl", [None, "starttls", "pop3s"])
@pytest.mark.parametrize("master", [None, "boss"])
def test_logins(source, dest, ca, ssl, master):
    conf = pop3_conf(dest, source, f"login-{ssl}-{master}", ssl=ssl,
                     master=master)
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(5))})
    backup(dest, conf, ours).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)


# -- what is wrong is said once, and nothing is written

def failing(dest, conf, user, **options):
    """Runs a backup that fails; returns its error lines."""
    run = backup(dest, conf, user, **options)
    assert run.rc in (75, 77, 78), run
    assert "Panic" not in run.err
    return [line for line in run.err.splitlines()
            if "Error: " in line or "Fatal: " in line]


def errors_naming(lines, text):
    found = [line for line in lines if text in line]
    assert len(found) == 1, lines
    return found[0]


@pytest.fixture
def account(source, dest):
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mailgen.mails(3)),
                             "Sent": mailgen.mails(2)})
    return ours, theirs


def is_empty(user):
    return snapshot.of(user).mailboxes["INBOX"].mails == {}


@pytest.mark.parametrize("settings,text,code", [
    ({"pop3c_password": "wrong"}, "was refused: -ERR", 77),
    ({"pop3c_port": 1}, "Connection refused", 75),
    ({"pop3c_host": "nowhere.invalid"}, "Cannot find the host", 75),
    ({"pop3c_ssl": "pop3s"}, "TLS failed", 75),
])
def test_wrong_settings(dest, conf, account, settings, text, code):
    ours, _ = account
    run = backup(dest, conf, ours, o=settings)
    assert run.rc == code, run
    errors_naming([line for line in run.err.splitlines()
                   if "Error: " in line], text)
    assert is_empty(ours)


@pytest.mark.parametrize("ssl", ["starttls", "pop3s"])
def test_certificate_that_nobody_knows(dest, source, account, ssl):
    ours, _ = account
    stranger = lab.CA()
    with Pop3Server([], ca=stranger, tls=ssl == "pop3s") as server:
        conf = pop3_conf(dest, source, f"stranger-{ssl}")
        lines = failing(dest, conf, ours,
                        o={"pop3c_port": server.port, "pop3c_ssl": ssl})
    assert "certificate" in errors_naming(lines, "TLS failed").lower()
    assert is_empty(ours)


def test_refused_tls(dest, conf, account):
    ours, _ = account
    with Pop3Server([], faults=[On("STLS", "-ERR no TLS today")]) as server:
        lines = failing(dest, conf, ours, o={"pop3c_port": server.port,
                                             "pop3c_ssl": "starttls"})
    errors_naming(lines, "The server refuses TLS (pop3c_ssl=starttls): "
                  "-ERR no TLS today")


STEPS = ["greeting", "CAPA", "USER", "PASS", "UIDL", "LIST"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how", ["close", "reset", "hang", "garbage"])
def test_server_that_breaks_off(dest, source, account, step, how):
    """One clear error at any point of the dialogue, and nothing written."""
    ours, theirs = account
    reply = "<html>no POP3 here</html>" if how == "garbage" else how
    conf = pop3_conf(dest, source, f"short-{step}-{how}",
                     plugin_settings={"migration_pop3_timeout": "1s"})
    with Pop3Server(list(mailgen.mails(3)), faults=[On(step, reply)],
                    users={theirs.name: source.master_password}) as server:
        lines = failing(dest, conf, ours, o={"pop3c_port": server.port})
    errors_naming(lines, f"POP3 server 127.0.0.1:{server.port}: ")
    assert is_empty(ours)


def scripted_user(mails, source, theirs, **options):
    return Pop3Server(mails, users={theirs.name: source.master_password},
                      **options)


def test_lost_while_reading_headers(source, dest, conf, account):
    """The connection is made again and the rest is read."""
    ours, theirs = account
    mails = with_uidls(mailgen.mails(3))
    with scripted_user(mails, source, theirs,
                       faults=[On("TOP", "close", times=2, skip=1)]) as server:
        backup(dest, conf, ours, o={"pop3c_port": server.port}).ok()
        assert server.connection_count == 3
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_maildrop_in_use(source, dest, conf, account):
    """pop3-in-use"""
    ours, theirs = account
    mails = with_uidls(mailgen.mails(3))
    with scripted_user(mails, source, theirs, faults=[
            On("PASS", "-ERR [IN-USE] Do you have another POP session running?",
               times=2)]) as server:
        backup(dest, conf, ours, o={"pop3c_port": server.port}).ok()
        assert server.connection_count == 3
    assert snapshot.of(ours) == snapshot.of(theirs)


@pytest.mark.parametrize("reply", [
    "-ERR [LOGIN-DELAY] Logins must be at least 15 minutes apart",
    # gmail-pop3-auth
    "-ERR [AUTH] You have exceeded pop command or bandwidth limits."])
def test_login_that_has_to_wait(source, dest, conf, account, reply):
    ours, theirs = account
    with scripted_user([], source, theirs,
                       faults=[On("PASS", reply)]) as server:
        run = backup(dest, conf, ours, o={
            "pop3c_port": server.port,
            **dest.plugin_options({"migration_pop3_patience": "1s"})})
    assert run.rc == 75, run
    errors_naming([line for line in run.err.splitlines() if "Error: " in line],
                  "has to wait")
    assert "continue after" in run.err


def test_no_uidl(source, dest, conf, account):
    ours, theirs = account
    with scripted_user(mailgen.mails(3), source, theirs,
                       no_uidl=True) as server:
        lines = failing(dest, conf, ours, o={"pop3c_port": server.port})
    errors_naming(lines, "The server has no UIDLs")


def test_no_top(source, dest, conf, account):
    """UIDLs cannot be matched without headers: said so, with the way out."""
    ours, theirs = account
    mails = with_uidls(mailgen.mails(3))
    with scripted_user(mails, source, theirs, no_top=True) as server:
        port = {"pop3c_port": server.port}
        run = backup(dest, conf, ours, o=port)
        assert run.rc != 0
        line = errors_naming(run.err.splitlines(), "Mailbox INBOX is left out")
        assert "migration_pop3_ignore_missing_uidls=yes" in line
        assert "has no TOP" in line
    assert is_empty(ours)
    assert len(snapshot.of(ours).mailboxes["Sent"].mails) == 2


def test_no_pipelining(source, dest, conf, account):
    ours, theirs = account
    mails = with_uidls(mailgen.mails(3))
    with scripted_user(mails, source, theirs,
                       capabilities=["USER", "UIDL", "TOP"]) as server:
        backup(dest, conf, ours, o={"pop3c_port": server.port}).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_no_capa(source, dest, conf, account):
    ours, theirs = account
    mails = with_uidls(mailgen.mails(3))
    with scripted_user(mails, source, theirs, capabilities=()) as server:
        backup(dest, conf, ours, o={"pop3c_port": server.port}).ok()
    assert snapshot.of(ours) == snapshot.of(theirs)


# -- configuration

def test_both_plugins(dest, source, account):
    ours, _ = account
    conf = pop3_conf(dest, source, "both",
                     words=[*PLUGINS, "pop3_migration",
                            "migration_pop3"])
    run = backup(dest, conf, ours)
    assert run.rc in (75, 78), run
    errors_naming(run.err.splitlines(),
                  "mail_plugins has both pop3_migration and migration_pop3: "
                  "remove pop3_migration")


@pytest.mark.parametrize("mailbox,namespace", [("Nowhere/INBOX", True),
                                               ("POP3-SOURCE/INBOX", False)])
def test_no_namespace(dest, source, account, mailbox, namespace):
    ours, _ = account
    conf = pop3_conf(dest, source, f"no-namespace-{namespace}",
                     mailbox=mailbox, namespace=namespace)
    run = backup(dest, conf, ours)
    assert run.rc in (75, 77, 78), run
    errors_naming([line for line in run.err.splitlines()
                   if "Error: " in line or "Fatal: " in line],
                  f"migration_pop3_mailbox = {mailbox}: there is no namespace")
    assert is_empty(ours)


def test_without_a_mailbox_nothing_happens(source, dest, account):
    ours, theirs = account
    conf = pop3_conf(dest, source, "unset", mailbox="")
    backup(dest, conf, ours).ok()
    assert snapshot.of(ours).mailboxes == snapshot.of(theirs).mailboxes


# -- mails without partner

def test_a_maildrop_with_a_strange_mail(source, dest, conf, account):
    """The INBOX is left out whole, other mailboxes go on; the settings of
    pop3_migration mean what they meant."""
    ours, theirs = account
    mails = with_uidls(mailgen.mails(3))
    strange = mailgen.mails(1, seed="strange")[0]
    strange.uidl = "strange-uidl"
    with scripted_user(mails[:1] + [strange] + mails[1:], source,
                       theirs) as server:
        port = {"pop3c_port": server.port}
        run = backup(dest, conf, ours, o=port)
        # not stock's 2, which asks for another run
        assert run.rc == 3, run
        line = errors_naming(run.err.splitlines(), "Mailbox INBOX is left out")
        assert "1 of 4 POP3 mails have no IMAP mail" in line
        assert "strange-uidl" in line
        assert is_empty(ours)
        assert len(snapshot.of(ours).mailboxes["Sent"].mails) == 2

        for number, setting in enumerate(["ignore_missing_uidls",
                                          "ignore_extra_uidls"]):
            lenient = pop3_conf(
                dest, source, f"lenient-{number}",
                plugin_settings={f"migration_pop3_{setting}": "yes"})
            other = dest.user()
            backup(dest, lenient, other,
                   o={**port, "imapc_user": theirs.name,
                      "pop3c_user": theirs.name})
            assert [uidl for uidl, _ in snapshot.of(other).pop3] == [
                mail.uidl for mail in mails]


def test_mail_that_pop3_hides(source, dest, conf, account):
    """Normal: it is migrated, without a stored UIDL."""
    ours, theirs = account
    mails = with_uidls(mailgen.mails(3))
    with scripted_user(mails[:2], source, theirs) as server:
        backup(dest, conf, ours, o={"pop3c_port": server.port}).ok()
    seen = snapshot.of(ours)
    assert seen.mailboxes == snapshot.of(theirs).mailboxes
    assert [uidl for uidl, _ in seen.pop3][:2] == [m.uidl for m in mails[:2]]


def test_report_names_each_leftover(source, dest, account):
    ours, theirs = account
    conf = pop3_conf(dest, source, "report", plugin_settings={
        "migration_report_path": "~/report.json"})
    strange = mailgen.mails(1, seed="strange")[0]
    strange.uidl = "strange-uidl"
    strange.text = b"Message-ID: <strange@example.org>\r\n" + strange.text
    # the same but for a field, and for the body
    changed = mailgen.Mail(b"X-Foo: 1\r\n" + mailgen.mails(3)[1].text +
                           b"another end\r\n", uidl="changed-uidl")
    with scripted_user([strange, changed], source, theirs) as server:
        backup(dest, conf, ours, o={"pop3c_port": server.port})
    with open(f"{ours.home}/report.json", encoding="utf-8") as file:
        report = json.load(file)
    findings = [f for f in report["findings"] if f["what"] == "uidl-unmatched"]
    assert len(findings) == 2
    assert "strange-uidl" in findings[0]["why"]
    assert "<strange@example.org>" in findings[0]["why"]
    assert "no IMAP mail is like it" in findings[0]["why"]
    assert findings[0]["mailbox"] == "INBOX"
    assert "an IMAP mail has the same Message-ID, Date and From, but another "\
        "body (UID 2: X-Foo only over POP3)" in findings[1]["why"]
    assert findings[1]["uid"] == 2
    # and from the other side
    without, = [f["why"] for f in report["findings"]
                if f["what"] == "uidl-none" and f["uid"] == 2]
    assert "(POP3 mail 2, UIDL changed-uidl: X-Foo only over POP3)" in without


def test_many_leftovers_are_named(source, dest, reporting, account):
    """Each with its size, Message-ID and Date, on both sides."""
    ours, theirs = account
    strange = mailgen.mails(120, seed="strange")
    mailgen.append(theirs, "INBOX", mailgen.mails(120, seed="hidden"))
    with scripted_user(with_uidls(strange), source, theirs) as server:
        backup(dest, reporting, ours, o={"pop3c_port": server.port}).ok()
    for what, count in (("uidl-unmatched", 120), ("uidl-none", 123)):
        found = [f["why"] for f in findings(ours, what)]
        assert len(found) == count
        assert [why for why in found if not re.search(
            r"\d+ bytes, Message-ID <\S+>, Date \w", why)] == []


def test_the_source_is_not_changed(source, dest, conf):
    """No \\Seen, no RETR, no DELE."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mails = mailgen.mails(4, flags=False)
    mailgen.deliver(theirs, {"INBOX": with_uidls(mails + mails)})
    before = snapshot.of(theirs)
    backup(dest, conf, ours).ok()
    assert snapshot.of(theirs) == before
    assert snapshot.of(ours) == before


# -- quirks

def test_courier_utf8(source, dest, conf, account):
    """courier-utf8: without UTF8 the headers are a stand-in's."""
    ours, theirs = account
    mails = with_uidls(mailgen.mails(3))
    with scripted_user(
            mails, source, theirs,
            capabilities=["USER", "UIDL", "TOP", "PIPELINING", "UTF8"],
            text=lambda mail: b"Subject: cannot display\r\n\r\nsorry\r\n",
            size=lambda mail: len(mail.text),
            utf8_text=lambda mail: mail.text) as server:
        backup(dest, conf, ours, o={"pop3c_port": server.port}).ok()
        assert server.count("UTF8") == 1
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_pop3_list_gaps(source, dest, conf, account):
    """pop3-list-gaps: numbers of deleted mails are left out of the lists."""
    ours, theirs = account
    mails = with_uidls(mailgen.mails(3))
    gone = mailgen.mails(1, seed="gone")[0]
    drop = [mails[0], gone, mails[1], mails[2]]

    def without(number, what):
        def listing(session, _):
            session.send_lines("+OK", [
                f"{n} {what(n)}" for n in range(1, 5) if n != number])
        return listing

    with scripted_user(drop, source, theirs) as server:
        server.faults += [
            On("UIDL", without(2, server.uidl)),
            On("LIST", without(2, lambda n: len(drop[n - 1].text)))]
        backup(dest, conf, ours, o={"pop3c_port": server.port}).ok()
        assert server.count("TOP 2 ") == 0
    assert snapshot.of(ours) == snapshot.of(theirs)


def test_yahoo_state(source, dest, conf, account):
    """yahoo-state: no header is asked for after a text."""
    ours, theirs = account
    with Link(0) as link:
        backup(dest, conf, ours, o={
            "imapc_port": link.to(source.ports["imap"])}).ok()
        sent = b"".join(link.sent()).upper()
        assert 0 < sent.rindex(b"BODY.PEEK[HEADER]") < sent.index(
            b"BODY.PEEK[]")


def test_pop3_capa_after_login(source, dest, conf, account):
    """pop3-capa-after-login: PIPELINING is told only then."""
    ours, theirs = account
    mails = with_uidls(mailgen.mails(3))

    def poor(session, _):
        session.send_lines("+OK", ["USER"])

    with scripted_user(mails, source, theirs,
                       faults=[On("CAPA", poor, times=1)]) as server:
        run = backup(dest, conf, ours, debug=True,
                     o={"pop3c_port": server.port}).ok()
        assert "commands are pipelined" in run.err
    assert snapshot.of(ours) == snapshot.of(theirs)


def fetched_uidls(dest, user):
    return dest.doveadm("-f", "tab", "fetch", "-u", user.name, "pop3.uidl",
                        "mailbox", "INBOX").ok().out.splitlines()[1:]


def findings(user, what):
    with open(f"{user.home}/report.json", encoding="utf-8") as file:
        return [found for found in json.load(file)["findings"]
                if found["what"] == what]


@pytest.fixture(scope="module")
def reporting(source, dest):
    return pop3_conf(dest, source, "reporting", plugin_settings={
        "migration_report_path": "~/report.json",
        "migration_pop3_ignore_missing_uidls": "yes"})


@pytest.mark.parametrize("driver", FORMATS)
def test_long_and_odd_uidls(source, dest, reporting, driver):
    """UIDLs beyond RFC 1939 are kept as they are and reported. Maildir has no
    place for blanks: one finding for each mail, the others keep theirs."""
    ours = dest.user(driver=driver)
    theirs = source.user(ours.name)
    mails = mailgen.mails(4)
    mailgen.deliver(theirs, {"INBOX": mails})
    uidls = ["x" * 400, "with blanks inside", "~!", "y" * 70]
    with scripted_user(mails, source, theirs, uidls=uidls) as server:
        run = backup(dest, reporting, ours, o={"pop3c_port": server.port})
    odd, = findings(ours, "uidl-odd")
    assert odd["why"].startswith("2 UIDLs are longer than 70 characters")
    refused = findings(ours, "uidl-refused")
    if driver != "maildir":
        assert run.rc == 0, run
        assert refused == []
        assert fetched_uidls(dest, ours) == uidls
        return
    assert run.rc == 3, run
    assert [found["uid"] for found in refused] == [2]
    assert fetched_uidls(dest, ours) == [uidls[0], "", *uidls[2:]]


def test_empty_uidl(source, dest, reporting, account):
    """Nothing to keep: the mail is reported, and migrated without."""
    ours, theirs = account
    mails = mailgen.mails(3)
    with scripted_user(mails, source, theirs,
                       uidls=["one", "", "three"]) as server:
        backup(dest, reporting, ours, o={"pop3c_port": server.port}).ok()
    found, = findings(ours, "uidl-unmatched")
    assert found["why"].endswith("the POP3 server gave it no UIDL")
    assert fetched_uidls(dest, ours) == ["one", "", "three"]


def test_repeated_uidls(source, dest, reporting, account):
    """One UIDL on several mails stays so, with a warning (repeated-uidl)."""
    ours, theirs = account
    with scripted_user(mailgen.mails(3), source, theirs,
                       uidls=["one", "two", "one"]) as server:
        backup(dest, reporting, ours, o={"pop3c_port": server.port}).ok()
    assert fetched_uidls(dest, ours) == ["one", "two", "one"]
    found, = findings(ours, "uidl-repeated")
    assert found["severity"] == "warning"


@pytest.mark.parametrize("make", [
    lambda text: text,
    lambda text: text.strip("<>"),
    lambda text: hashlib.md5(text.encode()).hexdigest(),
    lambda text: hashlib.md5(text.strip("<>").encode()).hexdigest(),
], ids=["id", "bare id", "MD5", "MD5 of bare id"])
def test_uidls_made_of_the_message_id(source, dest, conf, make):
    """message-id-uidl: known from the list, confirmed by 8 headers, whatever
    the order."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mails = mailgen.mails(40, size=900)
    mailgen.deliver(theirs, {"INBOX": mails})
    shown = mails[::-2] + mails[::2]
    uidls = [make(re.search(rb"(?i)^Message-ID: (\S+)", mail.text,
                            re.M)[1].decode()) for mail in shown]
    with scripted_user(shown, source, theirs, uidls=uidls) as server:
        run = backup(dest, conf, ours, debug=True,
                     o={"pop3c_port": server.port}).ok()
        assert 0 < server.count("TOP ") <= 8
    assert "40 UIDLs matched by the UIDL's format" in run.err
    assert [uidl for uidl, _ in snapshot.of(ours).pop3] == uidls


def test_formula_is_named(source, dest, reporting):
    """The guide's alternative: the line for the configuration."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(12)})
    backup(dest, reporting, ours).ok()
    found, = findings(ours, "uidl-format")
    assert "pop3_uidl_format = %08Xu%08Xv on 2.3, " \
        "%{uid | hex(8)}%{uidvalidity | hex(8)} on 2.4" in found["why"]
    # stored all the same
    assert fetched_uidls(dest, ours) == [
        uidl for uidl, _ in snapshot.of(theirs).pop3]


def test_formula_of_some_mails_is_not_named(source, dest, reporting):
    """It would not make the others."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mails = mailgen.mails(12)
    with_uidls(mails[:2])
    mailgen.deliver(theirs, {"INBOX": mails})
    run = backup(dest, reporting, ours, debug=True).ok()
    assert "10 UIDLs matched by the UIDL's format" in run.err
    assert findings(ours, "uidl-format") == []
    assert snapshot.of(ours) == snapshot.of(theirs)


@pytest.mark.parametrize("order,rc,text", [
    (None, 0, "stay only with the pop3_uidl_format that"),
    (lambda n: 100 - n, 3, "The UIDLs of 12 mails and their POP3 order are "
                           "lost: mbox has no place")])
def test_mbox_cannot_keep_uidls(source, dest, reporting, order, rc, text):
    """Said before anything is written, and as a finding."""
    ours = dest.user(driver="mbox")
    theirs = source.user(ours.name)
    mails = mailgen.mails(12)
    mailgen.deliver(theirs, {
        "INBOX": with_uidls(mails, order) if order else mails})
    run = backup(dest, reporting, ours, debug=True)
    assert run.rc == rc, run
    warning = run.err.index("UIDLs and POP3 order will be lost, and POP3 "
                            "clients that leave mail on the server will "
                            "download it all again: mbox has no place")
    assert warning < run.err.index("Mailbox INBOX")
    found, = findings(ours, "uidl-no-room")
    assert text in found["why"]


def test_broken_dot_stuffing(source, dest, reporting):
    """A line of one dot that the server forgot to double ends the reply too
    early, and what follows is no answer to anything. The connection is made
    again, however often; texts that came broken match nothing, the others
    do, and no UIDL goes astray."""
    ours = dest.user()
    theirs = source.user(ours.name)
    plain = mailgen.mails(8, size=500)
    for mail in plain[:5]:
        mail.text = mail.text.rstrip() + b"\r\n.\r\nafter the dot\r\n"
    # their headers leave a doubt, so that the texts are read
    mails = with_uidls([mailgen.Mail(mail.text) for mail in plain * 2])
    mailgen.deliver(theirs, {"INBOX": mails})

    def top(session, command):
        number = int(command.split()[1])
        session.connection.send(b"+OK\r\n" + mails[number - 1].text + b".\r\n")

    with scripted_user(mails, source, theirs,
                       faults=[On(r"TOP \d+ \d\d", top)]) as server:
        backup(dest, reporting, ours, o={"pop3c_port": server.port}).ok()
        assert server.connection_count > 4
    assert fetched_uidls(dest, ours) == [
        "" if b"after the dot" in mail.text else mail.uidl for mail in mails]
    whys = [found["why"] for found in findings(ours, "uidl-unmatched")]
    assert len(whys) == 10
    assert all("an IMAP mail has the same header, but another body" in why
               for why in whys), whys


def test_lost_while_another_session_deletes(source, dest, conf):
    """After the drop the list is another one: numbers have moved."""
    ours = dest.user()
    theirs = source.user(ours.name)
    mails = with_uidls(mailgen.mails(12, size=900),
                       order=lambda n: n * 5 % 13)
    kept = mails[:3] + mails[5:]
    mailgen.deliver(theirs, {"INBOX": mails})

    def drop(session, _):
        server.mails = kept
        session.connection.misbehave("close")

    with scripted_user(list(mails), source, theirs,
                       faults=[On("TOP", drop, times=1, skip=2)]) as server:
        backup(dest, pop3_conf(dest, source, "deleted", plugin_settings={
            "migration_pop3_ignore_missing_uidls": "yes"}), ours,
            o={"pop3c_port": server.port}).ok()
        assert server.connection_count == 2
    stored = dict(zip((mail.text for mail in mails),
                      fetched_uidls(dest, ours)))
    assert [stored[mail.text] for mail in kept] == [
        mail.uidl for mail in kept]


def test_retr_marks(source, dest, conf, account):
    """retr-marks: texts of duplicates are compared without RETR."""
    ours, theirs = account
    mails = mailgen.mails(2, flags=False)
    twins = [mails[0], mailgen.Mail(mails[0].text), mails[1]]
    with_uidls(twins)
    other = source.user()
    mailgen.deliver(other, {"INBOX": twins})
    with scripted_user(twins, source, other) as server:
        backup(dest, conf, ours, o={
            "pop3c_port": server.port, "imapc_user": other.name,
            "pop3c_user": other.name}).ok()
        assert server.count("RETR") == 0
        assert server.count(r"TOP \d+ \d\d\d") == 2
    assert [uidl for uidl, _ in snapshot.of(ours).pop3] == [
        mail.uidl for mail in twins]


def test_gmail_uidls_name_the_message(source, dest):
    """GmailId and X-GM-MSGID in hex, whatever the order."""
    box = gmail.Account()
    for mail in mailgen.mails(12):
        box.add("\\Inbox", mail=mail)
    shown = list(reversed(box.folders["INBOX"]))
    uidls = [f"GmailId{mail.message.msgid:x}" for mail in shown]
    ours = dest.user()
    conf = pop3_conf(dest, source, "gmail")
    with gmail.GmailServer(box) as imap_server, Pop3Server(
            shown, uidls=uidls) as pop3_server:
        run = backup(dest, conf, ours, debug=True, o={
            **dest.imapc(imap_server, user="user", password="secret"),
            **dest.pop3c(pop3_server, user="user", password="secret")}).ok()
        assert pop3_server.count("TOP ") <= 8
        assert pop3_server.count(r"TOP \d+ \d\d") == 0
    assert "12 UIDLs matched by the UIDL's format" in run.err
    assert [uidl for uidl, _ in snapshot.of(ours).pop3] == uidls
