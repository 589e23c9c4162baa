"""The file on the node, in the parts that it goes in: the same ones after a restart."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from isola_bucket.port import MOST_PARTS

_MEBIBYTE = 1024 * 1024

# Large enough that the way there and back does not count, small enough that a few fit into memory.
USUAL_PART_BYTES = 8 * _MEBIBYTE


class ChangedError(Exception):
    """The file is not what the capture left."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file is divided.

    Attributes:
        total_bytes: Its size.
        usual_bytes: Of a part, unless there would be too many.
    """

    total_bytes: int
    usual_bytes: int = USUAL_PART_BYTES

    @property
    def part_bytes(self) -> int:
        """Return the size of every part but the last."""
        least = -(-self.total_bytes // MOST_PARTS)
        return self.usual_bytes if least <= self.usual_bytes else -(-least // _MEBIBYTE) * _MEBIBYTE

    @property
    def count(self) -> int:
        """Return how many parts there are."""
        return max(-(-self.total_bytes // self.part_bytes), 1)

    def size_of(self, number: int) -> int:
        """Return the size of part `number`, from 1."""
        if number < self.count:
            return self.part_bytes
        return self.total_bytes - (self.count - 1) * self.part_bytes


async def read(path: Path, plan: Plan, *, sha256: str) -> AsyncGenerator[tuple[int, bytes]]:
    """Yield every part with its number, one in memory at a time.

    Raises:
        ChangedError: The file is not the one with this digest. What was yielded is not to be used.
    """
    digest = hashlib.sha256()

    def part(number: int) -> bytes:
        file.seek((number - 1) * plan.part_bytes)
        body = file.read(plan.part_bytes)
        digest.update(body)
        return body

    size = await asyncio.to_thread(_size, path)
    if size != plan.total_bytes:
        raise ChangedError(f"the archive on the node has {size} bytes, not {plan.total_bytes}")
    with await asyncio.to_thread(path.open, "rb") as file:
        for number in range(1, plan.count + 1):
            yield number, await asyncio.to_thread(part, number)
    if digest.hexdigest() != sha256:
        raise ChangedError(
            f"the archive on the node has SHA-256 {digest.hexdigest()}, not {sha256}"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
