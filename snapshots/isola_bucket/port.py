"""What uploader and mounter may ask of object storage.

Four implementations pass one contract suite (`tests/bucket`): S3 and what speaks it, Google Cloud
Storage, Azure Blob Storage, and `memory.MemoryBucket` for tests.

    begin ──> put_part (any order, several at once, each again as often as need be) ──> complete
      │           └── parts: what has arrived, whoever asks                               │
      └────────────────────────────────> abort                                      one object

Rules of this port
    - Nothing is visible under the key before `complete`, and then all of it at once.
    - An upload outlives the process that began it: whoever knows its id goes on with it.
    - A part is in memory as a whole, an object never: it is read as a stream.
    - No implementation retries. Its callers do, in one place and by one policy.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

# What all services take: every part but the last has at least as many bytes (S3), and no upload
# has more parts (S3; Azure takes 50,000, and for Google 10,000 are composed in three rounds).
SMALLEST_PART_BYTES = 5 * 1024 * 1024
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way.

    Attributes:
        key: Where its object will be.
        id: The service's name for it, or ours where the service has none.
    """

    key: str
    id: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived.

    Attributes:
        number: From 1; the object is the parts in the order of their numbers.
        size_bytes: Its length.
        tag: What the service wants to hear of it on completion; opaque.
    """

    number: int
    size_bytes: int
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An object as a listing shows it.

    Attributes:
        key: Its key.
        size_bytes: Its length.
        modified_at: When it was completed: UTC.
    """

    key: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Entry):
    """An object.

    Attributes:
        tag: Names these very bytes under this key; another upload has another one. Opaque.
        metadata: What was said of it when its upload began. Keys are lower-case.
    """

    tag: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


class Bucket(Protocol):
    """One bucket (Azure: container).

    Every method may raise `UnavailableError` and `AccessError`; what else it may raise is said
    there.
    """

    async def begin(self, key: str, metadata: Mapping[str, str]) -> Upload:
        """Begin an upload, and return it.

        Args:
            key: Where the object will be.
            metadata: ASCII, 2 KiB in all; keys are words in lower case, without a hyphen.
        """
        ...

    async def put_part(self, upload: Upload, number: int, body: bytes) -> Part:
        """Put part `number` in the place of one that may be there, and return it.

        What arrives is compared with what was sent by a checksum.

        Raises:
            UploadNotFoundError: It is not under way. Some services find out on completion only.
        """
        ...

    async def parts(self, upload: Upload) -> Sequence[Part]:
        """Return the parts that have arrived, by number.

        Raises:
            UploadNotFoundError: It is not under way; or there is none yet, where a service knows
                an upload by its parts.
        """
        ...

    async def complete(
        self,
        upload: Upload,
        parts: Sequence[Part],
        metadata: Mapping[str, str],
        *,
        replace: bool = False,
    ) -> None:
        """Make the object of the parts, and end the upload.

        Args:
            upload: Which one.
            parts: All of them, by number, without gaps.
            metadata: As it was begun with: some services want to hear it now.
            replace: Whether an object that is there goes.

        Raises:
            ObjectExistsError: There is one, and `replace` is false. The upload is still there.
            UploadNotFoundError: It is not under way, or a part is missing.
        """
        ...

    async def abort(self, upload: Upload) -> None:
        """Make sure that nothing is left of an upload, under way or not. Objects stay."""
        ...

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        """Return what is under way below a prefix, or, given a whole key, for that key.

        Uploads without a part need not be among them, as nothing is left of those. MinIO answers
        for whole keys only.
        """
        ...

    async def head(self, key: str) -> Stored:
        """Return what is known of an object.

        Raises:
            ObjectNotFoundError: There is none.
        """
        ...

    def read(self, key: str, *, start: int = 0, tag: str = "") -> AsyncGenerator[bytes]:
        """Yield an object's bytes from offset `start` on, in pieces of some hundred kilobytes.

        Args:
            key: Which one.
            start: Within the object.
            tag: Which bytes of that key, by `Stored.tag`; empty for those that are there now.

        Raises:
            ObjectNotFoundError: There is none, or it has another tag.
        """
        ...

    def entries(self, prefix: str) -> AsyncIterator[Entry]:
        """Yield the objects whose keys begin with `prefix`, by key."""
        ...

    async def delete(self, key: str, *, tag: str = "") -> None:
        """Make sure that there is no object under a key.

        Args:
            key: Which one.
            tag: Spare an object with another tag. Not every service that speaks S3 heeds it:
                compare with `head` first.
        """
        ...
