# SPDX-License-Identifier: LGPL-2.1-or-later
"""raw.py PORT USER PASSWORD: downloads an account as fast as IMAP allows, and
throws it away. It waits for the greeting, the login, the list, and then for
all the rest at once."""

import re
import socket
import sys


def read_until(sock, end, keep=True):
    """What arrives until a line begins with the tag, or its end."""
    data = b""
    while True:
        more = sock.recv(1 << 20)
        if not more:
            sys.exit("the server closed the connection")
        data = data + more if keep else (data + more)[-200:]
        if re.search(rb"(?:^|\n)" + end + rb" [^\n]*\n$", data):
            return data


def main(port, user, password):
    sock = socket.create_connection(("127.0.0.1", int(port)))
    read_until(sock, rb"\*")
    sock.sendall(f'a LOGIN "{user}" "{password}"\r\n'.encode())
    read_until(sock, b"a")
    sock.sendall(b'b LIST "" *\r\n')
    names = re.findall(rb'\* LIST \([^)]*\) (?:NIL|"[^"]*") ([^\r]+)',
                       read_until(sock, b"b"))
    sock.sendall(b"".join(
        b"x EXAMINE %s\r\nx UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])\r\n"
        % name for name in names) + b"z LOGOUT\r\n")
    read_until(sock, b"z", keep=False)


main(*sys.argv[1:])
