# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every guide: links lead somewhere, and code blocks are what they say.

Commands of doveadm are held against the usage that doveadm prints, other
commands against the shell's parser, configurations against doveconf, others
against their parsers: CHECKS. What commands do is tested where the feature is.
"""

import functools
import glob
import itertools
import json
import os
import re
import shlex
import subprocess
import textwrap
import urllib.parse

import pytest
import yaml

from lab import Dovecot, VERSIONS

TOP = os.environ["DM_SRC"]
GUIDES = sorted(os.path.relpath(path, TOP) for pattern in
                ("*.md", "doc/*.md", "tests/lib/*.md")
                for path in glob.glob(f"{TOP}/{pattern}"))
FENCED = re.compile(r"^( *)```(.*?)\n(.*?)^\1```$", re.M | re.S)
INDENTED = re.compile(r"(?<=\n\n) {4}.*\n")
LINK = re.compile(r"\]\(([^)\s]+)\)")
# doveadm's own options, before the command: those with an argument
GLOBAL = {"-c": 1, "-f": 1, "-o": 1, "-i": 1, "-D": 0, "-v": 0}


def read(path):
    with open(f"{TOP}/{path}", encoding="utf-8") as file:
        return file.read()


def code_blocks(path):
    """[(the words after the fence, text)]"""
    return [(kind, re.sub(f"^{indent}", "", body, flags=re.M))
            for indent, kind, body in FENCED.findall(read(path))]


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


def parse_shell(text):
    done = subprocess.run(["bash", "-n"], input=text, text=True,
                          capture_output=True)
    assert done.returncode == 0, f"{text}\n{done.stderr}"


def powershell_is_cmdlets(text):
    """There is no PowerShell in Debian: names and quotes only."""
    assert text.count('"') % 2 == 0 and text.count("{") == text.count("}")
    for line in text.splitlines():
        assert re.match(r"(\$\w+ = )?[A-Z][a-z]+-[A-Z]\w+( |$)", line), line


def program_says(text):
    """A part of each block of output is in the code, as it is printed."""
    parts = re.findall(r"[A-Za-z][a-z]+(?:[ ,]+[a-z]+)+", text)
    assert any(part in program_text() for part in parts) or \
        re.search(r"\b(dovecot_migration_\w+|ETA)\b", text), text


@functools.lru_cache(None)
def program_text():
    """All texts of the C code, joined where they are continued."""
    parts = []
    for path in glob.glob(f"{TOP}/src/**/*.c", recursive=True):
        with open(path, encoding="utf-8") as file:
            parts += re.sub(r'"\s*\n\s*"', "", file.read()).splitlines()
    return "\n".join(parts)


def breakpoints_exist(text):
    for name in re.findall(r"^\(gdb\) break (\w+)", text, re.M):
        assert name in program_text(), name


# How each kind of code block is checked. Here it is parsed; in addition,
# doveadm's commands are held against its usage, and configurations ("conf 2.3",
# "conf 2.4 part") against doveconf, below.
CHECKS = {
    "sh": parse_shell,
    "conf": lambda text: None,
    "json": json.loads,
    "yaml": yaml.safe_load,
    "python": lambda text: compile(textwrap.dedent(text), "guide", "exec"),
    "powershell": powershell_is_cmdlets,
    "output": program_says,
    "gdb": breakpoints_exist,
    "url": lambda text: urllib.parse.urlsplit(text.strip()).port,
}


@pytest.mark.parametrize("path", GUIDES)
def test_every_code_block_is_checked(path):
    for kind, text in code_blocks(path):
        assert kind.split()[:1] and kind.split()[0] in CHECKS, f"{kind}: {text}"
        CHECKS[kind.split()[0]](text)
        assert kind.split()[0] != "conf" or re.match(
            r"conf (2\.3|2\.4)( part)?$", kind), kind
    # an indented block would not be checked: the rest of a list's entry is
    # no code
    for block in INDENTED.findall(FENCED.sub("", read(path))):
        assert re.match(r" {4}( *[\w(`\[*]|- )", block) and not re.match(
            r" +(doveadm|migration_\w+ =|imapc_\w+ =)", block), block


def test_configurations_are_dovecots(server):
    """doveconf takes each block for this version. A part is completed by the
    server's own configuration."""
    known = set(re.findall(r"^\| `(migration_\w+)` ", read("doc/settings.md"),
                           re.M)) | {"migration_locks"}
    checked = 0
    for path in GUIDES:
        for kind, text in code_blocks(path):
            if kind.split()[:2] != ["conf", server.version]:
                continue
            if kind.endswith(" part"):
                text = "!include dovecot.conf\n" + text
                if server.version == "2.4":
                    text = "dovecot_config_version = 2.4.1\n" + text
            text = text.replace("/etc/ssl/certs/ca-certificates.crt",
                                server.conf)
            name = f"{server.dir}/block.conf"
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
            result = server.doveconf("-n", conf=name)
            assert (result.rc, result.err) == (0, ""), f"{path}: {result}"
            names = set(re.findall(r"^ *(migration_\w+) = \S", text, re.M))
            assert {word for word in names if word not in (
                "migration_imapc", "migration_pop3", "migration_gmail",
                "migration_import")} <= known, path
            checked += 1
    assert checked >= 8


def test_each_quirk_has_one_row():
    names = re.findall(r"^\| ([a-z0-9-]+) \|", read("QUIRKS.md"), re.M)
    assert len(names) > 100
    assert sorted(names) == sorted(set(names))
