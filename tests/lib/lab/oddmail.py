# SPDX-License-Identifier: LGPL-2.1-or-later
"""An INBOX full of odd mail: what real mailboxes have and careless programs
stumble over, among ordinary mail. The same for the same seed.

    mails = oddmail.inbox(seed=1)       Mail objects; Mail.text is what an
                                        honest server shows over IMAP
    oddmail.name_of(mail.text)          what is odd about it, for failures

Each kind of oddity stands for something that a server was seen to treat
differently over IMAP and POP3 (QUIRKS.md). Every text occurs once, unless its
kind is "twins".
"""

import dataclasses
import hashlib
import random

from lab import mailgen
from lab.mailgen import Mail

_DATE = 1551398400


@dataclasses.dataclass
class Odd:
    """kind: what is odd. Some servers do not take all kinds."""
    kind: str
    text: bytes


# Kinds that a server may refuse or cannot store.
NUL, EMPTY, CR_CR_LF, BIG = "nul", "empty", "cr-cr-lf", "big"


def inbox(seed=1, ordinary=70, without=()):
    """All odd mails except those kinds, mixed with ordinary ones."""
    mails = [Mail(odd.text, date=_DATE + 61 * number,
                  flags=("\\Seen",) if number % 3 else ())
             for number, odd in enumerate(odd_mails())
             if odd.kind not in without]
    mails += mailgen.mails(ordinary, seed=f"{seed}/odd")
    random.Random(f"{seed}/oddmail").shuffle(mails)
    return mails


def name_of(text):
    """The kind and first words of a mail, however a server changed its line
    ends."""
    number_kind = _names().get(fingerprint(text))
    if number_kind is not None:
        return number_kind
    return f"ordinary {text[:60]!r}"


def fingerprint(text):
    """A digest that survives what every server may do to a text: NUL shown
    as 0x80, CR CR LF shortened, a final line end added or lost."""
    text = text.replace(b"\0", b"\x80")
    while b"\r\n" in text:
        text = text.replace(b"\r\n", b"\n")
    return hashlib.sha256(text.rstrip(b"\r\n")).hexdigest()[:16]


def odd_mails():
    """Every Odd, in a fixed order."""
    result = []
    for maker in (_eight_bit, _no_colon, _white_continuation, _folding,
                  _cr_cr_lf, _long_lines, _nul, _headless, _empty,
                  _final_newline, _twins, _equal_sizes, _equal_headers,
                  _message_ids, _mbox_fields, _field_names, _line_ends,
                  _big):
        result += maker()
    return result


_name_cache = {}


def _names():
    if not _name_cache:
        for number, odd in enumerate(odd_mails()):
            _name_cache[fingerprint(odd.text)] = f"{odd.kind} ({number})"
    return _name_cache


def _mail(name, body, *more, drop=()):
    """A mail with the usual fields, further ones, without some."""
    fields = {
        b"From": b"Odd Sender <odd@example.com>", b"To": b"u@example.org",
        b"Subject": b"odd: " + name, b"Message-ID": b"<" + name + b"@odd>",
        b"Date": b"Fri, 01 Mar 2019 10:00:00 +0000",
    }
    lines = [field + b": " + value for field, value in fields.items()
             if field not in drop]
    return b"\r\n".join([*lines, *more]) + b"\r\n\r\n" + body


def _body(word):
    word = word.encode() if isinstance(word, str) else word
    return b"This is the body of " + word + b".\r\nIt has two lines.\r\n"


def _each(kind, cases):
    """cases: {name: further header lines}"""
    return [Odd(kind, _mail(name.encode(), _body(name),
                            *(lines if isinstance(lines, list) else [lines])))
            for name, lines in cases.items()]


def _eight_bit():
    return _each("8-bit", {
        "latin1-to": b"Cc: J\xfcrgen <j@example.org>",
        "latin1-word": b"X-Name: \xe4\xf6\xfc\xdf",
        "utf8-word": "X-Name: Grüße aus Łódź".encode(),
        "utf8-japanese": "X-Name: 日本語のメール".encode(),
        "utf8-emoji": "X-Name: \U0001f600 smile".encode(),
        "broken-utf8": b"X-Name: \xc3( \xe2\x82 \xf0\x9f",
        "only-8bit": b"X-Name: \xff\xfe\xfd",
        "8bit-folded": b"X-Name: \xe4\r\n \xf6\r\n\t\xfc",
        "8bit-field-name": b"X-N\xe4me: value",
        "c1-controls": b"X-Name: \x80\x85\x9f",
        "two-8bit-fields": [b"X-One: \xe9", b"X-Two: \xe8"],
        "big5": b"X-Name: \xa4\xa4\xa4\xe5",
    }) + [Odd("8-bit", _mail(b"latin1-subject", _body("a Latin-1 subject"),
                             b"Subject: caf\xe9", drop=(b"Subject",))),
          # one letter apart: equal once 8-bit bytes are masked
          Odd("8-bit", _mail(b"masked", _body("mask a"), b"X-Name: \xe4")),
          Odd("8-bit", _mail(b"masked", _body("mask b"), b"X-Name: \xf6"))]


def _no_colon():
    cases = {
        "no-colon-last": b"this line has no colon",
        "no-colon-middle": [b"no colon in the middle", b"X-After: yes"],
        "no-colon-word": b"Word",
        "no-colon-two": [b"first without", b"second without"],
        "no-colon-folded": b"no colon\r\n\tbut a continuation",
        "from-line-in-header": b">From someone Fri Mar  1 10:00:00 2019",
    }
    first = [Odd("no colon", b"no colon at the very top\r\n" +
                 _mail(b"no-colon-first", _body("no colon first"))),
             Odd("no colon", b"From odd@example.com Fri Mar  1 2019\r\n" +
                 _mail(b"from-first", _body("From line first")))]
    return _each("no colon", cases) + first


def _white_continuation():
    return _each("white continuation", {
        "blank-continuation": b"X-A: value\r\n ",
        "tab-continuation": b"X-A: value\r\n\t",
        "two-continuations": b"X-A: value\r\n \r\n\t\r\nX-B: next",
        "continued-after-blank": b"X-A: value\r\n  \r\n more",
        "continuation-of-nothing": b"X-A:\r\n \r\nX-B: b",
        "last-line-blank": [b"X-A: a", b"X-B: b\r\n   "],
    })


def _folding():
    return _each("folding", {
        "tab-folds": b"References: <a@odd>\r\n\t<b@odd>\r\n\t<c@odd>",
        "blank-folds": b"References: <a@odd>\r\n   <b@odd>\r\n   <c@odd>",
        "trailing-blanks": b"X-A: trailing   ",
        "trailing-tab": b"X-A: trailing\t",
        "inner-tabs": b"X-A: one\ttwo\t\tthree",
        "empty-value": b"X-A:",
        "blank-value": b"X-A: ",
        "no-blank": b"X-A:value",
        "fold-at-once": b"X-A:\r\n value",
        "encoded-words": b"X-A: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
                         b" =?utf-8?b?8J+YgA==?=",
    })


def _cr_cr_lf():
    return [Odd(CR_CR_LF, text) for text in (
        _mail(b"crcrlf-body", b"one\r\r\ntwo\r\r\nthree\r\n"),
        _mail(b"crcrlf-one", b"one\r\ntwo\r\r\nthree\r\n"),
        _mail(b"crcrlf-header", _body("CR CR LF in the header"),
              b"X-A: value\r"),
        # the header ends at the first empty line, or at the second?
        _mail(b"crcrlf-end", _body("x"), b"X-A: value\r\n\r"),
        _mail(b"crcrlf-all", b"").replace(b"\r\n", b"\r\r\n"),
    )]


def _long_lines():
    return (_each("long line", {
        "long-header": b"X-Long: " + b"y" * 10000,
        "long-folded": b"X-Long: " + b"\r\n ".join([b"y" * 998] * 10),
        "many-fields": [b"X-Field-%d: %d" % (n, n) for n in range(200)],
        "long-references": b"References: " + b"\r\n\t".join(
            b"<%040d@odd>" % n for n in range(250)),
        "long-field-name": b"X-" + b"N" * 300 + b": value",
    }) + [Odd("long line", _mail(b"long-body", b"x" * 10000 + b"\r\n")),
          Odd("long line", _mail(b"long-words", b"word " * 2000 + b"\r\n"))])


def _nul():
    return [Odd(NUL, text) for text in (
        _mail(b"nul-body", b"a NUL \0 in the body\r\n"),
        _mail(b"nul-header", _body("NUL in the header"), b"X-Nul: a\0b"),
        _mail(b"nul-many", b"\0" * 100 + b"\r\n"),
    )]


def _headless():
    return [Odd("no header", text) for text in (
        b"\r\nno header at all\r\n",
        b"\r\nno header at all, but another body\r\n",
        b"\r\nno header at all\r\nand a second line\r\n",
        b"only text, no header and no empty line\r\n",
        b"\r\n\r\n\r\nthree empty lines first\r\n",
        b" starts with a blank\r\n" + _mail(b"blank-first", _body("blank")),
    )]


def _empty():
    """Nothing, or next to nothing."""
    return [Odd(EMPTY, b""), Odd(EMPTY, b"x"), Odd(EMPTY, b"\r\n"),
            Odd("empty body", _mail(b"empty-body", b"")),
            Odd("empty body", _mail(b"empty-body-2", b"")),
            Odd("empty body", _mail(b"body-of-newline", b"\r\n")),
            Odd("empty body", _mail(b"body-of-newlines", b"\r\n" * 5)),
            # the header just ends
            Odd("no end of header", _mail(b"no-end", b"")[:-2]),
            Odd("no end of header", _mail(b"no-end-2", b"", b"X-A: b")[:-2])]


def _final_newline():
    return [Odd("no final newline", text) for text in (
        _mail(b"no-newline", b"the last line just ends"),
        _mail(b"no-newline-one-byte", b"x"),
        _mail(b"no-newline-2", b"one line\r\nand the last one just ends"),
        _mail(b"no-newline-header", b"", b"X-A: cut here")[:-4],
    )]


def _twins():
    """The very same mail several times. Nobody can tell them apart, so
    they must come out in order."""
    pair = _mail(b"twin", b"the very same mail twice\r\n")
    five = _mail(b"five", b"a mail that came five times\r\n")
    big = _mail(b"big-twin", b"the same line again\r\n" * 500)
    return [Odd("twins", text)
            for text in [pair] * 2 + [five] * 5 + [big] * 3]


def _equal_sizes():
    texts = [_mail(b"size-%02d" % n, b"these have one size: %02d\r\n" % n)
             for n in range(12)]
    assert len({len(text) for text in texts}) == 1
    return [Odd("equal size", text) for text in texts]


def _equal_headers():
    """One header, several bodies: of different sizes, and of the same size
    where only the body's digest tells them apart."""
    sizes = [_mail(b"one-header", b"body of this length" + b"." * n + b"\r\n")
             for n in range(4)]
    same = [_mail(b"one-header-and-size", b"body number %d\r\n" % n)
            for n in range(5)]
    bare = [b"Subject: hi\r\n\r\n" + _body(b"bare %d" % n) for n in range(3)]
    return [Odd("equal header", text) for text in sizes + same + bare]


def _message_ids():
    no_id = (b"Message-ID",)
    return [Odd("message-id", text) for text in (
        _mail(b"no-id", _body("no ID"), drop=no_id),
        _mail(b"no-id", _body("no ID 2"), drop=no_id),
        _mail(b"no-date", _body("no date"), drop=(b"Date",)),
        _mail(b"no-from", _body("no from"), drop=(b"From",)),
        _mail(b"same-id-1", _body("same ID 1"), b"Message-ID: <same@odd>",
              drop=no_id),
        _mail(b"same-id-2", _body("same ID 2"), b"Message-ID: <same@odd>",
              drop=no_id),
        _mail(b"two-ids", _body("two IDs"), b"Message-ID: <second@odd>"),
        _mail(b"odd-id", _body("odd ID"), b"Message-ID: no angle brackets",
              drop=no_id),
        _mail(b"folded-id", _body("folded ID"),
              b"Message-ID:\r\n <folded@odd>", drop=no_id),
        _mail(b"odd-date", _body("odd date"), b"Date: yesterday",
              drop=(b"Date",)),
    )]


def _mbox_fields():
    """Fields that mbox servers write themselves, here in the mail's text."""
    return _each("mbox fields", {
        "status": b"Status: RO",
        "x-status": b"X-Status: A",
        "x-uid": b"X-UID: 4711",
        "content-length": b"Content-Length: 12",
        "x-keywords": b"X-Keywords: work",
        "return-path": b"Return-Path: <bounce@example.com>",
        "delivered-to": b"Delivered-To: u@example.org",
    })


def _field_names():
    return _each("field name", {
        "blank-before-colon": b"X-Blank : value",
        "blank-in-name": b"X Blank: value",
        "no-name": b": no name",
        "twice": [b"X-Twice: one", b"X-Twice: two"],
        "twice-the-same": [b"X-Twice: one", b"X-Twice: one"],
        "upper-case": b"X-UPPER-CASE: value",
        "slash": b"X/Odd$Name: value",
        "two-subjects": b"Subject: a second subject",
    })


def _line_ends():
    return [Odd("line ends", text) for text in (
        _mail(b"dots", b".\r\n..\r\n.dot\r\n\r\n.\r\n"),
        _mail(b"dot-header", _body("dot header"), b".dot: first"),
        _mail(b"only-dot", b".\r\n"),
        _mail(b"bare-cr", b"one\rtwo\r\n"),
        _mail(b"cr-at-end", b"one\r"),
        _mail(b"from-lines", b"From here on it is text\r\n>From too\r\n"),
        _mail(b"formfeed", b"page one\r\n\f\r\npage two\r\n"),
    )]


def _big():
    line = b"q" * 70 + b"\r\n"
    return [Odd(BIG, _mail(b"five-megabytes",
                           line * (5 * 1024 * 1024 // len(line))))]
