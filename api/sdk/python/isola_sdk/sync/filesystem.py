"""Files in a sandbox."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any

from isola_sdk.errors import NotFoundError
from isola_sdk.models import Entry, EntryPage, FileChange
from isola_sdk.protocol import files as asked
from isola_sdk.sync.api import Api
from isola_sdk.sync.bodies import Body, Progress
from isola_sdk.sync.downloads import Download
from isola_sdk.sync.runtime import Upload, write_file
from isola_sdk.sync.watching import watched


class Filesystem:
    """The files of a sandbox. A relative path starts from the container's working directory."""

    def __init__(self, api: Api, sandbox_id: str) -> None:
        self._api = api
        self._id = sandbox_id

    def write(
        self,
        path: str,
        data: Upload,
        *,
        container: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """Make `data` a file's content, all of it or nothing. Missing directories are made.

        Args:
            path: The file.
            data: Text, bytes, a file open for reading in binary, or an iterable of bytes. What is
                large is best a file: it is sent in pieces, and again from where it stood.
            container: Needed only where there are several.
            on_progress: Called with the bytes sent so far, and with how many there are if known.
        """
        body = Body(data, on_progress)
        body.measure()
        self._api.send(asked.write(self._id, path, container), body)

    def read(
        self, path: str, *, container: str | None = None, on_progress: Progress | None = None
    ) -> bytes:
        """Return a file's content."""
        stream = self.stream(path, container=container, on_progress=on_progress)
        return b"".join([piece for piece in stream])

    def stream(
        self, path: str, *, container: str | None = None, on_progress: Progress | None = None
    ) -> Generator[bytes]:
        """Yield a file's content in pieces. A connection that is lost goes on at the very byte.

        Raises:
            StreamLostError: It cannot go on, or the file is another one by now.
        """
        return Download(self._api, asked.read(self._id, path, container), on_progress).pieces()

    def download(
        self,
        path: str,
        file: Any,
        *,
        container: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """Write a file's content to `file`, which is open for writing in binary."""
        stream = self.stream(path, container=container, on_progress=on_progress)
        with closing(stream) as pieces:
            for piece in pieces:
                write_file(file, piece)

    def iterate(
        self, path: str, *, container: str | None = None, page_size: int | None = None
    ) -> Generator[Entry]:
        """Yield what is in a directory, by the bytes of the names."""
        cursor: str | None = None
        while True:
            request = asked.page(self._id, path, container, limit=page_size, cursor=cursor)
            page, _ = self._api.ask(request, EntryPage)
            for entry in page.entries:
                yield entry
            if not (cursor := page.next_cursor):
                return

    def list(self, path: str, *, container: str | None = None) -> list[Entry]:
        """Return what is in a directory."""
        return [entry for entry in self.iterate(path, container=container)]

    def stat(self, path: str, *, container: str | None = None) -> Entry:
        """Return what a path is; of a link, the link itself."""
        entry, _ = self._api.ask(asked.stat(self._id, path, container), Entry)
        return entry

    def exists(self, path: str, *, container: str | None = None) -> bool:
        """Return whether there is anything at a path."""
        try:
            self.stat(path, container=container)
        except NotFoundError:
            return False
        return True

    def mkdir(self, path: str, *, container: str | None = None) -> bool:
        """Make a directory and its parents, and return whether it was not there before."""
        answer = self._api.send(asked.make_directory(self._id, path, container))
        return answer.status == 201  # noqa: PLR2004 - Created

    def remove(self, path: str, *, container: str | None = None, recursive: bool = False) -> None:
        """Remove a file, a link or an empty directory; with `recursive`, one with all in it.

        Where the answer was lost, what is gone by the next attempt counts as removed.
        """
        self._api.send(asked.remove(self._id, path, container, recursive=recursive))

    def move(
        self, source: str, target: str, *, container: str | None = None, overwrite: bool = False
    ) -> None:
        """Give a file, a link or a directory another path, within its file system.

        Args:
            source: What is moved.
            target: Its new path, and no directory to put it in.
            container: Needed only where there are several.
            overwrite: Whether a file or an empty directory there is replaced.
        """
        request = asked.move(self._id, source, target, container, overwrite=overwrite)
        self._api.send(request)

    def watch(
        self, path: str, *, container: str | None = None, recursive: bool = False
    ) -> Generator[FileChange]:
        """Yield what changes at a path, until what is there is gone.

        The first is `ready`: nothing is missed from then on. `overflow`: something was, such as
        when the connection was lost; list again.
        """
        request = asked.watch(self._id, path, container, recursive=recursive)
        return watched(self._api, request)
