# SPDX-License-Identifier: LGPL-2.1-or-later
"""An HTTP server with fixed answers, for token endpoints and the like, and a
proxy before it."""

import dataclasses
import json
import re
import socket
import threading

from lab.scripted.server import Disconnect, Server


@dataclasses.dataclass
class Route:
    """An answer to requests that match, e.g. Route("POST /token", {…}).

    request  regular expression, matched at the beginning of "METHOD PATH"
    body     bytes, text, or an object that is sent as JSON; a function
             (Request) -> one of these
    """
    request: str
    body: object = b""
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Request:
    method: str
    path: str
    headers: dict               # names in lower case
    body: bytes


class HttpServer(Server):
    """routes: the first that matches answers; without one it is 404.

    requests  every Request; received has "METHOD PATH". Faults match that.
    """

    protocol = "http"

    def __init__(self, routes=(), *, faults=(), ca=None, tls=False):
        super().__init__(faults, ca, tls)
        self.routes = list(routes)
        self.requests = []

    def url(self, path="/"):
        scheme = "https" if self.implicit_tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def serve(self, connection):
        while True:
            request = read_request(connection)
            self.requests.append(request)
            line = f"{request.method} {request.path}"
            self.record(line)
            fault = self.fault_for(line)
            if callable(fault):
                fault(connection, request)
            elif fault is None or not connection.misbehave(fault):
                send_response(connection, *self._answer(request, line, fault))

    def _answer(self, request, line, fault):
        """A fault's text is the status line's: "503 Service Unavailable"."""
        if fault is not None:
            return fault, {}, b""
        for route in self.routes:
            if re.match(route.request, line):
                body = route.body
                if callable(body):
                    body = body(request)
                return str(route.status), route.headers, body
        return "404 Not Found", {}, b""


def read_request(connection):
    method, path, _ = connection.read_line().split(" ")
    headers = {}
    while line := connection.read_line():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = connection.read(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


def send_response(connection, status, headers, body):
    if " " not in status:
        status += " Answer"
    headers = dict(headers)
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    lines = [f"HTTP/1.1 {status}",
             *(f"{name}: {value}" for name, value in headers.items()),
             f"Content-Length: {len(body)}", "", ""]
    connection.send("\r\n".join(lines).encode() + body)


class ConnectProxy(Server):
    """A proxy for TLS: CONNECT host:port, then bytes both ways."""

    protocol = "http"

    def serve(self, connection):
        method, target, _ = connection.read_line().split(" ")
        self.record(f"{method} {target}")
        while connection.read_line():
            pass
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            connection.send("HTTP/1.1 200 Go on\r\n\r\n")
            back = threading.Thread(target=_copy, args=(
                lambda: onward.recv(65536), connection.send), daemon=True)
            back.start()
            _copy(connection.read_some, onward.sendall)
            onward.shutdown(socket.SHUT_RDWR)
            back.join(10)
        raise Disconnect


def _copy(read, write):
    try:
        while data := read():
            write(data)
    except OSError:
        pass
