"""What gateway and sidecar hold in memory, as their kernels tell it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from support.cluster import SYSTEM, Cluster

# Run in a sandbox: kilobytes of its sidecar, both processes of it. They share its PID namespace.
OF_THE_SIDECAR = ("sh", "-c", "ps -eo rss=,args= | awk '/[i]sola_sidecar/ {n += $1} END {print n}'")


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process, in bytes.

    Attributes:
        now: At present.
        peak: The most that it ever was.
    """

    now: int
    peak: int


def gateway(cluster: Cluster) -> Memory:
    """Return the memory of the gateway; of several, of any one."""
    status = cluster.kubectl(
        *("exec", "-n", SYSTEM, "deployment/isola-api-gateway", "--"),
        *("python3", "-c", "print(open('/proc/1/status').read())"),
    ).stdout
    return _read(status)


def of_process(number: int) -> Memory:
    """Return the memory of a process on this machine."""
    return _read(Path(f"/proc/{number}/status").read_text())


def _read(status: str) -> Memory:
    kilobytes = {name: int(size) for name, size in re.findall(r"(Vm\w+):\s+(\d+) kB", status)}
    return Memory(kilobytes["VmRSS"] * 1024, kilobytes["VmHWM"] * 1024)
