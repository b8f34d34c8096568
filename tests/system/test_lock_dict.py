# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration_lock_dict: two hosts, each in a network namespace of its own and
with its own mail storage, and a real Redis between them. One is killed in the
middle of its run."""

import os
import re
import signal
import subprocess

import pytest

from lab import Dovecot, mailgen, places

# several processes run tests in one network
NUMBER = os.getpid() % 250
NET = f"10.99.{NUMBER}"
REDIS = f"{NET}.1"
BRIDGE = f"lockbr{NUMBER}"
LEASE = 5


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def network():
    """A bridge with Redis' address, and a way of each host to it."""
    ip("link", "add", BRIDGE, "type", "bridge")
    ip("addr", "add", f"{REDIS}/24", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")
    hosts = []
    for number in (2, 3):
        # held by its process: it ends with it
        holder = subprocess.Popen(["unshare", "-n", "sleep", "600"])
        places.wait_for(lambda: os.readlink(
            f"/proc/{holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"),
            "the namespace")
        ip("link", "add", f"lockv{NUMBER}-{number}", "type", "veth", "peer", "name",
           f"lockp{NUMBER}-{number}", "netns", str(holder.pid))
        ip("link", "set", f"lockv{NUMBER}-{number}", "master", BRIDGE, "up")
        inside = ["nsenter", "-t", str(holder.pid), "-n"]
        for words in (f"addr add {NET}.{number}/24 dev lockp{NUMBER}-{number}",
                      f"link set lockp{NUMBER}-{number} up", "link set lo up"):
            subprocess.run([*inside, "ip", *words.split()], check=True)
        hosts.append((holder, inside))
    yield [inside for _, inside in hosts]
    for holder, _ in hosts:
        holder.kill()
        holder.wait()
    ip("link", "del", BRIDGE)


@pytest.fixture(scope="module")
def redis(network):
    folder = places.scratch("redis")
    port = places.free_port()
    server = subprocess.Popen(
        ["redis-server", "--bind", REDIS, "--port", str(port), "--save", "",
         "--appendonly", "no", "--protected-mode", "no", "--dir", folder],
        stdout=subprocess.DEVNULL)

    def get():
        done = subprocess.run(["redis-cli", "-h", REDIS, "-p", str(port),
                               "--raw", "mget", *keys()],
                              capture_output=True, text=True)
        return done.stdout.strip()

    def keys():
        done = subprocess.run(["redis-cli", "-h", REDIS, "-p", str(port),
                               "--raw", "keys", "*"], capture_output=True,
                              text=True)
        return done.stdout.split() or ["none"]

    places.wait_for(lambda: subprocess.run(
        ["redis-cli", "-h", REDIS, "-p", str(port), "ping"],
        capture_output=True).returncode == 0, "Redis")
    yield port, get
    server.terminate()
    server.wait()
    places.remove(folder)


@pytest.fixture(scope="module")
def hosts(version, network, redis):
    """The same user on two servers that have nothing in common."""
    port, _ = redis
    if version == "2.3":
        name, extra = f"redis:host={REDIS}:port={port}", ""
    else:
        name, extra = "lock", (
            "migration_locks {\n dict lock {\n  dict_driver = redis\n  "
            f"redis_host = {REDIS}\n  redis_port = {port}\n }}\n}}\n")
    servers = []
    for _ in network:
        server = Dovecot(version, driver="sdbox", plugins=("migration_imapc",),
                         plugin_settings={"migration_lock_dict": name,
                                          "migration_lock_lease": f"{LEASE}s"},
                         extra=extra)
        server.start()
        server.user("lockuser")
        servers.append(server)
    yield list(zip(servers, network))
    for server in servers:
        server.stop()


HANGING = ["-o", "imapc_host=127.0.0.1", "-o", "imapc_port=4143", "-o",
           "imapc_password=x", "backup", "-R", "-u", "lockuser", "imapc:"]


@pytest.fixture(scope="module")
def silent(network):
    """In each host a server that takes a connection and says nothing: what
    HANGING needs."""
    servers = [subprocess.Popen(
        [*inside, "python3", "-c",
         "import socket, time\ns = socket.create_server(('127.0.0.1', 4143))\n"
         "time.sleep(600)"]) for inside in network]
    yield
    for server in servers:
        server.kill()
        server.wait()


def begin(host, *command):
    """A doveadm on that host."""
    server, inside = host
    return subprocess.Popen(
        [*inside, *server.command_line(*command)], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]})


def finish(process):
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def local_source(server):
    user = server.user(driver="maildir")
    mailgen.deliver(user, {"INBOX": mailgen.mails(3)})
    return f"maildir:{user.mail_path}"


def test_two_hosts(hosts, redis, silent):
    _, get = redis
    first, second = hosts
    backup = ["backup", "-R", "-u", "lockuser", local_source(second[0])]
    one = begin(first, *HANGING)
    places.wait_for(lambda: "backup imapc:" in get(), "the lock")
    assert re.search(r"\S+ \d+ process \d+ on \S+, backup imapc: since ", get())
    # it is renewed, so the other host's run is refused and names it
    code, err = finish(begin(second, *backup))
    assert code == 75, err
    assert re.search(r"Another migration of this user is running: process "
                     rf"{one.pid} on \S+, backup imapc: since .*"
                     r"\(migration_lock_dict\)", err), err
    # killed, it is dead after the lease's time, and taken over
    os.kill(one.pid, signal.SIGKILL)
    one.wait()
    assert get() != ""
    code, err = finish(begin(second, *backup))
    assert code == 0, err
    # given back at the end
    assert get() == ""
    code, err = finish(begin(second, *backup))
    assert code == 0, err


def test_a_run_that_slept_too_long_ends(hosts, redis, silent):
    """Stopped for longer than the lease: the other host has the lock then, and
    it ends by itself."""
    first, second = hosts
    _, get = redis
    one = begin(first, *HANGING)
    # it has the lock once it renews it
    places.wait_for(lambda: re.match(
        rf"\S+ [2-9] process {one.pid} ", get()), "the lock")
    os.kill(one.pid, signal.SIGSTOP)
    two = begin(second, *HANGING)
    places.wait_for(lambda: f"process {two.pid} " in get(), "the takeover")
    os.kill(one.pid, signal.SIGCONT)
    code, err = finish(one)
    assert code == 75, err
    assert "was taken over" in err and f"process {two.pid} on" in err
    assert f"process {two.pid} " in get()
    two.terminate()
    code, err = finish(two)
    assert code == 75, err
    assert get() == ""


def test_dict_that_is_away(hosts, version):
    """Refused with the setting's name: no lock, no run."""
    server, _ = hosts[0]
    name = (f"redis:host={NET}.9:timeout_msecs=500" if version == "2.3" else
            "nosuch")
    words = [word for key, value in server.plugin_options(
        {"migration_lock_dict": name}).items()
        for word in ("-o", f"{key}={value}")]
    code, err = finish(begin(hosts[0], *words, "backup", "-R", "-u", "lockuser",
                             local_source(server)))
    assert code == 75, err
    assert "migration_lock_dict: " in err
