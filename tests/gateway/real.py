"""A sandbox whose sidecar is the real one, and what can be seen of it from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sidecar.pods import Container, Pod

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class RealSandbox:
    """A pod with one container, `sandbox0`, and a sidecar.

    Attributes:
        pod: The pod.
        container: Its container.
        port: Where the sidecar listens.
        certificate: SHA-256 of the one that it proves itself with.
    """

    pod: Pod
    container: Container
    port: int
    certificate: str

    def file(self, path: str) -> Path:
        """Return where this machine has the sandbox's absolute `path`."""
        return self.container.root / path.lstrip("/")

    def open_files(self) -> int:
        """Return how many descriptors the sidecar has open."""
        return len(list(Path(f"/proc/{self.pod.sidecar}/fd").iterdir()))

    def memory(self) -> int:
        """Return the sidecar's resident memory in bytes."""
        return resident(self.pod.sidecar)


def resident(pid: int | str = "self") -> int:
    """Return a process's resident memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
