# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real Cyrus: IMAP and POP3, in a root of its own.

    with lab.Cyrus() as source:                 INBOX.folder
    with lab.Cyrus(altnamespace=True) as source:    folder, below no INBOX
        user = source.user()
        cyrus.append(user, "INBOX", mailgen.mails(30))

It looks to tests as a lab.Dovecot does (ports, prefix, separator, user()), so
that snapshot.of() reads it and a destination's imapc() and pop3c() reach it.
"""

import itertools
import os
import signal
import subprocess

from lab import imap, mailgen, places
from lab.dovecot import User

_BIN = "/usr/lib/cyrus/bin"

_user_counter = itertools.count(1)


class Cyrus:
    """uidl_format: cyrus (UIDVALIDITY.UID), uidonly, dovecot or courier."""

    ca = None
    master_users = {"admin": "admin-secret"}

    def __init__(self, altnamespace=False, uidl_format="cyrus", settings=None):
        self.root = os.environ["DM_ROOT_CYRUS"]
        self.prefix = "" if altnamespace else "INBOX."
        self.separator = "/" if altnamespace else "."
        self.master_password = self.master_users["admin"]
        self.ports = {"imap": places.free_port(), "pop3": places.free_port()}
        self.users = {}
        self.dir = places.scratch("y")
        self._process = None
        self._write_conf({
            "altnamespace": altnamespace, "unixhierarchysep": altnamespace,
            "uidl_format": uidl_format, **(settings or {})})

    def __enter__(self):
        self._add_password("admin", self.master_password)
        with open(f"{self.dir}/log", "ab") as log:
            self._process = subprocess.Popen(
                ["chroot", self.root, f"{_BIN}/master",
                 "-C", f"{self.dir}/imapd.conf",
                 "-M", f"{self.dir}/cyrus.conf", "-p", f"{self.dir}/pid"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        places.wait_for(self._is_up, "start of Cyrus")
        return self

    def __exit__(self, *exception):
        # idle children stay behind if only the master is told
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(30)
        places.remove(self.dir)

    def user(self, name=None, password=None):
        name = name or f"u{os.getpid():x}n{next(_user_counter)}"
        user = User(self, name, password or f"secret-of-{name}",
                    f"{self.dir}/home/{name}", "maildir")
        self.users[name] = user
        self._add_password(name, user.password)
        admin = imap.Client(self.ports["imap"]).login(
            "admin", self.master_password)
        admin.command("CREATE", imap.quote(f"user{self.separator}{name}"))
        admin.logout()
        return user

    def log(self):
        with open(f"{self.dir}/log", errors="surrogateescape") as file:
            return file.read()

    def _is_up(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"Cyrus did not start: {self.log()}")
        return not any(places.can_bind(port) for port in self.ports.values())

    # -- configuration

    def _write_conf(self, settings):
        folders = {name: f"{self.dir}/{name}" for name in
                   ("lib", "mail", "sieve", "proc", "run")}
        for path in folders.values():
            os.mkdir(path)
            os.chown(path, *self._account())
        os.chown(self.dir, *self._account())
        settings = {
            "servername": "lab",
            "configdirectory": folders["lib"],
            "partition-default": folders["mail"],
            "defaultpartition": "default",
            "proc_path": folders["proc"],
            "sievedir": folders["sieve"],
            "lmtpsocket": f"{folders['run']}/lmtp",
            "idlesocket": f"{folders['run']}/idle",
            "admins": "admin",
            "allowplaintext": True,
            "sasl_mech_list": "PLAIN",
            "sasl_pwcheck_method": "auxprop",
            "sasl_auxprop_plugin": "sasldb",
            "sasl_sasldb_path": f"{self.dir}/sasldb",
            "syslog_prefix": "cyrus",
            # 8-bit headers stay as they are; the default is to write X
            "munge8bit": False,
            # the lab's scratch folder is in memory
            "skiplist_unsafe": True,
            **settings,
        }
        with open(f"{self.dir}/imapd.conf", "w") as file:
            for name, value in settings.items():
                if isinstance(value, bool):
                    value = "yes" if value else "no"
                file.write(f"{name}: {value}\n")
        conf = f"-C {self.dir}/imapd.conf"
        with open(f"{self.dir}/cyrus.conf", "w") as file:
            file.write(f"""\
START {{
  recover cmd="{_BIN}/ctl_cyrusdb {conf} -r"
}}
SERVICES {{
  imap cmd="{_BIN}/imapd {conf}" listen="127.0.0.1:{self.ports['imap']}" prefork=0
  pop3 cmd="{_BIN}/pop3d {conf}" listen="127.0.0.1:{self.ports['pop3']}" prefork=0
}}
""")

    def _add_password(self, name, password):
        path = f"{self.dir}/sasldb"
        subprocess.run(["chroot", self.root, "/usr/sbin/saslpasswd2", "-c",
                        "-p", "-f", path, "-u", "lab", name],
                       input=password, text=True, check=True,
                       capture_output=True)
        os.chown(path, *self._account())

    def _account(self):
        """uid and gid of the root's account cyrus."""
        with open(f"{self.root}/etc/passwd") as file:
            for line in file:
                fields = line.split(":")
                if fields[0] == "cyrus":
                    return int(fields[2]), int(fields[3])
        raise RuntimeError("no account cyrus in the root")


def append(user, mailbox, mails):
    """Append mails over IMAP; return those that Cyrus takes. It refuses NUL,
    header lines that are none, and nothing at all."""
    client = mailgen.login(user)
    name = imap.quote(imap.encode_name(mailbox))
    taken = []
    for mail in mails:
        if mail.text == b"":
            continue            # the connection would be out of step
        try:
            client.command("APPEND", name, f"({' '.join(mail.flags)})",
                           f'"{mailgen.internaldate(mail.date)}"', mail.text)
        except imap.ImapError as error:
            if "Message contains" not in str(error):
                raise
        else:
            taken.append(mail)
    client.logout()
    return taken
