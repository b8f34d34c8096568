# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report of a run: its documented fields, its place, its exit code, and
that no secret is in it."""

import glob
import json
import os
import re
import stat

import pytest

from lab import mailgen

DOC = f"{os.environ['DM_SRC']}/doc"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def documented(file, head):
    """The names in the first column of the table after a line of the doc."""
    text = open(f"{DOC}/{file}").read()
    table = text[text.index(head):].split("\n| --- ", 1)[1].split("\n\n")[0]
    names = []
    for line in table.splitlines()[1:]:
        names += re.findall(r"`([\w.-]+)`", line.split("|")[1])
    return names


@pytest.fixture
def theirs(source):
    user = source.user()
    mailgen.deliver(user, {"INBOX": mailgen.mails(4),
                           "Sent": mailgen.mails(2)})
    return user


def run(dest, source, theirs, ours, path, *command, **settings):
    return dest.doveadm(*command, "-u", ours.name, *(
        ["imapc:", "", "ALL"] if command[0] == "import" else ["imapc:"]),
        o={**dest.imapc(source, user=theirs.name), **settings,
           **dest.plugin_options({"migration_report_path": path})})


def read(path):
    with open(path) as file:
        text = file.read()
    return text, json.loads(text)


@pytest.mark.parametrize("command", [("backup", "-R"), ("sync", "-1R"),
                                     ("import",), ("migration", "verify")],
                         ids=lambda words: words[0])
def test_fields(source, dest, theirs, command, schema):
    ours = dest.user()
    path = f"{ours.home}/report.json"
    if command[0] == "migration":
        run(dest, source, theirs, ours, "", "backup", "-R").ok()
        assert glob.glob(f"{ours.home}/*report*.json") == []
    run(dest, source, theirs, ours, path, *command).ok()

    text, report = read(path)
    schema("report.schema.json", report)
    fields = documented("report.md", "## The report")
    # each command of ours has its own section, and some come when needed
    for section in ("verify", "uidl", "plan", "failure", "continue_after",
                    "special_use_missing", "not_carried"):
        assert section in fields
        if section not in command:
            fields.remove(section)
    assert list(report) == fields
    assert list(report["counters"]) == documented("report.md", "### Counters")
    assert all(isinstance(n, int) for n in report["counters"].values())
    assert report["report_version"] == 1
    assert report["user"] == ours.name
    assert report["command"] == " ".join(
        command if command[0] == "migration" else command[:1])
    assert report["location"] == "imapc:"
    assert report["exit_code"] == 0
    assert report["findings"] == [] and report["findings_omitted"] == 0
    assert report["finding_counts"] == {"info": 0, "warning": 0, "error": 0}
    assert re.fullmatch(TIME, report["started"])
    assert re.fullmatch(TIME, report["finished"])
    assert report["started"] <= report["finished"]
    assert report["dovecot"].startswith(dest.version)
    assert source.master_password not in text
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(ours.home).count("report.json") == 1
    assert [name for name in os.listdir(ours.home) if ".tmp." in name] == []


def test_failure_says_what_to_do(source, dest, theirs, schema):
    ours = dest.user()
    path = f"{ours.home}/report.json"
    result = run(dest, source, theirs, ours, path, "backup", "-R",
                 imapc_password="wrong")
    assert result.rc == 77, result
    report = read(path)[1]
    schema("report.schema.json", report)
    assert "Authentication failed" in report["failure"]["error"]
    assert "doveadm migration auth-test" in report["failure"]["to_do"]
    assert f"to do: {report['failure']['to_do']}" in result.err


def test_verify_section(source, dest, theirs, schema):
    ours = dest.user()
    run(dest, source, theirs, ours, "", "backup", "-R").ok()
    dest.doveadm("expunge", "-u", ours.name, "mailbox", "INBOX", "uid",
                 "3").ok()
    result = run(dest, source, theirs, ours, "~/report.json", "migration",
                 "verify")
    assert result.rc == 3, result

    report = read(f"{ours.home}/report.json")[1]
    schema("report.schema.json", report)
    assert report["exit_code"] == 3
    assert report["finding_counts"]["error"] == 1
    [finding] = report["findings"]
    assert list(finding) == documented("report.md", "### Findings")
    assert {key: finding[key] for key in ("severity", "mailbox", "uid", "what")
            } == {"severity": "error", "mailbox": "INBOX", "uid": 3,
                  "what": "mail-missing"}
    assert report["counters"]["mails_compared"] == 6

    section = report["verify"]
    assert list(section) == ["equal", "sample_percent", "allow_extra", "texts",
                             "hints", "mailboxes"]
    assert section["equal"] is False
    assert list(section["hints"]) == ["mail-missing"]
    assert section["hints"]["mail-missing"] in result.err
    assert "NOT equal: 1 of 2" in result.err
    boxes = {box["mailbox"]: box for box in section["mailboxes"]}
    assert list(boxes["INBOX"]) == documented("verify.md", "## In the report")
    assert boxes["INBOX"]["differences"] == {"mail-missing": 1}
    assert boxes["INBOX"]["source"]["mails"] == 4
    assert boxes["INBOX"]["destination"]["mails"] == 3
    sent = boxes["Sent"]
    assert sent["equal"] is True and sent["differences"] == {}
    assert sent["source"] == sent["destination"]
    assert re.fullmatch(r"[0-9a-f]{64}", sent["source"]["digest"])

    # the digest is a record: the same again, and another after a change
    run(dest, source, theirs, ours, "~/again.json", "migration", "verify")
    again = {box["mailbox"]: box for box in
             read(f"{ours.home}/again.json")[1]["verify"]["mailboxes"]}
    assert again == boxes
    dest.doveadm("flags", "add", "-u", ours.name, "\\Draft", "mailbox",
                 "Sent", "uid", "1").ok()
    run(dest, source, theirs, ours, "~/third.json", "migration", "verify")
    third = {box["mailbox"]: box for box in
             read(f"{ours.home}/third.json")[1]["verify"]["mailboxes"]}
    assert third["Sent"]["source"] == sent["source"]
    assert third["Sent"]["destination"]["digest"] != sent["source"]["digest"]


def test_every_difference_has_its_word_in_the_guide(source, dest, theirs):
    """parity.c's words and verify.md's."""
    text = open(f"{os.environ['DM_SRC']}/src/lib-migration/parity.c").read()
    table = text[text.index("kind_findings[]"):].split("};")[0]
    words = [name.lower().replace("_", "-") for name in
             re.findall(r"= FINDING_(\w+)", table)]
    assert len(words) > 10
    assert set(words) <= set(documented("verify.md", "## What it finds"))


def test_place(source, dest, theirs):
    """~/ is the user's home, %{user} the user, and folders are made."""
    ours = dest.user()
    conf = dest.write_conf(
        f"{dest.dir}/place.conf", settings=dest.imapc(source, theirs.name),
        plugin_settings={"migration_report_path": "~/a/b/%{user}.json"})
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", conf=conf).ok()
    report = read(f"{ours.home}/a/b/{ours.name}.json")[1]
    assert report["user"] == ours.name


def test_the_default_place(source, dest, theirs):
    ours = dest.user()
    path = f"{ours.home}/dovecot-migration-report.json"
    o = dest.imapc(source, user=theirs.name)
    # a dsync without our plugins is none of our business, nor is verify
    dest.doveadm("-o", "mail_plugins=", "backup", "-R", "-u", ours.name,
                 "imapc:", o=o).ok()
    dest.doveadm("migration", "verify", "-u", ours.name, "imapc:", o=o).ok()
    assert not os.path.exists(path)
    result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o=o).ok()
    assert read(path)[1]["result"] == "complete"
    assert "dovecot-migration-report" not in result.err


def test_no_report(source, dest, theirs):
    ours = dest.user()
    run(dest, source, theirs, ours, "", "backup", "-R").ok()
    assert glob.glob(f"{ours.home}/*report*.json") == []


def test_one_line(source, dest, theirs):
    """Each run ends with it, a good one too."""
    ours = dest.user()
    result = run(dest, source, theirs, ours, "", "backup", "-R").ok()
    assert len(re.findall(rf"Info: backup imapc: of {ours.name}: \d+\.\d s, "
                          r"2 mailboxes, 6 mails, 6 fetched, .*6 saved.*, "
                          r"0 findings: complete$", result.err, re.M)) == 1
    result = dest.doveadm("-o", "mail_plugins=", "backup", "-R", "-u",
                          ours.name, "imapc:",
                          o=dest.imapc(source, user=theirs.name)).ok()
    assert "findings" not in result.err


def test_numbers_of_each_mailbox(source, dest, theirs):
    ours = dest.user()
    path = f"{ours.home}/r.json"
    run(dest, source, theirs, ours, path, "backup", "-R").ok()
    boxes = read(path)[1]["mailboxes"]
    assert [list(box) for box in boxes] == [
        documented("report.md", "### Mailboxes")] * 2
    assert sorted(tuple(box.values()) for box in boxes) == [
        ("INBOX", 4, 4, 0), ("Sent", 2, 2, 0)]
    mailgen.append(theirs, "Sent", mailgen.mails(1, seed=5))
    source.doveadm("expunge", "-u", theirs.name, "mailbox", "INBOX", "uid",
                   "2").ok()
    limit = dest.plugin_options({"migration_max_deletes": 1,
                                 "migration_report_path": path})
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o={**dest.imapc(source, user=theirs.name), **limit}).ok()
    report = read(path)[1]
    assert sorted(tuple(box.values()) for box in report["mailboxes"]) == [
        ("INBOX", 3, 0, 1), ("Sent", 3, 1, 0)]
    assert report["counters"]["mails_saved"] == 1
    assert report["counters"]["mails_expunged"] == 1


def test_verbose_summary(source, dest, theirs):
    """-v shows the line of a dsync without our plugins, too."""
    ours = dest.user()
    result = dest.doveadm("-v", "-o", "mail_plugins=", "backup", "-R", "-u", ours.name, "imapc:",
                          o=dest.imapc(source, user=theirs.name)).ok()
    assert re.search(rf"backup imapc: of {ours.name}: \d+\.\d s.* 0 findings",
                     result.err)


def test_report_that_cannot_be_written(source, dest, theirs):
    """The mails are there: the exit code stays."""
    ours = dest.user()
    result = run(dest, source, theirs, ours, "/proc/nowhere/r.json", "backup",
                 "-R")
    assert result.rc == 0, result
    assert "migration_report_path" in result.err
    assert "/proc/nowhere" in result.err


def test_path_must_be_absolute(source, dest, theirs):
    ours = dest.user()
    result = run(dest, source, theirs, ours, "report.json", "backup", "-R")
    assert result.rc in (75, 78, 89), result
    assert "migration_report_path must begin with / or ~/" in result.err
    assert glob.glob(f"{ours.mail_path}/mailboxes/*/*/u.*") == []


def test_failed_run_has_a_report(source, dest, theirs):
    ours = dest.user()
    result = run(dest, source, theirs, ours, "~/report.json", "backup", "-R",
                 imapc_password="wrong-one")
    assert result.rc in (75, 77), result
    text, report = read(f"{ours.home}/report.json")
    assert report["exit_code"] == result.rc
    assert "wrong-one" not in text


@pytest.mark.parametrize("command", [("backup", "-R"), ("sync", "-1R")],
                         ids=lambda words: words[0])
def test_no_crash_when_the_source_cannot_be_opened(dest, command):
    """Stock 2.3 panics after the error."""
    ours = dest.user()
    result = dest.doveadm(*command, "-u", ours.name, "nonsense:")
    assert result.rc in (75, 78), result
    assert "nonsense" in result.err and "Panic" not in result.err


def test_each_user_starts_from_zero(source, dest, folder):
    """-F: one user's findings and exit code are not the next one's."""
    users = []
    for _ in range(3):
        theirs = source.user()
        mailgen.deliver(theirs, {"INBOX": mailgen.mails(2)})
        users.append(dest.user(theirs.name))
    conf = dest.write_conf(
        f"{folder}/dovecot.conf", settings=dest.imapc(source),
        plugin_settings={"migration_report_path": "~/%{user}.json"})
    listed = dest.users_file(*users)
    dest.doveadm("backup", "-R", "-F", listed, "imapc:", conf=conf).ok()
    dest.doveadm("expunge", "-u", users[0].name, "mailbox", "INBOX", "uid",
                 "1").ok()

    result = dest.doveadm("migration", "verify", "-F", listed, "imapc:",
                          conf=conf)
    assert result.rc == 3, result
    reports = [read(f"{user.home}/{user.name}.json")[1] for user in users]
    assert [report["user"] for report in reports] == [
        user.name for user in users]
    assert [report["exit_code"] for report in reports] == [3, 0, 0]
    assert [len(report["findings"]) for report in reports] == [1, 0, 0]
    assert [report["counters"]["mails_compared"] for report in reports] == [
        2, 2, 2]


def test_events(source, dest, theirs):
    """Named events with their documented fields, and no secret in them."""
    ours = dest.user()
    run(dest, source, theirs, ours, "", "backup", "-R").ok()
    dest.doveadm("expunge", "-u", ours.name, "mailbox", "INBOX", "uid",
                 "3").ok()
    result = dest.doveadm(
        "migration", "verify", "-u", ours.name, "imapc:", debug=True,
        o={**dest.imapc(source, user=theirs.name)})
    lines = [line for line in result.err.splitlines() if "migration: " in line]
    for text in ("Run of migration verify imapc: started",
                 "Finding (error, mail-missing): Mailbox INBOX: UID 3: ",
                 "Mailbox Sent: 2 mails at the source, 2 at the destination, "
                 "2 texts compared: equal",
                 "Exit code 3: done, except for what the findings list",
                 "Run of migration verify imapc: finished with exit code 3"):
        assert len([line for line in lines if text in line]) == 1, (text, lines)
    assert source.master_password not in "".join(lines)


def test_every_event_is_documented():
    names = set()
    for path in glob.glob(f"{os.environ['DM_SRC']}/src/**/*.c",
                          recursive=True):
        with open(path) as file:
            names |= set(re.findall(r'set_name\("([^"]+)"', file.read()))
    assert "migration_run_finished" in names
    assert names == set(documented("events.md", "# Events"))
