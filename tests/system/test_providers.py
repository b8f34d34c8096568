# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc_provider and migration_imapc_filter_include, _exclude: who the
source is, what follows from it, and mailboxes that are left alone."""

import json

import pytest

from lab.mailgen import Mail
from lab.scripted import ImapServer, On

MAIL = b"Subject: x\r\nMessage-ID: <%d@x>\r\n\r\ntext %d\r\n"
EXCHANGE = '"name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.2"'
PLAIN = "IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN UIDPLUS NAMESPACE"


def mails(count, first=1):
    return [Mail(MAIL % (n, n), uid=n) for n in range(first, first + count)]


def run(dest, user, server, command=("backup", "-R"), ssl=None, **ours):
    report = f"{user.home}/report.json"
    result = dest.doveadm(
        *command, "-u", user.name, "imapc:",
        o={**dest.imapc(server, user="user", password="secret", ssl=ssl),
           **dest.plugin_options({"migration_report_path": report, **ours})})
    assert "Panic" not in result.err
    with open(report, encoding="utf-8") as file:
        return result, json.load(file)


def mailboxes(dest, user):
    return set(dest.doveadm("mailbox", "list", "-u", user.name)
               .ok().out.splitlines())


def account(**more):
    """What Exchange shows: mail, and things that are none."""
    return {"INBOX": mails(3), "Calendar": mails(2), "Calendar/Birthdays": mails(1),
            "Files": mails(1), "Sent Items": mails(2), **more}


KNOWN = {
    "exchange by id": (dict(identity=EXCHANGE), "exchange",
                       "its ID says Microsoft.Exchange"),
    "zimbra by id": (dict(identity='"NAME" "Zimbra" "VERSION" "8.8.15_GA_3869"'),
                     "zimbra", "its ID says Zimbra"),
    "yahoo by capability": (dict(capabilities=PLAIN + " XYMHIGHESTMODSEQ"),
                            "yahoo", "it has the capability"),
    "nobody known": ({}, "generic", "says nothing"),
}


def test_provider_costs_no_wait_and_is_reported(dest):
    sent = set()
    for options, name, because in KNOWN.values():
        ours = dest.user(driver="sdbox")
        with ImapServer({"INBOX": mails(2)}, **options) as server:
            result, report = run(dest, ours, server)
            assert result.rc == 0, str(result)
            sent.add(tuple(line.split(" ")[0] for line in server.received
                           if not line.startswith("UID")))
        assert report["provider"]["provider"] == name
        assert because in report["provider"]["because"]
    # the servers without ID, and those with it
    assert len(sent) <= 2, sent


GREETINGS = {
    "domino": "* OK Domino IMAP4 Server Release 10.0.1FP3 ready",
    "exchange": "* OK The Microsoft Exchange IMAP4 service is ready.",
    "courier": "* OK [CAPABILITY IMAP4rev1 UIDPLUS LITERAL+] Courier-IMAP ready.",
    "dovecot": "* OK Dovecot ready.",
    "cyrus": "* OK mail.example.com Cyrus IMAP 3.6.1 server ready",
    "zimbra": "* OK mail.example.com Zimbra IMAP4rev1 server ready",
    "oracle": "* OK mail.example.com IMAP4 service (Oracle Communications "
              "Messaging Server 8.0.2.4)",
}


@pytest.mark.parametrize("ssl", [None, "starttls", "imaps"])
def test_provider_by_its_greeting(dest, ca, ssl):
    """Servers without ID say who they are in the first line they send."""
    for name, greeting in GREETINGS.items():
        if ssl is not None and name != "domino":
            continue
        with ImapServer({"INBOX": []}, greeting=greeting, ca=ca if ssl else None,
                        tls=ssl == "imaps",
                        capabilities="IMAP4rev1 UIDPLUS LITERAL+") as server:
            # a proxy may say so, and the server behind it be another one
            server.faults = [On("STATUS .*X-GUID", "BAD What?")]
            result, report = run(dest, dest.user(driver="sdbox"), server, ssl=ssl)
        assert result.rc == 0, str(result)
        assert report["provider"]["provider"] == name
        assert "because its greeting says" in f"because {report['provider']['because']}"


def test_values_are_replaced_one_by_one(dest):
    ours = dest.user(driver="sdbox")
    with ImapServer({"INBOX": mails(5)}) as server:
        _, report = run(dest, ours, server, migration_imapc_provider="yahoo",
                        migration_imapc_sizes="estimated",
                        migration_imapc_headers="exact",
                        migration_imapc_message_limit="2")
        asked = [line for line in server.received
                 if "BODY.PEEK[]" in line]
    assert report["provider"] == {
        "provider": "yahoo", "daily_limit": "unlimited", "connections": "5",
        "host_connections": "unlimited", "message_limit": "2", "exclude": "", "sizes": "estimated",
        "headers": "exact", "because": "migration_imapc_provider says so"}
    assert len(asked) >= 3, asked


def test_sizes_that_are_estimated_prove_nothing(dest):
    """verify asks for the text of a mail whose size differs, and from a server
    that guesses sizes this would be all of them."""
    ours = dest.user(driver="sdbox")
    with ImapServer({"INBOX": mails(30)},
                    size=lambda mail: len(mail.text) + 7) as server:
        assert run(dest, ours, server)[0].rc == 0
        texts = {}
        for sizes in ("estimated", "exact"):
            server.received.clear()
            result, _ = run(dest, ours, server,
                            ("migration", "verify", "--sample", "0"),
                            migration_imapc_sizes=sizes)
            assert result.rc == 0, str(result)
            texts[sizes] = len([line for line in server.received
                                if "BODY.PEEK[]" in line])
    assert texts["estimated"] == 0, texts
    assert texts["exact"] > 0, texts


def test_what_is_no_mail_is_left_alone(dest):
    """On both sides: what the destination has of that name stays."""
    ours = dest.user(driver="sdbox")
    dest.doveadm("mailbox", "create", "-u", ours.name, "Files", "Own",
                 "Calendar/Mine").ok()
    with ImapServer(account(), identity=EXCHANGE,
                    subscriptions=["INBOX", "Calendar"]) as server:
        result, report = run(dest, ours, server)
        assert result.rc == 0, str(result)
        assert [line for line in server.received
                if "Calendar" in line or "Files" in line] == []
    assert mailboxes(dest, ours) == {"INBOX", "Sent Items", "Files", "Calendar",
                                     "Calendar/Mine"}
    assert {finding["mailbox"] for finding in report["findings"]
            if finding["what"] == "mailbox-excluded"} == {
                "Calendar", "Calendar/Birthdays", "Files"}
    assert "Files" in report["provider"]["exclude"]


def test_mailbox_filters(dest):
    ours = dest.user(driver="mdbox")
    with ImapServer(account(Work=mails(1), **{"Work/2019": mails(1)})) as server:
        filters = {"migration_imapc_filter_include": "INBOX,Work*",
                   "migration_imapc_filter_exclude": "Work/2019"}
        assert run(dest, ours, server, **filters)[0].rc == 0
        assert mailboxes(dest, ours) == {"INBOX", "Work"}
        # the next run with other filters brings the rest, and without the
        # mailbox at the source nothing goes that is left alone
        assert run(dest, ours, server)[0].rc == 0
        assert "Calendar/Birthdays" in mailboxes(dest, ours)
        del server.folders["Work/2019"]
        result, _ = run(dest, ours, server, **filters)
        assert result.rc == 0, str(result)
        assert "Work/2019" in mailboxes(dest, ours)


def test_plan_prints_the_profile(dest):
    ours = dest.user(driver="sdbox")
    with ImapServer({"INBOX": mails(2)}) as server:
        result, report = run(dest, ours, server, ("migration", "plan"),
                             migration_imapc_provider="yahoo",
                             migration_imapc_sizes="estimated")
    assert result.rc == 0, str(result)
    [line] = [line for line in result.err.splitlines()
              if "The source is taken for Yahoo or AOL, because "
              "migration_imapc_provider says so" in line]
    for words in ("message_limit 1000 (migration_imapc_message_limit)",
                  "daily_limit unlimited (migration_imapc_daily_limit)",
                  "connections 5", "host_connections unlimited "
                  "(migration_imapc_max_connections)", "sizes estimated (migration_imapc_sizes)",
                  "exclude none (migration_imapc_filter_exclude)"):
        assert words in line, line
    assert report["provider"]["provider"] == "yahoo"


@pytest.mark.parametrize("setting", ["migration_imapc_provider",
                                     "migration_imapc_headers",
                                     "migration_imapc_sizes"])
def test_unknown_words_are_refused(dest, setting):
    ours = dest.user(driver="sdbox")
    result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                          o=dest.plugin_options({setting: "sendmail"}))
    assert result.rc not in (0, 2) and setting in result.err
