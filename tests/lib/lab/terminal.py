# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real terminal of any width, by tmux.

    with Terminal(80) as terminal:
        terminal.run(["doveadm", …])
        terminal.resize(40)
        assert "ETA" in terminal.line()
"""

import os
import shlex
import subprocess

from lab import places

_HEIGHT = 30


class Terminal:
    def __init__(self, width):
        self._dir = places.scratch("tty")
        self._done = f"{self._dir}/done"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width),
                   "-y", str(_HEIGHT), "sh")
        self._tmux("set-option", "-g", "status", "off")
        self._tmux("set-option", "-g", "window-size", "manual")
        self.resize(width)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._tmux("kill-server")
        places.remove(self._dir)

    def _tmux(self, *words):
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm"}
        environment.pop("TMUX", None)
        return subprocess.run(
            ["tmux", "-u", "-S", f"{self._dir}/socket", *words], check=True,
            capture_output=True, text=True, env=environment).stdout

    def run(self, words, environment=""):
        """Types a command, which begins on a clear screen."""
        script = f"{self._dir}/run"
        with open(script, "w") as file:
            file.write(f"clear\n{environment} {shlex.join(words)}\n"
                       f"echo $? > {self._done}\n")
        self.press(f". {script}", "Enter")

    def press(self, *keys):
        self._tmux("send-keys", *keys)

    def resize(self, width):
        self._tmux("resize-window", "-x", str(width), "-y", str(_HEIGHT))

    def text(self):
        """What is on the screen, and what has left it at its top."""
        return self._tmux("capture-pane", "-p", "-S", "-500").rstrip("\n")

    def line(self):
        """The last line that is not empty."""
        return self.text().split("\n")[-1].rstrip()

    def is_done(self):
        """Whether the command has ended."""
        return os.path.exists(self._done)
