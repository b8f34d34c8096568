# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every configuration and command of README.md and conf.d works as written.

Only what is the reader's own is replaced: the folder of the configuration, the
old server's names, ports, login and CA.
"""

import os
import re
import subprocess

import pytest

from lab import Dovecot, VERSIONS, sample, snapshot

TOP = os.environ["DM_SRC"]
BLOCK = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)

PLUGINS = ("migration_imapc", "migration_pop3", "migration_gmail",
           "migration_import")
CONF_FILES = ("migration-imap.conf", "migration-imap-pop3.conf")
USER = "jane"

# commands that are not run here, and what runs them
ELSEWHERE = {
    "apt install ./": "tests/packages",
    "apt install": "./dev installs the same packages",
    "autoreconf -fi": "./dev build and ./dev dist",
    "./configure --with-dovecot=/usr/lib/dovecot": "./dev build",
    "make": "./dev build",
    "make check": "./dev unit",
    "make install": "./dev build, with DESTDIR",
}


def read(path):
    with open(f"{TOP}/{path}", encoding="utf-8") as file:
        return file.read()


def blocks(kind):
    """[(word after the kind, text)]"""
    return [(word, text) for found, word, text in BLOCK.findall(
        read("README.md")) if found == kind]


def commands():
    return [line for _, text in blocks("sh") for line in text.splitlines()]


def own(text, source, dest):
    """The reader's own values in place of the example's."""
    for example, value in (
            ("imap.old.example.com", "127.0.0.1"),
            ("pop.old.example.com", "127.0.0.1"),
            ("imapc_port = 993", f"imapc_port = {source.ports['imaps']}"),
            ("pop3c_port = 995", f"pop3c_port = {source.ports['pop3s']}"),
            ("/etc/ssl/certs/ca-certificates.crt", source.ca.ca),
            ("/etc/dovecot/", f"{dest.dir}/")):
        text = text.replace(example, value)
    return text


@pytest.fixture(params=VERSIONS, scope="module")
def servers(request, ca):
    """An old server with the sample mailbox, a new one with the
    configuration files of conf.d beside its own."""
    version = request.param
    with Dovecot(version, ca=ca, listeners=("imap", "imaps", "pop3", "pop3s"),
                 master_users={"migrator": "secret"}) as source, \
            Dovecot(version, driver="mdbox", one_users_file=True) as dest:
        for name in CONF_FILES:
            with open(f"{dest.dir}/{name}", "w", encoding="utf-8") as file:
                file.write(own(read(f"conf.d/{version}/{name}"), source, dest))
        user = source.user(USER)
        sample.deliver(user)
        yield source, dest, user


def with_options(text):
    """The lines that are commented out as configuration, and not as prose."""
    return re.sub(r"^#(?=(?:  )?[a-z0-9_]+ [={]|}$)", "", text, flags=re.M)


@pytest.mark.parametrize("options", [False, True], ids=["as-is", "options"])
def test_conf_d_is_accepted_by_doveconf(servers, options):
    """Each file, and what it offers in comments."""
    source, dest, _ = servers
    known = set(re.findall(r"^\| `(migration_\w+)` ", read("doc/settings.md"),
                           re.M))
    for name in sorted(os.listdir(f"{TOP}/conf.d/{dest.version}")):
        text = own(read(f"conf.d/{dest.version}/{name}"), source, dest)
        if name == "migration-metrics.conf":    # !included by the server's
            text = ("" if dest.version == "2.3" else
                    "dovecot_config_version = 2.4.1\n"
                    ) + "!include dovecot.conf\n" + text
        if options:
            text = with_options(text)
        path = f"{dest.dir}/checked.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        result = dest.doveconf("-n", conf=path).ok()
        assert result.err == "", name
        assert "migration_" in result.out, name
        # 2.3 takes any name in plugin { }
        assert {word for word in re.findall(r"^ +(migration_\w+) = ", text,
                                            re.M)
                if word not in PLUGINS} <= known, name


def test_each_case_has_its_file():
    """The same ones for both, and the guides' own configurations."""
    assert set(os.listdir(f"{TOP}/conf.d/2.3")) == \
        set(os.listdir(f"{TOP}/conf.d/2.4"))
    for guide in ("google-workspace", "gmail", "microsoft-365"):
        for word, text in re.findall(r"^```conf (\S+)\n(.*?)^```$", read(
                f"doc/oauth2-{guide}.md"), re.M | re.S):
            assert f"\n\n{text}\n" in read(
                f"conf.d/{word}/migration-{guide}.conf")


@pytest.mark.parametrize("version", VERSIONS)
def test_readme_shows_conf_d(version):
    shown = [text for word, text in blocks("conf") if word == version]
    assert len(shown) == 1
    assert read(f"conf.d/{version}/migration-imap-pop3.conf").endswith(
        "\n" + shown[0])


def test_every_command_of_readme_is_known():
    usage = subprocess.run([f"{TOP}/dev", "help"], capture_output=True,
                           text=True, check=True).stdout
    for line in commands():
        if line.startswith("./dev "):
            assert f"\n  {line.split()[1]} " in usage, line
        elif not line.startswith("doveadm "):
            assert any(line == known or line.startswith(known + " ") or
                       known.endswith("/") and line.startswith(known)
                       for known in ELSEWHERE), line


def test_packages_of_readme_are_those_of_dev():
    line = next(line for line in commands()
                if line.startswith("apt install dovecot-dev"))
    for name in line.split()[2:]:
        assert name in read("dev"), name


@pytest.fixture(scope="module")
def copy(servers):
    """The reader's user at the new server, the only one that it has."""
    return servers[1].user(USER)


def test_commands_of_quick_start(servers, copy):
    source, dest, user = servers
    ran = 0
    for line in commands():
        if not line.startswith("doveadm "):
            continue
        result = dest.run("/usr/bin/doveadm",
                          *own(line, source, dest).split()[1:])
        result.ok()
        ran += 1
    assert ran >= 3
    assert snapshot.of(copy) == snapshot.of(user)
    assert os.path.exists(f"{copy.home}/dovecot-migration-report.json")


@pytest.mark.parametrize("guide", ["test-migration", "cutover"])
def test_commands_of_guides(servers, copy, guide):
    """The guides' procedures, from the first command to the last."""
    source, dest, user = servers
    ran = 0
    for text in re.findall(r"^( *)```sh\n(.*?)^\1```$", read(
            f"doc/{guide}.md"), re.M | re.S):
        for line in text[1].splitlines():
            result = dest.run("/usr/bin/doveadm",
                              *own(line, source, dest).split()[1:])
            assert result.rc == 0, f"{line}\n{result}"
            ran += 1
    assert ran >= 4
    assert snapshot.of(copy) == snapshot.of(user)


# of guides that say no more than the command: the reader's words for it
WORDS = (("USER", USER), ("LOCATION", "imapc:"), (r"\[.*?\]", ""))


def test_single_commands_of_guides(servers, copy):
    """What other guides show runs in the same place, after a first run."""
    source, dest, user = servers
    conf = f"{dest.dir}/{CONF_FILES[1]}"
    dest.run("/usr/bin/doveadm", "-c", conf, "backup", "-R", "-u", copy.name,
             "imapc:").ok()
    ran = 0
    for guide in ("status", "guard", "providers", "gmail", "plan", "uidl",
                  "verify"):
        for line in re.findall(r"^doveadm (.*)$", read(f"doc/{guide}.md"),
                               re.M):
            for example, value in WORDS:
                line = re.sub(example, value, line)
            if "BEFORE AFTER" in line:
                continue    # test_verify_proof.py
            if dest.version == "2.4":
                # as guard.md says
                line = line.replace("-o plugin/", "-o ")
            result = dest.run("/usr/bin/doveadm", "-c", conf, *line.split())
            assert result.rc == 0, f"{guide}: {line}\n{result}"
            ran += 1
    assert ran >= 8
    assert snapshot.of(copy) == snapshot.of(user)


def test_links_of_readme_resolve():
    links = re.findall(r"\]\(([^)#]+)\)", read("README.md"))
    assert links
    for link in links:
        assert os.path.exists(f"{TOP}/{link}"), link
