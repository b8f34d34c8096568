# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows of the table: what is to be done."""

import dataclasses

from lab import mailgen


@dataclasses.dataclass
class Work:
    """One row.

    limit       how many waits the plugins may need, None = no promise
    runs        1, or 2 if the second run is what counts
    changed     how many changes of a hundred mails happen between the two
    command     what Dovecot's tools are told: backup, import, since, or local:
                an import of the source's folder
    pop3        the source is asked over POP3, too, for its UIDLs
    """
    name: str
    title: str
    mailboxes: int
    mails: int
    limit: int = None
    runs: int = 1
    changed: int = 0
    command: str = "backup"
    pop3: bool = False
    size: tuple = (400, 2000)


ROWS = [
    Work("full", "full", 1, 2000, limit=8),
    Work("large", "full", 1, 20000, limit=9),
    Work("many", "full", 100, 100, limit=14),
    Work("again", "nothing changed", 100, 100, limit=7, runs=2),
    Work("changed", "1 % changed", 100, 100, limit=10, runs=2, changed=1),
    Work("import", "import imapc:", 1, 2000, limit=10, command="import"),
    Work("local", "import maildir:", 1, 20000, command="local"),
    Work("local-again", "import maildir: again", 1, 20000, runs=2,
         command="local"),
    Work("since", "sync -1 -t", 1, 2000, command="since"),
    Work("pop3", "full with UIDLs", 1, 2000, pop3=True),
]


class Job:
    """A row's source account. It is made anew for each tool if it changes
    between the runs."""

    def __init__(self, work, source, scale):
        self.work = work
        self.source = source
        self.scale = scale
        self.user = source.user()
        self.folders = {
            "INBOX" if number == 0 else f"Box{number:02}": self.mails_of(number)
            for number in range(work.mailboxes)}
        self.mails = sum(map(len, self.folders.values()))
        self.bytes = sum(len(mail.text) for mails in self.folders.values()
                         for mail in mails)
        mailgen.deliver(self.user, self.folders)

    def count(self):
        return max(1, self.work.mails // self.scale)

    def mails_of(self, number):
        """Without mails that are marked as deleted: mbsync leaves them out."""
        return [dataclasses.replace(mail, flags=tuple(
                    flag for flag in mail.flags if flag != "\\Deleted"))
                for mail in mailgen.mails(self.count(), seed=number,
                                          size=self.work.size)]

    def change(self):
        """New mails, changed flags and expunged mails, 8 : 1 : 1, spread over
        all mailboxes."""
        if self.work.changed == 0:
            return
        client = mailgen.login(self.user)
        changes = max(1, self.mails * self.work.changed // 100)
        names = list(self.folders)
        for number in range(changes):
            name = names[number % len(names)]
            if number % 10 < 8:
                mail, = mailgen.mails(1, seed=f"new {number}", flags=False,
                                      size=self.work.size)
                client.command("APPEND", name, mail.text)
                self.mails += 1
                continue
            client.command("SELECT", name)
            if number % 10 == 8:
                client.command("STORE", "2", "+FLAGS", "(\\Flagged)")
            else:
                client.command("STORE", "1", "+FLAGS", "(\\Deleted)")
                client.command("UID", "EXPUNGE", "1")
                self.mails -= 1
        client.logout()
