# SPDX-License-Identifier: LGPL-2.1-or-later
"""./dev demo shows what it promises."""

import os
import re
import subprocess
import sys

from lab import VERSIONS


def test_demo():
    result = subprocess.run([sys.executable, "-m", "lab.demo"],
                            capture_output=True, text=True, timeout=300,
                            env={**os.environ, "PYTHONPATH":
                                 f"{os.environ['DM_SRC']}/tests/lib"})
    assert result.returncode == 0, result.stdout + result.stderr
    assert "DIFFERENT" not in result.stdout
    for what, count in (("mailboxes", 12), ("UIDVALIDITY", 12),
                        ("mails, by UID", 300), ("text (SHA-256)", 300),
                        ("POP3 UIDLs and their order", 108)):
        found = re.findall(rf"^  {re.escape(what)} +{count}  equal$",
                           result.stdout, re.M)
        assert len(found) == len(VERSIONS), what
    assert readme_lines() <= {plain(line)
                              for line in result.stdout.splitlines()}


def plain(line):
    """Without what differs from run to run."""
    return re.sub(r"\d+\.\d s|\d+ waits", "N", line).rstrip()


def readme_lines():
    """What README.md shows of it."""
    with open(f"{os.environ['DM_SRC']}/README.md", encoding="utf-8") as file:
        block = re.search(r"^```output\n(The migration.*?)^```$", file.read(),
                          re.M | re.S)
    return {plain(line) for line in block[1].splitlines()}
