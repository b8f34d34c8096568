# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d's metrics, scraped from a real stats process, say what runs did."""

import os
import re
import time
import urllib.request

import pytest

from lab import Dovecot, mailgen, places
from lab.scripted import ImapServer, On

NAMES = ("runs_started", "runs", "mailboxes", "findings", "retries", "waits",
         "logins", "tokens")


@pytest.fixture(scope="module")
def here(version, ca):
    port = places.free_port()
    with open(f"{os.environ['DM_SRC']}/conf.d/{version}/"
              "migration-metrics.conf") as file:
        text = file.read()
    assert text.count("port = 9900\n") == 1
    with Dovecot(version, ca=ca, driver="sdbox", plugins=("migration_imapc",),
                 extra=text.replace("9900", str(port))) as server:
        server.metrics_port = port
        yield server


def scrape(server):
    """{name: {labels: value}}"""
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=30) as reply:
        text = reply.read().decode()
    assert text.endswith("# EOF\n")
    found = {}
    for name, labels, value in re.findall(
            r"^dovecot_migration_(\w+?)(?:\{(.*)\})? (\S+)$", text, re.M):
        found.setdefault(name, {})[labels] = float(value)
    return found


def test_scrape(here, source):
    theirs = source.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(5),
                             "Sent": mailgen.mails(2)})
    ours, waiting, refused = here.user(), here.user(), here.user()
    here.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o=here.imapc(source, user=theirs.name)).ok()
    here.doveadm("expunge", "-u", ours.name, "mailbox", "Sent", "uid",
                 "1").ok()
    assert here.doveadm("migration", "verify", "-u", ours.name, "imapc:",
                        o=here.imapc(source, user=theirs.name)).rc == 3
    with ImapServer({"INBOX": mailgen.mails(1)}, faults=[On(
            "LOGIN", "BAD Request is throttled. Suggested Backoff Time: 50 "
            "milliseconds", times=1)]) as server:
        here.doveadm("backup", "-R", "-u", waiting.name, "imapc:",
                     o=here.imapc(server, user="user", password="secret")).ok()
        assert here.doveadm(
            "backup", "-R", "-u", refused.name, "imapc:",
            o=here.imapc(server, user="user", password="wrong")).rc == 77

    # events reach the process a moment after doveadm's end
    end = time.monotonic() + 30
    while True:
        found = scrape(here)
        if sum(found.get("runs_total", {}).values()) >= 4 or \
                time.monotonic() > end:
            break
        time.sleep(0.05)
    runs = found["runs_total"]
    assert runs['command="backup",exit_code="0"'] == 2
    assert runs['command="backup",exit_code="77"'] == 1
    assert runs['command="migration verify",exit_code="3"'] == 1
    assert found["runs_started_total"][""] == 4
    assert found["mailboxes_total"][""] == 3
    assert found["findings_total"][
        'severity="error",what="mail-missing"'] == 1
    assert found["retries_total"]['meaning="throttled"'] == 1
    assert found["waits_total"]['cause="throttled"'] == 1
    assert sum(found["logins_total"].values()) >= 4
    # what the fields add up to
    dump = here.doveadm("stats", "dump").ok().out
    assert all(f"migration_{name}\t" in dump for name in NAMES)
    sums = {tuple(row[:2]): int(row[3]) for row in (
        line.split("\t") for line in dump.splitlines()[1:])}
    assert sums["migration_runs", "mails_saved"] == 8
    assert sums["migration_mailboxes", "saved"] == 8
    assert sums["migration_runs", "findings_error"] == 1
