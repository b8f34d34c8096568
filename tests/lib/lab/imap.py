# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small IMAP client that changes nothing.

imaplib rewrites line ends in APPEND and gives replies half parsed; tests need
the exact bytes.
"""

import base64
import re
import socket

_TOKEN = re.compile(
    rb'\s*(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]|\\.)*)"'
    rb'|(?P<atom>[^\s()"\[]+(?:\[[^\]]*\][^\s()"]*)?|\[[^\]]*\][^\s()"]*))')
_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


class ImapError(Exception):
    """A command that was not answered with OK."""


class Client:
    """Log in with login() or be preauthenticated; then command()."""

    def __init__(self, port, host="127.0.0.1", tls=None, timeout=120):
        self._sock = socket.create_connection((host, port), timeout)
        if tls is not None:
            self._sock = tls.wrap_socket(self._sock, server_hostname=host)
        self._file = self._sock.makefile("rb")
        self._tag = 0
        self.greeting = self._response()

    def login(self, name, password):
        self.command("LOGIN", quote(name), quote(password))
        return self

    def starttls(self, context, host="127.0.0.1"):
        self.command("STARTTLS")
        self._sock = context.wrap_socket(self._sock, server_hostname=host)
        self._file = self._sock.makefile("rb")

    def command(self, *words):
        """Send a command, bytes as literals; return the untagged replies,
        each a list of tokens."""
        self._tag += 1
        tag = b"t%d" % self._tag
        line = tag
        for word in words:
            if isinstance(word, bytes):
                self._sock.sendall(line + b" {%d}\r\n" % len(word))
                self._expect_continuation()
                line = word
            else:
                line += b" " + word.encode()
        self._sock.sendall(line + b"\r\n")
        replies = []
        while True:
            reply = self._response()
            if reply[0] == tag:
                if reply[1].upper() != b"OK":
                    raise ImapError(f"{words[0]}: {_text(reply[1:])}")
                self.tagged = reply
                return replies
            replies.append(reply)

    def logout(self):
        try:
            self.command("LOGOUT")
        finally:
            self._file.close()
            self._sock.close()

    def _expect_continuation(self):
        reply = self._response()
        if reply[0] != b"+":
            raise ImapError(f"literal refused: {_text(reply)}")

    def _response(self):
        chunks = []
        while True:
            line = self._file.readline()
            if not line.endswith(b"\n"):
                raise ImapError("connection closed by the server")
            literal = _LITERAL.search(line)
            if literal is None:
                chunks.append(line)
                return _tokens(chunks)
            chunks.append(line[:literal.start()])
            chunks.append(self._file.read(int(literal.group(1))))


def _tokens(chunks):
    """chunks: line text and literals in turn."""
    top = []
    stack = [top]
    for i, chunk in enumerate(chunks):
        if i % 2 == 1:
            stack[-1].append(chunk)
            continue
        for match in _TOKEN.finditer(chunk):
            kind = match.lastgroup
            if kind == "open":
                stack[-1].append([])
                stack.append(stack[-1][-1])
            elif kind == "close" and len(stack) > 1:
                stack.pop()
            elif kind == "quoted":
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", match["quoted"]))
            elif kind == "atom":
                stack[-1].append(match["atom"])
    return top


def _text(tokens):
    return " ".join(token.decode(errors="replace") if isinstance(token, bytes)
                    else str(token) for token in tokens)


def quote(text):
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'


def encode_name(name):
    """A mailbox name in modified UTF-7."""
    out = []
    for ascii_text, other in re.findall(r"([\x20-\x7e]+)|([^\x20-\x7e]+)",
                                        name):
        if ascii_text:
            out.append(ascii_text.replace("&", "&-"))
        else:
            coded = base64.b64encode(other.encode("utf-16-be")).decode()
            out.append("&" + coded.rstrip("=").replace("/", ",") + "-")
    return "".join(out)


def decode_name(name):
    def decode(match):
        coded = match.group(1).replace(",", "/")
        if coded == "":
            return "&"
        padding = "=" * (-len(coded) % 4)
        return base64.b64decode(coded + padding).decode("utf-16-be")
    return re.sub(r"&([^-]*)-", decode, name)
