"""A request and the head of an answer, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

OCTETS = "application/octet-stream"
EVENTS = "text/event-stream"

KEY = "Idempotency-Key"
REQUEST_ID = "X-Request-Id"

_ERROR = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of the gateway.

    Attributes:
        method: HTTP method.
        path: Below the gateway's address, percent-encoded.
        query: Names and values.
        headers: HTTP headers.
        content: The body; None for none, or for one that comes as a stream.
        held_seconds: How long the gateway was asked to hold the answer back.
        repeatable: Whether it does no harm twice, or carries a key by which it is done once.
        gone_is_done: Whether 404 to a repetition says that an earlier one was carried out.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None
    held_seconds: float = 0
    repeatable: bool = True
    gone_is_done: bool = False

    @property
    def target(self) -> str:
        """Return path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def name(self) -> str:
        """Return what it is called in messages."""
        return f"{self.method} {self.path}"

    def with_headers(self, **headers: str) -> Request:
        """Return the same with more headers; `_` in a name is `-`."""
        added = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **added})

    def identified(self, token: str) -> Request:
        """Return the same under an id, and a POST under a key by which it is done once."""
        named = {REQUEST_ID: token} | ({KEY: token} if self.method == "POST" else {})
        return replace(self, headers={**named, **self.headers})

    @property
    def request_id(self) -> str | None:
        """Return the id that it goes by."""
        return self.headers.get(REQUEST_ID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that came in whole.

    Attributes:
        status: HTTP status.
        headers: Their names in lower case.
        content: The body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes = b""

    @property
    def is_error(self) -> bool:
        """Whether it is no success; a redirect is none, as nothing here follows it."""
        return self.status >= _ERROR

    @property
    def retry_after(self) -> float | None:
        """Return the seconds that the server asks to wait, if it says so in seconds."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004


def path(*parts: str) -> str:
    """Return a path of `parts`, each percent-encoded."""
    return "".join(f"/{quote(part, safe='')}" for part in ("v1", *parts))


def given(**values: object) -> tuple[tuple[str, str], ...]:
    """Return a query of those values that are not None."""
    found = {name.rstrip("_"): value for name, value in values.items() if value is not None}
    return tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in found.items()
    )


def with_json(method: str, path: str, body: Mapping[str, Any]) -> Request:
    """Return a request whose body is `body`."""
    content = json.dumps(body, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json"}
    return Request(method=method, path=path, headers=headers, content=content)
