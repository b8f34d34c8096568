# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_imapc_filter_max_size, _since, _before and _flags: mails that are left
alone, whatever becomes of them or of the filter in later runs."""

import calendar
import dataclasses
import json
import os
import random

import pytest

from lab import stepkill
from lab.mailgen import Mail
from lab.scripted import ImapServer

DAY = 24 * 60 * 60
Y2024 = calendar.timegm((2024, 1, 1, 0, 0, 0))


def mail(uid, size=100, flags=(), date=Y2024):
    text = b"Subject: %d\r\nMessage-ID: <%d@x>\r\n\r\n" % (uid, uid)
    return Mail(text + b"x" * (size - len(text) - 2) + b"\r\n", uid=uid,
                flags=flags, date=date)


def run(dest, user, server, *command, user_name="user", **ours):
    report = f"{user.home}/report.json"
    ours = {f"migration_{name}": value for name, value in ours.items()}
    result = dest.doveadm(
        *(command or ("backup", "-R")), "-u", user.name, "imapc:",
        o={**dest.imapc(server, user=user_name, password="secret"),
           **dest.plugin_options({"migration_report_path": report, **ours})})
    assert "Panic" not in result.err, str(result)
    with open(report, encoding="utf-8") as file:
        result.report = json.load(file)
    return result


def findings(result, what):
    return {finding["mailbox"]: finding["why"]
            for finding in result.report["findings"] if finding["what"] == what}


def uids(dest, user, mailbox="INBOX"):
    out = dest.doveadm("-f", "flow", "fetch", "-u", user.name, "uid",
                       "mailbox", mailbox, "all").ok().out
    return [int(line.split("=")[1]) for line in out.splitlines()]


def import_plugin(dest):
    if dest.version == "2.4":
        return {"mail_plugins/migration_import": "yes"}
    return {"mail_plugins": "migration_imapc migration_import"}


def bodies(server):
    return [line for line in server.received if "BODY.PEEK[]" in line]


@pytest.mark.parametrize("driver", ["sdbox", "mdbox", "maildir"])
def test_what_is_left_out_stays_so(dest, driver):
    """And what was brought over stays, too: by another filter, with other flags,
    and without the file that remembers it."""
    ours = dest.user(driver=driver)
    folders = {
        "INBOX": [mail(1), mail(2, size=5000), mail(3, flags=("\\Deleted",)),
                  mail(4, date=Y2024 - 1), mail(5, flags=("\\Seen",)),
                  mail(7, size=1001)],
        "Big": [mail(1, size=2000), mail(2, size=2000)],
        "Small": [mail(1), mail(2)],
        "Empty": [],
    }
    filters = {"imapc_filter_max_size": "1000",
               "imapc_filter_since": "2024-01-01",
               "imapc_filter_flags": "!\\Deleted"}
    with ImapServer(folders) as server:
        first = run(dest, ours, server, **filters)
        assert first.rc == 0, str(first)
        assert uids(dest, ours) == [1, 5] and uids(dest, ours, "Big") == []
        assert uids(dest, ours, "Small") == [1, 2]
        left_out = findings(first, "mails-filtered")
        assert set(left_out) == {"INBOX", "Big"}
        for words in ("2 mails are larger than migration_imapc_filter_max_size",
                      "1 mails are not between migration_imapc_filter_since",
                      "1 mails are not with the flags of"):
            assert words in left_out["INBOX"]
        # no text was asked for that is not wanted
        assert not any("2" in line.split(" ")[2] for line in bodies(server)
                       if line.split(" ")[2] != "1:2"), bodies(server)

        # nothing new: not even a mailbox is selected
        server.received.clear()
        again = run(dest, ours, server, **filters)
        assert again.rc == 0, str(again)
        assert not any("EXAMINE" in line for line in server.received)
        assert findings(again, "mails-filtered") == {
            "INBOX": "left out: 4 mails, as in an earlier run",
            "Big": "left out: 2 mails, as in an earlier run"}

        # flags that change, and new mail
        box = folders["INBOX"]
        box[2] = dataclasses.replace(box[2], flags=("\\Seen",))
        box[4] = dataclasses.replace(box[4], flags=("\\Deleted", "\\Seen"))
        box += [mail(8), mail(9, size=3000)]
        server.received.clear()
        changed = run(dest, ours, server, **filters)
        assert uids(dest, ours) == [1, 5, 8]
        assert len(bodies(server)) == 1
        assert changed.rc == 3, str(changed)
        late = findings(changed, "filtered-mail-wanted")
        assert set(late) == {"INBOX"} and "(UIDs 3)" in late["INBOX"]

        # a wider filter, a narrower one, none: mails keep what was decided
        for filters, count in (({"imapc_filter_max_size": "4k"}, 4),
                               ({"imapc_filter_max_size": "90"}, 0),
                               ({}, 5)):
            result = run(dest, ours, server, **filters)
            assert uids(dest, ours) == [1, 5, 8], filters
            assert uids(dest, ours, "Small") == [1, 2]
            late = findings(result, "filtered-mail-wanted")
            assert result.rc == (3 if late else 0), str(result)
            if count == 0:
                assert not late
            else:
                assert late["INBOX"].startswith(f"{count} mails"), late
        # unchanged, and still told
        result = run(dest, ours, server)
        assert result.rc == 3 and set(findings(
            result, "filtered-mail-wanted")) == {"INBOX", "Big"}

        # what is gone at the source goes, the rest of it is protected
        del box[4]
        os.unlink(f"{ours.home}/.dovecot-migration-record.filtered")
        result = run(dest, ours, server, imapc_filter_max_size="90",
                     max_deletes="1")
        assert result.rc == 0, str(result)
        assert uids(dest, ours) == [1, 8]
        # without the file: what the destination has was not left out
        assert uids(dest, ours, "Small") == [1, 2]


def test_plan_run_verify_and_import(dest):
    """They know the filter; what is wanted after all comes with an import, which
    gives it a UID of its own."""
    ours = dest.user(driver="mdbox")
    folders = {"INBOX": [mail(1), mail(2, size=5000), mail(3),
                         mail(4, flags=("\\Deleted",))],
               "Sent": [mail(1, size=4000), mail(2)]}
    filters = {"imapc_filter_max_size": "1000",
               "imapc_filter_flags": "!\\Deleted"}
    with ImapServer(folders) as server:
        plan = run(dest, ours, server, "migration", "plan", **filters)
        assert plan.rc == 0, str(plan)
        assert plan.report["plan"]["copied"] == 3
        assert set(findings(plan, "mails-filtered")) == {"INBOX", "Sent"}
        assert not os.path.exists(f"{ours.home}/.dovecot-migration-record.filtered")

        assert run(dest, ours, server, **filters).rc == 0
        folders["INBOX"][1] = dataclasses.replace(folders["INBOX"][1],
                                                  flags=("\\Seen",))
        folders["INBOX"][2] = dataclasses.replace(folders["INBOX"][2],
                                                  flags=("\\Deleted",))
        folders["INBOX"].append(mail(5))
        assert run(dest, ours, server, **filters).rc == 0
        for options in ([], ["--full"]):
            verified = run(dest, ours, server, "migration", "verify", *options,
                           **filters)
            assert verified.rc == 0, str(verified)
            assert verified.report["verify"]["mailboxes"][0]["source"]["mails"] == 3
        # without the filter they are missed
        missed = run(dest, ours, server, "migration", "verify")
        assert missed.rc != 0
        assert findings(missed, "filtered-mail-wanted")["INBOX"].startswith(
            "2 mails (UIDs 2,4)")

        wider = run(dest, ours, server, imapc_filter_max_size="10k")
        assert wider.rc == 3 and uids(dest, ours) == [1, 3, 5]
        folders["INBOX"][3] = dataclasses.replace(folders["INBOX"][3], flags=())
        imported = dest.doveadm(
            "import", "-u", ours.name, "imapc:", "", "all",
            o={**dest.imapc(server, user="user", password="secret"),
               **import_plugin(dest)})
        assert imported.rc == 0, str(imported)
        assert uids(dest, ours) == [1, 3, 5, 6, 7]
        assert uids(dest, ours, "Sent") == [2, 3]


def killed_steps(dest):
    """In the gate a sample; the files of memory and record are written among the
    first steps and the last."""
    if "DM_LONG" in os.environ:
        return range(1, 1000)
    return [2, 5, *random.Random(dest.version).sample(range(8, 60), 3)]


def test_killed_at_any_step(dest):
    """Whatever was written of what is left out: the next run leaves out the same,
    and knows it."""
    folders = {"INBOX": [mail(1), mail(2, size=5000), mail(3)],
               "Sent": [mail(1, size=4000), mail(2)]}
    wanted = {"INBOX": [1, 3], "Sent": [2]}
    filters = {"imapc_filter_max_size": "1000"}
    killed = 0
    with ImapServer(folders) as server:
        o = {**dest.imapc(server, user="user", password="secret"),
             **dest.plugin_options({f"migration_{name}": value
                                    for name, value in filters.items()})}
        for step in killed_steps(dest):
            ours = dest.user(driver="sdbox")
            if not stepkill.run(dest, ours, step, "backup", "-R", "-u",
                                ours.name, "imapc:", o=o):
                break
            killed += 1
            assert run(dest, ours, server, **filters).rc == 0, step
            assert {box: uids(dest, ours, box) for box in wanted} == wanted, step
            wider = run(dest, ours, server)
            assert wider.rc == 3, (step, str(wider))
            late = findings(wider, "filtered-mail-wanted")
            assert "(UIDs 2)" in late["INBOX"] and "(UIDs 1)" in late["Sent"]
            assert {box: uids(dest, ours, box) for box in wanted} == wanted, step
    assert killed >= 5


def test_a_selected_mailbox_is_filtered_alike(dest):
    """Gmail's mailboxes are not fetched ahead."""
    ours = dest.user(driver="sdbox")
    folders = {"INBOX": [mail(1), mail(2, size=5000),
                         mail(3, flags=("\\Deleted", "$x")), mail(4),
                         mail(5, date=Y2024 - 1)]}
    filters = {"imapc_filter_max_size": "1000", "imapc_filter_flags": "!$x",
               "imapc_filter_since": "2024-01-01"}
    with ImapServer(folders, capabilities="IMAP4rev1 LITERAL+ SASL-IR "
                    "AUTH=PLAIN NAMESPACE X-GM-EXT-1",
                    extra=lambda _, mail: {"X-GM-MSGID": f"{1000 + mail.uid}"}
                    ) as server:
        result = run(dest, ours, server, **filters)
        assert result.rc == 0, str(result)
        assert uids(dest, ours) == [1, 4]
        assert any("EXAMINE" in line for line in server.received)
        assert len(findings(result, "mails-filtered")) == 1
        folders["INBOX"] += [mail(6), mail(7, size=2000)]
        folders["INBOX"][0] = dataclasses.replace(folders["INBOX"][0],
                                                  flags=("$x",))
        folders["INBOX"][2] = dataclasses.replace(folders["INBOX"][2], flags=())
        result = run(dest, ours, server, **filters)
        assert uids(dest, ours) == [1, 4, 6]
        assert "(UIDs 3)" in findings(result, "filtered-mail-wanted")["INBOX"]


def test_a_filter_that_cannot_be_kept_is_refused(dest):
    """Before anything is written, and with the reason."""
    ours = dest.user(driver="sdbox")
    with ImapServer({"INBOX": [mail(1)]}) as server:
        for command, settings, words in (
                (("backup", "-R"), {"imapc_filter_before": "30d"},
                 "a date that moves"),
                (("backup", "-R"), {"imapc_filter_flags": "\\Recent"},
                 "\\Recent is no flag"),
                (("sync",), {"imapc_filter_max_size": "1k"},
                 "for one direction"),
                (("backup", "-R"), {"imapc_filter_max_size": "1k",
                                    "imapc_record": ""},
                 "migration_imapc_record is empty")):
            result = dest.doveadm(
                *command, "-u", ours.name, "imapc:",
                o={**dest.imapc(server, user="user", password="secret"),
                   **dest.plugin_options({f"migration_{name}": value for
                                          name, value in settings.items()})})
            # what the settings themselves say ends as all wrong settings do
            assert result.rc == (75 if "before" in str(settings) or
                                 "flags" in str(settings) else 64), str(result)
            assert words in result.err, str(result)
            assert uids(dest, ours) == []
