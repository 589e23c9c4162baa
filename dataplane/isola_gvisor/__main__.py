"""The installer's process: once at the start, then a look every minute.

`python -m isola_gvisor` is the DaemonSet's container. Its readiness probe reads /tmp/state, so
`kubectl describe pod` tells what is missing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from isola_gvisor.configuration import RefusedError, Wanted
from isola_gvisor.host import Host
from isola_gvisor.installing import Installer
from isola_gvisor.node import Node, UnreachableError

STATE = Path("/tmp/state")  # noqa: S108 # the pod's own
LOOK_SECONDS = 60


def say(message: str) -> None:
    """Write a line to the log, as JSON like the other components."""
    now = datetime.now(UTC).isoformat()  # noqa: TID251 # for people
    print(json.dumps({"timestamp": now, "event": message}), file=sys.stderr, flush=True)  # noqa: T201


def installer() -> Installer:
    """Return the installer that the environment describes (chart/templates/gvisor)."""
    environment = os.environ
    address = f"{environment['KUBERNETES_SERVICE_HOST']}:{environment['KUBERNETES_SERVICE_PORT']}"
    return Installer(
        host=Host(Path(environment.get("ISOLA_HOST_ROOT", "/host"))),
        node=Node(f"https://{address}", environment["ISOLA_NODE_NAME"]),
        wanted=Wanted(
            handler=environment["ISOLA_GVISOR_HANDLER"],
            folder=environment["ISOLA_GVISOR_FOLDER"],
            flags=json.loads(environment["ISOLA_GVISOR_FLAGS"]),
        ),
        image=Path("/isola/gvisor"),
        say=say,
    )


def look(installing: Installer, last: str) -> str:
    """Bring the node to where it should be, and return what the readiness probe is to tell."""
    try:
        source = installing.once()
        installing.node.label(source)
    except UnreachableError as error:
        say(str(error))
        return last
    except RefusedError as error:
        if str(error) != last:
            say(str(error))
        try:
            installing.node.label(None)
        except UnreachableError as unreachable:
            say(str(unreachable))
        return str(error)
    if last:
        by = "the node's own, which is left alone" if source == "node" else "installed"
        say(f"gVisor is ready on this node: {by}")
    return ""


def main() -> None:
    """Look, for ever."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    installing, last = installer(), "not looked at yet"
    while True:
        STATE.write_text(last)
        last = look(installing, last)
        STATE.write_text(last)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
