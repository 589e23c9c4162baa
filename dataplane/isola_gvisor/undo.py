"""The way back: a script on the node, and a timer of its systemd that runs it unless told not to.

A containerd that does not come back takes with it whoever could restart this pod. So the way back
is laid before the first step, in the hands of systemd, and taken away when all is seen to be well.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from isola_gvisor.host import Host

FOLDER = "/var/lib/isola-gvisor"
SCRIPT = f"{FOLDER}/undo.sh"
UNIT = "isola-gvisor-undo"
SECONDS = 240


def script(before: Iterable[tuple[str, bool]]) -> str:
    """Return a script that puts files back. Pure.

    Args:
        before: Path of each, and whether it was there; then its text lies in FOLDER.
    """
    lines = [
        "#!/bin/sh",
        "# Written by Isola's gVisor installer before it changed containerd's configuration.",
        *(
            f"cp {shlex.quote(kept(path))} {shlex.quote(path)}"
            if there
            else f"rm -f {shlex.quote(path)}"
            for path, there in before
        ),
        "systemctl reset-failed containerd",
        "systemctl restart containerd",
    ]
    return "\n".join(lines) + "\n"


def kept(path: str) -> str:
    """Return where a file's earlier text lies. Pure."""
    return f"{FOLDER}/{path.strip('/').replace('/', '-')}"


def lay(host: Host, before: dict[str, str | None]) -> None:
    """Keep these files' texts, and have systemd put them back in a while."""
    for path, text in before.items():
        host.write(kept(path), text)
    host.write(SCRIPT, script((path, text is not None) for path, text in before.items()))
    host.run("systemctl", "reset-failed", f"{UNIT}.service", check=False)
    host.run("systemd-run", f"--unit={UNIT}", f"--on-active={SECONDS}", "/bin/sh", SCRIPT)


def laid(host: Host) -> bool:
    """Say whether the timer runs, or its script does."""
    return host.active(f"{UNIT}.timer") or host.active(f"{UNIT}.service")


def take_away(host: Host) -> None:
    """Leave things as they are."""
    host.run("systemctl", "stop", f"{UNIT}.timer", check=False)


def go(host: Host) -> None:
    """Go back now."""
    take_away(host)
    host.run("/bin/sh", SCRIPT)
