# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pages of doc/ that are made of the code's tables say what the code does.

That they are what the code prints is held by check-reference.sh in make check.
"""

import glob
import os
import re

import pytest

from lab import Dovecot

SRC = os.environ["DM_SRC"]
SETTING = re.compile(
    r"^\| `(migration_\w+)` \| [^|]+ \| (?:`([^`|]*)`|none) \| \d[\d.]* \| \S",
    re.M)
CALL = re.compile(r"\b(migration_run_finding|names_tell|end_finding)\((.*?)\);",
                  re.S)


def doc(name):
    with open(f"{SRC}/doc/{name}", encoding="utf-8") as file:
        return file.read()


def sources():
    for path in sorted(glob.glob(f"{SRC}/src/**/*.c", recursive=True)):
        name = os.path.basename(path)
        if not name.startswith("test-") and name != "finding.c":
            with open(path, encoding="utf-8") as file:
                yield name, file.read()


def kinds():
    """{kind: its severities in words}"""
    return dict(re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|",
                           doc("findings.md"), re.M))


def test_settings_are_dovecots():
    """Names and defaults are those that doveconf shows."""
    known = Dovecot("2.4").doveconf("-a").ok().out
    assert dict(SETTING.findall(doc("settings.md"))) == dict(
        re.findall(r"^(migration_\w+) = ?(.*)$", known, re.M))


def test_every_kind_of_finding_is_found():
    """The list has no kind that the code cannot find."""
    used = {name for _, text in sources()
            for name in re.findall(r"\bFINDING_(\w+)", text)}
    assert {kind.upper().replace("-", "_") for kind in kinds()} == \
        {name for name in used if not name.startswith("GROUP_") and
         not name.startswith("KIND_")}


def test_severities_are_told():
    checked = 0
    for name, text in sources():
        for _, call in CALL.findall(text):
            severity = re.search(r"\bMIGRATION_SEVERITY_(\w+)", call)
            kind = re.search(r"\bFINDING_(\w+)", call)
            if severity and kind:
                words = kinds()[kind[1].lower().replace("_", "-")]
                assert severity[1].lower() in words, (name, kind[1])
                checked += 1
    assert checked > 40


# where an error's text is made, or given to who logs it
ERROR = re.compile(
    r"\b(?:[ei]_error|i_fatal(?:_status)?|mail(?:box|_storage|box_list)_set_error"
    r"|migration_user_fail|uidl_failed|proof_failed)\s*\("
    r"|\berror(?:_r|_r->text)?\s*=(?!=)")
LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"(?:\s*(?:PRI\w+|"(?:[^"\\]|\\.)*"))*')
# whole texts are made of others
WRAPPER = re.compile(r"((Mailbox|Source|Destination|User|UID|--proof)[ :]*|"
                     r"%l*[sud]|[ :=])*$")
# known by what stands before them, or no sentences
PARTS = {"no answer", "authorized_user", "Deletion ",
         "migration_max_deletes %s: %s"}
# of programs that are not installed, and words of a list
NOT_ERRORS = ("print-reference.c", "reference-settings.c",
              "doveadm-auth-test.c")


def error_texts():
    """[(file, text)] of errors that the code makes"""
    for name, text in sources():
        if name in NOT_ERRORS:
            continue
        for start in ERROR.finditer(text):
            statement = re.split(r";\s*\n", text[start.end():], 1)[0]
            found = LITERAL.search(statement)
            if found:
                parts = re.findall(r'"((?:[^"\\]|\\.)*)"|PRI\w+', found[0])
                yield name, "".join(parts).replace('\\"', '"')


def known_errors():
    """A pattern for each words of doc/errors.md"""
    patterns = []
    for cell in re.findall(r"^\| (`.*?`) \| ", doc("errors.md"), re.M):
        for words in re.findall(r"`([^`]+)`", cell):
            patterns.append(".*".join(
                re.escape(part) for part in words.split("…")))
    return re.compile("|".join(patterns), re.S)


def test_every_error_is_explained():
    known, checked = known_errors(), 0
    unknown = []
    for name, text in error_texts():
        if text not in PARTS and not WRAPPER.match(text):
            # what is written in place of %s can be any words
            if not known.search(re.sub(r"%[\d]*[a-z]+", "X", text)):
                unknown.append((name, text))
            checked += 1
    assert unknown == []
    assert checked > 150


@pytest.mark.parametrize("kind", ["mail-unreadable", "uidl-unmatched"])
def test_what_to_do_is_told(kind):
    """An error leads on: to something to do, and to a guide."""
    row = next(line for line in doc("findings.md").splitlines()
               if line.startswith(f"| `{kind}` "))
    action, guide = row.split(" | ")[3:5]
    assert len(action) > 20
    page = re.search(r"\]\((.*?)\)", guide)[1]
    assert os.path.exists(f"{SRC}/doc/{page}")
