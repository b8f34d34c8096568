# SPDX-License-Identifier: LGPL-2.1-or-later
"""A C file beside this one that is loaded into a doveadm."""

import functools
import os
import subprocess

from lab import places


@functools.cache
def _library(name):
    path = f"{places.scratch('k')}/{name}.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O", "-Wall", "-Werror", "-o", path,
         os.path.join(os.path.dirname(__file__), f"{name}.c")], check=True)
    return path


def environment(name, variables):
    """For start_doveadm(): loads name.c, which finds these variables."""
    found = {"LD_PRELOAD": _library(name), **variables}
    # doveadm starts itself again by doveconf, which cleans the environment
    return {**found, "DOVECOT_PRESERVE_ENVS": " ".join(found)}
