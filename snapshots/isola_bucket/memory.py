"""A bucket in memory: for tests, held to the contract of the real ones."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from isola_bucket.errors import ObjectExistsError, ObjectNotFoundError, UploadNotFoundError
from isola_bucket.port import Entry, Part, Stored, Upload

_PIECE_BYTES = 256 * 1024
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class _Pending:
    metadata: Mapping[str, str]
    bodies: dict[int, bytes] = field(default_factory=dict[int, bytes])


class MemoryBucket:
    """A `Bucket` without a service."""

    def __init__(self) -> None:
        self._pending: dict[Upload, _Pending] = {}
        self._objects: dict[str, tuple[Stored, bytes]] = {}
        self._numbers = count(1)

    async def begin(self, key: str, metadata: Mapping[str, str]) -> Upload:
        """Begin an upload; see `Bucket.begin`."""
        upload = Upload(key, f"upload-{next(self._numbers)}")
        self._pending[upload] = _Pending(dict(metadata))
        return upload

    async def put_part(self, upload: Upload, number: int, body: bytes) -> Part:
        """Put a part; see `Bucket.put_part`."""
        self._under_way(upload).bodies[number] = body
        return _part(number, body)

    async def parts(self, upload: Upload) -> Sequence[Part]:
        """Return what has arrived; see `Bucket.parts`."""
        return [_part(*item) for item in sorted(self._under_way(upload).bodies.items())]

    async def complete(
        self,
        upload: Upload,
        parts: Sequence[Part],
        metadata: Mapping[str, str],
        *,
        replace: bool = False,
    ) -> None:
        """Make the object; see `Bucket.complete`."""
        pending = self._under_way(upload)
        if not set(parts) <= {_part(*item) for item in pending.bodies.items()}:
            raise UploadNotFoundError(f"a part of {upload.key} is missing")
        if upload.key in self._objects and not replace:
            raise ObjectExistsError(f"there is an object {upload.key}")
        content = b"".join(pending.bodies[part.number] for part in parts)
        stored = Stored(
            key=upload.key,
            size_bytes=len(content),
            modified_at=_EPOCH,
            tag=upload.id,
            metadata=dict(metadata),
        )
        self._objects[upload.key] = stored, content
        del self._pending[upload]

    async def abort(self, upload: Upload) -> None:
        """Forget an upload; see `Bucket.abort`."""
        self._pending.pop(upload, None)

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        """Return what is under way; see `Bucket.uploads`."""
        return [upload for upload in self._pending if upload.key.startswith(prefix)]

    async def head(self, key: str) -> Stored:
        """Return what is known of an object; see `Bucket.head`."""
        return self._found(key)[0]

    async def read(self, key: str, *, start: int = 0, tag: str = "") -> AsyncGenerator[bytes]:
        """Yield an object's bytes; see `Bucket.read`."""
        stored, content = self._found(key)
        if tag not in {"", stored.tag}:
            raise ObjectNotFoundError(f"the object {key} is another one now")
        for at in range(start, len(content), _PIECE_BYTES):
            yield content[at : at + _PIECE_BYTES]

    async def entries(self, prefix: str) -> AsyncIterator[Entry]:
        """Yield objects; see `Bucket.entries`."""
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield self._objects[key][0]

    async def delete(self, key: str, *, tag: str = "") -> None:
        """Remove an object; see `Bucket.delete`."""
        if key in self._objects and tag in {"", self._objects[key][0].tag}:
            del self._objects[key]

    def _under_way(self, upload: Upload) -> _Pending:
        if upload not in self._pending:
            raise UploadNotFoundError(f"no upload {upload.id} of {upload.key}")
        return self._pending[upload]

    def _found(self, key: str) -> tuple[Stored, bytes]:
        if key not in self._objects:
            raise ObjectNotFoundError(f"no object {key}")
        return self._objects[key]


def _part(number: int, body: bytes) -> Part:
    return Part(number, len(body), hashlib.sha256(body).hexdigest())
