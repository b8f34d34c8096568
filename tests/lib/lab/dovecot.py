# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real Dovecot servers of both versions, made from one description.

A Dovecot is a source, a destination, or both: a configuration, a master
process and the stock `doveadm` of that version.  Users are added at any time,
so one server serves all tests of a session and every test has its own user.
"""

import dataclasses
import glob
import itertools
import os
import re
import signal
import subprocess

from lab import places

VERSIONS = ("2.3", "2.4")

_MAIL_PATHS = {"maildir": "~/Maildir", "mdbox": "~/mdbox", "sdbox": "~/sdbox",
               "mbox": "~/mbox"}

# The listeners that a server can have: service, name, TLS from the first byte.
_LISTENERS = {
    "imap": ("imap-login", "imap", False),
    "imaps": ("imap-login", "imaps", True),
    "pop3": ("pop3-login", "pop3", False),
    "pop3s": ("pop3-login", "pop3s", True),
    "doveadm": ("doveadm", "lab", False),
    "doveadms": ("doveadm", "lab-tls", True),
}

# ./dev asan: the servers run without libasan, which our modules need then
_SERVERS_WITHOUT_US = "".join(
    f"protocol {name} {{\n  mail_plugins =\n}}\n" for name in ("imap", "pop3"))

_user_counter = itertools.count(1)


def stocks_best(version):
    """The settings with which an expert makes stock fast."""
    settings = {"mail_prefetch_count": 100}
    if version == "2.3":
        settings["imapc_features"] = ("rfc822.size fetch-headers modseq "
                                      "delay-login")
    return settings


def _shortened(text, first=20, last=30):
    """What a person reads of a long log."""
    lines = text.splitlines(keepends=True)
    if len(lines) <= first + last + 1:
        return text
    return "".join((*lines[:first],
                    f"[{len(lines) - first - last} lines more]\n",
                    *lines[-last:]))


@dataclasses.dataclass
class Result:
    """What a command said and how it ended."""
    args: list
    rc: int
    out: str
    err: str

    def ok(self):
        """This result, or a failure that shows it."""
        assert self.rc == 0, str(self)
        return self

    def __str__(self):
        return (f"{' '.join(self.args)}\nexit code {self.rc}\n--- stdout\n"
                f"{_shortened(self.out)}--- stderr\n{_shortened(self.err)}")


@dataclasses.dataclass
class User:
    server: "Dovecot"
    name: str
    password: str
    home: str
    driver: str
    fields: dict = dataclasses.field(default_factory=dict)

    @property
    def mail_path(self):
        return _MAIL_PATHS[self.driver].replace("~", self.home)


@dataclasses.dataclass
class Namespace:
    """One more namespace. `settings` takes anything else that a namespace
    block takes, e.g. {"list": False, "hidden": True}."""
    name: str
    prefix: str
    driver: str
    path: str = ""
    type: str = "private"
    separator: str = "/"
    settings: dict = dataclasses.field(default_factory=dict)


class Dovecot:
    """A Dovecot of one version.

    listeners       from imap, imaps, pop3, pop3s, doveadm, doveadms
    driver          maildir, sdbox, mdbox; a user may have another
    separator, prefix   of the namespace that holds the INBOX
    namespaces      further Namespace objects
    ca              a CA: the server offers TLS, and trusts it as a client
    master_users    {name: password}; they log in as "user*name"
    master_password a password that fits every user
    plugins         words for mail_plugins
    plugin_settings in plugin { } on 2.3, at top level on 2.4
    settings        top-level settings: {name: value}; True and False are yes
                    and no, a dict is a block
    extra           text for the end of the configuration
    one_users_file  the userdb can tell all users (-A, -u with a mask); they
                    are added before the server starts
    """

    def __init__(self, version, *, listeners=("imap", "pop3"),
                 driver="maildir", separator="/", prefix="", namespaces=(),
                 ca=None, master_users=None, master_password=None,
                 plugins=(), plugin_settings=None, settings=None, extra="",
                 one_users_file=False):
        assert version in VERSIONS, version
        self.version = version
        self.root = places.root(version)
        self.driver = driver
        self.separator = separator
        self.prefix = prefix
        self.ca = ca
        self.doveadm_password = "doveadm-secret"
        self.master_password = master_password
        self.master_users = dict(master_users or {})
        self.ports = {name: places.free_port() for name in listeners}
        self.users = {}
        self.one_users_file = one_users_file
        self.dir = places.scratch("d")
        self.conf = f"{self.dir}/dovecot.conf"
        self.log_path = f"{self.dir}/log"
        self._process = None
        for folder in ("run", "state", "home", "users"):
            os.mkdir(f"{self.dir}/{folder}", 0o755)
        # doveadm writes there as whatever user it is
        os.mkdir(f"{self.dir}/asan")
        os.chmod(f"{self.dir}/asan", 0o1777)
        _write_file(f"{self.dir}/masters", "".join(
            f"{name}:{{PLAIN}}{password}\n"
            for name, password in self.master_users.items()))
        self.write_conf(self.conf, namespaces=namespaces, plugins=plugins,
                        plugin_settings=plugin_settings, settings=settings,
                        extra=extra)

    # -- life

    def start(self):
        with open(f"{self.dir}/master.out", "ab") as out:
            self._process = subprocess.Popen(
                self.program("/usr/sbin/dovecot", "-F", "-c", self.conf),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=_clean_environment())
        places.wait_for(self._is_up, f"start of Dovecot {self.version}")
        return self

    def stop(self):
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
            self._process = None

    def kill(self):
        """kill -9 to the master alone."""
        self._process.kill()
        self._process.wait(30)
        os.unlink(f"{self.dir}/run/master.pid")

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()
        found = self.sanitizer_findings()
        assert not found, "\n\n".join(found)
        places.remove(self.dir)

    def _is_up(self):
        if self._process.poll() is not None:
            with open(f"{self.dir}/master.out") as out:
                raise RuntimeError("Dovecot did not start: "
                                   f"{out.read()}{self.log()}")
        return (os.path.exists(f"{self.dir}/run/master.pid") and
                os.path.exists(f"{self.dir}/run/auth-userdb"))

    @property
    def pid(self):
        """The master's process."""
        return self._process.pid

    # -- users

    def user(self, name=None, password=None, driver=None, fields=None):
        """Add a user. Without a name he gets one that nobody else has. fields
        are settings of his own, in his userdb entry; uid and gid are the system
        user that his mail belongs to."""
        name = name or f"u{os.getpid():x}n{next(_user_counter)}"
        user = User(self, name, password or f"secret-of-{name}",
                    places.mail_folder(f"{self.dir}/home/{name}"),
                    driver or self.driver, fields or {})
        self.users[name] = user
        if self.one_users_file:
            _write_file(f"{self.dir}/all-users", "".join(
                self._passwd_line(user) for user in self.users.values()))
        else:
            # A file for each user: Dovecot looks at a changed passwd-file
            # once a second only, and would not see him in time.
            _write_file(f"{self.dir}/users/{name}", self._passwd_line(user))
        return user

    def users_file(self, *users):
        """A list of users for doveadm -F."""
        path = f"{self.dir}/user-list"
        _write_file(path, "".join(f"{user.name}\n" for user in users))
        return path

    def _passwd_line(self, user):
        fields = ""
        if user.driver != self.driver:
            path = _MAIL_PATHS[user.driver]
            fields = (f"userdb_mail={user.driver}:{path}"
                      if self.version == "2.3" else
                      f"userdb_mail_driver={user.driver} "
                      f"userdb_mail_path={path}")
        own = dict(user.fields)
        ids = [own.pop(key, places.MAIL_UID) for key in ("uid", "gid")]
        fields += "".join(f" userdb_{key}={value}"
                          for key, value in own.items())
        return (f"{user.name}:{{PLAIN}}{user.password}:{ids[0]}:"
                f"{ids[1]}::{user.home}::{fields}\n")

    # -- commands

    def doveadm(self, *args, o=None, debug=False, conf=None, timeout=300,
                stdin=None):
        """Run this version's stock doveadm.

        o      settings for this call: {"imapc_port": 10143}
        debug  with -D
        conf   another configuration file
        """
        words = ["-D"] if debug else []
        words += ["-c", conf or self.conf]
        for key, value in (o or {}).items():
            words += ["-o", f"{key}={_value(value)}"]
        return self.run("/usr/bin/doveadm", *words, *args, timeout=timeout,
                        stdin=stdin)

    def command_line(self, *args):
        """What a person inside the lab types to run this doveadm."""
        return self.program("doveadm", "-c", self.conf, *args)

    def start_doveadm(self, *args, o=None, conf=None, environment=None,
                      **popen):
        """The same as a running process, for tests that kill it."""
        words = ["-c", conf or self.conf]
        for key, value in (o or {}).items():
            words += ["-o", f"{key}={_value(value)}"]
        return subprocess.Popen(
            self.program("/usr/bin/doveadm", *words, *map(str, args)),
            stdin=subprocess.DEVNULL,
            env={**self._environment(), **(environment or {})}, **popen)

    def doveconf(self, *args, conf=None):
        return self.run("/usr/bin/doveconf", "-c", conf or self.conf, *args)

    def run(self, program, *args, timeout=300, stdin=None):
        """Run a program where this version of Dovecot is installed."""
        words = self.program(program, *map(str, args))
        done = subprocess.run(
            words, env=self._environment(), timeout=timeout,
            input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True, text=True, errors="surrogateescape")
        return Result(words, done.returncode, done.stdout, done.stderr)

    def log(self):
        """What the servers logged (doveadm itself logs to stderr)."""
        try:
            with open(self.log_path, errors="surrogateescape") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _environment(self):
        """./dev asan: AddressSanitizer comes before everything else, writes
        what it finds to files here, and modules stay loaded for the stacks."""
        environment = _clean_environment()
        if "DM_ASAN_LIB" in os.environ:
            environment.update({
                "LD_PRELOAD": os.environ["DM_ASAN_LIB"], "GDB": "1",
                "ASAN_OPTIONS": f"log_path={self.dir}/asan/log:exitcode=99:"
                                "detect_leaks=1:fast_unwind_on_malloc=0:"
                                "handle_segv=0:handle_abort=0",
                "LSAN_OPTIONS": "exitcode=0:report_objects=0",
                # doveadm runs doveconf, which runs doveadm
                "DOVECOT_PRESERVE_ENVS":
                    "LD_PRELOAD GDB ASAN_OPTIONS LSAN_OPTIONS"})
        return environment

    def sanitizer_findings(self):
        """Errors, and leaks near whose top one of our functions is: with
        run() of ours around everything, Dovecot's own have one, too."""
        found = []
        for path in glob.glob(f"{self.dir}/asan/log.*"):
            with open(path, errors="replace") as file:
                text = file.read()
            parts = re.split(r"\n\n", text)
            found += [part for part in parts
                      if "ERROR: AddressSanitizer" in part or
                      ("leak of" in part and
                       any("/src/src/" in line
                           for line in part.splitlines()[1:8]))]
        return found

    def program(self, *words):
        return (list(words) if self.root == "/" else
                ["chroot", self.root, *words])

    # -- settings by which this server migrates from another one

    def imapc(self, source, user=None, password=None, master=None,
              ssl=None, port=None):
        """The settings of Dovecot's migration guide for reaching `source`
        with imapc.  source has `ports` and `ca`.

        user, password  default: the same name; the user's password must then
                        be given with -o or be the master password
        master          name of a master user of the source
        ssl             None, "imaps" or "starttls"
        port            e.g. that of a proxy
        """
        settings = {
            "imapc_host": "127.0.0.1",
            "imapc_port": port or source.ports[
                "imaps" if ssl == "imaps" else "imap"],
            "imapc_user": user or "%{user}",
        }
        if self.version == "2.3":
            settings["imapc_features"] = "rfc822.size fetch-headers"
        if master is not None:
            settings["imapc_master_user"] = master
            password = password or source.master_users[master]
        settings["imapc_password"] = password or source.master_password
        return _with_ssl(settings, "imapc", ssl, source)

    def opened_one_by_one(self, settings):
        """The same settings of imapc for a run that fetches nothing before a
        mailbox is opened: its workarounds leave that to imapc."""
        features = f"{settings.get('imapc_features', '')} fetch-msn-workarounds"
        return {**settings, "imapc_features": features.strip()}

    def pop3c(self, source, user=None, password=None, master=None,
              ssl=None, port=None):
        """The same for pop3c. ssl: None, "pop3s" or "starttls"."""
        settings = {
            "pop3c_host": "127.0.0.1",
            "pop3c_port": port or source.ports[
                "pop3s" if ssl == "pop3s" else "pop3"],
            "pop3c_user": user or "%{user}",
        }
        if master is not None:
            settings["pop3c_master_user"] = master
            password = password or source.master_users[master]
        settings["pop3c_password"] = password or source.master_password
        return _with_ssl(settings, "pop3c", ssl, source)

    def pop3c_namespace(self, prefix="POP3-SOURCE/"):
        """The hidden namespace of the migration guide for UIDLs. Its prefix
        without the separator is the value of migration_pop3_mailbox, plus
        /INBOX."""
        return Namespace("pop3c", prefix, "pop3c",
                         settings={"list": False, "hidden": True})

    # -- configuration

    def write_conf(self, path, *, namespaces=(), plugins=(),
                   plugin_settings=None, settings=None, extra=""):
        """Write a configuration of this server to `path`: its own, or a
        separate one for `doveadm -c`."""
        text = "".join([
            self._conf_head(), self._conf_mail(), self._conf_auth(),
            self._conf_listeners(), self._conf_tls(),
            "".join(self._conf_namespace(ns) for ns in namespaces),
            self._conf_plugins(plugins, plugin_settings or {}),
            _block_body(settings or {}), extra, "\n",
            _SERVERS_WITHOUT_US if "DM_ASAN_LIB" in os.environ else ""])
        _write_file(path, text)
        return path

    def _conf_head(self):
        head = ""
        if self.version == "2.4":
            head = ("dovecot_config_version = 2.4.1\n"
                    "dovecot_storage_version = 2.4.1\n")
        protocols = [name for name in ("imap", "pop3")
                     if name in self.ports or name + "s" in self.ports]
        return head + _block_body({
            "listen": "127.0.0.1",
            "protocols": " ".join(protocols),
            "base_dir": f"{self.dir}/run",
            "state_dir": f"{self.dir}/state",
            "log_path": self.log_path,
            "auth_failure_delay": "0",
            "mail_max_userip_connections": 100,
        })

    def _conf_mail(self):
        settings = {"mail_uid": places.MAIL_UID, "mail_gid": places.MAIL_UID,
                    "first_valid_uid": 1}
        path = _MAIL_PATHS[self.driver]
        if self.version == "2.3":
            settings["mail_location"] = f"{self.driver}:{path}"
        else:
            settings.update({
                "mail_driver": self.driver, "mail_path": path,
                # as in 2.3: do not invent mailboxes that the source lacks
                "mailbox_list_drop_noselect": False})
        settings["namespace inbox"] = {
            "inbox": True, "separator": self.separator,
            "prefix": self.prefix}
        return _block_body(settings)

    def _conf_auth(self):
        users, masters = f"{self.dir}/users/%{{user}}", f"{self.dir}/masters"
        if self.one_users_file:
            users = f"{self.dir}/all-users"
        if self.version == "2.3":
            text = _block_body({
                "disable_plaintext_auth": False,
                # Else who logs in after another test's wrong password waits
                # for seconds: all are 127.0.0.1.
                "service anvil": {"unix_listener anvil-auth-penalty":
                                  {"mode": 0}},
                "passdb ": {"driver": "passwd-file", "args": users},
                "userdb ": {"driver": "passwd-file", "args": users}})
        else:
            text = _block_body({
                "auth_allow_cleartext": True,
                "passdb users": {"driver": "passwd-file",
                                 "passwd_file_path": users},
                "userdb users": {"driver": "passwd-file",
                                 "passwd_file_path": users}})
        if self.master_users:
            text += "auth_master_user_separator = *\n"
            text += _block_body(
                {"passdb ": {"driver": "passwd-file", "args": masters,
                             "master": True}}
                if self.version == "2.3" else
                {"passdb masters": {"driver": "passwd-file",
                                    "passwd_file_path": masters,
                                    "master": True}})
        if self.master_password is not None:
            text += _block_body(
                {"passdb ": {"driver": "static",
                             "args": f"password={self.master_password}"}}
                if self.version == "2.3" else
                {"passdb static": {"password": self.master_password}})
        return text

    def _conf_listeners(self):
        services = {}
        for name, (service, listener, tls) in _LISTENERS.items():
            protocol = name[:4]
            if name in self.ports:
                block = {"port": self.ports[name], "ssl": tls}
            elif protocol in ("imap", "pop3") and (
                    protocol in self.ports or protocol + "s" in self.ports):
                block = {"port": 0}
            else:
                continue
            services.setdefault(f"service {service}", {})[
                f"inet_listener {listener}"] = block
        text = _block_body(services)
        return text + f"doveadm_password = {self.doveadm_password}\n"

    def _conf_tls(self):
        if self.ca is None:
            return "ssl = no\n"
        files = ({"ssl_cert": f"<{self.ca.cert}", "ssl_key": f"<{self.ca.key}"}
                 if self.version == "2.3" else
                 {"ssl_server_cert_file": self.ca.cert,
                  "ssl_server_key_file": self.ca.key})
        return _block_body({"ssl": True, **files,
                            "ssl_client_ca_file": self.ca.ca})

    def _conf_namespace(self, ns):
        settings = {"type": ns.type, "separator": ns.separator,
                    "prefix": ns.prefix}
        if self.version == "2.3":
            settings["location"] = f"{ns.driver}:{ns.path}"
        else:
            settings.update({"mail_driver": ns.driver, "mail_path": ns.path})
        return _block_body({f"namespace {ns.name}":
                            {**settings, **ns.settings}})

    def _conf_plugins(self, plugins, plugin_settings):
        text = ""
        if plugins:
            text = f"mail_plugins = {' '.join(plugins)}\n"
        if plugin_settings and self.version == "2.3":
            return text + _block_body({"plugin ": plugin_settings})
        return text + _block_body(plugin_settings)

    def plugin_options(self, settings):
        """Plugin settings as they are given with -o: plugin/NAME on 2.3."""
        if self.version == "2.3":
            return {f"plugin/{key}": value for key, value in settings.items()}
        return dict(settings)


def _with_ssl(settings, prefix, ssl, source):
    if ssl is not None:
        settings[f"{prefix}_ssl"] = ssl
        settings["ssl_client_ca_file"] = source.ca.ca
    return settings


def _value(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _block_body(settings, indent=""):
    """Settings as text; a dict becomes a block over several lines."""
    lines = []
    for key, value in settings.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{key} {{\n"
                         f"{_block_body(value, indent + '  ')}{indent}}}\n")
        else:
            lines.append(f"{indent}{key} = {_value(value)}".rstrip() + "\n")
    return "".join(lines)


def _write_file(path, text):
    """Replace a file as a whole: a server may be reading it."""
    with open(f"{path}.new", "w") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


def _clean_environment():
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
            "HOME": "/root"}
