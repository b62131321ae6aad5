"""Certificates for tests, made with the openssl command."""

import os
import ssl
import subprocess


def openssl(*args):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, text=True).stdout


class Authority:
    """Makes certificates, with the openssl command."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.key, self.ca = self.path(name + ".key"), self.path(name + ".pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.ca)

    def path(self, name):
        return os.path.join(self.folder, name)

    def issue(self, name, *alternatives, days=2, key=("ec", "ec_paramgen_curve:P-256"), named=True):
        """(certificate, key) for these names and addresses; without `named`, only the subject has a name."""
        paths = [self.path(f"{self.name}-{name}.{end}") for end in ("key", "csr", "pem", "ext")]
        private, request, certificate, extensions = paths
        openssl("req", "-newkey", key[0], "-pkeyopt", key[1], "-nodes", "-subj", f"/CN={name}", "-keyout", private,
                "-out", request)
        with open(extensions, "w") as file:
            if named:
                file.write("subjectAltName=" + ",".join(alternatives or [f"DNS:{name}"]) + "\n")
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial", "-days", str(days),
                "-extfile", extensions, "-out", certificate)
        return certificate, private


def serial(certificate):
    """The serial number of a certificate file, in hexadecimal."""
    return openssl("x509", "-in", certificate, "-noout", "-serial").strip().removeprefix("serial=")


def not_after(certificate):
    """The end of a certificate file's validity, in unix seconds."""
    return ssl.cert_time_to_seconds(openssl("x509", "-in", certificate, "-noout", "-enddate").strip().removeprefix("notAfter="))
