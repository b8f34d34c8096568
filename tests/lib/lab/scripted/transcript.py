# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server that plays a text transcript, line by line.

    Protocol: imap
    Plays: what documented behaviour this is
    Source: where it is documented

    # a comment
    S: * OK hi
    C: $t1 LOGIN "user" "secret"
    S: $t1 OK
    C: $t2 UID FETCH 1 ...
    S: * 1 FETCH (UID 1 BODY[] <<<
    Subject: a literal, its size is counted
    >>>)
    S: $t2 OK
    close

`$name` stands for one word; it takes its value on first sight and must match
afterwards, on C: and S: lines. `...` matches the rest of a line. Case is only
looked at in names. Other lines are directives:

    open      the next lines are another connection; the first is opened by
              itself
    close     close the connection; also at the end of the file
    hang      never answer again
    starttls  do the TLS handshake
    always C: … => …   this command may come at any time and any number of
              times; it is answered so (lines separated by \\n)

With "Protocol: http", C: lines are the request line and headers that must be
there, `C> ` a text that the body must contain; S: lines are the status and the
headers of the answer, `S> ` lines its body. Each request begins with a C: line
of a method and a path.
"""

import dataclasses
import re

from lab.scripted import http
from lab.scripted.server import Disconnect, Server

_HEADERS = ("Protocol", "Plays", "Source")


@dataclasses.dataclass
class _Step:
    kind: str                   # "C", "S", "C>", "S>" or a directive
    text: str
    line: int                   # in the file, for messages


class Transcript(Server):
    """Plays a file, or text. Leaving the `with` block fails if the client did
    not follow the transcript to its end; failures has each mismatch."""

    def __init__(self, path=None, *, text=None, ca=None, tls=False):
        if text is None:
            with open(path, encoding="utf-8",
                      errors="surrogateescape") as file:
                text = file.read()
        self.path = path or "transcript"
        self.headers, steps, self.always = _parse(text)
        self.protocol = self.headers["Protocol"]
        super().__init__((), ca, tls)
        self.failures = self.errors
        self._connections = _split_connections(steps)
        self._unfinished = len(self._connections)
        self.names = {}

    def check(self):
        if self._unfinished > 0 and not self.failures:
            self.failures.append(f"{self.path}: {self._unfinished} "
                                 "connection(s) not played to the end")
        super().check()

    def serve(self, connection):
        if connection.number > len(self._connections):
            self.fail(0, "no further connection", "a connection")
        steps = self._connections[connection.number - 1]
        if self.protocol == "http":
            _play_http(self, connection, steps)
        else:
            _play_lines(self, connection, steps)

    def finished(self):
        self._unfinished -= 1

    def fail(self, line, expected, got):
        self.failures.append(f"{self.path}:{line}: expected: {expected}\n"
                             f"{' ' * len(str(self.path))}  got:      {got}")
        raise Disconnect

    def matches(self, pattern, line):
        """Compare, and learn names."""
        match = _regex(pattern, self.names).fullmatch(line)
        if match is None:
            return False
        self.names.update(match.groupdict())
        return True

    def fill_in(self, text):
        def value(match):
            name = match.group(1)
            if name not in self.names:
                raise KeyError(f"{self.path}: ${name} has no value")
            return self.names[name]
        return re.sub(r"\$(\w+)", value, text)


def _play_lines(script, connection, steps):
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if step.kind == "S":
            try:
                connection.send(script.fill_in(_reply(step.text)) + "\r\n")
            except OSError:
                # a client need not wait for the answer to its last command
                if all(later.kind != "C" for later in steps[number:]):
                    script.finished()
                raise
        elif step.kind == "C":
            _expect(script, connection, step)
        elif step.kind == "starttls":
            connection.start_tls()
        elif step.kind == "hang":
            script.finished()
            connection.hang()
        elif step.kind == "close":
            script.finished()
            raise Disconnect
        if last:
            script.finished()


def _expect(script, connection, step):
    while True:
        try:
            line = _read_command(script, connection)
        except Disconnect:
            script.fail(step.line, step.text, "(connection closed)")
        script.record(line)
        if script.matches(step.text, line):
            return
        for pattern, reply in script.always:
            names = dict(script.names)
            if script.matches(pattern, line):
                connection.send(script.fill_in(reply) + "\r\n")
                # another time the same names may have other values
                script.names = names
                break
        else:
            script.fail(step.line, step.text, line)


def _read_command(script, connection):
    """A line; an IMAP literal in it becomes part of it."""
    line = connection.read_line()
    while script.protocol == "imap" and (
            match := re.search(r"\{(\d+)(\+?)\}$", line)):
        if not match[2]:
            connection.send_line("+ go on")
        line += "\n" + connection.read(int(match[1])).decode(
            "utf-8", "surrogateescape") + connection.read_line()
    return line


def _reply(text):
    """Lines as they are sent, <<< … >>> as a literal with its size."""
    text = text.replace("\n", "\r\n")

    def literal(match):
        data = match.group(1)
        size = len(data.encode("utf-8", "surrogateescape"))
        return f"{{{size}}}\r\n{data}"
    return re.sub(r"<<<\r\n(.*?)>>>", literal, text, flags=re.DOTALL)


def _play_http(script, connection, steps):
    requests = []
    for step in steps:
        if step.kind == "C" and re.match(r"[A-Z]+ /", step.text):
            requests.append([])
        requests[-1].append(step)
    for number, parts in enumerate(requests):
        _play_request(script, connection, parts)
        if number == len(requests) - 1:
            script.finished()


def _play_request(script, connection, parts):
    try:
        request = http.read_request(connection)
    except Disconnect:
        script.fail(parts[0].line, parts[0].text, "(connection closed)")
    line = f"{request.method} {request.path}"
    script.record(line)
    if not script.matches(parts[0].text, line):
        script.fail(parts[0].line, parts[0].text, line)
    body = request.body.decode("utf-8", "surrogateescape")
    for step in parts[1:]:
        if step.kind == "C" and not any(
                script.matches(step.text.lower(), f"{name}: {value}".lower())
                for name, value in request.headers.items()):
            script.fail(step.line, step.text, request.headers)
        if step.kind == "C>" and script.fill_in(step.text) not in body:
            script.fail(step.line, step.text, body)
        if step.kind in ("hang", "close"):
            script.finished()
            connection.misbehave(step.kind)
    answer = [script.fill_in(step.text) for step in parts if step.kind == "S"]
    text = "\n".join(script.fill_in(step.text) for step in parts
                     if step.kind == "S>")
    headers = dict(re.split(r":\s*", header, maxsplit=1)
                   for header in answer[1:])
    http.send_response(connection, answer[0], headers, text)


def _regex(pattern, names):
    seen = set()

    def part(match):
        if match[0] == "...":
            return ".*"
        name = match[1]
        if name in names:
            return f"(?-i:{re.escape(names[name])})"
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return rf"(?P<{name}>\S+)"

    pieces = re.split(r"(\$\w+|\.\.\.)", pattern)
    text = "".join(
        re.sub(r"\$(\w+)|\.\.\.", part, piece)
        if re.fullmatch(r"\$\w+|\.\.\.", piece) else re.escape(piece)
        for piece in pieces)
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def _split_connections(steps):
    connections = [[]]
    for step in steps:
        if step.kind == "open":
            connections.append([])
        else:
            connections[-1].append(step)
    return connections


def _parse(text):
    headers, steps, always = {}, [], []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if "<<<" in line:
            line = _with_literals(line, lines)
        if line.strip() == "" or line.startswith("#"):
            continue
        match = re.match(r"(C>|S>|C|S)(?:: ?| |$)(.*)", line, re.DOTALL)
        if match and (match[1] in ("C>", "S>") or line[1] == ":"):
            steps.append(_Step(match[1], match[2], number))
        elif line in ("open", "close", "hang", "starttls"):
            steps.append(_Step(line, "", number))
        elif line.startswith("always C: "):
            pattern, _, reply = line[len("always C: "):].partition(" => ")
            always.append((pattern, reply.replace("\\n", "\r\n")))
        elif not steps and re.match(r"[A-Z][a-z]+: ", line):
            name, _, value = line.partition(": ")
            headers[name] = value
        elif not steps and line[0] == " " and headers:
            headers[list(headers)[-1]] += "\n" + line.strip()
        else:
            raise ValueError(f"line {number}: what is this? {line}")
    missing = [name for name in _HEADERS if name not in headers]
    if missing:
        raise ValueError(f"the transcript does not say {', '.join(missing)}")
    return headers, steps, always


def _with_literals(line, lines):
    """Join the lines up to the end of the last literal."""
    while line.count("<<<") > line.count(">>>"):
        line += "\n" + next(lines)[1]
    return line
