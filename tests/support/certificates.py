"""What a sidecar shows with the credentials of its pod, for whoever plays one."""

from __future__ import annotations

import ssl
import tempfile

from isola_operator.credentials import Credentials
from isola_sidecar.tls import pem


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """Return what serves TLS with `credentials`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(credentials.certificate + pem(credentials.key))
        file.flush()
        context.load_cert_chain(file.name)
    return context
