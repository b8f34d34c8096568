# SPDX-License-Identifier: LGPL-2.1-or-later
"""An IMAP server over plain data, small, strict and willing to misbehave."""

import base64
import email
import re

from lab import imap as wire
from lab import mailgen
from lab.scripted.server import Disconnect, Server

CAPABILITIES = ("IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN UIDPLUS UNSELECT "
                "NAMESPACE CONDSTORE ID ENABLE")


class ImapServer(Server):
    """Serves {name: [Mail, …]}; names have separator as separator and must
    include the prefix.

    users           {name: password}; SASL PLAIN with one of them as
                    authentication id may authorize as another
    capabilities    what CAPABILITY says, before and after login
    greeting        the whole line
    identity        the fields of its answer to ID
    uidvalidity     a number, or {name: number}
    mailbox_ids     {name: "id"}, told as MAILBOXID (RFC 8474)
    special_use     {name: "\\Sent"}, shown in LIST
    raw_names       names that are on the wire as they are here, not in
                    modified UTF-7
    noselect        names that LIST shows and nobody can open
    subscriptions   default: all
    extra           function (mailbox name, Mail) -> {item: text}; further
                    FETCH items such as X-GM-MSGID
    size            function (Mail) -> what RFC822.SIZE claims
    text            function (Mail) -> the bytes that FETCH serves
    header          function (Mail) -> the bytes of BODY[HEADER] and of its
                    FIELDS, for servers that make it apart from the text
    bad             function (mailbox name, UID, FETCH items) -> None, or what
                    becomes of this mail's answer: "NO …" or "BAD …" (nothing
                    is sent for it, and the command ends so), "gone" (nothing
                    is sent for it), "empty" (all items but the text), "short"
                    (the text lacks its last byte), "truncate" (the literal
                    ends before its size), "close", "reset", "hang"
    eager_examine   an EXAMINE that is there already is handled before the
                    FETCH that was sent ahead of it
    changes_allowed without it a STORE, APPEND, EXPUNGE … is an error of the
                    client: a migration leaves its source alone
    """

    protocol = "imap"

    def __init__(self, folders, *, users=None, faults=(), ca=None, tls=False,
                 capabilities=CAPABILITIES, greeting=None,
                 identity='"name" "scripted"', mailbox_ids=None, prefix="",
                 separator="/", uidvalidity=1000, special_use=None,
                 raw_names=(), noselect=(), subscriptions=None, extra=None, size=None,
                 text=None, header=None, bad=None,
                 eager_examine=False, changes_allowed=False):
        super().__init__(faults, ca, tls)
        self.folders = folders
        self.users = users or {"user": "secret"}
        self.capabilities = capabilities
        if ca is not None and not tls:
            self.capabilities += " STARTTLS"
        self.greeting = greeting or f"* OK [CAPABILITY {self.capabilities}] hi"
        self.identity = identity
        self.mailbox_ids = mailbox_ids or {}
        self.prefix = prefix
        self.separator = separator
        self.uidvalidity = uidvalidity
        self.special_use = special_use or {}
        self.raw_names = set(raw_names)
        self.noselect = list(noselect)
        self.subscriptions = (list(folders) if subscriptions is None
                              else subscriptions)
        self.extra = extra
        self.size = size or (lambda mail: len(self.text(mail)))
        self.text = text or (lambda mail: mail.text)
        self.header = header
        self.bad = bad or (lambda name, uid, items: None)
        self.eager_examine = eager_examine
        self.changes_allowed = changes_allowed

    # data

    def wire_name(self, name):
        return name if name in self.raw_names else wire.encode_name(name)

    def plain_name(self, wire_name):
        return (wire_name if wire_name in self.raw_names else
                wire.decode_name(wire_name))

    def uids(self, name):
        uid, result = 0, []
        for mail in self.folders[name]:
            uid = mail.uid if mail.uid is not None else uid + 1
            result.append(uid)
        return result

    def uidnext(self, name):
        return max(self.uids(name), default=0) + 1

    def uidvalidity_of(self, name):
        if isinstance(self.uidvalidity, dict):
            return self.uidvalidity[name]
        return self.uidvalidity

    def serve(self, connection):
        _Session(self, connection).run()


class _Session:
    def __init__(self, server, connection):
        self.server = server
        self.connection = connection
        self.mailbox = None
        self.user = None
        # of the command that is being answered
        self.tag = None
        self.held = []          # lines that an EXAMINE has overtaken

    def run(self):
        fault = self.server.fault_for("greeting")
        if fault is None:
            self.send(self.server.greeting)
        else:
            self.misbehave("*", "greeting", fault)
        while True:
            self.one_command()

    def one_command(self):
        line = self.read_command()
        if self.server.eager_examine and " UID FETCH " in line:
            line = self.overtake(line)
        self.tag, _, command = line.partition(" ")
        tag = self.tag
        self.server.record(command)
        fault = self.server.fault_for(command)
        if fault is not None:
            self.misbehave(tag, command, fault)
            return
        words = command.upper().split(" ")
        name = words[0]
        if name == "UID":
            name = f"UID_{words[1]}"
        method = getattr(self, f"cmd_{name.lower()}", None)
        if method is None:
            if not self.server.changes_allowed:
                self.server.errors.append(f"unexpected command: {command}")
            self.send(f"{tag} BAD Unknown command")
            return
        arguments = command.split(" ", 1)[1] if " " in command else ""
        if name.startswith("UID_"):
            arguments = arguments.partition(" ")[2]
        self.send(f"{tag} {method(arguments) or 'OK Done'}")
        if name == "STARTTLS":
            self.connection.start_tls()
        if name == "LOGOUT":
            raise Disconnect

    def overtake(self, line):
        """The first EXAMINE that has come, instead of this line."""
        lines = [line, *self.held, *self.connection.waiting_lines()]
        chosen = next((n for n, text in enumerate(lines)
                       if " EXAMINE " in text), 0)
        self.held = lines[:chosen] + lines[chosen + 1:]
        return lines[chosen]

    def read_command(self):
        """A line; literals become quoted strings."""
        line = self.held.pop(0) if self.held else self.connection.read_line()
        while match := re.search(r"\{(\d+)(\+?)\}$", line):
            if not match[2]:
                self.send("+ go on")
            text = self.connection.read(int(match[1])).decode(
                "utf-8", "surrogateescape")
            line = (line[:match.start()] + wire.quote(text) +
                    self.connection.read_line())
        return line

    def misbehave(self, tag, command, reply):
        if callable(reply):
            reply(self, command)
        elif not self.connection.misbehave(reply):
            if reply.startswith("*"):
                self.send(reply)
            else:
                self.send(f"{tag} {reply}")
            if "BYE" in reply.split(" ")[:2]:
                raise Disconnect

    def send(self, line):
        self.connection.send_line(line)

    # -- commands; a result is the tagged reply, None is OK

    def cmd_capability(self, _):
        self.send(f"* CAPABILITY {self.server.capabilities}")

    def cmd_noop(self, _):
        pass

    cmd_check = cmd_enable = cmd_noop

    def cmd_id(self, _):
        self.send(f"* ID ({self.server.identity})")

    def cmd_starttls(self, _):
        if self.server.ca is None:
            return "BAD No TLS here"
        return "OK Begin TLS"

    def cmd_login(self, arguments):
        name, password = _strings(arguments)
        return self.log_in(name, name, password)

    def cmd_authenticate(self, arguments):
        mechanism, _, initial = arguments.partition(" ")
        if mechanism.upper() != "PLAIN":
            return "NO Unknown mechanism"
        if not initial:
            self.send("+ ")
            initial = self.connection.read_line()
        authzid, name, password = base64.b64decode(initial).decode().split(
            "\0")
        return self.log_in(authzid or name, name, password)

    def log_in(self, user, name, password):
        if self.server.users.get(name) != password:
            return "NO [AUTHENTICATIONFAILED] Authentication failed."
        self.user = user
        return f"OK [CAPABILITY {self.server.capabilities}] Logged in"

    def cmd_logout(self, _):
        self.send("* BYE Logging out")

    def cmd_namespace(self, _):
        prefix, separator = self.server.prefix, self.server.separator
        self.send(f'* NAMESPACE (("{prefix}" "{separator}")) NIL NIL')

    def cmd_list(self, arguments):
        """Also with RETURN (… STATUS (…)), RFC 5819"""
        arguments, _, returned = arguments.partition(" RETURN ")
        status = re.search(r"STATUS (\([^()]*\))", returned)
        words = _strings(arguments)
        if words[-1] == "":
            self.send(f'* LIST (\\Noselect) "{self.server.separator}" ""')
            return
        for name in self.matching(words, [*self.server.folders,
                                          *self.server.noselect]):
            flags = ["\\Noselect"] if name in self.server.noselect else []
            if name in self.server.special_use:
                flags.append(self.server.special_use[name])
            self.send_list("LIST", flags, name)
            if status and name not in self.server.noselect:
                self.cmd_status(wire.quote(self.server.wire_name(name)) + " " +
                                status[1])

    def cmd_lsub(self, arguments):
        for name in self.matching(_strings(arguments),
                                  self.server.subscriptions):
            self.send_list("LSUB", [], name)

    def send_list(self, command, flags, name):
        self.send(f'* {command} ({" ".join(flags)}) '
                  f'"{self.server.separator}" '
                  f'{wire.quote(self.server.wire_name(name))}')

    def matching(self, words, names):
        pattern = wire.decode_name("".join(words[-2:]))
        expression = re.escape(pattern).replace(r"\*", ".*").replace(
            "%", f"[^{re.escape(self.server.separator)}]*")
        return [name for name in names if re.fullmatch(expression, name)]

    def cmd_status(self, arguments):
        match = re.fullmatch(r"(.+) \(([^()]*)\)", arguments)
        name = self.folder_name(match[1])
        if name is None:
            return "NO [NONEXISTENT] No such mailbox"
        values = {"MESSAGES": len(self.server.folders[name]),
                  "UIDNEXT": self.server.uidnext(name),
                  "UIDVALIDITY": self.server.uidvalidity_of(name),
                  "UNSEEN": sum("\\Seen" not in mail.flags
                                for mail in self.server.folders[name]),
                  "RECENT": 0, "HIGHESTMODSEQ": 1}
        if name in self.server.mailbox_ids:
            values["MAILBOXID"] = f"({self.server.mailbox_ids[name]})"
        items = " ".join(f"{item} {values[item]}"
                         for item in match[2].upper().split()
                         if item in values)
        self.send(f"* STATUS {match[1]} ({items})")

    def cmd_select(self, arguments, access="READ-WRITE"):
        name = self.folder_name(re.sub(r" \(.*\)$", "", arguments))
        if name is None:
            self.mailbox = None
            return "NO [NONEXISTENT] No such mailbox"
        self.mailbox = name
        keywords = sorted({k for mail in self.mails() for k in mail.keywords})
        flags = " ".join(["\\Answered \\Flagged \\Deleted \\Seen \\Draft",
                          *keywords])
        self.send(f"* FLAGS ({flags})")
        self.send(f"* {len(self.mails())} EXISTS")
        self.send("* 0 RECENT")
        self.send(f"* OK [UIDVALIDITY {self.server.uidvalidity_of(name)}] v")
        self.send(f"* OK [UIDNEXT {self.server.uidnext(name)}] next")
        if "CONDSTORE" in self.server.capabilities:
            self.send("* OK [HIGHESTMODSEQ 1] highest")
        return f"OK [{access}] Selected"

    def cmd_examine(self, arguments):
        return self.cmd_select(arguments, "READ-ONLY")

    def cmd_close(self, _):
        self.mailbox = None

    cmd_unselect = cmd_close

    def cmd_uid_search(self, _):
        uids = " ".join(map(str, self.server.uids(self.mailbox)))
        self.send(f"* SEARCH {uids}")

    def cmd_search(self, _):
        numbers = " ".join(str(n + 1) for n in range(len(self.mails())))
        self.send(f"* SEARCH {numbers}")

    def cmd_uid_fetch(self, arguments):
        return self.fetch(arguments, by_uid=True)

    def cmd_fetch(self, arguments):
        return self.fetch(arguments, by_uid=False)

    def folder_name(self, argument):
        name = self.server.plain_name(_strings(argument)[0])
        if name.upper() == "INBOX":
            name = "INBOX"
        return name if name in self.server.folders else None

    def mails(self):
        return self.server.folders[self.mailbox]

    def fetch(self, arguments, by_uid):
        if self.mailbox is None:
            return "BAD No mailbox selected"
        numbers, _, items = arguments.partition(" ")
        items = re.sub(r" \(CHANGEDSINCE.*\)$", "", items)
        uids = self.server.uids(self.mailbox)
        keys = uids if by_uid else range(1, len(uids) + 1)
        chosen = _number_set(numbers, max(keys, default=0))
        result = None
        for number, (key, mail) in enumerate(zip(keys, self.mails()), 1):
            if key not in chosen:
                continue
            bad = self.server.bad(self.mailbox, uids[number - 1], items)
            if bad is not None and bad.startswith(("NO ", "BAD ")):
                result = bad
            elif bad != "gone" and not self.connection.misbehave(bad):
                self.send_fetch(number, uids[number - 1], mail, items, bad)
        return result

    def send_fetch(self, number, uid, mail, items, bad=None):
        parts = [b"UID %d" % uid]
        for item in _fetch_items(items):
            value = self.fetch_item(item, mail)
            if value is None:
                continue
            if item.upper().startswith("BODY.PEEK"):
                if bad == "empty":
                    continue
                if bad == "truncate":
                    value = value[:-len(value) // 3]
                if bad == "short":
                    value = _literal(value[:value.index(b" {")],
                                     value[value.index(b"\r\n") + 2:-1])
            parts.append(value)
        self.connection.send(b"* %d FETCH (%s)\r\n" % (number,
                                                       b" ".join(parts)))

    def fetch_item(self, item, mail):
        item = item.upper()
        if item == "UID":
            return None
        if item == "FLAGS":
            return f"FLAGS ({' '.join((*mail.flags, *mail.keywords))})".encode()
        if item == "INTERNALDATE":
            return f'INTERNALDATE "{mailgen.internaldate(mail.date)}"'.encode()
        if item == "RFC822.SIZE":
            return b"RFC822.SIZE %d" % self.server.size(mail)
        if item == "MODSEQ":
            return b"MODSEQ (1)"
        if item == "BODYSTRUCTURE":
            return b"BODYSTRUCTURE " + _structure(self.server.text(mail))
        if item.startswith("BODY"):
            return self.body_section(item, mail)
        extra = self.server.extra and self.server.extra(self.mailbox, mail)
        if extra and item in extra:
            return f"{item} {extra[item]}".encode()
        return None

    def body_section(self, item, mail):
        section = item[item.index("[") + 1:item.rindex("]")]
        text = self.server.text(mail)
        header, separator, body = _split(text)
        if self.server.header is not None and section.startswith("HEADER"):
            header, separator, _ = _split(self.server.header(mail))
        if section == "":
            data = text
        elif section == "HEADER":
            data = header + separator
        elif section == "TEXT":
            data = body
        elif section.startswith("HEADER.FIELDS ("):
            names = section[len("HEADER.FIELDS ("):-1].split()
            data = _only_fields(header, names) + b"\r\n"
        elif section.split(".")[0].isdigit():
            data = _part(text, section)
        else:
            raise ValueError(f"section {section}")
        name = f"BODY[{section}]"
        if partial := re.search(r"<(\d+)\.(\d+)>$", item):
            first, count = map(int, partial.groups())
            data = data[first:first + count]
            name += f"<{first}>"
        return _literal(name.encode(), data)


def _literal(name, data):
    return b"%s {%d}\r\n%s" % (name, len(data), data)


def _parts(text):
    """The parts of a multipart as (header, body), [] if it is none."""
    message = email.message_from_bytes(text)
    if not message.is_multipart():
        return []
    boundary = message.get_boundary().encode()
    pieces = re.split(rb"\r\n--" + re.escape(boundary) + rb"(?:--)?\r\n",
                      b"\r\n" + _split(text)[2])
    return [(header + separator, body) for header, separator, body in
            map(_split, pieces[1:-1])]


def _part(text, section):
    """"2" or "2.MIME" of a multipart."""
    number, _, mime = section.partition(".")
    parts = _parts(text)
    if not 1 <= int(number) <= len(parts):
        return b""
    return parts[int(number) - 1][0 if mime else 1]


def _structure(text):
    """Enough of it to count the parts."""
    leaf = (b'("text" "plain" NIL NIL NIL "7bit" 1 1 NIL NIL NIL NIL)')
    count = len(_parts(text))
    return leaf if count == 0 else b'(%s "mixed" NIL NIL NIL NIL)' % (
        leaf * count)


def _split(text):
    """Header, the empty line, body."""
    if text.startswith(b"\r\n"):
        return b"", b"\r\n", text[2:]
    header, found, body = text.partition(b"\r\n\r\n")
    return (header + b"\r\n", b"\r\n", body) if found else (text, b"", b"")


def _only_fields(header, names):
    wanted, keep = b"", False
    for line in header.splitlines(keepends=True):
        if line[:1] not in b" \t":
            keep = line.split(b":")[0].strip().upper().decode(
                "latin-1") in names
        if keep:
            wanted += line
    return wanted


def _fetch_items(items):
    items = items.strip()
    if items.startswith("("):
        items = items[1:-1]
    return re.findall(r"[^\s\[]+(?:\[[^\]]*\](?:<[\d.]+>)?)?", items)


def _number_set(text, largest):
    numbers = set()
    for part in text.split(","):
        first, _, last = part.partition(":")
        first, last = (largest if end == "*" else int(end)
                       for end in (first, last or first))
        low, high = min(first, last), max(first, last)
        # * stands for the last mail even if the other end is beyond it
        numbers.update(range(low, min(high, largest) + 1))
    return numbers


def _strings(text):
    """Quoted strings and atoms."""
    return [re.sub(r"\\(.)", r"\1", quoted) if atom == "" else atom
            for quoted, atom in re.findall(
                r'"((?:[^"\\]|\\.)*)"|([^\s"]+)', text)]
