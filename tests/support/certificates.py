"""Certificates of a test's own, made by openssl: an authority, and what it says of servers and clients."""
import os
import subprocess

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """Who says who somebody is: `file` has its certificate, which others trust."""

    def __init__(self, folder, name="ca"):
        self._folder, self._name = folder, name
        self.file, self._key = self._path(name, "pem"), self._path(name, "key")
        self._openssl("req", "-x509", *CURVE, "-keyout", self._key, "-out", self.file, "-subj", f"/CN={name}", "-days", "2")

    def issue(self, name, *others, days=2):
        """A certificate of these names and addresses and its key, as files. Below 0 days it has expired."""
        stem = f"{self._name}-{name}{days}"
        cert, key, request, more = (self._path(stem, kind) for kind in ("pem", "key", "csr", "ext"))
        with open(more, "w") as out:
            kinds = ("IP" if one.replace(".", "").isdigit() or ":" in one else "DNS" for one in (name, *others))
            out.write("subjectAltName=" + ",".join(f"{kind}:{one}" for kind, one in zip(kinds, (name, *others))) + "\n")
        self._openssl("req", *CURVE, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        self._openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-days", str(days),
                      "-extfile", more, "-out", cert)
        return cert, key

    def _path(self, stem, kind):
        return os.path.join(self._folder, f"{stem}.{kind}")

    @staticmethod
    def _openssl(*words):
        subprocess.run(["openssl", *words], check=True, stdin=subprocess.DEVNULL, capture_output=True)
