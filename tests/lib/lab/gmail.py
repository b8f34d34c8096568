# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Gmail account, and the IMAP server that shows it the way Gmail does.

Sources of the behaviour, by the number that comments give:

[1] Google, "Gmail IMAP Extensions",
    developers.google.com/workspace/gmail/imap/imap-extensions
[2] Google, "How actions sync in IMAP", support.google.com/mail/answer/77657
[3] Google, Gmail API, users.settings ImapSettings (maxFolderSize)
[4] a log of a session with imap.gmail.com, github.com/jstedfast/MailKit #1396
[5] bare atoms that are none, github.com/jstedfast/MailKit #51
[6] the selected folder's label is missing, github.com/dlech/gmailbuttons #10
[7] Dovecot's imapc (imapc-sync.c, imapc-mailbox.c): the search for what POP3
    does not show, and its reply in message sequence numbers
[8] "How Gmail's All Mail folder actually works", emclient.com/blog
[9] over the daily limit: github.com/ljmerza/ha-email-sensor #16;
    a session ends: github.com/joeyates/imap-backup #92
[10] Google, "Gmail bandwidth limits", support.google.com/a/answer/1071518:
    2500 MB of IMAP download a day
[11] Google, "Add Gmail to another email client",
    support.google.com/mail/answer/7126229: 15 IMAP connections
[12] Google, "OAuth 2.0 Mechanism", developers.google.com/workspace/gmail/imap/
    xoauth2-protocol: XOAUTH2 and the JSON challenge of a refusal
[13] Google, "IMAP for Workspace administrators": with the scope
    gmail.imap_admin all labels and all messages are shown [3]
"""

import base64
import dataclasses
import random
import re

from lab import imap as wire
from lab import mailgen
from lab.scripted import bearer
from lab.scripted.imap import ImapServer, _Session

# [4], before login
CAPABILITIES = ("IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN "
                "X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 AUTH=PLAIN "
                "AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER")
# ... and after; COMPRESS is left out, nobody in the lab can speak it
CAPABILITIES_AFTER = ("IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST "
                      "CHILDREN X-GM-EXT-1 UIDPLUS ENABLE MOVE CONDSTORE "
                      "ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- "
                      "SPECIAL-USE APPENDLIMIT=35651584")

# Gmail's own folders: (label, special-use attribute, English name). [1] lists
# the attributes; the names are in the user's language. Chats has none.
_OWN = [("\\All", "\\All", "All Mail"), ("\\Draft", "\\Drafts", "Drafts"),
        ("\\Important", "\\Important", "Important"),
        ("\\Sent", "\\Sent", "Sent Mail"), ("\\Spam", "\\Junk", "Spam"),
        ("\\Starred", "\\Flagged", "Starred"),
        ("\\Trash", "\\Trash", "Trash"), ("\\Chat", None, "Chats")]

GERMAN = {"All Mail": "Alle Nachrichten", "Drafts": "Entwürfe",
          "Important": "Wichtig", "Sent Mail": "Gesendet",
          "Starred": "Markiert", "Trash": "Papierkorb"}

# What it says when it has enough, for lab.scripted.On [9]
OVER_LIMIT = "NO [OVERQUOTA] Account exceeded command or bandwidth limits."
TOO_MANY = "NO [ALERT] Too many simultaneous connections. (Failure)"
THROTTLED = "OK [THROTTLED] Success"
SESSION_EXPIRED = "* BYE Session expired, please login again."

# OAuth2 scopes [12, 13]
SCOPE_MAIL = "https://mail.google.com/"
SCOPE_ADMIN = "https://www.googleapis.com/auth/gmail.imap_admin"


@dataclasses.dataclass(eq=False)
class Message:
    """One message. labels are written as the user sees them, Gmail's own with
    a backslash; \\Spam, \\Trash and \\Chat take it out of All Mail."""
    msgid: int
    mail: mailgen.Mail
    labels: set
    popped: bool = False

    @property
    def in_all_mail(self):
        return not self.labels & {"\\Spam", "\\Trash", "\\Chat"}

    @property
    def flags(self):
        """A star is \\Flagged [2], whichever folder shows the message."""
        flags = set(self.mail.flags) - {"\\Flagged", "\\Draft"}
        if "\\Starred" in self.labels:
            flags.add("\\Flagged")
        if "\\Draft" in self.labels:
            flags.add("\\Draft")
        return tuple(sorted(flags))


@dataclasses.dataclass
class ShownMail(mailgen.Mail):
    """A message as one folder shows it."""
    message: Message = None


class Account:
    """Messages, labels, and the folders that IMAP shows of them.

    prefix       "[Gmail]", or "[Google Mail]"
    translation  names of Gmail's own folders in another language
    hidden       labels whose folders are not shown in IMAP, \\All included
    limit        most messages that a folder shows, 0 for no limit [3]
    folders      {name: [ShownMail]}, always up to date
    """

    def __init__(self, prefix="[Gmail]", translation=None, hidden=(), limit=0):
        self.prefix = prefix
        self.translation = translation or {}
        self.hidden = set(hidden)
        self.limit = limit
        self.messages = []
        self.user_labels = []
        self.folders = {}
        self._uids = {}
        self._next_uid = {}
        self._refresh()

    # -- what the user does

    def add(self, *labels, mail=None, popped=False):
        """A new message."""
        number = len(self.messages) + 1
        message = Message(
            # a real one, and ascending with time
            msgid=1278455344230334865 + number * 977,
            mail=mail or mailgen.mails(1, seed=f"gmail {number}")[0],
            labels=set(labels), popped=popped)
        self.messages.append(message)
        self._learn(labels)
        self._refresh()
        return message

    def add_many(self, messages):
        """[(labels, mail)], faster than one by one."""
        for labels, mail in messages:
            number = len(self.messages) + 1
            self.messages.append(Message(
                1278455344230334865 + number * 977, mail, set(labels)))
            self._learn(labels)
        self._refresh()
        return self.messages

    def label(self, message, *changes):
        """label(message, "+Work", "-\\Inbox")"""
        for change in changes:
            if change[0] == "+":
                message.labels.add(change[1:])
                self._learn([change[1:]])
            else:
                message.labels.remove(change[1:])
        self._refresh()

    def archive(self, message):
        self.label(message, "-\\Inbox")

    def rename_label(self, old, new):
        self.user_labels[self.user_labels.index(old)] = new
        for message in self.messages:
            if old in message.labels:
                message.labels = message.labels - {old} | {new}
        self._refresh()

    def trash(self, message):
        """It leaves all folders but Trash, and keeps its labels."""
        self.label(message, "+\\Trash")

    def delete(self, message):
        self.messages.remove(message)
        self._refresh()

    # -- what IMAP shows

    def own_folder(self, label):
        english = next(name for own, _, name in _OWN if own == label)
        return f"{self.prefix}/{self.translation.get(english, english)}"

    def folder_of(self, label):
        if label == "\\Inbox":
            return "INBOX"
        return self.own_folder(label) if label[0] == "\\" else label

    def label_of(self, folder):
        return self._label_of[folder]

    def show_all(self):
        """To an administrator [13]."""
        self.hidden, self.limit = set(), 0
        self._refresh()

    @property
    def special_use(self):
        return {self.own_folder(label): attribute
                for label, attribute, _ in _OWN if attribute is not None}

    @property
    def noselect(self):
        """[Gmail] itself, and parents that are no labels."""
        parents = {self.prefix}
        for name in self.folders:
            while "/" in name:
                name = name.rpartition("/")[0]
                parents.add(name)
        return sorted(parents - set(self.folders))

    def shows(self, folder, message):
        label = self.label_of(folder)
        if label == "\\All":
            return message.in_all_mail
        if label in ("\\Spam", "\\Trash", "\\Chat"):
            return label in message.labels
        # Spam and Trash are apart from everything else [8]
        return label in message.labels and message.in_all_mail

    def uidnext(self, folder):
        return self._next_uid[folder]

    def distinct_bytes(self):
        return sum(len(message.mail.text) for message in self.messages)

    def _learn(self, labels):
        for label in labels:
            if label[0] != "\\" and label not in self.user_labels:
                self.user_labels.append(label)

    def _refresh(self):
        """A message that comes into a folder gets the next UID there; UIDs
        of different folders have nothing to do with each other."""
        labels = ["\\Inbox", *self.user_labels,
                  *(label for label, _, _ in _OWN)]
        self._label_of = {self.folder_of(label): label for label in labels
                          if label not in self.hidden}
        for name in [*self.folders]:
            if name not in self._label_of:
                del self.folders[name]
        for number, folder in enumerate(self._label_of):
            uids = self._uids.setdefault(folder, {})
            # no two folders begin with the same UID
            self._next_uid.setdefault(folder, 1 + number * 10)
            self.folders[folder] = self._show(folder, uids)

    def _show(self, folder, uids):
        shown = [message for message in self.messages
                 if self.shows(folder, message)]
        if self.limit:
            shown = shown[-self.limit:]
        for message in set(uids) - set(shown):
            del uids[message]
        for message in shown:
            if message not in uids:
                uids[message] = self._next_uid[folder]
                self._next_uid[folder] += 1
        return [ShownMail(text=message.mail.text, flags=message.flags,
                          date=message.mail.date, uid=uid, message=message)
                for message, uid in sorted(uids.items(), key=lambda i: i[1])]


class GmailServer(ImapServer):
    """The IMAP server of an account; changes of the account show at once.

    body_bytes      of whole messages that were sent, bodies the number of them
    label_spelling  "atom", or "string" for "\\\\Inbox" in quotes; both occur
    tokens          {OAuth2 access token: its scope}; passwords are refused then
    daily_limit     bytes of messages a day; new_day() begins another one
    most_sessions   that were open at the same time; 15 are allowed
    """

    def __init__(self, account, *, label_spelling="atom", tokens=None,
                 daily_limit=None, **options):
        options.setdefault("capabilities", CAPABILITIES)
        super().__init__(account.folders, separator="/",
                         special_use=account.special_use,
                         extra=self._extra,
                         size=lambda mail: len(mail.text), **options)
        self.account = account
        self.label_spelling = label_spelling
        self.capabilities_after = options["capabilities"]
        if options["capabilities"] == CAPABILITIES:
            self.capabilities_after = CAPABILITIES_AFTER
        self.tokens = tokens
        self.daily_limit = daily_limit
        self.sent_today = 0
        self.over_limit = False
        self.sessions = self.most_sessions = 0
        self.body_bytes = 0
        self.bodies = 0

    def new_day(self):
        self.sent_today = 0
        self.over_limit = False

    # The base class asks for these; they change with the account.

    @property
    def noselect(self):
        return self.account.noselect

    @noselect.setter
    def noselect(self, value):
        pass

    @property
    def subscriptions(self):
        return list(self.account.folders)

    @subscriptions.setter
    def subscriptions(self, value):
        pass

    def uidnext(self, name):
        return self.account.uidnext(name)

    def uidvalidity_of(self, name):
        return 600 + sum(name.encode())

    def serve(self, connection):
        session = _GmailSession(self, connection)
        try:
            session.run()
        finally:
            self.sessions -= session.user is not None

    def spell(self, label):
        """An element of X-GM-LABELS [1]. What is no atom comes in quotes, but
        brackets and percent signs are taken for atoms' characters [5]."""
        if label[0] == "\\":
            return label if self.label_spelling == "atom" else wire.quote(label)
        name = wire.encode_name(label)
        return name if re.fullmatch(r'[^\s(){"\\*]+', name) else wire.quote(name)

    def _extra(self, folder, mail):
        message, own = mail.message, self.account.label_of(folder)
        # the selected folder's own label is left out [6]
        labels = sorted(message.labels - {own, "\\Chat"})
        return {"X-GM-MSGID": str(message.msgid),
                "X-GM-THRID": str(message.msgid),
                "X-GM-LABELS": f"({' '.join(map(self.spell, labels))})"}


class _OverLimit(Exception):
    """More bytes than a day allows."""


class _GmailSession(_Session):
    def log_in(self, user, name, password):
        if self.server.tokens is not None:
            return ("NO [ALERT] Application-specific password required: "
                    "https://support.google.com/accounts/answer/185833 "
                    "(Failure)")
        reply = super().log_in(user, name, password)
        if not reply.startswith("OK"):
            return "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"
        return self.accept(user)

    def accept(self, user):
        if self.server.over_limit:
            self.user = None
            return OVER_LIMIT
        if self.server.sessions >= 15:                              # [11]
            self.user = None
            return TOO_MANY
        self.user = user
        self.server.sessions += 1
        self.server.most_sessions = max(self.server.most_sessions,
                                        self.server.sessions)
        # untagged, before the tagged reply [4]
        self.send(f"* CAPABILITY {self.server.capabilities_after}")
        return f"OK {user} authenticated (Success)"

    def cmd_authenticate(self, arguments):
        mechanism, _, initial = arguments.partition(" ")
        if mechanism.upper() not in ("XOAUTH2", "OAUTHBEARER"):
            return super().cmd_authenticate(arguments)
        if not initial:
            self.send("+ ")
            initial = self.connection.read_line()
        text = base64.b64decode(initial).decode()
        token = re.search("\1auth=Bearer ([^\1]+)\1\1", text)
        user = re.search("(?:user|,a)=([^\1,]+)", text)
        scope = token and (self.server.tokens or {}).get(token[1])
        if scope is None or user is None:
            # the client sends an empty line, or a lone ^A [12]
            self.send("+ " + base64.b64encode(
                b'{"status":"400","schemes":"Bearer",'
                b'"scope":"https://mail.google.com/"}').decode())
            self.connection.read_line()
            return "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"
        if scope == SCOPE_ADMIN:
            self.server.account.show_all()
        return self.accept(user[1])

    def fetch(self, arguments, by_uid):
        try:
            return super().fetch(arguments, by_uid)
        except _OverLimit:
            self.server.over_limit = True
            return OVER_LIMIT

    def cmd_select(self, arguments, access="READ-WRITE"):
        reply = super().cmd_select(arguments, access)
        if reply.startswith("NO"):
            name = arguments.strip('"')
            return f"NO [NONEXISTENT] Unknown Mailbox: {name} (Failure)"
        return reply

    def cmd_search(self, arguments):
        """SEARCH RETURN (ALL) X-GM-RAW "in:^pop" [7]"""
        if 'X-GM-RAW "in:^pop"' not in arguments:
            return super().cmd_search(arguments)
        numbers = [number for number, mail in enumerate(self.mails(), 1)
                   if mail.message.popped]
        found = f" ALL {','.join(map(str, numbers))}" if numbers else ""
        self.send(f'* ESEARCH (TAG "{self.tag}"){found}')
        return "OK SEARCH completed (Success)"

    def one_command(self):
        read = self.read_command

        def remember():
            line = read()
            self.tag = line.partition(" ")[0]
            return line
        self.read_command = remember
        try:
            super().one_command()
        finally:
            self.read_command = read

    def body_section(self, item, mail):
        if "[]" in item:
            limit = self.server.daily_limit
            if limit is not None and (self.server.sent_today +
                                      len(mail.text) > limit):
                raise _OverLimit
            self.server.sent_today += len(mail.text)
            self.server.bodies += 1
            self.server.body_bytes += len(mail.text)
        return super().body_section(item, mail)


class _BearerGmailSession(bearer._ImapSession, _GmailSession):
    def cmd_authenticate(self, arguments):
        reply = super().cmd_authenticate(arguments)
        return reply if self.user is None else self.accept(self.user)


class BearerGmailServer(bearer._Bearer, GmailServer):
    """Gmail for those who have a good token of the provider: no passwords, and
    a session ends when its token does. texts counts for each folder and UID
    how often a whole message was sent to its end."""

    def __init__(self, account, provider, *, ends="bye", pace=0, **options):
        super().__init__(account, tokens={}, **options)
        self.set_up(provider, "google", ends, pace)

    def serve(self, connection):
        session = _BearerGmailSession(self, connection)
        try:
            session.run()
        finally:
            self.sessions -= session.user is not None


# -- a sample

# Names that folders and keywords take differently: nested, not ASCII, equal
# but for case, with characters that an atom cannot hold.
LABELS = ["Work", "work", "Work/2024", "Müller & Söhne", "Muller & Sohne",
          "Two Words", "(done) [x]", "日本", "Junk", "Family/Kids"]


def sample(count=120, seed=1, size=(400, 4000), account=None):
    """An account with everything that the labels can be."""
    account = account or Account()
    rnd = random.Random(f"{seed}/gmail")
    mails = mailgen.mails(count, seed=f"{seed}/gmail", size=size)
    # two messages with the same Message-ID
    mails[1] = dataclasses.replace(mails[1], text=_same_message_id(
        mails[0].text, mails[1].text))
    messages = [(_sample_labels(rnd, number), mail)
                for number, mail in enumerate(mails)]
    account.add_many(messages)
    for message in account.messages:
        message.popped = "\\Inbox" in message.labels and rnd.random() < 0.3
    return account


def _sample_labels(rnd, number):
    fixed = [{"\\Inbox"}, {"\\Inbox", "Work"}, set(), {"\\Starred"},
             {"\\Important"}, {"\\Sent", "Work"}, {"\\Spam"},
             {"\\Trash", "Work"}, {"\\Draft"}, {"\\Chat"},
             {"\\Inbox", *LABELS[:5]}, {"\\Muted"}, {"\\Sent", "\\Inbox"},
             {"Work", "work"}, {"\\Spam", "\\Starred"}]
    if number < len(fixed):
        return fixed[number]
    kind = rnd.random()
    if kind < 0.1:
        return set()
    if kind < 0.14:
        return {rnd.choice(["\\Spam", "\\Trash", "\\Draft", "\\Chat"])}
    labels = set(rnd.sample(LABELS, rnd.randint(0, 5)))
    for label, chance in (("\\Inbox", 0.4), ("\\Sent", 0.15),
                          ("\\Important", 0.25), ("\\Starred", 0.1)):
        if rnd.random() < chance:
            labels.add(label)
    return labels


def _same_message_id(source, text):
    field = re.compile(rb"^Message-ID:.*?\r\n", re.MULTILINE | re.IGNORECASE)
    line = field.search(source).group(0)
    return field.sub(lambda _: line, text, count=1)
