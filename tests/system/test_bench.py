# SPDX-License-Identifier: LGPL-2.1-or-later
"""./dev bench measures what it says, on small accounts."""

import json
import os
import subprocess
import sys

BENCH = f"{os.environ['DM_SRC']}/tests/bench"


def bench(version, folder, *args):
    result = subprocess.run(
        [sys.executable, f"{BENCH}/bench.py", "--version", version,
         "--json", f"{folder}/json", *args],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": f"{os.environ['DM_SRC']}/tests/lib"})
    assert result.returncode == 0, result.stdout + result.stderr
    with open(f"{folder}/json") as file:
        return result.stdout, json.load(file)["rows"]


def test_local_import(version, folder):
    """The second run imports nothing with the plugin, and all with stock."""
    _, rows = bench(version, folder, "--scale", "100", "--pairs", "1",
                    "--round-trip", "0.01", "--no-instructions", "--only",
                    "stock, best", "--only", "migration", "local",
                    "local-again")
    for row in ("local", "local-again"):
        assert set(rows[row]) == {"stock, best", "migration"}
        for found in rows[row].values():
            assert "error" not in found and found["seconds"][0] > 0


def test_table(version, folder):
    """All tools do a row, one that the caller named, too."""
    text, rows = bench(
        version, folder, "--scale", "50", "--pairs", "1", "--round-trip",
        "0.01", "--no-instructions", "full", "--tool",
        f"mine={sys.executable} {BENCH}/raw.py {{port}} {{user}} {{password}}")
    full = rows["full"]
    assert full["stock"]["waits"] > 40 > 8 >= full["migration"]["waits"]
    assert full["mine"]["waits"] <= 5
    for found in full.values():
        assert found["seconds"][0] > 0 < found["peak_memory_kib"][0]
    for name in ("stock", "mine", "migration"):
        assert full[name]["bytes"] > full[name]["bytes_of_mails"] > 40 * 800
    assert "full, 1 x 40" in text and "÷ stock, best" in text
