"""What is asked about files."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from isola_sdk.models import FileChange
from isola_sdk.protocol.events import Event
from isola_sdk.protocol.messages import EVENTS, OCTETS, Request, given, path


def read(sandbox_id: str, where: str, container: str | None) -> Request:
    """Return the request for a file."""
    return _asked("GET", sandbox_id, path=where, container=container)


def write(sandbox_id: str, where: str, container: str | None) -> Request:
    """Return the request that replaces a file, without its body."""
    request = _asked("POST", sandbox_id, path=where, container=container)
    return request.with_headers(Content_Type=OCTETS)


def page(
    sandbox_id: str, where: str, container: str | None, *, limit: int | None, cursor: str | None
) -> Request:
    """Return the request for a page of a directory."""
    asked = {"path": where, "container": container, "limit": limit, "cursor": cursor}
    return _asked("GET", sandbox_id, "entries", **asked)


def stat(sandbox_id: str, where: str, container: str | None) -> Request:
    """Return the request for what a path is."""
    return _asked("GET", sandbox_id, "stat", path=where, container=container)


def make_directory(sandbox_id: str, where: str, container: str | None) -> Request:
    """Return the request that makes a directory and its parents."""
    return _asked("POST", sandbox_id, "directories", path=where, container=container)


def remove(sandbox_id: str, where: str, container: str | None, *, recursive: bool) -> Request:
    """Return the request that removes what is at a path."""
    asked = {"path": where, "container": container, "recursive": recursive or None}
    return replace(_asked("DELETE", sandbox_id, **asked), gone_is_done=True)


def move(
    sandbox_id: str, source: str, target: str, container: str | None, *, overwrite: bool
) -> Request:
    """Return the request that gives what is at `source` the path `target`."""
    asked = {"from": source, "to": target, "container": container, "overwrite": overwrite or None}
    return _asked("POST", sandbox_id, "move", **asked)


def watch(sandbox_id: str, where: str, container: str | None, *, recursive: bool) -> Request:
    """Return the request for what changes at a path."""
    asked = {"path": where, "container": container, "recursive": recursive or None}
    return _asked("GET", sandbox_id, "watch", **asked).with_headers(Accept=EVENTS)


def change_of(event: Event) -> FileChange:
    """Return what an event of a watch tells."""
    told: dict[str, Any] = json.loads(event.data or "{}")
    return FileChange(
        kind=event.name,
        path=told.get("path"),
        type=told.get("type"),
        previous_path=told.get("from"),
    )


def _asked(method: str, sandbox_id: str, /, *more: str, **query: object) -> Request:
    where = path("sandboxes", sandbox_id, "filesystem", *more)
    return Request(method=method, path=where, query=given(**query))
