# SPDX-License-Identifier: LGPL-2.1-or-later
"""The columns of the table: ways to do the work.

A tool of your own is a class with the methods of Tool, added to all_tools();
or, if one command does the work, no code at all:

    ./dev bench --tool 'mine=mine --from {host}:{port} -u {user} -p {password} \\
        --to {folder}'
"""

import os
import shlex
import shutil
import sys

from lab import Dovecot, places, stocks_best

_RAW = os.path.join(os.path.dirname(__file__), "raw.py")


class Tool:
    """name         the column's heading
    serial          its waits are the same at any round trip, so they are
                    counted at a short one
    """
    serial = False

    def __init__(self, name):
        self.name = name

    def works(self, work):
        """Whether it can do this Work."""
        return work.command == "backup" and not work.pop3

    def begin(self, job, ports):
        """Prepare a new, empty destination for the account of a Job, which is
        reached at 127.0.0.1 by the ports {"imap": …, "pop3": …}. What is
        returned is given to the other methods; it has all of `runs`."""
        raise NotImplementedError

    def command(self, copy, before=()):
        """The words to run, exit code 0 expected. before: put this in front of
        the program (valgrind)."""
        raise NotImplementedError

    def mails(self, copy):
        """How many mails the destination has now; None if nobody knows."""
        return None

    def close(self):
        """All is done."""


class DovecotTool(Tool):
    """Stock doveadm: with nothing, with settings, or with the plugins."""

    def __init__(self, name, version, plugins=(), settings=None,
                 pop3="pop3_migration", serial=False):
        super().__init__(name)
        self.serial = serial
        self.plugins = plugins
        # 2.3 aborts on a refused login without delay-login; sizes are the
        # least that anybody sets
        features = {"imapc_features": "rfc822.size"} if version == "2.3" else {}
        self.settings = {**features, **(settings or {})}
        self.dest = Dovecot(version, driver="sdbox", plugins=plugins).start()
        self.pop3_conf = self.dest.write_conf(
            f"{self.dest.dir}/pop3.conf", plugins=[*plugins, pop3],
            namespaces=[self.dest.pop3c_namespace()],
            plugin_settings={f"{pop3}_mailbox": "POP3-SOURCE/INBOX"})
        self.local_conf = self.dest.write_conf(
            f"{self.dest.dir}/local.conf",
            plugins=[*plugins, *(["migration_import"] if plugins else [])])

    def works(self, work):
        return True

    def begin(self, job, ports):
        settings = {**self.dest.imapc(
            job.source, user=job.user.name, password=job.user.password,
            port=ports["imap"]), **self.settings}
        if job.work.pop3:
            settings.update(self.dest.pop3c(
                job.source, user=job.user.name, password=job.user.password,
                port=ports["pop3"]))
        return self.dest.user(), job, settings

    def command(self, copy, before=()):
        user, job, settings = copy
        conf = (self.local_conf if job.work.command == "local"
                else self.dest.conf)
        words = ["-c", self.pop3_conf if job.work.pop3 else conf]
        for key, value in settings.items():
            words += ["-o", f"{key}={value}"]
        location = (f"maildir:{job.user.mail_path}"
                    if job.work.command == "local" else "imapc:")
        words += {"backup": ["backup", "-R"], "import": ["import"],
                  "since": ["sync", "-1", "-R", "-t", "2000-01-01"],
                  "local": ["import"]}[job.work.command]
        words += ["-u", user.name, location]
        if job.work.command in ("import", "local"):
            words += ["", "all"]
        return self.dest.program(*before, "/usr/bin/doveadm", *words)

    def mails(self, copy):
        listed = self.dest.doveadm("-f", "flow", "mailbox", "status", "-u",
                                   copy[0].name, "-t", "messages", "*").ok()
        count = int(listed.out.strip().partition("=")[2])
        # stock imports all mails once more
        work = copy[1].work
        return count // work.runs if (work.command == "local" and
                                      not self.plugins) else count

    def close(self):
        self.dest.stop()
        places.remove(self.dest.dir)


class RawTool(Tool):
    """What a wire and a Dovecot can do at best: all mails downloaded by
    commands that wait for nothing, and thrown away; then stock's `doveadm
    backup` of the same mails from the source's own folder."""

    def __init__(self, version):
        super().__init__("raw + local")
        self.dest = Dovecot(version, driver="sdbox").start()

    def works(self, work):
        return work.command == "backup" and work.runs == 1 and not work.pop3

    def begin(self, job, ports):
        return self.dest.user(), job, ports["imap"]

    def command(self, copy, before=()):
        user, job, port = copy
        location = f"maildir:{job.user.mail_path}"
        return ["sh", "-ec", shlex.join(
            [sys.executable, _RAW, str(port), job.user.name,
             job.user.password]) + "; " + shlex.join(self.dest.program(
                 "/usr/bin/doveadm", "-c", self.dest.conf, "backup", "-R",
                 "-u", user.name, location))]

    close = DovecotTool.close
    mails = DovecotTool.mails


class CommandTool(Tool):
    """Any program that copies an account into a Maildir or anywhere else.
    {host}, {port}, {user}, {password} and {folder} (new and empty) are filled
    in."""

    def __init__(self, name, template):
        super().__init__(name)
        self.template = template
        self.folders = []

    def begin(self, job, ports):
        folder = places.scratch("c")
        self.folders.append(folder)
        return {"host": "127.0.0.1", "port": ports["imap"], "folder": folder,
                "user": job.user.name, "password": job.user.password}

    def command(self, copy, before=()):
        return [*before, *(word.format(**copy)
                           for word in shlex.split(self.template))]

    def mails(self, copy):
        """Those of a Maildir, if that is what it made."""
        count = sum(len(files) for path, _, files in os.walk(copy["folder"])
                    if os.path.basename(path) in ("cur", "new"))
        return count or None

    def close(self):
        for folder in self.folders:
            places.remove(folder)


class Mbsync(CommandTool):
    """isync's mbsync, with what its documentation advises. It keeps no UIDs,
    no UIDVALIDITY, no keywords."""

    def __init__(self):
        super().__init__("mbsync", "mbsync -q -c {folder}/mbsyncrc -a")

    def begin(self, job, ports):
        copy = super().begin(job, ports)
        folder = copy["folder"]
        os.mkdir(f"{folder}/mail")
        with open(f"{folder}/mbsyncrc", "w") as file:
            file.write(f"""
SyncState *
IMAPAccount source
Host 127.0.0.1
Port {copy["port"]}
User {copy["user"]}
Pass {copy["password"]}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account source

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Sync Pull
Create Near
Remove Near
Expunge Near
CopyArrivalDate yes
""")
        return copy


def all_tools(version, commands=()):
    """The stock columns, peers that are installed, commands given by the
    caller ("name=command"), and the plugins last."""
    tools = [
        DovecotTool("stock", version, serial=True),
        DovecotTool("stock, best", version, settings=stocks_best(version))]
    if shutil.which("mbsync"):
        tools.append(Mbsync())
    tools += [CommandTool(*command.split("=", 1)) for command in commands]
    tools.append(RawTool(version))
    tools.append(DovecotTool("migration", version,
                             plugins=("migration_imapc",),
                             pop3="migration_pop3"))
    return tools
