# SPDX-License-Identifier: LGPL-2.1-or-later
"""./dev demo and ./dev shell: a real mailbox moves between real servers."""

import os
import shlex
import subprocess
import sys
import time

from lab import Dovecot, VERSIONS, sample, snapshot

USER = "jane"
PLUGINS = ("migration_imapc", "migration_pop3")


def main():
    if "--shell" in sys.argv[1:]:
        return _shell()
    return max(_demo(version) for version in VERSIONS)


def _demo(version):
    with _source(version) as source, _destination(version, source) as dest:
        owner = source.user(USER)
        count = sample.deliver(owner)
        copy = dest.user(USER)
        _title(f"Dovecot {version}: {count} mails, 12 mailboxes, "
               f"{source.driver} -> {dest.driver}, over IMAP and POP3")
        before = snapshot.of(owner)
        codes = [_show(dest, *words) for words in _commands()]
        after = snapshot.of(copy)
        print("What two mail clients see, read back over IMAP and POP3:\n")
        same = _proof(before, after)
    print("\nEverything that a client depends on is the same.\n" if same else
          "\nThe two sides differ.\n")
    return 0 if same and not any(codes) else 1


def _commands():
    """(what it is for, doveadm's words)"""
    return [
        ("The migration, by stock doveadm:",
         "backup", "-R", "-u", USER, "imapc:"),
        ("The proof, every byte of every mail compared:",
         "migration", "verify", "--full", "-u", USER, "imapc:"),
        ("Once more: nothing is left to do.",
         "backup", "-R", "-u", USER, "imapc:"),
    ]


def _source(version):
    """A user's old server: IMAP and POP3, Maildir."""
    return Dovecot(version, driver="maildir")


def _destination(version, source):
    """The new server. Its configuration is the one of the README."""
    dest = Dovecot(version, driver="mdbox")
    dest.write_conf(
        dest.conf, plugins=PLUGINS, namespaces=[dest.pop3c_namespace()],
        plugin_settings={"migration_pop3_mailbox": "POP3-SOURCE/INBOX"},
        settings={**dest.imapc(source, password=_password()),
                  **dest.pop3c(source, password=_password())})
    return dest


def _password():
    return f"secret-of-{USER}"


def _show(dest, purpose, *words):
    """Run a command as a person would see it."""
    shown = ["doveadm", "-v", "-c", dest.conf, *words]
    print(f"{purpose}\n\n  # {shlex.join(shown)}")
    sys.stdout.flush()
    begin = time.monotonic()
    result = dest.run("/usr/bin/doveadm", *shown[1:])
    seconds = time.monotonic() - begin
    for line in (result.out + result.err).splitlines():
        print(f"  {line}")
    print(f"  -> exit code {result.rc}, {seconds:.1f} s\n")
    return result.rc


def _proof(before, after):
    """One line for each property that clients depend on."""
    rows = [
        ("mailboxes", sorted, lambda snap: snap.mailboxes),
        ("subscriptions", list, lambda snap: snap.subscriptions),
        ("UIDVALIDITY", dict, lambda snap: _each(snap, lambda box:
                                                  box.uidvalidity)),
        ("mails, by UID", dict, lambda snap: _each(snap, lambda box:
                                                    sorted(box.mails))),
    ]
    for name, field in (("flags", "flags"), ("keywords", "keywords"),
                        ("dates (INTERNALDATE)", "date"),
                        ("sizes", "size"), ("text (SHA-256)", "sha256")):
        rows.append((name, dict, lambda snap, field=field: _each(
            snap, lambda box: {uid: getattr(mail, field)
                               for uid, mail in box.mails.items()})))
    rows.append(("POP3 UIDLs and their order", list, lambda snap: snap.pop3))
    same = True
    for name, kind, part in rows:
        left, right = kind(part(before)), kind(part(after))
        equal = left == right
        same = same and equal
        print(f"  {name:<28} {_size(left):>5}  "
              f"{'equal' if equal else 'DIFFERENT'}")
    for line in snapshot.differences(before, after):
        print(f"    {line}")
    return same


def _each(snap, part):
    return {name: part(box) for name, box in snap.mailboxes.items()}


def _size(values):
    """How many single things were compared."""
    if isinstance(values, dict):
        return sum(len(value) if isinstance(value, (list, dict)) else 1
                   for value in values.values())
    return len(values)


def _title(text):
    print(f"{text}\n{'=' * len(text)}\n")


def _shell():
    """The lab of the demo, left running."""
    version = "2.4" if "2.4" in sys.argv[1:] else "2.3"
    with _source(version) as source, _destination(version, source) as dest:
        sample.deliver(source.user(USER))
        dest.user(USER)
        _title(f"The lab: Dovecot {version}")
        print(f"  source       IMAP port {source.ports['imap']}, POP3 port "
              f"{source.ports['pop3']}, user {USER}, password {_password()}\n"
              f"  destination  IMAP port {dest.ports['imap']}, POP3 port "
              f"{dest.ports['pop3']}, the same user and password\n\n"
              "Try, and leave with exit:\n")
        for _, *words in _commands():
            print("  " + shlex.join(dest.command_line(*words)))
        print()
        return subprocess.call([os.environ.get("SHELL", "/bin/bash")])


if __name__ == "__main__":
    sys.exit(main())
