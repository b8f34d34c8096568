# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every guide: links lead somewhere, and code blocks are what they say.

Commands of doveadm are held against the usage that doveadm prints, other
commands against the shell's parser, configurations against doveconf, JSON
against a JSON parser. What commands do is tested where the feature is.
"""

import glob
import itertools
import json
import os
import re
import shlex
import subprocess

import pytest

from lab import Dovecot, VERSIONS

TOP = os.environ["DM_SRC"]
GUIDES = sorted(os.path.relpath(path, TOP) for pattern in
                ("*.md", "doc/*.md", "tests/lib/*.md")
                for path in glob.glob(f"{TOP}/{pattern}"))
FENCED = re.compile(r"^( *)```(.*?)\n(.*?)^\1```$", re.M | re.S)
INDENTED = re.compile(r"(?<=\n\n)(?:    .*\n|\n(?=    ))+")
LINK = re.compile(r"\]\(([^)\s]+)\)")
# doveadm's own options, before the command: those with an argument
GLOBAL = {"-c": 1, "-f": 1, "-o": 1, "-i": 1, "-D": 0, "-v": 0}


def read(path):
    with open(f"{TOP}/{path}", encoding="utf-8") as file:
        return file.read()


def code_blocks(path):
    """[(the words after the fence, text)]"""
    text = read(path)
    blocks = [(kind, re.sub(f"^{indent}", "", body, flags=re.M))
              for indent, kind, body in FENCED.findall(text)]
    rest = FENCED.sub("", text)
    return blocks + [("", re.sub("^    ", "", body, flags=re.M))
                     for body in INDENTED.findall(rest)
                     # the rest of a list's entry is no code
                     if not re.match(r" {4}( |[a-z(])", body) or
                     "doveadm " in body]


def commands(text):
    """The commands of a block, continued lines joined."""
    return [line for line in text.replace("\\\n", " ").splitlines()
            if line.startswith(("doveadm ", "# doveadm "))]


def anchors(path):
    """GitHub's names for headings."""
    return {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in read(path).splitlines() if line.startswith("#")}


@pytest.mark.parametrize("path", GUIDES)
def test_links(path):
    for link in LINK.findall(FENCED.sub("", read(path))):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = os.path.normpath(
            os.path.join(os.path.dirname(path), name)) if name else path
        assert os.path.exists(f"{TOP}/{target}"), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_guide_is_linked():
    linked = {os.path.normpath(os.path.join(os.path.dirname(path),
                                            link.partition("#")[0]))
              for path in GUIDES for link in LINK.findall(read(path))}
    assert not {path for path in GUIDES if path.startswith("doc/")} - linked


@pytest.fixture(scope="module", params=VERSIONS)
def server(request):
    return Dovecot(request.param)


def usage(server):
    """{command: what doveadm says of its arguments}; of commands that have
    others below them, their names: "verify|plan"."""
    result = server.run("/usr/bin/doveadm", "-c", server.conf, "help")
    return dict(re.findall(r"^ *([a-z-]+) +(\S.*)$", result.out + result.err,
                           re.M))


def options(text):
    """The letters of "[-fPRU] [-m <mailbox>]", and -u, -A, -F of all."""
    return set("".join(re.findall(r"(?<![\w-])-(\w+)", text))) | set("uAF")


def test_commands_are_doveadms(server):
    """The command exists here, and has the options."""
    known, checked = usage(server), 0
    manual = "".join(read(os.path.relpath(path, TOP)) for path in
                     glob.glob(f"{TOP}/doc/man/*")).replace("\\-", "-")
    for path in GUIDES:
        for line in itertools.chain.from_iterable(
                commands(text) for _, text in code_blocks(path)):
            words = shlex.split(line.lstrip("# ").split(" | ")[0])[1:]
            while words and words[0] in GLOBAL:
                words = words[1 + GLOBAL[words[0]]:]
            if not words or not re.match(r"[a-z-]+$", words[0]):
                continue    # "doveadm COMMAND"
            where = f"{path}: {line}"
            assert words[0] in known, where
            arguments = known[words.pop(0)]
            if re.match(r"[a-z-]+(\|[a-z-]+)+$", arguments):
                assert words.pop(0) in arguments.split("|"), where
                arguments = manual
            for word in words:
                if re.match(r"-[A-Za-z0-9]", word):
                    assert options(word) & options(arguments), where
                elif word.startswith("--"):
                    assert word.split("=")[0] in arguments, where
            checked += 1
    assert checked > 30


@pytest.mark.parametrize("path", GUIDES)
def test_shell_and_json_parse(path):
    for kind, text in code_blocks(path):
        if kind.split()[:1] == ["sh"]:
            done = subprocess.run(["bash", "-n"], input=text, text=True,
                                  capture_output=True)
            assert done.returncode == 0, f"{text}\n{done.stderr}"
        elif kind.split()[:1] == ["json"]:
            json.loads(text)
        else:
            assert kind.split()[:1] in ([], ["conf"], ["yaml"], ["python"],
                                        ["powershell"]), kind
