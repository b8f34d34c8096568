# SPDX-License-Identifier: LGPL-2.1-or-later
"""doc/settings.md names every setting of the code, with its default."""

import os
import re

from lab import Dovecot

ROW = re.compile(r"^\| `(migration_\w+)` \| ([^|]+) \| \S", re.M)


def documented():
    """{name: default}; "none" is the empty text"""
    with open(f"{os.environ['DM_SRC']}/doc/settings.md",
              encoding="utf-8") as file:
        rows = ROW.findall(file.read())
    assert len({name for name, _ in rows}) == len(rows)
    return {name: re.search(r", (?:`([^`]*)`|none)$", kind).group(1) or ""
            for name, kind in rows}


def known_to_dovecot():
    result = Dovecot("2.4").doveconf("-a").ok()
    return dict(re.findall(r"^(migration_\w+) = ?(.*)$", result.out, re.M))


def test_settings_are_documented():
    assert documented() == known_to_dovecot()
