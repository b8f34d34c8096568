# SPDX-License-Identifier: LGPL-2.1-or-later
"""The man pages: one for each command, without a warning of man, with every
option of the command and no other; and what they are called by."""

import glob
import os
import re
import subprocess

import pytest

SRC = os.environ["DM_SRC"]
# of every mail command
COMMON = {"-u", "--user", "-A", "--all-users", "-F", "--user-file", "-S",
          "--socket-path", "--no-userdb-lookup"}


def parameters():
    """{name: [(letter, word)]} of the code"""
    found = {}
    for path in glob.glob(f"{SRC}/src/plugins/doveadm-migration/*.c"):
        with open(path) as file:
            text = file.read()
        for name, params in re.findall(
                r'\.name = "migration ([\w-]+)"(.*?)DOVEADM_CMD_PARAMS_END',
                text, re.S):
            found[name] = [
                (letter, word) for letter, word, flag in re.findall(
                    r"DOVEADM_CMD_PARAM\('(.|\\0)', \"([\w-]+)\", \w+, (\w+)\)",
                    params) if "POSITIONAL" not in flag]
    return found


def commands():
    """{name: options} of the code"""
    return {name: {f"--{word}" for _, word in pairs} |
            {f"-{letter}" for letter, _ in pairs if letter != "\\0"}
            for name, pairs in parameters().items()}


def pages():
    return sorted(glob.glob(f"{SRC}/doc/man/*.1"))


def plain(path):
    done = subprocess.run(
        ["man", "--warnings", "-E", "ascii", "-l", path], capture_output=True,
        text=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8",
                        "MANWIDTH": "100"})
    assert (done.returncode, done.stderr) == (0, ""), done
    return re.sub(r".\x08", "", done.stdout)


def test_each_command_has_its_page():
    assert set(commands()) >= {"verify", "plan", "uidl", "auth-test", "status"}
    assert [os.path.basename(path) for path in pages()] == sorted(
        ["doveadm-migration.1",
         *(f"doveadm-migration-{name}.1" for name in commands())])
    overview = plain(f"{SRC}/doc/man/doveadm-migration.1")
    for name in commands():
        assert f"doveadm-migration-{name}(1)" in overview
    with open(f"{SRC}/Makefile.am") as file:
        installed = re.findall(r"doc/man/\S+\.1", file.read())
    assert sorted(f"{SRC}/{path}" for path in installed) == pages()


def test_overview():
    """dovecot-migration(7) names every plugin, command and file of the code."""
    page = f"{SRC}/doc/man/dovecot-migration.7"
    text = re.sub(r"\s+", " ", plain(page))
    for name in commands():
        assert f"doveadm-migration-{name}(1)" in text
    for plugin in glob.glob(f"{SRC}/src/plugins/migration-*"):
        assert os.path.basename(plugin).replace("-", "_") in text
    files = set()
    for path in glob.glob(f"{SRC}/src/**/*.[ch]", recursive=True):
        with open(path) as file:
            files |= set(re.findall(
                r'#define \w+(?:FILE|JOURNAL)_NAME "([\w-]+)"', file.read()))
    assert len(files) > 4
    for name in files:
        assert name in text, name
    with open(f"{SRC}/Makefile.am") as file:
        assert os.path.relpath(page, SRC) in file.read()


@pytest.mark.parametrize("name", commands())
def test_options(name):
    text = plain(f"{SRC}/doc/man/doveadm-migration-{name}.1")
    part = re.search(r"^OPTIONS$(.*?)^[A-Z]", text, re.M | re.S)
    heads = re.findall(r"^ {7}(-.*)", part[1], re.M) if part else []
    told = {word for head in heads
            for word in re.findall(r"(?<![\w-])--?[\w-]+", head)}
    # a command that is about no user has none of these
    assert told in (commands()[name], commands()[name] | COMMON)
    assert part is not None or commands()[name] == set()


def test_usage_names_the_options(dest):
    """`doveadm migration` prints the usage of each command."""
    usage = dest.doveadm("migration").err
    starts = {name: re.search(rf"^  {name} ", usage, re.M).start()
              for name in commands()}
    for name, options in commands().items():
        end = min((other for other in starts.values()
                   if other > starts[name]), default=len(usage))
        words = set(re.findall(r"(?<![\w-])--?[\w-]+",
                               usage[starts[name]:end]))
        assert words <= options | COMMON, (name, usage)
        # a letter or its word
        for letter, word in parameters()[name]:
            assert {f"-{letter}", f"--{word}"} & words, (name, word, usage)
