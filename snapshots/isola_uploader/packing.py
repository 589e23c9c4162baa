"""Compresses what comes in and measures it: `python -m isola_uploader.packing FOLDER LIMIT`.

A process of its own, so that it can be killed: what holds a paused sandbox in its hands is its
parent, which needs next to no memory and is the last that a kernel short of it ends.

Zstandard at level 1 and on the way: an archive is never on the disk uncompressed. `README.md` has
the figures.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backports import zstd

_PIECE_BYTES = 1024 * 1024
TOO_LARGE = 7  # exit code


class TooLargeError(Exception):
    """There is no room for what comes in."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What came in and went out.

    Attributes:
        size_bytes: That came in.
        sha256: Of that, hex.
        stored_bytes: That went out.
        stored_sha256: Of that, hex.
    """

    size_bytes: int
    sha256: str
    stored_bytes: int
    stored_sha256: str


def pack(source: BinaryIO, target: BinaryIO, *, limit_bytes: int) -> Packed:
    """Compress all that `source` gives into `target`.

    Raises:
        TooLargeError: It would be more than `limit_bytes`.
    """
    folding = zstd.ZstdCompressor(
        options={
            zstd.CompressionParameter.compression_level: 1,
            zstd.CompressionParameter.checksum_flag: 1,
        }
    )
    plain, stored = hashlib.sha256(), hashlib.sha256()
    size = stored_size = 0
    while True:
        piece = source.read(_PIECE_BYTES)
        plain.update(piece)
        size += len(piece)
        folded = folding.compress(piece) if piece else folding.flush()
        stored_size += len(folded)
        if stored_size > limit_bytes:
            raise TooLargeError
        stored.update(folded)
        target.write(folded)
        if not piece:
            return Packed(size, plain.hexdigest(), stored_size, stored.hexdigest())


def main(path: str, limit_bytes: str) -> int:
    """Pack standard input into a file, and tell four words on standard output."""
    with suppress(OSError):  # not on Linux
        Path("/proc/self/oom_score_adj").write_text("1000")
    with Path(path).open("wb") as target:
        try:
            packed = pack(sys.stdin.buffer, target, limit_bytes=int(limit_bytes))
        except TooLargeError:
            return TOO_LARGE
        target.flush()
        os.fsync(target.fileno())
    words = (packed.size_bytes, packed.sha256, packed.stored_bytes, packed.stored_sha256)
    print(*words)  # noqa: T201 - its parent reads it
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
