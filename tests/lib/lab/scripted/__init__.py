# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that do what a test tells them.

ImapServer, Pop3Server, HttpServer  serve data and misbehave at the commands
                                    named by On(…)
Provider, TokenServer, BearerImapServer, BearerPop3Server
                                    OAuth2: who issues tokens and asks for them
Transcript                          plays a text file, line by line
"""

from lab.scripted.bearer import (BearerImapServer, BearerPop3Server, Provider,
                                 TokenServer)
from lab.scripted.http import ConnectProxy, HttpServer, Route
from lab.scripted.imap import ImapServer
from lab.scripted.pop3 import Pop3Server
from lab.scripted.server import On
from lab.scripted.transcript import Transcript

__all__ = ["BearerImapServer", "BearerPop3Server", "ConnectProxy",
           "HttpServer", "ImapServer", "On", "Pop3Server", "Provider", "Route", "TokenServer",
           "Transcript"]
