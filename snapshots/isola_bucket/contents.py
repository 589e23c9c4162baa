"""What is said of an archive in its object's metadata, and how its bytes are had back.

Whoever reads the object needs nothing else: no custom resource has to be there any more.

    sha256, bytes        of the plain archive, a tar of the overlay's upper layer
    compression          `zstd`: one frame or several; or `none`
    storedsha256         of the object itself
    snapshot, snapshotuid, sandbox, sandboxuid, container, image, imageid
                         what it was taken by and from; empty where that is not known
    expiresat            when it may go, RFC 3339; absent for never
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from backports import zstd
from tenacity import RetryCallState

from isola_bucket.errors import BucketError
from isola_bucket.port import Bucket, Stored
from isola_bucket.retrying import patiently

ZSTD = "zstd"
NONE = "none"
EXPIRES_AT = "expiresat"

_SIZE = re.compile(r"[0-9]{1,19}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

# What a reader is handed at once at most, however far a piece unfolds.
_PIECE_BYTES = 1024 * 1024


class DamagedError(BucketError):
    """The bytes are not the ones that were stored: refuse them, and never retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What an object holds.

    Attributes:
        size_bytes: Of the plain archive.
        sha256: Of the plain archive, hex.
        stored_sha256: Of the object, hex.
        compression: `zstd` or `none`.
        origin: What it was taken by and from.
    """

    size_bytes: int
    sha256: str
    stored_sha256: str
    compression: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What an archive was taken by and from; a field that nobody told is empty.

    Attributes:
        snapshot: Name of the custom resource.
        snapshotuid: Its UID.
        sandbox: Name of the sandbox.
        sandboxuid: Its UID.
        container: Name of the container.
        image: Its image, as the specification names it.
        imageid: Its image, as the node resolved it.
    """

    snapshot: str = ""
    snapshotuid: str = ""
    sandbox: str = ""
    sandboxuid: str = ""
    container: str = ""
    image: str = ""
    imageid: str = ""


def metadata_of(contents: Contents) -> dict[str, str]:
    """Return the metadata of an object that holds `contents`."""
    origin = {field.name: getattr(contents.origin, field.name) for field in fields(Origin)}
    return {
        "sha256": contents.sha256,
        "bytes": str(contents.size_bytes),
        "storedsha256": contents.stored_sha256,
        "compression": contents.compression,
        **{name: value for name, value in origin.items() if value},
    }


def contents_of(metadata: Mapping[str, str]) -> Contents:
    """Return what an object with this metadata holds.

    Raises:
        DamagedError: It says too little, or what cannot be. A digest becomes the name of a file on
            nodes, and whoever may write to the bucket may write there what he likes.
    """
    size, sha256 = metadata.get("bytes", ""), metadata.get("sha256", "")
    compression, stored_sha256 = metadata.get("compression", ""), metadata.get("storedsha256", "")
    if (
        not _SIZE.fullmatch(size)
        or not _DIGEST.fullmatch(sha256)
        or not _DIGEST.fullmatch(stored_sha256 or sha256)
        or compression not in {ZSTD, NONE}
    ):
        raise DamagedError(
            "the object does not say what it holds (metadata sha256, bytes, compression):"
            " it was not written by Isola, or changed since"
        )
    return Contents(
        size_bytes=int(size),
        sha256=sha256,
        stored_sha256=stored_sha256,
        compression=compression,
        origin=Origin(**{field.name: metadata.get(field.name, "") for field in fields(Origin)}),
    )


def is_past(expires_at: str, now: datetime) -> bool:
    """Return whether the time of an object with this `expiresat` is over; never without one.

    Nor with what is no time of ours: whoever wrote it has to remove the object.
    """
    try:
        return bool(expires_at) and datetime.fromisoformat(expires_at) <= now
    except (ValueError, TypeError):
        return False


async def downloaded(
    bucket: Bucket,
    stored: Stored,
    trouble: Callable[[RetryCallState], Awaitable[None] | None] | None = None,
) -> AsyncGenerator[bytes]:
    """Yield an object's bytes, going on where a connection broke.

    Args:
        bucket: Where it is.
        stored: Which one: another one under its key by now is none.
        trouble: Told of every attempt that failed.

    Raises:
        ObjectNotFoundError: It is gone, or another one by now.
        UnavailableError: The bucket gave no byte for too long.
    """
    at = 0
    async for attempt in patiently(trouble):
        with attempt:
            async for piece in bucket.read(stored.key, start=at, tag=stored.tag):
                at += len(piece)
                attempt.retry_state.attempt_number = 1  # there is progress: patience begins anew
                yield piece


async def unpacked(pieces: AsyncIterable[bytes], contents: Contents) -> AsyncGenerator[bytes]:
    """Yield the plain archive that stored bytes unfold to, in pieces of at most a megabyte.

    The last piece is yielded before all is known to be right: use nothing before the end.

    Raises:
        DamagedError: They are not what was stored.
    """
    digest = hashlib.sha256()
    size = 0
    async for piece in _plain(pieces, contents.compression):
        size += len(piece)
        if size > contents.size_bytes:
            raise DamagedError(f"the archive is longer than the {contents.size_bytes} bytes stored")
        digest.update(piece)
        yield piece
    if size < contents.size_bytes:
        raise DamagedError(f"the archive ends after {size} of {contents.size_bytes} bytes")
    if digest.hexdigest() != contents.sha256:
        raise DamagedError(f"the archive's SHA-256 is {digest.hexdigest()}, not {contents.sha256}")


def _plain(pieces: AsyncIterable[bytes], compression: str) -> AsyncIterable[bytes]:
    return _unfolded(pieces) if compression == ZSTD else pieces


async def _unfolded(pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    unfolding = zstd.ZstdDecompressor()
    try:
        async for piece in pieces:
            waiting = piece
            while waiting or not (unfolding.needs_input or unfolding.eof):
                if unfolding.eof:
                    unfolding = zstd.ZstdDecompressor()  # frames may follow each other
                plain = await asyncio.to_thread(unfolding.decompress, waiting, _PIECE_BYTES)
                waiting = unfolding.unused_data if unfolding.eof else b""
                if plain:
                    yield plain
    except zstd.ZstdError as error:
        raise DamagedError(f"the object cannot be decompressed: {error}") from error
    if not unfolding.eof:
        raise DamagedError("the object ends in the middle of its data")
