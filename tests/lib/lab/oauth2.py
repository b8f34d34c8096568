# SPDX-License-Identifier: LGPL-2.1-or-later
"""The files and settings by which a user of tokens logs in: keys, secrets,
refresh tokens."""

import json
import os
import subprocess

from lab import places


class Keys:
    """RSA keys and a certificate, made with openssl. pkcs8 and pkcs1 are the
    same key; public is its public half."""

    def __init__(self, folder):
        self.dir = folder
        self.pkcs8 = f"{folder}/key8.pem"
        self.pkcs1 = f"{folder}/key1.pem"
        self.public = f"{folder}/public.pem"
        self.certificate = f"{folder}/certificate.pem"
        self._openssl("genpkey", "-algorithm", "RSA", "-pkeyopt",
                      "rsa_keygen_bits:2048", "-out", self.pkcs8)
        self._openssl("rsa", "-in", self.pkcs8, "-traditional",
                      "-out", self.pkcs1)
        self._openssl("pkey", "-in", self.pkcs8, "-pubout",
                      "-out", self.public)
        self._openssl("req", "-x509", "-key", self.pkcs8, "-days", "30",
                      "-subj", "/CN=migration", "-out", self.certificate)
        for path in (self.pkcs8, self.pkcs1, self.certificate):
            own(path)

    def service_account(self, path, token_uri, pem=None, **changes):
        """A key file as Google issues it."""
        with open(pem or self.pkcs8, encoding="ascii") as file:
            key = file.read()
        content = {
            "type": "service_account", "project_id": "migration-1",
            "private_key_id": "0123456789abcdef", "private_key": key,
            "client_email": "mover@migration-1.iam.gserviceaccount.com",
            "client_id": "123456789012345678901",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri, "universe_domain": "googleapis.com"}
        content.update(changes)
        return write(path, json.dumps(
            {name: value for name, value in content.items()
             if value is not None}, indent=2))

    def fingerprints(self):
        """{x5t…: base64url} of the certificate, by openssl."""
        import base64
        result = {}
        for name, digest in (("x5t", "sha1"), ("x5t#S256", "sha256")):
            der = self._openssl("x509", "-in", self.certificate, "-outform",
                                "DER")
            binary = subprocess.run(
                ["openssl", "dgst", f"-{digest}", "-binary"], input=der,
                capture_output=True, check=True).stdout
            result[name] = base64.urlsafe_b64encode(binary).rstrip(
                b"=").decode()
        return result

    @staticmethod
    def _openssl(*args):
        return subprocess.run(["openssl", *args], check=True,
                              capture_output=True).stdout


def own(path, mode=0o600):
    """Give a file to the account that runs migrations."""
    os.chown(path, places.MAIL_UID, places.MAIL_UID)
    os.chmod(path, mode)
    return path


def write(path, text, mode=0o600):
    """A secret in a file."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return own(path, mode)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()
