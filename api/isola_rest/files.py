"""Responses about files: as a sidecar gives them, and as the gateway passes them on.

They keep what this release does not know: a newer sidecar may say more.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from isola_rest.models import Wire

Size = Annotated[int, Field(ge=0)]


class Entry(Wire):
    """What a path is; of a link, the link itself."""

    model_config = ConfigDict(extra="allow")

    name: str
    path: str = Field(description="Absolute.")
    type: Literal["file", "directory", "symlink", "other"]
    size: Size = Field(description="In bytes.")
    permissions: str = Field(description="Octal.", examples=["0644"])
    uid: int
    gid: int
    modified_time: datetime
    symlink_target: str | None = Field(default=None, description="What a link says.")
    encoded_path: str | None = Field(
        default=None,
        description="Only of a path that is not UTF-8, and so cannot be told in JSON: the path,"
        " percent-encoded, to be put into a query as it is.",
    )


class EntryList(Wire):
    """What is in a directory, by the bytes of the names, or a page of it."""

    model_config = ConfigDict(extra="allow")

    entries: list[Entry]
    next_cursor: str | None = Field(
        default=None, description="Give it as `cursor` for what follows; absent at the end."
    )


class MadeDirectory(Wire):
    """A directory that was made."""

    model_config = ConfigDict(extra="allow")

    absolute_path: str


class WrittenFile(Wire):
    """A file that was written."""

    model_config = ConfigDict(extra="allow")

    absolute_path: str
    bytes_written: Size
