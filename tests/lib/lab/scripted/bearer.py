# SPDX-License-Identifier: LGPL-2.1-or-later
"""OAuth2: a provider that issues tokens, its token server, and IMAP and POP3
servers that let in who has one of them.

What they refuse, how they say it and when they end sessions is as Google's and
Microsoft's documentation describes it (IMAP and POP with XOAUTH2, RFC 6749,
7523 and 7628).
"""

import base64
import collections
import email.utils
import json
import re
import secrets
import subprocess
import threading
import time
import urllib.parse

from lab.scripted import imap, pop3
from lab.scripted.http import HttpServer
from lab.scripted.server import Disconnect

SCOPE = "https://mail.google.com/"
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Provider:
    """Who issues tokens, and knows which of them are good.

    lifetime   of a token, in seconds; what the token server tells
    real_lifetime   when it really ends, if that is something else
    secrets    everything that must appear nowhere else: tokens, refresh
               tokens, client secrets, assertions
    """

    def __init__(self, lifetime=3600, real_lifetime=None):
        self.lifetime = lifetime
        self.real_lifetime = real_lifetime or lifetime
        self.secrets = []
        self.issued = 0
        self._tokens = {}
        self._lock = threading.Lock()

    def secret(self, text):
        self.secrets.append(text)
        return text

    def issue(self, user=None):
        """A token; user None is one for every mailbox."""
        with self._lock:
            self.issued += 1
            token = f"tok{self.issued}." + secrets.token_urlsafe(900)
            self._tokens[token] = (
                user, time.monotonic() + self.real_lifetime)
            self.secrets.append(token)
        return token

    def revoke_all(self):
        with self._lock:
            self._tokens.clear()

    def end_of(self, token):
        return self._tokens.get(token, (None, 0))[1]

    def accepts(self, user, token):
        with self._lock:
            owner, end = self._tokens.get(token, (None, 0))
        return end > time.monotonic() and owner in (None, user)


class TokenServer(HttpServer):
    """The token endpoint, POST /token, over TLS.

    clients          {client_id: secret}; None for a client without one
    refresh_tokens   {refresh token: user}; with rotate each use replaces it
    public_key       PEM file by which assertions are verified, with openssl
    users            those that an assertion may name; None for all
    clock            seconds that this server's clock is ahead
    answers          list of (status, headers, body) that come first
    delay            seconds before each answer
    requests_for     parsed forms, in order
    """

    def __init__(self, provider, ca, *, clients=None, refresh_tokens=None,
                 rotate=False, public_key=None, users=None, clock=0,
                 answers=(), delay=0):
        super().__init__((), ca=ca, tls=True)
        self.provider = provider
        self.clients = clients or {}
        self.refresh_tokens = dict(refresh_tokens or {})
        self.rotate = rotate
        self.public_key = public_key
        self.users = users
        self.clock = clock
        self.answers = list(answers)
        self.delay = delay
        self.requests_for = []
        self._token_lock = threading.Lock()
        for secret in (*self.clients.values(), *self.refresh_tokens):
            if secret is not None:
                provider.secret(secret)

    @property
    def token_url(self):
        return self.url("/token")

    def _answer(self, request, line, fault):
        # by a proxy it can be the whole URL
        if (not request.path.endswith("/token") or
                request.method != "POST"):
            return "404 Not Found", {}, b""
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        with self._token_lock:
            self.requests_for.append(form)
            time.sleep(self.delay)
            if self.answers:
                status, headers, body = self.answers.pop(0)
            else:
                status, headers, body = 200, {}, self.answer(form)
            if "error" in body and status == 200:
                status = 401 if body["error"] in (
                    "invalid_client", "unauthorized_client") else 400
        date = email.utils.formatdate(time.time() + self.clock, usegmt=True)
        return str(status), {"Date": date, **headers}, body

    # -- the grants; each returns the answer's JSON

    def answer(self, form):
        kind = form.get("grant_type")
        if kind == "refresh_token":
            return self.refresh(form)
        if kind == _JWT_GRANT:
            return self.service_account(form)
        if kind == "client_credentials":
            return self.client_credentials(form)
        return {"error": "unsupported_grant_type"}

    def token(self, user, **more):
        return {"access_token": self.provider.issue(user),
                "token_type": "Bearer",
                "expires_in": self.provider.lifetime, "scope": SCOPE,
                "nested": {"ignored": [1, {"a": None}]}, **more}

    def check_client(self, form):
        """An error, or None."""
        known = form.get("client_id") in self.clients
        if known and "client_assertion" in form:
            self.provider.secret(form["client_assertion"])
            claims = self.verified(form["client_assertion"])
            if (claims is None or claims["iss"] != form["client_id"] or
                    claims["sub"] != form["client_id"] or
                    claims["aud"] != self.token_url):
                return {"error": "invalid_client", "error_description":
                        "AADSTS700027: Client assertion failed signature "
                        "validation."}
            if not self.in_time(claims):
                return {"error": "invalid_client", "error_description":
                        "AADSTS700024: Client assertion is not within its "
                        "valid time range."}
            return None
        if not known or form.get("client_secret") != self.clients[
                form["client_id"]]:
            return {"error": "invalid_client", "error_description":
                    "AADSTS7000215: Invalid client secret provided."}
        return None

    def refresh(self, form):
        error = self.check_client(form)
        if error:
            return error
        old = form.get("refresh_token")
        if old not in self.refresh_tokens:
            return {"error": "invalid_grant", "error_description":
                    "Token has been expired or revoked."}
        user = self.refresh_tokens[old]
        if not self.rotate:
            return self.token(user)
        del self.refresh_tokens[old]
        new = self.provider.secret("refresh-" + secrets.token_urlsafe(30))
        self.refresh_tokens[new] = user
        return self.token(user, refresh_token=new)

    def service_account(self, form):
        self.provider.secret(form["assertion"])
        claims = self.verified(form["assertion"])
        if claims is None:
            return {"error": "invalid_grant",
                    "error_description": "Invalid JWT Signature."}
        if not self.in_time(claims):
            return {"error": "invalid_grant", "error_description":
                    "Invalid JWT: Token must be a short-lived token (60 "
                    "minutes) and in a reasonable timeframe. Check your iat "
                    "and exp values in the JWT claim."}
        if claims["aud"] != self.token_url:
            return {"error": "invalid_grant",
                    "error_description": "Invalid JWT: Failed audience check."}
        if claims["scope"] != SCOPE:
            return {"error": "unauthorized_client", "error_description":
                    "Client is unauthorized to retrieve access tokens using "
                    "this method, or client not authorized for any of the "
                    "scopes requested."}
        if self.users is not None and claims["sub"] not in self.users:
            return {"error": "invalid_grant",
                    "error_description": "Invalid email or User ID"}
        return self.token(claims["sub"])

    def client_credentials(self, form):
        return self.check_client(form) or self.token(None)

    def in_time(self, claims):
        now = time.time() + self.clock
        return (claims["iat"] - 300 <= now < claims["exp"] and
                claims["exp"] - claims["iat"] <= 3600)

    def verified(self, jwt):
        """The claims, if openssl says that the signature is right."""
        if not re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", jwt):
            return None
        signed, _, signature = jwt.rpartition(".")
        header, claims = (json.loads(_unbase64url(part))
                          for part in signed.split("."))
        if header["alg"] != "RS256" or header["typ"] != "JWT":
            return None
        path = f"{self.ca.dir}/signature-{secrets.token_hex(8)}"
        with open(path, "wb") as file:
            file.write(_unbase64url(signature))
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-verify", self.public_key,
             "-signature", path], input=signed.encode(), capture_output=True)
        return claims if done.returncode == 0 else None


def _unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class _Bearer:
    """What the IMAP and the POP3 server share.

    provider   whose tokens are good
    like       "google": explains a refusal in a challenge; "microsoft": does
               not
    ends       what becomes of a session whose token's time is over: "bye"
               says so at the next answer, "cut" breaks off in the middle of
               a text, None lets it live
    pace       seconds before each text
    logins     [(user, mechanism, accepted)]
    texts      {key of the mail: how often its text was sent to the end}
    """

    def set_up(self, provider, like, ends, pace):
        self.provider = provider
        self.like = like
        self.ends = ends
        self.pace = pace
        self.logins = []
        self.texts = collections.Counter()
        self.ended_sessions = 0

    def check_message(self, session, mechanism, message):
        """Logs the session in. False if the token is not good."""
        match = re.fullmatch(
            "user=([^\1]*)\1auth=Bearer ([^\1]*)\1\1"
            if mechanism == "XOAUTH2" else
            "n,a=([^,]*),\1(?:[^\1]*\1)*?auth=Bearer ([^\1]*)\1\1", message)
        if match is None:
            self.errors.append(f"not a {mechanism} message: {message!r}")
            return False
        user = match[1].replace("=2C", ",").replace("=3D", "=")
        accepted = self.provider.accepts(user, match[2])
        with self._lock:
            self.logins.append((user, mechanism, accepted))
        if accepted:
            session.user = user
            session.end = self.provider.end_of(match[2])
        return accepted

    @property
    def challenge(self):
        return base64.b64encode(json.dumps(
            {"status": "401", "schemes": "bearer", "scope": SCOPE}
        ).encode()).decode()

    def time_is_over(self, session):
        return (self.ends is not None and session.user is not None and
                getattr(session, "end", None) is not None and
                time.monotonic() > session.end)

    def end_session(self):
        with self._lock:
            self.ended_sessions += 1
        raise Disconnect

    def cut(self, session, data):
        session.connection.send(data[:len(data) // 2])
        self.end_session()


class _ImapSession(imap._Session):
    def one_command(self):
        try:
            super().one_command()
        except _Over:
            self.send("* BYE Session expired, please login again")
            self.server.end_session()

    def send(self, line):
        if (self.server.ends == "bye" and self.server.time_is_over(self) and
                not line.startswith("* BYE")):
            raise _Over
        super().send(line)

    def cmd_authenticate(self, arguments):
        mechanism, _, initial = arguments.upper().partition(" ")
        if mechanism not in ("XOAUTH2", "OAUTHBEARER"):
            return super().cmd_authenticate(arguments)
        initial = arguments.partition(" ")[2]
        if not initial:
            self.send("+ ")
            initial = self.connection.read_line()
        self.server.provider.secret(initial)
        message = base64.b64decode(initial).decode()
        if self.server.check_message(self, mechanism, message):
            return f"OK [CAPABILITY {self.server.capabilities}] Hello"
        if self.server.like == "microsoft":
            return "NO AUTHENTICATE failed."
        self.send("+ " + self.server.challenge)
        answer = self.connection.read_line()
        if answer != ("" if mechanism == "XOAUTH2" else "AQ=="):
            self.server.errors.append(f"answer to the challenge: {answer!r}")
        return "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"

    def send_fetch(self, number, uid, mail, items, *more):
        if "BODY.PEEK[]" not in items.upper():
            super().send_fetch(number, uid, mail, items, *more)
            return
        time.sleep(self.server.pace)
        if self.server.time_is_over(self):
            if self.server.ends == "bye":
                raise _Over
            self.server.cut(self, b"* %d FETCH (UID %d BODY[] {%d}\r\n%s" % (
                number, uid, len(mail.text), mail.text))
        super().send_fetch(number, uid, mail, items, *more)
        self.server.texts[(self.mailbox, uid)] += 1


class _Over(Exception):
    pass


class BearerImapServer(_Bearer, imap.ImapServer):
    def __init__(self, folders, provider, *, like="google", ends="bye",
                 pace=0, mechanisms=("XOAUTH2", "OAUTHBEARER"), sasl_ir=True,
                 **options):
        words = ["IMAP4rev1", "LITERAL+", "UIDPLUS", "UNSELECT", "NAMESPACE",
                 "ID", "ENABLE", *(["SASL-IR"] if sasl_ir else []),
                 *(f"AUTH={name}" for name in mechanisms)]
        options.setdefault("capabilities", " ".join(words))
        super().__init__(folders, **options)
        self.set_up(provider, like, ends, pace)

    def serve(self, connection):
        _ImapSession(self, connection).run()


class _Pop3Session(pop3._Session):
    def one_command(self):
        if self.server.time_is_over(self):
            self.server.end_session()
        super().one_command()

    def cmd_auth(self, argument):
        mechanism, _, initial = argument.upper().partition(" ")
        if mechanism not in ("XOAUTH2", "OAUTHBEARER"):
            super().cmd_auth(argument)
            return
        if initial:
            # longer than a command may be, and Microsoft refuses it
            self.server.errors.append("AUTH with an initial response")
        self.send("+ ")
        answer = self.connection.read_line()
        self.server.provider.secret(answer)
        message = base64.b64decode(answer).decode()
        if self.server.check_message(self, mechanism, message):
            self.send("+OK Welcome.")
            return
        if self.server.like == "microsoft":
            self.send("-ERR Authentication failure: unknown user name or bad "
                      "password.")
            return
        self.send("+ " + self.server.challenge)
        answer = self.connection.read_line()
        if answer != ("" if mechanism == "XOAUTH2" else "AQ=="):
            self.server.errors.append(f"answer to the challenge: {answer!r}")
        self.send("-ERR [AUTH] Username and password not accepted.")

    def send_mail(self, number, body_lines):
        time.sleep(self.server.pace)
        if self.server.time_is_over(self):
            self.server.cut(self, b"+OK\r\n" +
                            self.server.mails[number - 1].text)
        super().send_mail(number, body_lines)
        self.server.texts[number] += 1


class BearerPop3Server(_Bearer, pop3.Pop3Server):
    def __init__(self, mails, provider, *, like="google", ends="bye", pace=0,
                 mechanisms=("XOAUTH2", "OAUTHBEARER"), pipelining=True,
                 **options):
        options.setdefault("capabilities", (
            "TOP", "UIDL", "RESP-CODES",
            *(["PIPELINING"] if pipelining else []),
            "SASL " + " ".join(("PLAIN", *mechanisms))))
        super().__init__(mails, **options)
        self.set_up(provider, like, ends, pace)

    def serve(self, connection):
        _Pop3Session(self, connection).run()
