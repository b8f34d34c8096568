# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a migration costs, against stock Dovecot and others.

    ./dev bench                 the whole table: half an hour
    ./dev bench --quick         small accounts, no instructions: a minute
    ./dev bench -h

doc/performance.md says what is measured, and has the results.
"""

import argparse
import json
import platform
import statistics
import sys

import measure
import tools as columns
from lab import Dovecot, usage
from work import ROWS, Job

# where waits do not depend on the round trip
SHORT = 0.005
BEST, OURS = "stock, best", "migration"


def arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench", formatter_class=argparse.RawTextHelpFormatter,
        epilog="rows:\n" + "".join(
            f"  {row.name:<10}{describe(row, 1)}\n" for row in ROWS))
    parser.add_argument("--version", default="2.3", choices=("2.3", "2.4"),
                        help="of all Dovecots: 2.3 or 2.4")
    parser.add_argument("--round-trip", type=float, default=0.1,
                        metavar="SECONDS", help="0.1")
    parser.add_argument("--scale", type=int, metavar="N",
                        help="divide the number of mails by N")
    parser.add_argument("--pairs", type=int, metavar="N",
                        help="how often the time is taken: 5, 0 for never")
    parser.add_argument("--no-instructions", action="store_true",
                        help="cachegrind makes doveadm 20 times slower")
    parser.add_argument("--quick", action="store_true",
                        help="--scale 10 --pairs 1 --no-instructions")
    parser.add_argument("--tool", action="append", default=[],
                        metavar="NAME=COMMAND",
                        help="one more column: a command with {host}, {port},\n"
                             "{user}, {password} and {folder}, see tools.py")
    parser.add_argument("--only", action="append", metavar="TOOL",
                        help="only this column; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="all numbers")
    parser.add_argument("rows", nargs="*", metavar="ROW",
                        help="default: all")
    args = parser.parse_args()
    unknown = set(args.rows) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    if any("=" not in tool for tool in args.tool):
        parser.error("--tool wants NAME=COMMAND")
    args.no_instructions |= args.quick
    args.scale = args.scale or (10 if args.quick else 1)
    if args.pairs is None:
        args.pairs = 1 if args.quick else 5
    return args


def describe(row, scale):
    return (f"{row.title}, {row.mailboxes} x "
            f"{max(1, row.mails // scale):,}")


class Bench:
    """All numbers: results[row][tool] is a dict, or {"error": …}."""

    def __init__(self, args, source, tools):
        self.args = args
        self.source = source
        self.tools = tools
        self.results = {}

    def run(self, rows):
        for row in rows:
            print(f"{describe(row, self.args.scale)} …", file=sys.stderr)
            shared = Job(row, self.source, self.args.scale)
            self.results[row.name] = {
                tool.name: {"mails": shared.mails, "bytes_of_mails":
                            shared.bytes}
                for tool in self.tools if tool.works(row)}
            self.each(row, shared, self.far)
            for _ in range(self.args.pairs):
                self.each(row, shared, self.near)
            if not self.args.no_instructions:
                self.each(row, shared, self.count)

    def each(self, row, shared, method):
        """Once for each tool. What changes its source gets its own one."""
        for tool in self.tools:
            found = self.results[row.name].get(tool.name)
            if found is None or "error" in found:
                continue
            job = (Job(row, self.source, self.args.scale) if row.changed
                   else shared)
            try:
                method(tool, job, found)
            except usage.Failed as error:
                print(error, file=sys.stderr)
                found["error"] = str(error)

    def far(self, tool, job, found):
        found.update(measure.on_wire(
            tool, job, min(SHORT, self.args.round_trip) if tool.serial
            else self.args.round_trip))

    def near(self, tool, job, found):
        seconds, processor, memory = measure.nearby(tool, job)
        found.setdefault("seconds", []).append(round(seconds, 3))
        found.setdefault("processor_seconds", []).append(round(processor, 3))
        found.setdefault("peak_memory_kib", []).append(memory)

    def count(self, tool, job, found):
        # an interpreter under valgrind says nothing
        if isinstance(tool, columns.DovecotTool):
            found["instructions"] = measure.instructions(tool, job)


def value_of(found, key):
    if found is None or "error" in found or key not in found:
        return None
    value = found[key]
    return statistics.median(value) if isinstance(value, list) else value


def ratio(results, key, other=BEST):
    """Of what was measured in pairs, one right after the other, the median of
    the pairs' ratios: what else the machine does changes both alike."""
    ours, theirs = (results.get(name) or {} for name in (OURS, other))
    if any("error" in found or not found.get(key) for found in (ours, theirs)):
        return None
    ours, theirs = (found[key] if isinstance(found[key], list)
                    else [found[key]] for found in (ours, theirs))
    return statistics.median(
        mine / yours for mine, yours in zip(ours, theirs))


def cell(found, key, form):
    if found is not None and "error" in found:
        return "failed"
    value = value_of(found, key)
    return "–" if value is None else form(value)


def print_table(heading, rows, tools, results, scale, key, form, limit=None,
                relative=()):
    """One measure: a line for each row, a column for each tool."""
    rows = [row for row in rows if any(
        key in found for found in results[row.name].values())]
    if not rows:
        return
    print(f"\n{heading}\n\n{'':<36}" +
          "".join(f"{tool.name:>13}" for tool in tools) +
          (f"{'at most':>13}" if limit else "") +
          "".join(f"{'÷ ' + other:>16}" for other in relative))
    for row in rows:
        found = results[row.name]
        line = f"{describe(row, scale):<36}" + "".join(
            f"{cell(found.get(tool.name), key, form):>13}" for tool in tools)
        if limit:
            most = limit(row, found)
            line += f"{'–' if most is None else form(most):>13}"
        for other in relative:
            part = ratio(found, key, other)
            line += f"{'–' if part is None else f'{part:.2f}':>16}"
        print(line)


def most_bytes(row, found):
    """1.02 x the mails and 200 bytes for each, where all mails are moved."""
    if row.runs > 1:
        return None
    some = next(iter(found.values()))
    return 1.02 * some["bytes_of_mails"] + 200 * some["mails"]


def report(args, rows, tools, results):
    def table(heading, key, form, **more):
        print_table(heading, rows, tools, results, args.scale, key, form,
                    **more)

    print(f"Dovecot {args.version}, Python {platform.python_version()}, "
          f"{platform.machine()}")
    table(f"Waits, {args.round_trip * 1000:.0f} ms round trip", "waits",
          lambda n: f"{n:,}", limit=lambda row, _: row.limit
          if args.scale == 1 else None, relative=[BEST])
    table("Connections", "connections", lambda n: f"{n:,}")
    table("KiB on the wire, both ways", "bytes", lambda n: f"{n / 1024:,.0f}",
          limit=most_bytes, relative=[BEST])
    table(f"Seconds without distance, medians of {args.pairs}", "seconds",
          lambda n: f"{n:.2f}", relative=[BEST, "raw + local"])
    table("Seconds of the processor, the client's, user and system",
          "processor_seconds", lambda n: f"{n:.2f}",
          relative=[BEST, "raw + local"])
    table("Million instructions", "instructions",
          lambda n: f"{n / 1e6:,.0f}", relative=[BEST])
    table("Peak memory, MiB", "peak_memory_kib",
          lambda n: f"{n / 1024:.0f}", relative=[BEST])


def main():
    args = arguments()
    rows = [row for row in ROWS if not args.rows or row.name in args.rows]
    tools = [tool for tool in columns.all_tools(args.version, args.tool)
             if not args.only or tool.name in args.only]
    with Dovecot(args.version, driver="maildir") as source:
        bench = Bench(args, source, tools)
        bench.run(rows)
        for tool in tools:
            tool.close()
    report(args, rows, tools, bench.results)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"dovecot": args.version, "scale": args.scale,
                       "round_trip": args.round_trip,
                       "rows": bench.results}, file, indent=1)
    return int(any("error" in found for row in bench.results.values()
                   for found in row.values()))


if __name__ == "__main__":
    sys.exit(main())
