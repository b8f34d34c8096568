# SPDX-License-Identifier: LGPL-2.1-or-later
"""The migration guide: prefixes, public and shared namespaces."""

import shutil

import pytest

import lab
from conftest import PLUGINS
from lab import imap, mailgen, places, snapshot


# -- a source whose folders are below INBOX

@pytest.fixture(scope="module")
def prefixed_source(version):
    with lab.Dovecot(version, prefix="INBOX.", separator=".",
                     master_password="one-for-all") as server:
        yield server


@pytest.mark.parametrize("command", [("backup", "-R"), ("sync", "-1R")],
                         ids=["backup", "sync"])
def test_prefix_is_taken_off(prefixed_source, dest, command):
    theirs, ours = prefixed_source.user(), dest.user()
    mailgen.deliver(theirs, mailgen.account())
    assert "INBOX.Archive.2024" in names_on_the_wire(theirs)
    before = snapshot.of(theirs)
    settings = {**dest.imapc(prefixed_source, user=theirs.name),
                "imapc_list_prefix": "INBOX"}

    for _ in range(2):
        dest.doveadm(*command, "-u", ours.name, "imapc:", o=settings).ok()
        assert snapshot.of(ours) == before

    mailgen.append(theirs, "INBOX.Archive.2024", mailgen.mails(2, seed="new"))
    mailgen.append(theirs, "INBOX.New", mailgen.mails(1, seed="new"),
                   create=True)
    dest.doveadm(*command, "-u", ours.name, "imapc:", o=settings).ok()
    assert snapshot.of(ours) == snapshot.of(theirs) != before


def names_on_the_wire(user):
    client = mailgen.login(user)
    names = [reply[4].decode() for reply in client.command("LIST", '""', "*")]
    client.logout()
    return names


# -- public and shared namespaces

class Office:
    """A server with mail of one's own, a public namespace and one shared by a
    group."""

    def __init__(self, version, **options):
        self.folder = places.scratch("o")
        self.public = places.mail_folder(f"{self.folder}/public")
        self.shared = places.mail_folder(f"{self.folder}/shared")
        self.server = lab.Dovecot(
            version, namespaces=self.namespaces(), **options)

    def namespaces(self):
        elsewhere = {"subscriptions": False}
        return [lab.Namespace("public", "Public/", "maildir", self.public,
                              type="public", settings=elsewhere),
                lab.Namespace("team", "Team/", "maildir", self.shared,
                              type="shared", settings=elsewhere)]

    def mail_settings(self, prefix):
        """This namespace's storage as the main one of a configuration."""
        path = {"Public": self.public, "Team": self.shared}[prefix]
        if self.server.version == "2.3":
            return {"mail_location": f"maildir:{path}"}
        return {"mail_driver": "maildir", "mail_path": path}

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *exception):
        self.server.__exit__(*exception)
        places.remove(self.folder)

    def empty(self):
        for path in (self.public, self.shared):
            shutil.rmtree(path)
            places.mail_folder(path)


@pytest.fixture(scope="module")
def old_office(version):
    with Office(version, listeners=("imap", "doveadm"),
                master_password="one-for-all") as office:
        yield office


@pytest.fixture(scope="module")
def new_office_server(version):
    with Office(version, listeners=("imap",), driver="sdbox",
                plugins=PLUGINS) as office:
        yield office


@pytest.fixture
def new_office(new_office_server):
    new_office_server.empty()
    return new_office_server


@pytest.fixture
def theirs(old_office):
    """A user who has a little of everything."""
    old_office.empty()
    user = old_office.server.user()
    mailgen.deliver(user, {"INBOX": mailgen.mails(3),
                           "Sent": mailgen.mails(2, seed=2)})
    for number, name in enumerate(("Public/News", "Public/News/Old",
                                   "Team/Plans"), 3):
        mailgen.append(user, name, mailgen.mails(2, seed=number),
                       create=True)
    return user


def below(seen, *prefixes):
    """The part of a snapshot that lies in these namespaces."""
    def inside(name):
        return name.startswith(prefixes) and name not in ("Public", "Team")
    return snapshot.Snapshot(
        {name: box for name, box in seen.mailboxes.items() if inside(name)},
        [name for name in seen.subscriptions if inside(name)])


def own(seen):
    return seen.without(*below(seen, "Public/", "Team/").mailboxes, "Public",
                        "Team")


def test_doveadm_protocol_takes_the_namespaces_asked_for(old_office,
                                                         new_office, theirs):
    dest = new_office.server
    ours = dest.user(theirs.name)
    before = snapshot.of(theirs, pop3=False)

    def backup(*namespaces):
        dest.doveadm("backup", "-R", *namespaces, "-u", ours.name,
                     f"tcp:127.0.0.1:{old_office.server.ports['doveadm']}",
                     o={"doveadm_password":
                        old_office.server.doveadm_password}).ok()
        return snapshot.of(ours, pop3=False)

    after = backup()
    assert own(after).mailboxes == own(before).mailboxes
    assert below(after, "Public/", "Team/").count() == 0
    after = backup("-n", "Public/")
    assert (below(after, "Public/").mailboxes ==
            below(before, "Public/").mailboxes)
    assert below(after, "Team/").count() == 0
    after = backup("-n", "", "-n", "Public/", "-n", "Team/")
    assert own(after) == own(before)
    # dsync takes subscriptions of a namespace from that namespace only
    assert (below(after, "Public/", "Team/").mailboxes ==
            below(before, "Public/", "Team/").mailboxes)


def test_imapc_leaves_out_what_is_not_the_users_own(old_office, new_office,
                                                    theirs):
    dest = new_office.server
    ours = dest.user()
    dest.doveadm("backup", "-R", "-n", "", "-x", "Public*", "-x", "Team*",
                 "-u", ours.name, "imapc:",
                 o=dest.imapc(old_office.server, user=theirs.name)).ok()
    after = snapshot.of(ours, pop3=False)
    assert after == own(snapshot.of(theirs, pop3=False))


def test_imapc_keeps_what_belongs_to_another_namespace_there(
        old_office, new_office, theirs):
    """foreign-namespace: stock stores it where nobody can open it."""
    dest = new_office.server
    ours = dest.user()
    for _ in range(2):
        dest.doveadm("backup", "-R", "-u", ours.name, "imapc:",
                     o=dest.imapc(old_office.server, user=theirs.name)).ok()
    before = snapshot.of(theirs, pop3=False).mailboxes
    after = snapshot.of(ours, pop3=False)
    assert after.mailboxes["=50ublic/News"] == before["Public/News"]
    assert after.mailboxes["=54eam/Plans"] == before["Team/Plans"]
    assert below(after, "Public/", "Team/").count() == 0


@pytest.mark.parametrize("prefix", ["Public", "Team"])
@pytest.mark.parametrize("ns_type", ["public", "private"])
def test_imapc_into_a_namespace(old_office, new_office, theirs, prefix,
                                ns_type):
    """For one run, only this namespace is imapc's: it has no location of its
    own and gets the command's. Stock lists the INBOX as the namespace's root
    before 2.3.20."""
    dest = new_office.server
    ours = dest.user()
    home = ({"location": "sdbox:~/sdbox"} if dest.version == "2.3" else
            {"mail_driver": "sdbox", "mail_path": "~/sdbox"})
    conf = dest.write_conf(
        f"{dest.dir}/{prefix}.conf", plugins=PLUGINS,
        settings={
            **new_office.mail_settings(prefix),
            "namespace inbox": {"inbox": True, "prefix": "",
                                "separator": "/", **home},
            "namespace run": {"type": ns_type, "prefix": f"{prefix}/",
                              "separator": "/", "subscriptions": False},
            **dest.imapc(old_office.server, user=theirs.name),
            "imapc_list_prefix": prefix})
    before = snapshot.of(theirs, pop3=False)

    for _ in range(2):
        dest.doveadm("backup", "-R", "-n", f"{prefix}/", "-u", ours.name,
                     "imapc:", conf=conf).ok()
        after = snapshot.of(ours, pop3=False)
        assert (below(after, f"{prefix}/").mailboxes ==
                below(before, f"{prefix}/").mailboxes)
    assert own(after).count() == 0


@pytest.mark.parametrize("prefix", ["Public", "Team"])
def test_imapc_into_a_place_of_its_own(old_office, new_office, theirs,
                                       prefix):
    """What works with stock everywhere: the run sees the namespace's storage
    as if it were a whole account."""
    dest = new_office.server
    ours = dest.user()
    conf = dest.write_conf(
        f"{dest.dir}/{prefix}-alone.conf", plugins=PLUGINS,
        settings={**new_office.mail_settings(prefix),
                  **dest.imapc(old_office.server, user=theirs.name),
                  "imapc_list_prefix": prefix})
    before = snapshot.of(theirs, pop3=False)

    for _ in range(2):
        dest.doveadm("backup", "-R", "-x", "INBOX", "-u", ours.name, "imapc:",
                     conf=conf).ok()
        after = snapshot.of(ours, pop3=False)
        assert (below(after, f"{prefix}/").mailboxes ==
                below(before, f"{prefix}/").mailboxes)
    assert own(after).count() == 0
