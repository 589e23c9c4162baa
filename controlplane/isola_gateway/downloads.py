"""What a sidecar may say of a file beside its bytes: which part it is, of how much, and its tag.

Each is passed on only where it is well-formed, and a part must be as long as it is said to be: a
sandbox that lies about its own files harms nobody else's connection.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from isola_gateway.ports import Answer, SidecarError

_PART = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/[0-9]{1,18}")
_SIZE = re.compile(r"bytes \*/[0-9]{1,18}")
_TAG = re.compile(r'"[!#-~]{1,128}"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The head of a download.

    Attributes:
        status: 200, or 206 for a part.
        headers: Beside its type.
        length: Of its body in bytes; None where nobody can tell, as the file may still grow.
    """

    status: HTTPStatus
    headers: Mapping[str, str]
    length: int | None


def told(answer: Answer, *, in_part: bool) -> Told:
    """Return what the sidecar says of the file.

    Args:
        answer: With which it accepted.
        in_part: Whether a part was asked for.

    Raises:
        SidecarError: It is a part, and not told which, or none was asked for.
    """
    headers = {"Accept-Ranges": "bytes"}
    tag = answer.headers.get("ETag", "")
    if _TAG.fullmatch(tag):
        headers["ETag"] = tag
    if answer.status != HTTPStatus.PARTIAL_CONTENT:
        return Told(status=HTTPStatus.OK, headers=headers, length=None)
    part = answer.headers.get("Content-Range", "")
    found = _PART.fullmatch(part)
    length = int(found[2]) - int(found[1]) + 1 if found else 0
    if not in_part or length < 1:
        raise SidecarError(f"it answered with a part of the file: {part!r}")
    headers |= {"Content-Range": part, "Content-Length": str(length)}
    return Told(status=HTTPStatus.PARTIAL_CONTENT, headers=headers, length=length)


def size_told(answer: Answer) -> dict[str, str]:
    """Return the header that tells a file's size to who asked for a part beyond its end (416)."""
    size = answer.headers.get("Content-Range", "")
    beyond = answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and _SIZE.fullmatch(size)
    return {"Content-Range": size} if beyond else {}


async def measured(chunks: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    """Yield `chunks`, which amount to `length` bytes.

    Raises:
        SidecarError: They do not.
    """
    left = length
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise SidecarError(f"the part of {length} bytes is of another length")
