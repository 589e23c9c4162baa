"""What the capture leaves for the upload: an archive, and a page that says what it is.

Both are in one folder of the pod, which lives as long as the pod does. The page comes last and in
one move, so that an archive with a page is whole:

    rootfs.tar       the archive, compressed
    manifest.json    {"sizeBytes", "sha256", "storedBytes", "storedSha256", "seconds"},
                     or {"reason", "message"}: why there is none
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

ARCHIVE = "rootfs.tar"
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An archive that is complete.

    Attributes:
        size_bytes: Of the plain archive.
        sha256: Of the plain archive, hex.
        stored_bytes: Of the file beside this page.
        stored_sha256: Of that file, hex.
        seconds: How long it took to take it.
    """

    size_bytes: int
    sha256: str
    stored_bytes: int
    stored_sha256: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no archive.

    Attributes:
        reason: One of `Captured=False`.
        message: For people: what happened, and what to do.
    """

    reason: str
    message: str


def write(folder: Path, page: Manifest | Failure) -> None:
    """Leave a page in a folder, in one move."""
    draft = folder / f"{_MANIFEST}.new"
    with draft.open("w") as file:
        json.dump(asdict(page), file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / _MANIFEST)


def read(folder: Path) -> Manifest | Failure | None:
    """Return the page in a folder, or None where there is none yet."""
    try:
        told = json.loads((folder / _MANIFEST).read_text())
    except FileNotFoundError:
        return None
    return Failure(**told) if "reason" in told else Manifest(**told)
