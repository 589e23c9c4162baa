"""gVisor's command line, as far as a capture needs it.

The binary is the node's own, so that it knows the sandboxes that it has started.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PAUSED = "paused"
# Of a command that only asks the sandbox for something.
_PATIENCE_SECONDS = 30


class RunscError(Exception):
    """A command failed; the message is its last line."""


@dataclass(frozen=True, slots=True)
class Runsc:
    """The `runsc` of a node.

    Attributes:
        binary: Where it is.
        root: Where it keeps what it knows of its containers.
    """

    binary: Path
    root: Path

    def tar(self, container: str, file: str) -> Sequence[str]:
        """Return the command that writes the upper layer of a container to a file.

        Not to standard output, where gVisor says first what it is about to do.
        """
        return self._command("tar", "rootfs-upper", f"--file={file}", container)

    def exists(self, container: str) -> bool:
        """Return whether there is such a container."""
        return any(self.root.glob(f"{container}_sandbox:*.state"))

    def pause(self, container: str) -> None:
        """Make sure that nothing in the container's sandbox runs.

        Raises:
            RunscError: It cannot be paused.
        """
        if not self._paused(container):
            self._run("pause", container)

    def resume(self, container: str) -> None:
        """Make sure that the container's sandbox runs; one that is gone is left alone.

        Raises:
            RunscError: It cannot be resumed.
        """
        if self.exists(container) and self._paused(container):
            self._run("resume", container)

    def _paused(self, container: str) -> bool:
        return json.loads(self._run("state", container))["status"] == _PAUSED

    def _run(self, *arguments: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - the node's own
                self._command(*arguments),
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise RunscError(f"runsc {arguments[0]} did not answer") from error
        if done.returncode:
            raise RunscError(f"runsc {arguments[0]}: {last_line(done.stderr)}")
        return done.stdout

    def _command(self, *arguments: str) -> Sequence[str]:
        return [str(self.binary), f"--root={self.root}", *arguments]


def last_line(text: str) -> str:
    """Return the last line of what a command said, or that it said nothing."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"
