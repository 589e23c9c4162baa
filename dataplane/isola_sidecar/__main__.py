"""Start the sidecar: `python3 -m isola_sidecar [port]`.

The order of the lines below is about start time. The socket listens before asyncio is imported:
whoever connects is queued by the kernel, and answered once the loop runs.
"""

from __future__ import annotations

import socket
import sys

_PORT = 10032
_BACKLOG = 1024


def main() -> None:
    """Listen, then import the rest and serve until SIGTERM."""
    listener = _listen(int(sys.argv[1]) if len(sys.argv) > 1 else _PORT)
    # ssl is 10 ms of start time under gVisor, for shared libraries that plain HTTP never uses.
    # None in its place makes the import fail, which asyncio expects of builds without it.
    sys.modules["ssl"] = None  # type: ignore[assignment]

    from . import application  # noqa: PLC0415 - asyncio and h11: most of the time to start

    application.run(listener)


def _listen(port: int) -> socket.socket:
    try:
        listener = socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
        )
    except (OSError, ValueError):  # a kernel without IPv6
        listener = socket.create_server(("0.0.0.0", port), backlog=_BACKLOG)  # noqa: S104
    port = listener.getsockname()[1]
    sys.stderr.write(f"isola-sidecar listens on port {port}\n")
    return listener


if __name__ == "__main__":
    main()
