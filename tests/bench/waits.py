# SPDX-License-Identifier: LGPL-2.1-or-later
"""How often does a migration wait for a distant server?

    ./dev bench [--version 2.3|2.4] [--round-trip SECONDS] [--scale N] [ROW…]

Each row is one piece of work, each column a way to do it; the same source, the
same wire (lab.latency), one after the other in one run. A wait is a burst of
the client that starts while nothing is under way; see lab.latency. The time
lost to distance is waits x round trip, whatever the machine does meanwhile, so
a short round trip measures the same count sooner.
"""

import argparse
import sys
import time

from lab import Dovecot, mailgen
from lab.latency import Link

BEST = {"mail_prefetch_count": 100}
BEST_FEATURES = "rfc822.size fetch-headers modseq delay-login"


class Way:
    """A column: stock Dovecot as it comes, stock with every setting that an
    expert can find, or the plugins without any setting."""

    def __init__(self, name, version, plugins=(), settings=None, pop3=None):
        self.name = name
        # 2.3 aborts on a refused login without delay-login; sizes are the
        # least that anybody sets
        features = {"imapc_features": "rfc822.size"} if version == "2.3" else {}
        self.settings = {**features, **(settings or {})}
        self.dest = Dovecot(version, driver="sdbox", plugins=plugins)
        self.conf = {False: self.dest.conf, True: self.dest.write_conf(
            f"{self.dest.dir}/pop3.conf", plugins=[*plugins, pop3],
            namespaces=[self.dest.pop3c_namespace()],
            plugin_settings={f"{pop3}_mailbox": "POP3-SOURCE/INBOX"})}

    def options(self, source, link, user, pop3):
        settings = {
            **self.dest.imapc(source, user=user.name, password=user.password,
                              port=link.to(source.ports["imap"])),
            **self.settings}
        if pop3:
            settings.update(self.dest.pop3c(
                source, user=user.name, password=user.password,
                port=link.to(source.ports["pop3"])))
        return settings


def ways(version):
    expert = dict(BEST)
    if version == "2.3":
        expert["imapc_features"] = BEST_FEATURES
    return [Way("stock", version, pop3="pop3_migration"),
            Way("stock, best", version, settings=expert,
                pop3="pop3_migration"),
            Way("migration", version, plugins=("migration_imapc",),
                pop3="migration_pop3")]


BACKUP = ("backup", "-R")
IMPORT = ("import",)

# name: (mailboxes, mails in each, command, earlier runs, with POP3)
ROWS = {
    "full-1": ("full, 1 mailbox", 1, 2000, BACKUP, 0, False),
    "full-1-large": ("full, 1 mailbox", 1, 20000, BACKUP, 0, False),
    "full-100": ("full, 100 mailboxes", 100, 100, BACKUP, 0, False),
    "again-100": ("again, 100 mailboxes", 100, 100, BACKUP, 1, False),
    "dates": ("sync -1 -t, 1 mailbox", 1, 2000,
              ("sync", "-1", "-R", "-t", "2000-01-01"), 0, False),
    "import": ("import, 1 mailbox", 1, 2000, IMPORT, 0, False),
    "pop3": ("full + POP3, 1 mailbox", 1, 2000, BACKUP, 0, True),
}


def measure(way, source, user, row, round_trip):
    _, _, _, command, earlier, pop3 = row
    copy = way.dest.user()
    words = [*command, "-u", copy.name, "imapc:"]
    if command is IMPORT:
        words += ["", "all"]
    # the same port for all runs: what a run remembers is of one server
    with Link(round_trip=round_trip) as link:
        options = way.options(source, link, user, pop3)
        for _ in range(earlier + 1):
            link.reset()
            begin = time.monotonic()
            result = way.dest.doveadm(
                *words, conf=way.conf[pop3],
                o=options, timeout=3600)
            seconds = time.monotonic() - begin
            if result.rc != 0:
                print(result.err, file=sys.stderr)
                return f"exit code {result.rc}"
        return f"{link.waits:,} waits, {seconds:.1f} s"


def main():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("--version", default="2.3", choices=("2.3", "2.4"))
    parser.add_argument("--round-trip", type=float, default=0.02)
    parser.add_argument("--scale", type=int, default=1,
                        help="divide the number of mails by this")
    parser.add_argument("rows", nargs="*", metavar="ROW",
                        help="of " + ", ".join(ROWS))
    args = parser.parse_args()
    if not set(args.rows) <= set(ROWS):
        parser.error(f"rows are {', '.join(ROWS)}")
    print(f"Dovecot {args.version}, round trip {args.round_trip * 1000:.0f} ms")
    columns = ways(args.version)
    print(f"{'':<36}" + "".join(f"{way.name:>26}" for way in columns))
    with Dovecot(args.version, driver="maildir") as source:
        for way in columns:
            way.dest.start()
        for name in args.rows or ROWS:
            row = ROWS[name]
            title, boxes, mails = row[0], row[1], max(1, row[2] // args.scale)
            user = source.user()
            mailgen.deliver(user, {
                "INBOX" if number == 0 else f"Box{number}":
                    mailgen.mails(mails, seed=number, size=(400, 2000))
                for number in range(boxes)})
            print(f"{title + f' x {mails:,}':<36}", end="", flush=True)
            for way in columns:
                print(f"{measure(way, source, user, row, args.round_trip):>26}",
                      end="", flush=True)
            print()
        for way in columns:
            way.dest.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
