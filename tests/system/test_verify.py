# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm migration verify: finds every change of the destination, finds none
where there is none, and says clearly when it could not compare."""

import csv
import glob
import io
import json
import os
import re

import pytest

import lab
from lab import mailgen
from lab.latency import Fault, Link

EQUAL, DIFFERENT = 0, 3
USAGE, NO_USER, TEMPORARY, REFUSED, CONFIG = 64, 67, 75, 77, 78

# seven mails: enough for each test, and all of them are in the sample
FOLDERS = {"INBOX": 7, "Sent": 3, "Entwürfe & Übriges": 2, "Empty": 0,
           "Archive": 1, "Archive/2024": 2}


def folders():
    return {name: mailgen.mails(count, seed=name)
            for name, count in FOLDERS.items()}


@pytest.fixture
def pair(source, dest):
    """A migrated user: (theirs, ours, settings that reach the source)."""
    theirs, ours = source.user(), dest.user()
    mailgen.deliver(theirs, folders())
    settings = dest.imapc(source, user=theirs.name)
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o=settings).ok()
    return theirs, ours, settings


def verify(dest, user, settings, *args, form="json", **kwargs):
    return dest.doveadm("-f", form, "migration", "verify", "-u", user.name,
                        *args, "imapc:", o=settings, **kwargs)


def rows(result):
    return {row["mailbox"]: row for row in json.loads(result.out)}


def details(dest, user, settings, *args):
    """The differences, (mailbox, UID, what) -> row."""
    result = verify(dest, user, settings, "--details", *args)
    return result, {(row["mailbox"], int(row["uid"]), row["what"]): row
                    for row in json.loads(result.out)}


def doveadm(user, *args):
    """doveadm's commands of two words take their options after both."""
    words = 2 if args[0] in ("mailbox", "flags") else 1
    return user.server.doveadm(*args[:words], "-u", user.name,
                               *args[words:]).ok()


# -- equal

def test_a_migrated_user_is_equal(dest, pair):
    _, ours, settings = pair
    result = verify(dest, ours, settings)
    assert result.rc == EQUAL, result
    assert {name: (int(row["source"]), int(row["destination"]), row["result"])
            for name, row in rows(result).items()} == {
        name: (count, count, "equal") for name, count in FOLDERS.items()}
    assert "15 compared" in result.err and "0 findings" in result.err
    assert "Everything that was compared is equal" in result.err


def test_sample_and_full(dest, source):
    theirs, ours = source.user(), dest.user()
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(60, size=50)})
    settings = dest.imapc(source, user=theirs.name)
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o=settings).ok()
    for args, texts in [((), 10), (("--sample", "50"), 30),
                        (("-s", "0"), 0), (("--full",), 60), (("-f",), 60)]:
        result = verify(dest, ours, settings, *args)
        assert result.rc == EQUAL, result
        assert int(rows(result)["INBOX"]["texts"]) == texts, args


@pytest.mark.parametrize("form", ["table", "flow", "tab", "pager"])
def test_printers(dest, pair, form):
    _, ours, settings = pair
    result = verify(dest, ours, settings, form=form)
    assert result.rc == EQUAL, result
    assert result.out.count("equal") == len(FOLDERS)
    assert "Entwürfe & Übriges" in result.out
    if form == "tab":
        table = list(csv.DictReader(io.StringIO(result.out), delimiter="\t"))
        assert {row["Mailbox"] for row in table} == set(FOLDERS)


def test_table_is_the_default(dest, pair):
    _, ours, settings = pair
    result = dest.doveadm("migration", "verify", "-u", ours.name, "imapc:",
                          o=settings)
    head, *lines = result.out.splitlines()
    assert head.split() == ["Mailbox", "Source", "Dest", "Texts", "Result"]
    assert sorted(line.rsplit(None, 4)[0].strip()
                  for line in lines) == sorted(FOLDERS)


def test_masks(dest, pair):
    _, ours, settings = pair
    assert set(rows(verify(dest, ours, settings, "-m", "Archive*",
                           "-m", "Sent"))) == {"Archive", "Archive/2024",
                                               "Sent"}
    assert set(rows(verify(dest, ours, settings, "-x", "Archive*",
                           "-x", "INBOX"))) == {"Sent", "Empty",
                                                "Entwürfe & Übriges"}


def test_the_source_is_not_touched(dest, pair):
    theirs, ours, settings = pair
    before = doveadm(theirs, "fetch", "uid flags", "all").out
    assert verify(dest, ours, settings, "--full").rc == EQUAL
    assert doveadm(theirs, "fetch", "uid flags", "all").out == before
    assert "\\Recent" not in doveadm(ours, "fetch", "flags", "all").out


# -- each kind of difference

def extra_mail(user):
    dest_mail = b"Subject: x\r\n\r\nnew\r\n"
    mailgen.append(user, "INBOX", [mailgen.Mail(dest_mail)])


CHANGES = [
    # what verify says, mailbox, UID, how the destination is changed
    ("mail-extra", "INBOX", 8, extra_mail),
    ("mail-missing", "INBOX", 3, lambda user: doveadm(
        user, "expunge", "mailbox", "INBOX", "uid", "3")),
    ("flags", "Sent", 2, lambda user: doveadm(
        user, "flags", "add", "\\Draft", "mailbox", "Sent", "uid", "2")),
    ("keywords", "Sent", 1, lambda user: doveadm(
        user, "flags", "add", "MyOwn", "mailbox", "Sent", "uid", "1")),
    ("mailbox-missing", "Archive/2024", 0, lambda user: doveadm(
        user, "mailbox", "delete", "Archive/2024")),
    ("mailbox-extra", "Mine", 0, lambda user: doveadm(
        user, "mailbox", "create", "Mine")),
    ("subscription", "Sent", 0, lambda user: doveadm(
        user, "mailbox", "unsubscribe", "Sent")),
    ("subscription", "Nowhere", 0, lambda user: doveadm(
        user, "mailbox", "subscribe", "Nowhere")),
    ("uidvalidity", "Sent", 0, lambda user: doveadm(
        user, "mailbox", "update", "--uid-validity", "77", "Sent")),
]


@pytest.mark.parametrize("what, mailbox, uid, change", CHANGES,
                         ids=[f"{c[0]}-{c[1]}" for c in CHANGES])
def test_change_is_found(dest, pair, what, mailbox, uid, change):
    _, ours, settings = pair
    change(ours)
    result, found = details(dest, ours, settings)
    assert result.rc == DIFFERENT, result
    different = {key for key, row in found.items()
                 if row["weight"] == "different"}
    if what == "mailbox-missing":
        # deleting a mailbox removes its subscription
        different.discard((mailbox, 0, "subscription"))
    assert different == {(mailbox, uid, what)}
    assert what in result.err

    # and the table says the same
    table = rows(verify(dest, ours, settings))
    assert f"1 {what}" in table[mailbox]["result"]
    assert [name for name, row in table.items()
            if not row["result"].startswith("equal")] == [mailbox]


def test_extra_is_allowed_on_demand(dest, pair):
    _, ours, settings = pair
    extra_mail(ours)
    doveadm(ours, "mailbox", "create", "-s", "Mine")
    assert verify(dest, ours, settings).rc == DIFFERENT
    result = verify(dest, ours, settings, "--allow-extra")
    assert result.rc == EQUAL, result
    assert rows(result)["INBOX"]["result"] == "equal (expected: 1 mail-extra)"

    doveadm(ours, "expunge", "mailbox", "INBOX", "uid", "2")
    assert verify(dest, ours, settings, "--allow-extra").rc == DIFFERENT


def stored_files(user, mailbox):
    return sorted(glob.glob(
        f"{user.mail_path}/mailboxes/{mailbox}/dbox-Mails/u.*"))


def test_a_changed_byte_of_a_text_is_found(dest, pair):
    _, ours, settings = pair
    path = stored_files(ours, "INBOX")[4]
    with open(path, "rb") as file:
        data = file.read()
    position = data.index(b"\n\n") + 40
    assert data[position:position + 1].isalpha()
    with open(path, "wb") as file:
        file.write(data[:position] + data[position:position + 1].swapcase() +
                   data[position + 1:])
    result, found = details(dest, ours, settings)
    assert result.rc == DIFFERENT, result
    assert set(found) == {("INBOX", int(path.rsplit(".", 1)[1]), "text")}
    # no text is read: nothing is seen
    assert verify(dest, ours, settings, "--sample", "0").rc == EQUAL


def test_a_changed_date_and_size_are_found(source, dest):
    """A Maildir destination: its files can be changed by hand."""
    theirs, ours = source.user(), dest.user(driver="maildir")
    mailgen.deliver(theirs, {"INBOX": mailgen.mails(3, flags=False)})
    settings = dest.imapc(source, user=theirs.name)
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o=settings).ok()
    assert verify(dest, ours, settings).rc == EQUAL

    paths = sorted(glob.glob(f"{ours.mail_path}/[cn][ue][rw]/*"),
                   key=lambda path: maildir_uid(ours, path))
    os.utime(paths[0], (1, 1))
    lengthen_maildir_mail(ours, paths[1], b"one more line\n")
    # Dovecot remembers dates and sizes
    for path in glob.glob(f"{ours.mail_path}/dovecot.index*"):
        os.unlink(path)

    result, found = details(dest, ours, settings, "--full")
    assert result.rc == DIFFERENT, result
    assert {key for key, row in found.items()
            if row["weight"] == "different"} >= {
        ("INBOX", 1, "date"), ("INBOX", 2, "text"), ("INBOX", 2, "size")}
    assert not [key for key in found if key[1] == 3]


def maildir_base(path):
    return os.path.basename(path).split(":")[0]


def maildir_uid(user, path):
    with open(f"{user.mail_path}/dovecot-uidlist") as file:
        for line in file:
            if line.rstrip().endswith(f":{maildir_base(path)}"):
                return int(line.split()[0])
    raise AssertionError(f"{path} is not in the uidlist")


def lengthen_maildir_mail(user, path, line):
    """A file's name tells its size, and the uidlist tells its name."""
    with open(path, "ab") as file:
        file.write(line)
    old = maildir_base(path)
    new = re.sub(r"([SW])=(\d+)", lambda match: "{}={}".format(
        match[1], int(match[2]) + len(line) + (match[1] == "W")), old)
    assert new != old
    os.rename(path, path.replace(old, new))
    uidlist = f"{user.mail_path}/dovecot-uidlist"
    with open(uidlist) as file:
        text = file.read()
    with open(uidlist, "w") as file:
        file.write(text.replace(old, new))


# -- odd mailboxes and mails

def test_no_mail_at_all(source, dest):
    theirs, ours = source.user(), dest.user()
    mailgen.deliver(theirs, {"INBOX": []})
    settings = dest.imapc(source, user=theirs.name)
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o=settings).ok()
    result = verify(dest, ours, settings, "--full")
    assert result.rc == EQUAL, result
    assert rows(result)["INBOX"]["source"] in (0, "0")


def test_odd_mails_are_equal_or_expected(source, dest):
    """Empty texts, NULs, CR CR LF (quirk cr-cr-lf): what a destination stores
    differently by nature is told and is no error."""
    theirs, ours = source.user(), dest.user()
    mails = mailgen.odd_mails() + [mailgen.Mail(b""), mailgen.Mail(b"x")]
    mailgen.deliver(theirs, {"INBOX": mails})
    settings = dest.imapc(source, user=theirs.name)
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:", o=settings)
    result, found = details(dest, ours, settings, "--full")
    assert result.rc == EQUAL, result
    assert found != {}
    for row in found.values():
        assert row["what"] == "size" and "a CR too many" in row["reason"]
    assert int(rows(verify(dest, ours, settings, "--full"))["INBOX"]["texts"]
               ) == len(mails)


# -- it could not compare

def test_wrong_password(dest, pair):
    _, ours, settings = pair
    result = verify(dest, ours, {**settings, "imapc_password": "wrong"})
    assert result.rc in (TEMPORARY, REFUSED), result
    assert "uthentication failed" in result.err
    assert "Panic" not in result.err


def test_wrong_host(dest, pair):
    _, ours, settings = pair
    result = verify(dest, ours, {**settings, "imapc_port": 9})
    assert result.rc == TEMPORARY, result
    assert "Source: " in result.err and "127.0.0.1" in result.err


def test_no_such_user(dest, pair):
    _, _, settings = pair
    result = dest.doveadm("migration", "verify", "-u", "nobody-knows-him",
                          "imapc:", o=settings)
    assert result.rc == NO_USER, result


def test_no_such_namespace(dest, pair):
    _, ours, settings = pair
    result = verify(dest, ours, settings, "-n", "Nowhere/")
    assert result.rc not in (EQUAL, DIFFERENT), result
    assert "Nowhere/" in result.err


@pytest.mark.parametrize("location", ["nonsense:", "tcp:127.0.0.1:9"])
def test_unknown_location(dest, pair, location):
    _, ours, settings = pair
    result = dest.doveadm("migration", "verify", "-u", ours.name, location,
                          o=settings)
    assert result.rc in (TEMPORARY, CONFIG), result
    assert f"Source {location}: " in result.err
    assert len(result.out.splitlines()) == 1    # the table's head


def test_every_option_is_explained():
    """In the usage line, in the man page and in the guide."""
    source = os.environ["DM_SRC"]
    with open(f"{source}/src/plugins/doveadm-migration/doveadm-verify.c"
              ) as file:
        text = file.read()
    params = re.findall(r"DOVEADM_CMD_PARAM\('(\w)', \"([\w-]+)\"", text)
    assert len(params) >= 8
    usage = text[text.index(".usage ="):].split("DOVEADM_CMD_PARAMS")[0]
    with open(f"{source}/doc/man/doveadm-migration-verify.1") as file:
        page = file.read().replace("\\-", "-")
    with open(f"{source}/doc/verify.md") as file:
        guide = file.read()
    for letter, name in params:
        assert f"-{letter}" in usage
        assert f"-{letter} \", \" --{name}" in page
        assert f"`-{letter}`, `--{name}" in guide


def test_usage(dest):
    result = dest.doveadm("migration", "verify", "-u", "x")
    assert result.rc == USAGE, result
    assert "source location" in result.err
    result = dest.doveadm("migration", "verify", "-u", "x", "-s", "101",
                          "imapc:")
    assert result.rc == USAGE, result
    assert "--sample" in result.err


# -- many users

def test_many_users(source, dest, folder):
    """One user's difference shows in the exit code, and not in the others'
    rows. Each user's source is his own."""
    users = []
    conf = dest.write_conf(f"{folder}/dovecot.conf",
                           settings=dest.imapc(source))
    for number in range(3):
        theirs = source.user()
        ours = dest.user(theirs.name)
        mailgen.deliver(theirs, {"INBOX": mailgen.mails(number + 1)})
        dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                     conf=conf).ok()
        users.append(ours)

    def all_of_them():
        return dest.doveadm("-f", "json", "migration", "verify", "-F",
                            dest.users_file(*users), "imapc:", conf=conf)
    result = all_of_them()
    assert result.rc == EQUAL, result
    assert [(row["username"], int(row["source"]))
            for row in json.loads(result.out)] == [
        (user.name, number + 1) for number, user in enumerate(users)]

    doveadm(users[0], "expunge", "mailbox", "INBOX", "uid", "1")
    result = all_of_them()
    assert result.rc == DIFFERENT, result
    assert [row["result"] for row in json.loads(result.out)] == [
        "different: 1 mail-missing", "equal", "equal"]


# -- the price

def waits(source, dest, folders, *args):
    """Waits for a distant source (deliver, migrate, verify through a Link)."""
    theirs, ours = source.user(), dest.user()
    mailgen.deliver(theirs, folders)
    dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                 o=dest.imapc(source, user=theirs.name)).ok()
    with Link(round_trip=0.02) as link:
        settings = dest.imapc(source, user=theirs.name,
                              port=link.to(source.ports["imap"]))
        result = verify(dest, ours, settings, *args)
        assert result.rc == EQUAL, result
        return link.waits


def test_waits_do_not_grow_with_the_mails(source, dest):
    few = {"INBOX": mailgen.mails(5, size=100)}
    many = {"INBOX": mailgen.mails(205, size=100)}
    for args in ((), ("--full",)):
        less, more = (waits(source, dest, folders, *args)
                      for folders in (few, many))
        assert more - less <= (16 if args else 8), (args, less, more)


def test_waits_of_a_mailbox(source, dest):
    one = {"INBOX": mailgen.mails(5, size=100)}
    eleven = {**one, **{f"box{n}": mailgen.mails(5, size=100)
                        for n in range(10)}}
    less, more = waits(source, dest, one), waits(source, dest, eleven)
    assert more - less <= 40, (less, more)


# -- places

def test_source_with_a_prefix(version, dest):
    with lab.Dovecot(version, prefix="INBOX.", separator=".",
                     master_password="one-for-all") as prefixed:
        theirs, ours = prefixed.user(), dest.user()
        mailgen.deliver(theirs, folders())
        settings = {**dest.imapc(prefixed, user=theirs.name),
                    "imapc_list_prefix": "INBOX"}
        dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                     o=settings).ok()
        result = verify(dest, ours, settings, "--full")
        assert result.rc == EQUAL, result
        assert set(rows(result)) == set(FOLDERS)


def test_a_place_is_not_compared_with_itself(dest, pair):
    _, ours, settings = pair
    result = dest.doveadm("migration", "verify", "-u", ours.name,
                          "sdbox:~/sdbox", o=settings)
    assert result.rc not in (EQUAL, DIFFERENT), result
    assert ours.mail_path in result.err and "nothing to compare" in result.err


def test_local_source(source, dest, pair):
    """Any storage can be the source: here the old server's files."""
    theirs, ours, settings = pair
    result = dest.doveadm("-f", "json", "migration", "verify", "--full", "-u",
                          ours.name, f"maildir:{theirs.mail_path}")
    assert result.rc == EQUAL, result
    assert {row["result"] for row in rows(result).values()} == {"equal"}


def test_source_option(dest, pair):
    """-p: a setting for the source only."""
    _, ours, settings = pair
    password = settings.pop("imapc_password")
    assert verify(dest, ours, settings).rc != EQUAL
    result = verify(dest, ours, settings, "-p", f"imapc_password={password}")
    assert result.rc == EQUAL, result
    assert password not in result.err


def test_namespace_asked_for(dest, pair):
    _, ours, settings = pair
    assert set(rows(verify(dest, ours, settings, "-n", ""))) == set(FOLDERS)


# -- a source that breaks

@pytest.mark.parametrize("times", [1, 1000], ids=["once", "always"])
@pytest.mark.parametrize("after_bytes", [0, 100, 350, 600, 1500, 3000, 9000])
@pytest.mark.parametrize("action", ["cut", "close"])
def test_connection_breaks(source, dest, pair, action, after_bytes, times):
    """Equal after all, or one clear error: never a crash, and never a
    difference that is none."""
    _, ours, settings = pair
    with Link(round_trip=0) as link:
        port = link.to(source.ports["imap"], Fault(
            action, after_bytes=after_bytes, times=times))
        result = verify(dest, ours, {**settings, "imapc_port": port},
                        "--full", timeout=60)
    assert "Panic" not in result.err and result.rc != 134, result
    assert result.rc in (EQUAL, TEMPORARY, REFUSED), result
    if result.rc != EQUAL:
        assert "Source: " in result.err
        for row in rows(result).values() if result.out else ():
            assert row["result"].startswith(("equal", "not compared"))
