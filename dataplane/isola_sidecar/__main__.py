"""Start the sidecar: `python3 -m isola_sidecar [port [serve-own]]`.

Where its environment has a certificate (`tls`), it serves TLS with that, and otherwise plain HTTP.
With `serve-own` it also serves clients from its own addresses, loopback among them. That is for
tests: in a sandbox those are the code that it is there to watch.

The order of the lines below is about start time. The socket listens before asyncio is imported,
and asyncio is imported when the first client connects: the kernel queues whoever comes. Imported
at once, it would take the processor from the kubelet, which is starting the user's containers at
that moment: the sandbox was ready 0.3 s later for it on two cores, and its first command, waiting
for the import included, ended 0.2 s later.
"""

from __future__ import annotations

import os
import sys

from . import gate, linklocal
from .listening import listen

_PORT = 10032
_SERVE_OWN = "serve-own"
_CERTIFICATE = "ISOLA_SIDECAR_CERTIFICATE"


def main() -> None:
    """Listen; once somebody connects, import the rest and serve until SIGTERM."""
    asked = gate.pass_through()
    listener = listen(int(sys.argv[1]) if len(sys.argv) > 1 else _PORT)
    sys.stderr.write(f"isola-sidecar listens on port {listener.getsockname()[1]}\n")
    certificate = os.environ.get(_CERTIFICATE)
    if not certificate:
        # ssl is 10 ms of start time under gVisor, for shared libraries that plain HTTP never uses.
        # None in its place makes the import fail, which asyncio expects of builds without it.
        sys.modules["ssl"] = None  # type: ignore[assignment]
    gate.attend(asked, until=listener)

    from . import application  # noqa: PLC0415 - asyncio and h11: most of the time to start

    context = None
    if certificate:
        from . import tls  # noqa: PLC0415 - ssl

        context = tls.context(certificate)
    application.run(listener, context, asked, serves_own=sys.argv[2:] == [_SERVE_OWN])


if __name__ == "__main__":
    linklocal.leave()
    main()
