"""References of images and what nodes make of them: which ones mean the same image.

The grammar is that of `github.com/distribution/reference`, as far as it takes to compare.
"""

from __future__ import annotations

_HOST = "docker.io"
_LATEST = "latest"


def canonical(reference: str) -> str:
    """Return a reference with all that may be left out.

    `python` is `docker.io/library/python:latest`. A tag beside a digest means nothing, and goes.
    """
    name, _, digest = reference.strip().partition("@")
    name, tag = _split(name)
    first, slash, rest = name.partition("/")
    if not slash or not (first == "localhost" or "." in first or ":" in first):
        first, rest = _HOST, name
    if first in {"index.docker.io", _HOST}:
        first, rest = _HOST, rest if "/" in rest else f"library/{rest}"
    return f"{first}/{rest}@{digest}" if digest else f"{first}/{rest}:{tag or _LATEST}"


def digest_of(image: str) -> str:
    """Return the digest in a reference, or in what a node calls an image; empty where it has none.

    Nodes say `registry/name@sha256:…`, or `sha256:…` of an image that came without a registry.
    """
    _, at, digest = image.strip().rpartition("@")
    return digest if at or digest.startswith("sha256:") else ""


def same(reference: str, other: str, other_id: str) -> bool:
    """Return whether a reference means the image that another one meant on some node.

    Args:
        reference: The one in question.
        other: The other one.
        other_id: What that node made of it.
    """
    if digest := digest_of(reference):
        return digest in {digest_of(other_id), digest_of(other)}
    return bool(other) and canonical(reference) == canonical(other)


def same_id(image_id: str, other_id: str) -> bool:
    """Return whether two nodes mean the same image by what they call it."""
    return (digest_of(image_id) or image_id) == (digest_of(other_id) or other_id)


def _split(name: str) -> tuple[str, str]:
    # The last colon is a tag's, unless a slash follows: then it is a port's.
    head, colon, tail = name.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (name, "")
