# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real Courier: IMAP and POP3 over one Maildir, in a root of its own.

    with lab.Courier() as source:
        user = source.user()
        courier.deliver(user, mailgen.mails(30))

It looks to tests as a lab.Dovecot does (ports, prefix, separator, user()), so
that snapshot.of() reads it and a destination's imapc() and pop3c() reach it.
"""

import itertools
import os
import random
import shlex
import signal
import subprocess

from lab import mailgen, places, snapshot
from lab.dovecot import User

_ETC = "/etc/courier"
_RUN = "/run/courier"
_LIB = "/usr/lib/courier"

_FIRST_TIME = 1551398400
_counter = itertools.count(1)


class Courier:
    """Names begin with "INBOX.", as Courier knows no other way. Passwords
    are the users' own: it has no master users without a further database."""

    prefix = "INBOX."
    separator = "."
    ca = None
    master_users = {}
    master_password = None

    def __init__(self):
        self.root = os.environ["DM_ROOT_COURIER"]
        self.ports = {"imap": places.free_port(), "pop3": places.free_port()}
        self.users = {}
        self.dir = places.scratch("c")
        self._processes = []
        for folder in ("etc", "run/authdaemon", "home"):
            os.makedirs(f"{self.dir}/{folder}", 0o755)
        self._write_conf()

    def __enter__(self):
        daemon = f"{_LIB}/courier-authlib/authdaemond"
        self._start(f". {_ETC}/authdaemonrc; exec {daemon}")
        self._start_tcpd("imapd", "imap", f"{_LIB}/courier/imaplogin "
                         "/usr/bin/imapd Maildir")
        self._start_tcpd("pop3d", "pop3", f"{_LIB}/courier/courierpop3login "
                         f"{_LIB}/courier/courierpop3d Maildir")
        places.wait_for(self._is_up, "start of Courier")
        return self

    def __exit__(self, *exception):
        for process in self._processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            process.wait(30)
        places.remove(self.dir)

    def user(self, name=None, password=None):
        name = name or f"u{os.getpid():x}n{len(self.users) + 1}"
        user = User(self, name, password or f"secret-of-{name}",
                    places.mail_folder(f"{self.dir}/home/{name}"), "maildir")
        self.users[name] = user
        self._write_userdb()
        return user

    def log(self):
        with open(f"{self.dir}/log", errors="surrogateescape") as file:
            return file.read()

    # -- the three daemons, each with our folders mounted over Courier's

    def _start_tcpd(self, conf, protocol, command):
        self._start(f". {_ETC}/{conf}; . {_ETC}/{conf}-ssl; "
                    "exec /usr/sbin/couriertcpd -address=127.0.0.1 "
                    "-maxprocs=100 -maxperip=100 -nodnslookup -noidentlookup "
                    f"{self.ports[protocol]} {command}")

    def _start(self, command):
        mounts = "".join(
            f"mount --bind {shlex.quote(self.dir + ours)} "
            f"{shlex.quote(self.root + theirs)}; "
            for ours, theirs in (("/etc", _ETC), ("/run", _RUN)))
        inside = shlex.quote(f"set -a; {command}")
        with open(f"{self.dir}/log", "ab") as log:
            self._processes.append(subprocess.Popen(
                ["unshare", "-m", "--propagation", "private", "sh", "-ec",
                 f"mkdir -p {self.root}{_RUN}; {mounts}"
                 f"exec chroot {shlex.quote(self.root)} sh -ec {inside}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}))

    def _is_up(self):
        if any(process.poll() is not None for process in self._processes):
            raise RuntimeError(f"Courier did not start: {self.log()}")
        return (os.path.exists(f"{self.dir}/run/authdaemon/socket") and
                all(not places.can_bind(port)
                    for port in self.ports.values()))

    # -- configuration

    def _write_conf(self):
        etc = f"{self.dir}/etc"
        subprocess.run(["cp", "-a", f"{self.root}{_ETC}/.", etc], check=True)
        # TLS with the certificates that the package made, and no more than
        # what a client needs; a limit of address space starves big mails
        self._append("authdaemonrc", 'authmodulelist="authuserdb"', "daemons=2")
        self._append("imapd", "IMAP_CHECK_ALL_FOLDERS=0", "IMAP_ULIMITD=",
                     'IMAP_EMPTYTRASH=""')
        self._append("pop3d", 'POP3AUTH="PLAIN"')

    def _append(self, name, *lines):
        with open(f"{self.dir}/etc/{name}", "a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def _write_userdb(self):
        """Write all users anew and compile them, as its tools do."""
        path = f"{self.dir}/etc/userdb"
        lines = []
        for user in self.users.values():
            lines.append(f"{user.name}\thome={user.home}|"
                         f"uid={places.MAIL_UID}|gid={places.MAIL_UID}|"
                         f"systempw={self._password(user.password)}\n")
        with open(path, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("".join(lines))
        folder = path[:-len("/userdb")]
        subprocess.run(["unshare", "-m", "--propagation", "private", "sh",
                        "-ec", 'mount --bind "$1" "$2"; exec chroot "$0" '
                        "/usr/sbin/makeuserdb", self.root, folder,
                        self.root + _ETC], check=True, capture_output=True)

    @staticmethod
    def _password(password):
        return subprocess.run(["openssl", "passwd", "-5", password],
                              check=True, capture_output=True,
                              text=True).stdout.strip()


# -- mail

def deliver(user, mails, mailbox="INBOX", batches=1, seed=1):
    """Deliver mails. With several batches, a client of each protocol looks
    into the mailbox after each one: IMAP UIDs, POP3 UIDLs and POP3 order (the
    time in the file's name) then run in three different orders, as they do in
    a mailbox that somebody moved mail in and out of."""
    top = f"{user.home}/Maildir"
    path = top if mailbox == "INBOX" else f"{top}/.{mailbox}"
    for folder in (top, path, *(f"{path}/{sub}" for sub in
                                ("cur", "new", "tmp"))):
        places.mail_folder(folder)
    mails = list(mails)
    times = list(range(len(mails)))
    if batches > 1:
        random.Random(f"{seed}/courier").shuffle(times)
    size = -(-len(mails) // batches)
    for first in range(0, len(mails), max(size, 1)):
        for mail, moment in zip(mails[first:first + size],
                                times[first:first + size]):
            _write(path, mail, moment)
        if batches > 1 and mailbox == "INBOX":
            _look(user)


def _write(path, mail, moment):
    """As a Maildir of Courier's has it: each line end is an LF. A CR before
    one belongs to the text."""
    text = mail.text.replace(b"\r\n", b"\n")
    letters = "".join(sorted(mailgen.FLAG_LETTERS[flag]
                             for flag in mail.flags))
    base = f"{_FIRST_TIME + moment * 60}.M{next(_counter)}P1.lab"
    name = f"{path}/cur/{base},S={len(text)}:2,{letters}"
    with open(name, "xb") as file:
        file.write(text)
        os.fchown(file.fileno(), places.MAIL_UID, places.MAIL_UID)
    os.utime(name, (mail.date, mail.date))


def _look(user):
    """What gives numbers to new mail: IMAP SELECT, POP3 login."""
    client = mailgen.login(user)
    client.command("SELECT", "INBOX")
    client.logout()
    snapshot.read_pop3(user.server.ports["pop3"], user.name, user.password)
