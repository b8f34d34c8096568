# SPDX-License-Identifier: LGPL-2.1-or-later
"""A POP3 server over plain data, small, strict and willing to misbehave."""

import base64

from lab.scripted.server import Disconnect, Server

CAPABILITIES = ("TOP", "UIDL", "RESP-CODES", "PIPELINING", "USER",
                "SASL PLAIN")


class Pop3Server(Server):
    """Serves a list of Mail in POP3 order.

    users           {name: password}; SASL PLAIN with one of them as
                    authentication id may authorize as another
    capabilities    lines of CAPA; () refuses CAPA
    greeting        the whole line
    uidls           one for each mail, "" too; default: Mail.uidl, else
                    uidl-NUMBER. A function (number, Mail) -> text
    no_uidl, no_top the command is refused
    size            function (Mail) -> what LIST claims
    text            function (Mail) -> the bytes that TOP and RETR serve
    utf8_text       the same for a client that sent UTF8 (RFC 6856)
    retr_allowed    without it a RETR is an error of the client, because many
                    servers mark the mail as read or as fetched
    """

    protocol = "pop3"

    def __init__(self, mails, *, users=None, faults=(), ca=None, tls=False,
                 capabilities=CAPABILITIES, greeting="+OK hi", uidls=None,
                 no_uidl=False, no_top=False, size=None, text=None,
                 utf8_text=None, retr_allowed=False):
        super().__init__(faults, ca, tls)
        self.mails = mails
        self.users = users or {"user": "secret"}
        self.capabilities = list(capabilities)
        if ca is not None and not tls:
            self.capabilities.append("STLS")
        self.greeting = greeting
        self.uidls = uidls
        self.no_uidl = no_uidl
        self.no_top = no_top
        self.text = text or (lambda mail: mail.text)
        self.utf8_text = utf8_text or self.text
        self.size = size or (lambda mail: len(self.text(mail)))
        self.retr_allowed = retr_allowed

    def uidl(self, number):
        mail = self.mails[number - 1]
        if callable(self.uidls):
            return self.uidls(number, mail)
        if self.uidls is not None:
            return self.uidls[number - 1]
        return mail.uidl if mail.uidl is not None else f"uidl-{number}"

    def serve(self, connection):
        _Session(self, connection).run()


class _Session:
    def __init__(self, server, connection):
        self.server = server
        self.connection = connection
        self.name = None
        self.user = None
        self.text = server.text

    def run(self):
        fault = self.server.fault_for("greeting")
        if fault is None:
            self.send(self.server.greeting)
        else:
            self.misbehave("greeting", fault)
        while True:
            self.one_command()

    def one_command(self):
        line = self.connection.read_line()
        self.server.record(line)
        fault = self.server.fault_for(line)
        if fault is not None:
            self.misbehave(line, fault)
            return
        name, _, argument = line.partition(" ")
        method = getattr(self, f"cmd_{name.lower()}", None)
        needs_login = name.upper() not in ("CAPA", "USER", "PASS", "AUTH",
                                           "STLS", "QUIT", "NOOP", "UTF8")
        if method is None:
            self.send("-ERR Unknown command")
        elif needs_login and self.user is None:
            self.server.errors.append(f"{name} before login")
            self.send("-ERR Log in first")
        else:
            method(argument)

    def misbehave(self, line, reply):
        if callable(reply):
            reply(self, line)
        elif not self.connection.misbehave(reply):
            for text in reply.split("\n"):
                self.send(text)

    def send(self, line):
        self.connection.send_line(line)

    def send_lines(self, first, lines):
        self.connection.send("".join(
            f"{line}\r\n" for line in (first, *lines, ".")))

    # -- commands

    def cmd_capa(self, _):
        if self.server.capabilities:
            self.send_lines("+OK", self.server.capabilities)
        else:
            self.send("-ERR What?")

    def cmd_utf8(self, _):
        if "UTF8" not in self.server.capabilities:
            self.send("-ERR Unknown command")
            return
        self.text = self.server.utf8_text
        self.send("+OK")

    def cmd_stls(self, _):
        if "STLS" not in self.server.capabilities:
            self.send("-ERR No TLS here")
            return
        self.send("+OK Begin TLS")
        self.connection.start_tls()

    def cmd_user(self, name):
        self.name = name
        self.send("+OK")

    def cmd_pass(self, password):
        self.log_in(self.name, self.name, password)

    def cmd_auth(self, argument):
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() != "PLAIN":
            self.send("-ERR Unknown mechanism")
            return
        if not initial:
            self.send("+ ")
            initial = self.connection.read_line()
        authzid, name, password = base64.b64decode(initial).decode().split(
            "\0")
        self.log_in(authzid or name, name, password)

    def log_in(self, user, name, password):
        if self.server.users.get(name) == password:
            self.user = user
            self.send("+OK Logged in")
        else:
            self.send("-ERR [AUTH] Authentication failed.")

    def cmd_noop(self, _):
        self.send("+OK")

    cmd_rset = cmd_noop

    def cmd_stat(self, _):
        total = sum(map(self.server.size, self.server.mails))
        self.send(f"+OK {len(self.server.mails)} {total}")

    def cmd_list(self, argument):
        self.listing(argument, lambda number: self.server.size(
            self.server.mails[number - 1]))

    def cmd_uidl(self, argument):
        if self.server.no_uidl:
            self.send("-ERR Unknown command")
        else:
            self.listing(argument, self.server.uidl)

    def listing(self, argument, value):
        if argument:
            number = self.number(argument)
            if number:
                self.send(f"+OK {number} {value(number)}")
            return
        self.send_lines("+OK", [
            f"{number} {value(number)}"
            for number in range(1, len(self.server.mails) + 1)])

    def cmd_top(self, argument):
        number_text, _, lines = argument.partition(" ")
        if self.server.no_top:
            self.send("-ERR Unknown command")
            return
        number = self.number(number_text)
        if number:
            self.send_mail(number, int(lines))

    def cmd_retr(self, argument):
        if not self.server.retr_allowed:
            self.server.errors.append(f"RETR {argument}")
        number = self.number(argument)
        if number:
            self.send_mail(number, None)

    def cmd_dele(self, argument):
        self.server.errors.append(f"DELE {argument}")
        self.send("-ERR The source is left alone")

    def cmd_quit(self, _):
        self.send("+OK Bye")
        raise Disconnect

    def number(self, text):
        if text.isdigit() and 1 <= int(text) <= len(self.server.mails):
            return int(text)
        self.send("-ERR No such message")
        return None

    def send_mail(self, number, body_lines):
        text = self.text(self.server.mails[number - 1])
        if body_lines is not None:
            text = _top(text, body_lines)
        if not text.endswith(b"\r\n"):
            text += b"\r\n"
        stuffed = text.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        self.connection.send(b"+OK\r\n" + stuffed + b".\r\n")


def _top(text, body_lines):
    if text.startswith(b"\r\n"):
        header, body = b"", text[2:]
    else:
        header, _, body = text.partition(b"\r\n\r\n")
        header += b"\r\n"
    lines = body.split(b"\r\n")[:body_lines]
    return header + b"\r\n" + b"".join(line + b"\r\n" for line in lines)
