# SPDX-License-Identifier: LGPL-2.1-or-later
"""A certificate authority of the lab's own, made with openssl."""

import ssl
import subprocess

from lab import places

_EXTENSIONS = """\
basicConstraints = critical, CA:FALSE
subjectAltName = {names}
"""


class CA:
    """An authority with its own key. `cert` and `key` are a server's pair
    for 127.0.0.1 and localhost, `ca` is what its clients trust."""

    def __init__(self, name="lab CA", names="IP:127.0.0.1, DNS:localhost"):
        self.dir = places.scratch("ca")
        self.ca = f"{self.dir}/ca.pem"
        self.cert = f"{self.dir}/cert.pem"
        self.key = f"{self.dir}/key.pem"
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                   "-nodes"]
        self._openssl("req", "-x509", *new_key, "-days", "30",
                      "-subj", f"/CN={name}",
                      "-keyout", "ca.key", "-out", "ca.pem")
        self._openssl("req", *new_key, "-subj", "/CN=lab server",
                      "-keyout", "key.pem", "-out", "request.pem")
        with open(f"{self.dir}/extensions", "w") as file:
            file.write(_EXTENSIONS.format(names=names))
        self._openssl("x509", "-req", "-in", "request.pem", "-days", "30",
                      "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                      "-extfile", "extensions", "-out", "cert.pem")

    def client_context(self):
        return ssl.create_default_context(cafile=self.ca)

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context

    def _openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.dir, check=True,
                       capture_output=True)
