"""What the sidecar proves itself with: a certificate, and its key as its working directory's name.

The gateway goes by the certificate's digest, which the log has, so whoever takes the sidecar's
port cannot pass for it without the key. That is why the key comes as the name of the directory
that the kubelet starts the sidecar in: where /proc/<pid>/cwd leads shows only to who may trace
the process. The environment would not do: under gVisor every command finds it in
/proc/gvisor/spec_environ, as it is started from within the sidecar's container.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from typing import Final

_LINE: Final = 64


def context(certificate: str) -> ssl.SSLContext:
    """Return how to serve with `certificate`, and leave the directory whose name is its key."""
    directory = os.getcwd()  # noqa: PTH109 - pathlib is an import
    os.chdir("/")
    with suppress(OSError):
        os.rmdir(directory)  # noqa: PTH106 - likewise
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.num_tickets = 0  # nobody resumes
    # OpenSSL reads files only. This one has no name, and nobody else can open it.
    file = os.memfd_create("credentials")
    try:
        os.write(file, (certificate + pem(directory.rpartition("/")[2])).encode())
        made.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    return made


def pem(key: str) -> str:
    """Return a key, PKCS #8 in DER as base64url, as PEM."""
    text = key.replace("-", "+").replace("_", "/")
    lines = (text[start : start + _LINE] for start in range(0, len(text), _LINE))
    return "\n".join(("-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----\n"))
