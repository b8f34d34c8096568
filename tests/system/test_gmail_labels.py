# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gmail: labels become folders, flags and keywords by policy."""

import json
import os
import re

import pytest

import lab
from lab import gmail, places, snapshot
from lab.gmail import Account, GmailServer
from lab.gmail_model import KEYWORDS, expected
from lab.scripted import On

@pytest.fixture
def report(folder):
    """Where doveadm writes the run's report, as the mail account."""
    return f"{places.mail_folder(folder)}/report"


@pytest.fixture(scope="module")
def dest(version):
    with lab.Dovecot(version, driver="mdbox",
                     plugins=("migration_imapc", "migration_gmail")) as server:
        yield server
        assert " Panic: " not in server.log()


def backup(dest, user, server, *, policy=None, stock=False, report=None,
           command=("backup", "-R"), debug=False, **settings):
    """One run of stock's command. stock: imapc_features has gmail-migration.
    Further settings are Dovecot's."""
    o = dest.imapc(server, user="user", password="secret")
    if stock:
        o["imapc_features"] = (o.get("imapc_features", "") +
                               " gmail-migration").strip()
    ours = {"migration_gmail_labels": policy, "migration_report_path": report,
            "migration_imapc_patience": "1s"}
    o.update(dest.plugin_options({name: value for name, value in
                                  ours.items() if value is not None}))
    o.update(settings)
    words = [*command, "-u", user.name, "imapc:"]
    return dest.doveadm(*words, o=o, debug=debug)


def findings(path):
    with open(path) as file:
        return {(f["what"], f.get("mailbox")) for f in
                json.load(file)["findings"] if f["severity"] != "info" or
                f["what"].startswith("gmail-")}


def state(user):
    """What the user sees. A Maildir has folders between the folders, which
    come and go."""
    result = snapshot.of(user)
    empty = {name for name, box in result.mailboxes.items() if not box.mails}
    if user.driver == "maildir":
        result = result.without(*(
            {name.rpartition("/")[0] for name in result.mailboxes} & empty))
    return result


def found(user):
    return {folder: {uid: (set(mail.flags), set(mail.keywords), mail.sha256)
                     for uid, mail in box.mails.items()}
            for folder, box in state(user).mailboxes.items()}


# -- policies

@pytest.mark.parametrize("driver", ["mdbox", "sdbox", "maildir"])
@pytest.mark.parametrize("policy", ["folders", "keywords", "both"])
def test_policy(dest, policy, driver):
    account, user = gmail.sample(), dest.user(driver=driver)
    with GmailServer(account) as server:
        backup(dest, user, server, policy=policy).ok()
        assert found(user) == expected(account, policy)
        assert sorted(snapshot.of(user).subscriptions) == sorted(
            expected(account, policy))

        before, bodies = state(user), server.bodies
        backup(dest, user, server, policy=policy).ok()
        assert state(user) == before
        assert server.bodies == bodies


def test_policy_default_is_folders(dest):
    account, user = gmail.sample(30), dest.user()
    with GmailServer(account, label_spelling="string") as server:
        backup(dest, user, server).ok()
    assert found(user) == expected(account, "folders")


def test_500_messages(dest):
    account, user = gmail.sample(500, seed=5, size=300), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server, policy="both").ok()
    assert found(user) == expected(account, "both")


def test_wrong_policy_is_refused(dest):
    with GmailServer(Account()) as server:
        result = backup(dest, dest.user(), server, policy="tags")
    assert result.rc != 0
    assert "migration_gmail_labels" in result.err
    assert server.received == []


def test_localised_names(dest):
    """Gmail's own folders are known by their attributes only."""
    account = Account(prefix="[Google Mail]", translation=gmail.GERMAN)
    account = gmail.sample(40, account=account)
    user = dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server, policy="keywords").ok()
    assert found(user) == expected(account, "keywords")
    assert "[Google Mail]/Alle Nachrichten" in found(user)
    assert "[Google Mail]/Markiert" not in found(user)


# -- incremental

CHANGES = {
    "added": lambda account, m: account.label(m[0], "+Work/2024", "+日本"),
    "removed": lambda account, m: account.label(m[1], "-Work"),
    "another": lambda account, m: account.label(m[1], "+New label"),
    "renamed": lambda account, m: account.rename_label(
        "Two Words", "Three Words Now"),
    "nested": lambda account, m: account.rename_label("Junk", "Work/Junk"),
    "archived": lambda account, m: account.archive(m[0]),
    "un-archived": lambda account, m: account.label(m[2], "+\\Inbox"),
    "starred": lambda account, m: account.label(m[2], "+\\Starred"),
    "important": lambda account, m: account.label(m[3], "+\\Important"),
    "trashed": lambda account, m: account.trash(m[3]),
    "restored": lambda account, m: account.label(m[7], "-\\Trash"),
    "spam": lambda account, m: account.label(m[12], "+\\Spam"),
}
KEYWORDS.update({"New label": "New_label",
                 "Three Words Now": "Three_Words_Now",
                 "Work/Junk": "Work/Junk"})


DRIVERS = ["mdbox", "sdbox", "maildir"]
POLICIES = ["folders", "keywords", "both"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_changes_arrive(dest, policy, driver):
    """One after the other, each by one run that downloads nothing."""
    if ("DM_LONG" not in os.environ and
            (DRIVERS.index(driver) + POLICIES.index(policy) +
             lab.VERSIONS.index(dest.version)) % len(DRIVERS) != 0):
        pytest.skip("the other formats on this version: ./dev test --long")
    account, user = gmail.sample(40), dest.user(driver=driver)
    messages = account.messages[:]
    unlimited = dest.plugin_options({"migration_max_deletes": "unlimited"})
    with GmailServer(account) as server:
        backup(dest, user, server, policy=policy).ok()
        bodies = server.bodies
        for name, change in CHANGES.items():
            change(account, messages)
            backup(dest, user, server, policy=policy, **unlimited).ok()
            assert found(user) == expected(account, policy), name
            # what goes to another place by itself, All Mail or Trash, goes
            # from the first one before it comes to the second one
            moved = name in ("trashed", "restored", "spam")
            assert server.bodies <= bodies + moved, name
            bodies = server.bodies

        account.add("\\Inbox", "Work")
        backup(dest, user, server, policy=policy, **unlimited).ok()
        assert found(user) == expected(account, policy)
        assert server.bodies == bodies + 1
        before = state(user)
        backup(dest, user, server, policy=policy).ok()
        assert state(user) == before
        assert server.bodies == bodies + 1


@pytest.mark.parametrize("policy", ["folders", "keywords", "both"])
def test_lost_labels_are_no_deletions(dest, policy):
    """migration_max_deletes is about mails that would be lost. A message that
    goes from a folder and stays in All Mail is not."""
    account, user = gmail.sample(60), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server, policy=policy).ok()
        account.rename_label("Two Words", "Three Words Now")
        for message in account.messages:
            if message.in_all_mail:
                account.label(message, *(
                    f"-{label}" for label in ("Work", "\\Inbox")
                    if label in message.labels))
        backup(dest, user, server, policy=policy).ok()
        assert found(user) == expected(account, policy)

        # these are, but for those that lie in another folder
        for mail in account.folders["[Gmail]/All Mail"][::3]:
            account.delete(mail.message)
        result = backup(dest, user, server, policy=policy)
    assert result.rc == 3
    assert "deletion-refused" in result.err


def test_change_of_policy_converges(dest):
    account, user = gmail.sample(40), dest.user()
    with GmailServer(account) as server:
        for policy in ("folders", "both", "keywords", "folders"):
            backup(dest, user, server, policy=policy).ok()
            assert found(user) == expected(account, policy)


# -- cost

def test_one_metadata_fetch_for_each_mailbox(dest):
    """However many messages there are."""
    counts = []
    for size in (40, 160):
        account, user = gmail.sample(size), dest.user()
        with GmailServer(account) as server:
            backup(dest, user, server, policy="both").ok()
            full = sum(bool(mails) for mails in account.folders.values())
            assert server.count(r"UID FETCH 1:\* .*X-GM-MSGID X-GM-LABELS") \
                == full
            # stock's question for one message's id, or a few messages' ids
            assert server.count(r"UID FETCH [\d,:]+ \(X-GM-MSGID\)") == 0
            before = len(server.received)
            backup(dest, user, server, policy="both").ok()
            counts.append(len(server.received) - before)
    assert counts[0] == counts[1]


# -- POP3

def gmail_uidls(account):
    return [f"GmailId{mail.message.msgid:x}"
            for mail in account.folders["INBOX"]]


@pytest.mark.parametrize("driver", ["mdbox", "sdbox", "maildir"])
def test_uidls_without_a_pop3_login(dest, driver):
    account, user = gmail.sample(40), dest.user(driver=driver)
    with GmailServer(account) as server:
        backup(dest, user, server).ok()
    assert [uidl for uidl, _ in snapshot.of(user).pop3] == gmail_uidls(account)


def test_pop3_deleted(dest):
    account, user = gmail.sample(60), dest.user()
    popped = {mail.uid for mail in account.folders["INBOX"]
              if mail.message.popped}
    assert popped
    with GmailServer(account) as server:
        result = backup(dest, user, server,
                        pop3_deleted_flag="$POP3Deleted").ok()
        assert server.count("SEARCH") == 1
        assert "Error" not in result.err
    assert {uid for uid, (_, keywords, _) in found(user)["INBOX"].items()
            if "$POP3Deleted" in keywords} == popped


@pytest.mark.parametrize("answer", ["NO Not supported", "BAD Bad key"])
@pytest.mark.parametrize("stock", [False, True])
def test_refused_pop3_search_is_no_error(dest, report, stock, answer):
    account, user = gmail.sample(30), dest.user()
    refuse = On("SEARCH", answer)
    with GmailServer(account, faults=[refuse]) as server:
        backup(dest, user, server, stock=stock, report=report,
               pop3_deleted_flag="$POP3Deleted").ok()
    assert found(user) == expected(account, "folders")
    assert ("gmail-pop3-search-refused", "INBOX") in findings(report)


# -- stock's own support

def without_list(commands):
    """imapc lists again whenever a new second has begun."""
    return [c for c in commands if not re.match("LIST|LOGOUT", c)]


@pytest.mark.parametrize("policy", ["folders", "keywords"])
def test_gmail_migration_makes_no_difference(dest, policy):
    account, users = gmail.sample(60), [dest.user(), dest.user()]
    commands = []
    for user, stock in zip(users, (False, True)):
        with GmailServer(account) as server:
            backup(dest, user, server, policy=policy, stock=stock,
                   pop3_deleted_flag="$POP3Deleted").ok()
        commands.append(without_list(server.received))
    assert snapshot.of(users[0]) == snapshot.of(users[1])
    assert commands[0] == commands[1]


def test_mailbox_that_is_opened_before_the_list(dest):
    """Stock panics: it needs the list in the middle of the SELECT."""
    with lab.Dovecot(dest.version) as stock:
        results = []
        for server_with in (stock, dest):
            with GmailServer(gmail.sample(20)) as server:
                o = dest.imapc(server, user="user", password="secret")
                o["imapc_features"] = "gmail-migration" + (
                    " delay-login" if dest.version == "2.3" else "")
                o.update({"mail_location": "imapc:"}
                         if dest.version == "2.3" else
                         {"namespace/inbox/mail_driver": "imapc",
                          "mail_driver": "imapc", "mail_path": ""})
                results.append(server_with.doveadm(
                    "fetch", "-u", server_with.user().name, "uid",
                    "mailbox", "INBOX", o=o))
    assert "Panic" in results[0].err
    assert results[1].ok().out.startswith("uid: ")


def test_without_the_extension_nothing_happens(dest):
    account, users = gmail.sample(30), [dest.user(), dest.user()]
    received = []
    for user, plugins in zip(users, ("migration_imapc migration_gmail",
                                     "migration_imapc")):
        with GmailServer(account, capabilities="IMAP4rev1 UIDPLUS") as server:
            # the other plugin alone is what it is compared with
            settings = ({"mail_plugins": plugins}
                        if dest.version == "2.3" else {})
            backup(dest, user, server, policy="both" if
                   plugins.endswith("gmail") else None,
                   stock=plugins.endswith("gmail"), **settings).ok()
        assert server.count(".*X-GM-") == 0
        received.append(without_list(server.received))
    assert snapshot.of(users[0]) == snapshot.of(users[1])
    assert received[0] == received[1]
    for flags, keywords, _ in found(users[0])["INBOX"].values():
        assert not keywords


# -- what a user can hide

def test_hidden_label_is_reported(dest, report):
    account = gmail.sample(30, account=Account(hidden={"日本"}))
    user = dest.user()
    account.add("\\Inbox", "日本")
    with GmailServer(account) as server:
        backup(dest, user, server, report=report).ok()
        assert ("gmail-label-hidden", "日本") in findings(report)
        assert found(user) == expected(account, "folders")

        # as a keyword it is not lost
        backup(dest, user, server, policy="keywords",
               report=report).ok()
        assert findings(report) == set()
        assert found(user) == expected(account, "keywords")


def test_hidden_all_mail_is_reported(dest, report):
    account = gmail.sample(30, account=Account(hidden={"\\All"}))
    user = dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server, policy="keywords",
               report=report).ok()
    assert ("gmail-all-mail-hidden", None) in findings(report)
    assert found(user) == expected(account, "keywords")


def texts_of(report):
    with open(report) as file:
        return {(finding["what"], finding["mailbox"]): finding["why"]
                for finding in json.load(file)["findings"]
                if finding["what"].startswith("gmail-folder-")}


def inbox_of(count, older, **options):
    """Old messages with a label, and newer ones in the inbox."""
    account = Account(**options)
    mails = gmail.mailgen.mails(older + count, size=50)
    account.add_many([({"Work/Old"}, mail) for mail in mails[:older]] +
                     [({"\\Inbox"}, mail) for mail in mails[older:]])
    return account


def test_limit_of_messages_is_reported(dest, report):
    """The newest 1000 of each folder: All Mail lacks what a label has."""
    with GmailServer(inbox_of(1003, 20, limit=1000)) as server:
        backup(dest, dest.user(), server, report=report).ok()
    told = texts_of(report)
    assert set(told) == {("gmail-folder-limit", "INBOX"),
                         ("gmail-folder-limit", "[Gmail]/All Mail")}
    assert "there are 1020 or more" in told["gmail-folder-limit",
                                            "[Gmail]/All Mail"]
    assert all("Do not limit the number of messages" in text
               for text in told.values())


def test_thousand_messages_are_no_limit_by_themselves(dest, report):
    """All Mail has more messages, but none of them belongs to the inbox."""
    with GmailServer(inbox_of(1000, 3)) as server:
        backup(dest, dest.user(), server, report=report).ok()
    assert texts_of(report) == {}


@pytest.mark.parametrize("where, shown, labelled", [
    ("Work/Old", 29, 30), ("[Gmail]/All Mail", 39, 40)])
def test_folder_that_lacks_a_message(dest, report, where, shown, labelled):
    """As if it had been changed between the two looks."""
    account = inbox_of(10, 30)
    with GmailServer(account) as server:
        account.folders[where] = account.folders[where][1:]
        backup(dest, dest.user(), server, report=report).ok()
    told = texts_of(report)
    assert set(told) == {("gmail-folder-count", where)}
    assert f"shows {shown} messages, but there are {labelled}" in told[
        "gmail-folder-count", where]


@pytest.mark.parametrize("policy", ["keywords", "both"])
@pytest.mark.parametrize("count", [20, 40])
def test_maildir_has_room_for_26_keywords(dest, report, policy, count):
    """20 labels are keywords, the others remain folders."""
    account, user = Account(), dest.user(driver="maildir")
    names = [f"Label{number:02}" for number in range(count)]
    account.add_many([({"\\Inbox", name}, mail) for name, mail in
                      zip(names, gmail.mailgen.mails(count, size=50))])
    account.add(*names, "\\Important", "\\Muted")
    wanted = expected(account, policy)
    if policy == "keywords":
        wanted.update({name: found_mails for name, found_mails in expected(
            account, "folders").items() if name in names[20:]})
    for mails in wanted.values():
        for _, keywords, _ in mails.values():
            keywords -= set(names[20:])
    for name in names[20:]:
        for mail in account.folders[name]:
            wanted[name][mail.uid][1].update(
                set(names[:20]) & mail.message.labels)
    with GmailServer(account) as server:
        for _ in range(2):
            backup(dest, user, server, policy=policy, report=report).ok()
            assert found(user) == wanted
            assert findings(report) == (
                {("maildir-keywords", None)} if count > 20 else set())
        backup(dest, user, server, policy=policy,
               command=("migration", "verify")).ok()
    with open(f"{user.mail_path}/dovecot-keywords") as file:
        assert len(file.readlines()) <= 26


# -- keywords from run to run

def metadata_dict(version):
    """A place for METADATA, in both configurations."""
    if version == "2.3":
        return {"settings": {"mail_attribute_dict": "file:%h/attributes"}}
    return {"extra": "mail_attribute {\n  dict file {\n"
                     "    path = %{home}/attributes\n  }\n}\n"}


@pytest.mark.parametrize("where", ["metadata", "file"])
def test_label_keeps_its_keyword(dest, report, where):
    """Whatever labels come later; and the names can be looked up."""
    conf = dest.write_conf(
        f"{dest.dir}/{where}.conf",
        plugins=("migration_imapc", "migration_gmail"),
        **metadata_dict(dest.version) if where == "metadata" else {})
    account, user = Account(), dest.user()
    message = account.add("\\Inbox", "Müller", "work")
    with GmailServer(account) as server:
        def run():
            o = dest.imapc(server, user="user", password="secret")
            o.update(dest.plugin_options({
                "migration_gmail_labels": "keywords",
                "migration_report_path": report}))
            dest.doveadm("backup", "-R", "-u", user.name, "imapc:", o=o,
                         conf=conf).ok()
            with open(report) as file:
                return json.load(file)["gmail_keywords"]
        assert run() == {"Müller": "Muller", "work": "work"}
        # these would have been first
        account.add("\\Inbox", "Muller", "Work")
        assert run() == {
            "Müller": "Muller", "work": "work",
            "Muller": "Muller_a4fd39ff", "Work": "Work_00040bab"}
        run()
    uid = next(mail.uid for mail in account.folders["INBOX"]
               if mail.message is message)
    assert found(user)["INBOX"][uid][1] == {"Muller", "work"}

    if where == "file":
        with open(f"{user.home}/dovecot-migration-gmail-keywords") as file:
            text = file.read()
    else:
        text = dest.doveadm(
            "mailbox", "metadata", "get", "-u", user.name, "-s", "", "/private/"
            "vendor/vendor.dovecot-migration/gmail-keywords", conf=conf
            ).ok().out
        assert not os.path.exists(
            f"{user.home}/dovecot-migration-gmail-keywords")
    assert "Muller\tMüller\n" in text
    assert "Muller_a4fd39ff\tMuller\n" in text


# -- trouble

def test_labels_that_cannot_be_read_are_not_taken_for_none(dest):
    account, user = gmail.sample(30), dest.user()
    with GmailServer(account) as server:
        backup(dest, user, server, policy="both").ok()
    before = snapshot.of(user)

    account.label(account.messages[0], "+Family/Kids")
    refuse = On(r"UID FETCH .*X-GM-LABELS", gmail.OVER_LIMIT)
    with GmailServer(account, faults=[refuse]) as server:
        result = backup(dest, user, server, policy="both")
    assert result.rc == 75
    assert "Account exceeded command or bandwidth limits" in result.err
    after = snapshot.of(user)
    for name, box in before.mailboxes.items():
        assert after.mailboxes[name].mails == box.mails

    with GmailServer(account) as server:
        backup(dest, user, server, policy="both").ok()
    assert found(user) == expected(account, "both")


@pytest.mark.parametrize("command", ["UID FETCH .*X-GM-LABELS",
                                     "UID FETCH .*BODY"])
def test_session_expires(dest, command):
    """Gmail ends a session after some time, whatever it is doing."""
    account, user = gmail.sample(60), dest.user()
    expire = On(command, gmail.SESSION_EXPIRED, times=1, skip=2)
    with GmailServer(account, faults=[expire]) as server:
        backup(dest, user, server, policy="both").ok()
        assert server.connection_count == 2
    assert found(user) == expected(account, "both")


# -- what is said

def test_debug_log_says_what_becomes_of_labels(dest):
    account = Account()
    account.add("\\Inbox", "Two Words", "\\Starred")
    with GmailServer(account) as server:
        result = backup(dest, dest.user(), server, policy="keywords",
                        debug=True).ok()
    for line in ('is Gmail: labels become keywords',
                 'label "Two Words": keyword Two_Words',
                 'label "\\Starred": flag \\Flagged',
                 'mailbox Two Words: not migrated as a folder: its messages '
                 'have the label as a keyword'):
        assert line in result.err


def test_report_lists_labels_and_keywords(dest, report):
    account = Account()
    account.add("\\Inbox", "Müller", "Work")
    with GmailServer(account) as server:
        backup(dest, dest.user(), server, policy="both",
               report=report).ok()
    with open(report) as file:
        assert json.load(file)["gmail_keywords"] == {
            "Müller": "Muller", "Work": "Work"}
