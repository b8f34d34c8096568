# SPDX-License-Identifier: LGPL-2.1-or-later
"""How far a run is: the status file, `doveadm migration status`, the line on a
terminal and the one of each mailbox. A run that hangs in the middle is looked
at, which makes it the same each time."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest

from lab import mailgen, snapshot
from lab.latency import Fault, Link
from lab.scripted import ImapServer, On
from lab.terminal import Terminal

STATUS = "dovecot-migration-status.json"
# the fields of the file that `migration status -f json` shows as they are
SAME = ("user", "state", "command", "location", "host", "pid", "mailbox",
        "mailbox_number", "mails", "bytes", "errors", "warnings", "infos")


@pytest.fixture(scope="module")
def theirs(source):
    user = source.user()
    mailgen.deliver(user, {"INBOX": mailgen.mails(30),
                           "Entwürfe": mailgen.mails(4, seed=3),
                           "Sent": mailgen.mails(6, seed=4)})
    return user


def until(what, read, seconds=60):
    """read() as soon as it is something, which is a matter of a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = read()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: {read()}")


def status_file(user):
    try:
        with open(f"{user.home}/{STATUS}") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def show(dest, *users, rc=0, form="json"):
    words = ["-F", dest.users_file(*users)] if len(users) > 1 else [
        "-u", users[0].name]
    result = dest.doveadm("-f", form, "migration", "status", *words)
    assert result.rc == rc, result
    return json.loads(result.out) if form == "json" else result.out


@contextlib.contextmanager
def hanging(dest, theirs, ours, start=None):
    """A run that gets two thirds of the mails of the old server."""
    texts = sum(mail.size for mailbox in
                snapshot.of(theirs, pop3=False).mailboxes.values()
                for mail in mailbox.mails.values())
    with Link(0) as link:
        port = link.to(theirs.server.ports["imap"],
                       Fault("hang", after_bytes=texts * 2 // 3))
        options = dest.imapc(theirs.server, user=theirs.name, port=port)
        process = start(options) if start else dest.start_doveadm(
            "backup", "-R", "-u", ours.name, "imapc:", o=options,
            stderr=subprocess.PIPE, text=True)
        until("the fault", lambda: link.broken)
        yield process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(30)


def with_mails(user):
    status = status_file(user)
    return status if status and status["mails"] else None


def test_a_run_that_is_killed_and_run_again(dest, theirs, schema):
    ours = dest.user()
    assert status_file(ours) is None
    never, = show(dest, ours, rc=68)
    assert never["state"] == "never" and never["exit_code"] == 68
    with hanging(dest, theirs, ours) as process:
        found = until("mails", lambda: with_mails(ours))
        schema("status.schema.json", found)
        assert found["state"] == "running"
        assert found["pid"] == process.pid
        assert (found["mailboxes"], found["mails_total"]) == (3, 40)
        assert found["mailbox"] in ("INBOX", "Entwürfe", "Sent")
        assert 0 < found["mails"] <= 40
        assert found["exit_code"] is None and found["finished"] is None
        # it says that it is alive, though nothing happens
        later = until("an update", lambda: status_file(ours)["updated"] >
                      found["updated"] and status_file(ours))
        assert later["mails"] == found["mails"]

        shown, = show(dest, ours)
        schema("status-command.schema.json", [shown])
        later = status_file(ours)
        assert {name: shown[name] for name in SAME} == {
            name: later[name] for name in SAME}
        assert shown["next"] == "It is under way."

        process.send_signal(signal.SIGKILL)
        process.wait(30)
    # the file says that it is running, and nobody is
    assert status_file(ours)["state"] == "running"
    shown, = show(dest, ours, rc=75)
    assert shown["state"] == "died"
    assert shown["next"].startswith("Run it again")

    result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                          o=dest.imapc(theirs.server, user=theirs.name)).ok()
    # nobody looks at a terminal
    assert "\033" not in result.err and "%" not in result.err
    assert snapshot.of(ours, pop3=False) == snapshot.of(theirs, pop3=False)
    found = status_file(ours)
    schema("status.schema.json", found)
    assert found["state"] == "finished" and found["exit_code"] == 0
    assert found["mails"] == found["mails_total"] == 40
    assert found["mailbox_number"] == found["mailboxes"] == 3
    assert found["eta_secs"] is None
    assert [name for name in os.listdir(ours.home) if ".tmp." in name] == []

    shown, = show(dest, ours)
    assert (shown["state"], shown["exit_code"]) == ("finished", 0)
    # formats for people
    flow = show(dest, ours, form="flow")
    assert re.search(r"state=finished .*mails=40 mails_total=40 ", flow)
    table = dest.doveadm("migration", "status", "-u", ours.name).ok().out
    head, line = table.splitlines()
    assert head.split() == ["user", "state", "mailbox", "mails", "rate", "end",
                            "wait", "findings", "next"]
    assert re.match(rf"{ours.name} +finished +40/40 +0/0/0 +The next run: ",
                    line)

    # a second run passes the same mailboxes, and saves nothing
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o=dest.imapc(theirs.server, user=theirs.name)).ok()
    found = status_file(ours)
    assert found["mails"] == found["mails_total"] == 40
    assert found["bytes"] == 0


def test_several_users_and_reports_alone(dest, source, theirs, folder):
    """The worst counts. Without a status file the report tells it."""
    done, silent, never = dest.user(), dest.user(), dest.user()
    o = dest.imapc(source, user=theirs.name)
    dest.doveadm("backup", "-R", "-u", done.name, "imapc:", o=o).ok()
    dest.doveadm("backup", "-R", "-u", silent.name, "imapc:",
                 o={**o, **dest.plugin_options({
                     "migration_status_path": "",
                     "migration_report_path":
                         "~/dovecot-migration-report.json"})}).ok()
    assert status_file(silent) is None
    rows = show(dest, done, silent, never, rc=68)
    assert [(row["user"], row["state"]) for row in rows] == [
        (done.name, "finished"), (silent.name, "finished"),
        (never.name, "never")]
    assert rows[1]["command"] == "backup" and rows[1]["exit_code"] == 0

    # a file that is damaged is named
    with open(f"{done.home}/{STATUS}", "w") as file:
        file.write('{"status_version": 1, "sta')
    result = dest.doveadm("migration", "status", "-u", done.name)
    assert result.rc == 65, result
    assert f"{done.home}/{STATUS} is damaged" in result.err


def test_status_that_cannot_be_written(dest, source, theirs):
    """One error, and the mails are there."""
    ours = dest.user()
    options = dest.plugin_options(
        {"migration_status_path": "/proc/nowhere/status.json"})
    result = dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                          o={**dest.imapc(source, user=theirs.name),
                             **options}).ok()
    assert result.err.count("(migration_status_path)") == 1
    result = dest.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:",
        o={**dest.imapc(source, user=theirs.name), **dest.plugin_options(
            {"migration_status_path": "status.json"})})
    assert result.rc != 0
    assert "migration_status_path must begin with / or ~/" in result.err


def test_verbose_names_each_mailbox(dest, source, theirs):
    ours = dest.user()
    result = dest.doveadm("-v", "backup", "-R", "-u", ours.name, "imapc:",
                          o=dest.imapc(source, user=theirs.name)).ok()
    lines = re.findall(r"Mailbox (\S+): (\d+) mails at the source, (\d+) saved, "
                       r"(\d+) deleted$", result.err, re.M)
    assert sorted(lines) == [("Entwürfe", "4", "4", "0"),
                             ("INBOX", "30", "30", "0"),
                             ("Sent", "6", "6", "0")]


@pytest.mark.parametrize("command", [("import", "imapc:", "", "ALL")],
                         ids=["import"])
def test_import(dest, source, theirs, command):
    ours = dest.user()
    dest.doveadm("import", "-u", ours.name, *command[1:],
                 o=dest.imapc(source, user=theirs.name)).ok()
    found = status_file(ours)
    assert found["command"] == "import" and found["mailbox_number"] == 3
    assert found["mails"] == 40 and found["mails_total"] is None


def on_terminal(dest, theirs, ours, terminal, *words):
    def start(options):
        arguments = [word for key, value in options.items()
                     for word in ("-o", f"{key}={value}")]
        terminal.run(dest.command_line(*words, *arguments, "backup", "-R", "-u",
                                       ours.name, "imapc:"))
    return hanging(dest, theirs, ours, start)


def test_line_on_a_terminal(dest, theirs):
    ours = dest.user()
    full = re.compile(r"\d+% \[#*\.*\] [123]/3 \S+ \d+/40 mails \S+/s "
                      r".*(ETA \S+)$")
    with Terminal(100) as terminal:
        with on_terminal(dest, theirs, ours, terminal):
            line = until("the line", lambda: full.search(terminal.line()))
            assert line.group().count("ETA") == 1
            # narrow, and wide again: one line, whatever the width is
            terminal.resize(24)
            until("a narrow line", lambda: re.search(
                r"^ *\d+% [123]/3 .*ETA \S+$", terminal.line()))
            assert len(terminal.line()) < 24
            terminal.resize(100)
            until("a wide line", lambda: full.search(terminal.line()))
            terminal.press("C-c")
            # log lines are whole, the line is gone
            shown = until("the end", lambda: re.search(
                r"Info: backup imapc: of", terminal.text()) and
                terminal.text())
        until("the shell", terminal.is_done)
        for text in terminal.text().splitlines():
            assert "ETA" not in text or "Info" not in text
    assert status_file(ours)["exit_code"] == 75, shown


def test_no_line_where_it_would_disturb(dest, theirs):
    """-D, and migration_progress = no."""
    for words in (["-D"], [word for key, value in dest.plugin_options(
            {"migration_progress": "no"}).items()
            for word in ("-o", f"{key}={value}")]):
        ours = dest.user()
        with Terminal(100) as terminal:
            with on_terminal(dest, theirs, ours, terminal, *words):
                found = until("mails", lambda: with_mails(ours))
                until("an update", lambda: status_file(ours)["updated"] >
                      found["updated"])
                assert "/40 mails" not in terminal.text()


def test_waiting(dest):
    """A server throttles: status says so, and for how long."""
    ours = dest.user()
    with ImapServer({"INBOX": mailgen.mails(3)}, faults=[On(
            "LOGIN", "BAD Request is throttled. Suggested Backoff Time: 60000 "
            "milliseconds", times=1)]) as server:
        process = dest.start_doveadm(
            "backup", "-R", "-u", ours.name, "imapc:",
            o=dest.imapc(server, user="user", password="secret"),
            stderr=subprocess.DEVNULL)
        until("the wait", lambda: (status_file(ours) or {}).get("wait"))
        shown, = show(dest, ours)
        assert shown["state"] == "waiting"
        assert re.fullmatch(r"server throttles, [56]\d s", shown["wait"])
        # a signal is not kept waiting
        process.terminate()
        assert process.wait(10) == 75
    assert status_file(ours)["state"] == "finished"
    assert status_file(ours)["wait"] == ""


def test_progress_in_a_log(dest, source, theirs):
    ours = dest.user()
    result = dest.doveadm(
        "backup", "-R", "-u", ours.name, "imapc:",
        o={**dest.imapc(source, user=theirs.name),
           **dest.plugin_options({"migration_progress": "yes"})}).ok()
    assert "\033" not in result.err and "\r" not in result.err
    assert len(re.findall(rf"Info: {ours.name} \d+ mails \S+/s$", result.err,
                          re.M)) == 1
