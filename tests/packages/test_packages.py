# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian and RPM packages, in Debian releases that have nothing else.

Runs in a mount namespace of its own. The packages come from ./dev, Dovecot
itself from Debian. In the order written: each test finds what the one before it
left in the root.
"""

import glob
import os
import re
import subprocess

import pytest

TOP = os.environ["DM_SRC"]
PACKAGES = os.environ["DM_PACKAGES"]
RELEASES = {"2.3": "12", "2.4": "13"}
PLUGINS = ("lib05_migration_imapc_plugin.so", "lib06_migration_pop3_plugin.so",
           "lib07_migration_gmail_plugin.so",
           "lib08_migration_import_plugin.so")
# what apt and dpkg write for themselves
NOT_OURS = re.compile(r"/(var/(cache|log|lib/(apt|dpkg))|proc|dev|tmp|run)/|"
                      r"/etc/ld\.so\.cache")


def deb(version):
    (path,) = glob.glob(
        f"{PACKAGES}/deb/dovecot-migration_*~deb{RELEASES[version]}u1_*.deb")
    return path


class Root:
    """A Debian release in memory, over the one that ./dev made."""

    def __init__(self, version, folder):
        self.version = version
        below = os.environ["DM_ROOT_" + version.replace(".", "")]
        self.path = f"{folder}/root"
        for name in ("memory", "root"):
            os.mkdir(f"{folder}/{name}")
        mount("-t", "tmpfs", "tmpfs", f"{folder}/memory")
        for name in ("upper", "work"):
            os.mkdir(f"{folder}/memory/{name}")
        mount("-t", "overlay", "overlay", "-o",
              f"lowerdir={below},upperdir={folder}/memory/upper,"
              f"workdir={folder}/memory/work", self.path)
        mount("-t", "proc", "proc", f"{self.path}/proc")
        mount("--bind", "/dev", f"{self.path}/dev")
        with open("/etc/resolv.conf", encoding="utf-8") as file:
            self.write("/etc/resolv.conf", file.read())
        if version == "2.3":
            self.write("/etc/apt/sources.list", debian_sources())
        # no server is started here, and apt asks nothing
        self.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        self.write("/etc/apt/apt.conf.d/test", 'APT::Get::Assume-Yes "true";\n'
                   'APT::Install-Recommends "false";\n')
        self.run("apt-get update -q")

    def write(self, path, text, mode=0o644):
        with open(self.path + path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path + path, mode)

    def run(self, command, check=True):
        done = subprocess.run(
            ["chroot", self.path, "sh", "-c", f"cd /root && {command}"],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
                 "DEBIAN_FRONTEND": "noninteractive",
                 **{name: value for name, value in os.environ.items()
                    if name.lower().endswith("_proxy")}},
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=600)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def give(self, path):
        """Put a file into /root, where commands run."""
        subprocess.run(["cp", path, f"{self.path}/root/"], check=True)

    def files(self):
        return {path for path in self.run(
            "find / -xdev -not -type d").stdout.splitlines()
                if not NOT_OURS.match(path)}


def debian_sources():
    """Where this machine, on which the package was built, has its Debian from:
    with security updates if they are used here."""
    found = subprocess.run(
        ["sh", "-c", """. /etc/os-release; echo "$VERSION_CODENAME"
         apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' \
             'Created-By: Packages'"""],
        capture_output=True, text=True, check=True).stdout.splitlines()
    return "".join(f"deb {line}\n" for line in found[1:]
                   if re.search(rf" {found[0]}\S* main$", line))


def mount(*words):
    subprocess.run(["mount", *words], check=True)


@pytest.fixture(scope="module", params=[
    pytest.param(version, marks=pytest.mark.xdist_group(version))
    for version in RELEASES])
def root(request, tmp_path_factory):
    return Root(request.param, tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def before(root):
    """Dovecot alone."""
    root.run("apt-get install -q dovecot-imapd dovecot-pop3d openssl")
    root.give(deb(root.version))
    return root.files()


def test_one_version_everywhere():
    found = {}
    for name, pattern in (
            ("configure.ac", r"AC_INIT\(\[.*?\], \[(.*?)\]"),
            ("dovecot-migration.spec", r"^Version: *(\S+)"),
            ("debian/changelog", r"^dovecot-migration \((.*)-\d+\)"),
            ("NEWS", r"^dovecot-migration (\S+)")):
        with open(f"{TOP}/{name}", encoding="utf-8") as file:
            found[name] = re.search(pattern, file.read(), re.M)[1]
    assert len(set(found.values())) == 1, found


def readme_install_command():
    """The line of README.md that installs the package."""
    with open(f"{TOP}/README.md", encoding="utf-8") as file:
        (line,) = re.findall(r"^apt install \./.*$", file.read(), re.M)
    return line


def test_installs_as_readme_says(root, before):
    root.run(readme_install_command())
    new = root.files() - before
    modules = "/usr/lib/dovecot/modules"
    assert {f"{modules}/{name}" for name in PLUGINS} < new
    assert f"{modules}/doveadm/lib20_doveadm_migration_plugin.so" in new
    assert "/usr/lib/dovecot/libdovecot-migration.so" in new
    assert (f"{modules}/settings/libmigration_settings.so" in new) == (
        root.version == "2.4")
    assert not [path for path in new if path.endswith(".la")]
    for name in ("README.md", "doc/settings.md",
                 f"conf.d/{root.version}/migration-imap.conf"):
        assert any(path.startswith(f"/usr/share/doc/dovecot-migration/{name}")
                   for path in new), name
    assert commands_there(root)


def commands_there(root):
    return re.search(r"^ *migration +.*\bverify\b", root.run(
        "doveadm help 2>&1", check=False).stdout, re.M)


def test_needs_dovecots_abi(root):
    abi = {"2.3": "dovecot-abi-2.3.abiv", "2.4": "dovecot-abi-2.4.abiv"}
    needs = root.run("dpkg-query -W -f '${Depends}' dovecot-migration").stdout
    assert abi[root.version] in needs
    core = root.run("dpkg-query -W -f '${Version}' dovecot-core").stdout
    assert f"dovecot-core (= {core})" in needs
    found = subprocess.run(
        ["readelf", "-d", *glob.glob(
            f"{root.path}/usr/lib/dovecot/modules/lib0?_migration_*.so")],
        capture_output=True, text=True, check=True).stdout
    paths = re.findall(r"R(?:UN)?PATH.*\[(.*)\]", found)
    assert paths == ["/usr/lib/dovecot"] * len(PLUGINS)


def test_migrates_as_readme_says(root):
    """README's quick start and configurations, with the installed package."""
    os.makedirs(f"{root.path}{os.environ['DM_WORK']}", exist_ok=True)
    os.makedirs(f"{root.path}/mnt/src", exist_ok=True)
    key = "DM_ROOT_" + root.version.replace(".", "")
    done = subprocess.run(
        ["unshare", "-m", "-p", "-n", "-f", "--kill-child", "sh", "-ec", '''
            ip link set lo up
            mkdir -p "$DM_WORK"
            mount -t tmpfs -o mode=755 tmpfs "$DM_WORK"
            mount --bind "$DM_WORK" "$0$DM_WORK"
            mount --bind "$DM_SRC" "$0/mnt/src"
            exec "$@"''', root.path, "/usr/bin/python3", "-m", "pytest", "-q",
         "-p", "no:cacheprovider", "-p", "no:xdist", "-rsx", "-k",
         root.version, f"{TOP}/tests/system/test_readme.py"],
        env={**os.environ, key: root.path}, capture_output=True, text=True,
        timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 4, done.stdout
    assert "skipped" not in done.stdout


def test_package_of_the_other_release_is_refused(root):
    (other,) = set(RELEASES) - {root.version}
    root.give(deb(other))
    done = root.run(f"apt-get install -q ./{os.path.basename(deb(other))}",
                    check=False)
    assert done.returncode != 0
    assert "dovecot-abi-" in done.stdout + done.stderr


def test_upgrade_to_another_abi_waits_for_us(root):
    """apt keeps dovecot-core back, instead of breaking the server. All of
    Debian's Dovecot packages have a newer version here."""
    os.mkdir(f"{root.path}/root/newer")
    for name in root.run("dpkg-query -W -f '${Package}\n' 'dovecot-*' "
                         "| grep -v dovecot-migration").stdout.split():
        fake = f"{root.path}/root/newer/{name}"
        os.makedirs(f"{fake}/DEBIAN")
        with open(f"{fake}/DEBIAN/control", "w", encoding="utf-8") as file:
            file.write(f"Package: {name}\nVersion: 9:9.9\nArchitecture: all\n"
                       "Maintainer: nobody <nobody@localhost>\n"
                       "Description: newer\n" +
                       ("Provides: dovecot-abi-9.9.abiv1\n"
                        if name == "dovecot-core" else
                        "Depends: dovecot-core (= 9:9.9)\n"))
        subprocess.run(["dpkg-deb", "-b", fake, f"{fake}.deb"], check=True,
                       capture_output=True)
    subprocess.run("dpkg-scanpackages -m . > Packages", shell=True, check=True,
                   cwd=f"{root.path}/root/newer", capture_output=True)
    root.write("/etc/apt/sources.list.d/newer.list",
               "deb [trusted=yes] file:/root/newer ./\n")
    root.run("apt-get update -q")
    version = "dpkg-query -W -f '${Version}' dovecot-core"
    was = root.run(version).stdout
    root.run("apt-get upgrade -q")
    assert root.run(version).stdout == was != "9:9.9"
    assert commands_there(root)


def test_removal_leaves_nothing(root, before):
    root.run("apt-get purge -q dovecot-migration")
    there = {path for path in root.files()
             if not path.startswith("/root/") and "newer.list" not in path}
    assert there == {path for path in before if not path.startswith("/root/")}
    # nothing but our package held the upgrade back
    assert "Inst dovecot-core" in root.run("apt-get -s upgrade").stdout


@pytest.mark.parametrize("version", RELEASES)
def test_rpm_has_the_files_of_the_deb(version):
    """Names differ where the file systems do: documentation and its
    compression, build ids."""
    package = [path for path in glob.glob(
        f"{PACKAGES}/rpm/{version}/dovecot-migration-0*.rpm")
               if not path.endswith(".src.rpm")]
    if not package and version == "2.4":
        pytest.skip("made by ./dev packages and ./dev test --long")
    listed = subprocess.run(["rpm", "-qpl", *package], capture_output=True,
                            text=True, check=True).stdout.splitlines()
    there = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb(version)],
                           capture_output=True, check=True).stdout
    names = subprocess.run(["tar", "-t"], input=there, capture_output=True,
                           check=True).stdout.decode().splitlines()
    modules = {name[1:] for name in names if name.endswith(".so")}
    assert len(modules) > len(PLUGINS)
    assert modules == {path for path in listed if path.endswith(".so")}
    for name in names:
        found = re.match(r"\./usr/share/(man/.*?|doc/dovecot-migration/"
                         r"(?!changelog|copyright).*?[^/])(\.gz)?$", name)
        if found and not name.endswith("/"):
            assert any(path.startswith(f"/usr/share/{found[1]}")
                       for path in listed), name
