# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures that every system test may use. See tests/lib/README.md."""

import json
import os
import sys

import jsonschema
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import lab                                                 # noqa: E402
from lab import places, snapshot                           # noqa: E402

# what a destination loads unless its tests say otherwise
PLUGINS = ("migration_imapc",)


@pytest.fixture(scope="session", params=lab.VERSIONS)
def version(request):
    """Each test that asks for it runs on both Dovecots."""
    return request.param


@pytest.fixture(scope="session")
def ca():
    authority = lab.CA()
    yield authority
    places.remove(authority.dir)


@pytest.fixture(scope="session")
def source(version, ca):
    """A Maildir server with every listener, TLS, the master user "boss" and
    one password that fits every user."""
    yield from _running(lab.Dovecot(
        version, ca=ca, driver="maildir",
        listeners=("imap", "imaps", "pop3", "pop3s", "doveadm", "doveadms"),
        master_users={"boss": "boss-secret"}, master_password="one-for-all"))


@pytest.fixture(scope="session")
def dest(version, ca):
    """A server to migrate to, with the plugins; settings come with -o:
    dest.doveadm("backup", …, o=dest.imapc(source, user=…))."""
    yield from _running(lab.Dovecot(version, ca=ca, driver="sdbox",
                                    plugins=PLUGINS))


@pytest.fixture(scope="session")
def stock(version):
    """A server to migrate to, without any plugin."""
    yield from _running(lab.Dovecot(version, driver="sdbox"))


def _running(server):
    with server:
        yield server
        crashes = [line for line in server.log().splitlines()
                   if " Panic: " in line or "killed with signal" in line]
        assert crashes == []


@pytest.fixture(scope="session")
def schema():
    """schema(name, value): the value is what doc/name says."""
    def check(name, value):
        with open(f"{os.environ['DM_SRC']}/doc/{name}",
                  encoding="utf-8") as file:
            jsonschema.Draft202012Validator(json.load(file)).validate(value)
    return check


@pytest.fixture
def folder():
    """A scratch folder of this test, for short paths."""
    path = places.scratch("t")
    yield path
    places.remove(path)


def pytest_assertrepr_compare(op, left, right):
    if op == "==" and isinstance(left, snapshot.Snapshot) and isinstance(
            right, snapshot.Snapshot):
        return ["the accounts differ (left != right)",
                *snapshot.differences(left, right)]
    return None
